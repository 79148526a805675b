/* SPDX-License-Identifier: Apache-2.0 */
/* What the core answers to programs' calls, on its way to them. */
#include "agent/agent.h"

#include <stdio.h>
#include <string.h>

#include "agent/admin.h"
#include "agent/sentence.h"
#include "dsm.h"

/** Announce a mapping that the core has granted; its descriptor goes to the client with the reply.
 */
static int map_announce(struct agent *agent, client_id client, const struct call *call,
                        const struct reply *reply, int *fd)
{
    uint64_t page_size = frames_page_size(agent->frames, reply->region);
    uint64_t first, end;
    int error;

    if (page_size == 0) {
        return DSM_ENOMEM;
    }
    first = call->offset / page_size;
    end = (call->offset + call->size_bytes + page_size - 1) / page_size;
    error = frames_map_add(agent->frames, reply->map, client, reply->region, first, end - first,
                           (call->rights & RIGHTS_WRITE) != 0);
    if (error == 0) {
        *fd = frames_memfd(agent->frames, reply->region);
    }
    return error;
}

/** Give a mapping back to the core that the frames could not make. */
static void map_withdraw(struct agent *agent, client_id client, map_id map)
{
    struct call call = {.kind = CALL_UNMAP, .map = map, .timeout_ms = -1};
    struct event event = {.kind = EVENT_CALL};

    /* Its reply finds no call that waits, and goes nowhere. */
    event.call.client = client;
    event.call.number = UINT64_MAX - map;
    event.call.call = &call;
    agent_post(agent, &event);
}

/** Tell in a sentence what went wrong. */
static void reply_explain(struct agent *agent, client_id client, const struct call *call,
                          struct session_reply *reply)
{
    const struct node *node = driver_node(agent->driver);
    const struct handle_note *handle = notes_handle_find(&agent->notes, client, call->handle);
    struct sentence_facts facts = {
        .call = call, .reply = &reply->reply, .region_max = agent->config.region_max};
    char keeper[TEXT_BYTES_MAX] = "";

    if (call->kind == CALL_OPEN || call->kind == CALL_UNLINK) {
        facts.name = call->name;
        facts.object = call->object;
        facts.record = agent_find_record(agent, call->object, call->name);
    } else if (handle) {
        facts.name = handle->name;
        facts.object = handle->object;
        facts.record = node_record(node, handle->id);
    }
    if (reply->reply.node != NODE_NONE) {
        facts.node = agent_node_name(agent, reply->reply.node);
    }
    if (reply->reply.error == DSM_EKEEPER) {
        agent->catalog->ops->is_available(agent->catalog, keeper);
        facts.keeper = keeper;
    }
    sentence_write(&facts, reply->text, sizeof(reply->text));
    reply->text_bytes = strlen(reply->text);
}

/** A region's type goes with the answer as its text. */
static void reply_type(struct agent *agent, struct session_reply *reply)
{
    const struct record *record = node_record(driver_node(agent->driver), reply->reply.region);

    snprintf(reply->text, sizeof(reply->text), "%s", record ? record->type : "");
    reply->text_bytes = strlen(reply->text);
}

static void handles_follow(struct agent *agent, client_id client, const struct call *call,
                           const struct reply *reply)
{
    if (call->kind == CALL_OPEN && reply->error == 0) {
        notes_handle_add(&agent->notes, client, call, reply);
    } else if (call->kind == CALL_CLOSE && reply->error == 0) {
        notes_handle_remove(&agent->notes, client, call->handle);
    }
}

void agent_act_reply(struct agent *agent, const struct action *action)
{
    client_id client = action->reply.client;
    uint64_t number = action->reply.number;
    const struct call *call = notes_find(&agent->notes, client, number);
    struct session_reply *reply;
    int fd = -1;

    if (call == NULL) {
        return; /* the client is gone; what it had goes with EVENT_CLIENT_GONE */
    }
    reply = agent_reply(agent, number);
    reply->reply = action->reply.reply;
    if (call->kind == CALL_MAP && reply->reply.error == 0) {
        reply->reply.error = map_announce(agent, client, call, &action->reply.reply, &fd);
        if (reply->reply.error < 0) {
            map_withdraw(agent, client, action->reply.reply.map);
        }
    }
    if (call->kind == CALL_TOKENS && reply->reply.error == 0) {
        fd = token_tables_memfd(&agent->token_tables, action->reply.reply.region);
    }
    handles_follow(agent, client, call, &reply->reply);
    if (reply->reply.error != 0) {
        reply_explain(agent, client, call, reply);
    } else if (call->kind == CALL_STAT) {
        reply_type(agent, reply);
    }
    notes_remove(&agent->notes, client, number);
    if (client == CLIENT_AGENT) {
        admin_on_removed(agent->admin, number, reply->reply.error, reply->text);
    } else {
        clients_reply(agent->clients, client, reply, fd);
    }
}
