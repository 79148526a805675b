/* SPDX-License-Identifier: Apache-2.0 */
/* Bulk: many pages, in the orders in which programs go through memory. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dsm_advice.h"
#include "tests/bench/ops.h"
#include "tests/bench/process.h"
#include "tests/bench/shuffle.h"

#define STREAM_BYTES (UINT64_C(1) << 30)
#define WALK_BYTES (UINT64_C(128) << 20)
/** Of all that a round keeps on both hosts, and the kernel is to have at hand. */
#define WARM_TIMES 3u
/** Pages of a row of the matrix that is read by columns, and from page to page of a stride. */
#define ROW_PAGES 64u
#define STRIDE_PAGES_READ 8u
/** Pages of a block of those that are read here and there. */
#define BLOCK_PAGES 16u
#define BLOCK_BYTES ((uint64_t)BLOCK_PAGES * BENCH_PAGE_BYTES)
/** Blocks that the agent is told of before they are read. */
#define BLOCKS_AHEAD 24u
/** Random misses, with and without read-ahead. */
#define MISSES 400u

/* The page that is touched n-th, of so many. */
typedef uint64_t (*walk_function)(uint64_t n, uint64_t count);

static uint64_t walk_backwards(uint64_t n, uint64_t count)
{
    return count - 1 - n;
}

static uint64_t walk_stride(uint64_t n, uint64_t count)
{
    (void)count;
    return n * STRIDE_PAGES_READ;
}

static uint64_t walk_columns(uint64_t n, uint64_t count)
{
    uint64_t rows = count / ROW_PAGES;

    return n % rows * ROW_PAGES + n / rows;
}

/* The first pages of each row. */
static uint64_t walk_tile(uint64_t n, uint64_t count)
{
    (void)count;
    return n / BLOCK_PAGES * ROW_PAGES + n % BLOCK_PAGES;
}

enum { WALK_BACKWARDS, WALK_STRIDE, WALK_COLUMNS, WALK_TILE };

static const walk_function walks[] = {
    [WALK_BACKWARDS] = walk_backwards,
    [WALK_STRIDE] = walk_stride,
    [WALK_COLUMNS] = walk_columns,
    [WALK_TILE] = walk_tile,
};

/* Read b pages in the order of walk number a; one sample, MB/s. */
static int order_walk(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    double begin = clock_us();

    for (uint64_t n = 0; n < order->b; n++) {
        uint64_t page = walks[order->a](n, order->b);
        const uint8_t *at = hand->memory + page * BENCH_PAGE_BYTES;

        if (scan_words(at, BENCH_PAGE_BYTES) !=
            (page % 251 + 1) * UINT64_C(0x0101010101010101) * (BENCH_PAGE_BYTES / 8)) {
            return DSM_EPROTO;
        }
    }
    hand->samples[0] = (double)order->b * BENCH_PAGE_BYTES / (clock_us() - begin);
    outcome->count = 1;
    return 0;
}

/*
 * Read b pages in blocks that lie here and there, each of which the agent was told of some time
 * before; one sample, MB/s.
 */
static int order_hint(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    uint32_t count = (uint32_t)(order->b / BLOCK_PAGES);
    uint32_t *blocks = malloc(count * sizeof(*blocks));
    int error = blocks ? 0 : DSM_ENOMEM;
    uint64_t sum = 0;

    if (blocks) {
        shuffle(blocks, count, order->a + 1);
    }
    double begin = clock_us();
    for (uint32_t told = 0, n = 0; n < count && !error; n++) {
        for (; told < count && told <= n + BLOCKS_AHEAD && !error; told++) {
            error = dsm_advise(hand->region, blocks[told] * BLOCK_BYTES, BLOCK_BYTES,
                               DSM_ADVICE_WILL_NEED);
        }
        sum += scan_words(hand->memory + blocks[n] * BLOCK_BYTES, BLOCK_BYTES);
    }
    hand->samples[0] = (double)count * BLOCK_BYTES / (clock_us() - begin);
    outcome->count = 1;
    free(blocks);
    return error == 0 && sum != scan_expected(count * BLOCK_BYTES) ? DSM_EPROTO : error;
}

