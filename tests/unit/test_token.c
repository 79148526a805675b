/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutexes that stay with a node: what is said about them between nodes, what programs do by words
 * alone, and what becomes of them when others want them, programs or homes die.
 */
#include "dsm/core/node_parts.h"
#include "net/token_table.h"
#include "tests/sim/parties.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WAITS 1 /* parties_error() of a call that is not answered */
#define AT 64u  /* the mutex */
#define AREA 0u /* index of the region */

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

static uint64_t lock(struct parties *p, uint32_t node, client_id client)
{
    return parties_do(p, node, client, SYNC_LOCK, AT, 0, -1);
}

static int32_t unlock(struct parties *p, uint32_t node, client_id client)
{
    return parties_error(p, node, parties_do(p, node, client, SYNC_UNLOCK, AT, 0, -1));
}

static void lock_now(struct parties *p, uint32_t node, client_id client)
{
    assert_int_equal(parties_error(p, node, lock(p, node, client)), 0);
}

/* Both programs of a node have the words of the region's mutexes from now on. */
static void share(struct parties *p, uint32_t node)
{
    for (client_id client = 1; client <= 2; client++) {
        struct call call = {.kind = CALL_TOKENS, .handle = p->region[node][client]};
        struct reply reply = cluster_call(p->cluster, node, client, &call);

        assert_int_equal(reply.error, 0);
        assert_int_equal(reply.value, client);
    }
}

static bool word_lock(struct parties *p, uint32_t node, client_id client)
{
    return cluster_token_lock(p->cluster, node, AREA, AT, client);
}

static bool word_unlock(struct parties *p, uint32_t node, client_id client)
{
    return cluster_token_unlock(p->cluster, node, AREA, AT, client);
}

/* --- between nodes --- */

static void test_mutex_that_nobody_else_wants_costs_no_message(void **state)
{
    struct parties *p = *state;

    lock_now(p, 1, 1);
    assert_string_equal(cluster_take_log(p->cluster), "1>0 SYNC\n0>1 SYNC_REPLY\n");
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(unlock(p, 1, 1 + i % 2), 0);
        lock_now(p, 1, 1 + (i + 1) % 2);
    }
    assert_string_equal(cluster_take_log(p->cluster), "");
}

static void test_free_mutex_is_recalled(void **state)
{
    struct parties *p = *state;

    lock_now(p, 1, 1);
    assert_int_equal(unlock(p, 1, 1), 0);
    cluster_take_log(p->cluster);
    lock_now(p, 2, 1);
    assert_string_equal(cluster_take_log(p->cluster),
                        "2>0 SYNC\n0>1 RECALL\n1>0 SYNC\n0>2 SYNC_REPLY\n0>1 SYNC_REPLY\n");
}

static void test_held_mutex_goes_back_when_it_is_given_up(void **state)
{
    struct parties *p = *state;
    uint64_t waiter;

    lock_now(p, 1, 1);
    cluster_take_log(p->cluster);
    waiter = lock(p, 2, 1);
    assert_string_equal(cluster_take_log(p->cluster), "2>0 SYNC\n0>1 RECALL\n1>0 HELD\n");
    assert_int_equal(parties_error(p, 2, waiter), WAITS);
    assert_int_equal(unlock(p, 1, 1), 0);
    assert_int_equal(parties_error(p, 2, waiter), 0);
    assert_string_equal(cluster_take_log(p->cluster),
                        "1>0 SYNC\n0>2 SYNC_REPLY\n0>1 SYNC_REPLY\n");
}

/* Two nodes in turns: each hand-off is LOCK, UNLOCK, its answer and the grant, and no RECALL. */
static void test_grant_says_that_others_wait(void **state)
{
    struct parties *p = *state;
    uint64_t waiter[2];
    uint32_t turn = 0;

    lock_now(p, 1, 1);
    waiter[1] = lock(p, 2, 1);
    for (uint32_t i = 0; i < 6; i++, turn ^= 1) {
        if (i == 4) {
            cluster_take_log(p->cluster);
        }
        parties_start(p, 1 + turn, 1, SYNC_UNLOCK, AT, 0, -1);
        waiter[turn] = parties_start(p, 1 + turn, 1, SYNC_LOCK, AT, 0, -1);
        cluster_run(p->cluster);
        assert_int_equal(parties_error(p, 2 - turn, waiter[turn ^ 1]), 0);
    }
    assert_null(strstr(cluster_take_log(p->cluster), "RECALL"));
}

