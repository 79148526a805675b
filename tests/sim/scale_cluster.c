/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/scale_cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT 1u
#define NOW_MS 1000u

_Noreturn void scale_fail(const char *what, uint64_t number)
{
    fprintf(stderr, "scale: %s (%" PRIu64 ")\n", what, number);
    exit(1);
}

static void *grow(void *array, uint32_t count, uint32_t *room, size_t bytes)
{
    if (count < *room) {
        return array;
    }
    *room = *room > 0 ? *room * 2 : 4;
    array = realloc(array, *room * bytes);
    if (array == NULL) {
        scale_fail("no memory", *room);
    }
    return array;
}

/* --- frames --- */

static uint32_t object_of(region_id id)
{
    if (id.slot == 0 || id.slot > SCALE_OBJECTS) {
        scale_fail("an unknown region", id.slot);
    }
    return id.slot - 1;
}

static struct scale_frame *find_frame(const struct scale_node *node, uint32_t object, uint64_t page)
{
    for (uint32_t i = 0; i < node->count_frames; i++) {
        if (node->frames[i].object == object && node->frames[i].page == page) {
            return &node->frames[i];
        }
    }
    return NULL;
}

static void fill(struct scale_node *node, const struct action *action, uint64_t value)
{
    uint32_t object = object_of(action->region);

    if (action->count != 1 || find_frame(node, object, action->page) != NULL) {
        scale_fail("FILL of a page that is here", action->page);
    }
    node->frames =
        grow(node->frames, node->count_frames, &node->room_frames, sizeof(*node->frames));
    node->frames[node->count_frames++] = (struct scale_frame){
        .page = action->page,
        .value = action->source == BYTES_PAYLOAD ? value : 0,
        .object = object,
        .writable = action->write,
    };
}

static void drop(struct scale_node *node, const struct action *action)
{
    struct scale_frame *frame = find_frame(node, object_of(action->region), action->page);

    if (frame == NULL || frame->writable) {
        scale_fail("DROP of a page that is not here, or writable", action->page);
    }
    *frame = node->frames[--node->count_frames];
}

static void keep(struct scale_node *node, const struct action *action)
{
    const struct scale_frame *frame = find_frame(node, object_of(action->region), action->page);

    if (frame == NULL || frame->writable) {
        scale_fail("KEEP of a page that is not here, or writable", action->page);
    }
    node->kept = grow(node->kept, node->count_kept, &node->room_kept, sizeof(*node->kept));
    node->kept[node->count_kept++] = (struct scale_kept){action->keep, frame->value};
}

static struct scale_kept *find_kept(const struct scale_node *node, uint32_t number)
{
    for (uint32_t i = 0; i < node->count_kept; i++) {
        if (node->kept[i].number == number) {
            return &node->kept[i];
        }
    }
    scale_fail("no such bytes put aside", number);
}

static void forget(struct scale_node *node, uint32_t number)
{
    struct scale_kept *kept = find_kept(node, number);

    *kept = node->kept[--node->count_kept];
}

static void set_writable(struct scale_node *node, const struct action *action, bool writable)
{
    struct scale_frame *frame = find_frame(node, object_of(action->region), action->page);

    if (frame != NULL) {
        frame->writable = writable;
    } else if (writable) {
        scale_fail("ALLOW of a page that is not here", action->page);
    }
}

static uint64_t bytes_of(const struct scale_node *node, const struct action *action)
{
    const struct scale_frame *frame = find_frame(node, object_of(action->region), action->page);

    if (action->source == BYTES_KEPT) {
        return find_kept(node, action->keep)->value;
    }
    if (frame == NULL || frame->writable) {
        scale_fail("bytes of a page that is not here, or writable, must not leave", action->page);
    }
    return frame->value;
}

/* --- messages --- */

