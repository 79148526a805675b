/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/crowd.h"

#include <string.h>
#include <unistd.h>

#include "tests/bench/wire.h"

/* Host A: listen, before the others are told to come. */
static int order_meeting_open(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)order;
    (void)outcome;
    hand->meeting_fd = wire_listen(&hand->board->meeting_port);
    return hand->meeting_fd < 0 ? DSM_ESYS : 0;
}

/* Host A: a others come b times; each is answered when all have come. */
static int order_meeting_hold(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    struct tls_end guests[HOSTS_MAX];
    unsigned came = 0;
    int error = 0;

    (void)outcome;
    while (came < order->a && !error) {
        guests[came] = (struct tls_end){.tls = hand->tls.tls, .fd = -1};
        error = tls_accept(&guests[came++], hand->meeting_fd);
    }
    close(hand->meeting_fd);
    for (uint64_t i = 0; i < order->b && !error; i++) {
        for (unsigned k = 0; k < came && !error; k++) {
            error = tls_take_request(&guests[k]);
        }
        for (unsigned k = 0; k < came && !error; k++) {
            error = tls_answer_request(&guests[k]);
        }
    }
    while (came > 0) {
        tls_disconnect(&guests[--came]);
    }
    return error ? DSM_EDOWN : 0;
}

/* As order_connect(), then b times as order_round_trips(). */
static int order_come(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    const struct order trips = {.b = order->b};
    int error = order_connect(hand, order, outcome);

    return error ? error : order_round_trips(hand, &trips, outcome);
}

static int wait_all(struct run *run, unsigned count_hosts)
{
    struct outcome outcome;
    int error = 0;

    for (unsigned i = 0; i < count_hosts && !error; i++) {
        error = worker_wait(run_worker(run, i), &outcome);
    }
    return error;
}

/* All hosts from `first` on at once; server: a port of host A. */
static int tell_all(struct run *run, unsigned first, unsigned count_hosts, struct order *order,
                    uint16_t server)
{
    const struct board *board = run_worker(run, HOST_A)->board;
    int error = 0;

    order->a = server;
    memcpy(order->text, board->address, sizeof(order->text));
    for (unsigned i = first; i < count_hosts && !error; i++) {
        error = worker_tell(run_worker(run, i), order);
    }
    return error;
}

int crowd_exchange(struct run *run, unsigned count_hosts, uint64_t count)
{
    struct order come = {.function = order_come, .b = count};

    return tell_all(run, HOST_A, count_hosts, &come, run_worker(run, HOST_A)->board->port) ||
                   wait_all(run, count_hosts)
               ? -1
               : 0;
}

int crowd_meet(struct run *run, unsigned count_hosts, uint64_t count)
{
    struct worker *host = run_worker(run, HOST_A);
    const struct order hold = {.function = order_meeting_hold, .a = count_hosts - 1, .b = count};
    struct order come = {.function = order_come, .b = count};

    return run_do(run, HOST_A, order_meeting_open, 0, 0) || worker_tell(host, &hold) ||
                   tell_all(run, HOST_B, count_hosts, &come, host->board->meeting_port) ||
                   wait_all(run, count_hosts)
               ? -1
               : 0;
}
