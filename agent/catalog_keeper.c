/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/catalog_seats.h"
#include "dsm.h"

/** Deletions that are kept for members that come back, and how many may gather before they are
 * trimmed. */
#define DELETED_KEPT 10000u

static struct keeper *keeper_of(struct catalog *catalog)
{
    return (struct keeper *)catalog;
}

static void on_courier(uv_timer_t *courier);

/* Telling what has changed. */

struct delivery *delivery_new(enum delivery_kind kind)
{
    struct delivery *delivery = calloc(1, sizeof(*delivery));
    if (delivery != NULL) {
        delivery->kind = kind;
    }
    return delivery;
}

void delivery_free(struct delivery *delivery)
{
    record_list_close(&delivery->changes);
    free(delivery);
}

static void send_records(struct keeper *keeper, struct peer *peer, const struct record_list *list)
{
    struct wire wire = {.kind = WIRE_RECORD};
    for (uint32_t i = 0; i < list->count; i++) {
        wire.proposal.record = list->records[i];
        if (peers_send_wire(keeper->peers, peer, &wire) != 0) {
            return; /* the connection is over; the member watches again from what it has */
        }
    }
}

/** Forget old deletions while nobody is away who might still need them. */
static void trim_deletions(struct keeper *keeper, const struct record_list *changes)
{
    for (uint32_t i = 0; i < changes->count; i++) {
        keeper->count_deletions += changes->records[i].deleted ? 1 : 0;
    }
    if (keeper->count_deletions < DELETED_KEPT) {
        return;
    }
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        if (keeper->seats[node].is_alive && node != keeper->self &&
            !keeper->seats[node].is_watching) {
            return;
        }
    }
    keeper->count_deletions = 0;
    catalog_store_trim(keeper->store, DELETED_KEPT);
}

void keeper_publish(struct keeper *keeper, struct delivery *delivery)
{
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        struct seat *seat = &keeper->seats[node];
        if (seat->is_watching) {
            send_records(keeper, seat->peer, &delivery->changes);
        }
    }
    trim_deletions(keeper, &delivery->changes);
    *keeper->last = delivery;
    keeper->last = &delivery->next;
    uv_timer_start(&keeper->courier, on_courier, 0, 0);
}

static void deliver(struct keeper *keeper, const struct delivery *delivery)
{
    const struct catalog_events *events = &keeper->catalog.events;
    /* A node that joins hears of it before the first record. */
    if (delivery->kind == DELIVERY_JOINED) {
        events->on_joined(events->context, delivery->node);
    } else if (delivery->kind == DELIVERY_REFUSED) {
        char text[TEXT_BYTES_MAX];
        snprintf(text, sizeof(text), "the catalog does not take this node as a member: %s",
                 dsm_strerror(delivery->error));
        events->on_refused(events->context, delivery->error, text);
    }
    for (uint32_t i = 0; i < delivery->changes.count && !keeper->is_freed; i++) {
        events->on_record(events->context, &delivery->changes.records[i]);
    }
    if (delivery->kind == DELIVERY_PROPOSED && !keeper->is_freed) {
        events->on_proposed(events->context, delivery->ticket, delivery->error, delivery->id);
    }
}

static void on_courier(uv_timer_t *courier)
{
    struct keeper *keeper = courier->data;
    while (keeper->first != NULL && !keeper->is_freed) {
        struct delivery *delivery = keeper->first;
        keeper->first = delivery->next;
        if (keeper->first == NULL) {
            keeper->last = &keeper->first;
        }
        deliver(keeper, delivery);
        delivery_free(delivery);
    }
}

/* What members ask. */

