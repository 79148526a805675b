/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Frames in a stream of bytes, as they come out of TLS. A frame is: u32 head length, u32 payload
 * length (both big endian), head (msgpack), payload (page bytes, raw). Lengths are checked as soon
 * as they are there, and room grows only with bytes that have arrived, whatever a length announces.
 */
#ifndef DSM_NET_FRAME_H
#define DSM_NET_FRAME_H

#include "net/codec.h"

/** Bytes of the two lengths. */
#define FRAME_HEADER_BYTES 8u

/** A frame that has arrived; link_next() says how long the bytes stay. */
struct frame {
    const uint8_t *head;
    size_t head_bytes;
    uint8_t *payload; /* may be changed where it lies */
    size_t payload_bytes;
};

/** Bytes that became whole frames, then bytes of a frame that is not whole. All zero is empty. */
struct frame_reader {
    struct buffer buffer;
    size_t whole_bytes;  /* of the buffer, from its start, are whole frames */
    size_t taken_bytes;  /* of those are the frame that was returned last */
    const char *refused; /* why the stream is out of bounds; sticky; NULL: it is not */
};

/** Free the reader's memory. */
void frame_reader_close(struct frame_reader *reader);

/**
 * Room for the bytes that come next; the frame that was returned last goes.
 *
 * @min_bytes of room at least
 * @room      written: where
 *
 * Returns the room's bytes, 0 without memory.
 */
size_t frame_reader_room(struct frame_reader *reader, size_t min_bytes, uint8_t **room);

/** Count len_bytes that were written into the room. Returns false when the stream is refused. */
bool frame_reader_commit(struct frame_reader *reader, size_t len_bytes);

/** The next whole frame, false when there is none or the stream is refused. */
bool frame_reader_next(struct frame_reader *reader, struct frame *frame);

/** Write the two lengths before a frame. */
void frame_header_write(uint8_t header[FRAME_HEADER_BYTES], size_t head_bytes,
                        size_t payload_bytes);

/** Would a reader take such a frame? Returns NULL, or what is out of bounds. */
const char *frame_bounds(size_t head_bytes, size_t payload_bytes);

/** May this head have a payload? */
bool frame_head_has_payload(const uint8_t *head, size_t head_bytes);

#endif
