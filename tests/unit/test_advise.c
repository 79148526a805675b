/* SPDX-License-Identifier: Apache-2.0 */
/* What a node does because a program has said how it is going to use its pages. */
#include "dsm_advice.h"
#include "dsm/core/window.h"
#include "tests/sim/solo_page.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PAGE_BYTES 4096u

static int set_up(void **state)
{
    struct node_config config = {.resend_ms = 100};

    *state = solo_page_new(&config);
    return 0;
}

static int tear_down(void **state)
{
    solo_page_free(*state);
    return 0;
}

static int32_t advise(struct solo_page *p, uint64_t offset, uint64_t size_bytes, uint32_t advice)
{
    struct call call = {.kind = CALL_ADVISE,
                        .op = (uint8_t)advice,
                        .handle = p->handle,
                        .offset = offset,
                        .size_bytes = size_bytes};

    return solo_do(p->solo, 1, &call);
}

static void test_pages_that_will_be_needed_are_asked_for(void **state)
{
    struct solo_page *p = *state;

    solo_page_have(p, 3, false, 2);
    solo_forget(p->solo);
    assert_int_equal(advise(p, PAGE_BYTES + 1, 4 * PAGE_BYTES, DSM_ADVICE_WILL_NEED), 0);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->page, 1);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->count, 2);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 1)->page, 4);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 1)->count, 2); /* each page it touches */
    assert_null(solo_sent(p->solo, MESSAGE_READ, 2));
}

/* What nobody waits for goes with other messages; not so when it is sent again for a thread. */
static void test_request_ahead_may_wait_until_a_thread_wants_it(void **state)
{
    struct solo_page *p = *state;

    solo_forget(p->solo);
    assert_int_equal(advise(p, PAGE_BYTES, PAGE_BYTES, DSM_ADVICE_WILL_NEED), 0);
    assert_int_equal(advise(p, 5 * PAGE_BYTES, PAGE_BYTES, DSM_ADVICE_WILL_NEED), 0);
    assert_int_equal(solo_action(p->solo, ACTION_SEND, 0)->may_wait, MAY_WAIT_SHORTLY);
    assert_int_equal(solo_action(p->solo, ACTION_SEND, 1)->may_wait, MAY_WAIT_SHORTLY);
    solo_fault(p->solo, p->map, 9, false);
    assert_int_equal(solo_action(p->solo, ACTION_SEND, 2)->may_wait, MAY_WAIT_NOT);
    solo_fault(p->solo, p->map, 1, false);
    assert_null(solo_sent(p->solo, MESSAGE_READ, 3));
    solo_forget(p->solo);
    solo_advance(p->solo, 100);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->page, 1);
    assert_int_equal(solo_action(p->solo, ACTION_SEND, 0)->may_wait, MAY_WAIT_NOT);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 1)->page, 5);
    assert_int_equal(solo_action(p->solo, ACTION_SEND, 1)->may_wait, MAY_WAIT_SHORTLY);
}

/* Who is in want comes behind what was asked for ahead: that is bounded. */
static void test_no_more_than_some_megabytes_are_on_their_way(void **state)
{
    struct solo_page *p = *state;
    struct record record = solo_region(6, 8192, 0);
    uint32_t count = 0;
    struct message grant;

    p->solo->now_ms++;
    solo_record(p->solo, &record);
    p->map = solo_map(p->solo, 1, &record, &p->handle);
    p->region = record.id;
    solo_forget(p->solo);
    assert_int_equal(advise(p, 0, UINT64_C(8192) * PAGE_BYTES, DSM_ADVICE_WILL_NEED), 0);
    while (solo_sent(p->solo, MESSAGE_READ, count) != NULL) {
        count++;
    }
    assert_int_equal(count, 8); /* of 1 MiB each */
    grant = solo_page_message(p, MESSAGE_GRANT, 0, 7 * 256, 256, 5);
    grant.flags = FLAG_ZERO;
    solo_forget(p->solo);
    solo_page_say(p, &grant);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->page, 8 * 256);
}

