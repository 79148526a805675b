/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Bytes into every function that unpacks. What is unpacked must pack again to bytes that unpack to
 * the same struct; and msgpack-c's parser, which is given only what was accepted, must see the same
 * number of values in it.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

#include "net/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes);

static void require(bool condition)
{
    if (!condition) {
        __builtin_trap();
    }
}

/** Accepted bytes are one flat array, and nothing else, to msgpack-c as well. */
static uint32_t count_values(const uint8_t *bytes, size_t len_bytes)
{
    msgpack_unpacked unpacked;
    size_t offset = 0;
    uint32_t count;

    msgpack_unpacked_init(&unpacked);
    require(msgpack_unpack_next(&unpacked, (const char *)bytes, len_bytes, &offset) ==
            MSGPACK_UNPACK_SUCCESS);
    require(offset == len_bytes);
    require(unpacked.data.type == MSGPACK_OBJECT_ARRAY);
    count = unpacked.data.via.array.size;
    msgpack_unpacked_destroy(&unpacked);
    return count;
}

/**
 * The check of one sort. Both structs come zeroed from the heap, so that equal members mean equal
 * bytes and a write beyond the struct is seen.
 */
#define CHECK(noun, type)                                                                          \
    static void check_##noun(const uint8_t *bytes, size_t len_bytes)                               \
    {                                                                                              \
        struct type *first = calloc(1, sizeof(*first));                                            \
        struct type *second = calloc(1, sizeof(*second));                                          \
        struct buffer packed = {0};                                                                \
                                                                                                   \
        require(first &&second);                                                                   \
        if (noun##_unpack(bytes, len_bytes, first) == 0) {                                         \
            noun##_pack(first, &packed);                                                           \
            require(!packed.failed && buffer_len(&packed) <= len_bytes);                           \
            require(noun##_unpack(buffer_data(&packed), buffer_len(&packed), second) == 0);        \
            require(memcmp(first, second, sizeof(*first)) == 0);                                   \
            require(count_values(bytes, len_bytes) ==                                              \
                    count_values(buffer_data(&packed), buffer_len(&packed)));                      \
        }                                                                                          \
        buffer_close(&packed);                                                                     \
        free(first);                                                                               \
        free(second);                                                                              \
    }
CHECK(message, message)
CHECK(wire, wire)
CHECK(session_request, session_request)
CHECK(session_reply, session_reply)
CHECK(record, record)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
    head_kind(bytes, len_bytes);
    check_message(bytes, len_bytes);
    check_wire(bytes, len_bytes);
    check_session_request(bytes, len_bytes);
    check_session_reply(bytes, len_bytes);
    check_record(bytes, len_bytes);
    return 0;
}
