/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/peer_link.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dsm.h"

#define HOST_BYTES 256
/** Connections that the system keeps for us between two turns of the loop. */
#define LISTEN_BACKLOG 128

void address_format(const struct sockaddr *socket_address, char *address, size_t address_bytes)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (socket_address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)socket_address;
        uv_ip6_name(v6, host, sizeof(host));
        snprintf(address, address_bytes, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)socket_address;
        uv_ip4_name(v4, host, sizeof(host));
        snprintf(address, address_bytes, "%s:%u", host, ntohs(v4->sin_port));
    }
}

/** Make a socket address of a host that is written in numbers. Returns false when it is not. */
static bool address_parse(const char *host, uint16_t port, struct sockaddr_storage *socket_address)
{
    *socket_address = (struct sockaddr_storage){0};
    return uv_ip4_addr(host, port, (struct sockaddr_in *)(void *)socket_address) == 0 ||
           uv_ip6_addr(host, port, (struct sockaddr_in6 *)(void *)socket_address) == 0;
}

/* Accepting. */

/** Too many connections that say nothing: the oldest of them makes room. */
static void make_room(struct peers *peers)
{
    uint32_t count = 0;
    struct peer *oldest = NULL;
    for (struct peer *peer = peers->list; peer != NULL; peer = peer->next) {
        if (peer->target == NULL && !peer->is_announced && peer->state < PEER_CLOSED) {
            count++;
            oldest = peer; /* new ones are put in front */
        }
    }
    if (count > PEERS_UNFINISHED_MAX && oldest != NULL) {
        peer_end(oldest, DSM_EBUSY, false, "more than %u unfinished connections",
                 PEERS_UNFINISHED_MAX);
        oldest->parting_ms = 0;
        peer_close(oldest);
        log_limited(&peers->limit, LOG_LEVEL_WARNING, "peer dropped address=%s cause=\"%s\"",
                    oldest->socket_address, oldest->text);
    }
}

static void on_connection(uv_stream_t *server, int status);

static void on_turned_away(uv_handle_t *handle)
{
    struct peers *peers = handle->data;
    bool is_more = peers->is_more_waiting && !peers->is_freed;
    peers->is_turning_away = false;
    peers->is_more_waiting = false;
    peers_handle_closed(peers);
    if (is_more) {
        on_connection((uv_stream_t *)&peers->listener, 0);
    }
}

/** There is no memory for it. While one is not accepted, libuv listens for no other. */
static void turn_away(struct peers *peers)
{
    if (peers->is_turning_away) {
        peers->is_more_waiting = true;
        return;
    }
    uv_tcp_init(peers->loop, &peers->turned_away);
    peers->turned_away.data = peers;
    peers->count_handles++;
    peers->is_turning_away = true;
    uv_accept((uv_stream_t *)&peers->listener, (uv_stream_t *)&peers->turned_away);
    uv_close((uv_handle_t *)&peers->turned_away, on_turned_away);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct peers *peers = server->data;
    if (status != 0) {
        log_limited(&peers->limit, LOG_LEVEL_WARNING, "cannot accept cause=\"%s\"",
                    uv_strerror(status));
        return;
    }
    if (peers->is_parting) {
        return; /* it waits in the queue until the listener is closed */
    }
    struct peer *peer = peer_new(peers, NULL);
    if (peer == NULL) {
        log_limited(&peers->limit, LOG_LEVEL_WARNING, "cannot accept cause=\"out of memory\"");
        turn_away(peers);
        return;
    }
    if (uv_accept(server, (uv_stream_t *)&peer->tcp) != 0) {
        peer_close(peer);
        return;
    }
    peer_begin(peer);
    make_room(peers);
}

/* Listening. */

