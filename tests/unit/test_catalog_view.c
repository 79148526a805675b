/* SPDX-License-Identifier: Apache-2.0 */
/* Opening through the catalog: which rights are checked, what is proposed, what the keeper says. */
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

/* Node 1 of three, whose keeper is the test. */
static int set_up(void **state)
{
    struct node_config config = {.region_bytes_max = 1u << 20, .budget_bytes = 1u << 19};

    *state = solo_new(1, 3, &config);
    return 0;
}

static int tear_down(void **state)
{
    solo_free(*state);
    return 0;
}

/* A region "/r" of user 100, group 200, that no node has open. */
static struct record region_of(uint32_t mode)
{
    struct record record = solo_region(5, 4, 0);

    memcpy(record.name, "/r", 3);
    record.uid = 100;
    record.gid = 200;
    record.mode = mode;
    record.readers = record.writers = NODESET_EMPTY;
    return record;
}

static struct call open_call(uint32_t oflag, uint32_t uid, uint32_t gid)
{
    struct call call = {.kind = CALL_OPEN,
                        .object = RECORD_REGION,
                        .oflag = (uint8_t)oflag,
                        .mode = 0640,
                        .name = "/r",
                        .credential = {.uid = uid, .gid = gid}};

    return call;
}

/* Open without the keeper having to be asked: node 1 has it open already. */
static uint64_t open_region(struct solo *solo, client_id client, uint32_t oflag)
{
    struct call call = open_call(oflag, 100, 200);
    const struct reply *reply = solo_reply(solo, solo_call(solo, client, &call));

    assert_non_null(reply);
    assert_int_equal(reply->error, 0);
    return reply->handle;
}

/* --- open --- */

static void test_name_that_is_not_there_is_created_when_asked_for_only(void **state)
{
    struct solo *solo = *state;
    struct call call = open_call(WRITE, 100, 200);
    const struct proposal *proposal;
    struct record record;
    uint64_t number;

    assert_int_equal(solo_do(solo, 1, &call), DSM_ENOENT);
    call.oflag = WRITE | CREATE;
    call.mode = 07640;
    number = solo_call(solo, 1, &call);
    assert_int_equal(solo_error(solo, number), 1); /* waits for the keeper */
    proposal = solo_proposed(solo, 0);
    assert_int_equal(proposal->kind, PROPOSAL_CREATE);
    assert_string_equal(proposal->record.name, "/r");
    assert_int_equal(proposal->record.kind, RECORD_REGION);
    assert_int_equal(proposal->record.uid, 100);
    assert_int_equal(proposal->record.gid, 200);
    assert_int_equal(proposal->record.mode, 0640);
    assert_int_equal(proposal->record.size_bytes, 0);
    assert_int_equal(proposal->record.page_size, 4096);
    assert_int_equal(nodeset_word(proposal->record.homes), nodeset_word(nodeset_of(1)));
    assert_int_equal(nodeset_word(proposal->record.readers), nodeset_word(nodeset_of(1)));
    assert_int_equal(nodeset_word(proposal->record.writers), nodeset_word(nodeset_of(1)));
    assert_int_equal(proposal->credential.uid, 100);
    record = proposal->record;
    record.id = (region_id){7, 70};
    solo_record(solo, &record);
    solo_decide(solo, 0, record.id);
    assert_int_equal(solo_error(solo, number), 0);
    assert_true(region_id_equal(solo_reply(solo, number)->region, record.id));
    assert_int_equal(solo_reply(solo, number)->page_size, 4096);
    assert_int_equal(solo_reply(solo, number)->mode, 0640);
}

static void test_striped_region_is_homed_by_all_that_live(void **state)
{
    struct solo *solo = *state;
    struct call call = open_call(WRITE | CREATE, 100, 200);

    solo_member(solo, 2, 3, false, 1);
    call.home = DSM_HOME_STRIPED;
    call.page_size = 65536;
    solo_call(solo, 1, &call);
    assert_int_equal(nodeset_word(solo_proposed(solo, 0)->record.homes),
                     nodeset_word(nodeset_union(nodeset_of(0), nodeset_of(1))));
    assert_int_equal(solo_proposed(solo, 0)->record.page_size, 65536);
}

