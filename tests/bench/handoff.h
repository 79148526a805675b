/* SPDX-License-Identifier: Apache-2.0 */
/** A limit that the machine sets: a page fault handed to another process through userfaultfd. */
#ifndef DSM_BENCH_HANDOFF_H
#define DSM_BENCH_HANDOFF_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** Faults in one measurement of the hand-off at most, and what they may fill. */
#define HANDOFF_FAULTS_MAX 2048u
#define HANDOFF_BYTES ((size_t)64 << 20)
/** A page at most. */
#define HANDOFF_PAGE_BYTES_MAX (2u << 20)

/** Memory whose faults another process answers with UFFDIO_COPY. */
struct handoff {
    uint8_t *memory;
    int memfd, uffd;
    pid_t server;
    _Atomic uint32_t *page_bytes; /* of a page that the server fills, shared with it */
};

/** Make it, and its server as a child of this process. Returns 0 or -1 after a line on stderr. */
int handoff_open(struct handoff *handoff);
void handoff_close(struct handoff *handoff);
/**
 * Time count faults at pages of page_bytes in random order, one at a time; us each. Twice as many
 * pages are at most HANDOFF_BYTES. Returns 0 or -1.
 */
int handoff_measure(struct handoff *handoff, uint32_t page_bytes, double *samples, size_t count);

#endif
