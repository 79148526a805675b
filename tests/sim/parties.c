/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/parties.h"

#include <stdlib.h>
#include <string.h>

struct parties *parties_new(void)
{
    struct parties *parties = calloc(1, sizeof(*parties));
    struct node_config config = {.read_ahead_pages = 1};
    struct call sem = {.kind = CALL_OPEN,
                       .object = RECORD_SEM,
                       .oflag = CALL_OFLAG_CREATE,
                       .mode = 0666,
                       .value = PARTIES_SEM_VALUE,
                       .name = "/s"};

    parties->cluster = cluster_new(PARTIES_NODES, &config);
    for (uint32_t node = 0; node < PARTIES_NODES; node++) {
        for (client_id client = 1; client <= 2; client++) {
            parties->region[node][client] =
                cluster_open(parties->cluster, node, client, "/r", 16, DSM_HOME_CREATOR);
            parties->sem[node][client] =
                cluster_call(parties->cluster, node, client, &sem).handle;
            if (parties->region[node][client] == 0 || parties->sem[node][client] == 0) {
                abort();
            }
        }
        parties->map[node] =
            cluster_map(parties->cluster, node, 1, parties->region[node][1]);
    }
    cluster_take_log(parties->cluster);
    return parties;
}

void parties_free(struct parties *parties)
{
    cluster_run(parties->cluster);
    cluster_free(parties->cluster);
    free(parties);
}

uint64_t parties_start(struct parties *parties, uint32_t node, client_id client, uint32_t op,
                       uint64_t offset, uint64_t value, int64_t timeout_ms)
{
    bool is_sem = op >= SYNC_SEM_WAIT && op <= SYNC_SEM_VALUE;
    uint64_t handle =
        is_sem ? parties->sem[node][client] : parties->region[node][client];

    return cluster_sync(parties->cluster, node, client, handle, op, is_sem ? 0 : offset, value,
                        timeout_ms);
}

uint64_t parties_do(struct parties *parties, uint32_t node, client_id client, uint32_t op,
                    uint64_t offset, uint64_t value, int64_t timeout_ms)
{
    uint64_t number = parties_start(parties, node, client, op, offset, value, timeout_ms);

    cluster_run(parties->cluster);
    return number;
}

int32_t parties_error(const struct parties *parties, uint32_t node, uint64_t number)
{
    struct reply reply;

    return cluster_reply(parties->cluster, node, number, &reply) ? reply.error : 1;
}

uint64_t parties_value(const struct parties *parties, uint32_t node, uint64_t number)
{
    struct reply reply;

    if (!cluster_reply(parties->cluster, node, number, &reply) || reply.error != 0) {
        abort();
    }
    return reply.value;
}
