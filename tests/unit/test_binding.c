/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages that are bound to a mutex (binding.c): which are asked for, when, and until when. One node
 * alone; the others are played.
 */
#include "dsm/core/binding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "dsm/core/node_parts.h"
#include "dsm/core/window.h"
#include "tests/unit/binding_story.h"

static int solo_set_up(void **state)
{
    struct node_config config = {.resend_ms = 1000, .read_ahead_pages = 1};

    *state = solo_page_new(&config);
    return 0;
}

static int solo_set_up_groups(void **state)
{
    struct node_config config = {
        .resend_ms = 1000, .read_ahead_pages = 1, .page_bytes = 16 * SOLO_PAGE_BYTES};

    *state = solo_page_new(&config);
    return 0;
}

static int solo_tear_down(void **state)
{
    solo_page_free(*state);
    return 0;
}

static void test_range_that_will_not_do_is_refused(void **state)
{
    struct solo_page *p = *state;
    struct call open = {.kind = CALL_OPEN, .object = RECORD_REGION, .name = "/5"};
    struct call call = {.kind = CALL_BIND, .value = BOUND_AT, .size_bytes = 1};
    const uint64_t end = 600 * SOLO_PAGE_BYTES;
    const struct record *record = node_record(p->solo->node, p->region);
    struct record sealed = *record;

    assert_int_equal(story_bind(p, BOUND_AT, 0, DSM_BIND_BYTES_MAX + 1), DSM_EINVAL);
    assert_int_equal(story_bind(p, end, 0, 1), DSM_ERANGE);
    assert_int_equal(story_bind(p, BOUND_AT, end, 1), DSM_ERANGE);
    assert_int_equal(story_bind(p, BOUND_AT, end - 1, 2), DSM_ERANGE);
    assert_int_equal(story_bind(p, BOUND_AT, end + 1, 0), DSM_ERANGE);
    assert_int_equal(story_bind(p, BOUND_AT, end - DSM_BIND_BYTES_MAX, DSM_BIND_BYTES_MAX), 0);
    memcpy(open.name, record->name, sizeof(open.name));
    call.handle = solo_reply(p->solo, solo_call(p->solo, 3, &open))->handle;
    assert_int_equal(solo_do(p->solo, 3, &call), DSM_EACCES);
    sealed.sealed = true;
    sealed.writers = NODESET_EMPTY;
    solo_record(p->solo, &sealed);
    assert_int_equal(story_bind(p, BOUND_AT, 0, 1), DSM_ESEALED);
}

static void test_semaphore_has_no_range(void **state)
{
    struct solo_page *p = *state;
    struct record sem = solo_region(7, 1, 0);
    struct call open = {.kind = CALL_OPEN, .object = RECORD_SEM};

    sem.kind = RECORD_SEM;
    solo_record(p->solo, &sem);
    memcpy(open.name, sem.name, sizeof(open.name));
    p->handle = solo_reply(p->solo, solo_call(p->solo, 1, &open))->handle;
    assert_int_equal(story_bind(p, BOUND_AT, 0, 1), DSM_EINVAL);
}

/* Of each region; those of other programs count as well, and are theirs. */
static void test_only_so_many_are_bound(void **state)
{
    struct solo_page *p = *state;
    const struct record *record = node_record(p->solo->node, p->region);
    struct call unbind = {.kind = CALL_BIND, .value = 8};

    for (uint64_t i = 0; i < BINDINGS_MAX; i++) {
        assert_int_equal(story_bind(p, i, 0, 1), 0);
    }
    assert_int_equal(story_bind(p, BINDINGS_MAX, 0, 1), DSM_ENOMEM);
    assert_int_equal(story_bind(p, 7, 0, 2), 0); /* again */
    assert_int_equal(story_bind(p, 7, 0, 0), 0);
    assert_int_equal(story_bind(p, 7, 0, 0), 0); /* nothing to unbind */
    assert_int_equal(story_bind(p, BINDINGS_MAX, 0, 1), 0);
    (void)solo_map(p->solo, 2, record, &unbind.handle);
    assert_int_equal(solo_do(p->solo, 2, &unbind), 0);
    assert_int_equal(story_bind(p, 7, 0, 1), DSM_ENOMEM);
    story_use_window(p, 1);
    for (uint64_t i = 0; i < BINDINGS_MAX; i++) {
        assert_int_equal(story_bind(p, i, 0, 1), 0);
    }
}

