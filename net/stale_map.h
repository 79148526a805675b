/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What the agent tells a program about the pages of one mapping, in memory that both have mapped:
 * which of them may have other bytes than when the program last asked. A release-consistent mapping
 * (dsm/lib/view.h) copies pages and learns here, without a call, which copies are old.
 *
 * Two bits a page, numbered from the mapping's first region page on, and one a block of pages, so
 * that a large mapping in which little happens is looked through quickly:
 *
 *   open     another mapping of this node may be writing to the page at this moment
 *   changed  the page was dropped here, or another writer here has been stopped, since the program
 *            last looked
 *   blocks   one of its pages has one of these bits
 *
 * Rules
 *   1 The agent sets `open` before the other mapping gets the right to write.
 *   2 What takes a copy or a right to write away happens first, then `changed` is set, then
 *     whoever waits for it is told. So a program that comes to know of another one's write, by
 *     whatever it synchronises with, finds the bit; and the bytes that it reads after it has taken
 *     the bit are no older than the reason for it.
 *   3 The agent clears `open` after it has set `changed`; the program reads `open` before it takes
 *     `changed`. So a page that goes from the one to the other is not missed between them.
 *   4 Only the program clears `changed` and `blocks`. The agent trusts nothing that it reads here
 *     but its own open bits, and a program that spoils those spoils its own copies only.
 */
#ifndef DSM_NET_STALE_MAP_H
#define DSM_NET_STALE_MAP_H

#include <stddef.h>
#include <stdint.h>

/** One end of it. All zero is none. */
struct stale_map {
    _Atomic uint64_t *words; /* blocks, open, changed; shared */
    uint64_t count_pages;
    size_t len_bytes; /* of the shared memory */
};

/** Bytes of shared memory for so many pages, a multiple of 4096; 0: more than can be addressed. */
size_t stale_map_bytes(uint64_t count_pages);
/**
 * Make the shared memory: the agent's end.
 *
 * @descriptor returned, for the program; nobody can change its size
 *
 * Errors: DSM_ENOMEM, DSM_ESYS
 */
int stale_map_make(uint64_t count_pages, struct stale_map *map, int *descriptor);
/**
 * Map what the agent made: the program's end.
 *
 * @descriptor borrowed
 *
 * Errors: DSM_EPROTO it is not as large as it must be
 *         DSM_ENOMEM, DSM_ESYS
 */
int stale_map_open(uint64_t count_pages, int descriptor, struct stale_map *map);
/** Unmap; of none, too. */
void stale_map_close(struct stale_map *map);

/** Another mapping is about to get the right to write to pages [page, page + count). */
void stale_map_set_open(struct stale_map *map, uint64_t page, uint64_t count);
/** No mapping may write to them any more. */
void stale_map_settle(struct stale_map *map, uint64_t page, uint64_t count);
/** They were dropped, or written by the agent itself. */
void stale_map_set_changed(struct stale_map *map, uint64_t page, uint64_t count);

/** Told of a run of pages. */
typedef void stale_map_visit(void *context, uint64_t page, uint64_t count);
/** Take what there is to know: visits each run of pages that may have changed, ascending. */
void stale_map_take(struct stale_map *map, stale_map_visit *visit, void *context);

#endif
