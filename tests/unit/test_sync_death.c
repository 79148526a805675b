/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synchronisation when programs and nodes die and messages are lost or repeated: nothing is carried
 * out twice, nothing that was taken is lost with who took it.
 */
#include "dsm/core/node_parts.h"
#include "tests/sim/parties.h"
#include "tests/sim/solo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WAITS 1 /* parties_error() of a call that is not answered */

static int set_up(void **state)
{
    *state = parties_new();
    return 0;
}

static int tear_down(void **state)
{
    parties_free(*state);
    return 0;
}

/* Outcomes that the home remembers for a node. */
static uint32_t count_entries(const struct parties *p, uint32_t node)
{
    const struct remotes *remotes = &p->cluster->nodes[0].node->context.remotes;
    const struct list *list = &remote_find(remotes, node)->sync_ops;
    uint32_t count = 0;

    for (const struct list *place = list->next; place != list; place = place->next) {
        count++;
    }
    return count;
}

static void kill_node(struct parties *p, uint32_t node)
{
    cluster_kill(p->cluster, node);
    cluster_declare_dead(p->cluster, node);
    cluster_run(p->cluster);
}

/* --- programs that die --- */

static void test_lock_of_a_dead_program_goes_on_as_ownerdead(void **state)
{
    struct parties *p = *state;
    uint64_t next, after;

    parties_do(p, 1, 1, SYNC_LOCK, 64, 0, -1);
    next = parties_do(p, 2, 1, SYNC_LOCK, 64, 0, -1);
    after = parties_do(p, 3, 1, SYNC_LOCK, 64, 0, -1);
    cluster_client_gone(p->cluster, 1, 1);
    cluster_run(p->cluster);
    assert_int_equal(parties_error(p, 2, next), DSM_EOWNERDEAD);
    assert_int_equal(parties_error(p, 3, after), WAITS);
    assert_int_equal(parties_error(p, 2, parties_do(p, 2, 1, SYNC_UNLOCK, 64, 0, -1)), 0);
    assert_int_equal(parties_error(p, 3, after), 0); /* was told once */
}

static void test_dead_holder_is_told_of_also_to_who_comes_later(void **state)
{
    struct parties *p = *state;

    parties_do(p, 1, 1, SYNC_LOCK, 64, 0, -1);
    cluster_client_gone(p->cluster, 1, 1);
    cluster_run(p->cluster);
    assert_int_equal(parties_error(p, 2, parties_do(p, 2, 1, SYNC_LOCK, 64, 0, -1)),
                     DSM_EOWNERDEAD);
}

static void test_waiter_that_dies_is_passed_over(void **state)
{
    struct parties *p = *state;
    uint64_t next;

    parties_do(p, 1, 1, SYNC_LOCK, 64, 0, -1);
    parties_do(p, 2, 1, SYNC_LOCK, 64, 0, -1);
    next = parties_do(p, 3, 1, SYNC_LOCK, 64, 0, -1);
    cluster_client_gone(p->cluster, 2, 1);
    cluster_run(p->cluster);
    parties_do(p, 1, 1, SYNC_UNLOCK, 64, 0, -1);
    assert_int_equal(parties_error(p, 3, next), 0);
}

static void test_lock_granted_to_a_program_that_is_gone_is_given_back(void **state)
{
    struct parties *p = *state;
    uint64_t next;

    parties_do(p, 1, 1, SYNC_LOCK, 64, 0, -1);
    parties_do(p, 2, 1, SYNC_LOCK, 64, 0, -1);
    next = parties_do(p, 3, 1, SYNC_LOCK, 64, 0, -1);
    p->cluster->is_held[0][2] = true; /* the grant is on its way ... */
    parties_do(p, 1, 1, SYNC_UNLOCK, 64, 0, -1);
    cluster_client_gone(p->cluster, 2, 1); /* ... when the program dies */
    p->cluster->is_held[0][2] = false;
    cluster_run(p->cluster);
    assert_int_equal(parties_error(p, 3, next), DSM_EOWNERDEAD);
}

