/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper of a simulated cluster: it answers proposals, and its news come to the nodes in order,
 * late if wished.
 */
#include "tests/sim/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/cluster_parts.h"

/** A RECORD or PROPOSED event that a node has not seen yet. */
struct sim_news {
    struct sim_news *next;
    struct event event;
    struct record record;
};

static void tell(struct cluster *cluster, uint32_t number, const struct event *event,
                 const struct record *record)
{
    struct sim_news *news = calloc(1, sizeof(*news));
    struct sim_news **tail = &cluster->news[number];

    news->event = *event;
    if (record != NULL) {
        news->record = *record;
    }
    while (*tail != NULL) {
        tail = &(*tail)->next;
    }
    *tail = news;
    while (!cluster->is_late[number] && cluster_tell(cluster, number)) {
    }
}

bool cluster_tell(struct cluster *cluster, uint32_t number)
{
    struct sim_news *news = cluster->news[number];

    if (news == NULL) {
        return false;
    }
    cluster->news[number] = news->next;
    news->event.now_ms = cluster->now_ms;
    if (news->event.kind == EVENT_RECORD) {
        news->event.record = &news->record;
    }
    cluster_step(cluster, number, &news->event, NULL);
    free(news);
    return true;
}

void cluster_drop_news(struct cluster *cluster, uint32_t number)
{
    while (cluster->news[number] != NULL) {
        struct sim_news *news = cluster->news[number];

        cluster->news[number] = news->next;
        free(news);
    }
}

void cluster_publish(struct cluster *cluster, struct record *record)
{
    struct event event = {.kind = EVENT_RECORD};

    record->revision = ++cluster->revision;
    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        tell(cluster, i, &event, record);
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
            cluster_publish(cluster, old);
        } else if (name_is_taken(cluster, &proposal->record)) {
            return DSM_EEXIST;
        }
        record = &cluster->records[cluster->count_records++];
        *record = proposal->record;
        record->id = (region_id){cluster->count_records, (uint32_t)cluster->revision + 1};
        cluster_publish(cluster, record);
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
    record->deleted = record->unlinked && nodeset_is_empty(record->readers);
    cluster_publish(cluster, record);
    return 0;
}

bool cluster_decide(struct cluster *cluster)
{
    struct sim_proposal proposal;
    struct event event = {.kind = EVENT_PROPOSED};

    if (cluster->count_proposals == 0) {
        return false;
    }
    proposal = cluster->proposals[0];
    cluster->count_proposals--;
    memmove(cluster->proposals, cluster->proposals + 1,
            cluster->count_proposals * sizeof(proposal));
    if (cluster->records[proposal.node].alive) {
        event.proposed.ticket = proposal.ticket;
        event.proposed.error = apply(cluster, &proposal.proposal, &event.proposed.id);
        tell(cluster, proposal.node, &event, NULL);
    }
    return true;
}

static void release_regions(struct cluster *cluster, uint32_t node)
{
    for (uint32_t i = cluster->count_nodes; i < cluster->count_records; i++) {
        struct record *other = &cluster->records[i];

        if (!other->deleted && nodeset_has(other->readers, node)) {
            nodeset_remove(&other->readers, node);
            nodeset_remove(&other->writers, node);
            other->deleted = other->unlinked && nodeset_is_empty(other->readers);
            cluster_publish(cluster, other);
        }
    }
}

void cluster_declare_dead(struct cluster *cluster, uint32_t node)
{
    struct record *record = &cluster->records[node];

    record->alive = false;
    record->epoch = ++cluster->epoch;
    cluster_publish(cluster, record);
    release_regions(cluster, node);
}

void cluster_stop(struct cluster *cluster, uint32_t node)
{
    uint32_t kept = 0;

    cluster->nodes[node].is_dead = true;
    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        while (cluster_lose(cluster, i, node)) {
        }
    }
    for (uint32_t i = 0; i < cluster->count_proposals; i++) {
        if (cluster->proposals[i].node != node) {
            cluster->proposals[kept++] = cluster->proposals[i];
        }
    }
    cluster->count_proposals = kept;
}

void cluster_kill(struct cluster *cluster, uint32_t node)
{
    cluster_stop(cluster, node);
    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        while (cluster_lose(cluster, node, i)) {
        }
    }
}

void cluster_restart(struct cluster *cluster, uint32_t node)
{
    struct event event = {.kind = EVENT_RECORD};

    cluster_kill(cluster, node);
    if (cluster->records[node].alive) {
        cluster_declare_dead(cluster, node);
    }
    cluster_drop_news(cluster, node);
    cluster_free_node(cluster, node);
    cluster_make_node(cluster, node);
    for (uint32_t i = 0; i < cluster->count_records; i++) {
        if (!cluster->records[i].deleted && i != node) {
            tell(cluster, node, &event, &cluster->records[i]);
        }
    }
    cluster->records[node].id.generation += CLUSTER_NODES;
    cluster->records[node].joined = cluster->revision + 1;
    cluster->records[node].alive = true;
    cluster_publish(cluster, &cluster->records[node]);
}
