/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/make_steps.h"

#include <stdio.h>
#include <string.h>

#include "net/codec.h"

static void put(struct buffer *out, const uint8_t *bytes, size_t len_bytes)
{
    buffer_append(out, bytes, len_bytes);
}

static void put_byte(struct buffer *out, uint32_t byte)
{
    uint8_t value = (uint8_t)byte;

    put(out, &value, 1);
}

/* As input_piece() reads it. */
static void put_piece(struct buffer *out, const struct buffer *piece)
{
    put_byte(out, (uint32_t)buffer_len(piece) & 0xff);
    put_byte(out, (uint32_t)buffer_len(piece) >> 8);
    put(out, buffer_data(piece), buffer_len(piece));
}

/* Session: the two bytes of a step, then what whole_program.c draws. */

#define ANY_STEP 1u

static void put_call(struct buffer *out, uint32_t program, const uint8_t call[13])
{
    put_byte(out, ANY_STEP);
    put_byte(out, program * 16 + 8);
    put(out, call, 13);
}

/* An open, a size, a mapping, its attachment, a fault, a lock, and the end of it all. */
static void put_life(struct buffer *out, uint32_t program)
{
    static const uint8_t calls[][13] = {
        {2 * 3, 0},                     /* open, create */
        {64, 2, 0, 0, 0, 0, 0, 4},      /* truncate */
        {64, 3, 0},                     /* stat */
        {64, 4, 0, 0, 0, 0, 0, 4},      /* map */
        {0, 7, 1, 0, 0, 0, 0, 0, 0, 1}, /* lock */
        {0, 7, 8, 0, 0, 0, 0, 0, 0, 1}, /* fetch-add */
        {0, 7, 2, 0, 0, 0, 0, 0, 0, 1}, /* unlock */
        {0, 5, 0},                      /* unmap */
        {1 + 2 * 3, 0},                 /* open a semaphore */
        {0, 7, 5, 1},
        {0, 7, 4, 1, 0, 0, 0, 0, 0, 0, 0, 1}, /* post, wait */
        {0, 6, 0},
        {0, 1, 0}, /* unlink, close */
    };

    for (uint32_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        put_call(out, program, calls[i]);
        if (i == 3) {
            put(out, (const uint8_t[]){ANY_STEP, (uint8_t)(program * 16 + 4), 0, 0}, 4);
            put(out, (const uint8_t[]){ANY_STEP, (uint8_t)(program * 16 + 6), 0, 2, 1}, 5);
        }
    }
}

static void put_packet(struct buffer *out, struct session_request *request)
{
    struct buffer packet = {0};

    session_request_pack(request, &packet);
    put(out, (const uint8_t[]){ANY_STEP, 0, 0}, 3);
    put_piece(out, &packet);
    buffer_close(&packet);
}

static int session_write(const char *directory)
{
    static struct session_request request = {
        .kind = SESSION_HELLO, .version = SESSION_VERSION, .number = 1};
    struct buffer out = {0};
    int error;

    put_life(&out, 0);
    error = seed_write(directory, "session", "life", 0, &out);
    put_life(&out, 1);
    put(&out, (const uint8_t[]){ANY_STEP, 2}, 2);
    error |= seed_write(directory, "session", "life", 1, &out);
    buffer_clear(&out);
    put_packet(&out, &request);
    request = (struct session_request){.kind = SESSION_CALL, .number = 2};
    request.call = (struct call){.kind = CALL_OPEN, .object = RECORD_REGION, .name = "/a"};
    request.call.oflag = CALL_OFLAG_CREATE | CALL_OFLAG_WRITE;
    put_packet(&out, &request);
    request = (struct session_request){.kind = SESSION_ADMIN, .number = 3, .topic = "status"};
    put_packet(&out, &request);
    error |= seed_write(directory, "session", "packets", 0, &out);
    buffer_clear(&out);
    put_life(&out, 0);
    for (uint32_t i = 0; i < 12; i++) {
        put(&out, (const uint8_t[]){ANY_STEP, 3, (uint8_t)i, 0}, 4);
    }
    error |= seed_write(directory, "session", "topics", 0, &out);
    buffer_close(&out);
    return error;
}

/* Catalog. */

static struct record region_record(void)
{
    return (struct record){.kind = RECORD_REGION,
                           .id = {1, 3},
                           .revision = 3,
                           .mode = 0600,
                           .size_bytes = 1 << 16,
                           .page_size = 4096,
                           .homes = nodeset_of(1),
                           .readers = nodeset_of(1),
                           .name = "/a"};
}

static void put_wire(struct buffer *out, const struct wire *wire)
{
    struct buffer head = {0};

    wire_pack(wire, &head);
    put(out, (const uint8_t[]){ANY_STEP, 1, 0}, 3);
    put_piece(out, &head);
    buffer_close(&head);
}

/* What a member says: JOIN, WATCH, PROPOSE, QUERY, INSPECT, and messages about the region. */
static int keeper_write(const char *directory)
{
    struct wire wire = {.kind = WIRE_JOIN,
                        .node = NODE_NONE,
                        .incarnation = 100,
                        .request = 1,
                        .machine = {.page_bytes = 4096, .word_bits = 64}};
    struct buffer out = {0};
    int error;

    put(&out, (const uint8_t[]){2, ANY_STEP, 0}, 3); /* a keeper; a peer comes */
    put_wire(&out, &wire);
    wire = (struct wire){.kind = WIRE_WATCH};
    put_wire(&out, &wire);
    wire = (struct wire){.kind = WIRE_PROPOSE, .request = 1};
    wire.proposal = (struct proposal){.kind = PROPOSAL_CREATE, .record = region_record()};
    put_wire(&out, &wire);
    wire.request = 2;
    wire.proposal.kind = PROPOSAL_UPDATE;
    wire.proposal.record.size_bytes = 1 << 17;
    put_wire(&out, &wire);
    wire.request = 3;
    wire.proposal = (struct proposal){.kind = PROPOSAL_NOTHING, .record.kind = RECORD_REGION};
    put_wire(&out, &wire);
    wire = (struct wire){.kind = WIRE_QUERY, .request = 4, .topic = "status"};
    put_wire(&out, &wire);
    wire = (struct wire){.kind = WIRE_INSPECT, .request = 5, .id = {1, 3}};
    put_wire(&out, &wire);
    error = seed_write(directory, "catalog", "keeper", 0, &out);
    buffer_close(&out);
    return error;
}

