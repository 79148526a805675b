/* SPDX-License-Identifier: Apache-2.0 */
/** The frames of a simulated node: what the kernel and the agent's frames.c do, in a few lines. */
#ifndef DSM_TESTS_SIM_CLUSTER_FRAMES_H
#define DSM_TESTS_SIM_CLUSTER_FRAMES_H

#include "tests/sim/cluster.h"

/** The mapping of an ACTION_REPLY to CALL_MAP; it covers the whole region. */
void frames_add_map(struct sim_node *node, const struct action *action, uint32_t region);
/** A program touches a page; false: it faults. */
bool frames_touch(struct sim_node *node, map_id map, uint64_t page, bool write, uint64_t *value);
/** The index of the region of a mapping. */
uint32_t frames_region(const struct sim_node *node, map_id map);
/** The region is closed: its mappings are gone. */
void frames_close(struct sim_node *node, uint32_t region);
/** Carry out an action on frames; NULL, or what is wrong with it. */
const char *frames_execute(struct sim_node *node, const struct action *action, uint32_t region,
                           const uint64_t *payload);
/** The bytes of an ACTION_SEND. */
void frames_copy_out(struct sim_node *node, const struct action *action, uint32_t region,
                     uint64_t *to);
/** One writer or many readers; NULL, or what is wrong. */
const char *frames_check(const struct cluster *cluster, uint32_t region, uint64_t page);
void frames_free_kept(struct sim_node *node);

#endif
