/* SPDX-License-Identifier: Apache-2.0 */
/**
 * e2e-peer: a stranger who speaks TLS with a certificate of the cluster, and then something else.
 *
 *     e2e-peer ADDRESS PORT CA CERTIFICATE KEY hello VERSION NODE    a HELLO of that version and
 * node e2e-peer ADDRESS PORT CA CERTIFICATE KEY bytes HEX             a frame with that head
 *
 * Prints what the agent says to that: "bye DSM_E... text", "closed text" or "silent".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dsm.h"
#include "net/link.h"

#define WAIT_MS 10000

static int connect_to(const char *address, const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (inet_pton(AF_INET, address, &to.sin_addr) != 1 || fd < 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof(to))) {
        perror("e2e-peer: connect");
        exit(2);
    }
    return fd;
}

static void flush(int fd, struct link *link)
{
    const uint8_t *bytes;
    size_t len_bytes;

    while ((len_bytes = link_output(link, &bytes)) > 0) {
        ssize_t done = send(fd, bytes, len_bytes, MSG_NOSIGNAL);

        if (done <= 0) {
            return;
        }
        link_output_done(link, (size_t)done);
    }
}

/* Give the link what arrives. Returns false when nothing more will. */
static bool pump(int fd, struct link *link)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    uint8_t bytes[16384];
    int ready = poll(&wait, 1, WAIT_MS);

    if (ready == 0) {
        printf("silent\n");
        exit(0);
    }
    ssize_t count = recv(fd, bytes, sizeof(bytes), 0);
    if (count <= 0) {
        return false;
    }
    int error = link_receive(link, bytes, (size_t)count);
    flush(fd, link);
    return error == 0;
}

static void say(struct link *link, char **argv)
{
    struct buffer head = {0};
    struct wire wire = {.kind = WIRE_HELLO, .node = NODE_NONE, .incarnation = 1};

    if (!strcmp(argv[6], "hello")) {
        wire.version = (uint32_t)strtoul(argv[7], NULL, 10);
        if (argv[8]) {
            wire.node = (uint32_t)strtoul(argv[8], NULL, 10);
        }
        snprintf(wire.address, sizeof(wire.address), "127.0.0.1:1");
        wire_pack(&wire, &head);
    } else {
        for (const char *digit = argv[7]; digit[0] && digit[1]; digit += 2) {
            char digits[3] = {digit[0], digit[1], 0};
            uint8_t byte = (uint8_t)strtoul(digits, NULL, 16);

            buffer_append(&head, &byte, 1);
        }
    }
    link_send(link, buffer_data(&head), buffer_len(&head), NULL, 0);
    buffer_close(&head);
}

/* Print the peer's farewell when this frame is one. */
static bool is_bye(const struct frame *frame)
{
    struct wire wire;

    if (head_kind(frame->head, frame->head_bytes) != WIRE_BYE ||
        wire_unpack(frame->head, frame->head_bytes, &wire)) {
        return false;
    }
    printf("bye %s %s\n", dsm_error_name(wire.error), wire.text);
    return true;
}

int main(int argc, char **argv)
{
    char text[TEXT_BYTES_MAX] = "";
    struct tls_context *tls = NULL;
    struct link *link = NULL;
    struct frame frame;

    if (argc < 8) {
        fprintf(stderr, "usage: e2e-peer ADDRESS PORT CA CERTIFICATE KEY hello|bytes WHAT\n");
        return 2;
    }
    if (tls_context_new(argv[3], argv[4], argv[5], &tls, text) || link_new(tls, false, &link)) {
        fprintf(stderr, "e2e-peer: %s\n", text);
        return 2;
    }
    int fd = connect_to(argv[1], argv[2]);
    bool alive = true, said = false, bye = false;
    flush(fd, link);
    while (alive && !bye) {
        if (link_is_ready(link) && !said) {
            say(link, argv);
            flush(fd, link);
            said = true;
        }
        while (!bye && link_next(link, &frame) == 1) {
            bye = is_bye(&frame);
        }
        alive = !bye && pump(fd, link);
    }
    if (!bye) {
        printf("closed %s\n", link_error_text(link));
    }
    close(fd);
    link_free(link);
    tls_context_free(tls);
    return 0;
}
