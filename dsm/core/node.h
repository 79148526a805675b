/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The core is one function: node_step(node, event, actions). Time comes in with the event, all
 * effects go out as an ordered array of actions, node_deadline() says when to call next. No system
 * call, no clock, no allocation: memory comes from what the driver supplied between steps. The
 * libuv agent and the tests' cluster drive the same code. (Shape: cowsql/raft raft_step.)
 *
 * The driver's duties
 *   1. Before each step:  while ((bytes = node_wants(node)) != 0) node_supply(node, zeroed memory).
 *   2. Execute the actions of a step in order, each to its end, before the next step.
 *   3. Step again at once while node_deadline() is not after now.
 *   4. `payload` of a MESSAGE event stays valid until the step's actions have been executed.
 */
#ifndef DSM_CORE_NODE_H
#define DSM_CORE_NODE_H

#include "dsm/core/message.h"
#include "dsm/core/record.h"

struct node;

/** A local program's session with the agent; numbers are the driver's, never 0. */
typedef uint32_t client_id;
/** A mapping of a local program; numbers are the core's, never 0. */
typedef uint32_t map_id;

/** What a local program may ask. */
enum call_kind {
    CALL_NONE = 0,
    CALL_OPEN,     /* name, object, oflag, mode, page_size, home, window_ms, value, type -> handle,
                      id, sizes */
    CALL_CLOSE,    /* handle */
    CALL_TRUNCATE, /* handle, size_bytes */
    CALL_STAT,     /* handle -> record */
    CALL_MAP,      /* handle, offset, size_bytes, rights -> map, id, size_bytes */
    CALL_UNMAP,    /* map */
    CALL_UNLINK,   /* name, object */
    CALL_SYNC,     /* handle, op, offset, value, operand, timeout_ms -> value; UNLOCK: value 1:
                      nobody waits for the reply */
    CALL_TOKENS,   /* handle -> value: the client's number in its region's table (token_word.h) */
    CALL_SEAL,     /* handle */
    CALL_ADVISE,   /* handle, offset, size_bytes, op: enum dsm_advice */
    CALL_BIND,     /* handle, value: the mutex at that offset, offset, size_bytes (0: nothing) */
    CALL_KINDS,
};

/** Bits of call.oflag. */
enum call_oflag {
    CALL_OFLAG_WRITE = 1,
    CALL_OFLAG_CREATE = 2,
    CALL_OFLAG_EXCLUSIVE = 4,
    CALL_OFLAG_TRUNCATE = 8,
};

/** A call of a local program. */
struct call {
    uint8_t kind;   /* enum call_kind */
    uint8_t object; /* OPEN, UNLINK: RECORD_REGION or RECORD_SEM */
    uint8_t oflag;  /* enum call_oflag */
    uint8_t op;     /* enum sync_op; ADVISE: enum dsm_advice */
    uint8_t rights; /* MAP: enum rights */
    uint32_t mode;
    uint32_t page_size;
    uint32_t home;
    uint32_t window_ms;
    map_id map;
    uint64_t handle;
    uint64_t size_bytes;
    uint64_t offset;
    uint64_t value;
    uint64_t operand;
    int64_t timeout_ms; /* -1: none */
    struct credential credential;
    char name[RECORD_NAME_BYTES];
    char type[RECORD_TYPE_BYTES]; /* OPEN: of a new region, and what one that is there must have;
                                     "": none, any */
};

/** The answer to a call. */
struct reply {
    int32_t error; /* 0 or DSM_E... */
    uint32_t node; /* DSM_EDOWN: the node that is lost; DSM_EBUSY of SEAL: one that has the region
                      open for writing; else NODE_NONE */
    map_id map;
    region_id region;
    uint64_t handle;
    uint64_t size_bytes;
    uint64_t value;
    uint32_t page_size;
    uint32_t mode, uid, gid, home, window_ms;
};

enum event_kind {
    EVENT_TIME = 1,    /* nothing but now_ms */
    EVENT_MESSAGE,     /* message, payload_pages: whole pages of bytes beside it */
    EVENT_FAULT,       /* map, page (of the region), write: a hint, see KERNEL.md */
    EVENT_CALL,        /* client, call_number, call */
    EVENT_CLIENT_GONE, /* client */
    EVENT_RECORD,      /* record: the catalog's news, in the order of revisions */
    EVENT_PROPOSED,    /* ticket, error, record: outcome; after the RECORD events that it caused */
    EVENT_PEER_UP,     /* peer: the link to it works (again); what was sent before may be lost */
    EVENT_ATOMIC_DONE, /* atomic_done: outcome of an ACTION_ATOMIC */
    EVENT_DIGEST,      /* digest: outcome of an ACTION_DIGEST */
    EVENT_RETIRE,      /* the node is about to leave, its programs have gone: pages go home */
    EVENT_TOKEN,       /* token: outcome of an ACTION_TOKEN with TOKEN_TAKE */
};

