/* SPDX-License-Identifier: Apache-2.0 */
/* A directory costs the chunks that are touched, finds each record again, forgets by region. */
#include "dsm/core/directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BLOCKS_MAX 1024

struct fixture {
    struct directory directory;
    void *blocks[BLOCKS_MAX];
    uint32_t count_blocks;
};

struct row {
    uint64_t page;
    uint64_t slot;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    directory_init(&fixture->directory, sizeof(struct row));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    for (uint32_t i = 0; i < fixture->count_blocks; i++) {
        free(fixture->blocks[i]);
    }
    free(fixture);
    return 0;
}

static struct row *get(struct fixture *fixture, uint32_t slot, uint64_t page)
{
    size_t bytes = pool_wants(&fixture->directory.pool);

    if (bytes > 0) {
        assert_true(fixture->count_blocks < BLOCKS_MAX);
        fixture->blocks[fixture->count_blocks] = calloc(1, bytes);
        pool_supply(&fixture->directory.pool, fixture->blocks[fixture->count_blocks++]);
    }
    return directory_get(&fixture->directory, slot, page);
}

static void test_untouched_page_has_no_record(void **state)
{
    struct fixture *fixture = *state;

    assert_null(directory_find(&fixture->directory, 1, 0));
    assert_null(directory_next(&fixture->directory, 1, 0));
    get(fixture, 1, CHUNK_PAGES);
    assert_null(directory_find(&fixture->directory, 1, CHUNK_PAGES - 1));
    assert_null(directory_find(&fixture->directory, 1, 2 * CHUNK_PAGES));
    assert_null(directory_find(&fixture->directory, 2, CHUNK_PAGES));
    assert_non_null(directory_find(&fixture->directory, 1, 2 * CHUNK_PAGES - 1));
}

static void test_records_are_apart_and_found_again(void **state)
{
    struct fixture *fixture = *state;

    for (uint32_t slot = 0; slot < 3; slot++) {
        for (uint64_t page = 0; page < 3 * CHUNK_PAGES; page++) {
            struct row *row = get(fixture, slot, page);

            assert_int_equal(row->page, 0);
            row->page = page + 1;
            row->slot = slot;
        }
    }
    for (uint32_t slot = 0; slot < 3; slot++) {
        for (uint64_t page = 0; page < 3 * CHUNK_PAGES; page++) {
            const struct row *row = directory_find(&fixture->directory, slot, page);

            assert_int_equal(row->page, page + 1);
            assert_int_equal(row->slot, slot);
            assert_ptr_equal(row, directory_get(&fixture->directory, slot, page));
        }
    }
}

/* 1 TiB of 4 KiB pages, 2000 of them touched far apart: as many chunks, whatever collides. */
static void test_sparse_region_costs_what_is_used(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t stride = 131101;
    uint32_t supplied;

    for (uint64_t i = 0; i < 2000; i++) {
        get(fixture, 7, i * stride)->page = i;
    }
    supplied = fixture->count_blocks * fixture->directory.pool.block_count;
    assert_int_equal(supplied - fixture->directory.pool.count_free, 2000);
    for (uint64_t i = 0; i < 2000; i++) {
        const struct row *row = directory_find(&fixture->directory, 7, i * stride);

        assert_int_equal(row->page, i);
    }
}

static void test_next_visits_the_chunks_of_one_region_in_order(void **state)
{
    struct fixture *fixture = *state;
    static const uint64_t numbers[] = {9, 2, 700, 3, 0};
    static const uint64_t in_order[] = {0, 2, 3, 9, 700};
    struct chunk *chunk;
    uint32_t count = 0;

    for (uint32_t i = 0; i < 5; i++) {
        get(fixture, 4, numbers[i] * CHUNK_PAGES + i);
    }
    get(fixture, 5, CHUNK_PAGES);
    for (chunk = directory_next(&fixture->directory, 4, 0); chunk != NULL;
         chunk = directory_next(&fixture->directory, 4, chunk->number + 1)) {
        assert_true(count < 5);
        assert_int_equal(chunk->number, in_order[count++]);
        assert_int_equal(chunk->slot, 4);
        assert_ptr_equal(chunk_record(&fixture->directory, chunk, 7),
                         directory_find(&fixture->directory, 4, chunk->number * CHUNK_PAGES + 7));
    }
    assert_int_equal(count, 5);
}

static void test_forget_frees_one_region_only(void **state)
{
    struct fixture *fixture = *state;

    for (uint64_t i = 0; i < 1500; i++) { /* more chunks than buckets: some share one */
        get(fixture, 1, i * CHUNK_PAGES)->page = i + 1;
        get(fixture, 2, i * CHUNK_PAGES)->page = i + 1;
    }
    directory_forget(&fixture->directory, 1);
    assert_null(directory_next(&fixture->directory, 1, 0));
    for (uint64_t i = 0; i < 1500; i++) {
        const struct row *row = directory_find(&fixture->directory, 2, i * CHUNK_PAGES);

        assert_null(directory_find(&fixture->directory, 1, i * CHUNK_PAGES));
        assert_int_equal(row->page, i + 1);
    }
    assert_true(fixture->directory.pool.count_free >= 1500);
    assert_int_equal(get(fixture, 1, 0)->page, 0); /* a chunk that is used again is zero */
}

/* A step must not begin an item for whose range there might be no chunks left. */
static void test_room_ends_before_the_chunks_of_one_item_are_missing(void **state)
{
    struct fixture *fixture = *state;
    struct directory *directory = &fixture->directory;

    get(fixture, 1, 0);
    assert_true(directory_has_room(directory));
    for (uint64_t chunk = 1; directory->pool.count_free > DIRECTORY_ITEM_CHUNKS; chunk++) {
        assert_true(directory_has_room(directory));
        directory_get(directory, 1, chunk * CHUNK_PAGES);
    }
    assert_true(directory_has_room(directory));
    directory_get(directory, 2, 0);
    assert_false(directory_has_room(directory));
    get(fixture, 2, 0); /* the driver supplies */
    assert_true(directory_has_room(directory));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_untouched_page_has_no_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_records_are_apart_and_found_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sparse_region_costs_what_is_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_next_visits_the_chunks_of_one_region_in_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_forget_frees_one_region_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_room_ends_before_the_chunks_of_one_item_are_missing,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
