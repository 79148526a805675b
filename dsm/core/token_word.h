/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The words by which local programs take and give up mutexes of a region without a call. Each
 * region that a program asked for it (CALL_TOKENS) has a table of TOKEN_SLOTS of them, in memory
 * that the node's driver shares with the programs that may write to the region.
 *
 * A word is all there is: the mutex's offset, who holds it, and how. The offset is spread by a
 * mapping that is one to one; some of the bits choose the slot, the word has all others, so that a
 * word in a slot belongs to one offset. A mutex whose slot says something else is taken by a call.
 *
 *   TOKEN_NONE    the agent knows, or nobody on this node: call
 *   TOKEN_FREE    it is here, and nobody holds it: a program may swap this for HELD
 *   TOKEN_HELD    a program holds it, and may swap this for FREE
 *   TOKEN_WANTED  a program holds it, and somebody waits: it swaps this for LET_GO, then calls
 *   TOKEN_LET_GO  that call is on its way
 *
 * Whatever stands in a table was written by a program, perhaps: it is never trusted beyond this
 * region's mutexes.
 */
#ifndef DSM_CORE_TOKEN_WORD_H
#define DSM_CORE_TOKEN_WORD_H

#include "dsm/core/node.h"

#define TOKEN_SLOT_BITS 12u
#define TOKEN_SLOTS (1u << TOKEN_SLOT_BITS)
#define TOKEN_TABLE_BYTES (TOKEN_SLOTS * sizeof(uint64_t))

/** Mutexes at larger offsets, and clients of larger numbers, have no words. */
#define TOKEN_OFFSET_BITS 48u
#define TOKEN_CLIENT_BITS 25u
#define TOKEN_KIND_BITS 3u

enum token_kind {
    TOKEN_NONE = 0,
    TOKEN_FREE,
    TOKEN_HELD,
    TOKEN_WANTED,
    TOKEN_LET_GO,
};

/** Can this mutex of this client (0: of nobody) be told by a word? */
static inline bool token_word_can(uint64_t offset, client_id client)
{
    return offset >> TOKEN_OFFSET_BITS == 0 && client >> TOKEN_CLIENT_BITS == 0;
}

/** An odd factor is one to one modulo a power of two. */
static inline uint64_t token_word_spread(uint64_t offset)
{
    return (offset * UINT64_C(0x9e3779b97f4b)) & ((UINT64_C(1) << TOKEN_OFFSET_BITS) - 1);
}

/** The slot of a mutex. */
static inline uint32_t token_word_slot(uint64_t offset)
{
    return (uint32_t)(token_word_spread(offset) >> (TOKEN_OFFSET_BITS - TOKEN_SLOT_BITS));
}

/** The word of a mutex; client 0: nobody holds it. */
static inline uint64_t token_word(uint64_t offset, client_id client, uint32_t kind)
{
    uint64_t rest =
        token_word_spread(offset) & ((UINT64_C(1) << (TOKEN_OFFSET_BITS - TOKEN_SLOT_BITS)) - 1);

    return rest << (TOKEN_CLIENT_BITS + TOKEN_KIND_BITS) | (uint64_t)client << TOKEN_KIND_BITS |
           kind;
}

/** Who holds a mutex by the word in its slot; 0: nobody, or the word is none of this mutex. */
static inline client_id token_word_holder(uint64_t offset, uint64_t word)
{
    client_id client =
        (client_id)(word >> TOKEN_KIND_BITS) & ((UINT32_C(1) << TOKEN_CLIENT_BITS) - 1);

    return word == token_word(offset, client, TOKEN_HELD) ||
                   word == token_word(offset, client, TOKEN_WANTED)
               ? client
               : 0;
}

#endif
