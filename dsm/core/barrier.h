/* SPDX-License-Identifier: Apache-2.0 */
/** How the end of a barrier's round gets about: from node to node, in a tree (barrier.c). */
#ifndef DSM_CORE_BARRIER_H
#define DSM_CORE_BARRIER_H

#include "dsm/core/sync.h"

/** Nodes that one node tells at most, of a run of nodes. */
#define BARRIER_FAN 4u

/** A party of a barrier has come. */
void barrier_arrive(struct syncs *syncs, struct sync_entry *op, struct sync_object *object);
/**
 * Send BARRIER_OVER on to a few of nodes [first, end), each of which is to see to a part of them.
 *
 * @over a message with region, offset and version filled in
 */
void barrier_spread(struct context *context, const struct message *over, uint32_t first,
                    uint32_t end);

#endif
