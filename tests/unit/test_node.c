/* SPDX-License-Identifier: Apache-2.0 */
/* The node as a whole: its limits, which messages it takes from whom, what can be seen of it. */
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

static void test_number_that_is_no_nodes_is_refused(void **state)
{
    struct node *node = calloc(1, node_size());
    struct node_config config = {.self = NODES_MAX};

    (void)state;
    assert_int_equal(node_init(node, &config), DSM_EINVAL);
    config.self = UINT32_MAX;
    assert_int_equal(node_init(node, &config), DSM_EINVAL);
    config.self = NODES_MAX - 1;
    assert_int_equal(node_init(node, &config), 0);
    assert_int_equal(nodeset_word(node_members(node)), nodeset_word(nodeset_of(NODES_MAX - 1)));
    assert_int_equal(node_epoch(node), 0);
    assert_true(node_deadline(node) == UINT64_MAX);
    free(node);
}

static void test_settings_left_out_have_their_defaults(void **state)
{
    struct node *node = calloc(1, node_size());
    struct node_config config = {.self = 1};

    (void)state;
    assert_int_equal(node_init(node, &config), 0);
    assert_int_equal(node->context.config.resend_ms, 1000);
    assert_int_equal(node->context.config.read_ahead_pages, RANGE_PAGES_MAX);
    memset(node, 0, node_size());
    config.read_ahead_pages = RANGE_PAGES_MAX + 1;
    assert_int_equal(node_init(node, &config), 0);
    assert_int_equal(node->context.config.read_ahead_pages, RANGE_PAGES_MAX);
    free(node);
}

static void test_memory_that_is_supplied_is_counted(void **state)
{
    struct node *node = calloc(1, node_size());
    struct node_config config = {.self = 1};
    void *blocks[64];
    uint32_t count = 0;
    uint64_t sum = node_size();

    (void)state;
    assert_int_equal(node_init(node, &config), 0);
    assert_int_equal(node_counters(node)->core_bytes, node_size());
    for (size_t bytes; (bytes = node_wants(node)) != 0; count++) {
        assert_true(count < 64);
        blocks[count] = calloc(1, bytes);
        node_supply(node, blocks[count]);
        sum += bytes;
    }
    assert_int_equal(node_counters(node)->core_bytes, sum);
    node_supply(node, NULL); /* more than was wanted: not taken */
    assert_int_equal(node_counters(node)->core_bytes, sum);
    while (count > 0) {
        free(blocks[--count]);
    }
    free(node);
}

/* Every kind, from a node that is no member: counted, and nothing happens. */
static void test_stranger_is_refused_whatever_it_says(void **state)
{
    struct solo *solo = *state;

    for (uint32_t kind = 1; kind < MESSAGE_KINDS; kind++) {
        struct message message = message_of(kind);

        message.from = 9;
        solo_message(solo, &message, 0);
        assert_int_equal(solo_counters(solo)->refused, kind);
        assert_int_equal(solo->count, 0);
    }
    assert_int_equal(solo_counters(solo)->messages_received, MESSAGE_KINDS - 1);
}

static void test_dead_member_is_refused(void **state)
{
    struct solo *solo = *state;
    struct message message = message_of(MESSAGE_READ);

    solo_member(solo, 1, 2, false, 1);
    message.epoch = 1;
    solo_message(solo, &message, 0);
    assert_int_equal(solo_counters(solo)->refused, 1);
    assert_null(solo_action(solo, ACTION_SEND, 0));
}

static void test_unknown_kinds_and_senders_are_refused(void **state)
{
    struct solo *solo = *state;
    static const uint8_t kinds[] = {MESSAGE_NONE, MESSAGE_KINDS, 255};
    struct message message = message_of(MESSAGE_READ);

    for (uint32_t i = 0; i < 3; i++) {
        struct message unknown = message_of(kinds[i]);

        solo_message(solo, &unknown, 0);
        assert_int_equal(solo_counters(solo)->refused, i + 1);
    }
    message.from = NODES_MAX;
    solo_message(solo, &message, 0);
    assert_int_equal(solo_counters(solo)->refused, 4);
    assert_int_equal(solo->count, 0);
}

static void test_what_only_the_node_tells_itself_is_refused_from_members(void **state)
{
    struct solo *solo = *state;
    struct message atomic = message_of(MESSAGE_ATOMIC);
    struct message done = message_of(MESSAGE_ATOMIC_DONE);

    solo_message(solo, &atomic, 0);
    solo_message(solo, &done, 0);
    assert_int_equal(solo_counters(solo)->refused, 2);
    assert_int_equal(solo->count, 0);
}

