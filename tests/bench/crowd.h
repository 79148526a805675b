/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Limits that the programs of several hosts take at the same time, where the processes run that are
 * measured: what a machine of few CPUs allows when all of them ask. Who waits sleeps.
 */
#ifndef DSM_BENCH_CROWD_H
#define DSM_BENCH_CROWD_H

#include "tests/bench/op.h"

/**
 * A program of each of the first count_hosts hosts exchanges so many messages of 64 bytes with
 * host A by TLS, one after the other; their boards have the samples then, us each.
 *
 * Returns 0, or -1 after a line on standard error.
 */
int crowd_exchange(struct run *run, unsigned count_hosts, uint64_t count);
/**
 * A barrier by messages and nothing else: a program of each other host tells one of A that it has
 * come, which answers when all have, count times; the others' boards have the samples then.
 *
 * @count_hosts at most HOSTS_MAX
 *
 * Returns 0, or -1 after a line on standard error.
 */
int crowd_meet(struct run *run, unsigned count_hosts, uint64_t count);

#endif
