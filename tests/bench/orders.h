/* SPDX-License-Identifier: Apache-2.0 */
/** What a worker does when it is told to: one function for each order, in the worker's process. */
#ifndef DSM_BENCH_ORDERS_H
#define DSM_BENCH_ORDERS_H

#include "tests/bench/limit.h"
#include "tests/bench/worker.h"

/** A worker's own state. */
struct hand {
    struct dsm *dsm;
    struct dsm_region *region;
    uint8_t *memory;
    uint64_t size_bytes;
    char name[64];
    int turn_fd;
    double *samples;
    struct handoff handoff;
    struct tls_end tls;
};

/** Do what the order says; the outcome is written, its error is a DSM_E... value. */
void order_execute(struct hand *hand, const struct order *order, struct outcome *outcome);

#endif
