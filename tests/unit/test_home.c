/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The home of a page, whose peers are played: what it sends when messages are repeated, come too
 * late, or do not fit, and when an owner is gone.
 */
#include "dsm/core/node_parts.h"
#include "tests/sim/solo_home.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int set_up(void **state)
{
    *state = solo_home_new();
    return 0;
}

static int tear_down(void **state)
{
    solo_free(*state);
    return 0;
}

/* --- repeated requests --- */

static void test_repeated_request_repeats_what_it_waits_for(void **state)
{
    struct solo *solo = *state;

    solo_home_say(solo, MESSAGE_WRITE, 1, 1, 7, 1);
    solo_home_say(solo, MESSAGE_WRITE, 1, 1, 7, 1);
    assert_int_equal(solo_home_sent(solo, MESSAGE_GRANT), 2);
    solo_home_say(solo, MESSAGE_READ, 2, 1, 7, 1); /* waits */
    solo_home_say(solo, MESSAGE_READ, 2, 1, 7, 1);
    assert_int_equal(solo->count, 2);
    solo_home_say(solo, MESSAGE_CONFIRM, 1, 1, 7, 1);
    assert_int_equal(solo_home_sent(solo, MESSAGE_FORWARD), 1); /* once */
    solo_home_say(solo, MESSAGE_WRITE, 1, 1, 7, 1); /* closed long ago */
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->error, DSM_EACCES); /* nobody listens */
    assert_int_equal(solo_home_run(solo, 7).owner, 1);
}

static void test_unanswered_transfer_is_driven_again(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_READ, 2, 7);
    solo_home_has(solo, MESSAGE_READ, 3, 7);
    solo_home_say(solo, MESSAGE_WRITE, 1, 1, 7, 1);
    assert_int_equal(solo_home_sent(solo, MESSAGE_INVALIDATE), 2);
    solo_home_say_for(solo, MESSAGE_INVALIDATED, 2, 1, 1, 7);
    solo_home_say_for(solo, MESSAGE_INVALIDATED, 2, 1, 1, 7); /* once more: counts once */
    assert_int_equal(solo_home_sent(solo, MESSAGE_GRANT), 0);
    assert_int_equal(node_deadline(solo->node), solo->now_ms + 100);
    solo_advance(solo, 100);
    assert_int_equal(solo_home_sent(solo, MESSAGE_INVALIDATE), 3);
    assert_int_equal(solo_sent(solo, MESSAGE_INVALIDATE, 2)->to, 3);
    assert_int_equal(solo_counters(solo)->resends, 1);
    solo_home_say_for(solo, MESSAGE_INVALIDATED, 3, 1, 1, 7);
    assert_int_equal(solo_home_sent(solo, MESSAGE_GRANT), 1);
    solo_home_say(solo, MESSAGE_CONFIRM, 1, 1, 7, 1);
    assert_true(node_deadline(solo->node) == UINT64_MAX);
}

static void test_repeated_leave_is_told_that_it_is_over(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_say(solo, MESSAGE_LEAVE, 2, 1, 7, 1); /* not the owner: nothing to take */
    assert_int_equal(solo_sent(solo, MESSAGE_RELEASE, 0)->flags, FLAG_LEAVE);
    assert_int_equal(solo_sent(solo, MESSAGE_RELEASE, 0)->to, 2);
    solo_home_say(solo, MESSAGE_LEAVE, 2, 1, 7, 1);
    assert_int_equal(solo_home_sent(solo, MESSAGE_RELEASE), 2);
    assert_int_equal(solo_home_sent(solo, MESSAGE_TAKE), 0);
}

static void test_request_for_a_lost_page_is_told_so_again(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_die(solo, 1);
    solo_forget(solo);
    for (uint32_t i = 0; i < 2; i++) {
        solo_home_say(solo, MESSAGE_READ, 2, 1, 7, 1);
        assert_int_equal(solo_sent(solo, MESSAGE_LOST, i)->error, DSM_EDOWN);
        assert_int_equal(solo_sent(solo, MESSAGE_LOST, i)->requester, 1);
        assert_int_equal(solo_sent(solo, MESSAGE_LOST, i)->granted, 1);
    }
}

