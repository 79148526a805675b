/* SPDX-License-Identifier: Apache-2.0 */
/* Regions whose pages are smaller than those of the hardware: 64 KiB are taken for one here. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/frames.h"
#include "dsm.h"
#include "frames_program.h"

#define LARGE 65536u
#define PAGE 4096u
#define PAGES (LARGE / PAGE)
#define ROUNDS 300u
#define COUNTERS_MAX 3u
#define STEPS 4000u

/* Fill pages; the first word of page n of the region is value + n. */
static void fill_numbered(struct agent_side *side, uint64_t page, uint32_t count, uint64_t value)
{
    uint8_t *bytes = calloc(1, (size_t)count * PAGE + 1);

    assert_non_null(bytes);
    for (uint32_t at = 0; at < count; at++) {
        uint64_t word = value + page + at;

        memcpy(bytes + 1 + (size_t)at * PAGE, &word, sizeof(word));
    }
    frames_fill(side->frames, side->region, page, count, 0, false, bytes + 1);
    free(bytes);
}

static uint64_t read_word(struct agent_side *side, uint64_t page)
{
    uint8_t bytes[PAGE];
    uint64_t value;

    assert_int_equal(frames_read(side->frames, side->region, page, 1, bytes), 0);
    memcpy(&value, bytes, sizeof(value));
    return value;
}

/* Is nothing of [offset, offset + LARGE) in the memory file? */
static void assert_hidden(struct agent_side *side, uint64_t offset)
{
    off_t data = lseek(frames_memfd(side->frames, side->region), (off_t)offset, SEEK_DATA);

    assert_true(data < 0 || data >= (off_t)(offset + LARGE));
}

/* The back ends that a test runs with. */
static const uint32_t kinds[] = {SESSION_SIGSEGV, SESSION_USERFAULTFD};

static bool is_kind_here(uint32_t kind)
{
    return kind == SESSION_SIGSEGV || has_userfaultfd();
}

/* No program sees a page that lies aside; gathered, all are there, with the right to write. */
static void test_pages_lie_aside_until_gathered(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < 2 && is_kind_here(kinds[kind]); kind++) {
        struct agent_side side;
        struct program program;

        side_open_on(&side, 2 * PAGES, PAGE, LARGE);
        side.backend = kinds[kind];
        program_start_attached(&program, &side, 1, 0, 2 * PAGES);
        program_order(&program, PROGRAM_WRITE, LARGE + 5 * PAGE, 99);
        side_wait_faults(&side, 1);
        assert_int_equal(side.page / PAGES, 1);
        fill_numbered(&side, PAGES + 3, PAGES - 3, 100);
        fill_numbered(&side, PAGES, 3, 100);
        assert_hidden(&side, LARGE);
        assert_int_equal(read_word(&side, PAGES + 2), 100 + PAGES + 2);
        frames_gather(side.frames, side.region, PAGES, PAGES, 1, true);
        assert_int_equal(program_result(&program, &side).signal, 0);
        assert_int_equal(read_word(&side, PAGES + 5), 99);
        for (uint64_t page = PAGES; page < 2 * PAGES; page++) {
            assert_int_equal(program_do(&program, &side, PROGRAM_READ, page * PAGE, 0),
                             page == PAGES + 5 ? 99 : 100 + page);
        }
        program_do(&program, &side, PROGRAM_WRITE, 2 * LARGE - 8, 7);
        assert_int_equal(side.count_faults, 1);
        assert_int_equal(frames_counters(side.frames)->groups_gathered, 1);
        program_kill(&program);
        side_close(&side);
    }
}

/* A group gathered for a reader is not writable before that is allowed, and protected again. */
static void test_gathered_group_has_rights_as_one_page(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < 2 && is_kind_here(kinds[kind]); kind++) {
        struct agent_side side;
        struct program program;

        side_open_on(&side, PAGES, PAGE, LARGE);
        side.backend = kinds[kind];
        program_start_attached(&program, &side, 1, 0, PAGES);
        program_order(&program, PROGRAM_READ, 2 * PAGE, 0);
        side_wait_faults(&side, 1);
        fill_numbered(&side, 0, PAGES, 10);
        frames_gather(side.frames, side.region, 0, PAGES, 1, false);
        assert_int_equal(program_result(&program, &side).value, 12);
        program_order(&program, PROGRAM_WRITE, 3 * PAGE, 50);
        side_wait_faults(&side, 2);
        assert_true(side.write);
        frames_allow(side.frames, side.region, 3, 1, 1);
        assert_int_equal(program_result(&program, &side).signal, 0);
        assert_int_equal(read_word(&side, 3), 50);
        frames_protect(side.frames, side.region, 7, 1);
        program_order(&program, PROGRAM_WRITE, 15 * PAGE, 60);
        side_wait_faults(&side, 3);
        assert_true(side.write);
        assert_int_equal(read_word(&side, 15), 25);
        program_kill(&program);
        side_close(&side);
    }
}

