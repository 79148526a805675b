/* SPDX-License-Identifier: Apache-2.0 */
/** Packets with descriptors beside them on a SOCK_SEQPACKET Unix socket, and those that have to
 * wait. */
#ifndef DSM_AGENT_PACKET_H
#define DSM_AGENT_PACKET_H

#include <stddef.h>
#include <stdint.h>

/** Descriptors in one packet at most; more are a malformed packet. */
#define PACKET_FDS_MAX 4u

/** A packet that came. */
struct packet {
    size_t len_bytes;
    uint32_t count_fds;
    int fds[PACKET_FDS_MAX]; /* close-on-exec, the receiver's */
};

/** Packets that a slow reader has not taken yet. All zero is empty. */
struct packet_queue {
    struct packet_waiting *first, *last;
    size_t len_bytes;
};

/**
 * Receive one packet without waiting.
 *
 * @bytes  capacity bytes
 * @packet written on success; its descriptors are the caller's
 *
 * Errors: DSM_EAGAIN  nothing there
 *         DSM_EDOWN   the other end is closed
 *         DSM_EPROTO  longer than capacity, or too many descriptors; those that came are closed
 *         DSM_ESYS
 */
int packet_receive(int socket, uint8_t *bytes, size_t capacity, struct packet *packet);
/** Close the descriptors that are left in a packet. */
void packet_close_fds(struct packet *packet);
/**
 * Send one packet without waiting, fd beside it unless it is -1.
 *
 * Errors: DSM_EAGAIN  the other end does not read
 *         DSM_EDOWN   it is closed
 *         DSM_ESYS
 */
int packet_send(int socket, const uint8_t *bytes, size_t len_bytes, int fd);
/**
 * Let a packet wait; fd is duplicated.
 *
 * Errors: DSM_ENOMEM, DSM_ESYS (no descriptor left)
 */
int packet_queue_add(struct packet_queue *queue, const uint8_t *bytes, size_t len_bytes, int fd);
/** Send what waits. Errors as packet_send(); DSM_EAGAIN leaves the rest waiting. */
int packet_queue_send(struct packet_queue *queue, int socket);
/** Drop what waits. */
void packet_queue_close(struct packet_queue *queue);

#endif
