/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that has pages which others want, whose home and requesters are played: what it sends on,
 * drops, keeps aside and sends home, also when messages come twice or too late.
 */
#include "dsm/core/node_parts.h"
#include "tests/sim/solo_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define REQUEST (5 * NODES_MAX) /* of node 2 */

static int set_up(void **state)
{
    struct node_config config = {.resend_ms = 100, .read_ahead_pages = 1};

    *state = solo_page_new(&config);
    return 0;
}

/* One page may stay. */
static int set_up_small(void **state)
{
    struct node_config config = {.resend_ms = 100, .budget_bytes = 4096};

    *state = solo_page_new(&config);
    return 0;
}

static int tear_down(void **state)
{
    solo_page_free(*state);
    return 0;
}

/* The home's message about node 2's request. */
static struct message message_of(const struct solo_page *p, uint32_t kind, uint32_t flags,
                                 uint64_t number, uint32_t count, uint64_t version)
{
    struct message message = solo_page_message(p, kind, 0, number, count, version);

    message.flags = (uint8_t)flags;
    message.requester = 2;
    message.request = REQUEST;
    return message;
}

static void say(struct solo_page *p, uint32_t kind, uint32_t flags, uint64_t number,
                uint32_t count, uint64_t version)
{
    struct message message = message_of(p, kind, flags, number, count, version);

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

/* --- FORWARD --- */

static void test_reader_gets_bytes_after_the_protection(void **state)
{
    struct solo_page *p = *state;

    solo_page_have(p, 7, true, 3);
    say(p, MESSAGE_FORWARD, 0, 7, 1, 9);
    assert_int_equal(p->solo->count, 2);
    assert_int_equal(p->solo->list[0].kind, ACTION_PROTECT);
    assert_int_equal(p->solo->list[1].message.kind, MESSAGE_DATA);
    assert_int_equal(p->solo->list[1].source, BYTES_FRAMES);
    assert_int_equal(p->solo->list[1].message.to, 2);
    assert_int_equal(solo_counters(p->solo)->downgrades, 1);
    say(p, MESSAGE_FORWARD, 0, 7, 1, 9); /* once more: the bytes may be lost */
    assert_int_equal(count_of(p, ACTION_PROTECT), 1);
    assert_non_null(solo_sent(p->solo, MESSAGE_DATA, 1));
}

static void test_writer_gets_bytes_that_are_kept_until_released(void **state)
{
    struct solo_page *p = *state;
    static const uint8_t order[] = {ACTION_PROTECT, ACTION_KEEP, ACTION_DROP, ACTION_SEND};

    solo_page_have(p, 7, true, 3);
    say(p, MESSAGE_FORWARD, FLAG_WRITE | FLAG_GRANT, 7, 1, 9);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(p->solo->list[i].kind, order[i]);
    }
    assert_int_equal(p->solo->list[3].source, BYTES_KEPT);
    assert_int_equal(p->solo->list[3].message.flags, FLAG_WRITE | FLAG_GRANT);
    assert_int_equal(solo_counters(p->solo)->pages_resident, 0);
    say(p, MESSAGE_FORWARD, FLAG_WRITE | FLAG_GRANT, 7, 1, 9);
    assert_non_null(solo_sent(p->solo, MESSAGE_DATA, 1));
    assert_int_equal(count_of(p, ACTION_KEEP), 1);
    say(p, MESSAGE_RELEASE, 0, 7, 1, 9);
    assert_int_equal(solo_action(p->solo, ACTION_FORGET, 0)->keep,
                     solo_action(p->solo, ACTION_KEEP, 0)->keep);
    say(p, MESSAGE_RELEASE, 0, 7, 1, 9);
    assert_int_equal(count_of(p, ACTION_FORGET), 1);
    say(p, MESSAGE_FORWARD, FLAG_WRITE | FLAG_GRANT, 7, 1, 9);
    assert_non_null(solo_sent(p->solo, MESSAGE_NOT_HERE, 0));
}

