/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The vocabulary: every message that one agent sends to another, in one list. The codec (net), the
 * dispatch table (core/node.c), the transcripts and the counters are all made from it.
 */
#ifndef DSM_CORE_MESSAGE_H
#define DSM_CORE_MESSAGE_H

#include "dsm/core/types.h"

/** The version of this vocabulary; a peer with another one is refused at the first message. */
#define PROTOCOL_VERSION 1u

/**
 * Fields of a message: bit, name, member of struct message, type in the codec (u = unsigned of 64
 * bits at most, i = signed of 32 bits), largest legal value.
 */
#define MESSAGE_FIELDS(X)                                                                          \
    X(0, flags, flags, u, 0x3ff)                                                                   \
    X(1, epoch, epoch, u, UINT32_MAX)                                                              \
    X(2, request, request, u, UINT64_MAX)                                                          \
    X(3, floor, floor, u, UINT64_MAX)                                                              \
    X(4, slot, region.slot, u, UINT32_MAX)                                                         \
    X(5, generation, region.generation, u, UINT32_MAX)                                             \
    X(6, page, page, u, (UINT64_C(1) << 52) - 1)                                                   \
    X(7, count, count, u, RANGE_PAGES_MAX)                                                         \
    X(8, granted, granted, u, RANGE_PAGES_MAX)                                                     \
    X(9, version, version, u, UINT64_MAX)                                                          \
    X(10, have, have, u, UINT64_MAX)                                                               \
    X(11, requester, requester, u, NODES_MAX - 1)                                                  \
    X(12, op, op, u, 0xff)                                                                         \
    X(13, offset, offset, u, UINT64_MAX)                                                           \
    X(14, value, value, u, UINT64_MAX)                                                             \
    X(15, operand, operand, u, UINT64_MAX)                                                         \
    X(16, error, error, i, INT32_MAX)

enum message_field {
#define MESSAGE_FIELD_BIT(bit, name, member, type, max) FIELD_##name = 1u << (bit),
    MESSAGE_FIELDS(MESSAGE_FIELD_BIT)
#undef MESSAGE_FIELD_BIT
};

/** The fields that every protocol message has. */
#define FIELDS_COMMON                                                                              \
    (FIELD_flags | FIELD_epoch | FIELD_request | FIELD_slot | FIELD_generation | FIELD_page |      \
     FIELD_count)

/**
 * Kinds of protocol messages: number, name, fields, may it carry page bytes.
 *
 * A `version` is the number of the transfer that granted a copy, counted by the home over all its
 * pages: a copy is current when its version is not below that of the page's last write grant.
 *
 *   READ, WRITE   requester -> home   give me [page, count) to read, to write; `have`: the oldest
 *                                     version of the copies I hold (0 none); `floor`: all my
 *                                     requests below are closed
 *   FORWARD       home -> owner       send your bytes of [page, count) to `requester`; `version` is
 *                                     that of the transfer, above that of your copy
 *   DATA          owner -> requester  bytes of [page, count) out of `granted` pages of the request
 *   GRANT         home -> requester   every other copy is gone, or: the pages are zero (FLAG_ZERO)
 *   INVALIDATE    home -> reader      drop your copy if it is older than `version`
 *   INVALIDATED   reader -> home      it is gone
 *   NOT_HERE      owner -> home       I have no copies of these pages (any more), so I have sent
 *                                     none of the transfer's; with FLAG_COPY: I still keep bytes
 *                                     for that transfer: RELEASE me if it is closed
 *   CONFIRM       requester -> home   installed; the transfer is closed by this and nothing else
 *   RELEASE       home -> old owner   the new owner has it: forget the bytes that you kept
 *   LEAVE         owner -> home       I want to be rid of this page
 *   TAKE          home -> leaver      send it to `requester` (your home) now
 *   LOST          home -> requester   the only copy died with node `requester` (DSM_EDOWN), or this
 *                                     request is refused and forgotten: ask anew (any other error)
 *   SYNC          requester -> home   lock, unlock, wait, post, barrier, fetch-add ... (`op`)
 *   SYNC_REPLY    home -> requester   its outcome: `error`, `value`; with FLAG_QUEUED: still
 *                                     waiting here
 *   SYNC_ACK      requester -> home   I have the outcome of a request that you had called queued
 *   ADOPT         home -> reader      the owner died: be the owner; answered by CONFIRM or NOT_HERE
 *   ASK           home -> requester   your source died or has nothing: CONFIRM if you have all,
 *                                     else drop what has come and say NOT_HERE
 *   ATOMIC        home -> own node    fetch-add or compare-and-swap for `requester` on the home's
 *                                     copy
 *   ATOMIC_DONE   own node -> home    its outcome
 *   RECALL        home -> holder      others want the mutex that you have by LOCK `request`: UNLOCK
 *                                     it as soon as no program of yours holds it
 *   HELD          holder -> home      the answer to RECALL: a program holds it; UNLOCK will come
 *   BARRIER_OVER  any -> node         round `version` of the barrier at `offset` is over; tell
 *                                     nodes [operand, value), of which you are the first
 *   PULL          requester -> holder [page, count) of a sealed region (sealed.h); with FLAG_COPY:
 *                                     only what you have; `requester`: a node that is no good as
 *                                     my parent, or myself
 *   SEAT          holder -> requester I have not sent all that you asked me for: ask `requester`
 *                                     from now on; or `error` says why I send nothing
 *   SEAL          sealer -> home      do you know that the region is sealed?
 *   SEALED        home -> sealer      yes
 */
