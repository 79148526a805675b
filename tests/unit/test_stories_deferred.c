/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stories of nodes that get a group of pages one by one while others want these pages: what is put
 * off until the group is whole, how that ends, and what is lost. Node 0 is the home of all pages;
 * K is a node of 4 KiB pages, G one of 64 KiB: its groups are of 16 pages.
 */
#include "tests/unit/group_story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/cluster_parts.h"

#define K 4096
#define G 65536

/*
 * Node 2 has the first six pages of a group, and waits for the others: node 3 has them, and what it
 * sends to node 2 does not arrive.
 */
static void begin_half_way(struct story *story, bool write)
{
    story_begin(story, 64, (uint32_t[4]){K, K, G, K}, 0);
    story_give(story, 1, 0, 6);
    story_give(story, 3, 6, 10);
    story->cluster->is_held[3][2] = true;
    assert_false(story_touch(story, 2, 0, write));
    story_count(story);
}

static uint64_t counter_old_epoch(const struct story *story, uint32_t node)
{
    return node_counters(story->cluster->nodes[node].node)->old_epoch;
}

/* --- put off --- */

static void test_requests_behind_a_group_are_served_by_one_revocation(void **state)
{
    struct story story;

    (void)state;
    begin_half_way(&story, false);
    assert_false(story_touch(&story, 1, 2, true));
    assert_false(story_touch(&story, 3, 4, true));
    cluster_run(story.cluster);
    story_expect(&story,
           "1>0 WRITE 2+1\n3>0 WRITE 4+1\n0>2 INVALIDATE 2+1\n"
           "0>2 INVALIDATE 4+1\n0>1 FORWARD 4+1\n1>3 DATA 4+1\n",
           6);
    story.cluster->is_held[3][2] = false;
    cluster_run(story.cluster);
    story_expect(&story, "2>0 CONFIRM 6+10\n", 7);
    assert_true(story_touch(&story, 2, 5, false)); /* its turn */
    cluster_advance(story.cluster, 1);
    story_expect(&story,
           "2>0 INVALIDATED 2+1\n2>0 INVALIDATED 4+1\n0>1 GRANT 2+1\n"
           "1>0 CONFIRM 2+1\n0>3 GRANT 4+1\n3>0 CONFIRM 4+1\n0>1 RELEASE 4+1\n",
           14);
    assert_int_equal(story.scattered[2], 1);
    assert_true(story_touch(&story, 1, 2, true));
    assert_true(story_touch(&story, 3, 4, true));
    story_end(&story);
}

static void test_pages_of_a_writer_are_not_taken_before_its_turn(void **state)
{
    struct story story;

    (void)state;
    begin_half_way(&story, true);
    assert_false(story_touch(&story, 1, 2, false)); /* a reader would make it less than a writer */
    assert_false(story_touch(&story, 3, 4, true));
    cluster_run(story.cluster);
    story_expect(&story, "1>0 READ 2+1\n3>0 WRITE 4+1\n0>2 FORWARD 2+1\n0>2 FORWARD 4+1\n", 4);
    story.cluster->is_held[3][2] = false;
    cluster_run(story.cluster);
    assert_true(story_touch(&story, 2, 5, true));
    cluster_advance(story.cluster, 1);
    assert_int_equal(story_read(&story, 1, 2), 102);
    assert_true(story_touch(&story, 3, 4, true));
    story_end(&story);
}

static void test_reader_gives_to_readers_while_it_waits(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 0);
    story_give(&story, 2, 0, 6);
    story_give(&story, 3, 6, 10); /* node 2 has the others still, for writing */
    story.cluster->is_held[3][2] = true;
    assert_false(story_touch(&story, 2, 0, false));
    story_count(&story);
    assert_int_equal(story_read(&story, 1, 3), 103);
    story_expect(&story, "1>0 READ 3+1\n0>2 FORWARD 3+1\n2>1 DATA 3+1\n1>0 CONFIRM 3+1\n", 4);
    story_end(&story);
}

/* Who waits for a lower page than the one that is wanted of him gives it. */
static void test_page_above_the_first_that_lacks_is_given_at_once(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 0);
    story_give(&story, 1, 0, 16);
    story_read(&story, 2, 0);
    story_give(&story, 3, 2, 1); /* node 2 lacks this one, and no other */
    story.cluster->is_held[3][2] = true;
    assert_false(story_touch(&story, 2, 0, false));
    story_count(&story);
    cluster_write(story.cluster, 1, story.map[1], 9, 7);
    story_expect(&story,
           "1>0 WRITE 9+1\n0>2 INVALIDATE 9+1\n2>0 INVALIDATED 9+1\n"
           "0>1 GRANT 9+1\n1>0 CONFIRM 9+1\n",
           5);
    story_end(&story);
}

