/* SPDX-License-Identifier: Apache-2.0 */
/* What the simulated cluster offers to look at, and to make trouble with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dsm/core/home.h"
#include "dsm/core/page.h"
#include "tests/sim/oracle.h"

#define NODES 3u
#define PAGE 5u
/** Of a hardware page of 64 KiB. */
#define GROUP_PAGES 16u
#define ROUNDS 4000u
/** Of a millisecond each, that one of two waits at most. */
#define WAIT_ROUNDS 40u

/** Three nodes, the first homes all pages of a region that all have mapped. */
struct story {
    struct cluster *cluster;
    uint64_t handle[NODES];
    map_id map[NODES];
};

static void begin_on(struct story *story, const struct sim_machine *machines)
{
    struct node_config config = {.read_ahead_pages = 1};

    story->cluster = cluster_new_unlike(NODES, &config, nodeset_of(0), machines);
    for (uint32_t i = 0; i < NODES; i++) {
        story->handle[i] = cluster_open(story->cluster, i, 1, "/r", 64, DSM_HOME_CREATOR);
        story->map[i] = cluster_map(story->cluster, i, 1, story->handle[i]);
    }
    cluster_take_log(story->cluster);
    cluster_write(story->cluster, 1, story->map[1], PAGE, 7);
    cluster_run(story->cluster);
}

static void begin(struct story *story)
{
    static const struct sim_machine alike[NODES];

    begin_on(story, alike);
}

static void test_view_tells_what_a_node_knows_of_a_page(void **state)
{
    struct story story;
    struct page_view view;
    region_id id;
    uint64_t value;

    (void)state;
    begin(&story);
    id = story.cluster->regions[0];
    node_page_view(story.cluster->nodes[2].node, id, PAGE, &view);
    assert_int_equal(view.state, PAGE_ABSENT);
    assert_int_equal(view.home.owner, NODE_NONE); /* it is not the home */
    node_page_view(story.cluster->nodes[1].node, id, PAGE, &view);
    assert_int_equal(view.state, PAGE_WRITE);
    assert_true(view.is_owner);
    cluster_touch(story.cluster, 2, story.map[2], PAGE, true, &value);
    node_page_view(story.cluster->nodes[2].node, id, PAGE, &view);
    assert_int_equal(view.request, REQUEST_WRITE);
    cluster_deliver(story.cluster, 2, 0);
    cluster_touch(story.cluster, 0, story.map[0], PAGE, false, &value);
    node_page_view(story.cluster->nodes[0].node, id, PAGE, &view);
    assert_int_equal(view.home.owner, 1);
    assert_true(nodeset_has(view.home.readers, 1));
    assert_int_equal(view.home.transfer, TRANSFER_WRITE);
    assert_int_equal(view.home.requester, 2);
    assert_true(view.home.version > view.home.written);
    assert_int_equal(view.home.count_waiters, 1);
    id.generation++;
    node_page_view(story.cluster->nodes[0].node, id, PAGE, &view);
    assert_int_equal(view.home.owner, NODE_NONE);
    assert_int_equal(view.home.written, 0);
    cluster_free(story.cluster);
}

static void test_outcome_of_an_addition_may_come_late(void **state)
{
    struct story story;
    struct reply reply;
    uint64_t number;

    (void)state;
    begin(&story);
    story.cluster->atomics_are_late = true;
    number = cluster_sync(story.cluster, 2, 1, story.handle[2], SYNC_FETCH_ADD, PAGE * 4096, 3, -1);
    cluster_run(story.cluster);
    assert_int_equal(cluster_latest(story.cluster, 0, PAGE), 10);
    assert_false(cluster_reply(story.cluster, 2, number, &reply));
    assert_true(cluster_finish_atomic(story.cluster, 0));
    assert_false(cluster_finish_atomic(story.cluster, 0));
    cluster_run(story.cluster);
    assert_true(cluster_reply(story.cluster, 2, number, &reply));
    assert_int_equal(reply.value, 7);
    cluster_free(story.cluster);
}

