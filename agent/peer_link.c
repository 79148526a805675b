/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/peer_link.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dsm.h"

/** Seconds of silence after which the system probes the connection; ours are quicker. */
#define KEEPALIVE_S 30

struct peer *peer_new(struct peers *peers, struct target *target)
{
    struct peer *peer = calloc(1, sizeof(*peer));
    if (peer == NULL) {
        return NULL;
    }
    if (link_new(peers->tls, target == NULL, &peer->link) != 0) {
        free(peer);
        return NULL;
    }
    if (uv_tcp_init(peers->loop, &peer->tcp) != 0) {
        link_free(peer->link);
        free(peer);
        return NULL;
    }
    peer->peers = peers;
    peer->tcp.data = peer;
    peer->state = PEER_DIALLING;
    peer->target = target;
    peer->is_kept = target == &peers->kept;
    peer->node = NODE_NONE;
    peer->hello_node = NODE_NONE;
    peer->begun_ms = uv_now(peers->loop);
    peer->heard_ms = peer->begun_ms;
    peer->next = peers->list;
    peer->link_back = &peers->list;
    if (peer->next != NULL) {
        peer->next->link_back = &peer->next;
    }
    peers->list = peer;
    peers->count_handles++;
    return peer;
}

/* The end. */

void peer_delete(struct peer *peer)
{
    struct peers *peers = peer->peers;
    *peer->link_back = peer->next;
    if (peer->next != NULL) {
        peer->next->link_back = peer->link_back;
    }
    peer_hold_no_more(peer);
    link_free(peer->link);
    free(peer->stall);
    free(peer);
    peers_handle_closed(peers);
}

static void on_closed(uv_handle_t *handle)
{
    struct peer *peer = handle->data;
    peer->is_handle_gone = true;
    if (!peer->is_resolving) {
        peer_delete(peer);
    }
}

void peer_close(struct peer *peer)
{
    if (peer->state == PEER_CLOSED) {
        return;
    }
    peer->state = PEER_CLOSED;
    if (peer->target != NULL && peer->target->peer == peer) {
        peer->target->peer = NULL;
    }
    if (peer->is_resolving) {
        uv_cancel((uv_req_t *)&peer->resolve);
    }
    uv_close((uv_handle_t *)&peer->tcp, on_closed);
}

bool peer_is_parted(const struct peer *peer, uint64_t now_ms)
{
    return now_ms >= peer->parting_ms;
}

void peer_part_now(struct peer *peer)
{
    peer->parting_ms = 0;
    peers_schedule(peer->peers, true);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    struct peer *peer = request->data;
    if (status != 0 && peer->state == PEER_PARTING) {
        peer_part_now(peer);
    }
}

void peer_shut(struct peer *peer)
{
    if (peer->state != PEER_PARTING || peer->is_shut || peer->parting_ms == 0) {
        return;
    }
    peer->is_shut = true;
    peer->shutdown.data = peer;
    if (uv_shutdown(&peer->shutdown, (uv_stream_t *)&peer->tcp, on_shutdown) != 0) {
        peer_part_now(peer);
    }
}

void peer_end(struct peer *peer, int error, bool bye, const char *format, ...)
{
    if (peer->state >= PEER_PARTING) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(peer->text, sizeof(peer->text), format, arguments);
    va_end(arguments);
    bool has_socket = peer->state != PEER_DIALLING;
    peer->state = PEER_PARTING;
    peer->error = error;
    peer->parting_ms = has_socket ? uv_now(peer->peers->loop) + PEER_PARTING_MS : 0;
    peers_refresh(peer->peers);
    peers_schedule(peer->peers, true);
    if (!has_socket) {
        return;
    }
    if (bye && link_is_ready(peer->link)) {
        struct wire wire = {.kind = WIRE_BYE, .error = error};
        snprintf(wire.text, sizeof(wire.text), "%s", peer->text);
        peer_send_wire(peer, &wire);
    } else {
        peer_flush(peer); /* an alert of TLS, perhaps */
    }
}

/* Receiving. */

