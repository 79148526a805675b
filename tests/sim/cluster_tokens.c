/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of words by which programs of a node take mutexes without a call. */
#include <stdlib.h>
#include <string.h>

#include "net/token_table.h"
#include "tests/sim/cluster_parts.h"

void cluster_tokens_execute(struct cluster *cluster, uint32_t number, const struct action *action,
                    uint32_t region)
{
    struct sim_node *node = &cluster->nodes[number];
    struct sim_atomic *taken;

    if (node->tokens[region] == NULL) {
        node->tokens[region] = calloc(1, sizeof(struct token_table));
    }
    if (action->token.verb != TOKEN_TAKE) {
        token_table_put(node->tokens[region], action->token.verb, action->token.offset,
                        action->token.client);
        return;
    }
    taken = calloc(1, sizeof(*taken));
    taken->done.kind = EVENT_TOKEN;
    taken->done.token.region = action->region;
    taken->done.token.offset = action->token.offset;
    taken->done.token.request = action->token.request;
    taken->done.token.client = token_table_take(node->tokens[region], action->token.offset);
    *node->last_atomic = taken;
    node->last_atomic = &taken->next;
}

void cluster_tokens_close(struct sim_node *node, uint32_t region)
{
    free(node->tokens[region]);
    node->tokens[region] = NULL;
}

bool cluster_token_lock(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t offset,
                        client_id client)
{
    struct token_table *table = cluster->nodes[node].tokens[region];

    return table != NULL && token_table_lock(table, offset, client);
}

bool cluster_token_unlock(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t offset,
                          client_id client)
{
    struct token_table *table = cluster->nodes[node].tokens[region];

    return table != NULL && token_table_unlock(table, offset, client) == TOKEN_IS_FREE;
}
