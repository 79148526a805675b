/* SPDX-License-Identifier: Apache-2.0 */
/* Release consistency: what a release costs, and hosts that write different parts of all pages. */
#include "tests/bench/ops.h"
#include "tests/bench/process.h"

#define DIRTY_PAGES 1024u
#define RELEASES 20u
/** Pages of which each host writes its half. */
#define SHARED_PAGES 1000u
#define HALF_WORDS (BENCH_PAGE_BYTES / 2 / sizeof(uint64_t))
#define ROUNDS_VIEW 8u
/** Walks over all pages in one round, by op.own[0] (own[1]: the window); many for false sharing. */
#define WALKS 64u
#define COMPUTE_US 200.0

/** Offsets of barriers. */
enum { OFFSET_BEGIN = 64, OFFSET_ROUND = 128 };

/* a: bytes, b: DSM_RELEASE or 0; map it anew. */
static int order_remap(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    void *mapped;
    int error = dsm_shm_unmap(hand->dsm, hand->memory);

    (void)outcome;
    hand->memory = NULL;
    if (!error) {
        error = dsm_shm_map(hand->region, NULL, 0, order->a, DSM_READ | DSM_WRITE | (int)order->b,
                            &mapped);
    }
    if (!error) {
        hand->memory = mapped;
    }
    return error;
}

/* Write 8 bytes to each of a pages, then release; us a page, b samples. */
static int order_release(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    for (uint64_t i = 0; i < order->b; i++) {
        double begin = clock_us();

        for (uint64_t page = 0; page < order->a; page++) {
            *(volatile uint64_t *)(void *)(hand->memory + page * BENCH_PAGE_BYTES) += i + 1;
        }
        int error = dsm_release(hand->region);

        if (error) {
            return error;
        }
        hand->samples[i] = (clock_us() - begin) / (double)order->a;
    }
    outcome->count = (uint32_t)order->b;
    return 0;
}

/* Nobody else looks between two releases. */
static int round_release(struct run *run)
{
    run_add_ops(run, (uint64_t)RELEASES * (DIRTY_PAGES - 1)); /* messages are per page */
    return run_do(run, HOST_B, order_remap, DIRTY_PAGES * BENCH_PAGE_BYTES, DSM_RELEASE) ||
                   run_do(run, HOST_B, order_release, DIRTY_PAGES, 2) ||
                   run_timed(run, HOST_B, order_release, DIRTY_PAGES, RELEASES)
               ? -1
               : 0;
}

/* a: pages; look at each of them. */
static int order_look(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    uint64_t sum = 0;

    (void)outcome;
    for (uint64_t page = 0; page < order->a; page++) {
        sum += *(volatile uint64_t *)(void *)(hand->memory + page * BENCH_PAGE_BYTES);
    }
    return sum != 0 ? 0 : DSM_EPROTO;
}

/* A looks at all of them between two, so that each is taken from A again. */
static int round_release_seen(struct run *run)
{
    if (run_do(run, HOST_B, order_remap, DIRTY_PAGES * BENCH_PAGE_BYTES, DSM_RELEASE) ||
        run_do(run, HOST_B, order_release, DIRTY_PAGES, 2)) {
        return -1;
    }
    for (unsigned i = 0; i < RELEASES / 4; i++) {
        if (run_do(run, HOST_A, order_look, DIRTY_PAGES, 0) ||
            run_timed(run, HOST_B, order_release, DIRTY_PAGES, 1)) {
            return -1;
        }
        run_add_ops(run, DIRTY_PAGES - 1);
    }
    return 0;
}

/* As a program does that computes what it writes. */
static void compute(double us)
{
    double begin = clock_us();

    while (clock_us() - begin < us) {
    }
}

/*
 * One round's stores to this host's half: `walks` walks over all pages, some words of each, and
 * some computing before each of several.
 */
static void write_half(struct hand *hand, uint64_t half, uint64_t walks, uint64_t value)
{
    uint64_t words = HALF_WORDS / walks;

    for (uint64_t walk = 0; walk < walks; walk++) {
        if (walks > 1) {
            compute(COMPUTE_US);
        }
        for (uint64_t page = 0; page < SHARED_PAGES; page++) {
            volatile uint64_t *word =
                (volatile uint64_t *)(void *)(hand->memory + page * BENCH_PAGE_BYTES) +
                half * HALF_WORDS + walk * words;

            for (uint64_t i = 0; i < words; i++) {
                word[i] = value;
            }
        }
    }
}

static bool half_is(const struct hand *hand, uint64_t half, uint64_t value)
{
    for (uint64_t page = 0; page < SHARED_PAGES; page++) {
        const volatile uint64_t *word =
            (const volatile uint64_t *)(const void *)(hand->memory + page * BENCH_PAGE_BYTES) +
            half * HALF_WORDS;

        for (uint64_t i = 0; i < HALF_WORDS; i++) {
            if (word[i] != value) {
                return false;
            }
        }
    }
    return true;
}

