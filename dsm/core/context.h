/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What the parts of a node share: who we are, the time, the regions, the actions of the step, the
 * way out for messages. A message to this node itself goes into a queue and is dispatched later in
 * the step, so that the requester's part and the home's part meet only there.
 */
#ifndef DSM_CORE_CONTEXT_H
#define DSM_CORE_CONTEXT_H

#include "dsm.h"
#include "dsm/core/node.h"
#include "dsm/core/pool.h"
#include "dsm/core/remote.h"
#include "dsm/core/walk.h"

/** Queued work that one step takes on; what is left makes the deadline "now". */
#define ITEMS_PER_STEP 16u
/**
 * Actions that one item of work may add at most: an INVALIDATE of RANGE_PAGES_MAX pages of which
 * every other one is here protects and drops them one by one, and answers; or a write that every
 * other node's copy has to go for. Where pages come in groups, they are not protected one by one:
 * their groups are scattered, half as many as pages at most.
 */
#define ACTIONS_PER_ITEM (16u + (NODES_MAX < RANGE_PAGES_MAX ? RANGE_PAGES_MAX : NODES_MAX))
/** Bytes of one request at most, so that the messages of its answer are few. */
#define RANGE_BYTES_MAX (4u << 20)
#define REGION_BUCKETS 256u

/** A region or semaphore as this node knows it. */
struct region {
    struct list place; /* in its bucket */
    struct record record;
    bool is_open;          /* ACTION_REGION_OPEN was given */
    bool has_tokens;       /* local programs share a table of words with the driver */
    uint32_t count_bindings;
    uint32_t count_refs;   /* handles and maps of local programs */
    uint32_t count_writers; /* of them, those that may write */
    struct list maps;      /* of local programs */
    struct list bindings;  /* struct binding: its mutexes' ranges, as local programs say */
    struct walks walks[2]; /* of faults to read, and to write */
    struct list seats, parents; /* struct seat: given here, and taken elsewhere (sealed.h) */
};

/** A request to a home that is not closed; first member of the requests of pages and of calls. */
struct outstanding {
    struct list channel_place; /* in order of numbers */
    struct list timer_place;   /* in order of the time of sending */
    uint64_t id;               /* number * NODES_MAX + home; 0: waits for room in the window */
    uint64_t sent_ms;
    uint32_t home;
    bool is_call; /* of a struct sync_call, else of a struct page_request */
};

struct loop_item {
    struct list place;
    struct message message;
};

struct context {
    struct node_config config;
    uint32_t epoch;
    nodeset alive;
    uint64_t now_ms;
    struct actions *actions;
    struct node_counters counters;
    uint32_t payload_pages; /* beside the message of this step's event */
    struct remotes remotes; /* this node among them: it asks itself as well */
    struct list timers;    /* struct outstanding, by sent_ms */
    struct list loop;      /* struct loop_item: messages to this node itself */
    struct pool loop_pool;
    struct pool region_pool;
    struct list regions[REGION_BUCKETS];
    struct list maps_by_number[REGION_BUCKETS];
    bool window_moved;     /* a request was closed: there may be room again */
};

/** A mapping of a local program. */
struct map {
    struct list by_number;
    struct list by_region;
    struct list by_client;
    struct region *region;
    uint64_t page, count;
    map_id id;
    bool may_write;
};

void context_init(struct context *context, const struct node_config *config);
/** Is there room for one more item's actions? */
bool context_has_room(const struct context *context);
/** A new action, zeroed but for its kind and region. */
struct action *context_act(struct context *context, uint32_t kind, region_id region);
/** A new action on a range of frames. */
struct action *context_act_range(struct context *context, uint32_t kind, region_id region,
                                 uint64_t page, uint32_t count);
/**
 * Send a message; from and epoch are filled in.
 *
 * @source       where its page bytes are (BYTES_NONE, BYTES_FRAMES, BYTES_KEPT)
 * @keep, @first for BYTES_KEPT: its number, and which page of it comes first
 */
void context_send(struct context *context, const struct message *message, uint32_t source,
                  uint32_t keep, uint32_t first);
/** Send a message without page bytes for which nobody waits. */
void context_send_idly(struct context *context, const struct message *message,
                       enum may_wait may_wait);
/** The region of this id, NULL when it is unknown, or another generation. */
struct region *context_region(const struct context *context, region_id id);
/** The mapping of this number, NULL when it is gone. */
struct map *context_map(const struct context *context, map_id id);
/** The home of a page by the region's policy. */
uint32_t region_home(const struct region *region, uint64_t page);
/** Did that home die since the region was made, so that what it knew of the pages is gone? */
bool region_home_is_lost(const struct context *context, const struct region *region, uint32_t home);
/** Give ACTION_REGION_OPEN if that has not been done. */
void region_open(struct context *context, struct region *region);
/** Pages of a region. */
uint64_t region_pages(const struct region *region);
/**
 * Pages of one request for this region at most: RANGE_PAGES_MAX, RANGE_BYTES_MAX, but one at least.
 */
uint32_t region_range_max(const struct region *region);
/** Pages from `page` on, at most count, that have the same home. */
uint32_t region_same_home(const struct region *region, uint64_t page, uint32_t count);

/** Is there room in the window to that home for one more request? */
bool context_has_window(const struct context *context, uint32_t home);
/** Open a request: gives it its number; false: the window to that home is full, try again later. */
bool outstanding_open(struct context *context, struct outstanding *outstanding, uint32_t home,
                      bool is_call);
/** It was sent (again) now. */
void outstanding_sent(struct context *context, struct outstanding *outstanding);
/** It is closed, or the home answered that it remembers it: the window need not wait for it. */
void outstanding_close(struct context *context, struct outstanding *outstanding);
/** All requests to that home with lower ids are closed, or remembered there. */
uint64_t context_floor(const struct context *context, uint32_t home);

#endif