static void test_recall_that_is_lost_is_sent_again(void **state)
{
    struct parties *p = *state;
    uint64_t waiter;

    lock_now(p, 1, 1);
    assert_int_equal(unlock(p, 1, 1), 0);
    p->cluster->is_held[0][1] = true;
    waiter = lock(p, 2, 1);
    assert_true(cluster_lose(p->cluster, 0, 1));
    p->cluster->is_held[0][1] = false;
    cluster_advance(p->cluster, 999);
    assert_int_equal(parties_error(p, 2, waiter), WAITS);
    cluster_advance(p->cluster, 1);
    assert_int_equal(parties_error(p, 2, waiter), 0);
}

static void test_who_tries_gets_what_no_program_holds(void **state)
{
    struct parties *p = *state;
    uint64_t try;

    lock_now(p, 1, 1);
    assert_int_equal(unlock(p, 1, 1), 0);
    try = parties_do(p, 2, 1, SYNC_LOCK, AT, 0, 0);
    assert_int_equal(parties_error(p, 2, try), 0);
    try = parties_do(p, 1, 1, SYNC_LOCK, AT, 0, 0);
    assert_int_equal(parties_error(p, 1, try), DSM_EAGAIN);
    try = parties_do(p, 2, 2, SYNC_LOCK, AT, 0, 0); /* on the holder's node */
    assert_int_equal(parties_error(p, 2, try), DSM_EAGAIN);
    assert_int_equal(unlock(p, 2, 1), 0);
    lock_now(p, 1, 1);
}

static void test_who_waited_here_before_a_recall_is_served_before(void **state)
{
    struct parties *p = *state;
    uint64_t before, other, after;

    lock_now(p, 1, 1);
    before = lock(p, 1, 2);
    other = lock(p, 2, 1);
    assert_int_equal(unlock(p, 1, 1), 0);
    assert_int_equal(parties_error(p, 1, before), 0);
    after = lock(p, 1, 1); /* after the recall: behind the other node */
    assert_int_equal(unlock(p, 1, 2), 0);
    assert_int_equal(parties_error(p, 1, after), WAITS);
    assert_int_equal(parties_error(p, 2, other), 0);
    assert_int_equal(unlock(p, 2, 1), 0);
    assert_int_equal(parties_error(p, 1, after), 0);
}

static void test_mutexes_go_back_with_the_last_program(void **state)
{
    struct parties *p = *state;
    struct call close = {.kind = CALL_CLOSE};

    lock_now(p, 3, 1);
    assert_int_equal(unlock(p, 3, 1), 0);
    cluster_client_gone(p->cluster, 3, 1);
    cluster_run(p->cluster);
    assert_int_equal(p->cluster->nodes[3].node->calls.count_tokens, 1);
    close.handle = p->region[3][2];
    cluster_call(p->cluster, 3, 2, &close);
    cluster_run(p->cluster);
    assert_int_equal(p->cluster->nodes[3].node->calls.count_tokens, 0);
    cluster_kill(p->cluster, 3);
    cluster_declare_dead(p->cluster, 3);
    lock_now(p, 1, 1); /* the death cost nobody anything: no DSM_EOWNERDEAD */
}

static void test_mutexes_that_are_kept_are_bounded(void **state)
{
    struct parties *p = *state;
    const struct calls *calls = &p->cluster->nodes[1].node->calls;

    for (uint64_t i = 0; i < TOKENS_MAX + 10; i++) {
        parties_do(p, 1, 1, SYNC_LOCK, 8 * i, 0, -1);
        parties_do(p, 1, 1, SYNC_UNLOCK, 8 * i, 0, -1);
    }
    assert_int_equal(calls->count_tokens, TOKENS_MAX);
}

/* --- words --- */

