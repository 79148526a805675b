/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Messages <-> bytes, in msgpack. One head is a msgpack array: its kind, then the kind's fields in
 * the order of their bits, flat. Packing is msgpack-c's. Unpacking is one bounded walk that accepts
 * only an array of the right length, without nesting, with the types and up to the largest values
 * that the tables in codec.c name, whose strings end inside the bytes, and nothing after it; see
 * net/fields.h for why msgpack-c's parser (its #1013) is not used on what came from the network.
 * Page bytes never come through here.
 */
#ifndef DSM_NET_CODEC_H
#define DSM_NET_CODEC_H

#include "dsm/core/message.h"
#include "dsm/core/node.h"
#include "dsm/core/record.h"
#include "net/buffer.h"

/** Bytes of a head at most. */
#define HEAD_BYTES_MAX 4096u
/** Bytes of a text field at most. */
#define TEXT_BYTES_MAX 1024u
/** Bytes of page data beside one head at most: one page of the largest size. */
#define PAYLOAD_BYTES_MAX (2u << 20)
/** The version of the session protocol between libdsm and the agent. */
#define SESSION_VERSION 1u

/** Kinds of heads between agents that are not protocol messages. */
enum wire_kind {
    WIRE_HELLO = 64, /* first on every link, both ways */
    WIRE_BYE,        /* error, text: why the link is closed now */
    WIRE_PING,       /* nothing; answered with PONG */
    WIRE_PONG,
    WIRE_JOIN,      /* -> keeper: request, node, incarnation, address, machine: let me be a
                       member */
    WIRE_JOINED,    /* keeper ->: request, error, text, id.slot: your node number */
    WIRE_WATCH,     /* -> keeper: revision: send me all records changed after it, and go on */
    WIRE_RECORD,    /* keeper ->: record */
    WIRE_PROPOSE,   /* -> keeper: request, proposal */
    WIRE_PROPOSED,  /* keeper ->: request, error, id */
    WIRE_INSPECT,   /* -> home: request, id, page: what do you know of these pages */
    WIRE_INSPECTED, /* home ->: request, error, id, one run (count 0: that was all), text */
    WIRE_QUERY,     /* -> agent: request, topic: admin JSON of that agent */
    WIRE_ANSWER,    /* agent ->: request, error, text: a piece of the JSON; value 1: more follows */
    WIRE_KINDS,
};

/** A head between agents that is not a protocol message. Which members count: see wire_kind. */
struct wire {
    uint32_t kind;
    uint32_t version;     /* HELLO: PROTOCOL_VERSION of the sender */
    uint32_t node;        /* HELLO: the sender's node number, NODE_NONE before it has joined */
    uint32_t incarnation; /* HELLO, JOIN */
    int32_t error;
    uint64_t request;
    uint64_t revision;
    uint64_t page; /* INSPECT */
    uint64_t value;
    region_id id;
    struct node_kind machine;           /* JOIN */
    struct page_run run;                /* INSPECTED */
    char address[RECORD_ADDRESS_BYTES]; /* HELLO, JOIN: where the sender listens */
    char topic[RECORD_NAME_BYTES];      /* QUERY */
    char text[TEXT_BYTES_MAX];
    struct proposal proposal; /* PROPOSE; RECORD uses proposal.record */
};

/** What a local program sends to its agent, one packet each. */
enum session_kind {
    SESSION_HELLO = 128, /* version -> text: the node's name; with a descriptor of /dev/userfaultfd
                            when the agent has one (value 1) */
    SESSION_CALL,        /* call -> reply; MAP: with the region's memfd; STAT: text is its type */
    SESSION_ATTACH, /* map, address, size_bytes, backend, why, with what the back end gives away ->
                       error 0 once no thread can write there */
    SESSION_STATS,  /* -> counters */
    SESSION_ADMIN,  /* topic, cursor -> text: a piece of JSON; cursor of the next piece, 0: that
                       was all */
    SESSION_REPLY,  /* the agent's answer to any of them */
    SESSION_FOLLOW, /* map -> error; with the descriptor of a net/stale_map.h (value 1) */
    SESSION_KINDS,
};

