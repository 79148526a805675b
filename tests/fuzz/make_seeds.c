/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Write the seeds that the fuzzers start from: one legal head of every kind, streams of frames, and
 * the steps of make_steps.c.
 *
 *   make_seeds DIRECTORY [STAMP]
 *
 * They lie in DIRECTORY/TARGET; STAMP is an empty file that says when.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "net/frame.h"
#include "tests/fuzz/make_steps.h"

int seed_write(const char *directory, const char *target, const char *name, uint32_t number,
               const struct buffer *bytes)
{
    char path[4096];
    FILE *file;
    size_t written;

    mkdir(directory, 0777);
    snprintf(path, sizeof(path), "%s/%s", directory, target);
    mkdir(path, 0777);
    snprintf(path, sizeof(path), "%s/%s/%s-%u", directory, target, name, number);
    file = fopen(path, "w");
    if (!file) {
        perror(path);
        return -1;
    }
    written = fwrite(buffer_data(bytes), 1, buffer_len(bytes), file);
    if (fclose(file) != 0 || written != buffer_len(bytes)) {
        perror(path);
        return -1;
    }
    return 0;
}

static void fill_message(struct message *message, uint32_t kind)
{
    *message = (struct message){.kind = (uint8_t)kind,
                                .epoch = 3,
                                .request = 70000,
                                .page = 9,
                                .count = 2,
                                .granted = 2,
                                .version = 300,
                                .error = -11,
                                .region = {1, 5},
                                .requester = 2,
                                .offset = 64,
                                .op = SYNC_LOCK};
}

static void fill_record(struct record *record)
{
    *record = (struct record){.kind = RECORD_REGION,
                              .id = {2, 3},
                              .revision = 17,
                              .mode = 0600,
                              .size_bytes = 1 << 20,
                              .page_size = 4096,
                              .homes = nodeset_from_word(7)};
    snprintf(record->name, sizeof(record->name), "/photograph");
    snprintf(record->type, sizeof(record->type), "u16[]");
}

static void fill_wire(struct wire *wire, uint32_t kind)
{
    *wire = (struct wire){.kind = kind,
                          .version = PROTOCOL_VERSION,
                          .node = 1,
                          .incarnation = 4,
                          .error = -3,
                          .request = 12,
                          .revision = 300,
                          .id = {2, 3}};
    wire->run =
        (struct page_run){.page = 5, .count = 900, .owner = 1, .readers = nodeset_from_word(6)};
    snprintf(wire->address, sizeof(wire->address), "192.0.2.1:7600");
    snprintf(wire->topic, sizeof(wire->topic), "status");
    snprintf(wire->text, sizeof(wire->text), "{\"a\": 1}");
    wire->proposal.kind = PROPOSAL_CREATE;
    wire->proposal.credential.count_groups = 2;
    fill_record(&wire->proposal.record);
}

/** Seeds of heads; also appends each head that travels in a frame to the stream. */
static int write_heads(const char *directory, struct buffer *stream)
{
    struct buffer head = {0};
    int error = 0;

    for (uint32_t kind = 1; kind < WIRE_KINDS && !error; kind++) {
        uint8_t header[FRAME_HEADER_BYTES];
        uint8_t page[64] = {0};
        size_t payload_bytes = message_kind_has_payload(kind) ? sizeof(page) : 0;
        struct message message;
        struct wire wire;

        buffer_clear(&head);
        if (kind < MESSAGE_KINDS) {
            fill_message(&message, kind);
            message_pack(&message, &head);
        } else if (kind >= WIRE_HELLO) {
            fill_wire(&wire, kind);
            wire_pack(&wire, &head);
        } else {
            continue;
        }
        error = seed_write(directory, "messages", "head", kind, &head);
        frame_header_write(header, buffer_len(&head), payload_bytes);
        buffer_append(stream, header, sizeof(header));
        buffer_append(stream, buffer_data(&head), buffer_len(&head));
        buffer_append(stream, page, payload_bytes);
    }
    buffer_close(&head);
    return error;
}

