/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutual exclusion by loads and stores alone, between threads of programs on several hosts, around
 * a critical section of plain loads and stores. Each of these algorithms is wrong on anything
 * weaker than sequential consistency, so each is a litmus test that runs as long as one likes.
 *
 *   dekker    two contenders (Dijkstra 1965)
 *   peterson  n contenders: the filter of n - 1 levels (Peterson 1981)
 *   bakery    n contenders (Lamport 1974)
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/tool.h"

#define PARTIES_MAX 8u
#define BARRIER_MS 60000
/* Entries between two barriers: all begin them together, so that they do meet. */
#define ENTRIES 8u

/* Words of the region, `spread` bytes from each other; the first two kinds have one a party. */
enum word {
    WORD_FLAG = 0,             /* wish, level, or whether a number is being chosen */
    WORD_NUMBER = PARTIES_MAX, /* number, or who came last to a level */
    WORD_TURN = 2 * PARTIES_MAX,
    WORD_COUNTER, /* of the critical section, plain, as all that follow */
    WORD_INSIDE,
    WORD_LAST,
    WORD_SWITCHES,
    WORD_BROKEN,
    WORDS_COUNT
};

struct exclusion {
    const char *kind;
    uint8_t *memory;
    uint64_t spread;
    unsigned parties;
    uint64_t entries;
    struct dsm_region *barrier;
};

struct contender {
    const struct exclusion *exclusion;
    unsigned who;
    int error;
    pthread_t thread;
};

static _Atomic uint64_t *word(const struct exclusion *exclusion, unsigned index)
{
    return (void *)(exclusion->memory + index * exclusion->spread);
}

static volatile uint64_t *plain(const struct exclusion *exclusion, unsigned index)
{
    return (void *)(exclusion->memory + index * exclusion->spread);
}

static void dekker_enter(const struct exclusion *exclusion, unsigned who)
{
    _Atomic uint64_t *mine = word(exclusion, WORD_FLAG + who);
    _Atomic uint64_t *other = word(exclusion, WORD_FLAG + 1 - who);
    _Atomic uint64_t *turn = word(exclusion, WORD_TURN);

    atomic_store(mine, 1);
    while (atomic_load(other)) {
        if (atomic_load(turn) != who) {
            atomic_store(mine, 0);
            while (atomic_load(turn) != who) {
                sched_yield();
            }
            atomic_store(mine, 1);
        }
    }
}

static void dekker_leave(const struct exclusion *exclusion, unsigned who)
{
    atomic_store(word(exclusion, WORD_TURN), 1 - who);
    atomic_store(word(exclusion, WORD_FLAG + who), 0);
}

/* Somebody else is at this level or above. */
static bool is_contended(const struct exclusion *exclusion, unsigned who, uint64_t level)
{
    for (unsigned other = 0; other < exclusion->parties; other++) {
        if (other != who && atomic_load(word(exclusion, WORD_FLAG + other)) >= level) {
            return true;
        }
    }
    return false;
}

static void peterson_enter(const struct exclusion *exclusion, unsigned who)
{
    for (unsigned level = 1; level < exclusion->parties; level++) {
        _Atomic uint64_t *last = word(exclusion, WORD_NUMBER + level);

        atomic_store(word(exclusion, WORD_FLAG + who), level);
        atomic_store(last, who);
        while (is_contended(exclusion, who, level) && atomic_load(last) == who) {
            sched_yield();
        }
    }
}

static void peterson_leave(const struct exclusion *exclusion, unsigned who)
{
    atomic_store(word(exclusion, WORD_FLAG + who), 0);
}

static void bakery_enter(const struct exclusion *exclusion, unsigned who)
{
    uint64_t mine = 0;

    atomic_store(word(exclusion, WORD_FLAG + who), 1);
    for (unsigned other = 0; other < exclusion->parties; other++) {
        uint64_t number = atomic_load(word(exclusion, WORD_NUMBER + other));

        mine = number > mine ? number : mine;
    }
    mine++;
    atomic_store(word(exclusion, WORD_NUMBER + who), mine);
    atomic_store(word(exclusion, WORD_FLAG + who), 0);
    for (unsigned other = 0; other < exclusion->parties; other++) {
        uint64_t number = 0;

        while (atomic_load(word(exclusion, WORD_FLAG + other))) {
            sched_yield();
        }
        do {
            number = atomic_load(word(exclusion, WORD_NUMBER + other));
        } while (number != 0 && (number < mine || (number == mine && other < who)) &&
                 sched_yield() == 0);
    }
}

