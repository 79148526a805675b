/* SPDX-License-Identifier: Apache-2.0 */
/* The failure loops themselves: what fails, what is counted, and that a leak is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "tests/failure/failure.h"

/* The compiler knows malloc() and would leave out what has no effect. */
static void *volatile kept;

/** Takes two blocks and a descriptor; all or nothing. */
static int take_three(void **one, void **two, int *fd)
{
    *one = malloc(10);
    if (*one == NULL) {
        return -1;
    }
    *two = calloc(3, 5);
    if (*two == NULL) {
        free(*one);
        return -1;
    }
    *fd = eventfd(0, EFD_CLOEXEC);
    if (*fd < 0) {
        free(*two);
        free(*one);
        return -1;
    }
    return 0;
}

static void test_loop_fails_each_call_once(void **state)
{
    uint32_t tries = 0, failed = 0;

    (void)state;
    FAILURE_LOOP(loop, FAILURE_MEMORY | FAILURE_DESCRIPTOR)
    {
        static const char *const calls[] = {"malloc", "calloc", "eventfd"};
        void *one, *two;
        int fd, error;

        failure_loop_arm(&loop);
        error = take_three(&one, &two, &fd);
        failure_disarm();
        tries++;
        assert_int_equal(error, failure_was_injected() ? -1 : 0);
        if (error != 0) {
            assert_string_equal(failure_call(), calls[failed]);
            failed++;
            continue;
        }
        assert_string_equal(failure_call(), "");
        free(one);
        free(two);
        assert_int_equal(close(fd), 0);
    }
    assert_int_equal(tries, 5); /* without a failure, with each of three, and to the end */
    assert_int_equal(failed, 3);
}

static void test_what_is_taken_is_counted(void **state)
{
    uint64_t blocks = failure_live_blocks(), bytes = failure_live_bytes();
    uint32_t descriptors = failure_open_descriptors();
    int64_t mapped_bytes = failure_mapped_bytes();
    uint8_t *mapped;
    int ends[2];

    (void)state;
    kept = malloc(100);
    assert_int_equal(failure_live_blocks(), blocks + 1);
    assert_int_equal(failure_live_bytes(), bytes + 100);
    kept = realloc(kept, 5000);
    assert_int_equal(failure_live_blocks(), blocks + 1);
    assert_int_equal(failure_live_bytes(), bytes + 5000);
    free(kept);
    assert_int_equal(failure_live_blocks(), blocks);
    kept = strdup("a copy that the C library makes");
    free(kept);
    assert_int_equal(failure_live_bytes(), bytes);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(failure_open_descriptors(), descriptors + 2);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(failure_open_descriptors(), descriptors);
    mapped = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(mapped != MAP_FAILED);
    assert_ptr_equal(mmap(mapped, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                     mapped);
    assert_int_equal(failure_mapped_bytes(), mapped_bytes + 8192);
    assert_int_equal(munmap(mapped + 4096, 1), 0);
    assert_int_equal(munmap(mapped, 4096), 0);
    assert_int_equal(failure_mapped_bytes(), mapped_bytes);
}

/* Random blocks, resized and freed in another order: the table agrees with a plain count. */
static void test_table_survives_many_blocks(void **state)
{
    enum { COUNT = 5000 };
    static void *blocks[COUNT];
    uint64_t before = failure_live_blocks(), live = 0;
    uint32_t seed = 12345;

    (void)state;
    for (int round = 0; round < 40000; round++) {
        void **block;

        seed = seed * 1664525 + 1013904223;
        block = &blocks[seed >> 8 & 0xffff % COUNT];
        if (*block == NULL) {
            *block = malloc(1 + (seed & 63));
            live++;
        } else if ((seed & 64) != 0) {
            *block = realloc(*block, 1 + (seed & 1023));
        } else {
            free(*block);
            *block = NULL;
            live--;
        }
        assert_int_equal(failure_live_blocks(), before + live);
    }
    for (int i = 0; i < COUNT; i++) {
        free(blocks[i]);
    }
    assert_int_equal(failure_live_blocks(), before);
}

/* What is left behind once is a library's; what is left behind each time is a leak. */
static void test_growth_is_seen(void **state)
{
    struct failure_mark mark;
    int fd;

    (void)state;
    failure_mark(&mark);
    assert_false(failure_has_grown(&mark));
    kept = malloc(1);
    assert_true(failure_has_grown(&mark));
    free(kept);
    assert_false(failure_has_grown(&mark));
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(failure_has_grown(&mark));
    assert_int_equal(close(fd), 0);
    assert_false(failure_has_grown(&mark));
}

/* A shared library's calls are ours as well. */
static void test_shared_library_runs_out_of_memory(void **state)
{
    EVP_MD_CTX *context;

    (void)state;
    FAILURE_LOOP(loop, FAILURE_MEMORY)
    {
        failure_loop_arm(&loop);
        context = EVP_MD_CTX_new();
        failure_disarm();
        assert_true((context == NULL) == failure_was_injected());
        EVP_MD_CTX_free(context);
    }
}

static void *take_in_thread(void *argument)
{
    kept = malloc(10);
    return kept == NULL ? argument : NULL;
}

static void test_exempt_thread_and_its_children_are_left_out(void **state)
{
    uint64_t blocks = failure_live_blocks();
    pthread_t thread;
    void *failed;
    int error;

    (void)state;
    failure_exempt(true);
    failure_arm_lasting(FAILURE_MEMORY, 0);
    error = pthread_create(&thread, NULL, take_in_thread, &blocks);
    failure_exempt(false);
    assert_int_equal(error, 0);
    assert_int_equal(pthread_join(thread, &failed), 0);
    failure_disarm();
    assert_null(failed);
    assert_false(failure_was_injected());
    assert_int_equal(failure_live_blocks(), blocks);
    free(kept);
}

static void test_transfers_fail_in_their_ways(void **state)
{
    struct msghdr message = {0};
    char bytes[10] = "123456789";
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    failure_arm(FAILURE_SHORT, 0);
    assert_int_equal(write(ends[0], bytes, 10), 5);
    assert_int_equal(write(ends[0], bytes + 5, 5), 5);
    failure_arm(FAILURE_SHORT, 1);
    assert_int_equal(read(ends[1], bytes, 6), 6);
    assert_int_equal(read(ends[1], bytes + 6, 4), 2);
    failure_arm(FAILURE_INTERRUPT, 0);
    assert_int_equal(sendmsg(ends[0], &message, 0), -1);
    assert_int_equal(errno, EINTR);
    failure_arm_lasting(FAILURE_SPACE, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(write(ends[0], bytes, 10), -1);
        assert_int_equal(errno, ENOSPC);
    }
    failure_errno(EDQUOT);
    assert_int_equal(fsync(ends[0]), -1);
    assert_int_equal(errno, EDQUOT);
    failure_errno(0);
    failure_disarm();
    assert_int_equal(failure_calls(), 4);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop_fails_each_call_once),
        cmocka_unit_test(test_what_is_taken_is_counted),
        cmocka_unit_test(test_table_survives_many_blocks),
        cmocka_unit_test(test_growth_is_seen),
        cmocka_unit_test(test_shared_library_runs_out_of_memory),
        cmocka_unit_test(test_exempt_thread_and_its_children_are_left_out),
        cmocka_unit_test(test_transfers_fail_in_their_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