/* Write b pages in order, of a region that nobody has written; one sample, MB/s. */
static int order_fill(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    double begin = clock_us();
    int error = order_write_all(hand, order, outcome);

    hand->samples[0] = (double)order->b * BENCH_PAGE_BYTES / (clock_us() - begin);
    outcome->count = 1;
    return error;
}

/* Read b pages that another program of this host has; one sample, us a page. */
static int order_touch(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    double begin = clock_us();
    int error = order_read_all(hand, order, outcome);

    hand->samples[0] = (clock_us() - begin) / (double)order->b;
    outcome->count = 1;
    return error;
}

/* Bytes of a round's region; the warm-up, and a quick run, need not be long. */
static uint64_t round_bytes(const struct run *run, uint64_t long_bytes)
{
    return run->round == 0 || run->bench->is_quick ? long_bytes / 16 : long_bytes;
}

/* Walk number own[0]; one page of own[1] is touched. */
static int round_walk(struct run *run)
{
    uint64_t size_bytes = round_bytes(run, WALK_BYTES);
    uint64_t pages = size_bytes / BENCH_PAGE_BYTES / run->op->own[1];

    if (run_region_open(run, size_bytes, true) ||
        run_timed(run, HOST_B, order_walk, run->op->own[0], pages)) {
        return -1;
    }
    run_add_ops(run, pages - 1);
    return run_region_close(run);
}

static int round_stream(struct run *run)
{
    uint64_t size_bytes = round_bytes(run, STREAM_BYTES);

    if (run_region_open(run, size_bytes, true) ||
        run_timed(run, HOST_B, order_stream, size_bytes, 0)) {
        return -1;
    }
    run_add_ops(run, size_bytes / BENCH_PAGE_BYTES - 1);
    return run_region_close(run);
}

static int round_write(struct run *run)
{
    uint64_t pages = round_bytes(run, WALK_BYTES) / BENCH_PAGE_BYTES;

    if (run_region_open(run, pages * BENCH_PAGE_BYTES, false) ||
        run_timed(run, HOST_B, order_fill, 0, pages)) {
        return -1;
    }
    run_add_ops(run, pages - 1);
    return run_region_close(run);
}

/* What was read in order is written in order. */
static int round_rewrite(struct run *run)
{
    uint64_t pages = round_bytes(run, WALK_BYTES) / BENCH_PAGE_BYTES;

    if (run_region_open(run, pages * BENCH_PAGE_BYTES, true) ||
        run_do(run, HOST_B, order_read_all, 0, pages) ||
        run_timed(run, HOST_B, order_fill, 0, pages)) {
        return -1;
    }
    run_add_ops(run, pages - 1);
    return run_region_close(run);
}

static int round_hint(struct run *run)
{
    uint64_t pages = round_bytes(run, WALK_BYTES) / BENCH_PAGE_BYTES;

    if (run_region_open(run, pages * BENCH_PAGE_BYTES, true) ||
        run_timed(run, HOST_B, order_hint, run->round, pages)) {
        return -1;
    }
    run_add_ops(run, pages - 1);
    return run_region_close(run);
}

/* a: page, b: pages; they are used at random. */
static int order_say_random(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)outcome;
    return dsm_advise(hand->region, order->a * BENCH_PAGE_BYTES, order->b * BENCH_PAGE_BYTES,
                      DSM_ADVICE_RANDOM);
}

/* The mean, which what was read ahead for nothing is in. */
static int read_at_random(struct run *run, uint64_t first, struct series *series)
{
    double mean_us = 0;

    if (run_do(run, HOST_B, order_read_random, first, MISSES)) {
        return -1;
    }
    for (unsigned i = 0; i < MISSES; i++) {
        mean_us += run_worker(run, HOST_B)->board->samples[i] / MISSES;
    }
    return run_add(run, series, &mean_us, 1);
}

