/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine allows, as rows of their own: nothing here goes through the service. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/ops.h"
#include "tests/bench/process.h"
#include "tests/bench/wire.h"

#define SAMPLES 1000u
#define BULK_BYTES (UINT64_C(256) << 20)
#define COPY_BYTES (UINT64_C(256) << 20)

/* own: payload bytes, whether the ends poll. */
static int round_tls_trips(struct run *run)
{
    struct order order = {.a = run->op->own[0], .b = SAMPLES, .c = run->op->own[1]};

    return run_do_program(run, HOST_B, 0, order_round_trips, &order) ||
                   run_add(run, &run->measured, run_worker(run, HOST_B)->board->samples, SAMPLES)
               ? -1
               : 0;
}

static int round_handoff(struct run *run)
{
    return run_do(run, HOST_B, order_handoff, BENCH_PAGE_BYTES, SAMPLES) ||
                   run_add(run, &run->measured, run_worker(run, HOST_B)->board->samples, SAMPLES)
               ? -1
               : 0;
}

static int round_tls_bulk(struct run *run)
{
    return run_do(run, HOST_B, order_bulk, BULK_BYTES, 0) ||
                   run_add(run, &run->measured, run_worker(run, HOST_B)->board->samples, 1)
               ? -1
               : 0;
}

/* text: address; a: port, b: payload bytes, 0: bulk; c: poll. */
static int order_tcp(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    int fd = wire_connect(order->text, (uint16_t)order->a), error;

    if (fd < 0) {
        return DSM_EDOWN;
    }
    if (order->b > 0) {
        error = wire_measure_round_trips(fd, order->b, order->c, hand->samples, SAMPLES);
    } else {
        error = wire_measure_bulk(fd, BULK_BYTES, hand->samples);
    }
    close(fd);
    outcome->count = order->b > 0 ? SAMPLES : 1;
    return error ? DSM_EDOWN : 0;
}

static int round_tcp(struct run *run)
{
    const struct board *server = run_worker(run, HOST_A)->board;
    struct order order = {.a = server->port, .b = run->op->own[0], .c = run->op->own[1]};

    memcpy(order.text, server->address, sizeof(order.text));
    return run_do_program(run, HOST_B, 0, order_tcp, &order) ||
                   run_add(run, &run->measured, run_worker(run, HOST_B)->board->samples,
                           order.b > 0 ? SAMPLES : 1)
               ? -1
               : 0;
}

static int order_memcpy(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    uint8_t *from = malloc(COPY_BYTES), *to = malloc(COPY_BYTES);
    int error = from && to ? 0 : DSM_ENOMEM;

    (void)order;
    if (!error) {
        memset(from, 1, COPY_BYTES);
        memset(to, 2, COPY_BYTES);
        double begin = clock_us();
        memcpy(to, from, COPY_BYTES);
        __asm__ volatile("" : : "r"(to) : "memory"); /* all of it */
        hand->samples[0] = (double)COPY_BYTES / (clock_us() - begin);
        error = to[COPY_BYTES - 1] == 1 ? 0 : DSM_EPROTO;
    }
    free(from);
    free(to);
    outcome->count = 1;
    return error;
}

static int round_memcpy(struct run *run)
{
    return run_do(run, HOST_B, order_memcpy, 0, 0) ||
                   run_add(run, &run->measured, run_worker(run, HOST_B)->board->samples, 1)
               ? -1
               : 0;
}

#define POLLS_MEANING "The same, but both ends poll: nobody has to be woken."

const struct op ops_limits[] = {
    {
        .name = "handoff",
        .text = "limit: a page fault served by another process through userfaultfd",
        .meaning = "The least that a page fault costs which another process serves.",
        .unit = "us",
        .count_hosts = 2,
        .round = round_handoff,
    },
    {
        .name = "tls-64",
        .text = "limit: TLS round trip between B and A, 64 B for 64 B",
        .meaning = "A message and its answer over the agents' own TLS, by two plain programs.",
        .unit = "us",
        .count_hosts = 2,
        .round = round_tls_trips,
    },
    {
        .name = "tls-4k",
        .text = "limit: the same, 64 B for 4 KiB",
        .meaning = "The same with a page in the answer.",
        .unit = "us",
        .count_hosts = 2,
        .own = {BENCH_PAGE_BYTES, 0},
        .round = round_tls_trips,
    },
    {
        .name = "tls-64k",
        .text = "limit: the same, 64 B for 64 KiB",
        .meaning = "The same with 16 pages in the answer.",
        .unit = "us",
        .count_hosts = 2,
        .own = {64 << 10, 0},
        .round = round_tls_trips,
    },
    {
        .name = "tls-64-poll",
        .text = "limit: 64 B for 64 B, both ends poll",
        .meaning = POLLS_MEANING,
        .unit = "us",
        .count_hosts = 2,
        .needs_2cpu = true,
        .own = {0, 1},
        .round = round_tls_trips,
    },
    {
        .name = "tls-4k-poll",
        .text = "limit: 64 B for 4 KiB, both ends poll",
        .meaning = POLLS_MEANING,
        .unit = "us",
        .count_hosts = 2,
        .needs_2cpu = true,
        .own = {BENCH_PAGE_BYTES, 1},
        .round = round_tls_trips,
    },
    {
        .name = "tls-bulk",
        .text = "limit: TLS from A to B, one connection, as fast as it goes",
        .meaning = "How fast one TLS connection brings bytes from host to host.",
        .unit = "MB/s",
        .is_rate = true,
        .count_hosts = 2,
        .round = round_tls_bulk,
    },
    {
        .name = "tcp-4k",
        .text = "limit: plain TCP between B and A, 64 B for 4 KiB",
        .meaning = "A request and a page over plain TCP: no encryption, no check of who asks.",
        .unit = "us",
        .count_hosts = 2,
        .own = {BENCH_PAGE_BYTES, 0},
        .round = round_tcp,
    },
    {
        .name = "tcp-4k-poll",
        .text = "limit: the same, both ends poll",
        .meaning = POLLS_MEANING,
        .unit = "us",
        .count_hosts = 2,
        .needs_2cpu = true,
        .own = {BENCH_PAGE_BYTES, 1},
        .round = round_tcp,
    },
    {
        .name = "tcp-bulk",
        .text = "limit: plain TCP from A to B, as fast as it goes",
        .meaning = "How fast plain TCP brings bytes from host to host.",
        .unit = "MB/s",
        .is_rate = true,
        .count_hosts = 2,
        .round = round_tcp,
    },
    {
        .name = "memcpy",
        .text = "limit: memcpy of 256 MiB on B",
        .meaning = "How fast one CPU copies memory.",
        .unit = "MB/s",
        .is_rate = true,
        .count_hosts = 2,
        .round = round_memcpy,
    },
    {.name = NULL},
};
