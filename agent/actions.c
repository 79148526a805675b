/* SPDX-License-Identifier: Apache-2.0 */
/* What goes into the core from programs and peers, and how its actions are carried out. */
#include "agent/agent.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/admin.h"
#include "dsm.h"

/** Bytes of a page of the region, from its memory or else from its record; 0 when it is unknown. */
static uint32_t page_size_of(const struct agent *agent, region_id region)
{
    uint32_t page_size = frames_page_size(agent->frames, region);

    if (page_size == 0) {
        const struct record *record = node_record(driver_node(agent->driver), region);

        page_size = record ? record->page_size : 0;
    }
    return page_size;
}

static const char *region_name(const struct agent *agent, region_id region)
{
    const struct record *record = node_record(driver_node(agent->driver), region);

    return record ? record->name : "?";
}

/* What a node of the other byte order sent becomes this one's, before anybody looks at it. Between
 * equal nodes this is one test. What cannot be converted has not come: it is asked for again. */
static bool payload_turn(struct agent *agent, const struct message *message, uint8_t *payload,
                         size_t payload_bytes)
{
    bool is_big = (message->flags & FLAG_BIG_ENDIAN) != 0;
    const struct record *record;

    if (is_big == agent->machine.big_endian || payload_bytes == 0) {
        return true;
    }
    record = node_record(driver_node(agent->driver), message->region);
    return record != NULL &&
           conversions_turn(&agent->conversions, record, message->page * record->page_size, payload,
                            payload_bytes) == 0;
}

void agent_receive(struct agent *agent, const struct message *message, uint8_t *payload,
                   size_t payload_bytes)
{
    struct event event = {.kind = EVENT_MESSAGE, .message.message = message};
    uint64_t page_size = 0, wanted_bytes = 0;

    if (message_kind_has_payload(message->kind)) {
        page_size = page_size_of(agent, message->region);
        wanted_bytes = page_size * message->count;
    }
    if (payload_bytes != wanted_bytes) {
        agent->refused++;
        log_limited(&agent->limit_refused, LOG_LEVEL_WARNING,
                    "message refused node=%s kind=%s region=%" PRIu32 ".%" PRIu32 " pages=%u "
                    "bytes=%zu wanted=%" PRIu64,
                    agent_node_name(agent, message->from), message_kind_name(message->kind),
                    message->region.slot, message->region.generation, message->count, payload_bytes,
                    wanted_bytes);
        return;
    }
    if (!payload_turn(agent, message, payload, payload_bytes)) {
        agent->refused++;
        log_limited(&agent->limit_refused, LOG_LEVEL_WARNING,
                    "message dropped: no memory to convert its pages node=%s region=%" PRIu32
                    ".%" PRIu32,
                    agent_node_name(agent, message->from), message->region.slot,
                    message->region.generation);
        return;
    }
    event.message.payload_pages = payload_bytes ? message->count : 0;
    driver_post(agent->driver, &event, payload, payload_bytes);
}

/* Is it an atomic operation on what may not be the object of one? The error, with a sentence. */
static int atomic_refuse(struct agent *agent, client_id client, const struct call *call, char *text,
                         size_t text_bytes)
{
    const struct handle_note *handle = notes_handle_find(&agent->notes, client, call->handle);
    const struct record *record = NULL;

    if (call->kind != CALL_SYNC || (call->op != SYNC_FETCH_ADD && call->op != SYNC_COMPARE_SWAP)) {
        return 0;
    }
    if (handle != NULL && agent->driver != NULL) {
        record = node_record(driver_node(agent->driver), handle->id);
    }
    return record == NULL ? 0
                          : conversions_check_atomic(&agent->conversions, record, call->offset,
                                                     text, text_bytes);
}

/* The table is there before the core hears of it. */
static int tokens_open(struct agent *agent, client_id client, const struct call *call)
{
    const struct handle_note *handle = notes_handle_find(&agent->notes, client, call->handle);

    if (call->kind != CALL_TOKENS || handle == NULL || agent->driver == NULL ||
        node_record(driver_node(agent->driver), handle->id) == NULL) {
        return 0; /* the core says what is wrong */
    }
    return token_tables_open(&agent->token_tables, handle->id);
}

