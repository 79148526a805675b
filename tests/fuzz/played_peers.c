/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/played_peers.h"

#include <stdio.h>
#include <stdlib.h>

#include "dsm.h"
#include "tests/fuzz/input.h"

struct peer {
    struct peers *peers;
    bool is_up, is_kept, is_refused, has_left;
    uint32_t incarnation;
    uint64_t heard_ms;
    char name[RECORD_NAME_BYTES];
    char address[RECORD_ADDRESS_BYTES];
};

struct member {
    bool is_alive;
    uint32_t incarnation;
    char name[RECORD_NAME_BYTES];
};

struct peers {
    uv_loop_t *loop;
    struct peers_events events;
    uint32_t self, count_collecting;
    uint64_t bytes_sent, count_sends, last_request;
    char own_address[RECORD_ADDRESS_BYTES];
    struct peer list[PLAYED_PEERS];
    struct member members[NODES_MAX];
    struct buffer head;
};

/* Certificates. */

struct tls_context {
    char name[RECORD_NAME_BYTES];
};

int tls_context_new(const char *ca, const char *certificate, const char *key,
                    struct tls_context **tls, char *text)
{
    struct tls_context *made = calloc(1, sizeof(*made));

    require(ca && certificate && key && text && made);
    snprintf(made->name, sizeof(made->name), PLAYED_SELF);
    *tls = made;
    return 0;
}

void tls_context_free(struct tls_context *tls)
{
    free(tls);
}

const char *tls_context_name(const struct tls_context *tls)
{
    return tls->name;
}

/* Playing. */

bool played_up(struct peers *peers, uint32_t which, const char *name, uint32_t incarnation,
               bool is_kept)
{
    struct peer *peer = &peers->list[which % PLAYED_PEERS];

    if (peer->is_up) {
        return false;
    }
    *peer = (struct peer){.peers = peers,
                          .is_up = true,
                          .is_kept = is_kept,
                          .incarnation = incarnation,
                          .heard_ms = uv_now(peers->loop)};
    snprintf(peer->name, sizeof(peer->name), "%s", name);
    snprintf(peer->address, sizeof(peer->address), "192.0.2.%u:7400", which + 1);
    peers->events.on_up(peers->events.context, peer);
    return true;
}

bool played_down(struct peers *peers, uint32_t which, bool has_left)
{
    struct peer *peer = &peers->list[which % PLAYED_PEERS];

    if (!peer->is_up) {
        return false;
    }
    peer->has_left = has_left;
    peer->is_up = false;
    peers->events.on_down(peers->events.context, peer);
    return true;
}

struct peer *played_peer(struct peers *peers, uint32_t which)
{
    struct peer *peer = &peers->list[which % PLAYED_PEERS];

    return peer->is_up && !peer->is_refused ? peer : NULL;
}

void played_wire(struct peers *peers, struct peer *peer, const struct wire *wire)
{
    peer->heard_ms = uv_now(peers->loop);
    if (wire->kind > WIRE_HELLO && wire->kind != WIRE_BYE && wire->kind != WIRE_PING &&
        wire->kind != WIRE_PONG) {
        peers->events.on_wire(peers->events.context, peer, wire);
    }
}

void played_message(struct peers *peers, struct peer *peer, struct message *message,
                    const uint8_t *payload, size_t payload_bytes)
{
    uint32_t node = peer_node(peer);

    if (node != NODE_NONE && peers->self != NODE_NONE) {
        message->from = (uint8_t)node;
        message->to = (uint8_t)peers->self;
        uint8_t *copy = malloc(payload_bytes + 1); /* It may be changed, the input may not. */

        if (payload_bytes > 0) {
            memcpy(copy, payload, payload_bytes);
        }
        peers->events.on_message(peers->events.context, message, copy, payload_bytes);
        free(copy);
    }
}

void played_settle(struct peers *peers)
{
    for (uint32_t i = 0; i < PLAYED_PEERS; i++) {
        if (peers->list[i].is_up && peers->list[i].is_refused) {
            played_down(peers, i, false);
        }
    }
}

uint64_t played_last_request(const struct peers *peers)
{
    return peers->last_request;
}

/* agent/peers.h. */

int peers_new(uv_loop_t *loop, const struct config *config, struct tls_context *tls,
              uint32_t incarnation, const struct peers_events *events, struct peers **result,
              char *text)
{
    struct peers *peers = calloc(1, sizeof(*peers));

    require(peers && tls && incarnation && text);
    peers->loop = loop;
    peers->events = *events;
    peers->self = NODE_NONE;
    snprintf(peers->own_address, sizeof(peers->own_address), "%.60s", config->listen);
    *result = peers;
    return 0;
}

void peers_free(struct peers *peers)
{
    if (peers) {
        buffer_close(&peers->head);
        free(peers);
    }
}

void peers_part(struct peers *peers)
{
    (void)peers;
}

bool peers_have_parted(const struct peers *peers)
{
    (void)peers;
    return true;
}

uint16_t peers_port(const struct peers *peers)
{
    (void)peers;
    return 7400;
}

const char *peers_own_address(const struct peers *peers)
{
    return peers->own_address;
}

