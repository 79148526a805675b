/* SPDX-License-Identifier: Apache-2.0 */
#include "net/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/** A buffer that is all zero is empty, and closing it is harmless. */
static void test_zero_is_empty(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    assert_int_equal(buffer_len(&buffer), 0);
    assert_null(buffer_data(&buffer));
    buffer_append(&buffer, NULL, 0);
    assert_int_equal(buffer_len(&buffer), 0);
    assert_false(buffer.failed);
    buffer_close(&buffer);
    buffer_close(&buffer);
}

/** Bytes come out in the order in which they went in, whatever was consumed between. */
static void test_append_and_consume_keep_order(void **state)
{
    struct buffer buffer = {0};
    uint32_t random = 12345;
    uint8_t in = 0;
    uint8_t out = 0;

    (void)state;
    for (int step = 0; step < 20000; step++) {
        uint8_t bytes[300];
        size_t count;

        random = random * 1664525u + 1013904223u;
        count = (random >> 8) % sizeof(bytes);
        for (size_t i = 0; i < count; i++) {
            bytes[i] = in++;
        }
        buffer_append(&buffer, bytes, count);
        random = random * 1664525u + 1013904223u;
        count = (random >> 8) % 310;
        count = count < buffer_len(&buffer) ? count : buffer_len(&buffer);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(buffer_data(&buffer)[i], out);
            out++;
        }
        buffer_consume(&buffer, count);
    }
    assert_int_equal((uint8_t)(in - out), (uint8_t)buffer_len(&buffer));
    assert_false(buffer.failed);
    buffer_close(&buffer);
}

/** Room that was reserved counts only when it is committed. */
static void test_reserved_counts_when_committed(void **state)
{
    struct buffer buffer = {0};
    uint8_t *room = buffer_reserve(&buffer, 1000);

    (void)state;
    assert_non_null(room);
    memset(room, 7, 1000);
    assert_int_equal(buffer_len(&buffer), 0);
    buffer_commit(&buffer, 600);
    assert_int_equal(buffer_len(&buffer), 600);
    assert_int_equal(buffer_data(&buffer)[599], 7);
    buffer_close(&buffer);
}

/** A queue that is filled and emptied at the same pace stays small. */
static void test_steady_queue_does_not_grow(void **state)
{
    struct buffer buffer = {0};
    uint8_t bytes[1000] = {0};

    (void)state;
    buffer_append(&buffer, bytes, sizeof(bytes));
    for (int i = 0; i < 10000; i++) {
        buffer_append(&buffer, bytes, sizeof(bytes));
        buffer_consume(&buffer, sizeof(bytes));
    }
    assert_int_equal(buffer_len(&buffer), sizeof(bytes));
    assert_true(buffer.capacity <= 8192);
    buffer_close(&buffer);
}

/** Clearing keeps the memory. */
static void test_clear_keeps_memory(void **state)
{
    struct buffer buffer = {0};
    uint8_t bytes[3000] = {0};
    const uint8_t *memory;

    (void)state;
    buffer_append(&buffer, bytes, sizeof(bytes));
    memory = buffer.bytes;
    buffer_consume(&buffer, 10);
    buffer_clear(&buffer);
    assert_int_equal(buffer_len(&buffer), 0);
    buffer_append(&buffer, bytes, sizeof(bytes));
    assert_ptr_equal(buffer.bytes, memory);
    buffer_close(&buffer);
}

/** An append that cannot be had fails, and so do all after it, until the buffer is cleared. */
static void test_impossible_append_fails_for_good(void **state)
{
    struct buffer buffer = {0};

    (void)state;
    buffer_append(&buffer, "abc", 3);
    assert_null(buffer_reserve(&buffer, SIZE_MAX));
    assert_true(buffer.failed);
    buffer_append(&buffer, "def", 3);
    assert_null(buffer_reserve(&buffer, 1));
    assert_int_equal(buffer_len(&buffer), 3);
    assert_memory_equal(buffer_data(&buffer), "abc", 3);
    buffer_clear(&buffer);
    buffer_append(&buffer, "def", 3);
    assert_false(buffer.failed);
    assert_memory_equal(buffer_data(&buffer), "def", 3);
    buffer_close(&buffer);
}

/** Over the caller's memory what fits goes in, and nothing is taken or freed. */
static void test_buffer_over_memory_of_the_caller_does_not_grow(void **state)
{
    uint8_t bytes[9] = {0};
    struct buffer buffer;

    (void)state;
    buffer_over(&buffer, bytes, 8);
    buffer_append(&buffer, "abcd", 4);
    buffer_append(&buffer, "efgh", 4);
    assert_false(buffer.failed);
    assert_ptr_equal(buffer_data(&buffer), bytes);
    buffer_append(&buffer, "i", 1);
    assert_true(buffer.failed);
    assert_int_equal(buffer_len(&buffer), 8);
    assert_memory_equal(bytes, "abcdefgh", 9);
    buffer_clear(&buffer);
    buffer_append(&buffer, "12345678", 8);
    assert_false(buffer.failed);
    buffer_close(&buffer);
    assert_int_equal(bytes[7], '8');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zero_is_empty),
        cmocka_unit_test(test_append_and_consume_keep_order),
        cmocka_unit_test(test_reserved_counts_when_committed),
        cmocka_unit_test(test_steady_queue_does_not_grow),
        cmocka_unit_test(test_clear_keeps_memory),
        cmocka_unit_test(test_impossible_append_fails_for_good),
        cmocka_unit_test(test_buffer_over_memory_of_the_caller_does_not_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
