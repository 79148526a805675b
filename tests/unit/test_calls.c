/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synchronisation calls that wait at a home which is played: the window to it fills up, it refuses,
 * the region goes; and what is under way within a node when members die and regions go.
 */
#include "dsm/core/node_parts.h"
#include "tests/sim/solo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WAITS 1

struct place {
    struct solo *solo;
    uint64_t handle;      /* of client 1, region 5, home node 0 */
    uint64_t here_handle; /* region 6, home this node */
    map_id here_map;
};

/* Node 1 of three. */
static int set_up(void **state)
{
    struct node_config config = {.resend_ms = 100};
    struct record record = solo_region(5, 16, 0), here = solo_region(6, 64, 1);
    struct place *place = calloc(1, sizeof(*place));

    place->solo = solo_new(1, 3, &config);
    solo_record(place->solo, &record);
    solo_record(place->solo, &here);
    solo_map(place->solo, 1, &record, &place->handle);
    place->here_map = solo_map(place->solo, 1, &here, &place->here_handle);
    solo_forget(place->solo);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    solo_free(place->solo);
    free(place);
    return 0;
}

static uint64_t sync(struct place *place, uint32_t op, uint64_t offset, int64_t timeout_ms)
{
    struct call call = {.kind = CALL_SYNC, .handle = place->handle, .op = (uint8_t)op,
                        .offset = offset, .value = 1, .timeout_ms = timeout_ms};

    return solo_call(place->solo, 1, &call);
}

static struct message reply_to(const struct place *place, const struct message *sync_message,
                               int32_t error)
{
    struct message reply = *sync_message;

    reply.kind = MESSAGE_SYNC_REPLY;
    reply.from = 0;
    reply.epoch = node_epoch(place->solo->node);
    reply.error = error;
    return reply;
}

/* As many calls as the window holds, none of them answered; the request of the first. */
static struct message fill_window(struct place *place)
{
    struct message first = {.kind = MESSAGE_NONE};

    for (uint32_t i = 0; i < WINDOW; i++) {
        solo_forget(place->solo);
        sync(place, SYNC_FETCH_ADD, 8 * (i % 100), -1);
        if (solo_sent(place->solo, MESSAGE_SYNC, 0) == NULL) {
            assert_true(i > WINDOW - 10);
            return first;
        }
        if (first.kind == MESSAGE_NONE) {
            first = *solo_sent(place->solo, MESSAGE_SYNC, 0);
        }
    }
    fail_msg("the window is never full");
    return first;
}

static void test_call_beyond_the_window_is_sent_when_there_is_room(void **state)
{
    struct place *place = *state;
    struct message first = fill_window(place), reply = reply_to(place, &first, 0);
    uint64_t number = sync(place, SYNC_LOCK, 64, -1);

    solo_forget(place->solo);
    solo_message(place->solo, &reply, 0);
    assert_int_equal(solo_sent(place->solo, MESSAGE_SYNC, 0)->op, SYNC_FETCH_ADD);
    assert_null(solo_sent(place->solo, MESSAGE_SYNC, 1));
    assert_int_equal(solo_error(place->solo, number), WAITS);
}

static void test_call_that_never_left_ends_in_time(void **state)
{
    struct place *place = *state;
    uint64_t number;

    fill_window(place);
    number = sync(place, SYNC_LOCK, 64, 50);
    assert_int_equal(node_deadline(place->solo->node), place->solo->now_ms + 50);
    solo_advance(place->solo, 50);
    assert_int_equal(solo_error(place->solo, number), DSM_ETIMEDOUT);
}

static void test_calls_of_a_dead_program_that_never_left_are_forgotten(void **state)
{
    struct place *place = *state;
    struct event gone = {.kind = EVENT_CLIENT_GONE, .client_gone = 1};

    fill_window(place);
    sync(place, SYNC_LOCK, 64, -1);
    sync(place, SYNC_SEM_WAIT, 64, -1);
    solo_forget(place->solo);
    solo_step(place->solo, &gone);
    assert_null(solo_action(place->solo, ACTION_REPLY, 0));
    assert_true(list_is_empty(&place->solo->node->clients.dying));
}

