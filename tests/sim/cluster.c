/* SPDX-License-Identifier: Apache-2.0 */
/* A simulated cluster as a whole: its life, and the step of one node. */
#include "tests/sim/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/cluster_frames.h"
#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"

void *cluster_grow(void *array, uint32_t count, uint32_t *room, size_t element_bytes)
{
    if (count < *room) {
        return array;
    }
    *room = *room != 0 ? *room * 2 : 16;
    array = realloc(array, *room * element_bytes);
    if (array == NULL) {
        abort();
    }
    return array;
}

uint32_t cluster_region_index(struct cluster *cluster, region_id id)
{
    for (uint32_t i = 0; i < CLUSTER_REGIONS; i++) {
        if (region_id_equal(cluster->regions[i], id)) {
            return i;
        }
        if (cluster->regions[i].generation == 0) {
            cluster->regions[i] = id;
            return i;
        }
    }
    cluster_broken(cluster, "too many regions");
}

struct sim_page *cluster_page(struct cluster *cluster, uint32_t region, uint64_t page)
{
    struct sim_region *area = &cluster->areas[region];

    if (page >= area->count_pages) {
        uint64_t count = area->count_pages != 0 ? area->count_pages : 16;

        while (count <= page) {
            count *= 2;
        }
        area->pages = realloc(area->pages, count * sizeof(struct sim_page));
        memset(area->pages + area->count_pages, 0,
               (count - area->count_pages) * sizeof(struct sim_page));
        area->count_pages = count;
    }
    return &area->pages[page];
}

uint64_t cluster_latest(const struct cluster *cluster, uint32_t region, uint64_t page)
{
    const struct sim_region *area = &cluster->areas[region];

    return page < area->count_pages ? area->pages[page].value : 0;
}

/* --- the step --- */

static void note_reply(struct cluster *cluster, uint32_t number, const struct action *action)
{
    struct sim_node *node = &cluster->nodes[number];
    struct sim_event *note = cluster_note(cluster, SIM_REPLY, number);

    oracle_on_reply(cluster, number, action);
    if (node->replies == NULL) {
        node->replies = calloc(CLUSTER_REPLIES, sizeof(struct sim_reply));
    }
    node->replies[node->count_replies++ % CLUSTER_REPLIES] =
        (struct sim_reply){action->reply.client, action->reply.number, action->reply.reply};
    note->request = action->reply.number;
    note->error = action->reply.reply.error;
    note->value = action->reply.reply.value;
    if (action->reply.reply.map != 0) {
        frames_add_map(cluster, number, action, cluster_region_index(cluster, action->region));
    }
}

static void execute(struct cluster *cluster, uint32_t number, const struct action *action,
                    const struct sim_bytes *payload)
{
    uint32_t region;

    if (cluster->on_action != NULL) {
        cluster->on_action(cluster->on_action_context, number, action);
    }
    switch (action->kind) {
    case ACTION_REPLY:
        note_reply(cluster, number, action);
        return;
    case ACTION_PROPOSE:
        cluster_propose(cluster, number, action);
        return;
    default:
        break;
    }
    region = cluster_region_index(cluster, action->region);
    oracle_touch(cluster, region, action->page, action->count);
    if (action->kind == ACTION_SEND) {
        cluster_enqueue(cluster, number, action, region);
    } else if (action->kind == ACTION_TOKEN) {
        cluster_tokens_execute(cluster, number, action, region);
    } else {
        frames_execute(cluster, number, action, region, payload);
    }
}

void cluster_supply(struct sim_node *node)
{
    size_t bytes;

    while ((bytes = node_wants(node->node)) != 0) {
        node->blocks =
            cluster_grow(node->blocks, node->count_blocks, &node->room_blocks, sizeof(void *));
        node->blocks[node->count_blocks] = calloc(1, bytes);
        node_supply(node->node, node->blocks[node->count_blocks++]);
    }
}

/* The pages that an event may change the records of, though no action tells of them. */
static void touch_event(struct cluster *cluster, const struct event *event)
{
    const struct message *message = event->message.message;

    if (event->kind == EVENT_RECORD && event->record->kind == RECORD_NODE) {
        oracle_touch_all(cluster);
    } else if (event->kind == EVENT_MESSAGE) {
        uint32_t count = message->count > message->granted ? message->count : message->granted;

        if (message->kind < MESSAGE_SYNC || message->kind > MESSAGE_ATOMIC_DONE) {
            oracle_touch(cluster, cluster_region_index(cluster, message->region), message->page,
                         count);
        }
    }
}

