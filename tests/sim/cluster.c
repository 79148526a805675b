/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/cluster.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/cluster_frames.h"

#define RUN_STEPS_MAX 2000000u

_Noreturn static void broken(const struct cluster *cluster, const char *what)
{
    fprintf(stderr, "cluster: %s, at %llu ms, step %llu; the last messages:\n%s\n", what,
            (unsigned long long)cluster->now_ms, (unsigned long long)cluster->steps,
            cluster->log);
    abort();
}

static void log_message(struct cluster *cluster, const char *prefix, const struct message *message)
{
    int bytes;

    if (cluster->log_bytes > CLUSTER_LOG_BYTES - 128) {
        cluster->log_bytes = 0;
    }
    bytes = snprintf(cluster->log + cluster->log_bytes, 128, "%s%u>%u %s", prefix, message->from,
                     message->to, message_kind_name(message->kind));
    cluster->log_bytes += (size_t)bytes;
    if (message->kind != MESSAGE_SYNC && message->kind != MESSAGE_SYNC_REPLY &&
        message->kind != MESSAGE_SYNC_ACK) {
        bytes = snprintf(cluster->log + cluster->log_bytes, 64, " %llu+%u",
                         (unsigned long long)message->page, message->count);
        cluster->log_bytes += (size_t)bytes;
    }
    cluster->log[cluster->log_bytes++] = '\n';
    cluster->log[cluster->log_bytes] = 0;
}

static void enqueue(struct cluster *cluster, struct sim_node *sender, const struct action *action,
                    uint32_t region)
{
    struct envelope *envelope = calloc(1, sizeof(*envelope));
    struct envelope **tail = &cluster->queues[action->message.from][action->message.to];

    envelope->message = action->message;
    sender->sent[action->message.kind]++;
    if (action->source != BYTES_NONE) {
        envelope->payload_pages = action->count;
        envelope->payload = calloc(action->count, sizeof(uint64_t));
        frames_copy_out(sender, action, region, envelope->payload);
    }
    log_message(cluster, "", &envelope->message);
    while (*tail != NULL) {
        tail = &(*tail)->next;
    }
    *tail = envelope;
}

static uint32_t region_index(struct cluster *cluster, region_id id)
{
    for (uint32_t i = 0; i < CLUSTER_REGIONS; i++) {
        if (region_id_equal(cluster->regions[i], id)) {
            return i;
        }
    }
    for (uint32_t i = 0; i < CLUSTER_REGIONS; i++) {
        if (cluster->regions[i].generation == 0) {
            cluster->regions[i] = id;
            return i;
        }
    }
    broken(cluster, "too many regions");
}

static void step(struct cluster *cluster, uint32_t number, const struct event *event,
                 const uint64_t *payload);

static void do_atomic(struct cluster *cluster, uint32_t number, const struct action *action,
                      uint32_t region)
{
    struct sim_frame *frame =
        &cluster->nodes[number].frames[region][action->message.offset / 4096];
    struct event done = {.kind = EVENT_ATOMIC_DONE, .now_ms = cluster->now_ms};

    if (!frame->present) {
        broken(cluster, "an atomic operation on a page that is not here");
    }
    done.atomic_done.requester = action->message.requester;
    done.atomic_done.request = action->message.request;
    done.atomic_done.value = frame->value;
    if (action->message.op == SYNC_FETCH_ADD) {
        frame->value += action->message.value;
    } else if (frame->value == action->message.operand) {
        frame->value = action->message.value;
    }
    step(cluster, number, &done, NULL);
}

