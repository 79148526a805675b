/* SPDX-License-Identifier: Apache-2.0 */
/* System calls on region memory, by the wrappers of dsm_io.h. */
#include "tests/conform/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define ROUNDS 100

static int file_new(void)
{
    int fd = memfd_create("conform", MFD_CLOEXEC);

    CHECK(fd >= 0);
    return fd;
}

/* Bytes that say which round they are of, over page bounds. */
static void fill(uint8_t *bytes, size_t len_bytes, int round)
{
    for (size_t i = 0; i < len_bytes; i++) {
        bytes[i] = (uint8_t)((size_t)round * 3 + i * 7);
    }
}

static bool is_filled(const uint8_t *bytes, size_t len_bytes, int round)
{
    for (size_t i = 0; i < len_bytes; i++) {
        if (bytes[i] != (uint8_t)((size_t)round * 3 + i * 7)) {
            return false;
        }
    }
    return true;
}

static void run_with_a_file(struct program *program)
{
    size_t len = 4 * program->page + 100;
    uint8_t *here = plain_bytes(program, 0) + 500;
    uint8_t *copy = malloc(len);
    int fd = file_new();

    CHECK(copy != NULL);
    for (int round = 0; round < ROUNDS; round++) {
        fill(here, len, round);
        CHECK(lseek(fd, 0, SEEK_SET) == 0);
        CHECK(dsm_write(fd, here, len) == (ssize_t)len);
        CHECK(pread(fd, copy, len, 0) == (ssize_t)len && is_filled(copy, len, round));
        fill(copy, len, round + 1);
        CHECK(pwrite(fd, copy, len, 0) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
        CHECK(dsm_read(fd, here, len + program->page) == (ssize_t)len);
        CHECK(is_filled(here, len, round + 1));
        CHECK(dsm_read(fd, here, 10) == 0);
    }
}

/** Files are written from and read to a region as a whole, whoever takes its pages meanwhile. */
static void test_files_are_read_and_written_whole(void **state)
{
    struct fake_agent *fake = agent_start();

    (void)state;
    programs_run(fake, run_with_a_file, 1, take_first_pages);
    fake_stop(fake);
}

static void run_with_absent_pages(struct program *program)
{
    uint8_t copy[100];
    int ends[2];

    CHECK(pipe(ends) == 0);
    CHECK(dsm_write(ends[1], plain_bytes(program, 9) + 50, 100) == 100);
    CHECK(read(ends[0], copy, 100) == 100 && copy[7] == first_byte(program, 9, 57));
    CHECK(write(ends[1], "hello", 5) == 5);
    CHECK(dsm_read(ends[0], plain_bytes(program, 10) + 4, 100) == 5);
    CHECK(memcmp(plain_bytes(program, 10) + 4, "hello", 5) == 0);
    CHECK(program->bytes[10 * program->page + 9] == first_byte(program, 10, 9));
}

/** Pages that are not here come first. A short answer is as long as what there was. */
static void test_absent_pages_come_for_a_call(void **state)
{
    (void)state;
    program_run(run_with_absent_pages);
}

static void run_with_messages(struct program *program, int type)
{
    size_t len = 3000;
    uint8_t *here = plain_bytes(program, 1) - 1500;
    uint8_t copy[4000];
    int ends[2];

    CHECK(socketpair(AF_UNIX, type, 0, ends) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        fill(here, len, round);
        CHECK(dsm_send(ends[0], here, len, 0) == (ssize_t)len);
        CHECK(recv(ends[1], copy, sizeof copy, 0) == (ssize_t)len && is_filled(copy, len, round));
        fill(copy, len, round + 1);
        CHECK(send(ends[1], copy, len, 0) == (ssize_t)len);
        CHECK(dsm_recv(ends[0], here, len + 50, 0) == (ssize_t)len);
        CHECK(is_filled(here, len, round + 1));
        CHECK(dsm_recv(ends[0], here, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    }
    CHECK(send(ends[1], copy, len, 0) == (ssize_t)len);
    CHECK(dsm_recv(ends[0], here, 20, MSG_TRUNC) == (type == SOCK_STREAM ? 20 : (ssize_t)len));
}

static void run_with_datagrams(struct program *program)
{
    run_with_messages(program, SOCK_DGRAM);
}

static void run_with_a_stream(struct program *program)
{
    size_t len = 100;
    uint8_t *here = plain_bytes(program, 1) - 50;
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        fill(here, len, round);
        CHECK(dsm_send(ends[0], here, len, MSG_NOSIGNAL) == (ssize_t)len);
        CHECK(dsm_recv(ends[1], here + len, len, MSG_WAITALL) == (ssize_t)len);
        CHECK(is_filled(here + len, len, round));
    }
    CHECK(close(ends[1]) == 0);
    CHECK(dsm_recv(ends[0], here, len, 0) == 0);
    CHECK(dsm_send(ends[0], here, len, MSG_NOSIGNAL) == -1 && errno == EPIPE);
}

static void run_with_a_count(struct program *program)
{
    int fd = eventfd(0, EFD_NONBLOCK);

    CHECK(fd >= 0);
    for (int round = 1; round < ROUNDS; round++) {
        uint64_t *here = (uint64_t *)(void *)plain_bytes(program, (size_t)round % 8);

        *here = (uint64_t)round;
        CHECK(dsm_write(fd, here, 8) == 8);
        *here = 0;
        CHECK(dsm_read(fd, here, 8) == 8 && *here == (uint64_t)round);
        CHECK(dsm_read(fd, here, 8) == -1 && errno == EAGAIN);
    }
}

/** A message, a stream's byte or a count that was taken from a descriptor is never lost. */
static void test_input_that_comes_once_is_not_lost(void **state)
{
    struct fake_agent *fake = agent_start();

    (void)state;
    programs_run(fake, run_with_datagrams, 1, take_first_pages);
    programs_run(fake, run_with_a_stream, 1, take_first_pages);
    programs_run(fake, run_with_a_count, 1, take_first_pages);
    fake_stop(fake);
}

static void run_with_other_memory(struct program *program)
{
    uint8_t given[100], copy[100];
    uint8_t *forbidden = mmap(NULL, program->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = file_new(), ends[2];

    fill(given, sizeof given, 5);
    CHECK(dsm_write(fd, given, sizeof given) == sizeof given && lseek(fd, 0, SEEK_SET) == 0);
    CHECK(dsm_read(fd, copy, sizeof copy) == sizeof copy);
    CHECK(memcmp(given, copy, sizeof copy) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CHECK(dsm_send(ends[0], given, 10, 0) == 10 && dsm_recv(ends[1], copy, 10, 0) == 10);
    CHECK(dsm_write(fd, forbidden, 10) == -1 && errno == EFAULT);
    CHECK(dsm_write(-1, given, 10) == -1 && errno == EBADF);
    CHECK(dsm_write(-1, plain_bytes(program, 0), 10) == -1 && errno == EBADF);
    CHECK(dsm_read(-1, plain_bytes(program, 0), 10) == -1 && errno == EBADF);
    CHECK(dsm_recv(-1, plain_bytes(program, 0), 10, 0) == -1 && errno == EBADF);
    CHECK(dsm_read(fd, plain_bytes(program, 0), 0) == 0);
}

/** Memory that is no region is as good as ever; errors are those of the calls. */
static void test_other_memory_is_passed_on(void **state)
{
    (void)state;
    program_run(run_with_other_memory);
}

static void run_reading_to_read_only(struct program *program)
{
    int ends[2];
    void *mapped;
    char byte;

    CHECK(dsm_shm_map(program->region, NULL, 0, program->page, DSM_READ, &mapped) == 0);
    CHECK(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
    CHECK(dsm_read(ends[0], mapped, 1) == -1 && errno == EFAULT);
    CHECK(read(ends[0], &byte, 1) == 1 && byte == 'x');
    CHECK(dsm_write(ends[1], mapped, 1) == 1);
}

/** What may not be written is EFAULT, and nothing is taken for it. */
static void test_input_to_a_read_only_mapping_is_efault(void **state)
{
    (void)state;
    program_run(run_reading_to_read_only);
}

static bool faults_of_calls_are_told(void)
{
    const char *wish = getenv("DSM_FAULTS");

    return wish == NULL || strcmp(wish, session_backend_name(SESSION_USER_MODE)) != 0;
}

static void run_with_a_lost_page(struct program *program)
{
    uint8_t *lost = plain_bytes(program, CONFORM_LOST);
    int ends[2];
    char bytes[8];

    CHECK(pipe(ends) == 0);
    CHECK(dsm_write(ends[1], lost, 4) == -1 && errno == EFAULT);
    CHECK(write(ends[1], "abcd", 4) == 4);
    CHECK(dsm_read(ends[0], lost, 4) == -1 && errno == EFAULT);
    CHECK(read(ends[0], bytes, 4) == 4 && memcmp(bytes, "abcd", 4) == 0);
    CHECK(dsm_vm_read(program->region, CONFORM_LOST * program->page - 4, bytes, 8) == DSM_EDOWN);
    CHECK((uint8_t)bytes[3] == fake_byte(CONFORM_LOST * program->page - 1));
    CHECK(dsm_vm_write(program->region, CONFORM_LOST * program->page, bytes, 8) == DSM_EDOWN);
}

/** A lost page is EFAULT to a call, and DSM_EDOWN to a copy; nobody is killed. */
static void test_lost_page_fails_a_call(void **state)
{
    (void)state;
    if (!faults_of_calls_are_told()) {
        print_message("SKIP: user mode alone learns of a lost page by SIGBUS\n");
        skip();
    }
    program_run(run_with_a_lost_page);
}

static void run_copying(struct program *program)
{
    size_t len = 5 * program->page;
    uint8_t *bytes = malloc(len);

    CHECK(bytes != NULL);
    for (int round = 0; round < ROUNDS; round++) {
        fill(bytes, len, round);
        CHECK(dsm_vm_write(program->region, 700, bytes, len) == 0);
        memset(bytes, 0, len);
        CHECK(dsm_vm_read(program->region, 700, bytes, len) == 0);
        CHECK(is_filled(bytes, len, round));
    }
    dsm_disconnect(program->dsm);
}

/** dsm_vm_write and dsm_vm_read are whole while pages are taken away. */
static void test_copies_are_whole_under_load(void **state)
{
    struct fake_agent *fake = agent_start();

    (void)state;
    programs_run(fake, run_copying, 1, take_first_pages);
    fake_stop(fake);
}

const struct CMUnitTest call_tests[] = {
    cmocka_unit_test(test_files_are_read_and_written_whole),
    cmocka_unit_test(test_absent_pages_come_for_a_call),
    cmocka_unit_test(test_input_that_comes_once_is_not_lost),
    cmocka_unit_test(test_other_memory_is_passed_on),
    cmocka_unit_test(test_input_to_a_read_only_mapping_is_efault),
    cmocka_unit_test(test_lost_page_fails_a_call),
    cmocka_unit_test(test_copies_are_whole_under_load),
};
const size_t call_tests_count = sizeof call_tests / sizeof call_tests[0];
