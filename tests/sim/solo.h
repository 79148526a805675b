/* SPDX-License-Identifier: Apache-2.0 */
/**
 * One core alone, whose peers, programs and keeper are played by the test: every action of every
 * step is kept until the test looks at it.
 */
#ifndef DSM_TESTS_SIM_SOLO_H
#define DSM_TESTS_SIM_SOLO_H

#include "dsm.h"
#include "dsm/core/node.h"

#define SOLO_ACTIONS 4096
/** Of the pages of the regions that solo_region() makes. */
#define SOLO_PAGE_BYTES 4096u

struct solo {
    struct node *node;
    uint64_t now_ms;
    uint64_t revision;
    uint64_t next_call;
    uint32_t self;
    struct actions *actions; /* of one step */
    struct action *list;     /* since solo_forget() */
    uint32_t count;
    uint32_t count_proposals; /* of `proposals` that are written */
    struct proposal proposals[64]; /* an action only borrows them */
    bool keeps_news;      /* who asks for the keeper's news (32 at most) waits for solo_tell() */
    uint32_t count_asked; /* who asks for them */
    uint64_t asked[64];   /* tickets */
    uint32_t steps; /* of the last event: 1, and one for each time that there was more to do */
    void **blocks;
    uint32_t count_blocks;
};

/** A core with this number in a cluster of nodes 0 to count_nodes - 1. Free it with solo_free(). */
struct solo *solo_new(uint32_t self, uint32_t count_nodes, const struct node_config *config);
void solo_free(struct solo *solo);
/**
 * Step with an event, and on until the deadline is after now. Who asks the keeper for its news
 * (PROPOSAL_NOTHING) is told that there are none, unless `keeps_news`, and none of it is seen.
 */
void solo_step(struct solo *solo, struct event *event);
/** One step and no more: what it leaves to be done is done by a later one. */
void solo_step_once(struct solo *solo, struct event *event);
/** Time passes. */
void solo_advance(struct solo *solo, uint64_t ms);
/** News of a member. */
void solo_member(struct solo *solo, uint32_t node, uint32_t incarnation, bool alive,
                 uint32_t epoch);
/** News of any record; its revision is filled in. */
void solo_record(struct solo *solo, const struct record *record);
/** A region's record: all pages at home `home`, all nodes may read and write. */
struct record solo_region(uint32_t slot, uint64_t pages, uint32_t home);
/** A message arrives; `epoch` and `to` are as the test filled them in. */
void solo_message(struct solo *solo, const struct message *message, uint32_t payload_pages);
/** A call; its number. */
uint64_t solo_call(struct solo *solo, client_id client, const struct call *call);
/** All who ask for the keeper's news get this outcome. */
void solo_tell(struct solo *solo, int32_t error);
/** The outcome of the newest proposal. */
void solo_decide(struct solo *solo, int32_t error, region_id id);
/** A program that has a region open and mapped whole, by the records as they are; the mapping. */
map_id solo_map(struct solo *solo, client_id client, const struct record *record,
                uint64_t *handle);
void solo_fault(struct solo *solo, map_id map, uint64_t page, bool write);

/** The nth action of a kind since solo_forget(), NULL for none. */
const struct action *solo_action(const struct solo *solo, uint32_t kind, uint32_t nth);
/** The nth message of a kind that was sent since solo_forget(), NULL for none. */
const struct message *solo_sent(const struct solo *solo, uint32_t kind, uint32_t nth);
/** The reply to a call, NULL for none. */
const struct reply *solo_reply(const struct solo *solo, uint64_t number);
/** How a call ended; 1: it is not answered yet. */
int32_t solo_error(const struct solo *solo, uint64_t number);
/** Make a call; how it ended. */
int32_t solo_do(struct solo *solo, client_id client, const struct call *call);
/** The nth proposal since solo_forget(), NULL for none. */
const struct proposal *solo_proposed(const struct solo *solo, uint32_t nth);
/** The keeper agrees with the newest proposal, which is an update. */
void solo_agree(struct solo *solo);
void solo_forget(struct solo *solo);
const struct node_counters *solo_counters(const struct solo *solo);

#endif