void agent_call(struct agent *agent, client_id client, uint64_t number, const struct call *call)
{
    struct event event = {
        .kind = EVENT_CALL,
        .call = {.client = client, .number = number, .call = call},
    };
    char text[TEXT_BYTES_MAX] = "";
    int error = atomic_refuse(agent, client, call, text, sizeof(text));

    if (call->kind == CALL_SYNC && call->op == SYNC_UNLOCK && call->value == 1) {
        agent_post(agent, &event); /* nobody waits for a reply, so it needs no note, nor memory */
        return;
    }
    if (error == 0) {
        error = tokens_open(agent, client, call);
    }
    if (error == 0) {
        error = notes_add(&agent->notes, client, number, call);
    }
    if (error == 0) {
        agent_post(agent, &event);
    } else if (client == CLIENT_AGENT) {
        admin_on_removed(agent->admin, number, error, "the agent has no memory for this");
    } else {
        struct session_reply *reply = agent_reply(agent, number);

        reply->reply.error = error;
        if (text[0] == 0) {
            snprintf(text, sizeof(text), "call %" PRIu64 " was not taken: %s", number,
                     error == DSM_EBUSY ? "one of this number is still waiting"
                                        : dsm_strerror(error));
        }
        reply->text_bytes = (size_t)snprintf(reply->text, sizeof(reply->text), "%s", text);
        clients_reply(agent->clients, client, reply, -1);
    }
}

/** The page bytes that go with a message: where they are and how many, or false: do not send it. */
static bool message_bytes(struct agent *agent, const struct action *action, const uint8_t **bytes,
                          size_t *len_bytes)
{
    size_t page_size, first_byte, kept_bytes = 0;

    *bytes = NULL;
    *len_bytes = 0;
    if (action->source != BYTES_FRAMES && action->source != BYTES_KEPT) {
        return true;
    }
    page_size = page_size_of(agent, action->message.region);
    *len_bytes = page_size * action->count;
    if (action->source == BYTES_KEPT) {
        first_byte = page_size * action->first;
        *bytes = frames_kept(agent->frames, action->keep, &kept_bytes);
        if (*bytes == NULL || kept_bytes < first_byte + *len_bytes) {
            log_line(LOG_LEVEL_ERROR, "kept pages missing region=%s page=%" PRIu64 " count=%u",
                     region_name(agent, action->message.region), action->message.page,
                     action->count);
            return false;
        }
        *bytes += first_byte;
        return true;
    }
    assert(*len_bytes <= PAYLOAD_BYTES_MAX);
    if (frames_read(agent->frames, action->region, action->page, action->count, agent->page_bytes) <
        0) {
        log_line(LOG_LEVEL_ERROR, "pages cannot be read region=%s page=%" PRIu64 " count=%u",
                 region_name(agent, action->region), action->page, action->count);
        return false;
    }
    *bytes = agent->page_bytes;
    return true;
}

static void act_send(struct agent *agent, const struct action *action)
{
    const uint8_t *bytes;
    size_t len_bytes;

    assert(action->message.to != agent->node);
    /* What is not sent is asked for again: the core repeats, and so does the other side. */
    if (message_bytes(agent, action, &bytes, &len_bytes)) {
        peers_send_message(agent->peers, &action->message, bytes, len_bytes, action->may_wait);
    }
}

static void act_fill(struct agent *agent, const struct action *action, const uint8_t *payload,
                     size_t payload_bytes)
{
    const uint8_t *bytes = NULL;

    if (action->source == BYTES_PAYLOAD) {
        size_t page_size = frames_page_size(agent->frames, action->region);

        assert(page_size * ((size_t)action->first + action->count) <= payload_bytes);
        bytes = payload + page_size * action->first;
    }
    frames_fill(agent->frames, action->region, action->page, action->count, action->map,
                action->write, bytes);
}

static void act_poison(struct agent *agent, const struct action *action)
{
    log_limited(&agent->limit_lost, LOG_LEVEL_ERROR,
                "page lost region=%s page=%" PRIu64 " count=%u node=%s cause=\"%s\"",
                region_name(agent, action->region), action->page, action->count,
                agent_node_name(agent, action->node),
                action->error == 0 || action->error == DSM_EDOWN
                    ? "the only copy died with its node"
                    : dsm_strerror(action->error));
    frames_poison(agent->frames, action->region, action->page, action->count);
}

/** Read and change 8 bytes, and tell the core what was there. */
static void act_atomic(struct agent *agent, const struct action *action)
{
    const struct message *message = &action->message;
    struct event event = {
        .kind = EVENT_ATOMIC_DONE,
        .atomic_done = {.requester = message->requester, .request = message->request},
    };
    const struct record *record = node_record(driver_node(agent->driver), action->region);
    const struct frames_atomic atomic = {
        .region = action->region,
        .offset = message->offset,
        .op = message->op,
        .is_native = record != NULL && record->type[0] != 0,
        .value = message->value,
        .operand = message->operand,
    };

    event.atomic_done.error = frames_atomic(agent->frames, &atomic, &event.atomic_done.value);
    if (event.atomic_done.error < 0) {
        log_line(LOG_LEVEL_ERROR, "atomic operation failed region=%s offset=%" PRIu64,
                 region_name(agent, action->region), message->offset);
    }
    agent_post(agent, &event);
}

