/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Groups: the pages of a region that one hardware page of this node shows, where the region's own
 * pages are smaller. The arithmetic, and the groups of the page part (group.c tells the rules).
 */
#ifndef DSM_CORE_GROUP_H
#define DSM_CORE_GROUP_H

#include "dsm/core/page.h"

/** Pages of a group: what a hardware page holds of them, 1 if that is no larger. */
uint32_t group_size(uint32_t hardware_bytes, uint32_t page_size);
/** The group that a page is in, as far as a region of so many pages reaches. */
struct page_span group_of(uint32_t size, uint64_t page, uint64_t count_pages);
/** The groups that a run of pages touches, likewise. */
struct page_span group_around(uint32_t size, struct page_span run, uint64_t count_pages);

/** Threads that wait for a group. */
struct assembly {
    struct list place;   /* in pages.assemblies */
    struct list waiters; /* struct waiter, by_assembly */
    struct region *region;
    uint64_t page; /* the group's first */
    uint64_t end;  /* absent pages are asked for so far */
};

/** The pages of a group of this region on this node. */
uint32_t pages_group_size(const struct pages *pages, const struct region *region);
/** The group of a page. */
struct page_span pages_group(const struct pages *pages, const struct region *region, uint64_t page);
/** The groups that a run of pages touches. */
struct page_span pages_around(const struct pages *pages, const struct region *region, uint64_t page,
                              uint64_t count);

/** Serve a thread from what is here, or let it wait for the pages that lack; takes it over. */
void group_attend(struct pages *pages, struct waiter *waiter);
/** A thread waits for its group no longer. */
void group_leave(struct pages *pages, struct waiter *waiter);
/** Does a thread wait for the group of this page? */
bool group_is_wanted(const struct pages *pages, const struct region *region, uint64_t page);
/** Show the groups of these pages that are whole, that nobody waits for, to a mapping (0: none). */
void groups_gather(struct pages *pages, const struct region *region, uint64_t page, uint32_t count,
                   map_id map);
/** Who waits through this mapping waits no longer: it has gone. */
void groups_map_gone(struct pages *pages, map_id map);
/** The region is about to grow: its last group may have been a part of one. */
void groups_region_grows(struct pages *pages, const struct region *region);
/** The first page that a group lacks for its threads, the page after it when it lacks none. */
uint64_t assembly_lacks(const struct pages *pages, const struct assembly *assembly);
/** Does any of its threads want to write? */
bool assembly_writes(const struct assembly *assembly);

#endif
