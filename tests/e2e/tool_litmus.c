/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Litmus tests between two programs on two hosts. Variables lie on pages of their own, so that each
 * access can be a page transfer. Rounds go in batches: flags in the same shared memory start a
 * batch on both hosts, within it they race freely, round by round, through as many page transfers
 * as it takes.
 *
 *   sb       store buffering    x=1; r=y   |  y=1; r=x     never r=0 on both sides
 *   mp       message passing    x=1; y=1   |  r=y; s=x     never r=1 and s=0
 *   dekker   Dekker's mutual exclusion around a plain counter: nothing is lost
 *   peterson Peterson's
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/tool.h"

#define BATCH 16u
/* Entries into the critical section between two gates. */
#define ENTRIES 10u
/* How often a reader looks at a flag before it takes what there is. */
#define LOOKS 50000u
#define PAGE 4096u
/* Where results lie: after the pages of the variables. */
#define RESULTS (16u * PAGE)

enum page { PAGE_FLAG, PAGE_FLAG_OTHER, PAGE_X, PAGE_Y, PAGE_WANTS, PAGE_WANTS_OTHER };

/* Words of a page. Of mutual exclusion, host 0's wish and the turn share a page, host 1's wish and
 * what the critical section guards another: each entry has its order kept across two pages. */
enum word { WORD_WANTS, WORD_TURN = 8, WORD_COUNTER = 16, WORD_LAST, WORD_SWITCHES };

struct litmus {
    uint8_t *memory;
    unsigned who; /* 0 or 1 */
    uint64_t rounds;
    uint64_t gates; /* passed */
};

static _Atomic uint64_t *variable(const struct litmus *litmus, enum page page, uint64_t index)
{
    return (_Atomic uint64_t *)(void *)(litmus->memory + page * PAGE) + index;
}

/* Both pass when both have come. The flags themselves are a test of the memory's order. */
static void gate(struct litmus *litmus)
{
    _Atomic uint64_t *mine = variable(litmus, PAGE_FLAG + litmus->who, 0);
    _Atomic uint64_t *other = variable(litmus, PAGE_FLAG_OTHER - litmus->who, 0);

    litmus->gates++;
    atomic_store(mine, litmus->gates);
    while (atomic_load(other) < litmus->gates) {
        sched_yield();
    }
}

/*
 * Both begin each few rounds together, with copies of all variables: one host alone would end
 * before the other got its first page.
 */
static void gate_every(struct litmus *litmus, uint64_t round)
{
    if (round % ENTRIES == 0) {
        gate(litmus);
        (void)atomic_load(variable(litmus, PAGE_WANTS, WORD_WANTS));
        (void)atomic_load(variable(litmus, PAGE_WANTS_OTHER, WORD_WANTS));
        gate(litmus);
    }
}

/*
 * Batches begin with x and y all zero, and with a copy of each page on the host that will read it:
 * what a store must then do first is make that copy go away, which is what these tests are about.
 */
static void clear_batch(struct litmus *litmus, bool mine_is_x, bool mine_is_y)
{
    gate(litmus);
    for (uint64_t i = 0; i < BATCH; i++) {
        if (mine_is_x) {
            atomic_store(variable(litmus, PAGE_X, i), 0);
        }
        if (mine_is_y) {
            atomic_store(variable(litmus, PAGE_Y, i), 0);
        }
    }
    gate(litmus);
    (void)atomic_load(variable(litmus, PAGE_X, 0));
    (void)atomic_load(variable(litmus, PAGE_Y, 0));
    gate(litmus);
}

static void run_sb(struct litmus *litmus, uint8_t *results)
{
    enum page mine = litmus->who == 0 ? PAGE_X : PAGE_Y;
    enum page other = litmus->who == 0 ? PAGE_Y : PAGE_X;

    for (uint64_t done = 0; done < litmus->rounds; done += BATCH) {
        clear_batch(litmus, litmus->who == 0, litmus->who == 1);
        for (uint64_t i = 0; i < BATCH; i++) {
            atomic_store(variable(litmus, mine, i), 1);
            results[done + i] = (uint8_t)atomic_load(variable(litmus, other, i));
        }
    }
}

/* The reader looks at the flag a bounded number of times, so that most rounds see it rise. */
static void run_mp(struct litmus *litmus, uint8_t *results)
{
    for (uint64_t done = 0; done < litmus->rounds; done += BATCH) {
        clear_batch(litmus, litmus->who == 0, litmus->who == 0);
        for (uint64_t i = 0; i < BATCH; i++) {
            if (litmus->who == 0) {
                atomic_store(variable(litmus, PAGE_X, i), 1);
                atomic_store(variable(litmus, PAGE_Y, i), 1);
                continue;
            }
            uint64_t flag = 0;
            for (unsigned look = 0; look < LOOKS && !flag; look++) {
                flag = atomic_load(variable(litmus, PAGE_Y, i));
            }
            uint64_t data = atomic_load(variable(litmus, PAGE_X, i));

            results[done + i] = (uint8_t)(flag * 2 + data);
        }
    }
}

