/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages that are bound to a mutex (binding.c): when they leave, and with what. Three nodes in
 * turns; and one node alone, the others being played.
 */
#include "dsm/core/binding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "dsm/core/node_parts.h"
#include "tests/sim/parties.h"
#include "tests/unit/binding_story.h"

#define WAITS 1 /* a call that is not answered */

/* --- nodes in turns --- */

static int set_up(void **state)
{
    *state = parties_new();
    return 0;
}

static int tear_down(void **state)
{
    parties_free(*state);
    return 0;
}

static void parties_bind(struct parties *p, uint32_t node)
{
    struct call call = {.kind = CALL_BIND,
                        .handle = p->region[node][1],
                        .value = BOUND_AT,
                        .offset = BOUND_PAGE * CLUSTER_PAGE_BYTES,
                        .size_bytes = BOUND_COUNT * CLUSTER_PAGE_BYTES};

    assert_int_equal(cluster_call(p->cluster, node, 1, &call).error, 0);
}

/* The program that has the mutex writes to all of the range; that takes no message. */
static void write_all(struct parties *p, uint32_t node)
{
    for (uint64_t page = BOUND_PAGE; page < BOUND_PAGE + BOUND_COUNT; page++) {
        uint64_t value = cluster_latest(p->cluster, 0, page) + 1;

        assert_true(cluster_touch(p->cluster, node, p->map[node], page, true, &value));
    }
}

/* Nodes 1 and 2 have had it in turns; 1 has it and 2 waits, its number is returned. */
static uint64_t begin_turns(struct parties *p)
{
    uint64_t waiter[2];
    uint32_t turn = 0;

    parties_bind(p, 1);
    parties_bind(p, 2);
    (void)parties_do(p, 1, 1, SYNC_LOCK, BOUND_AT, 0, -1);
    waiter[1] = parties_do(p, 2, 1, SYNC_LOCK, BOUND_AT, 0, -1);
    for (uint32_t i = 0; i < 6; i++, turn ^= 1) {
        write_all(p, 1 + turn);
        (void)parties_do(p, 1 + turn, 1, SYNC_UNLOCK, BOUND_AT, 0, -1);
        assert_int_equal(parties_error(p, 2 - turn, waiter[turn ^ 1]), 0);
        waiter[turn] = parties_do(p, 1 + turn, 1, SYNC_LOCK, BOUND_AT, 0, -1);
    }
    cluster_take_log(p->cluster);
    return waiter[1];
}

/*
 * A hand-off between two nodes of a mutex and its pages, of which both have their home elsewhere:
 * the bytes go straight from holder to holder, ahead of the UNLOCK (B3). Two messages one after the
 * other from the call of unlock on, as without pages; nine in all for any number of them that goes
 * into one request.
 */
static void test_pages_come_with_the_mutex(void **state)
{
    struct parties *p = *state;
    uint64_t waiter = begin_turns(p);

    write_all(p, 1);
    (void)parties_do(p, 1, 1, SYNC_UNLOCK, BOUND_AT, 0, -1);
    assert_int_equal(parties_error(p, 2, waiter), 0);
    assert_string_equal(cluster_take_log(p->cluster),
                        "1>2 DATA 4+4\n1>0 SYNC\n0>2 SYNC_REPLY\n0>1 SYNC_REPLY\n"
                        "2>0 CONFIRM 4+4\n0>1 RELEASE 4+4\n");
    write_all(p, 2);
    waiter = parties_do(p, 1, 1, SYNC_LOCK, BOUND_AT, 0, -1);
    assert_string_equal(cluster_take_log(p->cluster), "1>0 SYNC\n1>0 WRITE 4+4\n0>2 FORWARD 4+4\n");
    assert_int_equal(parties_error(p, 1, waiter), WAITS);
}