/* Also the pages that the range has a byte of only; all through the program's own mapping. */
static void test_lock_asks_for_what_is_not_here(void **state)
{
    struct solo_page *p = *state;
    struct message sent;

    solo_page_have(p, BOUND_PAGE + 1, true, 5);
    solo_page_have(p, BOUND_PAGE + 2, false, 6);
    assert_int_equal(
        story_bind(p, BOUND_AT, BOUND_PAGE * SOLO_PAGE_BYTES + 4095, 3 * SOLO_PAGE_BYTES), 0);
    sent = story_lock(p);
    assert_int_equal(story_count_asked(p), 3);
    assert_int_equal(story_asked(p, 0).page, BOUND_PAGE);
    assert_int_equal(story_asked(p, 0).count, 1);
    assert_int_equal(story_asked(p, 1).page, BOUND_PAGE + 2);
    assert_int_equal(story_asked(p, 1).have, 6);
    assert_int_equal(story_asked(p, 2).page, BOUND_PAGE + 3);
    solo_forget(p->solo);
    story_answer_lock(p, &sent, 0);
    assert_int_equal(story_count_asked(p), 0); /* they are on their way */
}

static void test_pages_come_to_be_written_by_who_locks(void **state)
{
    struct solo_page *p = *state;
    struct message copy;

    solo_page_have(p, BOUND_PAGE, false, 5);
    story_bind_pages(p, BOUND_PAGE, 2);
    (void)story_lock(p);
    copy = story_asked(p, 0);
    story_grant_pages(p, story_asked(p, 1), 7);
    assert_int_equal(solo_action(p->solo, ACTION_FILL, 0)->map, p->map);
    assert_true(solo_action(p->solo, ACTION_FILL, 0)->write);
    copy.kind = MESSAGE_GRANT;
    copy.from = 0;
    copy.granted = 1;
    copy.version = 8;
    copy.flags = FLAG_COPY | FLAG_WRITE;
    solo_page_say(p, &copy);
    assert_int_equal(solo_action(p->solo, ACTION_ALLOW, 0)->map, p->map);
    assert_int_equal(solo_action(p->solo, ACTION_ALLOW, 0)->page, BOUND_PAGE);
}

/* Who has not mapped the pages, or not for writing, gets them as well. */
static void test_pages_come_without_a_mapping_of_who_locks(void **state)
{
    struct solo_page *p = *state;
    struct record other = solo_region(6, 600, 0);
    struct call unmap = {.kind = CALL_UNMAP, .map = p->map};
    struct call map = {.kind = CALL_MAP,
                       .handle = p->handle,
                       .rights = RIGHTS_READ,
                       .size_bytes = 2 * SOLO_PAGE_BYTES};

    assert_int_equal(solo_do(p->solo, 1, &unmap), 0);
    assert_int_equal(solo_do(p->solo, 1, &map), 0);
    map.rights |= RIGHTS_WRITE;
    assert_int_equal(solo_do(p->solo, 1, &map), 0);
    map.offset = 8 * SOLO_PAGE_BYTES;
    assert_int_equal(solo_do(p->solo, 1, &map), 0);
    solo_record(p->solo, &other);
    (void)solo_map(p->solo, 1, &other, NULL);
    story_bind_pages(p, BOUND_PAGE, 1);
    (void)story_lock(p);
    story_grant_pages(p, story_asked(p, 0), 5);
    assert_non_null(solo_sent(p->solo, MESSAGE_CONFIRM, 0));
}

