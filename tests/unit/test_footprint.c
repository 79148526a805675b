/* SPDX-License-Identifier: Apache-2.0 */
/* Footprints of walks: how far the last ones came. */
#include "dsm/core/footprint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct footprints));
    return *state == NULL;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static void test_page_where_no_walk_began_has_none(void **state)
{
    assert_int_equal(footprints_tell(*state, 0), 0);
    footprints_note(*state, 7, 3);
    assert_int_equal(footprints_tell(*state, 8), 0);
}

static void test_longest_walk_counts(void **state)
{
    footprints_note(*state, 7, 3);
    footprints_note(*state, 7, 5);
    footprints_note(*state, 7, 2);
    footprints_note(*state, 9, UINT64_MAX);
    assert_int_equal(footprints_tell(*state, 7), 5);
    assert_int_equal(footprints_tell(*state, 9), FOOTPRINT_PAGES_MAX);
}

/* A program that uses less than before would be given too much for ever. */
static void test_footprint_shrinks_unless_it_is_found_again(void **state)
{
    footprints_note(*state, 7, 5);
    for (uint32_t i = 1; i < FOOTPRINT_TOLD; i++) {
        assert_int_equal(footprints_tell(*state, 7), 5);
    }
    assert_int_equal(footprints_tell(*state, 7), 3);
    assert_int_equal(footprints_tell(*state, 7), 3);
    footprints_note(*state, 7, 4);
    assert_int_equal(footprints_tell(*state, 7), 4);
    for (uint32_t i = 0; i < 20 * FOOTPRINT_TOLD; i++) {
        footprints_tell(*state, 7);
    }
    assert_int_equal(footprints_tell(*state, 7), 1);
}

static void test_oldest_gives_way(void **state)
{
    for (uint64_t page = 0; page < FOOTPRINTS; page++) {
        footprints_note(*state, page, 2);
    }
    footprints_tell(*state, 0);
    footprints_note(*state, 1000, 2);
    assert_int_equal(footprints_tell(*state, 0), 2);
    assert_int_equal(footprints_tell(*state, 1), 0);
    assert_int_equal(footprints_tell(*state, 2), 2);
    assert_int_equal(footprints_tell(*state, 1000), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_page_where_no_walk_began_has_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_longest_walk_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_footprint_shrinks_unless_it_is_found_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_oldest_gives_way, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
