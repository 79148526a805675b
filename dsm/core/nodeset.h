/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Sets of nodes, one bit for each node number. With 64 nodes at most a set is one word and lives in
 * a register; with more it is an array of words, by value all the same.
 */
#ifndef DSM_CORE_NODESET_H
#define DSM_CORE_NODESET_H

#include <stdbool.h>
#include <stdint.h>

/** Nodes in one cluster at most; NODE_NONE must stay beyond it. */
#ifndef NODES_MAX
#define NODES_MAX 64
#endif
/** No node. */
#define NODE_NONE 0xffffu

#define NODESET_WORDS ((NODES_MAX + 63) / 64)

/** Bit n % 64 of word n / 64 stands for node n; bits of no node are always 0. */
typedef struct nodeset {
    uint64_t words[NODESET_WORDS];
} nodeset;

_Static_assert(NODES_MAX > 0 && NODES_MAX <= 4096, "fields of node numbers have room for 4096");
_Static_assert(NODES_MAX > 64 || sizeof(nodeset) == 8, "up to 64 nodes a set is one word");

#define NODESET_EMPTY ((nodeset){{0}})

/** The set of this node; the empty set for what is no node number. */
static inline nodeset nodeset_of(uint32_t node)
{
    nodeset set = NODESET_EMPTY;

    if (node < NODES_MAX) {
        set.words[node / 64] = (uint64_t)1 << (node % 64);
    }
    return set;
}

/** The nodes 0 to count - 1. */
static inline nodeset nodeset_below(uint32_t count)
{
    nodeset set = NODESET_EMPTY;

    count = count < NODES_MAX ? count : NODES_MAX;
    for (uint32_t i = 0; i < NODESET_WORDS && count > i * 64; i++) {
        uint32_t bits = count - i * 64;

        set.words[i] = bits < 64 ? ((uint64_t)1 << bits) - 1 : UINT64_MAX;
    }
    return set;
}

static inline bool nodeset_has(nodeset set, uint32_t node)
{
    return node < NODES_MAX && (set.words[node / 64] >> (node % 64) & 1) != 0;
}

static inline uint32_t nodeset_count(nodeset set)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < NODESET_WORDS; i++) {
        count += (uint32_t)__builtin_popcountll(set.words[i]);
    }
    return count;
}

static inline bool nodeset_is_empty(nodeset set)
{
    uint64_t any = 0;

    for (uint32_t i = 0; i < NODESET_WORDS; i++) {
        any |= set.words[i];
    }
    return any == 0;
}

static inline bool nodeset_equal(nodeset a, nodeset b)
{
    uint64_t differ = 0;

    for (uint32_t i = 0; i < NODESET_WORDS; i++) {
        differ |= a.words[i] ^ b.words[i];
    }
    return differ == 0;
}

/** The lowest node of a set, NODE_NONE for the empty set. */
static inline uint32_t nodeset_first(nodeset set)
{
    for (uint32_t i = 0; i < NODESET_WORDS; i++) {
        if (set.words[i] != 0) {
            return i * 64 + (uint32_t)__builtin_ctzll(set.words[i]);
        }
    }
    return NODE_NONE;
}

/**
 * The lowest node of a set above this one, NODE_NONE at the end:
 * for (node = nodeset_first(set); node != NODE_NONE; node = nodeset_next(set, node))
 */
static inline uint32_t nodeset_next(nodeset set, uint32_t node)
{
    uint32_t from = node + 1;

    for (uint32_t i = from / 64; i < NODESET_WORDS; i++) {
        uint64_t word = set.words[i];

        if (i == from / 64) {
            word &= UINT64_MAX << (from % 64);
        }
        if (word != 0) {
            return i * 64 + (uint32_t)__builtin_ctzll(word);
        }
    }
    return NODE_NONE;
}

/** The node that has `index` nodes of the set below it, NODE_NONE when there are not so many. */
static inline uint32_t nodeset_nth(nodeset set, uint32_t index)
{
    for (uint32_t i = 0; i < NODESET_WORDS; i++) {
        uint64_t word = set.words[i];
        uint32_t count = (uint32_t)__builtin_popcountll(word);

        if (index >= count) {
            index -= count;
            continue;
        }
        for (; index > 0; index--) {
            word &= word - 1;
        }
        return i * 64 + (uint32_t)__builtin_ctzll(word);
    }
    return NODE_NONE;
}

static inline nodeset nodeset_union(nodeset a, nodeset b)
{
    for (uint32_t i = 0; i < NODESET_WORDS; i++) {
        a.words[i] |= b.words[i];
    }
    return a;
}

static inline nodeset nodeset_intersect(nodeset a, nodeset b)
{
    for (uint32_t i = 0; i < NODESET_WORDS; i++) {
        a.words[i] &= b.words[i];
    }
    return a;
}

/** The nodes of a that are not in b. */
static inline nodeset nodeset_minus(nodeset a, nodeset b)
{
    for (uint32_t i = 0; i < NODESET_WORDS; i++) {
        a.words[i] &= ~b.words[i];
    }
    return a;
}

/** Are all nodes of `part` in `whole`? */
static inline bool nodeset_is_part(nodeset part, nodeset whole)
{
    return nodeset_is_empty(nodeset_minus(part, whole));
}

static inline void nodeset_add(nodeset *set, uint32_t node)
{
    if (node < NODES_MAX) {
        set->words[node / 64] |= (uint64_t)1 << (node % 64);
    }
}

static inline void nodeset_remove(nodeset *set, uint32_t node)
{
    if (node < NODES_MAX) {
        set->words[node / 64] &= ~((uint64_t)1 << (node % 64));
    }
}

/** The nodes below 64 as one word, for files and wires: all of them where NODES_MAX is 64. */
static inline uint64_t nodeset_word(nodeset set)
{
    return set.words[0];
}

/** The set of which nodeset_word() makes this word; bits of no node are left out. */
static inline nodeset nodeset_from_word(uint64_t word)
{
    nodeset set = NODESET_EMPTY;

    set.words[0] = word;
    return nodeset_intersect(set, nodeset_below(NODES_MAX));
}

#endif
