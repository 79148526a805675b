/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/cluster.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/cluster_frames.h"
#include "tests/sim/cluster_parts.h"

#define RUN_STEPS_MAX 2000000u
/** The whole state is looked at once in so many steps. */
#define CHECK_STEPS 16u

_Noreturn void cluster_broken(const struct cluster *cluster, const char *what)
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
    if (cluster->on_send != NULL) {
        cluster->on_send(cluster->on_send_context, envelope);
    }
}

uint32_t cluster_region_index(struct cluster *cluster, region_id id)
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
    cluster_broken(cluster, "too many regions");
}

static void do_atomic(struct cluster *cluster, uint32_t number, const struct action *action,
                      uint32_t region)
{
    struct sim_frame *frame =
        &cluster->nodes[number].frames[region][action->message.offset / 4096];
    struct event done = {.kind = EVENT_ATOMIC_DONE, .now_ms = cluster->now_ms};

    if (!frame->present) {
        cluster_broken(cluster, "an atomic operation on a page that is not here");
    }
    if (frame->value != cluster->latest[region][action->message.offset / 4096]) {
        cluster_broken(cluster, "an atomic operation on an old copy");
    }
    done.atomic_done.requester = action->message.requester;
    done.atomic_done.request = action->message.request;
    done.atomic_done.value = frame->value;
    if (action->message.op == SYNC_FETCH_ADD) {
        frame->value += action->message.value;
    } else if (frame->value == action->message.operand) {
        frame->value = action->message.value;
    }
    cluster->latest[region][action->message.offset / 4096] = frame->value;
    cluster_step(cluster, number, &done, NULL);
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
            frames_add_map(node, action, cluster_region_index(cluster, action->region));
        }
        return;
    case ACTION_PROPOSE:
        if (cluster->count_proposals == CLUSTER_PROPOSALS) {
            cluster_broken(cluster, "too many proposals");
        }
        cluster->proposals[cluster->count_proposals++] = (struct sim_proposal){
            number, action->propose.ticket, *action->propose.proposal};
        return;
    default:
        break;
    }
    region = cluster_region_index(cluster, action->region);
    if (action->kind == ACTION_SEND) {
        enqueue(cluster, node, action, region);
    } else if (action->kind == ACTION_REGION_CLOSE) {
        frames_close(node, region);
        memset(node->frames[region], 0, sizeof(node->frames[region]));
    } else if (action->kind != ACTION_ATOMIC) {
        const char *error = frames_execute(node, action, region, payload);

        if (action->kind == ACTION_FILL &&
            action->page + action->count > cluster->pages_used[region]) {
            cluster->pages_used[region] = action->page + action->count;
        }

        if (error != NULL) {
            cluster_broken(cluster, error);
        }
    }
}

static void check(const struct cluster *cluster)
{
    for (uint32_t region = 0; region < CLUSTER_REGIONS; region++) {
        for (uint64_t page = 0; page < cluster->pages_used[region]; page++) {
            const char *error = frames_check(cluster, region, page);

            if (error != NULL) {
                fprintf(stderr, "cluster: region %u, page %llu\n", region,
                        (unsigned long long)page);
                cluster_broken(cluster, error);
            }
        }
    }
}

static void cluster_supply(struct sim_node *node)
{
    size_t bytes;

    while ((bytes = node_wants(node->node)) != 0) {
        node->blocks = realloc(node->blocks, (node->count_blocks + 1) * sizeof(void *));
        node->blocks[node->count_blocks] = calloc(1, bytes);
        node_supply(node->node, node->blocks[node->count_blocks++]);
    }
}

void cluster_step(struct cluster *cluster, uint32_t number, const struct event *event,
                 const uint64_t *payload)
{
    struct sim_node *node = &cluster->nodes[number];
    struct actions *actions;
    struct event more = {.kind = EVENT_TIME, .now_ms = cluster->now_ms};

    if (node->is_dead) {
        return;
    }
    actions = calloc(1, sizeof(*actions));
    cluster_supply(node);
    node_step(node->node, event, actions);
    cluster->steps++;
    for (uint32_t i = 0; i < actions->count; i++) {
        execute(cluster, number, &actions->list[i], payload);
    }
    for (uint32_t i = 0; i < actions->count; i++) {
        if (actions->list[i].kind == ACTION_ATOMIC) {
            do_atomic(cluster, number, &actions->list[i],
                      cluster_region_index(cluster, actions->list[i].region));
        }
    }
    if (cluster->steps % CHECK_STEPS == 0) {
        check(cluster);
    }
    free(actions);
    if (node_deadline(node->node) == 0) {
        cluster_step(cluster, number, &more, NULL);
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
    cluster_step(cluster, envelope->message.to, &event, envelope->payload);
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
        for (uint32_t i = 0; i < cluster->count_nodes; i++) {
            any = (!cluster->is_late[i] && cluster_tell(cluster, i)) || any;
        }
        for (uint32_t from = 0; from < cluster->count_nodes; from++) {
            for (uint32_t to = 0; to < cluster->count_nodes; to++) {
                if (!cluster->is_held[from][to]) {
                    any = cluster_deliver(cluster, from, to) || any;
                }
            }
        }
        if (steps > RUN_STEPS_MAX) {
            cluster_broken(cluster, "it never comes to rest");
        }
    }
    check(cluster);
}

void cluster_wake(struct cluster *cluster, uint32_t node)
{
    struct event event = {.kind = EVENT_TIME, .now_ms = cluster->now_ms};

    cluster_step(cluster, node, &event, NULL);
}

void cluster_tick(struct cluster *cluster, uint64_t ms)
{
    cluster->now_ms += ms;
    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        cluster_wake(cluster, i);
    }
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
            cluster_wake(cluster, i);
        }
        cluster_run(cluster);
    }
}

/* --- the whole --- */

void cluster_make_node(struct cluster *cluster, uint32_t number)
{
    struct node_config own = cluster->config;

    own.self = number;
    if (number == 0) {
        own.budget_bytes = 0; /* the first node makes the regions and may hold them whole */
    }
    cluster->nodes[number].node = calloc(1, node_size());
    if (node_init(cluster->nodes[number].node, &own) != 0) {
        cluster_broken(cluster, "node_init failed");
    }
}

void cluster_free_node(struct cluster *cluster, uint32_t number)
{
    struct sim_node *node = &cluster->nodes[number];

    for (uint32_t i = 0; i < node->count_blocks; i++) {
        free(node->blocks[i]);
    }
    frames_free_kept(node);
    free(node->blocks);
    free(node->node);
    memset(node, 0, sizeof(*node));
}

struct cluster *cluster_new(uint32_t count_nodes, const struct node_config *config)
{
    struct cluster *cluster = calloc(1, sizeof(*cluster));

    cluster->count_nodes = count_nodes;
    cluster->now_ms = 1000000;
    cluster->count_records = count_nodes;
    cluster->config = *config;
    for (uint32_t i = 0; i < count_nodes; i++) {
        cluster_make_node(cluster, i);
    }
    for (uint32_t i = 0; i < count_nodes; i++) {
        cluster->records[i].kind = RECORD_NODE;
        cluster->records[i].id = (region_id){i, i + 1};
        cluster->records[i].alive = true;
        cluster_publish(cluster, &cluster->records[i]);
    }
    return cluster;
}

void cluster_free(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        for (uint32_t j = 0; j < cluster->count_nodes; j++) {
            while (cluster_lose(cluster, i, j)) {
            }
        }
        cluster_drop_news(cluster, i);
        cluster_free_node(cluster, i);
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
