/* SPDX-License-Identifier: Apache-2.0 */
/** What the files of the simulated cluster share. */
#ifndef DSM_TESTS_SIM_CLUSTER_PARTS_H
#define DSM_TESTS_SIM_CLUSTER_PARTS_H

#include "tests/sim/cluster.h"

/** What happened, for the transcript of a failure. */
enum sim_event_kind {
    SIM_SENT = 1,
    SIM_LOST,
    SIM_DELIVERED,
    SIM_REPEATED, /* delivered, and still on its way */
    SIM_FAULT,
    SIM_TOUCH,
    SIM_CALL,
    SIM_REPLY,
    SIM_PROPOSED,
    SIM_DECIDED,
    SIM_NEWS,
    SIM_ATOMIC,
    SIM_CLIENT_GONE,
    SIM_PEER_UP,
    SIM_DEATH,
    SIM_DECLARED,
    SIM_RESTART,
};

/** One of them; which fields are used is told by cluster_log.c. */
struct sim_event {
    uint64_t now_ms;
    uint64_t step;
    uint64_t page, version, value, request;
    uint32_t epoch;
    uint16_t from, to; /* or the node */
    uint16_t count;
    uint8_t kind;         /* enum sim_event_kind */
    uint8_t message_kind; /* or that of the call, the proposal ... */
    uint8_t flags, op;
    uint8_t region;
    int32_t error;
};

/** Tell what is wrong, with the last events, and abort. */
_Noreturn void cluster_broken(const struct cluster *cluster, const char *what);
/** The last events, one a line, on standard error. */
void cluster_print_events(const struct cluster *cluster);
/** Note an event; its fields are the caller's to fill in further. */
struct sim_event *cluster_note(struct cluster *cluster, enum sim_event_kind kind, uint32_t node);
void cluster_note_message(struct cluster *cluster, enum sim_event_kind kind,
                          const struct message *message);
/** Step a node, and on until its deadline is after now; nothing happens to a dead one. */
void cluster_step(struct cluster *cluster, uint32_t number, const struct event *event,
                  const struct sim_bytes *payload);
/** The index of a region's frames; one is given to a new region. */
uint32_t cluster_region_index(struct cluster *cluster, region_id id);
/** What is known of a page; made if need be. */
struct sim_page *cluster_page(struct cluster *cluster, uint32_t region, uint64_t page);
/** Put a message (of an action) into its queue. */
void cluster_enqueue(struct cluster *cluster, uint32_t sender, const struct action *action,
                     uint32_t region);
/** A record has changed: it is on its way to every node. */
void cluster_publish(struct cluster *cluster, struct record *record);
/** Make room for one more of the keeper's records. */
void cluster_reserve_record(struct cluster *cluster);
/** ACTION_TOKEN; the outcome of a taking is told as that of an atomic operation is. */
void cluster_tokens_execute(struct cluster *cluster, uint32_t number, const struct action *action,
                    uint32_t region);
/** The region is closed, or the node ends. */
void cluster_tokens_close(struct sim_node *node, uint32_t region);
/** Take over a proposal. */
void cluster_propose(struct cluster *cluster, uint32_t node, const struct action *action);
/** Give a node's core the memory that it wants. */
void cluster_supply(struct sim_node *node);
/** A new core for a node, which knows nothing. */
void cluster_make_node(struct cluster *cluster, uint32_t number);
/** Free a node's core and frames. */
void cluster_free_node(struct cluster *cluster, uint32_t number);
/** Free the news that a node has not been told. */
void cluster_drop_news(struct cluster *cluster, uint32_t number);
/** Free the proposals of a node, NODE_NONE: of all. */
void cluster_drop_proposals(struct cluster *cluster, uint32_t number);
/** An array with room for one more element. */
void *cluster_grow(void *array, uint32_t count, uint32_t *room, size_t element_bytes);

#endif
