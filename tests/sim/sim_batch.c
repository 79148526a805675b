/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define SEEDS_AT_ONCE 32u
#define PROGRESS_S 0.5

struct state {
    struct sim_batch *batch;
    struct sim_child *children;
    uint64_t next; /* seed that nobody has been given */
    struct timespec begun;
    double told_s;
};

static double elapsed(const struct state *state)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - state->begun.tv_sec) +
           (double)(now.tv_nsec - state->begun.tv_nsec) / 1e9;
}

static void tell_progress(struct state *state)
{
    const struct sim_batch *batch = state->batch;
    double now_s = elapsed(state);

    if (batch->tells_progress && now_s - state->told_s >= PROGRESS_S) {
        state->told_s = now_s;
        fprintf(stderr, "\r%llu seeds, %llu failed, %.0f/s ", (unsigned long long)batch->seeds,
                (unsigned long long)batch->failed, (double)batch->seeds / now_s);
        fflush(stderr);
    }
}

static void keep_failure(struct sim_batch *batch, const struct sim_outcome *outcome)
{
    uint64_t place = batch->failed < SIM_FAILURES_KEPT ? batch->failed : SIM_FAILURES_KEPT - 1;

    batch->failed++;
    while (place > 0 && batch->failures[place - 1].seed > outcome->seed) {
        batch->failures[place] = batch->failures[place - 1];
        place--;
    }
    if (batch->failures[place].kind[0] == 0 || batch->failures[place].seed > outcome->seed ||
        batch->failed <= SIM_FAILURES_KEPT) {
        batch->failures[place] = *outcome;
    }
    printf("%sseed %llu failed: %.*s\n", batch->tells_progress ? "\r" : "",
           (unsigned long long)outcome->seed, (int)strcspn(outcome->text, "\n"), outcome->text);
    fflush(stdout);
}

/* The next seeds for a child that has none; 0: nothing is left, or a negative errno. */
static int give_work(struct state *state, struct sim_child *child)
{
    const struct sim_batch *batch = state->batch;
    uint64_t left = batch->count == 0 ? UINT64_MAX : batch->first + batch->count - state->next;
    uint64_t count = left < SEEDS_AT_ONCE ? left : SEEDS_AT_ONCE;
    uint64_t first = state->next;

    if (batch->seconds != 0 && elapsed(state) >= batch->seconds) {
        count = 0;
    }
    if (count == 0) {
        return 0;
    }
    state->next += count;
    return sim_child_start(child, &batch->overrides, first, first + count, batch->guard_s, false);
}

/* What came of a child; if it ended early, the rest of its seeds goes to another. */
static int on_end(struct state *state, struct sim_child *child, int status)
{
    struct sim_batch *batch = state->batch;
    struct sim_outcome outcome;
    bool passed = sim_child_ended(child, status, &outcome);

    batch->seeds += child->shared->count + !passed;
    sim_stats_add(&batch->sum, &child->shared->sum);
    if (passed) {
        return give_work(state, child);
    }
    keep_failure(batch, &outcome);
    if (outcome.seed + 1 == child->end) {
        return give_work(state, child);
    }
    return sim_child_start(child, &batch->overrides, outcome.seed + 1, child->end, batch->guard_s,
                           false);
}

static int wait_for_all(struct state *state)
{
    int status, error = 0;
    pid_t pid;

    while (error == 0) {
        pid = wait(&status);
        if (pid < 0 && errno != EINTR) {
            return errno == ECHILD ? 0 : -errno;
        }
        for (uint32_t i = 0; i < state->batch->jobs; i++) {
            if (pid > 0 && state->children[i].pid == pid) {
                error = on_end(state, &state->children[i], status);
                break;
            }
        }
        tell_progress(state);
    }
    return error;
}

int sim_batch_run(struct sim_batch *batch)
{
    struct state state = {.batch = batch, .next = batch->first};
    uint32_t made = 0;
    int error = 0;

    state.children = calloc(batch->jobs, sizeof(*state.children));
    if (state.children == NULL) {
        return -ENOMEM;
    }
    clock_gettime(CLOCK_MONOTONIC, &state.begun);
    while (made < batch->jobs && error == 0) {
        error = sim_child_init(&state.children[made]);
        made += error == 0;
    }
    for (uint32_t i = 0; i < made && error == 0; i++) {
        error = give_work(&state, &state.children[i]);
    }
    if (error == 0) {
        error = wait_for_all(&state);
    }
    for (uint32_t i = 0; i < made; i++) {
        sim_child_close(&state.children[i]);
    }
    free(state.children);
    batch->elapsed_s = elapsed(&state);
    if (batch->tells_progress) {
        fprintf(stderr, "\r");
    }
    return error;
}
