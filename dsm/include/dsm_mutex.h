/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dsm_mutex.h: mutexes, and the bytes that come with them. dsm.h includes it.
 */
#ifndef DSM_MUTEX_H
#define DSM_MUTEX_H

#include "dsm.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes of a range that is bound to a mutex, at most. */
#define DSM_BIND_BYTES_MAX 65536u

/**
 * Take the mutex named by (region, offset). It uses no byte of the region: the offset is its name.
 *
 * @offset     bytes, less than the region's size
 * @timeout_ms 0 to try once, DSM_FOREVER to wait without end
 *
 * Errors: DSM_EOWNERDEAD the holder died: the mutex IS held by the caller: check the data
 *         DSM_ETIMEDOUT  (DSM_EAGAIN when timeout_ms is 0) not taken
 *         DSM_ERANGE, DSM_EACCES (handle opened O_RDONLY), DSM_EDOWN, DSM_ESTALE, DSM_ENOAGENT
 * Waiters are served in order of arrival. Not recursive: a second lock by the holder waits. The
 * mutex belongs to the session, not to the thread. It stays with the node that had it last until
 * another one wants it: taking it there again is no system call; if that node dies, the next one
 * gets DSM_EOWNERDEAD though perhaps nobody held it.
 */
int dsm_mutex_lock(struct dsm_region *region, uint64_t offset, int64_t timeout_ms);

/**
 * Release a mutex.
 *
 * Errors: DSM_EPERM  this session does not hold it
 *         DSM_EDOWN, DSM_ESTALE, DSM_ETIMEDOUT, DSM_ENOAGENT
 * Everything written before is visible to the next holder. The next lock tells if the home is lost.
 */
int dsm_mutex_unlock(struct dsm_region *region, uint64_t offset);

/**
 * Bind a range of a region to one of its mutexes: whoever takes the mutex next, on another node,
 * gets the range's pages along with it, to be written, in place of a page fault for each. It is
 * advice that this program gives for its own locks: every program that uses the mutex says the
 * same, once, when it has opened the region. It changes when bytes move, never what is read; who
 * says nothing, or something else, gets the right bytes all the same.
 *
 * It pays when a holder uses most of the range, mostly to write to it, and when the range's pages
 * are used under this mutex alone: bytes of other mutexes on the same pages come along as well. It
 * does not when holders only read (their pages would stay with all of them without it), when the
 * mutex is taken much more often than the range is used, or in a mapping with DSM_RELEASE. While
 * the mutex is held, what other nodes want of the range waits until it is given up, no longer than
 * the region's window (dsm_shm_options.window_ms; 4 ms if none was given, none with
 * DSM_WINDOW_NONE): a holder who takes longer fetches again what was taken from it.
 *
 * @mutex     bytes, the offset that is the mutex's name; it need not lie in the range
 * @offset    bytes from the start of the region, any alignment
 * @len_bytes at most DSM_BIND_BYTES_MAX; 0: nothing is bound to the mutex from now on. What was
 *            bound to it before is not any more in any case
 *
 * Errors: DSM_EINVAL  more than DSM_BIND_BYTES_MAX bytes
 *         DSM_ERANGE  the mutex or the range leaves the region
 *         DSM_EACCES  the handle was opened O_RDONLY
 *         DSM_ESEALED the region is sealed, and has no mutexes any more
 *         DSM_ENOMEM  1024 ranges of this region are bound by programs of this node
 *         DSM_ESTALE, DSM_EKEEPER, DSM_ETIMEDOUT, DSM_ENOAGENT
 * Returns when the agent has heard it; forgotten when the handle is closed, or the program ends.
 * Source: entry consistency's binding of data to locks (Bershad, Zekauskas & Sawdon 1993).
 */
int dsm_mutex_bind(struct dsm_region *region, uint64_t mutex, uint64_t offset, uint64_t len_bytes);

#ifdef __cplusplus
}
#endif

#endif
