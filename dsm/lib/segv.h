/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What this process knows, over all its sessions, of mappings whose faults the kernel does not
 * serve alone: a table by address, the SIGSEGV handler, and the words on which blocked threads
 * wait. There is one; it is made at the first need and stays for the life of the process, since a
 * handler may be running at any time.
 *
 * Invariants
 *   V1 a place is looked at only while it has a user, or is known to be the looker's own
 *   V2 segv_remove() returns when no handler looks at the place any more: its channel may be closed
 *      and its range unmapped
 *   V3 access[i] is never more than the protection of page i, and a word of the page is bumped
 *      after each change
 *   V4 whoever waits has read the word before it reported
 */
#ifndef DSM_LIB_SEGV_H
#define DSM_LIB_SEGV_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsm/lib/fault_access.h"

#define SEGV_WORDS 256u
#define SEGV_PLACES_PER_CHUNK 64u
#define SEGV_RETRIES 64u

/** What to put into the table. */
struct segv_watch {
    uint8_t *start;
    size_t len_bytes;
    bool writable;
    int channel; /* net/fault_channel.h; -1: the kernel serves it, but for system calls */
    _Atomic uint8_t *access; /* with a channel: enum fault_access of each page; borrowed */
};

/** One mapping in the table. */
struct segv_place {
    _Atomic uintptr_t start, end; /* end 0: the place is free */
    _Atomic uint32_t count_users;
    struct segv_watch watch;
};

struct segv_chunk {
    struct segv_chunk *_Atomic next;
    struct segv_place places[SEGV_PLACES_PER_CHUNK];
};

struct segv {
    size_t page_bytes;
    struct segv_chunk first;
    _Atomic uint32_t words[SEGV_WORDS];     /* of the pages, by their number */
    _Atomic uint64_t retries[SEGV_RETRIES]; /* what a thread last tried again; see segv_wait.c */
    struct sigaction before;                /* the handler that the program had */
    /* The rest is the writers'. */
    pthread_mutex_t lock;
    uint32_t count_handlers;   /* segv_handler_add() */
    bool is_called_by_program; /* the program has replaced our handler by one of its own */
};

/** The process's one. Made on first use; NULL without memory. */
struct segv *segv_get(void);
/** The same if it has been made; async-signal-safe. */
struct segv *segv_find(void);

/** Enter a mapping. Returns its place, NULL without memory. @watch borrowed until return */
struct segv_place *segv_add(struct segv *segv, const struct segv_watch *watch);
/** Take it out: V2. */
void segv_remove(struct segv *segv, struct segv_place *place);

/** Use the place of an address; NULL when there is none. Async-signal-safe. */
struct segv_place *segv_use(struct segv *segv, uintptr_t address);
void segv_unuse(struct segv_place *place);
/**
 * The first place that overlaps [start, start + len_bytes), used; NULL when there is none.
 * Async-signal-safe.
 */
struct segv_place *segv_use_overlap(struct segv *segv, uintptr_t start, size_t len_bytes);

/** Install the handler, once for all who ask. Errors: DSM_ESYS. */
int segv_handler_add(struct segv *segv);
/** Give the program its own one back when nobody asks for ours any more. */
void segv_handler_remove(struct segv *segv);

/** Bump the words of pages and wake who waits there. */
void segv_wake(struct segv *segv, uintptr_t address, size_t len_bytes);

/** What became of a fault. */
enum segv_verdict {
    SEGV_FOREIGN, /* not ours, or a true violation of the mapping's protection */
    SEGV_AGAIN,   /* the thread is to try again */
};

/**
 * A thread of this process faulted: report it and wait until something has changed. All signals are
 * blocked; `mask` is what holds while the thread waits.
 *
 * Async-signal-safe; changes errno.
 */
enum segv_verdict segv_fault(struct segv *segv, uintptr_t address, enum access_hint hint,
                             const sigset_t *mask);

/**
 * Wait until this thread may read, or write, at an address of a place; no signal is raised unless
 * the kernel serves the place.
 *
 * Errors: DSM_EDOWN  the page is lost
 *         DSM_EACCES `write`, and the mapping is read-only
 *         DSM_EINVAL no place has this address
 */
int segv_await(struct segv *segv, uintptr_t address, bool write);

#endif
