/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Defects that were found in the protocol, each as the shortest story that shows it, on one core
 * whose peers are played.
 */
#include "tests/sim/solo_home.h"
#include "tests/sim/solo_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/*
 * Threads that wrote to the first part of a long grant waited for ever when GRANT came before the
 * second part.
 */
static void test_writer_of_the_first_part_is_let_go_when_the_grant_comes_between(void **state)
{
    struct node_config config = {.read_ahead_pages = 256};
    struct solo_page *page = solo_page_new(&config);
    struct message data, grant;
    bool is_allowed = false;

    (void)state;
    for (uint64_t number = 0, count = 1; count < 256; number += count, count *= 4) {
        solo_forget(page->solo);
        solo_fault(page->solo, page->map, number, true);
        grant = solo_page_message(page, MESSAGE_GRANT, 0, number, (uint32_t)count, number + 1);
        grant.flags = FLAG_ZERO;
        solo_page_say(page, &grant);
    }
    solo_forget(page->solo);
    solo_fault(page->solo, page->map, 85, true);
    assert_int_equal(solo_sent(page->solo, MESSAGE_WRITE, 0)->count, 256);
    data = solo_page_message(page, MESSAGE_DATA, 2, 85, 64, 500);
    data.granted = 128;
    data.flags = FLAG_WRITE | FLAG_GRANT;
    solo_page_say(page, &data);
    solo_fault(page->solo, page->map, 90, true); /* it is here, write-protected */
    grant = solo_page_message(page, MESSAGE_GRANT, 0, 85, 128, 500);
    grant.flags = FLAG_WRITE;
    solo_page_say(page, &grant);
    data.page += 64;
    solo_page_say(page, &data);
    assert_non_null(solo_sent(page->solo, MESSAGE_CONFIRM, 0));
    for (uint32_t i = 0; solo_action(page->solo, ACTION_ALLOW, i) != NULL; i++) {
        is_allowed = is_allowed || solo_action(page->solo, ACTION_ALLOW, i)->page == 90;
    }
    assert_true(is_allowed);
    solo_page_free(page);
}

/*
 * A request that was refused came again, was granted, and its requester, which had given it up,
 * owned nothing.
 */
static void test_refused_request_is_not_granted_later(void **state)
{
    struct solo *solo = solo_home_new();
    struct record record = solo_region(SOLO_HOME_SLOT, 600, 0);

    (void)state;
    record.readers = record.writers = nodeset_of(2);
    solo_record(solo, &record);
    solo_home_say(solo, MESSAGE_WRITE, 1, 1, 3, 1);
    solo_advance(solo, 2000);
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 0)->error, DSM_EACCES);
    record.readers = record.writers = nodeset_below(NODES_MAX);
    solo_record(solo, &record);
    solo_home_say(solo, MESSAGE_WRITE, 1, 1, 3, 1);
    assert_null(solo_sent(solo, MESSAGE_GRANT, 0));
    assert_int_equal(solo_sent(solo, MESSAGE_LOST, 1)->error, DSM_EACCES);
    solo_home_say(solo, MESSAGE_WRITE, 1, 2, 3, 1);
    assert_non_null(solo_sent(solo, MESSAGE_GRANT, 0));
    solo_free(solo);
}

/*
 * A request that had been admitted was refused when it was sent again, because the node had closed
 * the region.
 */
static void test_admitted_request_is_not_refused_when_it_comes_again(void **state)
{
    struct solo *solo = solo_home_new();
    struct record record = solo_region(SOLO_HOME_SLOT, 600, 0);

    (void)state;
    solo_home_say(solo, MESSAGE_WRITE, 1, 1, 3, 1);
    record.readers = record.writers = nodeset_of(2);
    solo_record(solo, &record);
    solo_forget(solo);
    solo_home_say(solo, MESSAGE_WRITE, 1, 1, 3, 1);
    assert_non_null(solo_sent(solo, MESSAGE_GRANT, 0));
    solo_advance(solo, 3000);
    assert_null(solo_sent(solo, MESSAGE_LOST, 0));
    solo_free(solo);
}

/*
 * Who had let the first page of a range go was forgotten as a reader of all of it: its other copies
 * were not invalidated by the next writer, and read long after.
 */
