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
    nodeset homes;      /* SEAL: those that have not said yet that they know */
    uint64_t sent_ms;   /* when they were asked */
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
    struct list sealed;   /* struct ticket: SEAL, until every home knows it, by sent_ms */
    uint64_t next_number;
};

void catalog_init(struct catalog_view *view, struct context *context,
                  struct clients_table *clients);
/**
 * CALL_OPEN, CALL_UNLINK; CALL_TRUNCATE and CALL_SEAL on a region that has been found. Any other
 * call, too, that is to be decided on new news only: it is given back by catalog_take_told() when
 * they have come.
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
/** Nobody here uses the region any more, or nobody may write to it: tell the catalog. */
void catalog_leave(struct catalog_view *view, struct region *region);
/** Is a proposal to seal the region under way here? */
bool catalog_is_sealing(const struct catalog_view *view, const struct region *region);
/** SEALED: a home knows it. */
void catalog_on_sealed(struct catalog_view *view, const struct message *message);
/** Ask the homes again for one seal; false: none is due. */
bool catalog_ask_homes(struct catalog_view *view);
/** When that is due, UINT64_MAX for never. */
uint64_t catalog_deadline(const struct catalog_view *view);
/** It is due now: messages may be lost, or a home has died. */
void catalog_hurry(struct catalog_view *view);

/*
 * For the other file of the catalog's part (catalog_seal.c).
 */

/** A CALL_SEAL is looked at. */
void ticket_try_seal(struct catalog_view *view, struct ticket *ticket);
/** Answer the call, free the ticket. */
void ticket_finish(struct catalog_view *view, struct ticket *ticket, const struct reply *reply);
/** Likewise, with an error. */
void ticket_fail(struct catalog_view *view, struct ticket *ticket, int32_t error);
/** Propose what ticket->proposal says. */
void ticket_propose(struct catalog_view *view, struct ticket *ticket, uint32_t kind);
/** Is the keeper to be asked for its news before this call is decided (K2)? Then it is. */
bool ticket_ask(struct catalog_view *view, struct ticket *ticket);
/** It waits until another one is through. */
void ticket_stall(struct catalog_view *view, struct ticket *ticket);
/** Is the node's own proposal to leave this region, or to write to it no more, under way? */
bool catalog_is_leaving(const struct catalog_view *view, const struct region *region);

#endif