static void send_hello(struct peer *peer)
{
    struct peers *peers = peer->peers;
    struct wire hello = {.kind = WIRE_HELLO,
                         .version = PROTOCOL_VERSION,
                         .node = peers->self,
                         .incarnation = peers->incarnation};
    snprintf(hello.address, sizeof(hello.address), "%s", peers->own_address);
    peer->has_sent_hello = true;
    peer_send_wire(peer, &hello);
}

/** Where the other side listens; what only a listener can use is replaced by where it came from. */
static void take_address(struct peer *peer, const char *address)
{
    char host[RECORD_ADDRESS_BYTES], own[RECORD_ADDRESS_BYTES];
    uint16_t port, own_port;
    snprintf(peer->address, sizeof(peer->address), "%s", address);
    if (config_split_address(address, host, sizeof(host), &port) != 0 ||
        !config_host_is_wildcard(host) ||
        config_split_address(peer->socket_address, own, sizeof(own), &own_port) != 0) {
        return;
    }
    bool is_v6 = strchr(own, ':') != NULL;
    snprintf(peer->address, sizeof(peer->address), "%s%.54s%s:%u", is_v6 ? "[" : "", own,
             is_v6 ? "]" : "", port);
}

static void on_hello(struct peer *peer, const struct wire *hello)
{
    struct peers *peers = peer->peers;
    const char *own_name = tls_context_name(peers->tls);
    snprintf(peer->name, sizeof(peer->name), "%s", link_peer_name(peer->link));
    if (hello->version != PROTOCOL_VERSION) {
        peer->is_fatal = true;
        peer_end(peer, DSM_EVERSION, true,
                 "agent '%s' speaks protocol %u, agent '%s' protocol %u: upgrade the older one",
                 peer->name, hello->version, own_name, PROTOCOL_VERSION);
        return;
    }
    if (strcmp(peer->name, own_name) == 0 && hello->incarnation == peers->incarnation) {
        peer->is_fatal = true;
        peer_end(peer, DSM_ECONFIG, true, "this address is the agent's own");
        return;
    }
    if (hello->incarnation == 0) {
        peer_end(peer, DSM_EPROTO, true, "agent '%s' says no incarnation", peer->name);
        return;
    }
    if (hello->node < NODES_MAX && peers->members[hello->node].is_known &&
        strcmp(peers->members[hello->node].name, peer->name) != 0) {
        peer_end(peer, DSM_EPROTO, true, "agent '%s' says that it is node %u, which is '%s'",
                 peer->name, hello->node, peers->members[hello->node].name);
        return;
    }
    peer->hello_node = hello->node;
    peer->incarnation = hello->incarnation;
    take_address(peer, hello->address);
    peer->state = PEER_UP;
    peers_on_hello(peers, peer);
}

static void on_bye(struct peer *peer, const struct wire *bye)
{
    peer->has_left = bye->error == 0;
    peer->is_fatal = bye->error == DSM_EVERSION || bye->error == DSM_ECERT ||
                     bye->error == DSM_EEXIST || bye->error == DSM_ECONFIG;
    peer_end(peer, bye->error, false, "%s",
             bye->text[0] != 0 ? bye->text
             : bye->error == 0 ? "it stops"
                               : dsm_strerror(bye->error));
}

static void on_wire_head(struct peer *peer, const struct wire *wire)
{
    if (wire->kind == WIRE_BYE) {
        on_bye(peer, wire);
    } else if ((wire->kind == WIRE_HELLO) != (peer->state == PEER_GREETING)) {
        peer_end(peer, DSM_EPROTO, true, "a head of kind %u out of order", wire->kind);
    } else if (wire->kind == WIRE_HELLO) {
        on_hello(peer, wire);
    } else if (wire->kind == WIRE_PING) {
        struct wire pong = {.kind = WIRE_PONG};
        peer_send_wire(peer, &pong);
    } else if (wire->kind != WIRE_PONG) {
        peer->peers->events.on_wire(peer->peers->events.context, peer, wire);
    }
}

