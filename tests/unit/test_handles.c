/* SPDX-License-Identifier: Apache-2.0 */
/* What programs do with what they have open: map, grow, unlink, close; what goes when they go. */
#include "dsm/core/node_parts.h"
#include "tests/sim/solo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WAITS 1

/* Node 1 of three has let programs open region "/r5" of 4 pages, of user 100. */
static int set_up(void **state)
{
    struct node_config config = {.region_bytes_max = 1u << 20, .budget_bytes = 1u << 19};
    struct solo *solo = solo_new(1, 3, &config);
    struct record record = solo_region(5, 4, 0);

    record.uid = 100;
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

static const struct record *record_now(const struct solo *solo)
{
    return node_record(solo->node, (region_id){5, 1005});
}

static uint64_t open_region(struct solo *solo, client_id client, uint32_t oflag)
{
    struct call call = {
        .kind = CALL_OPEN, .object = RECORD_REGION, .oflag = (uint8_t)oflag, .name = "/r5"};
    const struct reply *reply = solo_reply(solo, solo_call(solo, client, &call));

    assert_non_null(reply);
    assert_int_equal(reply->error, 0);
    return reply->handle;
}

static int32_t close_handle(struct solo *solo, client_id client, uint64_t handle)
{
    struct call call = {.kind = CALL_CLOSE, .handle = handle};

    return solo_do(solo, client, &call);
}

/* --- handles --- */

static void test_stale_and_foreign_handles_are_refused(void **state)
{
    struct solo *solo = *state;
    uint64_t handle = open_region(solo, 1, CALL_OFLAG_WRITE);
    static const uint8_t kinds[] = {CALL_CLOSE, CALL_TRUNCATE, CALL_STAT, CALL_MAP, CALL_SYNC};

    open_region(solo, 2, 0);
    for (uint32_t i = 0; i < sizeof(kinds); i++) {
        struct call call = {.kind = kinds[i], .handle = handle, .size_bytes = 1, .op = SYNC_LOCK,
                            .rights = RIGHTS_READ};

        assert_int_equal(solo_do(solo, 2, &call), DSM_ESTALE); /* of client 1 */
        call.handle = handle + CLIENT_BUCKETS; /* looked for where that one lies */
        assert_int_equal(solo_do(solo, 1, &call), DSM_ESTALE);
    }
    assert_int_equal(close_handle(solo, 1, handle), 0);
    assert_int_equal(close_handle(solo, 1, handle), DSM_ESTALE);
}

static void test_stat_tells_what_the_catalog_says_now(void **state)
{
    struct solo *solo = *state;
    struct call call = {.kind = CALL_STAT, .handle = open_region(solo, 1, 0)};
    struct record record = *record_now(solo);
    const struct reply *reply;

    record.size_bytes = 5 * 4096;
    record.gid = 77;
    solo_record(solo, &record);
    reply = solo_reply(solo, solo_call(solo, 1, &call));
    assert_int_equal(reply->error, 0);
    assert_int_equal(reply->size_bytes, 5 * 4096);
    assert_int_equal(reply->page_size, 4096);
    assert_int_equal(reply->uid, 100);
    assert_int_equal(reply->gid, 77);
    assert_int_equal(reply->mode, 0666);
    assert_int_equal(reply->node, NODE_NONE);
}

static void test_region_that_is_deleted_makes_its_handles_stale(void **state)
{
    struct solo *solo = *state;
    struct record record = *record_now(solo);
    uint64_t handle;
    map_id map = solo_map(solo, 1, &record, &handle);
    struct call stat = {.kind = CALL_STAT, .handle = handle};
    struct call unmap = {.kind = CALL_UNMAP, .map = map};

    solo_fault(solo, map, 1, true);
    record.deleted = true;
    solo_record(solo, &record);
    assert_non_null(solo_action(solo, ACTION_REGION_CLOSE, 0));
    assert_int_equal(solo_do(solo, 1, &stat), DSM_ESTALE);
    assert_int_equal(solo_do(solo, 1, &unmap), DSM_EINVAL);
    assert_int_equal(close_handle(solo, 1, handle), 0);
    assert_null(solo_proposed(solo, 0)); /* nothing to leave */
    solo_fault(solo, map, 1, true);
    assert_null(solo_sent(solo, MESSAGE_WRITE, 1));
}

/* --- mappings --- */

static void test_map_checks_offset_range_and_rights(void **state)
{
    struct solo *solo = *state;
    static const struct {
        uint64_t offset, size_bytes;
        uint32_t rights;
        int32_t error;
    } cases[] = {
        {0, 4 * 4096, 6, 0},
        {4096, 1, 4, 0}, /* rounded up to a page */
        {0, 0, 4, DSM_EINVAL},
        {1, 4096, 4, DSM_EINVAL},
        {2048, 4096, 4, DSM_EINVAL},
        {0, 4096, 0, DSM_EINVAL},
        {0, 4096, 2, DSM_EINVAL}, /* a page that is written is read too */
        {0, 4096, 12, DSM_EACCES},
        {0, 4 * 4096 + 1, 4, DSM_ERANGE},
        {4 * 4096, 1, 4, DSM_ERANGE},
        {4096, UINT64_MAX, 4, DSM_ERANGE},
        {UINT64_MAX - 4095, 4096, 4, DSM_ERANGE},
    };
    struct call call = {.kind = CALL_MAP, .handle = open_region(solo, 1, CALL_OFLAG_WRITE)};

    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        call.offset = cases[i].offset;
        call.size_bytes = cases[i].size_bytes;
        call.rights = (uint8_t)cases[i].rights;
        if (solo_do(solo, 1, &call) != cases[i].error) {
            fail_msg("case %u", i);
        }
    }
    call.handle = open_region(solo, 1, 0);
    call.offset = 0;
    call.size_bytes = 4096;
    call.rights = RIGHTS_READ | RIGHTS_WRITE;
    assert_int_equal(solo_do(solo, 1, &call), DSM_EACCES);
    call.rights = RIGHTS_READ;
    assert_int_equal(solo_do(solo, 1, &call), 0);
}

