/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/limit.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/bench/process.h"
#include "tests/bench/wire.h"

#define BULK_FRAME_BYTES PAYLOAD_BYTES_TARGET

/** What a request for round trips says by its count of pages. */
enum { COUNT_SLEEPS = 1, COUNT_POLLS = 2 };

int tls_end_init(struct tls_end *end, const char *ca, const char *certificate, const char *key)
{
    char text[TEXT_BYTES_MAX] = "";

    *end = (struct tls_end){.fd = -1};
    if (tls_context_new(ca, certificate, key, &end->tls, text)) {
        fprintf(stderr, "dsm-bench: %s\n", text);
        return -1;
    }
    return 0;
}

void tls_disconnect(struct tls_end *end)
{
    if (end->link) {
        link_free(end->link);
        end->link = NULL;
    }
    if (end->fd >= 0) {
        close(end->fd);
        end->fd = -1;
    }
}

void tls_end_close(struct tls_end *end)
{
    tls_disconnect(end);
    if (end->tls) {
        tls_context_free(end->tls);
        end->tls = NULL;
    }
}

static int tls_flush(struct tls_end *end)
{
    const uint8_t *bytes;
    size_t len_bytes;

    while ((len_bytes = link_output(end->link, &bytes)) > 0) {
        ssize_t done = send(end->fd, bytes, len_bytes, MSG_NOSIGNAL);

        if (done < 0 && errno != EINTR) {
            return -1;
        }
        link_output_done(end->link, done > 0 ? (size_t)done : 0);
    }
    return 0;
}

/* Let the link have what the socket has; waits for it. */
static int tls_pump(struct tls_end *end)
{
    uint8_t bytes[64 << 10];
    ssize_t count = wire_receive(end->fd, bytes, sizeof(bytes), end->polls);

    if (count < 0 && errno == EINTR) {
        return 0;
    }
    if (count <= 0 || link_receive(end->link, bytes, (size_t)count)) {
        return -1;
    }
    return 0;
}

static int tls_handshake(struct tls_end *end)
{
    while (!link_is_ready(end->link)) {
        if (tls_flush(end) || (!link_is_ready(end->link) && tls_pump(end))) {
            return -1;
        }
    }
    return tls_flush(end);
}

static int tls_start(struct tls_end *end, bool is_server)
{
    return link_new(end->tls, is_server, &end->link) ? -1 : tls_handshake(end);
}

static int tls_next(struct tls_end *end, struct frame *frame)
{
    int found;

    while ((found = link_next(end->link, frame)) == 0) {
        if (tls_pump(end)) {
            return -1;
        }
    }
    return found < 0 ? -1 : 0;
}

static int tls_send(struct tls_end *end, const struct message *message, const uint8_t *payload,
                    size_t payload_bytes)
{
    struct buffer head = {0};

    message_pack(message, &head);
    int error = head.failed ||
                link_send(end->link, buffer_data(&head), buffer_len(&head), payload, payload_bytes);
    buffer_close(&head);
    return error ? -1 : tls_flush(end);
}

/* The messages are those of a read miss: READ one way; DATA with page bytes the other way. */
static const struct message data = {.kind = MESSAGE_DATA, .epoch = 1, .count = 1, .granted = 1};

static void tls_answer(struct tls_end *end, const uint8_t *payload)
{
    struct message request;
    struct frame frame;

    while (!tls_next(end, &frame)) {
        if (message_unpack(frame.head, frame.head_bytes, &request) ||
            request.page > PAYLOAD_BYTES_MAX) {
            return;
        }
        end->polls = request.count == COUNT_POLLS;
        for (uint64_t i = 0; i < request.request; i++) {
            if (tls_send(end, &data, payload, request.page)) {
                return;
            }
        }
    }
}

int tls_accept(struct tls_end *end, int listen_fd)
{
    int one = 1;

    end->fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (end->fd < 0) {
        return -1;
    }
    setsockopt(end->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return tls_start(end, true);
}

int tls_take_request(struct tls_end *end)
{
    struct frame frame;

    return tls_next(end, &frame);
}

int tls_answer_request(struct tls_end *end)
{
    return tls_send(end, &data, NULL, 0);
}

/* In the process of one client. */
static void answer_one(struct tls_end *end, const uint8_t *payload)
{
    int one = 1;
    uint8_t first;

    child_prepare(SIGKILL);
    setsockopt(end->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (recv(end->fd, &first, 1, MSG_PEEK) == 1 && first == WIRE_FIRST_BYTE) {
        wire_answer(end->fd);
    } else if (!tls_start(end, true)) {
        tls_answer(end, payload);
    }
}

void tls_serve(struct tls_end *end, int listen_fd)
{
    uint8_t *payload = calloc(1, PAYLOAD_BYTES_MAX);

    signal(SIGCHLD, SIG_IGN); /* nobody waits for them */
    while (payload) {
        end->fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (end->fd < 0 && errno != EINTR) {
            break;
        }
        if (end->fd >= 0 && fork() == 0) {
            answer_one(end, payload);
            _exit(0);
        }
        tls_disconnect(end);
    }
    free(payload);
}

int tls_connect(struct tls_end *end, const char *address, uint16_t port)
{
    tls_disconnect(end);
    end->fd = wire_connect(address, port);
    if (end->fd < 0) {
        return -1;
    }
    if (tls_start(end, false)) {
        fprintf(stderr, "dsm-bench: the limit's TLS handshake: %s\n",
                end->link ? link_error_text(end->link) : "out of memory");
        return -1;
    }
    return 0;
}

/* Ask for frames with so many page bytes each. The large numbers make it 64 bytes before TLS. */
static int tls_request(struct tls_end *end, uint32_t payload_bytes, uint32_t count_frames)
{
    const struct message request = {
        .kind = MESSAGE_READ,
        .epoch = UINT32_MAX,
        .request = count_frames,
        .region = {.slot = UINT32_MAX, .generation = UINT32_MAX},
        .page = payload_bytes,
        .count = end->polls ? COUNT_POLLS : COUNT_SLEEPS,
        .floor = UINT64_MAX,
        .have = UINT64_MAX,
    };

    return tls_send(end, &request, NULL, 0);
}

int tls_measure_round_trips(struct tls_end *end, size_t payload_bytes, double *samples,
                            size_t count)
{
    struct frame frame;

    for (size_t i = 0; i < count; i++) {
        double begin = clock_us();

        if (tls_request(end, (uint32_t)payload_bytes, 1) || tls_next(end, &frame) ||
            frame.payload_bytes != payload_bytes) {
            return -1;
        }
        samples[i] = clock_us() - begin;
    }
    return 0;
}

int tls_measure_bulk(struct tls_end *end, uint64_t total_bytes, double *mb_per_s)
{
    uint32_t count_frames = (uint32_t)(total_bytes / BULK_FRAME_BYTES);
    double begin = clock_us();
    struct frame frame;

    if (tls_request(end, BULK_FRAME_BYTES, count_frames)) {
        return -1;
    }
    for (uint32_t i = 0; i < count_frames; i++) {
        if (tls_next(end, &frame) || frame.payload_bytes != BULK_FRAME_BYTES) {
            return -1;
        }
    }
    *mb_per_s = (double)count_frames * BULK_FRAME_BYTES / (clock_us() - begin);
    return 0;
}
