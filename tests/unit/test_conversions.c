/* SPDX-License-Identifier: Apache-2.0 */
/* Typed regions in the agent: their bytes turned from one order to the other, and their words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/conversions.h"
#include "dsm.h"

#define PAGE 4096u

static void make_record(struct record *record, uint32_t slot, const char *type)
{
    memset(record, 0, sizeof(*record));
    record->kind = RECORD_REGION;
    record->id = (region_id){.slot = slot, .generation = 1};
    snprintf(record->name, sizeof(record->name), "/region");
    snprintf(record->type, sizeof(record->type), "%s", type);
}

/* Each page is turned by what lies at its place of the region; turning twice changes nothing. */
static void test_pages_are_turned_by_their_place(void **state)
{
    static const char type[] = "u16[2048] u32[]";
    struct conversions conversions;
    struct record record;
    uint8_t bytes[PAGE], before[PAGE];

    (void)state;
    assert_int_equal(conversions_init(&conversions), 0);
    make_record(&record, 1, type);
    for (size_t at = 0; at < PAGE; at++) {
        bytes[at] = before[at] = (uint8_t)(at * 7);
    }
    assert_int_equal(conversions_turn(&conversions, &record, 0, bytes, PAGE), 0);
    for (size_t at = 0; at < PAGE; at++) {
        assert_int_equal(bytes[at], before[at ^ 1]);
    }
    assert_int_equal(conversions_turn(&conversions, &record, 0, bytes, PAGE), 0);
    assert_memory_equal(bytes, before, PAGE);
    assert_int_equal(conversions_turn(&conversions, &record, PAGE, bytes, PAGE), 0);
    for (size_t at = 0; at < PAGE; at++) {
        assert_int_equal(bytes[at], before[at ^ 3]);
    }
    conversions_close(&conversions);
}

/* Untyped bytes stay, and a region's type is its own, though another had its number before. */
static void test_regions_are_told_apart(void **state)
{
    struct conversions conversions;
    struct record record;
    uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t turned[8] = {8, 7, 6, 5, 4, 3, 2, 1};

    (void)state;
    assert_int_equal(conversions_init(&conversions), 0);
    make_record(&record, 1, "");
    assert_int_equal(conversions_turn(&conversions, &record, 0, bytes, sizeof(bytes)), 0);
    assert_int_equal(bytes[0], 1);
    make_record(&record, 2, "u8[]");
    assert_int_equal(conversions_turn(&conversions, &record, 0, bytes, sizeof(bytes)), 0);
    assert_int_equal(bytes[0], 1);
    conversions_forget(&conversions, record.id);
    conversions_forget(&conversions, record.id);
    make_record(&record, 2, "f64[]");
    assert_int_equal(conversions_turn(&conversions, &record, 0, bytes, sizeof(bytes)), 0);
    assert_memory_equal(bytes, turned, sizeof(bytes));
    conversions_close(&conversions);
}

/* In a typed region an atomic operation needs a u64 or i64; what is there instead is named. */
static void test_atomic_operations_need_a_word(void **state)
{
    struct conversions conversions;
    struct record record;
    char text[256] = "";

    (void)state;
    assert_int_equal(conversions_init(&conversions), 0);
    make_record(&record, 1, "");
    assert_int_equal(conversions_check_atomic(&conversions, &record, 24, text, sizeof(text)), 0);
    make_record(&record, 2, "struct { u64 count; f64 mean; i64 sum; u32 low; u32 high; }[2]");
    assert_int_equal(conversions_check_atomic(&conversions, &record, 0, text, sizeof(text)), 0);
    assert_int_equal(conversions_check_atomic(&conversions, &record, 16, text, sizeof(text)), 0);
    assert_int_equal(conversions_check_atomic(&conversions, &record, 32, text, sizeof(text)), 0);
    assert_int_equal(conversions_check_atomic(&conversions, &record, 8, text, sizeof(text)),
                     DSM_EINVAL);
    assert_non_null(strstr(text, "offset 8"));
    assert_non_null(strstr(text, "f64"));
    assert_non_null(strstr(text, "/region"));
    assert_int_equal(conversions_check_atomic(&conversions, &record, 24, text, sizeof(text)),
                     DSM_EINVAL);
    assert_non_null(strstr(text, "u32"));
    assert_int_equal(conversions_check_atomic(&conversions, &record, 64, text, sizeof(text)),
                     DSM_EINVAL);
    conversions_close(&conversions);
}

/* A record with a type that is none is no reason to guess. */
static void test_type_that_is_none_is_refused(void **state)
{
    struct conversions conversions;
    struct record record;
    uint8_t bytes[8] = {1};
    char text[256];

    (void)state;
    assert_int_equal(conversions_init(&conversions), 0);
    make_record(&record, 1, "u12");
    assert_int_equal(conversions_turn(&conversions, &record, 0, bytes, sizeof(bytes)), DSM_ENOMEM);
    assert_int_equal(conversions_check_atomic(&conversions, &record, 0, text, sizeof(text)),
                     DSM_ENOMEM);
    assert_int_equal(bytes[0], 1);
    conversions_close(&conversions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_are_turned_by_their_place),
        cmocka_unit_test(test_regions_are_told_apart),
        cmocka_unit_test(test_atomic_operations_need_a_word),
        cmocka_unit_test(test_type_that_is_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
