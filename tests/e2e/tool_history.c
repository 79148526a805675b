/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on shared words by threads of programs on several hosts, each recorded with
 * what it saw, for dsm-history to say whether all of them together are sequentially consistent.
 *
 * Locations are of three kinds, so that each write's predecessor is known and its value is unique:
 *   exchanged  C11 exchange and compare-and-swap, dsm_compare_swap, loads
 *   counted    C11 fetch-add of 1, dsm_fetch_add, loads
 *   owned      stores by one thread, dsm_vm_write among them; loads by all
 */
#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/dump.h"
#include "tests/e2e/tool.h"

#define PAGE 4096u
#define THREADS_MAX 8u
#define WORDS_RECORDED_MAX 256u
#define BARRIER_MS 60000
/* One op of so many goes through the agent: these take a round trip each. */
#define REMOTE_EVERY 16u

enum kind { KIND_EXCHANGED, KIND_COUNTED, KIND_OWNED, KINDS };

struct recording {
    unsigned parties;
    uint64_t ops;
    uint64_t seed;
    unsigned words;
    unsigned pages;
    unsigned slots;
    const char *file;
    struct tool *tool;
};

struct recorder {
    const struct recording *recording;
    unsigned who;
    int error;
    uint64_t writes;                   /* so far, for unique values */
    uint64_t last[WORDS_RECORDED_MAX]; /* seen or written by this thread */
    struct dump_op *dump;
    pthread_t thread;
};

/* Locations go round the regions, then round the pages of a region, then fill them. */
static unsigned slot_of(const struct recording *recording, unsigned location)
{
    return location % recording->slots;
}

static uint64_t offset_of(const struct recording *recording, unsigned location)
{
    unsigned rest = location / recording->slots;

    return (uint64_t)(rest % recording->pages) * PAGE + rest / recording->pages * 24;
}

static struct dsm_region *region_of(const struct recording *recording, unsigned location)
{
    return recording->tool->regions[slot_of(recording, location)];
}

static _Atomic uint64_t *word_of(const struct recording *recording, unsigned location)
{
    return (void *)(recording->tool->maps[slot_of(recording, location)].memory +
                    offset_of(recording, location));
}

static uint64_t unique(struct recorder *recorder)
{
    return (uint64_t)(recorder->who + 1) << 40 | ++recorder->writes;
}

static int do_exchanged(struct recorder *recorder, unsigned location, uint64_t dice,
                        struct dump_op *op)
{
    const struct recording *recording = recorder->recording;
    uint64_t desired = unique(recorder), expected = recorder->last[location];
    int error = 0;

    op->read = expected;
    if (dice % REMOTE_EVERY == 0) {
        error = dsm_compare_swap(region_of(recording, location), offset_of(recording, location),
                                 expected, desired, &op->read);
    } else if (dice % REMOTE_EVERY < 4) {
        (void)atomic_compare_exchange_strong(word_of(recording, location), &op->read, desired);
    } else {
        op->read = expected = atomic_exchange(word_of(recording, location), desired);
    }
    op->flags = DUMP_READS;
    if (op->read == expected) {
        op->flags |= DUMP_WRITES;
        op->written = desired;
    }
    return error;
}

static int do_counted(struct recorder *recorder, unsigned location, uint64_t dice,
                      struct dump_op *op)
{
    const struct recording *recording = recorder->recording;
    int error = 0;

    if (dice % REMOTE_EVERY == 0) {
        error = dsm_fetch_add(region_of(recording, location), offset_of(recording, location), 1,
                              &op->read);
    } else {
        op->read = atomic_fetch_add(word_of(recording, location), 1);
    }
    op->flags = DUMP_READS | DUMP_WRITES;
    op->written = op->read + 1;
    return error;
}

static int do_owned(struct recorder *recorder, unsigned location, uint64_t dice, struct dump_op *op)
{
    const struct recording *recording = recorder->recording;
    int error = 0;

    op->flags = DUMP_WRITES;
    op->read = recorder->last[location];
    op->written = unique(recorder);
    if (dice % REMOTE_EVERY == 0) {
        error = dsm_vm_write(region_of(recording, location), offset_of(recording, location),
                             &op->written, sizeof(op->written));
        /* It copies by plain stores, which the processor's own store buffer may still hold. */
        atomic_thread_fence(memory_order_seq_cst);
    } else {
        atomic_store(word_of(recording, location), op->written);
    }
    return error;
}

