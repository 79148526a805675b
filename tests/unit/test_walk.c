/* SPDX-License-Identifier: Apache-2.0 */
/* Walks of programs, and what is asked for because of them. Each test tells its own in a table. */
#include "dsm/core/walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGES 100000u

/* A region's memory: what was asked for is here at once. */
struct memory {
    struct walks walks;
    struct walk_limits limits;
    uint8_t here[PAGES];
    uint32_t faults, fetched; /* pages asked for */
    char text[1024];          /* the requests: "page+count", what is asked for ahead in brackets */
};

static struct memory *memory_new(void)
{
    struct memory *memory = calloc(1, sizeof(*memory));

    assert_non_null(memory);
    memory->limits =
        (struct walk_limits){.unit = 1, .longest = 64, .room = UINT64_MAX, .end = PAGES};
    return memory;
}

static void fetch(struct memory *memory, uint64_t page, uint64_t count)
{
    for (uint64_t at = page; at < page + count && at < PAGES; at++) {
        memory->fetched += !memory->here[at];
        memory->here[at] = 1;
    }
}

static void note(struct memory *memory, const struct walk_plan *plan)
{
    size_t used = strlen(memory->text);

    used += (size_t)snprintf(memory->text + used, sizeof(memory->text) - used, "%s%llu+%u",
                             used > 0 ? " " : "", (unsigned long long)plan->page, plan->count);
    if (plan->ahead_count > 0 && used < sizeof(memory->text)) {
        snprintf(memory->text + used, sizeof(memory->text) - used, "[%llu+%u%+lld x%u]",
                 (unsigned long long)plan->ahead_page, plan->ahead_run,
                 (long long)plan->ahead_stride, plan->ahead_count);
    }
}

static void touch(struct memory *memory, uint64_t page)
{
    struct walk_plan plan;

    assert_true(page < PAGES);
    if (memory->here[page]) {
        return;
    }
    plan = walks_on_miss(&memory->walks, page, &memory->limits);
    memory->faults++;
    assert_true(plan.count > 0 && plan.page <= page && page < plan.page + plan.count);
    assert_true(plan.page + plan.count <= PAGES);
    note(memory, &plan);
    fetch(memory, plan.page, plan.count);
    for (uint32_t i = 0; i < plan.ahead_count; i++) {
        uint64_t first = plan.ahead_page + (uint64_t)((int64_t)i * plan.ahead_stride);

        assert_true(first < PAGES);
        fetch(memory, first, plan.ahead_run);
    }
}

static void expect(struct memory *memory, const char *text)
{
    assert_string_equal(memory->text, text);
    memory->text[0] = 0;
}

/* Other nodes write to pages [page, end): they are not here any more. */
static void lose(struct memory *memory, uint64_t page, uint64_t end)
{
    memset(memory->here + page, 0, end - page);
    walks_on_loss(&memory->walks, page, end - page);
}

static void test_order_makes_requests_longer(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    for (uint64_t page = 100; page < 600; page++) {
        touch(memory, page);
    }
    expect(memory, "100+1 101+4 105+16 121+64[185+64+64 x1] 249+64[313+64+64 x4] "
                   "569+64[633+64+64 x4]");
    free(memory);
}

static void test_order_backwards_makes_requests_longer(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    for (uint64_t page = 600; page > 100; page--) {
        touch(memory, page);
    }
    expect(memory, "600+1 596+4 580+16 516+64[452+64-64 x1] 388+64[324+64-64 x4] "
                   "68+64[4+64-64 x1]");
    free(memory);
}

static void test_third_step_of_a_stride_asks_for_more(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    for (uint64_t page = 0; page < 16000; page += 37) {
        touch(memory, page);
    }
    expect(memory, "0+1 37+1 74+1[111+1+37 x4] 259+1[296+1+37 x24] 1184+1[1221+1+37 x124] "
                   "5809+1[5846+1+37 x256] 15318+1[15355+1+37 x256]");
    free(memory);
}

static void test_stride_backwards(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    for (uint64_t page = 4000; page >= 40; page -= 40) {
        touch(memory, page);
    }
    assert_int_equal(memory->faults, 5);
    free(memory);
}

static void test_runs_at_equal_distances(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    for (uint64_t row = 0; row < 60; row++) {
        for (uint64_t page = 0; page < 8; page++) {
            touch(memory, row * 500 + page);
        }
    }
    assert_true(memory->faults < 24); /* of 480 */
    assert_true(memory->fetched < 480 * 3);
    free(memory);
}

static void test_columns_become_wider(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    for (uint64_t column = 0; column < 100; column++) {
        for (uint64_t row = 0; row < 200; row++) {
            touch(memory, row * 100 + column);
        }
    }
    assert_true(memory->faults < 200); /* of 20,000 */
    assert_true(memory->fetched < 20000 + 2000);
    free(memory);
}