static void test_maps_have_numbers_of_their_own_and_the_region_is_opened_once(void **state)
{
    struct solo *solo = *state;
    struct call call = {.kind = CALL_MAP, .handle = open_region(solo, 1, CALL_OFLAG_WRITE),
                        .offset = 4096, .size_bytes = 5000, .rights = RIGHTS_READ};
    const struct reply *reply = solo_reply(solo, solo_call(solo, 1, &call));
    map_id first = reply->map;

    assert_true(first != 0);
    assert_int_equal(reply->size_bytes, 8192);
    assert_int_equal(solo_action(solo, ACTION_REGION_OPEN, 0)->open.size_bytes, 4 * 4096);
    reply = solo_reply(solo, solo_call(solo, 1, &call));
    assert_true(reply->map != first);
    assert_null(solo_action(solo, ACTION_REGION_OPEN, 1));
}

static void test_faults_outside_the_mapping_are_ignored(void **state)
{
    struct solo *solo = *state;
    struct call call = {.kind = CALL_MAP, .handle = open_region(solo, 1, CALL_OFLAG_WRITE),
                        .offset = 4096, .size_bytes = 4096, .rights = RIGHTS_READ};
    map_id map = solo_reply(solo, solo_call(solo, 1, &call))->map;

    solo_fault(solo, map, 0, false);
    solo_fault(solo, map, 2, false);
    solo_fault(solo, map + 1, 1, false);
    solo_fault(solo, 0, 1, false);
    assert_int_equal(solo_counters(solo)->faults, 0);
    solo_fault(solo, map, 1, true); /* a write through a mapping for reading asks to read */
    assert_int_equal(solo_counters(solo)->faults, 1);
    assert_non_null(solo_sent(solo, MESSAGE_READ, 0));
}

static void test_unmap_is_by_whom_it_belongs_to_and_once(void **state)
{
    struct solo *solo = *state;
    struct record record = *record_now(solo);
    struct call call = {.kind = CALL_UNMAP, .map = solo_map(solo, 1, &record, NULL)};

    open_region(solo, 2, 0);
    assert_int_equal(solo_do(solo, 2, &call), DSM_EINVAL);
    assert_null(solo_action(solo, ACTION_MAP_GONE, 0));
    assert_int_equal(solo_do(solo, 1, &call), 0);
    assert_int_equal(solo_action(solo, ACTION_MAP_GONE, 0)->map, call.map);
    assert_int_equal(solo_do(solo, 1, &call), DSM_EINVAL);
}

