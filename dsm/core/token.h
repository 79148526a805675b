/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The mutexes that this node has: from the grant of a LOCK to the UNLOCK, its programs take them in
 * turn without asking the home.
 */
#ifndef DSM_CORE_TOKEN_H
#define DSM_CORE_TOKEN_H

#include "dsm/core/call.h"

/** Mutexes that a node keeps though nobody holds them, at most. */
#define TOKENS_MAX 4096u

enum token_state {
    TOKEN_KNOWN = 1, /* `holder` says who holds it */
    TOKEN_OUT,       /* its word in the region's table does, which programs change */
    TOKEN_ASKED,     /* the driver is asked what that word said */
};

struct token {
    struct list by_key;
    struct list place;     /* in calls.tokens */
    struct list due;       /* in calls.tokens_due, or nothing */
    struct list by_client; /* in holder->tokens */
    struct region *region;
    uint64_t offset;
    uint64_t request; /* id of the LOCK that it came by */
    uint32_t home;
    struct client *holder; /* KNOWN; NULL: nobody */
    struct list waiters;   /* struct sync_call: LOCK, in order of arrival */
    struct list tries;     /* struct sync_call: LOCK that may not wait for a program */
    struct list unlocks;   /* struct sync_call: UNLOCK that came while it was not KNOWN */
    uint8_t state;         /* enum token_state */
    bool is_recalled;      /* it goes back as soon as nobody holds it */
    bool is_told;          /* the home knows that it is held */
    bool is_dead;          /* its last holder died, and nobody was told yet */
    bool is_lost;          /* its home died */
    bool has_word;         /* of all mutexes with its slot it is the one in the table */
    bool is_marked;        /* its holder's word is TOKEN_WANTED */
};

void tokens_init(struct calls *calls);
/** A LOCK or UNLOCK of a program: is it for a token that is here? Else it is for the home. */
bool tokens_take_call(struct calls *calls, struct sync_call *call);
/** A LOCK of a program was granted by the home; the call is freed. */
void tokens_on_grant(struct calls *calls, struct sync_call *call, bool is_dead, bool is_wanted);
void tokens_on_recall(struct calls *calls, const struct message *message);
/** EVENT_TOKEN */
void tokens_on_taken(struct calls *calls, const struct event *event);
/** Does a program here hold the mutex, or wait for it here? */
bool tokens_hold(const struct calls *calls, const struct region *region, uint64_t offset);
/** Do one thing about a token; false: there is nothing to do. */
bool tokens_work(struct calls *calls);
/** A client that is dying gives up one that it is known to hold; false: it has none. */
bool tokens_reap(struct calls *calls, struct client *client);
/** All go back as soon as nobody holds them: of a region, NULL: of all. */
void tokens_leave(struct calls *calls, const struct region *region);
void tokens_home_died(struct calls *calls, uint32_t home);
void tokens_region_gone(struct calls *calls, const struct region *region);

#endif
