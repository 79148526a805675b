/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of pages: the arithmetic for all sizes, and one node of 64 KiB pages whose home and other
 * nodes are played: what it asks for, shows and takes back.
 */
#include "dsm/core/group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "dsm/core/node_parts.h"
#include "tests/sim/solo_page.h"

static int set_up(void **state)
{
    struct node_config config = {.resend_ms = 100, .read_ahead_pages = 64, .page_bytes = 65536};

    *state = solo_page_new(&config); /* 600 pages of 4 KiB: 37 groups, and one of 8 pages */
    return 0;
}

static int tear_down(void **state)
{
    solo_page_free(*state);
    return 0;
}

/* --- arithmetic --- */

/* What must be true of the groups around a run, whatever the sizes are. */
static void check_around(uint32_t size, struct page_span run, uint64_t count_pages)
{
    struct page_span around = group_around(size, run, count_pages);
    uint64_t end = around.page + around.count, run_end = run.page + run.count;

    assert_int_equal(around.page % size, 0);
    assert_true(around.page <= run.page && run.page - around.page < size);
    assert_true(end >= run_end && end <= count_pages);
    assert_true(end % size == 0 || end == count_pages); /* whole groups, but at the end */
    assert_true(end - run_end < size);
}

/* Every page is in one group; the groups follow each other, and the last one ends at the end. */
static void check_region(uint32_t size, uint64_t count_pages)
{
    uint64_t at = 0;

    while (at < count_pages) {
        struct page_span group = group_of(size, at, count_pages);

        assert_int_equal(group.page, at);
        assert_true(group.count > 0 && group.count <= size);
        assert_true(group.count == size || group.page + group.count == count_pages);
        for (uint64_t page = at; page < at + group.count; page++) {
            struct page_span same = group_of(size, page, count_pages);

            assert_int_equal(same.page, group.page);
            assert_int_equal(same.count, group.count);
        }
        at += group.count;
    }
    assert_int_equal(at, count_pages);
}

/* Pages and machines of 4 KiB to 2 MiB, regions of one page to a few groups and a bit. */
static void test_groups_cover_each_page_once_for_all_sizes(void **state)
{
    unsigned seed = (unsigned)time(NULL);

    (void)state;
    printf("seed %u\n", seed);
    srand(seed);
    for (uint32_t hardware = 4096; hardware <= 2u << 20; hardware *= 2) {
        for (uint32_t page_size = 4096; page_size <= 2u << 20; page_size *= 2) {
            uint32_t size = group_size(hardware, page_size);
            const uint64_t counts[] = {
                1, 2, size, size + 1u, 2 * size, 3 * size - 1, 7, (uint64_t)(rand() % 2000) + 1};

            assert_true(hardware <= page_size ? size == 1 : size * page_size == hardware);
            for (uint32_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
                check_region(size, counts[i]);
                for (uint32_t j = 0; j < 50; j++) {
                    uint64_t page = (uint64_t)rand() % counts[i];
                    uint64_t count = (uint64_t)rand() % (counts[i] - page) + 1;

                    check_around(size, (struct page_span){page, count}, counts[i]);
                }
            }
        }
    }
}

/* A fault is told by the hardware's page, which may lie behind the end of the region altogether. */
static void test_page_behind_the_end_is_in_no_group(void **state)
{
    (void)state;
    assert_int_equal(group_of(16, 32, 20).count, 0);
    assert_int_equal(group_of(16, 20, 20).count, 4);
    assert_int_equal(group_size(0, 4096), 1); /* no size told: no larger than any region's */
}

/* --- mappings --- */

static map_id map_at(struct solo_page *p, uint64_t page, uint64_t count, uint64_t *size_bytes)
{
    struct call call = {.kind = CALL_MAP,
                        .handle = p->handle,
                        .offset = page * 4096,
                        .size_bytes = count * 4096,
                        .rights = RIGHTS_READ};
    const struct reply *reply = solo_reply(p->solo, solo_call(p->solo, 1, &call));

    *size_bytes = reply->size_bytes;
    return reply->error == 0 ? reply->map : 0;
}

/* A window begins where a hardware page does, and may end within one: all of that is reached. */
static void test_window_begins_with_a_hardware_page(void **state)
{
    struct solo_page *p = *state;
    uint64_t size_bytes;
    map_id map = map_at(p, 16, 3, &size_bytes);

    assert_int_equal(size_bytes, 3 * 4096);
    assert_int_equal(map_at(p, 17, 3, &size_bytes), 0); /* nothing could be mapped there */
    assert_true(map_at(p, 592, 8, &size_bytes) != 0);   /* the region's end */
    solo_forget(p->solo);
    solo_fault(p->solo, map, 15, false);
    solo_fault(p->solo, map, 32, false);
    assert_null(solo_sent(p->solo, MESSAGE_READ, 0));
    solo_fault(p->solo, map, 31, false);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 0)->page, 16);
}

