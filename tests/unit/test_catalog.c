/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog as a cluster uses it: one order for all, over cuts and restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dsm.h"
#include "tests/unit/cluster.h"

static int set_up(void **state)
{
    struct cluster *cluster = calloc(1, sizeof(*cluster));
    assert_non_null(cluster);
    cluster_open(cluster);
    cluster_add(cluster, &cluster->b, "b", 21);
    cluster_add(cluster, &cluster->c, "c", 31);
    *state = cluster;
    return 0;
}

static int tear_down(void **state)
{
    struct cluster *cluster = *state;
    cluster_close(cluster);
    free(cluster);
    return 0;
}

/* Check that all three have seen the same since a revision. */
static void check_even(struct cluster *cluster, uint64_t revision)
{
    struct node_host *const nodes[] = {&cluster->a, &cluster->b, &cluster->c};
    cluster_check_even(cluster, revision, nodes, 3);
}

static bool all_are_connected(void *context)
{
    struct cluster *cluster = context;
    return peers_is_up(cluster->a.host.peers, 1) && peers_is_up(cluster->a.host.peers, 2) &&
           peers_is_up(cluster->b.host.peers, 0) && peers_is_up(cluster->b.host.peers, 2) &&
           peers_is_up(cluster->c.host.peers, 0) && peers_is_up(cluster->c.host.peers, 1);
}

/* Numbers in order of joining, everybody knows everybody, and all are connected with all, once. */
static void test_members_join_and_find_each_other(void **state)
{
    struct cluster *cluster = *state;
    assert_int_equal(cluster->b.node, 1);
    assert_int_equal(cluster->c.node, 2);
    assert_int_equal(cluster->b.count_joined, 1);
    assert_true(stage_run(&cluster->stage, all_are_connected, cluster));
    check_even(cluster, node_host_revision(&cluster->c));
    const struct record *record = node_host_find(&cluster->b, RECORD_NODE, "c");
    assert_non_null(record);
    assert_true(record->alive);
    assert_int_equal(record->id.slot, 2);
    assert_int_equal(record->id.generation, 31);
    assert_string_equal(record->address, cluster->c.host.address);
    assert_int_equal(cluster->a.host.count_up, 2);
    assert_int_equal(cluster->b.host.count_up, 2);
    assert_int_equal(cluster->c.host.count_up, 2);
}

static void test_availability_says_who_and_where(void **state)
{
    struct cluster *cluster = *state;
    char text[TEXT_BYTES_MAX], expected[TEXT_BYTES_MAX];
    const struct catalog *b = cluster->b.host.catalog;
    assert_true(b->ops->is_available(b, text));
    snprintf(expected, sizeof(expected), "keeper 'a' at %s is connected", cluster->a.host.address);
    assert_string_equal(text, expected);
    const struct catalog *a = cluster->a.host.catalog;
    assert_true(a->ops->is_available(a, text));
    snprintf(expected, sizeof(expected), "keeper 'a' at %s is this agent", cluster->a.host.address);
    assert_string_equal(text, expected);
}

/* Proposals of all at once: one order for everybody, and each outcome after what it has changed. */
static void test_proposals_of_all_have_one_order(void **state)
{
    struct cluster *cluster = *state;
    struct node_host *nodes[] = {&cluster->a, &cluster->b, &cluster->c};
    uint64_t before = node_host_revision(&cluster->c);
    char name[96];
    for (uint64_t ticket = 1; ticket <= 20; ticket++) {
        for (uint32_t i = 0; i < 3; i++) {
            snprintf(name, sizeof(name), "/%s-%u", nodes[i]->name, (unsigned int)ticket);
            node_host_create(nodes[i], ticket, name);
        }
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(node_host_await(nodes[i], 20), 0);
        assert_int_equal(nodes[i]->count_outcomes, 20);
        for (uint32_t j = 0; j < 20; j++) {
            const struct outcome *outcome = &nodes[i]->outcomes[j];
            bool is_known = false;
            assert_int_equal(outcome->ticket, j + 1);
            assert_int_equal(outcome->error, 0);
            for (uint32_t k = 0; k < outcome->count_records; k++) {
                is_known |= region_id_equal(nodes[i]->records.records[k].id, outcome->id);
            }
            assert_true(is_known);
        }
    }
    check_even(cluster, before);
    assert_int_equal(node_host_revision(&cluster->a), before + 60);
}

