/* SPDX-License-Identifier: Apache-2.0 */
/** What is measured on, in words. */
#ifndef DSM_BENCH_MACHINE_H
#define DSM_BENCH_MACHINE_H

#include <jansson.h>

/** A new object of texts and numbers: cpu, cpus, kernel, memory_gib, time. */
json_t *machine_describe(void);

#endif
