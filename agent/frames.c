/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/frames.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/frames_state.h"
#include "agent/uffd.h"
#include "dsm.h"

/* Events of one mapping in one turn of the loop: a program whose system call faults with a signal
 * pending makes them faster than they can be answered (KERNEL.md 6), others must get their turn. */
#define EVENTS_PER_TURN 16u
/* A program can make its descriptor blocking, which the poll reports as an error; put right so
 * often. */
#define REARM_MAX 8u
/* Up to here one ioctl protects a whole new mapping in a millisecond. Beyond, only the pages that
 * are present: markers on a sparse terabyte would cost gigabytes of page tables. */
#define PROTECT_WHOLE_BYTES (UINT64_C(1) << 30)

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

int frames_new(uv_loop_t *loop, const struct frames_events *events, struct frames **frames)
{
    struct frames *made = calloc(1, sizeof(*made));

    if (made == NULL) {
        return DSM_ENOMEM;
    }
    made->loop = loop;
    made->events = *events;
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
    if (region->memfd < 0 || ftruncate(region->memfd, (off_t)region->size_bytes) != 0 ||
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
    if (size_bytes <= region->size_bytes) {
        return 0;
    }
    if (ftruncate(region->memfd, (off_t)size_bytes) != 0) {
        log_line(LOG_LEVEL_ERROR, "frames: cannot grow region=%u.%u size=%" PRIu64 " error=%s",
                 region->id.slot, region->id.generation, size_bytes, strerror(errno));
        return DSM_ESYS;
    }
    region->size_bytes = size_bytes;
    window_close(region);
    return 0;
}

int frames_region_open(struct frames *frames, region_id region, uint64_t size_bytes,
                       uint32_t page_size)
{
    struct frames_region *made = region_find(frames, region);
    int error;

    if (page_size < uffd_page_bytes() || (page_size & (page_size - 1)) != 0) {
        return DSM_ENOTSUP;
    }
    if (size_bytes > (uint64_t)INT64_MAX - page_size) {
        return DSM_ESIZE;
    }
    size_bytes = (size_bytes + page_size - 1) & ~(uint64_t)(page_size - 1);
    if (made != NULL) {
        return made->page_size != page_size ? DSM_EINVAL : region_grow(made, size_bytes);
    }
    made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return DSM_ENOMEM;
    }
    made->id = region;
    made->size_bytes = size_bytes;
    made->page_size = page_size;
    made->window_uffd = -1;
    error = region_make(made);
    if (error != 0) {
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
    if (map->uffd >= 0) {
        close(map->uffd);
    }
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
                   uint64_t page, uint64_t count)
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
    made->start = span.start;
    made->end = span.end;
    made->uffd = -1;
    made->next = span.region->maps;
    span.region->maps = made;
    table_add(&frames->maps, &made->link, map);
    return 0;
}

/* Tell of the faults in one batch, each page once; the receiver may close the mapping meanwhile. */
static void map_tell(struct frames_map *map, const struct uffd_msg *messages, uint32_t count)
{
    uint64_t pages[EVENTS_PER_TURN];
    bool writes[EVENTS_PER_TURN];
    uint32_t told = 0;

    for (uint32_t at = 0; at < count && map->frames != NULL; at++) {
        uint64_t offset, page;
        uint32_t same = 0;
        bool write;

        if (messages[at].event == UFFD_EVENT_FORK) {
            close((int)messages[at].arg.fork.ufd);
        }
        offset = messages[at].arg.pagefault.address - map->address;
        if (messages[at].event != UFFD_EVENT_PAGEFAULT || offset >= map->end - map->start) {
            continue;
        }
        page = (map->start + offset) / map->region->page_size;
        write = (messages[at].arg.pagefault.flags &
                 (UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP)) != 0;
        while (same < told && (pages[same] != page || writes[same] != write)) {
            same++;
        }
        if (same == told) {
            pages[told] = page;
            writes[told++] = write;
            map->frames->events.on_fault(map->frames->events.context, (map_id)map->link.key, page,
                                         write);
        }
    }
}

static void on_readable(uv_poll_t *poll, int status, int events);