static void test_post_granted_to_a_program_that_is_gone_is_posted_again(void **state)
{
    struct parties *p = *state;
    uint64_t next;

    parties_do(p, 0, 1, SYNC_SEM_WAIT, 0, 0, -1);
    parties_do(p, 2, 1, SYNC_SEM_WAIT, 0, 0, -1);
    next = parties_do(p, 3, 1, SYNC_SEM_WAIT, 0, 0, -1);
    p->cluster->is_held[0][2] = true;
    parties_do(p, 1, 1, SYNC_SEM_POST, 0, 0, -1);
    cluster_client_gone(p->cluster, 2, 1);
    assert_int_equal(parties_error(p, 3, next), WAITS);
    p->cluster->is_held[0][2] = false;
    cluster_run(p->cluster);
    assert_int_equal(parties_error(p, 3, next), 0);
}

static void test_party_that_dies_is_not_counted(void **state)
{
    struct parties *p = *state;
    uint64_t first = parties_do(p, 1, 1, SYNC_BARRIER, 64, 2, -1);

    parties_do(p, 2, 1, SYNC_BARRIER, 512, 2, -1);
    cluster_client_gone(p->cluster, 2, 1);
    cluster_run(p->cluster);
    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 2, SYNC_BARRIER, 512, 2, 10)), WAITS);
    assert_int_equal(parties_error(p, 1, first), WAITS);
    assert_int_equal(parties_error(p, 3, parties_do(p, 3, 1, SYNC_BARRIER, 64, 2, -1)), 0);
    assert_int_equal(parties_error(p, 1, first), 0);
}

static void test_what_a_program_had_asked_for_is_done_though_it_is_gone(void **state)
{
    struct parties *p = *state;

    parties_start(p, 2, 1, SYNC_SEM_POST, 0, 0, -1);
    parties_start(p, 2, 1, SYNC_FETCH_ADD, 0, 5, -1);
    cluster_client_gone(p->cluster, 2, 1);
    cluster_run(p->cluster);
    assert_int_equal(parties_value(p, 0, parties_do(p, 0, 1, SYNC_SEM_VALUE, 0, 0, -1)), 2);
    assert_int_equal(parties_value(p, 0, parties_do(p, 0, 1, SYNC_FETCH_ADD, 0, 0, -1)), 5);
}

static void test_call_of_a_dying_program_is_not_answered(void **state)
{
    struct parties *p = *state;
    struct call stat = {.kind = CALL_STAT, .handle = p->region[2][1]};
    uint64_t number;

    for (uint64_t i = 0; i < 3 * ITEMS_PER_STEP; i++) { /* so that its end takes several steps */
        parties_do(p, 2, 1, SYNC_LOCK, i * 8, 0, -1);
    }
    cluster_client_gone(p->cluster, 2, 1);
    number = cluster_call_start(p->cluster, 2, 1, &stat);
    cluster_client_gone(p->cluster, 2, 1); /* no news */
    cluster_run(p->cluster);
    assert_true(parties_error(p, 2, number) == WAITS ||
                parties_error(p, 2, number) == DSM_ESTALE);
    for (uint64_t i = 0; i < 3 * ITEMS_PER_STEP; i++) {
        assert_int_equal(parties_error(p, 3, parties_do(p, 3, 1, SYNC_LOCK, i * 8, 0, -1)),
                         DSM_EOWNERDEAD);
    }
}

/* --- nodes that die --- */

