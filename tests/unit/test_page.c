/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that wants pages, whose home and sources are played: what it shows its programs and says
 * to the home when answers come in pieces, twice, in another order, from another source, or never.
 */
#include "dsm/core/node_parts.h"
#include "tests/sim/solo_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int set_up(void **state)
{
    struct node_config config = {.resend_ms = 100, .read_ahead_pages = 64};

    *state = solo_page_new(&config);
    return 0;
}

static int tear_down(void **state)
{
    solo_page_free(*state);
    return 0;
}

static void say(struct solo_page *p, uint32_t kind, uint32_t from, uint32_t flags, uint64_t number,
                uint32_t count, uint32_t granted, uint64_t version)
{
    struct message message = solo_page_message(p, kind, from, number, count, version);

    message.flags = (uint8_t)flags;
    message.granted = (uint16_t)granted;
    solo_page_say(p, &message);
}

static uint32_t count_of(const struct solo_page *p, uint32_t kind)
{
    uint32_t count = 0;

    while (solo_action(p->solo, kind, count) != NULL) {
        count++;
    }
    return count;
}

static const struct message *confirm(const struct solo_page *p, uint32_t nth)
{
    return solo_sent(p->solo, MESSAGE_CONFIRM, nth);
}

/* Two faults in a row: the second one asks for pages 1 to 4. */
static void ask_for_four(struct solo_page *p)
{
    solo_page_have(p, 0, false, 3);
    solo_fault(p->solo, p->map, 1, false);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->count, 4);
}

/* --- bytes --- */

static void test_range_that_comes_in_pieces_is_confirmed_once(void **state)
{
    struct solo_page *p = *state;

    ask_for_four(p);
    say(p, MESSAGE_DATA, 2, 0, 1, 3, 4, 9);
    assert_null(confirm(p, 0));
    say(p, MESSAGE_DATA, 2, 0, 4, 1, 4, 9);
    assert_int_equal(confirm(p, 0)->page, 1);
    assert_int_equal(confirm(p, 0)->count, 4);
    assert_int_equal(confirm(p, 0)->to, 0);
    assert_int_equal(solo_action(p->solo, ACTION_FILL, 0)->count, 3);
    assert_int_equal(solo_action(p->solo, ACTION_FILL, 0)->map, p->map);
    assert_int_equal(solo_action(p->solo, ACTION_FILL, 1)->page, 4);
    assert_int_equal(solo_counters(p->solo)->pages_received, 4);
    assert_int_equal(solo_counters(p->solo)->pages_resident, 5);
}

/* Nobody is known to wait for the page again, so its CONFIRM may wait; not that of a hot one. */
static void test_confirm_may_wait_but_of_a_page_that_was_taken_at_once(void **state)
{
    struct solo_page *p = *state;
    static const uint64_t taken[] = {4 + 8, 4 + 9}; /* so many transfers at the home later */

    for (uint64_t number = 0; number < 2; number++) {
        solo_fault(p->solo, p->map, number * 9, false);
        say(p, MESSAGE_DATA, 0, 0, number * 9, 1, 1, 4);
        assert_true(solo_action(p->solo, ACTION_SEND, count_of(p, ACTION_SEND) - 1)->may_wait);
        say(p, MESSAGE_INVALIDATE, 0, 0, number * 9, 1, 0, taken[number]);
        solo_fault(p->solo, p->map, number * 9, false);
        say(p, MESSAGE_DATA, 0, 0, number * 9, 1, 1, 40);
        assert_non_null(confirm(p, number * 2 + 1));
        assert_int_equal(
            solo_action(p->solo, ACTION_SEND, count_of(p, ACTION_SEND) - 1)->may_wait, number == 1);
    }
}