static void test_keeper_may_fail_a_proposal_done_or_not(void **state)
{
    struct call call = {.kind = CALL_OPEN,
                        .object = RECORD_REGION,
                        .oflag = CALL_OFLAG_WRITE | CALL_OFLAG_CREATE | CALL_OFLAG_EXCLUSIVE,
                        .mode = 0666,
                        .name = "/n"};
    static const int32_t again[] = {0, DSM_EEXIST};
    struct reply reply;
    uint64_t number;

    (void)state;
    for (uint32_t is_done = 0; is_done < 2; is_done++) {
        struct story story;

        begin(&story);
        story.cluster->keeper_is_away = true;
        number = cluster_call_start(story.cluster, 1, 1, &call);
        cluster_run(story.cluster);
        assert_false(cluster_reply(story.cluster, 1, number, &reply));
        assert_true(cluster_decide_badly(story.cluster, DSM_EKEEPER, is_done));
        cluster_heal(story.cluster);
        cluster_run(story.cluster);
        assert_true(cluster_reply(story.cluster, 1, number, &reply));
        assert_int_equal(reply.error, DSM_EKEEPER);
        assert_false(cluster_decide_badly(story.cluster, DSM_EKEEPER, true));
        assert_int_equal(cluster_call(story.cluster, 1, 1, &call).error, again[is_done]);
        cluster_free(story.cluster);
    }
}

/* What a node writes that was declared dead while it ran is lost with it, or seen by all. */
static void test_outcast_runs_on_and_its_writes_may_be_lost(void **state)
{
    struct story story;
    uint64_t value = 8;

    (void)state;
    begin(&story);
    cluster_declare_dead(story.cluster, 1);
    cluster_run(story.cluster);
    assert_int_equal(cluster_read(story.cluster, 2, story.map[2], PAGE), UINT64_MAX);
    assert_true(cluster_touch(story.cluster, 1, story.map[1], PAGE, true, &value));
    assert_int_equal(cluster_latest(story.cluster, 0, PAGE), 8);
    assert_true(oracle_may_be_lost(story.cluster, 0, PAGE));
    cluster_restart(story.cluster, 1);
    cluster_run(story.cluster);
    assert_false(cluster_frame(story.cluster, 1, 0, PAGE)->present);
    cluster_free(story.cluster);
}

/*
 * An outcast gets a page from a home that has not heard of its death, and what it writes there is
 * lost with it; what it has sent is under way still when its next incarnation runs.
 */
static void test_message_of_an_outcast_is_not_of_its_next_incarnation(void **state)
{
    struct story story;
    struct page_view view;
    uint64_t value = 9, refused;

    (void)state;
    begin(&story);
    for (uint32_t i = 0; i < 2; i++) {
        story.cluster->is_late[i] = true;
    }
    cluster_declare_dead(story.cluster, 1);
    assert_false(cluster_touch(story.cluster, 1, story.map[1], PAGE + 1, true, &value));
    cluster_run(story.cluster);
    assert_true(cluster_touch(story.cluster, 1, story.map[1], PAGE + 1, true, &value));
    assert_true(oracle_may_be_lost(story.cluster, 0, PAGE + 1));
    assert_false(cluster_touch(story.cluster, 1, story.map[1], PAGE + 2, true, &value));
    cluster_stop(story.cluster, 1);
    cluster_restart(story.cluster, 1);
    assert_non_null(cluster_first(story.cluster, 1, 0)); /* the old one's WRITE */
    while (cluster_tell(story.cluster, 0)) {
    }
    refused = node_counters(story.cluster->nodes[0].node)->old_epoch;
    cluster_run(story.cluster);
    assert_true(node_counters(story.cluster->nodes[0].node)->old_epoch > refused);
    node_page_view(story.cluster->nodes[0].node, story.cluster->regions[0], PAGE + 2, &view);
    assert_int_equal(view.home.owner, NODE_NONE);
    assert_int_equal(cluster_read(story.cluster, 2, story.map[2], PAGE + 1), UINT64_MAX);
    assert_int_equal(cluster_read(story.cluster, 2, story.map[2], PAGE + 2), 0);
    cluster_free(story.cluster);
}

