/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The limits that the machine sets, taken in the same run as what they are compared with: a page
 * fault handed to another process through userfaultfd, and TLS over the path between the two hosts.
 */
#ifndef DSM_BENCH_LIMIT_H
#define DSM_BENCH_LIMIT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/link.h"

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

/** An end of a TLS connection over a blocking socket; the same link as between agents. */
struct tls_end {
    struct tls_context *tls;
    struct link *link;
    int fd;
};

/** Load the identity in directory (ca.crt, node.crt, node.key). Returns 0 or -1 with a line on
 * stderr. */
int tls_end_init(struct tls_end *end, const char *ca, const char *certificate, const char *key);
void tls_end_close(struct tls_end *end);
/**
 * Answer clients at a listening socket for ever: each READ is answered by as many DATA frames of as
 * many page bytes as it asks for.
 */
void tls_serve(struct tls_end *end, int listen_fd);
/** End the connection that there is, and connect to a server of tls_serve(), unless port is 0.
 * Returns 0 or -1 with a line on stderr. */
int tls_connect(struct tls_end *end, const char *address, uint16_t port);
/** Time count round trips of 64 bytes for payload_bytes (0: 64 bytes); us each. Returns 0 or -1. */
int tls_measure_round_trips(struct tls_end *end, size_t payload_bytes, double *samples,
                            size_t count);
/** Receive total_bytes as fast as they come; MB/s is written. Returns 0 or -1. */
int tls_measure_bulk(struct tls_end *end, uint64_t total_bytes, double *mb_per_s);

#endif
