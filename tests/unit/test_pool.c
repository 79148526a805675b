/* SPDX-License-Identifier: Apache-2.0 */
/* Pools hand out zeroed objects and say in time that they run low; lists link objects in order. */
#include "dsm/core/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct thing {
    uint64_t number;
    struct list place;
    uint8_t odd[5]; /* so that the size is no multiple of 16 */
};

static void test_empty_pool_wants_one_block(void **state)
{
    struct pool pool;

    (void)state;
    pool_init(&pool, sizeof(struct thing), 3, 8);
    assert_int_equal(pool.object_bytes % 16, 0);
    assert_true(pool.object_bytes >= sizeof(struct thing));
    assert_true(pool.object_bytes < sizeof(struct thing) + 16);
    assert_int_equal(pool_wants(&pool), 8 * pool.object_bytes);
}

static void test_pool_wants_more_below_its_low_water_mark_only(void **state)
{
    struct pool pool;
    void *block, *more;

    (void)state;
    pool_init(&pool, sizeof(struct thing), 3, 4);
    block = calloc(1, pool_wants(&pool));
    pool_supply(&pool, block);
    assert_int_equal(pool_wants(&pool), 0);
    pool_get(&pool);
    assert_int_equal(pool_wants(&pool), 0); /* three are left */
    pool_get(&pool);
    assert_int_equal(pool_wants(&pool), 4 * pool.object_bytes);
    more = calloc(1, pool_wants(&pool));
    pool_supply(&pool, more);
    assert_int_equal(pool.count_free, 6);
    assert_int_equal(pool_wants(&pool), 0);
    free(block);
    free(more);
}

static void test_objects_are_apart_and_zeroed_each_time(void **state)
{
    struct pool pool;
    struct thing *things[8];
    uint8_t *block;

    (void)state;
    pool_init(&pool, sizeof(struct thing), 1, 8);
    block = malloc(pool_wants(&pool));
    memset(block, 0xa5, pool_wants(&pool));
    pool_supply(&pool, block);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 8; i++) {
            static const struct thing zero;

            things[i] = pool_get(&pool);
            assert_memory_equal(things[i], &zero, sizeof(zero));
            assert_true((uint8_t *)things[i] >= block);
            assert_true((uint8_t *)things[i] + pool.object_bytes <= block + 8 * pool.object_bytes);
            memset(things[i], (int)i + 1, pool.object_bytes);
        }
        for (uint32_t i = 0; i < 8; i++) { /* nobody wrote into another one */
            assert_int_equal(things[i]->odd[4], i + 1);
            assert_int_equal(things[i]->number & 0xff, i + 1);
        }
        assert_int_equal(pool.count_free, 0);
        for (uint32_t i = 0; i < 8; i++) {
            pool_put(&pool, things[i]);
        }
        assert_int_equal(pool.count_free, 8);
    }
    free(block);
}

static void test_list_keeps_the_order_and_forgets_what_is_removed(void **state)
{
    struct list head;
    struct thing things[3] = {{.number = 1}, {.number = 2}, {.number = 3}};

    (void)state;
    list_init(&head);
    assert_true(list_is_empty(&head));
    for (uint32_t i = 0; i < 3; i++) {
        list_add_tail(&head, &things[i].place);
    }
    assert_int_equal(list_object(head.next, struct thing, place)->number, 1);
    list_remove(&things[1].place);
    assert_ptr_equal(head.next, &things[0].place);
    assert_ptr_equal(head.next->next, &things[2].place);
    assert_ptr_equal(head.prev, &things[2].place);
    assert_true(list_is_empty(&things[1].place)); /* points at itself */
    list_remove(&things[1].place);                /* and may be removed once more */
    assert_ptr_equal(head.next->next, &things[2].place);
    list_remove(&things[0].place);
    list_remove(&things[2].place);
    assert_true(list_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_pool_wants_one_block),
        cmocka_unit_test(test_pool_wants_more_below_its_low_water_mark_only),
        cmocka_unit_test(test_objects_are_apart_and_zeroed_each_time),
        cmocka_unit_test(test_list_keeps_the_order_and_forgets_what_is_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