static void test_what_a_dead_node_held_or_waited_for_is_let_go(void **state)
{
    struct parties *p = *state;
    uint64_t lock, wait, barrier, other;

    parties_do(p, 2, 1, SYNC_LOCK, 64, 0, -1);
    parties_do(p, 2, 2, SYNC_LOCK, 64, 0, -1); /* waits behind its own node's program */
    lock = parties_do(p, 3, 1, SYNC_LOCK, 64, 0, -1);
    parties_do(p, 0, 1, SYNC_SEM_WAIT, 0, 0, -1);
    parties_do(p, 2, 1, SYNC_SEM_WAIT, 0, 0, -1);
    wait = parties_do(p, 3, 1, SYNC_SEM_WAIT, 0, 0, -1);
    parties_do(p, 2, 1, SYNC_BARRIER, 512, 2, -1);
    parties_do(p, 2, 1, SYNC_BARRIER, 1024, 2, -1); /* nobody else: the object goes */
    barrier = parties_do(p, 3, 1, SYNC_BARRIER, 512, 3, -1);
    assert_int_equal(parties_error(p, 3, barrier), DSM_EINVAL);
    kill_node(p, 2);
    assert_int_equal(parties_error(p, 3, lock), DSM_EOWNERDEAD);
    parties_do(p, 0, 1, SYNC_SEM_POST, 0, 0, -1);
    assert_int_equal(parties_error(p, 3, wait), 0);
    barrier = parties_do(p, 3, 1, SYNC_BARRIER, 512, 2, -1);
    assert_int_equal(parties_error(p, 3, barrier), WAITS);
    other = parties_do(p, 1, 1, SYNC_BARRIER, 512, 2, -1);
    assert_int_equal(parties_error(p, 3, barrier), 0);
    assert_int_equal(parties_error(p, 1, other), 0);
    assert_int_equal(count_entries(p, 2), 0);
}

static void test_home_that_dies_ends_every_call_with_its_name(void **state)
{
    struct parties *p = *state;
    uint64_t held = parties_do(p, 1, 1, SYNC_LOCK, 64, 0, -1);
    uint64_t waits = parties_do(p, 2, 1, SYNC_LOCK, 64, 0, -1);
    uint64_t queued = parties_do(p, 3, 1, SYNC_LOCK, 64, 0, -1), later;
    struct reply reply;

    cluster_advance(p->cluster, 1000); /* asked again: the home called them queued */
    kill_node(p, 0);
    assert_int_equal(parties_error(p, 1, held), 0);
    assert_int_equal(parties_error(p, 2, waits), DSM_EDOWN);
    assert_int_equal(parties_error(p, 3, queued), DSM_EDOWN);
    assert_true(cluster_reply(p->cluster, 3, queued, &reply));
    assert_int_equal(reply.node, 0);
    later = parties_do(p, 1, 1, SYNC_UNLOCK, 64, 0, -1);
    assert_int_equal(parties_error(p, 1, later), DSM_EDOWN);
    assert_true(cluster_reply(p->cluster, 1, later, &reply));
    assert_int_equal(reply.node, 0);
    cluster_client_gone(p->cluster, 1, 1); /* its lock can be given back to nobody */
    cluster_run(p->cluster);
    cluster_advance(p->cluster, 3000);
    assert_true(list_is_empty(&p->cluster->nodes[1].node->context.timers));
}

/* --- messages that are lost and repeated --- */

static void test_every_operation_is_done_once_when_its_outcome_is_lost(void **state)
{
    struct parties *p = *state;
    static const uint8_t ops[] = {SYNC_LOCK,      SYNC_SEM_WAIT, SYNC_SEM_POST,
                                  SYNC_SEM_VALUE, SYNC_BARRIER,  SYNC_FETCH_ADD};

    for (uint32_t i = 0; i < sizeof(ops); i++) {
        uint64_t number = parties_start(p, 1, 1, ops[i], 64, 1, -1);

        assert_true(cluster_deliver(p->cluster, 1, 0));
        assert_true(cluster_lose(p->cluster, 0, 1));
        cluster_run(p->cluster);
        assert_int_equal(parties_error(p, 1, number), WAITS);
        cluster_advance(p->cluster, 1000);
        assert_int_equal(parties_error(p, 1, number), 0);
    }
    assert_int_equal(parties_value(p, 2, parties_do(p, 2, 1, SYNC_SEM_VALUE, 0, 0, -1)), 1);
    assert_int_equal(parties_value(p, 2, parties_do(p, 2, 1, SYNC_FETCH_ADD, 64, 0, -1)), 1);
    parties_do(p, 1, 1, SYNC_SEM_VALUE, 0, 0, -1); /* its floor says that it has them all */
    assert_int_equal(count_entries(p, 1), 1);
}