/* Scattered, the pages have what was written, one by one go and come, and none is seen. */
static void test_scattered_pages_come_and_go_one_by_one(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < 2 && is_kind_here(kinds[kind]); kind++) {
        struct agent_side side;
        struct program program;

        side_open_on(&side, PAGES, PAGE, LARGE);
        side.backend = kinds[kind];
        program_start_attached(&program, &side, 1, 0, PAGES);
        program_order(&program, PROGRAM_WRITE, 4 * PAGE, 44);
        side_wait_faults(&side, 1);
        fill_numbered(&side, 0, PAGES, 0);
        frames_gather(side.frames, side.region, 0, PAGES, 1, true);
        assert_int_equal(program_result(&program, &side).signal, 0);
        frames_scatter(side.frames, side.region, 0, PAGES);
        assert_hidden(&side, 0);
        assert_int_equal(read_word(&side, 4), 44);
        program_order(&program, PROGRAM_READ, 4 * PAGE, 0);
        side_wait_faults(&side, 2);
        frames_drop(side.frames, side.region, 3, 2);
        assert_int_equal(read_word(&side, 4), 0);
        assert_int_equal(read_word(&side, 5), 5);
        fill_numbered(&side, 4, 1, 400);
        fill_numbered(&side, 3, 1, 300);
        frames_gather(side.frames, side.region, 0, PAGES, 1, false);
        assert_int_equal(program_result(&program, &side).value, 404);
        assert_int_equal(program_do(&program, &side, PROGRAM_READ, 3 * PAGE, 0), 303);
        assert_int_equal(program_do(&program, &side, PROGRAM_READ, 15 * PAGE, 0), 15);
        assert_int_equal(frames_counters(side.frames)->groups_scattered, 1);
        assert_int_equal(frames_counters(side.frames)->repairs, 0);
        program_kill(&program);
        side_close(&side);
    }
}

/*
 * A program that is told by messages may touch what it has not heard of yet: it looks again, as the
 * core would have it do.
 */
static void look_again(struct agent_side *side)
{
    frames_wake(side->frames, side->region, side->page, 1, side->map);
}

/* The last group of a region is shorter: behind the region's end the hardware page is zero. */
static void test_last_group_ends_in_zeros(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open_on(&side, PAGES + 3, PAGE, LARGE);
    side.backend = SESSION_SIGSEGV;
    assert_int_equal(lseek(frames_memfd(side.frames, side.region), 0, SEEK_END), 2 * LARGE);
    program_start_attached(&program, &side, 1, PAGES, 3);
    assert_int_equal(program.len_bytes, LARGE);
    program_order(&program, PROGRAM_WRITE, 9 * PAGE, 1); /* Behind the end: the last page's. */
    side_wait_faults(&side, 1);
    assert_true(side.page >= PAGES && side.page < PAGES + 3);
    side.answer = look_again;
    fill_numbered(&side, PAGES, 3, 70);
    frames_gather(side.frames, side.region, PAGES, 3, 1, true);
    assert_int_equal(program_result(&program, &side).signal, 0);
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, 2 * PAGE, 0), 70 + PAGES + 2);
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, 3 * PAGE, 0), 0);
    side_begin_taking(&side);
    frames_scatter(side.frames, side.region, PAGES, 3);
    side_end_taking(&side);
    assert_hidden(&side, LARGE);
    frames_gather(side.frames, side.region, PAGES, 3, 1, false);
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, 9 * PAGE, 0), 0);
    side_begin_taking(&side);
    frames_scatter(side.frames, side.region, PAGES, 3);
    side_end_taking(&side);
    /* It grows: the pages that lie aside are now of a whole group. */
    assert_int_equal(frames_region_open(side.frames, side.region, 3 * (uint64_t)LARGE, PAGE), 0);
    fill_numbered(&side, PAGES + 3, PAGES - 3, 70);
    frames_gather(side.frames, side.region, PAGES, PAGES, 1, false);
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, 2 * PAGE, 0), 70 + PAGES + 2);
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, 9 * PAGE, 0), 70 + PAGES + 9);
    program_kill(&program);
    side_close(&side);
}