static void test_pairs_here_and_there_are_not_read_ahead_for_long(void **state)
{
    struct memory *memory = memory_new();
    uint64_t page = 1;
    uint32_t touched = 0;

    (void)state;
    for (uint32_t i = 0; i < 300; i++) {
        page = (page * 6364136223846793005u + 1442695040888963407u);
        touch(memory, page % (PAGES - 2));
        touch(memory, page % (PAGES - 2) + 1);
        touched += 2;
    }
    assert_true(memory->fetched < touched + touched / 10);
    free(memory);
}

static void test_chance_is_no_walk(void **state)
{
    struct memory *memory = memory_new();
    uint64_t page = 7;

    (void)state;
    for (uint32_t i = 0; i < 2000; i++) {
        page = (page * 6364136223846793005u + 1442695040888963407u);
        touch(memory, (page >> 33) % PAGES);
    }
    assert_true(memory->fetched <= memory->faults + memory->faults / 20);
    free(memory);
}

static void test_several_walks_at_once(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    for (uint64_t step = 0; step < 1000; step++) {
        for (uint64_t walk = 0; walk < 6; walk++) {
            touch(memory, walk * 16000 + step);
        }
    }
    assert_true(memory->faults < 6 * 12);
    free(memory);
}

static void test_nothing_ahead_without_room(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    memory->limits.room = 0;
    for (uint64_t page = 0; page < 300; page++) {
        touch(memory, page);
    }
    expect(memory, "0+1 1+4 5+16 21+64 85+64 149+64 213+64 277+64");
    memory->limits.longest = 1;
    for (uint64_t page = 400; page < 404; page++) {
        touch(memory, page);
    }
    expect(memory, "400+1 401+1 402+1 403+1");
    free(memory);
}

/* What is known to be read in order is asked for at once, up to its end. */
static void test_certain_walk_proves_nothing(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    memory->limits.is_certain = true;
    memory->limits.end = 1000;
    touch(memory, 700);
    expect(memory, "700+64[764+64+64 x3]");
    touch(memory, 956);
    expect(memory, "956+44");
    memory->limits.room = 0;
    touch(memory, 100);
    expect(memory, "100+64");
    touch(memory, 99); /* it is told to go forwards */
    expect(memory, "99+64");
    free(memory);
}

static void test_exact_walk_goes_on_only_behind_what_it_got(void **state)
{
    struct memory *memory = memory_new();
    struct walk_plan plan;

    (void)state;
    memory->limits.is_exact = true;
    for (uint64_t page = 0; page < 6; page++) {
        touch(memory, page);
    }
    expect(memory, "0+1 1+4 5+16");
    memory->here[9] = 0;
    touch(memory, 9);
    expect(memory, "9+1");
    walks_cut(&memory->walks, 21, 13);
    plan = walks_on_miss(&memory->walks, 13, &memory->limits);
    assert_int_equal(plan.count, 64);
    lose(memory, 0, 100);
    memory->text[0] = 0;
    touch(memory, 0); /* who writes leaves no footprint: it would take from others what they use */
    expect(memory, "0+1");
    free(memory);
}

static void test_waiting_goes_on(void **state)
{
    struct memory *memory = memory_new();
    struct walk_plan plan;

    (void)state;
    for (uint64_t page = 0; page < 22; page++) {
        touch(memory, page);
    }
    expect(memory, "0+1 1+4 5+16 21+64[85+64+64 x1]");
    plan = walks_on_wait(&memory->walks, 40, &memory->limits);
    assert_int_equal(plan.count, 0);
    assert_int_equal(plan.ahead_count, 1);
    assert_int_equal(plan.ahead_page, 149);
    plan = walks_on_wait(&memory->walks, 40, &memory->limits);
    assert_int_equal(plan.ahead_count, 0); /* the same fault once more */
    plan = walks_on_wait(&memory->walks, 5000, &memory->limits);
    assert_int_equal(plan.ahead_count, 0); /* of no walk */
    free(memory);
}

static void touch_all(struct memory *memory, uint64_t page, uint64_t end)
{
    for (; page < end; page++) {
        touch(memory, page);
    }
}

/* An outer row of a neighbour's part of a grid, which is written anew each time. */
static void test_walk_that_begins_again_asks_for_what_it_used(void **state)
{
    static const char *const times[] = {"50+1 51+4", "50+2 52+1 53+3", "50+4", "50+4"};
    struct memory *memory = memory_new();

    (void)state;
    for (uint32_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        touch_all(memory, 50, 54);
        expect(memory, times[i]);
        lose(memory, 50, 60);
    }
    memory->here[51] = 1; /* what is asked for is not always given */
    touch(memory, 50);
    memory->here[52] = 0;
    touch(memory, 52);
    expect(memory, "50+4 52+2");
    free(memory);
}

/* Groups of pages that are asked for together are not cut in two where a footprint is halved. */
static void test_footprint_is_of_whole_groups(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    memory->limits.unit = 16;
    footprints_note(&memory->walks.footprints, 160, 48);
    for (uint32_t i = 1; i < FOOTPRINT_TOLD; i++) {
        footprints_tell(&memory->walks.footprints, 160);
    }
    touch(memory, 160);
    expect(memory, "160+16");
    free(memory);
}

