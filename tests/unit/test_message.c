/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vocabulary, written out once more: numbers and names travel on the wire and in transcripts,
 * so no change of the list may slip in unseen.
 */
#include "dsm/core/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COMMON                                                                                     \
    (FIELD_flags | FIELD_epoch | FIELD_request | FIELD_slot | FIELD_generation | FIELD_page |      \
     FIELD_count)

struct expected {
    const char *name;
    uint32_t own_fields; /* besides the common ones */
    bool payload;
};

static const struct expected expected[] = {
    [1] = {"READ", FIELD_floor | FIELD_have, false},
    [2] = {"WRITE", FIELD_floor | FIELD_have, false},
    [3] = {"FORWARD", FIELD_requester | FIELD_version, false},
    [4] = {"DATA", FIELD_granted | FIELD_version, true},
    [5] = {"GRANT", FIELD_granted | FIELD_version, false},
    [6] = {"INVALIDATE", FIELD_requester | FIELD_version, false},
    [7] = {"INVALIDATED", FIELD_requester, false},
    [8] = {"NOT_HERE", FIELD_requester, false},
    [9] = {"CONFIRM", FIELD_version, false},
    [10] = {"RELEASE", FIELD_requester | FIELD_version, false},
    [11] = {"LEAVE", FIELD_floor | FIELD_version, false},
    [12] = {"TAKE", FIELD_requester | FIELD_version, false},
    [13] = {"LOST", FIELD_granted | FIELD_requester | FIELD_error, false},
    [14] = {"SYNC", FIELD_floor | FIELD_op | FIELD_offset | FIELD_value | FIELD_operand, false},
    [15] = {"SYNC_REPLY", FIELD_op | FIELD_value | FIELD_error, false},
    [16] = {"SYNC_ACK", 0, false},
    [17] = {"ATOMIC", FIELD_requester | FIELD_op | FIELD_offset | FIELD_value | FIELD_operand,
            false},
    [18] = {"ATOMIC_DONE", FIELD_requester | FIELD_value | FIELD_error, false},
    [19] = {"ADOPT", FIELD_version, false},
    [20] = {"ASK", 0, false},
    [21] = {"RECALL", FIELD_offset, false},
    [22] = {"HELD", 0, false},
    [25] = {"BARRIER_OVER", FIELD_version | FIELD_offset | FIELD_value | FIELD_operand, false},
    [35] = {"PULL", FIELD_requester, false},
    [36] = {"SEAT", FIELD_requester | FIELD_error, false},
    [37] = {"SEAL", 0, false},
    [38] = {"SEALED", 0, false},
};

static void test_every_kind_has_its_name_fields_and_payload(void **state)
{
    (void)state;
    assert_int_equal(MESSAGE_KINDS, sizeof(expected) / sizeof(expected[0]));
    for (uint32_t kind = 1; kind < MESSAGE_KINDS; kind++) {
        bool is_one = expected[kind].name != NULL;

        assert_string_equal(message_kind_name(kind), is_one ? expected[kind].name : "?");
        assert_int_equal(message_kind_fields(kind),
                         is_one ? COMMON | expected[kind].own_fields : 0);
        assert_int_equal(message_kind_has_payload(kind), expected[kind].payload);
    }
}

static void test_what_is_no_kind_has_no_name_fields_or_payload(void **state)
{
    static const uint32_t none[] = {MESSAGE_NONE, MESSAGE_KINDS, 255, UINT32_MAX};

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        assert_string_equal(message_kind_name(none[i]), "?");
        assert_int_equal(message_kind_fields(none[i]), 0);
        assert_false(message_kind_has_payload(none[i]));
    }
}

/* Each field has a bit of its own, and they are the 17 lowest. */
static void test_fields_have_bits_of_their_own(void **state)
{
    uint32_t all = 0, count = 0;

    (void)state;
#define ADD_FIELD(bit, name, member, type, max)                                                    \
    assert_int_equal(all & FIELD_##name, 0);                                                       \
    all |= FIELD_##name;                                                                           \
    count++;
    MESSAGE_FIELDS(ADD_FIELD)
#undef ADD_FIELD
    assert_int_equal(all, (1u << count) - 1);
}

static void test_operations_keep_their_numbers(void **state)
{
    (void)state;
    assert_int_equal(SYNC_LOCK, 1);
    assert_int_equal(SYNC_UNLOCK, 2);
    assert_int_equal(SYNC_UNLOCK_DEAD, 3);
    assert_int_equal(SYNC_SEM_WAIT, 4);
    assert_int_equal(SYNC_SEM_POST, 5);
    assert_int_equal(SYNC_SEM_VALUE, 6);
    assert_int_equal(SYNC_BARRIER, 7);
    assert_int_equal(SYNC_FETCH_ADD, 8);
    assert_int_equal(SYNC_COMPARE_SWAP, 9);
    assert_int_equal(SYNC_CANCEL, 10);
    assert_int_equal(SYNC_OP_COUNT, 11);
}

static void test_flags_have_bits_of_their_own(void **state)
{
    (void)state;
    assert_int_equal(FLAG_WRITE | FLAG_GRANT | FLAG_ZERO | FLAG_COPY | FLAG_LEAVE | FLAG_ADOPT |
                         FLAG_QUEUED,
                     FLAG_WRITE + FLAG_GRANT + FLAG_ZERO + FLAG_COPY + FLAG_LEAVE + FLAG_ADOPT +
                         FLAG_QUEUED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_has_its_name_fields_and_payload),
        cmocka_unit_test(test_what_is_no_kind_has_no_name_fields_or_payload),
        cmocka_unit_test(test_fields_have_bits_of_their_own),
        cmocka_unit_test(test_operations_keep_their_numbers),
        cmocka_unit_test(test_flags_have_bits_of_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
