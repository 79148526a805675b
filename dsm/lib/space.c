/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/space.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dsm.h"
#include "dsm/lib/view.h"

int space_init(struct space *space, struct fault *fault)
{
    memset(space, 0, sizeof *space);
    space->fault = fault;
    if (pthread_mutex_init(&space->lock, NULL) != 0) {
        return DSM_ESYS;
    }
    if (pthread_cond_init(&space->unused, NULL) != 0) {
        (void)pthread_mutex_destroy(&space->lock);
        return DSM_ESYS;
    }
    return 0;
}

static void mapping_unmap(struct space *space, struct mapping *mapping)
{
    const struct fault_ops *ops = space->fault->ops;

    /* In this order: no order of the agent may reach what is mapped there next, and a thread that
     * is woken must not find the range mapped. */
    ops->retire(&mapping->fault);
    (void)munmap(mapping->address, mapping->len_bytes);
    ops->wake(&mapping->fault, mapping->address, mapping->len_bytes);
    ops->stop(&mapping->fault, false);
}

void space_close(struct space *space)
{
    for (size_t i = 0; i < space->count; i++) {
        mapping_unmap(space, space->list[i]);
        free(space->list[i]);
    }
    free(space->list);
    (void)pthread_cond_destroy(&space->unused);
    (void)pthread_mutex_destroy(&space->lock);
}

void space_close_in_child(struct space *space)
{
    for (size_t i = 0; i < space->count; i++) {
        space->fault->ops->stop(&space->list[i]->fault, true);
        free(space->list[i]);
    }
    free(space->list);
}

