/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups: the region pages that one hardware page holds, where that is the larger one.
 *
 *   hidden     its pages that are here lie aside, in memory of this process; in the memory file it
 *              is a hole, and no program can touch it
 *   gathered   it is one page of the memory file, as any page where there are no groups
 *
 * A group that is hidden and has no page here takes no memory, so it looks like one that is
 * gathered: what is read of it are zeros, and only what was filled is ever read.
 */
#include "agent/frames.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/frames_state.h"

/* What of one hidden group is here. */
struct group {
    struct table_link link; /* in region->groups, by number; the first member */
    uint32_t count_here;
    uint8_t *here; /* of each page: is it? After the bytes. */
    uint8_t bytes[];
};

/* The part of a span that lies in one page. */
struct part {
    struct group *group; /* NULL: it does not lie aside */
    uint64_t number;     /* of the group */
    uint64_t first_byte; /* in the group */
    uint64_t len_bytes;
    uint32_t page; /* of the group */
};

bool region_has_groups(const struct frames_region *region)
{
    return region->unit_bytes > region->page_size;
}

static struct group *group_find(const struct frames_region *region, uint64_t number)
{
    return (struct group *)(void *)table_find(&region->groups, number);
}

static struct part part_at(const struct frames_span *span, uint64_t offset)
{
    const struct frames_region *region = span->region;
    uint64_t page_end = round_down(offset, region->page_size) + region->page_size;
    struct part part = {
        .number = offset / region->unit_bytes,
        .first_byte = offset % region->unit_bytes,
        .len_bytes = (page_end < span->end ? page_end : span->end) - offset,
    };

    part.page = (uint32_t)(part.first_byte / region->page_size);
    part.group = group_find(region, part.number);
    return part;
}

static bool is_aside(const struct part *part)
{
    return part->group != NULL && part->group->here[part->page] != 0;
}

static struct group *group_new(struct frames_region *region, uint64_t number)
{
    uint32_t pages = region->unit_bytes / region->page_size;
    struct group *group = calloc(1, sizeof(*group) + region->unit_bytes + pages);

    if (group == NULL) {
        frames_give_up(region, "page cannot be stored", number * region->unit_bytes);
    }
    group->here = group->bytes + region->unit_bytes;
    table_add(&region->groups, &group->link, number);
    return group;
}

static void group_free(struct frames_region *region, const struct group *group)
{
    free(table_remove(&region->groups, group->link.key));
}

void groups_close(struct frames_region *region)
{
    struct table_link *link;

    while ((link = table_any(&region->groups)) != NULL) {
        group_free(region, (struct group *)(void *)link);
    }
    table_close(&region->groups);
}

void groups_fill(struct frames *frames, const struct frames_span *span, const uint8_t *bytes)
{
    for (uint64_t offset = span->start; offset < span->end;) {
        struct part part = part_at(span, offset);
        struct group *group = part.group;
        const uint8_t *from = bytes == NULL ? NULL : bytes + (offset - span->start);

        if (group == NULL) {
            group = group_new(span->region, part.number);
        }
        if (group->here[part.page] != 0) {
            frames->counters.repairs++;
            log_limited(&frames->limit, LOG_LEVEL_ERROR,
                        "frames: page was here already, replaced region=%u.%u page=%" PRIu64,
                        span->region->id.slot, span->region->id.generation,
                        offset / span->region->page_size);
        }
        group->count_here += group->here[part.page] == 0;
        group->here[part.page] = 1;
        if (from == NULL) {
            memset(group->bytes + part.first_byte, 0, part.len_bytes);
        } else {
            memcpy(group->bytes + part.first_byte, from, part.len_bytes);
        }
        offset += part.len_bytes;
    }
}

void groups_drop(const struct frames_span *span)
{
    for (uint64_t offset = span->start; offset < span->end;) {
        struct part part = part_at(span, offset);

        if (is_aside(&part)) {
            part.group->here[part.page] = 0;
            memset(part.group->bytes + part.first_byte, 0, part.len_bytes);
            if (--part.group->count_here == 0) {
                group_free(span->region, part.group);
            }
        }
        offset += part.len_bytes;
    }
}

bool groups_read(const struct frames_span *span, uint8_t *to)
{
    uint64_t end;

    if (!region_has_groups(span->region)) {
        return region_read(span->region, span->start, to, span->end - span->start);
    }
    for (uint64_t offset = span->start; offset < span->end; offset = end) {
        struct part part = part_at(span, offset);

        end = offset + part.len_bytes;
        if (is_aside(&part)) {
            memcpy(to + (offset - span->start), part.group->bytes + part.first_byte,
                   part.len_bytes);
        } else if (!region_read(span->region, offset, to + (offset - span->start),
                                part.len_bytes)) {
            return false;
        }
    }
    return true;
}

bool groups_write(const struct frames_span *span, const uint8_t *bytes)
{
    if (region_has_groups(span->region)) {
        struct part part = part_at(span, span->start);

        assert(part.len_bytes == span->end - span->start); /* The 8 bytes of an atomic operation. */
        if (is_aside(&part)) {
            memcpy(part.group->bytes + part.first_byte, bytes, part.len_bytes);
            return true;
        }
    }
    return region_write(span->region, span->start, bytes, span->end - span->start);
}

/* The group that [page, page + count) is, up to the region's end. */
static bool group_span(const struct frames *frames, region_id id, uint64_t page, uint32_t count,
                       struct frames_span *span)
{
    if (!span_find(frames, id, page, count, span)) {
        return false;
    }
    assert(region_has_groups(span->region));
    assert(span->start % span->region->unit_bytes == 0);
    assert(span->end - span->start <= span->region->unit_bytes);
    return true;
}

void frames_gather(struct frames *frames, region_id region, uint64_t page, uint32_t count,
                   map_id map, bool write)
{
    struct frames_span span;
    struct group *group;

    if (!group_span(frames, region, page, count, &span)) {
        return;
    }
    group = group_find(span.region, span.start / span.region->unit_bytes);
    /* The core has filled each page (dsm/core/node.h, ACTION_GATHER). What lies behind the region's
     * end has never been written. */
    assert(group != NULL);
    assert(group->count_here == count);
    span.end = span.start + span.region->unit_bytes;
    span_fill(frames, &span, map, write, group->bytes);
    group_free(span.region, group);
    frames->counters.groups_gathered++;
}

void frames_scatter(struct frames *frames, region_id region, uint64_t page, uint32_t count)
{
    struct frames_span span, whole;
    struct group *group;

    if (!group_span(frames, region, page, count, &span)) {
        return;
    }
    whole = span;
    whole.end = whole.start + whole.region->unit_bytes;
    assert(group_find(span.region, span.start / span.region->unit_bytes) == NULL);
    group = group_new(span.region, span.start / span.region->unit_bytes);
    span_take(&whole);
    if (!region_read(span.region, span.start, group->bytes, span.end - span.start)) {
        frames_give_up(span.region, "page cannot be read", span.start);
    }
    memset(group->here, 1, count);
    group->count_here = count;
    span_punch(&whole);
    span_tell_settled(&whole);
    span_tell_changed(&whole);
    frames->counters.groups_scattered++;
}