static void test_reader_without_the_first_page_of_a_range_stays_a_reader_of_the_rest(void **state)
{
    struct node_config config = {.read_ahead_pages = 16};
    struct solo_page *page = solo_page_new(&config);
    struct message forward;
    struct solo *solo = solo_home_new();

    (void)state;
    solo_page_have(page, 8, false, 3);
    forward = solo_page_message(page, MESSAGE_FORWARD, 0, 6, 4, 9);
    forward.requester = 2;
    solo_page_say(page, &forward);
    assert_int_equal(solo_sent(page->solo, MESSAGE_NOT_HERE, 0)->page, 6);
    assert_int_equal(solo_sent(page->solo, MESSAGE_NOT_HERE, 0)->count, 2); /* 8 is here */
    solo_page_free(page);

    solo_home_has(solo, MESSAGE_WRITE, 1, 10);
    solo_home_has(solo, MESSAGE_WRITE, 1, 11);
    solo_home_say(solo, MESSAGE_READ, 2, 1, 10, 2);
    assert_int_equal(solo_sent(solo, MESSAGE_FORWARD, 0)->count, 2);
    solo_home_say_for(solo, MESSAGE_NOT_HERE, 1, 2, 1, 10); /* of the first */
    solo_home_say_for(solo, MESSAGE_NOT_HERE, 2, 2, 1, 10); /* what was sent before has not come */
    assert_true(solo_home_run(solo, 10).lost);
    assert_false(solo_home_run(solo, 11).lost);
    assert_true(nodeset_has(solo_home_run(solo, 11).readers, 1));
    solo_free(solo);
}

/*
 * A source that had sent pages and then let the first of them go was asked again: the home began
 * anew with that page alone, the others were free, and their reader was not known yet.
 */
static void test_requester_is_asked_before_a_range_is_begun_anew(void **state)
{
    struct solo *solo = solo_home_new();

    (void)state;
    for (uint64_t number = 10; number < 14; number++) {
        solo_home_has(solo, MESSAGE_WRITE, 1, number);
    }
    solo_home_say(solo, MESSAGE_READ, 2, 1, 10, 4);
    solo_home_say(solo, MESSAGE_WRITE, 3, 1, 12, 1); /* waits */
    solo_home_say_for(solo, MESSAGE_NOT_HERE, 1, 2, 1, 10);
    assert_int_equal(solo_sent(solo, MESSAGE_ASK, 0)->to, 2);
    assert_null(solo_sent(solo, MESSAGE_FORWARD, 1));  /* page 12 is not free */
    solo_home_say(solo, MESSAGE_CONFIRM, 2, 1, 10, 4); /* it has all, from the first FORWARD */
    assert_int_equal(solo_sent(solo, MESSAGE_INVALIDATE, 0)->to, 2);
    assert_int_equal(solo_sent(solo, MESSAGE_INVALIDATE, 0)->page, 12);
    solo_free(solo);
}

/*
 * A source that had sent pages and then let the last of them go sent the others again: who had got
 * all of them confirmed no more than that, and was not known as a reader of the last.
 */
static void test_source_without_the_end_of_a_range_sends_none_of_it(void **state)
{
    struct solo *solo = solo_home_new();

    (void)state;
    for (uint64_t number = 10; number < 14; number++) {
        solo_home_has(solo, MESSAGE_WRITE, 1, number);
    }
    solo_home_say(solo, MESSAGE_READ, 2, 1, 10, 4);
    solo_home_say_for(solo, MESSAGE_NOT_HERE, 1, 2, 1, 13); /* of the last alone */
    assert_int_equal(solo_sent(solo, MESSAGE_ASK, 0)->to, 2);
    assert_int_equal(solo_sent(solo, MESSAGE_ASK, 0)->count, 4);
    assert_true(nodeset_has(solo_home_run(solo, 12).readers, 1));
    assert_false(nodeset_has(solo_home_run(solo, 13).readers, 1));
    solo_home_say(solo, MESSAGE_CONFIRM, 2, 1, 10, 4);
    assert_true(nodeset_has(solo_home_run(solo, 13).readers, 2));
    assert_false(solo_home_run(solo, 13).lost);
    solo_free(solo);
}

