/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A cluster of cores in one process, under virtual time: messages wait in one queue for each pair
 * of nodes until the test delivers them; frames are one number a page; a keeper of a few lines
 * answers proposals. After every step it checks that a page has one writer or many readers, never
 * both.
 */
#ifndef DSM_TESTS_SIM_CLUSTER_H
#define DSM_TESTS_SIM_CLUSTER_H

#include "dsm.h"
#include "dsm/core/node.h"

#define CLUSTER_NODES 8
#define CLUSTER_PAGES 1024
#define CLUSTER_MAPS 64
#define CLUSTER_REGIONS 16
#define CLUSTER_LOG_BYTES 65536
#define CLUSTER_PROPOSALS 512

struct envelope {
    struct envelope *next;
    struct message message;
    uint32_t payload_pages;
    uint64_t *payload; /* one number a page */
    uint64_t due_us;   /* when on_send() wants it delivered */
};

struct sim_frame {
    uint64_t value;
    bool present;
    bool poisoned;
};

struct sim_map {
    map_id id; /* 0: free */
    uint32_t region; /* index */
    uint64_t page, count;
    bool may_write;
    uint8_t writable[CLUSTER_PAGES];
};

struct sim_kept {
    uint32_t number;
    uint32_t count;
    uint64_t *values;
    struct sim_kept *next;
};

struct sim_reply {
    client_id client;
    uint64_t number;
    struct reply reply;
};

struct sim_node {
    struct node *node;
    struct actions *actions;
    void **blocks;
    uint32_t count_blocks;
    struct sim_frame frames[CLUSTER_REGIONS][CLUSTER_PAGES];
    struct sim_map maps[CLUSTER_MAPS];
    struct sim_kept *kept;
    struct sim_reply replies[256]; /* the last ones */
    uint32_t count_replies;
    bool is_dead;
    uint64_t sent[MESSAGE_KINDS]; /* messages to other nodes, by kind */
};

struct sim_news;

struct sim_proposal {
    uint32_t node;
    uint64_t ticket;
    struct proposal proposal;
};

struct cluster {
    uint32_t count_nodes;
    uint64_t now_ms;
    struct sim_node nodes[CLUSTER_NODES];
    struct envelope *queues[CLUSTER_NODES][CLUSTER_NODES];
    bool is_held[CLUSTER_NODES][CLUSTER_NODES]; /* nothing is delivered on this way */
    struct record records[64]; /* the keeper's */
    uint32_t count_records;
    uint64_t revision;
    uint32_t epoch;
    struct sim_proposal proposals[CLUSTER_PROPOSALS];
    uint32_t count_proposals;
    region_id regions[CLUSTER_REGIONS]; /* index of frames -> region */
    uint64_t pages_used[CLUSTER_REGIONS]; /* no page further up was ever filled */
    uint64_t latest[CLUSTER_REGIONS][CLUSTER_PAGES]; /* the last value written, by whom ever */
    struct sim_news *news[CLUSTER_NODES]; /* of the keeper, not told yet */
    bool is_late[CLUSTER_NODES]; /* news are told only by cluster_tell() */
    uint64_t next_call;
    uint64_t steps;
    char log[CLUSTER_LOG_BYTES]; /* one line a message: "1>0 READ 5+1" */
    size_t log_bytes;
    struct node_config config;
    /* Told of each message as it is queued; the envelope is the queue's. NULL: nobody asks. */
    void (*on_send)(void *context, struct envelope *envelope);
    void *on_send_context;
};

/** Make a cluster of so many nodes, all members. The caller frees it with cluster_free(). */
struct cluster *cluster_new(uint32_t count_nodes, const struct node_config *config);
void cluster_free(struct cluster *cluster);

/** Make a call and run until it is answered; the reply. Fails the test when no answer comes. */
struct reply cluster_call(struct cluster *cluster, uint32_t node, client_id client,
                          const struct call *call);
/** Start a call; its number. */
uint64_t cluster_call_start(struct cluster *cluster, uint32_t node, client_id client,
                            const struct call *call);
/** The reply of a call once it is there. */
bool cluster_reply(const struct cluster *cluster, uint32_t node, uint64_t number,
                   struct reply *reply);
/** Open (and make) a region of so many pages; the handle. */
uint64_t cluster_open(struct cluster *cluster, uint32_t node, client_id client, const char *name,
                      uint64_t pages, uint32_t home);
/** Map a whole region for writing. */
map_id cluster_map(struct cluster *cluster, uint32_t node, client_id client, uint64_t handle);
/** Start a synchronisation call; its number. */
uint64_t cluster_sync(struct cluster *cluster, uint32_t node, client_id client, uint64_t handle,
                      uint32_t op, uint64_t offset, uint64_t value, int64_t timeout_ms);

/** Touch a page once: true if it went through, else a fault was raised. */
bool cluster_touch(struct cluster *cluster, uint32_t node, map_id map, uint64_t page, bool write,
                   uint64_t *value);
/** Read or write, running the cluster until it goes through. */
uint64_t cluster_read(struct cluster *cluster, uint32_t node, map_id map, uint64_t page);
void cluster_write(struct cluster *cluster, uint32_t node, map_id map, uint64_t page,
                   uint64_t value);

/** Deliver the first message from one node to another; false: there is none. */
bool cluster_deliver(struct cluster *cluster, uint32_t from, uint32_t to);
/** Lose the first message from one node to another, or deliver it and leave it in the queue. */
bool cluster_lose(struct cluster *cluster, uint32_t from, uint32_t to);
bool cluster_duplicate(struct cluster *cluster, uint32_t from, uint32_t to);
/** Deliver everything that is not held until nothing is left. */
void cluster_run(struct cluster *cluster);
/** Step one node with the time that it is now. */
void cluster_wake(struct cluster *cluster, uint32_t node);
/** Let time pass in one piece, and deliver nothing. */
void cluster_tick(struct cluster *cluster, uint64_t ms);
/** Let time pass (in pieces that no deadline is skipped by) and run. */
void cluster_advance(struct cluster *cluster, uint64_t ms);
/** Answer one proposal; false: there is none. */
bool cluster_decide(struct cluster *cluster);
/** Tell a late node the next news; false: there is none. */
bool cluster_tell(struct cluster *cluster, uint32_t node);
/** A node stops; what it has sent is lost by kill(), on its way by stop(). */
void cluster_kill(struct cluster *cluster, uint32_t node);
void cluster_stop(struct cluster *cluster, uint32_t node);
/** It begins anew with nothing, as another incarnation; before, it is declared dead if need be. */
void cluster_restart(struct cluster *cluster, uint32_t node);
/** The catalog tells all that a node is dead. */
void cluster_declare_dead(struct cluster *cluster, uint32_t node);
void cluster_client_gone(struct cluster *cluster, uint32_t node, client_id client);
/** The link between two nodes came up again. */
void cluster_peer_up(struct cluster *cluster, uint32_t node, uint32_t peer);

/** The log since the last call, as text; then it is empty. */
const char *cluster_take_log(struct cluster *cluster);
/** Messages to other nodes since the cluster began. */
uint64_t cluster_messages(const struct cluster *cluster);

#endif