/* Node 2 is a member, but node 0 is the home. */
static void test_what_only_the_home_says_is_refused_from_others(void **state)
{
    struct solo *solo = *state;
    static const uint8_t kinds[] = {MESSAGE_FORWARD, MESSAGE_GRANT, MESSAGE_INVALIDATE,
                                    MESSAGE_RELEASE, MESSAGE_TAKE,  MESSAGE_LOST,
                                    MESSAGE_ADOPT,   MESSAGE_ASK};

    for (uint32_t i = 0; i < sizeof(kinds); i++) {
        struct message message = message_of(kinds[i]);

        solo_message(solo, &message, 0);
        assert_int_equal(solo_counters(solo)->refused, i + 1);
    }
    assert_int_equal(solo->count, 0);
}

static void test_answers_beyond_the_region_are_refused(void **state)
{
    struct solo *solo = *state;
    static const uint8_t kinds[] = {MESSAGE_INVALIDATED, MESSAGE_NOT_HERE, MESSAGE_CONFIRM,
                                    MESSAGE_DATA};
    uint64_t refused = 0;

    for (uint32_t i = 0; i < sizeof(kinds); i++) {
        struct message message = message_of(kinds[i]);

        message.page = 16;
        solo_message(solo, &message, 1);
        message.page = 15;
        message.count = 2;
        solo_message(solo, &message, 2);
        message.page = (UINT64_C(1) << 52) - 1;
        solo_message(solo, &message, 2);
        message.page = 0;
        message.count = 1;
        message.granted = RANGE_PAGES_MAX + 1;
        solo_message(solo, &message, 1);
        assert_int_equal(solo_counters(solo)->refused, refused += 4);
    }
    assert_null(solo_action(solo, ACTION_FILL, 0));
}

static void test_message_of_another_epoch_is_counted_and_dropped(void **state)
{
    struct solo *solo = *state;
    struct message message = message_of(MESSAGE_READ);

    message.epoch = 1;
    solo_message(solo, &message, 0);
    assert_int_equal(solo_counters(solo)->old_epoch, 1);
    assert_int_equal(solo->count, 0);
    solo_member(solo, 2, 3, false, 1);
    assert_int_equal(node_epoch(solo->node), 1);
    assert_int_equal(nodeset_word(node_members(solo->node)),
                     nodeset_word(nodeset_union(nodeset_of(0), nodeset_of(1))));
    solo_message(solo, &message, 0);
    assert_non_null(solo_sent(solo, MESSAGE_GRANT, 0));
    message.epoch = 0;
    solo_message(solo, &message, 0);
    assert_int_equal(solo_counters(solo)->old_epoch, 2);
}

static void test_request_to_a_node_that_is_not_the_home_is_refused(void **state)
{
    struct solo *solo = *state;
    struct record record = solo_region(6, 16, 2);
    struct message message = message_of(MESSAGE_READ);

    solo_record(solo, &record);
    message.region = record.id;
    solo_message(solo, &message, 0);
    assert_int_equal(solo_counters(solo)->refused, 1);
    message = message_of(MESSAGE_READ);
    message.request = NODES_MAX + 2; /* a request id of node 2's */
    solo_message(solo, &message, 0);
    assert_int_equal(solo_counters(solo)->refused, 2);
    assert_null(solo_action(solo, ACTION_SEND, 0));
}

static void test_request_number_beyond_the_window_is_refused(void **state)
{
    struct solo *solo = *state;
    struct message message = message_of(MESSAGE_READ);

    message.request = (WINDOW + 1) * (uint64_t)NODES_MAX;
    solo_message(solo, &message, 0);
    assert_int_equal(solo_counters(solo)->refused, 1);
    assert_int_equal(solo->count, 0);
    message.floor = WINDOW + 1;
    solo_message(solo, &message, 0);
    assert_non_null(solo_sent(solo, MESSAGE_GRANT, 0));
}

/* --- looking in --- */

static void test_page_runs_tell_what_the_home_knows(void **state)
{
    struct solo *solo = *state;
    struct page_run runs[4];
    struct message write = message_of(MESSAGE_WRITE), confirm = message_of(MESSAGE_CONFIRM);
    region_id id = {SLOT, 1000 + SLOT};

    assert_int_equal(node_page_runs(solo->node, id, 0, runs, 4), 0);
    assert_int_equal(node_page_runs(solo->node, (region_id){SLOT, 1}, 0, runs, 4), 0);
    write.count = confirm.count = 4; /* pages 3 to 6 */
    solo_message(solo, &write, 0);
    assert_int_equal(node_page_runs(solo->node, id, 0, runs, 4), 1);
    assert_true(runs[0].busy);
    assert_int_equal(runs[0].owner, NODE_NONE);
    solo_message(solo, &confirm, 0);
    write.page = confirm.page = 10;
    write.count = confirm.count = 1;
    write.from = confirm.from = 2;
    solo_message(solo, &write, 0);
    solo_message(solo, &confirm, 0);
    assert_int_equal(node_page_runs(solo->node, id, 0, runs, 4), 2);
    assert_int_equal(runs[0].page, 3);
    assert_int_equal(runs[0].count, 4);
    assert_int_equal(runs[0].owner, 1);
    assert_int_equal(nodeset_word(runs[0].readers), nodeset_word(nodeset_of(1)));
    assert_false(runs[0].busy || runs[0].lost);
    assert_int_equal(runs[1].page, 10);
    assert_int_equal(runs[1].owner, 2);
    assert_int_equal(node_page_runs(solo->node, id, 5, runs, 4), 2); /* from the middle on */
    assert_int_equal(runs[0].count, 2);
    assert_int_equal(node_page_runs(solo->node, id, 0, runs, 1), 1); /* no room for more */
    assert_int_equal(runs[0].page, 3);
    solo_member(solo, 1, 2, false, 1);
    assert_int_equal(node_page_runs(solo->node, id, 0, runs, 4), 2);
    assert_true(runs[0].lost);
    assert_false(runs[1].lost);
}

