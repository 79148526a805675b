/* SPDX-License-Identifier: Apache-2.0 */
/* The home when a requester dies, or the region itself goes. */
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

static void test_writer_that_dies_may_have_written(void **state)
{
    struct solo *solo = *state;

    solo_home_say(solo, MESSAGE_WRITE, 1, 1, 7, 3);
    solo_home_die(solo, 1);
    assert_int_equal(solo_home_run(solo, 0).count, 3);
    assert_true(solo_home_run(solo, 7).lost);
    solo_home_say(solo, MESSAGE_READ, 2, 1, 8, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->requester, 1);
    solo_home_say(solo, MESSAGE_WRITE, 2, 2, 10, 1); /* beside it */
    assert_int_equal(solo_sent(solo, MESSAGE_GRANT, 1)->page, 10);
}

static void test_writer_that_dies_before_its_grant_has_not_written(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_READ, 2, 7); /* zeros */
    solo_home_say(solo, MESSAGE_WRITE, 1, 1, 7, 1);
    assert_int_equal(solo_home_sent(solo, MESSAGE_GRANT), 0);
    solo_home_die(solo, 1);
    solo_home_say(solo, MESSAGE_READ, 3, 1, 7, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_GRANT, 0)->flags, FLAG_ZERO);
}

/* Of its source it is not known whether its bytes had left: it is asked. */
static void test_writer_that_dies_leaves_the_page_to_a_source_that_still_has_it(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_has(solo, MESSAGE_WRITE, 1, 8);
    solo_home_say(solo, MESSAGE_WRITE, 3, 1, 7, 1);
    solo_home_say(solo, MESSAGE_WRITE, 3, 2, 8, 1);
    solo_home_die(solo, 3);
    solo_home_say(solo, MESSAGE_READ, 2, 1, 7, 1);
    solo_home_say(solo, MESSAGE_READ, 2, 2, 8, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_ADOPT, 0)->to, 1);
    solo_home_say_adopt(solo, MESSAGE_CONFIRM, 1, solo_sent(solo, MESSAGE_ADOPT, 0));
    assert_int_equal(solo_sent(solo, MESSAGE_FORWARD, 2)->to, 1);
    solo_home_say_adopt(solo, MESSAGE_NOT_HERE, 1, solo_sent(solo, MESSAGE_ADOPT, 1));
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->page, 8);
}

/* The owner keeps the bytes until RELEASE; when that is lost, it asks. */
static void test_old_owner_is_released_again_once_the_transfer_is_closed(void **state)
{
    struct solo *solo = *state;
    struct message ask = solo_home_message(solo, MESSAGE_NOT_HERE, 1, 1, 7, 1);

    ask.flags = FLAG_COPY;
    ask.requester = 3;
    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_say(solo, MESSAGE_READ, 2, 9, 7, 1);
    solo_home_say(solo, MESSAGE_WRITE, 3, 1, 7, 1);
    solo_message(solo, &ask, 0); /* it waits */
    solo_home_say(solo, MESSAGE_CONFIRM, 2, 9, 7, 1);
    solo_home_say_for(solo, MESSAGE_INVALIDATED, 2, 3, 1, 7);
    solo_message(solo, &ask, 0); /* it is open */
    assert_int_equal(solo_home_sent(solo, MESSAGE_RELEASE), 0);
    solo_home_say(solo, MESSAGE_CONFIRM, 3, 1, 7, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_RELEASE, 0)->to, 1);
    solo_message(solo, &ask, 0);
    assert_int_equal(solo_sent(solo, MESSAGE_RELEASE, 1)->to, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_RELEASE, 1)->requester, 3);
    ask.page = 500; /* a page that nobody ever asked for */
    solo_message(solo, &ask, 0);
    assert_int_equal(solo_home_sent(solo, MESSAGE_RELEASE), 3);
}

static void test_node_with_more_requests_than_a_window_holds_is_refused(void **state)
{
    struct solo *solo = *state;
    struct message message = solo_home_message(solo, MESSAGE_READ, 2, 0, 7, 1);

    solo_home_say(solo, MESSAGE_WRITE, 1, 1, 7, 1); /* never confirmed */
    for (uint64_t number = 1; number <= WINDOW + 2; number++) {
        message.request = number * NODES_MAX;
        message.floor = number;
        solo_message(solo, &message, 0);
    }
    assert_int_equal(solo_counters(solo)->refused, 2);
    message.from = 3;
    message.request = NODES_MAX;
    message.floor = 1;
    solo_message(solo, &message, 0);
    assert_int_equal(solo_counters(solo)->refused, 2);
}

