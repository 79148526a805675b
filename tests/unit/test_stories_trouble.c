/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stories of the protocol when things go wrong, as transcripts in virtual time: messages are
 * lost and repeated, programs and nodes die, pages are evicted. Node 0 is the home of all pages.
 */
#include "tests/sim/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct story {
    struct cluster *cluster;
    uint64_t handle[4];
    map_id map[4];
    uint64_t counted; /* messages before the story */
};

/* What happens from here on is the story. */
static void begin_counting(struct story *story)
{
    cluster_take_log(story->cluster);
    story->counted = cluster_messages(story->cluster);
}

/* Four nodes, each with one program (client 1) that has mapped a region of 64 pages of node 0. */
static struct story begin(void)
{
    struct node_config config = {.read_ahead_pages = 16};
    struct story story = {.cluster = cluster_new(4, &config)};

    for (uint32_t i = 0; i < 4; i++) {
        story.handle[i] = cluster_open(story.cluster, i, 1, "/r", 64, DSM_HOME_CREATOR);
        assert_true(story.handle[i] != 0);
        story.map[i] = cluster_map(story.cluster, i, 1, story.handle[i]);
        assert_true(story.map[i] != 0);
    }
    begin_counting(&story);
    return story;
}

/* Since then so many messages were sent, repetitions and lost ones included. */
static void expect_count(struct story *story, uint64_t count)
{
    assert_int_equal(cluster_messages(story->cluster) - story->counted, count);
}

static void end(struct story *story)
{
    cluster_run(story->cluster);
    cluster_free(story->cluster);
}

static void expect(struct story *story, const char *transcript)
{
    assert_string_equal(cluster_take_log(story->cluster), transcript);
}

/* Node 1 writes a page, so that it is the owner. */
static void give_to(struct story *story, uint32_t node, uint64_t page, uint64_t value)
{
    cluster_write(story->cluster, node, story->map[node], page, value);
    cluster_run(story->cluster);
    begin_counting(story);
}

static bool touch(struct story *story, uint32_t node, uint64_t page, bool write, uint64_t *value)
{
    return cluster_touch(story->cluster, node, story->map[node], page, write, value);
}

static void test_lost_request_is_sent_again(void **state)
{
    struct story story = begin();
    uint64_t value;

    (void)state;
    give_to(&story, 0, 5, 7);
    assert_false(touch(&story, 1, 5, false, &value));
    assert_true(cluster_lose(story.cluster, 1, 0));
    cluster_run(story.cluster);
    assert_false(touch(&story, 1, 5, false, &value));
    expect(&story, "1>0 READ 5+1\nlost 1>0 READ 5+1\n");
    cluster_advance(story.cluster, 1000);
    expect(&story, "1>0 READ 5+1\n0>1 DATA 5+1\n1>0 CONFIRM 5+1\n");
    assert_true(touch(&story, 1, 5, false, &value));
    assert_int_equal(value, 7);
    expect_count(&story, 4);
    end(&story);
}

static void test_lost_bytes_of_a_writer_are_sent_again_from_what_was_kept(void **state)
{
    struct story story = begin();
    uint64_t value = 8;

    (void)state;
    give_to(&story, 1, 5, 7);
    assert_false(touch(&story, 2, 5, true, &value));
    cluster_deliver(story.cluster, 2, 0);
    cluster_deliver(story.cluster, 0, 1);
    assert_true(cluster_lose(story.cluster, 1, 2)); /* the only copy, but for the kept one */
    cluster_run(story.cluster);
    cluster_take_log(story.cluster);
    cluster_advance(story.cluster, 1000);
    assert_true(strstr(cluster_take_log(story.cluster), "1>2 DATA 5+1\n2>0 CONFIRM 5+1\n") != NULL);
    assert_int_equal(cluster_read(story.cluster, 2, story.map[2], 5), 7);
    assert_null(story.cluster->nodes[1].kept); /* released */
    end(&story);
}

