/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/frames.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/frames_state.h"
#include "agent/uffd.h"

/* A window takes so much of the addresses at most, which are few on a 32-bit machine. */
#define WINDOW_PART 16

/* One ACTION_FILL in progress. */
struct fill {
    struct frames *frames;
    struct frames_span span;
    struct frames_map *through; /* the mapping that asked, NULL: none usable */
    const uint8_t *bytes;       /* of the whole span; NULL: zeros */
    bool write;                 /* `through` may write afterwards */
    bool strayed;               /* some page went another way than by `through` */
};

static bool is_covering(const struct frames_map *map, uint64_t offset)
{
    return map_is_usable(map) && map->start <= offset && offset < map->end;
}

/* Can pages at an offset be put in through it? */
static bool is_way(const struct frames_map *map, uint64_t offset)
{
    return is_covering(map, offset) && map->ops->fill != NULL;
}

static const uint8_t *bytes_at(const struct fill *fill, uint64_t offset)
{
    return fill->bytes == NULL ? NULL : fill->bytes + (offset - fill->span.start);
}

/* Write one piece, zeros when bytes is NULL. */
static void write_or_give_up(const struct frames_region *region, uint64_t offset,
                             const uint8_t *bytes, uint64_t len_bytes)
{
    uint8_t *zeros = bytes == NULL ? calloc(1, len_bytes) : NULL;

    if ((bytes == NULL && zeros == NULL) ||
        !region_write(region, offset, bytes == NULL ? zeros : bytes, len_bytes)) {
        frames_give_up(region, "page cannot be stored", offset);
    }
    free(zeros);
}

/*
 * The page is in the memory although the core knows that it is absent: somebody went behind our
 * back (a forked child, a write to the memory file). Its bytes are replaced; the mapping gets what
 * COPY would have given it.
 */
static void repair(struct fill *fill, struct frames_map *map, uint64_t offset, uint64_t len_bytes,
                   bool protect)
{
    const struct frames_region *region = fill->span.region;

    write_or_give_up(region, offset, bytes_at(fill, offset), len_bytes);
    fill->frames->counters.repairs++;
    log_limited(&fill->frames->limit, LOG_LEVEL_WARNING,
                "frames: page was filled behind the agent's back, put right region=%u.%u "
                "page=%" PRIu64 " client=%u",
                region->id.slot, region->id.generation, offset / region->page_size,
                map == NULL ? 0 : map->client);
    if (map != NULL && protect) {
        map->ops->protect(map, offset, len_bytes);
        map->ops->wake(map, offset, len_bytes, true);
    } else if (map != NULL) {
        map->ops->allow(map, offset, len_bytes);
    }
}

/* Fill [offset, end) through one mapping; returns the bytes done before it refused for good. */
static uint64_t fill_through(struct fill *fill, struct frames_map *map, uint64_t offset,
                             uint64_t end)
{
    bool protect = map != fill->through || !fill->write;
    uint64_t start = offset, page_bytes;

    while (offset < end) {
        int error;

        offset +=
            map->ops->fill(map, offset, bytes_at(fill, offset), end - offset, protect, &error);
        if (error == -EEXIST) {
            page_bytes = uffd_page_bytes();
            repair(fill, map, offset, page_bytes, protect);
            offset += page_bytes;
        } else if (error != 0) {
            map_judge(map, "copy", offset, error);
            break;
        }
    }
    return offset - start;
}

/*
 * An inaccessible mapping of the whole region, with a userfaultfd of our own; false: not to be had,
 * as where this agent may have no userfaultfd at all. Then no program here has one either, and only
 * memory is at stake: where huge pages are forced on shared memory the kernel stores zeros around a
 * page that is written, which programs over a channel are kept from.
 */
static bool window_open(struct frames_region *region)
{
    void *window;

    if (region->window != NULL) {
        return true;
    }
    if (region->memory_bytes > SIZE_MAX / WINDOW_PART) {
        return false;
    }
    window =
        mmap(NULL, region->memory_bytes, PROT_NONE, MAP_SHARED | MAP_NORESERVE, region->memfd, 0);
    if (window == MAP_FAILED) {
        return false;
    }
    region->window_uffd = uffd_make((uint64_t)(uintptr_t)window, region->memory_bytes);
    if (region->window_uffd < 0) {
        munmap(window, region->memory_bytes);
        return false;
    }
    madvise(window, region->memory_bytes, MADV_DONTDUMP);
    madvise(window, region->memory_bytes, MADV_DONTFORK);
    region->window = window;
    region->window_bytes = region->memory_bytes;
    return true;
}

void window_close(struct frames_region *region)
{
    if (region->window != NULL) {
        munmap(region->window, region->window_bytes);
        close(region->window_uffd);
    }
    region->window = NULL;
    region->window_uffd = -1;
}