/* Two change the same revision: one goes through, the other is told to look again. */
static void test_conflicting_updates_one_wins(void **state)
{
    struct cluster *cluster = *state;
    node_host_create(&cluster->b, 1, "/x");
    assert_int_equal(node_host_await(&cluster->b, 1), 0);
    check_even(cluster, node_host_revision(&cluster->b));
    struct record grown = *node_host_find(&cluster->b, RECORD_REGION, "/x");
    struct record opened = *node_host_find(&cluster->c, RECORD_REGION, "/x");
    grown.size_bytes = 8192;
    nodeset_add(&opened.readers, 2);
    node_host_update(&cluster->b, 2, &grown);
    node_host_update(&cluster->c, 2, &opened);
    int first = node_host_await(&cluster->b, 2);
    int second = node_host_await(&cluster->c, 2);
    assert_true((first == 0 && second == DSM_EAGAIN) || (first == DSM_EAGAIN && second == 0));
    node_host_create(&cluster->c, 3, "/x");
    assert_int_equal(node_host_await(&cluster->c, 3), DSM_EEXIST);
}

/* A node changes its own part only, whatever it sends. */
static void test_proposal_for_another_node_is_refused(void **state)
{
    struct cluster *cluster = *state;
    node_host_create(&cluster->b, 1, "/x");
    assert_int_equal(node_host_await(&cluster->b, 1), 0);
    struct record record = *node_host_find(&cluster->b, RECORD_REGION, "/x");
    nodeset_add(&record.readers, 2);
    node_host_update(&cluster->b, 2, &record);
    assert_int_equal(node_host_await(&cluster->b, 2), DSM_EACCES);
}

static void cut(struct node_host *node, const char *other)
{
    struct peer *peer = host_find(&node->host, other, 0);
    assert_non_null(peer);
    peers_refuse(node->host.peers, peer, DSM_ETIMEDOUT, "cut by the test");
}

/* A cut loses no record and no proposal, and does nothing twice; nobody is declared dead. */
static void test_cut_connection_loses_nothing_and_repeats_nothing(void **state)
{
    struct cluster *cluster = *state;
    uint64_t before = node_host_revision(&cluster->c);
    node_host_create(&cluster->b, 1, "/sent-before-the-cut");
    cut(&cluster->b, "a"); /* the keeper gets the proposal, its answer finds nobody */
    node_host_create(&cluster->b, 2, "/during-the-cut");
    node_host_create(&cluster->a, 1, "/meanwhile");
    assert_int_equal(node_host_await(&cluster->b, 1), 0);
    assert_int_equal(node_host_await(&cluster->b, 2), 0);
    check_even(cluster, before);
    assert_int_equal(node_host_revision(&cluster->a), before + 3);
    assert_int_equal(cluster->b.count_joined, 1);
    assert_int_equal(cluster->b.count_refused, 0);
    assert_int_equal(cluster->b.host.downs, 1);
    const struct record *record = node_host_find(&cluster->c, RECORD_NODE, "b");
    assert_true(record->alive);
    assert_int_equal(record->epoch, 0);
}

/* What the keeper answers comes after the news of all that was changed before, whoever changed it,
 * and though the connection breaks; its own agent is no exception. */
