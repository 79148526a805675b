/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests a home admits: those ahead of the catalog's news wait, others are told why not. */
#include "dsm/core/node_parts.h"
#include "tests/sim/solo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SLOT 5u

/* Node 0 of three, which knows region 5 of 16 pages and is their home. */
static int set_up(void **state)
{
    struct node_config config = {.resend_ms = 100};
    struct record record = solo_region(SLOT, 16, 0);
    struct solo *solo = solo_new(0, 3, &config);

    solo_record(solo, &record);
    solo_forget(solo);
    *state = solo;
    return 0;
}

static int tear_down(void **state)
{
    solo_free(*state);
    return 0;
}

/* A message of node 1 about page 3; requests have number 1 to home 0. */
static struct message message_of(uint32_t kind)
{
    struct message message = {
        .kind = (uint8_t)kind,
        .from = 1,
        .region = {SLOT, 1000 + SLOT},
        .page = 3,
        .count = 1,
        .granted = 1,
        .request = NODES_MAX,
        .floor = 1,
    };

    return message;
}

static void test_request_for_an_unknown_region_waits_for_its_record(void **state)
{
    struct solo *solo = *state;
    struct record record = solo_region(6, 16, 0);
    struct message message = message_of(MESSAGE_READ);

    message.region = record.id;
    solo_message(solo, &message, 0);
    assert_int_equal(solo->count, 0);
    assert_int_equal(node_deadline(solo->node), solo->now_ms + 100);
    solo_record(solo, &record);
    assert_non_null(solo_sent(solo, MESSAGE_GRANT, 0));
    assert_int_equal(solo_sent(solo, MESSAGE_GRANT, 0)->to, 1);
    assert_int_equal(solo_counters(solo)->refused, 0);
}

static void test_request_beyond_the_end_waits_until_the_region_has_grown(void **state)
{
    struct solo *solo = *state;
    struct record record = solo_region(SLOT, 32, 0);
    struct message message = message_of(MESSAGE_READ);
    struct message sync = message_of(MESSAGE_SYNC);

    message.page = 20;
    sync.op = SYNC_LOCK;
    sync.offset = 17 * 4096;
    sync.request = 2 * NODES_MAX;
    solo_message(solo, &message, 0);
    solo_message(solo, &sync, 0);
    assert_int_equal(solo->count, 0);
    solo_record(solo, &record);
    assert_int_equal(solo_sent(solo, MESSAGE_GRANT, 0)->page, 20);
    assert_int_equal(solo_sent(solo, MESSAGE_SYNC_REPLY, 0)->error, 0);
}

static void test_request_for_a_region_that_never_comes_is_told_so(void **state)
{
    struct solo *solo = *state;
    struct message message = message_of(MESSAGE_WRITE);

    message.region.generation = 1;
    solo_message(solo, &message, 0);
    solo_advance(solo, 99);
    assert_int_equal(solo->count, 0);
    solo_advance(solo, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->error, DSM_ESTALE);
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->granted, 1);
    assert_int_equal(solo_counters(solo)->refused, 1);
    assert_true(node_deadline(solo->node) == UINT64_MAX);
}

/* No program on node 1 has it open, says the record: its agent does not get the pages. */
static void test_node_without_the_right_is_denied(void **state)
{
    struct solo *solo = *state;
    struct record record = solo_region(SLOT, 16, 0);
    struct message read = message_of(MESSAGE_READ), write = message_of(MESSAGE_WRITE);
    struct message lock = message_of(MESSAGE_SYNC), leave = message_of(MESSAGE_LEAVE);

    record.readers = nodeset_union(nodeset_of(0), nodeset_of(2));
    record.writers = nodeset_of(0);
    solo_record(solo, &record);
    solo_message(solo, &read, 0);
    write.from = 2; /* may read only */
    solo_message(solo, &write, 0);
    lock.from = 2;
    lock.op = SYNC_LOCK;
    lock.request = 2 * NODES_MAX;
    solo_message(solo, &lock, 0);
    leave.count = 0; /* malformed: parked like what is beyond the end */
    leave.request = 2 * NODES_MAX;
    solo_message(solo, &leave, 0);
    assert_int_equal(solo->count, 0);
    solo_advance(solo, 100);
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->error, DSM_EACCES);
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->to, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 1)->to, 2);
    assert_int_equal(solo_sent(solo, MESSAGE_SYNC_REPLY, 0)->error, DSM_EACCES);
    assert_int_equal(solo_sent(solo, MESSAGE_RELEASE, 0)->flags, FLAG_LEAVE);
    assert_int_equal(solo_counters(solo)->refused, 4);
}

