/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/shuffle.h"

/* xorshift64 (Marsaglia 2003) drives the shuffle of Fisher and Yates. */
void shuffle(uint32_t *order, uint32_t count, uint64_t seed)
{
    uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15);

    for (uint32_t i = 0; i < count; i++) {
        order[i] = i;
    }
    for (uint32_t i = count; i > 1; i--) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        uint32_t other = (uint32_t)(state % i);
        uint32_t value = order[i - 1];

        order[i - 1] = order[other];
        order[other] = value;
    }
}