static void test_repeated_requests_are_done_once(void **state)
{
    struct parties *p = *state;
    static const uint8_t ops[] = {SYNC_LOCK, SYNC_UNLOCK, SYNC_SEM_POST, SYNC_FETCH_ADD};

    for (uint32_t i = 0; i < sizeof(ops); i++) {
        uint64_t number = parties_start(p, 1, 1, ops[i], 64, 1, -1);

        cluster_duplicate(p->cluster, 1, 0);
        cluster_duplicate(p->cluster, 1, 0);
        cluster_duplicate(p->cluster, 0, 1);
        cluster_run(p->cluster);
        assert_int_equal(parties_error(p, 1, number), 0);
    }
    assert_int_equal(parties_value(p, 2, parties_do(p, 2, 1, SYNC_SEM_VALUE, 0, 0, -1)), 2);
    assert_int_equal(parties_value(p, 2, parties_do(p, 2, 1, SYNC_FETCH_ADD, 64, 0, -1)), 1);
    assert_int_equal(parties_error(p, 2, parties_do(p, 2, 1, SYNC_LOCK, 64, 0, 0)), 0);
}

static void test_call_that_waits_long_is_asked_for_once_and_acknowledged(void **state)
{
    struct parties *p = *state;
    uint64_t holder = parties_do(p, 2, 1, SYNC_LOCK, 64, 0, -1), waiter;

    waiter = parties_do(p, 1, 1, SYNC_LOCK, 64, 0, -1);
    cluster_take_log(p->cluster);
    cluster_advance(p->cluster, 1000);
    assert_string_equal(cluster_take_log(p->cluster), "1>0 SYNC\n0>1 SYNC_REPLY\n");
    cluster_advance(p->cluster, 60000); /* the home remembers it: no need to ask again */
    assert_string_equal(cluster_take_log(p->cluster), "");
    assert_int_equal(parties_error(p, 2, holder), 0);
    parties_do(p, 2, 1, SYNC_UNLOCK, 64, 0, -1);
    assert_int_equal(parties_error(p, 1, waiter), 0);
    assert_string_equal(cluster_take_log(p->cluster), "2>0 SYNC\n0>1 SYNC_REPLY\n"
                                                      "0>2 SYNC_REPLY\n1>0 SYNC_ACK\n");
    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 1, SYNC_UNLOCK, 64, 0, -1)), 0);
    parties_do(p, 1, 1, SYNC_SEM_VALUE, 0, 0, -1);
    assert_int_equal(count_entries(p, 1), 1);
}

static void test_outcome_of_a_queued_call_that_is_lost_comes_with_the_link(void **state)
{
    struct parties *p = *state;
    uint64_t waiter;

    parties_do(p, 2, 1, SYNC_SEM_WAIT, 0, 0, -1);
    waiter = parties_do(p, 1, 1, SYNC_SEM_WAIT, 0, 0, -1);
    cluster_advance(p->cluster, 1000);
    p->cluster->is_held[0][1] = true;
    parties_do(p, 2, 1, SYNC_SEM_POST, 0, 0, -1);
    assert_true(cluster_lose(p->cluster, 0, 1));
    p->cluster->is_held[0][1] = false;
    cluster_advance(p->cluster, 500);
    assert_int_equal(parties_error(p, 1, waiter), WAITS);
    cluster_peer_up(p->cluster, 1, 0);
    cluster_run(p->cluster);
    assert_int_equal(parties_error(p, 1, waiter), 0);
    assert_int_equal(count_entries(p, 1), 0); /* acknowledged */
}