/* --- asking --- */

static void grant(struct solo_page *p, uint32_t nth, uint32_t kind, uint32_t count, uint32_t flags,
                  uint64_t version)
{
    const struct message *request = solo_sent(p->solo, kind, nth);
    struct message message = solo_page_message(p, MESSAGE_GRANT, 0, request->page, count, version);

    message.request = request->request;
    message.flags = (uint16_t)flags;
    solo_page_say(p, &message);
}

/* A group that the home gives at once. */
static void have_group(struct solo_page *p, uint64_t page, bool write, uint64_t version)
{
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, page, write);
    grant(p, 0, write ? MESSAGE_WRITE : MESSAGE_READ, 16, FLAG_ZERO, version);
    solo_forget(p->solo);
}

/* The home takes away copies of these pages for node 2. */
static void invalidate(struct solo_page *p, uint64_t page, uint32_t count, uint64_t version)
{
    struct message message = solo_page_message(p, MESSAGE_INVALIDATE, 0, page, count, version);

    message.requester = 2;
    solo_page_say(p, &message);
}

static uint32_t count_sent(const struct solo_page *p, uint32_t kind)
{
    uint32_t count = 0;

    while (solo_sent(p->solo, kind, count) != NULL) {
        count++;
    }
    return count;
}

static uint32_t count_of(const struct solo_page *p, uint32_t kind)
{
    uint32_t count = 0;

    while (solo_action(p->solo, kind, count) != NULL) {
        count++;
    }
    return count;
}

static void test_bytes_lie_aside_until_the_group_is_whole(void **state)
{
    struct solo_page *p = *state;
    const struct action *gather;

    solo_fault(p->solo, p->map, 5, false);
    grant(p, 0, MESSAGE_READ, 10, FLAG_ZERO, 3);
    assert_int_equal(solo_action(p->solo, ACTION_FILL, 0)->map, 0);
    assert_null(solo_action(p->solo, ACTION_GATHER, 0));
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 1)->page, 10);
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 1)->count, 6);
    grant(p, 1, MESSAGE_READ, 6, FLAG_ZERO, 4);
    gather = solo_action(p->solo, ACTION_GATHER, 0);
    assert_int_equal(gather->page, 0);
    assert_int_equal(gather->count, 16);
    assert_int_equal(gather->map, p->map);
    assert_false(gather->write);
}

static void test_second_mapping_is_let_in_without_a_message(void **state)
{
    struct solo_page *p = *state;
    uint64_t size_bytes;
    map_id other = map_at(p, 0, 600, &size_bytes);

    have_group(p, 0, true, 3);
    solo_fault(p->solo, p->map, 9, true);
    assert_int_equal(solo_action(p->solo, ACTION_ALLOW, 0)->page, 0);
    assert_int_equal(solo_action(p->solo, ACTION_ALLOW, 0)->count, 16);
    solo_fault(p->solo, other, 9, false);
    assert_int_equal(solo_action(p->solo, ACTION_WAKE, 0)->map, other);
    assert_int_equal(solo_action(p->solo, ACTION_WAKE, 0)->count, 16);
    assert_null(solo_sent(p->solo, MESSAGE_READ, 0));
}

static void test_all_threads_of_a_group_are_served_when_it_is_whole(void **state)
{
    struct solo_page *p = *state;
    uint64_t size_bytes;
    map_id other = map_at(p, 0, 600, &size_bytes);

    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 9, false);
    solo_fault(p->solo, other, 3, false);
    solo_fault(p->solo, p->map, 2, false); /* the same as the first one */
    assert_int_equal(count_sent(p, MESSAGE_READ), 1);
    grant(p, 0, MESSAGE_READ, 16, FLAG_ZERO, 3);
    assert_int_equal(count_of(p, ACTION_GATHER), 1);
    assert_int_equal(count_of(p, ACTION_WAKE), 1);
    assert_int_equal(solo_action(p->solo, ACTION_WAKE, 0)->map, other);
}

/* More runs than one item of work asks for: all of them are asked for at once all the same. */
static void test_many_runs_are_asked_for_in_several_items(void **state)
{
    struct solo_page *p = *state;

    have_group(p, 0, false, 3);
    for (uint64_t page = 1; page < 16; page += 2) {
        invalidate(p, page, 1, 10 + page);
    }
    assert_int_equal(count_of(p, ACTION_SCATTER), 1);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 0, false);
    assert_int_equal(count_sent(p, MESSAGE_READ), 8);
    for (uint32_t i = 0; i < 8; i++) {
        assert_null(solo_action(p->solo, ACTION_GATHER, 0));
        grant(p, i, MESSAGE_READ, 1, FLAG_ZERO, 30 + i);
    }
    assert_int_equal(count_of(p, ACTION_GATHER), 1);
    assert_int_equal(count_sent(p, MESSAGE_READ), 8);
}

