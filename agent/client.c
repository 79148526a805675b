/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/clients_state.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/local_socket.h"
#include "dsm.h"

/* A client that does not read its replies is not read either from here on, ... */
#define QUEUE_PAUSE_BYTES (256u << 10)
/* ... and disconnected here. */
#define QUEUE_MAX_BYTES (4u << 20)

static client_id id_of(const struct client *client)
{
    return (client_id)client->link.key;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void on_client_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;

    if (--client->count_polls == 0) {
        free(client);
    }
}

void client_close(struct client *client, bool tell)
{
    struct clients *clients = client->clients;

    client->clients = NULL;
    table_remove(&clients->table, client->link.key);
    packet_queue_close(&client->queue);
    uv_close((uv_handle_t *)&client->poll, on_client_closed);
    close(client->fd);
    if (client->process >= 0) {
        uv_close((uv_handle_t *)&client->life, on_client_closed);
        close(client->process);
    }
    if (tell) {
        clients->events.on_gone(clients->events.context, id_of(client));
    }
}

static void client_doom(struct client *client)
{
    client->doomed = true;
    shutdown(client->fd, SHUT_RDWR);
}

/* There is nothing to answer it with, and without an answer it would wait for ever. */
static void client_starve(struct client *client)
{
    log_limited(&client->clients->limit, LOG_LEVEL_ERROR,
                "clients: no memory or descriptor for a reply, disconnected client=%u",
                id_of(client));
    client_doom(client);
}

/* Wait for what there is to do: reading, unless too many replies wait, and writing if any does. */
static void client_poll(struct client *client)
{
    int events = 0;

    if (client->doomed || client->queue.len_bytes < QUEUE_PAUSE_BYTES) {
        events |= UV_READABLE;
    }
    if (client->queue.first != NULL) {
        events |= UV_WRITABLE;
    }
    if (events != client->events) {
        client->events = events;
        uv_poll_start(&client->poll, events, on_poll);
    }
}

static void client_enqueue(struct client *client, int fd)
{
    struct clients *clients = client->clients;
    size_t len_bytes = buffer_len(&clients->out);

    if (client->queue.len_bytes + len_bytes > QUEUE_MAX_BYTES) {
        log_limited(&clients->limit, LOG_LEVEL_WARNING,
                    "clients: program does not read its replies, disconnected client=%u uid=%u",
                    id_of(client), client->credential.uid);
        client_doom(client);
    } else if (packet_queue_add(&client->queue, buffer_data(&clients->out), len_bytes, fd) != 0) {
        client_starve(client);
    }
}

void client_send(struct client *client, const struct session_reply *reply, int fd)
{
    struct clients *clients = client->clients;
    int error = DSM_EAGAIN;

    if (client->doomed) {
        return;
    }
    buffer_clear(&clients->out);
    session_reply_pack(reply, &clients->out);
    if (clients->out.failed) {
        buffer_close(&clients->out);
        client_starve(client);
        return;
    }
    if (client->queue.first == NULL) {
        error = packet_send(client->fd, buffer_data(&clients->out), buffer_len(&clients->out), fd);
    }
    if (error == DSM_EAGAIN) {
        client_enqueue(client, fd);
    } else if (error != 0) {
        client_doom(client);
    }
    client_poll(client);
}

/* An answer that the clients' own code gives: an error with its sentence, or a text. */
static void __attribute__((format(printf, 5, 6)))
client_answer(struct client *client, uint64_t number, int error, int fd, const char *format, ...)
{
    struct session_reply *reply = &client->clients->reply;
    va_list arguments;

    memset(reply, 0, offsetof(struct session_reply, text));
    reply->number = number;
    reply->reply.error = error;
    reply->reply.node = NODE_NONE;
    reply->value = fd >= 0 ? 1 : 0;
    va_start(arguments, format);
    vsnprintf(reply->text, sizeof(reply->text), format, arguments);
    va_end(arguments);
    reply->text_bytes = strlen(reply->text);
    client_send(client, reply, fd);
}

