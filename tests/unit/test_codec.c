/* SPDX-License-Identifier: Apache-2.0 */
/** Each kind of head there and back, cut short, lengthened and changed. */
#include "net/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <msgpack.h>

#include "dsm.h"
#include "tests/unit/draw.h"

/** The codec's functions for one sort of head, on a union of all of their structs. */
union any {
    struct message message;
    struct wire wire;
    struct session_request request;
    struct session_reply reply;
    struct record record;
};

struct sort {
    size_t size;                   /* of its struct */
    uint32_t kind_first, kind_end; /* record: its kinds; reply: only one */
    void (*fill)(union any *any, uint32_t kind, uint64_t *random);
    void (*pack)(const union any *any, struct buffer *buffer);
    int (*unpack)(const uint8_t *bytes, size_t len_bytes, union any *any);
};

static void fill_message(union any *any, uint32_t kind, uint64_t *random)
{
    any->message.kind = (uint8_t)kind;
#define FILL_u(max) draw(random, max)
#define FILL_i(max) draw_error(random)
#define FILL(bit, name, member, type, max)                                       \
    if (message_kind_fields(kind) & FIELD_##name) {                              \
        any->message.member = (__typeof__(any->message.member))FILL_##type(max); \
    }
    MESSAGE_FIELDS(FILL)
}

static void fill_id(region_id *id, uint64_t *random)
{
    id->slot = (uint32_t)draw(random, UINT32_MAX);
    id->generation = (uint32_t)draw(random, UINT32_MAX);
}

static void fill_machine(struct node_kind *machine, uint64_t *random)
{
    machine->page_bytes = (uint32_t)draw(random, UINT32_MAX);
    machine->word_bits = (uint8_t)draw(random, UINT8_MAX);
    machine->big_endian = draw(random, 1);
}

static void fill_the_record(struct record *record, uint32_t kind, uint64_t *random)
{
    record->kind = (uint8_t)kind;
    record->unlinked = draw(random, 1);
    record->deleted = draw(random, 1);
    record->alive = draw(random, 1);
    fill_id(&record->id, random);
    record->revision = draw(random, UINT64_MAX);
    draw_text(random, record->name, sizeof(record->name));
    record->uid = (uint32_t)draw(random, UINT32_MAX);
    record->gid = (uint32_t)draw(random, UINT32_MAX);
    record->mode = (uint32_t)draw(random, UINT32_MAX);
    record->size_bytes = draw(random, UINT64_MAX);
    record->page_size = (uint32_t)draw(random, UINT32_MAX);
    record->home = (uint32_t)draw(random, UINT32_MAX);
    record->homes = nodeset_from_word(draw(random, UINT64_MAX));
    record->readers = nodeset_from_word(draw(random, UINT64_MAX));
    record->writers = nodeset_from_word(draw(random, UINT64_MAX));
    draw_text(random, record->address, sizeof(record->address));
    record->epoch = (uint32_t)draw(random, UINT32_MAX);
    record->joined = draw(random, UINT64_MAX);
    fill_machine(&record->machine, random);
    draw_text(random, record->type, sizeof(record->type));
}

static void fill_record(union any *any, uint32_t kind, uint64_t *random)
{
    fill_the_record(&any->record, kind, random);
}

static void fill_proposal(struct proposal *proposal, uint64_t *random)
{
    proposal->kind = (uint8_t)(1 + draw(random, PROPOSAL_KINDS - 2));
    fill_the_record(&proposal->record, RECORD_SEM, random);
    fill_id(&proposal->replaces, random);
    proposal->credential.uid = (uint32_t)draw(random, UINT32_MAX);
    proposal->credential.gid = (uint32_t)draw(random, UINT32_MAX);
    proposal->credential.count_groups = (uint32_t)draw(random, CREDENTIAL_GROUPS_MAX);
    for (uint32_t i = 0; i < proposal->credential.count_groups; i++) {
        proposal->credential.groups[i] = (uint32_t)draw(random, UINT32_MAX);
    }
}