/* FNV-1a, eight bytes at a time: it only has to tell whether bytes have changed. */
static uint64_t digest_of(const uint8_t *bytes, size_t len_bytes)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len_bytes; i += sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, bytes + i, sizeof(word));
        digest = (digest ^ word) * UINT64_C(0x100000001b3);
    }
    return digest;
}

static void act_digest(struct agent *agent, const struct action *action)
{
    size_t len_bytes = (size_t)page_size_of(agent, action->region) * action->count;
    struct event event = {
        .kind = EVENT_DIGEST,
        .digest = {.region = action->region, .page = action->page, .is_end = action->write},
    };

    assert(len_bytes <= PAYLOAD_BYTES_MAX);
    if (frames_read(agent->frames, action->region, action->page, action->count,
                    agent->page_bytes) == 0) {
        event.digest.value = digest_of(agent->page_bytes, len_bytes);
    }
    agent_post(agent, &event);
}

static void act_bounce(struct agent *agent, const struct action *action)
{
    const struct record *record = node_record(driver_node(agent->driver), action->region);

    if (record != NULL) {
        bounces_note(&agent->bounces, action, record, agent->machine.page_bytes,
                     agent_node_name(agent, action->node), uv_now(&agent->loop));
    }
}

static void act_region_open(struct agent *agent, const struct action *action)
{
    int error = frames_region_open(agent->frames, action->region, action->open.size_bytes,
                                   action->open.page_size);

    if (error < 0) {
        log_line(LOG_LEVEL_ERROR, "region has no memory region=%s bytes=%" PRIu64 " error=\"%s\"",
                 region_name(agent, action->region), action->open.size_bytes, dsm_strerror(error));
        /* Going on, the core would own pages whose bytes are nowhere. */
        agent_fail(agent, error, "a region's pages cannot be stored on this node");
    }
}

static void act_propose(struct agent *agent, const struct action *action)
{
    int error = agent->catalog->ops->propose(agent->catalog, action->propose.ticket,
                                             action->propose.proposal);

    if (error < 0) {
        struct event event = {
            .kind = EVENT_PROPOSED,
            .proposed = {.ticket = action->propose.ticket, .error = error},
        };

        agent_post(agent, &event);
    }
}

static void act_token(struct agent *agent, const struct action *action)
{
    struct event event;

    if (token_tables_act(&agent->token_tables, action, &event)) {
        agent_post(agent, &event);
    }
}

static void act_on_frames(struct agent *agent, const struct action *action)
{
    struct frames *frames = agent->frames;

    switch (action->kind) {
    case ACTION_ALLOW:
        frames_allow(frames, action->region, action->page, action->count, action->map);
        break;
    case ACTION_WAKE:
        frames_wake(frames, action->region, action->page, action->count, action->map);
        break;
    case ACTION_PROTECT:
        frames_protect(frames, action->region, action->page, action->count);
        break;
    case ACTION_DROP:
        frames_drop(frames, action->region, action->page, action->count);
        break;
    case ACTION_GATHER:
        frames_gather(frames, action->region, action->page, action->count, action->map,
                      action->write);
        break;
    case ACTION_SCATTER:
        frames_scatter(frames, action->region, action->page, action->count);
        break;
    case ACTION_KEEP:
        if (frames_keep(frames, action->keep, action->region, action->page, action->count) < 0) {
            /* Going on would lose the bytes at the next DROP without anybody knowing. */
            agent_fail(agent, DSM_ENOMEM, "pages on their way to another node cannot be kept");
        }
        break;
    case ACTION_FORGET:
        frames_forget(frames, action->keep);
        break;
    case ACTION_REGION_CLOSE:
        frames_region_close(frames, action->region);
        token_tables_close_region(&agent->token_tables, action->region);
        break;
    case ACTION_MAP_GONE:
        frames_map_gone(frames, action->map);
        break;
    default:
        assert(!"an action of dsm/core/node.h");
        break;
    }
}

void agent_act(struct agent *agent, const struct action *action, const uint8_t *payload,
               size_t payload_bytes)
{
    switch (action->kind) {
    case ACTION_SEND:
        act_send(agent, action);
        break;
    case ACTION_FILL:
        act_fill(agent, action, payload, payload_bytes);
        break;
    case ACTION_POISON:
        act_poison(agent, action);
        break;
    case ACTION_ATOMIC:
        act_atomic(agent, action);
        break;
    case ACTION_DIGEST:
        act_digest(agent, action);
        break;
    case ACTION_BOUNCE:
        act_bounce(agent, action);
        break;
    case ACTION_REGION_OPEN:
        act_region_open(agent, action);
        break;
    case ACTION_PROPOSE:
        act_propose(agent, action);
        break;
    case ACTION_TOKEN:
        act_token(agent, action);
        break;
    case ACTION_REPLY:
        agent_act_reply(agent, action);
        break;
    default:
        act_on_frames(agent, action);
        break;
    }
}
