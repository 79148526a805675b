/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Programs that synchronise: on each node of a cluster two of them (clients 1 and 2), with a region
 * of 16 pages and a semaphore, both of whose home is node 0.
 */
#ifndef DSM_TESTS_SIM_PARTIES_H
#define DSM_TESTS_SIM_PARTIES_H

#include "tests/sim/cluster.h"

#define PARTIES_NODES 4
#define PARTIES_SEM_VALUE 1

struct parties {
    struct cluster *cluster;
    uint64_t region[PARTIES_NODES][3]; /* handles, by node and client */
    uint64_t sem[PARTIES_NODES][3];
    map_id map[PARTIES_NODES]; /* of client 1 */
};

/** The caller frees it with parties_free(). */
struct parties *parties_new(void);
void parties_free(struct parties *parties);
/** Start an operation on the region, or on the semaphore for SYNC_SEM_...; its number. */
uint64_t parties_start(struct parties *parties, uint32_t node, client_id client, uint32_t op,
                       uint64_t offset, uint64_t value, int64_t timeout_ms);
/** The same, and run until nothing is left to do. */
uint64_t parties_do(struct parties *parties, uint32_t node, client_id client, uint32_t op,
                    uint64_t offset, uint64_t value, int64_t timeout_ms);
/** How a call ended; 1: it is still waiting. */
int32_t parties_error(const struct parties *parties, uint32_t node, uint64_t number);
/** What a call that ended well gave. */
uint64_t parties_value(const struct parties *parties, uint32_t node, uint64_t number);

#endif
