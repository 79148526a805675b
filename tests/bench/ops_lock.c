/* SPDX-License-Identifier: Apache-2.0 */
/* Mutexes: alone, in turns, with the bytes that they protect. */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/ops.h"
#include "tests/bench/process.h"

#define LOCKS 400u
/** Locks of a mutex that is here, at most, for each time that it comes. */
#define LOCKS_A_TURN 100u
/** A lock that takes no longer was of a mutex that was here. */
#define LOCK_HERE_US 2.0
/** How long hosts that want a mutex all the time are counted. */
#define CONTEND_MS 100u
/** What a mutex protects: the last bytes of the region. */
#define BOUND_BYTES DSM_BIND_BYTES_MAX
#define BOUND_WORDS (BOUND_BYTES / sizeof(uint64_t))

/** Offsets of the mutexes that are measured. */
enum { OFFSET_LOCK = 64, OFFSET_TURNS = 1024 };

/** Samples of a contending order. */
enum { SAMPLE_ALL, /* locks */ SAMPLE_CAME, /* for which the mutex had to come */ SAMPLE_US };

/** What a holder does. */
typedef int (*holder_function)(struct hand *hand);

static int order_lock_alone(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    for (uint64_t i = 0; i < order->b; i++) {
        double begin = clock_us();
        int error = dsm_mutex_lock(hand->region, order->a, WAIT_MS);

        if (!error) {
            error = dsm_mutex_unlock(hand->region, order->a);
        }
        if (error) {
            return error;
        }
        hand->samples[i] = clock_us() - begin;
    }
    outcome->count = (uint32_t)order->b;
    return 0;
}

/*
 * Lock, work and unlock until the mutex had to come here so often. Samples: when it was asked for,
 * when it had come and the work was done, when it was last given up before the next time; 0 where
 * it never did. Locks for which it was here do not count; when the other host has ended, all are
 * such.
 */
static int take_turns(struct hand *hand, const struct order *order, struct outcome *outcome,
                      holder_function work)
{
    int error = dsm_barrier_wait(hand->region, order->a + 8, 2, WAIT_MS);
    uint64_t count = 0;

    memset(hand->samples, 0, 3 * order->b * sizeof(*hand->samples));
    for (uint64_t i = 0; i < order->b * LOCKS_A_TURN && count <= order->b && !error; i++) {
        double asked = clock_us(), locked, got;

        error = dsm_mutex_lock(hand->region, order->a, WAIT_MS);
        locked = clock_us();
        if (!error && work) {
            error = work(hand);
        }
        got = clock_us();
        if (locked - asked <= LOCK_HERE_US) {
            sched_yield(); /* the other host asks on this CPU, perhaps */
        } else if (count++ < order->b) {
            hand->samples[3 * count - 3] = asked;
            hand->samples[3 * count - 2] = got;
        }
        if (count > 0 && count <= order->b) {
            hand->samples[3 * count - 1] = clock_us();
        }
        if (!error) {
            error = dsm_mutex_unlock(hand->region, order->a);
        }
    }
    outcome->count = 3 * (uint32_t)order->b;
    return error;
}

static int order_lock_turns(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    return take_turns(hand, order, outcome, NULL);
}

/* The words that the mutex protects; all of them say how often they were rewritten. */
static uint64_t *bound_words(const struct hand *hand)
{
    return (uint64_t *)(void *)(hand->memory + hand->size_bytes - BOUND_BYTES);
}

/* The holder checks what the one before wrote, and rewrites it. */
static int rewrite(struct hand *hand)
{
    uint64_t *words = bound_words(hand);
    uint64_t stamp = words[0];

    for (size_t i = 0; i < BOUND_WORDS; i++) {
        if (words[i] != stamp) {
            return DSM_EPROTO;
        }
        words[i] = stamp + 1;
    }
    return 0;
}

static int order_lock_data(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    return take_turns(hand, order, outcome, rewrite);
}

static int order_lock_bound(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    int error = dsm_mutex_bind(hand->region, order->a, hand->size_bytes - BOUND_BYTES, BOUND_BYTES);

    if (!error) {
        error = take_turns(hand, order, outcome, rewrite);
    }
    return error ? error : dsm_mutex_bind(hand->region, order->a, 0, 0);
}

/* One sample: how often the bytes were rewritten. */
static int order_stamp(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)order;
    hand->samples[0] = (double)bound_words(hand)[BOUND_WORDS - 1];
    outcome->count = 1;
    return 0;
}

