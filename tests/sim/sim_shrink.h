/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The shrinker: cuts a run that fails to fewer nodes, pages, programs, events and kinds of faults,
 * by running smaller ones, as long as they fail with the same property. A change of any size draws
 * other numbers, so that each smaller run is tried with a few rows of numbers (salts).
 */
#ifndef DSM_TESTS_SIM_SIM_SHRINK_H
#define DSM_TESTS_SIM_SIM_SHRINK_H

#include "tests/sim/sim_child.h"

struct sim_shrink {
    uint64_t seed;
    uint32_t guard_s;
    uint32_t seconds;           /* at most */
    struct sim_overrides best;  /* in: the run that fails; out: the smallest one */
    struct sim_outcome outcome; /* in: how; out: of the smallest one */
    uint32_t runs;              /* that were made */
};

void sim_shrink(struct sim_shrink *shrink, struct sim_child *child);

#endif
