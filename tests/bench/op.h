/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What is measured: an operation is a row of a table, with its limit, its target and a function
 * that measures one round of it. Rounds of the operation and of its limit go in turns.
 *
 * A family of operations is one file ops_NOUN.c: its rows in an array that ends with a row without
 * a name, the functions of its rounds, and the orders that only it gives. It is made known by one
 * line in ops.h.
 */
#ifndef DSM_BENCH_OP_H
#define DSM_BENCH_OP_H

#include "tests/bench/bench.h"
#include "tests/bench/orders.h"
#include "tests/bench/series.h"

/** Hosts by what they do in operations; a third one is C. */
enum { HOST_A = 0, /* where regions are made and have their home */ HOST_B = 1, HOST_C = 2 };

/** What an operation can be compared with: us each, but for the last. */
enum limit {
    LIMIT_NONE,
    LIMIT_HANDOFF,     /* a page fault handed to another process of B, which puts the page there */
    LIMIT_HANDOFF_64K, /* a page of 64 KiB, of 2 MiB */
    LIMIT_HANDOFF_2M,
    LIMIT_TRIP_64,   /* TLS between B and A, 64 bytes for 64 bytes */
    LIMIT_TRIP_4096, /* 64 bytes for 64 bytes and 4 KiB */
    LIMIT_TRIP_64K,
    LIMIT_TRIP_2M,
    LIMIT_BULK, /* TLS from A to B as fast as it goes, MB/s */
};

#define PARTS_MAX 3
#define PEERS_MAX 3

/** A round's function returns this when what it measures is not installed. */
#define RUN_MISSING 1

/** A limit is a sum of these. */
struct part {
    enum limit limit;
    double times;
};

enum target_kind {
    TARGET_NONE,
    TARGET_RATIO_MAX, /* the median is at most `value` times the limit */
    TARGET_RATIO_MIN, /* at least */
    TARGET_MAX,       /* the median is at most `value`, in the operation's unit */
    TARGET_MIN,
};

struct target {
    enum target_kind kind;
    double value;
    double p99_of_median; /* the 99th percentile is at most so many medians; 0: no target */
};

struct run;

/** All text is static. What is not said is 0. */
struct op {
    const char *name;     /* on the command line */
    const char *text;     /* for --help: what is measured, at most 64 characters */
    const char *meaning;  /* for the report: a sentence on what the number tells */
    const char *unit;     /* of the samples */
    const char *limit_is; /* NULL: there is none */
    struct part limit[PARTS_MAX];
    struct target target;
    struct target polling;                       /* where agents poll, if it is another one */
    unsigned count_hosts;                        /* needed, from A on; each maps the region */
    uint64_t region_bytes, region_bytes_a_round; /* of the region that is there for all rounds */
    bool is_written;                             /* by A, before the rounds */
    bool is_unpinned;                            /* does not depend on where processes run */
    bool needs_2cpu;                             /* senseless with all on one CPU */
    bool is_detail;                              /* a quick report has it at one place only */
    bool is_once;                                /* one round, without one to warm up */
    bool is_rate;                                /* more is better */
    uint64_t own[2];                             /* as the round's function likes */
    uint64_t warm_bytes;                         /* memory that it needs, to be warmed first */
    const char *peers[PEERS_MAX]; /* operations that the report shows it beside, same pinning */
    /**
     * Measure one round: add samples by the functions below. Returns 0, or -1 or RUN_MISSING after
     * a line on standard error.
     */
    int (*round)(struct run *run);
};

/** One measurement on its way. */
struct run {
    struct bench *bench;
    const struct op *op;
    unsigned round; /* 0 warms up and is not counted */
    struct series measured, limits[PARTS_MAX];
    struct series polled[PARTS_MAX]; /* the same with both ends polling, unless on one CPU */
    uint64_t count_ops;              /* that the messages are for */
    double messages;
    uint32_t window_ms, page_bytes; /* of regions that are made, as in struct dsm_shm_options */
    char region[64];
};

struct result {
    const struct op *op;
    struct series samples;  /* all of them, in ascending order */
    double median, p99;     /* of a rate: what 99 of 100 samples reach */
    double limit, ratio;    /* 0: there is none */
    double slept, polled;   /* the limit with ends that sleep and that poll; one of them counts */
    double messages_per_op; /* of all agents; negative: not counted */
    bool agents_poll;
};

/** The operation with this index, in all families; NULL after the last. */
const struct op *op_get(unsigned index);
/** By name; NULL when there is none. */
const struct op *op_find(const char *name);
/**
 * All operations of a family, by its name.
 *
 * Returns an array that ends with a row without a name, or NULL when there is no such family.
 */
const struct op *op_family(const char *name);
/**
 * Measure where the processes are pinned now.
 *
 * @result returned, free it with result_close()
 *
 * Returns 0; -1, or RUN_MISSING when what is measured is not installed, after a line on stderr.
 */
int op_run(struct bench *bench, const struct op *op, struct result *result);
void result_close(struct result *result);
/** The least sample that the fraction p (0 to 1) of all do not exceed; 0 without samples. */
double result_quantile(const struct result *result, double p);
/* For the functions of rounds; all return 0, or -1 after a line on standard error. */

/** The first program of a host. */
struct worker *run_worker(struct run *run, unsigned host);
/** Tell a host's first program, and wait. */
int run_do(struct run *run, unsigned host, order_function function, uint64_t a, uint64_t b);
/** Tell program `number` of a host, and wait; it is started when needed. */
int run_do_program(struct run *run, unsigned host, unsigned number, order_function function,
                   const struct order *order);
/** The same on a host's first program; its samples are the round's, and messages are counted. */
int run_timed(struct run *run, unsigned host, order_function function, uint64_t a, uint64_t b);
/**
 * Tell the first `count` hosts at once, wait for all, count messages. Order c is the host's index.
 * The caller takes the samples from the workers' boards, and adds to count_ops.
 */
int run_timed_all(struct run *run, unsigned count, order_function function, uint64_t a, uint64_t b);
/** Add samples of a round, if it counts. */
int run_add(struct run *run, struct series *series, const double *samples, size_t count);
/** Add operations that the messages of the round are for, if it counts. */
void run_add_ops(struct run *run, uint64_t count);
/** Add messages and the operations that they are for, if the round counts. */
void run_add_messages(struct run *run, double messages, uint64_t count_ops);
/** Protocol messages that all agents have sent so far. */
int run_count_messages(struct run *run, double *messages);
/** Make a region on A and map it on as many hosts as the operation needs; A may write it first. */
int run_region_open(struct run *run, uint64_t size_bytes, bool is_written);
int run_region_close(struct run *run);
/** Take a limit on host B towards A, both ends polling or not; B's board has the samples then. */
int run_take_limit(struct run *run, enum limit limit, bool polls, uint32_t *count);

#endif
