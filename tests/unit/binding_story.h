/* SPDX-License-Identifier: Apache-2.0 */
/**
 * One node alone, whose home and other nodes are played: a program with a mutex and pages that are
 * bound to it.
 */
#ifndef DSM_TESTS_BINDING_STORY_H
#define DSM_TESTS_BINDING_STORY_H

#include "tests/sim/solo_page.h"

#define BOUND_AT 64u  /* the mutex */
#define BOUND_PAGE 4u /* the first page that is bound to it */
#define BOUND_COUNT 4u

/** CALL_BIND of the program; how it ended. */
int32_t story_bind(struct solo_page *p, uint64_t mutex, uint64_t offset, uint64_t size_bytes);
/** These pages are bound to the mutex. */
void story_bind_pages(struct solo_page *p, uint64_t page, uint64_t count);
/** LOCK or UNLOCK of the mutex; the call's number. */
uint64_t story_sync(struct solo_page *p, uint32_t op, int64_t timeout_ms);
/** The program asks for the mutex; the LOCK as it was sent. */
struct message story_lock(struct solo_page *p);
/** The home answers a LOCK, and says that others wait. */
void story_answer_lock(struct solo_page *p, const struct message *lock, int32_t error);
/** The home grants what a WRITE asks for: pages of zeros. */
void story_grant_pages(struct solo_page *p, struct message write, uint64_t version);
/** The nth WRITE that was sent since solo_forget(). */
struct message story_asked(const struct solo_page *p, uint32_t nth);
/** How many there are. */
uint32_t story_count_asked(const struct solo_page *p);
/** The program holds the mutex, and its pages are here. */
void story_hold(struct solo_page *p);
/** The home wants some of the pages for node 2, to write if so; are they sent at once? */
bool story_want(struct solo_page *p, uint64_t page, uint32_t count, bool writes, uint64_t version);
/** Another region with this window takes the place of the first one. */
void story_use_window(struct solo_page *p, uint32_t window_ms);

#endif