static void test_nothing_is_asked_for_beyond_the_budget(void **state)
{
    struct node_config config = {.resend_ms = 100, .budget_bytes = 3 * PAGE_BYTES};
    struct solo_page *p = solo_page_new(&config);

    (void)state;
    solo_forget(p->solo);
    assert_int_equal(advise(p, 0, 100 * PAGE_BYTES, DSM_ADVICE_WILL_NEED), 0);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->count, 3);
    assert_null(solo_sent(p->solo, MESSAGE_READ, 1));
    solo_page_free(p);
}

static void test_copies_that_are_done_with_are_given_up(void **state)
{
    struct solo_page *p = *state;

    for (uint64_t page = 10; page < 14; page++) {
        solo_page_have(p, page, false, 2);
    }
    solo_forget(p->solo);
    /* Parts of pages 10 and 13 may still be wanted. */
    assert_int_equal(advise(p, 10 * PAGE_BYTES + 1, 3 * PAGE_BYTES, DSM_ADVICE_DONE_WITH), 0);
    assert_int_equal(solo_action(p->solo, ACTION_DROP, 0)->page, 11);
    assert_int_equal(solo_action(p->solo, ACTION_DROP, 0)->count, 2);
    assert_null(solo_action(p->solo, ACTION_DROP, 1));
    assert_int_equal(node_counters(p->solo->node)->pages_resident, 2);
}

static void test_what_was_written_goes_home_when_it_is_done_with(void **state)
{
    struct solo_page *p = *state;

    solo_page_have(p, 20, true, 2);
    solo_forget(p->solo);
    assert_int_equal(advise(p, 20 * PAGE_BYTES, PAGE_BYTES, DSM_ADVICE_DONE_WITH), 0);
    assert_int_equal(solo_sent(p->solo, MESSAGE_LEAVE, 0)->page, 20);
    assert_int_equal(solo_sent(p->solo, MESSAGE_LEAVE, 0)->to, 0);
}

/* More is owned than may be on its way home at once: the rest follows as that arrives. */
static void test_pages_go_home_some_at_a_time(void **state)
{
    struct solo_page *p = *state;
    struct message release = {.kind = MESSAGE_RELEASE, .flags = FLAG_LEAVE, .region = p->region};
    uint32_t count = 0;

    for (uint64_t page = 0; page < 300; page++) {
        solo_page_have(p, page, true, page + 2);
    }
    solo_forget(p->solo);
    assert_int_equal(advise(p, 0, 300 * PAGE_BYTES, DSM_ADVICE_DONE_WITH), 0);
    while (solo_sent(p->solo, MESSAGE_LEAVE, count) != NULL) {
        count++;
    }
    assert_int_equal(count, 256);
    release.request = solo_sent(p->solo, MESSAGE_LEAVE, 0)->request;
    release.from = 0;
    release.count = 1;
    solo_forget(p->solo);
    solo_page_say(p, &release);
    assert_int_equal(solo_sent(p->solo, MESSAGE_LEAVE, 0)->page, 256);
}

static void test_advice_on_a_region_that_goes_is_forgotten(void **state)
{
    struct event gone = {.kind = EVENT_CLIENT_GONE, .client_gone = 1};
    struct solo_page *p = *state;
    struct record record = *node_record(p->solo->node, p->region);

    for (uint64_t page = 0; page < 300; page++) {
        solo_page_have(p, page, true, page + 2);
    }
    assert_int_equal(advise(p, 0, 300 * PAGE_BYTES, DSM_ADVICE_DONE_WITH), 0);
    solo_step(p->solo, &gone);
    record.deleted = record.unlinked = true;
    record.readers = record.writers = nodeset_of(NODE_NONE);
    solo_record(p->solo, &record);
    assert_int_equal(node_counters(p->solo->node)->pages_resident, 0);
}

