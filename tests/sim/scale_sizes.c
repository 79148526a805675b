/* SPDX-License-Identifier: Apache-2.0 */
/* Memory, as the core counts it (core_bytes): it depends on NODES_MAX and not on n. */
#include "dsm/core/node_parts.h"
#include "tests/sim/scale_rows.h"

/** Chunks that are filled to measure a directory: as many as one supply holds. */
#define CHUNKS (2 * DIRECTORY_ITEM_CHUNKS)
#define FIRST_PAGE 1024u
/** Nodes that ask to measure what asking costs: three blocks of windows. */
#define ASKERS 48u

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + 15) / 16 * 16;
}

/* --- a node alone --- */

static struct cluster *new_lone_node(void)
{
    const struct node_config config = {.read_ahead_pages = 1};

    return cluster_new_strangers(1, &config);
}

static uint64_t count_fixed(void)
{
    struct cluster *alone = new_lone_node();
    uint64_t bytes = scale_core_bytes(alone, 0);

    cluster_free(alone);
    return bytes;
}

static uint64_t expect_other(void)
{
    return 96 + round_up(sizeof(struct record));
}

/* What one more member costs each node that is told of it; as many are told as fill blocks. */
static uint64_t count_other(void)
{
    struct cluster *alone = new_lone_node();
    uint64_t before = scale_core_bytes(alone, 0);

    for (uint32_t i = 0; i < NODES_MAX; i++) {
        struct record member = {
            .kind = RECORD_NODE, .id = {i, i + 1}, .revision = i + 1, .alive = true};

        cluster_tell_record(alone, 0, &member);
    }
    before = scale_core_bytes(alone, 0) - before;
    cluster_free(alone);
    return before / NODES_MAX;
}

static uint64_t expect_window(void)
{
    return round_up(WINDOW / 8 + sizeof(uint64_t));
}

static uint64_t count_window(void)
{
    struct scale *scale = scale_new(ASKERS + 2, true);
    uint64_t before;

    scale_read(scale, ASKERS + 1, SCALE_CREATOR, 0); /* what a first request needs besides */
    before = scale_core_bytes(scale->cluster, 0);
    for (uint32_t i = 1; i <= ASKERS; i++) {
        scale_read(scale, i, SCALE_CREATOR, 0);
    }
    before = scale_core_bytes(scale->cluster, 0) - before;
    scale_free(scale);
    return before / ASKERS;
}

/* --- directories: bytes for 1024 pages --- */

static uint64_t chunks_of(uint64_t record_bytes)
{
    return CHUNKS * round_up(sizeof(struct chunk) + CHUNK_PAGES * record_bytes);
}

static uint64_t touch_chunks(bool home)
{
    struct scale *scale = scale_new(2, true);
    uint32_t node = home ? 0 : 1;
    uint64_t before;

    scale_read(scale, 1, SCALE_CREATOR, 0); /* what a first request needs besides */
    before = scale_core_bytes(scale->cluster, node);
    for (uint64_t i = 0; i < CHUNKS; i++) {
        scale_read(scale, 1, SCALE_CREATOR, FIRST_PAGE + i * CHUNK_PAGES);
    }
    before = scale_core_bytes(scale->cluster, node) - before;
    scale_free(scale);
    return before;
}

static uint64_t expect_home_directory(void)
{
    return chunks_of(24 + (NODES_MAX + 63) / 64 * 8);
}

static uint64_t count_home_directory(void)
{
    return touch_chunks(true);
}

static uint64_t expect_page_directory(void)
{
    return chunks_of(16);
}

static uint64_t count_page_directory(void)
{
    return touch_chunks(false);
}

static uint64_t expect_transfer(void)
{
    return 88 + (NODES_MAX + 63) / 64 * 8;
}

static uint64_t count_transfer(void)
{
    return sizeof(struct transfer);
}

static uint64_t expect_record(void)
{
    return 1424 + (NODES_MAX + 63) / 64 * 24;
}

static uint64_t count_record(void)
{
    return sizeof(struct record);
}

const struct scale_size scale_sizes[] = {
    {"a node that knows nobody", "", NULL, count_fixed},
    {"each other node that it was told of", "96 + a record", expect_other, count_other},
    {"each other node that asks it as a home", "WINDOW / 8 + 16", expect_window, count_window},
    {"directory at the home, 1024 pages", "(24 + N / 8) a page", expect_home_directory,
     count_home_directory},
    {"directory at a requester, 1024 pages", "16 a page", expect_page_directory,
     count_page_directory},
    {"a request that is open or waits at its home", "88 + N / 8", expect_transfer, count_transfer},
    {"a record of the catalog", "1424 + 3N / 8", expect_record, count_record},
};

const size_t scale_sizes_count = sizeof(scale_sizes) / sizeof(scale_sizes[0]);
