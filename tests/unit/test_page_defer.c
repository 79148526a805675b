/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node of 64 KiB pages whose home is played: which messages are put off for threads that wait for
 * a group, and which are not. A group is of 16 pages; the first six of the first one are here.
 */
#include "dsm/core/group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "dsm/core/node_parts.h"
#include "tests/sim/solo_page.h"

/* As the first group is asked for, the first six pages of it are given, for writing if so. */
static void begin_half_way(struct solo_page *p, bool write)
{
    struct message grant;

    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 0, write);
    grant = solo_page_message(p, MESSAGE_GRANT, 0, 0, 16, 3);
    grant.granted = 6;
    grant.flags = FLAG_ZERO;
    solo_page_say(p, &grant);
    assert_null(solo_action(p->solo, ACTION_GATHER, 0));
    solo_forget(p->solo);
}

static int set_up(void **state)
{
    struct node_config config = {.resend_ms = 1000, .read_ahead_pages = 1, .page_bytes = 65536};

    *state = solo_page_new(&config);
    begin_half_way(*state, false);
    return 0;
}

static int tear_down(void **state)
{
    solo_page_free(*state);
    return 0;
}

static uint32_t count_deferred(const struct solo_page *p)
{
    return p->solo->node->pages.count_deferred;
}

/* The home wants these pages for node 2; is that put off? */
static bool is_deferred(struct solo_page *p, uint32_t kind, uint32_t flags, uint64_t page,
                        uint32_t count, uint64_t version)
{
    uint32_t before = count_deferred(p);
    struct message message = solo_page_message(p, kind, 0, page, count, version);

    message.requester = 2;
    message.flags = (uint16_t)flags;
    solo_page_say(p, &message);
    return count_deferred(p) > before;
}

static void test_what_overlaps_the_first_pages_alone_is_put_off(void **state)
{
    struct solo_page *p = *state;

    assert_true(is_deferred(p, MESSAGE_INVALIDATE, 0, 5, 1, 9));
    assert_true(is_deferred(p, MESSAGE_INVALIDATE, 0, 0, 3, 10));
    assert_false(is_deferred(p, MESSAGE_INVALIDATE, 0, 5, 2, 11)); /* page 6 lacks */
    assert_false(is_deferred(p, MESSAGE_INVALIDATE, 0, 6, 1, 12));
    assert_false(is_deferred(p, MESSAGE_INVALIDATE, 0, 15, 3, 13));
    assert_false(is_deferred(p, MESSAGE_INVALIDATE, 0, 40, 1, 14)); /* nobody wants that */
}

static void test_readers_are_served_while_readers_wait(void **state)
{
    struct solo_page *p = *state;

    assert_false(is_deferred(p, MESSAGE_FORWARD, 0, 2, 1, 9));
    assert_non_null(solo_sent(p->solo, MESSAGE_DATA, 0));
    assert_true(is_deferred(p, MESSAGE_FORWARD, FLAG_WRITE, 2, 1, 10));
}

/* Also when readers of the same group wait besides. */
static void test_readers_are_put_off_while_a_writer_waits(void **state)
{
    struct solo_page *p = *state;
    struct message grant;

    solo_fault(p->solo, p->map, 0, true);
    grant = solo_page_message(p, MESSAGE_GRANT, 0, 0, 6, 7);
    grant.flags = FLAG_COPY;
    solo_page_say(p, &grant);
    assert_true(is_deferred(p, MESSAGE_FORWARD, 0, 2, 1, 9));
    assert_int_equal(solo_counters(p->solo)->downgrades, 0);
}

static void test_repetition_takes_the_place_of_the_first(void **state)
{
    struct solo_page *p = *state;

    assert_true(is_deferred(p, MESSAGE_INVALIDATE, 0, 2, 1, 9));
    assert_false(is_deferred(p, MESSAGE_INVALIDATE, 0, 2, 1, 9));
    assert_null(solo_sent(p->solo, MESSAGE_INVALIDATED, 0)); /* not done either */
    assert_true(is_deferred(p, MESSAGE_INVALIDATE, 0, 3, 1, 9));
    assert_true(is_deferred(p, MESSAGE_INVALIDATE, 0, 2, 1, 10));
}

