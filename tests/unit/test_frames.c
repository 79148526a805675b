/* SPDX-License-Identifier: Apache-2.0 */
/* What the frames do for programs that behave: with the real userfaultfd of this kernel. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/frames.h"
#include "dsm.h"
#include "frames_program.h"

#define COUNTERS 2u
#define ROUNDS 2000u

/* A page of bytes in which each 8-byte word is the value. */
static uint8_t *words(uint64_t value, size_t len_bytes)
{
    uint8_t *bytes = malloc(len_bytes);

    assert_non_null(bytes);
    for (size_t at = 0; at < len_bytes; at += sizeof(value)) {
        memcpy(bytes + at, &value, sizeof(value));
    }
    return bytes;
}

static void fill_words(struct agent_side *side, uint64_t page, uint32_t count, map_id map,
                       bool write, uint64_t value)
{
    uint8_t *bytes = words(value, (size_t)count * side->page_size);

    frames_fill(side->frames, side->region, page, count, map, write, bytes);
    free(bytes);
}

static uint64_t read_word(struct agent_side *side, uint64_t page)
{
    uint8_t *bytes = malloc(side->page_size);
    uint64_t value;

    assert_non_null(bytes);
    assert_int_equal(frames_read(side->frames, side->region, page, 1, bytes), 0);
    memcpy(&value, bytes, sizeof(value));
    free(bytes);
    return value;
}

/* A read fault is told with its page, the fill wakes the reader, and the page is not writable then.
 */
static void test_read_fault_filled_is_read_only(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open(&side, 8, HARDWARE_PAGE);
    program_start_attached(&program, &side, 5, 2, 4);
    program_order(&program, PROGRAM_READ, HARDWARE_PAGE + 16, 0);
    side_wait_faults(&side, 1);
    assert_int_equal(side.map, 5);
    assert_int_equal(side.page, 3);
    assert_false(side.write);
    fill_words(&side, 3, 1, 5, false, 77);
    assert_int_equal(program_result(&program, &side).value, 77);

    program_order(&program, PROGRAM_WRITE, HARDWARE_PAGE, 78);
    side_wait_faults(&side, 2);
    assert_int_equal(side.page, 3);
    assert_true(side.write);
    assert_int_equal(read_word(&side, 3), 77);
    frames_allow(side.frames, side.region, 3, 1, 5);
    assert_int_equal(program_result(&program, &side).signal, 0);
    assert_int_equal(read_word(&side, 3), 78);
    program_kill(&program);
    side_close(&side);
}

/* A write fill needs no second event, neither for the write that asked nor for later ones. */
static void test_write_fault_filled_is_writable(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open(&side, 4, HARDWARE_PAGE);
    program_start_attached(&program, &side, 1, 0, 4);
    program_order(&program, PROGRAM_WRITE, 8, 5);
    side_wait_faults(&side, 1);
    assert_true(side.write);
    fill_words(&side, 0, 1, 1, true, 9);
    assert_int_equal(program_result(&program, &side).signal, 0);
    program_do(&program, &side, PROGRAM_WRITE, 16, 6);
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, 0, 0), 9);
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, 8, 0), 5);
    assert_int_equal(side.count_faults, 1);
    program_kill(&program);
    side_close(&side);
}

/* Zeros come without any bytes given, for a range longer than the buffer that they come from. */
static void test_zero_fill_reads_zero_and_is_present(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open(&side, 64, HARDWARE_PAGE);
    program_start_attached(&program, &side, 1, 0, 64);
    program_order(&program, PROGRAM_READ, 0, 0);
    side_wait_faults(&side, 1);
    frames_fill(side.frames, side.region, 0, 64, 1, false, NULL);
    assert_int_equal(program_result(&program, &side).value, 0);
    for (uint64_t page = 1; page < 64; page++) {
        assert_int_equal(program_do(&program, &side, PROGRAM_READ, page * HARDWARE_PAGE, 0), 0);
    }
    assert_int_equal(side.count_faults, 1);
    assert_int_equal(frames_counters(side.frames)->repairs, 0);
    program_kill(&program);
    side_close(&side);
}

