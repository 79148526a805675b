/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The parts of a node, for the files that hand events on to them: node.c, node_message.c and so on.
 */
#ifndef DSM_CORE_NODE_PARTS_H
#define DSM_CORE_NODE_PARTS_H

#include "dsm/core/binding.h"
#include "dsm/core/call.h"
#include "dsm/core/catalog.h"
#include "dsm/core/home.h"
#include "dsm/core/page.h"
#include "dsm/core/sync.h"
#include "dsm/core/token.h"

/** Requests that wait for the catalog's news to arrive here, at most. */
#define PARKED_MAX 1024u

/** A request that came before the record that permits it. */
struct parked {
    struct list place;
    struct message message;
    uint64_t deadline_ms;
};

struct node {
    struct context context;
    struct pages pages;
    struct homes homes;
    struct syncs syncs;
    struct clients_table clients;
    struct calls calls;
    struct bindings bindings;
    struct catalog_view catalog;
    struct pool parked_pool;
    struct list parked;  /* in order of deadlines */
    uint32_t count_parked;
    bool has_more;       /* work is left over from the last step */
};

/** A message for this node (node_message.c): the dispatch table. */
void node_on_message(struct node *node, const struct message *message);
/** Look at the requests that wait for the catalog's news; false: none can be handled now. */
bool node_try_parked(struct node *node);
/** A call of a local program (node_call.c). */
void node_on_call(struct node *node, client_id client, uint64_t number, const struct call *call);
/** Decide one call for which the catalog's news have come; false: there is none. */
bool node_call_again(struct node *node);
/** A local program went. */
void node_on_client_gone(struct node *node, client_id client);
/** One thing of a program that went is given back; false: nobody is going. */
bool node_reap_client(struct node *node);
/** A record has changed (node_record.c). */
void node_on_record(struct node *node, const struct record *record);
/** Messages to and from `home` (NODE_NONE: all) may be lost: everything open is sent again. */
void node_hurry(struct node *node, uint32_t home);

#endif