static void test_pieces_that_do_not_fit_are_left_out(void **state)
{
    struct solo_page *p = *state;
    struct message data;

    ask_for_four(p);
    say(p, MESSAGE_DATA, 2, 0, 2, 3, 4, 9); /* not the first */
    say(p, MESSAGE_DATA, 2, 0, 1, 1, 5, 9); /* more than was asked for */
    say(p, MESSAGE_DATA, 2, 0, 1, 1, 0, 9);
    say(p, MESSAGE_DATA, 2, 0, 1, 0, 4, 9);
    say(p, MESSAGE_DATA, 2, 0, 1, 3, 2, 9); /* more than is said to come */
    data = solo_page_message(p, MESSAGE_DATA, 2, 1, 4, 9);
    solo_message(p->solo, &data, 3); /* bytes are missing */
    data.region.generation++;
    solo_message(p->solo, &data, 4); /* another region's */
    assert_int_equal(count_of(p, ACTION_FILL), 0);
    say(p, MESSAGE_DATA, 2, 0, 1, 2, 4, 9);
    say(p, MESSAGE_DATA, 2, 0, 1, 2, 4, 9); /* once more */
    say(p, MESSAGE_DATA, 2, 0, 3, 2, 3, 9); /* another number of pages now */
    assert_int_equal(count_of(p, ACTION_FILL), 1);
    say(p, MESSAGE_DATA, 2, 0, 3, 2, 4, 9);
    assert_int_equal(confirm(p, 0)->count, 4);
}

static void test_bytes_of_another_source_begin_anew(void **state)
{
    struct solo_page *p = *state;

    ask_for_four(p);
    say(p, MESSAGE_DATA, 2, 0, 1, 2, 4, 9);
    say(p, MESSAGE_DATA, 3, 0, 1, 2, 3, 7); /* an older transfer: late */
    assert_int_equal(count_of(p, ACTION_DROP), 0);
    say(p, MESSAGE_DATA, 3, 0, 1, 2, 3, 12); /* the first source died half way */
    assert_int_equal(solo_action(p->solo, ACTION_DROP, 0)->page, 1);
    assert_int_equal(solo_action(p->solo, ACTION_DROP, 0)->count, 2);
    assert_int_equal(count_of(p, ACTION_FILL), 2);
    say(p, MESSAGE_DATA, 3, 0, 3, 1, 3, 12);
    assert_int_equal(confirm(p, 0)->version, 12);
    assert_int_equal(confirm(p, 0)->count, 3);
}

static void test_announced_grant_is_waited_for_before_anyone_writes(void **state)
{
    struct solo_page *p = *state;

    solo_fault(p->solo, p->map, 7, true);
    say(p, MESSAGE_DATA, 2, FLAG_WRITE | FLAG_GRANT, 7, 1, 1, 9);
    assert_false(solo_action(p->solo, ACTION_FILL, 0)->write);
    assert_null(confirm(p, 0));
    assert_null(solo_action(p->solo, ACTION_ALLOW, 0));
    say(p, MESSAGE_GRANT, 0, FLAG_WRITE, 7, 1, 1, 9);
    assert_non_null(confirm(p, 0));
    assert_int_equal(solo_action(p->solo, ACTION_ALLOW, 0)->map, p->map);
}

static void test_grant_may_come_before_the_bytes(void **state)
{
    struct solo_page *p = *state;

    solo_fault(p->solo, p->map, 7, true);
    say(p, MESSAGE_GRANT, 0, FLAG_WRITE, 7, 1, 1, 9);
    assert_null(confirm(p, 0));
    say(p, MESSAGE_DATA, 2, FLAG_WRITE | FLAG_GRANT, 7, 1, 1, 9);
    assert_true(solo_action(p->solo, ACTION_FILL, 0)->write);
    assert_non_null(confirm(p, 0));
}

static void test_zeros_do_not_replace_bytes_that_came(void **state)
{
    struct solo_page *p = *state;

    ask_for_four(p);
    say(p, MESSAGE_DATA, 2, 0, 1, 2, 4, 9);
    say(p, MESSAGE_GRANT, 0, FLAG_ZERO, 1, 4, 4, 9);
    assert_int_equal(count_of(p, ACTION_FILL), 1);
    assert_null(confirm(p, 0));
}

static void test_upgrade_keeps_the_bytes(void **state)
{
    struct solo_page *p = *state;

    solo_page_have(p, 7, false, 5);
    solo_fault(p->solo, p->map, 7, true);
    assert_int_equal(solo_sent(p->solo, MESSAGE_WRITE, 0)->have, 5);
    say(p, MESSAGE_GRANT, 0, FLAG_WRITE | FLAG_COPY, 7, 1, 1, 9);
    assert_int_equal(count_of(p, ACTION_FILL), 0);
    assert_int_equal(solo_action(p->solo, ACTION_ALLOW, 0)->map, p->map);
    assert_non_null(confirm(p, 0));
}

