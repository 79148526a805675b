/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/catalog_seats.h"

#include <stdio.h>
#include <string.h>

#include "dsm.h"

/** How long the holder of a contested name has for a sign of life, and how often it is asked. */
#define CONTEST_MS 1000u
#define CONTEST_PING_MS 50u
/** A death that could not be stored is tried again after so long. */
#define RETRY_MS 1000u

struct seat *seat_of(struct keeper *keeper, const struct peer *peer)
{
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        if (keeper->seats[node].peer == peer) {
            return &keeper->seats[node];
        }
    }
    return NULL;
}

uint32_t seat_node(const struct keeper *keeper, const struct seat *seat)
{
    return (uint32_t)(seat - keeper->seats);
}

static struct seat *seat_named(struct keeper *keeper, const char *name)
{
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        if (keeper->seats[node].is_alive && strcmp(keeper->seats[node].name, name) == 0) {
            return &keeper->seats[node];
        }
    }
    return NULL;
}

void seat_take(struct seat *seat, const struct record *record)
{
    seat->is_alive = record->alive;
    seat->incarnation = record->id.generation;
    snprintf(seat->name, sizeof(seat->name), "%s", record->name);
    snprintf(seat->address, sizeof(seat->address), "%s", record->address);
}

bool seat_declare_dead(struct keeper *keeper, struct seat *seat, const char *cause)
{
    uint32_t node = seat_node(keeper, seat);
    struct delivery *delivery = delivery_new(DELIVERY_CHANGES);
    int error = delivery == NULL
                    ? DSM_ENOMEM
                    : catalog_store_declare_dead(keeper->store, node, &delivery->changes);
    if (error != 0) {
        log_limited(&keeper->limit, LOG_LEVEL_ERROR, "cannot declare dead name=%s cause=\"%s\"",
                    seat->name, dsm_strerror(error));
        if (delivery != NULL) {
            delivery_free(delivery);
        }
        if (seat->peer == NULL) {
            seat->deadline_ms = uv_now(keeper->loop) + RETRY_MS;
            seats_schedule(keeper);
        }
        return false;
    }
    seat->is_alive = false;
    seat->is_watching = false;
    seat->peer = NULL;
    seat->deadline_ms = UINT64_MAX;
    uint32_t epoch = delivery->changes.count > 0 ? delivery->changes.records[0].epoch : 0;
    log_line(LOG_LEVEL_WARNING, "node declared dead name=%s node=%u epoch=%u cause=\"%s\"",
             seat->name, node, epoch, cause);
    keeper_publish(keeper, delivery);
    return true;
}

/* Joining. */

void join_refuse(struct keeper *keeper, struct peer *peer, uint64_t request, int error,
                 const char *text)
{
    struct wire wire = {.kind = WIRE_JOINED, .request = request, .error = error};
    snprintf(wire.text, sizeof(wire.text), "%s", text);
    log_limited(&keeper->limit, LOG_LEVEL_WARNING, "join refused name=%s address=%s cause=\"%s\"",
                peer_name(peer), peer_address(peer), text);
    peers_send_wire(keeper->peers, peer, &wire);
    peers_refuse(keeper->peers, peer, error, text);
}

static void refuse_name(struct keeper *keeper, struct peer *peer, uint64_t request,
                        const struct seat *seat)
{
    char text[TEXT_BYTES_MAX];
    snprintf(text, sizeof(text),
             "node name '%s' is in use by the agent at %s: stop that one, or give this one a name "
             "and a certificate of its own",
             seat->name, seat->address);
    join_refuse(keeper, peer, request, DSM_EEXIST, text);
}

static void join_failed(struct keeper *keeper, struct peer *peer, uint64_t request, int error)
{
    char text[TEXT_BYTES_MAX];
    switch (error) {
    case DSM_EDOWN:
        snprintf(text, sizeof(text),
                 "node '%s' was declared dead while it was not heard of: restart its agent",
                 peer_name(peer));
        break;
    case DSM_EBUSY:
        snprintf(text, sizeof(text), "the cluster has %d nodes, and there is no number for '%s'",
                 NODES_MAX, peer_name(peer));
        break;
    case DSM_EINVAL:
        snprintf(text, sizeof(text),
                 "node '%s' cannot join with the address '%s', or says of its machine what cannot "
                 "be",
                 peer_name(peer), peer_address(peer));
        break;
    default:
        /* The disk may have room again when it comes back. */
        snprintf(text, sizeof(text), "the keeper cannot store that '%s' joins: %s", peer_name(peer),
                 dsm_strerror(error));
        peers_refuse(keeper->peers, peer, error, text);
        return;
    }
    join_refuse(keeper, peer, request, error, text);
}

/** Nothing stands against it: make the peer a member, or a member again after a cut. */
static void admit(struct keeper *keeper, struct peer *peer, const struct entry *entry)
{
    const struct joiner joiner = {.name = peer_name(peer),
                                  .address = peer_address(peer),
                                  .incarnation = peer_incarnation(peer),
                                  .machine = entry->machine};
    struct wire joined = {.kind = WIRE_JOINED, .request = entry->request};
    struct record record;
    uint32_t node = NODE_NONE;
    struct delivery *delivery = delivery_new(DELIVERY_CHANGES);
    int error = DSM_ENOMEM;
    if (delivery != NULL) {
        error = catalog_store_join(keeper->store, &joiner, &delivery->changes, &node);
    }
    if (error == 0 && delivery->changes.count > 0) {
        /* Not read again: if that failed, nobody would ever be told of what is stored by now. */
        record = delivery->changes.records[delivery->changes.count - 1];
    } else if (error == 0) {
        error = catalog_store_find_member(keeper->store, node, &record);
    }
    if (error != 0) {
        if (delivery != NULL) {
            delivery_free(delivery);
        }
        join_failed(keeper, peer, entry->request, error);
        return;
    }
    struct seat *seat = &keeper->seats[node];
    seat_take(seat, &record);
    seat->peer = peer;
    seat->is_watching = false;
    seat->deadline_ms = UINT64_MAX;
    if (delivery->changes.count > 0) {
        log_line(LOG_LEVEL_INFO, "node joined name=%s node=%u address=%s incarnation=%u",
                 seat->name, node, seat->address, seat->incarnation);
    }
    keeper_publish(keeper, delivery);
    joined.id.slot = node;
    peers_send_wire(keeper->peers, peer, &joined);
}

