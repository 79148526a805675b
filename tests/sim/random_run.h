/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A random run: programs on several nodes read and increment pages while messages are delivered in
 * any order between links, lost and repeated. No increment may be lost, no read may go back, nobody
 * may wait for ever.
 */
#ifndef DSM_TESTS_SIM_RANDOM_RUN_H
#define DSM_TESTS_SIM_RANDOM_RUN_H

#include "tests/sim/cluster.h"

struct random_run {
    uint64_t seed;
    uint32_t nodes;    /* at most CLUSTER_NODES */
    uint32_t programs; /* at most 16 */
    uint64_t pages;    /* at most CLUSTER_PAGES */
    uint64_t steps;
    uint64_t budget_pages; /* 0: no bound */
    uint32_t read_ahead_pages;
    uint32_t lose_permille;
    uint32_t duplicate_permille;
};

/** NULL, or what went wrong (told on standard error with the last messages). */
const char *random_run(const struct random_run *options, uint64_t *operations);

#endif
