/* SPDX-License-Identifier: Apache-2.0 */
/* Merging of a view with its region: nothing that anybody wrote is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "dsm/lib/merge.h"
#include "tests/unit/draw.h"

#define BYTES 4096u
#define WORDS (BYTES / sizeof(uint64_t))

/* Two views of one page. */
struct place {
    union {
        _Atomic uint64_t words[WORDS];
        uint8_t bytes[BYTES];
    } views[2], base;
    uint64_t twins[2][WORDS];
};

static struct merge merge_of(struct place *place, unsigned which)
{
    return (struct merge){.view = place->views[which].words,
                          .twin = place->twins[which],
                          .base = place->base.words,
                          .len_bytes = BYTES};
}

static void fill(struct place *place, uint8_t byte)
{
    memset(place, byte, sizeof(*place));
}

/* Each byte is written by one of two, or nobody, whatever lies beside it: both see all of it. */
static void test_neighbouring_bytes_of_two_are_all_kept(void **state)
{
    static struct place place;
    uint64_t seed = 17;

    (void)state;
    for (unsigned turn = 0; turn < 200; turn++) {
        struct merge_outcome outcome = {0};
        uint8_t expected[BYTES];
        struct merge first, second;
        uint64_t count = 0;

        fill(&place, (uint8_t)turn);
        memset(expected, (int)(uint8_t)turn, BYTES);
        for (unsigned i = 0; i < BYTES; i++) {
            uint64_t drawn = draw(&seed, 3 + turn % 40); /* 0, 1: whose it is */

            if (drawn < 2) {
                expected[i] = (uint8_t)(turn + 1 + drawn);
                place.views[drawn].bytes[i] = expected[i];
                count++;
            }
        }
        first = merge_of(&place, 0);
        second = merge_of(&place, 1);
        merge_out(&first, &outcome);
        merge_in(&second, &outcome);
        merge_out(&second, &outcome);
        merge_in(&first, &outcome);
        assert_memory_equal(place.views[0].bytes, expected, BYTES);
        assert_memory_equal(place.views[1].bytes, expected, BYTES);
        assert_memory_equal(place.base.bytes, expected, BYTES);
        assert_false(merge_is_dirty(&first));
        assert_false(merge_is_dirty(&second));
        assert_int_equal(outcome.count_races, 0);
        assert_int_equal(outcome.count_bytes, 2 * count);
    }
}

/* What was written and not released stays so, and is released later. */
static void test_acquire_keeps_what_is_not_released(void **state)
{
    static struct place place;
    struct merge_outcome outcome = {0};
    struct merge first, second;

    (void)state;
    fill(&place, 0);
    first = merge_of(&place, 0);
    second = merge_of(&place, 1);
    place.views[0].bytes[10] = 1;
    place.views[1].bytes[11] = 2;
    merge_out(&second, &outcome);
    merge_in(&first, &outcome);
    assert_int_equal(place.views[0].bytes[10], 1);
    assert_int_equal(place.views[0].bytes[11], 2);
    assert_int_equal(place.base.bytes[10], 0);
    assert_true(merge_is_dirty(&first));
    merge_out(&first, &outcome);
    assert_int_equal(place.base.bytes[10], 1);
    assert_int_equal(outcome.count_races, 0);
}

/* A byte that two wrote is a race when they did not write the same. */
static void test_one_byte_of_two_writers_is_a_race(void **state)
{
    static struct place place;
    struct merge_outcome out = {0}, in = {0}, same = {0};
    struct merge first, second;

    (void)state;
    fill(&place, 0);
    first = merge_of(&place, 0);
    second = merge_of(&place, 1);
    place.views[0].bytes[801] = 1;
    place.views[1].bytes[801] = 2;
    place.views[0].bytes[4095] = 3;
    place.views[1].bytes[4095] = 3;
    merge_out(&first, &same);
    assert_int_equal(same.count_races, 0);
    merge_in(&second, &in);
    assert_int_equal(in.count_races, 1);
    assert_int_equal(in.first_race, 800);
    assert_int_equal(place.views[1].bytes[801], 2);
    place.views[0].bytes[801] = 5;
    merge_out(&second, &out);
    assert_int_equal(out.count_races, 0);
    merge_out(&first, &out);
    assert_int_equal(out.count_races, 1);
    assert_int_equal(out.first_race, 800);
}

#define ROUNDS 20000u

struct writer {
    struct place *place;
    _Atomic int *stop;
    unsigned offset;
};

/*
 * Counts in every eighth byte from its own on; the view is merged meanwhile. Its loads and stores
 * are those of any program, said so that ThreadSanitizer knows them to be meant.
 */
static void *count(void *argument)
{
    struct writer *writer = argument;
    uint8_t *bytes = writer->place->views[0].bytes;

    for (unsigned round = 0; round < ROUNDS; round++) {
        _Atomic uint8_t *at = (_Atomic uint8_t *)&bytes[writer->offset + round * 8 % 512];
        uint8_t value = atomic_load_explicit(at, memory_order_relaxed);

        atomic_store_explicit(at, (uint8_t)(value + 1), memory_order_relaxed);
    }
    *writer->stop = 1;
    return NULL;
}

/* Another thread stores while pages are merged both ways: none of its stores is lost. */
static void test_stores_under_way_are_not_lost(void **state)
{
    static struct place place;
    struct merge_outcome outcome = {0};
    _Atomic int stop = 0;
    struct writer writer = {&place, &stop, 3};
    uint8_t expected[512] = {0};
    struct merge first, second;
    pthread_t thread;

    (void)state;
    fill(&place, 0);
    first = merge_of(&place, 0);
    second = merge_of(&place, 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        expected[3 + round * 8 % 512]++;
    }
    assert_int_equal(pthread_create(&thread, NULL, count, &writer), 0);
    for (uint8_t turn = 1; !stop; turn++) {
        place.views[1].bytes[2] = turn;
        place.views[1].bytes[4] = turn;
        merge_out(&second, &outcome);
        merge_in(&first, &outcome);
        merge_out(&first, &outcome);
        merge_in(&second, &outcome);
        assert_int_equal(place.views[0].bytes[2], turn);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    merge_out(&first, &outcome);
    for (unsigned i = 3; i < 512; i += 8) {
        assert_int_equal(place.base.bytes[i], expected[i]);
    }
    assert_int_equal(outcome.count_races, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_neighbouring_bytes_of_two_are_all_kept),
        cmocka_unit_test(test_acquire_keeps_what_is_not_released),
        cmocka_unit_test(test_one_byte_of_two_writers_is_a_race),
        cmocka_unit_test(test_stores_under_way_are_not_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