/*
 * Lock and unlock for b ms. What is counted begins and ends when the mutex comes: before and after,
 * the other host does not want it.
 */
static int order_contend(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    int error = dsm_barrier_wait(hand->region, order->a + 8, 2, WAIT_MS);
    double begin = clock_us(), asked = begin, first = 0, last = 0;
    uint64_t all = 0, all_last = 0, came = 0;

    while (!error && asked - begin < (double)order->b * 1e3) {
        error = dsm_mutex_lock(hand->region, order->a, WAIT_MS);
        all += came > 0;
        if (clock_us() - asked <= LOCK_HERE_US) {
            sched_yield(); /* as in take_turns() */
        } else {
            last = clock_us();
            first = came++ > 0 ? first : last;
            all_last = all;
        }
        if (!error) {
            error = dsm_mutex_unlock(hand->region, order->a);
        }
        asked = clock_us();
    }
    hand->samples[SAMPLE_ALL] = (double)all_last;
    hand->samples[SAMPLE_CAME] = (double)came;
    hand->samples[SAMPLE_US] = last - first;
    outcome->count = SAMPLE_US + 1;
    return error;
}

static int round_lock_alone(struct run *run)
{
    return run_timed(run, HOST_B, order_lock_alone, OFFSET_LOCK, LOCKS);
}

/*
 * A hand-off is the time from one host's call of unlock to the other's return from lock, where the
 * other had asked before: the samples of both hosts, merged in the order in which the lock was
 * held. Each round has a mutex of its own, which no host has yet.
 */
static int hand_offs(struct run *run, order_function function)
{
    double samples[2 * LOCKS];
    const struct board *boards[2] = {run_worker(run, HOST_A)->board,
                                     run_worker(run, HOST_B)->board};
    size_t at[2] = {0, 0}, count = 0, turns = 0;
    double left = 0;
    int holder = -1;

    if (run_timed_all(run, 2, function, OFFSET_TURNS + 16 * run->round, LOCKS)) {
        return -1;
    }
    for (;;) {
        const double *turn[2];
        int next;

        for (int i = 0; i < 2; i++) {
            turn[i] = boards[i]->samples + 3 * at[i];
            turn[i] = at[i] < LOCKS && turn[i][1] > 0 ? turn[i] : NULL;
        }
        if (!turn[0] && !turn[1]) {
            break;
        }
        next = !turn[1] || (turn[0] && turn[0][1] < turn[1][1]) ? 0 : 1;
        if (holder >= 0 && holder != next && turn[next][0] < left) {
            samples[count++] = turn[next][1] - left;
        }
        left = turn[next][2];
        holder = next;
        at[next]++;
        turns++;
    }
    run_add_ops(run, turns);
    return run_add(run, &run->measured, samples, count);
}

static int round_lock(struct run *run)
{
    return hand_offs(run, order_lock_turns);
}

static int take_stamp(struct run *run, double *stamp)
{
    if (run_do(run, HOST_A, order_stamp, 0, 0)) {
        return -1;
    }
    *stamp = run_worker(run, HOST_A)->board->samples[0];
    return 0;
}

/* No rewriting may be lost: each host's LOCKS turns at least must have left their mark. */
static int hand_offs_checked(struct run *run, order_function function)
{
    double before, after;

    if (take_stamp(run, &before) || hand_offs(run, function) || take_stamp(run, &after)) {
        return -1;
    }
    if (after - before < 2 * LOCKS) {
        fprintf(stderr, "dsm-bench: %.0f of %u changes under a mutex are there\n", after - before,
                2 * LOCKS);
        return -1;
    }
    return 0;
}

static int round_lock_bound(struct run *run)
{
    return hand_offs_checked(run, order_lock_bound);
}

static int round_lock_data(struct run *run)
{
    return hand_offs_checked(run, order_lock_data);
}

/* Both hosts want it all the time: hand-offs a second, and the lesser one's part of all locks. */
static int contend(struct run *run, double *rate, double *share)
{
    const double *a = run_worker(run, HOST_A)->board->samples;
    const double *b = run_worker(run, HOST_B)->board->samples;
    double least;

    if (run_timed_all(run, 2, order_contend, OFFSET_TURNS + 16 * run->round, CONTEND_MS)) {
        return -1;
    }
    least = a[SAMPLE_ALL] < b[SAMPLE_ALL] ? a[SAMPLE_ALL] : b[SAMPLE_ALL];
    *rate = 1e6 * (a[SAMPLE_CAME] + b[SAMPLE_CAME]) /
            (a[SAMPLE_US] > b[SAMPLE_US] ? a[SAMPLE_US] : b[SAMPLE_US]);
    *share = least / (a[SAMPLE_ALL] + b[SAMPLE_ALL]);
    run_add_ops(run, (uint64_t)(a[SAMPLE_CAME] + b[SAMPLE_CAME]));
    return 0;
}

