/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The catalog as the core uses it: the records it has been told of, and the calls of local programs
 * that open, make, grow and unlink by changing records (PROPOSE). Which rights a program has is
 * decided here.
 */
#ifndef DSM_CORE_CATALOG_H
#define DSM_CORE_CATALOG_H

#include "dsm/core/client.h"

/**
 * A call that needs the catalog, or the node's own wish to leave a region that nobody here uses.
 */
struct ticket {
    struct list place;
    uint64_t number;
    client_id client; /* 0: the node's own */
    uint64_t call_number;
    uint32_t tries;
    bool has_news;    /* the keeper has answered it something since it began (K2) */
    region_id region; /* of the node's own, of a handle's region, or what the keeper has changed */
    struct call call;
    struct proposal proposal;
};

struct catalog_view {
    struct context *context;
    struct clients_table *clients;
    struct pool tickets;
    struct list waiting;  /* struct ticket: proposed */
    struct list stalled;  /* struct ticket: until another one is through */
    struct list retry;    /* struct ticket: to be tried now */
    struct list told;     /* struct ticket: calls for catalog_take_told() */
    uint64_t next_number;
};

void catalog_init(struct catalog_view *view, struct context *context,
                  struct clients_table *clients);
/**
 * CALL_OPEN, CALL_UNLINK; CALL_TRUNCATE on a region that has been found. Any other call, too, that
 * is to be decided on new news only: it is given back by catalog_take_told() when they have come.
 */
void catalog_on_call(struct catalog_view *view, struct client *client, uint64_t number,
                     const struct call *call, region_id region);
/** The next call that is to be decided now that the news have come; false: there is none. */
bool catalog_take_told(struct catalog_view *view, client_id *client, uint64_t *number,
                       struct call *call);
/** Try one ticket that is to be tried; false: there is none. */
bool catalog_try(struct catalog_view *view);
void catalog_on_proposed(struct catalog_view *view, uint64_t ticket, int32_t error,
                         region_id id);
/** A region or semaphore record; returns the region, NULL when it is unknown and deleted. */
struct region *catalog_on_record(struct catalog_view *view, const struct record *record);
/** Nobody here uses the region any more: tell the catalog. */
void catalog_leave(struct catalog_view *view, struct region *region);

#endif