static void test_semaphore_can_be_neither_mapped_nor_grown(void **state)
{
    struct solo *solo = *state;
    struct record record = {.kind = RECORD_SEM,
                            .id = {6, 60},
                            .name = "/s",
                            .mode = 0666,
                            .homes = nodeset_from_word(1),
                            .readers = nodeset_below(NODES_MAX),
                            .writers = nodeset_below(NODES_MAX)};
    struct call open = {.kind = CALL_OPEN, .object = RECORD_SEM, .name = "/s"};
    struct call map = {.kind = CALL_MAP, .size_bytes = 1, .rights = RIGHTS_READ};
    struct call grow = {.kind = CALL_TRUNCATE, .size_bytes = 4096};

    solo_record(solo, &record);
    map.handle = grow.handle = solo_reply(solo, solo_call(solo, 1, &open))->handle;
    assert_int_equal(solo_do(solo, 1, &map), DSM_EINVAL);
    assert_int_equal(solo_do(solo, 1, &grow), DSM_EINVAL);
    assert_null(solo_proposed(solo, 0));
}

/* --- size --- */

static void test_region_grows_and_never_shrinks(void **state)
{
    struct solo *solo = *state;
    struct record record = *record_now(solo);
    struct call call = {.kind = CALL_TRUNCATE, .size_bytes = 4 * 4096 - 1};
    uint64_t number;

    solo_map(solo, 1, &record, &call.handle);
    assert_int_equal(solo_do(solo, 1, &call), DSM_EINVAL);
    call.size_bytes = 4 * 4096;
    assert_int_equal(solo_do(solo, 1, &call), 0);
    assert_null(solo_proposed(solo, 0));
    call.size_bytes = 9 * 4096;
    number = solo_call(solo, 1, &call);
    assert_int_equal(solo_error(solo, number), WAITS);
    assert_int_equal(solo_proposed(solo, 0)->record.size_bytes, 9 * 4096);
    solo_agree(solo);
    assert_int_equal(solo_error(solo, number), 0);
    assert_int_equal(solo_reply(solo, number)->size_bytes, 9 * 4096);
    /* Its memory grows with it, as it is mapped here. */
    assert_int_equal(solo_action(solo, ACTION_REGION_OPEN, 1)->open.size_bytes, 9 * 4096);
}

static void test_sizes_beyond_the_bounds_are_refused(void **state)
{
    struct solo *solo = *state;
    struct call call = {.kind = CALL_TRUNCATE, .handle = open_region(solo, 1, CALL_OFLAG_WRITE)};
    static const uint64_t bad[] = {0, (1u << 20) + 1, (1u << 19) + 1, UINT64_MAX};

    for (uint32_t i = 0; i < 4; i++) {
        call.size_bytes = bad[i];
        assert_int_equal(solo_do(solo, 1, &call), DSM_ESIZE);
    }
    call.size_bytes = 1u << 19;
    assert_int_equal(solo_do(solo, 1, &call), WAITS); /* its home's whole budget */
}

static void test_striped_region_may_have_the_budgets_of_its_homes(void **state)
{
    struct solo *solo = *state;
    struct record record = *record_now(solo);
    struct call call = {.kind = CALL_TRUNCATE, .handle = open_region(solo, 1, CALL_OFLAG_WRITE),
                        .size_bytes = 1u << 20};

    assert_int_equal(solo_do(solo, 1, &call), DSM_ESIZE);
    record.homes = nodeset_from_word(3);
    solo_record(solo, &record);
    assert_int_equal(solo_do(solo, 1, &call), WAITS);
    assert_non_null(solo_proposed(solo, 0));
}

static void test_unbounded_node_still_refuses_what_no_file_can_have(void **state)
{
    struct node_config config = {0};
    struct solo *solo = solo_new(1, 3, &config);
    struct record record = solo_region(5, 4, 0);
    struct call call = {.kind = CALL_TRUNCATE, .size_bytes = UINT64_MAX};

    (void)state;
    solo_record(solo, &record);
    call.handle = open_region(solo, 1, CALL_OFLAG_WRITE);
    assert_int_equal(solo_do(solo, 1, &call), DSM_ESIZE);
    call.size_bytes = UINT64_C(1) << 40;
    assert_int_equal(solo_do(solo, 1, &call), WAITS);
    solo_free(solo);
}

static void test_reader_may_not_grow_it(void **state)
{
    struct solo *solo = *state;
    struct call call = {
        .kind = CALL_TRUNCATE, .handle = open_region(solo, 1, 0), .size_bytes = 9 * 4096};

    assert_int_equal(solo_do(solo, 1, &call), DSM_EACCES);
}

static void test_region_that_goes_while_it_grows_is_stale(void **state)
{
    struct solo *solo = *state;
    struct record record = *record_now(solo);
    struct call call = {.kind = CALL_TRUNCATE, .handle = open_region(solo, 1, CALL_OFLAG_WRITE),
                        .size_bytes = 9 * 4096};
    uint64_t number = solo_call(solo, 1, &call);

    record.deleted = true;
    solo_record(solo, &record);
    solo_decide(solo, DSM_ESTALE, (region_id){0, 0});
    assert_int_equal(solo_error(solo, number), DSM_ESTALE);
}

