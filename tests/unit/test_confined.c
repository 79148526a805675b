/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libdsm in programs that may not do everything: without privileges, with and without the agent's
 * device, and under a filter of system calls. Each program is a forked child; the agent that is
 * played is in the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dsm.h"
#include "tests/unit/fake_agent.h"
#include "tests/unit/probe.h"

#define PAGES 40u
#define SIZE_BYTES (PAGES * FAKE_PAGE)
#define LOST_PAGE 30u
#define NOBODY 65534

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                             \
        }                                                                         \
    } while (0)

/* The socket is opened before the privileges go: the directory of the fake agent is root's. */
static struct dsm_region *region_open(const char *path, struct dsm **dsm, bool stay_root)
{
    struct dsm_region *region;

    CHECK(dsm_connect(path, dsm) == 0);
    if (!stay_root) {
        CHECK(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    }
    CHECK(dsm_shm_open(*dsm, FAKE_REGION, O_RDWR, 0, NULL, &region) == 0);
    return region;
}

/* Copies that cross pages and end in the middle of one, both ways. */
static void copies_check(struct dsm_region *region)
{
    static uint8_t copy[20 * FAKE_PAGE];
    static uint8_t given[20 * FAKE_PAGE];

    CHECK(dsm_vm_read(region, 1000, copy, sizeof copy) == 0);
    for (uint64_t i = 0; i < sizeof copy; i++) {
        CHECK(copy[i] == fake_byte(1000 + i));
    }
    memset(given, 0x77, sizeof given);
    CHECK(dsm_vm_write(region, 1500, given, sizeof given) == 0);
    CHECK(dsm_vm_read(region, 1500, copy, sizeof copy) == 0);
    CHECK(memcmp(copy, given, sizeof given) == 0);
    CHECK(dsm_vm_read(region, 1499, copy, 1) == 0 && copy[0] == fake_byte(1499));
}

static void lost_check(struct dsm_region *region)
{
    uint8_t copy[2 * FAKE_PAGE] = {0};

    CHECK(dsm_vm_read(region, LOST_PAGE * FAKE_PAGE - 4096 - 10, copy, sizeof copy) == DSM_EDOWN);
    CHECK(copy[4096 + 9] == fake_byte(LOST_PAGE * FAKE_PAGE - 1));
    CHECK(copy[4096 + 10] == 0);
    memset(copy, 0x42, sizeof copy);
    CHECK(dsm_vm_write(region, LOST_PAGE * FAKE_PAGE - 20, copy, 40) == DSM_EDOWN);
    memset(copy, 0, sizeof copy);
    CHECK(dsm_vm_read(region, LOST_PAGE * FAKE_PAGE - 20, copy, 20) == 0);
    for (int i = 0; i < 20; i++) {
        CHECK(copy[i] == 0x42);
    }
}

/* Nobody, with the descriptor of the device: system calls on absent pages wait like loads. */
static void run_with_device(const char *path)
{
    struct dsm *dsm;
    struct dsm_region *region = region_open(path, &dsm, false);
    uint8_t byte;
    void *mapped;
    int ends[2];

    CHECK(dsm_shm_map(region, NULL, 0, SIZE_BYTES, DSM_READ | DSM_WRITE, &mapped) == 0);
    CHECK(pipe(ends) == 0);
    CHECK(write(ends[1], (const uint8_t *)mapped + 70, 1) == 1);
    CHECK(read(ends[0], &byte, 1) == 1 && byte == fake_byte(70));
    copies_check(region);
    lost_check(region);
    dsm_disconnect(dsm);
}

/* Nobody, without it: loads, stores and dsm_vm_* work; a system call says EFAULT, and not zeros. */
static void run_without_device(const char *path)
{
    struct dsm *dsm;
    struct dsm_region *region = region_open(path, &dsm, false);
    volatile uint8_t *bytes;
    void *mapped;
    int ends[2];

    CHECK(dsm_shm_map(region, NULL, 0, SIZE_BYTES, DSM_READ | DSM_WRITE, &mapped) == 0);
    bytes = mapped;
    CHECK(pipe(ends) == 0);
    CHECK(write(ends[1], (const uint8_t *)mapped + 35 * FAKE_PAGE, 1) == -1 && errno == EFAULT);
    CHECK(bytes[35 * FAKE_PAGE] == fake_byte(35 * FAKE_PAGE));
    CHECK(write(ends[1], (const uint8_t *)mapped + 35 * FAKE_PAGE, 1) == 1);
    bytes[35 * FAKE_PAGE] = 5;
    CHECK(bytes[35 * FAKE_PAGE] == 5);
    copies_check(region);
    dsm_disconnect(dsm);
}

/* A socket that this user may not open is not the same as none. */
static void run_without_right(const char *path)
{
    struct dsm *dsm;

    CHECK(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    CHECK(dsm_connect(path, &dsm) == DSM_EACCES);
}

/* The kernel refuses process_vm_readv(); the bytes go another way. */
static void run_under_filter(const char *path)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof rules / sizeof rules[0], .filter = rules};
    struct iovec part = {.iov_base = rules, .iov_len = 1};
    struct dsm *dsm;
    struct dsm_region *region = region_open(path, &dsm, true);

    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
    CHECK(process_vm_readv(getpid(), &part, 1, &part, 1, 0) == -1 && errno == EPERM);
    copies_check(region);
    lost_check(region);
    dsm_disconnect(dsm);
}

