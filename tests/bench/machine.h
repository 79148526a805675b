/* SPDX-License-Identifier: Apache-2.0 */
/** What is measured on, in words. */
#ifndef DSM_BENCH_MACHINE_H
#define DSM_BENCH_MACHINE_H

#include <jansson.h>

/** A new object of texts and numbers: cpu, cpus, kernel, memory_gib, time. */
json_t *machine_describe(void);
/**
 * Look for a second how much of its CPUs' time other programs take, while this one sleeps: percent
 * of all CPUs, 0 when it is not known.
 *
 * @signals_fd of signals_open(); a signal ends it early
 */
double machine_busy_percent(int signals_fd);

#endif