/* The second program of a node maps a page that is here without any event, but may not write it. */
static void test_second_program_maps_present_page_without_event(void **state)
{
    struct agent_side side;
    struct program first, second;

    (void)state;
    side_open(&side, 4, HARDWARE_PAGE);
    program_start_attached(&first, &side, 1, 0, 4);
    program_start_attached(&second, &side, 2, 0, 4);
    program_order(&first, PROGRAM_READ, 0, 0);
    side_wait_faults(&side, 1);
    fill_words(&side, 0, 1, 1, false, 21);
    assert_int_equal(program_result(&first, &side).value, 21);
    assert_int_equal(program_do(&second, &side, PROGRAM_READ, 0, 0), 21);
    assert_int_equal(side.count_faults, 1);

    program_order(&second, PROGRAM_WRITE, 0, 22);
    side_wait_faults(&side, 2);
    assert_int_equal(side.map, 2);
    assert_true(side.write);
    frames_allow(side.frames, side.region, 0, 1, 2);
    assert_int_equal(program_result(&second, &side).signal, 0);
    assert_int_equal(program_do(&first, &side, PROGRAM_READ, 0, 0), 22);
    assert_int_equal(side.count_faults, 2);
    program_kill(&first);
    program_kill(&second);
    side_close(&side);
}

/* Both wait for one page; it comes by a write fill of one: the other is woken and must ask to
 * write. */
static void test_write_fill_wakes_the_other_and_keeps_it_protected(void **state)
{
    struct agent_side side;
    struct program writer, other;

    (void)state;
    side_open(&side, 4, HARDWARE_PAGE);
    program_start_attached(&writer, &side, 1, 0, 4);
    program_start_attached(&other, &side, 2, 0, 4);
    program_order(&other, PROGRAM_WRITE, 8, 100);
    side_wait_faults(&side, 1);
    program_order(&writer, PROGRAM_WRITE, 0, 1);
    side_wait_faults(&side, 2);
    fill_words(&side, 0, 1, 1, true, 50);
    assert_int_equal(program_result(&writer, &side).signal, 0);
    side_wait_faults(&side, 3);
    assert_int_equal(side.map, 2);
    assert_true(side.write);
    frames_allow(side.frames, side.region, 0, 1, 2);
    assert_int_equal(program_result(&other, &side).signal, 0);
    assert_int_equal(program_do(&writer, &side, PROGRAM_READ, 8, 0), 100);
    program_kill(&writer);
    program_kill(&other);
    side_close(&side);
}

/* Protect, read, drop: the bytes are the last that were written, and everybody has to ask again. */
static void test_protect_read_drop_takes_the_page_from_all(void **state)
{
    struct agent_side side;
    struct program first, second;

    (void)state;
    side_open(&side, 4, HARDWARE_PAGE);
    program_start_attached(&first, &side, 1, 0, 4);
    program_start_attached(&second, &side, 2, 0, 4);
    program_order(&first, PROGRAM_WRITE, 0, 31);
    side_wait_faults(&side, 1);
    frames_fill(side.frames, side.region, 0, 1, 1, true, NULL);
    program_result(&first, &side);
    assert_int_equal(program_do(&second, &side, PROGRAM_READ, 0, 0), 31);

    frames_protect(side.frames, side.region, 0, 1);
    assert_int_equal(read_word(&side, 0), 31);
    frames_drop(side.frames, side.region, 0, 1);
    program_order(&second, PROGRAM_READ, 0, 0);
    side_wait_faults(&side, 2);
    fill_words(&side, 0, 1, 2, false, 32);
    assert_int_equal(program_result(&second, &side).value, 32);
    program_order(&first, PROGRAM_WRITE, 0, 33);
    side_wait_faults(&side, 3);
    assert_true(side.write);
    frames_wake(side.frames, side.region, 0, 1,
                1); /* Woken without the right, it asks once more. */
    side_wait_faults(&side, 4);
    frames_allow(side.frames, side.region, 0, 1, 1);
    program_result(&first, &side);
    assert_int_equal(read_word(&side, 0), 33);
    program_kill(&first);
    program_kill(&second);
    side_close(&side);
}

