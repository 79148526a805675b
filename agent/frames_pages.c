/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/frames.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/frames_state.h"
#include "dsm.h"

bool span_find(const struct frames *frames, region_id id, uint64_t page, uint64_t count,
               struct frames_span *span)
{
    struct frames_region *region = region_find(frames, id);
    uint64_t pages = region == NULL ? 0 : region->size_bytes / region->page_size;

    if (count > pages || page > pages - count) {
        log_line(LOG_LEVEL_ERROR,
                 "frames: pages outside of the region region=%u.%u page=%" PRIu64 " count=%" PRIu64
                 " pages=%" PRIu64,
                 id.slot, id.generation, page, count, pages);
        return false;
    }
    if (region == NULL) {
        return false;
    }
    span->region = region;
    span->start = page * region->page_size;
    span->end = (page + count) * region->page_size;
    return true;
}

bool span_find_whole(const struct frames *frames, region_id id, uint64_t page, uint64_t count,
                     struct frames_span *span)
{
    if (!span_find(frames, id, page, count, span)) {
        return false;
    }
    span->start = round_down(span->start, frames->page_bytes);
    span->end = round_up(span->end, frames->page_bytes);
    return true;
}

bool map_cut(const struct frames_map *map, const struct frames_span *span, uint64_t *start,
             uint64_t *len_bytes)
{
    uint64_t first = span->start > map->start ? span->start : map->start;
    uint64_t last = span->end < map->end ? span->end : map->end;

    if (!map_is_usable(map) || first >= last) {
        return false;
    }
    *start = first;
    *len_bytes = last - first;
    return true;
}

uint64_t map_address(const struct frames_map *map, uint64_t offset)
{
    return map->address + (offset - map->start);
}

void map_judge(struct frames_map *map, const char *what, uint64_t offset, int error)
{
    if (error == 0 || error == -ENOENT) {
        return; /* A program may unmap when it likes; then there is nothing to keep in order. */
    }
    if (error == -ESRCH) {
        map->lost = true;
        return;
    }
    log_limited(&map->frames->limit, LOG_LEVEL_ERROR,
                "frames: %s failed region=%u.%u page=%" PRIu64 " map=%" PRIu64
                " client=%u error=%s",
                what, map->region->id.slot, map->region->id.generation,
                offset / map->region->page_size, map->link.key, map->client, strerror(-error));
}

void frames_give_up(const struct frames_region *region, const char *what, uint64_t offset)
{
    log_line(LOG_LEVEL_ERROR,
             "frames: %s, the agent stops rather than serve wrong bytes region=%u.%u page=%" PRIu64
             " error=%s",
             what, region->id.slot, region->id.generation, offset / region->page_size,
             strerror(errno));
    abort();
}

/* Find the mapping and its part of the range; false when there is nothing to do. */
static bool find_part(struct frames *frames, map_id map, const struct frames_span *span,
                      struct frames_map **found, uint64_t *start, uint64_t *len_bytes)
{
    *found = (struct frames_map *)(void *)table_find(&frames->maps, map);
    return *found != NULL && (*found)->region == span->region &&
           map_cut(*found, span, start, len_bytes);
}

void frames_allow(struct frames *frames, region_id region, uint64_t page, uint32_t count,
                  map_id map)
{
    struct frames_span span;
    struct frames_map *found;
    uint64_t start, len_bytes;

    if (span_find_whole(frames, region, page, count, &span) &&
        find_part(frames, map, &span, &found, &start, &len_bytes)) {
        span_tell_open(&span, found);
        found->ops->allow(found, start, len_bytes);
        frames->answered = map;
    }
}

void frames_wake(struct frames *frames, region_id region, uint64_t page, uint32_t count, map_id map)
{
    struct frames_span span;
    struct frames_map *found;
    uint64_t start, len_bytes;

    if (!span_find_whole(frames, region, page, count, &span)) {
        return;
    }
    if (map != 0) {
        if (find_part(frames, map, &span, &found, &start, &len_bytes)) {
            found->ops->wake(found, start, len_bytes, true);
        }
        return;
    }
    for (found = span.region->maps; found != NULL; found = found->next) {
        if (map_cut(found, &span, &start, &len_bytes)) {
            found->ops->wake(found, start, len_bytes, false);
        }
    }
}

void frames_protect(struct frames *frames, region_id region, uint64_t page, uint32_t count)
{
    struct frames_span span;

    if (span_find_whole(frames, region, page, count, &span)) {
        span_protect(&span, NULL);
        span_tell_settled(&span);
    }
}

void span_punch(const struct frames_span *span)
{
    int result;

    do {
        result = fallocate(span->region->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                           (off_t)span->start, (off_t)(span->end - span->start));
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        frames_give_up(span->region, "page cannot be dropped", span->start);
    }
}

