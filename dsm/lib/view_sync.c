/* SPDX-License-Identifier: Apache-2.0 */
/* Release and acquire of a view: merging with its base, which is the region. */
#include "dsm/lib/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dsm.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/* Pages that are asked for at once. */
#define CHUNK_PAGES 256u
#define RACES_TOLD_MAX 16u

static struct merge merge_of(const struct view *view, uint64_t page)
{
    uint64_t offset = page * view->page_bytes;

    return (struct merge){
        .view = (_Atomic uint64_t *)(void *)(view->address + offset),
        .twin = (uint64_t *)(void *)(view->twin + offset),
        .base = (_Atomic uint64_t *)(void *)(view->base->address + offset),
        .len_bytes = view->page_bytes,
    };
}

/* Straight to the descriptor, as the fence does: a report must not wait for stdio's lock. */
static void tell_race(struct view *view, uint64_t page, const struct merge_outcome *outcome)
{
    struct views *views = &view->dsm->views;
    char line[RECORD_NAME_BYTES * 2 + 256];
    ssize_t written;
    int len;

    view->stat.races += outcome->count_races;
    if (outcome->count_races == 0 || !views->tells_races ||
        atomic_fetch_add(&views->count_told, 1) >= RACES_TOLD_MAX) {
        return;
    }
    len = snprintf(line, sizeof line,
                   "dsm: data race: region '%s' offset %" PRIu64
                   ": process %ld of node '%s' and another one have written it, in no order; words "
                   "of this page: %" PRIu64 "\n",
                   view->base->name,
                   view->base->offset + page * view->page_bytes + outcome->first_race,
                   (long)view->dsm->pid, view->dsm->node_name, outcome->count_races);
    if (len > 0) {
        written = write(STDERR_FILENO, line, (size_t)len);
        (void)written; /* There is nobody else to tell. */
    }
}

/* The base's pages cannot be had: the first that is lost is told. */
static int lost(struct view *view, uint64_t page)
{
    struct dsm *dsm = view->dsm;

    if (space_is_fenced(&dsm->space)) {
        return session_fail(dsm, DSM_ENOAGENT, "region '%s': the agent of node '%s' is gone",
                            view->base->name, dsm->node_name);
    }
    return session_fail(dsm, DSM_EDOWN,
                        "region '%s': the page at offset %" PRIu64
                        " is lost with the node that had it; the log of the agent of '%s' names it",
                        view->base->name, view->base->offset + page * view->page_bytes,
                        dsm->node_name);
}

/* Have pages of the base here, to read or to write. False: one of them is lost. */
static bool have(const struct view *view, uint64_t page, uint64_t count, int advice)
{
    int result;

    do {
        result = madvise(view->base->address + page * view->page_bytes, count * view->page_bytes,
                         advice);
    } while (result != 0 && (errno == EINTR || errno == EAGAIN));
    return result == 0;
}

/* --- release --- */

/* Pages of one run that are dirty, side by side: those that are not in between are not asked for.
 */
static int release_dirty(struct view *view, uint64_t page, uint64_t count)
{
    struct dsm_release_stat *stat = &view->stat;
    bool whole = have(view, page, count, MADV_POPULATE_WRITE);
    int error = 0;

    for (uint64_t end = page + count; page < end; page++) {
        struct merge_outcome outcome = {0};
        struct merge merge;

        if (!whole && !have(view, page, 1, MADV_POPULATE_WRITE)) {
            error = lost(view, page);
            view->all_dirty = true; /* V5 */
            continue;
        }
        merge = merge_of(view, page);
        merge_out(&merge, &outcome);
        tell_race(view, page, &outcome);
        stat->pages_released += outcome.count_bytes != 0;
        stat->bytes_released += outcome.count_bytes;
    }
    return error;
}

static int release_run(struct view *view, const struct view_run *run)
{
    uint64_t end = run->page + run->count, first = run->page;
    int error = 0, failed;

    for (uint64_t page = run->page; page <= end; page++) {
        bool is_dirty = false;

        if (page < end && view_is_filled(view, page)) {
            struct merge merge = merge_of(view, page);

            is_dirty = merge_is_dirty(&merge);
        }
        if (is_dirty && page - first < CHUNK_PAGES) {
            continue;
        }
        if (page > first) {
            failed = release_dirty(view, first, page - first);
            error = failed != 0 ? failed : error;
        }
        first = is_dirty ? page : page + 1;
    }
    return error;
}

static int release_range(struct view *view, bool all, uint64_t page, uint64_t end)
{
    struct view_run runs[VIEW_RUNS];
    int error = 0, failed;
    uint64_t next;

    while (page < end) {
        uint32_t count = view_scan(view, all, page, end, runs, &next);

        for (uint32_t i = 0; i < count; i++) {
            failed = release_run(view, &runs[i]);
            error = failed != 0 ? failed : error;
        }
        page = next > page ? next : end;
    }
    return error;
}

/*
 * Nodes that release the same pages at the same time begin at different ones, so that they take
 * turns at halves and not at each page: nodes of names that follow each other are as far apart as
 * can be, however many there are (multiples of the golden ratio).
 */
