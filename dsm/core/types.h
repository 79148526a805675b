/* SPDX-License-Identifier: Apache-2.0 */
/** Words that every level shares: node numbers, sets of nodes, region ids, page ranges, time. */
#ifndef DSM_CORE_TYPES_H
#define DSM_CORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsm/core/nodeset.h"

/** No index, in every table of 32-bit indexes. */
#define INDEX_NONE 0u

/**
 * A region's (or semaphore's) id; a slot is used again, a generation never. {0, 0} is no region.
 */
typedef struct region_id {
    uint32_t slot;
    uint32_t generation;
} region_id;

static inline bool region_id_equal(region_id a, region_id b)
{
    return a.slot == b.slot && a.generation == b.generation;
}

/** Pages of one request at most. */
#define RANGE_PAGES_MAX 256u
/** Pages of one home or page-table chunk; a range touches two chunks at most. */
#define CHUNK_PAGES 256u
/** Pages of one stripe of DSM_HOME_STRIPED. */
#define STRIPE_PAGES 64u
/**
 * Bytes of page data in one message at most (one page of the largest size is more, and goes alone).
 */
#define PAYLOAD_BYTES_TARGET (256u << 10)

#endif
