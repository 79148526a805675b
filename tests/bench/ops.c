/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/limit.h"
#include "tests/bench/process.h"

#define FAULTS 400u
#define UPGRADES 300u
#define TRANSFERS 300u
#define LOCKS 400u
#define BARRIERS 400u
#define LIMIT_SAMPLES 400u
#define HIT_BYTES (UINT64_C(16) << 20)
#define HIT_SCANS 15u
#define STREAM_BYTES (UINT64_C(256) << 20)
#define MEMORY_BYTES (UINT64_C(256) << 20)
#define MEMORY_LIMIT_BYTES 64.0

/** Offsets of the lock and barrier that are measured. */
enum { OFFSET_LOCK = 64, OFFSET_BARRIER = 192 };

/** What an operation is compared with; a sum of these. */
enum limit { LIMIT_HANDOFF = 1, LIMIT_TRIP_64 = 2, LIMIT_TRIP_4096 = 4, LIMIT_BULK = 8 };

/** One measurement on its way. */
struct run {
    struct bench *bench;
    unsigned round; /* 0 warms up and is not counted */
    struct series measured, limits[3];
    uint64_t count_ops;
    double messages;
    char region[64];
};

struct op {
    const char *name, *unit, *limit_is;
    unsigned limits;                             /* enum limit */
    uint64_t region_bytes_a_round, region_bytes; /* of the region that both map first, 0: none */
    bool is_written;                             /* by A, before the rounds */
    int (*round)(struct run *run);
};

static struct worker *worker_a(struct run *run)
{
    return &run->bench->worker[0];
}

static struct worker *worker_b(struct run *run)
{
    return &run->bench->worker[1];
}

static int bench_do(struct worker *worker, enum order_kind kind, uint64_t a, uint64_t b)
{
    struct outcome outcome;

    return worker_do(worker, kind, a, b, 0, &outcome);
}

static int region_order(struct worker *worker, enum order_kind kind, const char *name,
                        uint64_t size_bytes)
{
    struct order order = {.kind = kind, .a = size_bytes};
    struct outcome outcome;

    snprintf(order.text, sizeof(order.text), "%s", name);
    return worker_tell(worker, &order) || worker_wait(worker, &outcome) ? -1 : 0;
}

static int region_open(struct run *run, uint64_t size_bytes, bool is_written)
{
    snprintf(run->region, sizeof(run->region), "/dsm-bench-%d-%u", (int)run->bench->worker[0].pid,
             run->bench->count_regions++);
    if (region_order(worker_a(run), ORDER_MAKE, run->region, size_bytes) ||
        (is_written &&
         bench_do(worker_a(run), ORDER_WRITE_ALL, 0, size_bytes / BENCH_PAGE_BYTES))) {
        return -1;
    }
    return region_order(worker_b(run), ORDER_MAP, run->region, size_bytes);
}

static int region_close(struct run *run)
{
    int error = bench_do(worker_b(run), ORDER_UNMAP, 0, 0);

    return bench_do(worker_a(run), ORDER_UNMAP, 1, 0) || error ? -1 : 0;
}

/* Protocol messages that both agents have sent so far. */
static int count_messages(struct run *run, double *messages)
{
    *messages = 0;
    for (int i = 0; i < 2; i++) {
        struct outcome outcome;

        if (worker_do(&run->bench->worker[i], ORDER_STATS, 0, 0, 0, &outcome)) {
            return -1;
        }
        *messages += (double)outcome.stats.messages_sent;
    }
    return 0;
}

/* Add samples of a round that counts. */
static int add_samples(struct run *run, struct series *series, const double *samples, size_t count)
{
    return run->round > 0 ? series_add_round(series, samples, count) : 0;
}

/* Tell B to do it, take its samples, and count the messages. */
static int timed_on_b(struct run *run, enum order_kind kind, uint64_t a, uint64_t b)
{
    struct outcome outcome;
    double before, after;

    if (count_messages(run, &before) || worker_do(worker_b(run), kind, a, b, 0, &outcome) ||
        count_messages(run, &after)) {
        return -1;
    }
    if (run->round > 0) {
        run->messages += after - before;
        run->count_ops += outcome.count;
    }
    return add_samples(run, &run->measured, worker_b(run)->board->samples, outcome.count);
}

