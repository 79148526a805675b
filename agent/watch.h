/* SPDX-License-Identifier: Apache-2.0 */
/**
 * How one mapping of a local program is watched: what is particular to a mechanism stays behind
 * this table, and the other files of the frames know only it.
 *
 *   watch_uffd_ops     a userfaultfd: the kernel stops a thread, and changes of access hold at once
 *   watch_uffd_reader_ops  the same, of a mapping that is only read through: nothing has to be
 *                      protected in it, and the kernel maps pages that are here in runs (it does
 *                      not where userfaultfd could write-protect)
 *   watch_channel_ops  net/fault_channel.h: the program changes its access itself when told to;
 *                      what takes access away holds only after span_settle()
 *
 * Offsets are bytes of the region, ranges lie inside of the mapping and consist of whole hardware
 * pages. Nothing fails: a program that has exited, or that does not obey, is `lost` from then on,
 * and by then it cannot touch the mapping any more.
 */
#ifndef DSM_AGENT_WATCH_H
#define DSM_AGENT_WATCH_H

#include <poll.h>

#include "agent/frames.h"

struct frames_map;

/** What a mapping gets of pages that have just come. */
enum watch_grant {
    WATCH_GRANT_WAKE = 0, /* it is no longer kept from reading; who waits there looks again */
    WATCH_GRANT_READ,
    WATCH_GRANT_WRITE,
};

struct watch_ops {
    /**
     * Begin: map->descriptor, address and range are set. Nothing in the range may be written
     * without being told of from now on.
     *
     * @process pidfd of the program, borrowed; -1: the kernel cannot tell
     *
     * Errors: DSM_ESYS   the descriptor does not do what it takes
     *         DSM_EPERM  this agent may not end the program, which this mechanism needs
     *         DSM_ENOMEM
     */
    int (*start)(struct frames_map *map, int process);
    /** Release what start() took, but for the descriptor. */
    void (*stop)(struct frames_map *map);
    /** The descriptor is ready, or has an error; may lead to on_fault, and that to stop(). */
    void (*on_ready)(struct frames_map *map, int status, int events);
    /** Without knowing whether it is: take in what has come, if that is sure not to block. NULL for
     * a mechanism that cannot. */
    void (*look)(struct frames_map *map);
    /** No more writes; may be under way until span_settle(). */
    void (*protect)(struct frames_map *map, uint64_t offset, uint64_t len_bytes);
    /** No touch reaches the memory, whose pages go away next; as protect(). */
    void (*hide)(struct frames_map *map, uint64_t offset, uint64_t len_bytes);
    /** Allow writes and wake who waits. */
    void (*allow)(struct frames_map *map, uint64_t offset, uint64_t len_bytes);
    /**
     * Put bytes (NULL: zeros) into absent pages, which only this mapping gets, `protect`ed or
     * writable. Returns the bytes done before an *error. NULL for a mechanism that cannot.
     */
    uint64_t (*fill)(struct frames_map *map, uint64_t offset, const uint8_t *bytes,
                     uint64_t len_bytes, bool protect, int *error);
    /** Pages have come that fill() of this mapping did not bring. */
    void (*reveal)(struct frames_map *map, uint64_t offset, uint64_t len_bytes,
                   enum watch_grant grant);
    /** Let who waits look again; `is_here`: and read, since the pages are here. */
    void (*wake)(struct frames_map *map, uint64_t offset, uint64_t len_bytes, bool is_here);
    /** Touching the pages, which are absent and hidden, is SIGBUS. */
    void (*poison)(struct frames_map *map, uint64_t offset, uint64_t len_bytes);
    /** Is an order that takes access away under way? Then *pollfd says what to wait for. */
    bool (*is_awaited)(const struct frames_map *map, struct pollfd *pollfd);
    /** What is_awaited() waits for has happened. */
    void (*on_awaited)(struct frames_map *map);
    /** It has not happened in time: see to it that the program touches nothing any more. */
    void (*on_late)(struct frames_map *map);
};

extern const struct watch_ops watch_uffd_ops;
extern const struct watch_ops watch_uffd_reader_ops;
extern const struct watch_ops watch_channel_ops;

#endif
