/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/op.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/ops.h"
#include "tests/bench/process.h"

#define LIMIT_SAMPLES 400u
#define LIMIT_SAMPLES_2M 16u
#define BULK_BYTES (UINT64_C(256) << 20)
#define WARM_BYTES (UINT64_C(256) << 20)

static const struct op *const families[] = {
#define OPS_ENTRY(name) name,
    OPS_FAMILIES(OPS_ENTRY)
#undef OPS_ENTRY
};

const struct op *op_family(const char *name)
{
    static const char *const names[] = {
#define OPS_NAME(name) #name,
        OPS_FAMILIES(OPS_NAME)
#undef OPS_NAME
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp(names[i] + strlen("ops_"), name)) {
            return families[i];
        }
    }
    return NULL;
}

const struct op *op_get(unsigned index)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        for (const struct op *op = families[i]; op->name; op++) {
            if (index-- == 0) {
                return op;
            }
        }
    }
    return NULL;
}

const struct op *op_find(const char *name)
{
    const struct op *op;

    for (unsigned i = 0; (op = op_get(i)); i++) {
        if (!strcmp(op->name, name)) {
            break;
        }
    }
    return op;
}

struct worker *run_worker(struct run *run, unsigned host)
{
    return &run->bench->programs[host].worker; /* they were started first, in order */
}

int run_do(struct run *run, unsigned host, order_function function, uint64_t a, uint64_t b)
{
    struct outcome outcome;

    return worker_do(run_worker(run, host), function, a, b, 0, &outcome);
}

int run_do_program(struct run *run, unsigned host, unsigned number, order_function function,
                   const struct order *order)
{
    struct worker *worker = bench_worker(run->bench, host, number);
    struct order told = *order;
    struct outcome outcome;

    told.function = function;
    return !worker || worker_tell(worker, &told) || worker_wait(worker, &outcome) ? -1 : 0;
}

int run_add(struct run *run, struct series *series, const double *samples, size_t count)
{
    return run->round > 0 ? series_add_round(series, samples, count) : 0;
}

void run_add_ops(struct run *run, uint64_t count)
{
    run->count_ops += run->round > 0 ? count : 0;
}

void run_add_messages(struct run *run, double messages, uint64_t count_ops)
{
    run->messages += run->round > 0 ? messages : 0;
    run_add_ops(run, count_ops);
}

int run_count_messages(struct run *run, double *messages)
{
    *messages = 0;
    for (unsigned i = 0; i < run->bench->hosts->count; i++) {
        struct outcome outcome;

        if (worker_do(run_worker(run, i), order_stats, 0, 0, 0, &outcome)) {
            return -1;
        }
        *messages += (double)outcome.stats.messages_sent;
    }
    return 0;
}

int run_timed(struct run *run, unsigned host, order_function function, uint64_t a, uint64_t b)
{
    struct outcome outcome;
    double before, after;

    if (run_count_messages(run, &before) ||
        worker_do(run_worker(run, host), function, a, b, 0, &outcome) ||
        run_count_messages(run, &after)) {
        return -1;
    }
    run_add_messages(run, after - before, outcome.count);
    return run_add(run, &run->measured, run_worker(run, host)->board->samples, outcome.count);
}

int run_timed_all(struct run *run, unsigned count, order_function function, uint64_t a, uint64_t b)
{
    struct outcome outcome;
    double before, after;
    int error = 0;

    if (run_count_messages(run, &before)) {
        return -1;
    }
    for (unsigned i = 0; i < count; i++) {
        struct order order = {.function = function, .a = a, .b = b, .c = i};

        if (worker_tell(run_worker(run, i), &order)) {
            return -1;
        }
    }
    for (unsigned i = 0; i < count && !error; i++) {
        error = worker_wait(run_worker(run, i), &outcome);
    }
    if (error || run_count_messages(run, &after)) {
        return -1;
    }
    run_add_messages(run, after - before, 0);
    return 0;
}

static int region_order(struct run *run, unsigned host, order_function function,
                        uint64_t size_bytes)
{
    struct order order = {.a = size_bytes, .b = run->window_ms, .c = run->page_bytes};

    snprintf(order.text, sizeof(order.text), "%s", run->region);
    return run_do_program(run, host, 0, function, &order);
}

int run_region_open(struct run *run, uint64_t size_bytes, bool is_written)
{
    snprintf(run->region, sizeof(run->region), "/dsm-bench-%d-%u",
             (int)run_worker(run, HOST_A)->pid, run->bench->count_regions++);
    if (region_order(run, HOST_A, order_make, size_bytes) ||
        (is_written && run_do(run, HOST_A, order_write_all, 0, size_bytes / BENCH_PAGE_BYTES))) {
        return -1;
    }
    for (unsigned i = 1; i < run->op->count_hosts; i++) {
        if (region_order(run, i, order_map, size_bytes)) {
            return -1;
        }
    }
    return 0;
}

int run_region_close(struct run *run)
{
    int error = 0;

    for (unsigned i = run->op->count_hosts; i-- > 0;) {
        error |= run_do(run, i, order_unmap, i == HOST_A, 0);
    }
    return error;
}