static void test_bad_names_and_options_are_refused_at_once(void **state)
{
    struct solo *solo = *state;
    static const uint32_t page_sizes[] = {1, 2048, 4095, 12288, 2u * DSM_PAGE_SIZE_MAX};
    struct call call = open_call(WRITE | CREATE, 100, 200);

    memcpy(call.name, "r", 2);
    assert_int_equal(solo_do(solo, 1, &call), DSM_ENAME);
    call.kind = CALL_UNLINK;
    assert_int_equal(solo_do(solo, 1, &call), DSM_ENAME);
    call = open_call(WRITE | CREATE, 100, 200);
    call.object = RECORD_NODE;
    assert_int_equal(solo_do(solo, 1, &call), DSM_EINVAL);
    call.object = RECORD_REGION;
    call.home = DSM_HOME_STRIPED + 1;
    assert_int_equal(solo_do(solo, 1, &call), DSM_EINVAL);
    call.home = 0;
    call.window_ms = DSM_WINDOW_MS_MAX + 1;
    assert_int_equal(solo_do(solo, 1, &call), DSM_EINVAL);
    call.window_ms = 0;
    for (uint32_t i = 0; i < sizeof(page_sizes) / sizeof(page_sizes[0]); i++) {
        call.page_size = page_sizes[i];
        assert_int_equal(solo_do(solo, 1, &call), DSM_EINVAL);
    }
    assert_null(solo_proposed(solo, 0));
    call.kind = CALL_NONE;
    assert_int_equal(solo_do(solo, 1, &call), DSM_EINVAL);
    call.kind = CALL_KINDS;
    assert_int_equal(solo_do(solo, 1, &call), DSM_EINVAL);
}

static void test_exclusive_creation_of_a_name_that_is_taken_fails(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(0666);
    struct call call = open_call(WRITE | CREATE | EXCLUSIVE, 100, 200);
    uint64_t number = solo_call(solo, 1, &call);

    solo_decide(solo, DSM_EEXIST, (region_id){0, 0}); /* another node was faster */
    assert_int_equal(solo_error(solo, number), DSM_EEXIST);
    solo_record(solo, &record);
    assert_int_equal(solo_do(solo, 1, &call), DSM_EEXIST);
    call.oflag = WRITE | EXCLUSIVE; /* means nothing without CREATE */
    assert_int_equal(solo_do(solo, 1, &call), 1);
}

static void test_creation_that_another_node_has_won_opens_what_is_there(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(0666);
    struct call call = open_call(WRITE | CREATE, 100, 200);
    uint64_t number = solo_call(solo, 1, &call);

    solo_record(solo, &record);
    solo_decide(solo, DSM_EEXIST, (region_id){0, 0});
    assert_int_equal(solo_proposed(solo, 1)->kind, PROPOSAL_UPDATE); /* to be let in */
    assert_int_equal(nodeset_word(solo_proposed(solo, 1)->record.readers),
                     nodeset_word(nodeset_of(1)));
    solo_agree(solo);
    assert_int_equal(solo_error(solo, number), 0);
    assert_true(region_id_equal(solo_reply(solo, number)->region, record.id));
}

static void test_mode_decides_who_may_open(void **state)
{
    struct solo *solo = *state;
    static const struct {
        uint32_t mode, uid, gid, oflag;
        int32_t error;
    } cases[] = {
        {0600, 100, 200, WRITE, 0},           {0400, 100, 200, WRITE, DSM_EACCES},
        {0400, 100, 200, 0, 0},               {0640, 7, 200, 0, 0},
        {0640, 7, 200, WRITE, DSM_EACCES},    {0640, 7, 8, 0, DSM_EACCES},
        {0604, 7, 8, 0, 0},                   {0600, 7, 8, TRUNCATE, DSM_EACCES},
        {0604, 7, 8, TRUNCATE, DSM_EACCES},   {0000, 0, 0, WRITE, 0},
        {0222, 7, 8, 0, DSM_EACCES},
    };

    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct record record = region_of(cases[i].mode);
        struct call call = open_call(cases[i].oflag, cases[i].uid, cases[i].gid);
        uint64_t number;

        record.readers = record.writers = nodeset_of(1);
        solo_record(solo, &record);
        number = solo_call(solo, 10 + i, &call); /* a client each: none of them closes */
        if (solo_error(solo, number) != cases[i].error) {
            fail_msg("case %u: error %d", i, (int)solo_error(solo, number));
        }
    }
    assert_null(solo_proposed(solo, 0));
}