/** Find the address to listen on; a name is looked up, which may take its time at the start. */
static int resolve_listen(const char *address, struct sockaddr_storage *socket_address, char *text)
{
    char host[HOST_BYTES], service[8];
    uint16_t port;
    if (config_split_address(address, host, sizeof(host), &port) != 0) {
        snprintf(text, TEXT_BYTES_MAX, "'%s' is not host:port: set listen as in 0.0.0.0:7400",
                 address);
        return DSM_ECONFIG;
    }
    if (address_parse(host, port, socket_address)) {
        return 0;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    snprintf(service, sizeof(service), "%u", port);
    int status = getaddrinfo(host, service, &hints, &found);
    if (status != 0) {
        snprintf(text, TEXT_BYTES_MAX, "cannot find the address of '%s' to listen on: %s", host,
                 gai_strerror(status));
        return DSM_ECONFIG;
    }
    memcpy(socket_address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

static int listen_failed(const char *address, int status, char *text)
{
    if (status == UV_EADDRINUSE) {
        snprintf(text, TEXT_BYTES_MAX,
                 "the address %s is in use by another program: stop it, or set another listen",
                 address);
        return DSM_EBUSY;
    }
    if (status == UV_EADDRNOTAVAIL) {
        snprintf(text, TEXT_BYTES_MAX,
                 "%s is not an address of this host: set listen to one of its own, or to "
                 "0.0.0.0 for all",
                 address);
        return DSM_ECONFIG;
    }
    snprintf(text, TEXT_BYTES_MAX, "cannot listen on %s: %s", address, uv_strerror(status));
    return status == UV_ENOMEM ? DSM_ENOMEM : DSM_ESYS;
}

/** Which port was given, and what HELLOs will say. */
static int note_own_address(struct peers *peers, const char *address, char *text)
{
    struct sockaddr_storage own;
    int own_bytes = sizeof(own);
    char host[HOST_BYTES] = "";
    uint16_t port = 0;
    if (uv_tcp_getsockname(&peers->listener, (struct sockaddr *)&own, &own_bytes) == 0) {
        /* The port is at the same place in both families. */
        peers->port = ntohs(((struct sockaddr_in *)(void *)&own)->sin_port);
    }
    if (config_split_address(address, host, sizeof(host), &port) == 0 && port == 0) {
        bool is_v6 = strchr(host, ':') != NULL;
        snprintf(peers->own_address, sizeof(peers->own_address), "%s%.54s%s:%u", is_v6 ? "[" : "",
                 host, is_v6 ? "]" : "", peers->port);
        return 0;
    }
    int len = snprintf(peers->own_address, sizeof(peers->own_address), "%s", address);
    if (len >= (int)sizeof(peers->own_address)) {
        snprintf(text, TEXT_BYTES_MAX, "'%.256s' is too long: set an advertise of %u bytes at most",
                 address, RECORD_ADDRESS_BYTES - 1);
        return DSM_ECONFIG;
    }
    return 0;
}

int peers_listen(struct peers *peers, char *text)
{
    const char *address = peers->config->listen;
    struct sockaddr_storage socket_address;
    int error = resolve_listen(address, &socket_address, text);
    if (error != 0) {
        return error;
    }
    int status = uv_tcp_bind(&peers->listener, (struct sockaddr *)&socket_address, 0);
    if (status == 0) {
        status = uv_listen((uv_stream_t *)&peers->listener, LISTEN_BACKLOG, on_connection);
    }
    if (status != 0) {
        return listen_failed(address, status, text);
    }
    const char *advertise = peers->config->advertise;
    return note_own_address(peers, advertise[0] != 0 ? advertise : address, text);
}

/* Connecting. */

void target_succeeded(struct target *target)
{
    target->wait_ms = TARGET_WAIT_MIN_MS;
    target->next_ms = 0;
    target->failure[0] = 0;
}

void target_failed(struct peers *peers, struct target *target, int error, const char *text,
                   bool fatal)
{
    uint32_t wait_ms = fatal ? TARGET_WAIT_MAX_MS : target->wait_ms;
    if (wait_ms < TARGET_WAIT_MIN_MS) {
        wait_ms = TARGET_WAIT_MIN_MS;
    }
    target->wait_ms = wait_ms * 2 > TARGET_WAIT_MAX_MS ? TARGET_WAIT_MAX_MS : wait_ms * 2;
    /* Jitter, so that a cluster that lost its keeper does not come back all at once: 75 to 125 %.
     */
    uint32_t jitter = 0;
    uv_random(NULL, NULL, &jitter, sizeof(jitter), 0, NULL);
    target->next_ms = uv_now(peers->loop) + wait_ms * 3 / 4 + jitter % (wait_ms / 2);
    if (strcmp(target->failure, text) != 0) {
        /* Once for each cause and not for each attempt. */
        snprintf(target->failure, sizeof(target->failure), "%s", text);
        log_line(LOG_LEVEL_WARNING, "cannot connect address=%s cause=\"%s\" retrying=yes",
                 target->address, text);
    }
    peers_schedule(peers, false);
    peers->events.on_failure(peers->events.context, target->address, error, text, fatal);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct peer *peer = request->data;
    peer->is_connecting = false;
    if (peer->state != PEER_DIALLING) {
        return;
    }
    if (status != 0) {
        peer_end(peer, DSM_EDOWN, false, "%s", uv_strerror(status));
        return;
    }
    peer_begin(peer);
}

static void peer_connect(struct peer *peer, const struct sockaddr *socket_address)
{
    peer->connect.data = peer;
    int status = uv_tcp_connect(&peer->connect, &peer->tcp, socket_address, on_connected);
    if (status != 0) {
        peer_end(peer, DSM_EDOWN, false, "%s", uv_strerror(status));
        return;
    }
    peer->is_connecting = true;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct peer *peer = request->data;
    peer->is_resolving = false;
    if (peer->state == PEER_DIALLING) {
        if (status != 0) {
            peer_end(peer, DSM_EDOWN, false, "cannot find the host's address: %s",
                     uv_strerror(status));
        } else {
            peer_connect(peer, found->ai_addr);
        }
    }
    uv_freeaddrinfo(found);
    if (peer->is_handle_gone) {
        peer_delete(peer); /* the handle went first and left the rest to this request */
    }
}

void target_dial(struct peers *peers, struct target *target)
{
    char host[HOST_BYTES], service[8];
    uint16_t port;
    struct sockaddr_storage socket_address;
    if (config_split_address(target->address, host, sizeof(host), &port) != 0) {
        target_failed(peers, target, DSM_ECONFIG, "this is not host:port", true);
        return;
    }
    struct peer *peer = peer_new(peers, target);
    if (peer == NULL) {
        target_failed(peers, target, DSM_ENOMEM, "out of memory", false);
        return;
    }
    target->peer = peer;
    snprintf(peer->address, sizeof(peer->address), "%.63s", target->address);
    if (address_parse(host, port, &socket_address)) {
        peer_connect(peer, (const struct sockaddr *)&socket_address);
        return;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    snprintf(service, sizeof(service), "%u", port);
    peer->resolve.data = peer;
    int status = uv_getaddrinfo(peers->loop, &peer->resolve, on_resolved, host, service, &hints);
    if (status != 0) {
        peer_end(peer, DSM_EDOWN, false, "cannot find the host's address: %s", uv_strerror(status));
        return;
    }
    peer->is_resolving = true;
}