/* --- unlink --- */

static void test_unlink_is_for_the_owner_and_root(void **state)
{
    struct solo *solo = *state;
    struct call call = {.kind = CALL_UNLINK, .object = RECORD_REGION, .name = "/r5",
                        .credential = {.uid = 7}};
    uint64_t number;

    assert_int_equal(solo_do(solo, 1, &call), DSM_EACCES);
    call.object = RECORD_SEM; /* names of semaphores are others */
    assert_int_equal(solo_do(solo, 1, &call), DSM_ENOENT);
    call.object = RECORD_REGION;
    call.credential.uid = 100;
    number = solo_call(solo, 1, &call);
    assert_true(solo_proposed(solo, 0)->record.unlinked);
    solo_decide(solo, DSM_EAGAIN, (region_id){0, 0}); /* the record has moved: once more */
    assert_non_null(solo_proposed(solo, 1));
    solo_agree(solo);
    assert_int_equal(solo_error(solo, number), 0);
    assert_int_equal(solo_do(solo, 1, &call), DSM_ENOENT);
    call.credential.uid = 0;
    memcpy(call.name, "/x", 3);
    assert_int_equal(solo_do(solo, 1, &call), DSM_ENOENT);
}

static void test_unlinked_region_goes_with_its_last_user(void **state)
{
    struct solo *solo = *state;
    struct call unlink = {.kind = CALL_UNLINK, .object = RECORD_REGION, .name = "/r5"};
    struct record record = *record_now(solo);
    uint64_t handle;
    map_id map;

    record.readers = record.writers = nodeset_of(1);
    solo_record(solo, &record);
    map = solo_map(solo, 1, &record, &handle);
    solo_call(solo, 1, &unlink);
    solo_agree(solo);
    assert_int_equal(close_handle(solo, 1, handle), 0);
    assert_null(solo_proposed(solo, 1)); /* it is still mapped */
    assert_int_equal(solo_do(solo, 1, &(struct call){.kind = CALL_UNMAP, .map = map}), 0);
    assert_int_equal(nodeset_word(solo_proposed(solo, 1)->record.readers), 0);
    assert_int_equal(nodeset_word(solo_proposed(solo, 1)->record.writers), 0);
    solo_agree(solo);
    assert_non_null(solo_action(solo, ACTION_REGION_CLOSE, 0));
    assert_null(record_now(solo));
}

/* --- leaving --- */

static void test_last_close_leaves_and_an_open_meanwhile_waits(void **state)
{
    struct solo *solo = *state;
    struct call open = {.kind = CALL_OPEN, .object = RECORD_REGION, .name = "/r5"};
    uint64_t first = open_region(solo, 1, CALL_OFLAG_WRITE), number;
    uint64_t second = open_region(solo, 2, CALL_OFLAG_WRITE);

    close_handle(solo, 1, first);
    assert_null(solo_proposed(solo, 0)); /* one is left */
    close_handle(solo, 2, second);
    assert_false(nodeset_has(solo_proposed(solo, 0)->record.readers, 1));
    number = solo_call(solo, 3, &open);
    assert_int_equal(solo_error(solo, number), WAITS);
    assert_null(solo_proposed(solo, 1));
    solo_agree(solo); /* now it may ask to be let in again */
    assert_true(nodeset_has(solo_proposed(solo, 1)->record.readers, 1));
    solo_agree(solo);
    assert_int_equal(solo_error(solo, number), 0);
}

static void test_leave_that_meets_another_change_is_tried_again(void **state)
{
    struct solo *solo = *state;
    struct record record;

    close_handle(solo, 1, open_region(solo, 1, 0));
    record = *record_now(solo);
    record.size_bytes = 8 * 4096;
    solo_record(solo, &record);
    solo_decide(solo, DSM_EAGAIN, (region_id){0, 0});
    assert_int_equal(solo_proposed(solo, 1)->record.size_bytes, 8 * 4096);
    assert_false(nodeset_has(solo_proposed(solo, 1)->record.readers, 1));
    solo_decide(solo, DSM_ESTALE, (region_id){0, 0}); /* gone in the meantime: done */
    assert_null(solo_proposed(solo, 2));
}

