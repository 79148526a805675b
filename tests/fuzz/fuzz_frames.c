/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Bytes of a peer, as they come out of TLS, into the frames' reader: once in one piece and once in
 * pieces whose sizes the input chooses. Both must give the same frames and the same verdict, and
 * must not keep more memory than the bytes that came account for. What comes out is unpacked as the
 * agent does.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "net/frame.h"

/** The reader grows by doubling, and always has room for one TLS record. */
#define ROOM_BYTES 16384u

/** What came out of a reader. */
struct outcome {
    uint64_t count_frames;
    uint64_t hash;
    bool is_refused;
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes);

static void require(bool condition)
{
    if (!condition) {
        __builtin_trap();
    }
}

static uint64_t hash_bytes(uint64_t hash, const uint8_t *bytes, size_t len_bytes)
{
    for (size_t i = 0; i < len_bytes; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static void take_frame(const struct frame *frame, struct outcome *outcome)
{
    uint32_t kind = head_kind(frame->head, frame->head_bytes);
    struct message message;
    struct wire wire;

    require(frame->head_bytes > 0 && frame->head_bytes <= HEAD_BYTES_MAX);
    require(frame->payload_bytes <= PAYLOAD_BYTES_MAX);
    require(frame->payload_bytes == 0 || message_kind_has_payload(kind));
    if (message_unpack(frame->head, frame->head_bytes, &message) == 0) {
        require(message.kind == kind);
    }
    if (wire_unpack(frame->head, frame->head_bytes, &wire) == 0) {
        require(wire.kind == kind);
    }
    outcome->count_frames++;
    outcome->hash = hash_bytes(outcome->hash, frame->head, frame->head_bytes);
    outcome->hash = hash_bytes(outcome->hash, frame->payload, frame->payload_bytes);
}

/** Feed all bytes, in pieces of at most 1 + what the table says. */
static struct outcome feed(const uint8_t *bytes, size_t len_bytes, const uint8_t *pieces,
                           size_t count_pieces)
{
    struct frame_reader reader = {0};
    struct outcome outcome = {0};
    struct frame frame;
    size_t fed_bytes = 0;

    for (size_t i = 0; fed_bytes < len_bytes && !outcome.is_refused; i++) {
        uint8_t *room;
        size_t room_bytes = frame_reader_room(&reader, ROOM_BYTES, &room);
        size_t count = count_pieces > 0 ? 1u + pieces[i % count_pieces] : len_bytes;

        require(room_bytes >= ROOM_BYTES);
        count = count < len_bytes - fed_bytes ? count : len_bytes - fed_bytes;
        count = count < room_bytes ? count : room_bytes;
        memcpy(room, bytes + fed_bytes, count);
        fed_bytes += count;
        outcome.is_refused = !frame_reader_commit(&reader, count);
        while (frame_reader_next(&reader, &frame)) {
            take_frame(&frame, &outcome);
        }
        require(reader.buffer.capacity <= 4 * (fed_bytes + ROOM_BYTES));
    }
    require(outcome.is_refused == (reader.refused != NULL));
    frame_reader_close(&reader);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
    struct outcome whole;
    struct outcome pieces;

    if (len_bytes < 4) {
        return 0;
    }
    whole = feed(bytes + 4, len_bytes - 4, NULL, 0);
    pieces = feed(bytes + 4, len_bytes - 4, bytes, 4);
    require(whole.is_refused == pieces.is_refused);
    /* A refusal takes the whole frames of the same piece along. */
    require(whole.is_refused ||
            (whole.count_frames == pieces.count_frames && whole.hash == pieces.hash));
    return 0;
}
