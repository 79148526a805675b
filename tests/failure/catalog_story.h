/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A life of a catalog in steps, each of which is one call of the store, for the tests that let its
 * disk or its memory fail: what the whole of the catalog is after each step is known beforehand.
 */
#ifndef DSM_TESTS_FAILURE_CATALOG_STORY_H
#define DSM_TESTS_FAILURE_CATALOG_STORY_H

#include "agent/catalog_store.h"
#include "net/buffer.h"
#include "tests/failure/hush.h"
#include "tests/unit/certs.h"

#define STORY_STEPS_MAX 32

struct story;

/** One call; 0, or the error that it answered. */
typedef int story_step(struct story *story);

struct story {
    char directory[CERTS_PATH_BYTES], path[CERTS_PATH_BYTES], log_path[CERTS_PATH_BYTES];
    struct catalog_store *store; /* NULL: not open */
    struct record_list changes, all;
    story_step *const *steps;
    uint32_t count_steps;
    uint32_t at; /* steps that have been answered with success */
    char text[TEXT_BYTES_MAX];
    struct buffer expected[STORY_STEPS_MAX + 1]; /* the catalog after so many steps */
    struct hush hush;
};

/** A story of all kinds of changes; closed and opened again in the middle. */
void story_open(struct story *story);
/** A story of changes during which the log of a large catalog is moved into its file. */
void story_open_large(struct story *story);
void story_close(struct story *story);

/** Before the first step again, with the store closed. */
void story_restart(struct story *story);
/** Open the store, unless it is. */
int story_open_store(struct story *story);
void story_close_store(struct story *story);
/** Take the next step; quietly. Counts it when it went well. */
int story_step_on(struct story *story);
/** Is the catalog that of after so many steps? */
bool story_is_at(struct story *story, uint32_t at);
/** Take all that remain, which must go well, and check the catalog after each. */
void story_finish(struct story *story);

#endif
