/* SPDX-License-Identifier: Apache-2.0 */
/* A window tells new requests from repeated ones exactly, whatever the order in which they come. */
#include "dsm/core/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_number_is_new_once(void **state)
{
    struct window window = {0};

    (void)state;
    assert_int_equal(window_note(&window, 1, 1), WINDOW_NEW);
    assert_int_equal(window_note(&window, 1, 1), WINDOW_SEEN);
    assert_int_equal(window_note(&window, 3, 1), WINDOW_NEW);
    assert_int_equal(window_note(&window, 2, 1), WINDOW_NEW); /* a number that was overtaken */
    assert_int_equal(window_note(&window, 2, 1), WINDOW_SEEN);
    assert_int_equal(window_note(&window, 3, 1), WINDOW_SEEN);
}

static void test_number_below_the_floor_is_closed(void **state)
{
    struct window window = {0};

    (void)state;
    assert_int_equal(window_note(&window, 10, 1), WINDOW_NEW);
    assert_int_equal(window_note(&window, 20, 15), WINDOW_NEW);
    assert_int_equal(window_note(&window, 10, 1), WINDOW_BELOW);
    assert_int_equal(window_note(&window, 14, 1), WINDOW_BELOW);
    assert_int_equal(window_note(&window, 15, 1), WINDOW_NEW);
    assert_int_equal(window_note(&window, 20, 1), WINDOW_SEEN); /* an old floor lowers nothing */
}

static void test_number_too_far_up_is_refused_and_changes_nothing(void **state)
{
    struct window window = {0};
    const struct window before = window;

    (void)state;
    assert_int_equal(window_note(&window, WINDOW, 0), WINDOW_BEYOND);
    assert_int_equal(window_note(&window, UINT64_MAX, 0), WINDOW_BEYOND);
    assert_memory_equal(&window, &before, sizeof(window));
    assert_int_equal(window_note(&window, WINDOW - 1, 0), WINDOW_NEW);
    assert_int_equal(window_note(&window, WINDOW, 1), WINDOW_NEW);
    assert_int_equal(window_note(&window, WINDOW + 1, 1), WINDOW_BEYOND);
}

static void test_floor_above_the_number_is_not_believed(void **state)
{
    struct window window = {0};

    (void)state;
    assert_int_equal(window_note(&window, 5, 9), WINDOW_NEW);
    assert_int_equal(window.floor, 0);
    assert_int_equal(window_note(&window, 5, 9), WINDOW_SEEN);
}

static void test_floor_far_above_clears_everything(void **state)
{
    struct window window = {0};

    (void)state;
    for (uint64_t i = 0; i < WINDOW; i++) {
        assert_int_equal(window_note(&window, i, 0), WINDOW_NEW);
    }
    assert_int_equal(window_note(&window, 5 * WINDOW + 3, 5 * WINDOW), WINDOW_NEW);
    for (uint64_t i = 0; i < WINDOW; i++) {
        assert_int_equal(window_note(&window, 5 * WINDOW + i, 5 * WINDOW),
                         i == 3 ? WINDOW_SEEN : WINDOW_NEW);
    }
}

/* Against a plain array: numbers in random order within the window, each sent up to three times. */
static void test_moving_window_agrees_with_a_plain_record(void **state)
{
    static bool seen[100000]; /* of this test alone */
    struct window window = {0};
    uint64_t floor = 0, random = 12345;

    (void)state;
    for (uint32_t i = 0; i < 200000; i++) {
        uint64_t number;
        enum window_answer expected;

        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        floor += (random >> 60) == 0 ? (random >> 33) % 40 : 0;
        number = floor + (random >> 40) % WINDOW;
        if (number >= 100000) {
            break;
        }
        expected = seen[number] ? WINDOW_SEEN : WINDOW_NEW;
        seen[number] = true;
        assert_int_equal(window_note(&window, number, floor), expected);
        assert_int_equal(window.floor, floor);
    }
    assert_true(floor > WINDOW);
}

static void test_reset_begins_anew(void **state)
{
    struct window window = {0};

    (void)state;
    window_note(&window, 9999, 9990);
    window_reset(&window);
    assert_int_equal(window_note(&window, 1, 1), WINDOW_NEW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_is_new_once),
        cmocka_unit_test(test_number_below_the_floor_is_closed),
        cmocka_unit_test(test_number_too_far_up_is_refused_and_changes_nothing),
        cmocka_unit_test(test_floor_above_the_number_is_not_believed),
        cmocka_unit_test(test_floor_far_above_clears_everything),
        cmocka_unit_test(test_moving_window_agrees_with_a_plain_record),
        cmocka_unit_test(test_reset_begins_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
