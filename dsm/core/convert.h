/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Conversion of a typed region's bytes between the two byte orders, in place: each scalar's bytes
 * are reversed, nothing is interpreted, so every float survives. To convert is its own inverse.
 *
 * A type is compiled once into a few operations: neighbours of one size are one run, an array of
 * them is one run, an array of small structs is a pattern of masks, other arrays are loops.
 */
#ifndef DSM_CORE_CONVERT_H
#define DSM_CORE_CONVERT_H

#include "dsm/core/type.h"

/** Words of masks of one converter at most; arrays of structs beyond are loops. */
#define CONVERT_WORDS_MAX 512u

/** `count` times something, `stride_bytes` apart, from `offset` on (in the loop that it is in). */
struct convert_op {
    uint8_t width;        /* 2, 4 or 8: scalars; 0: a loop over the operations up to `end` */
    uint16_t end;         /* the number of the operation after this one and its loop */
    uint16_t first_word;  /* of its pattern */
    uint16_t count_words; /* of the pattern, which repeats; 0: it has none */
    uint64_t offset;
    uint64_t stride_bytes;
    uint64_t count;
};

struct converter {
    uint32_t count_ops; /* 0: nothing is to be converted, ever */
    uint32_t count_words;
    struct convert_op ops[TYPE_NODES_MAX];
    uint64_t pairs[CONVERT_WORDS_MAX], quads[CONVERT_WORDS_MAX], whole[CONVERT_WORDS_MAX];
};

/**
 * Compile a type.
 *
 * @type      that type_parse() gave
 * @converter written
 */
void convert_compile(const struct type *type, struct converter *converter);

/**
 * Convert bytes of a region in place.
 *
 * @offset    in the region, a multiple of 8, as pages are
 * @bytes     the region's from there on, at any address
 * @len_bytes a multiple of 8
 */
void convert_bytes(const struct converter *converter, uint64_t offset, uint8_t *bytes,
                   uint64_t len_bytes);

#endif