/* Fill [offset, end) without any mapping of a program. The window keeps no page-table entry, so
 * that it costs nothing when the pages are protected and dropped. */
static void fill_unmapped(struct fill *fill, uint64_t offset, uint64_t end)
{
    struct frames_region *region = fill->span.region;
    uint64_t start = offset, page_bytes = uffd_page_bytes();
    uint8_t *window;

    if (!window_open(region)) {
        write_or_give_up(region, offset, bytes_at(fill, offset), end - offset);
        return;
    }
    window = region->window;
    while (offset < end) {
        int error;

        offset += uffd_copy(region->window_uffd, (uint64_t)(uintptr_t)(window + offset),
                            bytes_at(fill, offset), end - offset, false, &error);
        if (error == -EEXIST) {
            repair(fill, NULL, offset, page_bytes, true);
            offset += page_bytes;
        } else if (error != 0) {
            write_or_give_up(region, offset, bytes_at(fill, offset), page_bytes);
            offset += page_bytes;
        }
    }
    madvise(window + start, end - start, MADV_DONTNEED);
}

/* How far nothing but the window can serve, from an offset at which every mapping has refused. */
static uint64_t unmapped_end(const struct fill *fill, uint64_t offset)
{
    uint64_t end = fill->span.end;

    for (const struct frames_map *map = fill->span.region->maps; map != NULL; map = map->next) {
        if (is_way(map, offset)) {
            return offset + uffd_page_bytes(); /* The program has unmapped a part of its range. */
        }
        if (map->start > offset && map->start < end && is_way(map, map->start)) {
            end = map->start;
        }
    }
    return end;
}

/* Fill from an offset on, as far as one way carries. Returns where the next way has to start. */
static uint64_t fill_some(struct fill *fill, uint64_t offset)
{
    const struct frames_span *span = &fill->span;
    uint64_t end = span->end, done = 0;

    if (fill->through != NULL && is_way(fill->through, offset)) {
        uint64_t last = fill->through->end < end ? fill->through->end : end;

        done = fill_through(fill, fill->through, offset, last);
        if (done > 0) {
            return offset + done;
        }
    }
    fill->strayed = true;
    if (fill->through != NULL && fill->through->start > offset && fill->through->start < end &&
        is_way(fill->through, fill->through->start)) {
        end = fill->through->start;
    }
    for (struct frames_map *map = span->region->maps; map != NULL && done == 0; map = map->next) {
        if (map != fill->through && is_way(map, offset)) {
            done = fill_through(fill, map, offset, map->end < end ? map->end : end);
        }
    }
    if (done > 0) {
        return offset + done;
    }
    end = unmapped_end(fill, offset);
    fill_unmapped(fill, offset, end);
    return end;
}

/* Tell the mappings that the pages are there now. Who was given them by its own fill() knows. */
static void reveal(const struct fill *fill)
{
    uint64_t start, len_bytes;

    for (struct frames_map *map = fill->span.region->maps; map != NULL; map = map->next) {
        enum watch_grant grant = WATCH_GRANT_WAKE;

        if (map == fill->through) {
            grant = fill->write ? WATCH_GRANT_WRITE : WATCH_GRANT_READ;
        }
        if ((map != fill->through || fill->strayed) &&
            map_cut(map, &fill->span, &start, &len_bytes)) {
            map->ops->reveal(map, start, len_bytes, grant);
        }
    }
}

void span_fill(struct frames *frames, const struct frames_span *span, map_id map, bool write,
               const uint8_t *bytes)
{
    struct fill fill = {.frames = frames, .span = *span, .bytes = bytes, .write = write};
    uint64_t offset;

    fill.through = (struct frames_map *)(void *)table_find(&frames->maps, map);
    if (fill.through != NULL &&
        (fill.through->region != fill.span.region || !map_is_usable(fill.through))) {
        fill.through = NULL;
    }
    frames->answered = fill.through != NULL ? map : frames->answered;
    /* Once the page is there the kernel maps it into the others without asking: only a marker keeps
     * it read-only for them (KERNEL.md, rule 2). */
    span_protect(&fill.span, fill.through);
    if (write) {
        span_tell_open(&fill.span, fill.through);
    }
    offset = fill.span.start;
    while (offset < fill.span.end) {
        offset = fill_some(&fill, offset);
    }
    reveal(&fill);
}

void frames_fill(struct frames *frames, region_id region, uint64_t page, uint32_t count, map_id map,
                 bool write, const uint8_t *bytes)
{
    struct frames_span span;

    if (!span_find(frames, region, page, count, &span)) {
        return;
    }
    if (region_has_groups(span.region)) {
        groups_fill(frames, &span, bytes);
    } else {
        span_fill(frames, &span, map, write, bytes);
    }
}