static void test_region_that_goes_ends_the_calls_on_it(void **state)
{
    struct place *place = *state;
    struct record record = *node_record(place->solo->node, (region_id){5, 1005});
    uint64_t waiting, held = sync(place, SYNC_LOCK, 128, -1);
    struct message grant = reply_to(place, solo_sent(place->solo, MESSAGE_SYNC, 0), 0);

    solo_message(place->solo, &grant, 0);
    assert_int_equal(solo_error(place->solo, held), 0);
    waiting = sync(place, SYNC_LOCK, 64, -1);
    record.deleted = true;
    solo_record(place->solo, &record);
    assert_int_equal(solo_error(place->solo, waiting), DSM_ESTALE);
    assert_true(list_is_empty(&place->solo->node->context.timers));
}

/* More than the actions of one step. */
static void test_region_that_goes_ends_calls_by_the_thousand(void **state)
{
    struct place *place = *state;
    struct record record = *node_record(place->solo->node, (region_id){5, 1005});
    const uint32_t count = ACTIONS_MAX + 100;
    uint32_t stale = 0;

    for (uint32_t i = 0; i < count; i++) {
        sync(place, SYNC_LOCK, 8, -1);
    }
    solo_forget(place->solo);
    record.deleted = true;
    solo_record(place->solo, &record);
    while (solo_action(place->solo, ACTION_REPLY, stale) != NULL) {
        assert_int_equal(solo_action(place->solo, ACTION_REPLY, stale)->reply.reply.error,
                         DSM_ESTALE);
        stale++;
    }
    assert_int_equal(stale, count);
}

/* It dies when some of its calls have been answered, and others have not. */
static void test_program_that_dies_after_its_region_is_told_no_more(void **state)
{
    struct place *place = *state;
    struct record record = *node_record(place->solo->node, (region_id){5, 1005});
    struct event news = {.kind = EVENT_RECORD, .record = &record};
    struct event gone = {.kind = EVENT_CLIENT_GONE, .client_gone = 1};
    uint32_t told = 0;

    for (uint32_t i = 0; i < 2 * ITEMS_PER_STEP; i++) {
        sync(place, SYNC_LOCK, 8, -1);
    }
    solo_forget(place->solo);
    record.deleted = true;
    solo_step_once(place->solo, &news);
    solo_step(place->solo, &gone);
    while (solo_action(place->solo, ACTION_REPLY, told) != NULL) {
        told++;
    }
    assert_in_range(told, 1, 2 * ITEMS_PER_STEP - 1);
    assert_true(list_is_empty(&place->solo->node->calls.all));
}

static void test_blocked_call_on_a_region_that_goes_is_stale(void **state)
{
    struct place *place = *state;
    struct record other = solo_region(7, 16, 0);
    uint64_t number, of_other = place->handle;

    solo_record(place->solo, &other);
    fill_window(place);
    solo_map(place->solo, 1, &other, &place->handle);
    number = sync(place, SYNC_LOCK, 64, -1);
    place->handle = of_other;
    other.deleted = true;
    solo_record(place->solo, &other);
    assert_int_equal(solo_error(place->solo, number), DSM_ESTALE);
}

static void test_refusal_by_a_home_that_is_behind_is_asked_again(void **state)
{
    struct place *place = *state;
    uint64_t number = sync(place, SYNC_LOCK, 64, -1);
    struct message reply =
        reply_to(place, solo_sent(place->solo, MESSAGE_SYNC, 0), DSM_EACCES);
    struct record record = *node_record(place->solo->node, (region_id){5, 1005});

    solo_message(place->solo, &reply, 0); /* but the record here says that it may */
    assert_int_equal(solo_error(place->solo, number), WAITS);
    assert_int_equal(solo_sent(place->solo, MESSAGE_SYNC, 1)->op, SYNC_LOCK);
    assert_true(solo_sent(place->solo, MESSAGE_SYNC, 1)->request != reply.request);
    reply.request = solo_sent(place->solo, MESSAGE_SYNC, 1)->request;
    record.writers = NODESET_EMPTY;
    solo_record(place->solo, &record);
    solo_message(place->solo, &reply, 0);
    assert_int_equal(solo_error(place->solo, number), DSM_EACCES);
}

