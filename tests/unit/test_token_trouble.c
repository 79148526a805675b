/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutexes that stay with a node: what is late or wrong about them, from other nodes and from the
 * driver, and what becomes of programs that die while a step has much to do. One core alone; the
 * others are played.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dsm/core/call.h"
#include "dsm/core/token_word.h"
#include "tests/sim/solo_home.h"

#define WAITS 1 /* solo_error() of a call that is not answered */
#define AT 64u  /* the mutex */
#define CLIENTS 6u
/** Nobody has a word who has this number or one after it. */
#define WORDLESS (UINT32_C(1) << TOKEN_CLIENT_BITS)

/** A node and programs of it, with two regions of one home. */
struct place {
    struct solo *solo;
    struct record regions[2];
    uint64_t handle[2][CLIENTS]; /* by region and program; the last one is WORDLESS */
};

static client_id client_of(uint32_t i)
{
    return i == CLIENTS - 1 ? WORDLESS : i + 1;
}

static struct place *place_new(uint32_t self, uint32_t home)
{
    struct place *place = calloc(1, sizeof(*place));
    struct node_config config = {.resend_ms = 100};

    place->solo = solo_new(self, 4, &config);
    for (uint32_t r = 0; r < 2; r++) {
        place->regions[r] = solo_region(5 + r, 600, home);
        solo_record(place->solo, &place->regions[r]);
        for (uint32_t i = 0; i < CLIENTS; i++) {
            (void)solo_map(place->solo, client_of(i), &place->regions[r], &place->handle[r][i]);
        }
    }
    solo_forget(place->solo);
    return place;
}

/* Node 1, the mutexes' home is node 0. */
static int set_up(void **state)
{
    *state = place_new(1, 0);
    return 0;
}

/* Node 0, the home. */
static int set_up_home(void **state)
{
    *state = place_new(0, 0);
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    solo_free(place->solo);
    free(place);
    return 0;
}

static struct call sync_call(const struct place *place, uint32_t r, uint32_t i, uint32_t op,
                             uint64_t offset)
{
    struct call call = {.kind = CALL_SYNC,
                        .op = (uint8_t)op,
                        .handle = place->handle[r][i],
                        .offset = offset,
                        .timeout_ms = -1};

    return call;
}

static uint64_t sync(struct place *place, uint32_t r, uint32_t i, uint32_t op, uint64_t offset)
{
    struct call call = sync_call(place, r, i, op, offset);

    return solo_call(place->solo, client_of(i), &call);
}

/* The home's answer to the newest LOCK. */
static struct message grant_of(const struct place *place)
{
    const struct message *lock = NULL;
    struct message grant = {.kind = MESSAGE_SYNC_REPLY, .from = 0, .to = 1};

    for (uint32_t i = 0; solo_sent(place->solo, MESSAGE_SYNC, i) != NULL; i++) {
        lock = solo_sent(place->solo, MESSAGE_SYNC, i);
    }
    assert_non_null(lock);
    assert_int_equal(lock->op, SYNC_LOCK);
    grant.epoch = lock->epoch;
    grant.region = lock->region;
    grant.request = lock->request;
    return grant;
}

/* A program has a mutex from the home; the LOCK's number. */
static uint64_t have(struct place *place, uint32_t r, uint32_t i, uint64_t offset)
{
    uint64_t number = sync(place, r, i, SYNC_LOCK, offset);
    struct message grant = grant_of(place);

    solo_message(place->solo, &grant, 0);
    assert_int_equal(solo_error(place->solo, number), 0);
    return grant.request;
}

static struct message recall_of(const struct place *place, uint64_t request)
{
    struct message recall = {.kind = MESSAGE_RECALL, .from = 0, .to = 1, .request = request};

    recall.epoch = node_epoch(place->solo->node);
    recall.region = place->regions[0].id;
    recall.offset = AT;
    return recall;
}

static void share(struct place *place, uint32_t r, uint32_t i)
{
    struct call call = {.kind = CALL_TOKENS, .handle = place->handle[r][i]};

    assert_int_equal(solo_do(place->solo, client_of(i), &call), 0);
}

/* How many actions about words there were since solo_forget(), of this verb. */
static uint32_t count_words(const struct place *place, uint32_t verb)
{
    uint32_t count = 0;

    for (uint32_t i = 0; solo_action(place->solo, ACTION_TOKEN, i) != NULL; i++) {
        count += solo_action(place->solo, ACTION_TOKEN, i)->token.verb == verb;
    }
    return count;
}

/* --- a node that has mutexes --- */

