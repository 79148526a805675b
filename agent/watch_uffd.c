/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/uio.h>
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

/* Tell of the faults in one batch, each page once; the receiver may close the mapping meanwhile. */
static void tell(struct frames_map *map, const struct uffd_msg *messages, uint32_t count)
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
            map_tell(map, offset, write);
        }
    }
}

/* How often its descriptor was put right: no more than fits where a pointer does. */
static uintptr_t count_rearmed(const struct frames_map *map)
{
    return (uintptr_t)map->watch;
}

/* libuv has stopped the poll. A descriptor made blocking is made non-blocking again; anything else
 * is left stopped, which costs only the program that did it. */
static void rearm(struct frames_map *map, int status)
{
    log_limited(&map->frames->limit, LOG_LEVEL_WARNING,
                "frames: userfaultfd reports an error map=%" PRIu64 " client=%u error=%s",
                map->link.key, map->client, uv_strerror(status));
    if (count_rearmed(map) < REARM_MAX &&
        fcntl(map->descriptor, F_SETFL, O_RDWR | O_NONBLOCK) == 0) {
        map->watch = (void *)(count_rearmed(map) + 1);
        map_poll(map, UV_READABLE);
    }
}

static void on_ready(struct frames_map *map, int status, int events)
{
    struct uffd_msg messages[EVENTS_PER_TURN];
    ssize_t len;

    (void)events;
    if (status < 0) {
        rearm(map, status);
        return;
    }
    /* What is left is told in the next turn: epoll is level-triggered. */
    len = read(map->descriptor, messages, sizeof(messages));
    if (len > 0) {
        tell(map, messages, (uint32_t)((size_t)len / sizeof(messages[0])));
    }
}

/* A program may have made its descriptor blocking: a plain read would wait for its next fault. A
 * kernel that cannot be told so here refuses. */
static void look(struct frames_map *map)
{
    struct uffd_msg messages[EVENTS_PER_TURN];
    struct iovec room = {.iov_base = messages, .iov_len = sizeof(messages)};
    ssize_t len = preadv2(map->descriptor, &room, 1, -1, RWF_NOWAIT);

    if (len > 0) {
        tell(map, messages, (uint32_t)((size_t)len / sizeof(messages[0])));
    }
}

/* Protect the present pages of a new mapping, and one page in any case, to see that it can be done.
 */
static int protect_present(const struct frames_map *map)
{
    uint64_t start = map->start;
    int error = uffd_protect(map->descriptor, map->address, map->region->unit_bytes);

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
        error =
            uffd_protect(map->descriptor, map_address(map, (uint64_t)data), end - (uint64_t)data);
        start = end;
    }
    return error;
}

static int protect_new(const struct frames_map *map)
{
    if (map->end - map->start > PROTECT_WHOLE_BYTES) {
        return protect_present(map);
    }
    return uffd_protect(map->descriptor, map->address, map->end - map->start);
}

static int start_reader(struct frames_map *map, int process)
{
    (void)process;
    return uffd_is_one(map->descriptor) && fcntl(map->descriptor, F_SETFL, O_RDWR | O_NONBLOCK) == 0
               ? 0
               : DSM_ESYS;
}

static int start(struct frames_map *map, int process)
{
    int error = start_reader(map, process);

    if (error != 0) {
        return error;
    }
    error = protect_new(map);
    if (error != 0) {
        log_limited(&map->frames->limit, LOG_LEVEL_WARNING,
                    "frames: mapping cannot be protected map=%" PRIu64 " client=%u error=%s",
                    map->link.key, map->client, strerror(-error));
    }
    return error == 0 ? 0 : DSM_ESYS;
}

static void stop(struct frames_map *map)
{
    map->watch = NULL;
}

static void protect(struct frames_map *map, uint64_t offset, uint64_t len_bytes)
{
    map_judge(map, "protect", offset,
              uffd_protect(map->descriptor, map_address(map, offset), len_bytes));
}

/* For what holds without any doing: the punch takes a page away from every mapping, and the next
 * touch is an event; a mapping that is only read through lets nobody write. */
