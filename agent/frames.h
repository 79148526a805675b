/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Frames: the node's copies of pages. One memfd per region, one userfaultfd per mapping of a local
 * program. This file knows the kernel's rules (KERNEL.md: variant A2, rules 1 to 12) and nothing of
 * the protocol: it does what the core's actions say, in their order. The agent looks at no page by
 * a mapping: a page that no program maps is put in through an inaccessible one (frames_fill.c).
 *
 * Invariants
 *   F1 every map that is attached has the write-protect bit or marker on each page of its range
 *      that is present, but for pages that frames_fill(write) or frames_allow() gave to it since
 *      the last frames_protect()
 *   F2 a page is punched only after frames_protect() of it
 *   F3 EEXIST, EAGAIN, ENOENT and ESRCH are normal outcomes of an ioctl on a client's userfaultfd
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
     * stale.
     */
    void (*on_fault)(void *context, map_id map, uint64_t page, bool write);
};

/**
 * @loop   borrowed
 * @events borrowed until return
 * @frames returned, release with frames_free()
 *
 * Errors: DSM_ENOMEM
 */
int frames_new(uv_loop_t *loop, const struct frames_events *events, struct frames **frames);
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

/** Announce a mapping of [page, page + count) for a client; it is inert until attached. */
int frames_map_add(struct frames *frames, map_id map, client_id client, region_id region,
                   uint64_t page, uint64_t count);
/**
 * The client has mapped and registered it.
 *
 * @uffd       given, also on error; O_NONBLOCK is set here
 * @address    of the mapping in the client
 *
 * Errors: DSM_EINVAL no such map of that client, already attached, or another length
 *         DSM_ESYS   the range cannot be write-protected through this descriptor
 */
int frames_attach(struct frames *frames, map_id map, client_id client, int uffd, uint64_t address,
                  uint64_t len_bytes);
/** Forget a mapping and close its userfaultfd; unknown ones are ignored. */
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
/** ACTION_ALLOW, ACTION_WAKE, ACTION_PROTECT, ACTION_DROP, ACTION_POISON. */
void frames_allow(struct frames *frames, region_id region, uint64_t page, uint32_t count,
                  map_id map);
void frames_wake(struct frames *frames, region_id region, uint64_t page, uint32_t count,
                 map_id map);
void frames_protect(struct frames *frames, region_id region, uint64_t page, uint32_t count);
void frames_drop(struct frames *frames, region_id region, uint64_t page, uint32_t count);
void frames_poison(struct frames *frames, region_id region, uint64_t page, uint32_t count);
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
/**
 * ACTION_ATOMIC: SYNC_FETCH_ADD or SYNC_COMPARE_SWAP on 8 bytes at a byte offset of the region, of
 * a page that is present and write-protected in every map; native byte order.
 *
 * @old the value before. Errors: DSM_ESYS.
 */
int frames_atomic(struct frames *frames, region_id region, uint64_t offset, uint32_t op,
                  uint64_t value, uint64_t operand, uint64_t *old);
/** Pages found filled behind the agent's back and put right, so far. */
uint64_t frames_count_repairs(const struct frames *frames);

#endif
