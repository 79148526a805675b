/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node whose home is played: how long a page stays that another node wants as soon as it is here
 * (page_turn.c). What the programs do with it meanwhile is played by the digests of its bytes.
 */
#include "dsm/core/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "dsm/core/node_parts.h"
#include "tests/sim/solo_page.h"

#define PAGE 5u

static int set_up(void **state)
{
    struct node_config config = {.resend_ms = 1000, .read_ahead_pages = 1};

    *state = solo_page_new(&config);
    return 0;
}

/* The home counts its transfers. */
static uint64_t next_version(struct solo_page *p)
{
    return p->solo->node->context.counters.messages_received + 10;
}

static int tear_down(void **state)
{
    solo_page_free(*state);
    return 0;
}

/* Another region of the same size takes the place of the first one, with this window. */
static void use_region(struct solo_page *p, uint32_t slot, uint32_t window_ms)
{
    struct record record = solo_region(slot, 600, 0);

    record.window_ms = window_ms;
    solo_record(p->solo, &record);
    p->region = record.id;
    p->map = solo_map(p->solo, 2, &record, &p->handle);
}

/* The core has asked for a digest: it is told this one. Was it asked? */
static bool tell_digest(struct solo_page *p, bool is_end, uint64_t value)
{
    const struct action *action;

    for (uint32_t i = 0; (action = solo_action(p->solo, ACTION_DIGEST, i)) != NULL; i++) {
        if (action->write == is_end) {
            struct event event = {.kind = EVENT_DIGEST,
                                  .digest = {.region = action->region,
                                             .page = action->page,
                                             .value = value,
                                             .is_end = is_end}};

            assert_int_equal(action->count, 1);
            solo_step(p->solo, &event);
            return true;
        }
    }
    return false;
}

/* The home wants a page for node 2. */
static void want(struct solo_page *p, uint32_t kind, uint32_t flags, uint64_t number)
{
    struct message message = solo_page_message(p, kind, 0, number, 1, next_version(p));

    message.requester = 2;
    message.request = message.version * NODES_MAX;
    message.flags = (uint16_t)flags;
    solo_page_say(p, &message);
}

/* The page comes, and is wanted at once; for how many ms does it stay? */
static uint64_t stay(struct solo_page *p, uint64_t number, bool is_used)
{
    uint64_t begun_ms = p->solo->now_ms;

    solo_page_have(p, number, true, next_version(p));
    solo_forget(p->solo);
    want(p, MESSAGE_FORWARD, FLAG_WRITE, number);
    if (solo_sent(p->solo, MESSAGE_DATA, 0) != NULL) {
        assert_false(tell_digest(p, true, 0));
        return 0;
    }
    assert_true(tell_digest(p, false, 1));
    while (solo_sent(p->solo, MESSAGE_DATA, 0) == NULL) {
        assert_in_range(p->solo->now_ms, begun_ms, begun_ms + DSM_WINDOW_MS_MAX);
        solo_advance(p->solo, 1);
    }
    assert_true(tell_digest(p, true, is_used ? 2 : 1));
    return p->solo->now_ms - begun_ms;
}

/* So many turns, of which none lasts. */
static void pass(struct solo_page *p, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(stay(p, PAGE, false), 0);
    }
}

/* A page whose bytes go on changing while others wait for it stays, longer and longer. */
static void test_page_that_is_used_stays_up_to_the_usual_bound(void **state)
{
    static const uint64_t expected[] = {1, 1, 2, 4, 4, 4};
    struct solo_page *p = *state;

    pass(p, 3);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(stay(p, PAGE, true), expected[i]);
    }
    assert_int_equal(solo_counters(p->solo)->bounces, 9);
    assert_int_equal(solo_counters(p->solo)->holds, 6);
}

/* One that is not goes at once again, and trials become rarer. */
static void test_page_that_is_not_used_goes_at_once(void **state)
{
    static const uint64_t expected[] = {1, 1, 2, 4, 2, 1};
    struct solo_page *p = *state;

    pass(p, 3);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(stay(p, PAGE, i < 3), expected[i]);
    }
    for (uint32_t gap = 8; gap <= 1024; gap *= 2) {
        pass(p, gap - 1);
        assert_int_equal(stay(p, PAGE, false), 1);
    }
    pass(p, 1023);
    assert_int_equal(stay(p, PAGE, true), 1);
    assert_int_equal(stay(p, PAGE, true), 1);
    assert_int_equal(stay(p, PAGE, true), 2);
}

/* The region's options say how long it may be, or that there is none. */
static void test_bound_is_that_of_the_region(void **state)
{
    static const uint64_t expected[] = {1, 1, 2, 4, 7, 7};
    struct solo_page *p = *state;

    use_region(p, 6, 7);
    pass(p, 3);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(stay(p, PAGE, true), expected[i]);
    }
    use_region(p, 7, DSM_WINDOW_NONE);
    pass(p, 40);
    use_region(p, 8, DSM_WINDOW_MS_MAX + 1); /* no honest keeper's */
    pass(p, 3);
    for (uint32_t i = 0; i < 6; i++) {
        assert_in_range(stay(p, PAGE, true), 1, 4);
    }
}

