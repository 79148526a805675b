/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A cluster in which time stands still and nothing is lost, and what is counted of it. Node 0 makes
 * and homes what has one home; each node has one program (client 1), which has each object open and
 * each region mapped. Beside what the oracle looks at nothing may be refused, repeated or of an old
 * epoch.
 */
#ifndef DSM_TESTS_SIM_SCALE_PROGRAMS_H
#define DSM_TESTS_SIM_SCALE_PROGRAMS_H

#include "tests/sim/cluster.h"

#define SCALE_PAGE_BYTES 4096u

/** The objects that every node has open. */
enum scale_object {
    SCALE_CREATOR = 0, /* a region whose home is node 0 */
    SCALE_STRIPED = 1, /* a region whose stripes go round all nodes */
    SCALE_SEM = 2,     /* a semaphore of value 0; its home is node 0 */
    SCALE_SEALED = 3,  /* a sealed region whose home is node 0 */
    SCALE_OBJECTS,
};

struct scale_node {
    uint64_t handles[SCALE_OBJECTS];
    map_id maps[SCALE_OBJECTS];
    uint64_t sent_here;      /* messages, ever */
    uint64_t handled_before; /* messages handled, and replies, when the count began */
    uint32_t replies_before;
    uint64_t data_before; /* DATA sent, likewise */
};

struct scale {
    struct cluster *cluster;
    uint32_t count;
    bool all_are_told; /* each node was told of each other one */
    struct scale_node *nodes;
    region_id objects[SCALE_OBJECTS];
    uint64_t sent;     /* messages between two nodes */
    uint64_t payloads; /* of them, with page bytes */
    uint64_t told_of_last_join;
    uint64_t longest_link_ever, longest_inbox; /* messages on their way */
    uint64_t pages;                            /* of each region */
};

/**
 * Make a cluster with every object open and mapped everywhere.
 *
 * @count    nodes, 1 to NODES_MAX
 * @tell_all tell each node of each other one; else each is told of the few that it deals with
 *           here: itself, the neighbours by number, its parent and its children in the tree of a
 *           sealed region, 0, 1, 2, and 0, 1, 2 of all
 */
struct scale *scale_new(uint32_t count, bool tell_all);
void scale_free(struct scale *scale);

/** Begin to count anew: messages, payloads, handled ones, replies, the longest inbox. */
void scale_mark(struct scale *scale);
/** Raise a fault on a page of a region if the node has not got it so. */
void scale_touch(struct scale *scale, uint32_t node, uint32_t object, uint64_t page, bool write);
/** Write a value to, or read one from, a page of a region, and run. */
void scale_write(struct scale *scale, uint32_t node, uint32_t object, uint64_t page,
                 uint64_t value);
uint64_t scale_read(struct scale *scale, uint32_t node, uint32_t object, uint64_t page);
/** Start a synchronisation call; its reply comes while the cluster runs. */
void scale_sync(struct scale *scale, uint32_t node, uint32_t object, uint32_t op, uint64_t offset,
                uint64_t value);
/** Replies to a node since the mark. */
uint32_t scale_replies(const struct scale *scale, uint32_t node);
/** The most messages that one node had to handle since the mark. */
uint64_t scale_busiest(const struct scale *scale);
/** A node's node_counters()->core_bytes, once it has all that it wants. */
uint64_t scale_core_bytes(struct cluster *cluster, uint32_t node);
/** Say what is wrong and exit with 1. */
_Noreturn void scale_fail(const char *what, uint64_t number);

#endif