static void test_upgrade_that_is_sent_bytes_replaces_its_copy(void **state)
{
    struct solo_page *p = *state;

    solo_page_have(p, 7, false, 5);
    solo_fault(p->solo, p->map, 7, true);
    say(p, MESSAGE_DATA, 2, FLAG_WRITE, 7, 1, 1, 9);
    assert_int_equal(solo_action(p->solo, ACTION_DROP, 0)->page, 7);
    assert_true(solo_action(p->solo, ACTION_FILL, 0)->write);
    assert_int_equal(solo_counters(p->solo)->pages_resident, 1);
}

static void test_copy_that_is_not_here_is_denied(void **state)
{
    struct solo_page *p = *state;

    solo_fault(p->solo, p->map, 7, true);
    say(p, MESSAGE_GRANT, 0, FLAG_WRITE | FLAG_COPY, 7, 1, 1, 9);
    assert_int_equal(solo_counters(p->solo)->refused, 1);
    assert_int_equal(solo_sent(p->solo, MESSAGE_NOT_HERE, 0)->to, 0);
    assert_null(confirm(p, 0));
}

/* --- requests that are closed, or asked about --- */

static void test_answer_to_a_closed_request_is_confirmed_again(void **state)
{
    struct solo_page *p = *state;
    struct message ask;

    say(p, MESSAGE_DATA, 2, 0, 7, 1, 1, 9);
    assert_int_equal(confirm(p, 0)->request, 9999 * NODES_MAX);
    say(p, MESSAGE_GRANT, 0, FLAG_WRITE, 7, 1, 1, 9);
    assert_non_null(confirm(p, 1));
    say(p, MESSAGE_ASK, 0, 0, 7, 1, 1, 9);
    assert_non_null(confirm(p, 2));
    assert_int_equal(count_of(p, ACTION_FILL), 0);
    solo_fault(p->solo, p->map, 7, false);
    say(p, MESSAGE_ASK, 0, 0, 7, 1, 1, 9); /* of one that is open */
    assert_int_equal(solo_sent(p->solo, MESSAGE_NOT_HERE, 0)->to, 0);
    ask = solo_page_message(p, MESSAGE_DATA, 2, 7, 1, 9);
    ask.request = 77 * NODES_MAX;
    ask.region.slot = 99; /* of a region that is unknown */
    solo_message(p->solo, &ask, 1);
    assert_null(confirm(p, 3));
}

static void test_unanswered_request_is_sent_again(void **state)
{
    struct solo_page *p = *state;

    solo_fault(p->solo, p->map, 7, false);
    assert_int_equal(node_deadline(p->solo->node), p->solo->now_ms + 100);
    solo_advance(p->solo, 100);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 1)->request,
                     solo_sent(p->solo, MESSAGE_READ, 0)->request);
    assert_int_equal(solo_counters(p->solo)->resends, 1);
}

/* --- lost pages --- */

static void test_lost_page_is_poisoned_for_good(void **state)
{
    struct solo_page *p = *state;
    struct message lost;

    solo_fault(p->solo, p->map, 7, false);
    lost = solo_page_message(p, MESSAGE_LOST, 0, 7, 1, 0);
    lost.error = DSM_EDOWN;
    lost.requester = 3;
    lost.granted = 0;
    solo_page_say(p, &lost); /* of no page */
    lost.granted = 2;
    solo_page_say(p, &lost); /* of more than was asked for */
    assert_int_equal(count_of(p, ACTION_POISON), 0);
    lost.granted = 1;
    solo_page_say(p, &lost);
    assert_int_equal(solo_action(p->solo, ACTION_POISON, 0)->node, 3);
    assert_int_equal(solo_action(p->solo, ACTION_POISON, 0)->error, DSM_EDOWN);
    assert_int_equal(solo_counters(p->solo)->pages_lost, 1);
    solo_fault(p->solo, p->map, 7, true);
    assert_int_equal(count_of(p, ACTION_POISON), 2);
    assert_null(solo_sent(p->solo, MESSAGE_WRITE, 0));
}

/* Three pages came before their source died; only the first of them is lost for certain. */
static void test_bytes_beyond_the_lost_pages_are_dropped_too(void **state)
{
    struct solo_page *p = *state;
    struct message lost;

    ask_for_four(p);
    say(p, MESSAGE_DATA, 2, 0, 1, 3, 4, 9);
    lost = solo_page_message(p, MESSAGE_LOST, 0, 1, 1, 0);
    lost.error = DSM_EDOWN;
    solo_page_say(p, &lost);
    assert_int_equal(solo_action(p->solo, ACTION_DROP, 0)->count, 3);
    assert_int_equal(solo_action(p->solo, ACTION_POISON, 0)->count, 1);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 3, false); /* wanted again: asked for again */
    assert_non_null(solo_sent(p->solo, MESSAGE_READ, 0));
}

