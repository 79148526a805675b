/* SPDX-License-Identifier: Apache-2.0 */
/** dsm_advice.h: what a program knows of how it will use a region, told to its node's agent. */
#ifndef DSM_ADVICE_H
#define DSM_ADVICE_H

#include "dsm.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a program tells of a part of a region. */
enum dsm_advice {
    DSM_ADVICE_WILL_NEED = 1, /* it is read soon */
    DSM_ADVICE_DONE_WITH,     /* no program of this node needs it any more */
    DSM_ADVICE_NORMAL,        /* nothing is known any more of how it is used */
    DSM_ADVICE_RANDOM,        /* it is used here and there */
    DSM_ADVICE_SEQUENTIAL,    /* it is read from its begin to its end */
    DSM_ADVICE_MIGRATORY,     /* who reads a page of it writes to it next */
};

/**
 * Say how a part of a region is going to be used. Advice changes when bytes move, never what is
 * read: who says nothing, or the wrong thing, gets the right bytes all the same. The last four tell
 * how the programs of this node use it from now on: the last that was said of a page counts, of
 * more than 32 parts the oldest are forgotten.
 *
 * @offset    bytes from the start of the region, any alignment
 * @len_bytes up to the region's end at most; 0 does nothing
 * @advice    DSM_ADVICE_WILL_NEED: what is not here is fetched for reading while the program goes
 *            on, each page that the part touches. For many parts here and there, one call each:
 *            some dozens are remembered, of more the oldest are forgotten.
 *            DSM_ADVICE_DONE_WITH: copies of whole pages of the part are given up, and what this
 *            node owns goes to its home; memory is free again, and who needs the pages next finds
 *            them where they belong.
 *            DSM_ADVICE_RANDOM: nothing is fetched but what is touched. (Without it, a few of a
 *            hundred pages that are touched at random look like a walk, and more is fetched.)
 *            DSM_ADVICE_SEQUENTIAL: a read of any page of it fetches what follows, up to its end,
 *            at once, which else takes a few faults that show that the reading is in order.
 *            DSM_ADVICE_MIGRATORY: a read fetches the page with the right to write, where the
 *            mapping may: for data that moves from node to node under a lock. A page then moves
 *            by one transfer in place of two. Of pages that several nodes read at the same time
 *            it takes the copies away.
 *            There is none for what is mostly read, or written by several nodes: each reader
 *            has a copy as it is, and writers that share pages map with DSM_RELEASE, which is
 *            more than advice, since it changes what is read when.
 *
 * Errors: DSM_EINVAL  no such advice
 *         DSM_ERANGE  the part leaves the region
 *         DSM_ESTALE  the region is gone
 *         DSM_ENOAGENT, DSM_ETIMEDOUT, DSM_EKEEPER
 * Returns when the agent has heard it. Source: posix_madvise(3); MIGRATORY: Munin (Carter 1991).
 */
int dsm_advise(struct dsm_region *region, uint64_t offset, uint64_t len_bytes,
               enum dsm_advice advice);

#ifdef __cplusplus
}
#endif

#endif
