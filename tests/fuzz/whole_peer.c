/* SPDX-License-Identifier: Apache-2.0 */
/* The other agents of whole_agent.h: heads and messages, right and wrong, and the catalog's file.
 */
#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "agent/catalog_store.h"
#include "dsm.h"
#include "tests/fuzz/played_peers.h"
#include "tests/fuzz/whole_parts.h"

#define PAGE 4096u
#define PAYLOAD_PAGES_MAX 4u

/** Incarnations of the peers: two of each name, so that one can replace the other. */
static uint32_t incarnation_of(uint8_t which)
{
    return 100u + which % 2;
}

static void name_of(uint32_t which, char *name, size_t room_bytes)
{
    snprintf(name, room_bytes, "node-%u", which % PLAYED_PEERS / 2);
}

/* A region's record that the agent knows, or an invented one. */
static void record_draw(struct whole *whole, struct input *input, struct record *record)
{
    uint8_t way = input_byte(input);
    const struct record *known = NULL;
    uint32_t cursor = 0;

    if (whole->agent->driver) {
        for (uint32_t i = 0; i <= way % 4u; i++) {
            known = node_records(driver_node(whole->agent->driver), &cursor);
        }
    }
    *record = known ? *known : (struct record){.kind = RECORD_REGION, .page_size = PAGE};
    if (way & 4) {
        record->kind = (uint8_t)(input_byte(input) % 4);
    }
    if (way & 8) {
        snprintf(record->name, sizeof(record->name), "/%c", 'a' + input_byte(input) % 4);
    }
    if (way & 16) {
        record->size_bytes = input_edge(input, UINT64_MAX);
        record->page_size = (uint32_t)input_edge(input, UINT32_MAX);
        record->home = (uint32_t)input_edge(input, 4);
    }
    if (way & 32) {
        record->readers = nodeset_of(input_byte(input) % 4);
        record->writers = nodeset_of(input_byte(input) % 4);
        record->homes = nodeset_of(input_byte(input) % 4);
    }
    if (way & 64) {
        record->id.slot = (uint32_t)input_edge(input, UINT32_MAX);
        record->id.generation = (uint32_t)input_edge(input, UINT32_MAX);
        record->alive = input_byte(input) % 2;
        record->epoch = input_byte(input) % 8;
    }
    if (way & 128) {
        record->unlinked = input_byte(input) % 2;
        record->deleted = input_byte(input) % 2;
        record->mode = (uint32_t)input_edge(input, 0777);
    }
}

/* What members send to the keeper, and the keeper to members. */
static void wire_draw(struct whole *whole, struct input *input, struct wire *wire)
{
    uint8_t way = input_byte(input);

    *wire = (struct wire){.kind = WIRE_JOIN + input_byte(input) % (WIRE_KINDS - WIRE_JOIN)};
    wire->node = NODE_NONE;
    wire->incarnation = incarnation_of(way);
    wire->request = way & 4 ? played_last_request(whole->agent->peers) : input_byte(input);
    wire->revision = input_edge(input, UINT64_MAX);
    wire->page = input_edge(input, UINT64_MAX);
    wire->value = input_byte(input) % 2;
    wire->error = way & 8 ? -(int32_t)(input_byte(input) % 40) : 0;
    wire->id.slot = way & 16 ? (uint32_t)input_edge(input, UINT32_MAX) : 1;
    snprintf(wire->address, sizeof(wire->address), "192.0.2.3:7400");
    record_draw(whole, input, &wire->proposal.record);
    wire->proposal.kind = (uint8_t)(1 + way / 32 % (PROPOSAL_KINDS - 1));
    wire->proposal.credential.uid = input_byte(input) % 3 * 1000;
    if (way & 64) {
        wire->proposal.replaces = wire->proposal.record.id;
    }
    if (wire->kind == WIRE_RECORD) {
        wire->proposal.record.revision = wire->revision;
    } else if (way & 128) {
        wire->proposal.record.revision = wire->revision;
    }
    if (wire->kind == WIRE_ANSWER || wire->kind == WIRE_INSPECTED || wire->kind == WIRE_QUERY) {
        input_text(input, wire->text, sizeof(wire->text));
        snprintf(wire->topic, sizeof(wire->topic), "%.60s", wire->text);
        wire->id = wire->proposal.record.id;
        wire->run = (struct page_run){.page = wire->page % (1u << 20), .count = way % 9};
    } else if (wire->kind == WIRE_INSPECT) {
        wire->id = wire->proposal.record.id;
    }
}

/* Only what the codec lets through reaches an agent. */
static void wire_send(struct whole *whole, struct peer *peer, const struct wire *wire)
{
    struct buffer head = {0};
    struct wire came;

    wire_pack(wire, &head);
    if (wire_unpack(buffer_data(&head), buffer_len(&head), &came) == 0) {
        played_wire(whole->agent->peers, peer, &came);
    }
    buffer_close(&head);
}

