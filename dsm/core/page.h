/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The page part of a node: which pages are here, in which state; the requests for those that are
 * wanted; what is sent on when the home says so. It knows the home's part only by messages.
 */
#ifndef DSM_CORE_PAGE_H
#define DSM_CORE_PAGE_H

#include "dsm_advice.h"
#include "dsm/core/context.h"
#include "dsm/core/directory.h"

#define REQUEST_BUCKETS 256u

enum page_state {
    PAGE_ABSENT = 0,
    PAGE_READ = 1,
    PAGE_WRITE = 2,
    PAGE_LOST = 3,
};

enum request_kind {
    REQUEST_READ = 1,
    REQUEST_WRITE = 2,
    REQUEST_LEAVE = 3,
    REQUEST_PULL = 4,   /* to read, of a sealed region: asks this node's parent (sealed.h) */
    REQUEST_SEARCH = 5, /* likewise, when the home has none: asks one node after the other */
};

/** A page's record: 16 bytes. */
struct page {
    struct page_request *request; /* open, NULL for none */
    uint64_t version : 56;        /* of the transfer that granted the copy, or took it away */
    uint64_t state : 3;           /* enum page_state */
    uint64_t owner : 1;           /* the home will ask us for it: never dropped silently */
    uint64_t used : 1;            /* granted since the eviction clock passed */
    uint64_t shown : 1;           /* first of a group that is gathered (group.c) */
    uint64_t hot : 1;             /* it was taken away soon after it was granted (P8) */
    uint64_t last : 1;            /* sealed, found by a search: perhaps the last copy (I6) */
};

_Static_assert(sizeof(struct page) == 16, "one for each page that was touched here");

/** Who waits for a page: a program's thread behind a mapping, an atomic operation, or a PULL. */
struct waiter {
    struct list place;
    struct list by_assembly;   /* of a PULL: in pages.pulls */
    struct assembly *assembly; /* of its group, NULL: it waits for one page (group.h) */
    struct region *region;
    uint64_t page;
    map_id map; /* 0: `atomic` */
    bool write;
    struct message atomic; /* ATOMIC; or PULL, what is left of it, `requester` who sent it */
};

/** A run of pages. */
struct page_span {
    uint64_t page;
    uint64_t count;
};

/** An open request for a run of pages; page->request of each points here. */
struct page_request {
    struct outstanding out; /* first */
    struct list by_id;
    struct region *region;
    uint64_t page;
    uint32_t count;
    uint32_t granted;  /* 0: not known yet */
    uint32_t received; /* pages whose bytes are in */
    uint64_t version;
    uint8_t kind; /* enum request_kind */
    bool needs_grant;
    bool is_ahead; /* nobody waited for it when it was opened */
    bool has_grant;
    map_id map;       /* to fill through, and let write, when no thread waits */
    uint16_t source;  /* PULL, SEARCH: whom it asked last */
    uint16_t lacking; /* SEARCH: its first pages that nobody who was asked has */
    uint8_t tries;    /* PULL: repetitions since something came */
    struct list waiters;
};

/** Bytes put aside of pages that were given away, until the new owner has them. */
struct kept {
    struct list place;
    region_id region;
    uint64_t page;
    uint64_t request;
    uint64_t version;
    uint32_t requester;
    uint32_t count;
    uint32_t number;
    uint64_t asked_ms; /* when it was put aside, or the home was last asked whether it is needed */
};

/** Why a message is handled later. */
enum defer_reason {
    DEFER_GROUP = 1, /* threads wait for a group of pages */
    DEFER_TURN,      /* a page stays for its turn */
    DEFER_LOCK,      /* the pages' mutex is held here */
    DEFER_NO_MORE,   /* it is due */
};

/** A message that is handled later, for the sake of threads here (page_defer.c). */
struct deferred {
    struct list place;
    struct message message;
    uint64_t since_ms; /* it has come */
    uint64_t due_ms;
    uint8_t reason; /* enum defer_reason */
};

/** Walks that are read ahead at the same time. */
#define AHEAD_STREAMS 32u

