/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dsm_release.h: release consistency, as a choice of one mapping.
 *
 * Where several nodes write to different parts of the same pages, a sequentially consistent mapping
 * makes each page travel for each of them. A mapping with DSM_RELEASE does not: this process gets a
 * private view of the region, in which its stores stay until it releases them, and in which those
 * of others appear when it acquires. Between the two nothing is sent. What is written is found byte
 * by byte, so nothing of what another one wrote beside it is lost.
 *
 *   release  dsm_release(), dsm_mutex_unlock(), dsm_barrier_wait() before it waits,
 *            dsm_sem_post(), dsm_shm_unmap(), dsm_disconnect()
 *   acquire  dsm_acquire(), dsm_mutex_lock(), dsm_barrier_wait() when it returns, dsm_sem_wait()
 *
 * Mutexes, barriers and semaphores do it for every view of their session, whatever region they are
 * named in.
 *
 * What may be relied on
 *   * A program in which each two accesses of one byte, of which one is a store, are ordered by
 *     these (a program free of data races) reads what it would read sequentially consistent.
 *   * Bytes that this process did not write are never written back, whatever they share a word, a
 *     page or a cache line with.
 *   * The region itself stays sequentially consistent: programs with plain mappings, dsm_vm_read(),
 *     dsm_vm_write(), dsm_fetch_add() and views may use one region at once. A release is a number
 *     of plain stores to it, an acquire a number of plain loads.
 *   * When a release returns, its stores are in the region, for whoever acquires or reads it then.
 *
 * What will bite you
 *   * Atomic operations of C11 on a view are atomic in this process alone. Locks built of loads and
 *     stores do not work between views: use those of dsm.h. dsm_fetch_add() and dsm_compare_swap()
 *     work on the region, not on the view, and neither release nor acquire.
 *   * A release in one thread releases what all threads of the process have written, and an acquire
 *     is everybody's; both may come earlier than asked for, when another thread asks.
 *   * A value that was overwritten with itself was not written.
 *   * What a program had not released when it died is gone; a release that it died in is done in
 *     part. A page whose only copy died with its node makes dsm_release() and dsm_acquire() return
 *     DSM_EDOWN, and touching it in the view is SIGBUS from the next acquire on.
 *   * A view takes memory for two copies of each page that is touched, of the program, not of the
 *     agent's budget.
 *   * Pages of a view that were touched are brought up to date at each acquire if they changed,
 *     whether they are looked at again or not. Unmap what is not used any more.
 *   * A system call that cannot wait for a page (see dsm.h, back ends) is why there are no views
 *     with the other back ends: there a mapping with DSM_RELEASE is sequentially consistent, which
 *     is all that is promised here and more. Likewise where DSM_WRITE is not asked for: who only
 *     reads is not disturbed by what views have not released.
 */
#ifndef DSM_RELEASE_H
#define DSM_RELEASE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dsm_region;

/** Protection of a mapping, beside DSM_READ | DSM_WRITE: it is release consistent. */
#define DSM_RELEASE 4

/** What the views of a region in this session did so far. */
struct dsm_release_stat {
    uint64_t count_views;    /* mappings with DSM_RELEASE that are views */
    uint64_t pages_filled;   /* hardware pages copied into a view when they were touched */
    uint64_t pages_released; /* of which something was written to the region */
    uint64_t bytes_released;
    uint64_t pages_acquired; /* looked at since they may have changed */
    uint64_t bytes_acquired; /* that had */
    uint64_t races;          /* words written by two without order, see dsm_acquire() */
    int is_tracked; /* 1: the kernel notes which pages are written; 0: all are compared */
};

/**
 * Make what was written in this session's views of a region visible to all.
 *
 * Errors: DSM_EDOWN    a page is lost with the node that had its only copy; what was written to
 *                      other pages is released
 *         DSM_ENOAGENT the agent went away
 *         DSM_EINVAL   the session belongs to the parent of this process
 * Returns 0 at once where there is no view or nothing was written. Blocks until this node has owned
 * each page that was written: no message is sent for those that it owns already.
 * Source: Gharachorloo et al. 1990; twins as Munin's (Carter et al. 1991).
 */
int dsm_release(struct dsm_region *region);

/**
 * Make visible in this session's views of a region what others had released before.
 *
 * With $DSM_RACES=1 in the environment, words that this process and another one have written with
 * no order between them are told on standard error (16 lines at most) and counted, here and in
 * dsm_release(): the same bytes differ from what both began with, and from each other. Such a
 * report is never false for a program that writes the region through views alone; a race in which
 * both write the same value, or nobody writes, is not seen.
 *
 * Errors: as dsm_release()
 * No message is sent for pages that nobody else wrote. Source: Keleher et al. 1992.
 */
int dsm_acquire(struct dsm_region *region);

/**
 * Tell what the views of a region did.
 *
 * @stat written on success; all zero where there is none
 *
 * Errors: DSM_EINVAL  the session belongs to the parent of this process
 */
int dsm_release_stat_get(struct dsm_region *region, struct dsm_release_stat *stat);

#ifdef __cplusplus
}
#endif
#endif
