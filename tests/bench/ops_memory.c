/* SPDX-License-Identifier: Apache-2.0 */
/* Single pages: misses, upgrades, loads on what is there, and what pages cost the agents. */
#include <string.h>
#include <sys/mman.h>

#include "tests/bench/ops.h"
#include "tests/bench/process.h"

#define FAULTS 400u
#define UPGRADES 300u
#define IDLE_FAULTS 400u
#define BUSY_FAULTS 1200u
#define BUSY_MS 200
#define HIT_BYTES (UINT64_C(16) << 20)
#define HIT_SCANS 15u
#define MEMORY_BYTES (UINT64_C(256) << 20)
#define MEMORY_LIMIT_BYTES 64.0

static int round_fault(struct run *run)
{
    return run_timed(run, HOST_B, order_read_random, (uint64_t)run->round * FAULTS * 2, FAULTS);
}

/*
 * First as above, which the rest is compared with; then with programs that compute where the home's
 * processes run: one on its CPU, or one for each of two.
 */
static int round_busy(struct run *run)
{
    const unsigned count_busy = run->bench->pinning == PIN_NONE ? 2 : 1;
    const uint64_t pages = run->op->region_bytes_a_round / BENCH_PAGE_BYTES;
    const uint64_t first = run->round * pages;
    struct worker *busy[2];
    struct outcome outcome;
    int error;

    if (run_do(run, HOST_B, order_read_random, first, IDLE_FAULTS) ||
        run_add(run, &run->limits[0], run_worker(run, HOST_B)->board->samples, IDLE_FAULTS)) {
        return -1;
    }
    for (unsigned i = 0; i < count_busy; i++) {
        const struct order order = {.function = order_compute};

        busy[i] = bench_worker(run->bench, HOST_A, i + 1);
        if (!busy[i]) {
            return -1;
        }
        atomic_store(&busy[i]->board->stop, false);
        if (worker_tell(busy[i], &order)) {
            return -1;
        }
    }
    /* Not a fresh process's first moments, which the scheduler treats better. */
    error = wait_readable(-1, run->bench->hosts->signals_fd, BUSY_MS) ||
            run_timed(run, HOST_B, order_read_random, first + 2 * IDLE_FAULTS, BUSY_FAULTS);
    for (unsigned i = 0; i < count_busy; i++) {
        atomic_store(&busy[i]->board->stop, true);
        error |= worker_wait(busy[i], &outcome);
    }
    return error ? -1 : 0;
}

/* C has written the pages and owns them; the home is A. */
static int round_dirty(struct run *run)
{
    uint64_t first = (uint64_t)run->round * FAULTS * 2;

    return run_do(run, HOST_C, order_write_all, first, (uint64_t)FAULTS * 2) ||
                   run_timed(run, HOST_B, order_read_random, first, FAULTS)
               ? -1
               : 0;
}

static int round_upgrade(struct run *run)
{
    uint64_t first = (uint64_t)run->round * UPGRADES * 2;

    return run_do(run, HOST_B, order_read_all, first, (uint64_t)UPGRADES * 2) ||
                   run_timed(run, HOST_B, order_write_random, first, UPGRADES)
               ? -1
               : 0;
}

