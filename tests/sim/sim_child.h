/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Seeds run in child processes, a batch in each: a broken property, a trap of the core, a signal or
 * an endless loop ends the child and nothing else, and the seed under way is known. The run's state
 * lies in memory that parent and child share, so that the parent can tell how it ended.
 */
#ifndef DSM_TESTS_SIM_SIM_CHILD_H
#define DSM_TESTS_SIM_SIM_CHILD_H

#include <sys/types.h>

#include "tests/sim/sim.h"

/** What the command line says otherwise than the seed; 0: nothing. */
struct sim_overrides {
    uint32_t nodes, programs, read_ahead_pages;
    uint64_t pages, steps, salt;
    bool off[SIM_FAULT_KINDS];
    bool same_sizes, same_orders, no_types;
    struct sim_plant plant;
};

/** What parent and child share. */
struct sim_shared {
    struct sim sim;       /* of the seed under way */
    uint64_t seed;        /* under way */
    uint64_t count;       /* seeds that have passed */
    struct sim_stats sum; /* of those */
};

struct sim_child {
    struct sim_shared *shared;
    int errors;   /* a file of what the child tells on standard error */
    pid_t pid;    /* 0: none runs */
    uint64_t end; /* the seed after the last one of its batch */
};

/** How the seed under way ended that was not passed. */
struct sim_outcome {
    uint64_t seed;
    char kind[64]; /* the property, or where it crashed: what a shrunk run must fail with too */
    char text[512];
};

/** The options of a seed with the overrides on top. */
void sim_overrides_apply(const struct sim_overrides *overrides, uint64_t seed,
                         struct sim_options *options);
/** As they are written on the command line. */
void sim_overrides_print(const struct sim_overrides *overrides, char *text, size_t bytes);

/** Memory for one child at a time; 0 or a negative errno. Closed by sim_child_close(). */
int sim_child_init(struct sim_child *child);
void sim_child_close(struct sim_child *child);
/**
 * Start it on seeds from `first` to `end`; a seed that takes longer than guard_s ends it.
 *
 * Returns 0 or a negative errno.
 */
int sim_child_start(struct sim_child *child, const struct sim_overrides *overrides, uint64_t first,
                    uint64_t end, uint32_t guard_s, bool is_verbose);
/**
 * It has ended.
 *
 * @status as waitpid() tells it
 *
 * Returns true when all its seeds passed; else the outcome is filled in.
 */
bool sim_child_ended(struct sim_child *child, int status, struct sim_outcome *outcome);
/** Run one seed to its end; true when it passed. */
bool sim_child_run(struct sim_child *child, const struct sim_overrides *overrides, uint64_t seed,
                   uint32_t guard_s, bool is_verbose, struct sim_outcome *outcome);
/** Add up. */
void sim_stats_add(struct sim_stats *sum, const struct sim_stats *stats);

#endif
