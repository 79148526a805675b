/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops that compilers make vector code of: nothing in them depends on the turn before, and the
 * inner ones turn a number of times that is known, without which gcc does not try at -O2. The
 * build says in SWAP_CLONES for which machines each function is made more than once (meson.build).
 */
#include "dsm/core/swap.h"

#include <string.h>

/** Bytes of an inner loop. */
#define BLOCK_BYTES 256u

static inline void swap_one_2(uint8_t *bytes)
{
    uint16_t value;

    memcpy(&value, bytes, sizeof(value));
    value = (uint16_t)(value << 8 | value >> 8);
    memcpy(bytes, &value, sizeof(value));
}

static inline void swap_one_4(uint8_t *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    value = __builtin_bswap32(value);
    memcpy(bytes, &value, sizeof(value));
}

static inline void swap_one_8(uint8_t *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof(value));
    value = __builtin_bswap64(value);
    memcpy(bytes, &value, sizeof(value));
}

SWAP_CLONES void swap_2(uint8_t *bytes, uint64_t count)
{
    for (; count >= BLOCK_BYTES / 2; count -= BLOCK_BYTES / 2, bytes += BLOCK_BYTES) {
        for (uint32_t i = 0; i < BLOCK_BYTES; i += 2) {
            swap_one_2(bytes + i);
        }
    }
    for (; count > 0; count--, bytes += 2) {
        swap_one_2(bytes);
    }
}

SWAP_CLONES void swap_4(uint8_t *bytes, uint64_t count)
{
    for (; count >= BLOCK_BYTES / 4; count -= BLOCK_BYTES / 4, bytes += BLOCK_BYTES) {
        for (uint32_t i = 0; i < BLOCK_BYTES; i += 4) {
            swap_one_4(bytes + i);
        }
    }
    for (; count > 0; count--, bytes += 4) {
        swap_one_4(bytes);
    }
}

SWAP_CLONES void swap_8(uint8_t *bytes, uint64_t count)
{
    for (; count >= BLOCK_BYTES / 8; count -= BLOCK_BYTES / 8, bytes += BLOCK_BYTES) {
        for (uint32_t i = 0; i < BLOCK_BYTES; i += 8) {
            swap_one_8(bytes + i);
        }
    }
    for (; count > 0; count--, bytes += 8) {
        swap_one_8(bytes);
    }
}

/** Where a bit of the mask is set, that of `other`, else that of `value`. */
static inline uint64_t choose(uint64_t value, uint64_t other, uint64_t mask)
{
    return value ^ ((value ^ other) & mask);
}

static inline void swap_word(uint8_t *bytes, uint64_t pairs, uint64_t quads, uint64_t whole)
{
    const uint64_t low_1 = UINT64_C(0x00ff00ff00ff00ff), low_2 = UINT64_C(0x0000ffff0000ffff);
    uint64_t value;

    memcpy(&value, bytes, sizeof(value));
    value = choose(value, (value & low_1) << 8 | (value >> 8 & low_1), pairs);
    value = choose(value, (value & low_2) << 16 | (value >> 16 & low_2), quads);
    value = choose(value, value << 32 | value >> 32, whole);
    memcpy(bytes, &value, sizeof(value));
}

SWAP_CLONES void swap_words(uint8_t *restrict bytes, const uint64_t *restrict pairs,
                            const uint64_t *restrict quads, const uint64_t *restrict whole,
                            uint64_t count)
{
    const uint32_t block = BLOCK_BYTES / 8;
    uint64_t done = 0;

    for (; count - done >= block; done += block) {
        for (uint32_t i = 0; i < block; i++) {
            swap_word(bytes + (done + i) * 8, pairs[done + i], quads[done + i], whole[done + i]);
        }
    }
    for (; done < count; done++) {
        swap_word(bytes + done * 8, pairs[done], quads[done], whole[done]);
    }
}
