/* SPDX-License-Identifier: Apache-2.0 */
/** Network namespaces without names, each joined to each by a pair of veth devices. */
#ifndef DSM_BENCH_NETWORK_H
#define DSM_BENCH_NETWORK_H

#include <stddef.h>

#include "tests/bench/worker.h"

#define ADDRESS_BYTES 16

/** The address of a host with this index. */
void network_address(unsigned index, char address[ADDRESS_BYTES]);
/**
 * Make the namespaces; each lives as long as its descriptor and its processes.
 *
 * @netns count descriptors; written as far as they were made, also on failure: the others are -1
 *
 * Returns 0, or -1 after a line on standard error.
 */
int network_open(int *netns, unsigned count);

#endif
