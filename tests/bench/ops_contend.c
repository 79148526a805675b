/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts that write one page as fast as they can, without a lock. */
#include "tests/bench/ops.h"
#include "tests/bench/process.h"

#define CONTEND_MS 300u
/** The clock is looked at once in so many increments. */
#define INCREMENTS_A_LOOK 64u

/** Samples of an order. */
enum { SAMPLE_RATE, /* increments per us */ SAMPLE_WAIT, /* ms, the longest */ SAMPLE_COUNT };

/*
 * Plain increments of the first word for b ms. What the other host counts meanwhile, or overwrites,
 * is of no interest: each counts its own. A wait is the time between two looks at the clock.
 */
static int order_increment(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    uint64_t *word = (uint64_t *)(void *)hand->memory;
    double begin = clock_us(), last = begin, longest = 0;
    uint64_t count = 0;

    while (last - begin < (double)order->b * 1e3) {
        for (uint32_t i = 0; i < INCREMENTS_A_LOOK; i++) {
            ++*word;
            __asm__ volatile("" : : : "memory"); /* each of them a load and a store */
        }
        count += INCREMENTS_A_LOOK;
        double now = clock_us();

        longest = now - last > longest ? now - last : longest;
        last = now;
    }
    hand->samples[SAMPLE_RATE] = (double)count / (last - begin);
    hand->samples[SAMPLE_WAIT] = longest / 1e3;
    outcome->count = SAMPLE_COUNT;
    return 0;
}

/** Of both hosts. */
struct contest {
    double rate, share, wait; /* the sum; the lesser one's part of it; the longest */
};

/* Both hosts, or one alone, in a new region. */
static int contend(struct run *run, unsigned count_hosts, uint32_t window_ms,
                   struct contest *contest)
{
    const double *a = run_worker(run, HOST_A)->board->samples;
    const double *b = run_worker(run, HOST_B)->board->samples;

    run->window_ms = window_ms;
    if (run_region_open(run, BENCH_PAGE_BYTES, false) ||
        run_timed_all(run, count_hosts, order_increment, 0, CONTEND_MS) || run_region_close(run)) {
        return -1;
    }
    *contest = (struct contest){.rate = a[SAMPLE_RATE], .share = 1, .wait = a[SAMPLE_WAIT]};
    if (count_hosts > 1) {
        double least = a[SAMPLE_RATE] < b[SAMPLE_RATE] ? a[SAMPLE_RATE] : b[SAMPLE_RATE];

        contest->rate += b[SAMPLE_RATE];
        contest->share = least / contest->rate;
        contest->wait = a[SAMPLE_WAIT] > b[SAMPLE_WAIT] ? a[SAMPLE_WAIT] : b[SAMPLE_WAIT];
    }
    return 0;
}

static int round_writers(struct run *run)
{
    struct contest with, without;

    return contend(run, 2, 0, &with) || contend(run, 2, DSM_WINDOW_NONE, &without) ||
                   run_add(run, &run->measured, &with.rate, 1) ||
                   run_add(run, &run->limits[0], &without.rate, 1)
               ? -1
               : 0;
}

static int round_writers_alone(struct run *run)
{
    struct contest with, alone;

    return contend(run, 2, 0, &with) || contend(run, 1, 0, &alone) ||
                   run_add(run, &run->measured, &with.rate, 1) ||
                   run_add(run, &run->limits[0], &alone.rate, 1)
               ? -1
               : 0;
}

static int round_writers_share(struct run *run)
{
    struct contest with;
    const double fair = 0.5;

    return contend(run, 2, 0, &with) || run_add(run, &run->measured, &with.share, 1) ||
                   run_add(run, &run->limits[0], &fair, 1)
               ? -1
               : 0;
}

static int round_writers_wait(struct run *run)
{
    struct contest with, without;

    return contend(run, 2, 0, &with) || contend(run, 2, DSM_WINDOW_NONE, &without) ||
                   run_add(run, &run->measured, &with.wait, 1) ||
                   run_add(run, &run->limits[0], &without.wait, 1)
               ? -1
               : 0;
}

const struct op ops_contend[] = {
    {
        .name = "writers",
        .text = "two hosts that increment one page, against no window",
        .meaning = "Increments of both hosts, none of which takes a lock: the page stays with each "
                   "for a while. Without a window it moves as soon as the other asks.",
        .unit = "1/us",
        .limit_is = "the same without a window",
        .target = {TARGET_RATIO_MIN, 5, 0},
        .is_rate = true,
        .count_hosts = 2,
        .round = round_writers,
    },
    {
        .name = "writers-alone",
        .is_detail = true,
        .text = "the same, against one host that has the page for itself",
        .meaning = "No window can get more done than one writer whom nobody disturbs.",
        .unit = "1/us",
        .limit_is = "one host alone",
        .is_rate = true,
        .count_hosts = 2,
        .round = round_writers_alone,
    },
    {
        .name = "writers-share",
        .text = "the same, what the lesser of the two gets",
        .meaning = "Nobody starves: the part of all increments that the lesser host did.",
        .unit = "of 1",
        .limit_is = "a fair half",
        .target = {TARGET_RATIO_MIN, 0.5, 0},
        .is_rate = true,
        .count_hosts = 2,
        .round = round_writers_share,
    },
    {
        .name = "writers-wait",
        .text = "the same, the longest wait of any increment",
        .meaning = "The longest time that either host could do nothing: the other's window, the "
                   "hand-over, and the scheduler where programs share a processor.",
        .unit = "ms",
        .limit_is = "the same without a window",
        .target = {TARGET_MAX, 20, 0},
        .count_hosts = 2,
        .round = round_writers_wait,
    },
    {.name = NULL},
};
