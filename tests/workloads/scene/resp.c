/* SPDX-License-Identifier: Apache-2.0 */
#include "resp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#define DEADLINE_S 60

int resp_open(struct resp *resp, const char *address, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    const struct timeval deadline = {.tv_sec = DEADLINE_S};
    const int yes = 1;

    *resp = (struct resp){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (resp->fd < 0) {
        return -1;
    }
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1 ||
        setsockopt(resp->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0 ||
        setsockopt(resp->fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline) != 0 ||
        setsockopt(resp->fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline) != 0 ||
        connect(resp->fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(resp->fd);
        return -1;
    }
    return 0;
}

void resp_close(struct resp *resp)
{
    close(resp->fd);
}

static int send_all(struct resp *resp, const void *from, size_t len_bytes)
{
    const char *rest = from;

    while (len_bytes > 0) {
        ssize_t sent = send(resp->fd, rest, len_bytes, MSG_NOSIGNAL);

        if (sent <= 0) {
            return -1;
        }
        rest += sent;
        len_bytes -= (size_t)sent;
    }
    return 0;
}

/* The next line without its end, which is taken too. */
static int take_line(struct resp *resp, char *line, size_t size_bytes)
{
    size_t len_bytes = 0;

    for (;;) {
        if (resp->begin == resp->end) {
            ssize_t received = recv(resp->fd, resp->buffer, sizeof resp->buffer, 0);

            if (received <= 0) {
                return -1;
            }
            resp->begin = 0;
            resp->end = (size_t)received;
        }
        char letter = resp->buffer[resp->begin++];
        if (letter == '\n') {
            line[len_bytes] = '\0';
            return 0;
        }
        if (letter != '\r') {
            if (len_bytes + 1 == size_bytes) {
                return -1;
            }
            line[len_bytes++] = letter;
        }
    }
}

/* So many bytes: first what the buffer has, the rest straight to where it belongs. */
static int take_bytes(struct resp *resp, char *to, size_t len_bytes)
{
    size_t here = resp->end - resp->begin < len_bytes ? resp->end - resp->begin : len_bytes;

    memcpy(to, resp->buffer + resp->begin, here);
    resp->begin += here;
    to += here;
    len_bytes -= here;
    while (len_bytes > 0) {
        struct iovec parts[2] = {{to, len_bytes}, {resp->buffer, sizeof resp->buffer}};
        ssize_t received = readv(resp->fd, parts, 2);

        if (received <= 0) {
            return -1;
        }
        size_t mine = (size_t)received < len_bytes ? (size_t)received : len_bytes;
        to += mine;
        len_bytes -= mine;
        resp->begin = 0;
        resp->end = (size_t)received - mine;
    }
    return 0;
}

int resp_set(struct resp *resp, const char *name, const void *value, size_t len_bytes)
{
    char head[128], line[128];

    snprintf(head, sizeof head, "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(name), name,
             len_bytes);
    if (send_all(resp, head, strlen(head)) != 0 || send_all(resp, value, len_bytes) != 0 ||
        send_all(resp, "\r\n", 2) != 0 || take_line(resp, line, sizeof line) != 0) {
        return -1;
    }
    return strcmp(line, "+OK") == 0 ? 0 : -1;
}

int resp_ask(struct resp *resp, const char *name)
{
    char text[128];

    snprintf(text, sizeof text, "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(name), name);
    return send_all(resp, text, strlen(text));
}

int resp_ask_part(struct resp *resp, const char *name, uint32_t first, uint32_t last)
{
    char text[192], from[16], to[16];

    snprintf(from, sizeof from, "%u", first);
    snprintf(to, sizeof to, "%u", last - 1);
    snprintf(text, sizeof text,
             "*4\r\n$8\r\nGETRANGE\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(name),
             name, strlen(from), from, strlen(to), to);
    return send_all(resp, text, strlen(text));
}

int resp_take(struct resp *resp, void *to, size_t len_bytes)
{
    char line[128], end[2];

    if (take_line(resp, line, sizeof line) != 0 || line[0] != '$' ||
        strtoull(line + 1, NULL, 10) != len_bytes || take_bytes(resp, to, len_bytes) != 0) {
        return -1;
    }
    return take_bytes(resp, end, sizeof end);
}
