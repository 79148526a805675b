/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/core/directory.h"

#include <string.h>

static uint32_t bucket_of(uint32_t slot, uint64_t number)
{
    uint64_t hash = (number + ((uint64_t)slot << 40)) * UINT64_C(0x9e3779b97f4a7c15);

    return (uint32_t)(hash >> 54) % DIRECTORY_BUCKETS;
}

void directory_init(struct directory *directory, size_t record_bytes)
{
    memset(directory->buckets, 0, sizeof(directory->buckets));
    directory->record_bytes = record_bytes;
    /* Chunks are large: enough for an event and an item, not for all items of a step. */
    pool_init(&directory->pool, sizeof(struct chunk) + CHUNK_PAGES * record_bytes,
              2 * DIRECTORY_ITEM_CHUNKS, 2 * DIRECTORY_ITEM_CHUNKS);
}

bool directory_has_room(const struct directory *directory)
{
    return directory->pool.count_free >= DIRECTORY_ITEM_CHUNKS;
}

void *chunk_record(const struct directory *directory, struct chunk *chunk, uint32_t index)
{
    return (uint8_t *)chunk + sizeof(*chunk) + index * directory->record_bytes;
}

static struct chunk *find_chunk(const struct directory *directory, uint32_t slot, uint64_t number)
{
    struct chunk *chunk = directory->buckets[bucket_of(slot, number)];

    while (chunk != NULL && (chunk->slot != slot || chunk->number != number)) {
        chunk = chunk->next;
    }
    return chunk;
}

void *directory_find(const struct directory *directory, uint32_t slot, uint64_t page)
{
    struct chunk *chunk = find_chunk(directory, slot, page / CHUNK_PAGES);

    return chunk != NULL ? chunk_record(directory, chunk, (uint32_t)(page % CHUNK_PAGES)) : NULL;
}

void *directory_get(struct directory *directory, uint32_t slot, uint64_t page)
{
    uint64_t number = page / CHUNK_PAGES;
    struct chunk *chunk = find_chunk(directory, slot, number);

    if (chunk == NULL) {
        struct chunk **bucket = &directory->buckets[bucket_of(slot, number)];

        chunk = pool_get(&directory->pool);
        chunk->slot = slot;
        chunk->number = number;
        chunk->next = *bucket;
        *bucket = chunk;
    }
    return chunk_record(directory, chunk, (uint32_t)(page % CHUNK_PAGES));
}

struct chunk *directory_next(const struct directory *directory, uint32_t slot, uint64_t number)
{
    struct chunk *best = NULL;

    for (uint32_t i = 0; i < DIRECTORY_BUCKETS; i++) {
        for (struct chunk *chunk = directory->buckets[i]; chunk != NULL; chunk = chunk->next) {
            if (chunk->slot == slot && chunk->number >= number &&
                (best == NULL || chunk->number < best->number)) {
                best = chunk;
            }
        }
    }
    return best;
}

void directory_forget(struct directory *directory, uint32_t slot)
{
    for (uint32_t i = 0; i < DIRECTORY_BUCKETS; i++) {
        struct chunk **place = &directory->buckets[i];

        while (*place != NULL) {
            struct chunk *chunk = *place;

            if (chunk->slot == slot) {
                *place = chunk->next;
                pool_put(&directory->pool, chunk);
            } else {
                place = &chunk->next;
            }
        }
    }
}
