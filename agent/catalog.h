/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The catalog's keeper as the agent sees it. Records of regions, semaphores and member nodes live
 * under one order of revisions; who keeps them is behind an ops table: on the first node the
 * embedded keeper (SQLite, WAL, synchronous=FULL), on the others a member that asks it over its
 * link. (A keeper on etcd is to follow behind the same table and conformance suite.)
 */
#ifndef DSM_AGENT_CATALOG_H
#define DSM_AGENT_CATALOG_H

#include <uv.h>

#include "agent/peers.h"
#include "dsm/core/record.h"

struct catalog;

struct catalog_events {
    void *context;
    /** A record has changed (or is gone); in the order of revisions, each once. Borrowed. */
    void (*on_record)(void *context, const struct record *record);
    /** The outcome of a proposal; after on_record() of what it changed. */
    void (*on_proposed)(void *context, uint64_t ticket, int error, region_id id);
    /** This node is a member with this number; after this come the records. Once. */
    void (*on_joined)(void *context, uint32_t node);
    /** Joining was refused for good (a second agent of the same name, ...): say it and stop. */
    void (*on_refused)(void *context, int error, const char *text);
};

/** A keeper. No call blocks for the network; the embedded one blocks for its disk. */
struct catalog_ops {
    /**
     * Ask to be a member.
     * Outcome through on_joined() or on_refused(); waits (and logs) while the keeper is not there.
     * @joiner borrowed until return, with its texts
     */
    int (*join)(struct catalog *catalog, const struct joiner *joiner);
    /**
     * Ask for a change. Outcome through on_proposed(), at the latest after 10 s (DSM_EKEEPER).
     * @proposal borrowed until return
     */
    int (*propose)(struct catalog *catalog, uint64_t ticket, const struct proposal *proposal);
    /** A head came from a peer (JOIN ... PROPOSED); true: it was the catalog's. */
    bool (*on_wire)(struct catalog *catalog, struct peer *peer, const struct wire *wire);
    /** A connection came or went; for each on_up() and on_down() of peers. */
    void (*on_peer)(struct catalog *catalog, struct peer *peer, bool is_up);
    /** Leave in good order: this node is declared dead at once and not after its lease. */
    void (*leave)(struct catalog *catalog);
    /** Is the keeper there now? The text says who and where; TEXT_BYTES_MAX bytes. */
    bool (*is_available)(const struct catalog *catalog, char *text);
    void (*free)(struct catalog *catalog);
};

/** First member of every keeper's own structure. */
struct catalog {
    const struct catalog_ops *ops;
    struct catalog_events events;
};

/**
 * The embedded keeper, on the node that keeps the records.
 *
 * @path of the database file, made if absent
 * @text on error: what is wrong with the file; TEXT_BYTES_MAX bytes
 *
 * Errors: DSM_EBUSY  another agent has it open; DSM_ESYS, DSM_ENOMEM
 */
int catalog_keeper_new(uv_loop_t *loop, const struct config *config, const char *path,
                       struct peers *peers, const struct catalog_events *events,
                       struct catalog **catalog, char *text);
/** A member's side of it. */
int catalog_member_new(uv_loop_t *loop, const struct config *config, struct peers *peers,
                       const struct catalog_events *events, struct catalog **catalog);

#endif