/** Runs of pages that are still to be asked for ahead of a walk. */
struct ahead {
    region_id region;
    map_id map;
    uint32_t run;   /* pages of each, */
    uint32_t done;  /* of which so many were looked at in the first */
    uint32_t count; /* runs; 0: nothing is to be asked for */
    uint64_t page;  /* where the first begins */
    int64_t stride; /* from there to the next one's begin */
};

/** Parts that programs are done with, followed at the same time; and those with a pattern. */
#define DONE_RANGES 8u
#define PATTERNS 32u

/** Pages [page, end) that programs here gave advice on. */
struct advice_range {
    region_id region;
    uint64_t page, end;
    uint32_t advice; /* enum dsm_advice */
};

/** Turns that are remembered: those of the pages that came last, and of pages that bounce. */
#define TURNS 64u

/** The turn that this node's threads have at a page that they asked for (page_turn.c). */
struct turn {
    region_id region;
    uint64_t page;
    uint64_t granted_ms; /* when it began */
    uint64_t digest;     /* of the bytes, when another node wanted them */
    uint64_t second_ms;  /* since when is counted */
    uint32_t count;      /* how often the page was wanted elsewhere when it had just come */
    uint16_t window_ms;  /* how long it stays, as was learnt */
    uint16_t gap;        /* from one trial of a longer turn to the next, in turns; 0: not wanted */
    uint16_t skip;       /* turns until the next trial */
    bool has_threads;    /* that have waited for it */
    bool is_watched;     /* do the bytes change until it goes? */
    bool was_short;      /* T4: the last turn was no longer than it took */
    bool is_told;        /* that it bounces, in this second */
};

struct bindings;

struct pages {
    struct context *context;
    struct bindings *bindings; /* whose mutexes keep pages here (binding.h) */
    struct directory directory; /* struct page */
    struct pool requests, waiters, kept_pool;
    struct list by_id[REQUEST_BUCKETS];
    struct list kept;    /* struct kept, by asked_ms */
    struct list doomed;  /* struct kept: to be forgotten one by one */
    struct list retry;   /* struct waiter: faults to look at again */
    struct list blocked; /* struct waiter: no room in the window to the home */
    uint64_t resident_bytes;
    uint32_t next_keep;
    uint64_t leaving_bytes; /* of pages with an open LEAVE */
    uint32_t count_leaving;
    uint32_t clock_bucket; /* of the eviction clock */
    uint32_t clock_idle;   /* buckets since it let something go */
    uint64_t clock_ms;     /* when it last passed a page that was used */
    bool is_retiring;      /* everything is to go */
    uint32_t next_ahead;
    struct ahead ahead[AHEAD_STREAMS];
    uint64_t ahead_bytes; /* of pages that were asked for ahead and have not come */
    uint32_t next_done;
    struct advice_range done[DONE_RANGES];
    uint32_t next_pattern; /* how many were told so far */
    struct advice_range patterns[PATTERNS];
    struct turn turns[TURNS];
    struct pool assembly_pool; /* empty where no region's pages come in groups */
    struct pool deferred_pool;
    struct list assemblies; /* struct assembly */
    struct list deferred;   /* struct deferred */
    struct pool seat_pool;
    struct list pulls; /* struct waiter: what other nodes wait for of sealed regions */
    uint32_t count_pulls;
    uint32_t count_deferred;
    bool is_due; /* the message that is handled now was put off long enough */
};

void pages_init(struct pages *pages, struct context *context);
/** A fault of a local program. */
void pages_on_fault(struct pages *pages, map_id map, uint64_t page, bool write);
/** An atomic operation to be done on a page of which this node is the home (a SYNC message). */
void pages_on_atomic(struct pages *pages, const struct message *message);
/** The messages to the requester. */
void pages_on_data(struct pages *pages, const struct message *message);
void pages_on_grant(struct pages *pages, const struct message *message);
void pages_on_lost(struct pages *pages, const struct message *message);
void pages_on_ask(struct pages *pages, const struct message *message);
/** The messages to the owner and the readers (page_serve.c). */
void pages_on_forward(struct pages *pages, const struct message *message);
void pages_on_invalidate(struct pages *pages, const struct message *message);
void pages_on_release(struct pages *pages, const struct message *message);
void pages_on_take(struct pages *pages, const struct message *message);
void pages_on_adopt(struct pages *pages, const struct message *message);
/** Send a request again: the answer or the request may be lost. */
void pages_resend(struct pages *pages, struct page_request *request);
/** A request to a home that died: its pages are lost. */
void pages_fail(struct pages *pages, struct page_request *request);
/** Look again at one waiter that is to be retried; false: there is none. */
bool pages_retry(struct pages *pages);
/** Room may have come up in the windows: retry what was blocked. */
void pages_unblock(struct pages *pages);
/**
 * Let some pages go if more are here than the budget allows; false: nothing to do (page_evict.c).
 */
