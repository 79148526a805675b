/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dsm.h"

/* What an agent does with the news. */

static void on_record(void *context, const struct record *record)
{
    struct node_host *node = context;
    assert_int_not_equal(node->node, NODE_NONE);
    assert_true(record->revision > node_host_revision(node));
    assert_int_equal(record_list_add(&node->records, record), 0);
    if (record->kind == RECORD_NODE && record->id.slot != node->node) {
        peers_set_member(node->host.peers, record->id.slot, record->name, record->id.generation,
                         record->address, record->alive);
    }
}

static void on_proposed(void *context, uint64_t ticket, int error, region_id id)
{
    struct node_host *node = context;
    assert_true(node->count_outcomes < OUTCOMES_MAX);
    assert_null(node_host_outcome(node, ticket));
    node->outcomes[node->count_outcomes++] = (struct outcome){
        .ticket = ticket, .error = error, .id = id, .count_records = node->records.count};
}

static void on_joined(void *context, uint32_t number)
{
    struct node_host *node = context;
    node->count_joined++;
    node->node = number;
    peers_set_self(node->host.peers, number);
}

static void on_refused(void *context, int error, const char *text)
{
    struct node_host *node = context;
    node->count_refused++;
    node->refused = error;
    snprintf(node->refused_text, sizeof(node->refused_text), "%s", text);
}

static struct catalog_events events_of(struct node_host *node)
{
    return (struct catalog_events){.context = node,
                                   .on_record = on_record,
                                   .on_proposed = on_proposed,
                                   .on_joined = on_joined,
                                   .on_refused = on_refused};
}

/* Starting and stopping. */

static void ask_to_join(struct node_host *node)
{
    struct host *host = &node->host;
    const struct joiner joiner = {.name = node->name,
                                  .address = host->address,
                                  .incarnation = host->incarnation,
                                  .machine = {.page_bytes = 4096, .word_bits = 64}};
    assert_int_equal(host->catalog->ops->join(host->catalog, &joiner), 0);
}

static void open_keeper(struct node_host *node)
{
    struct catalog_events events = events_of(node);
    char text[TEXT_BYTES_MAX] = "";
    struct host *host = &node->host;
    if (catalog_keeper_new(&host->stage->loop, &host->config, node->path, host->peers, &events,
                           &host->catalog, text) != 0) {
        fail_msg("%s", text);
    }
    ask_to_join(node);
}

static bool has_own_record(void *context)
{
    struct node_host *node = context;
    const struct record *record = node_host_find(node, RECORD_NODE, node->name);
    return record != NULL && record->alive && record->id.generation == node->host.incarnation;
}

void cluster_open(struct cluster *cluster)
{
    stage_open(&cluster->stage);
    struct node_host *a = &cluster->a;
    *a = (struct node_host){.name = "a", .node = NODE_NONE, .is_keeper = true};
    host_open(&a->host, &cluster->stage, "ca", "a", 11);
    certs_path(a->path, cluster->stage.directory, "catalog", ".db");
    open_keeper(a);
    assert_true(stage_run(&cluster->stage, has_own_record, a));
    assert_int_equal(a->node, 0);
}

void node_host_member(struct node_host *member)
{
    struct catalog_events events = events_of(member);
    struct host *host = &member->host;
    assert_int_equal(
        catalog_member_new(&host->stage->loop, &host->config, host->peers, &events, &host->catalog),
        0);
    ask_to_join(member);
}

void cluster_start(struct cluster *cluster, struct node_host *member, const char *name,
                   uint32_t incarnation, uint64_t lease_ms)
{
    *member = (struct node_host){.node = NODE_NONE};
    snprintf(member->name, sizeof(member->name), "%s", name);
    struct host *host = &member->host;
    host_open(host, &cluster->stage, "ca", name, incarnation);
    host->config.lease_ms = lease_ms;
    snprintf(host->config.keeper, sizeof(host->config.keeper), "%s", cluster->a.host.address);
    node_host_member(member);
}

void cluster_add(struct cluster *cluster, struct node_host *member, const char *name,
                 uint32_t incarnation)
{
    cluster_start(cluster, member, name, incarnation, 5000);
    assert_true(stage_run(&cluster->stage, has_own_record, member));
}

void cluster_restart_keeper(struct cluster *cluster, uint32_t incarnation)
{
    struct node_host *a = &cluster->a;
    record_list_close(&a->records);
    a->node = NODE_NONE;
    host_open_again(&a->host, incarnation);
    open_keeper(a);
    assert_true(stage_run(&cluster->stage, has_own_record, a));
}

void node_host_close(struct node_host *node)
{
    if (node->host.peers != NULL) {
        host_close(&node->host);
    }
}

void cluster_close(struct cluster *cluster)
{
    struct node_host *nodes[] = {&cluster->b, &cluster->c, &cluster->d, &cluster->a};
    for (uint32_t i = 0; i < 4; i++) {
        node_host_close(nodes[i]);
    }
    stage_close(&cluster->stage);
    for (uint32_t i = 0; i < 4; i++) {
        record_list_close(&nodes[i]->records);
        tls_context_free(nodes[i]->host.tls);
    }
}