/* --- what is under way within the node --- */

/* Node 2's fetch-add needs a page that node 0 owns; before it comes, node 2 dies. */
static void test_atomic_operation_of_a_node_that_died_is_not_done(void **state)
{
    struct place *place = *state;
    struct message write = {.kind = MESSAGE_WRITE, .from = 0, .region = {6, 1006}, .page = 3,
                            .count = 1, .request = NODES_MAX + 1, .floor = 1};
    struct message confirm = write, data = write;
    struct message add = {.kind = MESSAGE_SYNC, .from = 2, .region = {6, 1006}, .offset = 3 * 4096,
                          .op = SYNC_FETCH_ADD, .value = 1, .request = NODES_MAX + 1, .floor = 1};

    solo_message(place->solo, &write, 0);
    confirm.kind = MESSAGE_CONFIRM;
    solo_message(place->solo, &confirm, 0);
    solo_message(place->solo, &add, 0);
    data = *solo_sent(place->solo, MESSAGE_FORWARD, 0);
    solo_member(place->solo, 2, 3, false, 1);
    data.kind = MESSAGE_DATA;
    data.from = 0;
    data.granted = 1;
    data.epoch = 1;
    data.flags = FLAG_WRITE;
    solo_message(place->solo, &data, 1);
    assert_non_null(solo_action(place->solo, ACTION_FILL, 0));
    assert_null(solo_action(place->solo, ACTION_ATOMIC, 0));
}

static void test_atomic_operations_that_wait_for_one_page_are_done_in_order(void **state)
{
    struct place *place = *state;
    struct message write = {.kind = MESSAGE_WRITE, .from = 0, .region = {6, 1006}, .page = 3,
                            .count = 1, .request = NODES_MAX + 1, .floor = 1};
    struct message confirm = write, data;
    struct message add = {.kind = MESSAGE_SYNC, .from = 2, .region = {6, 1006}, .offset = 3 * 4096,
                          .op = SYNC_FETCH_ADD, .value = 1, .request = NODES_MAX + 1, .floor = 1};

    solo_message(place->solo, &write, 0);
    confirm.kind = MESSAGE_CONFIRM;
    solo_message(place->solo, &confirm, 0);
    solo_message(place->solo, &add, 0);
    add.value = 2;
    add.request += NODES_MAX;
    solo_message(place->solo, &add, 0);
    data = *solo_sent(place->solo, MESSAGE_FORWARD, 0);
    assert_null(solo_sent(place->solo, MESSAGE_FORWARD, 1));
    data.kind = MESSAGE_DATA;
    data.from = 0;
    data.flags = FLAG_WRITE;
    solo_message(place->solo, &data, 1);
    assert_int_equal(solo_action(place->solo, ACTION_ATOMIC, 0)->message.value, 1);
    assert_int_equal(solo_action(place->solo, ACTION_ATOMIC, 1)->message.value, 2);
}

/* One step has not room for so many cancellations; the next one goes on. */
static void test_calls_whose_time_is_up_at_once_are_all_cancelled(void **state)
{
    struct place *place = *state;
    const uint32_t count = ACTIONS_MAX + 100;

    for (uint32_t i = 0; i < count; i++) {
        sync(place, SYNC_LOCK, 8, 50);
    }
    solo_forget(place->solo);
    solo_advance(place->solo, 50);
    for (uint32_t i = 0; i < count; i++) {
        assert_non_null(solo_sent(place->solo, MESSAGE_SYNC, i));
        assert_int_equal(solo_sent(place->solo, MESSAGE_SYNC, i)->op, SYNC_CANCEL);
    }
    assert_null(solo_sent(place->solo, MESSAGE_SYNC, count));
}