/* As many as a cluster may have; ways that are not empty come in order. */
static void test_cluster_of_all_nodes_works(void **state)
{
    struct node_config config = {.read_ahead_pages = 1};
    struct cluster *cluster = cluster_new(NODES_MAX, &config);
    uint32_t last = NODES_MAX - 1, from = 0, to = 0;
    uint64_t handle, value = 0;
    map_id map[2];

    (void)state;
    cluster_open(cluster, 0, 1, "/r", 8, DSM_HOME_CREATOR);
    for (uint32_t i = 0; i < 2; i++) {
        handle = cluster_open(cluster, last - i, 1, "/r", 8, DSM_HOME_CREATOR);
        map[i] = cluster_map(cluster, last - i, 1, handle);
    }
    for (uint32_t i = 0; i < 2; i++) {
        assert_false(cluster_touch(cluster, last - i, map[i], PAGE, false, &value));
    }
    assert_true(cluster_next_link(cluster, &from, &to));
    assert_int_equal(from, last - 1);
    assert_int_equal(to, 0);
    to++;
    assert_true(cluster_next_link(cluster, &from, &to));
    assert_int_equal(from, last);
    to++;
    assert_false(cluster_next_link(cluster, &from, &to));
    cluster_write(cluster, last, map[0], PAGE, 9);
    assert_int_equal(cluster_read(cluster, last - 1, map[1], PAGE), 9);
    cluster_restart(cluster, last);
    cluster_run(cluster);
    assert_true(nodeset_has(node_members(cluster->nodes[0].node), last));
    cluster_free(cluster);
}

/* One message on each way, and a program of each of these nodes that wants to write once. */
static void fight(struct story *story, const uint32_t *fighters, uint32_t *waited, uint64_t round)
{
    uint32_t from = 0, to = 0;

    for (uint32_t i = 0; i < 2; i++) {
        uint64_t value = 2 * round + i + 1;
        uint64_t page = (round + 3 * i) % GROUP_PAGES;

        if (cluster_touch(story->cluster, fighters[i], story->map[fighters[i]], page, true,
                          &value)) {
            waited[i] = 0;
        }
        assert_true(++waited[i] <= WAIT_ROUNDS);
    }
    for (; cluster_next_link(story->cluster, &from, &to); to++) {
        cluster_deliver(story->cluster, from, to);
    }
    cluster_tick(story->cluster, 1);
}

/* Each of two nodes needs all pages of a group at once, and takes them from the other. */
static void test_two_nodes_of_large_pages_both_get_their_turns(void **state)
{
    static const struct sim_machine machines[NODES] = {{0, false}, {65536, false}, {65536, true}};
    static const struct sim_machine mixed[NODES] = {{65536, false}, {16384, false}, {0, true}};
    static const uint32_t fighters[] = {1, 2};

    (void)state;
    for (uint32_t kind = 0; kind < 2; kind++) {
        struct story story;
        uint32_t waited[2] = {0, 0};

        begin_on(&story, kind == 0 ? machines : mixed);
        for (uint64_t round = 0; round < ROUNDS; round++) {
            fight(&story, fighters, waited, round);
        }
        cluster_free(story.cluster);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view_tells_what_a_node_knows_of_a_page),
        cmocka_unit_test(test_outcome_of_an_addition_may_come_late),
        cmocka_unit_test(test_keeper_may_fail_a_proposal_done_or_not),
        cmocka_unit_test(test_outcast_runs_on_and_its_writes_may_be_lost),
        cmocka_unit_test(test_message_of_an_outcast_is_not_of_its_next_incarnation),
        cmocka_unit_test(test_cluster_of_all_nodes_works),
        cmocka_unit_test(test_two_nodes_of_large_pages_both_get_their_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