/* A home may send what it likes: only so much is remembered. */
static void test_only_so_many_are_put_off(void **state)
{
    struct solo_page *p = *state;

    for (uint32_t i = 0; i < 256; i++) {
        assert_true(is_deferred(p, MESSAGE_INVALIDATE, 0, 2, 1, 10 + i));
    }
    assert_false(is_deferred(p, MESSAGE_INVALIDATE, 0, 2, 1, 1000));
    assert_non_null(solo_sent(p->solo, MESSAGE_INVALIDATED, 0));
    solo_advance(p->solo, 100);
    assert_int_equal(count_deferred(p), 0);
}

static void test_time_is_asked_for_when_something_is_put_off(void **state)
{
    struct solo_page *p = *state;
    uint64_t now_ms = p->solo->now_ms;

    assert_true(is_deferred(p, MESSAGE_INVALIDATE, 0, 2, 1, 9));
    assert_int_equal(node_deadline(p->solo->node), now_ms + 100);
    solo_advance(p->solo, 10);
    assert_true(is_deferred(p, MESSAGE_INVALIDATE, 0, 3, 1, 10));
    assert_int_equal(node_deadline(p->solo->node), now_ms + 100);
    solo_advance(p->solo, 90);
    assert_int_equal(solo_sent(p->solo, MESSAGE_INVALIDATED, 0)->page, 2);
    assert_null(solo_sent(p->solo, MESSAGE_INVALIDATED, 1));
    /* Page 2 is the first that lacks now, and page 3 lies above: it is let go soon. */
    assert_int_equal(node_deadline(p->solo->node), now_ms + 101);
    solo_advance(p->solo, 1);
    assert_int_equal(solo_sent(p->solo, MESSAGE_INVALIDATED, 1)->page, 3);
}

static map_id map_again(struct solo_page *p)
{
    struct call call = {.kind = CALL_MAP,
                        .handle = p->handle,
                        .size_bytes = 600 * 4096,
                        .rights = RIGHTS_READ | RIGHTS_WRITE};

    return solo_reply(p->solo, solo_call(p->solo, 1, &call))->map;
}

static void unmap(struct solo_page *p, client_id client, map_id map)
{
    struct call call = {.kind = CALL_UNMAP, .map = map};

    assert_int_equal(solo_do(p->solo, client, &call), 0);
}

static void test_messages_wait_until_the_last_mapping_has_gone(void **state)
{
    struct solo_page *p = *state;
    map_id other = map_again(p);

    solo_fault(p->solo, other, 0, false);
    solo_fault(p->solo, other, 32, false);
    assert_true(is_deferred(p, MESSAGE_INVALIDATE, 0, 2, 1, 9));
    unmap(p, 1, p->map);
    solo_advance(p->solo, 1);
    assert_int_equal(count_deferred(p), 1);
    unmap(p, 1, other);
    assert_true(list_is_empty(&p->solo->node->pages.assemblies));
    solo_advance(p->solo, 1);
    assert_int_equal(count_deferred(p), 0);
    assert_non_null(solo_sent(p->solo, MESSAGE_INVALIDATED, 0));
}

/* The groups of regions have the same page numbers and nothing else in common. */
static void test_groups_of_two_regions_are_told_apart(void **state)
{
    struct solo_page *p = *state;
    struct record record = solo_region(6, 600, 0);
    uint64_t handle;
    map_id map;

    solo_record(p->solo, &record);
    map = solo_map(p->solo, 2, &record, &handle);
    assert_true(is_deferred(p, MESSAGE_INVALIDATE, 0, 2, 1, 9));
    p->region = record.id;
    assert_false(is_deferred(p, MESSAGE_INVALIDATE, 0, 2, 1, 9));
    p->map = map;
    begin_half_way(p, false);
    assert_true(is_deferred(p, MESSAGE_INVALIDATE, 0, 2, 1, 9));
    unmap(p, 2, map);
    solo_advance(p->solo, 1);
    assert_int_equal(count_deferred(p), 1);
    assert_int_equal(solo_sent(p->solo, MESSAGE_INVALIDATED, 0)->region.slot, 6);
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_what_overlaps_the_first_pages_alone_is_put_off),
        FIXTURE(test_readers_are_served_while_readers_wait),
        FIXTURE(test_readers_are_put_off_while_a_writer_waits),
        FIXTURE(test_repetition_takes_the_place_of_the_first),
        FIXTURE(test_only_so_many_are_put_off),
        FIXTURE(test_time_is_asked_for_when_something_is_put_off),
        FIXTURE(test_messages_wait_until_the_last_mapping_has_gone),
        FIXTURE(test_groups_of_two_regions_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