static void test_large_answer_leaves_in_several_messages(void **state)
{
    struct solo_page *p = *state;

    for (uint64_t number = 0; number < 100; number++) {
        solo_page_have(p, number, true, 3);
    }
    say(p, MESSAGE_FORWARD, FLAG_WRITE, 0, 100, 9);
    assert_int_equal(solo_sent(p->solo, MESSAGE_DATA, 0)->count, 64); /* 256 KiB */
    assert_int_equal(solo_sent(p->solo, MESSAGE_DATA, 1)->count, 36);
    assert_int_equal(solo_sent(p->solo, MESSAGE_DATA, 1)->granted, 100);
    assert_int_equal(solo_counters(p->solo)->pages_sent, 100);
}

static void test_forward_is_served_whole_or_denied(void **state)
{
    struct solo_page *p = *state;

    solo_page_have(p, 7, true, 3);
    solo_page_have(p, 8, true, 4);
    say(p, MESSAGE_FORWARD, 0, 7, 5, 9);
    assert_null(solo_sent(p->solo, MESSAGE_DATA, 0));
    assert_int_equal(solo_sent(p->solo, MESSAGE_NOT_HERE, 0)->page, 9);
    assert_int_equal(solo_sent(p->solo, MESSAGE_NOT_HERE, 0)->count, 3);
    say(p, MESSAGE_FORWARD, 0, 7, 2, 9);
    assert_int_equal(solo_sent(p->solo, MESSAGE_DATA, 0)->granted, 2);
}

static void test_forward_of_nothing_or_of_too_much_is_refused(void **state)
{
    struct solo_page *p = *state;

    solo_page_have(p, 7, true, 3);
    solo_forget(p->solo);
    say(p, MESSAGE_FORWARD, 0, 7, 0, 9);
    assert_int_equal(p->solo->count, 0);
    assert_int_equal(solo_counters(p->solo)->refused, 1);
}

static void test_forward_that_cannot_be_served_is_denied(void **state)
{
    struct solo_page *p = *state;
    struct message message = message_of(p, MESSAGE_FORWARD, 0, 7, 1, 9);

    solo_page_say(p, &message); /* never had it */
    assert_int_equal(solo_sent(p->solo, MESSAGE_NOT_HERE, 0)->to, 0);
    assert_int_equal(solo_sent(p->solo, MESSAGE_NOT_HERE, 0)->requester, 2);
    solo_page_have(p, 7, true, 3);
    message.requester = 1; /* for this node itself */
    solo_page_say(p, &message);
    assert_non_null(solo_sent(p->solo, MESSAGE_NOT_HERE, 0));
    message.requester = 2;
    message.region.generation++;
    solo_page_say(p, &message);
    assert_non_null(solo_sent(p->solo, MESSAGE_NOT_HERE, 1));
    assert_int_equal(count_of(p, ACTION_PROTECT), 0);
    message.region = p->region;
    message.flags = FLAG_LEAVE;
    solo_page_say(p, &message);
    assert_int_equal(solo_counters(p->solo)->refused, 1);
}

static void test_late_forward_changes_nothing(void **state)
{
    struct solo_page *p = *state;

    solo_page_have(p, 7, true, 9);
    say(p, MESSAGE_FORWARD, FLAG_WRITE, 7, 1, 9);
    say(p, MESSAGE_FORWARD, FLAG_WRITE, 7, 1, 8);
    assert_int_equal(p->solo->count, 0);
}

/* --- INVALIDATE --- */

static void test_copies_that_are_older_are_dropped_in_runs(void **state)
{
    struct solo_page *p = *state;

    solo_page_have(p, 10, false, 3);
    solo_page_have(p, 12, false, 3);
    solo_page_have(p, 14, false, 3);
    solo_page_have(p, 13, false, 20); /* younger than the transfer */
    say(p, MESSAGE_INVALIDATE, 0, 10, 6, 9);
    assert_int_equal(count_of(p, ACTION_DROP), 3);
    assert_int_equal(count_of(p, ACTION_PROTECT), 3);
    assert_int_equal(solo_action(p->solo, ACTION_DROP, 1)->page, 12);
    assert_int_equal(solo_sent(p->solo, MESSAGE_INVALIDATED, 0)->count, 6);
    assert_int_equal(solo_sent(p->solo, MESSAGE_INVALIDATED, 0)->requester, 2);
    assert_int_equal(solo_counters(p->solo)->invalidations, 3);
    say(p, MESSAGE_INVALIDATE, 0, 10, 6, 9);
    assert_non_null(solo_sent(p->solo, MESSAGE_INVALIDATED, 1));
    assert_int_equal(count_of(p, ACTION_DROP), 3);
}