/* A try asks when it is granted; what cannot come then, and what is lost, comes by faults. */
static void test_try_asks_for_nothing_before_it_is_granted(void **state)
{
    struct solo_page *p = *state;
    struct message sent;

    story_bind_pages(p, BOUND_PAGE, BOUND_COUNT);
    solo_forget(p->solo);
    (void)story_sync(p, SYNC_LOCK, 0);
    sent = *solo_sent(p->solo, MESSAGE_SYNC, 0);
    assert_int_equal(story_count_asked(p), 0);
    story_answer_lock(p, &sent, 0);
    assert_int_equal(story_count_asked(p), 1);
    assert_int_equal(story_asked(p, 0).count, BOUND_COUNT);
}

static void test_pages_of_a_sealed_region_are_not_asked_for(void **state)
{
    struct solo_page *p = *state;
    struct record sealed = *node_record(p->solo->node, p->region);
    struct message sent;

    story_bind_pages(p, BOUND_PAGE, BOUND_COUNT);
    solo_forget(p->solo);
    (void)story_sync(p, SYNC_LOCK, 0);
    sent = *solo_sent(p->solo, MESSAGE_SYNC, 0);
    sealed.sealed = true;
    sealed.writers = NODESET_EMPTY;
    solo_record(p->solo, &sealed);
    story_answer_lock(p, &sent, 0);
    assert_int_equal(story_count_asked(p), 0);
}

/* Other programs wait for so many mutexes that nothing more can be asked of the home. */
static void fill_window(struct solo_page *p)
{
    struct call call = {.kind = CALL_SYNC, .op = SYNC_LOCK, .handle = p->handle, .timeout_ms = -1};

    for (call.offset = 1000; context_has_window(&p->solo->node->context, 0); call.offset++) {
        assert_true(call.offset < 1000 + 2 * WINDOW);
        (void)solo_call(p->solo, 1, &call);
        solo_forget(p->solo);
    }
}

static void test_lock_that_waits_for_room_asks_for_nothing(void **state)
{
    struct solo_page *p = *state;

    story_bind_pages(p, BOUND_PAGE, BOUND_COUNT);
    fill_window(p);
    (void)story_sync(p, SYNC_LOCK, -1);
    assert_null(solo_sent(p->solo, MESSAGE_SYNC, 0));
    assert_int_equal(story_count_asked(p), 0);
}

static void test_lock_that_takes_the_last_room_asks_for_nothing(void **state)
{
    struct solo_page *p = *state;
    struct message first;

    story_bind_pages(p, BOUND_PAGE, BOUND_COUNT);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 100, true);
    first = story_asked(p, 0);
    fill_window(p);
    story_grant_pages(p, first, 5);
    (void)story_lock(p);
    assert_int_equal(story_count_asked(p), 0);
    assert_true(list_is_empty(&p->solo->node->bindings.asking));
}

static void test_pages_of_a_lost_home_are_not_asked_for(void **state)
{
    struct solo_page *p = *state;
    struct record striped = solo_region(6, 600, 1);
    struct message sent;

    striped.home = DSM_HOME_STRIPED;
    striped.homes = nodeset_of(0);
    nodeset_add(&striped.homes, 2);
    solo_record(p->solo, &striped);
    p->region = striped.id;
    p->map = solo_map(p->solo, 1, &striped, &p->handle);
    solo_member(p->solo, 2, 1, false, 2);
    assert_int_equal(story_bind(p, BOUND_AT, 60 * SOLO_PAGE_BYTES, 16 * SOLO_PAGE_BYTES), 0);
    sent = story_lock(p);
    assert_int_equal(sent.to, 0);
    for (uint32_t i = 0; i < story_count_asked(p); i++) {
        assert_int_equal(story_asked(p, i).to, 0);
    }
}

/* --- ends --- */