/* --- messages that do not fit --- */

static void test_answers_that_do_not_fit_change_nothing(void **state)
{
    struct solo *solo = *state;
    struct message confirm;

    solo_home_say(solo, MESSAGE_CONFIRM, 1, 1, 7, 1); /* about no transfer at all */
    solo_home_say(solo, MESSAGE_NOT_HERE, 1, 1, 7, 1);
    solo_home_has(solo, MESSAGE_READ, 2, 7);
    solo_home_say(solo, MESSAGE_WRITE, 1, 1, 7, 1);
    solo_forget(solo);
    solo_home_say_for(solo, MESSAGE_INVALIDATED, 3, 1, 1, 7); /* has no copy */
    solo_home_say_for(solo, MESSAGE_INVALIDATED, 2, 3, 1, 7); /* of another's request */
    solo_home_say_for(solo, MESSAGE_INVALIDATED, 2, 1, 2, 7); /* of another request */
    solo_home_say_for(solo, MESSAGE_NOT_HERE, 2, 1, 1, 7);    /* is no source */
    solo_home_say_for(solo, MESSAGE_NOT_HERE, 2, 3, 1, 7);
    solo_home_say(solo, MESSAGE_CONFIRM, 3, 1, 7, 1); /* not the requester */
    solo_home_say(solo, MESSAGE_CONFIRM, 1, 1, 7, 0);
    confirm = solo_home_message(solo, MESSAGE_CONFIRM, 1, 1, 7, 1);
    confirm.flags = FLAG_LEAVE;
    solo_message(solo, &confirm, 0);
    confirm.flags = FLAG_ADOPT;
    solo_message(solo, &confirm, 0);
    assert_int_equal(solo->count, 0);
    assert_true(solo_home_run(solo, 7).busy);
    solo_home_say_for(solo, MESSAGE_INVALIDATED, 2, 1, 1, 7);
    solo_home_say(solo, MESSAGE_CONFIRM, 1, 1, 7, 1);
    assert_int_equal(solo_home_run(solo, 7).owner, 1);
}

static void test_requester_may_confirm_a_part(void **state)
{
    struct solo *solo = *state;

    solo_home_say(solo, MESSAGE_WRITE, 1, 1, 10, 8);
    solo_home_say(solo, MESSAGE_CONFIRM, 1, 1, 10, 5);
    assert_int_equal(solo_home_run(solo, 0).page, 10);
    assert_int_equal(solo_home_run(solo, 0).count, 5);
    assert_int_equal(solo_home_run(solo, 0).owner, 1);
}

static void test_range_is_cut_to_pages_that_are_alike(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_WRITE, 2, 254);
    solo_home_say(solo, MESSAGE_READ, 1, 1, 250, 8); /* over the edge of a chunk, too */
    assert_int_equal(solo_sent(solo, MESSAGE_GRANT, 0)->count, 4);
    solo_home_say(solo, MESSAGE_READ, 1, 2, 255, 8);
    assert_int_equal(solo_sent(solo, MESSAGE_GRANT, 1)->count, 8);
}

/*
 * Pages 7 and 8 are node 1's, written one after the other, and node 2 has read both: its copies are
 * current, but it has told a version that says so of the first one only.
 */
static void test_upgrade_is_cut_to_pages_whose_copies_are_all_current(void **state)
{
    struct solo *solo = *state;
    struct message write = solo_home_message(solo, MESSAGE_WRITE, 2, 1, 7, 2);

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_has(solo, MESSAGE_WRITE, 1, 8);
    solo_home_has(solo, MESSAGE_READ, 2, 7);
    solo_home_has(solo, MESSAGE_READ, 2, 8);
    solo_forget(solo);
    write.have = 1;
    solo_message(solo, &write, 0);
    assert_int_equal(solo_sent(solo, MESSAGE_INVALIDATE, 0)->count, 1);
    solo_home_say_for(solo, MESSAGE_INVALIDATED, 1, 2, 1, 7);
    assert_int_equal(solo_sent(solo, MESSAGE_GRANT, 0)->flags, FLAG_WRITE | FLAG_COPY);
    solo_home_say(solo, MESSAGE_CONFIRM, 2, 1, 7, 1);
    solo_forget(solo);
    write = solo_home_message(solo, MESSAGE_WRITE, 2, 2, 8, 1);
    write.have = 1;
    solo_message(solo, &write, 0);
    assert_int_equal(solo_home_sent(solo, MESSAGE_FORWARD), 1); /* bytes come */
}

