/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Many cores in one process that only count: messages in one queue in the order of sending (so each
 * link keeps its order), time stands still, nothing is lost. The cluster of cluster.h looks at
 * every page of every node after each step and tells all nodes everything; thousands of nodes need
 * a driver that does as much as an operation does, and no more.
 *
 * Node 0 makes and homes what has one home; each node has one program (client 1), which has each
 * object open and each region mapped. What the cores do is checked where it costs nothing: a
 * read gives the value last written, an action fits what the node has, and nothing is refused,
 * repeated or of an old epoch.
 */
#ifndef DSM_TESTS_SIM_SCALE_CLUSTER_H
#define DSM_TESTS_SIM_SCALE_CLUSTER_H

#include "dsm/core/node_parts.h"

#define SCALE_PAGE_BYTES 4096u

/** The objects that every node has open; each one's slot is its number + 1. */
enum scale_object {
    SCALE_CREATOR = 0, /* a region whose home is node 0 */
    SCALE_STRIPED = 1, /* a region whose stripes go round all nodes */
    SCALE_SEM = 2,     /* a semaphore of value 0; its home is node 0 */
    SCALE_OBJECTS,
};

struct scale_frame {
    uint64_t page;
    uint64_t value;
    uint32_t object;
    bool writable;
};

struct scale_kept {
    uint32_t number;
    uint64_t value;
};

struct scale_node {
    struct node *core;
    void **blocks;
    uint32_t count_blocks;
    uint64_t handles[SCALE_OBJECTS];
    map_id maps[SCALE_OBJECTS];
    struct scale_frame *frames; /* of the pages that are here */
    uint32_t count_frames, room_frames;
    struct scale_kept *kept;
    uint32_t count_kept, room_kept;
    struct reply reply;    /* the last one */
    uint64_t reply_number; /* of its call */
    uint32_t count_replies;
    uint64_t ticket;  /* by which the last call asks for the keeper's news, 0: none */
    uint64_t handled; /* messages of others that came */
    uint32_t inbox;   /* messages on their way here */
};

struct scale_packet {
    struct message message;
    uint32_t payload_pages;
    uint64_t value; /* of its page */
};

struct scale_cluster {
    uint32_t count;
    bool all_are_told; /* each node was told of each other one */
    struct scale_node *nodes;
    struct scale_packet *packets; /* a queue: first to first + count, round the end */
    size_t first_packet, count_packets, room_packets;
    uint16_t *link_lengths; /* messages on their way, by sender and receiver */
    uint64_t sent;          /* messages between two nodes */
    uint64_t payloads;      /* of them, with page bytes */
    uint64_t records_told, told_of_last_join;
    uint32_t longest_link_ever, longest_inbox;
    uint64_t next_call;
    uint64_t revision;
    uint64_t pages; /* of each region */
    struct actions *actions;
};

/**
 * Make a cluster with every object open and mapped everywhere.
 *
 * @count    nodes, 1 to NODES_MAX
 * @tell_all tell each node of each other one; else each is told of the few that it deals with
 *           here: itself, the neighbours by number, 0, 1, 2, and 0, 1, 2 of all
 */
struct scale_cluster *scale_new(uint32_t count, bool tell_all);
void scale_free(struct scale_cluster *cluster);

/** Begin to count anew: messages, payloads, handled ones, the longest queues. */
void scale_mark(struct scale_cluster *cluster);
/** Deliver the oldest message; false: there is none. */
bool scale_deliver(struct scale_cluster *cluster);
/** Deliver everything until nothing is left. */
void scale_run(struct scale_cluster *cluster);
/** Raise a fault on a page of a region if the node has not got it so; true: it had. */
bool scale_touch(struct scale_cluster *cluster, uint32_t node, uint32_t object, uint64_t page,
                 bool write);
/** Write a value to, or read one from, a page of a region, and run. */
void scale_write(struct scale_cluster *cluster, uint32_t node, uint32_t object, uint64_t page,
                 uint64_t value);
uint64_t scale_read(struct scale_cluster *cluster, uint32_t node, uint32_t object, uint64_t page);
/** Start a synchronisation call; its reply comes while the cluster runs. */
void scale_sync(struct scale_cluster *cluster, uint32_t node, uint32_t object, uint32_t op,
                uint64_t offset, uint64_t value);
/** Tell a node a record. */
void scale_tell(struct scale_cluster *cluster, uint32_t node, const struct record *record);
/** Make a call; its number. The reply comes with the step, or while the cluster runs. */
uint64_t scale_call(struct scale_cluster *cluster, uint32_t node, const struct call *call);
/** Give a core the memory that it wants. */
void scale_supply(struct scale_node *node);
/** A core of this number in a node that is all zero, and free what a node has. */
void scale_make_core(struct scale_node *node, uint32_t number);
void scale_free_node(struct scale_node *node);
/** The catalog's record of a node. */
struct record scale_member(uint32_t node);
/** The most messages that one node had to handle since the mark. */
uint64_t scale_busiest(const struct scale_cluster *cluster);
/** Say what is wrong and exit with 1. */
_Noreturn void scale_fail(const char *what, uint64_t number);

#endif
