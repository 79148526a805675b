/* SPDX-License-Identifier: Apache-2.0 */
#include "net/codec.h"

#include <string.h>

#include "dsm.h"
#include "net/fields.h"

#define PAGE_MAX ((UINT64_C(1) << 52) - 1)

_Static_assert(NODES_MAX <= 64, "on the wire a set of nodes is one unsigned integer");

/* ---- The tables. Rows: bit, name, member, type, largest legal value; see net/fields.h. ---- */

#define MESSAGE_ROW(bit, name, member, type, max) \
    [bit] = FIELD_ROW(type, struct message, member, max),
static const struct field message_fields[] = {MESSAGE_FIELDS(MESSAGE_ROW)};

/** All rows of a table. */
#define ALL(table) ((UINT32_C(1) << (sizeof(table) / sizeof((table)[0]))) - 1)

static const struct field machine_fields[] = {
    FIELD_ROW_u(struct node_kind, page_bytes, UINT32_MAX),
    FIELD_ROW_u(struct node_kind, word_bits, UINT8_MAX),
    FIELD_ROW_b(struct node_kind, big_endian, 0),
};
static const struct field_group machine_group = {machine_fields, ALL(machine_fields)};

#define RECORD_FIELDS(X)                                                                           \
    X(0, kind, kind, e, RECORD_NODE)                                                               \
    X(1, unlinked, unlinked, b, 0)                                                                 \
    X(2, deleted, deleted, b, 0)                                                                   \
    X(3, alive, alive, b, 0)                                                                       \
    X(4, slot, id.slot, u, UINT32_MAX)                                                             \
    X(5, generation, id.generation, u, UINT32_MAX)                                                 \
    X(6, revision, revision, u, UINT64_MAX)                                                        \
    X(7, name, name, t, 0)                                                                         \
    X(8, uid, uid, u, UINT32_MAX)                                                                  \
    X(9, gid, gid, u, UINT32_MAX)                                                                  \
    X(10, mode, mode, u, UINT32_MAX)                                                               \
    X(11, size_bytes, size_bytes, u, UINT64_MAX)                                                   \
    X(12, page_size, page_size, u, UINT32_MAX)                                                     \
    X(13, home, home, u, UINT32_MAX)                                                               \
    X(14, homes, homes.words[0], u, UINT64_MAX)                                                    \
    X(15, readers, readers.words[0], u, UINT64_MAX)                                                \
    X(16, writers, writers.words[0], u, UINT64_MAX)                                                \
    X(17, address, address, t, 0)                                                                  \
    X(18, epoch, epoch, u, UINT32_MAX)                                                             \
    X(19, joined, joined, u, UINT64_MAX)                                                           \
    X(20, machine, machine, g, machine_group)                                                      \
    X(21, type, type, t, 0)                                                                        \
    X(22, window_ms, window_ms, u, UINT32_MAX)                                                     \
    X(23, sealed, sealed, b, 0)

#define RECORD_ROW(bit, name, member, type, max) \
    [bit] = FIELD_ROW(type, struct record, member, max),
static const struct field record_fields[] = {RECORD_FIELDS(RECORD_ROW)};
static const struct field_group record_group = {record_fields, ALL(record_fields)};

/** A proposal is in a wire head and nowhere else. */
static const struct field proposal_fields[] = {
    FIELD_ROW_e(struct proposal, kind, PROPOSAL_KINDS - 1),
    FIELD_ROW_g(struct proposal, record, record_group),
    FIELD_ROW_u(struct proposal, replaces.slot, UINT32_MAX),
    FIELD_ROW_u(struct proposal, replaces.generation, UINT32_MAX),
    FIELD_ROW_u(struct proposal, credential.uid, UINT32_MAX),
    FIELD_ROW_u(struct proposal, credential.gid, UINT32_MAX),
    FIELD_ROW_l(struct proposal, credential.groups, credential.count_groups),
};
static const struct field_group proposal_group = {proposal_fields, ALL(proposal_fields)};