static void test_outcome_comes_after_the_news_of_all_before(void **state)
{
    struct cluster *cluster = *state;
    struct node_host *const askers[] = {&cluster->b, &cluster->b, &cluster->a};
    for (uint32_t i = 0; i < 3; i++) {
        char name[32], other[32];
        snprintf(name, sizeof(name), "/of-a-%u", i);
        snprintf(other, sizeof(other), "/of-c-%u", i);
        node_host_create(&cluster->c, 10 + i, other);
        assert_int_equal(node_host_await(&cluster->c, 10 + i), 0);
        node_host_create(&cluster->a, 10 + i, name);
        if (i == 1) {
            cut(&cluster->b, "a");
        }
        node_host_ask(askers[i], 20 + i); /* before a's own agent has heard of its name */
        assert_int_equal(node_host_await(askers[i], 20 + i), 0);
        const struct outcome *outcome = node_host_outcome(askers[i], 20 + i);
        uint32_t found = 0;
        for (uint32_t j = 0; j < outcome->count_records; j++) {
            const struct record *record = &askers[i]->records.records[j];
            found += strcmp(record->name, name) == 0 || strcmp(record->name, other) == 0;
        }
        assert_int_equal(found, 2);
    }
}

static bool b_misses_the_keeper(void *context)
{
    struct cluster *cluster = context;
    char text[TEXT_BYTES_MAX];
    const struct catalog *b = cluster->b.host.catalog;
    return !b->ops->is_available(b, text) && strstr(text, "connection refused") != NULL;
}

/* The keeper goes and comes back: everything is there, its old incarnation is dead, work goes on.
 */
static void test_keeper_restart_loses_nothing(void **state)
{
    struct cluster *cluster = *state;
    char text[TEXT_BYTES_MAX], expected[TEXT_BYTES_MAX];
    node_host_create(&cluster->a, 1, "/of-a");
    node_host_create(&cluster->b, 1, "/of-b");
    assert_int_equal(node_host_await(&cluster->b, 1), 0);
    assert_int_equal(node_host_await(&cluster->a, 1), 0);
    check_even(cluster, node_host_revision(&cluster->b));
    uint64_t before = node_host_revision(&cluster->b);
    cluster->a.host.catalog->ops->leave(cluster->a.host.catalog);
    host_close(&cluster->a.host);
    node_host_create(&cluster->b, 2, "/while-it-is-away");
    assert_true(stage_run(&cluster->stage, b_misses_the_keeper, cluster));
    cluster->b.host.catalog->ops->is_available(cluster->b.host.catalog, text);
    snprintf(expected, sizeof(expected),
             "keeper at %s cannot be reached: connection refused, retrying",
             cluster->a.host.address);
    assert_string_equal(text, expected);
    assert_null(node_host_outcome(&cluster->b, 2));
    cluster->a.count_outcomes = 0;
    cluster_restart_keeper(cluster, 12);
    assert_int_equal(cluster->a.node, 0);
    assert_int_equal(node_host_await(&cluster->b, 2), 0);
    check_even(cluster, before + 2); /* the keeper itself starts with what is, not with what was */
    assert_non_null(node_host_find(&cluster->a, RECORD_REGION, "/of-b"));
    const struct record *record = node_host_find(&cluster->c, RECORD_NODE, "a");
    assert_int_equal(record->id.generation, 12);
    assert_true(record->alive);
    assert_int_equal(record->epoch, 1);
    record = node_host_find(&cluster->c, RECORD_REGION, "/of-a");
    assert_int_equal(nodeset_word(record->readers), 0); /* its programs are gone with it */
    assert_true(node_host_find(&cluster->c, RECORD_NODE, "b")->alive);
    assert_true(stage_run(&cluster->stage, all_are_connected, cluster));
}

static bool is_refused(void *context)
{
    return ((struct node_host *)context)->count_refused > 0;
}

