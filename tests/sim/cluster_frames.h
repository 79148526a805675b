/* SPDX-License-Identifier: Apache-2.0 */
/** The frames of a simulated node: what the kernel and the agent's frames.c do, in a few lines. */
#ifndef DSM_TESTS_SIM_CLUSTER_FRAMES_H
#define DSM_TESTS_SIM_CLUSTER_FRAMES_H

#include "tests/sim/cluster.h"

/** The frame of a page, NULL when none was ever made. */
static inline struct sim_frame *frames_find(const struct sim_node *node, uint32_t region,
                                            uint64_t page)
{
    struct sim_frame *chunk = page / CLUSTER_CHUNK < node->count_chunks[region]
                                  ? node->chunks[region][page / CLUSTER_CHUNK]
                                  : NULL;

    return chunk != NULL ? &chunk[page % CLUSTER_CHUNK] : NULL;
}

/** The mapping of an ACTION_REPLY to CALL_MAP; it covers the whole region. */
void frames_add_map(struct cluster *cluster, uint32_t node, const struct action *action,
                    uint32_t region);
/** The mapping of this number, NULL when it is gone. */
struct sim_map *frames_map(const struct cluster *cluster, uint32_t node, map_id map);
/** The frame that a program reaches through a mapping; NULL: it faults. */
struct sim_frame *frames_reach(struct cluster *cluster, uint32_t node, const struct sim_map *map,
                               uint64_t page, bool write);
/** Does this node show the region's pages a group at a time (cluster_groups.c)? */
bool frames_has_groups(struct cluster *cluster, uint32_t node, uint32_t region);
/** PROTECT, ALLOW, WAKE and POISON are for whole groups. */
void frames_check_whole(struct cluster *cluster, uint32_t node, const struct action *action,
                        uint32_t region);
/** GATHER and SCATTER. */
void frames_gather(struct cluster *cluster, uint32_t node, const struct action *action,
                   uint32_t region);
void frames_scatter(struct cluster *cluster, uint32_t node, const struct action *action,
                    uint32_t region);
/** The owner of a page changes 8 bytes of it. */
/** ACTION_DIGEST (cluster_atomic.c). */
void frames_digest(struct cluster *cluster, uint32_t node, const struct action *action,
                   uint32_t region);
void frames_atomic(struct cluster *cluster, uint32_t node, const struct action *action,
                   uint32_t region);
/** The frame, made if need be. */
struct sim_frame *frames_at(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t page);
/** A mapping may write to a page from now on, or may not. */
void frames_set_writable(struct cluster *cluster, uint32_t node, struct sim_map *map, uint64_t page,
                         bool writable);
/** No mapping may write to these pages. */
void frames_protect(struct cluster *cluster, uint32_t node, uint64_t page, uint64_t count,
                    uint32_t region);
/** The core asks for what cannot be done. */
_Noreturn void frames_refuse(const struct cluster *cluster, uint32_t node,
                             const struct action *action, uint64_t page, const char *what);
/** Carry out an action on frames. */
void frames_execute(struct cluster *cluster, uint32_t node, const struct action *action,
                    uint32_t region, const struct sim_bytes *payload);
/** The bytes of an ACTION_SEND, of action->count pages. */
void frames_copy_out(struct cluster *cluster, uint32_t node, const struct action *action,
                     uint32_t region, struct sim_bytes *bytes);
/** The node is dead or cast out: its frames and bytes put aside count no more. */
void frames_uncount(struct cluster *cluster, uint32_t node);
/** Free all frames, mappings and bytes put aside. */
void frames_free(struct sim_node *node);

#endif