static const struct field run_fields[] = {
    FIELD_ROW_u(struct page_run, page, PAGE_MAX),
    FIELD_ROW_u(struct page_run, count, PAGE_MAX + 1),
    FIELD_ROW_n(struct page_run, owner, NODES_MAX - 1),
    FIELD_ROW_u(struct page_run, readers.words[0], UINT64_MAX),
    FIELD_ROW_b(struct page_run, lost, 0),
    FIELD_ROW_b(struct page_run, busy, 0),
};
static const struct field_group run_group = {run_fields, ALL(run_fields)};

#define WIRE_FIELDS(X)                              \
    X(0, version, version, u, UINT32_MAX)           \
    X(1, node, node, n, NODES_MAX - 1)              \
    X(2, incarnation, incarnation, u, UINT32_MAX)   \
    X(3, error, error, i, INT32_MAX)                \
    X(4, request, request, u, UINT64_MAX)           \
    X(5, revision, revision, u, UINT64_MAX)         \
    X(6, page, page, u, PAGE_MAX)                   \
    X(7, value, value, u, UINT64_MAX)               \
    X(8, slot, id.slot, u, UINT32_MAX)              \
    X(9, generation, id.generation, u, UINT32_MAX)  \
    X(10, run, run, g, run_group)                   \
    X(11, address, address, t, 0)                   \
    X(12, topic, topic, t, 0)                       \
    X(13, text, text, t, 0)                         \
    X(14, record, proposal.record, g, record_group) \
    X(15, proposal, proposal, g, proposal_group)    \
    X(16, machine, machine, g, machine_group)

#define WIRE_ROW(bit, name, member, type, max) [bit] = FIELD_ROW(type, struct wire, member, max),
static const struct field wire_fields[] = {WIRE_FIELDS(WIRE_ROW)};

enum wire_field {
#define WIRE_BIT(bit, name, member, type, max) W_##name = 1 << (bit),
    WIRE_FIELDS(WIRE_BIT)
};
#define W_id (W_slot | W_generation)

/** HELLO keeps its fields in every version: it is how two versions find out that they differ. */
static const uint32_t wire_masks[WIRE_KINDS - WIRE_HELLO] = {
    [WIRE_HELLO - WIRE_HELLO] = W_version | W_node | W_incarnation | W_address,
    [WIRE_BYE - WIRE_HELLO] = W_error | W_text,
    [WIRE_PING - WIRE_HELLO] = 0,
    [WIRE_PONG - WIRE_HELLO] = 0,
    [WIRE_JOIN - WIRE_HELLO] = W_request | W_node | W_incarnation | W_address | W_machine,
    [WIRE_JOINED - WIRE_HELLO] = W_request | W_error | W_text | W_id,
    [WIRE_WATCH - WIRE_HELLO] = W_revision,
    [WIRE_RECORD - WIRE_HELLO] = W_record,
    [WIRE_PROPOSE - WIRE_HELLO] = W_request | W_proposal,
    [WIRE_PROPOSED - WIRE_HELLO] = W_request | W_error | W_id,
    [WIRE_INSPECT - WIRE_HELLO] = W_request | W_id | W_page,
    [WIRE_INSPECTED - WIRE_HELLO] = W_request | W_error | W_id | W_run | W_text,
    [WIRE_QUERY - WIRE_HELLO] = W_request | W_topic,
    [WIRE_ANSWER - WIRE_HELLO] = W_request | W_error | W_value | W_text,
};