/* Who has had a page for a while hands it over; other pages are none of its business. */
static void test_page_that_has_been_here_for_a_while_does_not_bounce(void **state)
{
    struct solo_page *p = *state;

    for (uint32_t i = 0; i < 8; i++) {
        solo_page_have(p, PAGE, true, next_version(p));
        solo_advance(p->solo, 11);
        solo_forget(p->solo);
        want(p, MESSAGE_FORWARD, FLAG_WRITE, PAGE);
        assert_non_null(solo_sent(p->solo, MESSAGE_DATA, 0));
        assert_int_equal(stay(p, 20 + i, true), 0);
    }
    assert_int_equal(solo_counters(p->solo)->holds, 0);
}

/* A reader's copy goes at once, and so does nothing when there is a reader more. */
static void test_reader_has_no_window(void **state)
{
    struct solo_page *p = *state;

    for (uint32_t i = 0; i < 8; i++) {
        solo_page_have(p, PAGE, false, next_version(p));
        solo_forget(p->solo);
        want(p, MESSAGE_FORWARD, 0, PAGE);
        assert_non_null(solo_sent(p->solo, MESSAGE_DATA, 0));
        want(p, MESSAGE_INVALIDATE, FLAG_WAITED, PAGE);
        assert_non_null(solo_sent(p->solo, MESSAGE_INVALIDATED, 0));
    }
    assert_int_equal(solo_counters(p->solo)->bounces, 8);
}

/* A page that others may read by now, or whose group is not whole, has no bytes to look at. */
static void test_page_that_is_not_writable_any_more_teaches_nothing(void **state)
{
    struct solo_page *p = *state;

    pass(p, 3);
    solo_page_have(p, PAGE, true, next_version(p));
    want(p, MESSAGE_FORWARD, FLAG_WRITE, PAGE);
    assert_true(tell_digest(p, false, 1));
    assert_int_equal(p->solo->node->pages.count_deferred, 1);
    want(p, MESSAGE_FORWARD, 0, PAGE); /* of a home that does not wait */
    assert_non_null(solo_sent(p->solo, MESSAGE_DATA, 0));
    solo_advance(p->solo, 1);
    assert_non_null(solo_sent(p->solo, MESSAGE_DATA, 1));
    assert_false(tell_digest(p, true, 2));
}

/* Digests that nobody asked for, or of regions that are unknown, change nothing. */
static void test_digest_that_nobody_waits_for_is_ignored(void **state)
{
    struct solo_page *p = *state;
    struct event event = {.kind = EVENT_DIGEST,
                          .digest = {.region = p->region, .page = PAGE, .is_end = true}};

    solo_step(p->solo, &event);
    solo_page_have(p, PAGE, true, next_version(p));
    solo_step(p->solo, &event);
    event.digest.region.slot = 77;
    solo_step(p->solo, &event);
    pass(p, 3);
    assert_int_equal(stay(p, PAGE, true), 1);
}

/* What is worth telling is told once in a second: that the page is torn between nodes. */
static void test_bouncing_page_is_told_of_once_a_second(void **state)
{
    struct solo_page *p = *state;
    uint32_t count_told = 0;

    use_region(p, 6, DSM_WINDOW_NONE);
    for (uint32_t i = 0; i < 120; i++) {
        assert_int_equal(stay(p, PAGE, false), 0);
        if (solo_action(p->solo, ACTION_BOUNCE, 0) != NULL) {
            count_told++;
            assert_int_equal(i, 49);
            assert_int_equal(solo_action(p->solo, ACTION_BOUNCE, 0)->page, PAGE);
            assert_int_equal(solo_action(p->solo, ACTION_BOUNCE, 0)->count, 50);
            assert_int_equal(solo_action(p->solo, ACTION_BOUNCE, 0)->node, 2);
        }
    }
    assert_int_equal(count_told, 1);
    solo_advance(p->solo, 1000);
    for (uint32_t i = 0; i < 50; i++) {
        assert_int_equal(stay(p, PAGE, false), 0);
    }
    assert_non_null(solo_action(p->solo, ACTION_BOUNCE, 0));
}

/* Hand-overs of a page that its holders are done with are nothing to complain of. */
static void test_page_that_is_handed_over_in_turns_is_not_told_of(void **state)
{
    struct solo_page *p = *state;

    for (uint32_t i = 0; i < 200; i++) {
        assert_in_range(stay(p, PAGE, false), 0, 1);
        assert_null(solo_action(p->solo, ACTION_BOUNCE, 0));
    }
}

/* Many pages come and go: what bounces is remembered. */
static void test_other_pages_do_not_push_out_one_that_bounces(void **state)
{
    struct solo_page *p = *state;

    pass(p, 3);
    assert_int_equal(stay(p, PAGE, true), 1);
    assert_int_equal(stay(p, PAGE, true), 1);
    for (uint32_t i = 0; i < 3 * TURNS; i++) {
        solo_page_have(p, 100 + i, false, next_version(p));
    }
    assert_int_equal(stay(p, PAGE, true), 2);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_page_that_is_used_stays_up_to_the_usual_bound),
        STORY(test_page_that_is_not_used_goes_at_once),
        STORY(test_bound_is_that_of_the_region),
        STORY(test_page_that_has_been_here_for_a_while_does_not_bounce),
        STORY(test_reader_has_no_window),
        STORY(test_page_that_is_not_writable_any_more_teaches_nothing),
        STORY(test_digest_that_nobody_waits_for_is_ignored),
        STORY(test_bouncing_page_is_told_of_once_a_second),
        STORY(test_page_that_is_handed_over_in_turns_is_not_told_of),
        STORY(test_other_pages_do_not_push_out_one_that_bounces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