static void test_lost_confirm_is_asked_for_again(void **state)
{
    struct story story = begin();
    uint64_t value;

    (void)state;
    give_to(&story, 0, 5, 7);
    assert_false(touch(&story, 1, 5, false, &value));
    cluster_deliver(story.cluster, 1, 0);
    cluster_deliver(story.cluster, 0, 1);
    assert_true(cluster_lose(story.cluster, 1, 0));
    cluster_take_log(story.cluster);
    cluster_advance(story.cluster, 1000);
    expect(&story, "0>1 DATA 5+1\n1>0 CONFIRM 5+1\n");
    expect_count(&story, 5); /* READ, DATA twice, CONFIRM twice */
    end(&story);
}

static void test_repeated_messages_change_nothing(void **state)
{
    struct story story = begin();
    uint64_t value = 3;

    (void)state;
    give_to(&story, 1, 5, 2);
    cluster_read(story.cluster, 3, story.map[3], 5);
    begin_counting(&story);
    assert_false(touch(&story, 2, 5, true, &value));
    for (uint32_t i = 0; i < 64; i++) {
        for (uint32_t from = 0; from < 4; from++) {
            for (uint32_t to = 0; to < 4; to++) {
                if (cluster_duplicate(story.cluster, from, to)) {
                    cluster_deliver(story.cluster, from, to);
                }
            }
        }
    }
    cluster_run(story.cluster);
    expect_count(&story, 23); /* 8 would do; a repetition is answered, and moves nothing */
    assert_true(touch(&story, 2, 5, true, &value));
    assert_int_equal(cluster_read(story.cluster, 3, story.map[3], 5), 3);
    assert_int_equal(cluster_read(story.cluster, 1, story.map[1], 5), 3);
    end(&story);
}

static void test_message_of_an_old_epoch_is_dropped_and_counted(void **state)
{
    struct story story = begin();
    uint64_t value;
    uint64_t before;

    (void)state;
    give_to(&story, 0, 5, 7);
    before = node_counters(story.cluster->nodes[0].node)->old_epoch;
    assert_false(touch(&story, 1, 5, false, &value)); /* READ of epoch 0 is under way */
    story.cluster->is_held[1][0] = true;
    cluster_kill(story.cluster, 3);
    cluster_declare_dead(story.cluster, 3);
    story.cluster->is_held[1][0] = false;
    cluster_run(story.cluster);
    assert_int_equal(node_counters(story.cluster->nodes[0].node)->old_epoch, before + 1);
    /* The new epoch made node 1 ask again without waiting. */
    assert_int_equal(cluster_read(story.cluster, 1, story.map[1], 5), 7);
    assert_int_equal(node_epoch(story.cluster->nodes[1].node), 1);
    expect_count(&story, 4); /* the old READ, and a miss of three */
    end(&story);
}

static void test_client_dying_in_a_fault_leaves_the_page_right(void **state)
{
    struct story story = begin();
    uint64_t value = 5;

    (void)state;
    give_to(&story, 1, 5, 7);
    assert_false(touch(&story, 2, 5, true, &value));
    cluster_client_gone(story.cluster, 2, 1);
    cluster_run(story.cluster);
    assert_int_equal(cluster_read(story.cluster, 3, story.map[3], 5), 7);
    expect_count(&story, 5); /* its WRITE, and a dirty miss of four */
    end(&story);
}

static void test_requester_dying_in_a_read_closes_the_transfer(void **state)
{
    struct story story = begin();
    uint64_t value;

    (void)state;
    give_to(&story, 1, 5, 7);
    assert_false(touch(&story, 2, 5, false, &value));
    cluster_deliver(story.cluster, 2, 0);
    cluster_deliver(story.cluster, 0, 1);
    cluster_kill(story.cluster, 2);
    assert_false(touch(&story, 3, 5, false, &value)); /* waits behind the dead one */
    cluster_run(story.cluster);
    assert_false(touch(&story, 3, 5, false, &value));
    cluster_declare_dead(story.cluster, 2);
    cluster_run(story.cluster);
    assert_int_equal(cluster_read(story.cluster, 3, story.map[3], 5), 7);
    expect_count(&story, 11);
    end(&story);
}

