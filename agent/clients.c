/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/clients.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/clients_state.h"
#include "agent/local_socket.h"
#include "dsm.h"

/* Connections accepted in one turn. */
#define ACCEPTS_PER_TURN 16u

void clients_reply(struct clients *clients, client_id client, const struct session_reply *reply,
                   int fd)
{
    struct client *found = (struct client *)(void *)table_find(&clients->table, client);

    if (found != NULL) {
        client_send(found, reply, fd);
    }
}

/* No descriptor is left. Without this the waiting connection would wake the loop for ever. */
static void turn_away(struct clients *clients)
{
    int fd;

    log_limited(&clients->limit, LOG_LEVEL_ERROR,
                "clients: no descriptor left for a program, turned away clients=%u",
                clients->table.count);
    if (clients->spare >= 0) {
        close(clients->spare);
    }
    fd = accept4(clients->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        close(fd);
    }
    clients->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_connect(uv_poll_t *poll, int status, int events)
{
    struct clients *clients = poll->data;

    (void)events;
    if (clients->closing || status < 0) {
        return;
    }
    for (uint32_t count = 0; count < ACCEPTS_PER_TURN; count++) {
        int fd = accept4(clients->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        int error;

        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE) {
                turn_away(clients);
            }
            return;
        }
        error = client_new(clients, fd);
        if (error != 0) {
            log_limited(&clients->limit, LOG_LEVEL_ERROR,
                        "clients: a program cannot be admitted error=%d", error);
        }
    }
}

static void on_clients_closed(uv_handle_t *handle)
{
    struct clients *clients = handle->data;

    buffer_close(&clients->out);
    free(clients->path);
    free(clients);
}

static int poll_start(struct clients *clients)
{
    int error = uv_poll_init(clients->loop, &clients->poll, clients->fd);

    if (error == 0) {
        clients->poll.data = clients;
        (void)uv_poll_start(&clients->poll, UV_READABLE,
                            on_connect); /* Fails only for a busy fd. */
    }
    return error;
}

int clients_new(uv_loop_t *loop, const char *socket_path, const char *node_name,
                struct frames *frames, const struct clients_events *events,
                struct clients **clients, char *text)
{
    struct clients *made = calloc(1, sizeof(*made));
    int error = DSM_ENOMEM;

    text[0] = '\0';
    if (made == NULL) {
        return DSM_ENOMEM;
    }
    made->loop = loop;
    made->frames = frames;
    made->events = *events;
    snprintf(made->node_name, sizeof(made->node_name), "%s", node_name);
    made->path = strdup(socket_path);
    if (made->path == NULL || table_init(&made->table) != 0) {
        goto free_made;
    }
    error = local_socket_listen(socket_path, &made->fd, &made->lock, text);
    if (error != 0) {
        goto close_table;
    }
    if (poll_start(made) != 0) {
        error = DSM_ESYS;
        snprintf(text, TEXT_BYTES_MAX, "cannot wait for programs at %s", socket_path);
        goto close_socket;
    }
    /* Without it programs fall back to what they may do themselves; that is no error here. */
    made->device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    made->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    *clients = made;
    return 0;

close_socket:
    local_socket_close(socket_path, made->fd, made->lock);
close_table:
    table_close(&made->table);
free_made:
    free(made->path);
    free(made);
    return error;
}

void clients_free(struct clients *clients)
{
    struct table_link *link;

    clients->closing = true;
    while ((link = table_any(&clients->table)) != NULL) {
        client_close((struct client *)(void *)link, false);
    }
    table_close(&clients->table);
    uv_close((uv_handle_t *)&clients->poll, on_clients_closed);
    local_socket_close(clients->path, clients->fd, clients->lock);
    if (clients->device >= 0) {
        close(clients->device);
    }
    if (clients->spare >= 0) {
        close(clients->spare);
    }
}

uint32_t clients_count(const struct clients *clients)
{
    return clients->table.count;
}