#define MESSAGES(X)                                                                                \
    X(1, READ, FIELDS_COMMON | FIELD_floor | FIELD_have, false)                                    \
    X(2, WRITE, FIELDS_COMMON | FIELD_floor | FIELD_have, false)                                   \
    X(3, FORWARD, FIELDS_COMMON | FIELD_requester | FIELD_version, false)                          \
    X(4, DATA, FIELDS_COMMON | FIELD_granted | FIELD_version, true)                                \
    X(5, GRANT, FIELDS_COMMON | FIELD_granted | FIELD_version, false)                              \
    X(6, INVALIDATE, FIELDS_COMMON | FIELD_requester | FIELD_version, false)                       \
    X(7, INVALIDATED, FIELDS_COMMON | FIELD_requester, false)                                      \
    X(8, NOT_HERE, FIELDS_COMMON | FIELD_requester, false)                                         \
    X(9, CONFIRM, FIELDS_COMMON | FIELD_version, false)                                            \
    X(10, RELEASE, FIELDS_COMMON | FIELD_requester | FIELD_version, false)                         \
    X(11, LEAVE, FIELDS_COMMON | FIELD_floor | FIELD_version, false)                               \
    X(12, TAKE, FIELDS_COMMON | FIELD_requester | FIELD_version, false)                            \
    X(13, LOST, FIELDS_COMMON | FIELD_granted | FIELD_requester | FIELD_error, false)              \
    X(14, SYNC,                                                                                    \
      FIELDS_COMMON | FIELD_floor | FIELD_op | FIELD_offset | FIELD_value | FIELD_operand, false)  \
    X(15, SYNC_REPLY, FIELDS_COMMON | FIELD_op | FIELD_value | FIELD_error, false)                 \
    X(16, SYNC_ACK, FIELDS_COMMON, false)                                                          \
    X(17, ATOMIC,                                                                                  \
      FIELDS_COMMON | FIELD_requester | FIELD_op | FIELD_offset | FIELD_value | FIELD_operand,     \
      false)                                                                                       \
    X(18, ATOMIC_DONE, FIELDS_COMMON | FIELD_requester | FIELD_value | FIELD_error, false)         \
    X(19, ADOPT, FIELDS_COMMON | FIELD_version, false)                                             \
    X(20, ASK, FIELDS_COMMON, false)                                                               \
    X(21, RECALL, FIELDS_COMMON | FIELD_offset, false)                                             \
    X(22, HELD, FIELDS_COMMON, false)                                                              \
    X(25, BARRIER_OVER,                                                                            \
      FIELDS_COMMON | FIELD_version | FIELD_offset | FIELD_value | FIELD_operand, false)           \
    X(35, PULL, FIELDS_COMMON | FIELD_requester, false)                                            \
    X(36, SEAT, FIELDS_COMMON | FIELD_requester | FIELD_error, false)                              \
    X(37, SEAL, FIELDS_COMMON, false)                                                              \
    X(38, SEALED, FIELDS_COMMON, false)