static void enqueue(struct scale_cluster *cluster, uint32_t number, const struct action *action)
{
    const struct message *message = &action->message;
    uint16_t *length = &cluster->link_lengths[(size_t)number * cluster->count + message->to];
    struct scale_node *receiver = &cluster->nodes[message->to];
    struct scale_packet packet = {.message = *message};

    if (action->source != BYTES_NONE) {
        packet.payload_pages = action->count;
        packet.value = bytes_of(&cluster->nodes[number], action);
        cluster->payloads++;
    }
    if (cluster->count_packets == cluster->room_packets) {
        size_t room = cluster->room_packets > 0 ? cluster->room_packets * 2 : 1024;
        struct scale_packet *packets = calloc(room, sizeof(*packets));

        for (size_t i = 0; i < cluster->count_packets; i++) {
            packets[i] = cluster->packets[(cluster->first_packet + i) % cluster->room_packets];
        }
        free(cluster->packets);
        cluster->packets = packets;
        cluster->room_packets = room;
        cluster->first_packet = 0;
    }
    cluster->packets[(cluster->first_packet + cluster->count_packets++) % cluster->room_packets] =
        packet;
    cluster->sent++;
    ++*length;
    ++receiver->inbox;
    if (*length > cluster->longest_link_ever) {
        cluster->longest_link_ever = *length;
    }
    if (receiver->inbox > cluster->longest_inbox) {
        cluster->longest_inbox = receiver->inbox;
    }
}

static struct event atomic_done(const struct scale_node *node, const struct action *action)
{
    const struct message *message = &action->message;
    struct scale_frame *frame =
        find_frame(node, object_of(action->region), message->offset / SCALE_PAGE_BYTES);
    struct event done = {.kind = EVENT_ATOMIC_DONE, .now_ms = NOW_MS};

    if (frame == NULL || message->op != SYNC_FETCH_ADD) {
        scale_fail("an atomic operation on a page that is not here", message->offset);
    }
    done.atomic_done.requester = message->requester;
    done.atomic_done.request = message->request;
    done.atomic_done.value = frame->value;
    frame->value += message->value;
    return done;
}

static void execute(struct scale_cluster *cluster, uint32_t number, const struct action *action,
                    uint64_t value)
{
    struct scale_node *node = &cluster->nodes[number];

    switch (action->kind) {
    case ACTION_SEND:
        enqueue(cluster, number, action);
        break;
    case ACTION_FILL:
        fill(node, action, value);
        break;
    case ACTION_ALLOW:
    case ACTION_PROTECT:
        set_writable(node, action, action->kind == ACTION_ALLOW);
        break;
    case ACTION_DROP:
        drop(node, action);
        break;
    case ACTION_KEEP:
        keep(node, action);
        break;
    case ACTION_FORGET:
        forget(node, action->keep);
        break;
    case ACTION_REPLY:
        node->reply = action->reply.reply;
        node->reply_number = action->reply.number;
        node->count_replies++;
        if (node->reply.error != 0) {
            scale_fail("a call failed at node", number);
        }
        break;
    case ACTION_PROPOSE: /* for the keeper's news alone: every record has been told */
        if (action->propose.proposal->kind != PROPOSAL_NOTHING) {
            scale_fail("a change of the catalog that nothing here should cause", number);
        }
        node->ticket = action->propose.ticket;
        break;
    case ACTION_WAKE:
    case ACTION_REGION_OPEN:
    case ACTION_ATOMIC: /* after the others */
        break;
    default:
        scale_fail("an action that nothing here should cause", action->kind);
    }
}

void scale_supply(struct scale_node *node)
{
    size_t bytes;

    while ((bytes = node_wants(node->core)) != 0) {
        node->blocks = realloc(node->blocks, (node->count_blocks + 1) * sizeof(void *));
        node->blocks[node->count_blocks] = calloc(1, bytes);
        if (node->blocks[node->count_blocks] == NULL) {
            scale_fail("no memory", bytes);
        }
        node_supply(node->core, node->blocks[node->count_blocks++]);
    }
}

static void step(struct scale_cluster *cluster, uint32_t number, struct event event, uint64_t value)
{
    struct scale_node *node = &cluster->nodes[number];
    const struct event time = {.kind = EVENT_TIME, .now_ms = NOW_MS};
    struct event atomics[ITEMS_PER_STEP + 1];
    uint32_t count_atomics;

    event.now_ms = NOW_MS;
    do {
        scale_supply(node);
        node_step(node->core, &event, cluster->actions);
        count_atomics = 0;
        for (uint32_t i = 0; i < cluster->actions->count; i++) {
            execute(cluster, number, &cluster->actions->list[i], value);
        }
        for (uint32_t i = 0; i < cluster->actions->count; i++) {
            if (cluster->actions->list[i].kind == ACTION_ATOMIC) {
                atomics[count_atomics++] = atomic_done(node, &cluster->actions->list[i]);
            }
        }
        for (uint32_t i = 0; i < count_atomics; i++) {
            step(cluster, number, atomics[i], 0);
        }
        event = time;
    } while (node_deadline(node->core) <= NOW_MS);
}

