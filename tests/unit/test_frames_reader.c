/* SPDX-License-Identifier: Apache-2.0 */
/* What the frames do for programs that map a region only to read it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames_program.h"

#define PAGES 64u

/* A writer, map 1, and a reader, map 2, which are served from a store; page i begins with i. */
struct pair {
    struct agent_side side;
    struct program writer, reader;
};

static int set_up(void **state)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    struct agent_side *side = &pair->side;

    assert_non_null(pair);
    side_open(side, PAGES, HARDWARE_PAGE);
    side->store = calloc(PAGES, HARDWARE_PAGE);
    assert_non_null(side->store);
    for (uint64_t page = 0; page < PAGES; page++) {
        memcpy(side->store + page * HARDWARE_PAGE, &page, sizeof(page));
    }
    side->answer = side_serve;
    program_start_attached(&pair->writer, side, 1, 0, PAGES);
    side->has_readers = true;
    program_start_attached(&pair->reader, side, 2, 0, PAGES);
    *state = pair;
    return 0;
}

static int tear_down(void **state)
{
    struct pair *pair = *state;

    program_kill(&pair->writer);
    program_kill(&pair->reader);
    side_close(&pair->side);
    free(pair);
    return 0;
}

static uint64_t read_at(struct pair *pair, struct program *program, uint64_t page)
{
    return program_do(program, &pair->side, PROGRAM_READ, page * HARDWARE_PAGE, 0);
}

static void test_absent_page_is_asked_for_and_cannot_be_written(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(read_at(pair, &pair->reader, 3), 3);
    assert_int_equal(pair->side.map, 2);
    assert_int_equal(pair->side.page, 3);
    assert_false(pair->side.write);
    program_order(&pair->reader, PROGRAM_WRITE, 3 * HARDWARE_PAGE, 4);
    assert_int_equal(program_result(&pair->reader, &pair->side).signal, SIGSEGV);
    assert_int_equal(pair->side.count_faults, 1);
}

/* The kernel maps pages that are here, and their neighbours that are here, without an event. */
static void test_pages_that_are_here_are_mapped_in_runs(void **state)
{
    struct pair *pair = *state;
    uint64_t mapped;

    for (uint64_t page = 0; page < PAGES / 2; page++) {
        assert_int_equal(read_at(pair, &pair->writer, page), page);
    }
    assert_int_equal(read_at(pair, &pair->reader, 8), 8);
    mapped = program_do(&pair->reader, &pair->side, PROGRAM_MAPPED, 0, PAGES);
    assert_true(mapped > 1 && mapped <= PAGES / 2);
    assert_int_equal(pair->side.count_faults, PAGES / 2);
    assert_int_equal(read_at(pair, &pair->reader, PAGES / 2), PAGES / 2); /* this one is not */
    assert_int_equal(pair->side.count_faults, PAGES / 2 + 1);
}

static void test_page_that_is_written_by_another_is_seen_and_goes(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(read_at(pair, &pair->reader, 5), 5);
    program_do(&pair->writer, &pair->side, PROGRAM_WRITE, 5 * HARDWARE_PAGE, 50);
    assert_int_equal(read_at(pair, &pair->reader, 5), 50);
    assert_int_equal(pair->side.count_faults, 2);
    side_take(&pair->side, 5, 1, false); /* protected, and the writer has to ask again */
    program_do(&pair->writer, &pair->side, PROGRAM_WRITE, 5 * HARDWARE_PAGE, 51);
    assert_int_equal(pair->side.count_faults, 3);
    side_take(&pair->side, 5, 1, true);
    pair->side.state[5] = 0;
    assert_int_equal(read_at(pair, &pair->reader, 5), 5); /* the store has the old bytes */
    assert_int_equal(pair->side.count_faults, 4);
    assert_int_equal(pair->side.map, 2);
}

static void test_right_to_write_brings_a_reader_nothing_but_its_turn(void **state)
{
    struct pair *pair = *state;

    pair->side.answer = NULL;
    program_order(&pair->reader, PROGRAM_READ, 0, 0);
    side_wait_faults(&pair->side, 1);
    frames_fill(pair->side.frames, pair->side.region, 0, 1, 1, true, pair->side.store);
    frames_allow(pair->side.frames, pair->side.region, 0, 1, 2);
    assert_int_equal(program_result(&pair->reader, &pair->side).value, 0);
}

static void test_poisoned_page_raises_sigbus(void **state)
{
    struct pair *pair = *state;

    frames_poison(pair->side.frames, pair->side.region, 9, 1);
    program_order(&pair->reader, PROGRAM_READ, 9 * HARDWARE_PAGE, 0);
    assert_int_equal(program_result(&pair->reader, &pair->side).signal, SIGBUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_absent_page_is_asked_for_and_cannot_be_written, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_pages_that_are_here_are_mapped_in_runs, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_page_that_is_written_by_another_is_seen_and_goes,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_right_to_write_brings_a_reader_nothing_but_its_turn,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_poisoned_page_raises_sigbus, set_up, tear_down),
    };

    if (!has_userfaultfd()) {
        printf("SKIP: no userfaultfd can be had here\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
