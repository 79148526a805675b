/* SPDX-License-Identifier: Apache-2.0 */
/** One core alone whose home of all pages (node 0) and other nodes are played: helpers. */
#ifndef DSM_TESTS_SIM_SOLO_PAGE_H
#define DSM_TESTS_SIM_SOLO_PAGE_H

#include "tests/sim/solo.h"

/** Node 1 of four; a region (slot 5) of 600 pages, mapped by client 1. */
struct solo_page {
    struct solo *solo;
    map_id map;
    uint64_t handle;
    region_id region;
};

struct solo_page *solo_page_new(const struct node_config *config);
void solo_page_free(struct solo_page *page);
/** A message about the newest request that was sent since solo_forget(), or about number 9999. */
struct message solo_page_message(const struct solo_page *page, uint32_t kind, uint32_t from,
                                 uint64_t number, uint32_t count, uint64_t version);
/** Deliver it with as many pages of bytes as its kind carries. */
void solo_page_say(struct solo_page *page, const struct message *message);
/** Touch a page and be given it at once, as the one who asked first. */
void solo_page_have(struct solo_page *page, uint64_t number, bool write, uint64_t version);

#endif