static void execute(struct cluster *cluster, uint32_t number, const struct action *action,
                    const uint64_t *payload)
{
    struct sim_node *node = &cluster->nodes[number];
    uint32_t region;

    switch (action->kind) {
    case ACTION_REPLY:
        node->replies[node->count_replies++ % 256] = (struct sim_reply){
            action->reply.client, action->reply.number, action->reply.reply};
        if (action->reply.reply.map != 0) {
            frames_add_map(node, action, region_index(cluster, action->region));
        }
        return;
    case ACTION_PROPOSE:
        if (cluster->count_proposals == 64) {
            broken(cluster, "too many proposals");
        }
        cluster->proposals[cluster->count_proposals++] = (struct sim_proposal){
            number, action->propose.ticket, *action->propose.proposal};
        return;
    default:
        break;
    }
    region = region_index(cluster, action->region);
    if (action->kind == ACTION_SEND) {
        enqueue(cluster, node, action, region);
    } else if (action->kind == ACTION_REGION_CLOSE) {
        memset(node->frames[region], 0, sizeof(node->frames[region]));
    } else if (action->kind != ACTION_ATOMIC) {
        const char *error = frames_execute(node, action, region, payload);

        if (error != NULL) {
            broken(cluster, error);
        }
    }
}

static void check(const struct cluster *cluster)
{
    for (uint32_t region = 0; region < CLUSTER_REGIONS; region++) {
        for (uint64_t page = 0; page < CLUSTER_PAGES; page++) {
            const char *error = frames_check(cluster, region, page);

            if (error != NULL) {
                broken(cluster, error);
            }
        }
    }
}

static void supply(struct sim_node *node)
{
    size_t bytes;

    while ((bytes = node_wants(node->node)) != 0) {
        node->blocks = realloc(node->blocks, (node->count_blocks + 1) * sizeof(void *));
        node->blocks[node->count_blocks] = calloc(1, bytes);
        node_supply(node->node, node->blocks[node->count_blocks++]);
    }
}

static void step(struct cluster *cluster, uint32_t number, const struct event *event,
                 const uint64_t *payload)
{
    struct sim_node *node = &cluster->nodes[number];
    struct actions *actions;
    struct event more = {.kind = EVENT_TIME, .now_ms = cluster->now_ms};

    if (node->is_dead) {
        return;
    }
    actions = calloc(1, sizeof(*actions));
    supply(node);
    node_step(node->node, event, actions);
    cluster->steps++;
    for (uint32_t i = 0; i < actions->count; i++) {
        execute(cluster, number, &actions->list[i], payload);
    }
    for (uint32_t i = 0; i < actions->count; i++) {
        if (actions->list[i].kind == ACTION_ATOMIC) {
            do_atomic(cluster, number, &actions->list[i],
                      region_index(cluster, actions->list[i].region));
        }
    }
    if (cluster->steps % 16 == 0) {
        check(cluster);
    }
    free(actions);
    if (node_deadline(node->node) == 0) {
        step(cluster, number, &more, NULL);
    }
}

/* --- the keeper --- */

static void publish(struct cluster *cluster, struct record *record)
{
    struct event event = {.kind = EVENT_RECORD, .now_ms = cluster->now_ms};

    record->revision = ++cluster->revision;
    event.record = record;
    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        step(cluster, i, &event, NULL);
    }
}

static struct record *find_record(struct cluster *cluster, region_id id)
{
    for (uint32_t i = 0; i < cluster->count_records; i++) {
        if (cluster->records[i].kind != RECORD_NODE &&
            region_id_equal(cluster->records[i].id, id) && !cluster->records[i].deleted) {
            return &cluster->records[i];
        }
    }
    return NULL;
}

static bool name_is_taken(const struct cluster *cluster, const struct record *record)
{
    for (uint32_t i = 0; i < cluster->count_records; i++) {
        const struct record *other = &cluster->records[i];

        if (other->kind == record->kind && !other->unlinked && !other->deleted &&
            strcmp(other->name, record->name) == 0) {
            return true;
        }
    }
    return false;
}

