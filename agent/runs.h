/* SPDX-License-Identifier: Apache-2.0 */
/** Runs of pages from several homes, put together for `dsmctl region`. */
#ifndef DSM_AGENT_RUNS_H
#define DSM_AGENT_RUNS_H

#include "dsm/core/node.h"

/** A growing list of runs; all zero is an empty one. */
struct runs {
    struct page_run *list;
    uint32_t count, capacity;
};

/** Free the list and make it empty. */
void runs_close(struct runs *runs);
/**
 * Add a run.
 *
 * Errors: DSM_ENOMEM also for more runs than any reader could look at (RUNS_MAX)
 */
int runs_add(struct runs *runs, const struct page_run *run);
/** Sort by page and join neighbours that are alike. */
void runs_merge(struct runs *runs);
/** The word for the state of a run's pages: lost, busy, zero, shared or owned. */
const char *run_state(const struct page_run *run);

/** Runs of one document at most. */
#define RUNS_MAX 65536u

#endif
