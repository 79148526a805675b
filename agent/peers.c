/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/peer_link.h"
#include "dsm.h"

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
    return peer->node;
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

/* Who is who. */

void peers_refresh(struct peers *peers)
{
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        peers->members[node].peer = NULL;
    }
    for (struct peer *peer = peers->list; peer != NULL; peer = peer->next) {
        peer->node = NODE_NONE;
        if (peer->state < PEER_UP || peer->name[0] == 0) {
            continue;
        }
        for (uint32_t node = 0; node < NODES_MAX; node++) {
            struct member *member = &peers->members[node];
            if (!member->is_known || !member->is_alive ||
                member->incarnation != peer->incarnation || strcmp(member->name, peer->name) != 0) {
                continue;
            }
            /* Also on one that is PARTING: on_down() wants to know whose it was. */
            peer->node = node;
            if (peer->state == PEER_UP && member->peer == NULL) {
                member->peer = peer;
            }
            break;
        }
    }
}

static struct peer *find_up(const struct peers *peers, const char *name, uint32_t incarnation,
                            const struct peer *but)
{
    for (struct peer *peer = peers->list; peer != NULL; peer = peer->next) {
        if (peer != but && peer->state == PEER_UP && strcmp(peer->name, name) == 0 &&
            (incarnation == 0 || peer->incarnation == incarnation)) {
            return peer;
        }
    }
    return NULL;
}

struct peer *peers_kept(const struct peers *peers)
{
    for (struct peer *peer = peers->list; peer != NULL; peer = peer->next) {
        if (peer->state == PEER_UP && peer->is_kept) {
            return peer;
        }
    }
    return NULL;
}

const char *peers_kept_failure(const struct peers *peers)
{
    return peers->kept.failure;
}

/**
 * Of two connections of the same two agents, is the new one to go? The one that was made by the
 * agent with the higher number stays; of two that were made by the same, the newer: it would not
 * have made it had the older one worked.
 */
static bool is_surplus(const struct peers *peers, const struct peer *peer, const struct peer *old)
{
    bool is_ours = peer->target != NULL;
    bool is_old_ours = old->target != NULL;
    uint32_t other = peer->hello_node != NODE_NONE ? peer->hello_node : old->hello_node;
    if (is_ours == is_old_ours || peers->self == NODE_NONE || other == NODE_NONE) {
        return false;
    }
    if (peer->is_kept && peers->kept_name[0] == 0) {
        return false; /* else nobody would ever know who is at that address */
    }
    return is_ours != (peers->self > other);
}

void peers_on_hello(struct peers *peers, struct peer *peer)
{
    struct peer *old = find_up(peers, peer->name, peer->incarnation, peer);
    if (old != NULL && is_surplus(peers, peer, old)) {
        peer->state = PEER_GREETING; /* it never was up */
        peer_end(peer, DSM_EAGAIN, true, "another connection of '%s' is there", peer->name);
        return;
    }
    if (peer->is_kept) {
        snprintf(peers->kept_name, sizeof(peers->kept_name), "%s", peer->name);
    } else if (peers->has_kept && strcmp(peer->name, peers->kept_name) == 0) {
        peer->is_kept = true;
    }
    if (peer->target != NULL) {
        target_succeeded(peer->target);
    }
    if (old != NULL) {
        peer_end(old, DSM_EAGAIN, true, "a newer connection of '%s' takes its place", peer->name);
    }
    peers_refresh(peers);
    peers_schedule(peers, false);
    peer->is_announced = true;
    log_line(LOG_LEVEL_INFO, "peer up name=%s address=%s incarnation=%u made_by=%s", peer->name,
             peer->address, peer->incarnation, peer->target != NULL ? "us" : "it");
    peers->events.on_up(peers->events.context, peer);
}

/* Life. */

void peers_handle_closed(struct peers *peers)
{
    peers->count_handles--;
    if (peers->is_freed && peers->count_handles == 0) {
        buffer_close(&peers->head);
        free(peers);
    }
}

static void on_own_closed(uv_handle_t *handle)
{
    peers_handle_closed(handle->data);
}

int peers_new(uv_loop_t *loop, const struct config *config, struct tls_context *tls,
              uint32_t incarnation, const struct peers_events *events, struct peers **peers,
              char *text)
{
    struct peers *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        snprintf(text, TEXT_BYTES_MAX, "out of memory");
        return DSM_ENOMEM;
    }
    made->loop = loop;
    made->config = config;
    made->tls = tls;
    made->events = *events;
    made->self = NODE_NONE;
    made->incarnation = incarnation;
    made->timer.data = made;
    made->late_timer.data = made;
    made->listener.data = made;
    /* Neither of the two can fail but for a bad argument. */
    uv_timer_init(loop, &made->timer);
    uv_timer_init(loop, &made->late_timer);
    uv_tcp_init(loop, &made->listener);
    made->count_handles = 3;
    int error = peers_listen(made, text);
    if (error != 0) {
        peers_free(made);
        return error;
    }
    *peers = made;
    return 0;
}

void peers_part(struct peers *peers)
{
    peers->is_parting = true;
    for (struct peer *peer = peers->list; peer != NULL; peer = peer->next) {
        if (peer->state < PEER_PARTING) {
            peer_end(peer, 0, peer->state == PEER_UP, "agent '%s' stops",
                     tls_context_name(peers->tls));
        }
    }
    peers_schedule(peers, true);
}