/* The first index whose mapping does not start before address. */
static size_t index_at(const struct space *space, const void *address)
{
    size_t low = 0, high = space->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if ((uintptr_t)space->list[middle]->address < (uintptr_t)address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int list_insert(struct space *space, struct mapping *mapping)
{
    size_t at;

    if (space->fenced) {
        return DSM_ENOAGENT;
    }
    if (space->count == space->capacity) {
        size_t capacity = space->capacity ? space->capacity * 2 : 16;
        struct mapping **list = realloc(space->list, capacity * sizeof(*list));

        if (list == NULL) {
            return DSM_ENOMEM;
        }
        space->list = list;
        space->capacity = capacity;
    }
    at = index_at(space, mapping->address);
    memmove(space->list + at + 1, space->list + at, (space->count - at) * sizeof(*space->list));
    space->list[at] = mapping;
    space->count++;
    return 0;
}

int space_add(struct space *space, struct mapping *mapping)
{
    int error;

    (void)pthread_mutex_lock(&space->lock);
    error = list_insert(space, mapping);
    (void)pthread_mutex_unlock(&space->lock);
    return error;
}

int space_set_ready(struct space *space, struct mapping *mapping)
{
    int error;

    (void)pthread_mutex_lock(&space->lock);
    error = mapping->fenced ? DSM_ENOAGENT : 0;
    mapping->ready = error == 0;
    (void)pthread_mutex_unlock(&space->lock);
    return error;
}

int space_set_view(struct space *space, struct mapping *base, struct view *view)
{
    int error;

    (void)pthread_mutex_lock(&space->lock);
    error = base->fenced && view != NULL ? DSM_ENOAGENT : 0;
    base->view = error == 0 ? view : NULL;
    (void)pthread_mutex_unlock(&space->lock);
    return error;
}

/* Under the lock, which it lets go while it waits; `leaving` keeps new users and other removers
 * out. */
static map_id remove_locked(struct space *space, struct mapping *mapping)
{
    map_id map = mapping->map;
    size_t at;

    mapping->leaving = true;
    while (mapping->count_users > 0) {
        (void)pthread_cond_wait(&space->unused, &space->lock);
    }
    mapping_unmap(space, mapping);
    at = index_at(space, mapping->address);
    memmove(space->list + at, space->list + at + 1, (space->count - at - 1) * sizeof(*space->list));
    space->count--;
    free(mapping);
    return map;
}

map_id space_remove(struct space *space, struct mapping *mapping)
{
    map_id map;

    (void)pthread_mutex_lock(&space->lock);
    map = remove_locked(space, mapping);
    (void)pthread_mutex_unlock(&space->lock);
    return map;
}

map_id space_remove_at(struct space *space, const void *address)
{
    map_id map = 0;
    size_t at;

    (void)pthread_mutex_lock(&space->lock);
    /* The last one that starts at or before it. */
    at = index_at(space, (const uint8_t *)address + 1);
    if (at > 0) {
        struct mapping *mapping = space->list[at - 1];

        if (mapping->address + mapping->lead_bytes == address && mapping->window_of == NULL &&
            !mapping->is_base && mapping->ready && !mapping->leaving) {
            map = remove_locked(space, mapping);
        }
    }
    (void)pthread_mutex_unlock(&space->lock);
    return map;
}

map_id space_remove_window(struct space *space, const struct dsm_region *handle)
{
    map_id map = 0;

    (void)pthread_mutex_lock(&space->lock);
    for (size_t i = 0; i < space->count && map == 0; i++) {
        struct mapping *mapping = space->list[i];

        if (mapping->window_of == handle && mapping->ready && !mapping->leaving &&
            mapping->count_users == 0) {
            map = remove_locked(space, mapping);
        }
    }
    (void)pthread_mutex_unlock(&space->lock);
    return map;
}

struct mapping *space_borrow(struct space *space, const struct dsm_region *handle, region_id region,
                             uint64_t offset, int protection)
{
    struct mapping *found = NULL;

    (void)pthread_mutex_lock(&space->lock);
    for (size_t i = 0; i < space->count && found == NULL; i++) {
        struct mapping *mapping = space->list[i];

        if (mapping->ready && !mapping->leaving && !mapping->is_base &&
            region_id_equal(mapping->region, region) &&
            (mapping->window_of == NULL || mapping->window_of == handle) &&
            (mapping->protection & protection) == protection && offset >= mapping->offset &&
            offset - mapping->offset < mapping->len_bytes) {
            found = mapping;
            found->count_users++;
        }
    }
    (void)pthread_mutex_unlock(&space->lock);
    return found;
}

void space_return(struct space *space, struct mapping *mapping)
{
    (void)pthread_mutex_lock(&space->lock);
    mapping->count_users--;
    if (mapping->count_users == 0) {
        (void)pthread_cond_broadcast(&space->unused);
    }
    (void)pthread_mutex_unlock(&space->lock);
}

bool space_is_fenced(struct space *space)
{
    bool fenced;

    (void)pthread_mutex_lock(&space->lock);
    fenced = space->fenced;
    (void)pthread_mutex_unlock(&space->lock);
    return fenced;
}

/*
 * Straight to the descriptor: the thread that holds the lock of stderr may be the one that is
 * blocked in a fault. And only if it does not block: a full pipe must not keep the fence from
 * falling.
 */
static void say_fenced(const struct mapping *mapping, const char *node_name)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    char line[RECORD_NAME_BYTES * 2 + 160];
    int len;

    len = snprintf(line, sizeof line,
                   "dsm: the agent of node '%s' is gone: region '%s' (%p, %" PRIu64
                   " bytes) is fenced; touching it is an error\n",
                   node_name, mapping->name, (void *)mapping->address, mapping->len_bytes);
    if (len > 0 && poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) != 0) {
        ssize_t written = write(STDERR_FILENO, line, (size_t)len);

        (void)written; /* There is nobody else to tell. */
    }
}

static void mapping_fence(struct space *space, struct mapping *mapping)
{
    void *fence;

    space->fault->ops->retire(&mapping->fault);
    fence = mmap(mapping->address, mapping->len_bytes, PROT_NONE,
                 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fence == MAP_FAILED && mprotect(mapping->address, mapping->len_bytes, PROT_NONE) != 0) {
        /* Memory that nobody keeps coherent any more must not stay readable at any price. */
        abort();
    }
    mapping->fenced = true;
}

void space_fence(struct space *space, const char *node_name)
{
    (void)pthread_mutex_lock(&space->lock);
    space->fenced = true;
    /* The word comes before the deed: the first touch after it may end the process. */
    for (size_t i = 0; i < space->count; i++) {
        if (space->list[i]->window_of == NULL && space->list[i]->ready) {
            say_fenced(space->list[i], node_name);
        }
    }
    for (size_t i = 0; i < space->count; i++) {
        mapping_fence(space, space->list[i]);
    }
    for (size_t i = 0; i < space->count; i++) {
        struct mapping *mapping = space->list[i];

        space->fault->ops->wake(&mapping->fault, mapping->address, mapping->len_bytes);
        if (mapping->view != NULL) {
            view_fence(mapping->view);
        }
    }
    (void)pthread_mutex_unlock(&space->lock);
}
