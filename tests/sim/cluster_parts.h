/* SPDX-License-Identifier: Apache-2.0 */
/** What the files of the simulated cluster share. */
#ifndef DSM_TESTS_SIM_CLUSTER_PARTS_H
#define DSM_TESTS_SIM_CLUSTER_PARTS_H

#include "tests/sim/cluster.h"

/** Tell what is wrong, with the last messages, and abort. */
_Noreturn void cluster_broken(const struct cluster *cluster, const char *what);
/** Step a node, and on until its deadline is after now; nothing happens to a dead one. */
void cluster_step(struct cluster *cluster, uint32_t number, const struct event *event,
                  const uint64_t *payload);
/** The index of a region's frames; one is given to a new region. */
uint32_t cluster_region_index(struct cluster *cluster, region_id id);
/** A record has changed: it is on its way to every node. */
void cluster_publish(struct cluster *cluster, struct record *record);
/** A new core for a node, which knows nothing. */
void cluster_make_node(struct cluster *cluster, uint32_t number);
/** Free a node's core and frames. */
void cluster_free_node(struct cluster *cluster, uint32_t number);
/** Free the news that a node has not been told. */
void cluster_drop_news(struct cluster *cluster, uint32_t number);

#endif