static void test_walk_that_began_forwards_before_goes_back(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    touch_all(memory, 50, 54);
    lose(memory, 0, 100);
    memory->text[0] = 0;
    for (uint64_t page = 50; page > 20; page--) {
        touch(memory, page);
    }
    expect(memory, "50+2 49+1 47+2 43+4 35+8 19+16");
    free(memory);
}

static void test_footprint_longer_than_a_request_is_asked_for_ahead(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    memory->limits.longest = 16;
    touch_all(memory, 0, 300);
    lose(memory, 0, 1000);
    memory->text[0] = 0;
    touch(memory, 0);
    expect(memory, "0+16[16+16+16 x3]");
    assert_int_equal(memory->walks.doubts, 1);
    lose(memory, 0, 64); /* it is known to use these */
    assert_int_equal(memory->walks.doubts, 1);
    free(memory);
}

static void test_walk_that_lost_pages_is_doubted(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    touch_all(memory, 0, 32);
    expect(memory, "0+1 1+4 5+16 21+64[85+64+64 x1]");
    lose(memory, 0, 21); /* it has come past these */
    assert_int_equal(memory->walks.doubts, 0);
    lose(memory, 64, 96);
    lose(memory, 96, 149); /* once is enough */
    assert_int_equal(memory->walks.doubts, 1);
    touch_all(memory, 64, 96);
    expect(memory, "64+1 65+1 66+2 68+4 72+8 80+16");
    lose(memory, 64, 200); /* none of these was asked for without coming to it */
    touch_all(memory, 200, 2000);
    assert_int_equal(memory->walks.doubts, 0); /* who comes so far goes on */
    free(memory);
}

static void test_walk_backwards_that_lost_pages_is_doubted(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    for (uint64_t page = 600; page > 570; page--) {
        touch(memory, page);
    }
    expect(memory, "600+1 596+4 580+16 516+64[452+64-64 x1]");
    lose(memory, 580, 601);
    lose(memory, 400, 452);
    assert_int_equal(memory->walks.doubts, 0);
    lose(memory, 440, 453);
    assert_int_equal(memory->walks.doubts, 1);
    free(memory);
}

static void test_stride_that_lost_pages_asks_for_one_run_at_a_time(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    for (uint64_t row = 0; row < 3; row++) {
        touch_all(memory, row * 100, row * 100 + 4);
    }
    expect(memory, "0+1 1+4 100+1 101+4 200+2[300+2+100 x4] 202+1 203+1");
    lose(memory, 200, 300);
    lose(memory, 304, 399); /* between two runs */
    assert_int_equal(memory->walks.doubts, 0);
    lose(memory, 350, 1000);
    assert_int_equal(memory->walks.doubts, 1);
    for (uint64_t row = 3; row < 19; row++) {
        touch_all(memory, row * 100, row * 100 + 4);
        assert_null(strchr(memory->text, '['));
        memory->text[0] = 0;
    }
    touch_all(memory, 1900, 1904); /* it has proved itself */
    expect(memory, "1900+4[2000+4+100 x4]");
    free(memory);
}

static void test_stride_among_doubts_asks_for_what_it_has_come(void **state)
{
    struct memory *memory = memory_new();

    (void)state;
    memory->walks.doubts = 1;
    for (uint64_t page = 0; page < 592; page += 37) {
        touch(memory, page);
    }
    expect(memory, "0+1 37+1 74+1[111+1+37 x1] 148+1[185+1+37 x3] 296+1[333+1+37 x7]");
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_makes_requests_longer),
        cmocka_unit_test(test_order_backwards_makes_requests_longer),
        cmocka_unit_test(test_third_step_of_a_stride_asks_for_more),
        cmocka_unit_test(test_stride_backwards),
        cmocka_unit_test(test_runs_at_equal_distances),
        cmocka_unit_test(test_columns_become_wider),
        cmocka_unit_test(test_pairs_here_and_there_are_not_read_ahead_for_long),
        cmocka_unit_test(test_chance_is_no_walk),
        cmocka_unit_test(test_several_walks_at_once),
        cmocka_unit_test(test_nothing_ahead_without_room),
        cmocka_unit_test(test_certain_walk_proves_nothing),
        cmocka_unit_test(test_exact_walk_goes_on_only_behind_what_it_got),
        cmocka_unit_test(test_waiting_goes_on),
        cmocka_unit_test(test_walk_that_begins_again_asks_for_what_it_used),
        cmocka_unit_test(test_walk_that_began_forwards_before_goes_back),
        cmocka_unit_test(test_footprint_is_of_whole_groups),
        cmocka_unit_test(test_footprint_longer_than_a_request_is_asked_for_ahead),
        cmocka_unit_test(test_walk_that_lost_pages_is_doubted),
        cmocka_unit_test(test_walk_backwards_that_lost_pages_is_doubted),
        cmocka_unit_test(test_stride_that_lost_pages_asks_for_one_run_at_a_time),
        cmocka_unit_test(test_stride_among_doubts_asks_for_what_it_has_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