enum message_kind {
    MESSAGE_NONE = 0,
#define MESSAGE_ENUM(number, name, fields, payload) MESSAGE_##name = number,
    MESSAGES(MESSAGE_ENUM)
#undef MESSAGE_ENUM
    MESSAGE_KINDS,
};

/** Bits of message.flags. */
enum message_flag {
    FLAG_WRITE = 1,  /* FORWARD, DATA, LOST: the request is a write request */
    FLAG_GRANT = 2,  /* FORWARD, DATA: a GRANT comes as well; do not write before it */
    FLAG_ZERO = 4,   /* GRANT: the pages were never written: they are zero */
    FLAG_COPY = 8,   /* GRANT: your own copy is current: no bytes come; NOT_HERE, PULL: see there;
                        DATA: of a sealed region, nobody waits for a CONFIRM */
    FLAG_LEAVE = 16, /* DATA, CONFIRM: the bytes are of a page that leaves its owner for its home */
    FLAG_ADOPT = 64, /* CONFIRM, NOT_HERE: the answer to ADOPT */
    FLAG_WAITED = 128, /* from the home: the transfer had to wait for the one before */
    FLAG_BIG_ENDIAN = 256, /* DATA: the bytes are in the order of a big-endian node */
    FLAG_QUEUED = 32, /* SYNC_REPLY: no outcome yet, the home remembers you: need not ask again */
    FLAG_WANTED = 512, /* SYNC_REPLY to LOCK: others wait for it: as if RECALL had come with it */
};

/** May a message be held back until another one goes to the same node? */
enum may_wait {
    MAY_WAIT_NOT = 0, /* somebody waits for it */
    MAY_WAIT_SHORTLY, /* somebody may come to wait for it: as long as others get the CPU once */
    MAY_WAIT_LONG,    /* nobody ever waits for it, it ends a matter: for milliseconds */
};

/** One protocol message. The bytes of its pages travel beside it, never in it. */
struct message {
    uint8_t kind;  /* enum message_kind */
    uint8_t op;    /* enum sync_op */
    uint16_t flags; /* enum message_flag */
    uint16_t from; /* sender; set by the receiver's link from the certificate, not from bytes */
    uint16_t to;
    uint16_t requester;
    uint16_t count;
    uint16_t granted;
    int32_t error; /* 0 or DSM_E... */
    uint32_t epoch;
    region_id region;
    uint64_t request; /* the requester's id: sequence number * NODES_MAX + number of the home */
    uint64_t floor;
    uint64_t page;
    uint64_t version;
    uint64_t have;
    uint64_t offset;
    uint64_t value;
    uint64_t operand;
};

/** The name of a kind, "?" for none; a static string. */
const char *message_kind_name(uint32_t kind);
/** The fields that a kind has, 0 for no kind. */
uint32_t message_kind_fields(uint32_t kind);
/** May the kind carry page bytes? */
bool message_kind_has_payload(uint32_t kind);

/** Operations on synchronisation objects; the object is (region, offset). */
#define SYNC_OPS(X)                                                                                \
    X(1, LOCK)       /* operand 1: not if it has to wait for a program */                          \
    X(2, UNLOCK)     /* operand: request id of the LOCK */                                         \
    X(3, UNLOCK_DEAD) /* the same, because the holder died */                                      \
    X(4, SEM_WAIT)   /* value 1: do not wait */                                                    \
    X(5, SEM_POST)                                                                                 \
    X(6, SEM_VALUE)                                                                                \
    X(7, BARRIER)    /* value: parties */                                                          \
    X(8, FETCH_ADD)  /* value: delta */                                                            \
    X(9, COMPARE_SWAP) /* value: desired, operand: expected */                                     \
    X(10, CANCEL)    /* give up the op of this very request id; its SYNC_REPLY says how it ended */

enum sync_op {
    SYNC_NONE = 0,
#define SYNC_ENUM(number, name) SYNC_##name = number,
    SYNC_OPS(SYNC_ENUM)
#undef SYNC_ENUM
    SYNC_OP_COUNT,
};

#endif
