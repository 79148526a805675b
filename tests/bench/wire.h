/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Plain TCP over the path between two hosts: what TLS is compared with. A request of 64 bytes is
 * answered by as many bytes as it asks for.
 */
#ifndef DSM_BENCH_WIRE_H
#define DSM_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** The first byte of a request; no TLS connection begins with it. */
#define WIRE_FIRST_BYTE 0x77
/** The shortest answer. */
#define WIRE_BYTES_MIN 64u

/**
 * As recv(2), waits for the first byte.
 *
 * @polls do not sleep for the first millisecond; so does an end that spins
 */
ssize_t wire_receive(int fd, void *bytes, size_t size_bytes, bool polls);
/** Connect to an IPv4 address. Returns the socket, or -1 with a line on stderr. */
int wire_connect(const char *address, uint16_t port);
/** A socket that listens at any free IPv4 port, which is written. Returns it, or -1 with a line on
 * stderr. */
int wire_listen(uint16_t *port);
/** Answer a client until it goes. */
void wire_answer(int fd);
/** Time count round trips of 64 bytes for payload_bytes; both ends poll if told so; us each.
 * Returns 0 or -1. */
int wire_measure_round_trips(int fd, size_t payload_bytes, bool polls, double *samples,
                             size_t count);
/** Receive total_bytes as fast as they come; MB/s is written. Returns 0 or -1. */
int wire_measure_bulk(int fd, uint64_t total_bytes, double *mb_per_s);

#endif