static void test_upgrade_names_the_version_that_all_its_copies_have(void **state)
{
    struct solo_page *p = *state;

    have_group(p, 0, false, 3);
    invalidate(p, 5, 1, 7);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 0, false);
    grant(p, 0, MESSAGE_READ, 1, FLAG_ZERO, 9);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 0, true);
    assert_int_equal(count_sent(p, MESSAGE_WRITE), 3);
    assert_int_equal(solo_sent(p->solo, MESSAGE_WRITE, 0)->have, 3);
    assert_int_equal(solo_sent(p->solo, MESSAGE_WRITE, 1)->have, 9);
    assert_int_equal(solo_sent(p->solo, MESSAGE_WRITE, 2)->count, 10);
    grant(p, 0, MESSAGE_WRITE, 5, FLAG_COPY, 20);
    grant(p, 1, MESSAGE_WRITE, 1, FLAG_COPY, 21);
    assert_null(solo_action(p->solo, ACTION_ALLOW, 0));
    grant(p, 2, MESSAGE_WRITE, 10, FLAG_COPY, 22);
    assert_int_equal(count_of(p, ACTION_ALLOW), 1); /* it was shown all the while */
    assert_null(solo_action(p->solo, ACTION_SCATTER, 0));
    assert_null(solo_action(p->solo, ACTION_FILL, 0));
}

/* What has gone meanwhile is named, and of the rest this node stays a reader. */
static void test_upgrade_of_copies_that_have_gone_is_denied_for_these(void **state)
{
    struct solo_page *p = *state;
    const struct message *answer;

    have_group(p, 0, false, 3);
    solo_fault(p->solo, p->map, 0, true);
    invalidate(p, 4, 2, 7);
    invalidate(p, 9, 1, 8);
    grant(p, 0, MESSAGE_WRITE, 16, FLAG_COPY, 20);
    answer = solo_sent(p->solo, MESSAGE_NOT_HERE, 0);
    assert_int_equal(answer->page, 4);
    assert_int_equal(answer->count, 2);
    assert_int_equal(answer->requester, 1);
    solo_forget(p->solo);
    solo_advance(p->solo, 100);
    assert_int_equal(solo_sent(p->solo, MESSAGE_WRITE, 0)->have, 3); /* of the copies it has */
}

/* Bytes come though this node has copies: the old ones are taken from the programs first. */
static void test_bytes_of_an_upgrade_take_the_place_of_copies(void **state)
{
    struct solo_page *p = *state;
    struct message data;
    uint64_t request;

    have_group(p, 0, false, 3);
    solo_fault(p->solo, p->map, 0, true);
    data = solo_page_message(p, MESSAGE_DATA, 2, 0, 8, 20);
    request = data.request;
    data.granted = 16;
    solo_page_say(p, &data);
    assert_int_equal(solo_action(p->solo, ACTION_SCATTER, 0)->count, 16);
    assert_int_equal(solo_action(p->solo, ACTION_DROP, 0)->count, 8);
    assert_int_equal(count_of(p, ACTION_PROTECT), 0); /* nobody sees what lies aside */
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 0, false); /* all pages are here, to read */
    assert_int_equal(count_of(p, ACTION_GATHER), 1);
    solo_fault(p->solo, p->map, 0, true);
    assert_null(solo_sent(p->solo, MESSAGE_WRITE, 0)); /* it is asked for already */
    data.request = request;
    data.page = 8;
    solo_page_say(p, &data);
    assert_int_equal(count_of(p, ACTION_SCATTER), 1);
    assert_true(solo_action(p->solo, ACTION_GATHER, 1)->write);
}

static void test_full_window_lets_a_thread_of_a_group_wait(void **state)
{
    struct solo_page *p = *state;
    struct pages *pages = &p->solo->node->pages;
    struct channel *channel = &remote_get(&p->solo->node->context.remotes, 0)->channel;
    struct message answer;

    solo_fault(p->solo, p->map, 320, false);
    channel->next_number += WINDOW; /* as if so many requests were open */
    solo_fault(p->solo, p->map, 0, false);
    assert_false(list_is_empty(&pages->blocked));
    assert_int_equal(count_sent(p, MESSAGE_READ), 1);
    channel->next_number -= WINDOW;
    answer = solo_page_message(p, MESSAGE_GRANT, 0, 320, 16, 5);
    answer.flags = FLAG_ZERO;
    solo_page_say(p, &answer);
    assert_true(list_is_empty(&pages->blocked));
    assert_int_equal(solo_sent(p->solo, MESSAGE_READ, 1)->page, 0);
}