/* What has come of a range goes, when the home is told that it is not here. */
static void test_requester_that_is_asked_drops_the_first_part(void **state)
{
    struct node_config config = {.read_ahead_pages = 256};
    struct solo_page *page = solo_page_new(&config);
    struct message data, ask;

    (void)state;
    for (uint64_t number = 0, count = 1; number < 21; number += count, count *= 4) {
        solo_page_have(page, number, false, number + 1);
    }
    solo_fault(page->solo, page->map, 21, false);
    ask = solo_page_message(page, MESSAGE_ASK, 0, 21, 64, 99);
    data = solo_page_message(page, MESSAGE_DATA, 2, 21, 16, 99);
    data.granted = 64;
    solo_page_say(page, &data);
    solo_forget(page->solo);
    solo_page_say(page, &ask);
    assert_int_equal(solo_action(page->solo, ACTION_DROP, 0)->page, 21);
    assert_int_equal(solo_action(page->solo, ACTION_DROP, 0)->count, 16);
    assert_non_null(solo_sent(page->solo, MESSAGE_NOT_HERE, 0));
    solo_page_free(page);
}

/* A requester died for which more runs of bytes were kept than a step has actions. */
static void test_death_of_who_was_given_a_thousand_pages_is_survived(void **state)
{
    struct node_config config = {.read_ahead_pages = 1};
    struct solo *solo = solo_new(1, 4, &config);
    struct record record = solo_region(5, 1200, 0);
    map_id map;

    (void)state;
    solo_record(solo, &record);
    map = solo_map(solo, 1, &record, NULL);
    for (uint64_t i = 0; i < 1200; i++) {
        struct message grant = {.kind = MESSAGE_GRANT, .flags = FLAG_ZERO, .region = record.id};
        struct message forward = {.kind = MESSAGE_FORWARD,
                                  .flags = FLAG_WRITE,
                                  .region = record.id};

        solo_forget(solo);
        solo_fault(solo, map, i, true);
        grant.request = solo_sent(solo, MESSAGE_WRITE, 0)->request;
        grant.page = forward.page = i;
        grant.count = grant.granted = forward.count = 1;
        grant.version = 2 * i + 1;
        solo_message(solo, &grant, 0);
        forward.requester = 2;
        forward.request = (i + 1) * NODES_MAX;
        forward.version = 2 * i + 2;
        solo_message(solo, &forward, 0);
        assert_non_null(solo_action(solo, ACTION_KEEP, 0));
    }
    solo_forget(solo);
    solo_member(solo, 2, 3, false, 1);
    assert_non_null(solo_action(solo, ACTION_FORGET, 1199));
    solo_free(solo);
}

/*
 * So many additions waited for a page that was lost that their outcomes did not fit into one step.
 */
static void test_loss_of_a_page_fails_all_additions_that_wait_for_it(void **state)
{
    struct solo *solo = solo_home_new();
    struct message sync = solo_home_message(solo, MESSAGE_SYNC, 1, 1, 0, 1);

    (void)state;
    solo_home_has(solo, MESSAGE_WRITE, 2, 3);
    sync.op = SYNC_FETCH_ADD;
    sync.offset = 3 * 4096;
    for (uint64_t i = 1; i <= 700; i++) {
        sync.request = i * NODES_MAX;
        solo_message(solo, &sync, 0);
    }
    solo_forget(solo);
    solo_home_die(solo, 2);
    assert_int_equal(solo_home_sent(solo, MESSAGE_SYNC_REPLY), 700);
    assert_int_equal(solo_sent(solo, MESSAGE_SYNC_REPLY, 699)->error, DSM_EDOWN);
    solo_free(solo);
}

/* 256 pages of 2 MiB in one answer were more messages than a step has actions. */
static void test_request_for_large_pages_is_cut_to_a_few_megabytes(void **state)
{
    struct solo *solo = solo_home_new();
    struct record record = solo_region(6, 1, 0);
    struct message read = solo_home_message(solo, MESSAGE_READ, 1, 1, 0, 256);

    (void)state;
    record.page_size = 2u << 20;
    record.size_bytes = UINT64_C(600) << 21;
    solo_record(solo, &record);
    read.region = record.id;
    solo_message(solo, &read, 0);
    assert_int_equal(solo_sent(solo, MESSAGE_GRANT, 0)->granted, 2);
    solo_free(solo);
}

