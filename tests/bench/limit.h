/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A limit that the machine sets, taken in the same run as what it is compared with: TLS over the
 * path between two hosts.
 */
#ifndef DSM_BENCH_LIMIT_H
#define DSM_BENCH_LIMIT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/link.h"

/** An end of a TLS connection over a blocking socket; the same link as between agents. */
struct tls_end {
    struct tls_context *tls;
    struct link *link;
    int fd;
    bool polls; /* this end does not sleep while it waits, for a while (wire.h) */
};

/** Load the identity in directory (ca.crt, node.crt, node.key). Returns 0 or -1 with a line on
 * stderr. */
int tls_end_init(struct tls_end *end, const char *ca, const char *certificate, const char *key);
void tls_end_close(struct tls_end *end);
/**
 * Answer clients at a listening socket for ever, each in a process of its own: a READ is answered
 * by as many DATA frames of as many page bytes as it asks for. A client that speaks plain TCP is
 * answered by wire_answer().
 */
void tls_serve(struct tls_end *end, int listen_fd);
/** End the connection that there is, and connect to a server of tls_serve(). Returns 0 or -1 with a
 * line on stderr. */
int tls_connect(struct tls_end *end, const char *address, uint16_t port);
/** Accept a client at a listening socket; end->tls is borrowed. Returns 0 or -1. */
int tls_accept(struct tls_end *end, int listen_fd);
/** Wait for the client's next request, for one frame without payload. Returns 0 or -1. */
int tls_take_request(struct tls_end *end);
/** Answer it. Returns 0 or -1. */
int tls_answer_request(struct tls_end *end);
/** End the connection that there is. */
void tls_disconnect(struct tls_end *end);
/**
 * Time count round trips of 64 bytes for payload_bytes (0: 64 bytes); us each. Both ends poll if
 * the end's `polls` is set. Returns 0 or -1.
 */
int tls_measure_round_trips(struct tls_end *end, size_t payload_bytes, double *samples,
                            size_t count);
/** Receive total_bytes as fast as they come; MB/s is written. Returns 0 or -1. */
int tls_measure_bulk(struct tls_end *end, uint64_t total_bytes, double *mb_per_s);

#endif
