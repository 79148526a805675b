/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on mutexes, barriers, semaphores and remote atomics. */
#include "tests/e2e/tool.h"

/* lock REGION OFFSET TIMEOUT */
static int on_lock(struct tool *tool, const struct words *words)
{
    return dsm_mutex_lock(tool->regions[word_slot(words, 1)], word_number(words, 2),
                          word_signed(words, 3));
}

static int on_unlock(struct tool *tool, const struct words *words)
{
    return dsm_mutex_unlock(tool->regions[word_slot(words, 1)], word_number(words, 2));
}

/* bind REGION MUTEX OFFSET BYTES */
static int on_bind(struct tool *tool, const struct words *words)
{
    return dsm_mutex_bind(tool->regions[word_slot(words, 1)], word_number(words, 2),
                          word_number(words, 3), word_number(words, 4));
}

/* barrier REGION OFFSET PARTIES TIMEOUT [COUNT] */
static int on_barrier(struct tool *tool, const struct words *words)
{
    uint64_t count = words->count > 5 ? word_number(words, 5) : 1;
    int error = 0;

    for (uint64_t i = 0; i < count && !error; i++) {
        error = dsm_barrier_wait(tool->regions[word_slot(words, 1)], word_number(words, 2),
                                 (uint32_t)word_number(words, 3), word_signed(words, 4));
    }
    return error;
}

/* locked REGION LOCK MAP OFFSET ROUNDS INNER: plain increments under a lock */
static int on_locked(struct tool *tool, const struct words *words)
{
    struct dsm_region *region = tool->regions[word_slot(words, 1)];
    volatile uint64_t *word = (void *)map_at(tool, words, 3, word_number(words, 4), 8);
    uint64_t rounds = word_number(words, 5), inner = word_number(words, 6);
    int error = 0;

    for (uint64_t i = 0; i < rounds && !error; i++) {
        error = dsm_mutex_lock(region, word_number(words, 2), DSM_FOREVER);
        for (uint64_t k = 0; k < inner && !error; k++) {
            *word = *word + 1;
        }
        if (!error) {
            error = dsm_mutex_unlock(region, word_number(words, 2));
        }
    }
    return error;
}

/* fetchadd REGION OFFSET DELTA [COUNT] */
static int on_fetchadd(struct tool *tool, const struct words *words)
{
    uint64_t count = words->count > 4 ? word_number(words, 4) : 1, old = 0;
    int error = 0;

    for (uint64_t i = 0; i < count && !error; i++) {
        error = dsm_fetch_add(tool->regions[word_slot(words, 1)], word_number(words, 2),
                              word_number(words, 3), &old);
    }
    answer(tool, "%llu", (unsigned long long)old);
    return error;
}

/* cas REGION OFFSET EXPECTED DESIRED */
static int on_cas(struct tool *tool, const struct words *words)
{
    uint64_t old = 0;
    int error = dsm_compare_swap(tool->regions[word_slot(words, 1)], word_number(words, 2),
                                 word_number(words, 3), word_number(words, 4), &old);

    answer(tool, "%llu", (unsigned long long)old);
    return error;
}

/* semopen SLOT NAME FLAGS MODE VALUE */
static int on_semopen(struct tool *tool, const struct words *words)
{
    return dsm_sem_open(tool->dsm, word_text(words, 2), word_flags(words, 3) & ~3,
                        (mode_t)word_number(words, 4), (uint32_t)word_number(words, 5),
                        &tool->sems[word_slot(words, 1)]);
}

static int on_semwait(struct tool *tool, const struct words *words)
{
    return dsm_sem_wait(tool->sems[word_slot(words, 1)], word_signed(words, 2));
}

static int on_sempost(struct tool *tool, const struct words *words)
{
    return dsm_sem_post(tool->sems[word_slot(words, 1)]);
}

static int on_semvalue(struct tool *tool, const struct words *words)
{
    uint32_t value = 0;
    int error = dsm_sem_value(tool->sems[word_slot(words, 1)], &value);

    answer(tool, "%u", value);
    return error;
}

static int on_semclose(struct tool *tool, const struct words *words)
{
    struct dsm_sem **sem = &tool->sems[word_slot(words, 1)];
    int error = dsm_sem_close(*sem);

    *sem = NULL;
    return error;
}

static int on_semunlink(struct tool *tool, const struct words *words)
{
    return dsm_sem_unlink(tool->dsm, word_text(words, 1));
}

const struct command sync_commands[] = {
    {"lock", on_lock},
    {"unlock", on_unlock},
    {"bind", on_bind},
    {"barrier", on_barrier},
    {"locked", on_locked},
    {"fetchadd", on_fetchadd},
    {"cas", on_cas},
    {"semopen", on_semopen},
    {"semwait", on_semwait},
    {"sempost", on_sempost},
    {"semvalue", on_semvalue},
    {"semclose", on_semclose},
    {"semunlink", on_semunlink},
    {0, 0},
};
