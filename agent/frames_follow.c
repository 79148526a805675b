/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that keep copies of pages are told when these may be old (net/stale_map.h).
 *
 * F5 whatever changes the bytes of a page that a followed mapping can see is told in its stale map:
 *    a right to write of another mapping before it is given, and its end; a drop, and what the
 *    agent writes itself, after it has happened and before anybody hears of it
 */
#include "agent/frames.h"

#include <errno.h>
#include <unistd.h>

#include "agent/frames_state.h"
#include "dsm.h"

/*
 * Which of the pages that are here another mapping may write to already, nobody has noted: any of
 * them may, until it is next protected.
 */
static int tell_present(struct frames_map *map)
{
    const struct frames_region *region = map->region;
    uint64_t page_size = region->page_size, start = map->first * page_size;
    uint64_t end = (map->last + 1) * page_size;

    if (region->maps == map && map->next == NULL) {
        return 0;
    }
    while (start < end) {
        off_t data = lseek(region->memfd, (off_t)start, SEEK_DATA);
        off_t hole = data < 0 ? -1 : lseek(region->memfd, data, SEEK_HOLE);
        uint64_t first = (uint64_t)data / page_size, last;

        if (data < 0 && errno != ENXIO) {
            return DSM_ESYS;
        }
        if (hole < 0 || (uint64_t)data >= end) {
            break;
        }
        last = ((uint64_t)hole < end ? (uint64_t)hole - 1 : end - 1) / page_size;
        first = first > map->first ? first : map->first;
        stale_map_set_open(&map->stale, first - map->first, last - first + 1);
        start = (last + 1) * page_size;
    }
    return 0;
}

int frames_follow(struct frames *frames, map_id map, client_id client, int *descriptor)
{
    struct frames_map *found = (struct frames_map *)(void *)table_find(&frames->maps, map);
    int made, error;

    if (found == NULL || found->client != client || !map_is_usable(found) ||
        found->stale.words != NULL) {
        return DSM_EINVAL;
    }
    error = stale_map_make(found->last - found->first + 1, &found->stale, &made);
    if (error != 0) {
        return error;
    }
    error = tell_present(found);
    if (error != 0) {
        stale_map_close(&found->stale);
        close(made);
        return error;
    }
    *descriptor = made;
    return 0;
}

/* The region pages of a span that a mapping follows, by their numbers in it. */
static bool pages_of(const struct frames_span *span, const struct frames_map *map, uint64_t *page,
                     uint64_t *count)
{
    uint32_t page_size = span->region->page_size;
    uint64_t first = span->start / page_size, last = (span->end - 1) / page_size;

    if (map->stale.words == NULL || last < map->first || first > map->last) {
        return false;
    }
    first = first > map->first ? first : map->first;
    last = last < map->last ? last : map->last;
    *page = first - map->first;
    *count = last - first + 1;
    return true;
}

void span_tell_open(const struct frames_span *span, const struct frames_map *writer)
{
    uint64_t page, count;

    for (struct frames_map *map = span->region->maps; map != NULL; map = map->next) {
        if (map != writer && pages_of(span, map, &page, &count)) {
            stale_map_set_open(&map->stale, page, count);
        }
    }
}

void span_tell_settled(const struct frames_span *span)
{
    uint64_t page, count;

    for (struct frames_map *map = span->region->maps; map != NULL; map = map->next) {
        if (pages_of(span, map, &page, &count)) {
            stale_map_settle(&map->stale, page, count);
        }
    }
}

void span_tell_changed(const struct frames_span *span)
{
    uint64_t page, count;

    for (struct frames_map *map = span->region->maps; map != NULL; map = map->next) {
        if (pages_of(span, map, &page, &count)) {
            stale_map_set_changed(&map->stale, page, count);
        }
    }
}
