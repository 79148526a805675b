/* SPDX-License-Identifier: Apache-2.0 */
/** A limit that the machine sets: a page fault handed to another process through userfaultfd. */
#ifndef DSM_BENCH_HANDOFF_H
#define DSM_BENCH_HANDOFF_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** Faults in one measurement of the hand-off at most. */
#define HANDOFF_FAULTS_MAX 2048u

/** Memory whose faults another process answers with UFFDIO_COPY. */
struct handoff {
    uint8_t *memory;
    int memfd, uffd;
    pid_t server;
};

/** Make it, and its server as a child of this process. Returns 0 or -1 after a line on stderr. */
int handoff_open(struct handoff *handoff);
void handoff_close(struct handoff *handoff);
/** Time count faults at pages in random order, one at a time; us each. Returns 0 or -1. */
int handoff_measure(struct handoff *handoff, double *samples, size_t count);

#endif