static void test_refused_group_is_asked_for_anew(void **state)
{
    struct solo_page *p = *state;
    struct message lost;

    solo_fault(p->solo, p->map, 0, false);
    lost = solo_page_message(p, MESSAGE_LOST, 0, 0, 16, 0);
    lost.error = DSM_EACCES;
    solo_page_say(p, &lost);
    assert_int_equal(count_sent(p, MESSAGE_READ), 2);
    assert_null(solo_action(p->solo, ACTION_POISON, 0));
}

static void test_page_that_is_lost_poisons_its_group_and_no_other(void **state)
{
    struct solo_page *p = *state;
    struct message lost;

    have_group(p, 0, false, 3);
    invalidate(p, 7, 1, 5);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 0, false);
    lost = solo_page_message(p, MESSAGE_LOST, 0, 7, 1, 0);
    lost.error = DSM_EDOWN;
    solo_page_say(p, &lost);
    assert_int_equal(solo_action(p->solo, ACTION_POISON, 0)->page, 0);
    assert_int_equal(solo_action(p->solo, ACTION_POISON, 0)->count, 16);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 3, true);
    assert_int_equal(solo_action(p->solo, ACTION_POISON, 0)->count, 16);
    assert_null(solo_sent(p->solo, MESSAGE_WRITE, 0));
}

static void test_group_whose_home_has_died_is_lost(void **state)
{
    struct solo_page *p = *state;

    solo_member(p->solo, 0, 1, false, 9);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 3, false);
    assert_int_equal(solo_action(p->solo, ACTION_POISON, 0)->count, 16);
    assert_null(solo_sent(p->solo, MESSAGE_READ, 0));
}

/* Who gets the bytes has to know in which order they are. */
static void test_bytes_tell_the_order_of_their_sender(void **state)
{
    struct node_config config = {.page_bytes = 65536, .big_endian = true};
    struct solo_page *p = solo_page_new(&config);
    struct message forward;

    (void)state;
    have_group(p, 0, true, 3);
    forward = solo_page_message(p, MESSAGE_FORWARD, 0, 4, 1, 9);
    forward.requester = 2;
    solo_page_say(p, &forward);
    assert_int_equal(solo_sent(p->solo, MESSAGE_DATA, 0)->flags, FLAG_BIG_ENDIAN);
    assert_int_equal(solo_action(p->solo, ACTION_PROTECT, 0)->count, 16); /* one hardware page */
    solo_page_free(p);
}

/* A group may be of more pages than one request. */
static void test_group_longer_than_a_request_is_asked_for_in_pieces(void **state)
{
    struct node_config config = {.page_bytes = 2u << 20};
    struct solo_page *p = solo_page_new(&config);

    (void)state;
    solo_fault(p->solo, p->map, 5, true);
    assert_int_equal(solo_sent(p->solo, MESSAGE_WRITE, 0)->count, 256);
    assert_int_equal(solo_sent(p->solo, MESSAGE_WRITE, 1)->page, 256);
    grant(p, 0, MESSAGE_WRITE, 256, FLAG_ZERO, 3);
    assert_null(solo_action(p->solo, ACTION_GATHER, 0));
    grant(p, 1, MESSAGE_WRITE, 256, FLAG_ZERO, 4);
    assert_int_equal(solo_action(p->solo, ACTION_GATHER, 0)->count, 512);
    solo_page_free(p);
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups_cover_each_page_once_for_all_sizes),
        cmocka_unit_test(test_page_behind_the_end_is_in_no_group),
        FIXTURE(test_window_begins_with_a_hardware_page),
        FIXTURE(test_bytes_lie_aside_until_the_group_is_whole),
        FIXTURE(test_second_mapping_is_let_in_without_a_message),
        FIXTURE(test_all_threads_of_a_group_are_served_when_it_is_whole),
        FIXTURE(test_many_runs_are_asked_for_in_several_items),
        FIXTURE(test_upgrade_names_the_version_that_all_its_copies_have),
        FIXTURE(test_upgrade_of_copies_that_have_gone_is_denied_for_these),
        FIXTURE(test_bytes_of_an_upgrade_take_the_place_of_copies),
        FIXTURE(test_full_window_lets_a_thread_of_a_group_wait),
        FIXTURE(test_refused_group_is_asked_for_anew),
        FIXTURE(test_page_that_is_lost_poisons_its_group_and_no_other),
        FIXTURE(test_group_whose_home_has_died_is_lost),
        cmocka_unit_test(test_bytes_tell_the_order_of_their_sender),
        cmocka_unit_test(test_group_longer_than_a_request_is_asked_for_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
