/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Ranges of bytes that programs of this node have bound to mutexes: when a mutex comes, its pages
 * come along. It is the only part that knows of both, calls and pages.
 */
#ifndef DSM_CORE_BINDING_H
#define DSM_CORE_BINDING_H

#include "dsm/core/call.h"
#include "dsm/core/page.h"

#define BINDING_BUCKETS 256u
/** Of one region, by programs of this node. */
#define BINDINGS_MAX 1024u

/** What one program says of one mutex. */
struct binding {
    struct list by_key;
    struct list by_region; /* in region->bindings */
    struct list by_handle; /* in handle->bindings */
    struct list asking;    /* in bindings.asking while pages are to be asked for, or nothing */
    struct region *region;
    struct client *client;
    uint64_t offset;  /* of the mutex */
    uint64_t page;    /* pages [page, end) are bound to it */
    uint64_t end;
    uint64_t next;    /* asking: this one next */
    uint64_t request; /* id of the program's last LOCK that was sent to the home */
    uint64_t asked;   /* a bit for each group of the range that was asked for since then */
};

struct bindings {
    struct pages *pages;
    struct calls *calls;
    struct pool pool; /* struct binding */
    struct list by_key[BINDING_BUCKETS];
    struct list asking; /* struct binding */
};

void bindings_init(struct bindings *bindings, struct pages *pages, struct calls *calls);
/** Does CALL_BIND name a mutex or a range outside the region, by the size that is known here? */
bool bindings_leave(const struct record *record, const struct call *call);
/** CALL_BIND on a handle that has been found; the call is answered. */
void bindings_on_call(struct bindings *bindings, const struct client *client, uint64_t number,
                      struct handle *handle, const struct call *call);
/** The handle is being closed. */
void bindings_handle_gone(struct bindings *bindings, struct handle *handle);
void bindings_region_gone(struct bindings *bindings, struct region *region);
/**
 * A LOCK of a program was sent to its home, or granted by it: what this node lacks of the range
 * that the program has bound to the mutex is asked for next.
 */
void bindings_ask(struct bindings *bindings, const struct sync_call *lock);
/** The pages that a FORWARD is about have left: what waits for its mutex wants them again. */
void bindings_on_gone(struct bindings *bindings, const struct message *forward);
/** Ask for one run of pages; false: there is none to ask for. */
bool bindings_ask_next(struct bindings *bindings);
/**
 * Until when the pages that a FORWARD is about, which came at `since_ms`, stay for the sake of
 * their mutex; since_ms: they do not.
 */
uint64_t bindings_until(const struct bindings *bindings, const struct message *message,
                        uint64_t since_ms);

#endif