struct event {
    uint8_t kind; /* enum event_kind */
    uint64_t now_ms;
    union {
        struct {
            const struct message *message;
            uint32_t payload_pages;
        } message;
        struct {
            map_id map;
            uint64_t page;
            bool write;
        } fault;
        struct {
            client_id client;
            uint64_t number;
            const struct call *call;
        } call;
        client_id client_gone;
        const struct record *record;
        struct {
            uint64_t ticket;
            int32_t error;
            region_id id; /* of a created record */
        } proposed;
        uint32_t peer_up;
        struct {
            uint32_t requester;
            uint64_t request;
            int32_t error;
            uint64_t value; /* before the operation */
        } atomic_done;
        struct {
            region_id region;
            uint64_t offset;
            uint64_t request;
            client_id client; /* who had it, 0: nobody */
        } token;
        struct {
            region_id region;
            uint64_t page;
            uint64_t value;
            bool is_end;
        } digest;
    };
};

enum action_kind {
    ACTION_SEND = 1,     /* message; source NONE, FRAMES (region, page, count) or KEPT (keep; from
                            its page number `first` on, count pages); may_wait: it may travel with
                            the next message to that node; never behind one that was given later */
    ACTION_FILL,         /* region, page, count, map, write, source: PAYLOAD (first: index of its
                            first page) or ZERO. Into the map `map`, or without one when it is 0;
                            every other map gets the protection first and is woken after. */
    ACTION_ALLOW,        /* region, page, count, map: lift the write protection in that map; wake */
    ACTION_WAKE,         /* region, page, count, map: let the blocked threads look again */
    ACTION_PROTECT,      /* region, page, count: write-protect in every map */
    ACTION_DROP,         /* region, page, count: punch the hole; always after a PROTECT, or a
                            SCATTER of what of it was gathered */
    ACTION_KEEP,         /* region, page, count, keep: copy the bytes aside under this number */
    ACTION_FORGET,       /* keep */
    ACTION_POISON,       /* region, page, count, node, error: touching it is SIGBUS from now on */
    ACTION_ATOMIC,       /* region, message: read and change 8 bytes at message.offset as its op,
                            value and operand say; every map is protected and this node owns the
                            page. Then step ATOMIC_DONE with message.requester,
                            message.request, old value. */
    ACTION_DIGEST,       /* region, page, count, write: the pages are here, and programs may be
                            writing to them: step DIGEST with a number that tells their bytes from
                            others, and with is_end = write */
    ACTION_BOUNCE,       /* region, page, count, node: for who reports: the page was wanted by other
                            nodes, now by that one, so often within a second, each time as soon as
                            it had come here and before this node's programs were done with it */
    ACTION_REGION_OPEN,  /* region, size_bytes, page_size: make its frames' memory (or grow it) */
    ACTION_REGION_CLOSE, /* region: every page is gone, free it; empty its table of words */
    ACTION_MAP_GONE,     /* region, map: forget the mapping, close its userfaultfd */
    ACTION_GATHER,       /* region, page, count, map, write: the pages of one whole group (see
                            `page_bytes`; count is less at the region's end) lie aside, each of
                            them filled: show them to the programs as one hardware page. To `map`
                            with the right to write if `write`; every other map gets the
                            protection first and is woken after. map 0: to nobody in particular */
    ACTION_SCATTER,      /* region, page, count: a group that was gathered: write-protect it in
                            every map, put its bytes aside, punch the hole. Its pages are filled
                            and dropped one by one from now on, and no program sees any */
    ACTION_TOKEN,        /* region, token: change the word of the mutex token.offset in the region's
                            table as token.verb says, see token_word.h */
    ACTION_PROPOSE,      /* ticket, proposal */
    ACTION_REPLY,        /* client, number, reply */
};

/** What is to become of a word of a region's table; each is one atomic operation of the driver. */
enum token_verb {
    TOKEN_PUT = 1,    /* it says that `client` has the mutex, 0: that it is free */
    TOKEN_PUT_WANTED, /* the same, and that the agent is to be told when it is given up */
    TOKEN_CLEAR,      /* it says nothing */
    TOKEN_TAKE,       /* one that is free: as CLEAR; one that is held: as PUT_WANTED. Then step
                         EVENT_TOKEN with region, offset, request and who held it */
};

enum bytes_source {
    BYTES_NONE = 0,
    BYTES_FRAMES,  /* read them from the region's memory now */
    BYTES_KEPT,    /* from what KEEP put aside */
    BYTES_PAYLOAD, /* from the event's payload */
    BYTES_ZERO,
};

struct action {
    uint8_t kind;   /* enum action_kind */
    uint8_t source; /* enum bytes_source */
    bool write;
    uint8_t may_wait; /* SEND: enum may_wait */
    region_id region;
    uint64_t page;
    uint32_t count;
    uint32_t first;
    map_id map;
    uint32_t keep;
    uint32_t node;
    int32_t error;
    union {
        struct message message;
        struct {
            uint64_t size_bytes;
            uint32_t page_size;
        } open;
        struct {
            uint64_t offset;
            uint64_t request;
            client_id client;
            uint8_t verb; /* enum token_verb */
        } token;
        struct {
            uint64_t ticket;
            const struct proposal *proposal; /* borrowed until the next step */
        } propose;
        struct {
            client_id client;
            uint64_t number;
            struct reply reply;
        } reply;
    };
};