/* Three in line: the pages go from holder to holder, and nobody gets them before its turn. */
static void test_pages_go_along_the_line(void **state)
{
    struct parties *p = *state;
    uint64_t waiter = begin_turns(p), last;

    parties_bind(p, 3);
    last = parties_do(p, 3, 1, SYNC_LOCK, BOUND_AT, 0, -1);
    write_all(p, 1);
    (void)parties_do(p, 1, 1, SYNC_UNLOCK, BOUND_AT, 0, -1);
    assert_int_equal(parties_error(p, 2, waiter), 0);
    assert_int_equal(parties_error(p, 3, last), WAITS);
    write_all(p, 2);
    (void)parties_do(p, 2, 1, SYNC_UNLOCK, BOUND_AT, 0, -1);
    assert_int_equal(parties_error(p, 3, last), 0);
    write_all(p, 3);
}

/* Who never heard of the mutex waits for the bytes no longer than the region's window. */
static void test_who_does_not_lock_waits_no_longer_than_the_window(void **state)
{
    struct parties *p = *state;
    uint64_t value = 0;

    (void)begin_turns(p);
    write_all(p, 1);
    cluster_advance(p->cluster, 10); /* 2 waits for the mutex, not for the pages */
    assert_true(cluster_touch(p->cluster, 2, p->map[2], BOUND_PAGE, false, &value));
    assert_int_equal(value, cluster_latest(p->cluster, 0, BOUND_PAGE));
}

/* --- one node alone --- */

static int solo_set_up(void **state)
{
    struct node_config config = {.resend_ms = 1000, .read_ahead_pages = 1};

    *state = solo_page_new(&config);
    return 0;
}

static int solo_tear_down(void **state)
{
    solo_page_free(*state);
    return 0;
}

static bool is_sent_after(struct solo_page *p, uint64_t ms)
{
    solo_advance(p->solo, ms);
    return solo_sent(p->solo, MESSAGE_DATA, 0) != NULL;
}

static void test_pages_stay_until_the_mutex_is_given_up(void **state)
{
    struct solo_page *p = *state;

    story_hold(p);
    assert_false(story_want(p, BOUND_PAGE, BOUND_COUNT, true, 9));
    assert_false(is_sent_after(p, 3));
    (void)story_sync(p, SYNC_UNLOCK, -1);
    assert_int_equal(solo_sent(p->solo, MESSAGE_DATA, 0)->count, BOUND_COUNT);
    assert_int_equal(solo_sent(p->solo, MESSAGE_SYNC, 0)->op, SYNC_UNLOCK);
    assert_true(solo_sent(p->solo, MESSAGE_DATA, 0) < solo_sent(p->solo, MESSAGE_SYNC, 0)); /* B3 */
}

static void test_pages_stay_no_longer_than_the_window(void **state)
{
    struct solo_page *p = *state;

    story_hold(p);
    assert_false(story_want(p, BOUND_PAGE, 1, true, 9));
    assert_false(story_want(p, BOUND_PAGE + 1, 1, false, 10)); /* readers wait as well */
    assert_false(is_sent_after(p, 3));
    assert_true(is_sent_after(p, 1));
    assert_non_null(solo_sent(p->solo, MESSAGE_DATA, 1));
}

/* What is only read here is given at once, and what is not in the range. */
static void test_other_pages_go_at_once(void **state)
{
    struct solo_page *p = *state;

    solo_page_have(p, BOUND_PAGE + BOUND_COUNT, true, 4);
    solo_page_have(p, BOUND_PAGE - 1, true, 4);
    story_hold(p);
    assert_true(story_want(p, BOUND_PAGE + BOUND_COUNT, 1, true, 9));
    assert_true(story_want(p, BOUND_PAGE - 1, 1, true, 10));
    assert_false(story_want(p, BOUND_PAGE, 1, false, 11));
    assert_true(is_sent_after(p, 4));
    assert_true(story_want(p, BOUND_PAGE, 1, true, 12));
}

