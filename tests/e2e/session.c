/* SPDX-License-Identifier: Apache-2.0 */
/**
 * e2e-session: a program that speaks the session protocol with its agent without the library, and
 * lies.
 *
 *     e2e-session SOCKET calls HANDLE    each call with a handle that this session does not have
 *     e2e-session SOCKET version N       a HELLO of that version
 *     e2e-session SOCKET bytes HEX       a packet with these bytes
 *
 * Prints a line for each answer: "DSM_E... text"; or "closed" when the agent hangs up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "dsm.h"
#include "net/codec.h"

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 10};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience))) {
        perror("e2e-session");
        exit(2);
    }
    return fd;
}

/* Print the answer. Returns false when there is none. */
static bool hear(int fd)
{
    static uint8_t bytes[SESSION_PACKET_MAX];
    struct session_reply *reply = calloc(1, sizeof(*reply));
    ssize_t count = recv(fd, bytes, sizeof(bytes), 0);
    bool is_heard = false;

    if (count <= 0 || !reply) {
        printf("closed\n");
    } else if (session_reply_unpack(bytes, (size_t)count, reply)) {
        printf("malformed\n");
    } else {
        printf("%s %s\n", dsm_error_name(reply->reply.error), reply->text);
        is_heard = true;
    }
    free(reply);
    return is_heard;
}

static bool ask(int fd, const struct session_request *request)
{
    struct buffer packet = {0};

    session_request_pack(request, &packet);
    ssize_t sent = send(fd, buffer_data(&packet), buffer_len(&packet), MSG_NOSIGNAL);
    buffer_close(&packet);
    if (sent <= 0) {
        printf("closed\n");
        return false;
    }
    return hear(fd);
}

static void lie_in_calls(int fd, uint64_t handle)
{
    static const uint8_t kinds[] = {CALL_CLOSE,  CALL_TRUNCATE, CALL_STAT,
                                    CALL_MAP,    CALL_UNMAP,    CALL_SYNC,
                                    CALL_ADVISE, CALL_SEAL,     CALL_TOKENS,
                                    CALL_BIND};

    for (size_t i = 0; i < sizeof(kinds); i++) {
        struct session_request request = {.kind = SESSION_CALL, .number = i + 10};

        request.call.kind = kinds[i];
        request.call.handle = handle;
        request.call.map = (map_id)handle;
        request.call.size_bytes = 4096;
        request.call.rights = RIGHTS_READ;
        request.call.op = SYNC_LOCK;
        request.call.timeout_ms = 100;
        if (!ask(fd, &request)) {
            return;
        }
    }
}

static void send_bytes(int fd, const char *digits)
{
    uint8_t bytes[4096];
    size_t count = 0;

    for (; digits[0] && digits[1] && count < sizeof(bytes); digits += 2) {
        char pair[3] = {digits[0], digits[1], 0};

        bytes[count++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    send(fd, bytes, count, MSG_NOSIGNAL);
    hear(fd);
}

int main(int argc, char **argv)
{
    struct session_request hello = {.kind = SESSION_HELLO, .number = 1, .version = SESSION_VERSION};

    if (argc != 4) {
        fprintf(stderr, "usage: e2e-session SOCKET calls|version|bytes WHAT\n");
        return 2;
    }
    int fd = connect_to(argv[1]);
    if (!strcmp(argv[2], "version")) {
        hello.version = (uint32_t)strtoul(argv[3], NULL, 10);
        ask(fd, &hello);
    } else if (ask(fd, &hello)) {
        if (!strcmp(argv[2], "calls")) {
            lie_in_calls(fd, strtoull(argv[3], NULL, 10));
        } else {
            send_bytes(fd, argv[3]);
        }
    }
    close(fd);
    return 0;
}