static void test_refusal_by_a_home_that_is_behind_is_asked_again(void **state)
{
    struct solo_page *p = *state;
    struct message lost;

    solo_fault(p->solo, p->map, 7, false);
    lost = solo_page_message(p, MESSAGE_LOST, 0, 7, 1, 0);
    lost.error = DSM_EACCES;
    solo_page_say(p, &lost); /* but the record here says that it may */
    assert_int_equal(count_of(p, ACTION_POISON), 0);
    solo_advance(p->solo, 100);
    assert_non_null(solo_sent(p->solo, MESSAGE_READ, 1));
}

static void test_refusal_that_the_record_bears_out_is_final(void **state)
{
    struct solo_page *p = *state;
    struct record record = *node_record(p->solo->node, p->region);
    struct message lost;

    ask_for_four(p);
    say(p, MESSAGE_DATA, 2, 0, 1, 2, 4, 9);
    assert_int_equal(solo_reply(p->solo, solo_call(p->solo, 1, &(struct call){
                                             .kind = CALL_UNMAP, .map = p->map}))->error, 0);
    record.readers = record.writers = NODESET_EMPTY;
    solo_record(p->solo, &record);
    lost = solo_page_message(p, MESSAGE_LOST, 0, 1, 4, 0);
    lost.error = DSM_EACCES;
    solo_page_say(p, &lost);
    assert_int_equal(solo_action(p->solo, ACTION_DROP, 0)->count, 2);
    assert_int_equal(count_of(p, ACTION_POISON), 0);
    assert_null(solo_sent(p->solo, MESSAGE_READ, 1));
    assert_true(list_is_empty(&p->solo->node->context.timers));
}

static void test_home_that_is_lost_loses_what_is_wanted(void **state)
{
    struct solo_page *p = *state;

    solo_page_have(p, 6, true, 3);
    solo_fault(p->solo, p->map, 40, false);
    solo_member(p->solo, 0, 1, false, 1);
    assert_int_equal(solo_action(p->solo, ACTION_POISON, 0)->page, 40);
    assert_int_equal(solo_action(p->solo, ACTION_POISON, 0)->node, 0);
    solo_fault(p->solo, p->map, 50, true); /* not even asked for */
    assert_int_equal(solo_action(p->solo, ACTION_POISON, 1)->page, 50);
    solo_fault(p->solo, p->map, 6, true); /* is here: goes on */
    assert_int_equal(solo_action(p->solo, ACTION_ALLOW, 0)->page, 6);
    assert_int_equal(solo_counters(p->solo)->pages_lost, 2);
}

/* --- who waits --- */

static void test_other_mappings_get_their_rights_one_by_one(void **state)
{
    struct solo_page *p = *state;
    map_id other = solo_map(p->solo, 2, node_record(p->solo->node, p->region), NULL);

    solo_fault(p->solo, p->map, 7, true);
    solo_fault(p->solo, p->map, 7, true);  /* another thread */
    solo_fault(p->solo, p->map, 7, false); /* a third one, which reads */
    solo_fault(p->solo, other, 7, true);
    solo_fault(p->solo, other, 7, false);
    assert_null(solo_sent(p->solo, MESSAGE_WRITE, 1));
    say(p, MESSAGE_DATA, 2, FLAG_WRITE, 7, 1, 1, 9);
    assert_int_equal(solo_action(p->solo, ACTION_FILL, 0)->map, p->map);
    assert_true(solo_action(p->solo, ACTION_FILL, 0)->write);
    assert_int_equal(count_of(p, ACTION_ALLOW), 1);
    assert_int_equal(solo_action(p->solo, ACTION_ALLOW, 0)->map, other);
    assert_int_equal(solo_counters(p->solo)->faults, 5);
    assert_int_equal(solo_counters(p->solo)->faults_remote, 1);
}

static void test_mapping_that_is_gone_is_not_filled_through(void **state)
{
    struct solo_page *p = *state;
    map_id other = solo_map(p->solo, 2, node_record(p->solo->node, p->region), NULL);
    struct call unmap = {.kind = CALL_UNMAP, .map = p->map};

    solo_fault(p->solo, p->map, 7, true);
    solo_call(p->solo, 1, &unmap);
    say(p, MESSAGE_DATA, 2, FLAG_WRITE, 7, 1, 1, 9);
    assert_int_equal(solo_action(p->solo, ACTION_FILL, 0)->map, other);
    assert_int_equal(count_of(p, ACTION_ALLOW), 0); /* nobody waits */
    assert_non_null(confirm(p, 0));
}

