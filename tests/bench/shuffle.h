/* SPDX-License-Identifier: Apache-2.0 */
/** A fixed pseudo-random order, the same in each run: neighbours in it are not neighbours in
 * memory. */
#ifndef DSM_BENCH_SHUFFLE_H
#define DSM_BENCH_SHUFFLE_H

#include <stdint.h>

/** Write the numbers 0 to count - 1 in an order that the seed (not 0) gives. */
void shuffle(uint32_t *order, uint32_t count, uint64_t seed);

#endif