static const struct field call_fields[] = {
    FIELD_ROW_e(struct call, kind, CALL_KINDS - 1),
    FIELD_ROW_u(struct call, object, RECORD_NODE),
    FIELD_ROW_u(struct call, oflag, UINT8_MAX),
    FIELD_ROW_u(struct call, op, SYNC_OP_COUNT - 1),
    FIELD_ROW_u(struct call, rights, UINT8_MAX),
    FIELD_ROW_u(struct call, mode, UINT32_MAX),
    FIELD_ROW_u(struct call, page_size, UINT32_MAX),
    FIELD_ROW_u(struct call, home, UINT32_MAX),
    FIELD_ROW_u(struct call, window_ms, UINT32_MAX),
    FIELD_ROW_u(struct call, map, UINT32_MAX),
    FIELD_ROW_u(struct call, handle, UINT64_MAX),
    FIELD_ROW_u(struct call, size_bytes, UINT64_MAX),
    FIELD_ROW_u(struct call, offset, UINT64_MAX),
    FIELD_ROW_u(struct call, value, UINT64_MAX),
    FIELD_ROW_u(struct call, operand, UINT64_MAX),
    FIELD_ROW_i(struct call, timeout_ms, INT64_MAX),
    FIELD_ROW_t(struct call, name, 0),
    FIELD_ROW_t(struct call, type, 0),
};
static const struct field_group call_group = {call_fields, ALL(call_fields)};

#define SESSION_FIELDS(X)                       \
    X(0, version, version, u, UINT32_MAX)       \
    X(1, number, number, u, UINT64_MAX)         \
    X(2, map, map, u, UINT32_MAX)               \
    X(3, address, address, u, UINT64_MAX)       \
    X(4, size_bytes, size_bytes, u, UINT64_MAX) \
    X(5, cursor, cursor, u, UINT64_MAX)         \
    X(6, topic, topic, t, 0)                    \
    X(7, call, call, g, call_group)             \
    X(8, backend, backend, e, SESSION_SIGSEGV)  \
    X(9, why, why, t, 0)

#define SESSION_ROW(bit, name, member, type, max) \
    [bit] = FIELD_ROW(type, struct session_request, member, max),
static const struct field session_fields[] = {SESSION_FIELDS(SESSION_ROW)};

enum session_field {
#define SESSION_BIT(bit, name, member, type, max) S_##name = 1 << (bit),
    SESSION_FIELDS(SESSION_BIT)
};

/** The row of SESSION_REPLY is not here: a reply has a struct of its own. */
static const uint32_t session_masks[SESSION_KINDS - SESSION_HELLO] = {
    [SESSION_HELLO - SESSION_HELLO] = S_number | S_version,
    [SESSION_CALL - SESSION_HELLO] = S_number | S_call,
    [SESSION_ATTACH - SESSION_HELLO] =
        S_number | S_map | S_address | S_size_bytes | S_backend | S_why,
    [SESSION_STATS - SESSION_HELLO] = S_number,
    [SESSION_ADMIN - SESSION_HELLO] = S_number | S_cursor | S_topic,
    [SESSION_FOLLOW - SESSION_HELLO] = S_number | S_map,
};

const char *session_backend_name(uint32_t backend)
{
    static const char *const names[SESSION_BACKENDS] = {
        [SESSION_USERFAULTFD] = "userfaultfd",
        [SESSION_USER_MODE] = "user-mode",
        [SESSION_SIGSEGV] = "sigsegv",
    };

    return backend < SESSION_BACKENDS && names[backend] != NULL ? names[backend] : "unknown";
}

static const struct field reply_fields[] = {
    FIELD_ROW_u(struct session_reply, number, UINT64_MAX),
    FIELD_ROW_u(struct session_reply, cursor, UINT64_MAX),
    FIELD_ROW_u(struct session_reply, value, UINT64_MAX),
    FIELD_ROW_i(struct session_reply, reply.error, INT32_MAX),
    FIELD_ROW_n(struct session_reply, reply.node, NODES_MAX - 1),
    FIELD_ROW_u(struct session_reply, reply.map, UINT32_MAX),
    FIELD_ROW_u(struct session_reply, reply.region.slot, UINT32_MAX),
    FIELD_ROW_u(struct session_reply, reply.region.generation, UINT32_MAX),
    FIELD_ROW_u(struct session_reply, reply.handle, UINT64_MAX),
    FIELD_ROW_u(struct session_reply, reply.size_bytes, UINT64_MAX),
    FIELD_ROW_u(struct session_reply, reply.value, UINT64_MAX),
    FIELD_ROW_u(struct session_reply, reply.page_size, UINT32_MAX),
    FIELD_ROW_u(struct session_reply, reply.mode, UINT32_MAX),
    FIELD_ROW_u(struct session_reply, reply.uid, UINT32_MAX),
    FIELD_ROW_u(struct session_reply, reply.gid, UINT32_MAX),
    FIELD_ROW_u(struct session_reply, reply.home, UINT32_MAX),
    FIELD_ROW_u(struct session_reply, reply.window_ms, UINT32_MAX),
    FIELD_ROW_l(struct session_reply, counters, count_counters),
    FIELD_ROW_t(struct session_reply, text, 0),
};
static const struct field_group reply_group = {reply_fields, ALL(reply_fields)};

