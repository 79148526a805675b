/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The home part of a node: for each page whose home this node is, who owns it, who may have a copy,
 * the one transfer that is open and who waits for the next. It never sees the page part.
 */
#ifndef DSM_CORE_HOME_H
#define DSM_CORE_HOME_H

#include "dsm/core/context.h"
#include "dsm/core/directory.h"

enum transfer_kind {
    TRANSFER_READ = 1,
    TRANSFER_WRITE = 2,
    TRANSFER_LEAVE = 3,
    TRANSFER_ADOPT = 4,
};

/** Where the requester's bytes come from. */
enum transfer_mode {
    MODE_DATA = 0, /* from the source */
    MODE_ZERO = 1, /* never written: zeros */
    MODE_COPY = 2, /* the requester has them */
};

/** A page's record at its home: 32 bytes for 64 nodes. All zero: never asked for. */
struct home_page {
    struct transfer *open;
    struct transfer *waiters; /* first of them */
    nodeset readers;          /* every node that may have a copy, the owner included */
    uint64_t written : 48;    /* version of the last write grant */
    uint64_t owner : 13;      /* node number + 1; 0: never written */
    uint64_t orphan : 1;      /* the owner died or may have no bytes; a reader has, perhaps */
    uint64_t lost : 1;        /* the last copy is gone with the owner */
};

_Static_assert(sizeof(struct home_page) == 2 * sizeof(void *) + 8 + sizeof(nodeset),
               "nothing but what is needed");

/** A transfer of a run of pages, waiting or open. */
struct transfer {
    struct list place;     /* open: in homes.open by sent_ms; waiting: in homes.ready or nowhere */
    struct transfer *next; /* among the waiters of its first page */
    struct region *region;
    uint64_t page;
    uint64_t request;
    uint64_t have;
    uint64_t version;
    uint64_t sent_ms;
    nodeset acks; /* readers that have not said INVALIDATED */
    uint32_t count;
    uint8_t kind; /* enum transfer_kind */
    uint8_t mode; /* enum transfer_mode */
    uint16_t requester;
    uint16_t source; /* NODE_NONE: none was named yet */
    bool is_open;
    bool announced; /* FORWARD said that a GRANT comes */
    bool asking;    /* the source died or has nothing; the requester was asked */
    bool has_waited;   /* for the transfer before it (H7) */
    bool is_forwarded; /* FORWARD was sent */
    bool is_late;      /* more than once: bytes may have come */
};

struct homes {
    struct context *context;
    struct directory directory; /* struct home_page */
    struct pool transfers;
    struct list open;  /* struct transfer, by sent_ms */
    struct list ready; /* struct transfer, first waiters of pages that are free now */
    uint64_t clock;    /* versions given out */
};

void homes_init(struct homes *homes, struct context *context);
/** Has this requester as many transfers here as a window holds? An honest one never has. */
bool homes_is_full(const struct homes *homes, uint32_t requester);
/** Are these the bytes (DATA) of a page that leaves, for which this home has sent TAKE? */
bool homes_awaits(const struct homes *homes, const struct message *message);
/** READ, WRITE or LEAVE of an admitted requester; a repetition when not is_new. */
void homes_on_request(struct homes *homes, const struct message *message, bool is_new);
void homes_on_invalidated(struct homes *homes, const struct message *message);
void homes_on_not_here(struct homes *homes, const struct message *message);
void homes_on_confirm(struct homes *homes, const struct message *message);
/** Start one transfer that waited; false: none is ready. */
bool homes_start_ready(struct homes *homes);
/** Repeat the messages of one transfer that is late at now_ms; false: none is. */
bool homes_resend(struct homes *homes);
/** When the next one is late, UINT64_MAX for never. */
uint64_t homes_deadline(const struct homes *homes);
/** All open transfers are late from now on: messages may be lost. */
void homes_hurry(struct homes *homes);
/** A member died (home_death.c). */
void homes_member_died(struct homes *homes, uint32_t node);
/** The region is deleted. */
void homes_region_gone(struct homes *homes, struct region *region);
/** See node_page_runs(). */
uint32_t homes_page_runs(const struct homes *homes, const struct region *region, uint64_t page,
                         struct page_run *runs, uint32_t count_runs);
/** Fill in view->home. */
void homes_view(const struct homes *homes, const struct region *region, uint64_t page,
                struct page_view *view);

/*
 * For the other files of the home part.
 */

/** Start a transfer of a page that is free. */
void transfer_start(struct homes *homes, struct transfer *transfer);
/** A message about a transfer, every field that the transfer has filled in. */
struct message transfer_message(const struct transfer *transfer, uint32_t kind, uint32_t to);
/** Every other copy is gone (H2): tell the requester. */
void transfer_grant(struct homes *homes, const struct transfer *transfer);
/** The owner's node number, NODE_NONE for a page that was never written. */
uint32_t home_page_owner(const struct home_page *page);

/** The record of page number `index` of a transfer. */
struct home_page *transfer_page(struct homes *homes, const struct transfer *transfer,
                                uint32_t index);
/** A new transfer, waiting and in no list; free it with transfer_free(). */
struct transfer *transfer_new(struct homes *homes, struct region *region, uint64_t page,
                              uint32_t requester);
void transfer_free(struct homes *homes, struct transfer *transfer);
/** Close an open transfer and free it; who waits becomes ready. */
void transfer_close(struct homes *homes, struct transfer *transfer);
/** An open transfer waits again, before all others of its first page. */
void transfer_restart(struct homes *homes, struct transfer *transfer);
/** Tell the requester that the pages are lost, and close. */
void transfer_lose(struct homes *homes, struct transfer *transfer);
/** Send (again) whatever the transfer is waiting for. */
void transfer_drive(struct homes *homes, struct transfer *transfer);

#endif