static void test_right_that_arrives_admits_the_request(void **state)
{
    struct solo *solo = *state;
    struct record record = solo_region(SLOT, 16, 0);
    struct message write = message_of(MESSAGE_WRITE);

    record.writers = nodeset_of(0);
    solo_record(solo, &record);
    solo_message(solo, &write, 0);
    assert_null(solo_sent(solo, MESSAGE_GRANT, 0));
    record.writers = nodeset_below(NODES_MAX);
    solo_record(solo, &record);
    assert_int_equal(solo_sent(solo, MESSAGE_GRANT, 0)->flags, FLAG_WRITE | FLAG_ZERO);
}

static void test_what_is_given_back_needs_no_right(void **state)
{
    struct solo *solo = *state;
    static const uint8_t ops[] = {SYNC_UNLOCK, SYNC_UNLOCK_DEAD, SYNC_CANCEL};
    struct record record = solo_region(SLOT, 16, 0);

    record.readers = record.writers = nodeset_of(0);
    solo_record(solo, &record);
    for (uint32_t i = 0; i < 3; i++) {
        struct message message = message_of(MESSAGE_SYNC);

        message.op = ops[i];
        message.request = (i + 1) * NODES_MAX;
        solo_message(solo, &message, 0);
        assert_int_equal(solo_sent(solo, MESSAGE_SYNC_REPLY, i)->error,
                         ops[i] == SYNC_CANCEL ? DSM_ECANCELED : DSM_EPERM);
    }
}

static void test_requests_that_wait_are_bounded(void **state)
{
    struct solo *solo = *state;
    struct message message = message_of(MESSAGE_READ);

    message.region.generation = 1;
    for (uint32_t i = 0; i < PARKED_MAX; i++) {
        message.request = (i + 1) * NODES_MAX;
        solo_message(solo, &message, 0);
    }
    assert_int_equal(solo_counters(solo)->refused, 0);
    message.request = (PARKED_MAX + 1) * NODES_MAX;
    solo_message(solo, &message, 0);
    assert_int_equal(solo_counters(solo)->refused, 1);
    solo_advance(solo, 100);
    assert_int_equal(solo_counters(solo)->refused, 1 + PARKED_MAX);
    assert_non_null(solo_sent(solo, MESSAGE_LOST, PARKED_MAX - 1));
    assert_true(solo->steps > PARKED_MAX / ITEMS_PER_STEP);
}

/* Else the next incarnation's first requests would be taken for repetitions of closed ones. */
/* Far more than an honest node can have open: it says that it has the outcome of all before. */
static void test_operations_that_wait_are_bounded(void **state)
{
    struct solo *solo = *state;
    struct message lock = message_of(MESSAGE_SYNC);

    lock.op = SYNC_LOCK;
    lock.from = 2;
    solo_message(solo, &lock, 0);
    lock.from = 1;
    for (uint64_t i = 1; i <= 65536; i++) {
        lock.request = i * NODES_MAX;
        lock.floor = i;
        solo_message(solo, &lock, 0);
        solo_forget(solo);
    }
    assert_int_equal(solo_counters(solo)->refused, 0);
    lock.request += NODES_MAX;
    lock.floor++;
    solo_message(solo, &lock, 0);
    assert_int_equal(solo_counters(solo)->refused, 1);
    assert_int_equal(solo->count, 0);
}

/* Its own core knows who holds what; a home does not rely on that. */
static void test_home_lets_only_the_holder_unlock(void **state)
{
    struct solo *solo = *state;
    struct message message = message_of(MESSAGE_SYNC);

    message.op = SYNC_LOCK;
    solo_message(solo, &message, 0);
    message.op = SYNC_UNLOCK;
    message.operand = message.request;
    message.from = 2;
    solo_message(solo, &message, 0);
    assert_int_equal(solo_sent(solo, MESSAGE_SYNC_REPLY, 1)->error, DSM_EPERM);
    message.from = 1;
    message.request = 2 * NODES_MAX;
    message.operand++;
    solo_message(solo, &message, 0);
    assert_int_equal(solo_sent(solo, MESSAGE_SYNC_REPLY, 2)->error, DSM_EPERM);
    message.request = 3 * NODES_MAX;
    message.operand--;
    solo_message(solo, &message, 0);
    assert_int_equal(solo_sent(solo, MESSAGE_SYNC_REPLY, 3)->error, 0);
}

