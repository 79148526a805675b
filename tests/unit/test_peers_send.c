/* SPDX-License-Identifier: Apache-2.0 */
/* When messages between two members leave: alone, together, or later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dsm.h"
#include "tests/unit/hosts.h"

static bool has_three(void *context)
{
    return ((struct host *)context)->messages == 3;
}

/* What may wait goes with the next message to that peer, before it and in one piece, or when it is
 * flushed. */
static void test_message_that_may_wait_travels_with_the_next_one(void **state)
{
    struct pair *pair = *state;
    struct message message = {.kind = MESSAGE_CONFIRM, .to = 0, .request = 8, .count = 1};
    uint64_t sends;
    pair->a.messages = 0;
    sends = peers_count_sends(pair->b.peers);
    peers_send_message(pair->b.peers, &message, NULL, 0, MAY_WAIT_SHORTLY);
    message.request = 9;
    peers_send_message(pair->b.peers, &message, NULL, 0, MAY_WAIT_SHORTLY);
    assert_true(peers_are_holding(pair->b.peers));
    assert_int_equal(peers_count_sends(pair->b.peers), sends);
    message.request = 10;
    peers_send_message(pair->b.peers, &message, NULL, 0, MAY_WAIT_NOT);
    assert_false(peers_are_holding(pair->b.peers));
    assert_int_equal(peers_count_sends(pair->b.peers), sends + 1);
    assert_true(stage_run(&pair->stage, has_three, &pair->a));
    assert_int_equal(pair->a.message.request, 10);
    pair->a.messages = 2;
    message.request = 11;
    peers_send_message(pair->b.peers, &message, NULL, 0, MAY_WAIT_SHORTLY);
    peers_flush(pair->b.peers);
    assert_false(peers_are_holding(pair->b.peers));
    assert_true(stage_run(&pair->stage, has_three, &pair->a));
    assert_int_equal(pair->a.message.request, 11);
    /* A connection that ends takes what it held with it. */
    peers_send_message(pair->b.peers, &message, NULL, 0, MAY_WAIT_SHORTLY);
    peers_refuse(pair->b.peers, host_find(&pair->b, "a", 11), DSM_EPROTO, "for the test");
    assert_false(peers_are_holding(pair->b.peers));
}

/* What is collected leaves in one piece, when whoever began first is through; what may wait goes
 * with it, but is no reason to send. */
static void test_messages_that_are_collected_leave_together(void **state)
{
    struct pair *pair = *state;
    struct message message = {.kind = MESSAGE_READ, .to = 0, .request = 8, .count = 1};
    uint64_t sends;
    pair->a.messages = 0;
    sends = peers_count_sends(pair->b.peers);
    peers_collect(pair->b.peers);
    peers_send_message(pair->b.peers, &message, NULL, 0, MAY_WAIT_NOT);
    peers_collect(pair->b.peers);
    message.request = 9;
    peers_send_message(pair->b.peers, &message, NULL, 0, MAY_WAIT_SHORTLY);
    peers_collected(pair->b.peers);
    assert_int_equal(peers_count_sends(pair->b.peers), sends);
    message.request = 10;
    peers_send_message(pair->b.peers, &message, NULL, 0, MAY_WAIT_NOT);
    assert_int_equal(peers_count_sends(pair->b.peers), sends);
    peers_collected(pair->b.peers);
    assert_false(peers_are_holding(pair->b.peers));
    assert_int_equal(peers_count_sends(pair->b.peers), sends + 1);
    assert_true(stage_run(&pair->stage, has_three, &pair->a));
    assert_int_equal(pair->a.message.request, 10);
    peers_collect(pair->b.peers);
    peers_send_message(pair->b.peers, &message, NULL, 0, MAY_WAIT_SHORTLY);
    peers_collected(pair->b.peers);
    assert_true(peers_are_holding(pair->b.peers));
    assert_int_equal(peers_count_sends(pair->b.peers), sends + 1);
}

static bool has_one(void *context)
{
    return ((struct host *)context)->messages == 1;
}

/* What nobody ever waits for keeps nobody from sleeping, and goes with what does, or by time. */
static void test_message_that_may_wait_long_goes_by_time(void **state)
{
    struct pair *pair = *state;
    struct message message = {.kind = MESSAGE_SYNC_ACK, .to = 0, .request = 8};
    uint64_t sends;
    pair->a.messages = 0;
    sends = peers_count_sends(pair->b.peers);
    peers_send_message(pair->b.peers, &message, NULL, 0, MAY_WAIT_LONG);
    assert_false(peers_are_holding(pair->b.peers));
    peers_flush(pair->b.peers);
    assert_int_equal(peers_count_sends(pair->b.peers), sends);
    assert_true(stage_run(&pair->stage, has_one, &pair->a));
    assert_int_equal(pair->a.message.request, 8);
    sends = peers_count_sends(pair->b.peers);
    for (uint32_t i = 0; i < 2; i++) { /* the more urgent one says when both leave */
        message.request++;
        peers_send_message(pair->b.peers, &message, NULL, 0,
                           i == 0 ? MAY_WAIT_LONG : MAY_WAIT_SHORTLY);
    }
    peers_send_message(pair->b.peers, &message, NULL, 0, MAY_WAIT_LONG);
    assert_true(peers_are_holding(pair->b.peers));
    assert_int_equal(peers_count_sends(pair->b.peers), sends);
    pair->a.messages = 0;
    peers_flush(pair->b.peers);
    assert_false(peers_are_holding(pair->b.peers));
    assert_int_equal(peers_count_sends(pair->b.peers), sends + 1);
    assert_true(stage_run(&pair->stage, has_three, &pair->a));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_set_up, pair_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_message_that_may_wait_travels_with_the_next_one),
        TEST(test_messages_that_are_collected_leave_together),
        TEST(test_message_that_may_wait_long_goes_by_time),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
