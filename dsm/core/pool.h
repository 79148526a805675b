/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Pools: objects of one size from memory that the driver supplied between steps. A step takes what
 * it needs and never fails, because each pool holds at least its low-water mark when a step begins.
 */
#ifndef DSM_CORE_POOL_H
#define DSM_CORE_POOL_H

#include "dsm/core/list.h"

struct pool {
    void *free;
    size_t object_bytes;
    uint32_t count_free;
    uint32_t low_water;   /* a step takes fewer than this */
    uint32_t block_count; /* objects of one supply */
};

/** object_bytes is rounded up to a multiple of 16. */
void pool_init(struct pool *pool, size_t object_bytes, uint32_t low_water, uint32_t block_count);
/** Bytes wanted now, 0 when the low-water mark is reached. */
size_t pool_wants(const struct pool *pool);
/** Take pool_wants() bytes of memory over. */
void pool_supply(struct pool *pool, void *memory);
/** A zeroed object; there always is one. */
void *pool_get(struct pool *pool);
/** Give an object back. */
void pool_put(struct pool *pool, void *object);

#endif
