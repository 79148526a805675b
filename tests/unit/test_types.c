/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of nodes. */
#include "dsm/core/types.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_set_holds_what_was_put_in(void **state)
{
    nodeset set = nodeset_union(nodeset_of(3), nodeset_of(NODES_MAX - 1));

    (void)state;
    assert_true(nodeset_has(set, 3));
    assert_true(nodeset_has(set, NODES_MAX - 1));
    assert_false(nodeset_has(set, 4));
    assert_int_equal(nodeset_count(set), 2);
    assert_int_equal(nodeset_first(set), 3);
    assert_int_equal(nodeset_first(nodeset_minus(set, nodeset_of(3))), NODES_MAX - 1);
}

static void test_operations_are_those_of_sets(void **state)
{
    nodeset left = nodeset_union(nodeset_of(0), nodeset_of(1));
    nodeset right = nodeset_union(nodeset_of(1), nodeset_of(2));

    (void)state;
    assert_int_equal(nodeset_count(nodeset_union(left, right)), 3);
    assert_int_equal(nodeset_count(nodeset_intersect(left, right)), 1);
    assert_int_equal(nodeset_first(nodeset_intersect(left, right)), 1);
    assert_int_equal(nodeset_count(nodeset_minus(left, right)), 1);
    assert_int_equal(nodeset_first(nodeset_minus(left, right)), 0);
    assert_true(nodeset_is_empty(nodeset_minus(left, left)));
    assert_false(nodeset_is_empty(left));
}

/* A number that is no node's is in no set, and the empty set has no first. */
static void test_what_is_no_node_is_in_no_set(void **state)
{
    (void)state;
    assert_true(nodeset_is_empty(nodeset_of(NODES_MAX)));
    assert_true(nodeset_is_empty(nodeset_of(NODE_NONE)));
    assert_false(nodeset_has(nodeset_of(0), NODE_NONE));
    assert_int_equal(nodeset_first(nodeset_of(NODE_NONE)), NODE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_holds_what_was_put_in),
        cmocka_unit_test(test_operations_are_those_of_sets),
        cmocka_unit_test(test_what_is_no_node_is_in_no_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
