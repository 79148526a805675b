/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Frames: the node's copies of pages. One memfd per region; each mapping of a local program is
 * watched by a userfaultfd or over a channel (watch.h). These files know the kernel's rules
 * (KERNEL.md: variant A2, rules 1 to 12) and nothing of the protocol: they do what the core's
 * actions say, in their order. The agent looks at no page by a mapping: a page that no program maps
 * is put in through an inaccessible one (frames_fill.c).
 *
 * Where the hardware page is larger than a region's, the pages of each hardware page are a group:
 * they lie aside, where no program sees them, until frames_gather() shows them all at once, and
 * after frames_scatter() again. Every other function works on either.
 *
 * Invariants
 *   F1 every map that is attached is kept from writing each page of its range that is present, but
 *      for pages that frames_fill(write), frames_gather(write) or frames_allow() gave to it since
 *      the last frames_protect(). Watched by a userfaultfd it has the write-protect bit or marker
 *      there; over a channel it has no more access than it was told to have
 *   F2 a page is punched only after frames_protect() of it, and hidden from who would get a zero
 *      page in its place
 *   F3 EEXIST, EAGAIN, ENOENT and ESRCH are normal outcomes of an ioctl on a client's userfaultfd
 *   F4 what takes access away has happened in every map when the call returns: a program that does
 *      not obey in FAULT_DEADLINE_MS has been ended
 * All pages and counts are region pages (page_size bytes), not hardware pages.
 */
#ifndef DSM_AGENT_FRAMES_H
#define DSM_AGENT_FRAMES_H

#include <uv.h>

#include "dsm/core/node.h"

struct frames;

/** Whom to tell. */
struct frames_events {
    void *context;
    /**
     * A thread of the program behind `map` is blocked at region page `page`; a hint, may be
     * stale. Comes from the loop, or out of a call that waits for programs to obey
     * (frames_protect(), frames_drop(), frames_scatter(), frames_poison()): then it is to be noted,
     * and no function of the frames called.
     */
    void (*on_fault)(void *context, map_id map, uint64_t page, bool write);
};

/** How a program lets a mapping be watched: what came with its ATTACH. */
struct frames_attachment {
    uint32_t backend; /* enum session_backend (net/codec.h) */
    int descriptor;   /* given, also on error: a userfaultfd, or an end of a channel */
    int process;      /* pidfd of the program, borrowed; -1 when the kernel cannot tell */
    uint64_t address; /* of the mapping in the program */
    uint64_t len_bytes;
};

/** What was done so far. */
struct frames_counters {
    uint64_t repairs; /* pages found filled behind the agent's back and put right */
    uint64_t groups_gathered, groups_scattered;
};

/**
 * @loop       borrowed
 * @page_bytes of the hardware, or a larger power of two that is taken for it
 * @events     borrowed until return
 * @frames     returned, release with frames_free()
 *
 * Errors: DSM_ENOMEM
 */
int frames_new(uv_loop_t *loop, uint64_t page_bytes, const struct frames_events *events,
               struct frames **frames);
/** Closes every descriptor. Polls are closed through the loop, which must run once more after. */
void frames_free(struct frames *frames);

/** Make the region's memfd, or grow it. Errors: DSM_ESYS, DSM_ENOMEM. */
int frames_region_open(struct frames *frames, region_id region, uint64_t size_bytes,
                       uint32_t page_size);
/** Close the region's memfd and everything of it. */
void frames_region_close(struct frames *frames, region_id region);
/** The region's memfd, borrowed; -1 when the region is not open. */
int frames_memfd(const struct frames *frames, region_id region);
/** Bytes of one page of the region, 0 when it is not open. */
uint32_t frames_page_size(const struct frames *frames, region_id region);

/**
 * Announce a mapping of [page, page + count) for a client; it is inert until attached. What the
 * program maps of it are whole hardware pages.
 *
 * @may_write the program maps it to write as well
 *
 * Errors: DSM_EINVAL the number is in use
 *         DSM_ERANGE it leaves the region
 *         DSM_ENOMEM
 */
