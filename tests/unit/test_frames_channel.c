/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that no userfaultfd watches: what they see, alone and beside others that one watches. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/frames.h"
#include "dsm.h"
#include "frames_program.h"

#define ROUNDS 2000u
#define COUNTERS_MAX 4u

static void side_open_channel(struct agent_side *side, uint64_t count_pages)
{
    side_open(side, count_pages, HARDWARE_PAGE);
    side->backend = SESSION_SIGSEGV;
}

static void fill_word(struct agent_side *side, uint64_t page, map_id map, bool write,
                      uint64_t value)
{
    uint8_t *bytes = calloc(1, side->page_size);

    assert_non_null(bytes);
    memcpy(bytes, &value, sizeof(value));
    frames_fill(side->frames, side->region, page, 1, map, write, bytes);
    free(bytes);
}

static uint64_t word_at(struct agent_side *side, uint64_t page)
{
    uint64_t value = 0;

    assert_int_equal(pread(frames_memfd(side->frames, side->region), &value, sizeof(value),
                           (off_t)(page * side->page_size)),
                     sizeof(value));
    return value;
}

/* Turn until the program has carried out so many orders; before that its touches ask for what is
 * granted already. */
static void wait_orders(struct program *program, struct agent_side *side, uint64_t count)
{
    while (program_do(program, side, PROGRAM_MISBEHAVE, 0, CHANNEL_OBEYS) < count) {
    }
}

/* A touch is told with its page; the fill lets it read, and not write before that is allowed. */
static void test_read_then_write_are_asked_for(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open_channel(&side, 8);
    program_start_attached(&program, &side, 5, 2, 4);
    program_order(&program, PROGRAM_READ, HARDWARE_PAGE + 16, 0);
    side_wait_faults(&side, 1);
    assert_int_equal(side.map, 5);
    assert_int_equal(side.page, 3);
    assert_false(side.write);
    fill_word(&side, 3, 5, false, 77);
    assert_int_equal(program_result(&program, &side).signal, 0);
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, HARDWARE_PAGE, 0), 77);
    program_order(&program, PROGRAM_WRITE, HARDWARE_PAGE, 78);
    side_wait_faults(&side, 2);
    assert_int_equal(side.page, 3);
    assert_true(side.write);
    assert_int_equal(word_at(&side, 3), 77);
    frames_allow(side.frames, side.region, 3, 1, 5);
    assert_int_equal(program_result(&program, &side).signal, 0);
    assert_int_equal(word_at(&side, 3), 78);
    assert_int_equal(side.count_faults, 2);
    program_kill(&program);
    side_close(&side);
}

/* A fill for a writer needs no second report. */
static void test_write_fill_needs_no_second_report(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open_channel(&side, 4);
    program_start_attached(&program, &side, 1, 0, 4);
    program_order(&program, PROGRAM_WRITE, 8, 5);
    side_wait_faults(&side, 1);
    fill_word(&side, 0, 1, true, 9);
    assert_int_equal(program_result(&program, &side).signal, 0);
    program_do(&program, &side, PROGRAM_WRITE, 16, 6);
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, 0, 0), 9);
    assert_int_equal(side.count_faults, 1);
    program_kill(&program);
    side_close(&side);
}

/* Of two readers that wait for a page the fill through one wakes the other; a third one, that comes
 * later, is let in by a wake. */
static void test_page_that_is_here_is_given_to_others(void **state)
{
    struct agent_side side;
    struct program first, second, third;

    (void)state;
    side_open_channel(&side, 4);
    program_start_attached(&first, &side, 1, 0, 4);
    program_start_attached(&second, &side, 2, 0, 4);
    program_start_attached(&third, &side, 3, 0, 4);
    program_order(&first, PROGRAM_READ, 0, 0);
    program_order(&second, PROGRAM_READ, 0, 0);
    side_wait_faults(&side, 2);
    fill_word(&side, 0, 1, false, 21);
    assert_int_equal(program_result(&first, &side).value, 21);
    assert_int_equal(program_result(&second, &side).value, 21);
    assert_int_equal(side.count_faults, 2);
    program_order(&third, PROGRAM_READ, 0, 0);
    side_wait_faults(&side, 3);
    assert_int_equal(side.map, 3);
    frames_wake(side.frames, side.region, 0, 1, 3);
    assert_int_equal(program_result(&third, &side).value, 21);
    /* Who is woken without a page being here finds nothing, and asks again. */
    program_order(&third, PROGRAM_READ, HARDWARE_PAGE, 0);
    side_wait_faults(&side, 4);
    frames_wake(side.frames, side.region, 1, 1, 0);
    side_wait_faults(&side, 5);
    assert_int_equal(side.page, 1);
    program_kill(&first);
    program_kill(&second);
    program_kill(&third);
    side_close(&side);
}

