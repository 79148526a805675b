/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl_session.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "dsm.h"
#include "net/codec.h"

/** An agent that asks others for their part of an answer may take some seconds. */
#define ANSWER_MS 30000
/** A document that is longer is not an agent's. */
#define DOCUMENT_BYTES_MAX (256u << 20)

struct ctl_session {
    int fd;
    uint64_t number; /* of the latest request */
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    struct buffer document;
    struct session_reply reply;
    uint8_t packet[SESSION_PACKET_MAX];
};

static int fail(char *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(char *error, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, CTL_SESSION_ERROR_BYTES, format, arguments);
    va_end(arguments);
    return code;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/** Wait until the socket can be read or written. Returns 0, or DSM_ENOAGENT when the time is over.
 */
static int wait_for(struct ctl_session *session, short events, int64_t deadline_ms, char *error)
{
    for (;;) {
        struct pollfd poll_fd = {session->fd, events, 0};
        int64_t left_ms = deadline_ms - now_ms();
        int ready = poll(&poll_fd, 1, left_ms > 0 ? (int)left_ms : 0);
        if (ready > 0) {
            return 0;
        }
        if (ready == 0 || errno != EINTR) {
            return fail(error, DSM_ENOAGENT,
                        "the agent at %s does not answer in %d s; is it stopped or overloaded? see "
                        "its log: journalctl -u dsm-agent",
                        session->path, ANSWER_MS / 1000);
        }
    }
}

static int fail_gone(const struct ctl_session *session, char *error)
{
    return fail(error, DSM_ENOAGENT,
                "the agent at %s closed the connection; see its log: journalctl -u dsm-agent",
                session->path);
}

static int send_request(struct ctl_session *session, const struct session_request *request,
                        int64_t deadline_ms, char *error)
{
    struct buffer buffer = {0};
    session_request_pack(request, &buffer);
    if (buffer.failed) {
        buffer_close(&buffer);
        return fail(error, DSM_ENOMEM, "out of memory");
    }
    ssize_t sent;
    int result = 0;
    do {
        sent = send(session->fd, buffer_data(&buffer), buffer_len(&buffer),
                    MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) {
            result = wait_for(session, POLLOUT, deadline_ms, error);
        }
    } while (sent < 0 && result == 0 && (errno == EAGAIN || errno == EINTR));
    if (sent < 0 && result == 0) {
        result = fail_gone(session, error);
    }
    buffer_close(&buffer);
    return result;
}

/** Receive one reply. A descriptor beside it (HELLO's) is not taken: recv() lets the kernel close
 * it. */
static int receive_reply(struct ctl_session *session, int64_t deadline_ms, char *error)
{
    ssize_t received;
    do {
        int result = wait_for(session, POLLIN, deadline_ms, error);
        if (result != 0) {
            return result;
        }
        received = recv(session->fd, session->packet, sizeof(session->packet), MSG_DONTWAIT);
    } while (received < 0 && (errno == EAGAIN || errno == EINTR));
    if (received <= 0) {
        return fail_gone(session, error);
    }
    if (session_reply_unpack(session->packet, (size_t)received, &session->reply) != 0) {
        return fail(error, DSM_EPROTO,
                    "what listens at %s does not speak as a dsm-agent of this version; name the "
                    "agent's socket with --socket",
                    session->path);
    }
    return 0;
}

/** One request and its reply; the agent's refusal is an error with the agent's own words. */
static int ask(struct ctl_session *session, struct session_request *request, char *error)
{
    int64_t deadline_ms = now_ms() + ANSWER_MS;
    request->number = ++session->number;
    int result = send_request(session, request, deadline_ms, error);
    while (result == 0) {
        result = receive_reply(session, deadline_ms, error);
        if (result == 0 && session->reply.number == request->number) {
            break;
        }
    }
    if (result == 0 && session->reply.reply.error < 0) {
        result = session->reply.reply.error;
        fail(error, result, "%s",
             session->reply.text[0] != '\0' ? session->reply.text : dsm_strerror(result));
    }
    return result;
}

static int say_hello(struct ctl_session *session, char *error)
{
    struct session_request request = {.kind = SESSION_HELLO, .version = SESSION_VERSION};
    int result = ask(session, &request, error);
    if (result == DSM_EVERSION) {
        return fail(error, result,
                    "the agent at %s is of another version than this dsmctl; install both from one "
                    "package and restart the agent",
                    session->path);
    }
    return result;
}

static int connect_to(struct ctl_session *session, const char *path, char *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        return fail(error, DSM_ENOAGENT,
                    "%.200s...: a socket's path may have %zu bytes; name the agent's socket with "
                    "--socket",
                    path, sizeof(address.sun_path) - 1);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    memcpy(session->path, path, strlen(path) + 1);
    session->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (session->fd < 0) {
        return fail(error, DSM_ESYS, "no socket: %s", strerror(errno));
    }
    if (connect(session->fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        const char *advice =
            errno == EACCES
                ? "this user may not open it; use sudo, or have the directory opened"
                : "start the agent (systemctl start dsm-agent), or name its socket with "
                  "--socket or DSM_SOCKET";
        return fail(error, DSM_ENOAGENT, "no agent answers at %s: %s; %s", path, strerror(errno),
                    advice);
    }
    return 0;
}

int ctl_session_open(const char *path, struct ctl_session **session, char *error)
{
    struct ctl_session *opened = calloc(1, sizeof(*opened));
    if (!opened) {
        return fail(error, DSM_ENOMEM, "out of memory");
    }
    opened->fd = -1;
    int result = connect_to(opened, path, error);
    if (result == 0) {
        result = say_hello(opened, error);
    }
    if (result != 0) {
        ctl_session_close(opened);
        return result;
    }
    *session = opened;
    return 0;
}

void ctl_session_close(struct ctl_session *session)
{
    if (!session) {
        return;
    }
    if (session->fd >= 0) {
        close(session->fd);
    }
    buffer_close(&session->document);
    free(session);
}

int ctl_session_fetch(struct ctl_session *session, const char *topic, json_t **json, char *error)
{
    struct session_request request = {.kind = SESSION_ADMIN};
    json_error_t where;
    if (strlen(topic) >= sizeof(request.topic)) {
        return fail(error, DSM_EINVAL, "'%.300s...' is too long", topic);
    }
    memcpy(request.topic, topic, strlen(topic) + 1);
    buffer_clear(&session->document);
    do {
        int result = ask(session, &request, error);
        if (result != 0) {
            return result;
        }
        /* Pieces without text, or the same piece again, would never end. */
        if (session->reply.cursor != 0 &&
            (session->reply.cursor == request.cursor || session->reply.text_bytes == 0)) {
            return fail(error, DSM_EPROTO, "the agent's answer to '%s' does not advance", topic);
        }
        buffer_append(&session->document, session->reply.text, session->reply.text_bytes);
        request.cursor = session->reply.cursor;
    } while (request.cursor != 0 && buffer_len(&session->document) < DOCUMENT_BYTES_MAX);
    if (session->document.failed) {
        return fail(error, DSM_ENOMEM, "out of memory");
    }
    json_t *document = json_loadb((const char *)buffer_data(&session->document),
                                  buffer_len(&session->document), JSON_REJECT_DUPLICATES, &where);
    if (!document || !json_is_object(document)) {
        json_decref(document);
        return fail(error, DSM_EPROTO, "the agent's answer to '%s' is no JSON object: %s", topic,
                    document ? "another type" : where.text);
    }
    *json = document;
    return 0;
}
