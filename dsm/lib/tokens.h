/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Mutexes of a region that this node has are taken and given up by a word in memory that is shared
 * with the agent (net/token_table.h): no call, no packet, no system call.
 */
#ifndef DSM_LIB_TOKENS_H
#define DSM_LIB_TOKENS_H

#include <stdatomic.h>

#include "net/token_table.h"

struct dsm_region;

/**
 * Does the session live, and is this the process that made it? Told by a byte that is 0 in a forked
 * child, and everywhere once the agent is gone. Without one (NULL) nothing is done by words.
 */
struct pulse {
    _Atomic uint8_t *beats;
    void *memory; /* where it lies */
};

/** Start it; where the system cannot do it there is none. */
void pulse_init(struct pulse *pulse);
/** The agent is gone. */
void pulse_stop(struct pulse *pulse);
/** Is that so? False also where there is none. */
bool pulse_beats(const struct pulse *pulse);
void pulse_close(struct pulse *pulse);

/** Of one region. All zero at first. */
struct tokens {
    _Atomic(struct token_table *) table; /* NULL: not asked for, or not to be had */
    atomic_bool was_asked;
    client_id client; /* this session by its number in the table */
};

/** Ask the agent for the region's table, once; without one, locks are calls. */
void tokens_share(struct dsm_region *region);
/** Give the table back. */
void tokens_close(struct dsm_region *region);
/** Take a mutex; false: call the agent. */
bool tokens_lock(struct dsm_region *region, uint64_t offset);
/** Give one up. */
enum token_let_go tokens_unlock(struct dsm_region *region, uint64_t offset);

#endif
