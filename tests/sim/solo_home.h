/* SPDX-License-Identifier: Apache-2.0 */
/** One core alone that is the home of pages, whose peers are played: helpers for what they say. */
#ifndef DSM_TESTS_SIM_SOLO_HOME_H
#define DSM_TESTS_SIM_SOLO_HOME_H

#include "tests/sim/solo.h"

#define SOLO_HOME_SLOT 5u
#define SOLO_HOME_GENERATION 1005u

/** Node 0 of four, the home of the 600 pages of a region. */
struct solo *solo_home_new(void);
/** A message of a node about its request of this number. */
struct message solo_home_message(const struct solo *solo, uint32_t kind, uint32_t from,
                                 uint64_t number, uint64_t page, uint32_t count);
/** The same, delivered. */
void solo_home_say(struct solo *solo, uint32_t kind, uint32_t from, uint64_t number,
                   uint64_t page, uint32_t count);
/** What a node says about another one's request. */
void solo_home_say_for(struct solo *solo, uint32_t kind, uint32_t from, uint32_t requester,
                       uint64_t number, uint64_t page);
/** The answer to ADOPT. */
void solo_home_say_adopt(struct solo *solo, uint32_t kind, uint32_t from,
                         const struct message *adopt);
/** A request of number 1000 + page that goes through at once. */
void solo_home_has(struct solo *solo, uint32_t kind, uint32_t node, uint64_t page);
void solo_home_die(struct solo *solo, uint32_t node);
/** What the home knows of pages from this one on. */
struct page_run solo_home_run(const struct solo *solo, uint64_t page);
/** Messages of a kind that were sent since solo_forget(). */
uint32_t solo_home_sent(const struct solo *solo, uint32_t kind);

#endif