static void test_group_may_be_a_supplementary_one(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(0640);
    struct call call = open_call(0, 7, 8);

    record.readers = nodeset_of(1);
    solo_record(solo, &record);
    assert_int_equal(solo_do(solo, 1, &call), DSM_EACCES);
    call.credential.count_groups = 1;
    call.credential.groups[0] = 200;
    assert_int_equal(solo_do(solo, 1, &call), 0);
}

/* As with open(2): who makes it may write it, though nobody may from then on. */
static void test_creator_may_use_what_its_mode_forbids(void **state)
{
    struct solo *solo = *state;
    struct call call = open_call(WRITE | CREATE | EXCLUSIVE, 100, 200);
    struct record record;
    uint64_t number;

    call.mode = 0;
    number = solo_call(solo, 1, &call);
    record = solo_proposed(solo, 0)->record;
    record.id = (region_id){7, 70};
    solo_record(solo, &record);
    solo_decide(solo, 0, record.id);
    assert_int_equal(solo_error(solo, number), 0);
    assert_int_equal(solo_do(solo, 1, &call), DSM_EEXIST);
    call.oflag = 0;
    assert_int_equal(solo_do(solo, 1, &call), DSM_EACCES);
}

static void test_writer_is_entered_when_only_readers_were(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(0666);
    struct call call = open_call(WRITE, 100, 200);
    uint64_t number;

    record.readers = nodeset_union(nodeset_of(1), nodeset_of(2));
    solo_record(solo, &record);
    open_region(solo, 1, 0);
    assert_null(solo_proposed(solo, 0));
    number = solo_call(solo, 2, &call);
    assert_int_equal(nodeset_word(solo_proposed(solo, 0)->record.readers),
                     nodeset_word(nodeset_union(nodeset_of(1), nodeset_of(2))));
    assert_int_equal(nodeset_word(solo_proposed(solo, 0)->record.writers),
                     nodeset_word(nodeset_of(1)));
    solo_agree(solo);
    assert_int_equal(solo_error(solo, number), 0);
}

static void test_truncation_gives_the_name_a_new_region(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(0666), old;
    struct call call = open_call(WRITE | TRUNCATE, 100, 200);
    uint64_t number, stat;
    struct call tell = {.kind = CALL_STAT};

    record.readers = record.writers = nodeset_of(1);
    solo_record(solo, &record);
    tell.handle = open_region(solo, 1, WRITE);
    number = solo_call(solo, 2, &call);
    assert_int_equal(solo_proposed(solo, 0)->kind, PROPOSAL_CREATE);
    assert_true(region_id_equal(solo_proposed(solo, 0)->replaces, record.id));
    assert_int_equal(solo_proposed(solo, 0)->record.size_bytes, 0);
    assert_int_equal(solo_proposed(solo, 0)->record.mode, 0666);
    assert_int_equal(solo_proposed(solo, 0)->record.uid, 100);
    old = record;
    record = solo_proposed(solo, 0)->record;
    record.id = (region_id){8, 80};
    old.unlinked = true;
    solo_record(solo, &old);
    solo_record(solo, &record);
    solo_decide(solo, 0, record.id);
    assert_int_equal(solo_error(solo, number), 0);
    assert_true(region_id_equal(solo_reply(solo, number)->region, record.id));
    /* The first program keeps what it has. */
    stat = solo_call(solo, 1, &tell);
    assert_true(region_id_equal(solo_reply(solo, stat)->region, old.id));
    assert_int_equal(solo_reply(solo, stat)->size_bytes, 4 * 4096);
    /* A region that is empty need not be replaced. */
    assert_int_equal(solo_do(solo, 2, &call), 0);
    assert_null(solo_proposed(solo, 1));
}

