/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts that wait for each other: pages in turns, barriers; and one counter for all. */
#include <string.h>
#include <unistd.h>

#include "tests/bench/crowd.h"
#include "tests/bench/ops.h"
#include "tests/bench/process.h"

#define TRANSFERS 300u
#define BARRIERS 400u
#define ADDS 400u
/** Hosts that meet in a barrier, and that add to a counter. */
#define BARRIER_HOSTS 3u
#define COUNTER_HOSTS 3u

/** Offsets of what is measured. */
enum { OFFSET_BARRIER = 192, OFFSET_COUNTER = 256 };

/*
 * The turn itself goes round over a socket pair, outside of the region: the sample is what one
 * store costs while the other host has the page for writing, and nothing else.
 */
static int order_ping(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    volatile uint64_t *word =
        (volatile uint64_t *)(void *)(hand->memory + order->a * BENCH_PAGE_BYTES);
    int turn_in = hand->config->turn_in, turn_out = hand->config->turn_out[order->c ^ 1];
    bool begins = order->c == HOST_A;
    uint64_t turn = 0;

    for (uint64_t i = 0; i < order->b; i++) {
        if ((i > 0 || !begins) && read(turn_in, &turn, sizeof(turn)) != sizeof(turn)) {
            return DSM_ESYS;
        }
        turn++;
        double begin = clock_us();

        *word = turn;
        hand->samples[i] = clock_us() - begin;
        if (write(turn_out, &turn, sizeof(turn)) != sizeof(turn)) {
            return DSM_ESYS;
        }
    }
    if (begins && read(turn_in, &turn, sizeof(turn)) != sizeof(turn)) {
        return DSM_ESYS;
    }
    outcome->count = (uint32_t)order->b;
    return 0;
}

static int order_barrier(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    int error = 0;

    for (uint64_t i = 0; i < order->b && !error; i++) {
        double begin = clock_us();

        error = dsm_barrier_wait(hand->region, order->a, BARRIER_HOSTS, WAIT_MS);
        hand->samples[i] = clock_us() - begin;
    }
    outcome->count = (uint32_t)order->b;
    return error;
}

static int round_pingpong(struct run *run)
{
    double samples[2 * TRANSFERS];

    if (run_timed_all(run, 2, order_ping, 0, TRANSFERS)) {
        return -1;
    }
    for (unsigned i = 0; i < 2; i++) {
        memcpy(samples + i * TRANSFERS, run_worker(run, i)->board->samples,
               TRANSFERS * sizeof(*samples));
    }
    run_add_ops(run, 2 * TRANSFERS);
    return run_add(run, &run->measured, samples, 2 * TRANSFERS);
}

static int round_barrier(struct run *run)
{
    if (run_timed_all(run, BARRIER_HOSTS, order_barrier, OFFSET_BARRIER, BARRIERS)) {
        return -1;
    }
    run_add_ops(run, BARRIERS);
    return run_add(run, &run->measured, run_worker(run, HOST_B)->board->samples, BARRIERS);
}

static int round_barrier_crowd(struct run *run)
{
    return round_barrier(run) || crowd_meet(run, BARRIER_HOSTS, BARRIERS) ||
                   run_add(run, &run->limits[0], run_worker(run, HOST_B)->board->samples, BARRIERS)
               ? -1
               : 0;
}

/* Each host adds b times to offset a, as fast as it can; us each. */
static int order_add(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    int error = dsm_barrier_wait(hand->region, OFFSET_BARRIER, COUNTER_HOSTS, WAIT_MS);
    uint64_t old;

    for (uint64_t i = 0; i < order->b && !error; i++) {
        double begin = clock_us();

        error = dsm_fetch_add(hand->region, order->a, 1, &old);
        hand->samples[i] = clock_us() - begin;
    }
    outcome->count = (uint32_t)order->b;
    return error;
}

/* The rate of the hosts that are not the counter's home, on average; its own is faster. */
static double rate_of_others(struct run *run)
{
    double rate = 0;

    for (unsigned i = 1; i < COUNTER_HOSTS; i++) {
        double sum_us = 0;

        for (unsigned k = 0; k < ADDS; k++) {
            sum_us += run_worker(run, i)->board->samples[k];
        }
        rate += ADDS * 1e6 / sum_us / (COUNTER_HOSTS - 1);
    }
    return rate;
}