static void test_writer_dying_in_a_transfer_loses_the_page_and_says_so(void **state)
{
    struct story story = begin();
    uint64_t value = 8;

    (void)state;
    give_to(&story, 1, 5, 7);
    assert_false(touch(&story, 2, 5, true, &value));
    cluster_run(story.cluster); /* node 2 owns the page */
    cluster_kill(story.cluster, 2);
    cluster_declare_dead(story.cluster, 2);
    cluster_run(story.cluster);
    cluster_take_log(story.cluster);
    assert_int_equal(cluster_read(story.cluster, 3, story.map[3], 5), UINT64_MAX); /* poisoned */
    expect(&story, "3>0 READ 5+1\n0>3 LOST 5+1\n");
    assert_int_equal(node_counters(story.cluster->nodes[3].node)->pages_lost, 1);
    /* The other pages are as they were. */
    assert_int_equal(cluster_read(story.cluster, 3, story.map[3], 6), 0);
    end(&story);
}

static void test_reader_takes_the_place_of_a_dead_owner(void **state)
{
    struct story story = begin();

    (void)state;
    give_to(&story, 2, 5, 7);
    cluster_read(story.cluster, 3, story.map[3], 5);
    cluster_kill(story.cluster, 2);
    cluster_declare_dead(story.cluster, 2);
    cluster_run(story.cluster);
    cluster_take_log(story.cluster);
    assert_int_equal(cluster_read(story.cluster, 1, story.map[1], 5), 7);
    expect(&story, "1>0 READ 5+1\n0>3 ADOPT 5+1\n3>0 CONFIRM 5+1\n0>3 FORWARD 5+1\n"
                   "3>1 DATA 5+1\n1>0 CONFIRM 5+1\n");
    end(&story);
}

static void test_source_dying_in_a_read_is_replaced(void **state)
{
    struct story story = begin();
    uint64_t value;

    (void)state;
    give_to(&story, 2, 5, 7);
    cluster_read(story.cluster, 3, story.map[3], 5);
    assert_false(touch(&story, 1, 5, false, &value));
    cluster_deliver(story.cluster, 1, 0); /* FORWARD to 2 is under way when it dies */
    cluster_kill(story.cluster, 2);
    cluster_declare_dead(story.cluster, 2);
    cluster_run(story.cluster);
    assert_int_equal(cluster_read(story.cluster, 1, story.map[1], 5), 7);
    expect_count(&story, 16);
    end(&story);
}

static void test_home_dying_poisons_what_is_asked_for(void **state)
{
    struct story story = begin();

    (void)state;
    give_to(&story, 1, 5, 7);
    cluster_kill(story.cluster, 0);
    cluster_declare_dead(story.cluster, 0);
    cluster_run(story.cluster);
    assert_int_equal(cluster_read(story.cluster, 1, story.map[1], 5), 7); /* here: goes on */
    assert_int_equal(cluster_read(story.cluster, 2, story.map[2], 5), UINT64_MAX);
    expect_count(&story, 0);
    end(&story);
}

static void test_fetch_add_is_done_at_the_home_and_moves_no_page(void **state)
{
    struct story story = begin();
    struct reply reply;

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t number =
            cluster_sync(story.cluster, i, 1, story.handle[i], SYNC_FETCH_ADD, 5 * 4096, 10, -1);

        cluster_run(story.cluster);
        assert_true(cluster_reply(story.cluster, i, number, &reply));
        assert_int_equal(reply.error, 0);
        assert_int_equal(reply.value, i * 10);
    }
    expect(&story, "1>0 SYNC\n0>1 SYNC_REPLY\n2>0 SYNC\n0>2 SYNC_REPLY\n3>0 SYNC\n"
                   "0>3 SYNC_REPLY\n");
    assert_int_equal(cluster_read(story.cluster, 2, story.map[2], 5), 40);
    end(&story);
}

static void test_repeated_fetch_add_is_done_once(void **state)
{
    struct story story = begin();
    struct reply reply;
    uint64_t number = cluster_sync(story.cluster, 1, 1, story.handle[1], SYNC_FETCH_ADD, 0, 1, -1);

    (void)state;
    cluster_deliver(story.cluster, 1, 0);
    assert_true(cluster_lose(story.cluster, 0, 1)); /* the outcome is lost: asked for again */
    cluster_advance(story.cluster, 1000);
    assert_true(cluster_reply(story.cluster, 1, number, &reply));
    assert_int_equal(reply.value, 0);
    assert_int_equal(cluster_read(story.cluster, 2, story.map[2], 0), 1);
    end(&story);
}