static void test_truncation_of_a_striped_region_is_homed_by_all_that_live(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(0666);
    struct call call = open_call(WRITE | TRUNCATE, 100, 200);

    record.home = DSM_HOME_STRIPED;
    record.homes = nodeset_of(0);
    solo_record(solo, &record);
    solo_call(solo, 2, &call);
    assert_int_equal(nodeset_word(solo_proposed(solo, 0)->record.homes), 7);
}

/* --- conflicts and the keeper's errors --- */

static void test_conflict_is_looked_at_again(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(0666);
    struct call call = open_call(WRITE, 100, 200);
    uint64_t number;

    solo_record(solo, &record);
    number = solo_call(solo, 1, &call);
    record.readers = nodeset_of(2); /* another node was faster */
    solo_record(solo, &record);
    solo_decide(solo, DSM_EAGAIN, (region_id){0, 0});
    assert_int_equal(nodeset_word(solo_proposed(solo, 1)->record.readers),
                     nodeset_word(nodeset_union(nodeset_of(1), nodeset_of(2))));
    assert_int_equal(solo_proposed(solo, 1)->record.revision, solo->revision);
    record.mode = 0; /* and now it is forbidden */
    solo_record(solo, &record);
    solo_decide(solo, DSM_EAGAIN, (region_id){0, 0});
    assert_int_equal(solo_error(solo, number), DSM_EACCES);
}

static void test_region_that_went_meanwhile_is_not_found(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(0666);
    struct call call = open_call(WRITE, 100, 200);
    uint64_t number;

    solo_record(solo, &record);
    number = solo_call(solo, 1, &call);
    record.deleted = true;
    solo_record(solo, &record);
    solo_decide(solo, DSM_ESTALE, (region_id){0, 0});
    assert_int_equal(solo_error(solo, number), DSM_ENOENT);
}

static void test_conflicts_without_end_are_given_up(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(0666);
    struct call call = open_call(WRITE, 100, 200);
    uint64_t number;
    uint32_t tries = 0;

    solo_record(solo, &record);
    number = solo_call(solo, 1, &call);
    while (solo_error(solo, number) == 1 && tries++ < 2000) {
        solo_decide(solo, DSM_EAGAIN, (region_id){0, 0});
    }
    assert_int_equal(solo_error(solo, number), DSM_EAGAIN);
    assert_int_equal(tries, 1000);
}

static void test_keepers_error_is_passed_on(void **state)
{
    struct solo *solo = *state;
    static const int32_t errors[] = {DSM_EKEEPER, DSM_EACCES, DSM_ENOMEM};

    for (uint32_t i = 0; i < 3; i++) {
        struct call call = open_call(WRITE | CREATE, 100, 200);
        uint64_t number = solo_call(solo, 1, &call);

        solo_decide(solo, errors[i], (region_id){0, 0});
        assert_int_equal(solo_error(solo, number), errors[i]);
    }
    solo_decide(solo, 0, (region_id){0, 0}); /* an outcome that nobody waits for */
}

static void test_program_that_dies_while_it_opens_leaves_nothing(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(0666);
    struct call call = open_call(WRITE, 100, 200);
    struct event gone = {.kind = EVENT_CLIENT_GONE, .client_gone = 1};

    solo_record(solo, &record);
    solo_call(solo, 1, &call);
    solo_step(solo, &gone);
    solo_agree(solo);
    assert_int_equal(nodeset_word(solo_proposed(solo, 1)->record.readers), 0); /* leaves again */
    solo_agree(solo);
    assert_null(solo_proposed(solo, 2));
}

