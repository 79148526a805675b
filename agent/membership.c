/* SPDX-License-Identifier: Apache-2.0 */
/* What the other agents and the catalog tell: connections, records, and this node's own membership.
 */
#include "agent/agent.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/admin.h"
#include "dsm.h"

static void on_action(void *context, const struct action *action, const uint8_t *payload,
                      size_t payload_bytes)
{
    agent_act(context, action, payload, payload_bytes);
}

/* What one event leads to leaves together. */
static void on_begin(void *context)
{
    peers_collect(((struct agent *)context)->peers);
}

static void on_end(void *context)
{
    peers_collected(((struct agent *)context)->peers);
}

static void on_memory_failure(void *context, int error)
{
    agent_fail(context, error, "no memory for the protocol's records");
}

static void on_call(void *context, client_id client, uint64_t number, const struct call *call)
{
    agent_call(context, client, number, call);
}

static void on_admin(void *context, client_id client, uint64_t number, const char *topic,
                     uint64_t cursor, const struct credential *credential)
{
    struct agent *agent = context;

    admin_on_request(agent->admin, client, number, topic, cursor, credential);
}

static void on_gone(void *context, client_id client)
{
    struct agent *agent = context;
    struct event event = {.kind = EVENT_CLIENT_GONE, .client_gone = client};

    notes_client_gone(&agent->notes, client);
    if (agent->admin) {
        admin_on_gone(agent->admin, client);
    }
    agent_post(agent, &event);
}

static void on_message(void *context, const struct message *message, uint8_t *payload,
                       size_t payload_bytes)
{
    struct agent *agent = context;

    if (agent->driver) {
        agent_receive(agent, message, payload, payload_bytes);
    }
}

static void on_wire(void *context, struct peer *peer, const struct wire *wire)
{
    struct agent *agent = context;

    if (agent->catalog && !agent->catalog->ops->on_wire(agent->catalog, peer, wire) &&
        agent->admin && agent->driver) {
        admin_on_wire(agent->admin, peer, wire);
    }
}

static void on_up(void *context, struct peer *peer)
{
    struct agent *agent = context;

    if (agent->count_up == agent->capacity_up) {
        uint32_t capacity = agent->capacity_up ? agent->capacity_up * 2 : 16;
        struct peer **up = realloc(agent->up, capacity * sizeof(struct peer *));

        if (up == NULL) {
            peers_refuse(agent->peers, peer, DSM_ENOMEM, "out of memory");
            return;
        }
        agent->up = up;
        agent->capacity_up = capacity;
    }
    agent->up[agent->count_up++] = peer;
    if (agent->catalog) {
        agent->catalog->ops->on_peer(agent->catalog, peer, true);
    }
    if (peer_node(peer) != NODE_NONE) {
        struct event event = {.kind = EVENT_PEER_UP, .peer_up = peer_node(peer)};

        agent_post(agent, &event);
    }
}

static void on_down(void *context, struct peer *peer)
{
    struct agent *agent = context;

    for (uint32_t i = 0; i < agent->count_up; i++) {
        if (agent->up[i] == peer) {
            agent->up[i] = agent->up[--agent->count_up];
            break;
        }
    }
    if (agent->catalog) {
        agent->catalog->ops->on_peer(agent->catalog, peer, false);
    }
    if (agent->admin) {
        admin_on_down(agent->admin, peer_node(peer));
    }
}

static void on_failure(void *context, const char *address, int error, const char *text, bool fatal)
{
    struct agent *agent = context;
    char sentence[TEXT_BYTES_MAX];

    /* The rest has been logged where it was found, and is tried again. */
    if (fatal && agent->node == NODE_NONE && strcmp(address, agent->config.keeper) == 0) {
        snprintf(sentence, sizeof(sentence), "the keeper at %s: %s", address, text);
        agent_fail(agent, error, sentence);
    }
}

/* Becoming a member. */

static void on_joined(void *context, uint32_t node)
{
    struct agent *agent = context;
    const struct driver_events events = {agent, on_action, on_begin, on_end, on_memory_failure};
    struct node_config config = {
        .self = node,
        .budget_bytes = agent->budget_bytes,
        .region_bytes_max = agent->config.region_max,
        .page_bytes = agent->machine.page_bytes,
        .big_endian = agent->machine.big_endian,
        .read_ahead_pages = (uint32_t)agent->config.read_ahead_pages,
    };
    int error;

    if (agent->driver) {
        return;
    }
    error = driver_new(&agent->loop, &config, &events, &agent->driver);
    if (error < 0) {
        agent_fail(agent, error,
                   "the protocol's core cannot be made: out of memory, or the keeper "
                   "gave a node number out of range");
        return;
    }
    agent->node = node;
    peers_set_self(agent->peers, node);
    notify_status("a member, reading the catalog");
}

