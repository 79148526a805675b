/* SPDX-License-Identifier: Apache-2.0 */
/** What a worker works with, in its own process. */
#ifndef DSM_BENCH_HAND_H
#define DSM_BENCH_HAND_H

#include "tests/bench/handoff.h"
#include "tests/bench/limit.h"
#include "tests/bench/worker.h"

struct hand {
    const struct worker_config *config;
    struct dsm *dsm;
    struct dsm_region *region; /* the one that is measured, NULL: none */
    uint8_t *memory;           /* where it is mapped */
    uint64_t size_bytes;
    uint32_t page_bytes; /* of the region */
    char name[64];
    double *samples; /* SAMPLES_MAX of them */
    struct board *board;
    struct handoff handoff;
    struct tls_end tls;
    int meeting_fd; /* listens, between order_meeting_open() and order_meeting() */
};

#endif