static void test_binding_ends_with_its_handle(void **state)
{
    struct solo_page *p = *state;
    struct call close = {.kind = CALL_CLOSE, .handle = p->handle};
    const struct record *record = node_record(p->solo->node, p->region);
    uint64_t other;

    story_hold(p);
    (void)solo_map(p->solo, 1, record, &other);
    assert_int_equal(solo_do(p->solo, 1, &close), 0);
    assert_true(story_want(p, BOUND_PAGE, BOUND_COUNT, true, 9));
    p->handle = other;
    (void)story_sync(p, SYNC_UNLOCK, -1);
    (void)story_lock(p);
    assert_int_equal(story_count_asked(p), 0);
}

static void test_binding_ends_with_its_program(void **state)
{
    struct solo_page *p = *state;
    struct event gone = {.kind = EVENT_CLIENT_GONE, .client_gone = 1};

    story_hold(p);
    solo_step(p->solo, &gone);
    assert_true(list_is_empty(&context_region(&p->solo->node->context, p->region)->bindings));
    assert_true(story_want(p, BOUND_PAGE, BOUND_COUNT, true, 9));
}

static void test_binding_ends_with_its_region(void **state)
{
    struct solo_page *p = *state;
    struct record record = *node_record(p->solo->node, p->region);
    struct call close = {.kind = CALL_CLOSE, .handle = p->handle};

    story_bind_pages(p, BOUND_PAGE, BOUND_COUNT);
    record.deleted = true;
    solo_record(p->solo, &record);
    assert_int_equal(solo_do(p->solo, 1, &close), 0);
    assert_null(context_region(&p->solo->node->context, p->region));
    for (uint32_t i = 0; i < BINDING_BUCKETS; i++) {
        assert_true(list_is_empty(&p->solo->node->bindings.by_key[i]));
    }
    solo_forget(p->solo);
}

/* What is put off for a mutex is of an old epoch when a member has died. */
static void test_death_of_a_member_ends_the_waiting(void **state)
{
    struct solo_page *p = *state;

    story_hold(p);
    assert_false(story_want(p, BOUND_PAGE, BOUND_COUNT, true, 9));
    solo_member(p->solo, 3, 1, false, 2);
    assert_int_equal(p->solo->node->pages.count_deferred, 0);
    assert_null(solo_sent(p->solo, MESSAGE_DATA, 0));
}

/* --- hardware pages that are larger --- */

static void test_whole_groups_are_asked_for(void **state)
{
    struct solo_page *p = *state;

    assert_int_equal(story_bind(p, BOUND_AT, 30 * SOLO_PAGE_BYTES, 4 * SOLO_PAGE_BYTES), 0);
    (void)story_lock(p);
    assert_int_equal(story_count_asked(p), 1);
    assert_int_equal(story_asked(p, 0).page, 16);
    assert_int_equal(story_asked(p, 0).count, 32);
    story_grant_pages(p, story_asked(p, 0), 5);
    assert_int_equal(solo_action(p->solo, ACTION_GATHER, 1)->page, 32);
    assert_int_equal(solo_action(p->solo, ACTION_GATHER, 1)->map, p->map);
}

#define SOLO(test) cmocka_unit_test_setup_teardown(test, solo_set_up, solo_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SOLO(test_range_that_will_not_do_is_refused),
        SOLO(test_semaphore_has_no_range),
        SOLO(test_only_so_many_are_bound),
        SOLO(test_lock_asks_for_what_is_not_here),
        SOLO(test_pages_come_to_be_written_by_who_locks),
        SOLO(test_pages_come_without_a_mapping_of_who_locks),
        SOLO(test_try_asks_for_nothing_before_it_is_granted),
        SOLO(test_pages_of_a_sealed_region_are_not_asked_for),
        SOLO(test_lock_that_waits_for_room_asks_for_nothing),
        SOLO(test_lock_that_takes_the_last_room_asks_for_nothing),
        SOLO(test_pages_of_a_lost_home_are_not_asked_for),
        SOLO(test_binding_ends_with_its_handle),
        SOLO(test_binding_ends_with_its_program),
        SOLO(test_binding_ends_with_its_region),
        SOLO(test_death_of_a_member_ends_the_waiting),
        cmocka_unit_test_setup_teardown(test_whole_groups_are_asked_for, solo_set_up_groups,
                                        solo_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
