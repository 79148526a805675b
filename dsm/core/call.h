/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Synchronisation as its users see it: the calls of local programs that wait at a home, with their
 * deadlines, and the mutexes that this node has (token.h).
 */
#ifndef DSM_CORE_CALL_H
#define DSM_CORE_CALL_H

#include "dsm/core/client.h"

#define CALL_BUCKETS 256u
#define TOKEN_BUCKETS 1024u

/** A synchronisation call under way. */
struct sync_call {
    struct outstanding out; /* first */
    struct list by_id;
    struct list in_calls;  /* in calls->all */
    struct list by_client; /* in client->calls; in nothing when the client is gone */
    struct list place;     /* in calls.blocked, .parked, a list of a token, or nothing */
    struct client *client; /* NULL: it is gone, or the call is the node's own */
    struct region *region; /* NULL: it is deleted, the client is to be told */
    uint64_t number;       /* of the client's call */
    uint64_t offset;
    uint64_t value;
    uint64_t operand;
    uint64_t deadline_ms;
    uint64_t after_round; /* BARRIER: it is in a later round of its home (S7) */
    uint8_t op;
    bool is_try;       /* timeout 0 */
    bool is_cancelled; /* the home was asked to give up */
    bool was_queued;
};

struct bindings;

struct calls {
    struct context *context;
    struct bindings *bindings; /* what is to come with mutexes (binding.h) */
    struct clients_table *clients;
    struct pool pool; /* struct sync_call */
    struct pool tokens_pool; /* struct token */
    struct list tokens_by_key[TOKEN_BUCKETS];
    struct list tokens;        /* struct token: all, those that were used long ago first */
    struct list tokens_due;    /* struct token: something is to be done about them */
    uint32_t count_tokens;
    struct list by_id[CALL_BUCKETS];
    struct list all;           /* struct sync_call */
    struct list blocked;       /* no room in the window to the home */
    struct list parked;        /* the home remembers them */
    struct list gone;          /* their region is deleted: DSM_ESTALE */
    uint64_t next_deadline_ms; /* no call's deadline is before it */
};

void calls_init(struct calls *calls, struct context *context, struct clients_table *clients);
/** CALL_SYNC on a handle that has been found. */
void calls_on_sync(struct calls *calls, struct client *client, uint64_t number,
                   const struct handle *handle, const struct call *call);
void calls_on_reply(struct calls *calls, const struct message *message);
/** BARRIER_OVER (call_barrier.c). */
void calls_on_over(struct calls *calls, const struct message *message);
/** Is the request of this number, of a call, open? */
bool calls_is_open(const struct calls *calls, uint64_t id);
/** Send a request again: the answer or the request may be lost. */
void calls_resend(struct calls *calls, struct sync_call *call);
/** A request to a home that died. */
void calls_fail(struct calls *calls, struct sync_call *call);
/** Give up what has passed its deadline; a bounded number at a time. */
void calls_check_deadlines(struct calls *calls);
/** Room may have come up in the windows: try one blocked call; false: none or no room. */
bool calls_unblock(struct calls *calls);
/** Answers may have been lost: parked calls are asked for again. */
void calls_hurry(struct calls *calls, uint32_t home);
/** One call or lock of a dying client is let go; false: it has none left. */
bool calls_reap(struct calls *calls, struct client *client);
/** The region is deleted: who waits is told by calls_answer_gone(). */
void calls_region_gone(struct calls *calls, const struct region *region);
/** Answer one call whose region is deleted; false: there is none. */
bool calls_answer_gone(struct calls *calls);

/*
 * For token.c and call_barrier.c.
 */

/** Answer a program's call; DSM_ECANCELED is told as what it means to who called. */
void call_answer(struct calls *calls, const struct sync_call *call, int32_t error, uint64_t value,
                 uint32_t node);
void call_free(struct calls *calls, struct sync_call *call);
/** A call of this node's own, for nobody. */
void call_launch_own(struct calls *calls, struct region *region, uint64_t offset, uint32_t op,
                     uint64_t operand);
/** A call of a program, which is not sent yet. */
struct sync_call *call_new(struct calls *calls, struct client *client, struct region *region,
                           uint32_t op, uint64_t offset);
/** The node that synchronises at this offset. */
uint32_t call_home(const struct region *region, uint64_t offset);
/** It has succeeded: tell its program, and forget it. */
void call_end(struct calls *calls, struct sync_call *call);
/** A call to a barrier has ended with this round. */
void calls_note_round(struct calls *calls, const struct sync_call *call, uint64_t round);

#endif
