/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper of a simulated cluster: it answers proposals, and its news come to the nodes in order,
 * late if wished.
 */
#include "tests/sim/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"

/** A RECORD or PROPOSED event that a node has not seen yet. */
struct sim_news {
    struct sim_news *next;
    struct event event;
    struct record record;
};

static void step_news(struct cluster *cluster, uint32_t number, const struct event *event)
{
    struct sim_event *note = cluster_note(cluster, SIM_NEWS, number);

    if (event->kind == EVENT_RECORD) {
        note->value = event->record->revision;
        note->message_kind = event->record->kind;
        note->request = event->record->id.slot;
    } else {
        note->error = event->proposed.error;
    }
    cluster_step(cluster, number, event, NULL);
}

static void tell(struct cluster *cluster, uint32_t number, const struct event *told,
                 const struct record *record)
{
    struct event event = *told;
    struct sim_news *news;

    if (cluster->nodes[number].is_dead) {
        return; /* who comes again is told all that there is then */
    }
    event.now_ms = cluster->now_ms;
    if (!cluster->is_late[number]) {
        while (cluster_tell(cluster, number)) {
        }
        event.record = event.kind == EVENT_RECORD ? record : event.record;
        step_news(cluster, number, &event);
        return;
    }
    news = calloc(1, sizeof(*news));
    news->event = event;
    if (record != NULL) {
        news->record = *record;
    }
    if (cluster->news[number] == NULL) {
        cluster->news[number] = news;
    } else {
        cluster->last_news[number]->next = news;
    }
    cluster->last_news[number] = news;
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
    step_news(cluster, number, &news->event);
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

void cluster_tell_record(struct cluster *cluster, uint32_t node, const struct record *record)
{
    struct event event = {.kind = EVENT_RECORD};

    tell(cluster, node, &event, record);
}

static void tell_all(struct cluster *cluster, const struct record *record)
{
    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        cluster_tell_record(cluster, i, record);
    }
}

void cluster_publish(struct cluster *cluster, struct record *record)
{
    record->revision = ++cluster->revision;
    oracle_on_published(cluster, record);
    tell_all(cluster, record);
}

const struct record *cluster_add_record(struct cluster *cluster, const struct record *record)
{
    struct record *own;

    cluster_reserve_record(cluster);
    own = &cluster->records[cluster->count_records++];
    *own = *record;
    own->revision = ++cluster->revision;
    own->id = (region_id){cluster->count_records, (uint32_t)cluster->revision};
    oracle_on_published(cluster, own);
    return own;
}

void cluster_reserve_record(struct cluster *cluster)
{
    uint32_t old = cluster->room_records;

    cluster->records = cluster_grow(cluster->records, cluster->count_records,
                                    &cluster->room_records, sizeof(struct record));
    memset(cluster->records + old, 0, (cluster->room_records - old) * sizeof(struct record));
}

void cluster_propose(struct cluster *cluster, uint32_t node, const struct action *action)
{
    struct sim_proposal *proposal = calloc(1, sizeof(*proposal));
    struct sim_event *note = cluster_note(cluster, SIM_PROPOSED, node);

    note->message_kind = action->propose.proposal->kind;
    note->request = action->propose.ticket;
    proposal->node = node;
    proposal->ticket = action->propose.ticket;
    proposal->proposal = *action->propose.proposal;
    *cluster->last_proposal = proposal;
    cluster->last_proposal = &proposal->next;
}

void cluster_drop_proposals(struct cluster *cluster, uint32_t node)
{
    struct sim_proposal **place = &cluster->proposals;

    while (*place != NULL) {
        struct sim_proposal *proposal = *place;

        if (node == NODE_NONE || proposal->node == node) {
            *place = proposal->next;
            free(proposal);
        } else {
            place = &proposal->next;
        }
    }
    cluster->last_proposal = place;
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
    const struct record *made;
    struct record *record, *old;

    if (proposal->kind == PROPOSAL_NOTHING) {
        return 0;
    }
    record = find_record(cluster, proposal->record.id);
    old = find_record(cluster, proposal->replaces);
    if (proposal->kind == PROPOSAL_CREATE) {
        if (old != NULL) {
            old->unlinked = true;
            cluster_publish(cluster, old);
        } else if (name_is_taken(cluster, &proposal->record)) {
            return DSM_EEXIST;
        }
        made = cluster_add_record(cluster, &proposal->record);
        tell_all(cluster, made);
        *id = made->id;
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

/* Take the oldest proposal off; the caller frees it. */
static struct sim_proposal *take_proposal(struct cluster *cluster)
{
    struct sim_proposal *proposal = cluster->proposals;

    if (proposal != NULL) {
        cluster->proposals = proposal->next;
        if (cluster->proposals == NULL) {
            cluster->last_proposal = &cluster->proposals;
        }
    }
    return proposal;
}

/* Answer one proposal; with `error`, whether it is carried out or not. */
static bool decide(struct cluster *cluster, int32_t error, bool is_done)
{
    struct sim_proposal *proposal = take_proposal(cluster);
    struct event event = {.kind = EVENT_PROPOSED};
    struct sim_event *note;

    if (proposal == NULL) {
        return false;
    }
    if (cluster->records[proposal->node].alive) {
        event.proposed.ticket = proposal->ticket;
        if (is_done) {
            event.proposed.error = apply(cluster, &proposal->proposal, &event.proposed.id);
        }
        if (error != 0) {
            event.proposed.error = error;
            event.proposed.id = (region_id){0, 0};
        }
        note = cluster_note(cluster, SIM_DECIDED, proposal->node);
        note->request = proposal->ticket;
        note->error = event.proposed.error;
        tell(cluster, proposal->node, &event, NULL);
    }
    free(proposal);
    return true;
}

bool cluster_decide(struct cluster *cluster)
{
    return decide(cluster, 0, true);
}

bool cluster_decide_badly(struct cluster *cluster, int32_t error, bool is_done)
{
    return decide(cluster, error, is_done);
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
    cluster_note(cluster, SIM_DECLARED, node)->epoch = cluster->epoch;
    oracle_on_declared(cluster, node);
    cluster_publish(cluster, record);
    release_regions(cluster, node);
}

void cluster_stop(struct cluster *cluster, uint32_t node)
{
    cluster_note(cluster, SIM_DEATH, node);
    oracle_on_death(cluster, node);
    cluster->nodes[node].is_dead = true;
    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        while (cluster_lose(cluster, i, node)) {
        }
    }
    cluster_drop_proposals(cluster, node);
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
    if (cluster->nodes[node].is_dead) {
        cluster_stop(cluster, node); /* what is on its way to it is lost, not what it has sent */
    } else {
        cluster_kill(cluster, node);
    }
    if (cluster->records[node].alive) {
        cluster_declare_dead(cluster, node);
    }
    cluster_drop_news(cluster, node);
    cluster_free_node(cluster, node);
    cluster_make_node(cluster, node);
    cluster_note(cluster, SIM_RESTART, node);
    cluster->records[node].id.generation += cluster->count_nodes;
    cluster->records[node].joined = cluster->revision + 1;
    cluster->records[node].alive = true;
    for (uint32_t i = 0; i < cluster->count_records; i++) {
        if (!cluster->records[i].deleted && i != node) {
            cluster_tell_record(cluster, node, &cluster->records[i]);
        }
    }
    cluster_publish(cluster, &cluster->records[node]);
}