bool pages_evict(struct pages *pages);
/** Forget one run of bytes put aside, or ask its home whether it is needed; false: none is due. */
bool pages_tidy_kept(struct pages *pages);
/** Take out one message that was put off and is to be handled now; false: there is none. */
bool pages_take_deferred(struct pages *pages, struct message *message);
/** When that, or the eviction clock's next round, or a message put off, is due; else UINT64_MAX. */
uint64_t pages_deadline(const struct pages *pages);
/** Send everything home that has its home elsewhere: the node is about to leave (page_evict.c). */
void pages_retire(struct pages *pages);
/** Has all of it arrived? */
bool pages_is_retired(const struct pages *pages);
/** Ask for one range ahead of a stream; false: nothing is to be read ahead (page_ahead.c). */
bool pages_read_ahead(struct pages *pages);
/**
 * A fault at a page that was not asked for: which pages to ask for at once, this one among them, by
 * the walk that it belongs to.
 */
struct page_span pages_walk(struct pages *pages, struct region *region, uint64_t page, map_id map,
                            bool write);
/** A fault to read a page that was asked for: its walk goes on, and asks for more. */
void pages_walk_on(struct pages *pages, struct region *region, uint64_t page, map_id map);
/** What of the pages wanted at once lies behind those that are asked for is asked for next. */
void pages_ask_later(struct pages *pages, const struct region *region, map_id map,
                     struct page_span asked, struct page_span wanted);
/**
 * The longest run around `page` within the span that one request may ask for (P4): of one home,
 * wanted by nobody, and all absent; or all read and of one version, so that the home can tell that
 * every copy is current; or all written.
 */
struct page_span pages_alike(const struct pages *pages, const struct region *region, uint64_t page,
                             struct page_span span);
/** Ask for what of these pages is not here, as far as the budget has room (page_ahead.c). */
void pages_need(struct pages *pages, const struct region *region, struct page_span span);
/** Follow advice (enum dsm_advice) on pages that are in the region (page_advice.c). */
void pages_advise(struct pages *pages, const struct region *region, struct page_span span,
                  uint32_t advice);
/**
 * How programs here said that they use a page from now on; DSM_ADVICE_NORMAL: they did not.
 *
 * @part written if they did: what they said it of
 */
uint32_t pages_pattern(const struct pages *pages, const struct region *region, uint64_t page,
                       struct page_span *part);
/** Let some pages go that programs are done with; false: there are none, or not now. */
bool pages_give_up(struct pages *pages);
/**
 * Let some of the pages [page, end) go (page_evict.c).
 *
 * Returns the first that was not looked at; `page`: too many are on their way already.
 */
uint64_t pages_let_go(struct pages *pages, struct region *region, uint64_t page, uint64_t end);
/** EVENT_DIGEST (page_turn.c). */
void pages_on_digest(struct pages *pages, region_id region, uint64_t page, uint64_t digest,
                     bool is_end);
/** When the eviction clock begins its next round, UINT64_MAX when it does not rest. */
uint64_t pages_next_round_ms(const struct pages *pages);
/** A member died. */
void pages_member_died(struct pages *pages, uint32_t node);
/** Fill in what the page part knows of a page: all of the view but `home`. */
void pages_view(const struct pages *pages, const struct region *region, uint64_t page,
                struct page_view *view);
/** The region is deleted; nobody here has it mapped. */
void pages_region_gone(struct pages *pages, struct region *region);

/*
 * For the other files of the page part.
 */

