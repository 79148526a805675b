/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program sees when its agent goes away, and when it forks. The programs are this one,
 * started anew in a role; the agent that is played lives in the test, and dies with all its
 * descriptors at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dsm.h"
#include "dsm/lib/session.h"
#include "tests/unit/fake_agent.h"
#include "tests/unit/probe.h"

#define PAGES 16u
#define SIZE_BYTES (PAGES * FAKE_PAGE)
#define SILENT_PAGE 5u
#define WAIT_MS 20000

extern char **environ;

/* ---- The programs. Exit status 0 is what the test wants of those that end by themselves. ---- */

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                             \
        }                                                                         \
    } while (0)

struct program {
    struct dsm *dsm;
    struct dsm_region *region;
    volatile uint8_t *bytes;
};

static void program_begin(struct program *program, const char *path)
{
    void *mapped;

    /* A sanitizer's handler would turn the signal that is looked for into an exit. */
    (void)signal(SIGSEGV, SIG_DFL);
    (void)signal(SIGBUS, SIG_DFL);
    CHECK(dsm_connect(path, &program->dsm) == 0);
    CHECK(dsm_shm_open(program->dsm, FAKE_REGION, O_RDWR, 0, NULL, &program->region) == 0);
    CHECK(dsm_shm_map(program->region, NULL, 0, SIZE_BYTES, DSM_READ | DSM_WRITE, &mapped) == 0);
    program->bytes = mapped;
    CHECK(program->bytes[1] == fake_byte(1));
}

static void say_ready(void)
{
    CHECK(write(STDOUT_FILENO, "r", 1) == 1);
}

/* Blocked in a load when the agent dies: it must not come back. */
static int run_blocked(const char *path)
{
    struct program program;
    int byte;

    program_begin(&program, path);
    say_ready();
    byte = program.bytes[SILENT_PAGE * FAKE_PAGE];
    (void)fprintf(stderr, "the load came back with %d\n", byte);
    return 3;
}

/* Not blocked, but going on with pages that it has. */
static int run_touching(const char *path)
{
    struct program program;
    uint64_t sum = 0;

    program_begin(&program, path);
    say_ready();
    for (;;) {
        sum += program.bytes[1];
        if (program.bytes[1] != fake_byte(1)) {
            (void)fprintf(stderr, "the page changed; sum %lu\n", (unsigned long)sum);
            return 3;
        }
    }
}

static void *read_silent(void *argument)
{
    struct program *program = argument;
    uint8_t copy[8];

    CHECK(dsm_vm_read(program->region, SILENT_PAGE * FAKE_PAGE, copy, 8) == DSM_ENOAGENT);
    return NULL;
}

static void *lock_for_ever(void *argument)
{
    struct program *program = argument;

    CHECK(dsm_mutex_lock(program->region, 8, DSM_FOREVER) == DSM_ENOAGENT);
    return NULL;
}

/* Touches nothing any more: every call ends with an error that names the agent, and nothing hangs.
 */
static int run_surviving(const char *path)
{
    pthread_t threads[2];
    struct program program;
    struct dsm_region *other;
    struct dsm_stats stats;
    char text[TEXT_BYTES_MAX];
    uint8_t copy[8];
    void *mapped;

    program_begin(&program, path);
    CHECK(pthread_create(&threads[0], NULL, read_silent, &program) == 0);
    CHECK(pthread_create(&threads[1], NULL, lock_for_ever, &program) == 0);
    say_ready();
    CHECK(pthread_join(threads[0], NULL) == 0);
    CHECK(pthread_join(threads[1], NULL) == 0);
    dsm_last_error(program.dsm, text, sizeof text);
    CHECK(strstr(text, "agent") != NULL);
    CHECK(dsm_vm_read(program.region, 0, copy, 8) == DSM_ENOAGENT);
    CHECK(dsm_vm_write(program.region, 0, copy, 8) == DSM_ENOAGENT);
    CHECK(dsm_shm_map(program.region, NULL, 0, 1, DSM_READ, &mapped) == DSM_ENOAGENT);
    CHECK(dsm_shm_open(program.dsm, FAKE_REGION, O_RDWR, 0, NULL, &other) == DSM_ENOAGENT);
    CHECK(dsm_stats_get(program.dsm, &stats) == DSM_ENOAGENT);
    dsm_last_error(program.dsm, text, sizeof text);
    CHECK(strstr(text, "node 'fake'") != NULL && strstr(text, path) != NULL);
    /* The fence is a mapping like any other: a system call does not get through it, unmapping does.
     */
    CHECK(write(STDOUT_FILENO, (const void *)(uintptr_t)program.bytes, 1) == -1);
    mapped = (void *)(uintptr_t)program.bytes;
    CHECK(dsm_shm_unmap(program.dsm, mapped) == 0);
    CHECK(dsm_shm_unmap(program.dsm, mapped) == DSM_EINVAL);
    CHECK(dsm_shm_close(program.region) == DSM_ENOAGENT);
    dsm_disconnect(program.dsm);
    return 0;
}

static bool died_of(pid_t child, int signal_number)
{
    int status;

    return waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
           WTERMSIG(status) == signal_number;
}

