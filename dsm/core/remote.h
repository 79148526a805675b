/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What a node keeps of each node that it has had to do with: the catalog's record of it, the
 * requests to it as a home, and what a home has to remember of its requests. It is made at first
 * need, so that a node pays for those that it talks to and not for as many as a cluster may have.
 */
#ifndef DSM_CORE_REMOTE_H
#define DSM_CORE_REMOTE_H

#include "dsm/core/pool.h"
#include "dsm/core/record.h"
#include "dsm/core/window.h"

/** The requests to one home. */
struct channel {
    struct list open; /* struct outstanding, by number */
    uint64_t next_number;
};

/** One node as another knows it. */
struct remote {
    struct record *record;  /* of the catalog, NULL: none has come */
    struct window *window;  /* of its requests here, NULL: none has been admitted */
    struct channel channel; /* of the requests to it */
    struct list sync_ops;   /* struct sync_entry: its operations here */
    struct list sync_held;  /* struct sync_entry: those by which it has a mutex */
    uint64_t last_round; /* of barriers there, that was heard of */
    uint32_t count_sync_ops;
    uint32_t count_transfers; /* of its page requests here, waiting or open */
};

struct remotes {
    struct pool pool, records, windows;
    struct remote *by_number[NODES_MAX];
};

void remotes_init(struct remotes *remotes);
/** What is kept of a node, NULL: nothing; `node` may be no node number. */
struct remote *remote_find(const struct remotes *remotes, uint32_t node);
/** What is kept of a node, made if need be. */
struct remote *remote_get(struct remotes *remotes, uint32_t node);
/** The catalog's record of a node, NULL: none has come. */
const struct record *remote_record(const struct remotes *remotes, uint32_t node);
/** Note the catalog's record of a node. */
void remote_set_record(struct remotes *remotes, uint32_t node, const struct record *record);
/** The window of a node's requests, made if need be. */
struct window *remote_window(struct remotes *remotes, uint32_t node);

#endif
