/* SPDX-License-Identifier: Apache-2.0 */
/** Packets with a descriptor beside them, on a SOCK_SEQPACKET Unix socket, until a deadline. */
#ifndef DSM_LIB_CHANNEL_H
#define DSM_LIB_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The monotonic clock. */
int64_t clock_ms(void);
/** The deadline of a timeout from now; INT64_MAX, which is never, for a negative one. */
int64_t deadline_after(int64_t timeout_ms);

/** Make a socket ready for channel_receive(), once. Errors: DSM_ESYS. */
int channel_prepare(int socket);

/**
 * Send one packet.
 *
 * @bytes      borrowed
 * @descriptor borrowed, or -1
 *
 * Errors: DSM_ENOAGENT the other side hung up
 *         DSM_ETIMEDOUT, DSM_ENOMEM, DSM_ESYS
 */
int channel_send(int socket, const void *bytes, size_t len_bytes, int descriptor, int64_t deadline);

/** The outcome of a receive. */
struct arrival {
    size_t len_bytes;         /* 0: nothing came in time, or a signal was handled */
    int descriptor;           /* returned, close it; -1: none */
    bool descriptor_was_lost; /* one came, and this process had no room for it */
};

/**
 * Wait for one packet.
 *
 * @arrival written, also on error
 *
 * Errors: DSM_ENOAGENT the other side hung up
 *         DSM_EPROTO   the packet is longer than size_bytes
 */
int channel_receive(int socket, int64_t deadline, void *bytes, size_t size_bytes,
                    struct arrival *arrival);

#endif