/* The critical section: plain loads and stores, and a count of how often it changed hands. */
static void enter(struct litmus *litmus)
{
    volatile uint64_t *guarded =
        (volatile uint64_t *)(void *)(litmus->memory + PAGE_WANTS_OTHER * PAGE);

    guarded[WORD_COUNTER] = guarded[WORD_COUNTER] + 1;
    if (guarded[WORD_LAST] != litmus->who) {
        guarded[WORD_LAST] = litmus->who;
        guarded[WORD_SWITCHES] = guarded[WORD_SWITCHES] + 1;
    }
}

static void run_dekker(struct litmus *litmus, uint8_t *results)
{
    _Atomic uint64_t *mine = variable(litmus, PAGE_WANTS + litmus->who, WORD_WANTS);
    _Atomic uint64_t *other = variable(litmus, PAGE_WANTS_OTHER - litmus->who, WORD_WANTS);
    _Atomic uint64_t *turn = variable(litmus, PAGE_WANTS, WORD_TURN);

    (void)results;
    for (uint64_t i = 0; i < litmus->rounds; i++) {
        gate_every(litmus, i);
        atomic_store(mine, 1);
        while (atomic_load(other)) {
            if (atomic_load(turn) != litmus->who) {
                atomic_store(mine, 0);
                while (atomic_load(turn) != litmus->who) {
                    sched_yield();
                }
                atomic_store(mine, 1);
            }
        }
        enter(litmus);
        atomic_store(turn, 1 - litmus->who);
        atomic_store(mine, 0);
    }
}

static void run_peterson(struct litmus *litmus, uint8_t *results)
{
    _Atomic uint64_t *mine = variable(litmus, PAGE_WANTS + litmus->who, WORD_WANTS);
    _Atomic uint64_t *other = variable(litmus, PAGE_WANTS_OTHER - litmus->who, WORD_WANTS);
    _Atomic uint64_t *turn = variable(litmus, PAGE_WANTS, WORD_TURN);

    (void)results;
    for (uint64_t i = 0; i < litmus->rounds; i++) {
        gate_every(litmus, i);
        atomic_store(mine, 1);
        atomic_store(turn, 1 - litmus->who);
        while (atomic_load(other) && atomic_load(turn) != litmus->who) {
            sched_yield();
        }
        enter(litmus);
        atomic_store(mine, 0);
    }
}

static const struct {
    const char *name;
    void (*run)(struct litmus *litmus, uint8_t *results);
} kinds[] = {
    {"sb", run_sb},
    {"mp", run_mp},
    {"dekker", run_dekker},
    {"peterson", run_peterson},
};

/*
 * Of mutual exclusion: the counter, and how often it changed hands. Else how often each outcome
 * (side 0's result times 2 plus side 1's, or what side 1 saw) came about.
 */
static void report(struct tool *tool, const struct litmus *litmus, const char *kind)
{
    const uint8_t *results[2] = {litmus->memory + RESULTS,
                                 litmus->memory + RESULTS + litmus->rounds};
    uint64_t counts[4] = {0};

    if (!strcmp(kind, "dekker") || !strcmp(kind, "peterson")) {
        answer(tool, "%llu %llu",
               (unsigned long long)*variable(litmus, PAGE_WANTS_OTHER, WORD_COUNTER),
               (unsigned long long)*variable(litmus, PAGE_WANTS_OTHER, WORD_SWITCHES));
        return;
    }
    for (uint64_t i = 0; i < litmus->rounds; i++) {
        unsigned outcome = !strcmp(kind, "sb") ? results[0][i] * 2u + results[1][i] : results[1][i];

        counts[outcome & 3]++;
    }
    answer(tool, "%llu %llu %llu %llu", (unsigned long long)counts[0],
           (unsigned long long)counts[1], (unsigned long long)counts[2],
           (unsigned long long)counts[3]);
}

/* litmus MAP KIND WHO ROUNDS, on zeroed memory of RESULTS + 2 * ROUNDS bytes */
static int on_litmus(struct tool *tool, const struct words *words)
{
    struct litmus litmus = {.who = word_number(words, 3) != 0, .rounds = word_number(words, 4)};
    const char *kind = word_text(words, 2);
    uint8_t *results = calloc(1, litmus.rounds + BATCH);
    int error = results ? DSM_EINVAL : DSM_ENOMEM;

    litmus.memory = map_at(tool, words, 1, 0, RESULTS + 2 * litmus.rounds);
    for (size_t i = 0; results && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!strcmp(kinds[i].name, kind)) {
            gate(&litmus);
            kinds[i].run(&litmus, results);
            error = 0;
        }
    }
    if (!error) {
        memcpy(litmus.memory + RESULTS + litmus.who * litmus.rounds, results, litmus.rounds);
        gate(&litmus);
        report(tool, &litmus, kind);
    }
    free(results);
    return error;
}

const struct command litmus_commands[] = {
    {"litmus", on_litmus},
    {NULL, NULL},
};
