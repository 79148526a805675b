/* SPDX-License-Identifier: Apache-2.0 */
/** Many seeds, in as many processes at a time as wished. */
#ifndef DSM_TESTS_SIM_SIM_BATCH_H
#define DSM_TESTS_SIM_SIM_BATCH_H

#include "tests/sim/sim_child.h"

#define SIM_JOBS_MAX 256u
#define SIM_FAILURES_KEPT 100u

struct sim_batch {
    /* in */
    uint64_t first, count; /* seeds; no bound on the count when `seconds` is given: 0 */
    uint32_t seconds;      /* 0: until all seeds have run */
    uint32_t jobs;         /* 1 to SIM_JOBS_MAX */
    uint32_t guard_s;
    bool tells_progress; /* on standard error */
    struct sim_overrides overrides;
    /* out */
    uint64_t seeds, failed;
    struct sim_stats sum;                           /* of the seeds that passed */
    struct sim_outcome failures[SIM_FAILURES_KEPT]; /* in order of seeds */
    double elapsed_s;
};

/** Run them; each failure is told on standard output as it comes. 0 or a negative errno. */
int sim_batch_run(struct sim_batch *batch);

#endif