static bool exited_well(pid_t child)
{
    int status;

    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Children of a program: none reads the region, none may use the session, the parent goes on. */
static int run_forking(const char *path)
{
    struct program program;
    pid_t child;

    program_begin(&program, path);
    child = fork();
    if (child == 0) {
        _exit(program.bytes[1] == 0 ? 4 : 5);
    }
    CHECK(died_of(child, SIGSEGV));
    child = fork();
    if (child == 0) {
        struct dsm_stats stats;
        char text[TEXT_BYTES_MAX];

        CHECK(dsm_stats_get(program.dsm, &stats) == DSM_EINVAL);
        dsm_last_error(program.dsm, text, sizeof text);
        CHECK(strstr(text, "dsm_connect()") != NULL);
        CHECK(dsm_shm_unmap(program.dsm, (void *)(uintptr_t)program.bytes) == DSM_EINVAL);
        dsm_disconnect(program.dsm);
#ifndef __SANITIZE_THREAD__ /* which has no threads in the child of a process with threads */
        /* A session of its own works. */
        program_begin(&program, path);
        dsm_disconnect(program.dsm);
#endif
        _exit(0);
    }
    CHECK(exited_well(child));
    CHECK(program.bytes[FAKE_PAGE] == fake_byte(FAKE_PAGE));
    program.bytes[FAKE_PAGE] = 3;
    CHECK(dsm_fetch_add(program.region, 0, 1, NULL) == 0);
    dsm_disconnect(program.dsm);
    say_ready();
    return 0;
}

/* A page that is lost raises SIGBUS, not SIGSEGV and not a value. */
static int run_touching_lost(const char *path)
{
    struct program program;

    program_begin(&program, path);
    say_ready();
    return program.bytes[6 * FAKE_PAGE] == 0 ? 4 : 5;
}

/* ---- The tests. ---- */

/** A program in a role. */
struct child {
    pid_t pid;
    int out, err; /* what it writes */
};

static void child_start(struct child *child, const char *role, const char *path)
{
    char program[] = "/proc/self/exe";
    char *arguments[] = {program, strdup(role), strdup(path), NULL};
    posix_spawn_file_actions_t actions;
    int out[2], err[2];

    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO), 0);
    assert_int_equal(posix_spawn(&child->pid, program, &actions, NULL, arguments, environ), 0);
    assert_int_equal(posix_spawn_file_actions_destroy(&actions), 0);
    assert_int_equal(close(out[1]), 0);
    assert_int_equal(close(err[1]), 0);
    free(arguments[1]);
    free(arguments[2]);
    child->out = out[0];
    child->err = err[0];
}

/* Read until the end or the deadline; returns the bytes. */
static size_t read_all(int fd, char *text, size_t size_bytes, size_t enough)
{
    struct pollfd in = {.fd = fd, .events = POLLIN};
    size_t done = 0;

    while (done < size_bytes - 1 && done < enough && poll(&in, 1, WAIT_MS) == 1) {
        ssize_t len = read(fd, text + done, size_bytes - 1 - done);

        if (len <= 0) {
            break;
        }
        done += (size_t)len;
    }
    text[done] = 0;
    return done;
}

static void child_await_ready(struct child *child)
{
    char text[4];

    if (read_all(child->out, text, sizeof text, 1) != 1) {
        char why[2048];

        (void)kill(child->pid, SIGKILL);
        (void)read_all(child->err, why, sizeof why, SIZE_MAX);
        fail_msg("the program did not get ready: %s", why);
    }
}

/* Its end; `text` is what it wrote to standard error. */
static int child_end(struct child *child, char *text, size_t size_bytes)
{
    int status;

    (void)read_all(child->err, text, size_bytes, SIZE_MAX);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    assert_int_equal(close(child->out), 0);
    assert_int_equal(close(child->err), 0);
    return status;
}

static void begin(struct fake_options options, const char *role, struct fake_agent **fake,
                  struct child *child)
{
    if (!has_userfaultfd()) {
        print_message("SKIP: no userfaultfd can be had here\n");
        skip();
    }
    options.size_bytes = SIZE_BYTES;
    assert_int_equal(fake_start(&options, fake), 0);
    child_start(child, role, fake_path(*fake));
    child_await_ready(child);
}

static bool one_is_silent(const struct fake_seen *seen)
{
    return seen->count_silent > 0;
}

static void assert_killed(int status, int signal_number, const char *text)
{
    if (!WIFSIGNALED(status) || WTERMSIG(status) != signal_number) {
        fail_msg("status 0x%x, not by signal %d: %s", (unsigned)status, signal_number, text);
    }
}

static void test_agent_death_in_a_fault_is_sigsegv(void **state)
{
    struct fake_options options = {.silent_page = SILENT_PAGE};
    struct fake_agent *fake;
    struct child child;
    char text[2048];
    int status;

    (void)state;
    for (int round = 0; round < 10; round++) {
        begin(options, "blocked", &fake, &child);
        assert_true(fake_await(fake, one_is_silent));
        fake_die(fake);
        status = child_end(&child, text, sizeof text);
        assert_killed(status, SIGSEGV, text);
        assert_non_null(strstr(text, "dsm: the agent of node 'fake' is gone: region '/photo' (0x"));
        assert_non_null(strstr(text, "65536 bytes) is fenced; touching it is an error\n"));
        fake_stop(fake);
    }
}