/* libuv has stopped the poll. A descriptor made blocking is made non-blocking again; anything else
 * is left stopped, which costs only the program that did it. */
static void map_rearm(struct frames_map *map, int status)
{
    log_limited(&map->frames->limit, LOG_LEVEL_WARNING,
                "frames: userfaultfd reports an error map=%" PRIu64 " client=%u error=%s",
                map->link.key, map->client, uv_strerror(status));
    if (map->count_rearmed < REARM_MAX && fcntl(map->uffd, F_SETFL, O_RDWR | O_NONBLOCK) == 0) {
        map->count_rearmed++;
        uv_poll_start(&map->poll, UV_READABLE, on_readable);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct frames_map *map = poll->data;
    struct uffd_msg messages[EVENTS_PER_TURN];
    ssize_t len;

    (void)events;
    if (map->frames == NULL) {
        return;
    }
    if (status < 0) {
        map_rearm(map, status);
        return;
    }
    /* What is left is told in the next turn: epoll is level-triggered. */
    len = read(map->uffd, messages, sizeof(messages));
    if (len > 0) {
        map_tell(map, messages, (uint32_t)((size_t)len / sizeof(messages[0])));
    }
}

/* Protect the present pages of a new mapping, and one page in any case, to see that it can be done.
 */
static int map_protect_present(const struct frames_map *map)
{
    uint64_t start = map->start;
    int error = uffd_protect(map->uffd, map->address, map->region->page_size);

    while (error == 0 && start < map->end) {
        off_t data = lseek(map->region->memfd, (off_t)start, SEEK_DATA);
        off_t hole = data < 0 ? -1 : lseek(map->region->memfd, data, SEEK_HOLE);
        uint64_t end = (uint64_t)hole < map->end ? (uint64_t)hole : map->end;

        if (data < 0 && errno != ENXIO) {
            return -errno;
        }
        if (hole < 0 || (uint64_t)data >= map->end) {
            break;
        }
        error = uffd_protect(map->uffd, map_address(map, (uint64_t)data), end - (uint64_t)data);
        start = end;
    }
    return error;
}

static int map_protect_new(const struct frames_map *map)
{
    if (map->end - map->start > PROTECT_WHOLE_BYTES) {
        return map_protect_present(map);
    }
    return uffd_protect(map->uffd, map->address, map->end - map->start);
}

/* A poll that was made keeps the descriptor until the mapping is closed, whatever the outcome. */
static int map_start(struct frames_map *map)
{
    int error;

    if (!uffd_is_one(map->uffd) || fcntl(map->uffd, F_SETFL, O_RDWR | O_NONBLOCK) != 0) {
        return DSM_ESYS;
    }
    error = map_protect_new(map);
    if (error != 0) {
        log_limited(&map->frames->limit, LOG_LEVEL_WARNING,
                    "frames: mapping cannot be protected map=%" PRIu64 " client=%u error=%s",
                    map->link.key, map->client, strerror(-error));
        return DSM_ESYS;
    }
    if (uv_poll_init(map->frames->loop, &map->poll, map->uffd) != 0) {
        return DSM_ESYS;
    }
    map->poll.data = map;
    map->polled = true;
    return uv_poll_start(&map->poll, UV_READABLE, on_readable) != 0 ? DSM_ESYS : 0;
}

int frames_attach(struct frames *frames, map_id map, client_id client, int uffd, uint64_t address,
                  uint64_t len_bytes)
{
    struct frames_map *found = map_find(frames, map);
    uint64_t page_bytes = uffd_page_bytes();
    int error;

    if (found == NULL || found->client != client || found->uffd >= 0 ||
        found->end - found->start != len_bytes || address % page_bytes != 0 ||
        address > UINT64_MAX - len_bytes) {
        close(uffd);
        return DSM_EINVAL;
    }
    found->address = address;
    found->uffd = uffd;
    error = map_start(found);
    if (error != 0 && found->polled) {
        found->lost = true;
    } else if (error != 0) {
        close(uffd);
        found->uffd = -1;
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

uint64_t frames_count_repairs(const struct frames *frames)
{
    return frames->count_repairs;
}
