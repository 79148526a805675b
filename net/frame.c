/* SPDX-License-Identifier: Apache-2.0 */
#include "net/frame.h"

#include <endian.h>
#include <string.h>

void frame_reader_close(struct frame_reader *reader)
{
    buffer_close(&reader->buffer);
    *reader = (struct frame_reader){0};
}

/** Drop the frame that was returned last. */
static void drop_taken(struct frame_reader *reader)
{
    buffer_consume(&reader->buffer, reader->taken_bytes);
    reader->whole_bytes -= reader->taken_bytes;
    reader->taken_bytes = 0;
}

size_t frame_reader_room(struct frame_reader *reader, size_t min_bytes, uint8_t **room)
{
    struct buffer *buffer = &reader->buffer;

    drop_taken(reader);
    *room = buffer_reserve(buffer, min_bytes);
    return *room ? buffer->capacity - buffer->end : 0;
}

const char *frame_bounds(size_t head_bytes, size_t payload_bytes)
{
    if (head_bytes == 0) {
        return "a frame without a head";
    }
    if (head_bytes > HEAD_BYTES_MAX) {
        return "a frame whose head is longer than any message";
    }
    if (payload_bytes > PAYLOAD_BYTES_MAX) {
        return "a frame with more page bytes than one message may carry";
    }
    return NULL;
}

bool frame_head_has_payload(const uint8_t *head, size_t head_bytes)
{
    return message_kind_has_payload(head_kind(head, head_bytes));
}

static size_t read_length(const uint8_t *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return be32toh(value);
}

/** The frame at `bytes`, of whose bytes its header at least is there. */
static struct frame frame_at(const uint8_t *bytes)
{
    size_t head_bytes = read_length(bytes);

    return (struct frame){
        .head = bytes + FRAME_HEADER_BYTES,
        .head_bytes = head_bytes,
        .payload = (uint8_t *)(uintptr_t)(bytes + FRAME_HEADER_BYTES + head_bytes),
        .payload_bytes = read_length(bytes + sizeof(uint32_t)),
    };
}

/**
 * Check what there is of the frame at `bytes`, so that a frame is refused before its rest is kept.
 *
 * Returns the frame's bytes when it is whole, else 0.
 */
static size_t check_frame(struct frame_reader *reader, const uint8_t *bytes, size_t len_bytes)
{
    struct frame frame;

    if (len_bytes < FRAME_HEADER_BYTES) {
        return 0;
    }
    frame = frame_at(bytes);
    reader->refused = frame_bounds(frame.head_bytes, frame.payload_bytes);
    len_bytes -= FRAME_HEADER_BYTES;
    if (reader->refused || len_bytes < frame.head_bytes) {
        return 0;
    }
    if (frame.payload_bytes > 0 && !frame_head_has_payload(frame.head, frame.head_bytes)) {
        reader->refused = "a frame with page bytes beside a message that has none";
        return 0;
    }
    if (len_bytes - frame.head_bytes < frame.payload_bytes) {
        return 0;
    }
    return FRAME_HEADER_BYTES + frame.head_bytes + frame.payload_bytes;
}

bool frame_reader_commit(struct frame_reader *reader, size_t len_bytes)
{
    size_t frame_bytes;

    buffer_commit(&reader->buffer, len_bytes);
    if (reader->refused) {
        return false;
    }
    do {
        frame_bytes = check_frame(reader, buffer_data(&reader->buffer) + reader->whole_bytes,
                                  buffer_len(&reader->buffer) - reader->whole_bytes);
        reader->whole_bytes += frame_bytes;
    } while (frame_bytes > 0);
    return reader->refused == NULL;
}

bool frame_reader_next(struct frame_reader *reader, struct frame *frame)
{
    drop_taken(reader);
    if (reader->refused || reader->whole_bytes == 0) {
        return false;
    }
    *frame = frame_at(buffer_data(&reader->buffer));
    reader->taken_bytes = FRAME_HEADER_BYTES + frame->head_bytes + frame->payload_bytes;
    return true;
}

void frame_header_write(uint8_t header[FRAME_HEADER_BYTES], size_t head_bytes, size_t payload_bytes)
{
    uint32_t lengths[2] = {htobe32((uint32_t)head_bytes), htobe32((uint32_t)payload_bytes)};

    memcpy(header, lengths, FRAME_HEADER_BYTES);
}