static void test_program_that_dies_while_it_opens_disturbs_no_other(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(0666);
    struct call call = open_call(WRITE, 100, 200);
    struct event gone = {.kind = EVENT_CLIENT_GONE, .client_gone = 1};

    record.readers = nodeset_of(1);
    solo_record(solo, &record);
    open_region(solo, 2, 0);
    solo_call(solo, 1, &call);
    solo_step(solo, &gone);
    solo_agree(solo);
    assert_true(nodeset_has(solo_proposed(solo, 1)->record.readers, 1)); /* the other one does */
    assert_false(nodeset_has(solo_proposed(solo, 1)->record.writers, 1));
    solo_agree(solo);
    assert_null(solo_proposed(solo, 2));
}

/* A peer's keeper may be wrong: such records would divide by zero, or have no home. */
static void test_unsound_records_are_not_believed(void **state)
{
    struct solo *solo = *state;
    struct record good = region_of(0666), bad[6], other;
    struct call call = open_call(0, 100, 200);

    good.readers = nodeset_of(1);
    for (uint32_t i = 0; i < 6; i++) {
        bad[i] = good;
    }
    bad[0].homes = NODESET_EMPTY;
    bad[1].page_size = 0;
    bad[2].page_size = 4097;
    bad[3].size_bytes = UINT64_MAX;
    memset(bad[4].name, 'x', sizeof(bad[4].name));
    bad[5].kind = RECORD_NONE;
    for (uint32_t i = 0; i < 6; i++) {
        solo_record(solo, &bad[i]);
        assert_null(node_record(solo->node, good.id));
    }
    solo_record(solo, &good);
    for (uint32_t i = 0; i < 6; i++) {
        solo_record(solo, &bad[i]);
        assert_int_equal(node_record(solo->node, good.id)->page_size, 4096);
    }
    other = good;
    other.page_size = 8192; /* its pages would be others */
    solo_record(solo, &other);
    assert_int_equal(node_record(solo->node, good.id)->page_size, 4096);
    other.page_size = 4096;
    other.size_bytes = RECORD_SIZE_BYTES_MAX + 1;
    solo_record(solo, &other);
    assert_int_equal(node_record(solo->node, good.id)->size_bytes, 4 * 4096);
    assert_int_equal(solo_do(solo, 1, &call), 0);
}

/* A region that says nothing of its pages gets the smallest, whatever the machine's are. */
static void test_new_region_has_pages_of_its_own_size_or_the_smallest(void **state)
{
    struct node_config config = {.page_bytes = 65536};
    struct solo *solo = solo_new(1, 3, &config);
    struct call call = open_call(WRITE | CREATE, 100, 200);

    (void)state;
    solo_call(solo, 1, &call);
    assert_int_equal(solo_proposed(solo, 0)->record.page_size, 4096);
    call.page_size = 16384;
    solo_call(solo, 1, &call);
    assert_int_equal(solo_proposed(solo, 1)->record.page_size, 16384);
    solo_free(solo);
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_name_that_is_not_there_is_created_when_asked_for_only),
        FIXTURE(test_striped_region_is_homed_by_all_that_live),
        FIXTURE(test_bad_names_and_options_are_refused_at_once),
        FIXTURE(test_exclusive_creation_of_a_name_that_is_taken_fails),
        FIXTURE(test_creation_that_another_node_has_won_opens_what_is_there),
        FIXTURE(test_mode_decides_who_may_open),
        FIXTURE(test_group_may_be_a_supplementary_one),
        FIXTURE(test_creator_may_use_what_its_mode_forbids),
        FIXTURE(test_writer_is_entered_when_only_readers_were),
        FIXTURE(test_truncation_gives_the_name_a_new_region),
        FIXTURE(test_truncation_of_a_striped_region_is_homed_by_all_that_live),
        FIXTURE(test_conflict_is_looked_at_again),
        FIXTURE(test_region_that_went_meanwhile_is_not_found),
        FIXTURE(test_conflicts_without_end_are_given_up),
        FIXTURE(test_keepers_error_is_passed_on),
        FIXTURE(test_program_that_dies_while_it_opens_leaves_nothing),
        FIXTURE(test_program_that_dies_while_it_opens_disturbs_no_other),
        FIXTURE(test_unsound_records_are_not_believed),
        cmocka_unit_test(test_new_region_has_pages_of_its_own_size_or_the_smallest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