static int write_session(const char *directory)
{
    struct session_reply *reply = calloc(1, sizeof(*reply));
    struct session_request request = {.version = SESSION_VERSION,
                                      .number = 5,
                                      .map = 3,
                                      .address = 1 << 30,
                                      .size_bytes = 4096,
                                      .backend = SESSION_SIGSEGV,
                                      .why = "userfaultfd: Function not implemented",
                                      .topic = "nodes"};
    struct record record;
    struct buffer bytes = {0};
    int error = reply ? 0 : -1;

    request.call = (struct call){.kind = CALL_MAP, .handle = 2, .timeout_ms = -1, .name = "/a"};
    for (uint32_t kind = SESSION_HELLO; kind < SESSION_REPLY && !error; kind++) {
        buffer_clear(&bytes);
        request.kind = kind;
        session_request_pack(&request, &bytes);
        error = seed_write(directory, "messages", "request", kind, &bytes);
    }
    if (!error) {
        buffer_clear(&bytes);
        reply->count_counters = 3;
        snprintf(reply->text, sizeof(reply->text), "no object has this name");
        session_reply_pack(reply, &bytes);
        error = seed_write(directory, "messages", "reply", 0, &bytes);
    }
    if (!error) {
        buffer_clear(&bytes);
        fill_record(&record);
        record_pack(&record, &bytes);
        error = seed_write(directory, "messages", "record", 0, &bytes);
    }
    buffer_close(&bytes);
    free(reply);
    return error;
}

/* The bytes that come first choose the pieces in which the stream is fed. */
static int write_streams(const char *directory, const struct buffer *frames)
{
    static const uint8_t pieces[][4] = {{255, 255, 255, 255}, {0, 0, 0, 0}, {7, 0, 100, 3}};
    int error = 0;

    for (uint32_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]) && !error; i++) {
        struct buffer seed = {0};

        buffer_append(&seed, pieces[i], sizeof(pieces[i]));
        buffer_append(&seed, buffer_data(frames), buffer_len(frames));
        error = seed_write(directory, "frames", "stream", i, &seed);
        buffer_close(&seed);
    }
    return error;
}

/** Types, each behind the number that says which bytes of a region are converted. */
static int write_types(const char *directory)
{
    static const char *const texts[] = {
        "u8 i8 u16 i16 u32 i32 pad 2 u64 i64 f32 pad 4 f64 ref",
        "f32[]",
        "u32[4] struct { u16 red; u16 green; pad 4; f64 value; }[]",
        "struct { u64 count; struct { struct { f32 x; f32 y; }[2] ends; u16[3] color; pad 2; "
        "}[700] lines; ref next; }[]",
        "u16 struct { u16 a; u8[3] b; pad 1; }[7] pad 2 i32[5][2]",
        "struct { u32 a; f64 b; }",
        "struct { u64 a; u32 b; }[2]",
        "u8[9223372036852678655] u8",
    };
    struct buffer seed = {0};
    int error = 0;

    for (uint32_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && error == 0; i++) {
        buffer_clear(&seed);
        buffer_append(&seed, "\x03\0\0\0\0\0\0\x55", 8);
        buffer_append(&seed, texts[i], strlen(texts[i]));
        error = seed_write(directory, "type", "text", i, &seed);
    }
    buffer_close(&seed);
    return error;
}

int main(int argc, char **argv)
{
    struct buffer frames = {0};
    FILE *stamp;
    int error;

    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: make_seeds DIRECTORY [STAMP]\n");
        return 2;
    }
    error = write_heads(argv[1], &frames) || write_session(argv[1]) ||
            write_streams(argv[1], &frames) || steps_write(argv[1]) || write_types(argv[1]);
    buffer_close(&frames);
    if (!error && argc == 3) {
        stamp = fopen(argv[2], "w");
        error = stamp == NULL || fclose(stamp) != 0;
    }
    return error ? 1 : 0;
}
