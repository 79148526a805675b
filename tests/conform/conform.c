/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conform/conform.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#define PROGRAMS_MAX 8
/* A program that hangs is ended, and so is its test. */
#define PROGRAM_SECONDS 120

struct fake_agent *agent_start(void)
{
    struct fake_options options = {
        .page_size = (uint32_t)fake_unit(),
        .size_bytes = CONFORM_PAGES * fake_unit(),
        .lost_page = CONFORM_LOST,
        .silent_page = CONFORM_SILENT,
    };
    struct fake_agent *fake;

    assert_int_equal(fake_start(&options, &fake), 0);
    return fake;
}

static void program_begin(struct program *program, struct fake_agent *fake)
{
    void *mapped;

    /* cmocka's handlers, and a sanitizer's, would turn the signals that are looked for into exits.
     */
    (void)signal(SIGSEGV, SIG_DFL);
    (void)signal(SIGBUS, SIG_DFL);
    (void)alarm(PROGRAM_SECONDS);
    program->path = fake_path(fake);
    program->page = fake_unit();
    CHECK(dsm_connect(program->path, &program->dsm) == 0);
    CHECK(dsm_shm_open(program->dsm, FAKE_REGION, O_RDWR, 0, NULL, &program->region) == 0);
    CHECK(dsm_shm_map(program->region, NULL, 0, CONFORM_PAGES * program->page, DSM_READ | DSM_WRITE,
                      &mapped) == 0);
    program->bytes = mapped;
}

static pid_t program_start(struct fake_agent *fake, program_role *role)
{
    pid_t child = fake_fork(fake);

    if (child == 0) {
        struct program program = {0};

        program_begin(&program, fake);
        role(&program);
        _exit(0);
    }
    assert_true(child > 0);
    return child;
}

void programs_run(struct fake_agent *fake, program_role *role, int count, agent_role *meanwhile)
{
    pid_t children[PROGRAMS_MAX];
    int ended = 0;

    assert_true(count <= PROGRAMS_MAX);
    for (int i = 0; i < count; i++) {
        children[i] = program_start(fake, role);
    }
    while (ended < count) {
        int status;
        pid_t got = waitpid(children[ended], &status, meanwhile != NULL ? WNOHANG : 0);

        if (got == 0) {
            meanwhile(fake);
            continue;
        }
        assert_int_equal(got, children[ended]);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            fail_msg("the program ended with status 0x%x", (unsigned)status);
        }
        ended++;
    }
}

void program_dies(struct fake_agent *fake, program_role *role, int signal_number)
{
    pid_t child = program_start(fake, role);
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != signal_number) {
        fail_msg("the program ended with status 0x%x, not by signal %d", (unsigned)status,
                 signal_number);
    }
}

void program_run(program_role *role)
{
    struct fake_agent *fake = agent_start();

    programs_run(fake, role, 1, NULL);
    fake_stop(fake);
}

void program_run_dies(program_role *role, int signal_number)
{
    struct fake_agent *fake = agent_start();

    program_dies(fake, role, signal_number);
    fake_stop(fake);
}

int child_status(program_role *role, struct program *program)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        (void)alarm(PROGRAM_SECONDS);
        role(program);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

uint8_t first_byte(const struct program *program, size_t page, size_t at)
{
    return fake_byte(page * program->page + at);
}

uint8_t *plain_bytes(struct program *program, size_t page)
{
    return (uint8_t *)(uintptr_t)program->bytes + page * program->page;
}

void take_first_pages(struct fake_agent *fake)
{
    fake_take(fake, 0, 8, true);
    fake_take(fake, 0, 4, false);
}