static void test_mutex_that_is_granted_twice_has_one_holder(void **state)
{
    struct place *place = *state;
    struct message recall = recall_of(place, have(place, 0, 0, AT)), grant;
    uint64_t second;

    solo_message(place->solo, &recall, 0);
    assert_non_null(solo_sent(place->solo, MESSAGE_HELD, 0));
    second = sync(place, 0, 1, SYNC_LOCK, AT); /* behind those whom the home knows of */
    grant = grant_of(place);
    solo_message(place->solo, &grant, 0);
    assert_int_equal(solo_error(place->solo, second), DSM_EPROTO);
    assert_int_equal(solo_error(place->solo, sync(place, 0, 0, SYNC_UNLOCK, AT)), 0);
}

static void test_recall_that_fits_no_mutex_changes_nothing(void **state)
{
    struct place *place = *state;
    struct message recall = recall_of(place, have(place, 0, 0, AT)), wrong;

    for (uint32_t i = 0; i < 4; i++) {
        wrong = recall;
        wrong.region.generation += i == 0;
        wrong.offset += i == 1;
        wrong.request += i == 2 ? NODES_MAX : 0;
        wrong.from = i == 3 ? 2 : 0; /* not its home */
        solo_message(place->solo, &wrong, 0);
        assert_null(solo_sent(place->solo, MESSAGE_HELD, 0));
    }
    solo_message(place->solo, &recall, 0);
    assert_non_null(solo_sent(place->solo, MESSAGE_HELD, 0));
}

/* What the driver tells about a word is heard only when that word was asked for. */
static void test_word_that_was_not_asked_for_is_not_believed(void **state)
{
    struct place *place = *state;
    struct event taken = {.kind = EVENT_TOKEN};
    uint64_t waiter;

    share(place, 0, 0);
    taken.token.region = place->regions[0].id;
    taken.token.offset = AT;
    taken.token.request = have(place, 0, 0, AT);
    solo_step(place->solo, &taken); /* nobody asked */
    waiter = sync(place, 0, 1, SYNC_LOCK, AT);
    assert_int_equal(count_words(place, TOKEN_TAKE), 1);
    taken.token.request += NODES_MAX; /* of a time when it was here before */
    solo_step(place->solo, &taken);
    taken.token.request -= NODES_MAX;
    assert_int_equal(solo_error(place->solo, waiter), WAITS);
    solo_step(place->solo, &taken);
    assert_int_equal(solo_error(place->solo, waiter), 0);
}

/* The least offset from `from` on in the list of this slot, of a word in it or in another one. */
static uint64_t offset_in(uint64_t from, uint32_t slot, bool same)
{
    while (token_word_slot(from) % TOKEN_BUCKETS != slot % TOKEN_BUCKETS ||
           (token_word_slot(from) == slot % TOKEN_SLOTS) != same) {
        from++;
    }
    return from;
}

/* Only a mutex of the same region and slot is in the way, and only when it has a word. */
static void test_words_are_in_nobodys_way_but_in_one_slot(void **state)
{
    struct place *place = *state;
    uint32_t slot = token_word_slot(AT);

    for (uint32_t r = 0; r < 2; r++) {
        share(place, r, 0);
    }
    (void)have(place, 0, CLIENTS - 1, AT); /* by a program that can have none */
    assert_int_equal(count_words(place, TOKEN_PUT), 0);
    (void)have(place, 0, 0, offset_in(AT + 1, slot, true));
    assert_int_equal(count_words(place, TOKEN_PUT), 1);
    (void)have(place, 0, 0, offset_in(AT + 1, slot, false));
    assert_int_equal(count_words(place, TOKEN_PUT), 2);
    /* A region's list of a slot begins 31 after that of the region before. */
    (void)have(place, 1, 0, offset_in(0, slot + TOKEN_SLOTS - 31, true));
    assert_int_equal(count_words(place, TOKEN_PUT), 3);
}

/* --- programs that die --- */

static void gone_once(struct place *place, uint32_t i)
{
    struct event event = {.kind = EVENT_CLIENT_GONE, .client_gone = client_of(i)};

    solo_step_once(place->solo, &event);
}

/*
 * A holder of many mutexes dies, then who waits for them, before all of that is worked off: the
 * next one gets them all, and is told. `before` more that nobody waits for move the place at which
 * a step ends.
 */