static void leave(struct frames_map *map, uint64_t offset, uint64_t len_bytes)
{
    (void)map;
    (void)offset;
    (void)len_bytes;
}

static void allow(struct frames_map *map, uint64_t offset, uint64_t len_bytes)
{
    map_judge(map, "allow", offset,
              uffd_unprotect(map->descriptor, map_address(map, offset), len_bytes, true));
}

static uint64_t fill(struct frames_map *map, uint64_t offset, const uint8_t *bytes,
                     uint64_t len_bytes, bool protect, int *error)
{
    return uffd_copy(map->descriptor, map_address(map, offset), bytes, len_bytes, protect, error);
}

static uint64_t fill_reader(struct frames_map *map, uint64_t offset, const uint8_t *bytes,
                            uint64_t len_bytes, bool protect, int *error)
{
    (void)protect;
    return uffd_copy(map->descriptor, map_address(map, offset), bytes, len_bytes, false, error);
}

static void wake(struct frames_map *map, uint64_t offset, uint64_t len_bytes, bool is_here)
{
    (void)is_here; /* The kernel maps a page that is here without asking. */
    uffd_wake(map->descriptor, map_address(map, offset), len_bytes);
}

/* Who reads looks again. */
static void allow_reader(struct frames_map *map, uint64_t offset, uint64_t len_bytes)
{
    wake(map, offset, len_bytes, true);
}

static void reveal(struct frames_map *map, uint64_t offset, uint64_t len_bytes,
                   enum watch_grant grant)
{
    (void)grant; /* It has the protection; who wants to write comes again. */
    wake(map, offset, len_bytes, true);
}

/*
 * A kernel without the ioctl cannot make the touch fail. The thread stays blocked then (it can be
 * killed): neither zeros nor a thread that faults for ever.
 */
static void poison_reader(struct frames_map *map, uint64_t offset, uint64_t len_bytes)
{
    uint64_t address = map_address(map, offset);
    int error = uffd_poison(map->descriptor, address, len_bytes);
    if (error == -EINVAL) {
        log_limited(&map->frames->limit, LOG_LEVEL_ERROR,
                    "frames: this kernel cannot raise SIGBUS for a lost page, who touches it "
                    "stays blocked region=%u.%u page=%" PRIu64 " client=%u",
                    map->region->id.slot, map->region->id.generation,
                    offset / map->region->page_size, map->client);
    } else {
        map_judge(map, "poison", offset, error);
    }
}

/*
 * POISON refuses a page-table entry that holds anything, a write-protect marker too, so that goes
 * first, without waking: between the two the page is a hole, and nobody but this thread fills
 * holes.
 */
static void poison(struct frames_map *map, uint64_t offset, uint64_t len_bytes)
{
    map_judge(map, "allow", offset,
              uffd_unprotect(map->descriptor, map_address(map, offset), len_bytes, false));
    poison_reader(map, offset, len_bytes);
}

/* Every change holds when its ioctl returns. */
static bool is_awaited(const struct frames_map *map, struct pollfd *pollfd)
{
    (void)map;
    (void)pollfd;
    return false;
}

static void never(struct frames_map *map)
{
    (void)map;
}

const struct watch_ops watch_uffd_ops = {
    .start = start,
    .stop = stop,
    .on_ready = on_ready,
    .look = look,
    .protect = protect,
    .hide = leave,
    .allow = allow,
    .fill = fill,
    .reveal = reveal,
    .wake = wake,
    .poison = poison,
    .is_awaited = is_awaited,
    .on_awaited = never,
    .on_late = never,
};

const struct watch_ops watch_uffd_reader_ops = {
    .start = start_reader,
    .stop = stop,
    .on_ready = on_ready,
    .look = look,
    .protect = leave,
    .hide = leave,
    .allow = allow_reader,
    .fill = fill_reader,
    .reveal = reveal,
    .wake = wake,
    .poison = poison_reader,
    .is_awaited = is_awaited,
    .on_awaited = never,
    .on_late = never,
};
