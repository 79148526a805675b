/* SPDX-License-Identifier: Apache-2.0 */
/* Faults that are told by a look at the program that was last given a page. */
#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/frames.h"
#include "agent/uffd.h"
#include "frames_program.h"

/* Can this kernel be asked for a userfaultfd's events without waiting? (Linux 6.10) */
static bool can_look(void)
{
    uint8_t *memory = mmap(NULL, HARDWARE_PAGE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffd_msg message;
    struct iovec room = {.iov_base = &message, .iov_len = sizeof(message)};
    int fd = uffd_make((uint64_t)(uintptr_t)memory, HARDWARE_PAGE);
    bool can;

    assert_true(fd >= 0);
    can = preadv2(fd, &room, 1, -1, RWF_NOWAIT) < 0 && errno == EAGAIN;
    close(fd);
    munmap(memory, HARDWARE_PAGE);
    return can;
}

/* The fault that follows a page that was given is told by a look, which the loop has no part in;
 * one look for each such page. It never waits, whatever the program has made of its descriptor. */
static void test_look_finds_the_fault_after_a_page(void **state)
{
    struct agent_side side;
    struct program program;
    struct pollfd loop = {.events = POLLIN};

    (void)state;
    side_open(&side, 8, HARDWARE_PAGE);
    program_start_attached(&program, &side, 1, 0, 8);
    frames_look(side.frames); /* nobody was given anything */
    program_order(&program, PROGRAM_WRITE, 0, 3);
    side_wait_faults(&side, 1);
    frames_fill(side.frames, side.region, 0, 1, 1, true, NULL);
    assert_int_equal(program_result(&program, &side).signal, 0);
    program_order(&program, PROGRAM_READ, HARDWARE_PAGE, 0);
    loop.fd = uv_backend_fd(&side.loop);
    assert_int_equal(poll(&loop, 1, -1), 1);
    frames_look(side.frames);
    assert_int_equal(side.count_faults, 2);
    assert_int_equal(side.page, 1);
    frames_fill(side.frames, side.region, 1, 1, 1, false, NULL);
    assert_int_equal(program_result(&program, &side).value, 0);
    frames_look(side.frames); /* the only one for that page */
    program_order(&program, PROGRAM_WRITE, HARDWARE_PAGE, 6);
    assert_int_equal(poll(&loop, 1, -1), 1);
    frames_look(side.frames);
    assert_int_equal(side.count_faults, 2);
    side_wait_faults(&side, 3);
    frames_allow(side.frames, side.region, 1, 1, 1);
    assert_int_equal(program_result(&program, &side).signal, 0);
    program_do(&program, &side, PROGRAM_BLOCKING, 0, 0);
    frames_look(side.frames);
    assert_int_equal(side.count_faults, 3);
    program_kill(&program);
    side_close(&side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_look_finds_the_fault_after_a_page),
    };

    if (!has_userfaultfd()) {
        printf("SKIP: no userfaultfd can be had here\n");
        return 77;
    }
    if (!can_look()) {
        printf("SKIP: this kernel reads a userfaultfd with RWF_NOWAIT only since Linux 6.10\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