static void test_two_large_nodes_that_have_half_of_a_group_each_both_get_all(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, G, G, K}, 0);
    story_give(&story, 3, 0, 16);
    story_read(&story, 1, 0);
    story_read(&story, 2, 0);
    for (uint64_t page = 0; page < 16; page++) { /* the group in pieces */
        cluster_write(story.cluster, page % 2 == 0 ? 0 : 3, story.map[page % 2 == 0 ? 0 : 3], page,
                      page);
    }
    story_count(&story);
    assert_false(story_touch(&story, 1, 3, true));
    assert_false(story_touch(&story, 2, 12, true));
    for (uint32_t turns = 0; turns < 30 && !story_touch(&story, 1, 3, true); turns++) {
        cluster_run(story.cluster);
        cluster_advance(story.cluster, 1);
    }
    for (uint32_t turns = 0; turns < 30 && !story_touch(&story, 2, 12, true); turns++) {
        cluster_run(story.cluster);
        cluster_advance(story.cluster, 1);
    }
    assert_int_equal(story_read(&story, 0, 3), 1001);
    assert_int_equal(story_read(&story, 0, 12), 1002);
    story_end(&story);
}

static void test_repetition_of_what_is_put_off_changes_nothing(void **state)
{
    struct story story;

    (void)state;
    begin_half_way(&story, false);
    assert_false(story_touch(&story, 1, 2, true));
    while (!cluster_duplicate(story.cluster, 0, 2)) {
        assert_true(cluster_deliver(story.cluster, 1, 0));
    }
    cluster_run(story.cluster);
    story.cluster->is_held[3][2] = false;
    cluster_run(story.cluster);
    cluster_advance(story.cluster, 1);
    assert_string_equal(cluster_take_log(story.cluster),
                        "1>0 WRITE 2+1\n0>2 INVALIDATE 2+1\n2>0 CONFIRM 6+10\n"
                        "2>0 INVALIDATED 2+1\n0>1 GRANT 2+1\n1>0 CONFIRM 2+1\n");
    story_end(&story);
}

/* --- how that ends --- */

static void test_what_is_put_off_is_done_after_a_time_all_the_same(void **state)
{
    struct story story;

    (void)state;
    begin_half_way(&story, false);
    assert_false(story_touch(&story, 1, 2, true));
    cluster_run(story.cluster);
    cluster_advance(story.cluster, 99);
    story_expect(&story, "1>0 WRITE 2+1\n0>2 INVALIDATE 2+1\n", 2);
    cluster_advance(story.cluster, 1);
    story_expect(&story, "2>0 INVALIDATED 2+1\n0>1 GRANT 2+1\n1>0 CONFIRM 2+1\n", 5);
    assert_true(story_touch(&story, 1, 2, true));
    story.cluster->is_held[3][2] = false;
    assert_int_equal(story_read(&story, 2, 2), 1001);
    story_end(&story);
}

static void test_nothing_is_put_off_for_a_mapping_that_has_gone(void **state)
{
    struct story story;
    struct call unmap = {.kind = CALL_UNMAP};

    (void)state;
    begin_half_way(&story, false);
    assert_false(story_touch(&story, 1, 2, true));
    cluster_run(story.cluster);
    story_expect(&story, "1>0 WRITE 2+1\n0>2 INVALIDATE 2+1\n", 2);
    unmap.map = story.map[2];
    assert_int_equal(cluster_call(story.cluster, 2, 1, &unmap).error, 0);
    cluster_advance(story.cluster, 1);
    story_expect(&story, "2>0 INVALIDATED 2+1\n0>1 GRANT 2+1\n1>0 CONFIRM 2+1\n", 5);
    story_end(&story);
}

static void test_nothing_is_put_off_for_a_program_that_has_died(void **state)
{
    struct story story;

    (void)state;
    begin_half_way(&story, false);
    assert_false(story_touch(&story, 1, 2, true));
    cluster_run(story.cluster);
    cluster_take_log(story.cluster);
    cluster_client_gone(story.cluster, 2, 1);
    cluster_advance(story.cluster, 1);
    story_expect(&story, "2>0 INVALIDATED 2+1\n0>1 GRANT 2+1\n1>0 CONFIRM 2+1\n", 5);
    story_end(&story);
}

static void test_what_was_put_off_is_of_no_account_after_a_death(void **state)
{
    struct story story;

    (void)state;
    begin_half_way(&story, false);
    assert_false(story_touch(&story, 1, 2, true));
    cluster_run(story.cluster);
    cluster_kill(story.cluster, 3);
    cluster_declare_dead(story.cluster, 3);
    cluster_run(story.cluster);
    assert_int_equal(counter_old_epoch(&story, 2), 1);
    assert_int_equal(story.poisoned_pages[2], 16); /* one page that is lost costs the whole group */
    cluster_advance(story.cluster, 1);
    assert_true(story_touch(&story, 1, 2, true));
    story_end(&story);
}