bool scale_deliver(struct scale_cluster *cluster)
{
    struct scale_packet packet;
    const struct message *message = &packet.message;
    struct event event = {.kind = EVENT_MESSAGE};

    if (cluster->count_packets == 0) {
        return false;
    }
    packet = cluster->packets[cluster->first_packet];
    cluster->first_packet = (cluster->first_packet + 1) % cluster->room_packets;
    cluster->count_packets--;
    cluster->link_lengths[(size_t)message->from * cluster->count + message->to]--;
    cluster->nodes[message->to].inbox--;
    cluster->nodes[message->to].handled++;
    event.message.message = message;
    event.message.payload_pages = packet.payload_pages;
    step(cluster, message->to, event, packet.value);
    return true;
}

void scale_run(struct scale_cluster *cluster)
{
    while (scale_deliver(cluster)) {
    }
}

void scale_tell(struct scale_cluster *cluster, uint32_t node, const struct record *record)
{
    struct event event = {.kind = EVENT_RECORD};

    event.record = record;
    cluster->records_told++;
    step(cluster, node, event, 0);
}

void scale_mark(struct scale_cluster *cluster)
{
    cluster->sent = 0;
    cluster->payloads = 0;
    cluster->records_told = 0;
    cluster->longest_inbox = 0;
    for (uint32_t i = 0; i < cluster->count; i++) {
        cluster->nodes[i].handled = 0;
        cluster->nodes[i].count_replies = 0;
    }
}

uint64_t scale_busiest(const struct scale_cluster *cluster)
{
    uint64_t most = 0;

    for (uint32_t i = 0; i < cluster->count; i++) {
        most = cluster->nodes[i].handled > most ? cluster->nodes[i].handled : most;
    }
    return most;
}

/* --- programs --- */

bool scale_touch(struct scale_cluster *cluster, uint32_t node, uint32_t object, uint64_t page,
                 bool write)
{
    const struct scale_frame *frame = find_frame(&cluster->nodes[node], object, page);
    struct event event = {.kind = EVENT_FAULT};

    if (frame != NULL && (frame->writable || !write)) {
        return true;
    }
    event.fault.map = cluster->nodes[node].maps[object];
    event.fault.page = page;
    event.fault.write = write;
    step(cluster, node, event, 0);
    return false;
}

static struct scale_frame *touch_until(struct scale_cluster *cluster, uint32_t node,
                                       uint32_t object, uint64_t page, bool write)
{
    for (uint32_t i = 0; i < 10; i++) {
        if (scale_touch(cluster, node, object, page, write)) {
            return find_frame(&cluster->nodes[node], object, page);
        }
        scale_run(cluster);
    }
    scale_fail("a fault was never resolved", page);
}

void scale_write(struct scale_cluster *cluster, uint32_t node, uint32_t object, uint64_t page,
                 uint64_t value)
{
    touch_until(cluster, node, object, page, true)->value = value;
}

uint64_t scale_read(struct scale_cluster *cluster, uint32_t node, uint32_t object, uint64_t page)
{
    return touch_until(cluster, node, object, page, false)->value;
}

uint64_t scale_call(struct scale_cluster *cluster, uint32_t node, const struct call *call)
{
    struct event event = {.kind = EVENT_CALL};

    event.call.client = CLIENT;
    event.call.number = ++cluster->next_call;
    event.call.call = call;
    cluster->nodes[node].ticket = 0;
    step(cluster, node, event, 0);
    if (cluster->nodes[node].ticket != 0) {
        event = (struct event){.kind = EVENT_PROPOSED};
        event.proposed.ticket = cluster->nodes[node].ticket;
        step(cluster, node, event, 0);
    }
    return cluster->next_call;
}

void scale_sync(struct scale_cluster *cluster, uint32_t node, uint32_t object, uint32_t op,
                uint64_t offset, uint64_t value)
{
    struct call call = {.kind = CALL_SYNC,
                        .handle = cluster->nodes[node].handles[object],
                        .op = (uint8_t)op,
                        .offset = offset,
                        .value = value,
                        .timeout_ms = -1};

    scale_call(cluster, node, &call);
}