static void test_agent_death_between_loads_is_sigsegv(void **state)
{
    struct fake_agent *fake;
    struct child child;
    char text[2048];
    int status;

    (void)state;
    for (int round = 0; round < 10; round++) {
        begin((struct fake_options){0}, "touching", &fake, &child);
        fake_die(fake);
        status = child_end(&child, text, sizeof text);
        assert_killed(status, SIGSEGV, text);
        assert_non_null(strstr(text, "region '/photo'"));
        fake_stop(fake);
    }
}

static bool both_threads_wait(const struct fake_seen *seen)
{
    return seen->count_silent > 0 && seen->sync.op == SYNC_LOCK && seen->count_held == 1;
}

static void test_agent_death_ends_calls_with_an_error(void **state)
{
    struct fake_options options = {.silent_page = SILENT_PAGE, .size_bytes = SIZE_BYTES};
    struct fake_agent *fake;
    struct child child;
    char text[4096];
    int status;

    (void)state;
    if (!has_userfaultfd()) {
        print_message("SKIP: no userfaultfd can be had here\n");
        skip();
    }
    assert_int_equal(fake_start(&options, &fake), 0);
    fake_hold_locks(fake);
    child_start(&child, "surviving", fake_path(fake));
    child_await_ready(&child);
    assert_true(fake_await(fake, both_threads_wait));
    fake_die(fake);
    status = child_end(&child, text, sizeof text);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("status 0x%x: %s", (unsigned)status, text);
    }
    assert_non_null(strstr(text, "region '/photo'"));
    fake_stop(fake);
}

/* An agent that talks nonsense is as good as gone: the fence falls as well. */
static void test_nonsense_fences_too(void **state)
{
    struct fake_options options = {.silent_page = SILENT_PAGE, .size_bytes = SIZE_BYTES};
    struct fake_agent *fake;
    struct child child;
    char text[4096];
    int status;

    (void)state;
    if (!has_userfaultfd()) {
        print_message("SKIP: no userfaultfd can be had here\n");
        skip();
    }
    assert_int_equal(fake_start(&options, &fake), 0);
    fake_hold_locks(fake);
    child_start(&child, "babbled", fake_path(fake));
    child_await_ready(&child);
    assert_true(fake_await(fake, both_threads_wait));
    fake_babble(fake);
    status = child_end(&child, text, sizeof text);
    assert_killed(status, SIGSEGV, text);
    assert_non_null(strstr(text, "region '/photo'"));
    fake_stop(fake);
}

static void test_forked_children_cannot_touch(void **state)
{
    struct fake_agent *fake;
    struct child child;
    char text[2048];
    int status;

    (void)state;
    begin((struct fake_options){0}, "forking", &fake, &child);
    status = child_end(&child, text, sizeof text);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("status 0x%x: %s", (unsigned)status, text);
    }
    fake_stop(fake);
}

static void test_lost_page_is_sigbus(void **state)
{
    struct fake_agent *fake;
    struct child child;
    char text[2048];
    int status;

    (void)state;
    begin((struct fake_options){.lost_page = 6}, "touching-lost", &fake, &child);
    status = child_end(&child, text, sizeof text);
    assert_killed(status, SIGBUS, text);
    fake_stop(fake);
}

static void *lock_until_nonsense(void *argument)
{
    struct program *program = argument;
    int error = dsm_mutex_lock(program->region, 8, DSM_FOREVER);

    CHECK(error == DSM_EPROTO || error == DSM_ENOAGENT);
    return NULL;
}

/* One thread receives the nonsense, the other is blocked in a load. */
static int run_babbled(const char *path)
{
    struct program program;
    pthread_t thread;

    program_begin(&program, path);
    CHECK(pthread_create(&thread, NULL, lock_until_nonsense, &program) == 0);
    say_ready();
    (void)program.bytes[SILENT_PAGE * FAKE_PAGE];
    return 3;
}

static int run_role(const char *role, const char *path)
{
    static const struct {
        const char *name;
        int (*run)(const char *path);
    } roles[] = {
        {"blocked", run_blocked}, {"touching", run_touching}, {"surviving", run_surviving},
        {"forking", run_forking}, {"babbled", run_babbled},   {"touching-lost", run_touching_lost},
    };

    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (strcmp(roles[i].name, role) == 0) {
            return roles[i].run(path);
        }
    }
    return 2;
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agent_death_in_a_fault_is_sigsegv),
        cmocka_unit_test(test_agent_death_between_loads_is_sigsegv),
        cmocka_unit_test(test_agent_death_ends_calls_with_an_error),
        cmocka_unit_test(test_nonsense_fences_too),
        cmocka_unit_test(test_forked_children_cannot_touch),
        cmocka_unit_test(test_lost_page_is_sigbus),
    };

    if (count == 3) {
        return run_role(arguments[1], arguments[2]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