static void test_copies_of_a_run_are_upgraded_together(void **state)
{
    struct solo *solo = *state;
    struct message write = solo_home_message(solo, MESSAGE_WRITE, 2, 1, 7, 2);

    solo_home_has(solo, MESSAGE_READ, 2, 7);
    solo_home_has(solo, MESSAGE_READ, 2, 8);
    solo_forget(solo);
    write.have = 1;
    solo_message(solo, &write, 0);
    assert_int_equal(solo_sent(solo, MESSAGE_GRANT, 0)->granted, 2);
    assert_int_equal(solo_sent(solo, MESSAGE_GRANT, 0)->flags, FLAG_WRITE | FLAG_COPY);
}

static void test_range_of_large_pages_is_bounded(void **state)
{
    struct solo *solo = *state;
    struct record record = solo_region(7, 0, 0);
    struct message read = solo_home_message(solo, MESSAGE_READ, 1, 1, 0, 8);

    record.page_size = DSM_PAGE_SIZE_MAX;
    record.size_bytes = 8 * (uint64_t)DSM_PAGE_SIZE_MAX;
    solo_record(solo, &record);
    read.region = record.id;
    solo_message(solo, &read, 0);
    assert_int_equal(solo_sent(solo, MESSAGE_GRANT, 0)->count, 2); /* 4 MiB */
}

/* --- pages that come home --- */

static void test_page_that_leaves_is_taken_over_with_its_bytes_only(void **state)
{
    struct solo *solo = *state;
    struct message data;

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_say(solo, MESSAGE_LEAVE, 1, 1, 7, 1);
    data = *solo_sent(solo, MESSAGE_TAKE, 0);
    data.kind = MESSAGE_DATA;
    data.from = 1;
    data.flags = FLAG_LEAVE;
    solo_message(solo, &data, 0); /* no bytes */
    assert_int_equal(solo_counters(solo)->refused, 1);
    data.from = 2;
    solo_message(solo, &data, 1); /* not from who leaves */
    data.from = 1;
    data.version++;
    solo_message(solo, &data, 1); /* not of this transfer */
    assert_null(solo_action(solo, ACTION_FILL, 0));
    data.version--;
    solo_message(solo, &data, 1);
    assert_int_equal(solo_action(solo, ACTION_FILL, 0)->map, 0); /* nobody here has it mapped */
    assert_int_equal(solo_sent(solo, MESSAGE_RELEASE, 0)->flags, FLAG_LEAVE);
    assert_int_equal(solo_home_run(solo, 7).owner, 0);
    solo_message(solo, &data, 1); /* once more */
    assert_null(solo_action(solo, ACTION_FILL, 1));
    solo_home_say(solo, MESSAGE_READ, 2, 1, 7, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_DATA, 0)->to, 2);
}

/* --- sources and owners that are gone --- */

/* The source of a node's first request has nothing; nor has the requester, which is asked. */
static void have_nothing(struct solo *solo, uint32_t source, uint32_t requester, uint64_t page,
                         uint32_t count)
{
    struct message not_here = solo_home_message(solo, MESSAGE_NOT_HERE, source, 1, page, count);

    not_here.requester = (uint8_t)requester;
    solo_message(solo, &not_here, 0);
    assert_int_equal(solo_sent(solo, MESSAGE_ASK, 0)->to, requester);
    assert_null(solo_sent(solo, MESSAGE_LOST, 0)); /* until it has answered */
    not_here.from = (uint8_t)requester;
    solo_message(solo, &not_here, 0);
}

