/* SPDX-License-Identifier: Apache-2.0 */
/** A keeper and members in one loop, each doing with the catalog's news what an agent does. */
#ifndef DSM_TESTS_CLUSTER_H
#define DSM_TESTS_CLUSTER_H

#include "agent/catalog_table.h"
#include "tests/unit/hosts.h"

#define OUTCOMES_MAX 64

struct outcome {
    uint64_t ticket;
    int error;
    region_id id;
    uint32_t count_records; /* that had been delivered before it */
};

/** A host with a catalog. */
struct node_host {
    struct host host;
    char name[64];
    uint32_t node; /* NODE_NONE before on_joined() */
    uint32_t count_joined;
    bool is_keeper;
    struct record_list records; /* all that were delivered */
    struct outcome outcomes[OUTCOMES_MAX];
    uint32_t count_outcomes;
    uint32_t count_refused;
    int refused;
    char refused_text[TEXT_BYTES_MAX];
    char path[CERTS_PATH_BYTES]; /* of the keeper's file */
};

/** The keeper a, and members b and c. */
struct cluster {
    struct stage stage;
    struct node_host a, b, c, d;
};

/** A cluster with the keeper alone, which has joined as node 0. */
void cluster_open(struct cluster *cluster);
/** Close what is open of a, b, c and d. */
void cluster_close(struct cluster *cluster);
/** Start an agent whose keeper is a; returns without waiting for it to join. */
void cluster_start(struct cluster *cluster, struct node_host *member, const char *name,
                   uint32_t incarnation, uint64_t lease_ms);
/** Make an open host, whose configuration names a keeper, ask to be a member. */
void node_host_member(struct node_host *member);
/** cluster_start(), and wait until it has joined and seen its own record. */
void cluster_add(struct cluster *cluster, struct node_host *member, const char *name,
                 uint32_t incarnation);
/** Open the keeper's catalog again under another incarnation. */
void cluster_restart_keeper(struct cluster *cluster, uint32_t incarnation);
/** Stop an agent; it says BYE, which is a death if it is a member. */
void node_host_close(struct node_host *node);

/** Propose under a ticket. */
void node_host_create(struct node_host *node, uint64_t ticket, const char *name);
void node_host_update(struct node_host *node, uint64_t ticket, const struct record *record);
/** Ask for the news. */
void node_host_ask(struct node_host *node, uint64_t ticket);
/** The outcome of a ticket, NULL before. */
const struct outcome *node_host_outcome(const struct node_host *node, uint64_t ticket);
/** Wait for it; returns its error. */
int node_host_await(struct node_host *node, uint64_t ticket);
/** The last record delivered of this name and kind, NULL without. */
const struct record *node_host_find(const struct node_host *node, uint32_t kind, const char *name);
/** Have all of them seen the same last record? */
bool cluster_is_even(struct cluster *cluster, struct node_host *const *nodes, uint32_t count);
/** Wait for that, and check that what they saw after `revision` is the same in the same order. */
void cluster_check_even(struct cluster *cluster, uint64_t revision, struct node_host *const *nodes,
                        uint32_t count);
/** The last revision that was delivered. */
uint64_t node_host_revision(const struct node_host *node);

#endif
