/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of access in all mappings of a range, and the wait until they hold. */
#include "agent/frames.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/frames_state.h"
#include "net/fault_channel.h"

static uint64_t clock_ms(void)
{
    return uv_hrtime() / 1000000;
}

bool wait_reserve(struct frames *frames, uint32_t count)
{
    struct pollfd *pollfds;
    struct frames_map **maps;

    if (count <= frames->capacity_awaited) {
        return true;
    }
    count = count * 2 > 16 ? count * 2 : 16;
    pollfds = realloc(frames->pollfds, count * sizeof(*pollfds));
    frames->pollfds = pollfds != NULL ? pollfds : frames->pollfds;
    maps = realloc(frames->awaited, count * sizeof(struct frames_map *));
    frames->awaited = maps != NULL ? maps : frames->awaited;
    if (pollfds == NULL || maps == NULL) {
        return false;
    }
    frames->capacity_awaited = count;
    return true;
}

/* Those that have not obeyed yet. */
static uint32_t list_awaited(const struct frames_region *region, struct frames *frames)
{
    uint32_t count = 0;

    for (struct frames_map *map = region->maps; map != NULL; map = map->next) {
        if (map_is_usable(map) && map->ops->is_awaited(map, &frames->pollfds[count])) {
            frames->awaited[count++] = map;
        }
    }
    return count;
}

void span_settle(const struct frames_span *span)
{
    struct frames *frames = span->region->frames;
    uint64_t end_ms = 0;
    uint32_t count;

    while ((count = list_awaited(span->region, frames)) > 0) {
        uint64_t now_ms = clock_ms();
        int ready = 0;

        end_ms = end_ms == 0 ? now_ms + FAULT_DEADLINE_MS : end_ms;
        if (now_ms < end_ms) {
            ready = poll(frames->pollfds, count, (int)(end_ms - now_ms));
        }
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        for (uint32_t at = 0; at < count; at++) {
            struct frames_map *map = frames->awaited[at];

            if (ready <= 0) {
                map->ops->on_late(map);
            } else if (frames->pollfds[at].revents != 0) {
                map->ops->on_awaited(map);
            }
        }
    }
}

void span_protect(const struct frames_span *span, const struct frames_map *except)
{
    uint64_t start, len_bytes;

    for (struct frames_map *map = span->region->maps; map != NULL; map = map->next) {
        if (map != except && map_cut(map, span, &start, &len_bytes)) {
            map->ops->protect(map, start, len_bytes);
        }
    }
    span_settle(span);
}

void span_hide(const struct frames_span *span)
{
    uint64_t start, len_bytes;

    for (struct frames_map *map = span->region->maps; map != NULL; map = map->next) {
        if (map_cut(map, span, &start, &len_bytes)) {
            map->ops->hide(map, start, len_bytes);
        }
    }
    span_settle(span);
}

void span_take(const struct frames_span *span)
{
    uint64_t start, len_bytes;

    for (struct frames_map *map = span->region->maps; map != NULL; map = map->next) {
        if (map_cut(map, span, &start, &len_bytes)) {
            map->ops->protect(map, start, len_bytes);
            map->ops->hide(map, start, len_bytes);
        }
    }
    span_settle(span);
}