static void test_waiters_of_a_dead_node_are_passed_over(void **state)
{
    struct solo *solo = *state;

    solo_home_say(solo, MESSAGE_READ, 1, 1, 7, 1);
    solo_home_say(solo, MESSAGE_WRITE, 2, 1, 7, 1);
    solo_home_say(solo, MESSAGE_WRITE, 3, 1, 7, 1);
    solo_home_say(solo, MESSAGE_WRITE, 2, 2, 7, 1);
    solo_home_die(solo, 2);
    solo_forget(solo);
    solo_home_say(solo, MESSAGE_CONFIRM, 1, 1, 7, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_INVALIDATE, 0)->requester, 3);
    solo_home_say_for(solo, MESSAGE_INVALIDATED, 1, 3, 1, 7);
    assert_int_equal(solo_sent(solo, MESSAGE_GRANT, 0)->to, 3);
    solo_home_say(solo, MESSAGE_CONFIRM, 3, 1, 7, 1);
    assert_int_equal(solo_home_sent(solo, MESSAGE_GRANT), 1);
    assert_true(node_deadline(solo->node) == UINT64_MAX);
}

static void test_dead_readers_acknowledgement_is_not_waited_for(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_READ, 2, 7);
    solo_home_say(solo, MESSAGE_WRITE, 1, 1, 7, 1);
    solo_home_die(solo, 2);
    assert_int_equal(solo_sent(solo, MESSAGE_GRANT, 0)->to, 1);
}

/* Found by tests/model: it was asked for the bytes for ever, and all others waited for that. */
static void test_leaver_of_a_page_that_is_lost_is_released(void **state)
{
    struct solo *solo = *state;
    struct message upgrade = solo_home_message(solo, MESSAGE_WRITE, 2, 1, 7, 1);

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_home_has(solo, MESSAGE_READ, 2, 7);
    upgrade.have = UINT32_MAX;
    solo_message(solo, &upgrade, 0);
    assert_int_equal(solo_sent(solo, MESSAGE_INVALIDATE, 0)->to, 1);
    solo_home_say(solo, MESSAGE_LEAVE, 1, 1, 7, 1);
    solo_home_say(solo, MESSAGE_READ, 3, 1, 7, 1);
    solo_home_die(solo, 2); /* the owner has dropped its copy, its acknowledgement is lost */
    solo_home_say_adopt(solo, MESSAGE_NOT_HERE, 1, solo_sent(solo, MESSAGE_ADOPT, 0));
    assert_int_equal(solo_home_sent(solo, MESSAGE_TAKE), 0);
    assert_int_equal(solo_sent(solo, MESSAGE_RELEASE, 0)->to, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_RELEASE, 0)->flags, FLAG_LEAVE);
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->to, 3);
}

/* The home's own node has a copy of page 7, whose owner is node 1; node 2 is sent one, 1 dies. */
static void lend_last_copy(struct solo *solo)
{
    const struct record *record =
        node_record(solo->node, (region_id){SOLO_HOME_SLOT, SOLO_HOME_GENERATION});
    struct message data = solo_home_message(solo, MESSAGE_DATA, 1, 1, 7, 1);
    const struct message *forward;
    uint64_t handle;

    solo_home_has(solo, MESSAGE_WRITE, 1, 7);
    solo_fault(solo, solo_map(solo, 1, record, &handle), 7, false);
    forward = solo_sent(solo, MESSAGE_FORWARD, 0);
    data.request = forward->request;
    data.version = forward->version;
    data.granted = 1;
    solo_message(solo, &data, 1);
    solo_home_say(solo, MESSAGE_READ, 2, 1, 7, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_DATA, 0)->to, 2);
    solo_home_die(solo, 1);
    /* It is evicted here, and the transfer is looked at again. */
    page_forget(&solo->node->pages, context_region(&solo->node->context, data.region),
                page_get(&solo->node->pages,
                         context_region(&solo->node->context, data.region), 7));
    solo_forget(solo);
    solo_home_say(solo, MESSAGE_READ, 2, 1, 7, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_ASK, 0)->to, 2);
    assert_int_equal(solo_home_sent(solo, MESSAGE_LOST), 0);
}

/* Found by tests/model: the page was called lost, and its only reader was not known to the home. */
static void test_last_copy_that_was_sent_and_dropped_is_asked_for(void **state)
{
    struct solo *solo = *state;

    lend_last_copy(solo);
    solo_home_say(solo, MESSAGE_CONFIRM, 2, 1, 7, 1);
    assert_false(solo_home_run(solo, 7).lost);
    assert_true(nodeset_has(solo_home_run(solo, 7).readers, 2));
}

static void test_last_copy_that_did_not_come_is_lost(void **state)
{
    struct solo *solo = *state;

    lend_last_copy(solo);
    solo_home_say_for(solo, MESSAGE_NOT_HERE, 2, 2, 1, 7);
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->to, 2);
    assert_true(solo_home_run(solo, 7).lost);
}

