/* SPDX-License-Identifier: Apache-2.0 */
#include "net/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/** Give the reader bytes in pieces of `chunk`. Returns false when they are refused. */
static bool feed(struct frame_reader *reader, const uint8_t *bytes, size_t len_bytes, size_t chunk)
{
    while (len_bytes > 0) {
        uint8_t *room;
        size_t count = frame_reader_room(reader, chunk, &room);

        assert_true(count >= chunk);
        count = len_bytes < chunk ? len_bytes : chunk;
        memcpy(room, bytes, count);
        if (!frame_reader_commit(reader, count)) {
            return false;
        }
        bytes += count;
        len_bytes -= count;
    }
    return true;
}

static void append_frame(struct buffer *stream, const struct buffer *head, const uint8_t *payload,
                         size_t payload_bytes)
{
    uint8_t header[FRAME_HEADER_BYTES];

    frame_header_write(header, buffer_len(head), payload_bytes);
    buffer_append(stream, header, sizeof(header));
    buffer_append(stream, buffer_data(head), buffer_len(head));
    buffer_append(stream, payload, payload_bytes);
}

static void append_lengths(struct buffer *stream, uint32_t head_bytes, uint32_t payload_bytes)
{
    uint8_t header[FRAME_HEADER_BYTES];

    frame_header_write(header, head_bytes, payload_bytes);
    buffer_append(stream, header, sizeof(header));
}

/** Frames come out as they went in, whatever pieces the bytes came in, and one at a time. */
static void test_frames_in_any_pieces_come_out(void **state)
{
    static const size_t chunks[] = {1, 2, 7, 8, 9, 1000, 100000};
    struct message data = {.kind = MESSAGE_DATA, .count = 3};
    struct message read = {.kind = MESSAGE_READ, .page = 12};
    struct buffer data_head = {0};
    struct buffer read_head = {0};
    struct buffer stream = {0};
    uint8_t payload[3000];

    (void)state;
    memset(payload, 0x5a, sizeof(payload));
    message_pack(&data, &data_head);
    message_pack(&read, &read_head);
    append_frame(&stream, &data_head, payload, sizeof(payload));
    append_frame(&stream, &read_head, payload, 0);
    append_frame(&stream, &data_head, payload, 1);
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        struct frame_reader reader = {0};
        struct frame frame;

        assert_true(feed(&reader, buffer_data(&stream), buffer_len(&stream), chunks[i]));
        assert_true(frame_reader_next(&reader, &frame));
        assert_int_equal(frame.payload_bytes, sizeof(payload));
        assert_memory_equal(frame.payload, payload, sizeof(payload));
        assert_true(frame_reader_next(&reader, &frame));
        assert_int_equal(frame.payload_bytes, 0);
        assert_int_equal(head_kind(frame.head, frame.head_bytes), MESSAGE_READ);
        assert_true(frame_reader_next(&reader, &frame));
        assert_int_equal(frame.payload_bytes, 1);
        assert_false(frame_reader_next(&reader, &frame));
        frame_reader_close(&reader);
    }
    buffer_close(&data_head);
    buffer_close(&read_head);
    buffer_close(&stream);
}

/** Lengths out of bounds are refused with the last byte of the lengths, before anything is kept. */
static void test_lengths_out_of_bounds_are_refused(void **state)
{
    static const uint32_t lengths[][2] = {
        {0, 0},           {HEAD_BYTES_MAX + 1, 0},  {UINT32_MAX, 0}, {10, PAYLOAD_BYTES_MAX + 1},
        {10, UINT32_MAX}, {UINT32_MAX, UINT32_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct frame_reader reader = {0};
        struct buffer stream = {0};
        struct frame frame;

        append_lengths(&stream, lengths[i][0], lengths[i][1]);
        assert_true(feed(&reader, buffer_data(&stream), FRAME_HEADER_BYTES - 1, 1));
        assert_false(feed(&reader, buffer_data(&stream) + FRAME_HEADER_BYTES - 1, 1, 1));
        assert_non_null(reader.refused);
        assert_false(frame_reader_next(&reader, &frame));
        assert_false(feed(&reader, buffer_data(&stream), 1, 1));
        buffer_close(&stream);
        frame_reader_close(&reader);
    }
}

/** Page bytes beside a head that has none are refused with the head, before they have come. */
static void test_payload_beside_other_head_is_refused(void **state)
{
    struct wire ping = {.kind = WIRE_PING};
    struct message read = {.kind = MESSAGE_READ};
    struct buffer heads[3] = {{0}};

    (void)state;
    wire_pack(&ping, &heads[0]);
    message_pack(&read, &heads[1]);
    buffer_append(&heads[2], "GET /", 5);
    for (int i = 0; i < 3; i++) {
        struct frame_reader reader = {0};
        struct buffer stream = {0};

        append_lengths(&stream, (uint32_t)buffer_len(&heads[i]), 4096);
        buffer_append(&stream, buffer_data(&heads[i]), buffer_len(&heads[i]));
        assert_true(feed(&reader, buffer_data(&stream), buffer_len(&stream) - 1, 3));
        assert_false(feed(&reader, buffer_data(&stream) + buffer_len(&stream) - 1, 1, 1));
        assert_non_null(reader.refused);
        buffer_close(&stream);
        buffer_close(&heads[i]);
        frame_reader_close(&reader);
    }
}

/** A frame that announces the largest payload costs only what has arrived. */
static void test_memory_follows_what_arrived(void **state)
{
    struct message data = {.kind = MESSAGE_DATA};
    struct frame_reader reader = {0};
    struct buffer head = {0};
    struct buffer stream = {0};
    uint8_t bytes[1000] = {0};

    (void)state;
    message_pack(&data, &head);
    append_lengths(&stream, (uint32_t)buffer_len(&head), PAYLOAD_BYTES_MAX);
    buffer_append(&stream, buffer_data(&head), buffer_len(&head));
    assert_true(feed(&reader, buffer_data(&stream), buffer_len(&stream), 16384));
    assert_true(reader.buffer.capacity <= 65536);
    for (size_t arrived = buffer_len(&stream); arrived < 1u << 20; arrived += sizeof(bytes)) {
        assert_true(feed(&reader, bytes, sizeof(bytes), sizeof(bytes)));
        assert_true(reader.buffer.capacity <= 65536 || reader.buffer.capacity <= 4 * arrived);
    }
    buffer_close(&head);
    buffer_close(&stream);
    frame_reader_close(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_in_any_pieces_come_out),
        cmocka_unit_test(test_lengths_out_of_bounds_are_refused),
        cmocka_unit_test(test_payload_beside_other_head_is_refused),
        cmocka_unit_test(test_memory_follows_what_arrived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
