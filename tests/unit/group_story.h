/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What the stories of groups have in common: four nodes of different hardware pages, each with a
 * program that has mapped one region of 4 KiB pages, whose home is node 0; and what they did since
 * the story began.
 */
#ifndef TESTS_UNIT_GROUP_STORY_H
#define TESTS_UNIT_GROUP_STORY_H

#include "tests/sim/cluster.h"

struct story {
    struct cluster *cluster;
    uint64_t handle[4];
    map_id map[4];
    uint64_t counted;                   /* messages before the story */
    uint32_t gathered[4], scattered[4]; /* groups, since then */
    uint32_t poisoned_pages[4];         /* of the last POISON */
};

/** Make the nodes. @pages of the region; @budget_bytes 0 for none; released by story_end() */
void story_begin(struct story *story, uint64_t pages, const uint32_t page_bytes[4],
                 uint64_t budget_bytes);
/** All links work again, all comes to rest, and nobody has broken a promise. */
void story_end(struct story *story);
/** What happens from here on is the story. */
void story_count(struct story *story);
/** This was said since, in so many messages. */
void story_expect(struct story *story, const char *transcript, uint32_t count);
/** A node writes pages [page, page + count), each its number + 100, before the story. */
void story_give(struct story *story, uint32_t node, uint64_t page, uint64_t count);
/** A program reads a page, and waits for it. */
uint64_t story_read(struct story *story, uint32_t node, uint64_t page);
/** A program touches a page, to write its node's number + 1000 or to read; false: it waits. */
bool story_touch(struct story *story, uint32_t node, uint64_t page, bool write);

#endif