static int add_at_once(struct run *run)
{
    double rate;

    if (run_timed_all(run, COUNTER_HOSTS, order_add, OFFSET_COUNTER, ADDS)) {
        return -1;
    }
    run_add_ops(run, COUNTER_HOSTS * ADDS);
    rate = rate_of_others(run);
    return run_add(run, &run->measured, &rate, 1);
}

static int round_counter(struct run *run)
{
    uint32_t count;
    double rate;

    if (add_at_once(run) || run_take_limit(run, LIMIT_TRIP_64, run->bench->agents_poll, &count)) {
        return -1;
    }
    rate = 1e6 / values_median(run_worker(run, HOST_B)->board->samples, count);
    return run_add(run, &run->limits[0], &rate, 1);
}

static int round_counter_crowd(struct run *run)
{
    double rate;

    if (add_at_once(run) || crowd_exchange(run, COUNTER_HOSTS, ADDS)) {
        return -1;
    }
    rate = rate_of_others(run);
    return run_add(run, &run->limits[0], &rate, 1);
}

static const char trip_64[] = "TLS round trip 64 B / 64 B";

const struct op ops_sync[] = {
    {
        .name = "pingpong",
        .text = "two hosts that write one page in turns",
        .meaning = "A store to a page that the other host has just written.",
        .unit = "us",
        .limit_is = "userfaultfd hand-off + TLS round trip 64 B / 4 KiB",
        .limit = {{LIMIT_HANDOFF, 1}, {LIMIT_TRIP_4096, 1}},
        .count_hosts = 2,
        .region_bytes = BENCH_PAGE_BYTES,
        .is_written = true,
        .round = round_pingpong,
    },
    {
        .name = "barrier",
        .text = "barrier of three hosts",
        .meaning = "A barrier that three hosts come to at the same time.",
        .unit = "us",
        .limit_is = trip_64,
        .limit = {{LIMIT_TRIP_64, 1}},
        .target = {TARGET_RATIO_MAX, 1.5, 0},
        .count_hosts = BARRIER_HOSTS,
        .region_bytes = BENCH_PAGE_BYTES,
        .peers = {"mpi-barrier"},
        .round = round_barrier,
    },
    {
        .name = "barrier-crowd",
        .text = "the same, beside a barrier of three programs by TLS alone",
        .meaning = "What three hosts on these CPUs can have at all: two programs tell one of the "
                   "third by TLS that they have come, which answers both. There are no agents, "
                   "so that three processes take turns in place of six; who waits sleeps.",
        .unit = "us",
        .limit_is = "three programs that meet by messages over TLS",
        .count_hosts = BARRIER_HOSTS,
        .region_bytes = BENCH_PAGE_BYTES,
        .round = round_barrier_crowd,
    },
    {
        .name = "counter",
        .text = "dsm_fetch_add on one counter by three hosts, per host",
        .meaning = "How often a host adds to a counter while two others do the same.",
        .unit = "1/s",
        .limit_is = "one program alone that makes one TLS round trip 64 B / 64 B after the other",
        .target = {TARGET_RATIO_MIN, 0.8, 0},
        .is_rate = true,
        .count_hosts = COUNTER_HOSTS,
        .region_bytes = BENCH_PAGE_BYTES,
        .peers = {"mpi-fetch-add"},
        .round = round_counter,
    },
    {
        .name = "counter-crowd",
        .text = "the same, beside three programs that exchange messages",
        .meaning = "What three hosts on these CPUs can have at all: a program of each exchanges "
                   "messages with host a, at the same time; who waits sleeps.",
        .unit = "1/s",
        .limit_is = "three programs, each one TLS round trip 64 B / 64 B after the other",
        .is_rate = true,
        .count_hosts = COUNTER_HOSTS,
        .region_bytes = BENCH_PAGE_BYTES,
        .round = round_counter_crowd,
    },
    {.name = NULL},
};