static void bakery_leave(const struct exclusion *exclusion, unsigned who)
{
    atomic_store(word(exclusion, WORD_NUMBER + who), 0);
}

static const struct {
    const char *name;
    void (*enter)(const struct exclusion *exclusion, unsigned who);
    void (*leave)(const struct exclusion *exclusion, unsigned who);
} kinds[] = {
    {"dekker", dekker_enter, dekker_leave},
    {"peterson", peterson_enter, peterson_leave},
    {"bakery", bakery_enter, bakery_leave},
    /* No lock at all: proves that the critical section shows what a broken lock does. */
    {"none", NULL, NULL},
};

/* Is anybody else here, and who was the last? */
static void critical_section(const struct exclusion *exclusion, unsigned who)
{
    volatile uint64_t *inside = plain(exclusion, WORD_INSIDE);
    volatile uint64_t *counter = plain(exclusion, WORD_COUNTER);

    if (*inside != 0) {
        *plain(exclusion, WORD_BROKEN) += 1;
    }
    *inside = who + 1;
    *counter = *counter + 1;
    if (*plain(exclusion, WORD_LAST) != who + 1) {
        *plain(exclusion, WORD_LAST) = who + 1;
        *plain(exclusion, WORD_SWITCHES) += 1;
    }
    if (*inside != who + 1) {
        *plain(exclusion, WORD_BROKEN) += 1;
    }
    *inside = 0;
}

static void *contend(void *argument)
{
    struct contender *contender = argument;
    const struct exclusion *exclusion = contender->exclusion;
    size_t kind = 0;

    while (kind < sizeof(kinds) / sizeof(kinds[0]) && strcmp(kinds[kind].name, exclusion->kind)) {
        kind++;
    }
    contender->error = kind < sizeof(kinds) / sizeof(kinds[0]) ? 0 : DSM_EINVAL;
    for (uint64_t i = 0; i < exclusion->entries && !contender->error; i++) {
        if (i % ENTRIES == 0) {
            contender->error =
                dsm_barrier_wait(exclusion->barrier, 0, exclusion->parties, BARRIER_MS);
        }
        if (kinds[kind].enter) {
            kinds[kind].enter(exclusion, contender->who);
        }
        critical_section(exclusion, contender->who);
        if (kinds[kind].leave) {
            kinds[kind].leave(exclusion, contender->who);
        }
    }
    if (!contender->error) {
        contender->error = dsm_barrier_wait(exclusion->barrier, 0, exclusion->parties, BARRIER_MS);
    }
    return NULL;
}

/*
 * exclude KIND WHO PARTIES ENTRIES SPREAD BARRIER MAP: WHO has a digit for each of this program's
 * contenders; "COUNTER SWITCHES BROKEN" of all parties
 */
static int on_exclude(struct tool *tool, const struct words *words)
{
    struct exclusion exclusion = {.kind = word_text(words, 1),
                                  .parties = (unsigned)word_number(words, 3),
                                  .entries = word_number(words, 4),
                                  .spread = word_number(words, 5),
                                  .barrier = tool->regions[word_slot(words, 6)]};
    struct contender contenders[PARTIES_MAX];
    const char *who = word_text(words, 2);
    unsigned count = 0;
    int error = exclusion.parties <= PARTIES_MAX ? 0 : DSM_EINVAL;

    exclusion.memory = map_at(tool, words, 7, 0, WORDS_COUNT * exclusion.spread);
    for (; *who && count < PARTIES_MAX && !error; who++, count++) {
        contenders[count] =
            (struct contender){.exclusion = &exclusion, .who = (unsigned)(*who - '0')};
        if (pthread_create(&contenders[count].thread, NULL, contend, &contenders[count])) {
            return DSM_ENOMEM;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(contenders[i].thread, NULL);
        error = error ? error : contenders[i].error;
    }
    answer(tool, "%llu %llu %llu", (unsigned long long)*plain(&exclusion, WORD_COUNTER),
           (unsigned long long)*plain(&exclusion, WORD_SWITCHES),
           (unsigned long long)*plain(&exclusion, WORD_BROKEN));
    return error;
}

const struct command exclusion_commands[] = {
    {"exclude", on_exclude},
    {NULL, NULL},
};