static void on_watch(struct keeper *keeper, struct seat *seat, uint64_t revision)
{
    struct record_list list = {0};
    int error = catalog_store_list(keeper->store, revision, &list);
    if (error == DSM_ESTALE) {
        join_refuse(keeper, seat->peer, 0, DSM_ESTALE,
                    "the catalog no longer goes back to, or never was at, what this node has seen "
                    "of it: restart its agent");
    } else if (error != 0) {
        peers_refuse(keeper->peers, seat->peer, error, "the keeper cannot read its catalog");
    } else {
        send_records(keeper, seat->peer, &list);
        seat->is_watching = true;
    }
    record_list_close(&list);
}

static void on_propose(struct keeper *keeper, struct seat *seat, const struct wire *wire)
{
    struct wire proposed = {.kind = WIRE_PROPOSED, .request = wire->request};
    struct delivery *delivery = delivery_new(DELIVERY_CHANGES);
    if (delivery == NULL) {
        proposed.error = DSM_ENOMEM;
    } else {
        proposed.error =
            catalog_store_propose(keeper->store, seat_node(keeper, seat), wire->request,
                                  &wire->proposal, &delivery->changes, &proposed.id);
        keeper_publish(keeper, delivery);
    }
    peers_send_wire(keeper->peers, seat->peer, &proposed);
}

static bool keeper_on_wire(struct catalog *catalog, struct peer *peer, const struct wire *wire)
{
    struct keeper *keeper = keeper_of(catalog);
    if (wire->kind < WIRE_JOIN || wire->kind > WIRE_PROPOSED) {
        return false;
    }
    if (wire->kind == WIRE_JOIN) {
        seat_on_join(keeper, peer, wire);
        return true;
    }
    struct seat *seat = seat_of(keeper, peer);
    if (seat == NULL || (wire->kind == WIRE_PROPOSE && wire->request == 0) ||
        (wire->kind != WIRE_WATCH && wire->kind != WIRE_PROPOSE)) {
        peers_refuse(keeper->peers, peer, DSM_EPROTO, "a head that is not for the keeper now");
    } else if (wire->kind == WIRE_WATCH) {
        on_watch(keeper, seat, wire->revision);
    } else {
        on_propose(keeper, seat, wire);
    }
    return true;
}

static void keeper_on_peer(struct catalog *catalog, struct peer *peer, bool is_up)
{
    struct keeper *keeper = keeper_of(catalog);
    if (is_up) {
        return; /* it says JOIN when it wants something */
    }
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        if (keeper->seats[node].rival == peer) {
            keeper->seats[node].rival = NULL;
        }
    }
    struct seat *seat = seat_of(keeper, peer);
    if (seat == NULL) {
        return;
    }
    seat->peer = NULL;
    seat->is_watching = false;
    if (seat->rival != NULL) {
        seat_rival_wins(keeper, seat);
    } else if (peer_has_left(peer)) {
        seat_declare_dead(keeper, seat, "it has stopped in good order");
    } else {
        seat->deadline_ms = peer_heard_ms(peer) + keeper->config->lease_ms;
    }
    seats_schedule(keeper);
}

/* What this agent asks. */

/** All members but this node have a lease from now on: they are to come back after our restart. */
static void await_members(struct keeper *keeper, const struct record_list *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        const struct record *record = &all->records[i];
        uint32_t node = record->id.slot;
        if (record->kind != RECORD_NODE || node >= NODES_MAX || !record->alive) {
            continue;
        }
        seat_take(&keeper->seats[node], record);
        keeper->seats[node].deadline_ms =
            node == keeper->self ? UINT64_MAX : uv_now(keeper->loop) + keeper->config->lease_ms;
    }
    seats_schedule(keeper);
}

static int keeper_join(struct catalog *catalog, const struct joiner *joiner)
{
    struct keeper *keeper = keeper_of(catalog);
    uint32_t node = NODE_NONE;
    struct delivery *delivery = delivery_new(DELIVERY_REFUSED);
    if (delivery == NULL) {
        return DSM_ENOMEM;
    }
    struct record_list joining = {0};
    delivery->error = catalog_store_join(keeper->store, joiner, &joining, &node);
    record_list_close(&joining);
    /* Everything that was ever stored is news to this agent. */
    if (delivery->error == 0) {
        delivery->error = catalog_store_list(keeper->store, 0, &delivery->changes);
    }
    if (delivery->error == 0) {
        delivery->kind = DELIVERY_JOINED;
        delivery->node = node;
        keeper->self = node;
        await_members(keeper, &delivery->changes);
    } else {
        delivery->changes.count = 0;
    }
    keeper_publish(keeper, delivery);
    return 0;
}