static void test_what_was_put_off_ends_with_its_region(void **state)
{
    struct story story;
    struct call unlink = {.kind = CALL_UNLINK, .object = RECORD_REGION, .name = "/r"};

    (void)state;
    begin_half_way(&story, false);
    assert_false(story_touch(&story, 1, 2, true));
    cluster_run(story.cluster);
    assert_int_equal(cluster_call(story.cluster, 0, 1, &unlink).error, 0);
    for (uint32_t i = 0; i < 4; i++) {
        cluster_client_gone(story.cluster, i, 1);
    }
    cluster_run(story.cluster);
    cluster_heal(story.cluster);
    cluster_advance(story.cluster, 200);
    assert_true(node_deadline(story.cluster->nodes[2].node) > story.cluster->now_ms);
    story_end(&story);
}

/* --- lost, atomic, and let go --- */

static void test_lost_page_makes_its_group_unusable(void **state)
{
    struct story story;
    uint64_t value = 0;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 0);
    story_give(&story, 1, 0, 16);
    story_give(&story, 3, 5, 1);
    cluster_kill(story.cluster, 3);
    cluster_declare_dead(story.cluster, 3);
    cluster_run(story.cluster);
    assert_int_equal(story_read(&story, 2, 0), UINT64_MAX);
    assert_int_equal(story.poisoned_pages[2], 16);
    assert_int_equal(story_read(&story, 2, 15), UINT64_MAX);
    assert_true(cluster_touch(story.cluster, 1, story.map[1], 4, false, &value)); /* not there */
    assert_int_equal(value, 104);
    story_end(&story);
}

static void test_atomic_operation_takes_the_right_to_write_from_the_group(void **state)
{
    struct story story;
    struct reply reply;
    uint64_t number;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){G, K, K, K}, 0);
    story_give(&story, 0, 0, 1);
    number = cluster_sync(story.cluster, 1, 1, story.handle[1], SYNC_FETCH_ADD, 0, 5, -1);
    cluster_run(story.cluster);
    assert_true(cluster_reply(story.cluster, 1, number, &reply));
    assert_int_equal(reply.value, 100);
    assert_false(story_touch(&story, 0, 9, true)); /* a fault that needs no message */
    assert_true(story_touch(&story, 0, 9, true));
    assert_int_equal(story_read(&story, 0, 0), 105);
    assert_int_equal(story.scattered[0], 0);
    story_end(&story);
}

static void test_group_is_scattered_before_a_page_of_it_goes_home(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 16 * 4096);
    for (uint64_t page = 0; page < 48; page += 16) {
        cluster_write(story.cluster, 2, story.map[2], page, 100 + page);
        cluster_advance(story.cluster, 100);
    }
    assert_true(story.scattered[2] >= 2);
    for (uint64_t page = 0; page < 48; page += 16) {
        assert_int_equal(story_read(&story, 2, page), 100 + page);
        cluster_advance(story.cluster, 100);
    }
    story_end(&story);
}

static void test_group_larger_than_the_budget_is_shown_all_the_same(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 3 * 4096);
    story_give(&story, 0, 0, 32);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(story_read(&story, 2, 7), 107);
        assert_int_equal(story_read(&story, 2, 23), 123);
        cluster_advance(story.cluster, 50);
    }
    story_end(&story);
}

static void test_node_that_retires_sends_its_groups_home(void **state)
{
    struct story story;
    struct event event = {.kind = EVENT_RETIRE};

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 0);
    story_give(&story, 2, 0, 16);
    cluster_client_gone(story.cluster, 2, 1);
    cluster_run(story.cluster);
    event.now_ms = story.cluster->now_ms;
    cluster_step(story.cluster, 2, &event, NULL);
    cluster_run(story.cluster);
    assert_true(node_is_retired(story.cluster->nodes[2].node));
    assert_int_equal(story.scattered[2], 1);
    assert_int_equal(story_read(&story, 1, 11), 111);
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_behind_a_group_are_served_by_one_revocation),
        cmocka_unit_test(test_pages_of_a_writer_are_not_taken_before_its_turn),
        cmocka_unit_test(test_reader_gives_to_readers_while_it_waits),
        cmocka_unit_test(test_page_above_the_first_that_lacks_is_given_at_once),
        cmocka_unit_test(test_two_large_nodes_that_have_half_of_a_group_each_both_get_all),
        cmocka_unit_test(test_repetition_of_what_is_put_off_changes_nothing),
        cmocka_unit_test(test_what_is_put_off_is_done_after_a_time_all_the_same),
        cmocka_unit_test(test_nothing_is_put_off_for_a_mapping_that_has_gone),
        cmocka_unit_test(test_nothing_is_put_off_for_a_program_that_has_died),
        cmocka_unit_test(test_what_was_put_off_is_of_no_account_after_a_death),
        cmocka_unit_test(test_what_was_put_off_ends_with_its_region),
        cmocka_unit_test(test_lost_page_makes_its_group_unusable),
        cmocka_unit_test(test_atomic_operation_takes_the_right_to_write_from_the_group),
        cmocka_unit_test(test_group_is_scattered_before_a_page_of_it_goes_home),
        cmocka_unit_test(test_group_larger_than_the_budget_is_shown_all_the_same),
        cmocka_unit_test(test_node_that_retires_sends_its_groups_home),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