bool peers_have_parted(const struct peers *peers)
{
    for (const struct peer *peer = peers->list; peer != NULL; peer = peer->next) {
        if (peer->state != PEER_CLOSED) {
            return false;
        }
    }
    return true;
}

void peers_free(struct peers *peers)
{
    if (peers == NULL) {
        return;
    }
    peers->is_freed = true;
    for (struct peer *peer = peers->list; peer != NULL; peer = peer->next) {
        if (peer->state < PEER_PARTING) {
            peer_end(peer, 0, peer->state == PEER_UP, "agent '%s' stops",
                     tls_context_name(peers->tls));
        }
        peer_close(peer);
    }
    uv_close((uv_handle_t *)&peers->timer, on_own_closed);
    uv_close((uv_handle_t *)&peers->late_timer, on_own_closed);
    uv_close((uv_handle_t *)&peers->listener, on_own_closed);
}

uint16_t peers_port(const struct peers *peers)
{
    return peers->port;
}

const char *peers_own_address(const struct peers *peers)
{
    return peers->own_address;
}

/* What the catalog says. */

void peers_set_self(struct peers *peers, uint32_t node)
{
    peers->self = node;
    peers_schedule(peers, true);
}

void peers_keep_address(struct peers *peers, const char *address)
{
    if (peers->has_kept && strcmp(peers->kept.address, address) == 0) {
        return;
    }
    peers->has_kept = true;
    peers->kept_name[0] = 0;
    snprintf(peers->kept.address, sizeof(peers->kept.address), "%s", address);
    target_succeeded(&peers->kept);
    peers_schedule(peers, true);
}

/** An incarnation of the member is no more: close its connections. */
static void close_incarnation(struct peers *peers, const struct member *member,
                              uint32_t incarnation)
{
    for (struct peer *peer = peers->list; peer != NULL; peer = peer->next) {
        if (peer->state == PEER_UP && peer->incarnation == incarnation &&
            strcmp(peer->name, member->name) == 0) {
            peer_end(peer, DSM_EDOWN, true,
                     "this incarnation of node '%s' was declared dead: restart its agent",
                     member->name);
        }
    }
}

void peers_set_member(struct peers *peers, uint32_t node, const char *name, uint32_t incarnation,
                      const char *address, bool alive)
{
    if (node >= NODES_MAX) {
        return;
    }
    struct member *member = &peers->members[node];
    struct member was = *member;
    member->is_known = true;
    member->is_alive = alive;
    member->incarnation = incarnation;
    snprintf(member->name, sizeof(member->name), "%s", name);
    if (!was.is_known || was.incarnation != incarnation ||
        strcmp(was.target.address, address) != 0) {
        snprintf(member->target.address, sizeof(member->target.address), "%s", address);
        target_succeeded(&member->target);
    }
    if (was.is_known && was.is_alive && (was.incarnation != incarnation || !alive)) {
        close_incarnation(peers, &was, was.incarnation);
    }
    peers_refresh(peers);
    peers_schedule(peers, true);
}

/* Sending. */

bool peers_is_up(const struct peers *peers, uint32_t node)
{
    return node < NODES_MAX && peers->members[node].peer != NULL;
}

void peers_send_message(struct peers *peers, const struct message *message, const uint8_t *payload,
                        size_t payload_bytes, enum may_wait may_wait)
{
    static const enum peer_urgency urgencies[] = {[MAY_WAIT_NOT] = PEER_SEND_SOON,
                                                  [MAY_WAIT_SHORTLY] = PEER_SEND_IDLY,
                                                  [MAY_WAIT_LONG] = PEER_SEND_LATE};
    struct peer *peer = message->to < NODES_MAX ? peers->members[message->to].peer : NULL;
    if (peer == NULL) {
        return;
    }
    buffer_clear(&peers->head);
    message_pack(message, &peers->head);
    peer_send_head(peer, payload, payload_bytes, urgencies[may_wait]);
}

bool peers_are_holding(const struct peers *peers)
{
    return peers->holding[PEER_SEND_IDLY] != NULL;
}

void peers_flush(struct peers *peers)
{
    peers_flush_held(peers, PEER_SEND_IDLY);
}

int peers_send_wire(struct peers *peers, struct peer *peer, const struct wire *wire)
{
    (void)peers;
    return peer->state == PEER_UP ? peer_send_wire(peer, wire) : DSM_EDOWN;
}

int peers_send_wire_to(struct peers *peers, uint32_t node, const struct wire *wire)
{
    return peers_is_up(peers, node) ? peer_send_wire(peers->members[node].peer, wire) : DSM_EDOWN;
}

void peers_refuse(struct peers *peers, struct peer *peer, int error, const char *text)
{
    (void)peers;
    peer_end(peer, error, true, "%s", text);
}

uint64_t peers_count_sends(const struct peers *peers)
{
    return peers->count_sends;
}

uint64_t peers_bytes_sent(const struct peers *peers)
{
    return peers->bytes_sent;
}

uint64_t peers_bytes_received(const struct peers *peers)
{
    return peers->bytes_received;
}
