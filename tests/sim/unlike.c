/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dsm-unlike: what regions of 4 KiB and of 64 KiB pages cost two nodes whose hardware pages are
 * equal or not: faults, messages and bytes, counted in the real core. It counts and never times, so
 * it prints the same everywhere. Node 0 is the home of all pages; nodes 1 and 2 use them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/cluster_parts.h"

#define CLIENT 1u
#define SMALL 4096u
#define LARGE 65536u
#define PIECES 256u /* of SMALL bytes, of the region */
#define TURNS 64u

/** Two nodes and a region. */
struct kind {
    const char *name;
    uint32_t page_size;   /* of the region */
    uint32_t hardware[3]; /* of each node */
};

struct run {
    const struct kind *kind;
    struct cluster *cluster;
    map_id maps[3];
    uint64_t faults, messages, pages;
    uint64_t value; /* the last one written */
};

static const struct kind kinds[] = {
    {"4 KiB, nodes 4 and 4", SMALL, {SMALL, SMALL, SMALL}},
    {"4 KiB, nodes 4 and 64", SMALL, {SMALL, SMALL, LARGE}},
    {"4 KiB, nodes 64 and 64", SMALL, {SMALL, LARGE, LARGE}},
    {"64 KiB, nodes of any", LARGE, {SMALL, SMALL, SMALL}},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void on_send(void *context, struct envelope *envelope)
{
    struct run *run = context;

    run->messages++;
    run->pages += envelope->payload_pages;
}

/*
 * Touch a piece as often as it takes. A page of the simulator stands for one of the region's,
 * whatever its size is.
 */
static void touch(struct run *run, uint32_t node, uint32_t piece, bool write)
{
    uint64_t page = piece / (run->kind->page_size / SMALL);
    uint64_t value = run->value + write;

    while (!cluster_touch(run->cluster, node, run->maps[node], page, write, &value)) {
        run->faults++;
        cluster_run(run->cluster);
        cluster_advance(run->cluster, 1);
    }
    run->value += write;
}

/* --- what is counted --- */

static void write_all(struct run *run)
{
    for (uint32_t piece = 0; piece < PIECES; piece++) {
        touch(run, 1, piece, true);
    }
}

static void read_all(struct run *run)
{
    for (uint32_t piece = 0; piece < PIECES; piece++) {
        touch(run, 2, piece, false);
    }
}

static void overwrite_all(struct run *run)
{
    for (uint32_t piece = 0; piece < PIECES; piece++) {
        touch(run, 2, piece, true);
    }
}

/* Node 1 writes a word, node 2 reads it. */
static void share_word(struct run *run)
{
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        touch(run, 1, 0, true);
        touch(run, 2, 0, false);
    }
}

/* The same with 64 KiB. */
static void share_block(struct run *run)
{
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        for (uint32_t piece = 128; piece < 144; piece++) {
            touch(run, 1, piece, true);
        }
        for (uint32_t piece = 128; piece < 144; piece++) {
            touch(run, 2, piece, false);
        }
    }
}

/* Node 1 writes, node 2 reads, but never the same 4 KiB. */
static void share_falsely(struct run *run)
{
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        touch(run, 1, 32, true);
        touch(run, 2, 33, false);
    }
}

/* Both write, but never the same 4 KiB. */
static void tear(struct run *run)
{
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        touch(run, 1, 64, true);
        touch(run, 2, 65, true);
    }
}

static const struct {
    const char *name;
    void (*count)(struct run *run);
} rows[] = {
    {"1 writes 1 MiB in order", write_all},
    {"then 2 reads all of it in order", read_all},
    {"then 2 writes all of it in order", overwrite_all},
    {"64 turns: 1 writes a word, 2 reads it", share_word},
    {"64 turns: 1 writes 64 KiB, 2 reads it", share_block},
    {"64 turns: 1 writes 4 KiB, 2 reads the next 4 KiB", share_falsely},
    {"64 turns: 1 writes 4 KiB, 2 writes the next 4 KiB", tear},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void run_begin(struct run *run, const struct kind *kind)
{
    const struct node_config config = {0};

    *run = (struct run){.kind = kind, .cluster = cluster_new_mixed(3, &config, kind->hardware)};
    for (uint32_t node = 0; node < 3; node++) {
        uint64_t handle = cluster_open(run->cluster, node, CLIENT, "/region",
                                       PIECES / (kind->page_size / SMALL), DSM_HOME_CREATOR);

        run->maps[node] = cluster_map(run->cluster, node, CLIENT, handle);
    }
    run->cluster->on_send = on_send;
    run->cluster->on_send_context = run;
}

int main(void)
{
    static struct run runs[KINDS];
    uint64_t counts[ROWS][KINDS][3];

    for (size_t kind = 0; kind < KINDS; kind++) {
        struct run *run = &runs[kind];

        run_begin(run, &kinds[kind]);
        for (size_t row = 0; row < ROWS; row++) {
            run->faults = run->messages = run->pages = 0;
            rows[row].count(run);
            cluster_run(run->cluster);
            counts[row][kind][0] = run->faults;
            counts[row][kind][1] = run->messages;
            counts[row][kind][2] = run->pages * (kinds[kind].page_size / 1024);
        }
        cluster_free(run->cluster);
    }
    printf("| region's pages, hardware pages of 1 and 2 | counted |");
    for (size_t kind = 0; kind < KINDS; kind++) {
        printf(" %s |", kinds[kind].name);
    }
    printf("\n|---|---|---:|---:|---:|---:|\n");
    for (size_t row = 0; row < ROWS; row++) {
        static const char *const counted[] = {"faults", "messages", "KiB"};

        for (size_t what = 0; what < 3; what++) {
            printf("| %s | %s |", rows[row].name, counted[what]);
            for (size_t kind = 0; kind < KINDS; kind++) {
                printf(" %" PRIu64 " |", counts[row][kind][what]);
            }
            printf("\n");
        }
    }
    return 0;
}