/* The range is cut anew, and who waited for another page of it need not wait for the whole. */
static void test_range_whose_source_has_nothing_is_started_anew(void **state)
{
    struct solo *solo = *state;

    for (uint64_t page = 10; page < 14; page++) {
        solo_home_has(solo, MESSAGE_WRITE, 1, page);
    }
    solo_home_say(solo, MESSAGE_READ, 2, 1, 10, 4);
    solo_home_say(solo, MESSAGE_READ, 3, 1, 10, 1);
    solo_home_say(solo, MESSAGE_READ, 3, 2, 12, 1);
    have_nothing(solo, 1, 2, 10, 4);
    assert_int_equal(solo_home_sent(solo, MESSAGE_LOST), 3);
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->to, 3); /* page 12 was free at once */
    assert_true(solo_home_run(solo, 10).lost);
}


static void test_source_that_has_no_copy_is_replaced_by_another_reader(void **state)
{
    struct solo *solo = *state;
    const struct message *adopt;

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_has(solo, MESSAGE_READ, 2, 7);
    solo_home_say(solo, MESSAGE_READ, 3, 1, 7, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_FORWARD, 0)->to, 1);
    have_nothing(solo, 1, 3, 7, 1);
    adopt = solo_sent(solo, MESSAGE_ADOPT, 0);
    assert_int_equal(adopt->to, 2);
    solo_home_say_adopt(solo, MESSAGE_CONFIRM, 2, adopt);
    assert_int_equal(solo_sent(solo, MESSAGE_FORWARD, 1)->to, 2);
    assert_int_equal(solo_home_run(solo, 7).owner, 2);
}

static void test_owner_without_bytes_and_no_reader_mean_a_lost_page(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_say(solo, MESSAGE_READ, 3, 1, 7, 1);
    have_nothing(solo, 1, 3, 7, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->to, 3);
    assert_true(solo_home_run(solo, 7).lost);
}

static void test_owner_without_bytes_loses_the_page_of_a_writer(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_has(solo, MESSAGE_READ, 2, 7);
    solo_home_say(solo, MESSAGE_WRITE, 3, 1, 7, 1);
    solo_home_say_for(solo, MESSAGE_INVALIDATED, 2, 3, 1, 7); /* the last other copy is dropped */
    have_nothing(solo, 1, 3, 7, 1);
    solo_home_say_adopt(solo, MESSAGE_NOT_HERE, 2, solo_sent(solo, MESSAGE_ADOPT, 0));
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->to, 3);
    assert_true(solo_home_run(solo, 7).lost);
}

static void test_readers_are_asked_one_by_one_to_adopt(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_has(solo, MESSAGE_READ, 2, 7);
    solo_home_has(solo, MESSAGE_READ, 3, 7);
    solo_home_die(solo, 1);
    solo_home_say(solo, MESSAGE_READ, 3, 1, 7, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_ADOPT, 0)->to, 2);
    solo_advance(solo, 100);
    assert_int_equal(solo_sent(solo, MESSAGE_ADOPT, 1)->to, 2); /* once more */
    solo_home_say(solo, MESSAGE_NOT_HERE, 2, 1, 7, 1); /* no answer to that */
    assert_int_equal(solo_home_sent(solo, MESSAGE_ADOPT), 2);
    solo_home_say_adopt(solo, MESSAGE_NOT_HERE, 2, solo_sent(solo, MESSAGE_ADOPT, 0));
    assert_int_equal(solo_sent(solo, MESSAGE_ADOPT, 2)->to, 3);
    solo_home_say_adopt(solo, MESSAGE_NOT_HERE, 3, solo_sent(solo, MESSAGE_ADOPT, 2));
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->to, 3);
    assert_true(solo_home_run(solo, 7).lost);
}

