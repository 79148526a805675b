/* SPDX-License-Identifier: Apache-2.0 */
/* Making and removing views. */
#include "dsm/lib/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dsm.h"

int views_init(struct views *views)
{
    const char *races = getenv("DSM_RACES");

    *views = (struct views){.epoll = -1, .stop = -1, .pagemap = -1};
    views->tells_races = races != NULL && strcmp(races, "1") == 0;
    return pthread_rwlock_init(&views->lock, NULL) == 0 ? 0 : DSM_ESYS;
}

static void descriptors_close(struct views *views)
{
    int descriptors[] = {views->epoll, views->stop, views->pagemap};

    for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0]; i++) {
        if (descriptors[i] >= 0) {
            (void)close(descriptors[i]);
        }
    }
}

void views_close_in_child(struct views *views)
{
    for (struct view *view = views->list; view != NULL; view = view->next) {
        (void)close(view->watch.uffd);
    }
    descriptors_close(views);
}

bool view_is_filled(const struct view *view, uint64_t page)
{
    return (view->filled[page / 64] >> page % 64 & 1) != 0;
}

void view_set_filled(struct view *view, uint64_t page, uint64_t count)
{
    for (uint64_t end = page + count; page < end; page++) {
        view->filled[page / 64] |= UINT64_C(1) << page % 64;
    }
}

/* It counts as not filled: nothing is merged, and what is poisoned is no touch that is told. */
void view_lose(struct view *view, uint64_t page)
{
    uint64_t offset = page * view->page_bytes;

    view->filled[page / 64] &= ~(UINT64_C(1) << page % 64);
    (void)madvise(view->address + offset, view->page_bytes, MADV_DONTNEED);
    (void)madvise(view->twin + offset, view->page_bytes, MADV_DONTNEED);
    view_poison(view, offset, view->page_bytes);
}