void frames_drop(struct frames *frames, region_id region, uint64_t page, uint32_t count)
{
    struct frames_span span;

    if (!span_find(frames, region, page, count, &span)) {
        return;
    }
    if (region_has_groups(span.region)) {
        groups_drop(&span);
        return;
    }
    span_hide(&span);
    span_punch(&span);
    span_tell_changed(&span);
}

void frames_poison(struct frames *frames, region_id region, uint64_t page, uint32_t count)
{
    struct frames_span span;
    uint64_t start, len_bytes;

    if (!span_find_whole(frames, region, page, count, &span)) {
        return;
    }
    /* What is present stays as it is. Of a group the core has dropped what is lost; the other pages
     * lie aside and are still to be had. */
    if (!region_has_groups(span.region)) {
        frames_drop(frames, region, page, count);
    }
    for (struct frames_map *map = span.region->maps; map != NULL; map = map->next) {
        if (map_cut(map, &span, &start, &len_bytes)) {
            map->ops->poison(map, start, len_bytes);
        }
    }
}

/* A hole reads as zeros and stays a hole. */
bool region_read(const struct frames_region *region, uint64_t offset, uint8_t *to,
                 uint64_t len_bytes)
{
    while (len_bytes > 0) {
        ssize_t len = pread(region->memfd, to, len_bytes, (off_t)offset);

        if (len < 0 && errno == EINTR) {
            continue;
        }
        if (len <= 0) {
            log_line(LOG_LEVEL_ERROR, "frames: cannot read region=%u.%u page=%" PRIu64 " error=%s",
                     region->id.slot, region->id.generation, offset / region->page_size,
                     len == 0 ? "end of file" : strerror(errno));
            return false;
        }
        to += len;
        offset += (uint64_t)len;
        len_bytes -= (uint64_t)len;
    }
    return true;
}

bool region_write(const struct frames_region *region, uint64_t offset, const uint8_t *bytes,
                  uint64_t len_bytes)
{
    while (len_bytes > 0) {
        ssize_t len = pwrite(region->memfd, bytes, len_bytes, (off_t)offset);

        if (len < 0 && errno == EINTR) {
            continue;
        }
        if (len <= 0) {
            return false;
        }
        bytes += len;
        offset += (uint64_t)len;
        len_bytes -= (uint64_t)len;
    }
    return true;
}

int frames_read(const struct frames *frames, region_id region, uint64_t page, uint32_t count,
                uint8_t *to)
{
    struct frames_span span;

    if (!span_find(frames, region, page, count, &span)) {
        return DSM_ESYS;
    }
    return groups_read(&span, to) ? 0 : DSM_ESYS;
}

int frames_keep(struct frames *frames, uint32_t keep, region_id region, uint64_t page,
                uint32_t count)
{
    struct frames_span span;
    struct frames_keep *made;

    if (!span_find(frames, region, page, count, &span)) {
        return DSM_ESYS;
    }
    made = malloc(sizeof(*made) + (span.end - span.start));
    if (made == NULL) {
        return DSM_ENOMEM;
    }
    made->len_bytes = span.end - span.start;
    if (!groups_read(&span, made->bytes)) {
        free(made);
        return DSM_ESYS;
    }
    frames_forget(frames, keep);
    table_add(&frames->keeps, &made->link, keep);
    return 0;
}

const uint8_t *frames_kept(const struct frames *frames, uint32_t keep, size_t *len_bytes)
{
    const struct frames_keep *kept =
        (const struct frames_keep *)(const void *)table_find(&frames->keeps, keep);

    if (kept == NULL) {
        return NULL;
    }
    *len_bytes = kept->len_bytes;
    return kept->bytes;
}

void frames_forget(struct frames *frames, uint32_t keep)
{
    free(table_remove(&frames->keeps, keep));
}

int frames_atomic(struct frames *frames, const struct frames_atomic *atomic, uint64_t *old)
{
    struct frames_span span = {.region = region_find(frames, atomic->region)};
    uint64_t bytes = 0, before, after;

    if (span.region == NULL || atomic->offset % sizeof(bytes) != 0 ||
        atomic->offset >= span.region->size_bytes ||
        (atomic->op != SYNC_FETCH_ADD && atomic->op != SYNC_COMPARE_SWAP)) {
        return DSM_EINVAL;
    }
    span.start = atomic->offset;
    span.end = atomic->offset + sizeof(bytes);
    if (!groups_read(&span, (uint8_t *)&bytes)) {
        return DSM_ESYS;
    }
    before = atomic->is_native ? bytes : le64toh(bytes);
    if (atomic->op == SYNC_FETCH_ADD) {
        after = before + atomic->value;
    } else {
        after = before == atomic->operand ? atomic->value : before;
    }
    bytes = atomic->is_native ? after : htole64(after);
    if (after != before && !groups_write(&span, (const uint8_t *)&bytes)) {
        return DSM_ESYS;
    }
    span_tell_changed(&span);
    *old = before;
    return 0;
}
