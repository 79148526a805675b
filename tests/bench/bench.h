/* SPDX-License-Identifier: Apache-2.0 */
/** The hosts with their workers, and where their processes run. */
#ifndef DSM_BENCH_BENCH_H
#define DSM_BENCH_BENCH_H

#include <sched.h>

#include "tests/bench/hosts.h"
#include "tests/bench/worker.h"

/** Where processes run. */
enum pinning {
    PIN_1CPU, /* all on one CPU */
    PIN_2CPU, /* the hosts in turns on two CPUs: a and c on one, b on the other */
    PIN_NONE, /* wherever the kernel likes */
    PIN_COUNT,
};

/** "1cpu", "2cpu", "none". */
const char *pinning_name(enum pinning pinning);

/** Programs on one host at most. */
#define PROGRAMS_MAX 3u

/** A worker and where it runs. */
struct program {
    struct worker worker;
    unsigned host, number; /* number 0: also serves and measures limits */
};

struct bench {
    struct hosts *hosts;
    unsigned rounds;
    unsigned count_regions; /* names used so far */
    bool agents_poll;       /* before they sleep: compared with limits whose ends poll */
    bool is_quick;          /* operations on much memory take less of it */
    enum pinning pinning;
    cpu_set_t cpus; /* that this process may use */
    int turns[HOSTS_MAX][2];
    struct program programs[HOSTS_MAX * PROGRAMS_MAX]; /* in the order in which they were started */
    unsigned count_programs;
    pid_t redis; /* a server on host A, 0: not started */
    int redis_out;
};

/** Where the server of bench_start_redis() listens. */
#define REDIS_PORT 7399

/** Start a worker on each host. Returns 0 or -1 after a line on standard error. */
int bench_open(struct bench *bench, struct hosts *hosts, unsigned rounds);
void bench_close(struct bench *bench);
/** Put the processes of all hosts where the pinning says. Returns 0, or 1 with too few CPUs. */
int bench_pin(struct bench *bench, enum pinning pinning);
/** The CPU of a host's processes, unless it is PIN_NONE. */
int bench_cpu(const struct bench *bench, unsigned host);
/**
 * Start a Redis server on host A, if there is none yet, and wait until it listens.
 *
 * @address of host A
 *
 * Returns 0 or -1 after a line on standard error.
 */
int bench_start_redis(struct bench *bench, const char *address);
/**
 * A program on a host; it is started when it is first asked for.
 *
 * Returns NULL after a line on standard error when it cannot be.
 */
struct worker *bench_worker(struct bench *bench, unsigned host, unsigned number);

#endif