static void on_refused(void *context, int error, const char *text)
{
    struct agent *agent = context;
    char sentence[TEXT_BYTES_MAX];

    snprintf(sentence, sizeof(sentence), "the catalog does not take node %s: %s", agent->name,
             text);
    agent_fail(agent, error, sentence);
}

/** All older records are known now: let the programs in. */
static void agent_open(struct agent *agent)
{
    const struct clients_events events = {agent, on_call, on_admin, on_gone};
    char text[TEXT_BYTES_MAX] = "";
    int error = clients_new(&agent->loop, agent->config.socket, agent->name, agent->frames, &events,
                            &agent->clients, text);

    if (error < 0) {
        agent_fail(agent, error, text[0] ? text : dsm_strerror(error));
        return;
    }
    snprintf(text, sizeof(text), "node %s, number %u, serving %s", agent->name, agent->node,
             agent->config.socket);
    notify_ready(text);
    log_line(LOG_LEVEL_INFO, "ready node=%s number=%u listen=%s socket=%s", agent->name,
             agent->node, agent->listen, agent->config.socket);
}

/** News of this node itself; true when it is the record of this very incarnation. */
static bool own_record_check(struct agent *agent, const struct record *record)
{
    bool is_ours = record->id.generation == agent->incarnation && record->alive && !record->deleted;
    char text[TEXT_BYTES_MAX];

    if (!is_ours && agent->clients) {
        snprintf(
            text, sizeof(text),
            "the catalog's keeper has declared this node, %s, dead: nothing was heard of it for "
            "lease_ms (%" PRIu64 "), or another agent joined under its name; its pages are void, "
            "start it again to join anew",
            agent->name, agent->config.lease_ms);
        agent_fail(agent, DSM_EDOWN, text);
    }
    return is_ours;
}

/** Say who has come and gone; where the keeper is, it has said so itself. */
static void node_change_log(const struct agent *agent, const struct record *record)
{
    const struct record *before = agent_node_record(agent, record->id.slot);
    bool is_same = before && before->id.generation == record->id.generation;
    bool was_there = before && before->alive;

    if (agent->config.keeper[0] == 0) {
        return;
    }
    if (was_there && !(record->alive && is_same)) {
        log_line(LOG_LEVEL_WARNING, "node lost node=%s number=%u epoch=%u", record->name,
                 record->id.slot, record->epoch);
    }
    if (record->alive && !(was_there && is_same)) {
        log_line(LOG_LEVEL_INFO, "node joined node=%s number=%u address=%s", record->name,
                 record->id.slot, record->address);
    }
}

static void on_record(void *context, const struct record *record)
{
    struct agent *agent = context;
    struct event event = {.kind = EVENT_RECORD, .record = record};
    bool is_node = record->kind == RECORD_NODE;
    bool is_own = is_node && record->id.slot == agent->node;
    bool is_open = agent->clients != NULL;

    if (agent->driver == NULL || agent->is_stopping) {
        return;
    }
    if (is_node && record->id.slot < NODES_MAX) {
        snprintf(agent->node_names[record->id.slot], RECORD_NAME_BYTES, "%s", record->name);
    }
    if (is_own) {
        is_open = !own_record_check(agent, record) || is_open;
    } else if (is_node) {
        node_change_log(agent, record);
        peers_set_member(agent->peers, record->id.slot, record->name, record->id.generation,
                         record->address, record->alive && !record->deleted);
    }
    if (agent->is_stopping) {
        return; /* of its own death the core hears nothing: it is to say nothing in the new epoch */
    }
    agent_post(agent, &event);
    if (record->kind == RECORD_REGION && record->deleted) {
        /* Not with ACTION_REGION_CLOSE: an atomic operation asks for it where no page ever was. */
        conversions_forget(&agent->conversions, record->id);
    }
    if (is_own && !is_open) {
        agent_open(agent);
    } else if (is_node && !is_own && peers_is_up(agent->peers, record->id.slot)) {
        event = (struct event){.kind = EVENT_PEER_UP, .peer_up = record->id.slot};
        agent_post(agent, &event);
    }
}

static void on_proposed(void *context, uint64_t ticket, int error, region_id id)
{
    struct event event = {
        .kind = EVENT_PROPOSED,
        .proposed = {.ticket = ticket, .error = error, .id = id},
    };

    agent_post(context, &event);
}

struct peers_events agent_peers_events(struct agent *agent)
{
    return (struct peers_events){agent, on_message, on_wire, on_up, on_down, on_failure};
}

struct catalog_events agent_catalog_events(struct agent *agent)
{
    return (struct catalog_events){agent, on_record, on_proposed, on_joined, on_refused};
}
