/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/session.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "dsm/lib/channel.h"
#include "dsm/lib/view.h"

#define SOCKET_PATH "/run/dsm/agent.sock"
#define CONNECT_TIMEOUT_MS 10000
#define FAREWELL_TIMEOUT_MS 2000
#define RELEASE_TIMEOUT_MS 2000
#define RELEASE_PAUSE_MS 10

static const char *socket_path_default(void)
{
    const char *path = getenv("DSM_SOCKET");

    return path != NULL && path[0] != 0 ? path : SOCKET_PATH;
}

static void text_set(struct dsm *dsm, const char *text)
{
    (void)pthread_mutex_lock(&dsm->text_lock);
    (void)snprintf(dsm->text, sizeof dsm->text, "%s", text);
    (void)pthread_mutex_unlock(&dsm->text_lock);
}

int session_fail(struct dsm *dsm, int error, const char *format, ...)
{
    char text[TEXT_BYTES_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_set(dsm, text);
    return error;
}

int session_fail_deed(struct dsm *dsm, int error, const struct deed *deed)
{
    char text[TEXT_BYTES_MAX];

    error_compose(error, deed, NODE_NONE, text, sizeof text);
    text_set(dsm, text);
    return error;
}

int session_check(struct dsm *dsm)
{
    pid_t pid;

    if (pulse_beats(&dsm->pulse)) {
        return 0; /* a child's has stopped */
    }
    pid = getpid();
    if (pid != dsm->pid) {
        return session_fail(dsm, DSM_EINVAL,
                            "process %ld uses the session of its parent %ld; a child calls "
                            "dsm_connect() itself",
                            (long)pid, (long)dsm->pid);
    }
    return 0;
}

/* The sentence for an answer that did not come. */
static int fail_unanswered(struct dsm *dsm, int error, const struct deed *deed)
{
    char text[TEXT_BYTES_MAX];

    switch (error) {
    case DSM_ENOAGENT:
        pulse_stop(&dsm->pulse); /* the watchdog may not have run yet */
        return session_fail(dsm, error,
                            "%s%s%.255s: the agent of node '%s' at %s is gone; start dsm-agent, "
                            "then connect again",
                            deed->verb, deed->name ? " " : "", deed->name ? deed->name : "",
                            dsm->node_name, dsm->address.sun_path);
    case DSM_ETIMEDOUT:
        return session_fail(dsm, error,
                            "%s%s%.255s: the agent of node '%s' did not answer in time; its log "
                            "tells what it waits for",
                            deed->verb, deed->name ? " " : "", deed->name ? deed->name : "",
                            dsm->node_name);
    default:
        error_compose(error, deed, NODE_NONE, text, sizeof text);
        text_set(dsm, text);
        return error;
    }
}

/* A descriptor comes with two replies; one that comes with another would never be closed. */
static void descriptor_check(const struct session_request *request, struct answer *answer)
{
    bool may_come = request->kind == SESSION_HELLO || request->kind == SESSION_FOLLOW ||
                    (request->kind == SESSION_CALL && (request->call.kind == CALL_MAP ||
                                                       request->call.kind == CALL_TOKENS));

    if (answer->descriptor >= 0 && (!may_come || answer->reply.error != 0)) {
        (void)close(answer->descriptor);
        answer->descriptor = -1;
    }
}

int session_ask(struct dsm *dsm, const struct deed *deed, struct session_request *request,
                int descriptor, int64_t timeout_ms, struct answer *answer)
{
    int error = session_check(dsm);

    if (error != 0) {
        return error;
    }
    error = requests_ask(&dsm->requests, request, descriptor, timeout_ms, answer);
    if (error != 0) {
        return fail_unanswered(dsm, error, deed);
    }
    descriptor_check(request, answer);
    error = answer->reply.error;
    if (error == 0) {
        return 0;
    }
    if (answer->text[0] == 0) {
        error_compose(error, deed, answer->reply.node, answer->text, sizeof answer->text);
    }
    text_set(dsm, answer->text);
    return error;
}

int session_call(struct dsm *dsm, const struct deed *deed, const struct call *call,
                 struct answer *answer)
{
    struct session_request request = {.kind = SESSION_CALL, .call = *call};
    struct answer unread;
    struct answer *into = answer != NULL ? answer : &unread;

    request.call.timeout_ms = DSM_FOREVER;
    return session_ask(dsm, deed, &request, -1, SESSION_TIMEOUT_MS, into);
}

int session_release(struct dsm *dsm, const struct deed *deed, const struct call *call)
{
    int64_t deadline = deadline_after(RELEASE_TIMEOUT_MS);
    int error;

    for (;;) {
        error = session_call(dsm, deed, call, NULL);
        if ((error != DSM_ENOMEM && error != DSM_ESYS) || clock_ms() >= deadline) {
            return error;
        }
        (void)poll(NULL, 0, RELEASE_PAUSE_MS);
    }
}

int session_tell(struct dsm *dsm, const struct deed *deed, const struct call *call)
{
    struct session_request request = {.kind = SESSION_CALL, .call = *call};
    int error = session_check(dsm);

    if (error != 0) {
        return error;
    }
    error = requests_tell(&dsm->requests, &request, SESSION_TIMEOUT_MS);
    return error == 0 ? 0 : fail_unanswered(dsm, error, deed);
}

/* The watchdog's: no page can come any more, so none may be touched. */
static void session_gone(void *context)
{
    struct dsm *dsm = context;

    pulse_stop(&dsm->pulse);
    space_fence(&dsm->space, dsm->node_name);
    requests_fail(&dsm->requests, DSM_ENOAGENT);
}

/* Unlike for other sockets, a send timeout bounds the connecting of a Unix socket, too. */
static int socket_connect(struct dsm *dsm, const char *path)
{
    struct timeval limit = {.tv_sec = CONNECT_TIMEOUT_MS / 1000};
    size_t len = strlen(path);
    int error;

    if (len == 0 || len >= sizeof dsm->address.sun_path) {
        return DSM_ENOAGENT;
    }
    dsm->address.sun_family = AF_UNIX;
    memcpy(dsm->address.sun_path, path, len + 1);
    dsm->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (dsm->socket < 0) {
        return errno == ENOMEM || errno == ENOBUFS ? DSM_ENOMEM : DSM_ESYS;
    }
    (void)setsockopt(dsm->socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (channel_prepare(dsm->socket) != 0) {
        (void)close(dsm->socket);
        return DSM_ESYS;
    }
    do {
        error = connect(dsm->socket, (const struct sockaddr *)&dsm->address, sizeof dsm->address);
    } while (error != 0 && errno == EINTR);
    if (error == 0) {
        return 0;
    }
    error = errno == EACCES || errno == EPERM ? DSM_EACCES
            : errno == ENOMEM                 ? DSM_ENOMEM
                                              : DSM_ENOAGENT;
    (void)close(dsm->socket);
    return error;
}

static int session_hello(struct dsm *dsm)
{
    struct session_request request = {.kind = SESSION_HELLO, .version = SESSION_VERSION};
    struct deed deed = {.verb = "connect to the agent"};
    struct answer answer;
    int error;

    error = session_ask(dsm, &deed, &request, -1, CONNECT_TIMEOUT_MS, &answer);
    if (error != 0) {
        /* What listens there but says nothing, or nonsense, is no agent. */
        return error == DSM_ETIMEDOUT || error == DSM_EPROTO ? DSM_ENOAGENT : error;
    }
    if (answer.descriptor < 0 && answer.descriptor_was_lost) {
        /* Without the device, system calls on region memory would fail later on. */
        return DSM_ESYS;
    }
    (void)snprintf(dsm->node_name, sizeof dsm->node_name, "%.255s", answer.text);
    error = fault_init(&dsm->fault, answer.descriptor, dsm->socket);
    if (error != 0 && answer.descriptor >= 0) {
        (void)close(answer.descriptor);
    }
    return error;
}

static int locks_init(struct dsm *dsm)
{
    if (pthread_mutex_init(&dsm->handles_lock, NULL) != 0) {
        return DSM_ESYS;
    }
    if (pthread_mutex_init(&dsm->text_lock, NULL) != 0) {
        (void)pthread_mutex_destroy(&dsm->handles_lock);
        return DSM_ESYS;
    }
    return 0;
}

static void locks_close(struct dsm *dsm)
{
    (void)pthread_mutex_destroy(&dsm->text_lock);
    (void)pthread_mutex_destroy(&dsm->handles_lock);
}

/* All that needs the socket; what it makes, session_close() or its own end undoes. */
static int session_start(struct dsm *dsm)
{
    struct watchdog_events events = {.context = dsm, .on_gone = session_gone};
    int error = requests_init(&dsm->requests);

    if (error != 0) {
        return error;
    }
    dsm->requests.socket = dsm->socket;
    error = session_hello(dsm);
    if (error != 0) {
        goto close_requests;
    }
    error = space_init(&dsm->space, &dsm->fault);
    if (error != 0) {
        goto close_fault;
    }
    error = views_init(&dsm->views);
    if (error != 0) {
        goto close_space;
    }
    pulse_init(&dsm->pulse);
    error = watchdog_start(&dsm->watchdog, dsm->socket, &events);
    if (error == 0) {
        return 0;
    }
    pulse_close(&dsm->pulse);
    views_close(dsm);
close_space:
    space_close(&dsm->space);
close_fault:
    fault_close(&dsm->fault);
close_requests:
    requests_close(&dsm->requests);
    return error;
}

int dsm_connect(const char *socket_path, struct dsm **dsm)
{
    struct dsm *new = calloc(1, sizeof *new);
    int error;

    if (new == NULL) {
        return DSM_ENOMEM;
    }
    new->pid = getpid();
    new->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    error = locks_init(new);
    if (error != 0) {
        goto free_new;
    }
    error = socket_connect(new, socket_path != NULL ? socket_path : socket_path_default());
    if (error != 0) {
        goto close_locks;
    }
    error = session_start(new);
    if (error != 0) {
        goto close_socket;
    }
    *dsm = new;
    return 0;

close_socket:
    (void)close(new->socket);
close_locks:
    locks_close(new);
free_new:
    free(new);
    return error;
}

static void handles_free(struct dsm *dsm)
{
    while (dsm->handles != NULL) {
        struct handle *handle = dsm->handles;

        dsm->handles = handle->next;
        free(handle);
    }
}

/* Wait until the agent has seen the end: what the session held is free for others after that. */
static void farewell(int socket)
{
    struct pollfd gone = {.fd = socket, .events = POLLRDHUP};
    int64_t deadline = deadline_after(FAREWELL_TIMEOUT_MS), now;

    if (shutdown(socket, SHUT_WR) == 0) {
        while ((now = clock_ms()) < deadline && poll(&gone, 1, (int)(deadline - now)) < 0 &&
               errno == EINTR) {
        }
    }
}

void dsm_disconnect(struct dsm *dsm)
{
    if (dsm == NULL) {
        return;
    }
    if (dsm->pid != getpid()) {
        /* The parent goes on using the socket; nothing but this process's copies may go. */
        watchdog_close_in_child(&dsm->watchdog);
        views_close_in_child(&dsm->views);
        space_close_in_child(&dsm->space);
        requests_close_in_child(&dsm->requests);
        fault_close_in_child(&dsm->fault);
    } else {
        views_close(dsm); /* while the agent still serves, and the watchdog tells if it does not */
        watchdog_stop(&dsm->watchdog);
        space_close(&dsm->space);
        farewell(dsm->socket);
        fault_close(&dsm->fault);
        requests_close(&dsm->requests);
        locks_close(dsm);
    }
    pulse_close(&dsm->pulse);
    handles_free(dsm);
    (void)close(dsm->socket);
    free(dsm);
}

void dsm_last_error(struct dsm *dsm, char *text, size_t size_bytes)
{
    if (dsm == NULL) {
        (void)snprintf(text, size_bytes,
                       "there is no session: dsm_connect() failed; check that dsm-agent runs on "
                       "this machine and listens where the program looks ($DSM_SOCKET or the "
                       "default: %s)",
                       socket_path_default());
        return;
    }
    (void)pthread_mutex_lock(&dsm->text_lock);
    (void)snprintf(text, size_bytes, "%s", dsm->text);
    (void)pthread_mutex_unlock(&dsm->text_lock);
}

const char *dsm_node_name(struct dsm *dsm)
{
    return dsm->node_name;
}