void peers_set_self(struct peers *peers, uint32_t node)
{
    require(node < NODES_MAX);
    peers->self = node;
}

void peers_keep_address(struct peers *peers, const char *address)
{
    require(peers && address[0]);
}

struct peer *peers_kept(const struct peers *peers)
{
    for (uint32_t i = 0; i < PLAYED_PEERS; i++) {
        const struct peer *peer = &peers->list[i];

        if (peer->is_up && !peer->is_refused && peer->is_kept) {
            return (struct peer *)(uintptr_t)peer;
        }
    }
    return NULL;
}

const char *peers_kept_failure(const struct peers *peers)
{
    (void)peers;
    return "";
}

void peers_set_member(struct peers *peers, uint32_t node, const char *name, uint32_t incarnation,
                      const char *address, bool alive)
{
    require(strlen(address) < RECORD_ADDRESS_BYTES);
    if (node < NODES_MAX) { /* as agent/peers.c */
        struct member *member = &peers->members[node];

        for (uint32_t i = 0; i < PLAYED_PEERS; i++) {
            struct peer *peer = &peers->list[i];

            if (peer->is_up && peer_node(peer) == node &&
                (!alive || peer->incarnation != incarnation)) {
                peer->is_refused = true; /* the connection of a dead incarnation is closed */
            }
        }
        member->is_alive = alive;
        member->incarnation = incarnation;
        snprintf(member->name, sizeof(member->name), "%s", name);
    }
}

bool peers_is_up(const struct peers *peers, uint32_t node)
{
    for (uint32_t i = 0; i < PLAYED_PEERS; i++) {
        const struct peer *peer = &peers->list[i];

        if (peer->is_up && !peer->is_refused && peer_node(peer) == node) {
            return true;
        }
    }
    return false;
}

void peers_send_message(struct peers *peers, const struct message *message, const uint8_t *payload,
                        size_t payload_bytes, enum may_wait may_wait)
{
    struct message again;

    (void)may_wait;
    require(message->to != peers->self && message->to < NODES_MAX);
    require(payload_bytes <= PAYLOAD_BYTES_MAX);
    require(payload_bytes == 0 || message_kind_has_payload(message->kind));
    buffer_clear(&peers->head);
    message_pack(message, &peers->head);
    require(!peers->head.failed);
    require(message_unpack(buffer_data(&peers->head), buffer_len(&peers->head), &again) == 0);
    peers->count_sends++;
    for (size_t i = 0; i < payload_bytes; i += 4096) {
        peers->bytes_sent += payload[i] == 0; /* the bytes are there */
    }
}

int peers_send_wire(struct peers *peers, struct peer *peer, const struct wire *wire)
{
    struct wire again;

    if (!peer->is_up || peer->is_refused) {
        return DSM_EDOWN;
    }
    buffer_clear(&peers->head);
    wire_pack(wire, &peers->head);
    require(!peers->head.failed);
    require(wire_unpack(buffer_data(&peers->head), buffer_len(&peers->head), &again) == 0);
    if (wire->kind == WIRE_PROPOSE) {
        peers->last_request = wire->request;
    }
    return 0;
}

int peers_send_wire_to(struct peers *peers, uint32_t node, const struct wire *wire)
{
    for (uint32_t i = 0; i < PLAYED_PEERS; i++) {
        if (peers->list[i].is_up && peer_node(&peers->list[i]) == node) {
            return peers_send_wire(peers, &peers->list[i], wire);
        }
    }
    return DSM_EDOWN;
}

void peers_refuse(struct peers *peers, struct peer *peer, int error, const char *text)
{
    require(peer->peers == peers && error != 0 && text[0] != 0);
    peer->is_refused = true;
}

uint64_t peers_count_sends(const struct peers *peers)
{
    return peers->count_sends;
}

void peers_collect(struct peers *peers)
{
    peers->count_collecting++;
}

void peers_collected(struct peers *peers)
{
    require(peers->count_collecting > 0);
    peers->count_collecting--;
}

bool peers_are_holding(const struct peers *peers)
{
    (void)peers;
    return false;
}

void peers_flush(struct peers *peers)
{
    (void)peers;
}

uint64_t peers_bytes_sent(const struct peers *peers)
{
    return peers->bytes_sent;
}

uint64_t peers_bytes_received(const struct peers *peers)
{
    (void)peers;
    return 0;
}

const char *peer_name(const struct peer *peer)
{
    return peer->name;
}

const char *peer_address(const struct peer *peer)
{
    return peer->address;
}

uint32_t peer_node(const struct peer *peer)
{
    for (uint32_t i = 0; i < NODES_MAX; i++) {
        const struct member *member = &peer->peers->members[i];

        if (member->is_alive && member->incarnation == peer->incarnation &&
            strcmp(member->name, peer->name) == 0) {
            return i;
        }
    }
    return NODE_NONE;
}

uint32_t peer_incarnation(const struct peer *peer)
{
    return peer->incarnation;
}

uint64_t peer_heard_ms(const struct peer *peer)
{
    return peer->heard_ms;
}

bool peer_is_kept(const struct peer *peer)
{
    return peer->is_kept;
}

bool peer_has_left(const struct peer *peer)
{
    return peer->has_left;
}