static void test_page_that_is_here_only_wakes(void **state)
{
    struct solo_page *p = *state;

    solo_page_have(p, 7, false, 5);
    solo_fault(p->solo, p->map, 7, false);
    assert_int_equal(count_of(p, ACTION_WAKE), 1);
    solo_page_have(p, 8, true, 5);
    solo_fault(p->solo, p->map, 8, false);
    assert_int_equal(count_of(p, ACTION_WAKE), 1);
    solo_fault(p->solo, p->map, 8, true);
    assert_int_equal(count_of(p, ACTION_ALLOW), 1);
}

/* --- the window to the home --- */

static void test_requests_beyond_the_window_wait_for_room(void **state)
{
    struct solo_page *p = *state;
    struct record record = solo_region(6, 2 * WINDOW, 0);
    struct message grant;
    map_id map;
    uint32_t asked = 0;

    solo_record(p->solo, &record);
    map = solo_map(p->solo, 1, &record, NULL);
    for (uint64_t number = 0; number < WINDOW + 10; number++) {
        solo_forget(p->solo); /* every other page: no range */
        solo_fault(p->solo, map, number * 2 % (2 * WINDOW) + number / WINDOW, false);
        asked += solo_sent(p->solo, MESSAGE_READ, 0) != NULL;
    }
    assert_true(asked < WINDOW);
    p->region = record.id;
    grant = solo_page_message(p, MESSAGE_GRANT, 0, 0, 1, 9);
    grant.request = NODES_MAX; /* the first one */
    grant.flags = FLAG_ZERO;
    solo_page_say(p, &grant);
    assert_non_null(solo_sent(p->solo, MESSAGE_READ, 0)); /* one of those that were blocked */
    record.deleted = true;
    solo_record(p->solo, &record);
    assert_true(list_is_empty(&p->solo->node->pages.blocked));
    assert_true(node_deadline(p->solo->node) == UINT64_MAX);
}

static void test_ranges_are_bounded_by_bytes(void **state)
{
    struct solo_page *p = *state;
    struct record record = solo_region(6, 0, 0);
    map_id map;

    record.page_size = DSM_PAGE_SIZE_MAX;
    record.size_bytes = 64 * (uint64_t)DSM_PAGE_SIZE_MAX;
    solo_record(p->solo, &record);
    map = solo_map(p->solo, 1, &record, NULL);
    p->region = record.id;
    p->map = map;
    solo_page_have(p, 0, false, 3);
    solo_fault(p->solo, map, 1, false);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->count, 2); /* 4 MiB */
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_range_that_comes_in_pieces_is_confirmed_once),
        FIXTURE(test_confirm_may_wait_but_of_a_page_that_was_taken_at_once),
        FIXTURE(test_pieces_that_do_not_fit_are_left_out),
        FIXTURE(test_bytes_of_another_source_begin_anew),
        FIXTURE(test_announced_grant_is_waited_for_before_anyone_writes),
        FIXTURE(test_grant_may_come_before_the_bytes),
        FIXTURE(test_zeros_do_not_replace_bytes_that_came),
        FIXTURE(test_upgrade_keeps_the_bytes),
        FIXTURE(test_upgrade_that_is_sent_bytes_replaces_its_copy),
        FIXTURE(test_copy_that_is_not_here_is_denied),
        FIXTURE(test_answer_to_a_closed_request_is_confirmed_again),
        FIXTURE(test_unanswered_request_is_sent_again),
        FIXTURE(test_lost_page_is_poisoned_for_good),
        FIXTURE(test_bytes_beyond_the_lost_pages_are_dropped_too),
        FIXTURE(test_refusal_by_a_home_that_is_behind_is_asked_again),
        FIXTURE(test_refusal_that_the_record_bears_out_is_final),
        FIXTURE(test_home_that_is_lost_loses_what_is_wanted),
        FIXTURE(test_other_mappings_get_their_rights_one_by_one),
        FIXTURE(test_mapping_that_is_gone_is_not_filled_through),
        FIXTURE(test_page_that_is_here_only_wakes),
        FIXTURE(test_requests_beyond_the_window_wait_for_room),
        FIXTURE(test_ranges_are_bounded_by_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
