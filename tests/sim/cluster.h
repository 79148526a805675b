/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A cluster of cores in one process, under virtual time: messages wait in one queue for each way
 * from a node to a node until the test delivers them; frames are one number a page and a few of its
 * bytes; machines may be unlike in hardware page and byte order; a keeper of a
 * few lines answers proposals. Everything is sized by what a run uses: nodes, regions, pages and
 * mappings; 4096 nodes fit. What must be true after every step is told in oracle.h; a violation is
 * told with the last events, and aborts.
 */
#ifndef DSM_TESTS_SIM_CLUSTER_H
#define DSM_TESTS_SIM_CLUSTER_H

#include "dsm.h"
#include "dsm/core/node.h"

/** Maxima, for the arrays of programs that play on a cluster; nothing here is that large. */
#define CLUSTER_NODES NODES_MAX
#define CLUSTER_PAGES 1024
#define CLUSTER_REGIONS 16
/** Of the pages of regions that cluster_open() makes. */
#define CLUSTER_PAGE_BYTES 4096u

/** Events that are remembered. */
#define CLUSTER_EVENTS 512u
/** Replies that a node remembers. */
#define CLUSTER_REPLIES 256u

/** Bytes of a page that are really kept. */
#define CLUSTER_WINDOW_BYTES 16u

/**
 * The bytes of a page: a number that stands for all of them, which write left them (struct
 * sim_page), and a few of them as they lie in memory, in the order of the node that has them.
 */
struct sim_bytes {
    uint64_t value;
    uint64_t stamp;
    uint8_t window[CLUSTER_WINDOW_BYTES];
};

/** A message on its way. */
struct envelope {
    struct envelope *next;
    struct envelope *last; /* of its queue; kept up in the first of a queue only */
    struct message message;
    uint32_t payload_pages;
    struct sim_bytes *payload; /* borrowed from the envelope's own memory */
    uint64_t due_us;           /* when on_send() wants it delivered */
};

struct sim_frame {
    struct sim_bytes bytes;
    uint64_t version; /* that the core had of this page when it was last looked at (O4) */
    uint32_t writers; /* mappings that may write to it */
    bool present;
    bool shown; /* gathered, on a node that has groups; there no program sees any other */
    bool poisoned;
};

/** Frames are made so many at a time: each node of thousands touches a few pages of a region. */
#define CLUSTER_CHUNK 64u

struct sim_map {
    map_id id;       /* 0: free */
    uint32_t region; /* index */
    uint64_t count;
    uint32_t thread;   /* of the history */
    uint8_t *writable; /* count flags */
};

/** Bytes put aside. */
struct sim_kept {
    struct sim_kept *next;
    uint32_t number;
    uint32_t region;
    uint64_t page;
    uint32_t count;
    struct sim_bytes bytes[];
};

struct sim_reply {
    client_id client;
    uint64_t number;
    struct reply reply;
};

/**
 * An atomic operation, a digest or a word's taking that was done, its outcome not yet told to the
 * core.
 */
struct sim_atomic {
    struct sim_atomic *next;
    struct event done;
};

struct sim_node {
    struct node *node;
    void **blocks;
    uint32_t count_blocks, room_blocks;
    struct sim_frame **chunks[CLUSTER_REGIONS]; /* of CLUSTER_CHUNK frames; see cluster_frame() */
    uint64_t count_chunks[CLUSTER_REGIONS];
    struct sim_map *maps;
    uint32_t count_maps;
    struct sim_kept *kept;
    struct sim_atomic *atomics, **last_atomic;
    struct token_table *tokens[CLUSTER_REGIONS]; /* NULL: nothing was put there */
    struct sim_reply *replies; /* the last CLUSTER_REPLIES */
    uint32_t count_replies;
    bool is_dead;        /* it runs no more */
    bool is_outcast;     /* declared dead while it ran: nothing is promised to its programs */
    uint32_t last_death; /* number of its last death, 0: none */
    uint64_t sent[MESSAGE_KINDS]; /* messages to other nodes, by kind */
    uint64_t handled;             /* messages of others that were delivered to it */
};

/**
 * What is known of a page by who looks at all nodes at once. Each write of a program gets a number
 * of its own, its stamp, by which it is told from every other, whatever the value: 0 are the zeros
 * of a page that was never written.
 */
