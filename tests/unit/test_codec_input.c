/* SPDX-License-Identifier: Apache-2.0 */
/** Heads made by hand that the codec must refuse, and rare ones that it must take. */
#include "net/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <msgpack.h>

#include "dsm.h"

/** A kind's fields, one too few and one too many. */
static void test_wrong_count_is_refused(void **state)
{
    /* PING has no field, WATCH one. */
    static const uint8_t ping[] = {0x91, WIRE_PING};
    static const uint8_t ping_with_field[] = {0x92, WIRE_PING, 0};
    static const uint8_t watch[] = {0x92, WIRE_WATCH, 5};
    static const uint8_t watch_without[] = {0x91, WIRE_WATCH};
    static const uint8_t watch_claims_less[] = {0x91, WIRE_WATCH, 5};
    static const uint8_t watch_claims_more[] = {0x93, WIRE_WATCH, 5};
    static const uint8_t empty[] = {0x90};
    static const uint8_t no_array[] = {WIRE_PING};
    static const uint8_t no_kind[] = {0x92, WIRE_KINDS, 0};
    struct wire wire;

    (void)state;
    assert_int_equal(wire_unpack(ping, sizeof(ping), &wire), 0);
    assert_int_equal(wire_unpack(watch, sizeof(watch), &wire), 0);
    assert_int_equal(wire.revision, 5);
    assert_int_equal(wire_unpack(ping_with_field, sizeof(ping_with_field), &wire), DSM_EPROTO);
    assert_int_equal(wire_unpack(watch_without, sizeof(watch_without), &wire), DSM_EPROTO);
    assert_int_equal(wire_unpack(watch_claims_less, sizeof(watch_claims_less), &wire), DSM_EPROTO);
    assert_int_equal(wire_unpack(watch_claims_more, sizeof(watch_claims_more), &wire), DSM_EPROTO);
    assert_int_equal(wire_unpack(empty, sizeof(empty), &wire), DSM_EPROTO);
    assert_int_equal(wire_unpack(no_array, sizeof(no_array), &wire), DSM_EPROTO);
    assert_int_equal(wire_unpack(no_kind, sizeof(no_kind), &wire), DSM_EPROTO);
    assert_int_equal(wire_unpack(NULL, 0, &wire), DSM_EPROTO);
}

/** Every integer format of msgpack that holds a legal value is taken; negative ones are not. */
static void test_integer_formats(void **state)
{
    static const uint8_t uint16[] = {0x92, WIRE_WATCH, 0xcd, 0, 5};
    static const uint8_t uint64[] = {0xdc, 0, 2, 0xcc, WIRE_WATCH, 0xcf, 0, 0, 0, 0, 0, 0, 0, 5};
    static const uint8_t array32[] = {0xdd, 0, 0, 0, 2, WIRE_WATCH, 5};
    static const uint8_t int8[] = {0x92, WIRE_WATCH, 0xd0, 5};
    static const uint8_t int64[] = {0x92, WIRE_WATCH, 0xd3, 0, 0, 0, 0, 0, 0, 0, 5};
    static const uint8_t minus_fix[] = {0x92, WIRE_WATCH, 0xff};
    static const uint8_t minus_int16[] = {0x92, WIRE_WATCH, 0xd1, 0xff, 0xff};
    static const uint8_t nil[] = {0x92, WIRE_WATCH, 0xc0};
    static const uint8_t real[] = {0x92, WIRE_WATCH, 0xca, 0, 0, 0, 0};
    static const uint8_t text[] = {0x92, WIRE_WATCH, 0xa1, 'x'};
    static const uint8_t nested[] = {0x92, WIRE_WATCH, 0x91, 5};
    static const struct {
        const uint8_t *bytes;
        size_t len_bytes;
        int error;
    } rows[] = {
        {uint16, sizeof(uint16), 0},
        {uint64, sizeof(uint64), 0},
        {array32, sizeof(array32), 0},
        {int8, sizeof(int8), 0},
        {int64, sizeof(int64), 0},
        {minus_fix, sizeof(minus_fix), DSM_EPROTO},
        {nil, sizeof(nil), DSM_EPROTO},
        {minus_int16, sizeof(minus_int16), DSM_EPROTO},
        {real, sizeof(real), DSM_EPROTO},
        {text, sizeof(text), DSM_EPROTO},
        {nested, sizeof(nested), DSM_EPROTO},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire wire = {.revision = 1};

        assert_int_equal(wire_unpack(rows[i].bytes, rows[i].len_bytes, &wire), rows[i].error);
        assert_int_equal(wire.revision, rows[i].error ? 1 : 5);
    }
}

