/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/core/pool.h"

#include <string.h>

void pool_init(struct pool *pool, size_t object_bytes, uint32_t low_water, uint32_t block_count)
{
    pool->free = NULL;
    pool->object_bytes = (object_bytes + 15) & ~(size_t)15;
    pool->count_free = 0;
    pool->low_water = low_water;
    pool->block_count = block_count;
}

size_t pool_wants(const struct pool *pool)
{
    return pool->count_free < pool->low_water ? pool->object_bytes * pool->block_count : 0;
}

void pool_supply(struct pool *pool, void *memory)
{
    uint8_t *bytes = memory;

    for (uint32_t i = 0; i < pool->block_count; i++) {
        pool_put(pool, bytes + i * pool->object_bytes);
    }
}

void *pool_get(struct pool *pool)
{
    void *object = pool->free;

    core_assert(object != NULL, "N1: the driver supplies memory between steps");
    memcpy(&pool->free, object, sizeof(pool->free));
    pool->count_free--;
    memset(object, 0, pool->object_bytes);
    return object;
}

void pool_put(struct pool *pool, void *object)
{
    memcpy(object, &pool->free, sizeof(pool->free));
    pool->free = object;
    pool->count_free++;
}