static int keeper_propose(struct catalog *catalog, uint64_t ticket, const struct proposal *proposal)
{
    struct keeper *keeper = keeper_of(catalog);
    struct delivery *delivery = delivery_new(DELIVERY_PROPOSED);
    if (delivery == NULL) {
        return DSM_ENOMEM;
    }
    delivery->ticket = ticket;
    delivery->error = DSM_EKEEPER;
    if (keeper->self != NODE_NONE) {
        delivery->error = catalog_store_propose(keeper->store, keeper->self, 0, proposal,
                                                &delivery->changes, &delivery->id);
    }
    keeper_publish(keeper, delivery);
    return 0;
}

/** Who keeps the catalog has nobody to tell: its next start declares this incarnation dead. */
static void keeper_leave(struct catalog *catalog)
{
    (void)catalog;
}

static bool keeper_is_available(const struct catalog *catalog, char *text)
{
    const struct keeper *keeper = (const struct keeper *)catalog;
    if (keeper->self == NODE_NONE) {
        snprintf(text, TEXT_BYTES_MAX, "the keeper is this agent, which is starting");
        return false;
    }
    const struct seat *seat = &keeper->seats[keeper->self];
    snprintf(text, TEXT_BYTES_MAX, "keeper '%s' at %s is this agent", seat->name, seat->address);
    return true;
}

/* Life. */

static void on_closed(uv_handle_t *handle)
{
    struct keeper *keeper = handle->data;
    if (--keeper->count_handles == 0) {
        free(keeper);
    }
}

static void keeper_free(struct catalog *catalog)
{
    struct keeper *keeper = keeper_of(catalog);
    keeper->is_freed = true;
    while (keeper->first != NULL) {
        struct delivery *delivery = keeper->first;
        keeper->first = delivery->next;
        delivery_free(delivery);
    }
    catalog_store_close(keeper->store);
    keeper->store = NULL;
    uv_close((uv_handle_t *)&keeper->timer, on_closed);
    uv_close((uv_handle_t *)&keeper->courier, on_closed);
}

static const struct catalog_ops keeper_ops = {
    .join = keeper_join,
    .propose = keeper_propose,
    .on_wire = keeper_on_wire,
    .on_peer = keeper_on_peer,
    .leave = keeper_leave,
    .is_available = keeper_is_available,
    .free = keeper_free,
};

int catalog_keeper_new(uv_loop_t *loop, const struct config *config, const char *path,
                       struct peers *peers, const struct catalog_events *events,
                       struct catalog **catalog, char *text)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));
    if (keeper == NULL) {
        snprintf(text, TEXT_BYTES_MAX, "out of memory");
        return DSM_ENOMEM;
    }
    int error = catalog_store_open(path, config->region_max, &keeper->store, text);
    if (error != 0) {
        free(keeper);
        return error;
    }
    keeper->catalog.ops = &keeper_ops;
    keeper->catalog.events = *events;
    keeper->loop = loop;
    keeper->config = config;
    keeper->peers = peers;
    keeper->self = NODE_NONE;
    keeper->last = &keeper->first;
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        keeper->seats[node].deadline_ms = UINT64_MAX;
    }
    keeper->timer.data = keeper;
    keeper->courier.data = keeper;
    uv_timer_init(loop, &keeper->timer);
    uv_timer_init(loop, &keeper->courier);
    keeper->count_handles = 2;
    *catalog = &keeper->catalog;
    return 0;
}