/** Only the members that net/codec.h promises for the kind, so that one that is lost is noticed. */
static void fill_wire(union any *any, uint32_t kind, uint64_t *random)
{
    struct wire *wire = &any->wire;

    wire->kind = kind;
    switch (kind) {
    case WIRE_HELLO:
        wire->version = (uint32_t)draw(random, UINT32_MAX);
        wire->node = draw_node(random);
        wire->incarnation = (uint32_t)draw(random, UINT32_MAX);
        draw_text(random, wire->address, sizeof(wire->address));
        break;
    case WIRE_BYE:
        wire->error = draw_error(random);
        draw_text(random, wire->text, sizeof(wire->text));
        break;
    case WIRE_JOIN:
        wire->request = draw(random, UINT64_MAX);
        wire->node = draw_node(random);
        wire->incarnation = (uint32_t)draw(random, UINT32_MAX);
        draw_text(random, wire->address, sizeof(wire->address));
        fill_machine(&wire->machine, random);
        break;
    case WIRE_JOINED:
        wire->request = draw(random, UINT64_MAX);
        wire->error = draw_error(random);
        draw_text(random, wire->text, sizeof(wire->text));
        wire->id.slot = (uint32_t)draw(random, UINT32_MAX);
        break;
    case WIRE_WATCH:
        wire->revision = draw(random, UINT64_MAX);
        break;
    case WIRE_RECORD:
        fill_the_record(&wire->proposal.record, RECORD_REGION, random);
        break;
    case WIRE_PROPOSE:
        wire->request = draw(random, UINT64_MAX);
        fill_proposal(&wire->proposal, random);
        break;
    case WIRE_PROPOSED:
        wire->request = draw(random, UINT64_MAX);
        wire->error = draw_error(random);
        fill_id(&wire->id, random);
        break;
    case WIRE_INSPECT:
        wire->request = draw(random, UINT64_MAX);
        fill_id(&wire->id, random);
        wire->page = draw(random, (UINT64_C(1) << 52) - 1);
        break;
    case WIRE_INSPECTED:
        wire->request = draw(random, UINT64_MAX);
        wire->error = draw_error(random);
        fill_id(&wire->id, random);
        wire->run.page = draw(random, (UINT64_C(1) << 52) - 1);
        wire->run.count = draw(random, UINT64_C(1) << 52);
        wire->run.owner = draw_node(random);
        wire->run.readers = nodeset_from_word(draw(random, UINT64_MAX));
        wire->run.lost = draw(random, 1);
        wire->run.busy = draw(random, 1);
        draw_text(random, wire->text, sizeof(wire->text));
        break;
    case WIRE_QUERY:
        wire->request = draw(random, UINT64_MAX);
        draw_text(random, wire->topic, sizeof(wire->topic));
        break;
    case WIRE_ANSWER:
        wire->request = draw(random, UINT64_MAX);
        wire->error = draw_error(random);
        wire->value = draw(random, UINT64_MAX);
        draw_text(random, wire->text, sizeof(wire->text));
        break;
    default:
        break;
    }
}

static void fill_call(struct call *call, uint64_t *random)
{
    call->kind = (uint8_t)(1 + draw(random, CALL_KINDS - 2));
    call->object = (uint8_t)draw(random, RECORD_SEM);
    call->oflag = (uint8_t)draw(random, UINT8_MAX);
    call->op = (uint8_t)draw(random, SYNC_OP_COUNT - 1);
    call->rights = (uint8_t)draw(random, UINT8_MAX);
    call->mode = (uint32_t)draw(random, UINT32_MAX);
    call->page_size = (uint32_t)draw(random, UINT32_MAX);
    call->home = (uint32_t)draw(random, UINT32_MAX);
    call->map = (map_id)draw(random, UINT32_MAX);
    call->handle = draw(random, UINT64_MAX);
    call->size_bytes = draw(random, UINT64_MAX);
    call->offset = draw(random, UINT64_MAX);
    call->value = draw(random, UINT64_MAX);
    call->operand = draw(random, UINT64_MAX);
    call->timeout_ms = *random == 0 ? INT64_MIN : (int64_t)draw(random, UINT64_MAX);
    draw_text(random, call->name, sizeof(call->name));
    draw_text(random, call->type, sizeof(call->type));
}