void seat_rival_wins(struct keeper *keeper, struct seat *seat)
{
    struct peer *rival = seat->rival;
    struct peer *holder = seat->peer;
    struct entry entry = seat->rival_entry;
    seat->rival = NULL;
    if (!seat_declare_dead(keeper, seat, "its agent was restarted")) {
        join_failed(keeper, rival, entry.request, DSM_ESYS);
        return;
    }
    if (holder != NULL) {
        peers_refuse(keeper->peers, holder, DSM_EDOWN, "another agent has this node's name now");
    }
    admit(keeper, rival, &entry);
}

void seat_on_join(struct keeper *keeper, struct peer *peer, const struct wire *wire)
{
    if (keeper->self == NODE_NONE) {
        peers_refuse(keeper->peers, peer, DSM_EAGAIN, "the keeper is starting");
        return;
    }
    if (wire->incarnation != peer_incarnation(peer)) {
        peers_refuse(keeper->peers, peer, DSM_EPROTO, "JOIN and HELLO name two incarnations");
        return;
    }
    struct entry entry = {.request = wire->request, .machine = wire->machine};
    struct seat *seat = seat_named(keeper, peer_name(peer));
    if (seat == NULL || seat->incarnation == peer_incarnation(peer)) {
        admit(keeper, peer, &entry);
        return;
    }
    if (seat_node(keeper, seat) == keeper->self) {
        refuse_name(keeper, peer, wire->request, seat);
        return;
    }
    if (seat->rival != NULL && seat->rival != peer) {
        peers_refuse(keeper->peers, peer, DSM_EAGAIN, "another agent is asking for this name");
        return;
    }
    seat->rival = peer;
    seat->rival_entry = entry;
    seat->rival_since_ms = uv_now(keeper->loop);
    if (seat->peer == NULL) {
        seat_rival_wins(keeper, seat);
        return;
    }
    struct wire ping = {.kind = WIRE_PING};
    peers_send_wire(keeper->peers, seat->peer, &ping);
    seats_schedule(keeper);
}

/** Ask the holder of a contested seat again, or decide. */
static void contest_on_time(struct keeper *keeper, struct seat *seat, uint64_t now_ms)
{
    struct wire ping = {.kind = WIRE_PING};
    struct peer *rival = seat->rival;
    if (seat->peer != NULL && peer_heard_ms(seat->peer) > seat->rival_since_ms) {
        seat->rival = NULL;
        refuse_name(keeper, rival, seat->rival_entry.request, seat);
    } else if (seat->peer == NULL || now_ms >= seat->rival_since_ms + CONTEST_MS) {
        seat_rival_wins(keeper, seat);
    } else {
        peers_send_wire(keeper->peers, seat->peer, &ping);
    }
}

/* The clock. */

static uint64_t seat_due_ms(const struct keeper *keeper, const struct seat *seat)
{
    if (seat->rival != NULL) {
        return uv_now(keeper->loop) + CONTEST_PING_MS;
    }
    return seat->is_alive ? seat->deadline_ms : UINT64_MAX;
}

static void on_timer(uv_timer_t *timer)
{
    struct keeper *keeper = timer->data;
    uint64_t now_ms = uv_now(keeper->loop);
    uint64_t late_ms = now_ms > keeper->timer_due_ms ? now_ms - keeper->timer_due_ms : 0;
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        struct seat *seat = &keeper->seats[node];
        if (late_ms > keeper->config->lease_ms / 4 && seat->deadline_ms != UINT64_MAX) {
            /* This process was away itself: who wanted to come back could not. */
            seat->deadline_ms += late_ms;
        }
        if (seat->rival != NULL) {
            contest_on_time(keeper, seat, now_ms);
        } else if (seat->is_alive && seat->peer == NULL && seat->deadline_ms <= now_ms) {
            char cause[64];
            snprintf(cause, sizeof(cause), "not heard of for %llu ms",
                     (unsigned long long)keeper->config->lease_ms);
            seat_declare_dead(keeper, seat, cause);
        }
    }
    seats_schedule(keeper);
}

void seats_schedule(struct keeper *keeper)
{
    uint64_t now_ms = uv_now(keeper->loop);
    uint64_t due_ms = UINT64_MAX;
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        uint64_t seat_ms = seat_due_ms(keeper, &keeper->seats[node]);
        due_ms = seat_ms < due_ms ? seat_ms : due_ms;
    }
    if (due_ms == UINT64_MAX) {
        uv_timer_stop(&keeper->timer);
        return;
    }
    keeper->timer_due_ms = due_ms > now_ms ? due_ms : now_ms;
    uv_timer_start(&keeper->timer, on_timer, keeper->timer_due_ms - now_ms, 0);
}
