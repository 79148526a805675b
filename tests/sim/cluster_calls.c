/* SPDX-License-Identifier: Apache-2.0 */
/* The programs of a simulated cluster: their calls, and what they read and write. */
#include "tests/sim/cluster.h"

#include <stdio.h>

#include "tests/sim/cluster_frames.h"
#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"

uint64_t cluster_call_start(struct cluster *cluster, uint32_t node, client_id client,
                            const struct call *call)
{
    struct event event = {.kind = EVENT_CALL, .now_ms = cluster->now_ms};
    struct sim_event *note;

    event.call.client = client;
    event.call.number = ++cluster->next_call;
    event.call.call = call;
    note = cluster_note(cluster, SIM_CALL, node);
    note->message_kind = call->kind;
    note->op = call->op;
    note->request = cluster->next_call;
    note->page = call->offset / CLUSTER_PAGE_BYTES;
    note->value = call->value;
    oracle_on_call(cluster, cluster->next_call, call);
    cluster_step(cluster, node, &event, NULL);
    return cluster->next_call;
}

bool cluster_reply(const struct cluster *cluster, uint32_t node, uint64_t number,
                   struct reply *reply)
{
    const struct sim_node *sim = &cluster->nodes[node];

    for (uint32_t i = sim->count_replies; i > 0 && i + CLUSTER_REPLIES > sim->count_replies; i--) {
        const struct sim_reply *known = &sim->replies[(i - 1) % CLUSTER_REPLIES];

        if (known->number == number) {
            *reply = known->reply;
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
        cluster_broken(cluster, "a call was not answered");
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
                        .page_size = CLUSTER_PAGE_BYTES,
                        .home = home};
    struct reply reply;

    snprintf(call.name, sizeof(call.name), "%s", name);
    reply = cluster_call(cluster, node, client, &call);
    if (reply.error == 0 && reply.size_bytes < pages * CLUSTER_PAGE_BYTES) {
        struct call grow = {.kind = CALL_TRUNCATE,
                            .handle = reply.handle,
                            .size_bytes = pages * CLUSTER_PAGE_BYTES};

        reply.error = cluster_call(cluster, node, client, &grow).error;
    }
    return reply.error == 0 ? reply.handle : 0;
}

map_id cluster_map(struct cluster *cluster, uint32_t node, client_id client, uint64_t handle)
{
    struct call stat = {.kind = CALL_STAT, .handle = handle};
    struct call call = {.kind = CALL_MAP, .handle = handle, .rights = RIGHTS_READ | RIGHTS_WRITE};

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

static void fault(struct cluster *cluster, uint32_t node, const struct sim_map *map, uint64_t page,
                  bool write)
{
    struct event event = {.kind = EVENT_FAULT, .now_ms = cluster->now_ms};
    struct sim_event *note = cluster_note(cluster, SIM_FAULT, node);

    note->region = (uint8_t)map->region;
    note->page = page;
    note->flags = write;
    event.fault.map = map->id;
    event.fault.page = page % 2 == 0 ? cluster_group(cluster, node, map->region, page).page : page;
    event.fault.write = write;
    oracle_touch(cluster, map->region, page, 1);
    cluster_step(cluster, node, &event, NULL);
}

bool cluster_touch(struct cluster *cluster, uint32_t node, map_id id, uint64_t page, bool write,
                   uint64_t *value)
{
    const struct sim_map *map = frames_map(cluster, node, id);
    struct sim_frame *frame;

    if (map == NULL || page >= map->count) {
        cluster_broken(cluster, "a program touches what it has not mapped");
    }
    frame = frames_reach(cluster, node, map, page, write);
    if (frame == NULL) {
        fault(cluster, node, map, page, write);
        return false;
    }
    if (!frame->poisoned && frames_has_groups(cluster, node, map->region)) {
        oracle_on_sight(cluster, node, map->region, page);
    }
    if (frame->poisoned) {
        *value = UINT64_MAX;
    } else if (write) {
        oracle_on_write(cluster, node, map->region, page, frame, *value, map->thread, false);
    } else {
        oracle_on_read(cluster, node, map->region, page, frame, map->thread);
        *value = frame->bytes.value;
    }
    return true;
}

/* Faults that one access may need while no time passes: a group comes in parts. */
#define TOUCHES_AT_ONCE 8u

static uint64_t touch_until(struct cluster *cluster, uint32_t node, map_id map, uint64_t page,
                            bool write, uint64_t value)
{
    for (uint32_t i = 0; i < 1000; i++) {
        if (cluster_touch(cluster, node, map, page, write, &value)) {
            return value;
        }
        cluster_run(cluster);
        if (i >= TOUCHES_AT_ONCE) {
            cluster_advance(cluster, 1); /* the page has its turn elsewhere */
        }
    }
    cluster_broken(cluster, "a fault was never resolved");
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

    cluster_note(cluster, SIM_CLIENT_GONE, node)->request = client;
    event.client_gone = client;
    cluster_step(cluster, node, &event, NULL);
}

void cluster_peer_up(struct cluster *cluster, uint32_t node, uint32_t peer)
{
    struct event event = {.kind = EVENT_PEER_UP, .now_ms = cluster->now_ms};

    cluster_note(cluster, SIM_PEER_UP, node)->to = (uint16_t)peer;
    event.peer_up = peer;
    cluster_step(cluster, node, &event, NULL);
}