/* What no library of ours sends: say so and part. */
static void client_refuse(struct client *client, uint64_t number, const char *why)
{
    log_limited(&client->clients->limit, LOG_LEVEL_WARNING,
                "clients: bad packet, disconnected client=%u uid=%u reason=%s", id_of(client),
                client->credential.uid, why);
    client_answer(client, number, DSM_EPROTO, -1, "%s", why);
    client_doom(client);
}

static void on_hello(struct client *client, const struct session_request *request)
{
    struct clients *clients = client->clients;

    if (request->version != SESSION_VERSION) {
        client_answer(client, request->number, DSM_EVERSION, -1,
                      "libdsm speaks version %u of the session protocol, the agent of node %s "
                      "version %u: install the same release of both",
                      request->version, clients->node_name, SESSION_VERSION);
        return;
    }
    client->greeted = true;
    client_answer(client, request->number, 0, clients->device, "%s", clients->node_name);
}

/* What is wrong with an ATTACH; "" when nothing is. */
static const char *attach_text(int error)
{
    switch (error) {
    case 0:
        return "";
    case DSM_EINVAL:
        return "this program has no such mapping, or it is attached already, or has another length";
    case DSM_EPERM:
        return "without a userfaultfd the agent must be able to end a program that does not give "
               "up pages in time, and it may not end this one: run the agent as root or as the "
               "program's user, in the same PID namespace";
    case DSM_ENOMEM:
        return "the agent has no memory to keep what the program may touch";
    default:
        return "the mapping cannot be watched through this descriptor: a userfaultfd must be "
               "registered for missing pages and write protection, a channel a SOCK_SEQPACKET "
               "socket";
    }
}

/* A program's words in a line of the log: one line, and no end of the quotes. */
static void attach_log(struct client *client, struct session_request *request)
{
    for (char *at = request->why; *at != '\0'; at++) {
        if (!isprint((unsigned char)*at) || *at == '"') {
            *at = '?';
        }
    }
    log_limited(&client->clients->limit_attached, LOG_LEVEL_INFO,
                "client attached client=%u uid=%u map=%u bytes=%" PRIu64 " backend=%s%s%s%s",
                id_of(client), client->credential.uid, request->map, request->size_bytes,
                session_backend_name(request->backend), request->why[0] ? " why=\"" : "",
                request->why, request->why[0] ? "\"" : "");
}

static void on_attach(struct client *client, struct session_request *request, struct packet *packet)
{
    struct frames_attachment attachment = {
        .backend = request->backend,
        .process = client->process,
        .address = request->address,
        .len_bytes = request->size_bytes,
    };
    int error;

    if (packet->count_fds != 1) {
        client_refuse(client, request->number,
                      "ATTACH comes with exactly one userfaultfd or channel");
        return;
    }
    attachment.descriptor = packet->fds[0];
    packet->count_fds = 0; /* The descriptor is given to the frames. */
    error = frames_attach(client->clients->frames, request->map, id_of(client), &attachment);
    if (error == 0) {
        attach_log(client, request);
    }
    client_answer(client, request->number, error, -1, "%s", attach_text(error));
}

static void on_follow(struct client *client, const struct session_request *request)
{
    int descriptor = -1;
    int error = frames_follow(client->clients->frames, request->map, id_of(client), &descriptor);

    client_answer(client, request->number, error, descriptor, "%s",
                  error == DSM_EINVAL ? "this program has no such mapping, or follows it already"
                                      : "");
    if (descriptor >= 0) {
        close(descriptor);
    }
}

static void on_request(struct client *client, struct session_request *request,
                       struct packet *packet)
{
    const struct clients_events *events = &client->clients->events;