/* A program of this node waits for the mutex: it goes on here, and the pages stay for it. */
static void test_pages_stay_for_the_next_program_of_the_node(void **state)
{
    struct solo_page *p = *state;
    struct call second = {.kind = CALL_SYNC, .op = SYNC_LOCK, .offset = BOUND_AT, .timeout_ms = -1};
    const struct record *record = node_record(p->solo->node, p->region);
    struct message sent;
    uint64_t number;

    story_bind_pages(p, BOUND_PAGE, BOUND_COUNT);
    (void)solo_map(p->solo, 2, record, &second.handle);
    sent = story_lock(p);
    story_grant_pages(p, story_asked(p, 0), 5);
    sent.flags = 0;
    sent.kind = MESSAGE_SYNC_REPLY;
    sent.from = 0;
    solo_message(p->solo, &sent, 0); /* and nobody else wants it yet */
    number = solo_call(p->solo, 2, &second);
    assert_false(story_want(p, BOUND_PAGE, BOUND_COUNT, true, 9));
    (void)story_sync(p, SYNC_UNLOCK, -1);
    assert_int_equal(solo_error(p->solo, number), 0);
    assert_null(solo_sent(p->solo, MESSAGE_DATA, 0));
    assert_true(is_sent_after(p, 4));
}

static void test_without_a_window_pages_go_at_once(void **state)
{
    struct solo_page *p = *state;

    story_use_window(p, DSM_WINDOW_NONE);
    story_hold(p);
    assert_true(story_want(p, BOUND_PAGE, BOUND_COUNT, true, 9));
}

/* The node only waits for the mutex: whoever holds it may want the pages. */
static void test_pages_do_not_wait_for_the_grant(void **state)
{
    struct solo_page *p = *state;

    story_bind_pages(p, BOUND_PAGE, BOUND_COUNT);
    (void)story_lock(p);
    story_grant_pages(p, story_asked(p, 0), 5);
    assert_true(story_want(p, BOUND_PAGE, BOUND_COUNT, true, 9));
    assert_int_equal(story_count_asked(p), 0); /* B5: it was asked for with this LOCK */
}

/* The grant comes first, mostly; from then on they stay. */
static void test_pages_that_came_before_the_grant_stay_after_it(void **state)
{
    struct solo_page *p = *state;
    struct message sent;

    story_bind_pages(p, BOUND_PAGE, BOUND_COUNT);
    sent = story_lock(p);
    story_grant_pages(p, story_asked(p, 0), 5);
    story_answer_lock(p, &sent, 0);
    assert_false(story_want(p, BOUND_PAGE, BOUND_COUNT, true, 9));
}

/* B5: the pages were still here when the LOCK was sent; they leave, and are asked for behind it. */
static void test_pages_that_leave_are_asked_for_once(void **state)
{
    struct solo_page *p = *state;
    struct message sent;

    solo_page_have(p, BOUND_PAGE, true, 5);
    solo_page_have(p, BOUND_PAGE + 20, true, 5);
    story_bind_pages(p, BOUND_PAGE, 1);
    sent = story_lock(p);
    assert_int_equal(story_count_asked(p), 0);
    assert_true(story_want(p, BOUND_PAGE + 20, 1, true, 8));
    assert_int_equal(story_count_asked(p), 0);
    assert_true(story_want(p, BOUND_PAGE, 1, true, 9));
    assert_int_equal(story_count_asked(p), 1);
    story_answer_lock(p, &sent, DSM_ETIMEDOUT);
    story_grant_pages(p, story_asked(p, 0), 10);
    assert_true(story_want(p, BOUND_PAGE, 1, true, 11));
    assert_int_equal(story_count_asked(p), 0); /* it waits no longer */
}

#define SOLO(test) cmocka_unit_test_setup_teardown(test, solo_set_up, solo_tear_down)
#define PARTIES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PARTIES(test_pages_come_with_the_mutex),
        PARTIES(test_pages_go_along_the_line),
        PARTIES(test_who_does_not_lock_waits_no_longer_than_the_window),
        SOLO(test_pages_stay_until_the_mutex_is_given_up),
        SOLO(test_pages_stay_no_longer_than_the_window),
        SOLO(test_other_pages_go_at_once),
        SOLO(test_pages_stay_for_the_next_program_of_the_node),
        SOLO(test_without_a_window_pages_go_at_once),
        SOLO(test_pages_do_not_wait_for_the_grant),
        SOLO(test_pages_that_came_before_the_grant_stay_after_it),
        SOLO(test_pages_that_leave_are_asked_for_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