/* Bytes are kept from both places, and atomic operations work on both. */
static void test_keep_and_atomic_work_aside_and_gathered(void **state)
{
    struct frames_atomic atomic = {
        .op = SYNC_FETCH_ADD, .offset = 2 * PAGE, .is_native = true, .value = 5};
    struct agent_side side;
    uint64_t old = 0, word;
    size_t len_bytes = 0;

    (void)state;
    side_open_on(&side, 2 * PAGES, PAGE, LARGE);
    atomic.region = side.region;
    fill_numbered(&side, 0, PAGES + 2, 30);
    assert_int_equal(frames_atomic(side.frames, &atomic, &old), 0);
    assert_int_equal(old, 32);
    assert_int_equal(frames_keep(side.frames, 1, side.region, 2, PAGES), 0);
    frames_gather(side.frames, side.region, 0, PAGES, 0, false);
    assert_int_equal(frames_atomic(side.frames, &atomic, &old), 0);
    assert_int_equal(old, 37);
    assert_int_equal(frames_keep(side.frames, 2, side.region, 2, PAGES), 0); /* From both. */
    for (uint32_t keep = 1; keep <= 2; keep++) {
        const uint8_t *bytes = frames_kept(side.frames, keep, &len_bytes);

        assert_int_equal(len_bytes, LARGE);
        memcpy(&word, bytes, sizeof(word));
        assert_int_equal(word, keep == 1 ? 37 : 42);
        memcpy(&word, bytes + (PAGES - 1) * PAGE, sizeof(word));
        assert_int_equal(word, 30 + PAGES + 1);
    }
    atomic.offset = LARGE + PAGE;
    assert_int_equal(frames_atomic(side.frames, &atomic, &old), 0);
    assert_int_equal(read_word(&side, PAGES + 1), 30 + PAGES + 1 + 5);
    assert_hidden(&side, LARGE);
    side_close(&side);
}

/* One lost page makes its group unusable; the other groups stay. */
static void test_lost_page_poisons_its_group(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < 2 && is_kind_here(kinds[kind]); kind++) {
        struct agent_side side;
        struct program program;

        side_open_on(&side, 2 * PAGES, PAGE, LARGE);
        side.backend = kinds[kind];
        program_start_attached(&program, &side, 1, 0, 2 * PAGES);
        program_order(&program, PROGRAM_READ, LARGE, 0);
        side_wait_faults(&side, 1);
        fill_numbered(&side, 0, PAGES + 4, 5);
        frames_gather(side.frames, side.region, 0, PAGES, 1, true);
        frames_poison(side.frames, side.region, PAGES, PAGES);
        assert_int_equal(program_result(&program, &side).signal, SIGBUS);
        program_order(&program, PROGRAM_READ, 2 * LARGE - PAGE, 0);
        assert_int_equal(program_result(&program, &side).signal, SIGBUS);
        assert_int_equal(program_do(&program, &side, PROGRAM_READ, 3 * PAGE, 0), 8);
        assert_int_equal(read_word(&side, PAGES + 1), 5 + PAGES + 1); /* Still others' to have. */
        program_kill(&program);
        side_close(&side);
    }
}

/* An `answer`: gather the group, or let who asks have it. */
static void serve_group(struct agent_side *side)
{
    if (side->state[0] == 0) {
        frames_fill(side->frames, side->region, 0, PAGES, 0, false, side->store);
        frames_gather(side->frames, side->region, 0, PAGES, side->map, side->write);
        side->state[0] = 1;
    } else if (side->write) {
        frames_allow(side->frames, side->region, side->page, 1, side->map);
    } else {
        frames_wake(side->frames, side->region, side->page, 1, side->map);
    }
}

/* Programs of both kinds count in one group, which is scattered again and again: none is lost. */
static void test_scatter_under_load_loses_no_increment(void **state)
{
    static const uint32_t backends[] = {SESSION_SIGSEGV, SESSION_USERFAULTFD, SESSION_SIGSEGV};
    struct program programs[COUNTERS_MAX];
    struct agent_side side;
    uint32_t count = 0;

    (void)state;
    side_open_on(&side, PAGES, PAGE, LARGE);
    side.store = calloc(PAGES, PAGE);
    assert_non_null(side.store);
    side.answer = serve_group;
    for (uint32_t at = 0; at < COUNTERS_MAX; at++) {
        if (is_kind_here(backends[at])) {
            side.backend = backends[at];
            program_start_attached(&programs[count], &side, count + 1, 0, PAGES);
            program_order(&programs[count], PROGRAM_COUNT, count * 5 * PAGE, 0);
            count++;
        }
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t before = side.count_faults;

        if (side.state[0] != 0) {
            side_begin_taking(&side);
            frames_scatter(side.frames, side.region, 0, PAGES);
            assert_int_equal(frames_read(side.frames, side.region, 0, PAGES, side.store), 0);
            frames_drop(side.frames, side.region, 0, PAGES);
            side.state[0] = 0;
            side_end_taking(&side);
        }
        side_wait_faults(&side, before + 1);
    }
    for (uint32_t at = 0; at < count; at++) {
        __atomic_store_n(programs[at].stop, 1, __ATOMIC_SEQ_CST);
    }
    for (uint32_t at = 0; at < count; at++) {
        struct program_result result = program_result(&programs[at], &side);

        assert_int_equal(result.signal, 0);
        assert_true(result.value > 0);
        assert_true(read_word(&side, at * 5) == result.value);
    }
    assert_int_equal(frames_counters(side.frames)->repairs, 0);
    for (uint32_t at = 0; at < count; at++) {
        program_kill(&programs[at]);
    }
    side_close(&side);
}