/* A second agent of a name that is alive is told who has it; the first is not disturbed. */
static void test_second_agent_of_a_name_is_refused(void **state)
{
    struct cluster *cluster = *state;
    char expected[TEXT_BYTES_MAX];
    uint64_t before = node_host_revision(&cluster->c);
    cluster_start(cluster, &cluster->d, "b", 99, 5000);
    assert_true(stage_run(&cluster->stage, is_refused, &cluster->d));
    assert_int_equal(cluster->d.refused, DSM_EEXIST);
    snprintf(expected, sizeof(expected), "node name 'b' is in use by the agent at %s",
             cluster->b.host.address);
    assert_non_null(strstr(cluster->d.refused_text, expected));
    assert_int_equal(cluster->d.count_joined, 0);
    node_host_close(&cluster->d);
    node_host_create(&cluster->b, 1, "/still-here");
    assert_int_equal(node_host_await(&cluster->b, 1), 0);
    assert_int_equal(node_host_revision(&cluster->b), before + 1);
    assert_int_equal(cluster->b.host.downs, 0);
    assert_int_equal(cluster->b.count_refused, 0);
}

static void test_agent_of_the_keepers_name_is_refused(void **state)
{
    struct cluster *cluster = *state;
    cluster_start(cluster, &cluster->d, "a", 99, 5000);
    assert_true(stage_run(&cluster->stage, is_refused, &cluster->d));
    assert_int_equal(cluster->d.refused, DSM_EEXIST);
    assert_non_null(strstr(cluster->d.refused_text, cluster->a.host.address));
}

static bool c_sees_b_dead(void *context)
{
    struct cluster *cluster = context;
    return !node_host_find(&cluster->c, RECORD_NODE, "b")->alive;
}

/* Who leaves in good order is dead at once and not after its lease; started again it is a new one.
 */
static void test_leaving_is_a_death_without_a_wait(void **state)
{
    struct cluster *cluster = *state;
    cluster->a.host.config.lease_ms = 60000;
    node_host_create(&cluster->b, 1, "/x");
    assert_int_equal(node_host_await(&cluster->b, 1), 0);
    cluster->b.host.catalog->ops->leave(cluster->b.host.catalog);
    assert_true(stage_run(&cluster->stage, c_sees_b_dead, cluster));
    struct node_host *const rest[] = {&cluster->a, &cluster->c};
    cluster_check_even(cluster, 3, rest, 2);
    assert_int_equal(node_host_find(&cluster->c, RECORD_NODE, "b")->epoch, 1);
    assert_int_equal(nodeset_word(node_host_find(&cluster->c, RECORD_REGION, "/x")->readers), 0);
    node_host_close(&cluster->b);
    record_list_close(&cluster->b.records);
    stage_run_ms(&cluster->stage, 1);
    tls_context_free(cluster->b.host.tls);
    cluster_add(cluster, &cluster->b, "b", 22);
    assert_int_equal(cluster->b.node, 1);
    check_even(cluster, node_host_revision(&cluster->b));
}

static void test_second_keeper_on_the_file_is_refused(void **state)
{
    struct cluster *cluster = *state;
    struct catalog *catalog = NULL;
    struct catalog_events events = {0};
    char text[TEXT_BYTES_MAX] = "";
    assert_int_equal(catalog_keeper_new(&cluster->stage.loop, &cluster->b.host.config,
                                        cluster->a.path, cluster->b.host.peers, &events, &catalog,
                                        text),
                     DSM_EBUSY);
    assert_non_null(strstr(text, cluster->a.path));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_members_join_and_find_each_other),
        TEST(test_availability_says_who_and_where),
        TEST(test_proposals_of_all_have_one_order),
        TEST(test_conflicting_updates_one_wins),
        TEST(test_proposal_for_another_node_is_refused),
        TEST(test_cut_connection_loses_nothing_and_repeats_nothing),
        TEST(test_outcome_comes_after_the_news_of_all_before),
        TEST(test_keeper_restart_loses_nothing),
        TEST(test_second_agent_of_a_name_is_refused),
        TEST(test_agent_of_the_keepers_name_is_refused),
        TEST(test_leaving_is_a_death_without_a_wait),
        TEST(test_second_keeper_on_the_file_is_refused),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