/* Pages at random with and without read-ahead, now this first and now that. */
static int round_ahead(struct run *run)
{
    uint64_t plain = (run->round * 2 + run->round % 2) * MISSES * 2;
    uint64_t told = (run->round * 2 + (run->round + 1) % 2) * MISSES * 2;

    if (run_do(run, HOST_B, order_say_random, told, MISSES * 2) ||
        (plain < told && read_at_random(run, plain, &run->measured)) ||
        read_at_random(run, told, &run->limits[0]) ||
        (plain > told && read_at_random(run, plain, &run->measured))) {
        return -1;
    }
    return 0;
}

/* The second program of host B maps what the first has read. */
static int round_second(struct run *run)
{
    uint64_t pages = round_bytes(run, WALK_BYTES) / BENCH_PAGE_BYTES;
    struct order order = {.a = pages * BENCH_PAGE_BYTES};
    struct order touch = {.a = 0, .b = pages};
    double before, after;

    if (run_region_open(run, pages * BENCH_PAGE_BYTES, true) ||
        run_do(run, HOST_B, order_read_all, 0, pages)) {
        return -1;
    }
    memcpy(order.text, run->region, sizeof(order.text));
    if (run_do_program(run, HOST_B, 1, order_map, &order) || run_count_messages(run, &before) ||
        run_do_program(run, HOST_B, 1, order_touch, &touch) || run_count_messages(run, &after)) {
        return -1;
    }
    run_add_messages(run, after - before, pages);
    order = (struct order){0};
    if (run_add(run, &run->measured, bench_worker(run->bench, HOST_B, 1)->board->samples, 1) ||
        run_do_program(run, HOST_B, 1, order_unmap, &order)) {
        return -1;
    }
    return run_region_close(run);
}

/* CPU time that a process has used so far, us. */
static double cpu_us(pid_t pid)
{
    struct timespec time = {0};
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) == 0) {
        clock_gettime(clock, &time);
    }
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* What both agents use while a region is streamed, and both ends of bare TLS for as much. */
static int round_cpu(struct run *run)
{
    const struct host *host = run->bench->hosts->host;
    pid_t server = run_worker(run, HOST_A)->board->limit_server;
    pid_t client = run_worker(run, HOST_B)->pid;
    double used, bare;
    uint32_t count;

    if (run_region_open(run, WALK_BYTES, true)) {
        return -1;
    }
    used = -(cpu_us(host[HOST_A].agent) + cpu_us(host[HOST_B].agent));
    if (run_do(run, HOST_B, order_stream, WALK_BYTES, 0)) {
        return -1;
    }
    used += cpu_us(host[HOST_A].agent) + cpu_us(host[HOST_B].agent);
    bare = -(cpu_us(server) + cpu_us(client));
    if (run_region_close(run) || run_take_limit(run, LIMIT_BULK, false, &count)) {
        return -1;
    }
    bare += cpu_us(server) + cpu_us(client);
    used *= 1e-6 * (double)(STREAM_BYTES / WALK_BYTES);
    bare *= 1e-6 * (double)(STREAM_BYTES / WALK_BYTES);
    return run_add(run, &run->measured, &used, 1) || run_add(run, &run->limits[0], &bare, 1) ? -1
                                                                                             : 0;
}

#define BULK                                                                                       \
    .unit = "MB/s", .limit_is = "bulk TLS, one connection", .limit = {{LIMIT_BULK, 1}},            \
    .is_rate = true, .count_hosts = 2

#define WALK_WARM_BYTES (WALK_BYTES * WARM_TIMES)

