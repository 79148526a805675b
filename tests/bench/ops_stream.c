/* SPDX-License-Identifier: Apache-2.0 */
/* Bulk: many pages one after the other. */
#include "tests/bench/ops.h"
#include "tests/bench/process.h"

#define STREAM_BYTES (UINT64_C(256) << 20)

static int order_stream(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    if (!hand_has_pages(hand, 0, order->a / BENCH_PAGE_BYTES)) {
        return DSM_ERANGE;
    }
    double begin = clock_us();
    uint64_t sum = scan_words(hand->memory, order->a);

    hand->samples[0] = (double)order->a / (clock_us() - begin);
    outcome->count = 1;
    return sum == scan_expected(order->a) ? 0 : DSM_EPROTO;
}

static int round_stream(struct run *run)
{
    /* The warm-up needs not be long. */
    bool is_short = run->round == 0 || run->bench->is_quick;
    uint64_t size_bytes = is_short ? STREAM_BYTES / 16 : STREAM_BYTES;

    if (run_region_open(run, size_bytes, true) ||
        run_timed(run, HOST_B, order_stream, size_bytes, 0)) {
        return -1;
    }
    run_add_ops(run, size_bytes / BENCH_PAGE_BYTES - 1);
    return run_region_close(run);
}

const struct op ops_stream[] = {
    {
        .name = "stream",
        .text = "sequential read of 256 MiB from the other host",
        .meaning = "A plain loop over memory whose pages are all on the other host.",
        .unit = "MB/s",
        .limit_is = "bulk TLS, one connection",
        .limit = {{LIMIT_BULK, 1}},
        .target = {TARGET_RATIO_MIN, 0.85, 0},
        .is_rate = true,
        .peers = {"mpi-get-1m"},
        .count_hosts = 2,
        .round = round_stream,
    },
    {.name = NULL},
};