static void test_open_that_waits_for_a_leave_goes_on_when_the_keeper_is_away(void **state)
{
    struct solo *solo = *state;
    struct call open = {
        .kind = CALL_OPEN, .object = RECORD_REGION, .oflag = CALL_OFLAG_WRITE, .name = "/r5"};
    uint64_t number, handle;

    close_handle(solo, 1, open_region(solo, 1, 0));
    number = solo_call(solo, 2, &open);
    assert_int_equal(solo_error(solo, number), WAITS);
    solo_decide(solo, DSM_EKEEPER, (region_id){0, 0});
    assert_int_equal(solo_error(solo, number), 0); /* this node is entered still */
    handle = solo_reply(solo, number)->handle;
    assert_null(solo_proposed(solo, 1));
    close_handle(solo, 2, handle);
    assert_non_null(solo_proposed(solo, 1));
    solo_agree(solo);
    assert_null(solo_proposed(solo, 2));
}

static void test_leave_is_made_up_for_when_the_keeper_is_back(void **state)
{
    struct solo *solo = *state;
    struct call unlink = {.kind = CALL_UNLINK, .object = RECORD_REGION, .name = "/nothing"};

    close_handle(solo, 1, open_region(solo, 1, 0));
    solo_decide(solo, DSM_EKEEPER, (region_id){0, 0});
    assert_null(solo_proposed(solo, 1));
    assert_int_equal(solo_do(solo, 1, &unlink), DSM_ENOENT); /* any other ticket that ends */
    assert_false(nodeset_has(solo_proposed(solo, 1)->record.readers, 1));
}

static void test_program_that_goes_gives_up_all_it_has(void **state)
{
    struct solo *solo = *state;
    struct record record = *record_now(solo);
    struct event gone = {.kind = EVENT_CLIENT_GONE, .client_gone = 1};
    struct event late = {.kind = EVENT_CALL};
    struct call stat = {.kind = CALL_STAT};
    struct actions *actions = calloc(1, sizeof(*actions));

    for (uint32_t i = 0; i < 50; i++) {
        solo_map(solo, 1, &record, NULL);
    }
    solo_forget(solo);
    gone.now_ms = late.now_ms = solo->now_ms;
    late.call.client = 1;
    late.call.number = 9999;
    late.call.call = &stat;
    node_step(solo->node, &gone, actions); /* takes the first of many steps */
    assert_true(node_deadline(solo->node) == 0);
    solo_step(solo, &late); /* a call that was on its way: nobody waits for the answer */
    assert_null(solo_reply(solo, 9999));
    assert_true(solo->steps > 2);
    assert_non_null(solo_action(solo, ACTION_MAP_GONE, 49 - ITEMS_PER_STEP));
    assert_null(solo_action(solo, ACTION_MAP_GONE, 50 - ITEMS_PER_STEP));
    assert_non_null(solo_proposed(solo, 0));
    free(actions);
    assert_int_equal(solo->node->clients.clients.count_free % 32, 0);
    solo_step(solo, &gone); /* unknown by now */
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_stale_and_foreign_handles_are_refused),
        FIXTURE(test_stat_tells_what_the_catalog_says_now),
        FIXTURE(test_region_that_is_deleted_makes_its_handles_stale),
        FIXTURE(test_map_checks_offset_range_and_rights),
        FIXTURE(test_maps_have_numbers_of_their_own_and_the_region_is_opened_once),
        FIXTURE(test_faults_outside_the_mapping_are_ignored),
        FIXTURE(test_unmap_is_by_whom_it_belongs_to_and_once),
        FIXTURE(test_semaphore_can_be_neither_mapped_nor_grown),
        FIXTURE(test_region_grows_and_never_shrinks),
        FIXTURE(test_sizes_beyond_the_bounds_are_refused),
        FIXTURE(test_striped_region_may_have_the_budgets_of_its_homes),
        cmocka_unit_test(test_unbounded_node_still_refuses_what_no_file_can_have),
        FIXTURE(test_reader_may_not_grow_it),
        FIXTURE(test_region_that_goes_while_it_grows_is_stale),
        FIXTURE(test_unlink_is_for_the_owner_and_root),
        FIXTURE(test_unlinked_region_goes_with_its_last_user),
        FIXTURE(test_last_close_leaves_and_an_open_meanwhile_waits),
        FIXTURE(test_leave_that_meets_another_change_is_tried_again),
        FIXTURE(test_open_that_waits_for_a_leave_goes_on_when_the_keeper_is_away),
        FIXTURE(test_leave_is_made_up_for_when_the_keeper_is_back),
        FIXTURE(test_program_that_goes_gives_up_all_it_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
