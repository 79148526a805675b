/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Synchronisation at its home: mutexes, semaphores, barriers, and the book-keeping of atomic
 * operations. An object is (region, offset, class) and exists only while somebody uses it,
 * semaphores apart.
 */
#ifndef DSM_CORE_SYNC_H
#define DSM_CORE_SYNC_H

#include "dsm/core/context.h"

#define SYNC_BUCKETS 256u

enum sync_class {
    SYNC_CLASS_MUTEX = 1,
    SYNC_CLASS_SEM = 2,
    SYNC_CLASS_BARRIER = 3,
    SYNC_CLASS_ATOMIC = 4,
};

struct sync_object {
    struct list place;
    struct region *region;
    uint64_t offset;
    uint32_t class_;
    uint32_t parties;        /* BARRIER: of the round under way */
    uint64_t value;          /* SEM */
    bool is_dead;            /* MUTEX: the holder died; the next one is told */
    struct sync_entry *holder;  /* MUTEX */
    struct list waiters;     /* struct sync_entry, in order of arrival */
    struct list recalled;    /* MUTEX: in syncs.recalled while recall is RECALL_SENT */
    uint64_t recalled_ms;    /* MUTEX: RECALL was sent */
    uint8_t recall;          /* MUTEX: enum recall_state */
    uint8_t streak;          /* MUTEX: about so many holders in a row kept somebody waiting */
};

/** Does the node that has a mutex know that others wait for it? */
enum recall_state {
    RECALL_NONE = 0,
    RECALL_SENT = 1, /* and sent again until it is answered */
    RECALL_TOLD = 2,
};

enum sync_state {
    SYNC_WAITING = 1,
    SYNC_HOLDING = 2, /* MUTEX: granted and not unlocked */
    SYNC_DONE = 3,    /* the outcome is kept for a repetition of the request */
};

struct sync_entry {
    struct list by_request;
    struct list place; /* among the object's waiters */
    struct list by_node;
    struct list outbox; /* its outcome is to be sent, or in syncs.unacknowledged */
    struct list atomic; /* FETCH_ADD, COMPARE_SWAP: under way in this node's page part */
    struct sync_object *object;
    region_id region;
    uint64_t request;
    uint64_t atomic_number; /* of all atomic operations here, for another one has its request's */
    uint64_t value;
    uint64_t sent_ms; /* among the unacknowledged */
    int32_t error;
    uint16_t node;
    uint8_t op;
    uint8_t state; /* enum sync_state */
    bool was_queued; /* the requester was told so: its floor does not say that it has the outcome */
    bool is_sent;    /* HOLDING: the outcome was sent */
    bool is_try;     /* LOCK: it may wait for another node's answer, and for no program */
};

struct syncs {
    struct context *context;
    struct pool objects, ops;
    struct list objects_by_key[SYNC_BUCKETS];
    struct list ops_by_request[SYNC_BUCKETS];
    struct list outbox;  /* struct sync_entry */
    struct list unacknowledged; /* struct sync_entry: SYNC_DONE, was_queued; by sent_ms */
    struct list atomics; /* struct sync_entry, in order of atomic_number */
    struct list recalled; /* struct sync_object whose RECALL is not answered; by recalled_ms */
    uint64_t count_atomics;
    uint64_t count_rounds; /* of all barriers */
};

void syncs_init(struct syncs *syncs, struct context *context);
/** Does its node have so many operations here that this one may not wait as well? */
bool syncs_is_full(const struct syncs *syncs, const struct message *message);
/** SYNC of an admitted requester; a repetition when not is_new. */
void syncs_on_request(struct syncs *syncs, const struct message *message, bool is_new);
/** The outcome of an atomic operation from this node's page part. */
void syncs_on_atomic_done(struct syncs *syncs, const struct message *message);
/** The requester has an outcome that had been called queued. */
void syncs_on_ack(struct syncs *syncs, const struct message *message);
/** The node that has a mutex was told that others wait: a program of its own holds it. */
void syncs_on_held(struct syncs *syncs, const struct message *message);
/** Forget outcomes of a node's requests below its floor. */
void syncs_raise_floor(struct syncs *syncs, uint32_t node, uint64_t floor);
/**
 * Outcomes that were called queued and not acknowledged are sent again: NODE_NONE: to all nodes.
 */
void syncs_hurry(struct syncs *syncs, uint32_t node);
/** Send one outcome that is waiting to be sent; false: there is none. */
bool syncs_send_outcome(struct syncs *syncs);
/** Send one outcome, or RECALL, again that was not answered in time; false: none is late. */
bool syncs_resend(struct syncs *syncs);
/** When the next one is late, UINT64_MAX for never. */
uint64_t syncs_deadline(const struct syncs *syncs);
void syncs_member_died(struct syncs *syncs, uint32_t node);
void syncs_region_gone(struct syncs *syncs, const struct region *region);

/*
 * For mutex.c, barrier.c and sync_death.c.
 */

/** The operation is done; nothing is sent. */
void sync_close(struct sync_entry *op, int32_t error, uint64_t value);

void sync_free_op(struct syncs *syncs, struct sync_entry *op);
/** The operation of a node by its request's number, NULL: there is none. */
struct sync_entry *sync_find_op(const struct syncs *syncs, uint32_t node, uint64_t request);
/** The operation is done; its outcome is sent when its turn comes. */
void sync_finish(struct syncs *syncs, struct sync_entry *op, int32_t error, uint64_t value);
/** Its outcome is sent when its turn comes. */
void sync_post_outcome(struct syncs *syncs, struct sync_entry *op);
/** Forget an object whose state is that of a new one. */
void sync_tidy_object(struct syncs *syncs, struct sync_object *object);

/*
 * mutex.c
 */

/** LOCK; op->is_try is set. */
void mutex_lock(struct syncs *syncs, struct sync_entry *op, struct sync_object *object);
/** UNLOCK of what its node holds by the request `held_by`. */
void mutex_unlock(struct syncs *syncs, struct sync_entry *op, struct sync_object *object,
                  uint64_t held_by, bool is_dead);
/** The mutex is free: whoever came first gets it. */
void mutex_pass(struct syncs *syncs, struct sync_object *object);
/** The flags of the outcome of a LOCK that was granted, which is being sent. */
uint32_t mutex_grant_flags(struct sync_entry *op);
/** Send one RECALL again that was not answered in time; false: none is late. */
bool mutex_resend(struct syncs *syncs);
/** When the next one is late, UINT64_MAX for never. */
uint64_t mutex_deadline(const struct syncs *syncs);

#endif