static void test_every_other_page_of_the_longest_range_fits_one_step(void **state)
{
    struct solo_page *p = *state;

    for (uint64_t number = 0; number < RANGE_PAGES_MAX; number += 2) {
        solo_page_have(p, number, false, 3);
    }
    say(p, MESSAGE_INVALIDATE, 0, 0, RANGE_PAGES_MAX, 9);
    assert_int_equal(count_of(p, ACTION_DROP), RANGE_PAGES_MAX / 2);
    assert_int_equal(solo_counters(p->solo)->pages_resident, 0);
}

static void test_only_copy_is_not_invalidated(void **state)
{
    struct solo_page *p = *state;

    solo_page_have(p, 7, true, 3);
    say(p, MESSAGE_INVALIDATE, 0, 7, 1, 9);
    assert_int_equal(solo_counters(p->solo)->refused, 1);
    assert_int_equal(p->solo->count, 0);
}

static void test_invalidation_in_an_unknown_region_is_answered(void **state)
{
    struct solo_page *p = *state;
    struct message message = message_of(p, MESSAGE_INVALIDATE, 0, 7, 1, 9);

    message.region.generation++;
    solo_page_say(p, &message);
    assert_non_null(solo_sent(p->solo, MESSAGE_INVALIDATED, 0));
    assert_int_equal(p->solo->count, 1);
}

/* --- ADOPT --- */

static void test_reader_adopts_what_it_has(void **state)
{
    struct solo_page *p = *state;
    struct message message = message_of(p, MESSAGE_ADOPT, 0, 8, 1, 9);

    solo_page_have(p, 7, false, 3);
    say(p, MESSAGE_ADOPT, 0, 7, 1, 9);
    assert_int_equal(solo_sent(p->solo, MESSAGE_CONFIRM, 0)->flags, FLAG_ADOPT);
    solo_page_say(p, &message);
    assert_int_equal(solo_sent(p->solo, MESSAGE_NOT_HERE, 0)->flags, FLAG_ADOPT);
    message.page = 7;
    message.region.generation++; /* another region of the same slot, which is unknown */
    solo_page_say(p, &message);
    assert_non_null(solo_sent(p->solo, MESSAGE_NOT_HERE, 1));
}

/* --- bytes put aside --- */

static void test_kept_bytes_are_asked_about_when_no_release_comes(void **state)
{
    struct solo_page *p = *state;

    solo_page_have(p, 7, true, 3);
    say(p, MESSAGE_FORWARD, FLAG_WRITE, 7, 1, 9);
    solo_forget(p->solo);
    assert_int_equal(node_deadline(p->solo->node), p->solo->now_ms + 1000);
    solo_advance(p->solo, 1000);
    assert_int_equal(solo_sent(p->solo, MESSAGE_NOT_HERE, 0)->flags, FLAG_COPY);
    assert_int_equal(solo_sent(p->solo, MESSAGE_NOT_HERE, 0)->to, 0);
    assert_int_equal(solo_sent(p->solo, MESSAGE_NOT_HERE, 0)->requester, 2);
    assert_int_equal(count_of(p, ACTION_FORGET), 0);
    solo_advance(p->solo, 1000);
    assert_non_null(solo_sent(p->solo, MESSAGE_NOT_HERE, 1));
}

