/* SPDX-License-Identifier: Apache-2.0 */
/** What the files of frames.h share; nobody else includes it. Offsets and lengths are bytes here.
 */
#ifndef DSM_AGENT_FRAMES_STATE_H
#define DSM_AGENT_FRAMES_STATE_H

#include "agent/frames.h"
#include "agent/log.h"
#include "agent/table.h"
#include "agent/watch.h"
#include "net/stale_map.h"

/** A mapping of a local program. */
struct frames_map {
    struct table_link link;  /* in frames->maps, by number; the first member */
    struct frames_map *next; /* in region->maps */
    struct frames *frames;   /* NULL once it is being closed */
    struct frames_region *region;
    client_id client;
    uint64_t start, end;         /* of the region, in whole hardware pages */
    uint64_t first, last;        /* region pages that were asked for, both inclusive */
    bool may_write;              /* its program has mapped it to write as well */
    uint64_t address;            /* of start, in the program */
    const struct watch_ops *ops; /* NULL: not attached */
    void *watch;                 /* what ops keep of it */
    int descriptor;              /* a userfaultfd or a channel; -1: not attached */
    bool lost;                   /* the program has exited, or was ended: its socket will say so */
    struct stale_map stale;      /* what its program is told of changes; none: it has not asked */
    bool polled;                 /* `poll` has to be closed by the loop before the memory goes */
    uv_poll_t poll;
};

/** A region's memory on this node. */
struct frames_region {
    struct table_link link; /* in frames->regions; the first member */
    struct frames *frames;
    region_id id;
    struct frames_map *maps;
    uint64_t size_bytes;   /* whole region pages */
    uint64_t memory_bytes; /* of the memory file: whole hardware pages too */
    uint32_t page_size;
    uint32_t unit_bytes; /* the larger of the two kinds of page: what programs see at once */
    int memfd;
    struct table groups; /* those of which pages lie aside, by number (frames_group.c) */
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
    uint64_t page_bytes; /* of the hardware */
    struct table regions, maps, keeps;
    struct frames_counters counters;
    map_id answered; /* the mapping that last got a page it had asked for, 0: none since a look */
    /* Room for every mapping that is attached: waiting must not fail (frames_wait.c). */
    struct pollfd *pollfds;
    struct frames_map **awaited;
    uint32_t capacity_awaited;
    struct log_limit limit;
};

/** A range of one region, checked against its size. */
struct frames_span {
    struct frames_region *region;
    uint64_t start, end;
};

/** A number rounded down, or up, to a multiple of a power of two. */
static inline uint64_t round_down(uint64_t value, uint64_t unit)
{
    return value & ~(unit - 1);
}
static inline uint64_t round_up(uint64_t value, uint64_t unit)
{
    return round_down(value + unit - 1, unit);
}

/** Find an open region, NULL when it is not. */
struct frames_region *region_find(const struct frames *frames, region_id id);
/** The range of pages as bytes; false (and logged: the core knows the size) when it is not inside.
 */
bool span_find(const struct frames *frames, region_id id, uint64_t page, uint64_t count,
               struct frames_span *span);
/** The same as whole hardware pages: what programs see of it. */
bool span_find_whole(const struct frames *frames, region_id id, uint64_t page, uint64_t count,
                     struct frames_span *span);
/** Is the mapping attached, and its program alive? */
bool map_is_usable(const struct frames_map *map);
/** Tell of a blocked thread at an offset of the mapping's range. */
void map_tell(struct frames_map *map, uint64_t offset, bool write);
/** Let the loop wait for these events of the descriptor (0: none); false when it cannot. */
bool map_poll(struct frames_map *map, int events);
/** Cut a range down to what a usable mapping covers; false when that is nothing. */
bool map_cut(const struct frames_map *map, const struct frames_span *span, uint64_t *start,
             uint64_t *len_bytes);
/** Where an offset of the region is in the program. */
uint64_t map_address(const struct frames_map *map, uint64_t offset);
/** Look at an ioctl's outcome: note an exited program, log what is not normal. */
void map_judge(struct frames_map *map, const char *what, uint64_t offset, int error);
/** Write-protect a range in every usable mapping but one (or NULL), and wait until that holds. */
void span_protect(const struct frames_span *span, const struct frames_map *except);
/** Hide a range from every usable mapping, and wait until that holds. */
void span_hide(const struct frames_span *span);
/** Write-protect and hide a range, and wait until that holds. */
void span_take(const struct frames_span *span);
/**
 * The range is about to be written by one mapping (NULL: the agent), can be no more, was dropped or
 * written: tell the programs that follow changes (net/stale_map.h, whose rules say when).
 */
void span_tell_open(const struct frames_span *span, const struct frames_map *writer);
void span_tell_settled(const struct frames_span *span);
void span_tell_changed(const struct frames_span *span);
/** Make room for waiting for so many mappings; false without memory. */
bool wait_reserve(struct frames *frames, uint32_t count);
/** Wait until every program has carried out what it was ordered, or has ended (frames_wait.c). */
void span_settle(const struct frames_span *span);
/** Drop the pages of a hidden range. */
void span_punch(const struct frames_span *span);
/** Fill an absent, hidden range that programs see at once; `map` as frames_fill(). */
void span_fill(struct frames *frames, const struct frames_span *span, map_id map, bool write,
               const uint8_t *bytes);
/** Write bytes into the memfd; false when the kernel refuses. */
bool region_write(const struct frames_region *region, uint64_t offset, const uint8_t *bytes,
                  uint64_t len_bytes);
/** Read bytes of the memfd, holes as zeros; false (and logged) when the kernel refuses. */
bool region_read(const struct frames_region *region, uint64_t offset, uint8_t *to,
                 uint64_t len_bytes);
/** Do this region's pages come in groups on this machine? */
bool region_has_groups(const struct frames_region *region);
/** Put bytes (NULL: zeros) of a span into pages that lie aside. */
void groups_fill(struct frames *frames, const struct frames_span *span, const uint8_t *bytes);
/** Drop what lies aside of a span. */
void groups_drop(const struct frames_span *span);
/** Read a span, from aside or from the memory; as region_read(). */
bool groups_read(const struct frames_span *span, uint8_t *to);
/** Write a span, aside or into the memory; as region_write(). */
bool groups_write(const struct frames_span *span, const uint8_t *bytes);
/** Free all that lies aside. */
void groups_close(struct frames_region *region);
/** Remove the window. */
void window_close(struct frames_region *region);
/**
 * The kernel refused what this node has promised to other nodes. Going on would serve zeros or old
 * bytes, so the agent stops: programs are fenced, other nodes declare it dead.
 */
void frames_give_up(const struct frames_region *region, const char *what, uint64_t offset)
    __attribute__((noreturn));

#endif
