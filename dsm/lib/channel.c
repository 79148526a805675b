/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/channel.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "dsm.h"

/** So long the socket itself waits at most: a deadline that is farther off takes no poll(). */
#define RECEIVE_MS 10000

int64_t clock_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t deadline_after(int64_t timeout_ms)
{
    int64_t now = clock_ms();

    return timeout_ms < 0 || timeout_ms > INT64_MAX - now ? INT64_MAX : now + timeout_ms;
}

/* For poll(2): rounded up, so that a deadline is over when poll says so. */
static int poll_timeout(int64_t deadline)
{
    int64_t left;

    if (deadline == INT64_MAX) {
        return -1;
    }
    left = deadline - clock_ms();
    if (left < 0) {
        return 0;
    }
    return left >= INT_MAX ? INT_MAX : (int)left + 1;
}

int channel_prepare(int socket)
{
    struct timeval limit = {.tv_sec = RECEIVE_MS / 1000};

    return setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 ? 0 : DSM_ESYS;
}

/* One packet, whole or not at all, as the socket's type has it. */
int channel_send(int socket, const void *bytes, size_t len_bytes, int descriptor, int64_t deadline)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    /* The kernel only reads through iov_base; the type serves both directions. */
    union {
        const void *from;
        void *base;
    } source = {.from = bytes};
    struct iovec part = {.iov_base = source.base, .iov_len = len_bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (descriptor >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    }
    for (;;) {
        struct pollfd out = {.fd = socket, .events = POLLOUT};

        if (sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
            return 0;
        }
        if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) {
            return DSM_ENOAGENT;
        }
        if (errno != EAGAIN && errno != EINTR) {
            return errno == ENOMEM || errno == ENOBUFS ? DSM_ENOMEM : DSM_ESYS;
        }
        if (poll(&out, 1, poll_timeout(deadline)) == 0) {
            return DSM_ETIMEDOUT;
        }
    }
}

/* Take the descriptor out of the control messages; the protocol never sends two. */
static int descriptor_take(struct msghdr *message)
{
    int descriptor = -1;

    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        size_t count;

        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            if (descriptor >= 0) {
                (void)close(descriptor);
            }
            memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof descriptor);
        }
    }
    return descriptor;
}

int channel_receive(int socket, int64_t deadline, void *bytes, size_t size_bytes,
                    struct arrival *arrival)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = bytes, .iov_len = size_bytes};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct pollfd in = {.fd = socket, .events = POLLIN};
    bool is_near = deadline != INT64_MAX && deadline - clock_ms() < RECEIVE_MS;
    ssize_t len;

    *arrival = (struct arrival){.descriptor = -1};
    if (is_near && poll(&in, 1, poll_timeout(deadline)) <= 0) {
        return 0;
    }
    len = recvmsg(socket, &message, (is_near ? MSG_DONTWAIT : 0) | MSG_CMSG_CLOEXEC);
    if (len < 0) {
        return errno == EAGAIN || errno == EINTR || errno == ENOMEM ? 0 : DSM_ENOAGENT;
    }
    arrival->descriptor = descriptor_take(&message);
    arrival->descriptor_was_lost = (message.msg_flags & MSG_CTRUNC) != 0;
    arrival->len_bytes = (size_t)len;
    if (len == 0) {
        return DSM_ENOAGENT;
    }
    return (message.msg_flags & MSG_TRUNC) != 0 ? DSM_EPROTO : 0;
}
