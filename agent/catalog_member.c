/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member's side of the catalog. Each time a connection to the keeper comes up: JOIN, and when
 * that is granted WATCH from the last revision seen, then every proposal that has no outcome yet,
 * in order and under the number that it had before, by which the keeper knows what it has done
 * already.
 *
 * Invariants
 *   M1 records are delivered in the order of revisions, each once, over any number of connections
 *   M2 each proposal has exactly one outcome, never from inside of propose()
 *   M3 nothing is sent to the keeper between JOIN and JOINED
 */
#include "agent/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/log.h"
#include "dsm.h"

/** How long a proposal waits for its outcome. */
#define PROPOSE_MS 10000u

/** A proposal without an outcome. */
struct pending {
    struct pending *next;
    uint64_t request, ticket, deadline_ms;
    struct proposal proposal;
};

struct member_side {
    struct catalog catalog; /* first */
    uv_loop_t *loop;
    const struct config *config;
    struct peers *peers;
    uv_timer_t timer;
    bool is_freed, is_refused;
    bool has_asked;  /* join() was called */
    bool has_joined; /* on_joined() was called */
    bool is_granted; /* JOINED came over the present connection */
    struct peer *keeper;
    uint32_t node, incarnation;
    uint64_t revision;     /* of the last record delivered */
    uint64_t last_request; /* number of the last proposal */
    struct pending *first, **last;
    char name[RECORD_NAME_BYTES];
    char address[RECORD_ADDRESS_BYTES];
    struct node_kind machine;
};

static struct member_side *member_of(struct catalog *catalog)
{
    return (struct member_side *)catalog;
}

/* Sending. */

static void send_join(struct member_side *member)
{
    struct wire join = {.kind = WIRE_JOIN,
                        .node = member->node,
                        .incarnation = member->incarnation,
                        .machine = member->machine};
    snprintf(join.address, sizeof(join.address), "%s", member->address);
    peers_send_wire(member->peers, member->keeper, &join);
}

static void send_proposal(struct member_side *member, const struct pending *pending)
{
    struct wire propose = {
        .kind = WIRE_PROPOSE, .request = pending->request, .proposal = pending->proposal};
    peers_send_wire(member->peers, member->keeper, &propose);
}

/** Over this connection from now on: ask to be let in again. M3. */
static void use_connection(struct member_side *member, struct peer *peer)
{
    member->keeper = peer;
    member->is_granted = false;
    if (peer != NULL && member->has_asked && !member->is_refused) {
        send_join(member);
    }
}

/* Proposals. */

static void on_timer(uv_timer_t *timer);