/** The page's record to look at; one that was never made is that of an absent page. */
const struct page *page_at(const struct pages *pages, const struct region *region, uint64_t number);
/** The page's record, made if need be. */
struct page *page_get(struct pages *pages, const struct region *region, uint64_t number);
/** The page has bytes and this state from now on. */
void page_grant(struct pages *pages, const struct region *region, struct page *page, uint32_t state,
                uint64_t version);
/** No program writes to the pages from now on, and reads from them what it likes. */
void pages_protect(struct pages *pages, const struct region *region, uint64_t page, uint32_t count);
/** Likewise; where they come in groups, these are scattered. The bytes may go then. */
void pages_withdraw(struct pages *pages, const struct region *region, uint64_t page,
                    uint32_t count);
/** Withdraw the pages and drop their bytes. */
void pages_drop(struct pages *pages, const struct region *region, uint64_t page, uint32_t count);
/** A page whose home has died is lost. */
void page_lose(struct pages *pages, const struct region *region, uint64_t number, uint32_t node);
/** Let a waiter wait at this request, or for room in the window; takes it over. */
void waiter_hang(struct pages *pages, struct waiter *waiter, struct page_request *request);
/** It waits no longer. */
void waiter_free(struct pages *pages, struct waiter *waiter);
/** The page that was asked for first has come: a turn begins, of threads that waited if so. */
void turn_begin(struct pages *pages, const struct page_request *request, bool has_threads);
/** Until when the pages that a message of a home is about stay here: now_ms at least. */
uint64_t turn_until(struct pages *pages, const struct message *message);
/** How long the pages of a region may stay here when they are wanted elsewhere. */
uint32_t turn_bound_ms(const struct region *region);
/** The message that was put off for that is handled now. */
void turn_end(struct pages *pages, const struct message *message);
/** Has the page, or one of its group, come so recently that it should not be evicted? */
bool turn_is_young(const struct pages *pages, const struct region *region, uint64_t page,
                   uint32_t grace_ms);
/** Put a message of a home off if that is due to threads here; it is handled later then. */
bool pages_defer(struct pages *pages, const struct message *message);
/** When the first of those is due, UINT64_MAX for never. */
uint64_t pages_defer_deadline(const struct pages *pages);
/** All of them are due now. */
void pages_defer_no_more(struct pages *pages);
/** Give ACTION_POISON for pages that are lost, and for what shares a group with them. */
void page_poison(struct pages *pages, const struct region *region, uint64_t page, uint32_t count,
                 uint32_t node, int32_t error);
/** An absent page from now on, its bytes dropped by the caller. */
void page_forget(struct pages *pages, const struct region *region, struct page *page);
/** The open request of this id, NULL for none. */
struct page_request *pages_request(const struct pages *pages, uint64_t id);
/** A new request, closed and freed by request_close(); NULL: no room in the window. */
struct page_request *request_open(struct pages *pages, struct region *region, uint64_t page,
                                  uint32_t count, uint32_t kind);
/**
 * Likewise to read pages that nobody waits for, which may come later than who is waited for; they
 * go in through the mapping if nobody waits for them then. False: no room in the window.
 */
bool request_open_ahead(struct pages *pages, struct region *region, struct page_span span,
                        map_id map);
void request_close(struct pages *pages, struct page_request *request);
/** Its first pages are here or are done with: it is one for the others from now on. */
void request_shift(struct pages *pages, struct page_request *request, uint32_t count);
/** It is one for its first pages only from now on; who waits for the others asks anew. */
void request_cut(struct pages *pages, struct page_request *request, uint32_t count);
/** Fill pages of a request with bytes of the step's message, or zeros; through which mapping. */
map_id request_fill(struct pages *pages, struct page_request *request, uint64_t page,
                    uint32_t count, uint32_t source, bool write);
/** The bytes that came of a request so far go again: they may be sent anew, or not at all. */
void request_drop_received(struct pages *pages, struct page_request *request);
/** Its first pages are lost with a node; whoever waits for others asks anew. Closes it. */
void request_lose(struct pages *pages, struct page_request *request, uint32_t count, uint32_t node,
                  int32_t error);

#endif