static void fill_request(union any *any, uint32_t kind, uint64_t *random)
{
    struct session_request *request = &any->request;

    request->kind = kind;
    request->number = draw(random, UINT64_MAX);
    switch (kind) {
    case SESSION_HELLO:
        request->version = (uint32_t)draw(random, UINT32_MAX);
        break;
    case SESSION_CALL:
        fill_call(&request->call, random);
        break;
    case SESSION_ATTACH:
        request->map = (map_id)draw(random, UINT32_MAX);
        request->address = draw(random, UINT64_MAX);
        request->size_bytes = draw(random, UINT64_MAX);
        request->backend = SESSION_USERFAULTFD + (uint32_t)draw(random, SESSION_BACKENDS - 2);
        draw_text(random, request->why, sizeof(request->why));
        break;
    case SESSION_ADMIN:
        request->cursor = draw(random, UINT64_MAX);
        draw_text(random, request->topic, sizeof(request->topic));
        break;
    default:
        break;
    }
}

static void fill_reply(union any *any, uint32_t kind, uint64_t *random)
{
    struct session_reply *reply = &any->reply;

    (void)kind;
    reply->number = draw(random, UINT64_MAX);
    reply->cursor = draw(random, UINT64_MAX);
    reply->value = draw(random, UINT64_MAX);
    reply->reply.error = draw_error(random);
    reply->reply.node = draw_node(random);
    reply->reply.map = (map_id)draw(random, UINT32_MAX);
    fill_id(&reply->reply.region, random);
    reply->reply.handle = draw(random, UINT64_MAX);
    reply->reply.size_bytes = draw(random, UINT64_MAX);
    reply->reply.value = draw(random, UINT64_MAX);
    reply->reply.page_size = (uint32_t)draw(random, UINT32_MAX);
    reply->reply.mode = (uint32_t)draw(random, UINT32_MAX);
    reply->reply.uid = (uint32_t)draw(random, UINT32_MAX);
    reply->reply.gid = (uint32_t)draw(random, UINT32_MAX);
    reply->reply.home = (uint32_t)draw(random, UINT32_MAX);
    reply->count_counters = (uint32_t)draw(random, SESSION_COUNTERS_MAX);
    for (uint32_t i = 0; i < reply->count_counters; i++) {
        reply->counters[i] = draw(random, UINT64_MAX);
    }
    draw_text(random, reply->text, sizeof(reply->text));
    reply->text_bytes = strlen(reply->text);
}

#define ADAPT(noun, member)                                                            \
    static void pack_##member(const union any *any, struct buffer *buffer)             \
    {                                                                                  \
        noun##_pack(&any->member, buffer);                                             \
    }                                                                                  \
    static int unpack_##member(const uint8_t *bytes, size_t len_bytes, union any *any) \
    {                                                                                  \
        return noun##_unpack(bytes, len_bytes, &any->member);                          \
    }
ADAPT(message, message)
ADAPT(wire, wire)
ADAPT(session_request, request)
ADAPT(session_reply, reply)
ADAPT(record, record)

static const struct sort sorts[] = {
    {sizeof(struct message), 1, MESSAGE_KINDS, fill_message, pack_message, unpack_message},
    {sizeof(struct wire), WIRE_HELLO, WIRE_KINDS, fill_wire, pack_wire, unpack_wire},
    {sizeof(struct session_request), SESSION_HELLO, SESSION_REPLY, fill_request, pack_request,
     unpack_request},
    {sizeof(struct session_reply), SESSION_REPLY, SESSION_REPLY + 1, fill_reply, pack_reply,
     unpack_reply},
    {sizeof(struct record), RECORD_REGION, RECORD_NODE + 1, fill_record, pack_record,
     unpack_record},
};
#define COUNT_SORTS (sizeof(sorts) / sizeof(sorts[0]))