static int do_op(struct recorder *recorder, uint64_t number)
{
    const struct recording *recording = recorder->recording;
    uint64_t dice = pattern(recording->seed + recorder->who, number);
    unsigned location = (unsigned)(dice % recording->words);
    struct dump_op *op = &recorder->dump[number];
    int error = 0;

    dice >>= 16;
    *op = (struct dump_op){.location = location};
    if (dice % 2 == 0 || (location % KINDS == KIND_OWNED &&
                          location / KINDS % recording->parties != recorder->who)) {
        op->flags = DUMP_READS;
        op->read = atomic_load(word_of(recording, location));
    } else if (location % KINDS == KIND_EXCHANGED) {
        error = do_exchanged(recorder, location, dice / 2, op);
    } else if (location % KINDS == KIND_COUNTED) {
        error = do_counted(recorder, location, dice / 2, op);
    } else {
        error = do_owned(recorder, location, dice / 2, op);
    }
    recorder->last[location] = op->flags & DUMP_WRITES ? op->written : op->read;
    return error;
}

/* FILE.THREAD, little-endian; the recorder's own operations are turned for it. */
static int dump(struct recorder *recorder)
{
    uint32_t count = (uint32_t)recorder->recording->ops;
    struct dump_header header = {.thread = htole32(recorder->who), .count = htole32(count)};
    char path[512] = "";
    FILE *file = NULL;
    bool is_written = false;

    (void)snprintf(path, sizeof(path), "%s.%u", recorder->recording->file, recorder->who);
    memcpy(header.magic, DUMP_MAGIC, sizeof(header.magic));
    for (uint32_t i = 0; i < count; i++) {
        struct dump_op *op = &recorder->dump[i];

        *op = (struct dump_op){htole32(op->location), htole32(op->flags), htole64(op->read),
                               htole64(op->written)};
    }
    file = fopen(path, "wbe");
    if (!file) {
        return DSM_ESYS;
    }
    is_written =
        fwrite(&header, sizeof(header), 1, file) == 1 &&
        fwrite(recorder->dump, sizeof(*recorder->dump), count, file) == count;
    return fclose(file) == 0 && is_written ? 0 : DSM_ESYS;
}

static void *record(void *argument)
{
    struct recorder *recorder = argument;
    const struct recording *recording = recorder->recording;

    recorder->dump = calloc(recording->ops, sizeof(*recorder->dump));
    recorder->error = recorder->dump ? dsm_barrier_wait(recording->tool->regions[0], 0,
                                                        recording->parties, BARRIER_MS)
                                     : DSM_ENOMEM;
    for (uint64_t i = 0; i < recording->ops && !recorder->error; i++) {
        recorder->error = do_op(recorder, i);
    }
    recorder->error = recorder->error ? recorder->error : dump(recorder);
    free(recorder->dump);
    return NULL;
}

/*
 * record FIRST THREADS PARTIES OPS SEED WORDS PAGES SLOTS FILE: this program's threads are FIRST,
 * FIRST + 1, ...; regions and mappings of slots 0 to SLOTS - 1 have PAGES pages
 */
static int on_record(struct tool *tool, const struct words *words)
{
    unsigned first = (unsigned)word_number(words, 1), threads = (unsigned)word_number(words, 2);
    struct recording recording = {.parties = (unsigned)word_number(words, 3),
                                  .ops = word_number(words, 4),
                                  .seed = word_number(words, 5),
                                  .words = (unsigned)word_number(words, 6),
                                  .pages = (unsigned)word_number(words, 7),
                                  .slots = (unsigned)word_number(words, 8),
                                  .file = word_text(words, 9),
                                  .tool = tool};
    struct recorder recorders[THREADS_MAX];
    int error = 0;

    if (threads > THREADS_MAX || recording.words > WORDS_RECORDED_MAX || recording.ops == 0) {
        return DSM_EINVAL;
    }
    for (unsigned i = 0; i < threads; i++) {
        recorders[i] = (struct recorder){.recording = &recording, .who = first + i};
        if (pthread_create(&recorders[i].thread, NULL, record, &recorders[i])) {
            return DSM_ENOMEM;
        }
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(recorders[i].thread, NULL);
        error = error ? error : recorders[i].error;
    }
    return error;
}

const struct command history_commands[] = {
    {"record", on_record},
    {NULL, NULL},
};
