/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of nodes against the plainest model of one: an array that says of each number whether it is
 * in. Built for one word, for many, and for a last word that is not full (NODES_MAX by meson).
 */
#include "dsm/core/nodeset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS 200u

struct model {
    bool has[NODES_MAX];
};

static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 (Steele et al. 2014) */

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Sparse, dense, empty and full ones. */
static struct model model_drawn(uint64_t *state)
{
    struct model model;
    uint64_t weight = draw(state) % 5 * 64;

    for (uint32_t i = 0; i < NODES_MAX; i++) {
        model.has[i] = draw(state) % 256 < weight;
    }
    return model;
}

static nodeset set_of(const struct model *model)
{
    nodeset set = NODESET_EMPTY;

    for (uint32_t i = 0; i < NODES_MAX; i++) {
        if (model->has[i]) {
            nodeset_add(&set, i);
        }
    }
    return set;
}

/* Each way of reading a set says what the model says. */
static void assert_same(nodeset set, const struct model *model)
{
    uint32_t count = 0;
    uint32_t at = nodeset_first(set);

    for (uint32_t i = 0; i < NODES_MAX; i++) {
        assert_int_equal(nodeset_has(set, i), model->has[i]);
        if (model->has[i]) {
            assert_int_equal(at, i);
            assert_int_equal(nodeset_nth(set, count), i);
            at = nodeset_next(set, at);
            count++;
        }
    }
    assert_int_equal(at, NODE_NONE);
    assert_int_equal(nodeset_nth(set, count), NODE_NONE);
    assert_int_equal(nodeset_count(set), count);
    assert_int_equal(nodeset_is_empty(set), count == 0);
    assert_true(nodeset_equal(set, set_of(model)));
}

static void test_each_operation_does_what_its_model_does(void **state)
{
    uint64_t random = 20;

    (void)state;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct model a = model_drawn(&random), b = model_drawn(&random);
        struct model both, common, rest;
        bool is_part = true, is_equal = true;

        for (uint32_t i = 0; i < NODES_MAX; i++) {
            both.has[i] = a.has[i] || b.has[i];
            common.has[i] = a.has[i] && b.has[i];
            rest.has[i] = a.has[i] && !b.has[i];
            is_part = is_part && !rest.has[i];
            is_equal = is_equal && a.has[i] == b.has[i];
        }
        assert_same(set_of(&a), &a);
        assert_same(nodeset_union(set_of(&a), set_of(&b)), &both);
        assert_same(nodeset_intersect(set_of(&a), set_of(&b)), &common);
        assert_same(nodeset_minus(set_of(&a), set_of(&b)), &rest);
        assert_int_equal(nodeset_is_part(set_of(&a), set_of(&b)), is_part);
        assert_int_equal(nodeset_equal(set_of(&a), set_of(&b)), is_equal);
        assert_true(nodeset_is_part(set_of(&common), set_of(&b)));
    }
}

static void test_one_node_is_added_and_removed_alone(void **state)
{
    uint64_t random = 21;

    (void)state;
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        struct model model = model_drawn(&random);
        nodeset set = set_of(&model);

        assert_int_equal(nodeset_first(nodeset_of(node)), node);
        assert_int_equal(nodeset_count(nodeset_of(node)), 1);
        nodeset_add(&set, node);
        model.has[node] = true;
        assert_true(nodeset_equal(set, set_of(&model)));
        nodeset_remove(&set, node);
        model.has[node] = false;
        assert_true(nodeset_equal(set, set_of(&model)));
        assert_false(nodeset_has(set, node));
        assert_false(nodeset_equal(set, nodeset_union(set, nodeset_of(node))));
        assert_false(nodeset_is_part(nodeset_of(node), set));
        assert_false(nodeset_is_empty(nodeset_of(node)));
    }
}

/* Numbers come from peers and files: what is no node number is in no set, and changes none. */
static void test_what_is_no_node_is_in_no_set(void **state)
{
    const uint32_t none[] = {NODES_MAX, NODES_MAX + 1, NODES_MAX + 63, NODE_NONE, UINT32_MAX};
    nodeset full = nodeset_below(NODES_MAX);

    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        nodeset set = NODESET_EMPTY;

        assert_true(nodeset_is_empty(nodeset_of(none[i])));
        assert_false(nodeset_has(full, none[i]));
        nodeset_add(&set, none[i]);
        assert_true(nodeset_is_empty(set));
        set = full;
        nodeset_remove(&set, none[i]);
        assert_true(nodeset_equal(set, full));
    }
    assert_int_equal(nodeset_first(NODESET_EMPTY), NODE_NONE);
    assert_int_equal(nodeset_nth(full, NODES_MAX), NODE_NONE);
    assert_int_equal(nodeset_next(full, NODES_MAX - 1), NODE_NONE);
}

static void test_all_below_a_number_are_those_below_it(void **state)
{
    struct model model;

    (void)state;
    memset(&model, 0, sizeof(model));
    for (uint32_t count = 0; count <= NODES_MAX; count++) {
        if (count > 0) {
            model.has[count - 1] = true;
        }
        assert_true(nodeset_equal(nodeset_below(count), set_of(&model)));
    }
    assert_int_equal(nodeset_count(nodeset_below(UINT32_MAX)), NODES_MAX);
    assert_same(nodeset_below(NODES_MAX), &model);
}

/* Files and wires keep one word; what such a word says beyond the last node is not believed. */
static void test_one_word_holds_the_first_64_nodes(void **state)
{
    uint64_t random = 22;
    nodeset all = nodeset_from_word(UINT64_MAX);

    (void)state;
    assert_int_equal(nodeset_count(all), NODES_MAX < 64 ? NODES_MAX : 64);
    assert_true(nodeset_is_part(all, nodeset_below(NODES_MAX)));
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint64_t word = draw(&random) & nodeset_word(all);
        nodeset set = nodeset_from_word(word);

        assert_true(nodeset_word(set) == word);
        assert_int_equal(nodeset_count(set), __builtin_popcountll(word));
        for (uint32_t node = 0; node < 64; node++) {
            assert_int_equal(nodeset_has(set, node), word >> node & 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_operation_does_what_its_model_does),
        cmocka_unit_test(test_one_node_is_added_and_removed_alone),
        cmocka_unit_test(test_what_is_no_node_is_in_no_set),
        cmocka_unit_test(test_all_below_a_number_are_those_below_it),
        cmocka_unit_test(test_one_word_holds_the_first_64_nodes),
    };

    printf("NODES_MAX %u, words %u\n", (unsigned)NODES_MAX, (unsigned)NODESET_WORDS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