static void test_adopter_that_dies_is_followed_by_the_next(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_has(solo, MESSAGE_READ, 2, 7);
    solo_home_has(solo, MESSAGE_READ, 3, 7);
    solo_home_die(solo, 1);
    solo_home_say(solo, MESSAGE_READ, 3, 1, 7, 1);
    solo_home_die(solo, 2);
    assert_int_equal(solo_sent(solo, MESSAGE_ADOPT, 1)->to, 3);
    solo_home_say_adopt(solo, MESSAGE_CONFIRM, 3, solo_sent(solo, MESSAGE_ADOPT, 1));
    assert_int_equal(solo_home_run(solo, 7).owner, 3);
}

static void test_requester_is_asked_when_its_source_died(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_has(solo, MESSAGE_READ, 2, 7);
    solo_home_say(solo, MESSAGE_READ, 3, 1, 7, 1);
    solo_home_die(solo, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_ASK, 0)->to, 3);
    solo_home_say_for(solo, MESSAGE_NOT_HERE, 2, 3, 1, 7); /* was not asked */
    assert_int_equal(solo_home_sent(solo, MESSAGE_ADOPT), 0);
    solo_home_say(solo, MESSAGE_NOT_HERE, 3, 1, 7, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_ADOPT, 0)->to, 2); /* from another one then */
}

static void test_requester_that_has_all_of_a_dead_source_confirms(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_say(solo, MESSAGE_WRITE, 3, 1, 7, 1);
    solo_home_die(solo, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_ASK, 0)->to, 3);
    solo_home_say(solo, MESSAGE_CONFIRM, 3, 1, 7, 1);
    assert_int_equal(solo_home_run(solo, 7).owner, 3);
    assert_false(solo_home_run(solo, 7).lost);
}

static void test_reader_that_has_all_of_a_dead_source_saves_the_page(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_say(solo, MESSAGE_READ, 3, 1, 7, 1);
    solo_home_die(solo, 1);
    assert_true(solo_home_run(solo, 7).lost); /* so far */
    solo_home_say(solo, MESSAGE_CONFIRM, 3, 1, 7, 1);
    assert_false(solo_home_run(solo, 7).lost);
    solo_home_say(solo, MESSAGE_READ, 2, 1, 7, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_ADOPT, 0)->to, 3);
}

static void test_writer_whose_source_died_before_it_had_the_bytes_loses_the_page(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_say(solo, MESSAGE_WRITE, 3, 1, 7, 1);
    solo_home_die(solo, 1);
    solo_home_say(solo, MESSAGE_NOT_HERE, 3, 1, 7, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->to, 3);
    assert_true(solo_home_run(solo, 7).lost);
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_repeated_request_repeats_what_it_waits_for),
        FIXTURE(test_unanswered_transfer_is_driven_again),
        FIXTURE(test_repeated_leave_is_told_that_it_is_over),
        FIXTURE(test_request_for_a_lost_page_is_told_so_again),
        FIXTURE(test_answers_that_do_not_fit_change_nothing),
        FIXTURE(test_requester_may_confirm_a_part),
        FIXTURE(test_range_is_cut_to_pages_that_are_alike),
        FIXTURE(test_upgrade_is_cut_to_pages_whose_copies_are_all_current),
        FIXTURE(test_copies_of_a_run_are_upgraded_together),
        FIXTURE(test_range_of_large_pages_is_bounded),
        FIXTURE(test_page_that_leaves_is_taken_over_with_its_bytes_only),
        FIXTURE(test_range_whose_source_has_nothing_is_started_anew),
        FIXTURE(test_source_that_has_no_copy_is_replaced_by_another_reader),
        FIXTURE(test_owner_without_bytes_and_no_reader_mean_a_lost_page),
        FIXTURE(test_owner_without_bytes_loses_the_page_of_a_writer),
        FIXTURE(test_readers_are_asked_one_by_one_to_adopt),
        FIXTURE(test_adopter_that_dies_is_followed_by_the_next),
        FIXTURE(test_requester_is_asked_when_its_source_died),
        FIXTURE(test_requester_that_has_all_of_a_dead_source_confirms),
        FIXTURE(test_reader_that_has_all_of_a_dead_source_saves_the_page),
        FIXTURE(test_writer_whose_source_died_before_it_had_the_bytes_loses_the_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