static int32_t apply(struct cluster *cluster, const struct proposal *proposal, region_id *id)
{
    struct record *record = find_record(cluster, proposal->record.id);
    struct record *old = find_record(cluster, proposal->replaces);

    if (proposal->kind == PROPOSAL_CREATE) {
        if (old != NULL) {
            old->unlinked = true;
            publish(cluster, old);
        } else if (name_is_taken(cluster, &proposal->record)) {
            return DSM_EEXIST;
        }
        record = &cluster->records[cluster->count_records++];
        *record = proposal->record;
        record->id = (region_id){cluster->count_records, (uint32_t)cluster->revision + 1};
        publish(cluster, record);
        *id = record->id;
        return 0;
    }
    if (record == NULL) {
        return DSM_ESTALE;
    }
    if (record->revision != proposal->record.revision) {
        return DSM_EAGAIN;
    }
    *record = proposal->record;
    record->deleted = record->unlinked && record->readers == 0;
    publish(cluster, record);
    return 0;
}

bool cluster_decide(struct cluster *cluster)
{
    struct sim_proposal proposal;
    struct event event = {.kind = EVENT_PROPOSED, .now_ms = cluster->now_ms};

    if (cluster->count_proposals == 0) {
        return false;
    }
    proposal = cluster->proposals[0];
    cluster->count_proposals--;
    memmove(cluster->proposals, cluster->proposals + 1,
            cluster->count_proposals * sizeof(proposal));
    event.proposed.ticket = proposal.ticket;
    event.proposed.error = apply(cluster, &proposal.proposal, &event.proposed.id);
    step(cluster, proposal.node, &event, NULL);
    return true;
}

void cluster_declare_dead(struct cluster *cluster, uint32_t node)
{
    struct record *record = &cluster->records[node];

    record->alive = false;
    record->epoch = ++cluster->epoch;
    for (uint32_t i = cluster->count_nodes; i < cluster->count_records; i++) {
        struct record *other = &cluster->records[i];

        if (!other->deleted && nodeset_has(other->readers, node)) {
            other->readers &= ~nodeset_of(node);
            other->writers &= ~nodeset_of(node);
            other->deleted = other->unlinked && other->readers == 0;
            publish(cluster, other);
        }
    }
    publish(cluster, record);
}

void cluster_kill(struct cluster *cluster, uint32_t node)
{
    cluster->nodes[node].is_dead = true;
    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        while (cluster_lose(cluster, node, i) || cluster_lose(cluster, i, node)) {
        }
    }
}

/* --- messages --- */

static struct envelope *dequeue(struct cluster *cluster, uint32_t from, uint32_t to)
{
    struct envelope *envelope = cluster->queues[from][to];

    if (envelope != NULL) {
        cluster->queues[from][to] = envelope->next;
    }
    return envelope;
}

static void hand_over(struct cluster *cluster, const struct envelope *envelope)
{
    struct event event = {.kind = EVENT_MESSAGE, .now_ms = cluster->now_ms};

    event.message.message = &envelope->message;
    event.message.payload_pages = envelope->payload_pages;
    step(cluster, envelope->message.to, &event, envelope->payload);
}

static void free_envelope(struct envelope *envelope)
{
    free(envelope->payload);
    free(envelope);
}

bool cluster_deliver(struct cluster *cluster, uint32_t from, uint32_t to)
{
    struct envelope *envelope = dequeue(cluster, from, to);

    if (envelope == NULL) {
        return false;
    }
    hand_over(cluster, envelope);
    free_envelope(envelope);
    return true;
}

bool cluster_lose(struct cluster *cluster, uint32_t from, uint32_t to)
{
    struct envelope *envelope = dequeue(cluster, from, to);

    if (envelope == NULL) {
        return false;
    }
    log_message(cluster, "lost ", &envelope->message);
    free_envelope(envelope);
    return true;
}

bool cluster_duplicate(struct cluster *cluster, uint32_t from, uint32_t to)
{
    struct envelope *envelope = cluster->queues[from][to];
    struct envelope *copy;

    if (envelope == NULL) {
        return false;
    }
    copy = calloc(1, sizeof(*copy));
    *copy = *envelope;
    if (envelope->payload != NULL) {
        copy->payload = calloc(envelope->payload_pages, sizeof(uint64_t));
        memcpy(copy->payload, envelope->payload, envelope->payload_pages * sizeof(uint64_t));
    }
    copy->next = envelope->next;
    envelope->next = copy;
    return cluster_deliver(cluster, from, to);
}

