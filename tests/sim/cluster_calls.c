/* SPDX-License-Identifier: Apache-2.0 */
/* The programs of a simulated cluster: their calls, and what they read and write. */
#include "tests/sim/cluster.h"

#include <stdio.h>

#include "tests/sim/cluster_frames.h"
#include "tests/sim/cluster_parts.h"

uint64_t cluster_call_start(struct cluster *cluster, uint32_t node, client_id client,
                            const struct call *call)
{
    struct event event = {.kind = EVENT_CALL, .now_ms = cluster->now_ms};

    event.call.client = client;
    event.call.number = ++cluster->next_call;
    event.call.call = call;
    cluster_step(cluster, node, &event, NULL);
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
        uint64_t *latest =
            &cluster->latest[frames_region(&cluster->nodes[node], map)][page];

        if (write && *value != UINT64_MAX) {
            *latest = *value;
        } else if (!write && *value != UINT64_MAX && *value != *latest) {
            cluster_broken(cluster, "an old value was read");
        }
        return true;
    }
    event.fault.map = map;
    event.fault.page = page;
    event.fault.write = write;
    cluster_step(cluster, node, &event, NULL);
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

    event.client_gone = client;
    cluster_step(cluster, node, &event, NULL);
}

void cluster_peer_up(struct cluster *cluster, uint32_t node, uint32_t peer)
{
    struct event event = {.kind = EVENT_PEER_UP, .now_ms = cluster->now_ms};

    event.peer_up = peer;
    cluster_step(cluster, node, &event, NULL);
}
