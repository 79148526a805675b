/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/frames.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/frames_state.h"
#include "dsm.h"
#include "net/codec.h"

static uint64_t region_key(region_id id)
{
    return (uint64_t)id.slot << 32 | id.generation;
}

struct frames_region *region_find(const struct frames *frames, region_id id)
{
    return (struct frames_region *)(void *)table_find(&frames->regions, region_key(id));
}

static struct frames_map *map_find(const struct frames *frames, map_id map)
{
    return (struct frames_map *)(void *)table_find(&frames->maps, map);
}

int frames_new(uv_loop_t *loop, uint64_t page_bytes, const struct frames_events *events,
               struct frames **frames)
{
    struct frames *made = calloc(1, sizeof(*made));

    if (made == NULL) {
        return DSM_ENOMEM;
    }
    made->loop = loop;
    made->events = *events;
    made->page_bytes = page_bytes;
    if (table_init(&made->regions) != 0 || table_init(&made->maps) != 0 ||
        table_init(&made->keeps) != 0) {
        table_close(&made->regions);
        table_close(&made->maps);
        table_close(&made->keeps);
        free(made);
        return DSM_ENOMEM;
    }
    *frames = made;
    return 0;
}

void frames_free(struct frames *frames)
{
    struct table_link *link;

    while ((link = table_any(&frames->regions)) != NULL) {
        frames_region_close(frames, ((struct frames_region *)(void *)link)->id);
    }
    while ((link = table_any(&frames->keeps)) != NULL) {
        frames_forget(frames, (uint32_t)link->key);
    }
    table_close(&frames->regions);
    table_close(&frames->maps);
    table_close(&frames->keeps);
    free(frames->pollfds);
    free(frames->awaited);
    free(frames);
}

/* Growing must stay possible; the seal on seals keeps programs, which hold this descriptor, from
 * adding those that would forbid the agent to write or punch (KERNEL.md 2). */