static uint64_t first_page(const struct view *view, uint64_t count)
{
    uint32_t sum = 0;

    for (const char *at = view->dsm->node_name; *at != '\0'; at++) {
        sum += (uint8_t)*at;
    }
    return (uint64_t)(sum * UINT32_C(2654435769)) * (count >> 5) >> 27;
}

static int release_locked(struct view *view)
{
    uint64_t end = view->len_bytes / view->page_bytes, first = first_page(view, end);
    bool all = view->all_dirty;
    int error, second;

    view->all_dirty = false;
    error = release_range(view, all, first, end);
    second = release_range(view, all, 0, first);
    return error != 0 ? error : second;
}

int view_release(struct view *view)
{
    int error;

    (void)pthread_mutex_lock(&view->lock);
    error = release_locked(view);
    (void)pthread_mutex_unlock(&view->lock);
    return error;
}

/* --- acquire --- */

/* Filled pages side by side that may have changed. */
struct acquisition {
    struct view *view;
    uint64_t page, count;
    int error;
};

static void acquire_pages(struct acquisition *at)
{
    struct view *view = at->view;
    bool whole = at->count == 0 || have(view, at->page, at->count, MADV_POPULATE_READ);

    for (uint64_t page = at->page; page < at->page + at->count; page++) {
        struct merge_outcome outcome = {0};
        struct merge merge;

        if (!whole && !have(view, page, 1, MADV_POPULATE_READ)) {
            at->error = lost(view, page);
            view_lose(view, page);
            continue;
        }
        merge = merge_of(view, page);
        merge_in(&merge, &outcome);
        tell_race(view, page, &outcome);
        view->stat.pages_acquired++;
        view->stat.bytes_acquired += outcome.count_bytes;
    }
    at->count = 0;
}

/* Region pages, which are larger or smaller than the hardware's. */
static void on_stale(void *context, uint64_t page, uint64_t count)
{
    struct acquisition *at = context;
    const struct view *view = at->view;
    uint64_t first = page * view->region_page / view->page_bytes;
    uint64_t end = ((page + count) * view->region_page + view->page_bytes - 1) / view->page_bytes;

    if (first < at->page + at->count) {
        first = at->page + at->count; /* two region pages of one of the hardware's */
    }
    for (; first < end; first++) {
        if (!view_is_filled(view, first)) {
            continue;
        }
        if (first != at->page + at->count || at->count == CHUNK_PAGES) {
            acquire_pages(at);
            at->page = first;
        }
        at->count++;
    }
}

int view_acquire(struct view *view)
{
    struct acquisition at = {.view = view};

    (void)pthread_mutex_lock(&view->lock);
    stale_map_take(&view->stale, on_stale, &at);
    acquire_pages(&at);
    (void)pthread_mutex_unlock(&view->lock);
    return at.error;
}

/* --- all views of a session --- */

static int each(struct dsm *dsm, const region_id *region, int (*act)(struct view *view))
{
    int error = 0, failed;

    if (atomic_load_explicit(&dsm->views.count, memory_order_acquire) == 0) {
        return 0;
    }
    (void)pthread_rwlock_rdlock(&dsm->views.lock);
    for (struct view *view = dsm->views.list; view != NULL; view = view->next) {
        if (region == NULL || region_id_equal(view->base->region, *region)) {
            failed = act(view);
            error = failed != 0 ? failed : error;
        }
    }
    (void)pthread_rwlock_unlock(&dsm->views.lock);
    return error;
}

int views_release(struct dsm *dsm, const region_id *region)
{
    return each(dsm, region, view_release);
}

int views_acquire(struct dsm *dsm, const region_id *region)
{
    return each(dsm, region, view_acquire);
}

int dsm_release(struct dsm_region *region)
{
    int error = session_check(region->handle.dsm);

    return error != 0 ? error : views_release(region->handle.dsm, &region->handle.id);
}

int dsm_acquire(struct dsm_region *region)
{
    int error = session_check(region->handle.dsm);

    return error != 0 ? error : views_acquire(region->handle.dsm, &region->handle.id);
}

static void stat_add(struct dsm_release_stat *sum, const struct dsm_release_stat *of)
{
    sum->pages_filled += of->pages_filled;
    sum->pages_released += of->pages_released;
    sum->bytes_released += of->bytes_released;
    sum->pages_acquired += of->pages_acquired;
    sum->bytes_acquired += of->bytes_acquired;
    sum->races += of->races;
}

int dsm_release_stat_get(struct dsm_region *region, struct dsm_release_stat *stat)
{
    struct dsm *dsm = region->handle.dsm;
    struct dsm_release_stat sum = {0};
    int error = session_check(dsm);

    if (error != 0) {
        return error;
    }
    (void)pthread_rwlock_rdlock(&dsm->views.lock);
    for (struct view *view = dsm->views.list; view != NULL; view = view->next) {
        if (region_id_equal(view->base->region, region->handle.id)) {
            (void)pthread_mutex_lock(&view->lock);
            stat_add(&sum, &view->stat);
            (void)pthread_mutex_unlock(&view->lock);
            sum.count_views++;
            sum.is_tracked = view->watch.is_tracked;
        }
    }
    (void)pthread_rwlock_unlock(&dsm->views.lock);
    *stat = sum;
    return 0;
}
