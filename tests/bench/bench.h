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
    enum pinning pinning;
    cpu_set_t cpus; /* that this process may use */
    int turns[HOSTS_MAX][2];
    struct program programs[HOSTS_MAX * PROGRAMS_MAX]; /* in the order in which they were started */
    unsigned count_programs;
};

/** Start a worker on each host. Returns 0 or -1 after a line on standard error. */
int bench_open(struct bench *bench, struct hosts *hosts, unsigned rounds);
void bench_close(struct bench *bench);
/** Put the processes of all hosts where the pinning says. Returns 0, or 1 with too few CPUs. */
int bench_pin(struct bench *bench, enum pinning pinning);
/**
 * A program on a host; it is started when it is first asked for.
 *
 * Returns NULL after a line on standard error when it cannot be.
 */
struct worker *bench_worker(struct bench *bench, unsigned host, unsigned number);

#endif
