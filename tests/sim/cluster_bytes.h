/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The bytes of pages that are really kept: a window of each page, written as the elements of the
 * region's type in the order of the node that has them, and converted on their way by the core's
 * own converter. Of a region without a type they are 64-bit numbers, little-endian everywhere.
 */
#ifndef DSM_TESTS_SIM_CLUSTER_BYTES_H
#define DSM_TESTS_SIM_CLUSTER_BYTES_H

#include "tests/sim/cluster.h"

/** A payload arrives: where the orders differ it is converted, as the agent does it. */
void bytes_arrive(struct cluster *cluster, struct envelope *envelope);
/** A program of this node writes a value to a page. */
void bytes_write(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t page,
                 struct sim_bytes *bytes);
/** Are these the bytes of their value, in the order of this node? */
bool bytes_are_right(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t page,
                     const struct sim_bytes *bytes);
/** May 8 bytes there be changed by an atomic operation? */
bool bytes_are_whole_number(struct cluster *cluster, uint32_t region, uint64_t offset);

#endif
