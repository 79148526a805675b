/* SPDX-License-Identifier: Apache-2.0 */
/* A region's type: given when it is made, checked when it is opened, never changed. */
#include "tests/sim/solo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TYPE "struct { u16 a; pad 6; f64 b; }[]"

static int set_up(void **state)
{
    struct node_config config = {0};

    *state = solo_new(1, 3, &config);
    return 0;
}

static int tear_down(void **state)
{
    solo_free(*state);
    return 0;
}

/* Anybody's region "/r", which node 1 has open. */
static struct record region_of(const char *type)
{
    struct record record = solo_region(5, 4, 0);

    memcpy(record.name, "/r", 3);
    record.mode = 0666;
    record.readers = record.writers = nodeset_of(1);
    snprintf(record.type, sizeof(record.type), "%s", type);
    return record;
}

static struct call open_call(uint32_t oflag, const char *type)
{
    struct call call = {
        .kind = CALL_OPEN, .object = RECORD_REGION, .oflag = (uint8_t)oflag, .name = "/r"};

    snprintf(call.type, sizeof(call.type), "%s", type);
    return call;
}

/* What is proposed has the type in its one form. */
static void test_new_region_has_the_type_given(void **state)
{
    struct solo *solo = *state;
    struct call call = open_call(CALL_OFLAG_WRITE | CALL_OFLAG_CREATE,
                                 "struct{u16 a;pad 06;f64 b;} []");

    solo_call(solo, 1, &call);
    assert_int_equal(solo_proposed(solo, 0)->kind, PROPOSAL_CREATE);
    assert_string_equal(solo_proposed(solo, 0)->record.type, TYPE);
}

/* The same type or none opens it; another one, or one where the region has none, does not. */
static void test_open_with_another_type_is_refused(void **state)
{
    struct solo *solo = *state;
    struct record record = region_of(TYPE), untyped = region_of("");
    struct call none = open_call(0, ""), other = open_call(0, "u16[]");
    struct call same = open_call(0, "struct { u16 a; pad 6; f64 b; } [ ]");

    solo_record(solo, &record);
    assert_int_equal(solo_do(solo, 1, &none), 0);
    assert_int_equal(solo_do(solo, 1, &same), 0);
    assert_int_equal(solo_do(solo, 1, &other), DSM_ETYPE);
    untyped.id.slot++;
    memcpy(untyped.name, "/u", 3);
    solo_record(solo, &untyped);
    memcpy(other.name, "/u", 3);
    memcpy(none.name, "/u", 3);
    assert_int_equal(solo_do(solo, 1, &none), 0);
    assert_int_equal(solo_do(solo, 1, &other), DSM_ETYPE);
}

static void test_text_that_is_no_type_is_refused(void **state)
{
    struct solo *solo = *state;
    struct call call = open_call(CALL_OFLAG_WRITE | CALL_OFLAG_CREATE, "u16 u32");

    assert_int_equal(solo_do(solo, 1, &call), DSM_EINVAL);
    call = open_call(CALL_OFLAG_WRITE | CALL_OFLAG_CREATE, "u16");
    call.object = RECORD_SEM;
    assert_int_equal(solo_do(solo, 1, &call), DSM_EINVAL);
    call.object = RECORD_REGION;
    call.kind = CALL_UNLINK;
    assert_int_equal(solo_do(solo, 1, &call), DSM_EINVAL);
}

/* Drivers compile what a record says: it must be a type, and stay. */
static void test_unsound_types_of_records_are_not_believed(void **state)
{
    struct solo *solo = *state;
    struct record good = region_of(TYPE), bad = region_of("u16  []"), other = region_of("u8[]");

    solo_record(solo, &bad);
    assert_null(node_record(solo->node, good.id));
    memset(bad.type, 'u', sizeof(bad.type));
    solo_record(solo, &bad);
    assert_null(node_record(solo->node, good.id));
    solo_record(solo, &good);
    solo_record(solo, &other);
    assert_string_equal(node_record(solo->node, good.id)->type, TYPE);
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_new_region_has_the_type_given),
        FIXTURE(test_open_with_another_type_is_refused),
        FIXTURE(test_text_that_is_no_type_is_refused),
        FIXTURE(test_unsound_types_of_records_are_not_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