/* Threads that wait come before guesses: what does not fit in the window is not asked for later. */
static void test_advice_is_forgotten_when_the_window_to_the_home_is_full(void **state)
{
    struct solo_page *p = *state;
    struct record record = solo_region(6, 3 * WINDOW, 0);
    map_id map;

    solo_record(p->solo, &record);
    map = solo_map(p->solo, 1, &record, &p->handle);
    for (uint64_t i = 0; i < WINDOW; i++) {
        solo_forget(p->solo);
        solo_fault(p->solo, map, 2 * i, true);
    }
    assert_null(solo_sent(p->solo, MESSAGE_WRITE, 0)); /* it waits */
    assert_int_equal(advise(p, (3 * WINDOW - 1) * PAGE_BYTES, PAGE_BYTES, DSM_ADVICE_WILL_NEED), 0);
    assert_null(solo_sent(p->solo, MESSAGE_READ, 0));
}

/* Pages in order, which alone would be a walk. */
static void touch_in_order(struct solo_page *p, uint64_t page, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        solo_page_have(p, page + i, false, 2);
    }
}

static void test_nothing_is_read_ahead_where_use_is_random(void **state)
{
    struct solo_page *p = *state;

    assert_int_equal(advise(p, 100 * PAGE_BYTES, 20 * PAGE_BYTES, DSM_ADVICE_RANDOM), 0);
    touch_in_order(p, 100, 4);
    assert_int_equal(node_counters(p->solo->node)->faults_remote, 4);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 104, false);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->count, 1);
    assert_null(solo_sent(p->solo, MESSAGE_READ, 1));
    /* As ever beside it, and in it when that is taken back. */
    solo_page_have(p, 200, false, 2);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 201, false);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->count, 4);
    assert_int_equal(advise(p, 110 * PAGE_BYTES, 10 * PAGE_BYTES, DSM_ADVICE_NORMAL), 0);
    solo_page_have(p, 110, false, 2);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 111, false);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->count, 4);
}

static void test_all_that_is_read_in_order_is_asked_for_at_the_first_fault(void **state)
{
    struct node_config config = {.resend_ms = 100, .read_ahead_pages = 64};
    struct solo_page *p = solo_page_new(&config);

    (void)state;
    assert_int_equal(advise(p, 100 * PAGE_BYTES, 200 * PAGE_BYTES, DSM_ADVICE_SEQUENTIAL), 0);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 110, false);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(solo_sent(p->solo, MESSAGE_READ, i)->page, 110 + 64 * i);
        assert_int_equal(solo_sent(p->solo, MESSAGE_READ, i)->count, 64);
    }
    assert_null(solo_sent(p->solo, MESSAGE_READ, 2));
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 238, false);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->page, 238);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->count, 62); /* not beyond its end */
    assert_null(solo_sent(p->solo, MESSAGE_READ, 1));
    /* A store takes no more than its page: who reads in order does not write all of it. */
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 105, true);
    assert_int_equal(solo_sent(p->solo, MESSAGE_WRITE, 0)->count, 1);
    solo_page_free(p);
}

static void test_page_that_is_written_next_is_read_with_the_right_to_write(void **state)
{
    struct solo_page *p = *state;
    struct call map = {.kind = CALL_MAP, .rights = RIGHTS_READ, .handle = p->handle};
    const struct reply *reply;

    assert_int_equal(advise(p, 30 * PAGE_BYTES, PAGE_BYTES, DSM_ADVICE_MIGRATORY), 0);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 30, false);
    assert_int_equal(solo_sent(p->solo, MESSAGE_WRITE, 0)->page, 30);
    assert_int_equal(solo_sent(p->solo, MESSAGE_WRITE, 0)->count, 1);
    assert_null(solo_sent(p->solo, MESSAGE_READ, 0));
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 31, false);
    assert_non_null(solo_sent(p->solo, MESSAGE_READ, 0));
    /* Who may not write does not ask for it. */
    assert_int_equal(advise(p, 40 * PAGE_BYTES, PAGE_BYTES, DSM_ADVICE_MIGRATORY), 0);
    map.size_bytes = 600 * PAGE_BYTES;
    reply = solo_reply(p->solo, solo_call(p->solo, 1, &map));
    assert_int_equal(reply->error, 0);
    solo_forget(p->solo);
    solo_fault(p->solo, reply->map, 40, false);
    assert_non_null(solo_sent(p->solo, MESSAGE_READ, 0));
    assert_null(solo_sent(p->solo, MESSAGE_WRITE, 0));
}