static void test_evicted_page_goes_to_its_home(void **state)
{
    struct node_config config = {.budget_bytes = 2 * 4096, .read_ahead_pages = 1};
    struct story story = {.cluster = cluster_new(3, &config)};

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        story.handle[i] = cluster_open(story.cluster, i, 1, "/r", 16, DSM_HOME_CREATOR);
        story.map[i] = cluster_map(story.cluster, i, 1, story.handle[i]);
    }
    for (uint64_t page = 0; page < 8; page++) {
        give_to(&story, 1, page, 100 + page);
        cluster_advance(story.cluster, 10);
    }
    for (uint32_t i = 0; i < 3000; i++) {
        cluster_advance(story.cluster, 1);
    }
    assert_true(node_counters(story.cluster->nodes[1].node)->evictions >= 6);
    assert_true(node_counters(story.cluster->nodes[1].node)->pages_resident <= 2);
    /* LEAVE, TAKE, DATA and RELEASE for each of them. */
    assert_int_equal(story.cluster->nodes[1].sent[MESSAGE_LEAVE], 6);
    assert_int_equal(story.cluster->nodes[0].sent[MESSAGE_TAKE], 6);
    assert_int_equal(story.cluster->nodes[1].sent[MESSAGE_DATA], 6);
    assert_int_equal(story.cluster->nodes[0].sent[MESSAGE_RELEASE], 6);
    for (uint64_t page = 0; page < 8; page++) {
        assert_int_equal(cluster_read(story.cluster, 2, story.map[2], page), 100 + page);
    }
    end(&story);
}

static void test_forward_crossing_an_eviction_is_served(void **state)
{
    struct node_config config = {.budget_bytes = 4096, .read_ahead_pages = 1};
    struct story story = {.cluster = cluster_new(3, &config)};
    uint64_t value;

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        story.handle[i] = cluster_open(story.cluster, i, 1, "/r", 16, DSM_HOME_CREATOR);
        story.map[i] = cluster_map(story.cluster, i, 1, story.handle[i]);
    }
    give_to(&story, 1, 0, 100);
    story.cluster->is_held[1][0] = true; /* node 1's LEAVE stays on the way */
    for (uint32_t i = 0; i < 2000; i++) {
        cluster_touch(story.cluster, 1, story.map[1], 1, true, &(uint64_t){1});
        cluster_advance(story.cluster, 1);
    }
    begin_counting(&story);
    assert_false(touch(&story, 2, 0, false, &value));
    cluster_deliver(story.cluster, 2, 0); /* FORWARD to node 1 crosses the LEAVE */
    cluster_deliver(story.cluster, 0, 1);
    story.cluster->is_held[1][0] = false;
    cluster_run(story.cluster);
    assert_int_equal(cluster_read(story.cluster, 2, story.map[2], 0), 100);
    cluster_advance(story.cluster, 3000);
    assert_int_equal(cluster_read(story.cluster, 0, story.map[0], 0), 100);
    expect_count(&story, 14); /* a dirty miss of four, what was held back, an eviction of four */
    end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lost_request_is_sent_again),
        cmocka_unit_test(test_lost_bytes_of_a_writer_are_sent_again_from_what_was_kept),
        cmocka_unit_test(test_lost_confirm_is_asked_for_again),
        cmocka_unit_test(test_repeated_messages_change_nothing),
        cmocka_unit_test(test_message_of_an_old_epoch_is_dropped_and_counted),
        cmocka_unit_test(test_client_dying_in_a_fault_leaves_the_page_right),
        cmocka_unit_test(test_requester_dying_in_a_read_closes_the_transfer),
        cmocka_unit_test(test_writer_dying_in_a_transfer_loses_the_page_and_says_so),
        cmocka_unit_test(test_reader_takes_the_place_of_a_dead_owner),
        cmocka_unit_test(test_source_dying_in_a_read_is_replaced),
        cmocka_unit_test(test_home_dying_poisons_what_is_asked_for),
        cmocka_unit_test(test_fetch_add_is_done_at_the_home_and_moves_no_page),
        cmocka_unit_test(test_repeated_fetch_add_is_done_once),
        cmocka_unit_test(test_evicted_page_goes_to_its_home),
        cmocka_unit_test(test_forward_crossing_an_eviction_is_served),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
