/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/core/remote.h"

#include "dsm/core/context.h"

/** Nodes that one step asks for the first time are fewer: see the pool of requests in page.c. */
#define REMOTES_LOW_WATER (NODES_MAX < ITEMS_PER_STEP * 10 ? NODES_MAX : ITEMS_PER_STEP * 10)
/** Nodes that one step admits for the first time are fewer: an event's, and one of each item. */
#define WINDOWS_LOW_WATER (ITEMS_PER_STEP + 2)

void remotes_init(struct remotes *remotes)
{
    pool_init(&remotes->pool, sizeof(struct remote), REMOTES_LOW_WATER, 32);
    pool_init(&remotes->records, sizeof(struct record), 1, 4);
    pool_init(&remotes->windows, sizeof(struct window), WINDOWS_LOW_WATER, 16);
}

struct remote *remote_find(const struct remotes *remotes, uint32_t node)
{
    return node < NODES_MAX ? remotes->by_number[node] : NULL;
}

struct remote *remote_get(struct remotes *remotes, uint32_t node)
{
    struct remote *remote;

    core_assert(node < NODES_MAX, "N5: only members are asked and admitted");
    remote = remotes->by_number[node];
    if (remote == NULL) {
        remote = pool_get(&remotes->pool);
        list_init(&remote->channel.open);
        remote->channel.next_number = 1;
        list_init(&remote->sync_ops);
        list_init(&remote->sync_held);
        remotes->by_number[node] = remote;
    }
    return remote;
}

const struct record *remote_record(const struct remotes *remotes, uint32_t node)
{
    const struct remote *remote = remote_find(remotes, node);

    return remote != NULL ? remote->record : NULL;
}

void remote_set_record(struct remotes *remotes, uint32_t node, const struct record *record)
{
    struct remote *remote = remote_get(remotes, node);

    if (remote->record == NULL) {
        remote->record = pool_get(&remotes->records);
    }
    *remote->record = *record;
}

struct window *remote_window(struct remotes *remotes, uint32_t node)
{
    struct remote *remote = remote_get(remotes, node);

    if (remote->window == NULL) {
        remote->window = pool_get(&remotes->windows);
    }
    return remote->window;
}
