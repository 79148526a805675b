/* SPDX-License-Identifier: Apache-2.0 */
/* What is chosen for a whole region: larger pages; and that it is sealed. */
#include <fcntl.h>
#include <string.h>

#include "dsm_seal.h"
#include "tests/bench/ops.h"
#include "tests/bench/process.h"

#define STREAM_BYTES (UINT64_C(128) << 20)
#define SEALED_BYTES (UINT64_C(64) << 20)
/** Of all that a round keeps on all hosts, and the kernel is to have at hand. */
#define WARM_TIMES 3u
#define LARGE_64K (64u << 10)
#define LARGE_2M (2u << 20)
/** Hosts that read a region at once: all but the first. */
#define READ_HOSTS 3u

/* own: bytes of a page, faults. */
static int round_fault(struct run *run)
{
    uint64_t faults = run->op->own[1];

    run->page_bytes = (uint32_t)run->op->own[0];
    return run_region_open(run, faults * 2 * run->page_bytes, true) ||
                   run_timed(run, HOST_B, order_read_random, 0, faults) || run_region_close(run)
               ? -1
               : 0;
}

/* own: bytes of a page. */
static int round_stream(struct run *run)
{
    uint64_t size_bytes = run->bench->is_quick ? STREAM_BYTES / 2 : STREAM_BYTES;

    run->page_bytes = (uint32_t)run->op->own[0];
    if (run_region_open(run, size_bytes, true) ||
        run_timed(run, HOST_B, order_stream, size_bytes, 0)) {
        return -1;
    }
    run_add_ops(run, size_bytes / run->page_bytes - 1);
    return run_region_close(run);
}

static int map_read_only(struct hand *hand, uint64_t size_bytes)
{
    void *mapped;
    int error = dsm_shm_map(hand->region, NULL, 0, size_bytes, DSM_READ, &mapped);

    if (!error) {
        hand->memory = mapped;
        hand->size_bytes = size_bytes;
    }
    return error;
}

/* a: bytes; seal the region as soon as others are known to have closed it, and map it to read. */
static int order_seal(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    double end_us = clock_us() + WAIT_MS * 1e3;
    int error = dsm_shm_unmap(hand->dsm, hand->memory);

    (void)outcome;
    hand->memory = NULL;
    if (!error) {
        do {
            error = dsm_shm_seal(hand->region);
        } while (error == DSM_EBUSY && clock_us() < end_us);
    }
    return error ? error : map_read_only(hand, order->a);
}

/* text: name, a: bytes; map it to read. */
static int order_map_read(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    int error = dsm_shm_open(hand->dsm, order->text, O_RDONLY, 0, NULL, &hand->region);

    (void)outcome;
    return error ? error : map_read_only(hand, order->a);
}

/* a: bytes; all of them but the home (c) read them in order; samples: when it began, and ended. */
static int order_read_at_once(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    double begin = clock_us();
    int error = order->c == HOST_A ? 0 : order_stream(hand, order, outcome);

    hand->samples[0] = begin;
    hand->samples[1] = clock_us();
    return error;
}

/* Make it immutable, and open it anew on the other hosts: they had it to write. */
static int seal(struct run *run, uint64_t size_bytes)
{
    struct order order = {.a = size_bytes};

    for (unsigned i = 1; i < READ_HOSTS; i++) {
        if (run_do(run, i, order_unmap, 0, 0)) {
            return -1;
        }
    }
    memcpy(order.text, run->region, sizeof(order.text));
    int error = run_do(run, HOST_A, order_seal, size_bytes, 0);
    for (unsigned i = 1; i < READ_HOSTS && !error; i++) {
        error = run_do_program(run, i, 0, order_map_read, &order);
    }
    return error;
}

/* Pages that each host has sent so far. */
static int count_sent(struct run *run, double sent[READ_HOSTS])
{
    for (unsigned i = 0; i < READ_HOSTS; i++) {
        struct outcome outcome;

        if (worker_do(run_worker(run, i), order_stats, 0, 0, 0, &outcome)) {
            return -1;
        }
        sent[i] = (double)outcome.stats.pages_sent;
    }
    return 0;
}

struct reading {
    double mb_per_s; /* of the host that was ready last */
    double sends;    /* of each page, by the host that sent most */
};