int run_take_limit(struct run *run, enum limit limit, bool polls, uint32_t *count)
{
    static const struct {
        order_function function;
        uint64_t a, b;
    } orders[] = {
        [LIMIT_HANDOFF] = {order_handoff, BENCH_PAGE_BYTES, LIMIT_SAMPLES},
        [LIMIT_HANDOFF_64K] = {order_handoff, 64 << 10, LIMIT_SAMPLES},
        [LIMIT_HANDOFF_2M] = {order_handoff, 2 << 20, LIMIT_SAMPLES_2M},
        [LIMIT_TRIP_64] = {order_round_trips, 0, LIMIT_SAMPLES},
        [LIMIT_TRIP_4096] = {order_round_trips, BENCH_PAGE_BYTES, LIMIT_SAMPLES},
        [LIMIT_TRIP_64K] = {order_round_trips, 64 << 10, LIMIT_SAMPLES},
        [LIMIT_TRIP_2M] = {order_round_trips, 2 << 20, LIMIT_SAMPLES_2M},
        [LIMIT_BULK] = {order_bulk, BULK_BYTES, 0},
    };
    struct outcome outcome;

    if (worker_do(run_worker(run, HOST_B), orders[limit].function, orders[limit].a, orders[limit].b,
                  polls, &outcome)) {
        return -1;
    }
    *count = outcome.count;
    return 0;
}

static int take_part(struct run *run, const struct part *part, bool polls, struct series *series)
{
    double *samples = run_worker(run, HOST_B)->board->samples;
    uint32_t count;

    if (run_take_limit(run, part->limit, polls, &count)) {
        return -1;
    }
    for (uint32_t i = 0; i < count; i++) {
        samples[i] *= part->times;
    }
    return run_add(run, series, samples, count);
}

static bool is_trip(enum limit limit)
{
    return limit >= LIMIT_TRIP_64 && limit <= LIMIT_TRIP_2M;
}

/* Ends that poll are compared only where there is a trip, and each can have a CPU. */
static bool has_polled(const struct run *run)
{
    bool has_trip = false;

    for (int i = 0; i < PARTS_MAX; i++) {
        has_trip |= is_trip(run->op->limit[i].limit);
    }
    return has_trip && run->bench->pinning != PIN_1CPU;
}

static int take_limits(struct run *run)
{
    bool polled = has_polled(run);

    for (int i = 0; i < PARTS_MAX && run->op->limit[i].limit; i++) {
        const struct part *part = &run->op->limit[i];

        if (take_part(run, part, false, &run->limits[i]) ||
            (polled && take_part(run, part, is_trip(part->limit), &run->polled[i]))) {
            return -1;
        }
    }
    return 0;
}

/* B's connection to A for limits, anew: its ends are where the pinning says now. */
static int connect_limits(struct run *run)
{
    const struct board *server = run_worker(run, HOST_A)->board;
    struct order order = {.a = server->port};

    memcpy(order.text, server->address, sizeof(order.text));
    return run_do_program(run, HOST_B, 0, order_connect, &order);
}

static int run_rounds(struct run *run)
{
    const struct op *op = run->op;
    uint64_t rounds = op->is_once ? 1 : run->bench->rounds;
    uint64_t size_bytes = op->region_bytes + op->region_bytes_a_round * (rounds + 1);

    memory_warm(op->warm_bytes ? op->warm_bytes : WARM_BYTES);
    if (connect_limits(run) || (size_bytes && run_region_open(run, size_bytes, op->is_written))) {
        return -1;
    }
    for (run->round = op->is_once; run->round <= rounds; run->round++) {
        int error = op->round(run);

        if (error || take_limits(run)) {
            return error ? error : -1;
        }
    }
    return size_bytes ? run_region_close(run) : 0;
}

int op_run(struct bench *bench, const struct op *op, struct result *result)
{
    struct run run = {.bench = bench, .op = op};
    int error = run_rounds(&run);

    *result = (struct result){.op = op, .samples = run.measured, .agents_poll = bench->agents_poll};
    result->median = series_median(&run.measured);
    series_sort(&result->samples);
    result->p99 = result_quantile(result, op->is_rate ? 0.01 : 0.99);
    for (size_t i = 0; i < PARTS_MAX; i++) {
        result->slept += series_median(&run.limits[i]);
        result->polled += series_median(&run.polled[i]);
        series_close(&run.limits[i]);
        series_close(&run.polled[i]);
    }
    /* Like is compared with like. */
    result->limit = bench->agents_poll && result->polled > 0 ? result->polled : result->slept;
    result->ratio = result->limit > 0 ? result->median / result->limit : 0;
    result->messages_per_op = run.count_ops ? run.messages / (double)run.count_ops : -1;
    if (error) {
        result_close(result);
    }
    return error;
}

double result_quantile(const struct result *result, double p)
{
    size_t count = result->samples.count;
    size_t rank = (size_t)ceil(p * (double)count); /* from 1 on */

    return count > 0 ? result->samples.values[rank > 0 ? rank - 1 : 0] : 0;
}

void result_close(struct result *result)
{
    series_close(&result->samples);
}
