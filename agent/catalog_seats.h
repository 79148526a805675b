/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What the two files of the embedded keeper share: catalog_keeper.c has the ops, the store and the
 * deliveries, catalog_seats.c who is a member, who asks to be, and who is not heard of any more.
 *
 * The keeper owns the store, is a member itself, and serves the others over their links.
 *
 * A seat is what the keeper knows of one member number:
 *   empty      the number is free, or its node is dead
 *   held       alive, its agent is connected through `peer`
 *   waited for alive, its agent is not connected; declared dead at deadline_ms
 *   contested  held, and another agent of the same name asks to join; the holder is asked for a
 * sign of life. It gives one: the other is refused. It gives none in a second, or goes: it is dead.
 *
 * Invariants
 *   K1 what a watcher was sent is every change after the revision that it named, in order, up to
 * now: list and first live record are sent in one go K2 nothing is sent or delivered of a
 * transaction before it is on disk K3 local deliveries come from a timer, in the order of the
 * transactions, so that a proposal never calls back into its proposer
 */
#ifndef DSM_AGENT_CATALOG_SEATS_H
#define DSM_AGENT_CATALOG_SEATS_H

#include "agent/catalog.h"
#include "agent/catalog_store.h"
#include "agent/log.h"

/** What a JOIN says that its connection has not said. */
struct entry {
    uint64_t request;
    struct node_kind machine;
};

struct seat {
    struct peer *peer;
    bool is_alive, is_watching;
    uint32_t incarnation;
    uint64_t deadline_ms; /* UINT64_MAX: none */
    struct peer *rival;
    struct entry rival_entry;
    uint64_t rival_since_ms;
    char name[RECORD_NAME_BYTES];
    char address[RECORD_ADDRESS_BYTES];
};

enum delivery_kind { DELIVERY_CHANGES = 1, DELIVERY_JOINED, DELIVERY_REFUSED, DELIVERY_PROPOSED };

/** What one transaction tells this agent: its changes, and its outcome if it was asked for here. */
struct delivery {
    struct delivery *next;
    enum delivery_kind kind;
    struct record_list changes;
    uint64_t ticket;
    uint32_t node;
    int error;
    region_id id;
};

struct keeper {
    struct catalog catalog; /* first */
    uv_loop_t *loop;
    const struct config *config;
    struct peers *peers;
    struct catalog_store *store;
    uv_timer_t timer;   /* leases and contests */
    uv_timer_t courier; /* deliveries; K3 */
    uint32_t count_handles;
    bool is_freed;
    uint32_t self; /* NODE_NONE before join() */
    uint64_t timer_due_ms;
    uint32_t count_deletions; /* since the last look */
    struct delivery *first, **last;
    struct log_limit limit;
    struct seat seats[NODES_MAX];
};

/* catalog_keeper.c */

/** Returns NULL without memory. */
struct delivery *delivery_new(enum delivery_kind kind);
void delivery_free(struct delivery *delivery);
/** A transaction is on disk: tell the watchers now, and this agent from the courier. Given. */
void keeper_publish(struct keeper *keeper, struct delivery *delivery);

/* catalog_seats.c */

/** The seat whose agent is connected through this peer, NULL when there is none. */
struct seat *seat_of(struct keeper *keeper, const struct peer *peer);
uint32_t seat_node(const struct keeper *keeper, const struct seat *seat);
/** Take over what the node's record says. */
void seat_take(struct seat *seat, const struct record *record);
/** Declare the seat's node dead. Returns false when that could not be stored; it is tried again. */
bool seat_declare_dead(struct keeper *keeper, struct seat *seat, const char *cause);
/** The contest is over: the holder is dead, its rival joins. */
void seat_rival_wins(struct keeper *keeper, struct seat *seat);
/** An agent asks to be a member. */
void seat_on_join(struct keeper *keeper, struct peer *peer, const struct wire *wire);
/** Refuse a join for good: the agent there says the text and stops. */
void join_refuse(struct keeper *keeper, struct peer *peer, uint64_t request, int error,
                 const char *text);
/** A deadline has changed. */
void seats_schedule(struct keeper *keeper);

#endif
