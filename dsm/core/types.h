/* SPDX-License-Identifier: Apache-2.0 */
/** Words that every level shares: node numbers, sets of nodes, region ids, page ranges, time. */
#ifndef DSM_CORE_TYPES_H
#define DSM_CORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Nodes in one cluster at most; a set of nodes is one word. */
#define NODES_MAX 64
/** No node. */
#define NODE_NONE 0xffffu
/** No index, in every table of 32-bit indexes. */
#define INDEX_NONE 0u

/** A set of nodes: bit n stands for node n. */
typedef uint64_t nodeset;

static inline nodeset nodeset_of(uint32_t node)
{
    return node < NODES_MAX ? (nodeset)1 << node : 0;
}

static inline bool nodeset_has(nodeset set, uint32_t node)
{
    return (set & nodeset_of(node)) != 0;
}

static inline uint32_t nodeset_count(nodeset set)
{
    return (uint32_t)__builtin_popcountll(set);
}

/** The lowest node of a set, NODE_NONE for the empty set. */
static inline uint32_t nodeset_first(nodeset set)
{
    return set ? (uint32_t)__builtin_ctzll(set) : NODE_NONE;
}

static inline bool nodeset_is_empty(nodeset set)
{
    return set == 0;
}

static inline nodeset nodeset_union(nodeset a, nodeset b)
{
    return a | b;
}

static inline nodeset nodeset_intersect(nodeset a, nodeset b)
{
    return a & b;
}

/** The nodes of a that are not in b. */
static inline nodeset nodeset_minus(nodeset a, nodeset b)
{
    return a & ~b;
}

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