/* The news that it is queued is lost; it acknowledges the outcome all the same. */
static void test_outcome_after_a_lost_queued_is_acknowledged(void **state)
{
    struct parties *p = *state;
    uint64_t waiter;

    parties_do(p, 2, 1, SYNC_SEM_WAIT, 0, 0, -1);
    waiter = parties_do(p, 1, 1, SYNC_SEM_WAIT, 0, 0, -1);
    p->cluster->is_held[0][1] = true;
    cluster_advance(p->cluster, 1000);
    assert_true(cluster_lose(p->cluster, 0, 1)); /* SYNC_REPLY, queued */
    p->cluster->is_held[0][1] = false;
    parties_do(p, 2, 1, SYNC_SEM_POST, 0, 0, -1);
    assert_int_equal(parties_error(p, 1, waiter), 0);
    assert_int_equal(count_entries(p, 1), 0);
}

static void test_lost_acknowledgement_is_given_again_when_the_link_is_back(void **state)
{
    struct parties *p = *state;

    parties_do(p, 2, 1, SYNC_SEM_WAIT, 0, 0, -1);
    parties_do(p, 1, 1, SYNC_SEM_WAIT, 0, 0, -1);
    cluster_advance(p->cluster, 1000);
    p->cluster->is_held[1][0] = true;
    parties_do(p, 2, 1, SYNC_SEM_POST, 0, 0, -1);
    assert_true(cluster_lose(p->cluster, 1, 0)); /* SYNC_ACK */
    p->cluster->is_held[1][0] = false;
    assert_int_equal(count_entries(p, 1), 1);
    cluster_peer_up(p->cluster, 0, 1);
    cluster_run(p->cluster);
    assert_int_equal(count_entries(p, 1), 0);
}

/*
 * When the epoch changes at the home first, the acknowledgement is of an old epoch and the outcome
 * that the home repeats is of a younger one than the requester knows: both are dropped.
 */
static void test_lost_acknowledgement_is_asked_for_again_in_time(void **state)
{
    struct parties *p = *state;

    parties_do(p, 2, 1, SYNC_SEM_WAIT, 0, 0, -1);
    parties_do(p, 1, 1, SYNC_SEM_WAIT, 0, 0, -1);
    cluster_advance(p->cluster, 1000);
    p->cluster->is_held[1][0] = true;
    parties_do(p, 2, 1, SYNC_SEM_POST, 0, 0, -1);
    assert_true(cluster_lose(p->cluster, 1, 0)); /* SYNC_ACK */
    p->cluster->is_held[1][0] = false;
    cluster_take_log(p->cluster);
    cluster_advance(p->cluster, 999);
    assert_int_equal(count_entries(p, 1), 1);
    cluster_advance(p->cluster, 1);
    assert_string_equal(cluster_take_log(p->cluster), "0>1 SYNC_REPLY\n1>0 SYNC_ACK\n");
    assert_int_equal(count_entries(p, 1), 0);
    cluster_advance(p->cluster, 10000); /* and once only */
    assert_string_equal(cluster_take_log(p->cluster), "");
}

static void test_cancellation_of_a_request_that_was_lost_is_told_and_forgotten(void **state)
{
    struct parties *p = *state;
    uint64_t waiter;

    parties_do(p, 2, 1, SYNC_LOCK, 64, 0, -1);
    waiter = parties_start(p, 1, 1, SYNC_LOCK, 64, 0, 300);
    assert_true(cluster_lose(p->cluster, 1, 0));
    cluster_advance(p->cluster, 300);
    assert_int_equal(parties_error(p, 1, waiter), DSM_ETIMEDOUT);
    assert_int_equal(count_entries(p, 1), 0);
}

