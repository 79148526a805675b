/* SPDX-License-Identifier: Apache-2.0 */
/** Synchronisation operations at the home of their object: what mutexes, barriers and semaphores
 * share. */
#ifndef DSM_LIB_SYNC_H
#define DSM_LIB_SYNC_H

#include "dsm/lib/session.h"

/** One operation. */
struct sync_wish {
    const char *verb; /* for the sentence on its failure: "lock mutex of region" */
    uint8_t op;       /* enum sync_op */
    bool has_offset;
    uint64_t offset;
    uint64_t value, operand;
    int64_t timeout_ms; /* sync_wait() */
};

/**
 * Release all views of the session before an operation; what it returns if the release fails is the
 * release's error, but it is done all the same: others wait for it.
 */
int sync_do_released(struct handle *handle, const struct sync_wish *wish);
/** Acquire in all views of the session after one; a page that is lost is an error to touch. */
int sync_wait_acquired(struct handle *handle, const struct sync_wish *wish);

/**
 * Do one that waits for nobody.
 *
 * @value its outcome, written on success; may be NULL
 */
int sync_do(struct handle *handle, const struct sync_wish *wish, uint64_t *value);
/** Do one that waits for others, until timeout_ms. Errors: DSM_EINVAL timeout_ms is negative. */
int sync_wait(struct handle *handle, const struct sync_wish *wish);
/** May the region be written to by this handle? Errors: DSM_EACCES. */
int sync_check_writable(struct dsm_region *region, const char *verb);

#endif