/* ... and a home that asks for more than any does is not obeyed. */
static void test_forward_of_large_pages_is_a_few_megabytes(void **state)
{
    struct solo *solo = solo_new(1, 3, &(struct node_config){.read_ahead_pages = 1});
    struct record record = solo_region(6, 1, 0);
    struct message forward = {.kind = MESSAGE_FORWARD, .requester = 2, .version = 9, .count = 3};

    (void)state;
    record.page_size = 2u << 20;
    record.size_bytes = UINT64_C(600) << 21;
    solo_record(solo, &record);
    forward.region = record.id;
    solo_message(solo, &forward, 0);
    assert_null(solo_sent(solo, MESSAGE_NOT_HERE, 0));
    assert_int_equal(node_counters(solo->node)->refused, 1);
    forward.count = 2;
    solo_message(solo, &forward, 0);
    assert_int_equal(solo_sent(solo, MESSAGE_NOT_HERE, 0)->count, 2);
    solo_free(solo);
}

/* A peer that raises its floor at will could queue requests without end. */
static void test_requests_of_one_node_that_wait_are_bounded(void **state)
{
    struct solo *solo = solo_home_new();
    struct message read = solo_home_message(solo, MESSAGE_READ, 1, 1, 3, 1);

    (void)state;
    solo_home_say(solo, MESSAGE_WRITE, 2, 1, 3, 1); /* not confirmed: all others wait */
    for (uint64_t i = 1; i <= 10000; i++) {
        read.request = i * NODES_MAX;
        read.floor = i;
        solo_message(solo, &read, 0);
    }
    assert_true(solo_counters(solo)->refused >= 10000 - 4096);
    solo_home_say(solo, MESSAGE_READ, 3, 1, 4, 1); /* others are served */
    assert_non_null(solo_sent(solo, MESSAGE_GRANT, 1));
    solo_free(solo);
}

/* FORWARD of a page that leaves made a node send bytes to itself. */
static void test_forward_never_makes_a_node_send_to_itself(void **state)
{
    struct node_config config = {.read_ahead_pages = 1, .budget_bytes = 4096};
    struct solo_page *page = solo_page_new(&config);
    struct message message;

    (void)state;
    solo_page_have(page, 3, true, 1);
    solo_page_have(page, 4, true, 2);
    for (uint32_t i = 0; i < 100 && solo_sent(page->solo, MESSAGE_LEAVE, 0) == NULL; i++) {
        solo_advance(page->solo, 10);
    }
    message = *solo_sent(page->solo, MESSAGE_LEAVE, 0);
    message.kind = MESSAGE_TAKE;
    message.from = 0;
    message.version = 10;
    solo_message(page->solo, &message, 0);
    assert_non_null(solo_sent(page->solo, MESSAGE_DATA, 0));
    solo_forget(page->solo);
    message.kind = MESSAGE_FORWARD;
    message.flags = FLAG_LEAVE;
    message.requester = 1;
    solo_message(page->solo, &message, 0);
    assert_null(solo_sent(page->solo, MESSAGE_DATA, 0));
    assert_int_equal(solo_counters(page->solo)->refused, 1);
    solo_page_free(page);
}

/* Any member could give the home bytes of a page that nobody had asked for. */
static void test_bytes_of_a_leaving_page_are_taken_only_when_asked_for(void **state)
{
    struct solo *solo = solo_home_new();
    struct message data = solo_home_message(solo, MESSAGE_DATA, 2, 7, 3, 1);

    (void)state;
    solo_home_has(solo, MESSAGE_WRITE, 1, 3);
    solo_forget(solo);
    data.flags = FLAG_LEAVE;
    data.version = 1000;
    solo_message(solo, &data, 1);
    assert_null(solo_action(solo, ACTION_FILL, 0));
    solo_free(solo);
}

/* A region with pages of no bytes divided by zero. */
static void test_record_that_breaks_the_rules_is_not_taken(void **state)
{
    struct solo *solo = solo_home_new();
    struct record record = solo_region(9, 16, 0);

    (void)state;
    record.page_size = 0;
    solo_record(solo, &record);
    assert_null(node_record(solo->node, record.id));
    record.page_size = 4096;
    record.homes = NODESET_EMPTY;
    solo_record(solo, &record);
    assert_null(node_record(solo->node, record.id));
    record.homes = nodeset_from_word(1);
    solo_record(solo, &record);
    assert_non_null(node_record(solo->node, record.id));
    record.page_size = 8192;
    solo_record(solo, &record);
    assert_int_equal(node_record(solo->node, record.id)->page_size, 4096);
    record.kind = RECORD_SEM;
    solo_record(solo, &record);
    assert_int_equal(node_record(solo->node, record.id)->kind, RECORD_REGION);
    solo_free(solo);
}

