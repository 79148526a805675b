/* SPDX-License-Identifier: Apache-2.0 */
/* Pages come, are shared, go, and nothing that was written is lost. */
#include "tests/conform/conform.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define THREADS 4
#define ROUNDS 3000
#define COUNTERS 6

static void run_reading(struct program *program)
{
    for (size_t page = 0; page < 8; page++) {
        CHECK(program->bytes[page * program->page] == first_byte(program, page, 0));
        CHECK(program->bytes[page * program->page + 777] == first_byte(program, page, 777));
    }
}

/** A load of an absent page gives the region's bytes; the agent is told what serves the faults. */
static void test_load_of_an_absent_page_gives_its_bytes(void **state)
{
    struct fake_agent *fake = agent_start();
    const char *wish = getenv("DSM_FAULTS");
    struct fake_seen seen;

    (void)state;
    programs_run(fake, run_reading, 1, NULL);
    fake_look(fake, &seen);
    assert_int_equal(seen.count_faults, 8);
    if (wish != NULL) {
        assert_string_equal(session_backend_name(seen.backend), wish);
        assert_non_null(strstr(seen.why, "DSM_FAULTS"));
    }
    fake_stop(fake);
}

static void run_storing(struct program *program)
{
    for (size_t page = 0; page < 8; page++) {
        program->bytes[page * program->page + page] = (uint8_t)(200 + page);
    }
}

static void run_finding_stored(struct program *program)
{
    for (size_t page = 0; page < 8; page++) {
        CHECK(program->bytes[page * program->page + page] == 200 + page);
        CHECK(program->bytes[page * program->page + 99] == first_byte(program, page, 99));
    }
}

/** A store into an absent page keeps the rest of it, and the next program on the node sees it. */
static void test_store_into_an_absent_page_is_seen_by_the_next_program(void **state)
{
    struct fake_agent *fake = agent_start();

    (void)state;
    programs_run(fake, run_storing, 1, NULL);
    programs_run(fake, run_finding_stored, 1, NULL);
    fake_take(fake, 0, CONFORM_PAGES, true);
    programs_run(fake, run_finding_stored, 1, NULL);
    fake_stop(fake);
}

static void run_upgrading(struct program *program)
{
    for (size_t page = 0; page < 8; page++) {
        volatile uint8_t *at = program->bytes + page * program->page;

        CHECK(at[3] == first_byte(program, page, 3));
        at[3] = 7;
        CHECK(at[3] == 7 && at[4] == first_byte(program, page, 4));
    }
}

/** A page that was read and then is written stays what it was but for the store. */
static void test_store_after_load_changes_nothing_else(void **state)
{
    (void)state;
    program_run(run_upgrading);
}

/** A load may bring the right to write with it: the store that follows is no fault. */
static void test_load_that_brings_the_right_to_write_saves_a_fault(void **state)
{
    struct fake_agent *fake = agent_start();
    struct fake_seen seen;

    (void)state;
    fake_give_writes(fake);
    programs_run(fake, run_upgrading, 1, NULL);
    fake_look(fake, &seen);
    assert_int_equal(seen.count_faults, 8);
    fake_stop(fake);
}

static _Atomic uint64_t *counter(const struct program *program, size_t page)
{
    return (_Atomic uint64_t *)(uintptr_t)(program->bytes + page * program->page + 64);
}

static void *count_up(void *argument)
{
    struct program *program = argument;

    for (int i = 0; i < ROUNDS; i++) {
        for (size_t page = 0; page < COUNTERS; page++) {
            *counter(program, page) += 1;
        }
    }
    return NULL;
}

static void run_counting(struct program *program)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, count_up, program) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

static void run_clearing(struct program *program)
{
    for (size_t page = 0; page < COUNTERS; page++) {
        *counter(program, page) = 0;
    }
}

static void run_checking_counts(struct program *program)
{
    for (size_t page = 0; page < COUNTERS; page++) {
        CHECK(*counter(program, page) == 2u * THREADS * ROUNDS);
    }
}

/** Two programs with many threads count on pages that are taken away all the time: none is lost. */
static void test_pages_taken_under_load_lose_no_write(void **state)
{
    struct fake_agent *fake = agent_start();

    (void)state;
    programs_run(fake, run_clearing, 1, NULL);
    programs_run(fake, run_counting, 2, take_first_pages);
    programs_run(fake, run_checking_counts, 1, NULL);
    fake_stop(fake);
}

static void *read_all(void *argument)
{
    run_reading(argument);
    return NULL;
}

