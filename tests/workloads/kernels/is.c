/* SPDX-License-Identifier: Apache-2.0 */
/**
 * is: integer sort by buckets (after NAS IS). Each rank has keys of its own and counts them by
 * bucket; from all counts every rank finds which buckets are whose, and where its keys for each
 * rank go; then it puts them there, and after a barrier sorts the part that is its own. Almost all
 * keys move to another host: this is what the wire is worst for.
 *
 * Checked: the keys are in order, and they are the keys that there were: rank 0 makes them all
 * again and compares the number of each.
 */
#include "job.h"

#include <stdlib.h>
#include <string.h>

#define KEY_BITS 19u
#define BUCKET_BITS 10u
#define BUCKETS (1u << BUCKET_BITS)
#define BUCKET_OF(key) ((key) >> (KEY_BITS - BUCKET_BITS))

/* The regions's u32s: a row of BUCKETS counts for each rank, then the keys. */
struct sort {
    struct job *job;
    uint32_t *counts; /* [ranks][BUCKETS] */
    uint32_t *sorted; /* [size] */
    uint32_t *keys;   /* this rank's, in its own memory */
    uint32_t count;   /* of them */
    uint32_t *part;   /* scratch: as many as size, and a count for each key */
    uint32_t *of_key;
    uint32_t whose[BUCKETS]; /* the rank that sorts it */
};

/* The sum of four numbers has most keys in the middle, as NAS's. */
static uint32_t make_key(uint32_t index)
{
    uint64_t value = (index + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);

    value ^= value >> 29;
    value *= UINT64_C(0xbf58476d1ce4e5b9);
    value ^= value >> 32;
    return (uint32_t)(((value & 0xffff) + (value >> 16 & 0xffff) + (value >> 32 & 0xffff) +
                       (value >> 48)) *
                      (UINT64_C(1) << KEY_BITS) / (4 * UINT64_C(0xffff) + 1));
}

static void count_buckets(struct sort *sort)
{
    uint32_t counts[BUCKETS] = {0};

    for (uint32_t i = 0; i < sort->count; i++) {
        counts[BUCKET_OF(sort->keys[i])]++;
    }
    memcpy(sort->counts + (size_t)sort->job->rank * BUCKETS, counts, sizeof counts);
}

/*
 * Deal the buckets so that every rank has about as many keys. Keys from rank s to rank r lie
 * together: `to[r]` is where this rank's for rank r begin; [first, last) is what this rank sorts.
 */
static void plan(struct sort *sort, uint32_t *to, uint32_t *first, uint32_t *last)
{
    uint32_t ranks = sort->job->ranks, rank = sort->job->rank, before = 0;
    uint32_t from[JOB_RANKS_MAX] = {0}; /* keys of each rank for the receiver so far */
    uint32_t receiver = 0, start = 0;

    *first = *last = 0;
    for (uint32_t bucket = 0; bucket <= BUCKETS; bucket++) {
        uint64_t fair = (uint64_t)sort->job->size * (receiver + 1) / ranks;

        if (bucket == BUCKETS || (before >= fair && receiver + 1 < ranks)) {
            for (uint32_t sender = 0, place = start; sender < ranks; sender++) {
                if (sender == rank) {
                    to[receiver] = place;
                }
                place += from[sender];
                from[sender] = 0;
            }
            *first = receiver == rank ? start : *first;
            *last = receiver == rank ? before : *last;
            start = before;
            receiver++;
        }
        for (uint32_t sender = 0; bucket < BUCKETS && sender < ranks; sender++) {
            uint32_t count = sort->counts[(size_t)sender * BUCKETS + bucket];

            from[sender] += count;
            before += count;
        }
        if (bucket < BUCKETS) {
            sort->whose[bucket] = receiver;
        }
    }
    for (; receiver < ranks; receiver++) {
        to[receiver] = before;
    }
}

/* Sort what came: count each key, then write them in order. */
static void sort_part(struct sort *sort, uint32_t first, uint32_t last)
{
    memset(sort->of_key, 0, sizeof(uint32_t) << KEY_BITS);
    for (uint32_t i = first; i < last; i++) {
        sort->of_key[sort->sorted[i]]++;
    }
    for (uint32_t key = 0, place = first; key < 1u << KEY_BITS; key++) {
        for (uint32_t end = place + sort->of_key[key]; place < end; place++) {
            sort->sorted[place] = key;
        }
    }
}

static void sort_once(struct sort *sort)
{
    uint32_t to[JOB_RANKS_MAX], first, last;

    count_buckets(sort);
    job_barrier(sort->job);
    plan(sort, to, &first, &last);
    for (uint32_t i = 0; i < sort->count; i++) {
        uint32_t key = sort->keys[i];

        sort->sorted[to[sort->whose[BUCKET_OF(key)]]++] = key;
    }
    job_barrier(sort->job);
    sort_part(sort, first, last);
    job_barrier(sort->job);
}

static bool is_right(struct sort *sort)
{
    uint32_t size = sort->job->size;
    bool is_sorted = true;

    memset(sort->of_key, 0, sizeof(uint32_t) << KEY_BITS);
    for (uint32_t i = 0; i < size; i++) {
        sort->of_key[make_key(i)]++;
    }
    for (uint32_t i = 0; i < size; i++) {
        is_sorted = is_sorted && (i == 0 || sort->sorted[i - 1] <= sort->sorted[i]) &&
                    sort->of_key[sort->sorted[i] % (1u << KEY_BITS)]-- > 0;
    }
    return is_sorted;
}

int main(int argc, char **argv)
{
    static const struct job_about about = {
        .name = "is",
        .type = "u32[]",
        .size_is = "keys",
        .size = 1u << 22,
        .size_max = 1u << 30,
        .iterations = 3,
        .has_iterations = true,
    };
    struct job job;
    struct sort sort = {.job = &job};
    uint32_t first, last;
    double checksum = 0;

    job_open(&job, argc, argv, &about);
    sort.counts = job_memory(&job, ((uint64_t)job.ranks * BUCKETS + job.size) * sizeof(uint32_t));
    sort.sorted = sort.counts + (size_t)job.ranks * BUCKETS;
    job_share(&job, job.size, &first, &last);
    sort.count = last - first;
    sort.keys = job_private(&job, sort.count, sizeof(uint32_t));
    sort.of_key = job_private(&job, (size_t)1 << KEY_BITS, sizeof(uint32_t));
    for (uint32_t i = first; i < last; i++) {
        sort.keys[i - first] = make_key(i);
    }

    job_start(&job);
    for (uint32_t i = 0; i < job.iterations; i++) {
        sort_once(&sort);
    }
    job_stop(&job);

    for (uint32_t i = 0; job.rank == 0 && i < job.size; i++) {
        checksum += (double)sort.sorted[i] * (i % 1000);
    }
    bool right = job_checks(&job) && is_right(&sort);
    free(sort.keys);
    free(sort.of_key);
    return job_close(&job, right, checksum);
}