static void step_once(struct cluster *cluster, uint32_t number, const struct event *event,
                      const struct sim_bytes *payload)
{
    struct sim_node *node = &cluster->nodes[number];

    cluster_supply(node);
    node_step(node->node, event, cluster->actions);
    cluster->steps++;
    touch_event(cluster, event);
    for (uint32_t i = 0; i < cluster->actions->count; i++) {
        execute(cluster, number, &cluster->actions->list[i], payload);
    }
    oracle_check(cluster, number);
}

/* The outcome of the oldest atomic operation; false: there is none. */
static bool take_atomic(struct cluster *cluster, uint32_t number, struct event *event)
{
    struct sim_node *node = &cluster->nodes[number];
    struct sim_atomic *atomic = node->atomics;

    if (atomic == NULL) {
        return false;
    }
    *event = atomic->done;
    event->now_ms = cluster->now_ms;
    node->atomics = atomic->next;
    if (node->atomics == NULL) {
        node->last_atomic = &node->atomics;
    }
    free(atomic);
    return true;
}

void cluster_step(struct cluster *cluster, uint32_t number, const struct event *event,
                  const struct sim_bytes *payload)
{
    struct sim_node *node = &cluster->nodes[number];
    struct event more;

    if (node->is_dead) {
        return;
    }
    if (cluster->is_stepping) {
        cluster_broken(cluster, "a step within a step");
    }
    cluster->is_stepping = true;
    step_once(cluster, number, event, payload);
    for (;;) {
        if (cluster->atomics_are_late || !take_atomic(cluster, number, &more)) {
            if (node_deadline(node->node) != 0) {
                break;
            }
            more = (struct event){.kind = EVENT_TIME, .now_ms = cluster->now_ms};
        }
        step_once(cluster, number, &more, NULL);
    }
    oracle_rest(cluster);
    cluster->is_stepping = false;
}