static void test_programs_lock_and_unlock_by_words(void **state)
{
    struct parties *p = *state;

    share(p, 1);
    assert_false(word_lock(p, 1, 1));
    lock_now(p, 1, 1);
    assert_false(word_lock(p, 1, 2));
    assert_false(word_unlock(p, 1, 2));
    assert_true(word_unlock(p, 1, 1));
    assert_true(word_lock(p, 1, 2));
    assert_false(word_lock(p, 1, 1));
    assert_int_equal(unlock(p, 1, 1), DSM_EPERM); /* by a call: whose it is is asked first */
    assert_true(word_unlock(p, 1, 2));
    assert_int_equal(unlock(p, 1, 2), DSM_EPERM);
    assert_true(word_lock(p, 1, 1));
}

static void test_word_of_who_is_waited_for_says_so(void **state)
{
    struct parties *p = *state;
    uint64_t other, here;

    share(p, 1);
    lock_now(p, 1, 1);
    assert_true(word_unlock(p, 1, 1));
    assert_true(word_lock(p, 1, 2));
    here = lock(p, 1, 1);
    other = lock(p, 2, 1);
    assert_false(word_unlock(p, 1, 2));
    assert_int_equal(unlock(p, 1, 2), 0);
    assert_int_equal(parties_error(p, 1, here), 0);
    assert_false(word_unlock(p, 1, 1));
    assert_int_equal(unlock(p, 1, 1), 0);
    assert_int_equal(parties_error(p, 2, other), 0);
    assert_false(word_lock(p, 1, 1)); /* it has gone with the mutex */
}

static void test_dead_holder_by_a_word_is_told_here_and_elsewhere(void **state)
{
    struct parties *p = *state;

    share(p, 1);
    lock_now(p, 1, 1);
    assert_true(word_unlock(p, 1, 1));
    assert_true(word_lock(p, 1, 1));
    cluster_client_gone(p->cluster, 1, 1);
    assert_int_equal(parties_error(p, 1, lock(p, 1, 2)), DSM_EOWNERDEAD);
    assert_true(word_unlock(p, 1, 2));
    assert_true(word_lock(p, 1, 2));
    cluster_client_gone(p->cluster, 1, 2);
    cluster_run(p->cluster);
    assert_int_equal(parties_error(p, 2, lock(p, 2, 1)), DSM_EOWNERDEAD);
}

static void test_words_go_with_the_home(void **state)
{
    struct parties *p = *state;
    uint64_t try;

    share(p, 1);
    lock_now(p, 1, 1);
    assert_true(word_unlock(p, 1, 1));
    cluster_kill(p->cluster, 0);
    assert_true(word_lock(p, 1, 1)); /* nobody knows yet */
    assert_true(word_unlock(p, 1, 1));
    cluster_declare_dead(p->cluster, 0);
    cluster_run(p->cluster);
    assert_false(word_lock(p, 1, 1));
    try = lock(p, 1, 1);
    assert_int_equal(parties_error(p, 1, try), DSM_EDOWN);
    assert_int_equal(p->cluster->nodes[1].node->calls.count_tokens, 0);
}

static void test_mutexes_with_one_slot_share_it_in_turns(void **state)
{
    struct parties *p = *state;
    uint64_t other = AT + 1;

    while (token_word_slot(other) != token_word_slot(AT)) {
        other++;
    }
    assert_true(other < 16 * CLUSTER_PAGE_BYTES);
    share(p, 1);
    lock_now(p, 1, 1);
    parties_do(p, 1, 1, SYNC_LOCK, other, 0, -1);
    parties_do(p, 1, 1, SYNC_UNLOCK, other, 0, -1);
    assert_false(cluster_token_lock(p->cluster, 1, AREA, other, 1));
    assert_true(word_unlock(p, 1, 1));
    lock_now(p, 2, 1); /* takes the word away */
    parties_do(p, 1, 1, SYNC_LOCK, other, 0, -1);
    assert_true(cluster_token_unlock(p->cluster, 1, AREA, other, 1));
    assert_true(cluster_token_lock(p->cluster, 1, AREA, other, 2));
}