    if (!client->greeted && request->kind != SESSION_HELLO) {
        client_refuse(client, request->number, "a session begins with HELLO");
        return;
    }
    switch (request->kind) {
    case SESSION_HELLO:
        on_hello(client, request);
        break;
    case SESSION_ATTACH:
        on_attach(client, request, packet);
        break;
    case SESSION_CALL:
        request->call.credential = client->credential;
        events->on_call(events->context, id_of(client), request->number, &request->call);
        break;
    case SESSION_FOLLOW:
        on_follow(client, request);
        break;
    case SESSION_STATS:
        events->on_admin(events->context, id_of(client), request->number, NULL, 0,
                         &client->credential);
        break;
    case SESSION_ADMIN:
        events->on_admin(events->context, id_of(client), request->number, request->topic,
                         request->cursor, &client->credential);
        break;
    default:
        client_refuse(client, request->number, "not a request");
        break;
    }
}

/* Read one packet, if there is one. */
static void client_read(struct client *client)
{
    struct clients *clients = client->clients;
    struct packet packet = {0};
    int error = packet_receive(client->fd, clients->in, sizeof(clients->in), &packet);

    if (error == DSM_EAGAIN) {
        return;
    }
    if (error == DSM_EPROTO) {
        client_refuse(client, 0, "the packet is too long or carries too many descriptors");
        return;
    }
    if (error != 0) {
        client_doom(client);
        return;
    }
    if (session_request_unpack(clients->in, packet.len_bytes, &clients->request) != 0) {
        client_refuse(client, 0, "the packet is no request of the session protocol");
    } else {
        on_request(client, &clients->request, &packet);
    }
    packet_close_fds(&packet);
}

static void client_turn(struct client *client, int events)
{
    if ((events & UV_WRITABLE) != 0) {
        int error = packet_queue_send(&client->queue, client->fd);

        if (error != 0 && error != DSM_EAGAIN) {
            client_doom(client);
        }
    }
    /* One packet: what is left is told in the next turn, and mostly nothing is. */
    if (!client->doomed && client->queue.len_bytes < QUEUE_PAUSE_BYTES) {
        client_read(client);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct client *client = poll->data;

    if (client->clients == NULL) {
        return;
    }
    if (status < 0) {
        client->doomed = true;
    }
    if (!client->doomed) {
        client_turn(client, events);
    }
    if (client->clients == NULL) {
        return;
    }
    if (client->doomed) {
        client_close(client, true);
    } else {
        client_poll(client);
    }
}

static void on_process_ended(uv_poll_t *life, int status, int events)
{
    struct client *client = life->data;

    (void)status;
    (void)events;
    if (client->clients != NULL) {
        client_close(client, true);
    }
}

/* The end of the process ends the session, whoever else holds its socket. */
static void watch_process(struct client *client)
{
    client->process = local_socket_process(client->fd);
    if (client->process < 0) {
        return;
    }
    if (uv_poll_init(client->clients->loop, &client->life, client->process) != 0) {
        close(client->process);
        client->process = -1;
        return;
    }
    client->life.data = client;
    client->count_polls++;
    uv_poll_start(&client->life, UV_READABLE, on_process_ended);
}

int client_new(struct clients *clients, int fd)
{
    struct client *client = calloc(1, sizeof(*client));
    int error = DSM_ENOMEM;

    if (client == NULL) {
        goto close_fd;
    }
    /* Numbers are never used again, so that news of a client that has gone cannot reach another
     * one. */
    if (clients->last_id == UINT32_MAX) {
        error = DSM_EBUSY;
        goto free_client;
    }
    client->fd = fd;
    error = local_socket_credential(fd, &client->credential);
    if (error != 0) {
        goto free_client;
    }
    if (uv_poll_init(clients->loop, &client->poll, fd) != 0) {
        error = DSM_ESYS;
        goto free_client;
    }
    client->poll.data = client;
    client->clients = clients;
    client->count_polls = 1;
    watch_process(client);
    table_add(&clients->table, &client->link, ++clients->last_id);
    client_poll(client);
    return 0;

free_client:
    free(client);
close_fd:
    close(fd);
    return error;
}