/* The limit: half a round trip for each hand-off. */
static int round_lock_fair(struct run *run)
{
    double rate, share, trip_rate;
    uint32_t count;

    if (contend(run, &rate, &share) || run_add(run, &run->measured, &rate, 1) ||
        run_take_limit(run, LIMIT_TRIP_64, run->bench->agents_poll, &count)) {
        return -1;
    }
    trip_rate = 2e6 / values_median(run_worker(run, HOST_B)->board->samples, count);
    return run_add(run, &run->limits[0], &trip_rate, 1);
}

static int round_lock_share(struct run *run)
{
    double rate, share;
    const double fair = 0.5;

    return contend(run, &rate, &share) || run_add(run, &run->measured, &share, 1) ||
                   run_add(run, &run->limits[0], &fair, 1)
               ? -1
               : 0;
}

static const char trip_64[] = "TLS round trip 64 B / 64 B";
static const char trip_64k[] = "TLS round trip 64 B / 64 KiB";

const struct op ops_lock[] = {
    {
        .name = "lock",
        .text = "hand-off of a mutex that two hosts want all the time",
        .meaning = "From one host's call of unlock to the other's return from lock.",
        .unit = "us",
        .limit_is = trip_64,
        .limit = {{LIMIT_TRIP_64, 1}},
        .target = {TARGET_RATIO_MAX, 1.3, 0},
        .count_hosts = 2,
        .region_bytes = BENCH_PAGE_BYTES,
        .round = round_lock,
    },
    {
        .name = "lock-alone",
        .text = "lock and unlock of a mutex that nobody else wants, not on its home",
        .meaning = "Lock and unlock of a mutex that only this host uses, far from its home.",
        .unit = "us",
        .limit_is = trip_64,
        .limit = {{LIMIT_TRIP_64, 1}},
        .target = {TARGET_MAX, 0.2, 0},
        .count_hosts = 2,
        .region_bytes = BENCH_PAGE_BYTES,
        .round = round_lock_alone,
    },
    {
        .name = "lock-bound",
        .text = "the same with 64 KiB bound to it, which each holder rewrites",
        .meaning = "From one host's call of unlock until the other has the mutex, has checked all "
                   "64 KiB and has rewritten them: the bytes come with the mutex.",
        .unit = "us",
        .limit_is = trip_64k,
        .limit = {{LIMIT_TRIP_64K, 1}},
        .target = {TARGET_RATIO_MAX, 1.3, 0},
        .count_hosts = 2,
        .region_bytes = BENCH_PAGE_BYTES + BOUND_BYTES,
        .round = round_lock_bound,
    },
    {
        .name = "lock-data",
        .text = "the same, nothing being bound: the bytes come by page faults",
        .meaning = "What a program pays that does not say what its mutex protects.",
        .unit = "us",
        .limit_is = trip_64k,
        .limit = {{LIMIT_TRIP_64K, 1}},
        .count_hosts = 2,
        .region_bytes = BENCH_PAGE_BYTES + BOUND_BYTES,
        .round = round_lock_data,
    },
    {
        .name = "lock-fair",
        .text = "hand-offs of a mutex that both hosts want all the time",
        .meaning = "How often a mutex goes from host to host; the fastest peer, which polls and "
                   "encrypts nothing, does 9,000.",
        .unit = "1/s",
        .limit_is = "two in a TLS round trip 64 B / 64 B",
        .polling = {TARGET_MIN, 20000, 0},
        .is_rate = true,
        .count_hosts = 2,
        .region_bytes = BENCH_PAGE_BYTES,
        .round = round_lock_fair,
    },
    {
        .name = "lock-share",
        .text = "the same, what the lesser of the two gets",
        .meaning = "Nobody starves: the part of all locks that the host had which had fewer.",
        .unit = "of 1",
        .limit_is = "a fair half",
        .target = {TARGET_RATIO_MIN, 0.9, 0},
        .is_rate = true,
        .count_hosts = 2,
        .region_bytes = BENCH_PAGE_BYTES,
        .round = round_lock_share,
    },
    {.name = NULL},
};
