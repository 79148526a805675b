/* SPDX-License-Identifier: Apache-2.0 */
/* Rights by owner, group, others and root, as for files; and which names are legal. */
#include "dsm/core/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { READ_WRITE = RIGHTS_READ | RIGHTS_WRITE };

static uint32_t rights(uint32_t mode, uint32_t uid, uint32_t gid)
{
    const struct record record = {.uid = 100, .gid = 200, .mode = mode};
    const struct credential credential = {.uid = uid, .gid = gid};

    return record_rights(&record, &credential);
}

static void test_owner_has_the_owners_bits(void **state)
{
    (void)state;
    assert_int_equal(rights(0600, 100, 1), READ_WRITE);
    assert_int_equal(rights(0400, 100, 1), RIGHTS_READ);
    assert_int_equal(rights(0200, 100, 1), RIGHTS_WRITE);
    assert_int_equal(rights(0700, 100, 1), READ_WRITE); /* execution means nothing */
    assert_int_equal(rights(0100, 100, 1), 0);
}

/* As in POSIX: the first class that fits counts, also where a later one would give more. */
static void test_owner_is_not_given_what_the_group_or_others_have(void **state)
{
    (void)state;
    assert_int_equal(rights(0066, 100, 200), 0);
    assert_int_equal(rights(0606, 5, 200), 0);
}

static void test_group_has_the_groups_bits(void **state)
{
    (void)state;
    assert_int_equal(rights(0060, 5, 200), READ_WRITE);
    assert_int_equal(rights(0040, 5, 200), RIGHTS_READ);
    assert_int_equal(rights(0040, 5, 201), 0);
}

static void test_others_have_the_last_bits(void **state)
{
    (void)state;
    assert_int_equal(rights(0006, 5, 6), READ_WRITE);
    assert_int_equal(rights(0004, 5, 6), RIGHTS_READ);
    assert_int_equal(rights(0660, 5, 6), 0);
}

static void test_root_has_all_rights(void **state)
{
    (void)state;
    assert_int_equal(rights(0, 0, 0), READ_WRITE);
    assert_int_equal(rights(0, 0, 77), READ_WRITE);
    assert_int_equal(rights(0, 5, 0), 0); /* the group of root is nothing special */
}

static void test_supplementary_group_counts_like_the_first(void **state)
{
    const struct record record = {.uid = 100, .gid = 200, .mode = 0640};
    struct credential credential = {.uid = 5, .gid = 6, .count_groups = 3, .groups = {7, 8, 200}};

    (void)state;
    assert_int_equal(record_rights(&record, &credential), RIGHTS_READ);
    credential.count_groups = 2; /* what is behind the count is not there */
    assert_int_equal(record_rights(&record, &credential), 0);
}

static void test_count_of_groups_beyond_the_array_is_not_followed(void **state)
{
    const struct record record = {.uid = 100, .gid = 200, .mode = 0640};
    struct credential credential = {.uid = 5, .gid = 6, .count_groups = UINT32_MAX};

    (void)state;
    assert_int_equal(record_rights(&record, &credential), 0);
    credential.groups[CREDENTIAL_GROUPS_MAX - 1] = 200;
    assert_int_equal(record_rights(&record, &credential), RIGHTS_READ);
}

static void test_names(void **state)
{
    static const char *const good[] = {"/a", "/a.b-c_d", "/ä", "/ with spaces", "/..."};
    static const char *const bad[] = {"", "/", "a", "a/", "//", "/a/", "/a/b", "a/b"};

    (void)state;
    for (uint32_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char name[RECORD_NAME_BYTES] = {0};

        memcpy(name, good[i], strlen(good[i]));
        assert_true(record_name_is_valid(name));
    }
    for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char name[RECORD_NAME_BYTES] = {0};

        memcpy(name, bad[i], strlen(bad[i]));
        assert_false(record_name_is_valid(name));
    }
}

static void test_name_has_255_bytes_at_most_and_ends(void **state)
{
    char name[RECORD_NAME_BYTES];

    (void)state;
    memset(name, 'x', sizeof(name));
    name[0] = '/';
    assert_false(record_name_is_valid(name)); /* no end */
    name[RECORD_NAME_BYTES - 1] = 0;
    assert_true(record_name_is_valid(name)); /* 255 bytes */
    name[RECORD_NAME_BYTES - 2] = '/';
    assert_false(record_name_is_valid(name));
    name[2] = 0; /* what is behind the end counts for nothing */
    assert_true(record_name_is_valid(name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owner_has_the_owners_bits),
        cmocka_unit_test(test_owner_is_not_given_what_the_group_or_others_have),
        cmocka_unit_test(test_group_has_the_groups_bits),
        cmocka_unit_test(test_others_have_the_last_bits),
        cmocka_unit_test(test_root_has_all_rights),
        cmocka_unit_test(test_supplementary_group_counts_like_the_first),
        cmocka_unit_test(test_count_of_groups_beyond_the_array_is_not_followed),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_name_has_255_bytes_at_most_and_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