/* What was put aside stays what it was while the page goes on changing. */
static void test_kept_bytes_stay_until_forgotten(void **state)
{
    struct agent_side side;
    const uint8_t *kept;
    uint64_t value;
    size_t len_bytes = 0;

    (void)state;
    side_open(&side, 4, HARDWARE_PAGE);
    fill_words(&side, 1, 2, 0, false, 41);
    assert_int_equal(frames_keep(side.frames, 9, side.region, 1, 2), 0);
    frames_protect(side.frames, side.region, 1, 2);
    frames_drop(side.frames, side.region, 1, 2);
    assert_int_equal(read_word(&side, 1), 0);
    kept = frames_kept(side.frames, 9, &len_bytes);
    assert_non_null(kept);
    assert_int_equal(len_bytes, 2 * HARDWARE_PAGE);
    memcpy(&value, kept + HARDWARE_PAGE, sizeof(value));
    assert_int_equal(value, 41);
    assert_int_equal(frames_keep(side.frames, 9, side.region, 0, 1), 0);
    assert_non_null(frames_kept(side.frames, 9, &len_bytes));
    assert_int_equal(len_bytes, HARDWARE_PAGE);
    frames_forget(side.frames, 9);
    assert_null(frames_kept(side.frames, 9, &len_bytes));
    frames_forget(side.frames, 9);
    assert_int_equal(frames_keep(side.frames, 1, side.region, 4, 1), DSM_ESYS);
    assert_int_equal(frames_keep(side.frames, 10, side.region, 0, 1), 0); /* Freed by the end. */
    side_close(&side);
}

/* Fetch-add and compare-swap change 8 bytes at the place and tell what was there. */
static void test_atomic_changes_one_word(void **state)
{
    struct frames_atomic atomic = {.op = SYNC_FETCH_ADD, .offset = HARDWARE_PAGE + 8};
    struct agent_side side;
    uint64_t old = 0, big = UINT64_C(1) << 63;

    (void)state;
    side_open(&side, 2, HARDWARE_PAGE);
    fill_words(&side, 1, 1, 0, false, 7);
    atomic.region = side.region;
    atomic.value = big;
    assert_int_equal(frames_atomic(side.frames, &atomic, &old), 0);
    assert_int_equal(old, 7);
    atomic.op = SYNC_COMPARE_SWAP;
    atomic.value = 99;
    atomic.operand = 7;
    assert_int_equal(frames_atomic(side.frames, &atomic, &old), 0);
    assert_true(old == big + 7);
    atomic.operand = big + 7;
    assert_int_equal(frames_atomic(side.frames, &atomic, &old), 0);
    atomic.op = SYNC_FETCH_ADD;
    atomic.value = 0;
    assert_int_equal(frames_atomic(side.frames, &atomic, &old), 0);
    assert_int_equal(old, 99);
    assert_int_equal(read_word(&side, 1), 7);
    atomic.offset = 4;
    assert_int_equal(frames_atomic(side.frames, &atomic, &old), DSM_EINVAL);
    atomic.offset = 2 * HARDWARE_PAGE;
    assert_int_equal(frames_atomic(side.frames, &atomic, &old), DSM_EINVAL);
    atomic.offset = 0;
    atomic.op = SYNC_LOCK;
    assert_int_equal(frames_atomic(side.frames, &atomic, &old), DSM_EINVAL);
    side_close(&side);
}

/* Little-endian or this machine's order, as is said: elsewhere the two are different bytes. */
static void test_atomic_works_in_the_order_it_is_told(void **state)
{
    static const uint8_t little[] = {2, 1, 0, 0, 0, 0, 0, 0};
    struct frames_atomic atomic = {.op = SYNC_FETCH_ADD, .value = 0x0101};
    struct agent_side side;
    uint64_t old = 0, native = 0x0201, sum = 0x0302;
    uint8_t *page = calloc(1, HARDWARE_PAGE);

    (void)state;
    side_open(&side, 1, HARDWARE_PAGE);
    atomic.region = side.region;
    assert_non_null(page);
    memcpy(page, little, sizeof(little));
    memcpy(page + 8, &native, sizeof(native));
    frames_fill(side.frames, side.region, 0, 1, 0, false, page);
    assert_int_equal(frames_atomic(side.frames, &atomic, &old), 0);
    assert_int_equal(old, 0x0102);
    atomic.offset = 8;
    atomic.is_native = true;
    assert_int_equal(frames_atomic(side.frames, &atomic, &old), 0);
    assert_int_equal(old, native);
    assert_int_equal(frames_read(side.frames, side.region, 0, 1, page), 0);
    assert_int_equal(page[0], 3);
    assert_int_equal(page[1], 2);
    assert_memory_equal(page + 8, &sum, sizeof(sum));
    free(page);
    side_close(&side);
}