/** Is there a kind of this number? */
static bool is_kind(const struct sort *sort, uint32_t kind)
{
    return sort->unpack != unpack_message || message_kind_fields(kind) != 0;
}

/** Unpack a copy of exactly that length, so that the address sanitizer sees a read beyond it. */
static int unpack_exactly(const struct sort *sort, const uint8_t *bytes, size_t len_bytes,
                          union any *any)
{
    uint8_t *copy = malloc(len_bytes ? len_bytes : 1);
    int error;

    assert_non_null(copy);
    if (len_bytes > 0) {
        memcpy(copy, bytes, len_bytes);
    }
    error = sort->unpack(copy, len_bytes, any);
    free(copy);
    return error;
}

/** msgpack-c's own parser must see one flat array of `count` values. */
static void check_by_msgpack(const struct buffer *buffer)
{
    msgpack_unpacked unpacked;
    size_t offset = 0;

    msgpack_unpacked_init(&unpacked);
    assert_int_equal(msgpack_unpack_next(&unpacked, (const char *)buffer_data(buffer),
                                         buffer_len(buffer), &offset),
                     MSGPACK_UNPACK_SUCCESS);
    assert_int_equal(offset, buffer_len(buffer));
    assert_int_equal(unpacked.data.type, MSGPACK_OBJECT_ARRAY);
    for (uint32_t i = 0; i < unpacked.data.via.array.size; i++) {
        msgpack_object_type type = unpacked.data.via.array.ptr[i].type;

        assert_true(type != MSGPACK_OBJECT_ARRAY && type != MSGPACK_OBJECT_MAP);
    }
    msgpack_unpacked_destroy(&unpacked);
}

static void round_trip(const struct sort *sort, uint32_t kind, uint64_t *random)
{
    union any *sent = calloc(2, sizeof(*sent));
    union any *got = sent + 1;
    struct buffer buffer = {0};

    assert_non_null(sent);
    sort->fill(sent, kind, random);
    sort->pack(sent, &buffer);
    assert_false(buffer.failed);
    if (sort->unpack == unpack_message || sort->unpack == unpack_wire) {
        assert_true(buffer_len(&buffer) <= HEAD_BYTES_MAX);
    }
    assert_true(buffer_len(&buffer) <= SESSION_PACKET_MAX);
    assert_int_equal(head_kind(buffer_data(&buffer), buffer_len(&buffer)), kind);
    check_by_msgpack(&buffer);
    assert_int_equal(unpack_exactly(sort, buffer_data(&buffer), buffer_len(&buffer), got), 0);
    assert_memory_equal(sent, got, sort->size);
    buffer_close(&buffer);
    free(sent);
}

/** What is packed comes back the same, with the largest values and with any. */
static void test_each_kind_round_trips(void **state)
{
    uint64_t random = UINT64_C(0x2545f4914f6cdd1d);

    (void)state;
    print_message("seed %llu\n", (unsigned long long)random);
    for (size_t s = 0; s < COUNT_SORTS; s++) {
        for (uint32_t kind = sorts[s].kind_first; kind < sorts[s].kind_end; kind++) {
            uint64_t largest = 0;

            if (!is_kind(&sorts[s], kind)) {
                continue;
            }
            round_trip(&sorts[s], kind, &largest);
            for (int i = 0; i < 200; i++) {
                round_trip(&sorts[s], kind, &random);
            }
        }
    }
}