/* The last counts; of many the oldest are forgotten; a region that takes the slot knows none. */
static void test_patterns_are_remembered_some_dozens(void **state)
{
    struct solo_page *p = *state;

    assert_int_equal(advise(p, 0, 600 * PAGE_BYTES, DSM_ADVICE_MIGRATORY), 0);
    for (uint64_t i = 1; i < 32; i++) {
        assert_int_equal(advise(p, i * PAGE_BYTES, PAGE_BYTES, DSM_ADVICE_NORMAL), 0);
    }
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 31, false);
    assert_non_null(solo_sent(p->solo, MESSAGE_READ, 0));
    solo_fault(p->solo, p->map, 50, false);
    assert_int_equal(solo_sent(p->solo, MESSAGE_WRITE, 0)->page, 50);
    assert_int_equal(advise(p, 31 * PAGE_BYTES, PAGE_BYTES, DSM_ADVICE_NORMAL), 0);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 60, false);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->page, 60);
}

static void test_wrong_advice_is_refused(void **state)
{
    struct solo_page *p = *state;
    struct call open = {.kind = CALL_OPEN, .object = RECORD_SEM, .name = "/r8"};
    struct record sem = solo_region(8, 0, 0);

    sem.kind = RECORD_SEM;
    assert_int_equal(advise(p, 0, PAGE_BYTES, 0), DSM_EINVAL);
    assert_int_equal(advise(p, 0, PAGE_BYTES, DSM_ADVICE_MIGRATORY + 1), DSM_EINVAL);
    assert_int_equal(advise(p, 0, 0, DSM_ADVICE_WILL_NEED), 0);
    assert_null(solo_sent(p->solo, MESSAGE_READ, 0));
    solo_record(p->solo, &sem);
    p->handle = solo_reply(p->solo, solo_call(p->solo, 1, &open))->handle;
    assert_int_equal(advise(p, 0, PAGE_BYTES, DSM_ADVICE_WILL_NEED), DSM_EINVAL);
    p->handle += 1000;
    assert_int_equal(advise(p, 0, PAGE_BYTES, DSM_ADVICE_WILL_NEED), DSM_ESTALE);
}

static void test_advice_beyond_the_end_is_refused(void **state)
{
    struct solo_page *p = *state;

    assert_int_equal(advise(p, 599 * PAGE_BYTES, 2 * PAGE_BYTES, DSM_ADVICE_WILL_NEED), DSM_ERANGE);
    assert_int_equal(advise(p, UINT64_MAX, 2, DSM_ADVICE_DONE_WITH), DSM_ERANGE);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pages_that_will_be_needed_are_asked_for),
        TEST(test_request_ahead_may_wait_until_a_thread_wants_it),
        TEST(test_no_more_than_some_megabytes_are_on_their_way),
        TEST(test_nothing_is_asked_for_beyond_the_budget),
        TEST(test_copies_that_are_done_with_are_given_up),
        TEST(test_what_was_written_goes_home_when_it_is_done_with),
        TEST(test_pages_go_home_some_at_a_time),
        TEST(test_advice_on_a_region_that_goes_is_forgotten),
        TEST(test_advice_is_forgotten_when_the_window_to_the_home_is_full),
        TEST(test_nothing_is_read_ahead_where_use_is_random),
        TEST(test_all_that_is_read_in_order_is_asked_for_at_the_first_fault),
        TEST(test_page_that_is_written_next_is_read_with_the_right_to_write),
        TEST(test_patterns_are_remembered_some_dozens),
        TEST(test_wrong_advice_is_refused),
        TEST(test_advice_beyond_the_end_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