void cluster_run(struct cluster *cluster)
{
    bool any = true;

    for (uint64_t steps = 0; any; steps++) {
        any = cluster_decide(cluster);
        for (uint32_t from = 0; from < cluster->count_nodes; from++) {
            for (uint32_t to = 0; to < cluster->count_nodes; to++) {
                if (!cluster->is_held[from][to]) {
                    any = cluster_deliver(cluster, from, to) || any;
                }
            }
        }
        if (steps > RUN_STEPS_MAX) {
            broken(cluster, "it never comes to rest");
        }
    }
    check(cluster);
}

void cluster_advance(struct cluster *cluster, uint64_t ms)
{
    uint64_t end = cluster->now_ms + ms;

    while (cluster->now_ms < end) {
        uint64_t next = end;

        for (uint32_t i = 0; i < cluster->count_nodes; i++) {
            uint64_t deadline = node_deadline(cluster->nodes[i].node);

            if (!cluster->nodes[i].is_dead && deadline > cluster->now_ms && deadline < next) {
                next = deadline;
            }
        }
        cluster->now_ms = next;
        for (uint32_t i = 0; i < cluster->count_nodes; i++) {
            struct event event = {.kind = EVENT_TIME, .now_ms = next};

            step(cluster, i, &event, NULL);
        }
        cluster_run(cluster);
    }
}

/* --- programs --- */

uint64_t cluster_call_start(struct cluster *cluster, uint32_t node, client_id client,
                            const struct call *call)
{
    struct event event = {.kind = EVENT_CALL, .now_ms = cluster->now_ms};

    event.call.client = client;
    event.call.number = ++cluster->next_call;
    event.call.call = call;
    step(cluster, node, &event, NULL);
    return cluster->next_call;
}

bool cluster_reply(const struct cluster *cluster, uint32_t node, uint64_t number,
                   struct reply *reply)
{
    const struct sim_node *sim = &cluster->nodes[node];

    for (uint32_t i = 0; i < 256 && i < sim->count_replies; i++) {
        if (sim->replies[i].number == number) {
            *reply = sim->replies[i].reply;
            return true;
        }
    }
    return false;
}

struct reply cluster_call(struct cluster *cluster, uint32_t node, client_id client,
                          const struct call *call)
{
    uint64_t number = cluster_call_start(cluster, node, client, call);
    struct reply reply;

    cluster_run(cluster);
    if (!cluster_reply(cluster, node, number, &reply)) {
        broken(cluster, "a call was not answered");
    }
    return reply;
}

uint64_t cluster_open(struct cluster *cluster, uint32_t node, client_id client, const char *name,
                      uint64_t pages, uint32_t home)
{
    struct call call = {.kind = CALL_OPEN,
                        .object = RECORD_REGION,
                        .oflag = CALL_OFLAG_WRITE | CALL_OFLAG_CREATE,
                        .mode = 0666,
                        .home = home};
    struct reply reply;

    snprintf(call.name, sizeof(call.name), "%s", name);
    reply = cluster_call(cluster, node, client, &call);
    if (reply.error == 0 && reply.size_bytes < pages * 4096) {
        struct call grow = {
            .kind = CALL_TRUNCATE, .handle = reply.handle, .size_bytes = pages * 4096};

        reply.error = cluster_call(cluster, node, client, &grow).error;
    }
    return reply.error == 0 ? reply.handle : 0;
}

map_id cluster_map(struct cluster *cluster, uint32_t node, client_id client, uint64_t handle)
{
    struct call stat = {.kind = CALL_STAT, .handle = handle};
    struct call call = {
        .kind = CALL_MAP, .handle = handle, .rights = RIGHTS_READ | RIGHTS_WRITE};

    call.size_bytes = cluster_call(cluster, node, client, &stat).size_bytes;
    return cluster_call(cluster, node, client, &call).map;
}