/* What the groups of a region should have, kept beside them. */
struct model {
    bool is_gathered, is_here[PAGES];
    uint8_t bytes[PAGES][PAGE];
};

static void model_step(struct agent_side *side, struct model *model, uint64_t group,
                       unsigned int *seed)
{
    uint64_t page = (uint64_t)rand_r(seed) % PAGES, first = group * PAGES;
    uint8_t read[PAGE];
    uint32_t count_here = 0;

    for (uint32_t at = 0; at < PAGES; at++) {
        count_here += model->is_here[at];
    }
    if (model->is_gathered) {
        frames_scatter(side->frames, side->region, first, PAGES);
        model->is_gathered = false;
    } else if (count_here == PAGES && rand_r(seed) % 2 == 0) {
        frames_gather(side->frames, side->region, first, PAGES, 0, false);
        model->is_gathered = true;
    } else if (!model->is_here[page]) {
        memset(model->bytes[page], rand_r(seed) % 256, PAGE);
        frames_fill(side->frames, side->region, first + page, 1, 0, false, model->bytes[page]);
        model->is_here[page] = true;
    } else if (rand_r(seed) % 4 == 0) {
        frames_drop(side->frames, side->region, first + page, 1);
        model->is_here[page] = false;
    }
    for (uint32_t at = 0; at < PAGES; at++) {
        if (model->is_here[at]) {
            assert_int_equal(frames_read(side->frames, side->region, first + at, 1, read), 0);
            assert_memory_equal(read, model->bytes[at], PAGE);
        }
    }
    if (!model->is_gathered) {
        assert_hidden(side, first * PAGE);
    }
}

/* Whatever the order of fills, drops, gathers and scatters, each page has its own bytes. */
static void test_any_order_keeps_each_pages_bytes(void **state)
{
    struct model *models = calloc(2, sizeof(*models));
    unsigned int seed = (unsigned int)getpid();
    struct agent_side side;

    (void)state;
    print_message("seed %u\n", seed);
    assert_non_null(models);
    side_open_on(&side, 2 * PAGES, PAGE, LARGE);
    for (uint32_t step = 0; step < STEPS; step++) {
        uint64_t group = (uint64_t)rand_r(&seed) % 2;

        model_step(&side, &models[group], group, &seed);
    }
    assert_true(frames_counters(side.frames)->groups_scattered > 10);
    free(models);
    side_close(&side);
}

/* A page that is filled twice has the later bytes, and is told of as a repair. */
static void test_page_filled_twice_has_the_later_bytes(void **state)
{
    struct agent_side side;

    (void)state;
    side_open_on(&side, PAGES, PAGE, LARGE);
    fill_numbered(&side, 0, 1, 1);
    fill_numbered(&side, 0, 1, 2);
    assert_int_equal(read_word(&side, 0), 2);
    frames_fill(side.frames, side.region, 0, 1, 0, false, NULL);
    assert_int_equal(read_word(&side, 0), 0);
    assert_int_equal(frames_counters(side.frames)->repairs, 2);
    frames_drop(side.frames, side.region, 0, 1);
    frames_drop(side.frames, side.region, 0, 1);
    side_close(&side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_lie_aside_until_gathered),
        cmocka_unit_test(test_gathered_group_has_rights_as_one_page),
        cmocka_unit_test(test_scattered_pages_come_and_go_one_by_one),
        cmocka_unit_test(test_last_group_ends_in_zeros),
        cmocka_unit_test(test_keep_and_atomic_work_aside_and_gathered),
        cmocka_unit_test(test_lost_page_poisons_its_group),
        cmocka_unit_test(test_scatter_under_load_loses_no_increment),
        cmocka_unit_test(test_any_order_keeps_each_pages_bytes),
        cmocka_unit_test(test_page_filled_twice_has_the_later_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
