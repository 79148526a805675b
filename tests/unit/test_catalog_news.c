/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that the records here would answer wrongly, because the keeper's news are late (K2). */
#include "tests/sim/solo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CREATE CALL_OFLAG_CREATE
#define WRITE CALL_OFLAG_WRITE
#define EXCLUSIVE CALL_OFLAG_EXCLUSIVE
#define TRUNCATE CALL_OFLAG_TRUNCATE
#define WAITS 1
#define NO_REGION ((region_id){0, 0})

/* Node 1 of three, whose keeper is the test: it tells its news when it is asked for them. */
static int set_up(void **state)
{
    struct node_config config = {.budget_bytes = 1u << 19};
    struct solo *solo = solo_new(1, 3, &config);

    solo->keeps_news = true;
    *state = solo;
    return 0;
}

static int tear_down(void **state)
{
    solo_free(*state);
    return 0;
}

/* "/r" of user 100, open on this node, four pages. */
static struct record region_of(uint32_t slot)
{
    struct record record = solo_region(slot, 4, 0);

    memcpy(record.name, "/r", 3);
    record.uid = 100;
    record.readers = record.writers = nodeset_of(1);
    return record;
}

static struct call name_call(uint32_t kind, uint32_t oflag)
{
    struct call call = {.kind = (uint8_t)kind,
                        .object = RECORD_REGION,
                        .oflag = (uint8_t)oflag,
                        .mode = 0600,
                        .name = "/r",
                        .credential = {.uid = 100, .gid = 100}};

    return call;
}

/* The call waits, the news are told, and then it ends so. */
static void expect(struct solo *solo, uint64_t number, int32_t error)
{
    assert_int_equal(solo_error(solo, number), WAITS);
    assert_int_equal(solo->count_asked, 1);
    solo_tell(solo, 0);
    assert_int_equal(solo->count_asked, 0);
    assert_int_equal(solo_error(solo, number), error);
}

static uint64_t open_here(struct solo *solo, client_id client, uint32_t oflag)
{
    struct call call = name_call(CALL_OPEN, oflag);
    uint64_t number = solo_call(solo, client, &call);

    expect(solo, number, 0);
    return solo_reply(solo, number)->handle;
}

/* --- names --- */

static void test_name_is_missing_only_when_the_keeper_has_none(void **state)
{
    struct solo *solo = *state;
    static const uint8_t kinds[] = {CALL_OPEN, CALL_UNLINK};

    for (uint32_t i = 0; i < 2; i++) {
        struct call call = name_call(kinds[i], WRITE);

        expect(solo, solo_call(solo, 1, &call), DSM_ENOENT);
    }
    assert_null(solo_proposed(solo, 0));
}

static void test_name_that_another_node_has_made_is_found(void **state)
{
    struct solo *solo = *state;
    struct call call = name_call(CALL_OPEN, WRITE);
    struct record record = region_of(5);
    uint64_t number = solo_call(solo, 1, &call);

    record.readers = record.writers = nodeset_of(2);
    assert_int_equal(solo_error(solo, number), WAITS);
    solo_record(solo, &record);
    solo_tell(solo, 0);
    solo_agree(solo); /* it is let in */
    assert_int_equal(solo_error(solo, number), 0);
    assert_true(region_id_equal(solo_reply(solo, number)->region, record.id));
    assert_int_equal(solo->count_asked, 0);
}

static void test_name_that_another_node_has_made_is_unlinked(void **state)
{
    struct solo *solo = *state;
    struct call call = name_call(CALL_UNLINK, 0);
    struct record record = region_of(5);
    uint64_t number = solo_call(solo, 1, &call);

    solo_record(solo, &record);
    solo_tell(solo, 0);
    assert_true(solo_proposed(solo, 0)->record.unlinked);
    solo_agree(solo);
    assert_int_equal(solo_error(solo, number), 0);
}

static void test_name_that_was_unlinked_meanwhile_may_be_taken(void **state)
{
    struct solo *solo = *state;
    struct call call = name_call(CALL_OPEN, WRITE | CREATE | EXCLUSIVE);
    struct record record = region_of(5);
    uint64_t number;

    solo_record(solo, &record);
    expect(solo, solo_call(solo, 1, &call), DSM_EEXIST);
    number = solo_call(solo, 1, &call);
    assert_int_equal(solo_error(solo, number), WAITS);
    record.unlinked = true;
    solo_record(solo, &record);
    solo_tell(solo, 0);
    assert_int_equal(solo_proposed(solo, 0)->kind, PROPOSAL_CREATE);
}