static void test_what_a_program_writes_there_ends_nothing_else(void **state)
{
    struct parties *p = *state;
    static const uint64_t spoilt[] = {0, 1, 7, UINT64_MAX, UINT64_C(0x5555555555555555)};
    uint64_t next;

    share(p, 1);
    for (uint64_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
        uint64_t offset = AT + 8 + 8 * i;

        parties_do(p, 1, 1, SYNC_LOCK, offset, 0, -1);
        assert_true(cluster_token_unlock(p->cluster, 1, AREA, offset, 1));
        p->cluster->nodes[1].tokens[AREA]->words[token_word_slot(offset)] = spoilt[i];
        next = parties_do(p, 2, 1, SYNC_LOCK, offset, 0, -1);
        assert_int_equal(parties_error(p, 2, next), 0); /* nobody holds it that anybody knows of */
    }
    lock_now(p, 1, 1);
    p->cluster->nodes[1].tokens[AREA]->words[token_word_slot(AT)] =
        token_word(AT, 77, TOKEN_HELD); /* whom nobody knows */
    assert_int_equal(parties_error(p, 2, lock(p, 2, 1)), DSM_EOWNERDEAD);
}

static void test_words_are_for_who_may_write_to_a_region(void **state)
{
    struct parties *p = *state;
    struct call call = {.kind = CALL_TOKENS, .handle = p->sem[1][1]};
    struct call open = {.kind = CALL_OPEN, .object = RECORD_REGION, .name = "/r"};
    struct call empty = {.kind = CALL_OPEN,
                         .object = RECORD_REGION,
                         .oflag = CALL_OFLAG_CREATE | CALL_OFLAG_WRITE,
                         .mode = 0666,
                         .name = "/empty"};

    assert_int_equal(cluster_call(p->cluster, 1, 1, &call).error, DSM_EINVAL);
    call.handle = cluster_call(p->cluster, 1, 1, &empty).handle;
    assert_int_equal(cluster_call(p->cluster, 1, 1, &call).error, DSM_EINVAL);
    call.handle = cluster_call(p->cluster, 1, 1, &open).handle;
    assert_int_equal(cluster_call(p->cluster, 1, 1, &call).error, DSM_EACCES);
    call.handle = 999;
    assert_int_equal(cluster_call(p->cluster, 1, 1, &call).error, DSM_ESTALE);
}

static void test_offsets_and_clients_have_words_of_their_own(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 4096; i++) {
        uint64_t offset = i << (i % 36);

        assert_true(token_word_can(offset, 5));
        assert_int_equal(token_word_holder(offset, token_word(offset, 5, TOKEN_HELD)), 5);
        assert_int_equal(token_word_holder(offset, token_word(offset, 6, TOKEN_WANTED)), 6);
        assert_int_equal(token_word_holder(offset, token_word(offset, 0, TOKEN_FREE)), 0);
        assert_int_equal(token_word_holder(offset ^ 8, token_word(offset, 5, TOKEN_HELD)), 0);
    }
    assert_false(token_word_can(UINT64_C(1) << TOKEN_OFFSET_BITS, 5));
    assert_false(token_word_can(0, UINT32_C(1) << TOKEN_CLIENT_BITS));
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_mutex_that_nobody_else_wants_costs_no_message),
        FIXTURE(test_free_mutex_is_recalled),
        FIXTURE(test_held_mutex_goes_back_when_it_is_given_up),
        FIXTURE(test_grant_says_that_others_wait),
        FIXTURE(test_recall_that_is_lost_is_sent_again),
        FIXTURE(test_who_tries_gets_what_no_program_holds),
        FIXTURE(test_who_waited_here_before_a_recall_is_served_before),
        FIXTURE(test_mutexes_go_back_with_the_last_program),
        FIXTURE(test_mutexes_that_are_kept_are_bounded),
        FIXTURE(test_programs_lock_and_unlock_by_words),
        FIXTURE(test_word_of_who_is_waited_for_says_so),
        FIXTURE(test_dead_holder_by_a_word_is_told_here_and_elsewhere),
        FIXTURE(test_words_go_with_the_home),
        FIXTURE(test_mutexes_with_one_slot_share_it_in_turns),
        FIXTURE(test_what_a_program_writes_there_ends_nothing_else),
        FIXTURE(test_words_are_for_who_may_write_to_a_region),
        cmocka_unit_test(test_offsets_and_clients_have_words_of_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