/* ---- The groups of each kind; without fields for what is no kind. ---- */

static const struct field_group no_group = {NULL, 0};

static struct field_group message_group(uint32_t kind)
{
    return (struct field_group){message_fields, message_kind_fields(kind)};
}

static bool wire_is_kind(uint32_t kind)
{
    return kind >= WIRE_HELLO && kind < WIRE_KINDS;
}

static struct field_group wire_group(uint32_t kind)
{
    if (!wire_is_kind(kind)) {
        return no_group;
    }
    return (struct field_group){wire_fields, wire_masks[kind - WIRE_HELLO]};
}

static bool session_is_request(uint32_t kind)
{
    return kind >= SESSION_HELLO && kind < SESSION_KINDS &&
           session_masks[kind - SESSION_HELLO] != 0;
}

static struct field_group session_group(uint32_t kind)
{
    if (!session_is_request(kind)) {
        return no_group;
    }
    return (struct field_group){session_fields, session_masks[kind - SESSION_HELLO]};
}

/* ---- Packing: msgpack-c writes straight into the buffer. ---- */

static int packer_write(void *data, const char *bytes, size_t len_bytes)
{
    struct buffer *buffer = data;

    buffer_append(buffer, bytes, len_bytes);
    return buffer->failed ? -1 : 0;
}

static void head_pack(uint32_t kind, const struct field_group *group, const void *base,
                      struct buffer *buffer)
{
    msgpack_packer packer;

    msgpack_packer_init(&packer, buffer, packer_write);
    msgpack_pack_array(&packer, 1 + fields_count(group));
    msgpack_pack_uint32(&packer, kind);
    fields_pack(group, base, &packer);
}

void message_pack(const struct message *message, struct buffer *buffer)
{
    struct field_group group = message_group(message->kind);

    head_pack(message->kind, &group, message, buffer);
}

void wire_pack(const struct wire *wire, struct buffer *buffer)
{
    struct field_group group = wire_group(wire->kind);

    head_pack(wire->kind, &group, wire, buffer);
}

void session_request_pack(const struct session_request *request, struct buffer *buffer)
{
    struct field_group group = session_group(request->kind);

    head_pack(request->kind, &group, request, buffer);
}

void session_reply_pack(const struct session_reply *reply, struct buffer *buffer)
{
    head_pack(SESSION_REPLY, &reply_group, reply, buffer);
}

void record_pack(const struct record *record, struct buffer *buffer)
{
    msgpack_packer packer;

    /* The first field of a record is its kind, so it looks like a head. */
    msgpack_packer_init(&packer, buffer, packer_write);
    msgpack_pack_array(&packer, fields_count(&record_group));
    fields_pack(&record_group, record, &packer);
}

/* ---- Unpacking. ---- */

/** Start to read a head: its array's count and its kind. */
static uint32_t head_begin(struct reader *reader, const uint8_t *bytes, size_t len_bytes,
                           uint32_t *count)
{
    *reader = (struct reader){.next = bytes, .end = bytes + len_bytes};
    *count = reader_array(reader);
    return (uint32_t)reader_uint(reader, UINT32_MAX);
}