/* The mode of a region never changes, but its name may be that of another one by now. */
static void test_rights_are_those_of_what_has_the_name_now(void **state)
{
    struct solo *solo = *state;
    static const uint8_t kinds[] = {CALL_OPEN, CALL_UNLINK};

    for (uint32_t i = 0; i < 2; i++) {
        struct call call = name_call(kinds[i], WRITE);
        struct record old = region_of(5 + 2 * i), new = region_of(6 + 2 * i);
        uint64_t number;

        old.uid = 7;
        old.mode = 0600;
        solo_record(solo, &old);
        expect(solo, solo_call(solo, 1, &call), DSM_EACCES);
        number = solo_call(solo, 1, &call);
        assert_int_equal(solo_error(solo, number), WAITS);
        old.unlinked = true;
        solo_record(solo, &old);
        solo_record(solo, &new);
        solo_tell(solo, 0);
        if (kinds[i] == CALL_UNLINK) {
            solo_agree(solo);
        }
        assert_int_equal(solo_error(solo, number), 0);
        new.unlinked = true;
        solo_record(solo, &new);
    }
}

/* Another program here has the old one open, so nothing has to be proposed: still it is asked. */
static void test_name_of_a_region_that_is_open_here_may_be_that_of_another_one(void **state)
{
    struct solo *solo = *state;
    struct call call = name_call(CALL_OPEN, WRITE);
    struct record old = region_of(5), new = region_of(6);
    uint64_t number;

    solo_record(solo, &old);
    open_here(solo, 1, WRITE);
    number = solo_call(solo, 2, &call);
    assert_int_equal(solo_error(solo, number), WAITS);
    old.unlinked = true;
    solo_record(solo, &old);
    solo_record(solo, &new);
    solo_tell(solo, 0);
    assert_int_equal(solo_error(solo, number), 0);
    assert_true(region_id_equal(solo_reply(solo, number)->region, new.id));
}

/* --- what it costs --- */

static void test_first_program_of_a_node_costs_one_proposal(void **state)
{
    struct solo *solo = *state;
    struct call call = name_call(CALL_OPEN, WRITE);
    struct record record = region_of(5);
    uint64_t number;

    record.readers = record.writers = NODESET_EMPTY;
    solo_record(solo, &record);
    number = solo_call(solo, 1, &call);
    assert_int_equal(solo->count_asked, 0);
    solo_agree(solo);
    assert_int_equal(solo_error(solo, number), 0);
    assert_int_equal(solo->count_asked, 0);
    assert_null(solo_proposed(solo, 1));
}

/* A proposal that lost has brought the news as well. */
static void test_conflict_is_not_followed_by_another_question(void **state)
{
    struct solo *solo = *state;
    struct call call = name_call(CALL_OPEN, WRITE);
    struct record record = region_of(5);
    uint64_t number;

    record.readers = record.writers = NODESET_EMPTY;
    solo_record(solo, &record);
    number = solo_call(solo, 1, &call);
    record.deleted = true;
    solo_record(solo, &record);
    solo_decide(solo, DSM_ESTALE, NO_REGION);
    assert_int_equal(solo_error(solo, number), DSM_ENOENT);
    assert_int_equal(solo->count_asked, 0);
}

/* --- the keeper is away --- */

static void test_call_that_needs_news_ends_with_the_keepers_error(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(5);
    struct call open = name_call(CALL_OPEN, WRITE), unlink = name_call(CALL_UNLINK, 0);
    struct call stat = {.kind = CALL_STAT};
    const struct call *calls[] = {&open, &unlink, &stat};

    solo_record(solo, &record);
    stat.handle = open_here(solo, 1, WRITE);
    record.unlinked = true;
    solo_record(solo, &record);
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t number = solo_call(solo, 1, calls[i]);

        assert_int_equal(solo_error(solo, number), WAITS);
        solo_tell(solo, DSM_EKEEPER);
        assert_int_equal(solo_error(solo, number), DSM_EKEEPER);
    }
}

/* --- sizes --- */

static void test_size_is_that_which_another_node_has_given(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(5);
    struct call stat = {.kind = CALL_STAT};
    uint64_t number;

    solo_record(solo, &record);
    stat.handle = open_here(solo, 1, WRITE);
    number = solo_call(solo, 1, &stat);
    assert_int_equal(solo_error(solo, number), WAITS);
    record.size_bytes = 9 * 4096;
    solo_record(solo, &record);
    solo_tell(solo, 0);
    assert_int_equal(solo_reply(solo, number)->size_bytes, 9 * 4096);
}

static void test_range_is_beyond_the_region_only_when_the_keeper_knows_none_larger(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(5);
    struct call map = {.kind = CALL_MAP, .rights = RIGHTS_READ, .size_bytes = 5 * 4096};
    struct call add = {
        .kind = CALL_SYNC, .op = SYNC_FETCH_ADD, .offset = 4 * 4096 - 4, .timeout_ms = -1};
    struct call lock = {
        .kind = CALL_SYNC, .op = SYNC_LOCK, .offset = 4 * 4096 - 4, .timeout_ms = -1};
    uint64_t number;

    solo_record(solo, &record);
    map.handle = add.handle = lock.handle = open_here(solo, 1, WRITE);
    expect(solo, solo_call(solo, 1, &map), DSM_ERANGE);
    expect(solo, solo_call(solo, 1, &add), DSM_EINVAL);
    solo_call(solo, 1, &lock); /* within: nobody is asked */
    assert_int_equal(solo->count_asked, 0);
    lock.offset = 4 * 4096;
    expect(solo, solo_call(solo, 1, &lock), DSM_ERANGE);
    number = solo_call(solo, 1, &map);
    assert_int_equal(solo_error(solo, number), WAITS);
    record.size_bytes = 5 * 4096;
    solo_record(solo, &record);
    solo_tell(solo, 0);
    assert_int_equal(solo_error(solo, number), 0);
    map.size_bytes = 4096;
    assert_int_equal(solo_do(solo, 1, &map), 0);
}