static void test_records_are_told_one_by_one(void **state)
{
    struct solo *solo = *state;
    struct record more = solo_region(SLOT + REGION_BUCKETS, 1, 0);
    uint32_t cursor = 0, count_nodes = 0, count_regions = 0;
    const struct record *record;

    solo_record(solo, &more);
    while ((record = node_records(solo->node, &cursor)) != NULL) {
        count_nodes += record->kind == RECORD_NODE;
        count_regions += record->kind == RECORD_REGION;
        assert_int_equal(cursor, count_nodes + count_regions);
    }
    assert_int_equal(count_nodes, 3);
    assert_int_equal(count_regions, 2);
    assert_string_equal(node_record(solo->node, more.id)->name, more.name);
    assert_null(node_record(solo->node, (region_id){SLOT, 1}));
    more.deleted = true;
    solo_record(solo, &more);
    assert_null(node_record(solo->node, more.id));
    solo_record(solo, &more); /* once more: unknown by now */
    assert_null(node_record(solo->node, more.id));
}

static void test_member_with_an_impossible_number_is_ignored(void **state)
{
    struct solo *solo = *state;

    solo_member(solo, NODES_MAX, 1, true, 7);
    assert_int_equal(node_epoch(solo->node), 0);
    assert_int_equal(nodeset_count(node_members(solo->node)), 3);
}

static void test_unknown_event_does_nothing(void **state)
{
    struct solo *solo = *state;
    struct event event = {.kind = 99};

    solo_step(solo, &event);
    assert_int_equal(solo->count, 0);
    assert_true(node_deadline(solo->node) == UINT64_MAX);
}

/* 100 parties pass a barrier at once: their outcomes need several steps, and all of them leave. */
static void test_more_work_than_one_step_takes_is_done_in_the_next_ones(void **state)
{
    struct solo *solo = *state;
    const uint32_t parties = 100;

    for (uint32_t i = 0; i < parties; i++) {
        struct message arrive = message_of(MESSAGE_SYNC);

        arrive.op = SYNC_BARRIER;
        arrive.value = parties;
        arrive.offset = 64;
        arrive.from = (uint16_t)(1 + i % 2);
        arrive.request = (i + 1) * NODES_MAX;
        assert_null(solo_sent(solo, MESSAGE_SYNC_REPLY, 0));
        solo_message(solo, &arrive, 0);
    }
    assert_int_equal(solo->steps, parties / ITEMS_PER_STEP + 1);
    assert_non_null(solo_sent(solo, MESSAGE_SYNC_REPLY, parties - 1));
    assert_null(solo_sent(solo, MESSAGE_SYNC_REPLY, parties));
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_that_is_no_nodes_is_refused),
        cmocka_unit_test(test_settings_left_out_have_their_defaults),
        cmocka_unit_test(test_memory_that_is_supplied_is_counted),
        FIXTURE(test_stranger_is_refused_whatever_it_says),
        FIXTURE(test_dead_member_is_refused),
        FIXTURE(test_unknown_kinds_and_senders_are_refused),
        FIXTURE(test_what_only_the_node_tells_itself_is_refused_from_members),
        FIXTURE(test_what_only_the_home_says_is_refused_from_others),
        FIXTURE(test_answers_beyond_the_region_are_refused),
        FIXTURE(test_message_of_another_epoch_is_counted_and_dropped),
        FIXTURE(test_request_to_a_node_that_is_not_the_home_is_refused),
        FIXTURE(test_request_number_beyond_the_window_is_refused),
        FIXTURE(test_page_runs_tell_what_the_home_knows),
        FIXTURE(test_records_are_told_one_by_one),
        FIXTURE(test_member_with_an_impossible_number_is_ignored),
        FIXTURE(test_unknown_event_does_nothing),
        FIXTURE(test_more_work_than_one_step_takes_is_done_in_the_next_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
