/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/process.h"

#define POLL_US 1000.0
#define PIECE_BYTES (1u << 20)

struct request {
    uint8_t first_byte, polls, unused[54];
    uint32_t piece_bytes, count_pieces;
};

_Static_assert(sizeof(struct request) == 64, "a request has as many bytes as a READ");

ssize_t wire_receive(int fd, void *bytes, size_t size_bytes, bool polls)
{
    double end_us = polls ? clock_us() + POLL_US : 0;

    while (polls && clock_us() < end_us) {
        ssize_t count = recv(fd, bytes, size_bytes, MSG_DONTWAIT);

        if (count >= 0 || (errno != EAGAIN && errno != EINTR)) {
            return count;
        }
    }
    return recv(fd, bytes, size_bytes, 0);
}

int wire_connect(const char *address, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1 ||
        connect(fd, (struct sockaddr *)&to, sizeof(to))) {
        fprintf(stderr, "dsm-bench: no connection to %s port %u: %s\n", address, (unsigned)port,
                strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

int wire_listen(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len_bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 8) ||
        getsockname(fd, (struct sockaddr *)&address, &len_bytes)) {
        perror("dsm-bench: no socket that listens");
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

static int receive_all(int fd, uint8_t *bytes, size_t len_bytes, bool polls)
{
    while (len_bytes > 0) {
        ssize_t count = wire_receive(fd, bytes, len_bytes, polls);

        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return -1;
        }
        bytes += count;
        len_bytes -= (size_t)count;
    }
    return 0;
}

static int send_all(int fd, const void *data, size_t len_bytes)
{
    const uint8_t *bytes = data;

    while (len_bytes > 0) {
        ssize_t count = send(fd, bytes, len_bytes, MSG_NOSIGNAL);

        if (count < 0 && errno != EINTR) {
            return -1;
        }
        bytes += count > 0 ? count : 0;
        len_bytes -= count > 0 ? (size_t)count : 0;
    }
    return 0;
}

void wire_answer(int fd)
{
    uint8_t *piece = calloc(1, PIECE_BYTES);
    struct request request = {0};

    while (piece && !receive_all(fd, (uint8_t *)&request, sizeof(request), request.polls)) {
        if (request.piece_bytes > PIECE_BYTES) {
            break;
        }
        for (uint32_t i = 0; i < request.count_pieces; i++) {
            if (send_all(fd, piece, request.piece_bytes)) {
                break;
            }
        }
    }
    free(piece);
}

int wire_measure_round_trips(int fd, size_t payload_bytes, bool polls, double *samples,
                             size_t count)
{
    const struct request request = {.first_byte = WIRE_FIRST_BYTE,
                                    .polls = polls,
                                    .piece_bytes = (uint32_t)payload_bytes,
                                    .count_pieces = 1};
    uint8_t *piece = payload_bytes <= PIECE_BYTES ? malloc(PIECE_BYTES) : NULL;
    int error = piece ? 0 : -1;

    for (size_t i = 0; i < count && !error; i++) {
        double begin = clock_us();

        error =
            send_all(fd, &request, sizeof(request)) || receive_all(fd, piece, payload_bytes, polls);
        samples[i] = clock_us() - begin;
    }
    free(piece);
    return error;
}

int wire_measure_bulk(int fd, uint64_t total_bytes, double *mb_per_s)
{
    const struct request request = {.first_byte = WIRE_FIRST_BYTE,
                                    .piece_bytes = PIECE_BYTES,
                                    .count_pieces = (uint32_t)(total_bytes / PIECE_BYTES)};
    uint8_t *piece = malloc(PIECE_BYTES);
    double begin = clock_us();
    int error = piece ? send_all(fd, &request, sizeof(request)) : -1;

    for (uint32_t i = 0; i < request.count_pieces && !error; i++) {
        error = receive_all(fd, piece, PIECE_BYTES, false);
    }
    *mb_per_s = (double)request.count_pieces * PIECE_BYTES / (clock_us() - begin);
    free(piece);
    return error;
}