/** The first of the list has the earliest deadline. */
static void member_schedule(struct member_side *member)
{
    if (member->is_freed || member->first == NULL) {
        uv_timer_stop(&member->timer);
        return;
    }
    uint64_t now_ms = uv_now(member->loop);
    uint64_t due_ms = member->first->deadline_ms;
    uv_timer_start(&member->timer, on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

/** Take it off the list and tell its outcome. M2. */
static void pending_finish(struct member_side *member, struct pending **link, int error,
                           region_id id)
{
    struct pending *pending = *link;
    uint64_t ticket = pending->ticket;
    *link = pending->next;
    if (*link == NULL) {
        member->last = link;
    }
    free(pending);
    member->catalog.events.on_proposed(member->catalog.events.context, ticket, error, id);
}

static void on_timer(uv_timer_t *timer)
{
    struct member_side *member = timer->data;
    uint64_t now_ms = uv_now(member->loop);
    while (!member->is_freed && member->first != NULL && member->first->deadline_ms <= now_ms) {
        pending_finish(member, &member->first, DSM_EKEEPER, (region_id){0, 0});
    }
    if (!member->is_freed) {
        member_schedule(member);
    }
}

static int member_propose(struct catalog *catalog, uint64_t ticket, const struct proposal *proposal)
{
    struct member_side *member = member_of(catalog);
    struct pending *pending = calloc(1, sizeof(*pending));
    if (pending == NULL) {
        return DSM_ENOMEM;
    }
    pending->request = ++member->last_request;
    pending->ticket = ticket;
    pending->deadline_ms = uv_now(member->loop) + PROPOSE_MS;
    pending->proposal = *proposal;
    *member->last = pending;
    member->last = &pending->next;
    if (member->is_granted) {
        send_proposal(member, pending);
    }
    member_schedule(member);
    return 0;
}

/* What the keeper says. */

static void member_refused(struct member_side *member, int error, const char *text)
{
    if (member->is_refused) {
        return;
    }
    member->is_refused = true;
    member->is_granted = false;
    member->catalog.events.on_refused(member->catalog.events.context, error, text);
}

static void on_joined(struct member_side *member, const struct wire *wire)
{
    struct wire watch = {.kind = WIRE_WATCH};
    if (wire->error != 0) {
        member_refused(member, wire->error, wire->text);
        return;
    }
    if (wire->id.slot >= NODES_MAX || (member->has_joined && wire->id.slot != member->node)) {
        member_refused(member, DSM_EPROTO, "the keeper has changed this node's number: restart it");
        return;
    }
    member->node = wire->id.slot;
    if (!member->has_joined) {
        member->has_joined = true;
        log_line(LOG_LEVEL_INFO, "joined name=%s node=%u keeper=%s", member->name, member->node,
                 peer_name(member->keeper));
        member->catalog.events.on_joined(member->catalog.events.context, member->node);
    }
    if (member->is_freed || member->keeper == NULL) {
        return;
    }
    member->is_granted = true;
    watch.revision = member->revision;
    peers_send_wire(member->peers, member->keeper, &watch);
    for (struct pending *pending = member->first; pending != NULL; pending = pending->next) {
        send_proposal(member, pending);
    }
}

static void on_record(struct member_side *member, const struct record *record)
{
    if (!member->is_granted || record->revision <= member->revision) {
        return; /* M1 */
    }
    member->revision = record->revision;
    member->catalog.events.on_record(member->catalog.events.context, record);
    if (!member->is_freed && record->kind == RECORD_NODE && record->id.slot == member->node &&
        !record->alive && record->id.generation == member->incarnation) {
        member_refused(member, DSM_EDOWN,
                       "the keeper has declared this node dead while it was not heard of: restart "
                       "this agent");
    }
}

static void on_proposed(struct member_side *member, const struct wire *wire)
{
    struct pending **link = &member->first;
    while (*link != NULL && (*link)->request != wire->request) {
        link = &(*link)->next;
    }
    if (*link == NULL) {
        return; /* its time had passed */
    }
    pending_finish(member, link, wire->error, wire->id);
    if (!member->is_freed) {
        member_schedule(member);
    }
}

static bool member_on_wire(struct catalog *catalog, struct peer *peer, const struct wire *wire)
{
    struct member_side *member = member_of(catalog);
    if (wire->kind < WIRE_JOIN || wire->kind > WIRE_PROPOSED) {
        return false;
    }
    if (wire->kind == WIRE_JOIN || wire->kind == WIRE_WATCH || wire->kind == WIRE_PROPOSE) {
        peers_refuse(member->peers, peer, DSM_EPROTO, "this agent does not keep the catalog");
    } else if (peer != member->keeper) {
        peers_refuse(member->peers, peer, DSM_EPROTO, "the catalog is not yours to tell");
    } else if (wire->kind == WIRE_JOINED) {
        on_joined(member, wire);
    } else if (wire->kind == WIRE_RECORD) {
        on_record(member, &wire->proposal.record);
    } else {
        on_proposed(member, wire);
    }
    return true;
}

static void member_on_peer(struct catalog *catalog, struct peer *peer, bool is_up)
{
    struct member_side *member = member_of(catalog);
    if (is_up && peer_is_kept(peer)) {
        use_connection(member, peer);
    } else if (!is_up && peer == member->keeper) {
        use_connection(member, peers_kept(member->peers));
    }
}

/* What this agent asks. */

static int member_join(struct catalog *catalog, const struct joiner *joiner)
{
    struct member_side *member = member_of(catalog);
    snprintf(member->name, sizeof(member->name), "%s", joiner->name);
    snprintf(member->address, sizeof(member->address), "%s", joiner->address);
    member->incarnation = joiner->incarnation;
    member->machine = joiner->machine;
    member->has_asked = true;
    log_line(LOG_LEVEL_INFO, "joining name=%s keeper=%s", member->name, member->config->keeper);
    peers_keep_address(member->peers, member->config->keeper);
    use_connection(member, peers_kept(member->peers));
    return 0;
}

/** The keeper takes a BYE without an error as the end of this incarnation. */
static void member_leave(struct catalog *catalog)
{
    struct member_side *member = member_of(catalog);
    struct wire bye = {.kind = WIRE_BYE};
    if (member->keeper == NULL) {
        return; /* it will miss us when the lease is over */
    }
    snprintf(bye.text, sizeof(bye.text), "agent '%s' stops", member->name);
    peers_send_wire(member->peers, member->keeper, &bye);
}

static bool member_is_available(const struct catalog *catalog, char *text)
{
    const struct member_side *member = (const struct member_side *)catalog;
    const char *failure = peers_kept_failure(member->peers);
    if (member->is_granted) {
        snprintf(text, TEXT_BYTES_MAX, "keeper '%s' at %s is connected", peer_name(member->keeper),
                 member->config->keeper);
    } else if (member->keeper != NULL) {
        snprintf(text, TEXT_BYTES_MAX, "keeper '%s' at %s has not let this node in yet",
                 peer_name(member->keeper), member->config->keeper);
    } else if (failure[0] != 0) {
        snprintf(text, TEXT_BYTES_MAX, "keeper at %s cannot be reached: %.400s, retrying",
                 member->config->keeper, failure);
    } else {
        snprintf(text, TEXT_BYTES_MAX, "keeper at %s is being connected", member->config->keeper);
    }
    return member->is_granted;
}

/* Life. */

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void member_free(struct catalog *catalog)
{
    struct member_side *member = member_of(catalog);
    member->is_freed = true;
    member->is_granted = false;
    while (member->first != NULL) {
        struct pending *pending = member->first;
        member->first = pending->next;
        free(pending);
    }
    uv_close((uv_handle_t *)&member->timer, on_closed);
}

static const struct catalog_ops member_ops = {
    .join = member_join,
    .propose = member_propose,
    .on_wire = member_on_wire,
    .on_peer = member_on_peer,
    .leave = member_leave,
    .is_available = member_is_available,
    .free = member_free,
};

int catalog_member_new(uv_loop_t *loop, const struct config *config, struct peers *peers,
                       const struct catalog_events *events, struct catalog **catalog)
{
    struct member_side *member = calloc(1, sizeof(*member));
    if (member == NULL) {
        return DSM_ENOMEM;
    }
    member->catalog.ops = &member_ops;
    member->catalog.events = *events;
    member->loop = loop;
    member->config = config;
    member->peers = peers;
    member->node = NODE_NONE;
    member->last = &member->first;
    member->timer.data = member;
    uv_timer_init(loop, &member->timer);
    *catalog = &member->catalog;
    return 0;
}