/* Two hosts read at once what a third has written. */
static int read_at_once(struct run *run, bool is_sealed, struct reading *reading)
{
    uint64_t size_bytes = SEALED_BYTES;
    double before[READ_HOSTS], after[READ_HOSTS], begin = 0, end = 0, most = 0;

    if (run_region_open(run, size_bytes, true) || (is_sealed && seal(run, size_bytes)) ||
        count_sent(run, before) ||
        run_timed_all(run, READ_HOSTS, order_read_at_once, size_bytes, 0) ||
        count_sent(run, after)) {
        return -1;
    }
    for (unsigned i = 0; i < READ_HOSTS; i++) {
        const double *samples = run_worker(run, i)->board->samples;

        begin = i == 1 || (i > 1 && samples[0] < begin) ? samples[0] : begin;
        end = samples[1] > end ? samples[1] : end;
        most = after[i] - before[i] > most ? after[i] - before[i] : most;
    }
    reading->mb_per_s = (double)size_bytes / (end - begin);
    reading->sends = most * BENCH_PAGE_BYTES / (double)size_bytes;
    return run_region_close(run);
}

/* own: is it sealed? Messages are per page and reader. */
static int round_at_once(struct run *run)
{
    struct reading reading;

    if (read_at_once(run, run->op->own[0], &reading)) {
        return -1;
    }
    run_add_ops(run, (READ_HOSTS - 1) * SEALED_BYTES / BENCH_PAGE_BYTES);
    return run_add(run, &run->measured, &reading.mb_per_s, 1);
}

static int round_sends(struct run *run)
{
    struct reading sealed, other;

    return read_at_once(run, true, &sealed) || read_at_once(run, false, &other) ||
                   run_add(run, &run->measured, &sealed.sends, 1) ||
                   run_add(run, &run->limits[0], &other.sends, 1)
               ? -1
               : 0;
}

#define BULK                                                                                       \
    .unit = "MB/s", .limit_is = "bulk TLS, one connection", .limit = {{LIMIT_BULK, 1}},            \
    .is_rate = true, .is_detail = true

#define TWO_READ                                                                                   \
    .unit = "MB/s", .limit_is = "half of bulk TLS: what goes to two leaves one host twice",        \
    .limit = {{LIMIT_BULK, 0.5}}, .is_rate = true, .is_detail = true, .count_hosts = READ_HOSTS

#define LARGE_FAULT(bytes)                                                                         \
    .unit = "us",                                                                                  \
    .limit_is = "userfaultfd hand-off of such a page + TLS round trip 64 B / such a page",         \
    .limit = {{LIMIT_HANDOFF_##bytes, 1}, {LIMIT_TRIP_##bytes, 1}}, .is_detail = true,             \
    .count_hosts = 2

const struct op ops_large[] = {
    {
        .name = "fault-64k",
        .text = "random read misses in a region of pages of 64 KiB",
        .meaning = "As fault, in a region that was made with pages of 64 KiB.",
        LARGE_FAULT(64K),
        .own = {LARGE_64K, 200},
        .round = round_fault,
    },
    {
        .name = "fault-2m",
        .text = "random read misses in a region of pages of 2 MiB",
        .meaning = "As fault, in a region that was made with pages of 2 MiB, the largest.",
        LARGE_FAULT(2M),
        .own = {LARGE_2M, 16},
        .round = round_fault,
    },
    {
        .name = "stream-64k",
        .text = "sequential read of 128 MiB in pages of 64 KiB",
        .meaning = "As stream, from a region that was made with pages of 64 KiB.",
        BULK,
        .count_hosts = 2,
        .own = {LARGE_64K},
        .warm_bytes = STREAM_BYTES * WARM_TIMES,
        .round = round_stream,
    },
    {
        .name = "stream-2m",
        .text = "sequential read of 128 MiB in pages of 2 MiB",
        .meaning = "As stream, from a region that was made with pages of 2 MiB.",
        BULK,
        .count_hosts = 2,
        .own = {LARGE_2M},
        .warm_bytes = STREAM_BYTES * WARM_TIMES,
        .round = round_stream,
    },
    {
        .name = "sealed",
        .text = "two hosts read a sealed region of 64 MiB at the same time",
        .meaning = "What each of two hosts gets, until both have all of it, of a region that the "
                   "third has sealed. Both are next to its home in the tree in which it spreads: "
                   "more than two hosts would get it from these.",
        TWO_READ,
        .own = {true},
        .round = round_at_once,
    },
    {
        .name = "sealed-not",
        .text = "the same, of a region that is not sealed",
        .meaning = "As sealed, but the region may be written: its home answers all hosts.",
        TWO_READ,
        .own = {false},
        .round = round_at_once,
    },
    {
        .name = "sealed-sends",
        .text = "how often the host that sends most sends a page of that",
        .meaning = "Counted, while two hosts read it. With n hosts it is at most 2 when sealed, "
                   "and n - 1 when not (dsm/core/SCALE.md has up to 4096 hosts, simulated).",
        .unit = "a page",
        .limit_is = "the same, not sealed",
        .target = {TARGET_MAX, 2, 0},
        .count_hosts = READ_HOSTS,
        .is_unpinned = true,
        .is_once = true,
        .round = round_sends,
    },
    {.name = NULL},
};
