/* SPDX-License-Identifier: Apache-2.0 */
/* Signals that come while a thread waits for a page, and stacks in any place. */
#include "tests/conform/conform.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#define TICKS 200
#define STACK_BYTES (256u << 10)

/** What a handler of the program finds; there is one program in a process. */
static struct program *the_program;
static volatile sig_atomic_t ticks;
static sigjmp_buf leave;

static void on_tick(int number)
{
    size_t page = 1 + (size_t)ticks % 7;

    (void)number;
    the_program->bytes[page * the_program->page + 1000] += 1;
    ticks++;
}

static void ticks_start(struct program *program, int flags)
{
    struct itimerval every = {.it_interval = {.tv_usec = 2000}, .it_value = {.tv_usec = 2000}};
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART | flags};

    the_program = program;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
}

static void run_ticking(struct program *program)
{
    uint64_t sum = 0;

    for (size_t page = 1; page < 8; page++) {
        program->bytes[page * program->page + 1000] = 0;
    }
    ticks_start(program, 0);
    for (uint32_t i = 0; ticks < TICKS; i++) {
        program->bytes[i % 8 * program->page + 2000] = (uint8_t)i;
    }
    CHECK(signal(SIGALRM, SIG_IGN) != SIG_ERR);
    for (size_t page = 1; page < 8; page++) {
        sum += program->bytes[page * program->page + 1000];
    }
    CHECK(sum == (uint64_t)ticks);
}

/** Handlers run while their thread waits for a page, and may touch pages themselves. */
static void test_handlers_touch_pages_while_a_thread_waits(void **state)
{
    struct fake_agent *fake = agent_start();

    (void)state;
    programs_run(fake, run_ticking, 1, take_first_pages);
    fake_stop(fake);
}

static void on_leave(int number)
{
    (void)number;
    siglongjmp(leave, 1);
}

static void run_leaving(struct program *program)
{
    struct itimerval once = {.it_value = {.tv_usec = 50000}};

    CHECK(signal(SIGALRM, on_leave) != SIG_ERR);
    if (sigsetjmp(leave, 1) == 0) {
        CHECK(setitimer(ITIMER_REAL, &once, NULL) == 0);
        (void)program->bytes[CONFORM_SILENT * program->page];
        CHECK(false);
    }
    run_ticking(program);
    CHECK(dsm_shm_unmap(program->dsm, plain_bytes(program, 0)) == 0);
    dsm_disconnect(program->dsm);
}

/** A handler may leave a load that waits for ever; pages come, and mappings go, after that. */
static void test_load_that_waits_can_be_left(void **state)
{
    (void)state;
    program_run(run_leaving);
}

static void alternate_stack_use(void)
{
    stack_t stack = {.ss_size = STACK_BYTES};

    stack.ss_sp =
        mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack.ss_sp != MAP_FAILED);
    CHECK(sigaltstack(&stack, NULL) == 0);
}

static void run_ticking_on_an_alternate_stack(struct program *program)
{
    alternate_stack_use();
    ticks_start(program, SA_ONSTACK);
    for (uint32_t i = 0; ticks < TICKS; i++) {
        program->bytes[i % 8 * program->page + 2000] = (uint8_t)i;
    }
}

/** The same with the handlers, ours too, on an alternate stack. */
static void test_alternate_stack_serves_nested_handlers(void **state)
{
    struct fake_agent *fake = agent_start();

    (void)state;
    programs_run(fake, run_ticking_on_an_alternate_stack, 1, take_first_pages);
    fake_stop(fake);
}

static void *touch_some(void *argument)
{
    struct program *program = argument;

    for (uint32_t i = 0; i < 500; i++) {
        program->bytes[i % 8 * program->page + 2000] = (uint8_t)i;
    }
    return NULL;
}

static void run_with_a_small_stack(struct program *program)
{
    long least = sysconf(_SC_THREAD_STACK_MIN);
    pthread_attr_t attributes;
    pthread_t thread;

    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, least > 16384 ? (size_t)least : 16384) == 0);
    CHECK(pthread_create(&thread, &attributes, touch_some, program) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/** The smallest stack that a thread may have is enough. */
static void test_small_stack_is_enough(void **state)
{
    struct fake_agent *fake = agent_start();

    (void)state;
    programs_run(fake, run_with_a_small_stack, 1, take_first_pages);
    fake_stop(fake);
}

static ucontext_t outside, inside;

static uint32_t go_down(uint32_t depth)
{
    volatile uint8_t local[512];

    memset((void *)(uintptr_t)local, (int)depth, sizeof local);
    return depth == 0 ? 0 : local[100] % 2 + go_down(depth - 1);
}

static void run_inside(void)
{
    for (int i = 0; i < 200; i++) {
        CHECK(go_down(30) == 15);
    }
}

/* Its stack is in the region, the one of signal handlers is not. */
static void run_on_the_region(struct program *program)
{
    size_t pages = STACK_BYTES / 8 / program->page;

    pages = pages < 8 ? 8 : pages;
    alternate_stack_use();
    CHECK(getcontext(&inside) == 0);
    inside.uc_stack.ss_sp = plain_bytes(program, 0);
    inside.uc_stack.ss_size = pages * program->page;
    inside.uc_link = &outside;
    makecontext(&inside, run_inside, 0);
    CHECK(swapcontext(&outside, &inside) == 0);
}

/** A thread may have its stack in a region, if it has an alternate one elsewhere for signals. */
static void test_stack_in_a_region_works_with_an_alternate_stack(void **state)
{
    struct fake_agent *fake = agent_start();

    (void)state;
    programs_run(fake, run_on_the_region, 1, take_first_pages);
    fake_stop(fake);
}

const struct CMUnitTest signal_tests[] = {
    cmocka_unit_test(test_handlers_touch_pages_while_a_thread_waits),
    cmocka_unit_test(test_load_that_waits_can_be_left),
    cmocka_unit_test(test_alternate_stack_serves_nested_handlers),
    cmocka_unit_test(test_small_stack_is_enough),
    cmocka_unit_test(test_stack_in_a_region_works_with_an_alternate_stack),
};
const size_t signal_tests_count = sizeof signal_tests / sizeof signal_tests[0];