/* Proposing. */

static void propose(struct node_host *node, uint64_t ticket, const struct proposal *proposal)
{
    struct catalog *catalog = node->host.catalog;
    uint32_t before = node->count_outcomes;
    assert_int_equal(catalog->ops->propose(catalog, ticket, proposal), 0);
    assert_int_equal(node->count_outcomes, before); /* never from inside */
}

void node_host_create(struct node_host *node, uint64_t ticket, const char *name)
{
    struct proposal proposal = {.kind = PROPOSAL_CREATE,
                                .record = {.kind = RECORD_REGION,
                                           .mode = 0600,
                                           .page_size = 4096,
                                           .readers = nodeset_of(node->node),
                                           .writers = nodeset_of(node->node)},
                                .credential = {.uid = 1000, .gid = 1000}};
    snprintf(proposal.record.name, sizeof(proposal.record.name), "%s", name);
    propose(node, ticket, &proposal);
}

void node_host_ask(struct node_host *node, uint64_t ticket)
{
    struct proposal proposal = {.kind = PROPOSAL_NOTHING, .record.kind = RECORD_REGION};
    propose(node, ticket, &proposal);
}

void node_host_update(struct node_host *node, uint64_t ticket, const struct record *record)
{
    struct proposal proposal = {
        .kind = PROPOSAL_UPDATE, .record = *record, .credential = {.uid = 1000, .gid = 1000}};
    propose(node, ticket, &proposal);
}

const struct outcome *node_host_outcome(const struct node_host *node, uint64_t ticket)
{
    for (uint32_t i = 0; i < node->count_outcomes; i++) {
        if (node->outcomes[i].ticket == ticket) {
            return &node->outcomes[i];
        }
    }
    return NULL;
}

struct awaited {
    struct node_host *node;
    uint64_t ticket;
};

static bool has_outcome(void *context)
{
    struct awaited *awaited = context;
    return node_host_outcome(awaited->node, awaited->ticket) != NULL;
}

int node_host_await(struct node_host *node, uint64_t ticket)
{
    struct awaited awaited = {node, ticket};
    assert_true(stage_run(node->host.stage, has_outcome, &awaited));
    const struct outcome *outcome = node_host_outcome(node, ticket);
    return outcome != NULL ? outcome->error : INT32_MIN;
}

/* Looking. */

const struct record *node_host_find(const struct node_host *node, uint32_t kind, const char *name)
{
    for (uint32_t i = node->records.count; i > 0; i--) {
        const struct record *record = &node->records.records[i - 1];
        if (record->kind == kind && strcmp(record->name, name) == 0) {
            return record;
        }
    }
    return NULL;
}

uint64_t node_host_revision(const struct node_host *node)
{
    uint32_t count = node->records.count;
    return count > 0 ? node->records.records[count - 1].revision : 0;
}

bool cluster_is_even(struct cluster *cluster, struct node_host *const *nodes, uint32_t count)
{
    (void)cluster;
    for (uint32_t i = 1; i < count; i++) {
        if (node_host_revision(nodes[i]) != node_host_revision(nodes[0])) {
            return false;
        }
    }
    return true;
}

struct compared {
    struct cluster *cluster;
    struct node_host *const *nodes;
    uint32_t count;
};

static bool is_even(void *context)
{
    struct compared *compared = context;
    return cluster_is_even(compared->cluster, compared->nodes, compared->count);
}

/** The first record after a revision. */
static uint32_t index_after(const struct node_host *node, uint64_t revision)
{
    uint32_t i = 0;
    while (i < node->records.count && node->records.records[i].revision <= revision) {
        i++;
    }
    return i;
}

void cluster_check_even(struct cluster *cluster, uint64_t revision, struct node_host *const *nodes,
                        uint32_t count)
{
    struct compared compared = {cluster, nodes, count};
    assert_true(stage_run(&cluster->stage, is_even, &compared));
    uint32_t first = index_after(nodes[0], revision);
    for (uint32_t i = 1; i < count; i++) {
        uint32_t other = index_after(nodes[i], revision);
        assert_int_equal(nodes[i]->records.count - other, nodes[0]->records.count - first);
        for (uint32_t j = first; j < nodes[0]->records.count; j++) {
            const struct record *x = &nodes[0]->records.records[j];
            const struct record *y = &nodes[i]->records.records[other + j - first];
            assert_int_equal(x->revision, y->revision);
            assert_int_equal(x->kind, y->kind);
            assert_true(region_id_equal(x->id, y->id));
            assert_string_equal(x->name, y->name);
            assert_true(nodeset_equal(x->readers, y->readers));
            assert_int_equal(x->alive, y->alive);
            assert_int_equal(x->deleted, y->deleted);
        }
    }
}
