/* SPDX-License-Identifier: Apache-2.0 */
/* How the end of a barrier's round gets about where nodes are many (S7 in barrier.c). */
#include "dsm/core/barrier.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dsm/core/node_parts.h"
#include "tests/sim/cluster_parts.h"

#define NODES 16u
#define OFFSET 64u
#define WAITS 1

/** A program on each node, with a region of node 0. */
struct place {
    struct cluster *cluster;
    uint64_t handle[NODES];
    uint64_t number[NODES]; /* of the call that is under way */
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    struct node_config config = {.read_ahead_pages = 1};

    place->cluster = cluster_new(NODES, &config);
    for (uint32_t i = 0; i < NODES; i++) {
        place->handle[i] = cluster_open(place->cluster, i, 1, "/r", 1, DSM_HOME_CREATOR);
    }
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    cluster_free(place->cluster);
    free(place);
    return 0;
}

static void arrive(struct place *place, uint32_t node, uint32_t parties)
{
    place->number[node] = cluster_sync(place->cluster, node, 1, place->handle[node], SYNC_BARRIER,
                                       OFFSET, parties, -1);
}

/* How its call ended; WAITS: it has not. */
static int32_t error_of(const struct place *place, uint32_t node)
{
    struct reply reply;

    return cluster_reply(place->cluster, node, place->number[node], &reply) ? reply.error : WAITS;
}

static void assert_all_passed(const struct place *place)
{
    for (uint32_t i = 0; i < NODES; i++) {
        assert_int_equal(error_of(place, i), 0);
    }
}

static uint64_t sent(const struct place *place, uint32_t node, uint32_t kind)
{
    return place->cluster->nodes[node].sent[kind];
}

/* Nodes 1 to 15 in four parts; a node tells what is left of its part. */
static void test_end_of_a_round_goes_from_node_to_node(void **state)
{
    struct place *place = *state;

    for (uint32_t round = 1; round <= 3; round++) {
        for (uint32_t i = 0; i < NODES; i++) {
            arrive(place, i, NODES);
        }
        cluster_run(place->cluster);
        assert_all_passed(place);
        assert_int_equal(sent(place, 0, MESSAGE_SYNC_REPLY), 0);
        assert_int_equal(sent(place, 0, MESSAGE_BARRIER_OVER), round * BARRIER_FAN);
        assert_int_equal(sent(place, 1, MESSAGE_BARRIER_OVER), round * 2); /* 1 to 3 */
        assert_int_equal(sent(place, 2, MESSAGE_BARRIER_OVER), 0);
        assert_int_equal(sent(place, 4, MESSAGE_BARRIER_OVER), round * 3); /* 4 to 7 */
    }
}

/* A node with two parties, and those around it when they are few, are told by the home. */
static void test_node_with_two_parties_is_told_by_the_home(void **state)
{
    struct place *place = *state;
    uint64_t second;

    for (uint32_t i = 0; i < NODES; i++) {
        arrive(place, i, NODES + 1);
    }
    second = cluster_sync(place->cluster, 5, 1, place->handle[5], SYNC_BARRIER, OFFSET, NODES + 1,
                          -1);
    cluster_run(place->cluster);
    assert_all_passed(place);
    place->number[5] = second;
    assert_all_passed(place);
    assert_int_equal(sent(place, 0, MESSAGE_SYNC_REPLY), 6); /* 1 to 4, and 5 twice */
    assert_int_equal(sent(place, 0, MESSAGE_BARRIER_OVER), BARRIER_FAN);
}

/* What is lost on the way is asked for, by each that waits. */
static void test_lost_news_are_asked_for(void **state)
{
    struct place *place = *state;

    for (uint32_t i = 0; i < NODES; i++) {
        arrive(place, i, NODES);
    }
    place->cluster->is_held[0][4] = true;
    cluster_run(place->cluster);
    assert_int_equal(error_of(place, 3), 0);
    for (uint32_t i = 4; i < 8; i++) {
        assert_int_equal(error_of(place, i), WAITS);
    }
    assert_true(cluster_lose(place->cluster, 0, 4));
    place->cluster->is_held[0][4] = false;
    cluster_advance(place->cluster, 1000);
    assert_all_passed(place);
}

/* News of a round that a node has passed long ago let nobody go. */
static void test_late_news_let_nobody_go(void **state)
{
    struct place *place = *state;

    for (uint32_t i = 0; i < NODES; i++) {
        arrive(place, i, NODES);
    }
    place->cluster->is_held[0][4] = true;
    cluster_run(place->cluster);
    cluster_advance(place->cluster, 1000); /* 5 to 7 have asked; the answer to 4 waits as well */
    assert_int_equal(error_of(place, 5), 0);
    arrive(place, 5, NODES); /* and comes again before the others */
    place->cluster->is_held[0][4] = false;
    cluster_run(place->cluster);
    assert_int_equal(error_of(place, 4), 0);
    assert_int_equal(error_of(place, 5), WAITS);
}