/* A program waits for a grant; an UNLOCK is the node's own, which goes on without the answer. */
static void test_answer_to_an_unlock_may_wait_long(void **state)
{
    struct solo *solo = *state;
    struct message message = message_of(MESSAGE_SYNC);

    message.op = SYNC_LOCK;
    solo_message(solo, &message, 0);
    assert_int_equal(solo_action(solo, ACTION_SEND, 0)->may_wait, MAY_WAIT_NOT);
    message.op = SYNC_UNLOCK;
    message.operand = message.request;
    message.request = 2 * NODES_MAX;
    solo_message(solo, &message, 0);
    message.op = SYNC_UNLOCK_DEAD;
    message.request = 3 * NODES_MAX;
    solo_message(solo, &message, 0);
    assert_int_equal(solo_action(solo, ACTION_SEND, 1)->may_wait, MAY_WAIT_LONG);
    assert_int_equal(solo_action(solo, ACTION_SEND, 2)->may_wait, MAY_WAIT_LONG);
}

static void test_home_takes_no_barrier_of_more_parties_than_a_number_has(void **state)
{
    struct solo *solo = *state;
    struct message message = message_of(MESSAGE_SYNC);

    message.op = SYNC_BARRIER;
    message.value = UINT64_C(1) << 32;
    solo_message(solo, &message, 0);
    assert_int_equal(solo_sent(solo, MESSAGE_SYNC_REPLY, 0)->error, DSM_EINVAL);
}

/* A record that comes again is no death; a younger incarnation is one, told or not. */
static void test_death_that_is_not_told_shows_in_the_next_incarnation(void **state)
{
    struct solo *solo = *state;
    struct message lock = message_of(MESSAGE_SYNC);

    lock.op = SYNC_LOCK;
    solo_message(solo, &lock, 0);
    lock.from = 2;
    solo_message(solo, &lock, 0);
    solo_forget(solo);
    solo_member(solo, 1, 2, true, 0);
    assert_int_equal(solo->count, 0);
    solo_member(solo, 1, 8, true, 1);
    assert_int_equal(solo_sent(solo, MESSAGE_SYNC_REPLY, 0)->to, 2);
}

static void test_request_of_a_node_that_died_waits_no_longer(void **state)
{
    struct solo *solo = *state;
    struct record record = solo_region(6, 16, 0);
    struct message message = message_of(MESSAGE_READ);

    message.region = record.id;
    message.request = 900 * NODES_MAX;
    message.floor = 900;
    solo_message(solo, &message, 0);
    solo_member(solo, 1, 2, false, 1);
    solo_member(solo, 1, 8, true, 1);
    solo_record(solo, &record);
    assert_null(solo_action(solo, ACTION_SEND, 0));
    message.request = NODES_MAX;
    message.floor = 1;
    message.epoch = 1;
    solo_message(solo, &message, 0);
    assert_non_null(solo_sent(solo, MESSAGE_GRANT, 0));
}

/* The home's agent started anew after the region was made: what it knew of the pages is gone. */
static void test_home_that_forgot_says_that_the_pages_are_lost(void **state)
{
    struct solo *solo = *state;
    struct record member = {.kind = RECORD_NODE, .id = {0, 2000}, .alive = true, .joined = 5000};
    struct message message = message_of(MESSAGE_READ);

    solo_record(solo, &member);
    solo_message(solo, &message, 0);
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->error, DSM_EDOWN);
    assert_int_equal(solo_counters(solo)->refused, 1);
}

