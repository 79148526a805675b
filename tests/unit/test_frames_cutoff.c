/* SPDX-License-Identifier: Apache-2.0 */
/* Programs over a channel that do not do what they are told: the agent waits a bounded time. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/frames.h"
#include "dsm.h"
#include "frames_program.h"
#include "net/fault_channel.h"

#define PROGRAMS 40u /* more than are waited for at once */
#define GRANTS 400000u
#define NOBODY 65534u

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static void side_open_channel(struct agent_side *side)
{
    side_open(side, 4, HARDWARE_PAGE);
    side->backend = SESSION_SIGSEGV;
}

/* A program that may write page 0 and has done so. */
static void start_writer(struct program *program, struct agent_side *side, map_id map)
{
    program_start_attached(program, side, map, 0, 4);
    if (side->state[0] == 0) {
        frames_fill(side->frames, side->region, 0, 1, map, true, NULL);
        side->state[0] = 2;
    } else {
        frames_allow(side->frames, side->region, 0, 1, map);
    }
    while (program_do(program, side, PROGRAM_MISBEHAVE, 0, CHANNEL_OBEYS) < 1) {
    }
    program_do(program, side, PROGRAM_WRITE, 8 * map, 40 + map);
}

/* Take page 0 away from a program with this fault; how long that took. */
static uint64_t take_from(struct agent_side *side, struct program *program,
                          enum channel_fault fault)
{
    uint64_t start_ms;

    program_do(program, side, PROGRAM_MISBEHAVE, 0, fault);
    start_ms = clock_ms();
    side_take(side, 0, 1, true);
    side->state[0] = 0;
    return clock_ms() - start_ms;
}

/* Is the page gone, and is the agent able to go on without the program? */
static void assert_goes_on(struct agent_side *side)
{
    uint8_t bytes[HARDWARE_PAGE];

    frames_fill(side->frames, side->region, 0, 1, 1, true, NULL);
    assert_int_equal(frames_read(side->frames, side->region, 0, 1, bytes), 0);
    frames_allow(side->frames, side->region, 0, 1, 1);
    frames_wake(side->frames, side->region, 0, 1, 1);
    frames_poison(side->frames, side->region, 1, 1);
    side_settle(side);
    frames_map_gone(side->frames, 1);
}

/* Who is silent past the deadline is killed then, and who breaks the contract openly at once. */
static void test_program_that_does_not_obey_is_killed(void **state)
{
    static const struct {
        enum channel_fault fault;
        bool is_late;
    } rows[] = {
        {CHANNEL_MUTE, true},    {CHANNEL_EARLY, false},    {CHANNEL_BABBLES, false},
        {CHANNEL_STRAYS, false}, {CHANNEL_HANGS_UP, false}, {CHANNEL_TALKS, true},
    };

    (void)state;
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        struct agent_side side;
        struct program program;
        uint64_t took_ms;

        side_open_channel(&side);
        start_writer(&program, &side, 1);
        took_ms = take_from(&side, &program, rows[row].fault);
        assert_true(program_was_killed(&program));
        assert_int_equal(took_ms >= FAULT_DEADLINE_MS, rows[row].is_late);
        assert_true(took_ms < FAULT_DEADLINE_MS + 1500);
        assert_goes_on(&side);
        program_kill(&program);
        side_close(&side);
    }
}

/* Programs that are stopped, many of them: all are waited for together, once. */
static void test_stopped_programs_cost_one_deadline(void **state)
{
    struct program programs[PROGRAMS];
    struct agent_side side;
    uint64_t start_ms, took_ms;

    (void)state;
    side_open_channel(&side);
    for (uint32_t at = 0; at < PROGRAMS; at++) {
        start_writer(&programs[at], &side, at + 1);
    }
    for (uint32_t at = 1; at < PROGRAMS; at++) {
        program_stop(&programs[at]);
    }
    start_ms = clock_ms();
    side_take(&side, 0, 1, false);
    took_ms = clock_ms() - start_ms;
    assert_true(took_ms >= FAULT_DEADLINE_MS && took_ms < 2 * FAULT_DEADLINE_MS);
    assert_false(program_was_killed(&programs[0]));
    for (uint32_t at = 1; at < PROGRAMS; at++) {
        assert_true(program_was_killed(&programs[at]));
    }
    assert_int_equal(program_do(&programs[0], &side, PROGRAM_READ, 8, 0), 41);
    start_ms = clock_ms();
    side_take(&side, 0, 1, true); /* Nobody is waited for twice. */
    assert_true(clock_ms() - start_ms < FAULT_DEADLINE_MS);
    for (uint32_t at = 0; at < PROGRAMS; at++) {
        program_kill(&programs[at]);
    }
    side_close(&side);
}

/* A program that has unmapped the range before it closed the channel has done no harm. */
static void test_program_that_has_unmapped_lives(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open_channel(&side);
    start_writer(&program, &side, 1);
    take_from(&side, &program, CHANNEL_UNMAPS);
    assert_false(program_was_killed(&program));
    assert_goes_on(&side);
    program_kill(&program);
    side_close(&side);
}

/* A program that has died is noticed by the order that it cannot get. */
static void test_program_that_has_died_is_not_waited_for(void **state)
{
    struct agent_side side;
    struct program program;
    uint64_t start_ms;

    (void)state;
    side_open_channel(&side);
    start_writer(&program, &side, 1);
    program_kill(&program);
    start_ms = clock_ms();
    side_take(&side, 0, 1, true);
    assert_true(clock_ms() - start_ms < FAULT_DEADLINE_MS);
    assert_goes_on(&side);
    side_close(&side);
}