/* Who has another call at the same barrier does not know which is meant. */
static void test_node_with_two_calls_asks(void **state)
{
    struct place *place = *state;

    for (uint32_t i = 0; i < NODES; i++) {
        arrive(place, i, NODES);
    }
    place->cluster->is_held[0][4] = true;
    cluster_run(place->cluster);
    place->cluster->is_held[4][0] = true;
    cluster_sync(place->cluster, 4, 1, place->handle[4], SYNC_BARRIER, OFFSET, NODES, -1);
    place->cluster->is_held[0][4] = false;
    cluster_run(place->cluster);
    assert_int_equal(error_of(place, 4), WAITS);
    assert_int_equal(error_of(place, 7), 0); /* it has told the others */
    place->cluster->is_held[4][0] = false;
    cluster_advance(place->cluster, 1000);
    assert_int_equal(error_of(place, 4), 0);
}

/* Who told others has died: they ask. */
static void test_dead_teller_holds_nobody_up(void **state)
{
    struct place *place = *state;

    for (uint32_t i = 0; i < NODES; i++) {
        arrive(place, i, NODES);
    }
    place->cluster->is_held[0][4] = true;
    cluster_run(place->cluster);
    cluster_kill(place->cluster, 4);
    cluster_declare_dead(place->cluster, 4);
    cluster_run(place->cluster);
    for (uint32_t i = 5; i < 8; i++) {
        assert_int_equal(error_of(place, i), 0);
    }
}

/* Node 6 says to node 2 that rounds are over. */
static void say_over(const struct place *place, uint64_t first, uint64_t end)
{
    struct message message = {.kind = MESSAGE_BARRIER_OVER,
                              .from = 6,
                              .to = 2,
                              .epoch = node_epoch(place->cluster->nodes[2].node),
                              .region = place->cluster->regions[0],
                              .offset = OFFSET,
                              .version = 1000,
                              .operand = first,
                              .value = end};
    struct event event = {.kind = EVENT_MESSAGE, .now_ms = place->cluster->now_ms};

    event.message.message = &message;
    cluster_step(place->cluster, 2, &event, NULL);
    message.region.generation += 7;
    cluster_step(place->cluster, 2, &event, NULL); /* of a region that nobody knows */
}

/* News that are not for this node, or about nodes that there are not, are refused. */
static void test_wrong_news_are_refused(void **state)
{
    struct place *place = *state;
    const struct node_counters *counters = node_counters(place->cluster->nodes[2].node);

    arrive(place, 2, 2);
    say_over(place, 3, 4);
    say_over(place, 2, NODES_MAX + 1u);
    assert_int_equal(counters->refused, 2);
    cluster_client_gone(place->cluster, 6, 1);
    cluster_run(place->cluster);
    say_over(place, 2, 3); /* of a node that may not write to the region */
    assert_int_equal(counters->refused, 3);
    assert_int_equal(error_of(place, 2), WAITS);
    arrive(place, 0, 2);
    cluster_run(place->cluster);
    assert_int_equal(error_of(place, 2), 0);
}

/* The nodes from `first` on, but every third one, meet at a barrier of node 0. */
static void meet(struct cluster *cluster, const uint64_t *handle, uint32_t first)
{
    uint64_t number[NODES_MAX];
    uint32_t parties = 0;
    struct reply reply;

    for (uint32_t i = first; i < NODES_MAX; i++) {
        parties += i % 3 != 1;
    }
    for (uint32_t i = first; i < NODES_MAX; i++) {
        if (i % 3 != 1) {
            number[i] = cluster_sync(cluster, i, 1, handle[i], SYNC_BARRIER, OFFSET, parties, -1);
        }
    }
    cluster_run(cluster);
    for (uint32_t i = first; i < NODES_MAX; i++) {
        if (i % 3 != 1) {
            assert_true(cluster_reply(cluster, i, number[i], &reply));
            assert_int_equal(reply.error, 0);
        }
    }
}

/* Many runs of two nodes: some are told by the first of them, the others by the home. */
static void test_only_so_many_runs_tell_each_other(void **state)
{
    struct node_config config = {.read_ahead_pages = 1, .barrier_run = 2};
    struct cluster *cluster = cluster_new(NODES_MAX, &config);
    const uint64_t *sent = cluster->nodes[0].sent;
    uint64_t handle[NODES_MAX], over;

    (void)state;
    for (uint32_t i = 0; i < NODES_MAX; i++) {
        handle[i] = cluster_open(cluster, i, 1, "/r", 1, DSM_HOME_CREATOR);
    }
    meet(cluster, handle, 0);
    over = sent[MESSAGE_BARRIER_OVER];
    assert_in_range(over, 1, NODES_MAX / 3 - 1);
    assert_true(sent[MESSAGE_SYNC_REPLY] > 0);
    meet(cluster, handle, NODES_MAX - 5);
    assert_true(sent[MESSAGE_BARRIER_OVER] > over);
    cluster_free(cluster);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_end_of_a_round_goes_from_node_to_node),
        STORY(test_node_with_two_parties_is_told_by_the_home),
        STORY(test_lost_news_are_asked_for),
        STORY(test_late_news_let_nobody_go),
        STORY(test_node_with_two_calls_asks),
        STORY(test_dead_teller_holds_nobody_up),
        STORY(test_wrong_news_are_refused),
        cmocka_unit_test(test_only_so_many_runs_tell_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