/** How the touch of an absent page in a mapping reaches the agent; best first. */
enum session_backend {
    SESSION_USERFAULTFD = 1, /* with ATTACH: a userfaultfd that serves system calls as well */
    SESSION_USER_MODE,       /* with ATTACH: a userfaultfd that does not */
    SESSION_SIGSEGV,         /* with ATTACH: one end of a net/fault_channel.h */
    SESSION_BACKENDS,
};

/** Bytes of a session packet at most. */
#define SESSION_PACKET_MAX (48u << 10)
/** Bytes of a request at most. */
#define SESSION_REQUEST_MAX 2048u
/** Bytes of the text of a reply at most. */
#define SESSION_TEXT_MAX (32u << 10)
#define SESSION_COUNTERS_MAX 32u
/** Bytes of a topic, a word and a name, with the final NUL. */
#define SESSION_TOPIC_BYTES (RECORD_NAME_BYTES + 32)
/** Bytes of a reason, with the final NUL. */
#define SESSION_WHY_BYTES 384u

struct session_request {
    uint32_t kind;
    uint32_t version;                /* HELLO */
    uint64_t number;                 /* of the request; the reply has the same */
    map_id map;                      /* ATTACH */
    uint64_t address;                /* ATTACH: in the client */
    uint64_t size_bytes;             /* ATTACH: MAP's length in whole hardware pages */
    uint32_t backend;                /* ATTACH: enum session_backend */
    char why[SESSION_WHY_BYTES];     /* ATTACH: not a better one; empty: it is the best */
    uint64_t cursor;                 /* ADMIN */
    char topic[SESSION_TOPIC_BYTES]; /* ADMIN: "status", "nodes", "regions", "region /NAME", ... */
    struct call call;                /* CALL; the credential is never on the wire */
};

struct session_reply {
    uint64_t number;
    uint64_t cursor;
    uint64_t value;
    struct reply reply;
    uint32_t count_counters;
    uint64_t counters[SESSION_COUNTERS_MAX]; /* in the order of DSM_COUNTERS */
    size_t text_bytes;                       /* strlen(text); set by unpacking */
    char text[SESSION_TEXT_MAX];             /* what went wrong, or JSON; terminated */
};

/**
 * Pack a protocol message (all fields of its kind); sets buffer->failed without memory. Texts are
 * cut where their member ends; what has no kind is packed as a head that nobody unpacks.
 */
void message_pack(const struct message *message, struct buffer *buffer);
/**
 * Unpack a protocol message. `from` and `to` are left 0: the link knows them.
 *
 * @message written on success only; members that the kind does not have are 0
 *
 * Errors: DSM_EPROTO  not exactly one legal head of a protocol message in len_bytes
 */
int message_unpack(const uint8_t *bytes, size_t len_bytes, struct message *message);

/** Pack and unpack a wire head; as message_pack() and message_unpack(). */
void wire_pack(const struct wire *wire, struct buffer *buffer);
int wire_unpack(const uint8_t *bytes, size_t len_bytes, struct wire *wire);

/** The kind of a head without unpacking it, 0 when the bytes are no head. */
uint32_t head_kind(const uint8_t *bytes, size_t len_bytes);

/** The word for a back end, as DSM_FAULTS has it; "unknown" for what is none. Static. */
const char *session_backend_name(uint32_t backend);

/** Pack and unpack the session's packets; as message_pack() and message_unpack(). */
void session_request_pack(const struct session_request *request, struct buffer *buffer);
int session_request_unpack(const uint8_t *bytes, size_t len_bytes, struct session_request *request);
void session_reply_pack(const struct session_reply *reply, struct buffer *buffer);
int session_reply_unpack(const uint8_t *bytes, size_t len_bytes, struct session_reply *reply);

/** A record as bytes (for the catalog's store) and back; as message_pack() and message_unpack(). */
void record_pack(const struct record *record, struct buffer *buffer);
int record_unpack(const uint8_t *bytes, size_t len_bytes, struct record *record);

#endif
