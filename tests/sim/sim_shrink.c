/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_shrink.h"

#include <string.h>
#include <time.h>

/** Runs at most, which makes the result the same on fast machines and slow ones. */
#define RUNS_MAX 5000u
#define SALTS 24u
#define ROUNDS_MAX 8u

struct state {
    struct sim_shrink *shrink;
    struct sim_child *child;
    struct sim_options now; /* of the best */
    struct timespec begun;
};

static bool is_time_up(const struct state *state)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return state->shrink->runs >= RUNS_MAX ||
           now.tv_sec - state->begun.tv_sec >= (time_t)state->shrink->seconds;
}

/* It failed after so many events: no more are needed. */
static void accept(struct state *state, const struct sim_overrides *overrides,
                   const struct sim_outcome *outcome)
{
    const struct sim *sim = &state->child->shared->sim;

    state->shrink->best = *overrides;
    state->shrink->outcome = *outcome;
    if (!sim->is_ending && sim->stats.events > 0) {
        state->shrink->best.steps = sim->stats.events + 1;
    }
    sim_overrides_apply(&state->shrink->best, state->shrink->seed, &state->now);
}

/* Does this smaller one fail in the same way? */
static bool try(struct state *state, const struct sim_overrides *overrides)
{
    struct sim_shrink *shrink = state->shrink;
    struct sim_overrides tried = *overrides;
    struct sim_outcome outcome;

    for (uint64_t salt = 0; salt < SALTS && !is_time_up(state); salt++) {
        tried.salt = overrides->salt + salt;
        shrink->runs++;
        if (!sim_child_run(state->child, &tried, shrink->seed, shrink->guard_s, false, &outcome) &&
            strcmp(outcome.kind, shrink->outcome.kind) == 0) {
            accept(state, &tried, &outcome);
            return true;
        }
    }
    return false;
}

static bool *sizes(struct sim_overrides *overrides)
{
    return &overrides->same_sizes;
}

static bool *orders(struct sim_overrides *overrides)
{
    return &overrides->same_orders;
}

static bool *types(struct sim_overrides *overrides)
{
    return &overrides->no_types;
}

/* Machines and regions that are alike, one likeness after the other. */
static bool make_alike(struct state *state)
{
    static bool *(*const likenesses[])(struct sim_overrides * overrides) = {sizes, orders, types};
    bool any = false;

    for (size_t i = 0; i < sizeof(likenesses) / sizeof(likenesses[0]); i++) {
        struct sim_overrides less = state->shrink->best;

        if (!*likenesses[i](&less)) {
            *likenesses[i](&less) = true;
            any = try(state, &less) || any;
        }
    }
    return any;
}

static bool drop_faults(struct state *state)
{
    bool any = false;

    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
        struct sim_overrides less = state->shrink->best;

        if (state->now.weights[i] != 0) {
            less.off[i] = true;
            any = try(state, &less) || any;
        }
    }
    return any;
}

static bool cut_nodes(struct state *state)
{
    for (uint32_t nodes = SIM_NODES_MIN; nodes < state->now.nodes;
         nodes += 1 + state->now.nodes / 8) {
        struct sim_overrides less = state->shrink->best;

        less.nodes = nodes;
        if (try(state, &less)) {
            return true;
        }
    }
    return false;
}

static bool cut_programs(struct state *state)
{
    for (uint32_t programs = 1; programs < state->now.programs;
         programs += 1 + state->now.programs / 8) {
        struct sim_overrides less = state->shrink->best;

        less.programs = programs;
        if (try(state, &less)) {
            return true;
        }
    }
    return false;
}

static bool cut_pages(struct state *state)
{
    for (uint64_t pages = SIM_PAGES_MIN; pages < state->now.pages; pages = pages * 3 / 2) {
        struct sim_overrides less = state->shrink->best;

        less.pages = pages;
        if (try(state, &less)) {
            return true;
        }
    }
    return false;
}

static bool cut_steps(struct state *state)
{
    for (uint64_t eighth = 1; eighth < 8; eighth += 2) {
        struct sim_overrides less = state->shrink->best;

        less.steps = state->now.steps * eighth / 8;
        if (less.steps > 0 && try(state, &less)) {
            return true;
        }
    }
    return false;
}

static bool cut_read_ahead(struct state *state)
{
    struct sim_overrides less = state->shrink->best;

    less.read_ahead_pages = 1;
    return state->now.read_ahead_pages > 1 && try(state, &less);
}

void sim_shrink(struct sim_shrink *shrink, struct sim_child *child)
{
    struct state state = {.shrink = shrink, .child = child};
    struct sim_overrides first = shrink->best;
    struct sim_outcome outcome;
    bool any = true;

    clock_gettime(CLOCK_MONOTONIC, &state.begun);
    sim_overrides_apply(&shrink->best, shrink->seed, &state.now);
    shrink->runs = 1;
    if (sim_child_run(child, &first, shrink->seed, shrink->guard_s, false, &outcome)) {
        return;
    }
    accept(&state, &first, &outcome);
    for (uint32_t round = 0; any && round < ROUNDS_MAX && !is_time_up(&state); round++) {
        any = make_alike(&state);
        any = drop_faults(&state) || any;
        any = cut_nodes(&state) || any;
        any = cut_programs(&state) || any;
        any = cut_pages(&state) || any;
        any = cut_read_ahead(&state) || any;
        while (cut_steps(&state)) {
            any = true;
        }
    }
    /* Leave the best one's state behind, for who wants to tell it. */
    sim_child_run(child, &shrink->best, shrink->seed, shrink->guard_s, false, &shrink->outcome);
}
