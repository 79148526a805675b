/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Views: mappings that are release consistent (dsm_release.h).
 *
 *   base   a mapping of the region as any other, sequentially consistent; hidden from the program,
 *          which never touches it
 *   view   private memory, which the program has; its pages come when they are touched, as copies
 *          of the base, by a thread of this library
 *   twin   what each page of the view was when it last was the same as the region's
 *
 * A release merges what differs between view and twin into the base (plain stores); an acquire
 * merges what differs between base and twin into the view, for those pages that the agent says may
 * have changed (net/stale_map.h). No message, no state of the protocol is for views: to all others
 * a view is a program that stores late.
 *
 * Invariants
 *   V1 a page of the view that is filled has a twin, and both were the same as the base at some
 *      moment at which nothing in the stale map that was taken later was taken back
 *   V2 the lock is held from taking of the stale map until what it told is merged, and while a page
 *      is filled: so no copy of a time before the taking comes in after it
 *   V3 a byte of the view that differs from the twin was stored by the program; the twin becomes
 *      the view only where the base did (release), and the base's byte enters the view only where
 *      the program stored nothing (acquire)
 *   V4 a release ends after every release before it: it holds the lock, so what another thread's
 *      release found dirty is in the region when this one returns
 *   V5 a page is write-protected by the kernel's scan before it is compared, and stays noted as
 *      dirty (`all_dirty`) when it could not be merged
 *   V6 the lock order is: views->lock (shared), view->lock. Under them the base is touched, which
 *      takes the agent; never the view where it is absent
 */
#ifndef DSM_LIB_VIEW_H
#define DSM_LIB_VIEW_H

#include <pthread.h>

#include "dsm/lib/mapping.h"
#include "dsm/lib/merge.h"
#include "dsm/lib/session.h"
#include "dsm_release.h"
#include "net/stale_map.h"

/** What a view lets its users see of the kernel (view_kernel.c). */
struct view_watch {
    int uffd;
    bool is_tracked; /* the kernel notes which pages are written */
};

struct view {
    struct view *next;
    struct dsm *dsm;
    struct mapping *base; /* lives as long as the view */
    uint32_t id;
    uint32_t page_bytes; /* of the hardware */
    uint32_t region_page;
    uint8_t *address, *twin;
    uint64_t len_bytes;
    struct view_watch watch;
    struct stale_map stale;
    pthread_mutex_t lock;
    /* The rest is under the lock. */
    uint64_t *filled; /* one bit a page */
    bool all_dirty;   /* of the filled ones each may be */
    uint64_t next_fill;
    uint32_t count_ahead; /* pages that were filled at once last */
    struct dsm_release_stat stat;
};

/** Errors: DSM_ESYS. */
int views_init(struct views *views);
/** Release and remove all of them, while the agent still serves. */
void views_close(struct dsm *dsm);
void views_close_in_child(struct views *views);
/** dsm_shm_map() with DSM_RELEASE; `wish` without it. */
int view_map(struct dsm_region *region, const struct mapping_wish *wish, void **mapped);
/**
 * Release and remove the view that the program knows by this address.
 *
 * @error set when the release failed
 *
 * Returns its base's number, for mapping_tell_gone(); 0: there is no such view.
 */
map_id view_remove_at(struct dsm *dsm, const void *mapped, int *error);
/**
 * Make a view's memory inaccessible, without its lock: the agent is gone. Called by the fence after
 * the base was fenced and its waiters were woken.
 */
void view_fence(struct view *view);

/** Release, acquire in every view of the session, or of one region. @region NULL: all. */
int views_release(struct dsm *dsm, const region_id *region);
int views_acquire(struct dsm *dsm, const region_id *region);

/* For the other files of views. */

/** Start the thread that fills, unless it runs; under views->lock. Errors: DSM_ESYS, DSM_ENOMEM */
int views_serve(struct dsm *dsm);
/** Have the thread watch one more. Errors: DSM_ESYS, DSM_ENOMEM */
int views_watch(struct dsm *dsm, const struct view *view);
/** Release, acquire one view; the caller has views->lock. */
int view_release(struct view *view);
int view_acquire(struct view *view);
bool view_is_filled(const struct view *view, uint64_t page);
void view_set_filled(struct view *view, uint64_t page, uint64_t count);
/** The page can be had no more: touching it is an error from now on. */
void view_lose(struct view *view, uint64_t page);

/**
 * Watch the view and the twin for touches of absent pages.
 *
 * Errors: DSM_ENOTSUP, DSM_EPERM, DSM_ESYS, DSM_ENOMEM, with a sentence
 */
int view_watch_start(struct view *view, char *text);
/** Put `len_bytes` of the base into twin and view, absent ones. Returns the bytes done. */
uint64_t view_copy(struct view *view, uint64_t offset, uint64_t len_bytes);
/** Let who waits there look again. */
void view_wake(const struct view *view, uint64_t offset, uint64_t len_bytes);
/** Make absent pages an error to touch, and wake. */
void view_poison(struct view *view, uint64_t offset, uint64_t len_bytes);

/** Runs of pages that may have been written since the last scan. */
#define VIEW_RUNS 512u
struct view_run {
    uint64_t page, count;
};
/**
 * Find pages of [page, end) that were written, and have them noted anew from now on.
 *
 * @all  whatever is noted: each page that is filled
 * @next written: where to go on
 *
 * Returns the runs found, VIEW_RUNS at most.
 */
uint32_t view_scan(const struct view *view, bool all, uint64_t page, uint64_t end,
                   struct view_run *runs, uint64_t *next);

#endif