/* What a keeper says: JOINED, RECORD of the node and of others, PROPOSED. */
static int member_write(const char *directory)
{
    struct wire wire = {.kind = WIRE_JOINED, .id = {1, 0}};
    struct record node = {.kind = RECORD_NODE, .id = {0, 100}, .revision = 1, .alive = true};
    struct buffer out = {0};
    int error;

    snprintf(node.name, sizeof(node.name), "node-0");
    put(&out, (const uint8_t[]){0, ANY_STEP, 0}, 3); /* a member; the keeper comes */
    put_wire(&out, &wire);
    wire = (struct wire){.kind = WIRE_RECORD, .proposal = {.record = node}};
    put_wire(&out, &wire);
    wire.proposal.record = region_record();
    put_wire(&out, &wire);
    wire.proposal.record.deleted = true;
    wire.proposal.record.revision = 4;
    put_wire(&out, &wire);
    wire = (struct wire){.kind = WIRE_PROPOSED, .request = 1, .id = {1, 3}};
    put_wire(&out, &wire);
    error = seed_write(directory, "catalog", "member", 0, &out);
    buffer_close(&out);
    return error;
}

static int catalog_write(const char *directory)
{
    struct buffer out = {0};
    int error = keeper_write(directory) | member_write(directory);

    for (uint32_t which = 0; which < 4; which++) {
        struct record record = region_record();
        struct buffer body = {0};

        record.kind = which % 2 ? RECORD_NODE : RECORD_REGION;
        record.alive = which % 2;
        put_byte(&body, which);
        record_pack(&record, &body);
        buffer_clear(&out);
        put_byte(&out, 1);
        put_piece(&out, &body);
        put(&out, (const uint8_t[]){ANY_STEP, 0, ANY_STEP, 7, ANY_STEP, 8}, 6);
        error |= seed_write(directory, "catalog", "file", which, &out);
        buffer_close(&body);
    }
    buffer_close(&out);
    return error;
}

/* Library: the program's calls, then answers: a descriptor, a way, five numbers, a text. */

static int library_write(const char *directory)
{
    static const uint8_t calls[] = {12, 0, 0, 0, 2, 0, 0, 0, 1, 0, 4, 0, 5,
                                    0,  6, 0, 7, 3, 0, 3, 1, 3, 2, 3, 2};
    struct buffer out = {0};
    int error;

    put(&out, calls, sizeof(calls));
    for (uint32_t i = 0; i < 24; i++) {
        put(&out, (const uint8_t[]){0, 0, 0, (uint8_t)(i + 1), 1, 1, 4, 'n', 'o', 'd', 'e'}, 11);
    }
    error = seed_write(directory, "library", "answers", 0, &out);
    buffer_close(&out);
    return error;
}

/* Core: faults, then an answer of each kind to what was said last. */

static int core_write(const char *directory)
{
    struct buffer out = {0};
    int error = 0;

    for (uint32_t way = 0; way < 4; way++) {
        buffer_clear(&out);
        put_byte(&out, way);
        for (uint32_t kind = 0; kind < 20; kind++) {
            put(&out, (const uint8_t[]){(uint8_t)(128 + kind % 8), (uint8_t)(kind * 3)}, 2);
            put(&out, (const uint8_t[]){(uint8_t)kind, 0, (uint8_t)((way + kind) % 20), 0, 0, 0, 0},
                7);
            put(&out, (const uint8_t[]){0, (uint8_t)kind, 130, 0, 0, 0, 0}, 7);
            put(&out, (const uint8_t[]){(uint8_t)(192 + kind), 0, (uint8_t)kind, 1, 1, 0}, 6);
            put(&out, (const uint8_t[]){230, 40, (uint8_t)(240 + kind % 16), (uint8_t)(kind * 8)},
                4);
        }
        error |= seed_write(directory, "core", "answers", way, &out);
    }
    buffer_close(&out);
    return error;
}

static int config_write(const char *directory)
{
    static const char *const texts[] = {
        "[agent]\nnode = alpha\nlisten = 0.0.0.0:7400\nadvertise = alpha.example.org:7400\n"
        "keeper =\nstate_dir = .\nsocket = /run/dsm/agent.sock\nca = ca.crt\n"
        "certificate = node.crt\nkey = node.key\n",
        "# a comment\nbudget = 512M ; half\nregion_max = 1T\nlease_ms = 5000\n"
        "read_ahead_pages = 256\nspin_us = 0\n",
        "[agent]\nnode = a\nnode = b\n",
        "[::1]:7400",
        "alpha.example.org:7400",
        "nodd = x\n",
    };
    struct buffer out = {0};
    int error = 0;

    for (uint32_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        buffer_clear(&out);
        put(&out, (const uint8_t *)texts[i], strlen(texts[i]));
        error |= seed_write(directory, "config", "text", i, &out);
    }
    buffer_close(&out);
    return error;
}

int steps_write(const char *directory)
{
    return session_write(directory) | catalog_write(directory) | library_write(directory) |
           core_write(directory) | config_write(directory);
}