/* The better way is forbidden: what is said of it, and what comes instead. */
static void run_with_a_wish(const char *path)
{
    struct dsm *dsm;
    struct dsm_region *region;
    char text[512];
    void *mapped;

    CHECK(setenv("DSM_FAULTS", "userfaultfd", 1) == 0);
    region = region_open(path, &dsm, false);
    CHECK(dsm_shm_map(region, NULL, 0, SIZE_BYTES, DSM_READ, &mapped) == DSM_EPERM);
    dsm_last_error(dsm, text, sizeof text);
    CHECK(strstr(text, "DSM_FAULTS is 'userfaultfd'") != NULL);
    CHECK(strstr(text, "passed no /dev/userfaultfd") != NULL && strstr(text, "doctor") != NULL);
    CHECK(unsetenv("DSM_FAULTS") == 0);
    CHECK(dsm_shm_map(region, NULL, 0, SIZE_BYTES, DSM_READ, &mapped) == 0);
    CHECK(*(volatile uint8_t *)mapped == fake_byte(0));
    dsm_disconnect(dsm);
}

/* A kernel, or an emulator, that has no userfaultfd at all. */
static void run_without_userfaultfd(const char *path)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof rules / sizeof rules[0], .filter = rules};

    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
    run_without_device(path);
}

/* The path of the socket, from the test. */
static void path_read(int fd, char *path, size_t size_bytes)
{
    ssize_t len = read(fd, path, size_bytes - 1);

    CHECK(len > 0);
    path[len] = 0;
}

/* The child is forked before the agent's thread starts: it must inherit no lock that a thread
 * holds. */
static struct fake_seen run_in_child(struct fake_options options, void (*run)(const char *path))
{
    struct fake_agent *fake;
    struct fake_seen seen;
    int ends[2];
    pid_t child;
    int status;

    if (!has_userfaultfd() || getuid() != 0) {
        print_message("SKIP: it takes root and a userfaultfd\n");
        skip();
    }
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        char path[128];

        path_read(ends[0], path, sizeof path);
        run(path);
        _exit(0);
    }
    options.size_bytes = SIZE_BYTES;
    options.lost_page = LOST_PAGE;
    assert_int_equal(fake_start(&options, &fake), 0);
    assert_int_equal(write(ends[1], fake_path(fake), strlen(fake_path(fake))),
                     strlen(fake_path(fake)));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
    fake_look(fake, &seen);
    fake_stop(fake);
    return seen;
}

static void test_connect_without_right_is_refused(void **state)
{
    (void)state;
    run_in_child((struct fake_options){0}, run_without_right);
}

static void test_unprivileged_with_device_has_all(void **state)
{
    (void)state;
    run_in_child((struct fake_options){0}, run_with_device);
}

static void test_unprivileged_without_device_has_loads_and_copies(void **state)
{
    struct fake_seen seen =
        run_in_child((struct fake_options){.no_device = true}, run_without_device);

    (void)state;
    assert_int_equal(seen.backend, SESSION_USER_MODE);
    assert_non_null(strstr(seen.why, "the agent passed no /dev/userfaultfd; userfaultfd: "));
}

static void test_back_end_that_is_forbidden_is_refused_with_the_reason(void **state)
{
    struct fake_seen seen =
        run_in_child((struct fake_options){.no_device = true}, run_with_a_wish);

    (void)state;
    assert_int_equal(seen.backend, SESSION_USER_MODE);
}

static void test_program_without_userfaultfd_takes_sigsegv(void **state)
{
    struct fake_seen seen =
        run_in_child((struct fake_options){.no_device = true}, run_without_userfaultfd);

    (void)state;
    assert_int_equal(seen.backend, SESSION_SIGSEGV);
    assert_non_null(strstr(seen.why, "Function not implemented"));
}

static void test_filtered_program_copies_by_pipe(void **state)
{
    (void)state;
    run_in_child((struct fake_options){0}, run_under_filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_without_right_is_refused),
        cmocka_unit_test(test_unprivileged_with_device_has_all),
        cmocka_unit_test(test_unprivileged_without_device_has_loads_and_copies),
        cmocka_unit_test(test_filtered_program_copies_by_pipe),
        cmocka_unit_test(test_back_end_that_is_forbidden_is_refused_with_the_reason),
        cmocka_unit_test(test_program_without_userfaultfd_takes_sigsegv),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
