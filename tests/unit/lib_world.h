/* SPDX-License-Identifier: Apache-2.0 */
/** One program with one session, whose calls fail while those of its agent do not. */
#ifndef DSM_TESTS_LIB_WORLD_H
#define DSM_TESTS_LIB_WORLD_H

#include "dsm.h"
#include "tests/failure/failure.h"
#include "tests/unit/fake_agent.h"

#define WORLD_PAGES 32u
#define WORLD_BYTES (WORLD_PAGES * FAKE_PAGE)

struct world {
    struct fake_agent *fake;
    void *nowhere; /* a page that may not be touched */
    struct dsm *dsm;
    struct dsm_region *region;
    struct dsm_sem *sem;
    /* What an operation makes and its undo() releases. */
    struct dsm_region *made_region;
    struct dsm_sem *made_sem;
    void *mapped[3];
    uint64_t count_added;
};

/** Start the agent; skips the test where a program cannot have its faults served. */
void world_start(struct world *world, struct fake_options options);
/** Connect, and open the region and the semaphore. */
void world_enter(struct world *world);
/** Close all that world_enter() and an operation made, as the end of a session does. */
void world_leave(struct world *world);
/** Wait until the agent has noticed every session that ended before. */
void world_settle(struct world *world);
void world_stop(struct world *world);

/** An operation of libdsm that is tried with each of its calls failing. */
struct operation {
    const char *name;
    void (*prepare)(struct world *world); /* before; NULL: nothing to do */
    int (*run)(struct world *world);      /* the operation, returns its error; nothing else */
    void (*undo)(struct world *world);    /* after it went well: check and release */
    bool is_release; /* what it releases is gone, whatever it returns: not to be tried again */
};

/** All operations on a session, until one without a name. */
extern const struct operation operations[];

#endif