static void head_send(struct whole *whole, struct peer *peer, struct input *input)
{
    static const uint8_t payload[PAYLOAD_PAGES_MAX * PAGE];
    uint32_t pages = input_byte(input) % (PAYLOAD_PAGES_MAX + 1);
    const uint8_t *bytes;
    size_t len_bytes = input_piece(input, &bytes);
    struct message message;
    struct wire wire;

    if (message_unpack(bytes, len_bytes, &message) == 0) {
        bool may_carry = message_kind_has_payload(message.kind);

        played_message(whole->agent->peers, peer, &message, payload, may_carry ? pages * PAGE : 0);
    } else if (wire_unpack(bytes, len_bytes, &wire) == 0) {
        played_wire(whole->agent->peers, peer, &wire);
    }
}

/* A message about a region that there is, with numbers that are near those in use. */
static void message_send(struct whole *whole, struct peer *peer, struct input *input)
{
    static const uint8_t payload[PAYLOAD_PAGES_MAX * PAGE];
    struct record record;
    struct message message = {.kind = (uint8_t)(1 + input_byte(input) % (MESSAGE_KINDS - 1))};
    size_t payload_bytes;

    record_draw(whole, input, &record);
    message.region = record.id;
    message.flags = input_byte(input);
    message.op = (uint8_t)(input_byte(input) % SYNC_OP_COUNT);
    message.epoch = whole->agent->driver ? node_epoch(driver_node(whole->agent->driver)) : 0;
    message.page = input_edge(input, 40);
    message.count = (uint16_t)(1 + input_byte(input) % PAYLOAD_PAGES_MAX);
    message.granted = message.count;
    message.requester = input_byte(input) % 4;
    message.request = input_edge(input, UINT32_MAX) * NODES_MAX + input_byte(input) % 4;
    message.floor = message.request / NODES_MAX;
    message.version = input_edge(input, UINT64_MAX);
    message.have = input_edge(input, UINT64_MAX);
    message.offset = message.page * PAGE;
    message.value = input_edge(input, UINT64_MAX);
    message.error = -(int32_t)(input_byte(input) % 40);
    payload_bytes = message_kind_has_payload(message.kind) ? message.count * (size_t)PAGE : 0;
    played_message(whole->agent->peers, peer, &message, payload, payload_bytes);
}

void whole_peer_step(struct whole *whole, struct input *input)
{
    struct peers *peers = whole->agent->peers;
    uint8_t step = input_byte(input);
    uint32_t which = step / 16 % PLAYED_PEERS;
    struct peer *peer = played_peer(peers, which);
    bool is_kept = which == 0 && whole->config.keeper[0] != 0;
    struct wire wire;
    char name[32];

    name_of(which, name, sizeof(name));
    if (peer == NULL) {
        played_up(peers, which, name, incarnation_of(step / 64), is_kept);
        return;
    }
    switch (step % 16) {
    case 0:
        played_down(peers, which, input_byte(input) % 2);
        break;
    case 1:
    case 2:
        head_send(whole, peer, input);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        message_send(whole, peer, input);
        break;
    case 7:
        wire = (struct wire){.kind = WIRE_JOIN, .request = 1, .node = NODE_NONE};
        wire.incarnation = incarnation_of(step / 64);
        wire.machine = (struct node_kind){.page_bytes = PAGE, .word_bits = 64};
        snprintf(wire.address, sizeof(wire.address), "192.0.2.3:7400");
        wire_send(whole, peer, &wire);
        break;
    default:
        wire_draw(whole, input, &wire);
        wire_send(whole, peer, &wire);
        break;
    }
}

void catalog_make(const char *directory, const uint8_t *body, size_t len_bytes)
{
    char path[128], text[TEXT_BYTES_MAX];
    struct record_list changes = {0};
    struct proposal proposal = {
        .kind = PROPOSAL_CREATE,
        .record = {.kind = RECORD_REGION, .mode = 0600, .page_size = PAGE, .name = "/a"}};
    struct joiner joiner = {.machine = {.page_bytes = PAGE, .word_bits = 64}};
    struct catalog_store *store;
    sqlite3_stmt *statement;
    sqlite3 *db;
    region_id id;
    uint32_t node;

    snprintf(path, sizeof(path), "%s/catalog.db", directory);
    require(catalog_store_open(path, 1 << 20, &store, text) == 0);
    joiner.name = PLAYED_SELF;
    joiner.address = "192.0.2.9:7400";
    joiner.incarnation = 7;
    require(catalog_store_join(store, &joiner, &changes, &node) == 0);
    joiner.name = "node-0";
    joiner.address = "192.0.2.1:7400";
    joiner.incarnation = 100;
    require(catalog_store_join(store, &joiner, &changes, &node) == 0);
    proposal.record.readers = proposal.record.writers = nodeset_of(node);
    require(catalog_store_propose(store, node, 1, &proposal, &changes, &id) == 0);
    catalog_store_close(store);
    record_list_close(&changes);
    if (len_bytes > 0) {
        require(sqlite3_open(path, &db) == SQLITE_OK);
        require(sqlite3_prepare_v2(db,
                                   "UPDATE records SET body = ?1 WHERE space = ?2 AND slot = ?3",
                                   -1, &statement, NULL) == SQLITE_OK);
        sqlite3_bind_blob(statement, 1, body + 1, (int)len_bytes - 1, SQLITE_STATIC);
        sqlite3_bind_int(statement, 2, body[0] % 2);
        sqlite3_bind_int(statement, 3, body[0] / 2 % 2);
        require(sqlite3_step(statement) == SQLITE_DONE);
        sqlite3_finalize(statement);
        sqlite3_close(db);
    }
}