/* Tell both to do it at once; c is set for A alone. */
static int timed_on_both(struct run *run, enum order_kind kind, uint64_t a, uint64_t b,
                         struct outcome outcomes[2])
{
    double before, after;

    if (count_messages(run, &before)) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        struct order order = {.kind = kind, .a = a, .b = b, .c = i == 0};

        if (worker_tell(&run->bench->worker[i], &order)) {
            return -1;
        }
    }
    for (int i = 0; i < 2; i++) {
        if (worker_wait(&run->bench->worker[i], &outcomes[i])) {
            return -1;
        }
    }
    if (count_messages(run, &after)) {
        return -1;
    }
    if (run->round > 0) {
        run->messages += after - before;
    }
    return 0;
}

static int round_fault(struct run *run)
{
    return timed_on_b(run, ORDER_READ_RANDOM, (uint64_t)run->round * FAULTS * 2, FAULTS);
}

static int round_upgrade(struct run *run)
{
    uint64_t first = (uint64_t)run->round * UPGRADES * 2;

    return bench_do(worker_b(run), ORDER_READ_ALL, first, (uint64_t)UPGRADES * 2) ||
                   timed_on_b(run, ORDER_WRITE_RANDOM, first, UPGRADES)
               ? -1
               : 0;
}

static int round_pingpong(struct run *run)
{
    struct outcome outcomes[2];
    double samples[2 * TRANSFERS];

    if (timed_on_both(run, ORDER_PING, 0, TRANSFERS, outcomes)) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        memcpy(samples + i * TRANSFERS, run->bench->worker[i].board->samples,
               TRANSFERS * sizeof(*samples));
    }
    run->count_ops += run->round > 0 ? 2 * TRANSFERS : 0;
    return add_samples(run, &run->measured, samples, 2 * TRANSFERS);
}

static int round_lock_alone(struct run *run)
{
    return timed_on_b(run, ORDER_LOCK_ALONE, OFFSET_LOCK, LOCKS);
}

/*
 * A hand-off is the time from one host's call of unlock to the other's return from lock, where the
 * other had asked before: the samples of both hosts, merged in the order in which the lock was
 * held.
 */
static int round_lock(struct run *run)
{
    struct outcome outcomes[2];
    double samples[2 * LOCKS];
    const double *hosts[2] = {worker_a(run)->board->samples, worker_b(run)->board->samples};
    size_t at[2] = {0, 0}, count = 0;
    double left = 0;
    int holder = -1;

    if (timed_on_both(run, ORDER_LOCK_TURNS, OFFSET_LOCK, LOCKS, outcomes)) {
        return -1;
    }
    while (at[0] < LOCKS || at[1] < LOCKS) {
        int next =
            at[1] == LOCKS || (at[0] < LOCKS && hosts[0][3 * at[0] + 1] < hosts[1][3 * at[1] + 1])
                ? 0
                : 1;
        const double *turn = hosts[next] + 3 * at[next]++;

        if (holder >= 0 && holder != next && turn[0] < left) {
            samples[count++] = turn[1] - left;
        }
        left = turn[2];
        holder = next;
    }
    run->count_ops += run->round > 0 ? 2 * LOCKS : 0;
    return add_samples(run, &run->measured, samples, count);
}

static int round_barrier(struct run *run)
{
    struct outcome outcomes[2];

    if (timed_on_both(run, ORDER_BARRIER, OFFSET_BARRIER, BARRIERS, outcomes)) {
        return -1;
    }
    run->count_ops += run->round > 0 ? BARRIERS : 0;
    return add_samples(run, &run->measured, worker_b(run)->board->samples, BARRIERS);
}

static int round_stream(struct run *run)
{
    /* The warm-up needs not be long. */
    uint64_t size_bytes = run->round > 0 ? STREAM_BYTES : STREAM_BYTES / 16;

    if (region_open(run, size_bytes, true) || timed_on_b(run, ORDER_STREAM, size_bytes, 0)) {
        return -1;
    }
    run->count_ops += run->round > 0 ? size_bytes / BENCH_PAGE_BYTES - 1 : 0;
    return region_close(run);
}