static int region_make(struct frames_region *region)
{
    char name[48];

    snprintf(name, sizeof(name), "dsm:%" PRIu32 ".%" PRIu32, region->id.slot,
             region->id.generation);
    region->memfd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (region->memfd < 0 || ftruncate(region->memfd, (off_t)region->memory_bytes) != 0 ||
        fcntl(region->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
        log_line(LOG_LEVEL_ERROR, "frames: no memory file region=%s size=%" PRIu64 " error=%s",
                 name, region->size_bytes, strerror(errno));
        if (region->memfd >= 0) {
            close(region->memfd);
        }
        return DSM_ESYS;
    }
    return 0;
}

static int region_grow(struct frames_region *region, uint64_t size_bytes)
{
    uint64_t memory_bytes = round_up(size_bytes, region->unit_bytes);

    if (size_bytes <= region->size_bytes) {
        return 0;
    }
    if (memory_bytes > region->memory_bytes && ftruncate(region->memfd, (off_t)memory_bytes) != 0) {
        log_line(LOG_LEVEL_ERROR, "frames: cannot grow region=%u.%u size=%" PRIu64 " error=%s",
                 region->id.slot, region->id.generation, size_bytes, strerror(errno));
        return DSM_ESYS;
    }
    region->size_bytes = size_bytes;
    region->memory_bytes = memory_bytes;
    window_close(region);
    return 0;
}

int frames_region_open(struct frames *frames, region_id region, uint64_t size_bytes,
                       uint32_t page_size)
{
    struct frames_region *made = region_find(frames, region);
    uint64_t unit_bytes = page_size > frames->page_bytes ? page_size : frames->page_bytes;
    int error;

    if (page_size == 0 || (page_size & (page_size - 1)) != 0) {
        return DSM_EINVAL;
    }
    if (size_bytes > (uint64_t)INT64_MAX - unit_bytes) {
        return DSM_ESIZE;
    }
    size_bytes = round_up(size_bytes, page_size);
    if (made != NULL) {
        return made->page_size != page_size ? DSM_EINVAL : region_grow(made, size_bytes);
    }
    made = calloc(1, sizeof(*made));
    if (made == NULL || table_init(&made->groups) != 0) {
        free(made);
        return DSM_ENOMEM;
    }
    made->frames = frames;
    made->id = region;
    made->size_bytes = size_bytes;
    made->memory_bytes = round_up(size_bytes, unit_bytes);
    made->page_size = page_size;
    made->unit_bytes = (uint32_t)unit_bytes;
    made->window_uffd = -1;
    error = region_make(made);
    if (error != 0) {
        table_close(&made->groups);
        free(made);
        return error;
    }
    table_add(&frames->regions, &made->link, region_key(region));
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* The memory lives until the loop has let go of the poll, so a callback in progress may look at it.
 */
static void map_close(struct frames_map *map)
{
    struct frames_map **at = &map->region->maps;

    while (*at != map) {
        at = &(*at)->next;
    }
    *at = map->next;
    table_remove(&map->frames->maps, map->link.key);
    map->frames = NULL;
    if (map->polled) {
        uv_close((uv_handle_t *)&map->poll, on_closed);
    }
    if (map->ops != NULL) {
        map->ops->stop(map);
        close(map->descriptor);
    }
    stale_map_close(&map->stale);
    if (!map->polled) {
        free(map);
    }
}

void frames_region_close(struct frames *frames, region_id region)
{
    struct frames_region *closed = region_find(frames, region);

    if (closed == NULL) {
        return;
    }
    while (closed->maps != NULL) {
        map_close(closed->maps);
    }
    table_remove(&frames->regions, closed->link.key);
    window_close(closed);
    groups_close(closed);
    close(closed->memfd);
    free(closed);
}

int frames_memfd(const struct frames *frames, region_id region)
{
    const struct frames_region *found = region_find(frames, region);

    return found == NULL ? -1 : found->memfd;
}

uint32_t frames_page_size(const struct frames *frames, region_id region)
{
    const struct frames_region *found = region_find(frames, region);

    return found == NULL ? 0 : found->page_size;
}

int frames_map_add(struct frames *frames, map_id map, client_id client, region_id region,
                   uint64_t page, uint64_t count, bool may_write)
{
    struct frames_map *made;
    struct frames_span span;

    if (map == 0 || count == 0 || map_find(frames, map) != NULL) {
        return DSM_EINVAL;
    }
    if (!span_find(frames, region, page, count, &span)) {
        return DSM_ERANGE;
    }
    made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return DSM_ENOMEM;
    }
    made->frames = frames;
    made->region = span.region;
    made->client = client;
    made->start = round_down(span.start, frames->page_bytes);
    made->end = round_up(span.end, frames->page_bytes);
    made->first = page;
    made->last = page + count - 1;
    made->may_write = may_write;
    made->descriptor = -1;
    made->next = span.region->maps;
    span.region->maps = made;
    table_add(&frames->maps, &made->link, map);
    return 0;
}

bool map_is_usable(const struct frames_map *map)
{
    return map->ops != NULL && !map->lost;
}

/* What lies in the mapping only since hardware pages are larger is its first or last page. */
void map_tell(struct frames_map *map, uint64_t offset, bool write)
{
    uint64_t page = (map->start + offset) / map->region->page_size;

    page = page < map->first ? map->first : page;
    page = page > map->last ? map->last : page;
    map->frames->events.on_fault(map->frames->events.context, (map_id)map->link.key, page, write);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct frames_map *map = poll->data;

    if (map->frames != NULL && !map->lost) {
        map->ops->on_ready(map, status, events);
    }
}

void frames_look(struct frames *frames)
{
    struct frames_map *map = map_find(frames, frames->answered);

    frames->answered = 0;
    if (map != NULL && map_is_usable(map) && map->ops->look != NULL) {
        map->ops->look(map);
    }
}

bool map_poll(struct frames_map *map, int events)
{
    if (!map->polled || events == 0) {
        return !map->polled || uv_poll_stop(&map->poll) == 0;
    }
    return uv_poll_start(&map->poll, events, on_ready) == 0;
}

/* A poll that was made keeps the descriptor until the mapping is closed, whatever the outcome. */
static int map_start(struct frames_map *map, int process)
{
    int error = map->ops->start(map, process);

    if (error != 0) {
        return error;
    }
    if (uv_poll_init(map->frames->loop, &map->poll, map->descriptor) != 0) {
        map->ops->stop(map);
        return DSM_ESYS;
    }
    map->poll.data = map;
    map->polled = true;
    map->lost = !map_poll(map, UV_READABLE);
    return map->lost ? DSM_ESYS : 0;
}

static const struct watch_ops *ops_find(uint32_t backend, bool may_write)
{
    static const struct watch_ops *const ops[SESSION_BACKENDS][2] = {
        [SESSION_USERFAULTFD] = {&watch_uffd_reader_ops, &watch_uffd_ops},
        [SESSION_USER_MODE] = {&watch_uffd_reader_ops, &watch_uffd_ops},
        [SESSION_SIGSEGV] = {&watch_channel_ops, &watch_channel_ops},
    };

    return backend < SESSION_BACKENDS ? ops[backend][may_write] : NULL;
}

int frames_attach(struct frames *frames, map_id map, client_id client,
                  const struct frames_attachment *attachment)
{
    struct frames_map *found = map_find(frames, map);
    const struct watch_ops *ops =
        found != NULL ? ops_find(attachment->backend, found->may_write) : NULL;
    int error;

    if (found == NULL || ops == NULL || found->client != client || found->ops != NULL ||
        found->end - found->start != attachment->len_bytes ||
        attachment->address % frames->page_bytes != 0 ||
        attachment->address > UINT64_MAX - attachment->len_bytes) {
        close(attachment->descriptor);
        return DSM_EINVAL;
    }
    /* A mapping never needs two places: those that have none yet count as well. */
    if (!wait_reserve(frames, frames->maps.count)) {
        close(attachment->descriptor);
        return DSM_ENOMEM;
    }
    found->ops = ops;
    found->address = attachment->address;
    found->descriptor = attachment->descriptor;
    error = map_start(found, attachment->process);
    if (error != 0 && !found->polled) {
        close(attachment->descriptor);
        found->descriptor = -1;
        found->ops = NULL;
    }
    return error;
}

void frames_map_gone(struct frames *frames, map_id map)
{
    struct frames_map *gone = map_find(frames, map);

    if (gone != NULL) {
        map_close(gone);
    }
}

const struct frames_counters *frames_counters(const struct frames *frames)
{
    return &frames->counters;
}