/* A region page of 64 KiB comes and goes as one, wherever in it the fault was. */
static void test_large_pages_come_and_go_whole(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open(&side, 4, 16 * HARDWARE_PAGE);
    program_start_attached(&program, &side, 1, 1, 3);
    program_order(&program, PROGRAM_READ, 16 * HARDWARE_PAGE + 5 * HARDWARE_PAGE + 8, 0);
    side_wait_faults(&side, 1);
    assert_int_equal(side.page, 2);
    fill_words(&side, 2, 1, 1, true, 64);
    assert_int_equal(program_result(&program, &side).value, 64);
    for (uint64_t at = 0; at < 16; at++) {
        program_do(&program, &side, PROGRAM_WRITE, (16 + at) * HARDWARE_PAGE, 64 + at);
    }
    assert_int_equal(side.count_faults, 1);
    frames_protect(side.frames, side.region, 2, 1);
    assert_int_equal(read_word(&side, 2), 64);
    frames_drop(side.frames, side.region, 2, 1);
    program_order(&program, PROGRAM_WRITE, 31 * HARDWARE_PAGE, 1);
    side_wait_faults(&side, 2);
    assert_int_equal(side.page, 2);
    program_kill(&program);
    side_close(&side);
}

/* write(2) from an absent page waits for it like a load does. */
static void test_system_call_on_absent_page_completes(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open(&side, 2, HARDWARE_PAGE);
    program_start_attached(&program, &side, 1, 0, 2);
    program_order(&program, PROGRAM_SYSCALL, HARDWARE_PAGE, 0);
    side_wait_faults(&side, 1);
    fill_words(&side, 1, 1, 1, false, 81);
    assert_int_equal(program_result(&program, &side).value, 81);
    program_kill(&program);
    side_close(&side);
}

/* Touching a lost page is SIGBUS: for who waits already, for later ones, and for later mappings. */
static void test_poisoned_page_raises_sigbus(void **state)
{
    struct agent_side side;
    struct program waiting, late;

    (void)state;
    side_open(&side, 4, HARDWARE_PAGE);
    program_start_attached(&waiting, &side, 1, 0, 4);
    fill_words(&side, 0, 2, 0, false, 5);
    program_order(&waiting, PROGRAM_WRITE, 2 * HARDWARE_PAGE, 0);
    side_wait_faults(&side, 1);
    frames_poison(side.frames, side.region, 1, 2);
    assert_int_equal(program_result(&waiting, &side).signal, SIGBUS);
    program_order(&waiting, PROGRAM_READ, HARDWARE_PAGE, 0); /* It was present. */
    assert_int_equal(program_result(&waiting, &side).signal, SIGBUS);
    frames_protect(side.frames, side.region, 0, 4);
    program_order(&waiting, PROGRAM_READ, 2 * HARDWARE_PAGE, 0);
    assert_int_equal(program_result(&waiting, &side).signal, SIGBUS);
    assert_int_equal(program_do(&waiting, &side, PROGRAM_READ, 0, 0), 5);
    assert_int_equal(side.count_faults, 1);

    program_start_attached(&late, &side, 2, 0, 4);
    program_order(&late, PROGRAM_READ, HARDWARE_PAGE, 0);
    side_wait_faults(&side, 2);
    frames_poison(side.frames, side.region, 1, 1);
    assert_int_equal(program_result(&late, &side).signal, SIGBUS);
    program_order(&waiting, PROGRAM_READ, HARDWARE_PAGE, 0);
    assert_int_equal(program_result(&waiting, &side).signal, SIGBUS);
    program_kill(&waiting);
    program_kill(&late);
    side_close(&side);
}