/* What was admitted once is admitted again, though the right has gone meanwhile. */
static void test_repeated_request_needs_no_right_any_more(void **state)
{
    struct solo *solo = *state;
    struct record record = solo_region(SLOT, 16, 0);
    struct message read = message_of(MESSAGE_READ);

    solo_message(solo, &read, 0);
    record.readers = record.writers = nodeset_of(0);
    solo_record(solo, &record);
    solo_message(solo, &read, 0);
    assert_non_null(solo_sent(solo, MESSAGE_GRANT, 1));
    read.request = 9 * NODES_MAX; /* a new one, which says that the first is closed */
    read.floor = 9;
    solo_message(solo, &read, 0);
    assert_null(solo_sent(solo, MESSAGE_GRANT, 2));
}

/* A peer's mistakes: operations that do not exist, or are none of this kind of object. */
static void test_operations_that_do_not_fit_their_object_are_refused(void **state)
{
    struct solo *solo = *state;
    struct record sem = {.kind = RECORD_SEM,
                         .id = {6, 60},
                         .name = "/s",
                         .homes = nodeset_from_word(1),
                         .readers = nodeset_below(NODES_MAX),
                         .writers = nodeset_below(NODES_MAX)};
    static const struct {
        uint8_t op;
        bool on_sem;
        uint64_t offset;
    } cases[] = {
        {SYNC_NONE, false, 0},      {SYNC_OP_COUNT, false, 0}, {255, false, 0},
        {SYNC_SEM_POST, false, 0},  {SYNC_FETCH_ADD, false, 4}, {SYNC_LOCK, true, 0},
        {SYNC_FETCH_ADD, true, 0},  {SYNC_BARRIER, true, 0},   {SYNC_SEM_POST, true, 8},
        {SYNC_BARRIER, false, 0},
    };

    solo_record(solo, &sem);
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct message message = message_of(MESSAGE_SYNC);

        message.op = cases[i].op;
        message.offset = cases[i].offset;
        message.request = (i + 1) * NODES_MAX;
        if (cases[i].on_sem) {
            message.region = sem.id;
        }
        solo_message(solo, &message, 0);
        assert_int_equal(solo_sent(solo, MESSAGE_SYNC_REPLY, i)->error, DSM_EINVAL);
    }
    assert_null(solo_action(solo, ACTION_ATOMIC, 0));
}

static void test_operation_whose_outcome_is_known_to_its_node_is_forgotten(void **state)
{
    struct solo *solo = *state;
    struct message post = message_of(MESSAGE_SYNC), ack = message_of(MESSAGE_SYNC_ACK);

    post.op = SYNC_UNLOCK;
    solo_message(solo, &post, 0);
    solo_message(solo, &post, 0);
    assert_non_null(solo_sent(solo, MESSAGE_SYNC_REPLY, 1));
    solo_message(solo, &ack, 0);
    solo_message(solo, &ack, 0);
    solo_message(solo, &post, 0); /* a late repetition */
    post.op = SYNC_CANCEL;
    solo_message(solo, &post, 0);
    for (uint32_t i = 2; i < 4; i++) { /* refused, should anybody still listen */
        assert_int_equal(solo_sent(solo, MESSAGE_SYNC_REPLY, i)->error, DSM_EACCES);
    }
    assert_true(list_is_empty(&remote_find(&solo->node->context.remotes, 1)->sync_ops));
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_request_for_an_unknown_region_waits_for_its_record),
        FIXTURE(test_request_beyond_the_end_waits_until_the_region_has_grown),
        FIXTURE(test_request_for_a_region_that_never_comes_is_told_so),
        FIXTURE(test_node_without_the_right_is_denied),
        FIXTURE(test_right_that_arrives_admits_the_request),
        FIXTURE(test_what_is_given_back_needs_no_right),
        FIXTURE(test_requests_that_wait_are_bounded),
        FIXTURE(test_operations_that_wait_are_bounded),
        FIXTURE(test_home_lets_only_the_holder_unlock),
        FIXTURE(test_answer_to_an_unlock_may_wait_long),
        FIXTURE(test_home_takes_no_barrier_of_more_parties_than_a_number_has),
        FIXTURE(test_death_that_is_not_told_shows_in_the_next_incarnation),
        FIXTURE(test_request_of_a_node_that_died_waits_no_longer),
        FIXTURE(test_repeated_request_needs_no_right_any_more),
        FIXTURE(test_operations_that_do_not_fit_their_object_are_refused),
        FIXTURE(test_operation_whose_outcome_is_known_to_its_node_is_forgotten),
        FIXTURE(test_home_that_forgot_says_that_the_pages_are_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