static int order_hit(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    /* Pages of the same size as a region's, so that nothing but being a region is compared. */
    uint8_t *plain =
        mmap(NULL, hand->size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (plain == MAP_FAILED) {
        return DSM_ENOMEM;
    }
    madvise(plain, hand->size_bytes, MADV_NOHUGEPAGE);
    memcpy(plain, hand->memory, hand->size_bytes);
    uint64_t right = scan_words(plain, hand->size_bytes);
    int error = 0;
    for (uint64_t i = 0; i < order->b && !error; i++) {
        double begin = clock_us();
        uint64_t first = scan_words(hand->memory, hand->size_bytes);
        double middle = clock_us();
        uint64_t second = scan_words(plain, hand->size_bytes);
        double end = clock_us();

        hand->samples[2 * i] = middle - begin;
        hand->samples[2 * i + 1] = end - middle;
        error = first == right && second == right ? 0 : DSM_EPROTO;
    }
    munmap(plain, hand->size_bytes);
    outcome->count = (uint32_t)order->b * 2;
    return error;
}

static int round_hit(struct run *run)
{
    const double *samples = run_worker(run, HOST_B)->board->samples;
    double region[HIT_SCANS], plain[HIT_SCANS];
    const double ns = 1e3 * sizeof(uint64_t) / (double)HIT_BYTES;

    if (run_do(run, HOST_B, order_read_all, 0, HIT_BYTES / BENCH_PAGE_BYTES) ||
        run_do(run, HOST_B, order_hit, 0, HIT_SCANS)) {
        return -1;
    }
    for (size_t i = 0; i < HIT_SCANS; i++) {
        region[i] = samples[2 * i] * ns;
        plain[i] = samples[2 * i + 1] * ns;
    }
    return run_add(run, &run->measured, region, HIT_SCANS) ||
                   run_add(run, &run->limits[0], plain, HIT_SCANS)
               ? -1
               : 0;
}

/* Memory that the agents need to keep a region's pages, beyond the pages; the worst host counts. By
 * the kernel's count it is what they have grown by. */
static int measure_memory(struct run *run, bool is_resident)
{
    const double limit = MEMORY_LIMIT_BYTES, pages = MEMORY_BYTES / (double)BENCH_PAGE_BYTES;
    const struct hosts *hosts = run->bench->hosts;
    uint64_t before[2];
    double worst = 0;

    for (unsigned i = 0; i < 2; i++) {
        before[i] = process_anonymous_bytes(hosts->host[i].agent);
    }
    if (run_region_open(run, MEMORY_BYTES, true) ||
        run_do(run, HOST_B, order_read_all, 0, MEMORY_BYTES / BENCH_PAGE_BYTES)) {
        return -1;
    }
    for (unsigned i = 0; i < 2; i++) {
        struct outcome outcome;
        uint64_t after = process_anonymous_bytes(hosts->host[i].agent);

        if (worker_do(run_worker(run, i), order_stats, 0, 0, 0, &outcome)) {
            return -1;
        }
        double counted = (double)outcome.stats.core_bytes;
        double grown = after > before[i] ? (double)(after - before[i]) : 0;
        double bytes = (is_resident ? grown : counted) / pages;
        worst = bytes > worst ? bytes : worst;
    }
    if (run_add(run, &run->measured, &worst, 1) || run_add(run, &run->limits[0], &limit, 1)) {
        return -1;
    }
    return run_region_close(run);
}

static int round_memory(struct run *run)
{
    return measure_memory(run, false);
}

static int round_memory_rss(struct run *run)
{
    return measure_memory(run, true);
}

const struct op ops_memory[] = {
    {
        .name = "memory-rss", /* first: later the agents have the memory already */
        .text = "an agent's records for a page, by the kernel's count",
        .meaning =
            "What an agent keeps beside a page, by the kernel: its resident memory's growth.",
        .unit = "bytes/page",
        .limit_is = "64 bytes a page",
        .count_hosts = 2,
        .is_unpinned = true,
        .is_once = true,
        .round = round_memory_rss,
    },
    {
        .name = "memory",
        .text = "an agent's records for a page, by its own count",
        .meaning = "What an agent keeps beside a page of 4 KiB itself, by its own count.",
        .unit = "bytes/page",
        .limit_is = "64 bytes a page",
        .target = {TARGET_RATIO_MAX, 1, 0},
        .count_hosts = 2,
        .is_unpinned = true,
        .is_once = true,
        .round = round_memory,
    },
    {
        .name = "fault",
        .text = "random 4 KiB remote read misses, one at a time",
        .meaning = "A load of a page whose only copy is at its home, on the other host.",
        .unit = "us",
        .limit_is = "userfaultfd hand-off + TLS round trip 64 B / 4 KiB",
        .limit = {{LIMIT_HANDOFF, 1}, {LIMIT_TRIP_4096, 1}},
        .target = {TARGET_RATIO_MAX, 1.3, 3},
        .polling = {TARGET_MAX, 31.6, 3}, /* a reload of ArgoDSM, whose processes always poll */
        .count_hosts = 2,
        .region_bytes_a_round = FAULTS * 2 * BENCH_PAGE_BYTES,
        .is_written = true,
        .peers = {"mpi-get-4k", "redis-get-4k", "tcp-4k"},
        .round = round_fault,
    },
    {
        .name = "fault-busy",
        .text = "the same while programs compute on the home's CPU",
        .meaning = "A miss while programs of the home's host compute: the agent serves, not they.",
        .unit = "us",
        .limit_is = "the same miss, just before, with nothing that computes",
        .target = {TARGET_RATIO_MAX, 1.2, 0},
        .count_hosts = 2,
        .region_bytes_a_round = (IDLE_FAULTS + BUSY_FAULTS) * 2 * BENCH_PAGE_BYTES,
        .is_written = true,
        .peers = {"mpi-get-busy"},
        .round = round_busy,
    },
    {
        .name = "dirty",
        .text = "read misses on pages that a third host has written",
        .meaning = "A load of a page whose owner is neither here nor at its home.",
        .unit = "us",
        .limit_is = "userfaultfd hand-off + 1.5 TLS round trips, one way with 4 KiB",
        .limit = {{LIMIT_HANDOFF, 1}, {LIMIT_TRIP_4096, 1}, {LIMIT_TRIP_64, 0.5}},
        .target = {TARGET_RATIO_MAX, 1.3, 0},
        .count_hosts = 3,
        .region_bytes_a_round = FAULTS * 2 * BENCH_PAGE_BYTES,
        .round = round_dirty,
    },
    {
        .name = "hit",
        .text = "loads on resident pages against plain memory",
        .meaning = "A load of a page that is already here: there is no software in between.",
        .unit = "ns/load",
        .limit_is = "plain memory",
        .count_hosts = 2,
        .region_bytes = HIT_BYTES,
        .is_written = true,
        .round = round_hit,
    },
    {
        .name = "upgrade",
        .text = "write to a page that both hosts can read",
        .meaning = "A store to a page that both hosts have a copy of: the other copy goes first.",
        .unit = "us",
        .limit_is = "userfaultfd hand-off + TLS round trip 64 B / 64 B",
        .limit = {{LIMIT_HANDOFF, 1}, {LIMIT_TRIP_64, 1}},
        .count_hosts = 2,
        .region_bytes_a_round = UPGRADES * 2 * BENCH_PAGE_BYTES,
        .is_written = true,
        .round = round_upgrade,
    },
    {.name = NULL},
};
