/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A worker is the benchmark's program on one host: a process with a session with that host's agent.
 * The main process gives it orders over a socket pair; samples come back through shared memory.
 */
#ifndef DSM_BENCH_WORKER_H
#define DSM_BENCH_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "dsm.h"

#define SAMPLES_MAX 65536u
#define BENCH_PAGE_BYTES 4096u
#define PATH_BYTES 256

/** What a worker can be told; the arguments a, b and c of struct order. */
#define ORDERS(X)                                                                                  \
    X(MAKE)         /* name; a bytes: create a region, map it */                                   \
    X(MAP)          /* name; a bytes: map it */                                                    \
    X(UNMAP)        /* a: unlink as well */                                                        \
    X(WRITE_ALL)    /* write each page of [a, a + b), in order */                                  \
    X(READ_ALL)     /* read each page of [a, a + b), in order */                                   \
    X(READ_RANDOM)  /* read b pages, every other one from a on, in random order; timed */          \
    X(WRITE_RANDOM) /* the same, written */                                                        \
    X(STREAM)       /* read a bytes in order; one sample, MB/s */                                  \
    X(HIT)          /* scan the mapping and plain memory, b times each; timed, in pairs */         \
    X(PING)         /* write page a, b times, in turns with the other worker (c: begin) */         \
    X(LOCK_ALONE)   /* lock and unlock offset a, b times; timed */                                 \
    X(LOCK_TURNS)   /* the same against the other worker (and barrier a + 8): asked, held, left */ \
    X(BARRIER)      /* barrier of 2 at offset a, b times; timed */                                 \
    X(STATS)        /* the agent's counters */                                                     \
    X(HANDOFF)      /* limit: b faults through userfaultfd; timed */                               \
    X(CONNECT)      /* connect the limit's TLS to address and port a */                            \
    X(ROUND_TRIPS)  /* limit: b round trips of 64 to a bytes; timed */                             \
    X(BULK)         /* limit: a bytes in bulk; one sample, MB/s */

enum order_kind {
    ORDER_NONE = 0,
#define ORDER_ENUM(name) ORDER_##name,
    ORDERS(ORDER_ENUM)
#undef ORDER_ENUM
        ORDER_COUNT,
};

struct order {
    enum order_kind kind;
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
    char address[64]; /* where the limit's TLS server of this host listens */
    uint16_t port;
    pid_t handoff_server, tls_server;
};

/** What a worker is made from; all borrowed for its life. */
struct worker_config {
    const char *socket; /* the agent's */
    int netns;          /* the host's network namespace, or -1 for this one */
    bool loopback;      /* both hosts are in one namespace: the limit goes over loopback */
    char ca[PATH_BYTES], certificate[PATH_BYTES], key[PATH_BYTES];
    int turn_fd;    /* the end of a socket pair whose other end the other worker has */
    int signals_fd; /* of signals_open() */
};

struct worker {
    pid_t pid;
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
int worker_do(struct worker *worker, enum order_kind kind, uint64_t a, uint64_t b, uint64_t c,
              struct outcome *outcome);

#endif