struct sim_page {
    uint64_t value;            /* the last value written, by whom ever */
    uint64_t stamp;            /* of that write */
    nodeset present;           /* live nodes that have a frame of it */
    uint32_t writers;          /* of them, those with a program that may write to it */
    uint32_t holders;          /* frames, bytes put aside and payloads that have the last write */
    uint32_t stake;            /* number of the last death that may cost its bytes, 0: none */
    bool may_be_lost;          /* some death may have cost the last write */
    bool is_touched;           /* to be checked after this step */
    uint64_t written, version; /* the highest that its home knew (O4) */
};

struct sim_layout;

struct sim_region {
    struct sim_page *pages; /* see cluster_page() */
    uint64_t count_pages;
    uint32_t page_bytes;       /* of its pages, 0: see cluster_page_bytes() */
    struct sim_layout *layout; /* of a typed region (cluster_bytes.c); NULL: untyped, or unused */
    bool has_layout;           /* it was looked for */
};

/** What kind of machine a node is. */
struct sim_machine {
    uint32_t page_bytes; /* of a hardware page; 0: no larger than any region's */
    bool big_endian;
};

/** A death: how long it may still cost bytes depends on who has heard of it. */
struct sim_death {
    uint32_t node;
    uint32_t epoch; /* that it began, 0: not declared yet */
};

struct sim_news;
struct sim_event;
struct sim_touch;
struct sim_history;
struct sim_names;

struct sim_proposal {
    struct sim_proposal *next;
    uint32_t node;
    uint64_t ticket;
    struct proposal proposal;
};

struct cluster {
    uint32_t count_nodes;
    uint64_t now_ms;
    struct sim_node *nodes;
    struct envelope ***queues; /* [from][to]: the first message; see cluster_next_link() */
    bool **is_held;            /* [from][to]: cluster_run() delivers nothing on this way */
    bool *is_late;             /* news are told only by cluster_tell() */
    uint64_t *busy_links;      /* a bit for each queue that is not empty, a row for each sender */
    uint64_t *busy_senders;    /* a bit for each row that is not empty */
    struct record *records;    /* the keeper's; the first count_nodes are the nodes' */
    uint32_t count_records, room_records;
    uint64_t revision;
    uint32_t epoch;
    bool keeper_is_away; /* cluster_run() decides nothing */
    struct sim_proposal *proposals, **last_proposal;
    region_id regions[CLUSTER_REGIONS]; /* index of frames -> region */
    struct sim_region areas[CLUSTER_REGIONS];
    struct sim_news **news;      /* of the keeper, not told yet */
    struct sim_news **last_news; /* the last of each that is not empty */
    bool atomics_are_late;       /* their outcomes are told only by cluster_finish_atomic() */
    bool is_stepping;
    struct actions *actions;
    struct sim_death *deaths; /* [1] is the first */
    uint32_t count_deaths, told_deaths;
    uint64_t count_writes;
    struct sim_touch *touched; /* pages to be checked, see oracle.h */
    uint32_t count_touched, room_touched;
    struct sim_history *history;
    struct sim_names *names;
    uint32_t count_threads;
    uint64_t next_call;
    uint64_t steps;
    struct sim_event *events; /* the last CLUSTER_EVENTS, a ring */
    uint64_t count_events, taken_events;
    char *log; /* what cluster_take_log() gave */
    struct node_config config;
    nodeset ample;                /* nodes that have no budget, whatever the configuration says */
    struct sim_machine *machines; /* one for each node */
    /* Told of each message as it is queued; the envelope is the queue's. NULL: nobody asks. */
    void (*on_send)(void *context, struct envelope *envelope);
    void *on_send_context;
    /* Told of each action before it is carried out; it may not step any node. NULL: nobody asks. */
    void (*on_action)(void *context, uint32_t node, const struct action *action);
    void *on_action_context;
};

/**
 * Make a cluster of so many nodes, all members; a budget is that of all but node 0, which makes the
 * regions and may hold them whole. The caller frees it with cluster_free().
 */
struct cluster *cluster_new(uint32_t count_nodes, const struct node_config *config);
/** The same; node i has hardware pages of page_bytes[i]. */
struct cluster *cluster_new_mixed(uint32_t count_nodes, const struct node_config *config,
                                  const uint32_t *page_bytes);
/** The same; node i runs on machines[i], and these nodes have no budget. */
struct cluster *cluster_new_unlike(uint32_t count_nodes, const struct node_config *config,
                                   nodeset ample, const struct sim_machine *machines);
/** The same as cluster_new(); these nodes have no budget. */
struct cluster *cluster_new_ample(uint32_t count_nodes, const struct node_config *config,
                                  nodeset ample);
/**
 * The same, but no node knows of any: each is to be told of those that it has to do with by
 * cluster_tell_record(). All of all would be 4096 * 4096 records.
 */
