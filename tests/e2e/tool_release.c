/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on release consistency. */
#include "tests/e2e/tool.h"

/* release REGION */
static int on_release(struct tool *tool, const struct words *words)
{
    return dsm_release(tool->regions[word_slot(words, 1)]);
}

/* acquire REGION */
static int on_acquire(struct tool *tool, const struct words *words)
{
    return dsm_acquire(tool->regions[word_slot(words, 1)]);
}

/* viewstat REGION: views, filled, released, bytes, acquired, bytes, races, tracked */
static int on_viewstat(struct tool *tool, const struct words *words)
{
    struct dsm_release_stat stat;
    int error = dsm_release_stat_get(tool->regions[word_slot(words, 1)], &stat);

    if (!error) {
        answer(tool, "%llu %llu %llu %llu %llu %llu %llu %d", (unsigned long long)stat.count_views,
               (unsigned long long)stat.pages_filled, (unsigned long long)stat.pages_released,
               (unsigned long long)stat.bytes_released, (unsigned long long)stat.pages_acquired,
               (unsigned long long)stat.bytes_acquired, (unsigned long long)stat.races,
               stat.is_tracked);
    }
    return error;
}

/* share MAP FIRST STEP LENGTH SEED: store the pattern to each STEP-th byte from FIRST on */
static int on_share(struct tool *tool, const struct words *words)
{
    uint64_t first = word_number(words, 2), step = word_number(words, 3);
    uint64_t len_bytes = word_number(words, 4), seed = word_number(words, 5);
    volatile uint8_t *memory = map_at(tool, words, 1, 0, len_bytes);

    for (uint64_t i = first; i < len_bytes; i += step) {
        memory[i] = (uint8_t)(pattern(seed, i) | 1);
    }
    return 0;
}

/* shared MAP STEP LENGTH SEED...: bytes that are not what STEP writers with these seeds stored */
static int on_shared(struct tool *tool, const struct words *words)
{
    uint64_t step = word_number(words, 2), len_bytes = word_number(words, 3), wrong = 0;
    const volatile uint8_t *memory = map_at(tool, words, 1, 0, len_bytes);

    for (uint64_t i = 0; i < len_bytes; i++) {
        uint64_t seed = word_number(words, (unsigned)(4 + i % step));

        wrong += memory[i] != (uint8_t)(pattern(seed, i) | 1);
    }
    answer(tool, "%llu", (unsigned long long)wrong);
    return 0;
}

/* halves REGION MAP WHO PAGES ROUNDS BARRIER: each round store to one half of each page, then meet;
 * the number of words of the other's half that are not of its round */
static int on_halves(struct tool *tool, const struct words *words)
{
    struct dsm_region *region = tool->regions[word_slot(words, 1)];
    uint64_t who = word_number(words, 3), pages = word_number(words, 4), wrong = 0;
    uint64_t rounds = word_number(words, 5), barrier = word_number(words, 6);
    volatile uint64_t *memory = (void *)map_at(tool, words, 2, 0, pages * 4096);
    int error = 0;

    for (uint64_t round = 1; round <= rounds && !error; round++) {
        for (uint64_t i = 0; i < pages * 256; i++) {
            memory[i / 256 * 512 + who * 256 + i % 256] = round;
        }
        error = dsm_barrier_wait(region, barrier, 2, 60000);
        for (uint64_t i = 0; i < pages * 256 && !error; i++) {
            wrong += memory[i / 256 * 512 + (1 - who) * 256 + i % 256] != round;
        }
        error = error ? error : dsm_barrier_wait(region, barrier, 2, 60000);
    }
    answer(tool, "%llu", (unsigned long long)wrong);
    return error;
}

/* passed REGION MAP WHO ROUNDS: words that are handed on under a mutex, each beside its neighbours
 * of others; the number of times that an increment was not seen */
static int on_passed(struct tool *tool, const struct words *words)
{
    struct dsm_region *region = tool->regions[word_slot(words, 1)];
    volatile uint32_t *memory = (void *)map_at(tool, words, 2, 0, 4096);
    uint64_t who = word_number(words, 3), rounds = word_number(words, 4), wrong = 0;
    int error = 0;

    for (uint32_t round = 1; round <= rounds && !error; round++) {
        uint32_t seen;

        memory[16 + who] = round; /* beside others', and nobody else's */
        error = dsm_mutex_lock(region, 0, 60000);
        seen = memory[0];
        memory[0] = seen + 1;
        wrong += memory[1] != seen; /* written by who wrote that one */
        memory[1] = seen + 1;
        error = error ? error : dsm_mutex_unlock(region, 0);
        wrong += memory[16 + who] != round;
    }
    answer(tool, "%llu", (unsigned long long)wrong);
    return error;
}

const struct command release_commands[] = {
    {"release", on_release},
    {"acquire", on_acquire},
    {"viewstat", on_viewstat},
    {"share", on_share},
    {"shared", on_shared},
    {"halves", on_halves},
    {"passed", on_passed},
    {0, 0},
};
