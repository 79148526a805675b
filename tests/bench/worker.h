/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A worker is a program of the benchmark on one host: a process with a session with that host's
 * agent. The main process tells it what to do over a socket pair; samples come back through shared
 * memory. It is a copy of the main process, so that an order names the function that it shall call.
 */
#ifndef DSM_BENCH_WORKER_H
#define DSM_BENCH_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "dsm.h"

#define SAMPLES_MAX 65536u
#define BENCH_PAGE_BYTES 4096u
#define PATH_BYTES 256
/** Hosts of one benchmark at most. */
#define HOSTS_MAX 8u

struct hand;
struct order;
struct outcome;

/**
 * What a worker is told to do, in its own process (hand.h has what it works with).
 *
 * @outcome all zero; samples that were written to the hand's are counted in it
 *
 * Returns 0 or a DSM_E... value.
 */
typedef int (*order_function)(struct hand *hand, const struct order *order,
                              struct outcome *outcome);

/** The function says what a, b, c and text mean. */
struct order {
    order_function function;
    uint64_t a, b, c;
    char text[64];
};

struct outcome {
    int error;
    uint32_t count; /* of samples */
    struct dsm_stats stats;
    char text[512]; /* what went wrong */
};

/** Memory that a worker and the main process share. */
struct board {
    double samples[SAMPLES_MAX];
    char address[64]; /* where the limit's server of this host listens */
    uint16_t port;
    uint16_t meeting_port; /* of order_meeting_open() */
    char cipher[64];       /* of the last connection to another host's */
    pid_t handoff_server, limit_server;
    _Atomic bool stop; /* ends an order that goes on until it is told to stop */
};

/** What a worker is made from; all borrowed for its life. */
struct worker_config {
    const char *socket; /* the agent's */
    int netns;          /* the host's network namespace, or -1 for this one */
    bool loopback;      /* all hosts are in one namespace: the limit goes over loopback */
    bool has_limits;    /* serves and measures limits */
    char ca[PATH_BYTES], certificate[PATH_BYTES], key[PATH_BYTES];
    int turn_in;             /* where this host waits for its turn */
    int turn_out[HOSTS_MAX]; /* where it gives the turn to a host */
    int signals_fd;          /* of signals_open() */
};

struct worker {
    pid_t pid; /* 0: not started */
    int fd;
    int signals_fd;
    struct board *board;
};

/** Start a worker; returns 0 once it has a session, else -1 after a line on standard error. */
int worker_open(struct worker *worker, const struct worker_config *config);
/** End it and its servers. */
void worker_close(struct worker *worker);
/** Give an order without waiting. Returns 0 or -1. */
int worker_tell(struct worker *worker, const struct order *order);
/** Wait for its outcome. Returns 0, or -1 after a line on standard error. */
int worker_wait(struct worker *worker, struct outcome *outcome);
/** Both. */
int worker_do(struct worker *worker, order_function function, uint64_t a, uint64_t b, uint64_t c,
              struct outcome *outcome);

#endif
