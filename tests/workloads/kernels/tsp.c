/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tsp: the shortest round trip through all cities, by branch and bound. Beginnings of tours are in
 * a queue that all ranks share; each takes the next one under a mutex and tries all tours that
 * begin so, leaving off as soon as one cannot be shorter than the shortest that anybody has found.
 * That bound is a plain number of the region: all read it all the time from copies of their own,
 * and it travels only when it has become better, which happens under another mutex.
 *
 * Checked: by dynamic programming over subsets of cities (Held & Karp 1962), by rank 0 alone.
 */
#include "job.h"

#include <stdatomic.h>
#include <stdlib.h>

#define CITIES_MAX 20u
#define PREFIX 4u /* cities of a beginning, the first included */
#define BEGINNINGS_MAX (19u * 18u * 17u)

/* The queue is written once and taken from; the bound is read always: each has pages of its own. */
struct shared {
    uint32_t count, next; /* of beginnings */
    uint8_t beginning[BEGINNINGS_MAX][PREFIX];
    uint8_t rest[2 * JOB_PAGE_BYTES + JOB_PAGE_BYTES * 4 - 8 - BEGINNINGS_MAX * PREFIX];
    _Atomic uint32_t shortest;
    uint8_t of_shortest[JOB_PAGE_BYTES - 4];
};
_Static_assert(sizeof(struct shared) == 7 * JOB_PAGE_BYTES, "whole pages");

struct search {
    struct job *job;
    struct shared *shared;
    uint32_t count; /* cities */
    uint32_t distance[CITIES_MAX][CITIES_MAX];
    uint32_t least[CITIES_MAX]; /* of a city, to any other */
};

/* Names of the mutexes. */
#define QUEUE_MUTEX 0
#define BOUND_MUTEX (6 * JOB_PAGE_BYTES)

static void place_cities(struct search *search)
{
    uint32_t x[CITIES_MAX], y[CITIES_MAX], value = 12345;

    for (uint32_t i = 0; i < search->count; i++) {
        value = value * 1664525u + 1013904223u;
        x[i] = value >> 20;
        value = value * 1664525u + 1013904223u;
        y[i] = value >> 20;
    }
    for (uint32_t i = 0; i < search->count; i++) {
        search->least[i] = UINT32_MAX;
        for (uint32_t j = 0; j < search->count; j++) {
            uint32_t across = x[i] > x[j] ? x[i] - x[j] : x[j] - x[i];
            uint32_t down = y[i] > y[j] ? y[i] - y[j] : y[j] - y[i];

            search->distance[i][j] = across + down;
            if (i != j && across + down < search->least[i]) {
                search->least[i] = across + down;
            }
        }
    }
}

/* All beginnings, in the order of the cities; the queue is this rank's alone now. */
static void fill_queue(struct search *search)
{
    struct shared *shared = search->shared;

    for (uint32_t a = 1; a < search->count; a++) {
        for (uint32_t b = 1; b < search->count; b++) {
            for (uint32_t c = 1; c < search->count; c++) {
                if (a != b && a != c && b != c) {
                    uint8_t *beginning = shared->beginning[shared->count++];

                    beginning[1] = (uint8_t)a;
                    beginning[2] = (uint8_t)b;
                    beginning[3] = (uint8_t)c;
                }
            }
        }
    }
    atomic_store(&shared->shortest, UINT32_MAX);
}

static void offer(struct search *search, uint32_t length)
{
    struct shared *shared = search->shared;

    job_lock(search->job, BOUND_MUTEX);
    if (length < atomic_load(&shared->shortest)) {
        atomic_store(&shared->shortest, length);
    }
    job_unlock(search->job, BOUND_MUTEX);
}

/*
 * Try all ways on from `city`. `left` are the cities that are to come, a bit each; `least_left` is
 * what leaving each of them, and `city`, takes at least.
 */
static void try_all(struct search *search, uint32_t city, uint32_t left, uint32_t length,
                    uint32_t least_left)
{
    if (length + least_left >=
        atomic_load_explicit(&search->shared->shortest, memory_order_relaxed)) {
        return;
    }
    if (left == 0) {
        length += search->distance[city][0];
        if (length < atomic_load(&search->shared->shortest)) {
            offer(search, length);
        }
        return;
    }
    for (uint32_t bits = left; bits != 0; bits &= bits - 1) {
        uint32_t next = (uint32_t)__builtin_ctz(bits);

        try_all(search, next, left & ~(1u << next), length + search->distance[city][next],
                least_left - search->least[city]);
    }
}

/* Take the next beginning; false when none is left. */
static bool take(struct search *search, uint8_t beginning[PREFIX])
{
    struct shared *shared = search->shared;

    job_lock(search->job, QUEUE_MUTEX);
    bool has_one = shared->next < shared->count;
    for (uint32_t i = 0; has_one && i < PREFIX; i++) {
        beginning[i] = shared->beginning[shared->next][i];
    }
    shared->next += has_one;
    job_unlock(search->job, QUEUE_MUTEX);
    return has_one;
}

static void work(struct search *search)
{
    uint8_t beginning[PREFIX];

    while (take(search, beginning)) {
        uint32_t left = (1u << search->count) - 2, length = 0, least_left = 0;

        for (uint32_t i = 1; i < PREFIX; i++) {
            left &= ~(1u << beginning[i]);
            length += search->distance[beginning[i - 1]][beginning[i]];
        }
        for (uint32_t i = 0; i < search->count; i++) {
            least_left += (left >> i & 1 || i == beginning[PREFIX - 1]) ? search->least[i] : 0;
        }
        try_all(search, beginning[PREFIX - 1], left, length, least_left);
    }
}

/* best[set][city]: the shortest way from city 0 through all of the set, to end at the city. */
static uint32_t by_subsets(const struct search *search)
{
    uint32_t others = search->count - 1, sets = 1u << others, shortest = UINT32_MAX;
    uint32_t *best = job_private(search->job, (size_t)sets * others, sizeof(uint32_t));

    for (uint32_t set = 1; set < sets; set++) {
        for (uint32_t city = 0; city < others; city++) {
            uint32_t before = set & ~(1u << city);
            uint32_t least = before == 0 ? search->distance[0][city + 1] : UINT32_MAX;

            if (before == set) {
                continue;
            }
            for (uint32_t last = 0; last < others; last++) {
                if (before >> last & 1) {
                    uint32_t length =
                        best[(size_t)before * others + last] + search->distance[last + 1][city + 1];
                    least = length < least ? length : least;
                }
            }
            best[(size_t)set * others + city] = least;
        }
    }
    for (uint32_t city = 0; city < others; city++) {
        uint32_t length = best[(size_t)(sets - 1) * others + city] + search->distance[city + 1][0];
        shortest = length < shortest ? length : shortest;
    }
    free(best);
    return shortest;
}

int main(int argc, char **argv)
{
    static const struct job_about about = {
        .name = "tsp",
        .type = "struct { u32 count; u32 next; u8[24568] queue; u32 shortest; u8[4092] rest; }",
        .size_is = "cities",
        .size = 17,
        .size_max = CITIES_MAX,
        .iterations = 1,
    };
    struct job job;
    struct search search = {.job = &job};

    job_open(&job, argc, argv, &about);
    search.shared = job_memory(&job, sizeof(struct shared));
    search.count = job.size;
    place_cities(&search);
    if (job.rank == 0) {
        fill_queue(&search);
    }

    job_start(&job);
    work(&search);
    job_stop(&job);

    uint32_t shortest = atomic_load(&search.shared->shortest);
    return job_close(&job, job_checks(&job) && shortest == by_subsets(&search), shortest);
}