bool cluster_finish_atomic(struct cluster *cluster, uint32_t number)
{
    struct event event;

    if (cluster->nodes[number].is_dead || !take_atomic(cluster, number, &event)) {
        return false;
    }
    cluster_step(cluster, number, &event, NULL);
    return true;
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
            uint64_t deadline =
                cluster->nodes[i].is_dead ? end : node_deadline(cluster->nodes[i].node);

            if (deadline > cluster->now_ms && deadline < next) {
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
    struct sim_node *node = &cluster->nodes[number];
    struct node_config own = cluster->config;

    own.self = number;
    own.page_bytes = cluster->machines[number].page_bytes;
    own.big_endian = cluster->machines[number].big_endian;
    if (nodeset_has(cluster->ample, number)) {
        own.budget_bytes = 0;
    }
    node->last_atomic = &node->atomics;
    node->node = calloc(1, node_size());
    if (node_init(node->node, &own) != 0) {
        cluster_broken(cluster, "node_init failed");
    }
}

void cluster_free_node(struct cluster *cluster, uint32_t number)
{
    struct sim_node *node = &cluster->nodes[number];
    uint32_t last_death = node->last_death;
    struct event event;

    while (take_atomic(cluster, number, &event)) {
    }
    for (uint32_t i = 0; i < node->count_blocks; i++) {
        free(node->blocks[i]);
    }
    for (uint32_t i = 0; i < CLUSTER_REGIONS; i++) {
        cluster_tokens_close(node, i);
    }
    frames_free(node);
    free(node->blocks);
    free(node->replies);
    free(node->node);
    memset(node, 0, sizeof(*node));
    node->last_death = last_death;
}

/* Rows of `count` elements, all zero. */
static void *make_rows(uint32_t count, size_t element_bytes)
{
    void **rows = calloc(count, sizeof(void *));
    uint8_t *elements = calloc((size_t)count * count, element_bytes);

    for (uint32_t i = 0; i < count; i++) {
        rows[i] = elements + (size_t)i * count * element_bytes;
    }
    return rows;
}

static void free_rows(void *rows)
{
    free(*(void **)rows);
    free(rows);
}

static void make_network(struct cluster *cluster, uint32_t count)
{
    size_t words = (count + 63u) / 64u;

    cluster->queues = make_rows(count, sizeof(struct envelope *));
    cluster->is_held = make_rows(count, sizeof(bool));
    cluster->is_late = calloc(count, sizeof(bool));
    cluster->busy_links = calloc(words * count, sizeof(uint64_t));
    cluster->busy_senders = calloc(words, sizeof(uint64_t));
    cluster->news = calloc(count, sizeof(struct sim_news *));
    cluster->last_news = calloc(count, sizeof(struct sim_news *));
    cluster->last_proposal = &cluster->proposals;
}

/* No node knows of any. */
static struct cluster *make_cluster(uint32_t count_nodes, const struct node_config *config,
                                    nodeset ample, const struct sim_machine *machines)
{
    struct sim_machine like = {config->page_bytes, config->big_endian};
    struct cluster *cluster = calloc(1, sizeof(*cluster));

    cluster->count_nodes = count_nodes;
    cluster->now_ms = 1000000;
    cluster->config = *config;
    cluster->ample = ample;
    cluster->nodes = calloc(count_nodes, sizeof(struct sim_node));
    cluster->machines = calloc(count_nodes, sizeof(struct sim_machine));
    cluster->actions = malloc(sizeof(struct actions));
    cluster->events = calloc(CLUSTER_EVENTS, sizeof(struct sim_event));
    make_network(cluster, count_nodes);
    for (uint32_t i = 0; i < count_nodes; i++) {
        cluster->machines[i] = machines != NULL ? machines[i] : like;
        cluster_reserve_record(cluster);
        cluster->count_records++;
        cluster_make_node(cluster, i);
    }
    for (uint32_t i = 0; i < count_nodes; i++) {
        cluster->records[i].kind = RECORD_NODE;
        cluster->records[i].id = (region_id){i, i + 1};
        cluster->records[i].revision = ++cluster->revision;
        cluster->records[i].alive = true;
    }
    return cluster;
}

struct cluster *cluster_new_strangers(uint32_t count_nodes, const struct node_config *config)
{
    return make_cluster(count_nodes, config, nodeset_of(0), NULL);
}

struct cluster *cluster_new(uint32_t count_nodes, const struct node_config *config)
{
    return cluster_new_ample(count_nodes, config, nodeset_of(0));
}

static struct cluster *tell_all(struct cluster *cluster, uint32_t count_nodes)
{
    for (uint32_t i = 0; i < count_nodes; i++) {
        for (uint32_t j = 0; j < count_nodes; j++) {
            cluster_tell_record(cluster, j, &cluster->records[i]);
        }
    }
    return cluster;
}

struct cluster *cluster_new_ample(uint32_t count_nodes, const struct node_config *config,
                                  nodeset ample)
{
    return tell_all(make_cluster(count_nodes, config, ample, NULL), count_nodes);
}

struct cluster *cluster_new_mixed(uint32_t count_nodes, const struct node_config *config,
                                  const uint32_t *page_bytes)
{
    struct sim_machine machines[NODES_MAX] = {{0}};

    for (uint32_t i = 0; i < count_nodes; i++) {
        machines[i] = (struct sim_machine){page_bytes[i], config->big_endian};
    }
    return cluster_new_unlike(count_nodes, config, nodeset_of(0), machines);
}

struct cluster *cluster_new_unlike(uint32_t count_nodes, const struct node_config *config,
                                   nodeset ample, const struct sim_machine *machines)
{
    return tell_all(make_cluster(count_nodes, config, ample, machines), count_nodes);
}

void cluster_free(struct cluster *cluster)
{
    for (uint32_t i = 0, j = 0; cluster_next_link(cluster, &i, &j);) {
        cluster_lose(cluster, i, j);
    }
    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        cluster_drop_news(cluster, i);
        cluster_free_node(cluster, i);
    }
    for (uint32_t i = 0; i < CLUSTER_REGIONS; i++) {
        free(cluster->areas[i].pages);
        free(cluster->areas[i].layout);
    }
    cluster_drop_proposals(cluster, NODE_NONE);
    oracle_free(cluster);
    oracle_free_names(cluster);
    free_rows(cluster->queues);
    free_rows(cluster->is_held);
    free(cluster->is_late);
    free(cluster->busy_links);
    free(cluster->busy_senders);
    free(cluster->news);
    free(cluster->last_news);
    free(cluster->records);
    free(cluster->nodes);
    free(cluster->machines);
    free(cluster->actions);
    free(cluster->events);
    free(cluster->log);
    free(cluster);
}

uint64_t cluster_messages(const struct cluster *cluster)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        sum += node_counters(cluster->nodes[i].node)->messages_sent;
    }
    return sum;
}