void view_fence(struct view *view)
{
    void *fence = mmap(view->address, view->len_bytes, PROT_NONE,
                       MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (fence == MAP_FAILED && mprotect(view->address, view->len_bytes, PROT_NONE) != 0) {
        abort(); /* As for its base: it must not stay readable at any price. */
    }
    view_wake(view, 0, view->len_bytes);
}

/* What was made of it; the base is the caller's. Nobody else knows it any more. */
static void view_free(struct view *view)
{
    (void)space_set_view(&view->dsm->space, view->base, NULL);
    if (view->address != NULL) {
        (void)munmap(view->address, view->len_bytes);
        view_wake(view, 0, view->len_bytes);
    }
    if (view->twin != NULL) {
        (void)munmap(view->twin, view->len_bytes);
    }
    if (view->watch.uffd >= 0) {
        (void)close(view->watch.uffd);
    }
    stale_map_close(&view->stale);
    free(view->filled);
    (void)pthread_mutex_destroy(&view->lock);
    free(view);
}

/* --- making --- */

static int make_fail(struct dsm_region *region, int error)
{
    return session_fail(region->handle.dsm, error, "map region '%s' release consistent: %s",
                        region->handle.name, strerror(errno));
}

/* A child must not find copies that nobody keeps up to date. */
static int memory_open(uint8_t *memory, uint64_t len_bytes)
{
    if (madvise(memory, len_bytes, MADV_DONTFORK) != 0 ||
        (madvise(memory, len_bytes, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) ||
        mprotect(memory, len_bytes, PROT_READ | PROT_WRITE) != 0) {
        return errno == ENOMEM ? DSM_ENOMEM : DSM_ESYS;
    }
    return 0;
}

static int memory_make(struct dsm_region *region, const struct mapping_wish *wish,
                       struct view *view)
{
    struct mapping_wish anywhere = {.len_bytes = wish->len_bytes};
    int error = mapping_reserve(region, wish, view->len_bytes, &view->address);

    if (error == 0) {
        error = mapping_reserve(region, &anywhere, view->len_bytes, &view->twin);
    }
    if (error != 0) {
        return error;
    }
    error = memory_open(view->address, view->len_bytes);
    if (error == 0) {
        error = memory_open(view->twin, view->len_bytes);
    }
    return error == 0 ? 0 : make_fail(region, error);
}

static int follow(struct dsm_region *region, uint64_t count_pages, struct view *view)
{
    struct session_request request = {.kind = SESSION_FOLLOW, .map = view->base->map};
    struct deed deed = {.verb = "map region release consistent", .name = region->handle.name};
    struct answer answer;
    int error = session_ask(region->handle.dsm, &deed, &request, -1, SESSION_TIMEOUT_MS, &answer);

    if (error != 0) {
        return error;
    }
    error = answer.descriptor >= 0          ? stale_map_open(count_pages, answer.descriptor,
                                                             &view->stale)
            : answer.descriptor_was_lost ? DSM_ESYS
                                         : DSM_EPROTO;
    if (answer.descriptor >= 0) {
        (void)close(answer.descriptor);
    }
    return error == 0 ? 0 : session_fail_deed(region->handle.dsm, error, &deed);
}

/* @view returned, release with view_free(). Errors: DSM_ENOMEM, DSM_ESYS */
static int view_new(struct dsm_region *region, struct mapping *base, struct view **view)
{
    struct dsm *dsm = region->handle.dsm;
    uint64_t pages = base->len_bytes / dsm->page_bytes;
    struct view *new = calloc(1, sizeof *new);
    int error = DSM_ENOMEM;

    if (new == NULL) {
        return error;
    }
    new->filled = calloc((size_t)((pages + 63) / 64), sizeof *new->filled);
    if (new->filled == NULL) {
        goto free_new;
    }
    if (pthread_mutex_init(&new->lock, NULL) != 0) {
        error = DSM_ESYS;
        goto free_filled;
    }
    new->dsm = dsm;
    new->base = base;
    new->page_bytes = (uint32_t)dsm->page_bytes;
    new->region_page = region->page_size;
    new->len_bytes = base->len_bytes;
    new->watch.uffd = -1;
    *view = new;
    return 0;

free_filled:
    free(new->filled);
free_new:
    free(new);
    return error;
}

/* Into the list, and under the thread's eyes. */
static int view_enter(struct dsm *dsm, struct view *view)
{
    int error;

    (void)pthread_rwlock_wrlock(&dsm->views.lock);
    error = views_serve(dsm);
    if (error == 0) {
        view->id = ++dsm->views.last_id;
        error = views_watch(dsm, view);
    }
    if (error == 0) {
        view->next = dsm->views.list;
        dsm->views.list = view;
        dsm->views.count++;
    }
    (void)pthread_rwlock_unlock(&dsm->views.lock);
    return error;
}

static int view_make(struct dsm_region *region, const struct mapping_wish *wish,
                     struct view *view)
{
    uint64_t count_pages = (wish->len_bytes + view->base->lead_bytes + region->page_size - 1) /
                           region->page_size;
    struct dsm *dsm = region->handle.dsm;
    char text[TEXT_BYTES_MAX];
    int error = memory_make(region, wish, view);

    if (error != 0) {
        return error;
    }
    error = view_watch_start(view, text);
    if (error != 0) {
        return session_fail(dsm, error, "map region '%s': %s", region->handle.name, text);
    }
    error = follow(region, count_pages, view);
    if (error != 0) {
        return error;
    }
    error = space_set_view(&dsm->space, view->base, view);
    if (error == 0) {
        error = view_enter(dsm, view);
    }
    return error == 0 ? 0 : make_fail(region, error);
}

static void pagemap_open(struct dsm *dsm)
{
    (void)pthread_rwlock_wrlock(&dsm->views.lock);
    if (dsm->views.pagemap < 0) {
        dsm->views.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    }
    (void)pthread_rwlock_unlock(&dsm->views.lock);
}

int view_map(struct dsm_region *region, const struct mapping_wish *wish, void **mapped)
{
    struct mapping_wish base_wish = *wish;
    struct dsm *dsm = region->handle.dsm;
    char text[TEXT_BYTES_MAX];
    struct view *view = NULL;
    struct mapping *base;
    int error = session_check(dsm);

    if (error == 0) {
        error = mapping_check(region, wish);
    }
    if (error != 0) {
        return error;
    }
    error = fault_choose(&dsm->fault, text);
    if (error != 0) {
        return session_fail(dsm, error, "map region '%s': %s", region->handle.name, text);
    }
    if (wish->protection == DSM_READ || !dsm->fault.ops->system_calls) {
        error = mapping_make(region, wish, &base); /* stronger than was asked for */
        if (error == 0) {
            *mapped = base->address + base->lead_bytes;
        }
        return error;
    }
    pagemap_open(dsm);
    base_wish.address = NULL;
    base_wish.is_base = true;
    error = mapping_make(region, &base_wish, &base);
    if (error != 0) {
        return error;
    }
    error = view_new(region, base, &view);
    error = error != 0 ? session_fail(dsm, error, "map region '%s': %s", region->handle.name,
                                      dsm_strerror(error))
                       : view_make(region, wish, view);
    if (error != 0) {
        dsm_last_error(dsm, text, sizeof text);
        if (view != NULL) {
            view_free(view);
        }
        mapping_tell_gone(dsm, region->handle.name, space_remove(&dsm->space, base));
        return session_fail(dsm, error, "%s", text);
    }
    *mapped = view->address + base->lead_bytes;
    return 0;
}

/* --- removing --- */

static struct view *view_take(struct views *views, const void *mapped)
{
    struct view **at, *view;

    (void)pthread_rwlock_wrlock(&views->lock);
    for (at = &views->list; *at != NULL; at = &(*at)->next) {
        if (mapped == NULL || (*at)->address + (*at)->base->lead_bytes == mapped) {
            break;
        }
    }
    view = *at;
    if (view != NULL) {
        *at = view->next;
        views->count--;
    }
    (void)pthread_rwlock_unlock(&views->lock);
    return view;
}

map_id view_remove_at(struct dsm *dsm, const void *mapped, int *error)
{
    struct view *view = mapped == NULL ? NULL : view_take(&dsm->views, mapped);
    struct mapping *base;

    if (view == NULL) {
        return 0;
    }
    *error = view_release(view);
    base = view->base;
    view_free(view);
    return space_remove(&dsm->space, base);
}

void views_close(struct dsm *dsm)
{
    struct views *views = &dsm->views;
    uint64_t one = 1;
    struct view *view;

    while ((view = view_take(views, NULL)) != NULL) {
        if (!space_is_fenced(&dsm->space)) {
            (void)view_release(view);
        }
        view_free(view);
    }
    if (views->serving) {
        while (write(views->stop, &one, sizeof one) < 0 && errno == EINTR) {
        }
        (void)pthread_join(views->thread, NULL);
    }
    descriptors_close(views);
    (void)pthread_rwlock_destroy(&views->lock);
}
