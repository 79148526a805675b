/* SPDX-License-Identifier: Apache-2.0 */
/* What programs of one node are told that seal a region, or open it while it is being sealed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/sim/solo_page.h"

static int set_up(void **state)
{
    struct node_config config = {.resend_ms = 100, .read_ahead_pages = 1};

    *state = solo_page_new(&config);
    return 0;
}

static int tear_down(void **state)
{
    solo_page_free(*state);
    return 0;
}

/* While the keeper has not decided yet, nobody here begins to write, and one proposal is enough. */
static void test_seal_under_way_keeps_writers_out(void **state)
{
    struct solo_page *p = *state;
    struct record record = solo_region(8, 4, 0);
    struct call open = {
        .kind = CALL_OPEN, .object = RECORD_REGION, .oflag = CALL_OFLAG_WRITE, .name = "/r8"};
    struct call map = {
        .kind = CALL_MAP, .size_bytes = SOLO_PAGE_BYTES, .rights = RIGHTS_READ | RIGHTS_WRITE};
    struct call seal = {.kind = CALL_SEAL};
    struct call lock = {.kind = CALL_SYNC, .op = SYNC_LOCK, .timeout_ms = -1};
    struct message sealed = {.kind = MESSAGE_SEALED, .from = 0, .to = 1, .region = record.id};
    uint64_t first, second;

    record.writers = nodeset_of(1);
    solo_record(p->solo, &record);
    seal.handle = solo_reply(p->solo, solo_call(p->solo, 3, &open))->handle;
    map.handle = seal.handle;
    lock.handle = seal.handle;
    solo_forget(p->solo);
    first = solo_call(p->solo, 3, &seal);
    assert_true(solo_proposed(p->solo, 0)->record.sealed);
    assert_int_equal(solo_do(p->solo, 3, &map), DSM_EBUSY);
    second = solo_call(p->solo, 3, &seal);
    assert_null(solo_proposed(p->solo, 1));
    solo_agree(p->solo);
    assert_int_equal(solo_do(p->solo, 3, &map), DSM_ESEALED);
    assert_int_equal(solo_do(p->solo, 3, &lock), DSM_ESEALED);
    lock.op = SYNC_UNLOCK; /* of a mutex that was taken before: there is none */
    assert_int_equal(solo_do(p->solo, 3, &lock), DSM_EPERM);
    for (uint32_t i = 0; i < 2; i++) {
        const struct message *said = solo_sent(p->solo, MESSAGE_SEAL, i);

        assert_non_null(said);
        sealed.request = said->request;
        sealed.epoch = said->epoch;
        sealed.region.generation++;
        solo_message(p->solo, &sealed, 0);
        sealed.region.generation--;
        assert_int_equal(solo_error(p->solo, i == 0 ? first : second), 1);
        solo_message(p->solo, &sealed, 0);
        assert_int_equal(solo_error(p->solo, i == 0 ? first : second), 0);
    }
}

static void test_sealed_region_without_bytes_is_not_opened_for_writing(void **state)
{
    struct solo_page *p = *state;
    struct record record = solo_region(8, 0, 0);
    struct call open = {.kind = CALL_OPEN,
                        .object = RECORD_REGION,
                        .oflag = CALL_OFLAG_WRITE | CALL_OFLAG_TRUNCATE,
                        .name = "/r8"};

    record.sealed = true;
    record.writers = NODESET_EMPTY;
    solo_record(p->solo, &record);
    assert_int_equal(solo_do(p->solo, 3, &open), DSM_ESEALED);
}

static void test_seal_of_a_region_that_goes_meanwhile_is_stale(void **state)
{
    struct solo_page *p = *state;
    struct record record = solo_region(8, 4, 0);
    struct call seal = {.kind = CALL_SEAL};
    uint64_t number;

    solo_record(p->solo, &record);
    (void)solo_map(p->solo, 3, &record, &seal.handle);
    p->solo->keeps_news = true;
    number = solo_call(p->solo, 3, &seal);
    assert_int_equal(solo_error(p->solo, number), 1);
    record.deleted = record.unlinked = true;
    record.readers = record.writers = NODESET_EMPTY;
    solo_record(p->solo, &record);
    solo_tell(p->solo, 0);
    assert_int_equal(solo_error(p->solo, number), DSM_ESTALE);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_seal_under_way_keeps_writers_out),
        TEST(test_sealed_region_without_bytes_is_not_opened_for_writing),
        TEST(test_seal_of_a_region_that_goes_meanwhile_is_stale),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
