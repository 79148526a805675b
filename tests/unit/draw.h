/* SPDX-License-Identifier: Apache-2.0 */
/** Random values of all magnitudes, for the tests of the codec. */
#ifndef DSM_TESTS_UNIT_DRAW_H
#define DSM_TESTS_UNIT_DRAW_H

#include "dsm/core/types.h"

/** xorshift; a state of 0 gives the largest values instead. */
static inline uint64_t draw(uint64_t *random, uint64_t max)
{
    uint64_t value;

    if (*random == 0) {
        return max;
    }
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    /* All magnitudes alike, so that each width on the wire comes up. */
    value = *random >> (*random * UINT64_C(0x9e3779b97f4a7c15) >> 58);
    return max == UINT64_MAX ? value : value % (max + 1);
}

static inline int32_t draw_error(uint64_t *random)
{
    return *random == 0 ? INT32_MIN : (int32_t)(uint32_t)draw(random, UINT32_MAX);
}

static inline uint32_t draw_node(uint64_t *random)
{
    uint64_t node = draw(random, NODES_MAX);

    return node == NODES_MAX ? NODE_NONE : (uint32_t)node;
}

static inline void draw_text(uint64_t *random, char *text, size_t size)
{
    size_t len_bytes = draw(random, size - 1);

    for (size_t i = 0; i < len_bytes; i++) {
        text[i] = (char)(draw(random, 254) + 1);
    }
    text[len_bytes] = 0;
}

#endif