static void kill_in_a_row(struct place *place, uint64_t first, uint32_t before)
{
    uint32_t count = 20 + before;
    uint64_t last[32];

    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(solo_error(place->solo, sync(place, 0, 0, SYNC_LOCK, first + 8 * i)), 0);
    }
    for (uint32_t i = before; i < count; i++) {
        (void)sync(place, 0, 1, SYNC_LOCK, first + 8 * i);
    }
    gone_once(place, 0);
    gone_once(place, 1);
    for (uint32_t i = 0; i < count; i++) {
        struct call call = sync_call(place, 0, 2, SYNC_LOCK, first + 8 * i);
        struct event event = {.kind = EVENT_CALL};

        event.call.client = client_of(2);
        event.call.number = last[i] = ++place->solo->next_call;
        event.call.call = &call;
        solo_step_once(place->solo, &event);
    }
    solo_advance(place->solo, 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(solo_error(place->solo, last[i]), DSM_EOWNERDEAD);
    }
}

static void test_who_dies_waiting_gets_nothing_0(void **state)
{
    kill_in_a_row(*state, AT, 0);
}

static void test_who_dies_waiting_gets_nothing_1(void **state)
{
    kill_in_a_row(*state, AT, 1);
}

static void test_who_dies_waiting_gets_nothing_2(void **state)
{
    kill_in_a_row(*state, AT, 2);
}

/* --- a home --- */

static void say(struct place *place, uint32_t from, uint64_t number, uint32_t op, uint64_t value)
{
    struct message message = solo_home_message(place->solo, MESSAGE_SYNC, from, number, 0, 0);
    struct event event = {.kind = EVENT_MESSAGE};

    message.op = (uint8_t)op;
    message.offset = op == SYNC_BARRIER ? 8 * AT : AT;
    message.value = op == SYNC_BARRIER ? value : 0;
    message.operand = op == SYNC_LOCK ? value : 0;
    event.message.message = &message;
    solo_step_once(place->solo, &event);
}

/* The answer to a node's LOCK, WAITS for none. */
static int32_t answer(const struct place *place, uint64_t number)
{
    const struct message *reply;

    for (uint32_t i = 0; (reply = solo_sent(place->solo, MESSAGE_SYNC_REPLY, i)) != NULL; i++) {
        if (reply->request == number * NODES_MAX && (reply->flags & FLAG_QUEUED) == 0) {
            return reply->error;
        }
    }
    return WAITS;
}

/* While the grant is still to leave, for many others leave before it, the holder is not asked. */
static void test_holder_whose_grant_has_not_left_is_told_with_it(void **state)
{
    struct place *place = *state;
    const struct message *reply;

    for (uint32_t i = 1; i <= 100; i++) {
        say(place, 1, i, SYNC_BARRIER, 100);
    }
    say(place, 2, 201, SYNC_LOCK, 0);
    say(place, 3, 202, SYNC_LOCK, 1); /* only tries */
    say(place, 3, 203, SYNC_LOCK, 0);
    assert_int_equal(answer(place, 201), WAITS);
    solo_advance(place->solo, 0);
    assert_null(solo_sent(place->solo, MESSAGE_RECALL, 0));
    assert_int_equal(answer(place, 201), 0);
    assert_int_equal(answer(place, 202), DSM_EAGAIN);
    assert_int_equal(answer(place, 203), WAITS);
    for (uint32_t i = 0; (reply = solo_sent(place->solo, MESSAGE_SYNC_REPLY, i)) != NULL; i++) {
        if (reply->request == 201 * NODES_MAX) {
            assert_int_not_equal(reply->flags & FLAG_WANTED, 0);
        }
    }
}

/* Only the holder's word counts: who tries is not refused because somebody else says HELD. */
static void test_held_of_who_waits_changes_nothing(void **state)
{
    struct place *place = *state;

    say(place, 2, 1, SYNC_LOCK, 0);
    say(place, 3, 2, SYNC_LOCK, 1);
    assert_non_null(solo_sent(place->solo, MESSAGE_RECALL, 0));
    solo_home_say(place->solo, MESSAGE_HELD, 3, 2, 0, 0);
    assert_int_equal(answer(place, 2), WAITS);
    solo_home_say(place->solo, MESSAGE_HELD, 2, 1, 0, 0);
    assert_int_equal(answer(place, 2), DSM_EAGAIN);
}

#define NODE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define HOME(test) cmocka_unit_test_setup_teardown(test, set_up_home, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE(test_mutex_that_is_granted_twice_has_one_holder),
        NODE(test_recall_that_fits_no_mutex_changes_nothing),
        NODE(test_word_that_was_not_asked_for_is_not_believed),
        NODE(test_words_are_in_nobodys_way_but_in_one_slot),
        HOME(test_who_dies_waiting_gets_nothing_0),
        HOME(test_who_dies_waiting_gets_nothing_1),
        HOME(test_who_dies_waiting_gets_nothing_2),
        HOME(test_holder_whose_grant_has_not_left_is_told_with_it),
        HOME(test_held_of_who_waits_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