struct cluster *cluster_new_strangers(uint32_t count_nodes, const struct node_config *config);
/** The keeper makes a record of an object, and tells nobody; borrowed until the next one. */
const struct record *cluster_add_record(struct cluster *cluster, const struct record *record);
/** Tell one node a record. */
void cluster_tell_record(struct cluster *cluster, uint32_t node, const struct record *record);
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

/**
 * A program takes, and gives up, a mutex (of the region of that index) by its word, if that can be;
 * false: it has to call.
 */
bool cluster_token_lock(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t offset,
                        client_id client);
bool cluster_token_unlock(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t offset,
                          client_id client);

/** Touch a page once: true if it went through, else a fault was raised. */
bool cluster_touch(struct cluster *cluster, uint32_t node, map_id map, uint64_t page, bool write,
                   uint64_t *value);
/** Read or write, running the cluster until it goes through. */
uint64_t cluster_read(struct cluster *cluster, uint32_t node, map_id map, uint64_t page);
void cluster_write(struct cluster *cluster, uint32_t node, map_id map, uint64_t page,
                   uint64_t value);

/**
 * The next way that is not empty.
 *
 * @from, @to where to begin to look; written: where it was found. Begin with 0 and 0, go on with
 *            to + 1; ways come in the order of senders, then of receivers
 *
 * Returns false when there is none.
 */
bool cluster_next_link(const struct cluster *cluster, uint32_t *from, uint32_t *to);
/** The first message on a way, NULL when it is empty; borrowed until it is delivered or lost. */
struct envelope *cluster_first(const struct cluster *cluster, uint32_t from, uint32_t to);
/** Nothing is held, no news and no outcomes are late, and the keeper answers, from now on. */
void cluster_heal(struct cluster *cluster);

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
/**
 * The keeper fails one proposal: who made it is told an error.
 *
 * @error   what: DSM_EKEEPER, as an agent says that had no answer in time
 * @is_done it is carried out all the same; the news of it come first, as its answer would
 *
 * Returns false when there is none.
 */
bool cluster_decide_badly(struct cluster *cluster, int32_t error, bool is_done);
/** Tell a node the outcome of its oldest atomic operation or taking; false: there is none. */
bool cluster_finish_atomic(struct cluster *cluster, uint32_t node);
/** Tell a late node the next news; false: there is none. */
bool cluster_tell(struct cluster *cluster, uint32_t node);
/** A node stops; what it has sent is lost by kill(), on its way by stop(). */
void cluster_kill(struct cluster *cluster, uint32_t node);
void cluster_stop(struct cluster *cluster, uint32_t node);
/**
 * It begins anew with nothing, as another incarnation; before, it is declared dead if need be. What
 * the old one has sent before it stopped is still under way.
 */
void cluster_restart(struct cluster *cluster, uint32_t node);
/**
 * The catalog tells all that a node is dead. One that still runs is an outcast from then on:
 * nothing is promised to its programs, and others must not notice what it does.
 */
void cluster_declare_dead(struct cluster *cluster, uint32_t node);
void cluster_client_gone(struct cluster *cluster, uint32_t node, client_id client);
/** The link between two nodes came up again. */
void cluster_peer_up(struct cluster *cluster, uint32_t node, uint32_t peer);

/**
 * The messages sent and lost since the last call, one a line ("1>0 READ 5+1", "lost 1>0 READ 5+1"),
 * of the last CLUSTER_EVENTS events; borrowed until the next call.
 */
const char *cluster_take_log(struct cluster *cluster);
/** Messages to other nodes since the cluster began. */
uint64_t cluster_messages(const struct cluster *cluster);
/** A node's frame of a page (of the region of that index); all zero when it has none. */
const struct sim_frame *cluster_frame(const struct cluster *cluster, uint32_t node, uint32_t region,
                                      uint64_t page);
/** Bytes of a page of the region of that index. */
uint32_t cluster_page_bytes(struct cluster *cluster, uint32_t region);
/** A run of pages. */
struct sim_run {
    uint64_t page;
    uint64_t count;
};
/** What one hardware page of a node shows of a region, as far as the region reaches there. */
struct sim_run cluster_group(struct cluster *cluster, uint32_t node, uint32_t region,
                             uint64_t page);
/** Pages in one hardware page of a node: 1 where that is no larger. */
uint32_t cluster_group_size(struct cluster *cluster, uint32_t node, uint32_t region);
/** The last value written to a page, by whom ever; 0 for a page never written. */
uint64_t cluster_latest(const struct cluster *cluster, uint32_t region, uint64_t page);

#endif