static void on_message_head(struct peer *peer, const struct frame *frame)
{
    struct peers *peers = peer->peers;
    struct message message;
    if (peer->state != PEER_UP) {
        peer_end(peer, DSM_EPROTO, true, "a message before HELLO");
        return;
    }
    if (message_unpack(frame->head, frame->head_bytes, &message) != 0) {
        peer_end(peer, DSM_EPROTO, true, "a malformed message");
        return;
    }
    if (peer->node == NODE_NONE || peers->self == NODE_NONE) {
        /* Often one of the two has heard of the other a moment later; the core repeats it. */
        log_limited(&peers->limit, LOG_LEVEL_WARNING,
                    "message refused name=%s kind=%s cause=\"not a member\"", peer->name,
                    message_kind_name(message.kind));
        return;
    }
    message.from = (uint16_t)peer->node;
    message.to = (uint16_t)peers->self;
    peers->events.on_message(peers->events.context, &message, frame->payload, frame->payload_bytes);
}

static void on_frame(struct peer *peer, const struct frame *frame)
{
    uint32_t kind = head_kind(frame->head, frame->head_bytes);
    if (kind > MESSAGE_NONE && kind < MESSAGE_KINDS) {
        on_message_head(peer, frame);
        return;
    }
    struct wire wire;
    if (wire_unpack(frame->head, frame->head_bytes, &wire) != 0) {
        peer_end(peer, DSM_EPROTO, true, "a malformed head");
        return;
    }
    on_wire_head(peer, &wire);
}

/** Bytes came in: give them to the link, deliver what is whole, send what is to be sent. */
static void peer_receive(struct peer *peer, const uint8_t *bytes, size_t len_bytes)
{
    struct frame frame;
    int next = 0;
    link_receive(peer->link, bytes, len_bytes);
    if (link_is_ready(peer->link) && !peer->has_sent_hello) {
        send_hello(peer);
    }
    peers_collect(peer->peers);
    while (peer->state < PEER_PARTING && (next = link_next(peer->link, &frame)) == 1) {
        on_frame(peer, &frame);
    }
    peers_collected(peer->peers);
    if (peer->state >= PEER_PARTING) {
        return;
    }
    if (next < 0) {
        peer->is_fatal = next == DSM_ECERT;
        peer_end(peer, next, true, "%s", link_error_text(peer->link));
        return;
    }
    peer_write(peer);
}

static void on_alloc(uv_handle_t *handle, size_t suggested_bytes, uv_buf_t *buffer)
{
    struct peer *peer = handle->data;
    (void)suggested_bytes;
    *buffer = uv_buf_init((char *)peer->peers->read_buffer, PEERS_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t len_bytes, const uv_buf_t *buffer)
{
    struct peer *peer = stream->data;
    if (len_bytes == 0) {
        return;
    }
    if (len_bytes < 0) {
        peer_end(peer, DSM_EDOWN, false, "%s",
                 len_bytes == UV_EOF ? "the other side closed the connection"
                                     : uv_strerror((int)len_bytes));
        uv_read_stop(stream);
        if (peer->state == PEER_PARTING) {
            peer_part_now(peer);
        }
        return;
    }
    peer->peers->bytes_received += (uint64_t)len_bytes;
    peer->heard_ms = uv_now(peer->peers->loop);
    if (peer->state < PEER_PARTING) {
        peer_receive(peer, (const uint8_t *)buffer->base, (size_t)len_bytes);
    }
}

void peer_begin(struct peer *peer)
{
    struct sockaddr_storage other;
    int other_bytes = sizeof(other);
    peer->state = PEER_GREETING;
    peer->heard_ms = uv_now(peer->peers->loop);
    snprintf(peer->socket_address, sizeof(peer->socket_address), "an unknown address");
    if (uv_tcp_getpeername(&peer->tcp, (struct sockaddr *)&other, &other_bytes) == 0) {
        address_format((const struct sockaddr *)&other, peer->socket_address,
                       sizeof(peer->socket_address));
    }
    uv_tcp_nodelay(&peer->tcp, 1);
    uv_tcp_keepalive(&peer->tcp, 1, KEEPALIVE_S);
    int status = uv_read_start((uv_stream_t *)&peer->tcp, on_alloc, on_read);
    if (status != 0) {
        peer_end(peer, DSM_ESYS, false, "cannot read: %s", uv_strerror(status));
        return;
    }
    peer_write(peer);
    peers_schedule(peer->peers, false);
}
