/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Unlike machines: the hardware page and the byte order of each node of a seed, and the page size
 * and the type of its regions. They have a row of numbers of their own: without them a seed is the
 * same run as with them, but for what they change.
 */
#ifndef DSM_TESTS_SIM_SIM_MACHINES_H
#define DSM_TESTS_SIM_SIM_MACHINES_H

#include "tests/sim/sim_options.h"

/** What a seed's machines and regions are. */
void sim_machines_draw(struct sim_options *options);
/** All nodes and regions have pages of one size. */
void sim_machines_same_sizes(struct sim_options *options);
/** All nodes are little-endian. */
void sim_machines_same_orders(struct sim_options *options);
/** No region has a type. */
void sim_machines_no_types(struct sim_options *options);
/** Tell them, a line each but for its end. */
void sim_machines_print(const struct sim_options *options, struct sim_text *out);

#endif