static void test_kept_bytes_go_with_the_node_that_they_were_for(void **state)
{
    struct solo_page *p = *state;

    for (uint64_t number = 0; number < 40; number++) {
        struct message message = message_of(p, MESSAGE_FORWARD, FLAG_WRITE, number, 1, 9);

        solo_page_have(p, number, true, 3);
        message.request = (number + 1) * NODES_MAX;
        solo_page_say(p, &message);
    }
    solo_forget(p->solo);
    solo_member(p->solo, 2, 3, false, 1);
    assert_int_equal(count_of(p, ACTION_FORGET), 40);
}

static void test_kept_bytes_go_with_the_region(void **state)
{
    struct solo_page *p = *state;
    struct record record = *node_record(p->solo->node, p->region);

    solo_page_have(p, 7, true, 3);
    solo_page_have(p, 300, true, 3);
    say(p, MESSAGE_FORWARD, FLAG_WRITE, 7, 1, 9);
    record.deleted = true;
    solo_record(p->solo, &record);
    assert_int_equal(count_of(p, ACTION_FORGET), 1);
    assert_int_equal(solo_counters(p->solo)->pages_resident, 0);
    assert_true(node_deadline(p->solo->node) == UINT64_MAX);
}

/* --- pages that leave --- */

/* Pages 0 and 1 are owned here, the budget is one page: page 0 or 1 is to leave; its LEAVE. */
static struct message begin_leave(struct solo_page *p)
{
    const struct message *leave;

    solo_page_have(p, 0, true, 3);
    solo_page_have(p, 1, true, 4);
    for (uint32_t i = 0; i < 9 && solo_sent(p->solo, MESSAGE_LEAVE, 0) == NULL; i++) {
        solo_advance(p->solo, 10);
    }
    leave = solo_sent(p->solo, MESSAGE_LEAVE, 0);
    assert_non_null(leave);
    assert_null(solo_sent(p->solo, MESSAGE_LEAVE, 1));
    return *leave;
}

static void test_page_that_leaves_is_sent_when_the_home_takes_it(void **state)
{
    struct solo_page *p = *state;
    struct message take = begin_leave(p), release;

    assert_non_null(solo_action(p->solo, ACTION_PROTECT, 0));
    solo_forget(p->solo);
    take.kind = MESSAGE_TAKE;
    take.from = 0;
    take.requester = 1;
    take.version = 9;
    solo_page_say(p, &take);
    assert_int_equal(count_of(p, ACTION_KEEP), 1);
    assert_int_equal(solo_sent(p->solo, MESSAGE_DATA, 0)->flags, FLAG_LEAVE);
    assert_int_equal(solo_sent(p->solo, MESSAGE_DATA, 0)->to, 0);
    assert_int_equal(solo_counters(p->solo)->evictions, 1);
    solo_page_say(p, &take); /* the bytes were lost */
    assert_non_null(solo_sent(p->solo, MESSAGE_DATA, 1));
    release = take;
    release.kind = MESSAGE_RELEASE;
    release.flags = FLAG_LEAVE;
    solo_page_say(p, &release);
    assert_int_equal(count_of(p, ACTION_FORGET), 1);
    assert_true(list_is_empty(&p->solo->node->context.timers));
    solo_page_say(p, &take); /* late */
    assert_null(solo_sent(p->solo, MESSAGE_DATA, 2));
}

static void test_page_may_be_wanted_again_while_it_leaves(void **state)
{
    struct solo_page *p = *state;
    struct message leave = begin_leave(p), forward, release;

    solo_forget(p->solo);
    solo_fault(p->solo, p->map, leave.page, false);
    assert_int_equal(count_of(p, ACTION_WAKE), 1); /* it can still be read */
    solo_fault(p->solo, p->map, leave.page, true);
    assert_null(solo_sent(p->solo, MESSAGE_WRITE, 0)); /* but not written */
    forward = message_of(p, MESSAGE_FORWARD, FLAG_WRITE, leave.page, 1, 9);
    solo_page_say(p, &forward); /* another node's request was first */
    assert_int_equal(solo_sent(p->solo, MESSAGE_DATA, 0)->to, 2);
    release = leave;
    release.kind = MESSAGE_RELEASE;
    release.from = 0;
    release.flags = FLAG_LEAVE;
    solo_page_say(p, &release); /* the home: not yours any more */
    assert_non_null(solo_sent(p->solo, MESSAGE_WRITE, 0));
}