static void test_atomic_operation_on_a_lost_page_fails(void **state)
{
    struct place *place = *state;
    struct message write = {.kind = MESSAGE_WRITE, .from = 2, .region = {6, 1006}, .page = 3,
                            .count = 1, .request = NODES_MAX + 1, .floor = 1};
    struct message confirm = write;
    struct call add = {.kind = CALL_SYNC, .handle = place->here_handle, .op = SYNC_FETCH_ADD,
                       .offset = 3 * 4096, .value = 1, .timeout_ms = -1};

    solo_message(place->solo, &write, 0);
    confirm.kind = MESSAGE_CONFIRM;
    solo_message(place->solo, &confirm, 0);
    solo_member(place->solo, 2, 3, false, 1);
    assert_int_equal(solo_do(place->solo, 1, &add), DSM_EDOWN);
    assert_int_equal(solo_do(place->solo, 1, &add), DSM_EDOWN); /* known to be lost by now */
    assert_null(solo_action(place->solo, ACTION_ATOMIC, 0));
}

/* A step ends with messages of the node to itself in hand; then the catalog's news comes. */
static void test_messages_to_itself_outlive_an_epoch_but_not_their_region(void **state)
{
    struct place *place = *state;
    struct node *node = place->solo->node;
    struct actions *actions = calloc(1, sizeof(*actions));
    struct event gone = {.kind = EVENT_CLIENT_GONE, .client_gone = 1};
    struct record record = *node_record(node, (region_id){6, 1006});

    place->handle = place->here_handle;
    solo_do(place->solo, 1, &(struct call){.kind = CALL_UNMAP, .map = place->here_map});
    for (uint32_t i = 0; i < 3 * ITEMS_PER_STEP; i++) {
        assert_int_equal(solo_error(place->solo, sync(place, SYNC_LOCK, 8 * i, -1)), 0);
    }
    sync(place, SYNC_LOCK, 0, -1); /* waits, so that the first step ends between two messages */
    gone.now_ms = place->solo->now_ms;
    for (uint32_t i = 0; i < 50 && list_is_empty(&node->context.loop); i++) {
        node_step(node, &gone, actions);
        gone.kind = EVENT_TIME;
    }
    assert_false(list_is_empty(&node->context.loop));
    {
        struct record member = {.kind = RECORD_NODE, .id = {2, 3}, .epoch = 1, .revision = 99};
        struct event news = {.kind = EVENT_RECORD, .now_ms = gone.now_ms, .record = &member};

        node_step(node, &news, actions);
    }
    assert_int_equal(node_counters(node)->old_epoch, 0);
    for (uint32_t i = 0; i < 50 && list_is_empty(&node->context.loop); i++) {
        node_step(node, &gone, actions);
    }
    assert_false(list_is_empty(&node->context.loop));
    record.deleted = true;
    solo_record(place->solo, &record);
    assert_true(list_is_empty(&node->context.loop));
    assert_int_equal(node_counters(node)->old_epoch, 0);
    assert_int_equal(node_counters(node)->refused, 0);
    free(actions);
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_call_beyond_the_window_is_sent_when_there_is_room),
        FIXTURE(test_call_that_never_left_ends_in_time),
        FIXTURE(test_calls_of_a_dead_program_that_never_left_are_forgotten),
        FIXTURE(test_region_that_goes_ends_the_calls_on_it),
        FIXTURE(test_region_that_goes_ends_calls_by_the_thousand),
        FIXTURE(test_program_that_dies_after_its_region_is_told_no_more),
        FIXTURE(test_blocked_call_on_a_region_that_goes_is_stale),
        FIXTURE(test_refusal_by_a_home_that_is_behind_is_asked_again),
        FIXTURE(test_atomic_operation_of_a_node_that_died_is_not_done),
        FIXTURE(test_atomic_operations_that_wait_for_one_page_are_done_in_order),
        FIXTURE(test_calls_whose_time_is_up_at_once_are_all_cancelled),
        FIXTURE(test_atomic_operation_on_a_lost_page_fails),
        FIXTURE(test_messages_to_itself_outlive_an_epoch_but_not_their_region),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