/** Signed fields, in every format, up to their ends. */
static void test_signed_values(void **state)
{
    static const struct {
        uint8_t bytes[12];
        size_t len_bytes;
        int error;
        int32_t value;
    } rows[] = {
        {{0x93, WIRE_BYE, 0xef, 0xa0}, 4, 0, -17},
        {{0x93, WIRE_BYE, 0xd0, 0x80, 0xa0}, 5, 0, -128},
        {{0x93, WIRE_BYE, 0xd1, 0xff, 0x00, 0xa0}, 6, 0, -256},
        {{0x93, WIRE_BYE, 0xd2, 0x80, 0, 0, 0, 0xa0}, 8, 0, INT32_MIN},
        {{0x93, WIRE_BYE, 0xce, 0x7f, 0xff, 0xff, 0xff, 0xa0}, 8, 0, INT32_MAX},
        {{0x93, WIRE_BYE, 0xce, 0x80, 0, 0, 0, 0xa0}, 8, DSM_EPROTO, 0},
        {{0x93, WIRE_BYE, 0xd3, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff}, 12, DSM_EPROTO, 0},
        {{0x93, WIRE_BYE, 0xc3, 0xa0}, 4, DSM_EPROTO, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wire wire = {0};

        assert_int_equal(wire_unpack(rows[i].bytes, rows[i].len_bytes, &wire), rows[i].error);
        assert_int_equal(wire.error, rows[i].value);
    }
}

/** One above each field's largest value is refused. */
static void test_too_large_value_is_refused(void **state)
{
    (void)state;
    for (uint32_t kind = 1; kind < MESSAGE_KINDS; kind++) {
        uint32_t fields = message_kind_fields(kind);

        for (uint32_t wrong = 0; fields != 0 && wrong < 32; wrong++) {
            struct buffer buffer = {0};
            struct message message;
            bool is_wrong = false;
            msgpack_sbuffer bytes;
            msgpack_packer packer;

            msgpack_sbuffer_init(&bytes);
            msgpack_packer_init(&packer, &bytes, msgpack_sbuffer_write);
            msgpack_pack_array(&packer, 1 + (size_t)__builtin_popcount(fields));
            msgpack_pack_uint32(&packer, kind);
#define PACK_FIELD(bit, name, member, type, max)                        \
    if (fields & FIELD_##name) {                                        \
        bool exceeds = (bit) == wrong && (uint64_t)(max) != UINT64_MAX; \
        msgpack_pack_uint64(&packer, (uint64_t)(max) + exceeds);        \
        is_wrong = is_wrong || exceeds;                                 \
    }
            MESSAGE_FIELDS(PACK_FIELD)
            buffer_append(&buffer, bytes.data, bytes.size);
            assert_int_equal(message_unpack(buffer_data(&buffer), buffer_len(&buffer), &message),
                             is_wrong ? DSM_EPROTO : 0);
            msgpack_sbuffer_destroy(&bytes);
            buffer_close(&buffer);
        }
    }
}

/** The same for the members that are not in MESSAGE_FIELDS. */
static void test_too_large_member_is_refused(void **state)
{
    struct buffer buffer = {0};
    struct wire wire = {.kind = WIRE_HELLO, .node = NODES_MAX};
    struct session_request request = {.kind = SESSION_CALL};
    struct record record = {.kind = RECORD_NONE};

    (void)state;
    wire_pack(&wire, &buffer);
    assert_int_equal(wire_unpack(buffer_data(&buffer), buffer_len(&buffer), &wire), DSM_EPROTO);

    buffer_clear(&buffer);
    wire = (struct wire){.kind = WIRE_INSPECTED, .run.owner = NODE_NONE + 1};
    wire_pack(&wire, &buffer);
    assert_int_equal(wire_unpack(buffer_data(&buffer), buffer_len(&buffer), &wire), DSM_EPROTO);

    buffer_clear(&buffer);
    wire = (struct wire){.kind = WIRE_PROPOSE, .proposal.kind = PROPOSAL_KINDS};
    wire.proposal.record.kind = RECORD_REGION;
    wire_pack(&wire, &buffer);
    assert_int_equal(wire_unpack(buffer_data(&buffer), buffer_len(&buffer), &wire), DSM_EPROTO);

    buffer_clear(&buffer);
    request.call.kind = CALL_NONE;
    session_request_pack(&request, &buffer);
    assert_int_equal(session_request_unpack(buffer_data(&buffer), buffer_len(&buffer), &request),
                     DSM_EPROTO);

    buffer_clear(&buffer);
    request.call.kind = CALL_KINDS;
    session_request_pack(&request, &buffer);
    assert_int_equal(session_request_unpack(buffer_data(&buffer), buffer_len(&buffer), &request),
                     DSM_EPROTO);

    buffer_clear(&buffer);
    record_pack(&record, &buffer);
    assert_int_equal(record_unpack(buffer_data(&buffer), buffer_len(&buffer), &record), DSM_EPROTO);
    buffer_close(&buffer);
}

/** ATTACH names one of the back ends that there are; each of them has a word, and only they. */
static void test_unknown_backend_is_refused(void **state)
{
    static const char *const names[] = {"unknown", "userfaultfd", "user-mode", "sigsegv",
                                        "unknown"};
    struct buffer buffer = {0};

    (void)state;
    for (uint32_t backend = 0; backend <= SESSION_BACKENDS; backend++) {
        bool is_one = backend != 0 && backend != SESSION_BACKENDS;
        struct session_request request = {.kind = SESSION_ATTACH, .backend = backend};

        buffer_clear(&buffer);
        session_request_pack(&request, &buffer);
        assert_int_equal(
            session_request_unpack(buffer_data(&buffer), buffer_len(&buffer), &request),
            is_one ? 0 : DSM_EPROTO);
        assert_string_equal(session_backend_name(backend), names[backend]);
    }
    buffer_close(&buffer);
}

/** Texts: as long as their member, with a NUL inside, beyond the bytes, of another type. */
static void test_bad_text_is_refused(void **state)
{
    static const uint8_t with_nul[] = {0x93, WIRE_QUERY, 1, 0xa3, 'a', 0, 'b'};
    static const uint8_t beyond[] = {0x93, WIRE_QUERY, 1, 0xdb, 0xff, 0xff, 0xff, 0xff, 'a'};
    static const uint8_t binary[] = {0x93, WIRE_QUERY, 1, 0xc4, 1, 'a'};
    static const uint8_t good[] = {0x93, WIRE_QUERY, 1, 0xd9, 1, 'a'};
    uint8_t too_long[RECORD_NAME_BYTES + 6] = {0x93, WIRE_QUERY, 1, 0xda, 1, 0};
    struct wire wire;

    (void)state;
    assert_int_equal(wire_unpack(good, sizeof(good), &wire), 0);
    assert_string_equal(wire.topic, "a");
    assert_int_equal(wire_unpack(with_nul, sizeof(with_nul), &wire), DSM_EPROTO);
    assert_int_equal(wire_unpack(beyond, sizeof(beyond), &wire), DSM_EPROTO);
    assert_int_equal(wire_unpack(binary, sizeof(binary), &wire), DSM_EPROTO);
    /* 256 bytes leave no room for the NUL, 255 do. */
    memset(too_long + 6, 'x', RECORD_NAME_BYTES);
    assert_int_equal(wire_unpack(too_long, sizeof(too_long), &wire), DSM_EPROTO);
    too_long[4] = 0;
    too_long[5] = 255;
    assert_int_equal(wire_unpack(too_long, sizeof(too_long) - 1, &wire), 0);
    assert_int_equal(strlen(wire.topic), 255);
}

/** A text that fills its member without a NUL is cut when it is packed. */
static void test_unterminated_text_is_cut(void **state)
{
    struct wire wire = {.kind = WIRE_QUERY};
    struct buffer buffer = {0};

    (void)state;
    memset(wire.topic, 'x', sizeof(wire.topic));
    wire_pack(&wire, &buffer);
    assert_int_equal(wire_unpack(buffer_data(&buffer), buffer_len(&buffer), &wire), 0);
    assert_int_equal(strlen(wire.topic), sizeof(wire.topic) - 1);
    buffer_close(&buffer);
}

/** Twenty bytes for which msgpack-c's parser asks for 256 GiB (its #1013) cost nothing here. */
static void test_bomb_is_refused(void **state)
{
    static const uint8_t arrays[20] = {0xdd, 0xff, 0xff, 0xff, 0xff, 0xdd, 0xff, 0xff, 0xff, 0xff,
                                       0xdd, 0xff, 0xff, 0xff, 0xff, 0xdd, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t maps[20] = {0xdf, 0xff, 0xff, 0xff, 0xff, 0xdf, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t inside[] = {0x92, WIRE_WATCH, 0xdd, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t *const bombs[] = {arrays, maps, inside};
    static const size_t sizes[] = {sizeof(arrays), sizeof(maps), sizeof(inside)};
    struct message message;
    struct wire wire;
    struct session_request request;
    struct session_reply reply;
    struct record record;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(message_unpack(bombs[i], sizes[i], &message), DSM_EPROTO);
        assert_int_equal(wire_unpack(bombs[i], sizes[i], &wire), DSM_EPROTO);
        assert_int_equal(session_request_unpack(bombs[i], sizes[i], &request), DSM_EPROTO);
        assert_int_equal(session_reply_unpack(bombs[i], sizes[i], &reply), DSM_EPROTO);
        assert_int_equal(record_unpack(bombs[i], sizes[i], &record), DSM_EPROTO);
    }
    assert_int_equal(head_kind(arrays, sizeof(arrays)), 0);
}

/** Lists: more than their member holds, and bytes that are no whole number of values. */
static void test_bad_list_is_refused(void **state)
{
    struct session_reply *reply = calloc(1, sizeof(*reply));
    struct buffer buffer = {0};
    uint8_t *bytes;

    (void)state;
    assert_non_null(reply);
    reply->count_counters = 2;
    session_reply_pack(reply, &buffer);
    /* The last values are a list of 16 bytes and an empty text. */
    bytes = buffer.bytes + buffer_len(&buffer) - 1 - 16 - 2;
    assert_int_equal(bytes[0], 0xc4);
    assert_int_equal(bytes[1], 16);
    bytes[1] = 15;
    bytes[2 + 15] = 0xa1;
    bytes[2 + 16] = 'x';
    assert_int_equal(session_reply_unpack(buffer_data(&buffer), buffer_len(&buffer), reply),
                     DSM_EPROTO);
    bytes[1] = 16;
    bytes[2 + 16] = 0xa0;
    assert_int_equal(session_reply_unpack(buffer_data(&buffer), buffer_len(&buffer), reply), 0);

    /* One counter more than there is room for: a list of 264 bytes, packed by hand. */
    buffer.end -= 1 + 16 + 2;
    buffer_append(&buffer, "\xc5\x01\x08", 3);
    for (uint32_t i = 0; i < SESSION_COUNTERS_MAX + 1; i++) {
        buffer_append(&buffer, "\0\0\0\0\0\0\0\1", 8);
    }
    buffer_append(&buffer, "\xa0", 1);
    assert_int_equal(session_reply_unpack(buffer_data(&buffer), buffer_len(&buffer), reply),
                     DSM_EPROTO);
    buffer_close(&buffer);
    free(reply);
}

/** head_kind() of what is no head is 0. */
static void test_kind_of_no_head_is_zero(void **state)
{
    static const uint8_t empty_array[] = {0x90, 5};
    static const uint8_t text[] = "GET / HTTP/1.1";
    static const uint8_t text_kind[] = {0x91, 0xa1, 'x'};

    (void)state;
    assert_int_equal(head_kind(NULL, 0), 0);
    assert_int_equal(head_kind(empty_array, 1), 0);
    assert_int_equal(head_kind(empty_array, 2), 0);
    assert_int_equal(head_kind(text, sizeof(text)), 0);
    assert_int_equal(head_kind(text_kind, sizeof(text_kind)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_count_is_refused),
        cmocka_unit_test(test_integer_formats),
        cmocka_unit_test(test_signed_values),
        cmocka_unit_test(test_too_large_value_is_refused),
        cmocka_unit_test(test_too_large_member_is_refused),
        cmocka_unit_test(test_unknown_backend_is_refused),
        cmocka_unit_test(test_bad_text_is_refused),
        cmocka_unit_test(test_unterminated_text_is_cut),
        cmocka_unit_test(test_bomb_is_refused),
        cmocka_unit_test(test_bad_list_is_refused),
        cmocka_unit_test(test_kind_of_no_head_is_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
