/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's end, forks, and back ends that are not to be had. */
#include "tests/conform/conform.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static void run_waiting(struct program *program)
{
    (void)program->bytes[CONFORM_SILENT * program->page];
}

static bool one_is_silent(const struct fake_seen *seen)
{
    return seen->count_silent > 0;
}

static void run_going_on(struct program *program)
{
    for (;;) {
        CHECK(program->bytes[5] == first_byte(program, 0, 5));
    }
}

static bool one_has_faulted(const struct fake_seen *seen)
{
    return seen->count_faults > 0;
}

static void agent_dies_on(program_role *role, bool (*is_so)(const struct fake_seen *seen))
{
    struct fake_agent *fake = agent_start();
    pid_t killer = 0;
    int status;

    killer = fork();
    if (killer == 0) {
        /* The program; this test's process plays the agent, and its death. */
        program_dies(fake, role, SIGSEGV);
        _exit(0);
    }
    assert_true(killer > 0);
    assert_true(fake_await(fake, is_so));
    fake_die(fake);
    assert_int_equal(waitpid(killer, &status, 0), killer);
    assert_int_equal(status, 0);
    fake_stop(fake);
}

/** A thread that waits for a page when the agent dies gets SIGSEGV, never a value. */
static void test_agent_death_ends_a_load_that_waits(void **state)
{
    (void)state;
    agent_dies_on(run_waiting, one_is_silent);
}

/** So does one that goes on with pages that it has. */
static void test_agent_death_fences_pages_that_are_here(void **state)
{
    (void)state;
    agent_dies_on(run_going_on, one_has_faulted);
}

static void run_as_child(struct program *program)
{
    (void)program->bytes[0];
}

static void run_as_writing_child(struct program *program)
{
    program->bytes[0] = 1;
}

static void run_leaving_as_child(struct program *program)
{
    CHECK(dsm_shm_unmap(program->dsm, plain_bytes(program, 0)) == DSM_EINVAL);
    dsm_disconnect(program->dsm);
    CHECK(dsm_connect(program->path, &program->dsm) == 0);
    CHECK(dsm_shm_open(program->dsm, FAKE_REGION, O_RDWR, 0, NULL, &program->region) == 0);
    CHECK(dsm_fetch_add(program->region, 8, 0, NULL) == 0);
    dsm_disconnect(program->dsm);
}

static void run_forking(struct program *program)
{
    int status;

    program->bytes[0] = 9;
    status = child_status(run_as_child, program);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    status = child_status(run_as_writing_child, program);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    CHECK(child_status(run_leaving_as_child, program) == 0);
    CHECK(program->bytes[0] == 9);
    for (size_t page = 1; page < 8; page++) {
        CHECK(program->bytes[page * program->page] == first_byte(program, page, 0));
    }
    dsm_disconnect(program->dsm);
}

/** A child has no mapping, may have a session of its own, and leaves its parent undisturbed. */
static void test_child_has_no_mapping_and_disturbs_no_parent(void **state)
{
    (void)state;
    program_run(run_forking);
}

static void run_with_an_unknown_word(struct program *program)
{
    char text[512];
    void *mapped;

    CHECK(setenv("DSM_FAULTS", "magic", 1) == 0);
    dsm_disconnect(program->dsm);
    CHECK(dsm_connect(program->path, &program->dsm) == 0);
    CHECK(dsm_shm_open(program->dsm, FAKE_REGION, O_RDWR, 0, NULL, &program->region) == 0);
    CHECK(dsm_shm_map(program->region, NULL, 0, 1, DSM_READ, &mapped) == DSM_EINVAL);
    dsm_last_error(program->dsm, text, sizeof text);
    CHECK(strstr(text, "'magic'") != NULL && strstr(text, "sigsegv") != NULL);
    CHECK(unsetenv("DSM_FAULTS") == 0);
    CHECK(dsm_shm_map(program->region, NULL, 0, 1, DSM_READ, &mapped) == 0);
    CHECK(*(volatile uint8_t *)mapped == first_byte(program, 0, 0));
    dsm_disconnect(program->dsm);
}

/** A back end that does not exist is named with those that do; nothing else breaks of it. */
static void test_unknown_back_end_is_refused(void **state)
{
    (void)state;
    program_run(run_with_an_unknown_word);
}

static void run_with_two_sessions(struct program *program)
{
    struct dsm_region *region;
    struct dsm *other;
    void *mapped;

    for (int i = 0; i < 20; i++) {
        CHECK(dsm_connect(program->path, &other) == 0);
        CHECK(dsm_shm_open(other, FAKE_REGION, O_RDWR, 0, NULL, &region) == 0);
        CHECK(dsm_shm_map(region, NULL, 0, 8 * program->page, DSM_READ | DSM_WRITE, &mapped) == 0);
        program->bytes[program->page] = (uint8_t)i;
        CHECK(*((volatile uint8_t *)mapped + program->page) == i);
        *((volatile uint8_t *)mapped + program->page + 1) = (uint8_t)(i + 1);
        CHECK(program->bytes[program->page + 1] == i + 1);
        dsm_disconnect(other);
    }
}

/** Sessions of one program come and go; pages of the others come as before. */
static void test_session_that_ends_leaves_others_alone(void **state)
{
    struct fake_agent *fake = agent_start();

    (void)state;
    programs_run(fake, run_with_two_sessions, 1, take_first_pages);
    fake_stop(fake);
}

const struct CMUnitTest end_tests[] = {
    cmocka_unit_test(test_agent_death_ends_a_load_that_waits),
    cmocka_unit_test(test_agent_death_fences_pages_that_are_here),
    cmocka_unit_test(test_child_has_no_mapping_and_disturbs_no_parent),
    cmocka_unit_test(test_unknown_back_end_is_refused),
    cmocka_unit_test(test_session_that_ends_leaves_others_alone),
};
const size_t end_tests_count = sizeof end_tests / sizeof end_tests[0];