uint64_t cluster_sync(struct cluster *cluster, uint32_t node, client_id client, uint64_t handle,
                      uint32_t op, uint64_t offset, uint64_t value, int64_t timeout_ms)
{
    struct call call = {.kind = CALL_SYNC,
                        .handle = handle,
                        .op = (uint8_t)op,
                        .offset = offset,
                        .value = value,
                        .timeout_ms = timeout_ms};

    return cluster_call_start(cluster, node, client, &call);
}

bool cluster_touch(struct cluster *cluster, uint32_t node, map_id map, uint64_t page, bool write,
                   uint64_t *value)
{
    struct event event = {.kind = EVENT_FAULT, .now_ms = cluster->now_ms};

    if (frames_touch(&cluster->nodes[node], map, page, write, value)) {
        return true;
    }
    event.fault.map = map;
    event.fault.page = page;
    event.fault.write = write;
    step(cluster, node, &event, NULL);
    return false;
}

static uint64_t touch_until(struct cluster *cluster, uint32_t node, map_id map, uint64_t page,
                            bool write, uint64_t value)
{
    for (uint32_t i = 0; i < 1000; i++) {
        if (cluster_touch(cluster, node, map, page, write, &value)) {
            return value;
        }
        cluster_run(cluster);
    }
    broken(cluster, "a fault was never resolved");
}

uint64_t cluster_read(struct cluster *cluster, uint32_t node, map_id map, uint64_t page)
{
    return touch_until(cluster, node, map, page, false, 0);
}

void cluster_write(struct cluster *cluster, uint32_t node, map_id map, uint64_t page,
                   uint64_t value)
{
    touch_until(cluster, node, map, page, true, value);
}

void cluster_client_gone(struct cluster *cluster, uint32_t node, client_id client)
{
    struct event event = {.kind = EVENT_CLIENT_GONE, .now_ms = cluster->now_ms};

    event.client_gone = client;
    step(cluster, node, &event, NULL);
}

void cluster_peer_up(struct cluster *cluster, uint32_t node, uint32_t peer)
{
    struct event event = {.kind = EVENT_PEER_UP, .now_ms = cluster->now_ms};

    event.peer_up = peer;
    step(cluster, node, &event, NULL);
}

/* --- the whole --- */

struct cluster *cluster_new(uint32_t count_nodes, const struct node_config *config)
{
    struct cluster *cluster = calloc(1, sizeof(*cluster));

    cluster->count_nodes = count_nodes;
    cluster->now_ms = 1000000;
    cluster->count_records = count_nodes;
    for (uint32_t i = 0; i < count_nodes; i++) {
        struct node_config own = *config;

        own.self = i;
        if (i == 0) {
            own.budget_bytes = 0; /* the first node makes the regions and may hold them whole */
        }
        cluster->nodes[i].node = calloc(1, node_size());
        if (node_init(cluster->nodes[i].node, &own) != 0) {
            broken(cluster, "node_init failed");
        }
    }
    for (uint32_t i = 0; i < count_nodes; i++) {
        cluster->records[i].kind = RECORD_NODE;
        cluster->records[i].id = (region_id){i, i + 1};
        cluster->records[i].alive = true;
        publish(cluster, &cluster->records[i]);
    }
    return cluster;
}

void cluster_free(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        struct sim_node *node = &cluster->nodes[i];

        for (uint32_t j = 0; j < node->count_blocks; j++) {
            free(node->blocks[j]);
        }
        for (uint32_t j = 0; j < cluster->count_nodes; j++) {
            while (cluster_lose(cluster, i, j)) {
            }
        }
        frames_free_kept(node);
        free(node->blocks);
        free(node->node);
    }
    free(cluster);
}

const char *cluster_take_log(struct cluster *cluster)
{
    cluster->log[cluster->log_bytes] = 0;
    cluster->log_bytes = 0;
    return cluster->log;
}

uint64_t cluster_messages(const struct cluster *cluster)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        sum += node_counters(cluster->nodes[i].node)->messages_sent;
    }
    return sum;
}
