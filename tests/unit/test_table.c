/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/table.h"

#define COUNT 5000u

/* Objects are found again by their numbers, however many there are, and only until they are
 * removed. */
static void test_added_objects_are_found_until_removed(void **state)
{
    struct table table;
    struct table_link *links = calloc(COUNT, sizeof(*links));

    (void)state;
    assert_non_null(links);
    assert_int_equal(table_init(&table), 0);
    assert_null(table_any(&table));
    for (uint64_t at = 0; at < COUNT; at++) {
        table_add(&table, &links[at], at << 32 | (at * 7));
    }
    assert_int_equal(table.count, COUNT);
    assert_true(table.mask >= COUNT / 2); /* It has grown with what is in it. */
    for (uint64_t at = 0; at < COUNT; at += 2) {
        assert_ptr_equal(table_remove(&table, at << 32 | (at * 7)), &links[at]);
        assert_null(table_remove(&table, at << 32 | (at * 7)));
    }
    for (uint64_t at = 0; at < COUNT; at++) {
        assert_ptr_equal(table_find(&table, at << 32 | (at * 7)), at % 2 == 0 ? NULL : &links[at]);
    }
    while (table_any(&table) != NULL) {
        assert_non_null(table_remove(&table, table_any(&table)->key));
    }
    assert_int_equal(table.count, 0);
    table_close(&table);
    free(links);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_added_objects_are_found_until_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
