/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dsm.h"

struct packet_waiting {
    struct packet_waiting *next;
    int fd; /* -1: none */
    size_t len_bytes;
    uint8_t bytes[];
};

/* Room for the control message, aligned as its header must be. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * PACKET_FDS_MAX)];
};

static int error_of_errno(void)
{
    switch (errno) {
    case EAGAIN:
        return DSM_EAGAIN;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        return DSM_EDOWN;
    default:
        return DSM_ESYS;
    }
}

void packet_close_fds(struct packet *packet)
{
    for (uint32_t at = 0; at < packet->count_fds; at++) {
        close(packet->fds[at]);
    }
    packet->count_fds = 0;
}

static void take_fds(struct msghdr *header, struct packet *packet)
{
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL;
         control = CMSG_NXTHDR(header, control)) {
        size_t count;

        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t at = 0; at < count; at++) {
            int fd;

            memcpy(&fd, CMSG_DATA(control) + at * sizeof(int), sizeof(fd));
            if (packet->count_fds < PACKET_FDS_MAX) {
                packet->fds[packet->count_fds++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

int packet_receive(int socket, uint8_t *bytes, size_t capacity, struct packet *packet)
{
    union control control;
    struct iovec part = {.iov_base = bytes, .iov_len = capacity};
    struct msghdr header = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    struct packet came = {0};
    ssize_t len;

    do {
        len = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (len < 0 && errno == EINTR);
    if (len < 0) {
        return error_of_errno();
    }
    take_fds(&header, &came);
    if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        packet_close_fds(&came);
        return DSM_EPROTO;
    }
    /* An empty packet looks the same as the end; no request is empty, so it is treated as one. */
    if (len == 0) {
        packet_close_fds(&came);
        return DSM_EDOWN;
    }
    came.len_bytes = (size_t)len;
    *packet = came;
    return 0;
}

int packet_send(int socket, const uint8_t *bytes, size_t len_bytes, int fd)
{
    union control control;
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len_bytes};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t len;

    if (fd >= 0) {
        struct cmsghdr *first;

        memset(&control, 0, sizeof(control));
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(sizeof(int));
        first = CMSG_FIRSTHDR(&header);
        first->cmsg_level = SOL_SOCKET;
        first->cmsg_type = SCM_RIGHTS;
        first->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(first), &fd, sizeof(fd));
    }
    do {
        len = sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (len < 0 && errno == EINTR);
    return len < 0 ? error_of_errno() : 0;
}

int packet_queue_add(struct packet_queue *queue, const uint8_t *bytes, size_t len_bytes, int fd)
{
    struct packet_waiting *waiting = malloc(sizeof(*waiting) + len_bytes);

    if (waiting == NULL) {
        return DSM_ENOMEM;
    }
    waiting->next = NULL;
    waiting->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0 && waiting->fd < 0) {
        free(waiting);
        return DSM_ESYS;
    }
    waiting->len_bytes = len_bytes;
    memcpy(waiting->bytes, bytes, len_bytes);
    if (queue->last == NULL) {
        queue->first = waiting;
    } else {
        queue->last->next = waiting;
    }
    queue->last = waiting;
    queue->len_bytes += len_bytes;
    return 0;
}

static void remove_first(struct packet_queue *queue)
{
    struct packet_waiting *first = queue->first;

    queue->first = first->next;
    if (queue->first == NULL) {
        queue->last = NULL;
    }
    queue->len_bytes -= first->len_bytes;
    if (first->fd >= 0) {
        close(first->fd);
    }
    free(first);
}

int packet_queue_send(struct packet_queue *queue, int socket)
{
    while (queue->first != NULL) {
        const struct packet_waiting *first = queue->first;
        int error = packet_send(socket, first->bytes, first->len_bytes, first->fd);

        if (error != 0) {
            return error;
        }
        remove_first(queue);
    }
    return 0;
}

void packet_queue_close(struct packet_queue *queue)
{
    while (queue->first != NULL) {
        remove_first(queue);
    }
}
