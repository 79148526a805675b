/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Sealed regions: their bytes never change again, so whoever has pages of one may serve them, and
 * nothing is tracked (sealed.c tells the rules). Part of the page part of a node.
 */
#ifndef DSM_CORE_SEALED_H
#define DSM_CORE_SEALED_H

#include "dsm/core/page.h"

/** In region.seats: who sits there, by rank, the first has rank 1. In region.parents: a home. */
struct seat {
    struct list place;
    uint16_t node;
    uint16_t parent; /* in parents: whom this node asks */
    uint32_t below;  /* in seats: the seats from this rank on are no good as its parent's */
};

/** The kind of request that a wish to read these pages becomes. */
uint32_t sealed_request_kind(const struct pages *pages, const struct region *region, uint64_t page,
                             uint32_t kind);
/** Send a PULL or SEARCH request (again). */
void sealed_send(struct pages *pages, struct page_request *request);
/** A PULL request is late. */
void sealed_resend(struct pages *pages, struct page_request *request);
/** The home of these pages has no bytes of them: ask the other nodes, one after the other. */
void sealed_search(struct pages *pages, struct page_request *request, uint32_t count);
/** Serve what another node waits for, or go on waiting; takes the waiter over. */
void sealed_attend(struct pages *pages, struct waiter *waiter);
/** It waits no longer, for it is about to be freed. */
void sealed_forget(struct pages *pages, struct waiter *waiter);
/** May a copy that another node answers for be dropped (I6)? */
bool sealed_may_drop(const struct pages *pages, const struct region *region, uint64_t number,
                     const struct page *page);
/** PULL and SEAT, after they have been admitted; DATA with FLAG_COPY. */
void sealed_on_pull(struct pages *pages, const struct message *message);
void sealed_on_seat(struct pages *pages, const struct message *message);
void sealed_on_data(struct pages *pages, const struct message *message);
/** Whom this node asks for pages of that home; a parent that died has been forgotten. */
struct seat *sealed_parent(struct pages *pages, struct region *region, uint32_t home);
/**
 * Whom a node is to ask for pages that are homed here: its nearest forebear in the tree that is any
 * good; this node in the end.
 *
 * @shun which was named to it before and is no good, or `node` itself
 */
uint32_t sealed_forebear(struct pages *pages, struct region *region, uint32_t node, uint32_t shun);
/** The region is deleted. */
void sealed_region_gone(struct pages *pages, struct region *region);

#endif