/* a: walks in a round, b: rounds, with a barrier each, c: the host; one sample: us a round. */
static int order_share(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    int error = dsm_barrier_wait(hand->region, OFFSET_BEGIN, 2, WAIT_MS);
    double begin = clock_us();

    for (uint64_t round = 1; round <= order->b && !error; round++) {
        write_half(hand, order->c, order->a, round);
        error = dsm_barrier_wait(hand->region, OFFSET_ROUND, 2, WAIT_MS);
    }
    hand->samples[0] = (clock_us() - begin) / (double)order->b;
    outcome->count = 1;
    /* The other half is of its last round, or this has measured nothing. */
    if (!error && !(half_is(hand, order->c ^ 1, order->b) && half_is(hand, order->c, order->b))) {
        error = DSM_EPROTO;
    }
    return error != 0 ? error : dsm_barrier_wait(hand->region, OFFSET_BEGIN, 2, WAIT_MS);
}

/* Both hosts with one kind of mapping of a new region; rounds a second. */
static int share(struct run *run, int protection, uint64_t rounds, double *rate)
{
    const uint64_t bytes = SHARED_PAGES * BENCH_PAGE_BYTES;
    uint64_t walks = run->op->own[0];

    run->window_ms = (uint32_t)run->op->own[1];
    if (run_region_open(run, bytes, false)) {
        return -1;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (run_do(run, i, order_remap, bytes, (uint64_t)protection)) {
            return -1;
        }
    }
    if (run_timed_all(run, 2, order_share, walks, 1) ||
        run_timed_all(run, 2, order_share, walks, rounds)) {
        return -1;
    }
    *rate = 1e6 / run_worker(run, HOST_A)->board->samples[0];
    return 0;
}

static int round_sharing(struct run *run)
{
    uint64_t plain_rounds = run->op->own[0] > 1 ? 1 : ROUNDS_VIEW;
    double with, without;

    return share(run, DSM_RELEASE, ROUNDS_VIEW, &with) || run_region_close(run) ||
                   share(run, 0, plain_rounds, &without) || run_region_close(run) ||
                   run_add(run, &run->measured, &with, 1) ||
                   run_add(run, &run->limits[0], &without, 1)
               ? -1
               : 0;
}

/* a: walks, b: rounds, c: the host; without a release between them. */
static int order_write(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)outcome;
    for (uint64_t round = 1; round <= order->b; round++) {
        write_half(hand, order->c, order->a, round);
    }
    return 0;
}

/* All that is stored between two barriers, and the messages of all agents meanwhile. */
static int round_sharing_messages(struct run *run)
{
    double before, after, rate;

    if (share(run, DSM_RELEASE, 2, &rate) || run_count_messages(run, &before) ||
        run_timed_all(run, 2, order_write, WALKS, 4) || run_count_messages(run, &after) ||
        run_region_close(run)) {
        return -1;
    }
    after -= before;
    return run_add(run, &run->measured, &after, 1);
}

const struct op ops_release[] = {
    {
        .name = "release",
        .text = "write 8 B to each of 1024 pages, then release; a page",
        .meaning = "Stores and dsm_release(), by a host that is not the home, while nobody else "
                   "looks: the pages are owned there after the first release.",
        .unit = "us",
        .target = {TARGET_MAX, 5, 0},
        .count_hosts = 2,
        .region_bytes = DIRTY_PAGES * BENCH_PAGE_BYTES,
        .is_written = true,
        .round = round_release,
    },
    {
        .name = "release-seen",
        .text = "the same, where the home has read all of them in between",
        .meaning = "As release, but each page has a reader, whose copy has to go.",
        .unit = "us",
        .target = {TARGET_MAX, 5, 0},
        .count_hosts = 2,
        .region_bytes = DIRTY_PAGES * BENCH_PAGE_BYTES,
        .is_written = true,
        .round = round_release_seen,
    },
    {
        .name = "sharing",
        .text = "two hosts write the halves of 1000 pages, 4 words at a time",
        .meaning = "Rounds a second, a barrier each; in a round each host goes over all pages 64 "
                   "times, writes 4 words of its half of each page, and computes for 0.2 ms "
                   "before each time.",
        .unit = "1/s",
        .limit_is = "the same, sequentially consistent",
        .target = {TARGET_RATIO_MIN, 20, 0},
        .is_rate = true,
        .count_hosts = 2,
        .own = {WALKS},
        .round = round_sharing,
    },
    {
        .name = "sharing-no-window",
        .text = "sharing in a region whose pages stay with nobody for a while",
        .meaning = "As sharing, without the adaptive window of the region, which lets a sequential "
                   "writer go over many pages before they are taken from it.",
        .unit = "1/s",
        .limit_is = "the same, sequentially consistent",
        .target = {TARGET_RATIO_MIN, 20, 0},
        .is_rate = true,
        .is_once = true, /* the sequential one takes seconds */
        .count_hosts = 2,
        .own = {WALKS, DSM_WINDOW_NONE},
        .round = round_sharing,
    },
    {
        .name = "sharing-once",
        .is_detail = true,
        .text = "the same, each half written at once",
        .meaning = "As sharing, but each page is written in one go, and nothing is computed: "
                   "sequentially consistent, too, it moves once to each host in a round.",
        .unit = "1/s",
        .limit_is = "the same, sequentially consistent",
        .is_rate = true,
        .count_hosts = 2,
        .own = {1},
        .round = round_sharing,
    },
    {
        .name = "sharing-inside",
        .text = "messages between two barriers of that",
        .meaning = "What the agents send while both hosts store and nobody releases.",
        .unit = "messages",
        .target = {TARGET_MAX, 0, 0},
        .count_hosts = 2,
        .own = {1},
        .round = round_sharing_messages,
    },
    {.name = NULL},
};