/** A head that ends early at any byte, or goes on, is refused, and nothing is written. */
static void test_other_length_is_refused(void **state)
{
    union any *any = calloc(2, sizeof(*any));
    union any *untouched = any + 1;
    uint64_t random = 77;

    (void)state;
    assert_non_null(any);
    for (size_t s = 0; s < COUNT_SORTS; s++) {
        for (uint32_t kind = sorts[s].kind_first; kind < sorts[s].kind_end; kind++) {
            struct buffer buffer = {0};

            if (!is_kind(&sorts[s], kind)) {
                continue;
            }
            memset(any, 0, sizeof(*any));
            sorts[s].fill(any, kind, &random);
            sorts[s].pack(any, &buffer);
            memset(any, 0xa5, sizeof(*any));
            memset(untouched, 0xa5, sizeof(*any));
            for (size_t len = 0; len < buffer_len(&buffer); len += len < 1500 ? 1 : 61) {
                assert_int_equal(unpack_exactly(&sorts[s], buffer_data(&buffer), len, any),
                                 DSM_EPROTO);
            }
            buffer_append(&buffer, "\0", 1);
            assert_int_equal(
                unpack_exactly(&sorts[s], buffer_data(&buffer), buffer_len(&buffer), any),
                DSM_EPROTO);
            assert_memory_equal(any, untouched, sizeof(*any));
            buffer_close(&buffer);
        }
    }
    free(any);
}

/** A head with any one byte changed is refused, or is another head that packs to one like itself.
 */
static void test_changed_byte_is_refused_or_legal(void **state)
{
    union any *any = calloc(2, sizeof(*any));
    uint64_t random = 4711;

    (void)state;
    assert_non_null(any);
    for (size_t s = 0; s < COUNT_SORTS; s++) {
        for (uint32_t kind = sorts[s].kind_first; kind < sorts[s].kind_end; kind++) {
            struct buffer buffer = {0};
            size_t len_bytes;

            if (!is_kind(&sorts[s], kind)) {
                continue;
            }
            memset(any, 0, sizeof(*any));
            sorts[s].fill(any, kind, &random);
            sorts[s].pack(any, &buffer);
            len_bytes = buffer_len(&buffer);
            /* Every change at the start; of what follows, and of long texts, only samples. */
            for (size_t i = 0; i<len_bytes; i += i> 200 ? 1 + len_bytes / 50 : 1) {
                for (unsigned flip = 1; flip<256; flip += i> 60 ? 13 : 1) {
                    struct buffer again = {0};

                    buffer.bytes[i] ^= (uint8_t)flip;
                    memset(&any[0], 0, sorts[s].size);
                    memset(&any[1], 0, sorts[s].size);
                    if (unpack_exactly(&sorts[s], buffer.bytes, len_bytes, &any[0]) == 0) {
                        sorts[s].pack(&any[0], &again);
                        assert_int_equal(sorts[s].unpack(again.bytes, buffer_len(&again), &any[1]),
                                         0);
                        assert_memory_equal(&any[0], &any[1], sorts[s].size);
                    }
                    buffer.bytes[i] ^= (uint8_t)flip;
                    buffer_close(&again);
                }
            }
            buffer_close(&buffer);
        }
    }
    free(any);
}

/** A kind of one sort is not unpacked as another. */
static void test_other_sort_is_refused(void **state)
{
    union any *any = calloc(1, sizeof(*any));
    struct buffer buffer = {0};
    uint64_t random = 99;

    (void)state;
    assert_non_null(any);
    for (size_t s = 0; s < COUNT_SORTS - 1; s++) {
        buffer_clear(&buffer);
        memset(any, 0, sizeof(*any));
        sorts[s].fill(any, sorts[s].kind_first, &random);
        sorts[s].pack(any, &buffer);
        for (size_t other = 0; other < COUNT_SORTS; other++) {
            if (other != s) {
                assert_int_equal(
                    sorts[other].unpack(buffer_data(&buffer), buffer_len(&buffer), any),
                    DSM_EPROTO);
            }
        }
    }
    buffer_close(&buffer);
    free(any);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_round_trips),
        cmocka_unit_test(test_other_length_is_refused),
        cmocka_unit_test(test_changed_byte_is_refused_or_legal),
        cmocka_unit_test(test_other_sort_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