/** Actions of one step at most. */
#define ACTIONS_MAX (NODES_MAX < 256 ? 1024u : NODES_MAX * 4u)

struct actions {
    uint32_t count;
    struct action list[ACTIONS_MAX];
};

struct node_config {
    uint32_t self;             /* this node's number */
    uint64_t budget_bytes;     /* page bytes kept here at most, 0: no bound */
    uint64_t region_bytes_max; /* size of one region at most, 0: no bound */
    /*
     * Of this machine's hardware page, bytes; 0: no larger than any region's. The pages of a region
     * whose own are smaller come in groups, which lie aside until every one of them is here
     * (ACTION_GATHER): FILL, DROP, KEEP, SEND and ATOMIC work on pages that lie aside as on others.
     */
    uint32_t page_bytes;
    bool big_endian;           /* the bytes of this node's pages: told with each DATA */
    uint32_t resend_ms;        /* a request unanswered for so long is sent again; 0 means 1000 */
    uint32_t barrier_run;      /* so many nodes in a row tell each other of a round's end; 0: 9 */
    uint32_t read_ahead_pages; /* longest sequential request, 1 to RANGE_PAGES_MAX; 0 means that */
};

/** Counters of the core; the names are those of dsm.h's DSM_COUNTERS where they mean the same. */
struct node_counters {
    uint64_t faults, faults_remote, messages_sent, messages_received, pages_sent, pages_received;
    uint64_t invalidations, downgrades, evictions, pages_resident, pages_lost, resends, old_epoch;
    uint64_t refused, core_bytes;
    uint64_t bounces, holds;
};

/** What the home knows of a run of pages, for `dsmctl region`. */
struct page_run {
    uint64_t page;
    uint64_t count;
    uint32_t owner; /* NODE_NONE: never written */
    nodeset readers;
    bool lost;
    bool busy; /* a transfer is open */
};

/** What a node knows of one page, for who looks at all nodes at once. */
struct page_view {
    uint8_t state;      /* of the copy here: enum page_state (page.h) */
    uint8_t request;    /* that is open here for it: enum request_kind (page.h), 0: none */
    bool is_owner;      /* the home will ask this node for it */
    uint64_t version;   /* of the transfer that granted the copy, or took it away */
    struct {            /* its record if this node is the home, else all zero */
        uint32_t owner; /* NODE_NONE: never written; also where this node is not the home */
        nodeset readers;
        uint64_t written; /* version of the last write grant */
        bool orphan, lost;
        uint32_t count_waiters;
        uint8_t transfer; /* that is open: enum transfer_kind (home.h), 0: none */
        uint32_t requester;
        uint64_t version;
    } home;
};

/** Bytes of a struct node. */
size_t node_size(void);

/**
 * Make a node in memory of the caller.
 *
 * @node   node_size() zeroed bytes, aligned as malloc() aligns
 * @config borrowed until return
 *
 * Returns 0, or DSM_EINVAL for a self that is no node number.
 */
int node_init(struct node *node, const struct node_config *config);

/** Bytes of memory that the node wants before its next step, 0 when it has enough. */
size_t node_wants(const struct node *node);
/**
 * Give the node zeroed memory of the size that node_wants() named; it is the node's until the end.
 */
void node_supply(struct node *node, void *memory);

/** One step: an event in, actions out. */
void node_step(struct node *node, const struct event *event, struct actions *actions);

/** The time in ms at which to step with EVENT_TIME, UINT64_MAX for never. */
uint64_t node_deadline(const struct node *node);

/**
 * After EVENT_RETIRE: has every page that this node owns and another one homes arrived there, and
 * has it given every mutex back?
 */
bool node_is_retired(const struct node *node);

/** The counters, which the node owns. */
const struct node_counters *node_counters(const struct node *node);
/** The membership epoch. */
uint32_t node_epoch(const struct node *node);
/** The members that are alive. */
nodeset node_members(const struct node *node);

/**
 * The catalog's records as this node knows them.
 *
 * @cursor 0 at first, moved on by each call
 *
 * Returns the next record, borrowed until the next step, or NULL at the end.
 */
const struct record *node_records(const struct node *node, uint32_t *cursor);
/** The record of a region or semaphore, NULL when unknown; borrowed until the next step. */
const struct record *node_record(const struct node *node, region_id region);

/**
 * What this node as the home knows of a region's pages from `page` on.
 *
 * @runs written, count_runs at most; equal neighbours are joined; pages never asked for are left
 *       out
 *
 * Returns the number of runs; fewer than count_runs means the end was reached.
 */
uint32_t node_page_runs(const struct node *node, region_id region, uint64_t page,
                        struct page_run *runs, uint32_t count_runs);

/**
 * What this node knows of a page; nothing is changed.
 *
 * @view written; all zero, home.owner apart, for a page or a region that it does not know
 */
void node_page_view(const struct node *node, region_id region, uint64_t page,
                    struct page_view *view);

#endif