const struct op ops_stream[] = {
    {
        .name = "stream",
        .text = "sequential read of 1 GiB from the other host",
        .meaning = "A plain loop over memory whose pages are all on the other host.",
        BULK,
        .target = {TARGET_RATIO_MIN, 0.85, 0},
        .peers = {"mpi-get-1m"},
        .warm_bytes = STREAM_BYTES * WARM_TIMES,
        .round = round_stream,
    },
    {
        .name = "stream-back",
        .text = "the same backwards, 128 MiB",
        .meaning = "A loop from the last page to the first.",
        BULK,
        .target = {TARGET_RATIO_MIN, 0.7, 0},
        .warm_bytes = WALK_WARM_BYTES,
        .own = {WALK_BACKWARDS, 1},
        .round = round_walk,
    },
    {
        .name = "stream-stride",
        .text = "every eighth page of 128 MiB from the other host",
        .meaning = "Every eighth page; only what is read counts as bytes.",
        BULK,
        .target = {TARGET_RATIO_MIN, 0.7, 0},
        .warm_bytes = WALK_WARM_BYTES,
        .own = {WALK_STRIDE, STRIDE_PAGES_READ},
        .round = round_walk,
    },
    {
        .name = "stream-column",
        .text = "a matrix of 128 MiB by columns, rows of 64 pages",
        .meaning = "A matrix that is stored by rows and read by columns, a page wide each.",
        BULK,
        .target = {TARGET_RATIO_MIN, 0.7, 0},
        .warm_bytes = WALK_WARM_BYTES,
        .own = {WALK_COLUMNS, 1},
        .round = round_walk,
    },
    {
        .name = "stream-tile",
        .text = "16 pages of each row of the same matrix",
        .meaning = "A part of each row of a matrix: 16 pages of 64.",
        BULK,
        .target = {TARGET_RATIO_MIN, 0.7, 0},
        .warm_bytes = WALK_WARM_BYTES,
        .own = {WALK_TILE, ROW_PAGES / BLOCK_PAGES},
        .round = round_walk,
    },
    {
        .name = "stream-hint",
        .text = "blocks of 64 KiB at random, announced by dsm_advise()",
        .meaning = "Blocks in no order that the program tells the agent some time before it reads.",
        BULK,
        .target = {TARGET_RATIO_MIN, 0.7, 0},
        .warm_bytes = WALK_WARM_BYTES,
        .round = round_hint,
    },
    {
        .name = "ahead-random",
        .text = "random misses, beside the same with read-ahead off",
        .meaning = "What read-ahead costs who goes through memory in no order at all, beside the "
                   "same where the program has said so (dsm_advise).",
        .unit = "us",
        .limit_is = "the same told to be random: nothing is read ahead",
        .target = {TARGET_RATIO_MAX, 1.05, 0},
        .count_hosts = 2,
        .region_bytes_a_round = UINT64_C(4) * MISSES * BENCH_PAGE_BYTES,
        .is_written = true,
        .round = round_ahead,
    },
    {
        .name = "stream-write",
        .text = "sequential write of a fresh region whose home is the other host",
        .meaning = "Memory that nobody has written, whose home is elsewhere, is written in order.",
        BULK,
        .target = {TARGET_RATIO_MIN, 0.7, 0},
        .warm_bytes = WALK_WARM_BYTES,
        .round = round_write,
    },
    {
        .name = "stream-rewrite",
        .text = "sequential write of what was read from the other host before",
        .meaning = "Pages that are here to read are written in order: no bytes move, rights do.",
        BULK,
        .target = {TARGET_RATIO_MIN, 0.7, 0},
        .warm_bytes = WALK_WARM_BYTES,
        .round = round_rewrite,
    },
    {
        .name = "second-toucher",
        .text = "a page that another program of the host has read",
        .meaning = "Two programs on one host share one copy: the second needs no message.",
        .unit = "us",
        .target = {TARGET_MAX, 1.2, 0},
        .count_hosts = 2,
        .warm_bytes = WALK_WARM_BYTES,
        .round = round_second,
    },
    {
        .name = "stream-cpu",
        .text = "CPU time of both agents for a streamed GiB",
        .meaning = "What both agents spend on a GiB, beside what both ends of bare TLS spend.",
        .unit = "s/GiB",
        .limit_is = "both ends of bare TLS",
        .target = {TARGET_RATIO_MAX, 1.5, 0},
        .count_hosts = 2,
        .warm_bytes = WALK_WARM_BYTES,
        .round = round_cpu,
    },
    {.name = NULL},
};
