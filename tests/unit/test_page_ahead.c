/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of pages that are to be asked for ahead when the world changes before they are. */
#include "tests/sim/solo_page.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int tear_down(void **state)
{
    solo_page_free(*state);
    return 0;
}

static int set_up_alone(void **state)
{
    static const struct node_config config = {.resend_ms = 100, .read_ahead_pages = 64};

    *state = solo_page_new(&config);
    return 0;
}

/* A run of faults, and behind it every other page is here: more requests than one step makes. */
static int set_up(void **state)
{
    struct node_config config = {.resend_ms = 100, .read_ahead_pages = 64};
    struct solo_page *p = solo_page_new(&config);
    static const uint64_t run[] = {0, 1, 5};
    struct event event = {.kind = EVENT_FAULT};

    for (uint64_t number = 90; number < 330; number += 2) {
        solo_page_have(p, number, false, 3);
    }
    for (uint32_t i = 0; i < sizeof(run) / sizeof(run[0]); i++) {
        solo_fault(p->solo, p->map, run[i], false);
    }
    solo_forget(p->solo);
    event.fault.map = p->map;
    event.fault.page = 21;
    solo_step_once(p->solo, &event);
    solo_forget(p->solo);
    assert_true(node_deadline(p->solo->node) <= p->solo->now_ms); /* there is more to do */
    *state = p;
    return 0;
}

static void test_rest_is_asked_for_in_later_steps(void **state)
{
    struct solo_page *p = *state;

    solo_advance(p->solo, 0);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->to, 0);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->count, 1);
    assert_non_null(solo_sent(p->solo, MESSAGE_READ, 12));
}

static void test_rest_of_a_region_that_goes_is_forgotten(void **state)
{
    struct event gone = {.kind = EVENT_CLIENT_GONE, .client_gone = 1};
    struct solo_page *p = *state;
    struct record record = *node_record(p->solo->node, p->region);

    solo_step_once(p->solo, &gone);
    solo_forget(p->solo);
    record.deleted = record.unlinked = true;
    record.readers = record.writers = nodeset_of(NODE_NONE);
    solo_record(p->solo, &record);
    assert_null(solo_sent(p->solo, MESSAGE_READ, 0));
    assert_true(node_deadline(p->solo->node) > p->solo->now_ms);
}

static void test_rest_at_a_home_that_died_is_not_asked_for(void **state)
{
    struct solo_page *p = *state;

    solo_member(p->solo, 0, 1, false, 1);
    assert_null(solo_sent(p->solo, MESSAGE_READ, 0));
    assert_true(node_deadline(p->solo->node) > p->solo->now_ms);
}

/* Touch two pages in a row; returns how many are asked for by the second fault, and are given. */
static uint32_t walk_on(struct solo_page *p, uint64_t page, bool write, uint64_t version)
{
    const struct message *asked;
    struct message grant;

    solo_page_have(p, page, write, version);
    solo_fault(p->solo, p->map, page + 1, write);
    asked = solo_sent(p->solo, write ? MESSAGE_WRITE : MESSAGE_READ, 0);
    assert_non_null(asked);
    grant = solo_page_message(p, MESSAGE_GRANT, 0, page + 1, asked->count, version + 1);
    grant.flags = FLAG_ZERO;
    solo_page_say(p, &grant);
    solo_forget(p->solo);
    return grant.count;
}

static void take(struct solo_page *p, uint32_t kind, uint64_t page, uint16_t flags)
{
    struct message message = solo_page_message(p, kind, 0, page, 1, 50);

    message.requester = 2;
    message.flags = flags;
    solo_page_say(p, &message);
}

static void test_pages_written_to_elsewhere_make_readers_careful(void **state)
{
    struct solo_page *p = *state;

    assert_int_equal(walk_on(p, 400, false, 11), 4);
    take(p, MESSAGE_INVALIDATE, 401, 0); /* the walk has come to this one */
    assert_int_equal(walk_on(p, 420, false, 13), 4);
    take(p, MESSAGE_INVALIDATE, 423, 0);
    assert_int_equal(walk_on(p, 450, false, 15), 1);
}

static void test_pages_written_to_elsewhere_make_writers_careful(void **state)
{
    struct solo_page *p = *state;

    assert_int_equal(walk_on(p, 400, true, 11), 4);
    take(p, MESSAGE_FORWARD, 403, 0); /* to be read */
    assert_int_equal(walk_on(p, 420, true, 13), 4);
    take(p, MESSAGE_FORWARD, 423, FLAG_WRITE);
    assert_int_equal(walk_on(p, 450, true, 15), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rest_is_asked_for_in_later_steps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rest_of_a_region_that_goes_is_forgotten, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_rest_at_a_home_that_died_is_not_asked_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_pages_written_to_elsewhere_make_readers_careful,
                                        set_up_alone, tear_down),
        cmocka_unit_test_setup_teardown(test_pages_written_to_elsewhere_make_writers_careful,
                                        set_up_alone, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