/* Nonsense that comes unasked is as bad. */
static void test_nonsense_unasked_is_killed_for(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open_channel(&side);
    start_writer(&program, &side, 1);
    program_do(&program, &side, PROGRAM_MISBEHAVE, 0, CHANNEL_BABBLES);
    frames_wake(side.frames, side.region, 0, 1, 1);
    while (!program_was_killed(&program)) {
        side_turn(&side, -1);
    }
    assert_goes_on(&side);
    program_kill(&program);
    side_close(&side);
}

/* Orders that a program does not read wait, in their order, up to a bound. */
static void test_unread_orders_wait_up_to_a_bound(void **state)
{
    struct agent_side side;
    struct program program;
    uint32_t grants = 0;

    (void)state;
    side_open_channel(&side);
    start_writer(&program, &side, 1);
    program_stop(&program);
    for (; grants < 5000; grants++) { /* More than a socket holds. */
        frames_wake(side.frames, side.region, 0, 1, 1);
    }
    kill(program.pid, SIGCONT);
    side_take(&side, 0, 1, true);
    assert_false(program_was_killed(&program));
    side.state[0] = 0;
    frames_fill(side.frames, side.region, 0, 1, 1, true, NULL);
    program_stop(&program);
    for (grants = 0; grants < GRANTS && !program_was_killed(&program); grants++) {
        frames_wake(side.frames, side.region, 0, 1, 1);
    }
    assert_true(program_was_killed(&program));
    assert_goes_on(&side);
    program_kill(&program);
    side_close(&side);
}

/* What is reported while another program is waited for is told. */
static void test_reports_while_waiting_are_not_lost(void **state)
{
    struct agent_side side;
    struct program stopped, asking;

    (void)state;
    side_open_channel(&side);
    start_writer(&stopped, &side, 1);
    start_writer(&asking, &side, 2);
    program_stop(&stopped);
    program_order(&asking, PROGRAM_READ, 2 * HARDWARE_PAGE, 0);
    side_take(&side, 0, 1, true);
    side_wait_faults(&side, 1);
    assert_int_equal(side.map, 2);
    assert_int_equal(side.page, 2);
    frames_fill(side.frames, side.region, 2, 1, 2, false, NULL);
    assert_int_equal(program_result(&asking, &side).signal, 0);
    program_kill(&stopped);
    program_kill(&asking);
    side_close(&side);
}

/* Without a process that the agent may end, or without a proper socket, there is no channel. */
static void test_channel_that_cannot_be_trusted_is_refused(void **state)
{
    struct agent_side side;
    struct program program;
    int ends[2], process, descriptor;

    (void)state;
    side_open_channel(&side);
    program_start(&program, &side, 0, 4);
    descriptor = program.descriptor;
    process = program.process;
    assert_int_equal(frames_map_add(side.frames, 9, 9, side.region, 0, 4, true), 0);
    program.descriptor = dup(descriptor);
    program.process = -1;
    assert_int_equal(frames_attach(side.frames, 9, 9,
                                   &(struct frames_attachment){
                                       .backend = SESSION_SIGSEGV,
                                       .descriptor = program.descriptor,
                                       .process = -1,
                                       .address = program.address,
                                       .len_bytes = program.len_bytes,
                                   }),
                     DSM_EPERM);
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
        assert_int_equal(socketpair(AF_UNIX, type, 0, ends), 0);
        assert_int_equal(frames_attach(side.frames, 9, 9,
                                       &(struct frames_attachment){
                                           .backend = SESSION_SIGSEGV,
                                           .descriptor = ends[0],
                                           .process = process,
                                           .address = program.address,
                                           .len_bytes = program.len_bytes,
                                       }),
                         DSM_ESYS);
        close(ends[1]);
    }
    program.process = process;
    program.descriptor = descriptor;
    if (setresuid(NOBODY, NOBODY, 0) == 0) {
        int error = frames_attach(side.frames, 9, 9,
                                  &(struct frames_attachment){
                                      .backend = SESSION_SIGSEGV,
                                      .descriptor = dup(descriptor),
                                      .process = process,
                                      .address = program.address,
                                      .len_bytes = program.len_bytes,
                                  });

        assert_int_equal(setresuid(0, 0, 0), 0);
        assert_int_equal(error, DSM_EPERM);
    } else {
        print_message("SKIP: this user cannot become another one\n");
    }
    frames_map_gone(side.frames, 9);
    assert_int_equal(frames_map_add(side.frames, 1, 1, side.region, 0, 4, true), 0);
    assert_int_equal(program_attach(&program, &side, 1), 0);
    program_kill(&program);
    side_close(&side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_program_that_does_not_obey_is_killed),
        cmocka_unit_test(test_stopped_programs_cost_one_deadline),
        cmocka_unit_test(test_program_that_has_unmapped_lives),
        cmocka_unit_test(test_program_that_has_died_is_not_waited_for),
        cmocka_unit_test(test_nonsense_unasked_is_killed_for),
        cmocka_unit_test(test_unread_orders_wait_up_to_a_bound),
        cmocka_unit_test(test_reports_while_waiting_are_not_lost),
        cmocka_unit_test(test_channel_that_cannot_be_trusted_is_refused),
    };

    if (sysconf(_SC_PAGESIZE) != HARDWARE_PAGE) {
        printf("SKIP: its programs protect pages of 4096 bytes, and those here are larger\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