uint32_t head_kind(const uint8_t *bytes, size_t len_bytes)
{
    struct reader reader;
    uint32_t count;
    uint32_t kind;

    if (len_bytes == 0) {
        return 0;
    }
    kind = head_begin(&reader, bytes, len_bytes, &count);
    return reader.failed || count == 0 ? 0 : kind;
}

/** Does the reader stand at the end, and did the array have one kind and the group's fields? */
static bool head_is_whole(const struct reader *reader, uint32_t count,
                          const struct field_group *group)
{
    return !reader->failed && reader->next == reader->end && count == 1 + fields_count(group);
}

/** Walk over the values of a head whose kind was read, without storing them. */
static bool head_check(struct reader reader, uint32_t count, const struct field_group *group)
{
    fields_unpack(group, NULL, &reader);
    return head_is_whole(&reader, count, group);
}

int message_unpack(const uint8_t *bytes, size_t len_bytes, struct message *message)
{
    struct message unpacked = {0};
    struct field_group group;
    struct reader reader;
    uint32_t count;
    uint32_t kind;

    if (len_bytes == 0) {
        return DSM_EPROTO;
    }
    kind = head_begin(&reader, bytes, len_bytes, &count);
    group = message_group(kind);
    if (group.mask == 0) {
        return DSM_EPROTO;
    }
    /* A message is small: one pass into a copy is cheaper than a pass before. */
    fields_unpack(&group, &unpacked, &reader);
    if (!head_is_whole(&reader, count, &group)) {
        return DSM_EPROTO;
    }
    unpacked.kind = (uint8_t)kind;
    *message = unpacked;
    return 0;
}

int wire_unpack(const uint8_t *bytes, size_t len_bytes, struct wire *wire)
{
    struct field_group group;
    struct reader reader;
    uint32_t count;
    uint32_t kind;

    if (len_bytes == 0) {
        return DSM_EPROTO;
    }
    kind = head_begin(&reader, bytes, len_bytes, &count);
    group = wire_group(kind);
    if (!wire_is_kind(kind) || !head_check(reader, count, &group)) {
        return DSM_EPROTO;
    }
    *wire = (struct wire){.kind = kind};
    fields_unpack(&group, wire, &reader);
    return 0;
}

int session_request_unpack(const uint8_t *bytes, size_t len_bytes, struct session_request *request)
{
    struct field_group group;
    struct reader reader;
    uint32_t count;
    uint32_t kind;

    if (len_bytes == 0) {
        return DSM_EPROTO;
    }
    kind = head_begin(&reader, bytes, len_bytes, &count);
    group = session_group(kind);
    if (!session_is_request(kind) || !head_check(reader, count, &group)) {
        return DSM_EPROTO;
    }
    *request = (struct session_request){.kind = kind};
    fields_unpack(&group, request, &reader);
    return 0;
}

int session_reply_unpack(const uint8_t *bytes, size_t len_bytes, struct session_reply *reply)
{
    struct reader reader;
    uint32_t count;
    uint32_t kind;

    if (len_bytes == 0) {
        return DSM_EPROTO;
    }
    kind = head_begin(&reader, bytes, len_bytes, &count);
    if (kind != SESSION_REPLY || !head_check(reader, count, &reply_group)) {
        return DSM_EPROTO;
    }
    /* All but the text, which is long, mostly empty, and terminated. */
    memset(reply, 0, offsetof(struct session_reply, text));
    fields_unpack(&reply_group, reply, &reader);
    reply->text_bytes = strlen(reply->text);
    return 0;
}

int record_unpack(const uint8_t *bytes, size_t len_bytes, struct record *record)
{
    struct reader reader = {.next = bytes, .end = bytes + len_bytes};
    struct reader check;
    uint32_t count;

    if (len_bytes == 0) {
        return DSM_EPROTO;
    }
    count = reader_array(&reader);
    check = reader;
    fields_unpack(&record_group, NULL, &check);
    if (check.failed || check.next != check.end || count != fields_count(&record_group)) {
        return DSM_EPROTO;
    }
    memset(record, 0, sizeof(*record));
    fields_unpack(&record_group, record, &reader);
    return 0;
}
