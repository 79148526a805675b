/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The table of a region's mutexes in memory that programs and their agent share: what each side
 * does to a word of dsm/core/token_word.h, one atomic operation at a time. The agent's side comes
 * to an end whatever a program writes there meanwhile.
 */
#ifndef DSM_NET_TOKEN_TABLE_H
#define DSM_NET_TOKEN_TABLE_H

#include <stdatomic.h>

#include "dsm/core/token_word.h"

struct token_table {
    _Atomic uint64_t words[TOKEN_SLOTS];
};

/** How a program's giving up went. */
enum token_let_go {
    TOKEN_IS_FREE = 1, /* done */
    TOKEN_IS_OWED,     /* done, but the agent has to be told by a call */
    TOKEN_IS_UNKNOWN,  /* the agent knows whether the program holds it: nothing was done */
};

/* Swaps in taking up to so many; a program that writes faster than that writes for nobody. */
#define TOKEN_TAKE_TRIES 64u

/** A program takes a mutex; false: nothing was done, call the agent. */
static inline bool token_table_lock(struct token_table *table, uint64_t offset, client_id client)
{
    uint64_t word = token_word(offset, 0, TOKEN_FREE);

    return atomic_compare_exchange_strong_explicit(
        &table->words[token_word_slot(offset)], &word, token_word(offset, client, TOKEN_HELD),
        memory_order_acquire, memory_order_relaxed);
}

/** A program gives a mutex up. */
static inline enum token_let_go token_table_unlock(struct token_table *table, uint64_t offset,
                                                   client_id client)
{
    _Atomic uint64_t *place = &table->words[token_word_slot(offset)];
    uint64_t word = token_word(offset, client, TOKEN_HELD);

    if (atomic_compare_exchange_strong_explicit(place, &word, token_word(offset, 0, TOKEN_FREE),
                                                memory_order_release, memory_order_relaxed)) {
        return TOKEN_IS_FREE;
    }
    if (word == token_word(offset, client, TOKEN_WANTED) &&
        atomic_compare_exchange_strong_explicit(place, &word, token_word(offset, 0, TOKEN_LET_GO),
                                                memory_order_release, memory_order_relaxed)) {
        return TOKEN_IS_OWED;
    }
    return TOKEN_IS_UNKNOWN;
}

/** The agent: TOKEN_TAKE of enum token_verb; who has it, 0: nobody. */
static inline client_id token_table_take(struct token_table *table, uint64_t offset)
{
    _Atomic uint64_t *place = &table->words[token_word_slot(offset)];
    uint64_t word = atomic_load_explicit(place, memory_order_relaxed);

    for (uint32_t i = 0; i < TOKEN_TAKE_TRIES; i++) {
        client_id client = token_word_holder(offset, word);
        uint64_t next = client != 0 ? token_word(offset, client, TOKEN_WANTED) : 0;

        if (atomic_compare_exchange_weak_explicit(place, &word, next, memory_order_acq_rel,
                                                  memory_order_relaxed)) {
            return client;
        }
    }
    return token_word_holder(offset, atomic_exchange_explicit(place, 0, memory_order_acq_rel));
}

/** The agent: the other verbs. */
static inline void token_table_put(struct token_table *table, uint32_t verb, uint64_t offset,
                                   client_id client)
{
    uint32_t kind = verb == TOKEN_PUT_WANTED ? TOKEN_WANTED : TOKEN_HELD;
    uint64_t word = verb == TOKEN_CLEAR ? 0
                    : client == 0       ? token_word(offset, 0, TOKEN_FREE)
                                        : token_word(offset, client, kind);

    atomic_store_explicit(&table->words[token_word_slot(offset)], word, memory_order_release);
}

#endif