static void run_many_threads(struct program *program)
{
    pthread_t threads[16];

    for (int i = 0; i < 16; i++) {
        CHECK(pthread_create(&threads[i], NULL, read_all, program) == 0);
    }
    for (int i = 0; i < 16; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

/** Many threads that want the same pages at once all get them. */
static void test_threads_at_one_page_all_go_on(void **state)
{
    (void)state;
    program_run(run_many_threads);
}

static void *map_and_unmap(void *argument)
{
    struct program *program = argument;

    for (int i = 0; i < 200; i++) {
        size_t offset = (size_t)(i % 8) * program->page;
        void *mapped;

        CHECK(dsm_shm_map(program->region, NULL, offset, 4 * program->page, DSM_READ, &mapped) ==
              0);
        CHECK(*((volatile uint8_t *)mapped + 500) == fake_byte(offset + 500));
        CHECK(dsm_shm_unmap(program->dsm, mapped) == 0);
    }
    return NULL;
}

static void run_unmapping(struct program *program)
{
    pthread_t mapper, counting;

    CHECK(pthread_create(&mapper, NULL, map_and_unmap, program) == 0);
    CHECK(pthread_create(&counting, NULL, count_up, program) == 0);
    CHECK(pthread_join(mapper, NULL) == 0);
    CHECK(pthread_join(counting, NULL) == 0);
}

/** Mappings come and go while other threads fault in others of the same region. */
static void test_unmapping_disturbs_nobody_else(void **state)
{
    struct fake_agent *fake = agent_start();

    (void)state;
    programs_run(fake, run_unmapping, 1, take_first_pages);
    fake_stop(fake);
}

static void run_storing_read_only(struct program *program)
{
    void *mapped;

    CHECK(dsm_shm_map(program->region, NULL, 0, program->page, DSM_READ, &mapped) == 0);
    CHECK(*((volatile uint8_t *)mapped + 5) == first_byte(program, 0, 5));
    *((volatile uint8_t *)mapped + 5) = 1;
}

/** A store into a mapping that was made for reading is a violation, as of any mapping. */
static void test_store_into_a_read_only_mapping_is_sigsegv(void **state)
{
    (void)state;
    program_run_dies(run_storing_read_only, SIGSEGV);
}

static void run_storing_read_only_first(struct program *program)
{
    void *mapped;

    CHECK(dsm_shm_map(program->region, NULL, 0, program->page, DSM_READ, &mapped) == 0);
    *((volatile uint8_t *)mapped + 5) = 1;
}

/** The same when nothing was read there before. */
static void test_first_store_into_a_read_only_mapping_is_sigsegv(void **state)
{
    (void)state;
    program_run_dies(run_storing_read_only_first, SIGSEGV);
}

static void run_reading_lost(struct program *program)
{
    CHECK(program->bytes[CONFORM_LOST * program->page] == 0);
}

/** A page whose only copy is lost is SIGBUS: no value, no zeros. */
static void test_load_of_a_lost_page_is_sigbus(void **state)
{
    (void)state;
    program_run_dies(run_reading_lost, SIGBUS);
}

static void run_writing_lost(struct program *program)
{
    program->bytes[CONFORM_LOST * program->page] = 1;
}

/** The same for a store. */
static void test_store_into_a_lost_page_is_sigbus(void **state)
{
    (void)state;
    program_run_dies(run_writing_lost, SIGBUS);
}

/* Leaves room for a few mappings of other kinds than their neighbours. */
static void maps_exhaust(size_t page, size_t left)
{
    size_t count = 0, size = (size_t)200000 * page;
    uint8_t *room = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    CHECK(room != MAP_FAILED);
    while (mprotect(room + 2 * count * page, page, PROT_READ) == 0) {
        count++;
        CHECK(count < 100000);
    }
    for (size_t i = 1; i <= left; i++) {
        CHECK(mprotect(room + 2 * (count - i) * page, page, PROT_NONE) == 0);
    }
}

static void run_without_maps(struct program *program)
{
    maps_exhaust((size_t)sysconf(_SC_PAGESIZE), 4);
    for (int round = 0; round < 3; round++) {
        for (size_t page = 0; page < 50; page += 2) {
            volatile uint8_t *at = program->bytes + page * program->page;

            CHECK(at[9] == (round == 0 ? first_byte(program, page, 9) : round));
            at[9] = (uint8_t)(round + 1);
        }
    }
}

/** A program that has used up vm.max_map_count gets its pages all the same. */
static void test_program_without_room_for_ranges_gets_its_pages(void **state)
{
    (void)state;
    if (getenv("DSM_EMULATED") != NULL) {
        print_message("SKIP: the emulator itself needs room for mappings\n");
        skip();
    }
    program_run(run_without_maps);
}

const struct CMUnitTest page_tests[] = {
    cmocka_unit_test(test_load_of_an_absent_page_gives_its_bytes),
    cmocka_unit_test(test_store_into_an_absent_page_is_seen_by_the_next_program),
    cmocka_unit_test(test_store_after_load_changes_nothing_else),
    cmocka_unit_test(test_load_that_brings_the_right_to_write_saves_a_fault),
    cmocka_unit_test(test_pages_taken_under_load_lose_no_write),
    cmocka_unit_test(test_threads_at_one_page_all_go_on),
    cmocka_unit_test(test_unmapping_disturbs_nobody_else),
    cmocka_unit_test(test_store_into_a_read_only_mapping_is_sigsegv),
    cmocka_unit_test(test_first_store_into_a_read_only_mapping_is_sigsegv),
    cmocka_unit_test(test_load_of_a_lost_page_is_sigbus),
    cmocka_unit_test(test_store_into_a_lost_page_is_sigbus),
    cmocka_unit_test(test_program_without_room_for_ranges_gets_its_pages),
};
const size_t page_tests_count = sizeof page_tests / sizeof page_tests[0];
