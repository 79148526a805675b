/* SPDX-License-Identifier: Apache-2.0 */
/* The program's own handlers of SIGSEGV, before and after ours, get what is theirs. */
#include "tests/conform/conform.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

static sigjmp_buf leave;
static volatile sig_atomic_t count_calls;
static void *volatile seen_address;
static sigset_t seen_mask;

/* Handlers come before the first mapping: that is when ours comes. */
static void map_again(struct program *program)
{
    const char *path = program->path;
    void *mapped;

    dsm_disconnect(program->dsm);
    CHECK(dsm_connect(path, &program->dsm) == 0);
    CHECK(dsm_shm_open(program->dsm, FAKE_REGION, O_RDWR, 0, NULL, &program->region) == 0);
    CHECK(dsm_shm_map(program->region, NULL, 0, CONFORM_PAGES * program->page, DSM_READ | DSM_WRITE,
                      &mapped) == 0);
    program->bytes = mapped;
}

static void handler_set(void (*handler)(int number, siginfo_t *info, void *context), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

    CHECK(sigaddset(&action.sa_mask, SIGUSR2) == 0);
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
}

static void touch_all(struct program *program)
{
    for (size_t page = 0; page < 8; page++) {
        program->bytes[page * program->page] = 1;
    }
}

static volatile uint8_t *forbidden_page(struct program *program)
{
    void *page = mmap(NULL, program->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(page != MAP_FAILED);
    return page;
}

static void run_violating(struct program *program)
{
    touch_all(program);
    *forbidden_page(program) = 1;
}

/** A program without a handler that touches what is not its own ends as any other. */
static void test_violation_without_a_handler_is_fatal(void **state)
{
    (void)state;
    program_run_dies(run_violating, SIGSEGV);
}

static void run_killed(struct program *program)
{
    touch_all(program);
    CHECK(raise(SIGSEGV) == 0);
}

/** So does one that is sent the signal. */
static void test_signal_sent_without_a_handler_is_fatal(void **state)
{
    (void)state;
    program_run_dies(run_killed, SIGSEGV);
}

static void run_ignoring(struct program *program)
{
    CHECK(signal(SIGSEGV, SIG_IGN) != SIG_ERR);
    map_again(program);
    touch_all(program);
    CHECK(raise(SIGSEGV) == 0);
    touch_all(program);
}

/** A program that ignores the signal is not ended by one that is sent, ... */
static void test_signal_sent_to_who_ignores_it_is_ignored(void **state)
{
    (void)state;
    program_run(run_ignoring);
}

static void run_ignoring_and_violating(struct program *program)
{
    CHECK(signal(SIGSEGV, SIG_IGN) != SIG_ERR);
    map_again(program);
    run_violating(program);
}

/** ... but by what it does itself. */
static void test_violation_of_who_ignores_it_is_fatal(void **state)
{
    (void)state;
    program_run_dies(run_ignoring_and_violating, SIGSEGV);
}

static void on_plain(int number)
{
    CHECK(number == SIGSEGV);
    count_calls++;
    siglongjmp(leave, 1);
}

static void run_with_a_plain_handler(struct program *program)
{
    CHECK(signal(SIGSEGV, on_plain) != SIG_ERR);
    map_again(program);
    for (int i = 1; i <= 3; i++) {
        if (sigsetjmp(leave, 1) == 0) {
            touch_all(program);
            *forbidden_page(program) = 1;
        }
        CHECK(count_calls == i);
    }
    touch_all(program);
}

/** A handler without SA_SIGINFO gets violations, may leave by siglongjmp(), and hears no more. */
static void test_plain_handler_gets_violations_only(void **state)
{
    (void)state;
    program_run(run_with_a_plain_handler);
}

static void on_info(int number, siginfo_t *info, void *context)
{
    CHECK(number == SIGSEGV && context != NULL && info->si_signo == SIGSEGV);
    count_calls++;
    seen_address = info->si_addr;
    CHECK(sigprocmask(SIG_BLOCK, NULL, &seen_mask) == 0);
    CHECK(mprotect((void *)((uintptr_t)info->si_addr & ~(uintptr_t)(fake_unit() - 1)), fake_unit(),
                   PROT_READ | PROT_WRITE) == 0);
}

static void run_with_an_info_handler(struct program *program)
{
    volatile uint8_t *page = forbidden_page(program);

    handler_set(on_info, 0);
    map_again(program);
    touch_all(program);
    page[1] = 1;
    CHECK(count_calls == 1);
    CHECK(((uintptr_t)seen_address ^ (uintptr_t)page) < program->page);
    CHECK(sigismember(&seen_mask, SIGSEGV) == 1 && sigismember(&seen_mask, SIGUSR2) == 1);
    CHECK(sigismember(&seen_mask, SIGUSR1) == 0);
    touch_all(program);
    CHECK(count_calls == 1);
}

/** A handler with SA_SIGINFO gets the address, and the mask that it asked for. */
static void test_info_handler_gets_address_and_mask(void **state)
{
    (void)state;
    program_run(run_with_an_info_handler);
}

static void run_with_a_reset_handler(struct program *program)
{
    volatile uint8_t *page = forbidden_page(program);

    handler_set(on_info, (int)SA_RESETHAND | SA_NODEFER);
    map_again(program);
    page[1] = 1;
    CHECK(count_calls == 1 && sigismember(&seen_mask, SIGSEGV) == 0);
    touch_all(program);
    *forbidden_page(program) = 1;
}

/** One that is to be called once is called once; pages come all the same. */
static void test_handler_for_one_call_gets_one(void **state)
{
    (void)state;
    program_run_dies(run_with_a_reset_handler, SIGSEGV);
}

static void on_later(int number, siginfo_t *info, void *context)
{
    if (dsm_on_sigsegv(info, context) == 0) {
        on_info(number, info, context);
    }
}

static void run_with_a_later_handler(struct program *program)
{
    volatile uint8_t *page = forbidden_page(program);

    handler_set(on_later, SA_ONSTACK);
    touch_all(program);
    CHECK(count_calls == 0);
    page[1] = 1;
    CHECK(count_calls == 1);
    /* What ours would put back is not in its place. */
    map_again(program);
    touch_all(program);
    page = forbidden_page(program);
    page[1] = 1;
    CHECK(count_calls == 2);
}

/** A handler that comes after ours asks us first. */
static void test_later_handler_asks_the_library(void **state)
{
    struct fake_agent *fake = agent_start();

    (void)state;
    programs_run(fake, run_with_a_later_handler, 1, take_first_pages);
    fake_stop(fake);
}

static void run_disconnecting(struct program *program)
{
    struct sigaction after;

    CHECK(signal(SIGSEGV, on_plain) != SIG_ERR);
    map_again(program);
    touch_all(program);
    dsm_disconnect(program->dsm);
    CHECK(sigaction(SIGSEGV, NULL, &after) == 0);
    CHECK((after.sa_flags & SA_SIGINFO) == 0 && after.sa_handler == on_plain);
}

/** The program's handler is back when the last session is over. */
static void test_handler_is_given_back_at_the_end(void **state)
{
    (void)state;
    program_run(run_disconnecting);
}

const struct CMUnitTest handler_tests[] = {
    cmocka_unit_test(test_violation_without_a_handler_is_fatal),
    cmocka_unit_test(test_signal_sent_without_a_handler_is_fatal),
    cmocka_unit_test(test_signal_sent_to_who_ignores_it_is_ignored),
    cmocka_unit_test(test_violation_of_who_ignores_it_is_fatal),
    cmocka_unit_test(test_plain_handler_gets_violations_only),
    cmocka_unit_test(test_info_handler_gets_address_and_mask),
    cmocka_unit_test(test_handler_for_one_call_gets_one),
    cmocka_unit_test(test_later_handler_asks_the_library),
    cmocka_unit_test(test_handler_is_given_back_at_the_end),
};
const size_t handler_tests_count = sizeof handler_tests / sizeof handler_tests[0];