static void test_page_stays_when_its_home_is_lost(void **state)
{
    struct solo_page *p = *state;
    struct message leave = begin_leave(p);

    solo_member(p->solo, 0, 1, false, 1);
    solo_advance(p->solo, 1000);
    assert_true(list_is_empty(&p->solo->node->context.timers));
    assert_int_equal(solo_counters(p->solo)->pages_resident, 2);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, leave.page, false);
    assert_int_equal(count_of(p, ACTION_WAKE), 1);
    assert_int_equal(count_of(p, ACTION_POISON), 0);
}

static void test_copies_are_dropped_without_a_word(void **state)
{
    struct solo_page *p = *state;

    for (uint64_t number = 0; number < 20; number++) {
        solo_page_have(p, number, false, 3);
    }
    for (uint32_t i = 0; i < 10; i++) {
        solo_advance(p->solo, 10);
    }
    assert_int_equal(solo_counters(p->solo)->pages_resident, 1);
    assert_int_equal(solo_counters(p->solo)->evictions, 19);
    assert_null(solo_sent(p->solo, MESSAGE_LEAVE, 0));
}

static void test_node_that_retires_sends_everything_home(void **state)
{
    struct solo_page *p = *state;
    struct event retire = {.kind = EVENT_RETIRE};
    uint32_t done = 0;

    for (uint64_t number = 8; number-- > 0;) { /* downwards: nothing is read ahead */
        solo_page_have(p, number, number % 2 == 0, 3);
    }
    solo_call(p->solo, 1, &(struct call){.kind = CALL_UNMAP, .map = p->map});
    solo_forget(p->solo);
    solo_step(p->solo, &retire);
    assert_false(node_is_retired(p->solo->node));
    for (uint32_t round = 0; round < 10; round++) {
        const struct message *leave;

        while ((leave = solo_sent(p->solo, MESSAGE_LEAVE, done)) != NULL) {
            struct message take = *leave, release;

            take.kind = MESSAGE_TAKE;
            take.from = 0;
            take.version = 9;
            solo_page_say(p, &take);
            release = take;
            release.kind = MESSAGE_RELEASE;
            release.flags = FLAG_LEAVE;
            solo_page_say(p, &release);
            done++;
        }
        solo_advance(p->solo, 1);
    }
    assert_int_equal(done, 4);
    assert_int_equal(solo_counters(p->solo)->pages_resident, 0);
    assert_true(node_is_retired(p->solo->node));
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define SMALL(test) cmocka_unit_test_setup_teardown(test, set_up_small, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_reader_gets_bytes_after_the_protection),
        FIXTURE(test_writer_gets_bytes_that_are_kept_until_released),
        FIXTURE(test_large_answer_leaves_in_several_messages),
        FIXTURE(test_forward_is_served_whole_or_denied),
        FIXTURE(test_forward_of_nothing_or_of_too_much_is_refused),
        FIXTURE(test_forward_that_cannot_be_served_is_denied),
        FIXTURE(test_late_forward_changes_nothing),
        FIXTURE(test_copies_that_are_older_are_dropped_in_runs),
        FIXTURE(test_every_other_page_of_the_longest_range_fits_one_step),
        FIXTURE(test_only_copy_is_not_invalidated),
        FIXTURE(test_invalidation_in_an_unknown_region_is_answered),
        FIXTURE(test_reader_adopts_what_it_has),
        FIXTURE(test_kept_bytes_are_asked_about_when_no_release_comes),
        FIXTURE(test_kept_bytes_go_with_the_node_that_they_were_for),
        FIXTURE(test_kept_bytes_go_with_the_region),
        SMALL(test_page_that_leaves_is_sent_when_the_home_takes_it),
        SMALL(test_page_may_be_wanted_again_while_it_leaves),
        SMALL(test_page_stays_when_its_home_is_lost),
        SMALL(test_copies_are_dropped_without_a_word),
        FIXTURE(test_node_that_retires_sends_everything_home),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
