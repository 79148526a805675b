/* SPDX-License-Identifier: Apache-2.0 */
/**
 * ep: pairs of normal random numbers by Marsaglia's polar method, from the generator of the NAS
 * parallel benchmarks (Bailey et al. 1991): x' = 5^13 x mod 2^46. Counts how many fall into each
 * square ring and adds them up. The ranks need each other at the end only.
 *
 * Checked: rank 0 counts all again, alone: the counts exactly, the sums to 1e-12; with --size 24
 * also against the sums that NAS published for its class S.
 */
#include "job.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define RINGS 10u
#define MULTIPLIER UINT64_C(1220703125) /* 5^13 */
#define SEED UINT64_C(271828183)
#define MASK ((UINT64_C(1) << 46) - 1)
/* Pairs are made in runs of so many; each run begins at its own place of the generator. */
#define RUN_LOG2 12u

struct counts {
    double sum_x, sum_y;
    uint64_t in_ring[RINGS];
    uint8_t rest[JOB_PAGE_BYTES - 16 - 8 * RINGS]; /* each rank's are on a page of their own */
};
#define COUNTS_LIST (f64, sum_x), (f64, sum_y), (u64, in_ring, 10), (u8, rest, 4000)
DSM_TYPE_CHECK(struct counts, COUNTS_LIST);

/* The generator's value so many steps on: MULTIPLIER^steps by squaring. */
static uint64_t skip(uint64_t value, uint64_t steps)
{
    uint64_t power = MULTIPLIER;

    for (; steps > 0; steps >>= 1) {
        value = steps & 1 ? value * power & MASK : value;
        power = power * power & MASK;
    }
    return value;
}

static double next(uint64_t *value)
{
    *value = *value * MULTIPLIER & MASK;
    return (double)*value / (double)(MASK + 1);
}

/* Runs [first, last) of pairs. */
static void count_pairs(uint64_t first, uint64_t last, uint32_t run_log2, struct counts *counts)
{
    for (uint64_t run = first; run < last; run++) {
        uint64_t value = skip(SEED, run << (run_log2 + 1));

        for (uint64_t i = 0; i < UINT64_C(1) << run_log2; i++) {
            double x = 2 * next(&value) - 1, y = 2 * next(&value) - 1;
            double square = x * x + y * y;

            if (square <= 1) {
                double factor = sqrt(-2 * log(square) / square);
                uint32_t ring = (uint32_t)fmax(fabs(x * factor), fabs(y * factor));

                counts->in_ring[ring < RINGS ? ring : RINGS - 1]++;
                counts->sum_x += x * factor;
                counts->sum_y += y * factor;
            }
        }
    }
}

static bool is_near(double left, double right)
{
    return fabs(left - right) <= 1e-12 * fmax(fabs(right), 1e6);
}

static bool is_right(const struct counts *answer, uint32_t size, uint64_t runs, uint32_t run_log2)
{
    struct counts again = {.sum_x = 0};

    count_pairs(0, runs, run_log2, &again);
    bool is_same = memcmp(answer->in_ring, again.in_ring, sizeof again.in_ring) == 0 &&
                   is_near(answer->sum_x, again.sum_x) && is_near(answer->sum_y, again.sum_y);
    return is_same && (size != 24 || (is_near(answer->sum_x, -3.247834652034740e+3) &&
                                      is_near(answer->sum_y, -6.958407078382297e+3)));
}

int main(int argc, char **argv)
{
    static const struct job_about about = {
        .name = "ep",
        .type = "struct { f64 sum_x; f64 sum_y; u64[10] in_ring; u8[4000] rest; }[]",
        .size_is = "of the pairs the logarithm to the base 2",
        .size = 24,
        .size_max = 36,
        .iterations = 1,
    };
    struct job job;
    struct counts sum = {.sum_x = 0}, mine = {.sum_x = 0};

    job_open(&job, argc, argv, &about);
    struct counts *of_rank = job_memory(&job, job.ranks * sizeof(struct counts));
    uint32_t run_log2 = job.size < RUN_LOG2 ? job.size : RUN_LOG2, first, last;
    job_share(&job, 1u << (job.size - run_log2), &first, &last);

    job_start(&job);
    count_pairs(first, last, run_log2, &mine);
    of_rank[job.rank] = mine;
    job_barrier(&job);
    for (uint32_t rank = 0; rank < job.ranks; rank++) {
        sum.sum_x += of_rank[rank].sum_x;
        sum.sum_y += of_rank[rank].sum_y;
        for (uint32_t ring = 0; ring < RINGS; ring++) {
            sum.in_ring[ring] += of_rank[rank].in_ring[ring];
        }
    }
    job_stop(&job);

    bool right = job_checks(&job) &&
                 is_right(&sum, job.size, UINT64_C(1) << (job.size - run_log2), run_log2);
    uint64_t checksum = 0;
    for (uint32_t ring = 0; ring < RINGS; ring++) {
        checksum = checksum * 31 + sum.in_ring[ring];
    }
    return job_close(&job, right, (double)(checksum & MASK));
}