/* A region grows in place; it keeps its bytes, its mappings, and its page size. */
static void test_region_grows_and_keeps_its_pages(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open(&side, 2, HARDWARE_PAGE);
    program_start_attached(&program, &side, 1, 0, 2);
    fill_words(&side, 1, 1, 0, false, 3);
    assert_int_equal(
        frames_region_open(side.frames, side.region, 4 * HARDWARE_PAGE + 1, HARDWARE_PAGE), 0);
    fill_words(&side, 4, 1, 0, false, 4);
    assert_int_equal(read_word(&side, 1), 3);
    assert_int_equal(read_word(&side, 4), 4);
    assert_int_equal(lseek(frames_memfd(side.frames, side.region), 0, SEEK_END), 5 * HARDWARE_PAGE);
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, HARDWARE_PAGE, 0), 3);
    assert_int_equal(frames_region_open(side.frames, side.region, 1, 2 * HARDWARE_PAGE),
                     DSM_EINVAL);
    assert_int_equal(frames_region_open(side.frames, (region_id){8, 1}, 1, 48), DSM_EINVAL);
    assert_int_equal(frames_page_size(side.frames, side.region), HARDWARE_PAGE);
    assert_int_equal(frames_page_size(side.frames, (region_id){8, 1}), 0);
    assert_int_equal(frames_memfd(side.frames, (region_id){7, 4}), -1);
    program_kill(&program);
    side_close(&side);
}

/*
 * Programs count on one page as fast as they can while it is taken away again and again: no
 * increment is lost, whichever instruction the protection falls on.
 */
static void test_page_taken_away_loses_no_increment(void **state)
{
    struct agent_side side;
    struct program programs[COUNTERS];

    (void)state;
    side_open(&side, 1, HARDWARE_PAGE);
    side.store = calloc(1, HARDWARE_PAGE);
    assert_non_null(side.store);
    side.answer = side_serve;
    for (uint32_t at = 0; at < COUNTERS; at++) {
        program_start_attached(&programs[at], &side, at + 1, 0, 1);
        program_order(&programs[at], PROGRAM_COUNT, at * sizeof(uint64_t), 0);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t before = side.count_faults;

        frames_protect(side.frames, side.region, 0, 1);
        if (side.state[0] != 0) {
            assert_int_equal(frames_read(side.frames, side.region, 0, 1, side.store), 0);
        }
        frames_drop(side.frames, side.region, 0, 1);
        side.state[0] = 0;
        side_wait_faults(&side, before + 1);
    }
    for (uint32_t at = 0; at < COUNTERS; at++) {
        __atomic_store_n(programs[at].stop, 1, __ATOMIC_SEQ_CST);
    }
    for (uint32_t at = 0; at < COUNTERS; at++) {
        uint64_t count = program_result(&programs[at], &side).value;
        uint64_t counter;

        assert_true(count > 0);
        assert_int_equal(frames_read(side.frames, side.region, 0, 1, side.store), 0);
        memcpy(&counter, side.store + at * sizeof(counter), sizeof(counter));
        assert_true(counter == count);
    }
    assert_int_equal(frames_counters(side.frames)->repairs, 0);
    for (uint32_t at = 0; at < COUNTERS; at++) {
        program_kill(&programs[at]);
    }
    side_close(&side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_fault_filled_is_read_only),
        cmocka_unit_test(test_write_fault_filled_is_writable),
        cmocka_unit_test(test_zero_fill_reads_zero_and_is_present),
        cmocka_unit_test(test_second_program_maps_present_page_without_event),
        cmocka_unit_test(test_write_fill_wakes_the_other_and_keeps_it_protected),
        cmocka_unit_test(test_protect_read_drop_takes_the_page_from_all),
        cmocka_unit_test(test_kept_bytes_stay_until_forgotten),
        cmocka_unit_test(test_atomic_changes_one_word),
        cmocka_unit_test(test_atomic_works_in_the_order_it_is_told),
        cmocka_unit_test(test_large_pages_come_and_go_whole),
        cmocka_unit_test(test_system_call_on_absent_page_completes),
        cmocka_unit_test(test_poisoned_page_raises_sigbus),
        cmocka_unit_test(test_region_grows_and_keeps_its_pages),
        cmocka_unit_test(test_page_taken_away_loses_no_increment),
    };

    if (!has_userfaultfd()) {
        printf("SKIP: no userfaultfd can be had here\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