/*
 * An operation at the home that was still under way when its node died was taken for the outcome of
 * the request that the node's next incarnation had sent under the same number: a lock, given twice.
 */
static void test_operation_of_a_dead_incarnation_answers_none_of_the_next(void **state)
{
    struct solo *solo = solo_home_new();
    struct message add = solo_home_message(solo, MESSAGE_SYNC, 1, 1, 0, 0);
    struct message lock = solo_home_message(solo, MESSAGE_SYNC, 2, 1, 0, 0);
    struct event done = {.kind = EVENT_ATOMIC_DONE};
    const struct action *atomic;

    (void)state;
    add.op = SYNC_FETCH_ADD;
    add.offset = 5 * 4096;
    add.value = 1;
    solo_message(solo, &add, 0);
    atomic = solo_action(solo, ACTION_ATOMIC, 0);
    assert_non_null(atomic);
    done.atomic_done.requester = atomic->message.requester;
    done.atomic_done.request = atomic->message.request;
    solo_home_die(solo, 1);
    solo_member(solo, 1, 9, true, 0);
    lock.op = SYNC_LOCK;
    lock.epoch = node_epoch(solo->node);
    solo_message(solo, &lock, 0);
    lock.from = 1; /* it waits for the mutex, under the number that the addition had */
    solo_message(solo, &lock, 0);
    solo_forget(solo);
    solo_step(solo, &done);
    assert_null(solo_sent(solo, MESSAGE_SYNC_REPLY, 0));
    solo_free(solo);
}

/*
 * The last owner of a page wanted to be rid of it when the page was lost with who had been given
 * it: the home waited for bytes for ever, and with it everybody.
 */
static void test_page_that_is_lost_is_not_taken_from_its_last_owner(void **state)
{
    struct solo *solo = solo_home_new();

    (void)state;
    solo_home_has(solo, MESSAGE_WRITE, 1, 3);
    solo_home_has(solo, MESSAGE_READ, 3, 3);
    solo_home_say(solo, MESSAGE_WRITE, 2, 1, 3, 1); /* FORWARD to 1, INVALIDATE to 3 */
    solo_home_say(solo, MESSAGE_LEAVE, 1, 2, 3, 1); /* waits, and its bytes are on their way */
    solo_home_die(solo, 2);
    for (uint32_t i = 0; i < 2; i++) {
        struct message adopt = *solo_sent(solo, MESSAGE_ADOPT, i);

        solo_home_say_adopt(solo, MESSAGE_NOT_HERE, adopt.to, &adopt);
    }
    assert_true(solo_home_run(solo, 3).lost);
    assert_null(solo_sent(solo, MESSAGE_TAKE, 0));
    assert_int_equal(solo_sent(solo, MESSAGE_RELEASE, 0)->flags, FLAG_LEAVE);
    assert_false(solo_home_run(solo, 3).busy);
    solo_free(solo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer_of_the_first_part_is_let_go_when_the_grant_comes_between),
        cmocka_unit_test(test_refused_request_is_not_granted_later),
        cmocka_unit_test(test_admitted_request_is_not_refused_when_it_comes_again),
        cmocka_unit_test(test_reader_without_the_first_page_of_a_range_stays_a_reader_of_the_rest),
        cmocka_unit_test(test_requester_is_asked_before_a_range_is_begun_anew),
        cmocka_unit_test(test_source_without_the_end_of_a_range_sends_none_of_it),
        cmocka_unit_test(test_requester_that_is_asked_drops_the_first_part),
        cmocka_unit_test(test_death_of_who_was_given_a_thousand_pages_is_survived),
        cmocka_unit_test(test_loss_of_a_page_fails_all_additions_that_wait_for_it),
        cmocka_unit_test(test_request_for_large_pages_is_cut_to_a_few_megabytes),
        cmocka_unit_test(test_forward_of_large_pages_is_a_few_megabytes),
        cmocka_unit_test(test_requests_of_one_node_that_wait_are_bounded),
        cmocka_unit_test(test_forward_never_makes_a_node_send_to_itself),
        cmocka_unit_test(test_bytes_of_a_leaving_page_are_taken_only_when_asked_for),
        cmocka_unit_test(test_record_that_breaks_the_rules_is_not_taken),
        cmocka_unit_test(test_operation_of_a_dead_incarnation_answers_none_of_the_next),
        cmocka_unit_test(test_page_that_is_lost_is_not_taken_from_its_last_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
