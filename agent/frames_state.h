/* SPDX-License-Identifier: Apache-2.0 */
/** What the files of frames.h share; nobody else includes it. Offsets and lengths are bytes here.
 */
#ifndef DSM_AGENT_FRAMES_STATE_H
#define DSM_AGENT_FRAMES_STATE_H

#include "agent/frames.h"
#include "agent/log.h"
#include "agent/table.h"

/** A mapping of a local program. */
struct frames_map {
    struct table_link link;  /* in frames->maps, by number; the first member */
    struct frames_map *next; /* in region->maps */
    struct frames *frames;   /* NULL once it is being closed */
    struct frames_region *region;
    client_id client;
    uint64_t start, end; /* of the region */
    uint64_t address;    /* of start, in the program */
    int uffd;            /* -1: not attached */
    bool lost;           /* an ioctl said ESRCH: the program has exited, its socket will say so */
    bool polled;         /* `poll` has to be closed by the loop before the memory goes */
    uint32_t count_rearmed;
    uv_poll_t poll;
};

/** A region's memory on this node. */
struct frames_region {
    struct table_link link; /* in frames->regions; the first member */
    region_id id;
    struct frames_map *maps;
    uint64_t size_bytes;
    uint32_t page_size;
    int memfd;
    /* The window, made when a page comes that no program maps: an inaccessible mapping of our own
     * to put it through. A pwrite() could make the kernel fill whole huge pages around it. */
    void *window;
    uint64_t window_bytes;
    int window_uffd;
};

/** Bytes put aside. */
struct frames_keep {
    struct table_link link; /* in frames->keeps; the first member */
    size_t len_bytes;
    uint8_t bytes[];
};

struct frames {
    uv_loop_t *loop;
    struct frames_events events;
    struct table regions, maps, keeps;
    uint64_t count_repairs;
    struct log_limit limit;
};

/** A range of one region, checked against its size. */
struct frames_span {
    struct frames_region *region;
    uint64_t start, end;
};

/** Find an open region, NULL when it is not. */
struct frames_region *region_find(const struct frames *frames, region_id id);
/** The range of pages as bytes; false (and logged: the core knows the size) when it is not inside.
 */
bool span_find(const struct frames *frames, region_id id, uint64_t page, uint64_t count,
               struct frames_span *span);
/** Cut a range down to what a usable mapping covers; false when that is nothing. */
bool map_cut(const struct frames_map *map, const struct frames_span *span, uint64_t *start,
             uint64_t *len_bytes);
/** Where an offset of the region is in the program. */
uint64_t map_address(const struct frames_map *map, uint64_t offset);
/** Look at an ioctl's outcome: note an exited program, log what is not normal. */
void map_judge(struct frames_map *map, const char *what, uint64_t offset, int error);
/** Write-protect a range in every usable mapping but one (or NULL). */
void span_protect(const struct frames_span *span, const struct frames_map *except);
/** Wake a range in every usable mapping but one (or NULL). */
void span_wake(const struct frames_span *span, const struct frames_map *except);
/** Write bytes into the memfd; false when the kernel refuses. */
bool region_write(const struct frames_region *region, uint64_t offset, const uint8_t *bytes,
                  uint64_t len_bytes);
/** Remove the window. */
void window_close(struct frames_region *region);
/**
 * The kernel refused what this node has promised to other nodes. Going on would serve zeros or old
 * bytes, so the agent stops: programs are fenced, other nodes declare it dead.
 */
void frames_give_up(const struct frames_region *region, const char *what, uint64_t offset)
    __attribute__((noreturn));

#endif
