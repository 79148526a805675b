/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A directory finds the record of a page by (region slot, page number). Records live in chunks of
 * CHUNK_PAGES that are made on first touch, so a sparse region costs only what is used. The page
 * part and the home part have one each, with records of their own.
 */
#ifndef DSM_CORE_DIRECTORY_H
#define DSM_CORE_DIRECTORY_H

#include "dsm/core/pool.h"

#define DIRECTORY_BUCKETS 1024u
/** Chunks that an item of work may make at most: those of one range. */
#define DIRECTORY_ITEM_CHUNKS 2u

/** Start of every chunk; the records follow. */
struct chunk {
    struct chunk *next;
    uint64_t number; /* page / CHUNK_PAGES */
    uint32_t slot;
    uint32_t reserved;
};

struct directory {
    struct pool pool; /* of chunks */
    size_t record_bytes;
    struct chunk *buckets[DIRECTORY_BUCKETS];
};

void directory_init(struct directory *directory, size_t record_bytes);
/** Are there chunks for one more item of work? There are when a step begins, and for one item. */
bool directory_has_room(const struct directory *directory);
/** The record, NULL when its chunk was never touched. */
void *directory_find(const struct directory *directory, uint32_t slot, uint64_t page);
/** The record; its chunk is made if need be. */
void *directory_get(struct directory *directory, uint32_t slot, uint64_t page);
/** Record number `index` of a chunk. */
void *chunk_record(const struct directory *directory, struct chunk *chunk, uint32_t index);
/** The chunk with the lowest number not below `number`, of one region; NULL for none. */
struct chunk *directory_next(const struct directory *directory, uint32_t slot, uint64_t number);
/** Free all chunks of a region. */
void directory_forget(struct directory *directory, uint32_t slot);

#endif
