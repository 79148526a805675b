/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The mappings of one session, and their fence.
 *
 * Invariants
 *   S1 every range that libdsm has mapped from a region's memfd is in the table, from before the
 * agent knows of it until after munmap(): so a fence misses none S2 what is not in the table is
 * never unmapped or fenced: the address may be another's by now S3 a mapping with users is neither
 * unmapped nor freed
 */
#ifndef DSM_LIB_SPACE_H
#define DSM_LIB_SPACE_H

#include <pthread.h>

#include "dsm/core/node.h"
#include "dsm/lib/fault.h"

struct dsm_region;
struct view;

/** One mapping. */
struct mapping {
    map_id map;
    region_id region;
    const struct dsm_region
        *window_of; /* made for dsm_vm_* on that handle; NULL: the program's own */
    uint8_t *address;           /* whole hardware pages from here on */
    uint64_t offset, len_bytes; /* of the region: what lies there */
    uint64_t lead_bytes;        /* from there to what the program asked for */
    int protection;             /* DSM_READ, DSM_WRITE */
    struct fault_map fault;
    char name[RECORD_NAME_BYTES];
    /* The rest is the table's, under its lock. */
    bool ready;   /* the agent serves it */
    bool leaving; /* being unmapped */
    bool fenced;
    uint32_t count_users;
    bool is_base;      /* under a view: never the program's, nor dsm_vm_*'s */
    struct view *view; /* over it; NULL while there is none */
};

struct space {
    pthread_mutex_t lock;
    pthread_cond_t unused; /* a mapping's count_users became 0 */
    struct fault *fault;
    struct mapping **list; /* by address */
    size_t count, capacity;
    bool fenced;
};

/** @fault borrowed until space_close(). Errors: DSM_ESYS. */
int space_init(struct space *space, struct fault *fault);
/** Unmaps and frees every mapping, without a word to the agent. */
void space_close(struct space *space);
/** As space_close() in a forked child, where none of the ranges is mapped and no lock can be
 * trusted. */
void space_close_in_child(struct space *space);

/**
 * Put a mapped range into the table.
 *
 * @mapping given on success; not yet to be found
 *
 * Errors: DSM_ENOMEM
 *         DSM_ENOAGENT the session is fenced
 */
int space_add(struct space *space, struct mapping *mapping);
/** The agent serves it from now on. Errors: DSM_ENOAGENT the session was fenced meanwhile. */
int space_set_ready(struct space *space, struct mapping *mapping);
/**
 * Fence this view with its base from now on; NULL: none any more.
 *
 * Errors: DSM_ENOAGENT the session is fenced
 */
int space_set_view(struct space *space, struct mapping *base, struct view *view);
/** Unmap and free; waits until nobody uses it. Returns its map id. */
map_id space_remove(struct space *space, struct mapping *mapping);
/** As space_remove() of the program's own mapping that was told to be at address; 0: none is. */
map_id space_remove_at(struct space *space, const void *address);
/** As space_remove() of one window of a handle that nobody uses; 0 when there is none. */
map_id space_remove_window(struct space *space, const struct dsm_region *handle);

/**
 * Use a ready mapping that holds a byte of a region, the program's own or a window of this handle.
 *
 * Returns it, give it back with space_return(); NULL when there is none.
 */
struct mapping *space_borrow(struct space *space, const struct dsm_region *handle, region_id region,
                             uint64_t offset, int protection);
void space_return(struct space *space, struct mapping *mapping);
bool space_is_fenced(struct space *space);

/**
 * Make every mapping inaccessible, now and for all later ones, and say so on standard error.
 *
 * @node_name of the agent that went away
 */
void space_fence(struct space *space, const char *node_name);

#endif
