/* SPDX-License-Identifier: Apache-2.0 */
/* Pages that are to go when there are many of them, or no room to tell their home. */
#include "dsm/core/node_parts.h"
#include "tests/sim/solo_page.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define KEPT 40u
/* More than the directory has buckets. */
#define CHUNKS 1500u

static uint32_t count_of(const struct solo *solo, uint32_t kind)
{
    uint32_t count = 0;

    while (solo_action(solo, kind, count) != NULL) {
        count++;
    }
    return count;
}

/* Bytes that were kept for a node that dies are forgotten, in as many steps as it takes. */
static void test_bytes_kept_for_a_dead_node_are_forgotten(void **state)
{
    struct node_config config = {.resend_ms = 100};
    struct solo_page *p = solo_page_new(&config);
    struct record record = {.kind = RECORD_NODE, .id = {2, 3}, .epoch = 1};
    struct event died = {.kind = EVENT_RECORD, .record = &record};

    (void)state;
    for (uint32_t i = 0; i < KEPT; i++) {
        struct message forward;

        solo_page_have(p, i, true, 3);
        forward = solo_page_message(p, MESSAGE_FORWARD, 0, i, 1, 9);
        forward.flags = FLAG_WRITE;
        forward.requester = 2;
        forward.request = (5 + i) * NODES_MAX;
        solo_page_say(p, &forward);
    }
    solo_forget(p->solo);
    record.revision = ++p->solo->revision;
    solo_step_once(p->solo, &died);
    assert_true(count_of(p->solo, ACTION_FORGET) < KEPT);
    assert_true(node_deadline(p->solo->node) <= p->solo->now_ms);
    solo_advance(p->solo, 0);
    assert_int_equal(count_of(p->solo, ACTION_FORGET), KEPT);
    solo_page_free(p);
}

/* As many requests to home 0 as may be open. */
static void fill_window(struct solo_page *p, const struct record *record)
{
    map_id map;

    solo_record(p->solo, record);
    map = solo_map(p->solo, 1, record, NULL);
    for (uint64_t number = 0; number < WINDOW; number++) {
        solo_forget(p->solo);
        solo_fault(p->solo, map, number * 2, false); /* every other page: no range */
    }
    solo_forget(p->solo);
}

/* A page that cannot be announced stays, and goes with the next look once its LEAVE has room. */
static void test_page_leaves_when_there_is_room_to_say_so(void **state)
{
    struct node_config config = {.resend_ms = 100000, .budget_bytes = 4096};
    struct solo_page *p = solo_page_new(&config);
    struct record record = solo_region(6, 2 * WINDOW, 0);

    (void)state;
    solo_page_have(p, 0, true, 3);
    solo_page_have(p, 1, true, 3); /* just granted: neither goes yet */
    fill_window(p, &record);
    for (uint32_t i = 0; i < 10; i++) {
        solo_advance(p->solo, 30);
    }
    assert_null(solo_sent(p->solo, MESSAGE_LEAVE, 0));
    assert_int_equal(count_of(p->solo, ACTION_DROP), 0);
    record.deleted = true;
    solo_record(p->solo, &record);
    p->solo->now_ms += 30;
    solo_page_have(p, 2, true, 4);
    solo_page_have(p, 3, true, 4);
    for (uint32_t i = 0; i < 10; i++) {
        solo_advance(p->solo, 30);
    }
    assert_non_null(solo_sent(p->solo, MESSAGE_LEAVE, 0));
    assert_int_equal(solo_sent(p->solo, MESSAGE_LEAVE, 0)->to, 0);
    solo_page_free(p);
}

/* A node that leaves lets every copy go, of however many regions they are. */
static void test_retiring_node_drops_every_copy(void **state)
{
    struct node_config config = {.resend_ms = 100, .read_ahead_pages = 1};
    struct solo_page *p = solo_page_new(&config);
    struct record record = solo_region(6, CHUNKS * CHUNK_PAGES, 0);
    struct event retire = {.kind = EVENT_RETIRE};
    uint32_t count = 0;

    (void)state;
    solo_record(p->solo, &record);
    p->map = solo_map(p->solo, 1, &record, NULL);
    p->region = record.id;
    for (uint64_t number = 0; number < CHUNKS * CHUNK_PAGES; number += CHUNK_PAGES) {
        solo_page_have(p, number, false, 3);
    }
    assert_int_equal(solo_counters(p->solo)->pages_resident, CHUNKS);
    solo_step(p->solo, &(struct event){.kind = EVENT_CLIENT_GONE, .client_gone = 1});
    solo_forget(p->solo);
    solo_step(p->solo, &retire);
    for (uint32_t i = 0; i < p->solo->count; i++) {
        count += p->solo->list[i].kind == ACTION_DROP ? p->solo->list[i].count : 0;
    }
    assert_int_equal(count, CHUNKS);
    assert_int_equal(solo_counters(p->solo)->pages_resident, 0);
    assert_true(node_is_retired(p->solo->node));
    solo_page_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_kept_for_a_dead_node_are_forgotten),
        cmocka_unit_test(test_page_leaves_when_there_is_room_to_say_so),
        cmocka_unit_test(test_retiring_node_drops_every_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