/* A protected page can be read, a dropped one cannot; when the call returns, that holds. */
static void test_access_taken_away_holds_at_once(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open_channel(&side, 4);
    program_start_attached(&program, &side, 1, 0, 4);
    fill_word(&side, 1, 1, true, 4);
    wait_orders(&program, &side, 1);
    program_do(&program, &side, PROGRAM_WRITE, HARDWARE_PAGE, 5);
    frames_protect(side.frames, side.region, 0, 4);
    assert_int_equal(word_at(&side, 1), 5);
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, HARDWARE_PAGE, 0), 5);
    program_order(&program, PROGRAM_WRITE, HARDWARE_PAGE, 6);
    side_wait_faults(&side, 1);
    assert_true(side.write);
    side_take(&side, 1, 1, true);
    assert_int_equal(word_at(&side, 1), 0);
    side_wait_faults(&side, 2); /* Woken by the order, it asks again. */
    assert_false(side.write);
    fill_word(&side, 1, 1, true, 7);
    assert_int_equal(program_result(&program, &side).signal, 0);
    assert_int_equal(word_at(&side, 1), 6);
    program_kill(&program);
    side_close(&side);
}

/* Nothing is ordered, and nobody waited for, where a program has no access that could change. */
static void test_program_without_access_is_not_asked(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open_channel(&side, 4);
    program_start_attached(&program, &side, 1, 0, 4);
    program_stop(&program);
    fill_word(&side, 0, 0, false, 1);
    frames_protect(side.frames, side.region, 0, 4);
    frames_drop(side.frames, side.region, 0, 4);
    kill(program.pid, SIGCONT);
    assert_int_equal(program_do(&program, &side, PROGRAM_MISBEHAVE, 0, CHANNEL_OBEYS), 0);
    program_kill(&program);
    side_close(&side);
}

/* Touching a lost page is SIGBUS, for who waits there and for who comes. */
static void test_lost_page_raises_sigbus(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open_channel(&side, 4);
    program_start_attached(&program, &side, 1, 0, 4);
    fill_word(&side, 0, 1, true, 5);
    fill_word(&side, 1, 1, true, 5);
    program_order(&program, PROGRAM_WRITE, 2 * HARDWARE_PAGE, 0);
    side_wait_faults(&side, 1);
    side_begin_taking(&side);
    frames_poison(side.frames, side.region, 1, 2);
    side_end_taking(&side);
    assert_int_equal(program_result(&program, &side).signal, SIGBUS);
    program_order(&program, PROGRAM_READ, HARDWARE_PAGE, 0);
    assert_int_equal(program_result(&program, &side).signal, SIGBUS);
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, 0, 0), 5);
    program_kill(&program);
    side_close(&side);
}