int frames_map_add(struct frames *frames, map_id map, client_id client, region_id region,
                   uint64_t page, uint64_t count, bool may_write);
/**
 * The client has mapped it and handed over what watches it.
 *
 * Errors: DSM_EINVAL no such map of that client, already attached, another length, no back end
 *         DSM_ESYS   the range cannot be watched through this descriptor
 *         DSM_EPERM  this back end needs an agent that may end the program, and this one may not
 *         DSM_ENOMEM
 */
int frames_attach(struct frames *frames, map_id map, client_id client,
                  const struct frames_attachment *attachment);
/**
 * Tell the program from now on which pages of an attached mapping may have changed: by another
 * mapping of this node, or on another node.
 *
 * @descriptor returned: of the memory in which it is told (net/stale_map.h)
 *
 * Errors: DSM_EINVAL no such map of that client, not attached, or followed already
 *         DSM_ENOMEM, DSM_ESYS
 */
int frames_follow(struct frames *frames, map_id map, client_id client, int *descriptor);
/** Forget a mapping and close its descriptor; unknown ones are ignored. */
void frames_map_gone(struct frames *frames, map_id map);

/**
 * Put bytes into absent pages (ACTION_FILL).
 *
 * @map   through which; 0, gone or not covering the page: through another one, or pwrite without
 * any
 * @bytes count pages, any alignment, borrowed; NULL: zeros
 */
void frames_fill(struct frames *frames, region_id region, uint64_t page, uint32_t count, map_id map,
                 bool write, const uint8_t *bytes);
/**
 * See at once whether the program that was last given a page has the next fault already, as it has
 * where it runs before we sleep. At most one look for each page that was given.
 */
void frames_look(struct frames *frames);
/**
 * ACTION_ALLOW, ACTION_WAKE (map 0: every map; else the pages are here), ACTION_PROTECT,
 * ACTION_DROP, ACTION_POISON.
 */
void frames_allow(struct frames *frames, region_id region, uint64_t page, uint32_t count,
                  map_id map);
void frames_wake(struct frames *frames, region_id region, uint64_t page, uint32_t count,
                 map_id map);
void frames_protect(struct frames *frames, region_id region, uint64_t page, uint32_t count);
void frames_drop(struct frames *frames, region_id region, uint64_t page, uint32_t count);
void frames_poison(struct frames *frames, region_id region, uint64_t page, uint32_t count);
/** ACTION_GATHER, ACTION_SCATTER: [page, page + count) is one whole group. */
void frames_gather(struct frames *frames, region_id region, uint64_t page, uint32_t count,
                   map_id map, bool write);
void frames_scatter(struct frames *frames, region_id region, uint64_t page, uint32_t count);
/** Read present pages; `to` has room for count pages. Errors: DSM_ESYS. */
int frames_read(const struct frames *frames, region_id region, uint64_t page, uint32_t count,
                uint8_t *to);
/** ACTION_KEEP. Errors: DSM_ESYS, DSM_ENOMEM. */
int frames_keep(struct frames *frames, uint32_t keep, region_id region, uint64_t page,
                uint32_t count);
/** The bytes put aside, borrowed until frames_forget(); NULL when unknown. */
const uint8_t *frames_kept(const struct frames *frames, uint32_t keep, size_t *len_bytes);
/** ACTION_FORGET. */
void frames_forget(struct frames *frames, uint32_t keep);
/** What to do to the 8 bytes at an offset of a region. */
struct frames_atomic {
    region_id region;
    uint64_t offset; /* bytes; a multiple of 8 */
    uint32_t op;     /* SYNC_FETCH_ADD or SYNC_COMPARE_SWAP */
    bool is_native;  /* they are in this machine's order; else little-endian */
    uint64_t value, operand;
};

/**
 * ACTION_ATOMIC, of a page that is present and write-protected in every map.
 *
 * @old the value before
 *
 * Errors: DSM_EINVAL another op, or no such 8 bytes
 *         DSM_ESYS
 */
int frames_atomic(struct frames *frames, const struct frames_atomic *atomic, uint64_t *old);
/** What was done so far; borrowed. */
const struct frames_counters *frames_counters(const struct frames *frames);

#endif