/* Whoever asks again meanwhile for what was refused is told to ask anew, not that it is lost. */
static void test_page_is_not_called_lost_while_its_requester_is_asked(void **state)
{
    struct solo *solo = *state;

    solo_home_has(solo, MESSAGE_READ, 3, 8);
    lend_last_copy(solo);
    solo_home_say(solo, MESSAGE_READ, 3, 1008, 7, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->error, DSM_EACCES);
    solo_home_say_for(solo, MESSAGE_NOT_HERE, 2, 2, 1, 7);
    solo_forget(solo);
    solo_home_say(solo, MESSAGE_READ, 3, 1008, 7, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->error, DSM_EDOWN);
}

/* --- the region goes --- */

static void test_region_that_goes_takes_its_transfers_with_it(void **state)
{
    struct solo *solo = *state;
    struct record record = 
        *node_record(solo->node, (region_id){SOLO_HOME_SLOT, SOLO_HOME_GENERATION});

    for (uint64_t page = 0; page < 300; page += 50) {
        solo_home_say(solo, MESSAGE_READ, 1, page + 1, page, 10);
        solo_home_say(solo, MESSAGE_WRITE, 2, page + 1, page, 1);
        solo_home_say(solo, MESSAGE_WRITE, 3, page + 1, page + 5, 1);
    }
    record.deleted = true;
    solo_record(solo, &record);
    assert_true(node_deadline(solo->node) == UINT64_MAX);
    assert_int_equal(solo->node->homes.transfers.count_free % 64, 0);
    assert_null(directory_next(&solo->node->homes.directory, 5, 0));
    solo_forget(solo);
    solo_home_say(solo, MESSAGE_CONFIRM, 1, 1, 0, 10);
    assert_int_equal(solo->count, 0);
    record.deleted = false; /* the slot is used again: a region that nobody has touched */
    record.id.generation++;
    solo_record(solo, &record);
    assert_int_equal(node_page_runs(solo->node, record.id, 0, &(struct page_run){0}, 1), 0);
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* The first in line dies when its turn has come but before it is served: the next one is. */
static void test_waiter_that_dies_in_its_turn_passes_it_on(void **state)
{
    struct solo *solo = *state;
    struct message confirm;
    struct record record = {.kind = RECORD_NODE, .id = {2, 3}, .epoch = 1};
    struct event closed = {.kind = EVENT_MESSAGE}, died = {.kind = EVENT_RECORD};

    solo_home_say(solo, MESSAGE_WRITE, 1, 1, 0, 100);
    confirm = solo_home_message(solo, MESSAGE_CONFIRM, 1, 1, 0, 100);
    confirm.version = solo_sent(solo, MESSAGE_GRANT, 0)->version;
    for (uint32_t i = 0; i < 100; i++) {
        solo_home_say(solo, MESSAGE_READ, 2, 1 + i, i, 1);
        solo_home_say(solo, MESSAGE_READ, 3, 1 + i, i, 1);
    }
    solo_forget(solo);
    closed.message.message = &confirm;
    solo_step_once(solo, &closed); /* too many turns for one step */
    assert_true(solo_home_sent(solo, MESSAGE_FORWARD) < 100);
    record.revision = ++solo->revision;
    died.record = &record;
    solo_step(solo, &died);
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t count = 0;

        for (uint32_t j = 0; j < solo_home_sent(solo, MESSAGE_FORWARD); j++) {
            const struct message *forward = solo_sent(solo, MESSAGE_FORWARD, j);

            count += forward->page == i && forward->requester == 3;
        }
        assert_int_equal(count, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_writer_that_dies_may_have_written),
        FIXTURE(test_writer_that_dies_before_its_grant_has_not_written),
        FIXTURE(test_writer_that_dies_leaves_the_page_to_a_source_that_still_has_it),
        FIXTURE(test_old_owner_is_released_again_once_the_transfer_is_closed),
        FIXTURE(test_node_with_more_requests_than_a_window_holds_is_refused),
        FIXTURE(test_waiters_of_a_dead_node_are_passed_over),
        FIXTURE(test_dead_readers_acknowledgement_is_not_waited_for),
        FIXTURE(test_leaver_of_a_page_that_is_lost_is_released),
        FIXTURE(test_last_copy_that_was_sent_and_dropped_is_asked_for),
        FIXTURE(test_last_copy_that_did_not_come_is_lost),
        FIXTURE(test_page_is_not_called_lost_while_its_requester_is_asked),
        FIXTURE(test_region_that_goes_takes_its_transfers_with_it),
        FIXTURE(test_waiter_that_dies_in_its_turn_passes_it_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
