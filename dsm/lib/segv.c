/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/segv.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The handler has no argument of ours; this is where it finds what it needs. */
static struct segv *_Atomic process_segv;

struct segv *segv_find(void)
{
    return atomic_load(&process_segv);
}

/* A fork waits until no thread is changing the table: the child looks at it without a lock. */
static void on_fork(void)
{
    (void)pthread_mutex_lock(&segv_find()->lock);
}

static void on_fork_parent(void)
{
    (void)pthread_mutex_unlock(&segv_find()->lock);
}

/*
 * Where MADV_DONTFORK is ignored (emulators), the child has the ranges, with the rights of the
 * moment, and no order would ever reach it: so they go, before it runs anything else. Where it is
 * not, nothing is there.
 */
static void on_fork_child(void)
{
    struct segv *segv = segv_find();

    for (struct segv_chunk *chunk = &segv->first; chunk != NULL; chunk = chunk->next) {
        for (size_t i = 0; i < SEGV_PLACES_PER_CHUNK; i++) {
            struct segv_place *place = &chunk->places[i];

            if (place->end != 0) {
                (void)munmap(place->watch.start, place->watch.len_bytes);
                place->end = 0;
            }
            place->count_users = 0;
        }
    }
    (void)pthread_mutex_unlock(&segv->lock);
}

struct segv *segv_get(void)
{
    struct segv *made, *found = segv_find();

    if (found != NULL) {
        return found;
    }
    made = calloc(1, sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    made->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    if (pthread_mutex_init(&made->lock, NULL) != 0) {
        free(made);
        return NULL;
    }
    if (!atomic_compare_exchange_strong(&process_segv, &found, made)) {
        (void)pthread_mutex_destroy(&made->lock);
        free(made);
        return found;
    }
    /* Fails without memory only; then MADV_DONTFORK alone keeps the child out. */
    (void)pthread_atfork(on_fork, on_fork_parent, on_fork_child);
    return made;
}

/* Under the lock. */
static struct segv_place *place_free(struct segv *segv)
{
    struct segv_chunk *chunk = &segv->first;

    for (;;) {
        for (size_t i = 0; i < SEGV_PLACES_PER_CHUNK; i++) {
            if (chunk->places[i].end == 0) {
                return &chunk->places[i];
            }
        }
        if (chunk->next == NULL) {
            struct segv_chunk *more = calloc(1, sizeof *more);

            if (more == NULL) {
                return NULL;
            }
            atomic_store(&chunk->next, more);
        }
        chunk = chunk->next;
    }
}

struct segv_place *segv_add(struct segv *segv, const struct segv_watch *watch)
{
    struct segv_place *place;

    (void)pthread_mutex_lock(&segv->lock);
    place = place_free(segv);
    if (place != NULL) {
        place->watch = *watch;
        atomic_store(&place->start, (uintptr_t)watch->start);
        atomic_store(&place->end, (uintptr_t)watch->start + watch->len_bytes);
    }
    (void)pthread_mutex_unlock(&segv->lock);
    return place;
}

void segv_remove(struct segv *segv, struct segv_place *place)
{
    (void)pthread_mutex_lock(&segv->lock);
    atomic_store(&place->end, 0);
    /* Each looks for a moment, waits for nobody, and cannot be interrupted. */
    while (atomic_load(&place->count_users) > 0) {
        (void)sched_yield();
    }
    (void)pthread_mutex_unlock(&segv->lock);
}

/* Counted first: who sees the place as it was after that keeps segv_remove() waiting. */
static bool place_use(struct segv_place *place, uintptr_t first, uintptr_t last)
{
    uintptr_t end = atomic_load(&place->end);

    if (end <= first || atomic_load(&place->start) > last) {
        return false;
    }
    (void)atomic_fetch_add(&place->count_users, 1);
    end = atomic_load(&place->end);
    if (end > first && atomic_load(&place->start) <= last) {
        return true;
    }
    (void)atomic_fetch_sub(&place->count_users, 1);
    return false;
}

static struct segv_place *use_first(struct segv *segv, uintptr_t first, uintptr_t last)
{
    for (struct segv_chunk *chunk = &segv->first; chunk != NULL;
         chunk = atomic_load(&chunk->next)) {
        for (size_t i = 0; i < SEGV_PLACES_PER_CHUNK; i++) {
            if (place_use(&chunk->places[i], first, last)) {
                return &chunk->places[i];
            }
        }
    }
    return NULL;
}

struct segv_place *segv_use(struct segv *segv, uintptr_t address)
{
    return use_first(segv, address, address);
}

struct segv_place *segv_use_overlap(struct segv *segv, uintptr_t start, size_t len_bytes)
{
    return use_first(segv, start, start + (len_bytes - 1));
}

void segv_unuse(struct segv_place *place)
{
    (void)atomic_fetch_sub(&place->count_users, 1);
}