/* Count in programs of these back ends while the page is taken away again and again. */
static void count_while_taken(const uint32_t *backends, uint32_t count)
{
    struct program programs[COUNTERS_MAX];
    struct agent_side side;

    side_open(&side, 2, HARDWARE_PAGE);
    side.store = calloc(2, HARDWARE_PAGE);
    assert_non_null(side.store);
    side.answer = side_serve;
    for (uint32_t at = 0; at < count; at++) {
        side.backend = backends[at];
        program_start_attached(&programs[at], &side, at + 1, 0, 2);
        program_order(&programs[at], PROGRAM_COUNT, at * sizeof(uint64_t), 0);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t before = side.count_faults;

        side_begin_taking(&side);
        frames_protect(side.frames, side.region, 0, 1);
        if (side.state[0] != 0) {
            assert_int_equal(frames_read(side.frames, side.region, 0, 1, side.store), 0);
        }
        frames_drop(side.frames, side.region, 0, 1);
        side.state[0] = 0;
        side_end_taking(&side);
        side_wait_faults(&side, before + 1);
    }
    for (uint32_t at = 0; at < count; at++) {
        __atomic_store_n(programs[at].stop, 1, __ATOMIC_SEQ_CST);
    }
    for (uint32_t at = 0; at < count; at++) {
        struct program_result result = program_result(&programs[at], &side);
        uint64_t counter;

        assert_int_equal(result.signal, 0);
        assert_true(result.value > 0);
        assert_int_equal(frames_read(side.frames, side.region, 0, 1, side.store), 0);
        memcpy(&counter, side.store + at * sizeof(counter), sizeof(counter));
        assert_true(counter == result.value);
    }
    assert_int_equal(frames_counters(side.frames)->repairs, 0);
    for (uint32_t at = 0; at < count; at++) {
        program_kill(&programs[at]);
    }
    side_close(&side);
}

/* No increment is lost over a channel, whichever instruction the loss of access falls on. */
static void test_channel_loses_no_increment(void **state)
{
    static const uint32_t backends[] = {SESSION_SIGSEGV, SESSION_SIGSEGV};

    (void)state;
    count_while_taken(backends, 2);
}

/* Nor where programs of both kinds write to one page. */
static void test_mixed_programs_lose_no_increment(void **state)
{
    static const uint32_t backends[] = {SESSION_SIGSEGV, SESSION_USERFAULTFD, SESSION_SIGSEGV,
                                        SESSION_USER_MODE};

    (void)state;
    count_while_taken(backends, 4);
}

/* What came for a program of one kind the other kind sees, and may not write unasked. */
static void test_mixed_programs_see_one_page(void **state)
{
    struct agent_side side;
    struct program watched, told;

    (void)state;
    side_open(&side, 4, HARDWARE_PAGE);
    program_start_attached(&watched, &side, 1, 0, 4);
    side.backend = SESSION_SIGSEGV;
    program_start_attached(&told, &side, 2, 0, 4);
    fill_word(&side, 0, 2, true, 11);
    fill_word(&side, 1, 1, true, 12);
    wait_orders(&told, &side, 1);
    program_do(&told, &side, PROGRAM_WRITE, 0, 13);
    assert_int_equal(program_do(&watched, &side, PROGRAM_READ, 0, 0), 13);
    assert_int_equal(side.count_faults, 0);
    program_order(&watched, PROGRAM_WRITE, 0, 14);
    side_wait_faults(&side, 1);
    assert_int_equal(side.map, 1);
    assert_true(side.write);
    program_order(&told, PROGRAM_READ, HARDWARE_PAGE, 0);
    side_wait_faults(&side, 2);
    assert_int_equal(side.map, 2);
    frames_wake(side.frames, side.region, 1, 1, 2);
    assert_int_equal(program_result(&told, &side).value, 12);
    assert_int_equal(word_at(&side, 0), 13);
    assert_int_equal(frames_counters(side.frames)->repairs, 0);
    program_kill(&watched);
    program_kill(&told);
    side_close(&side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_then_write_are_asked_for),
        cmocka_unit_test(test_write_fill_needs_no_second_report),
        cmocka_unit_test(test_page_that_is_here_is_given_to_others),
        cmocka_unit_test(test_access_taken_away_holds_at_once),
        cmocka_unit_test(test_program_without_access_is_not_asked),
        cmocka_unit_test(test_lost_page_raises_sigbus),
        cmocka_unit_test(test_channel_loses_no_increment),
    };
    const struct CMUnitTest mixed_tests[] = {
        cmocka_unit_test(test_mixed_programs_see_one_page),
        cmocka_unit_test(test_mixed_programs_lose_no_increment),
    };
    int failed;

    if (sysconf(_SC_PAGESIZE) != HARDWARE_PAGE) {
        printf("SKIP: its programs protect pages of 4096 bytes, and those here are larger\n");
        return 77;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (!has_userfaultfd()) {
        printf("SKIP: no userfaultfd can be had here: no mixed programs\n");
        return failed;
    }
    return failed + cmocka_run_group_tests(mixed_tests, NULL, NULL);
}