static int round_hit(struct run *run)
{
    struct outcome outcome;
    double region[HIT_SCANS], plain[HIT_SCANS];
    const double ns = 1e3 * sizeof(uint64_t) / (double)HIT_BYTES;

    if (bench_do(worker_b(run), ORDER_READ_ALL, 0, HIT_BYTES / BENCH_PAGE_BYTES) ||
        worker_do(worker_b(run), ORDER_HIT, 0, HIT_SCANS, 0, &outcome)) {
        return -1;
    }
    for (size_t i = 0; i < HIT_SCANS; i++) {
        region[i] = worker_b(run)->board->samples[2 * i] * ns;
        plain[i] = worker_b(run)->board->samples[2 * i + 1] * ns;
    }
    return add_samples(run, &run->measured, region, HIT_SCANS) ||
                   add_samples(run, &run->limits[0], plain, HIT_SCANS)
               ? -1
               : 0;
}

static const struct op ops[] = {
    {"fault", "us", "userfaultfd hand-off + TLS round trip 64 B / 4 KiB",
     LIMIT_HANDOFF | LIMIT_TRIP_4096, FAULTS * 2 * BENCH_PAGE_BYTES, 0, true, round_fault},
    {"stream", "MB/s", "bulk TLS", LIMIT_BULK, 0, 0, false, round_stream},
    {"hit", "ns/load", "plain memory", 0, 0, HIT_BYTES, true, round_hit},
    {"upgrade", "us", "userfaultfd hand-off + TLS round trip 64 B / 64 B",
     LIMIT_HANDOFF | LIMIT_TRIP_64, UPGRADES * 2 * BENCH_PAGE_BYTES, 0, true, round_upgrade},
    {"pingpong", "us", "userfaultfd hand-off + TLS round trip 64 B / 4 KiB",
     LIMIT_HANDOFF | LIMIT_TRIP_4096, 0, BENCH_PAGE_BYTES, true, round_pingpong},
    {"lock", "us", "TLS round trip 64 B / 64 B", LIMIT_TRIP_64, 0, BENCH_PAGE_BYTES, false,
     round_lock},
    {"lock-alone", "us", "TLS round trip 64 B / 64 B", LIMIT_TRIP_64, 0, BENCH_PAGE_BYTES, false,
     round_lock_alone},
    {"barrier", "us", "TLS round trip 64 B / 64 B", LIMIT_TRIP_64, 0, BENCH_PAGE_BYTES, false,
     round_barrier},
};

#define OPS_COUNT (sizeof(ops) / sizeof(ops[0]))

static int take_limit(struct run *run, struct series *series, enum order_kind kind, uint64_t a)
{
    struct outcome outcome;

    return worker_do(worker_b(run), kind, a, LIMIT_SAMPLES, 0, &outcome) ||
                   add_samples(run, series, worker_b(run)->board->samples, outcome.count)
               ? -1
               : 0;
}

static int take_limits(struct run *run, const struct op *op)
{
    struct series *series = run->limits;

    if (op->limits & LIMIT_HANDOFF && take_limit(run, series++, ORDER_HANDOFF, 0)) {
        return -1;
    }
    if (op->limits & LIMIT_TRIP_64 && take_limit(run, series++, ORDER_ROUND_TRIPS, 0)) {
        return -1;
    }
    if (op->limits & LIMIT_TRIP_4096 &&
        take_limit(run, series++, ORDER_ROUND_TRIPS, BENCH_PAGE_BYTES)) {
        return -1;
    }
    if (op->limits & LIMIT_BULK && take_limit(run, series++, ORDER_BULK, STREAM_BYTES)) {
        return -1;
    }
    return 0;
}