static void test_handle_that_goes_while_the_news_are_awaited_is_stale(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(5);
    struct call stat = {.kind = CALL_STAT}, close = {.kind = CALL_CLOSE};
    struct event gone = {.kind = EVENT_CLIENT_GONE, .client_gone = 2};
    uint64_t number, other;

    solo_record(solo, &record);
    other = open_here(solo, 2, WRITE);
    stat.handle = close.handle = open_here(solo, 1, WRITE);
    number = solo_call(solo, 1, &stat);
    assert_int_equal(solo_do(solo, 1, &close), 0);
    solo_tell(solo, 0);
    assert_int_equal(solo_error(solo, number), DSM_ESTALE);
    stat.handle = other;
    number = solo_call(solo, 2, &stat);
    solo_step(solo, &gone);
    solo_tell(solo, 0);
    assert_int_equal(solo_error(solo, number), WAITS); /* nobody is left to be told */
}

/* --- what the keeper has done for the call --- */

/* The region that was to be truncated was another one by then. */
static void test_truncation_is_not_forgotten_when_another_node_was_faster(void **state)
{
    struct solo *solo = *state;
    struct call call = name_call(CALL_OPEN, WRITE | TRUNCATE);
    struct record old = region_of(5), new = region_of(6);

    solo_record(solo, &old);
    solo_call(solo, 1, &call);
    old.unlinked = true;
    solo_record(solo, &old);
    solo_record(solo, &new);
    solo_decide(solo, DSM_EAGAIN, NO_REGION);
    assert_int_equal(solo_proposed(solo, 1)->kind, PROPOSAL_CREATE);
    assert_true(region_id_equal(solo_proposed(solo, 1)->replaces, new.id));
}

/* Unlinked between the keeper's consent and its news: this node is entered, so it has to be left
 * some time, and the call has been granted. */
static void test_region_that_the_keeper_has_let_in_to_is_opened_without_its_name(void **state)
{
    struct solo *solo = *state;
    struct call call = name_call(CALL_OPEN, WRITE), close = {.kind = CALL_CLOSE};
    struct record record = region_of(5);
    uint64_t number;

    record.readers = record.writers = nodeset_of(2);
    solo_record(solo, &record);
    number = solo_call(solo, 1, &call);
    record = solo_proposed(solo, 0)->record;
    record.unlinked = true;
    solo_record(solo, &record);
    solo_decide(solo, 0, record.id);
    assert_int_equal(solo_error(solo, number), 0);
    assert_true(region_id_equal(solo_reply(solo, number)->region, record.id));
    close.handle = solo_reply(solo, number)->handle;
    assert_int_equal(solo_do(solo, 1, &close), 0);
    assert_int_equal(nodeset_word(solo_proposed(solo, 1)->record.readers),
                     nodeset_word(nodeset_of(2)));
}

static void test_region_that_was_made_is_opened_though_its_name_went(void **state)
{
    struct solo *solo = *state;
    struct call call = name_call(CALL_OPEN, WRITE | CREATE);
    uint64_t number = solo_call(solo, 1, &call);
    struct record record = solo_proposed(solo, 0)->record;

    record.id = (region_id){7, 70};
    record.unlinked = true;
    solo_record(solo, &record);
    solo_decide(solo, 0, record.id);
    assert_int_equal(solo_error(solo, number), 0);
    assert_true(region_id_equal(solo_reply(solo, number)->region, record.id));
    assert_null(solo_proposed(solo, 1));
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_name_is_missing_only_when_the_keeper_has_none),
        FIXTURE(test_name_that_another_node_has_made_is_found),
        FIXTURE(test_name_that_another_node_has_made_is_unlinked),
        FIXTURE(test_name_that_was_unlinked_meanwhile_may_be_taken),
        FIXTURE(test_rights_are_those_of_what_has_the_name_now),
        FIXTURE(test_name_of_a_region_that_is_open_here_may_be_that_of_another_one),
        FIXTURE(test_first_program_of_a_node_costs_one_proposal),
        FIXTURE(test_conflict_is_not_followed_by_another_question),
        FIXTURE(test_call_that_needs_news_ends_with_the_keepers_error),
        FIXTURE(test_size_is_that_which_another_node_has_given),
        FIXTURE(test_range_is_beyond_the_region_only_when_the_keeper_knows_none_larger),
        FIXTURE(test_handle_that_goes_while_the_news_are_awaited_is_stale),
        FIXTURE(test_truncation_is_not_forgotten_when_another_node_was_faster),
        FIXTURE(test_region_that_the_keeper_has_let_in_to_is_opened_without_its_name),
        FIXTURE(test_region_that_was_made_is_opened_though_its_name_went),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
