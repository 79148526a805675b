/* SPDX-License-Identifier: Apache-2.0 */
/** What is measured: operations, the limits that they are compared with, and their results. */
#ifndef DSM_BENCH_BENCH_H
#define DSM_BENCH_BENCH_H

#include <sched.h>

#include "tests/bench/hosts.h"
#include "tests/bench/series.h"
#include "tests/bench/worker.h"

/** Where processes run. */
enum pinning {
    PIN_1CPU, /* all on one CPU */
    PIN_2CPU, /* each host on a CPU of its own */
    PIN_NONE, /* wherever the kernel likes */
    PIN_COUNT,
};

struct bench {
    struct hosts *hosts;
    struct worker worker[2]; /* A, where regions are made and have their home, and B */
    unsigned rounds;
    unsigned count_regions; /* names used so far */
    cpu_set_t cpus;         /* that this process may use */
};

struct result {
    const char *op, *unit, *limit_is;
    double median, p99, limit, ratio;
    double messages_per_op; /* of both agents; negative: not counted */
};

/** Start the workers and connect them. Returns 0 or -1 after a line on standard error. */
int bench_open(struct bench *bench, struct hosts *hosts, unsigned rounds);
void bench_close(struct bench *bench);
/** Put the processes of both hosts where the pinning says. Returns 0, or 1 with too few CPUs. */
int bench_pin(struct bench *bench, enum pinning pinning);

/** Is there an operation of this name? */
bool bench_has_op(const char *name);
/** The name of the operation with this index, NULL after the last; those that "all" means. */
const char *bench_op_name(unsigned index);
/** Does the operation depend on where processes run? */
bool bench_op_is_pinned(const char *name);
/**
 * Measure.
 *
 * @results     written
 * @count       of results, written; an operation has one or two
 *
 * Returns 0, or -1 after a line on standard error.
 */
int bench_run(struct bench *bench, const char *name, struct result results[2], unsigned *count);

#endif
