/* SPDX-License-Identifier: Apache-2.0 */
/** Reversing the bytes of many scalars in place, at any address. */
#ifndef DSM_CORE_SWAP_H
#define DSM_CORE_SWAP_H

#include "dsm/core/types.h"

/** Scalars of one size, one behind the other. */
void swap_2(uint8_t *bytes, uint64_t count);
void swap_4(uint8_t *bytes, uint64_t count);
void swap_8(uint8_t *bytes, uint64_t count);

/**
 * Words of 8 bytes in which scalars of any sizes lie, reversed in three steps: a byte whose bits
 * are set in `pairs` changes places with its neighbour, one in `quads` with the byte two further,
 * one in `whole` with the byte four further. What is no scalar's of 2 bytes or more is set in none.
 */
void swap_words(uint8_t *bytes, const uint64_t *pairs, const uint64_t *quads, const uint64_t *whole,
                uint64_t count);

#endif
