/* SPDX-License-Identifier: Apache-2.0 */
/* struct dsm_ref: the same 16 bytes on every machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dsm/include/dsm_type.h"

/* Slot, generation and offset, the low byte of each first, whatever this machine's order is. */
static void test_reference_made_has_fixed_bytes(void **state)
{
    static const uint8_t bytes[] = {4,    3,    2,    1,    8,    7,    6,    0xf5,
                                    0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0xf1};
    struct dsm_ref ref = dsm_ref_make(0x01020304, 0xf5060708, UINT64_C(0xf112131415161718));

    (void)state;
    assert_int_equal(sizeof(ref), sizeof(bytes));
    assert_int_equal(_Alignof(struct dsm_ref), 8);
    assert_memory_equal(ref.bytes, bytes, sizeof(bytes));
}

/* Each part is read back, at its bounds too; all zero is none. */
static void test_reference_read_tells_what_it_was_made_of(void **state)
{
    static const uint64_t values[] = {0, 1, 0x80, 0x01020304, 0x80000000, UINT32_MAX};
    static const uint64_t offsets[] = {0,         1, 4096, UINT64_C(1) << 32, UINT64_C(1) << 63,
                                       UINT64_MAX};
    struct dsm_ref none;

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        for (size_t j = 0; j < sizeof(offsets) / sizeof(offsets[0]); j++) {
            struct dsm_ref ref =
                dsm_ref_make((uint32_t)values[i], (uint32_t)values[5 - i], offsets[j]);

            assert_true(dsm_ref_slot(&ref) == values[i]);
            assert_true(dsm_ref_generation(&ref) == values[5 - i]);
            assert_true(dsm_ref_offset(&ref) == offsets[j]);
        }
    }
    memset(&none, 0, sizeof(none));
    assert_int_equal(dsm_ref_generation(&none), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_made_has_fixed_bytes),
        cmocka_unit_test(test_reference_read_tells_what_it_was_made_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
