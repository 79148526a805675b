/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dsm_seal.h: sealed regions. What is written once and read by many - a photograph, a table, a
 * model - is sealed when it is whole: its bytes never change again, so whichever node has a page of
 * it may serve it. n nodes that read it get it through a tree: after O(log n) times the time of one
 * transfer all have it, and no node sends any of it more than twice (a node that wrote a part of it
 * far from its home sends that part once more, to its home). It can be read, from the nodes that
 * have read it, even when its home is lost.
 */
#ifndef DSM_SEAL_H
#define DSM_SEAL_H

#include "dsm.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Make a region immutable for ever. When this returns 0, no store to it can happen any more, on any
 * node, and whoever reads it, wherever and whenever, reads the same bytes.
 *
 * Nobody loses a right by it: it is refused while somebody else may write. The caller closes its
 * own writable mappings first, and keeps the handle, which then allows what one opened O_RDONLY
 * does. Of the region from now on:
 *   open       O_RDONLY; O_RDWR gives DSM_ESEALED (O_RDWR | O_TRUNC, as ever, gives the name to a
 *              new region, and that is not sealed)
 *   map        DSM_READ; DSM_WRITE gives DSM_ESEALED
 *   truncate, mutexes, barriers, fetch-add, compare-and-swap: DSM_ESEALED. What is to go on
 *              changing (a progress counter, a lock) belongs into another region. A mutex that is
 *              held may be unlocked.
 *   unlink, stat, unmap, close: as ever. There is no way back.
 *
 * @region opened O_RDWR; every mapping of it that may write is unmapped, by this program and all
 *         others, on all nodes, and every other handle of it that may write is closed
 *
 * Errors: DSM_EBUSY   a program has it open or mapped for writing, this one included; the sentence
 *                     names its node. Nothing was changed. That the last one of another node has
 *                     closed it is known here a round trip to the keeper later: try again.
 *         DSM_EACCES  the handle was opened O_RDONLY
 *         DSM_ESTALE  the region is gone
 *         DSM_EKEEPER the catalog's keeper cannot be reached. It may be sealed all the same when
 *                     the keeper went away in the middle: seal it again
 *         DSM_ETIMEDOUT, DSM_ENOAGENT
 * To seal what is sealed does nothing. Blocks for a round trip to the catalog's keeper and one to
 * the region's homes. Source: fcntl(2), F_SEAL_WRITE; Mach's and Mermaid's read-only replication.
 */
int dsm_shm_seal(struct dsm_region *region);

#ifdef __cplusplus
}
#endif

#endif