static int run_rounds(struct run *run, const struct op *op)
{
    uint64_t rounds = run->bench->rounds;
    uint64_t size_bytes = op->region_bytes + op->region_bytes_a_round * (rounds + 1);

    if (size_bytes && region_open(run, size_bytes, op->is_written)) {
        return -1;
    }
    for (run->round = 0; run->round <= rounds; run->round++) {
        if (op->round(run) || take_limits(run, op)) {
            return -1;
        }
    }
    return size_bytes ? region_close(run) : 0;
}

static int run_op(struct bench *bench, const struct op *op, struct result *result)
{
    struct run run = {.bench = bench};
    int error = run_rounds(&run, op);

    *result = (struct result){.op = op->name, .unit = op->unit, .limit_is = op->limit_is};
    result->median = series_median(&run.measured);
    result->p99 = series_p99(&run.measured);
    for (size_t i = 0; i < sizeof(run.limits) / sizeof(run.limits[0]); i++) {
        result->limit += series_median(&run.limits[i]);
        series_close(&run.limits[i]);
    }
    result->ratio = result->limit > 0 ? result->median / result->limit : 0;
    result->messages_per_op = run.count_ops ? run.messages / (double)run.count_ops : -1;
    series_close(&run.measured);
    return error;
}

/* Memory that the agents need to keep a region's pages, beyond the pages: by their own count and by
 * the kernel's. The worse of the two hosts counts. */
static int run_memory(struct bench *bench, struct result results[2])
{
    static const char *const limit_is = "64 bytes a page";
    struct run run = {.bench = bench};
    const uint64_t pages = MEMORY_BYTES / BENCH_PAGE_BYTES;
    uint64_t before[2];
    double core = 0, resident = 0;

    for (int i = 0; i < 2; i++) {
        before[i] = process_anonymous_bytes(bench->hosts->host[i].agent);
    }
    if (region_open(&run, MEMORY_BYTES, true) ||
        bench_do(worker_b(&run), ORDER_READ_ALL, 0, pages)) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        struct outcome outcome;
        uint64_t after = process_anonymous_bytes(bench->hosts->host[i].agent);
        double grown = after > before[i] ? (double)(after - before[i]) / (double)pages : 0;

        if (worker_do(&bench->worker[i], ORDER_STATS, 0, 0, 0, &outcome)) {
            return -1;
        }
        double counted = (double)outcome.stats.core_bytes / (double)pages;
        core = counted > core ? counted : core;
        resident = grown > resident ? grown : resident;
    }
    results[0] = (struct result){
        "memory", "bytes/page", limit_is, core, core, MEMORY_LIMIT_BYTES, core / MEMORY_LIMIT_BYTES,
        -1};
    results[1] = (struct result){"memory-rss",
                                 "bytes/page",
                                 limit_is,
                                 resident,
                                 resident,
                                 MEMORY_LIMIT_BYTES,
                                 resident / MEMORY_LIMIT_BYTES,
                                 -1};
    return region_close(&run);
}

static const struct op *op_find(const char *name)
{
    for (size_t i = 0; i < OPS_COUNT; i++) {
        if (!strcmp(ops[i].name, name)) {
            return &ops[i];
        }
    }
    return NULL;
}

bool bench_has_op(const char *name)
{
    return !strcmp(name, "memory") || op_find(name);
}

bool bench_op_is_pinned(const char *name)
{
    return strcmp(name, "memory") != 0;
}

const char *bench_op_name(unsigned index)
{
    /* "lock" measures both kinds of locking. */
    static const char *const names[] = {"memory",   "fault", "stream",  "hit", "upgrade",
                                        "pingpong", "lock",  "barrier", NULL};

    return index < sizeof(names) / sizeof(names[0]) ? names[index] : NULL;
}

int bench_run(struct bench *bench, const char *name, struct result results[2], unsigned *count)
{
    *count = 1;
    if (!strcmp(name, "memory")) {
        *count = 2;
        return run_memory(bench, results);
    }
    if (!strcmp(name, "lock")) {
        *count = 2;
        return run_op(bench, op_find("lock"), &results[0]) ||
                       run_op(bench, op_find("lock-alone"), &results[1])
                   ? -1
                   : 0;
    }
    return run_op(bench, op_find(name), results);
}