static void test_cancellation_that_comes_twice_leaves_nothing_behind(void **state)
{
    struct parties *p = *state;
    uint64_t waiter;

    parties_do(p, 2, 1, SYNC_LOCK, 64, 0, -1);
    waiter = parties_do(p, 1, 1, SYNC_LOCK, 64, 0, 300);
    p->cluster->is_held[1][0] = true;
    cluster_advance(p->cluster, 300);
    cluster_duplicate(p->cluster, 1, 0);
    while (cluster_deliver(p->cluster, 0, 1)) {
    }
    p->cluster->is_held[1][0] = false;
    cluster_run(p->cluster);
    assert_int_equal(parties_error(p, 1, waiter), DSM_ETIMEDOUT);
    assert_int_equal(count_entries(p, 1), 0);
}

static void test_late_and_foreign_replies_change_nothing(void **state)
{
    struct parties *p = *state;
    struct message reply = {.kind = MESSAGE_SYNC_REPLY, .from = 3, .request = NODES_MAX};
    struct event event = {.kind = EVENT_MESSAGE, .now_ms = p->cluster->now_ms};
    struct actions *actions = calloc(1, sizeof(*actions));
    struct node *node = p->cluster->nodes[1].node;
    uint64_t waiter;

    parties_do(p, 2, 1, SYNC_LOCK, 64, 0, -1);
    waiter = parties_do(p, 1, 1, SYNC_LOCK, 64, 0, -1);
    reply.request = list_object(node->context.timers.next, struct outstanding, timer_place)->id;
    event.message.message = &reply;
    node_step(node, &event, actions); /* node 3 is not its home */
    assert_int_equal(actions->count, 0);
    assert_int_equal(parties_error(p, 1, waiter), WAITS);
    parties_do(p, 2, 1, SYNC_UNLOCK, 64, 0, -1);
    reply.from = 0;
    reply.error = DSM_EDOWN;
    node_step(node, &event, actions); /* it is held by now: the acknowledgement was lost, perhaps */
    assert_int_equal(actions->count, 1);
    assert_int_equal(actions->list[0].message.kind, MESSAGE_SYNC_ACK);
    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 1, SYNC_UNLOCK, 64, 0, -1)), 0);
    free(actions);
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_lock_of_a_dead_program_goes_on_as_ownerdead),
        FIXTURE(test_dead_holder_is_told_of_also_to_who_comes_later),
        FIXTURE(test_waiter_that_dies_is_passed_over),
        FIXTURE(test_lock_granted_to_a_program_that_is_gone_is_given_back),
        FIXTURE(test_post_granted_to_a_program_that_is_gone_is_posted_again),
        FIXTURE(test_party_that_dies_is_not_counted),
        FIXTURE(test_what_a_program_had_asked_for_is_done_though_it_is_gone),
        FIXTURE(test_call_of_a_dying_program_is_not_answered),
        FIXTURE(test_what_a_dead_node_held_or_waited_for_is_let_go),
        FIXTURE(test_home_that_dies_ends_every_call_with_its_name),
        FIXTURE(test_every_operation_is_done_once_when_its_outcome_is_lost),
        FIXTURE(test_repeated_requests_are_done_once),
        FIXTURE(test_call_that_waits_long_is_asked_for_once_and_acknowledged),
        FIXTURE(test_outcome_of_a_queued_call_that_is_lost_comes_with_the_link),
        FIXTURE(test_outcome_after_a_lost_queued_is_acknowledged),
        FIXTURE(test_lost_acknowledgement_is_given_again_when_the_link_is_back),
        FIXTURE(test_lost_acknowledgement_is_asked_for_again_in_time),
        FIXTURE(test_cancellation_of_a_request_that_was_lost_is_told_and_forgotten),
        FIXTURE(test_cancellation_that_comes_twice_leaves_nothing_behind),
        FIXTURE(test_late_and_foreign_replies_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
