/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's end of net/fault_channel.h.
 *
 * What the program may do with each hardware page is kept here, as of the last order. It bounds
 * what an honest program does (rule 3), so orders go out only where something changes: most pages
 * that are protected, hidden or filled concern no program over a channel, and then nobody is waited
 * for.
 */
#include "agent/watch.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/frames_state.h"
#include "agent/packet.h"
#include "agent/process.h"
#include "dsm.h"
#include "net/fault_channel.h"

/* Reports of one mapping in one turn of the loop. */
#define REPORTS_PER_TURN 16u
/* A program that lets more orders lie than threads could have asked for reads none at all. */
#define QUEUE_MAX_BYTES (4u << 20)

/* The bits of a page: enum fault_access, and what was reported and has had no order since. */
#define ACCESS_BITS 3u
#define ASKED_READ 4u
#define ASKED_WRITE 8u
#define ASKED_BITS (ASKED_READ | ASKED_WRITE)

struct channel {
    int process;      /* pidfd, ours */
    uint32_t sent;    /* number of the last order */
    uint32_t done;    /* all up to this one are carried out */
    uint32_t awaited; /* the last one that takes access away */
    bool hung_up;     /* the program's end is closed */
    struct packet_queue queue;
    uint64_t page_bytes;
    uint8_t pages[]; /* of the mapping's range */
};

static struct channel *channel_of(const struct frames_map *map)
{
    return map->watch;
}

/* The pages of a range. */
static uint8_t *pages_of(const struct frames_map *map, uint64_t offset, uint64_t len_bytes,
                         uint64_t *count)
{
    struct channel *channel = channel_of(map);

    *count = len_bytes / channel->page_bytes;
    return channel->pages + (offset - map->start) / channel->page_bytes;
}

/*
 * The program does not keep to the contract: it may be writing to pages that are somebody else's by
 * now. Its session ends with it, as that of any program that dies.
 */
static void cut_off(struct frames_map *map, const char *why)
{
    struct channel *channel = channel_of(map);

    log_limited(&map->frames->limit, LOG_LEVEL_ERROR,
                "client killed client=%u map=%" PRIu64 " region=%u.%u why=\"%s\"", map->client,
                map->link.key, map->region->id.slot, map->region->id.generation, why);
    map->lost = true;
    map_poll(map, 0);
    packet_queue_close(&channel->queue);
    if (!process_kill(channel->process)) {
        log_line(LOG_LEVEL_ERROR,
                 "frames: program does not end, what it does with its mapping is not known "
                 "map=%" PRIu64 " client=%u",
                 map->link.key, map->client);
    }
}

static bool is_waiting(const struct channel *channel)
{
    return (int32_t)(channel->awaited - channel->done) > 0;
}

/*
 * The other end is closed, as a rule since the program has ended, or become another one by exec():
 * then its mappings went before its descriptors. What it was told to give up before that may be
 * given up or not.
 */
static void hang_up(struct frames_map *map)
{
    struct channel *channel = channel_of(map);
    struct stat status;

    channel->hung_up = true;
    map_poll(map, 0);
    packet_queue_close(&channel->queue);
    if (!is_waiting(channel)) {
        return;
    }
    if (fstat(map->region->memfd, &status) == 0 && !process_maps(channel->process, status.st_ino)) {
        map->lost = true;
    } else {
        cut_off(map, "it closed the channel of a mapping that it had access to");
    }
}

static void flush(struct frames_map *map)
{
    struct channel *channel = channel_of(map);
    int error = packet_queue_send(&channel->queue, map->descriptor);

    if (error == DSM_EDOWN) {
        hang_up(map);
    } else if (channel->queue.first == NULL && !channel->hung_up) {
        map_poll(map, UV_READABLE);
    }
}

/* It waits behind others, or for room. */
static void enqueue(struct frames_map *map, const struct fault_order *order)
{
    struct channel *channel = channel_of(map);

    if (channel->queue.len_bytes >= QUEUE_MAX_BYTES) {
        cut_off(map, "it reads none of its orders");
    } else if (packet_queue_add(&channel->queue, (const uint8_t *)order, sizeof(*order), -1) != 0) {
        cut_off(map, "the agent has no memory for its orders");
    } else {
        map_poll(map, UV_READABLE | UV_WRITABLE);
    }
}

/* Order one range; `takes`: it has to be waited for. */
static void order(struct frames_map *map, uint64_t offset, uint64_t len_bytes,
                  enum fault_access access, bool takes)
{
    struct channel *channel = channel_of(map);
    struct fault_order order = {
        .access = access,
        .number = ++channel->sent,
        .offset = offset - map->start,
        .len_bytes = len_bytes,
    };
    int error = DSM_EAGAIN;

    if (takes) {
        channel->awaited = order.number;
    }
    if (channel->hung_up) {
        hang_up(map);
        return;
    }
    if (channel->queue.first == NULL) {
        error = packet_send(map->descriptor, (const uint8_t *)&order, sizeof(order), -1);
    }
    if (error == DSM_EDOWN) {
        hang_up(map);
    } else if (error != 0) {
        enqueue(map, &order);
    }
}

/* What a page needs for a change: an order with this access, or none. */
#define NO_ORDER (-1)
typedef int (*need_of)(uint8_t page);

static int need_of_protect(uint8_t page)
{
    return (page & ACCESS_BITS) == FAULT_ACCESS_WRITE ? FAULT_ACCESS_READ : NO_ORDER;
}

static int need_of_hide(uint8_t page)
{
    uint32_t access = page & ACCESS_BITS;

    return access == FAULT_ACCESS_READ || access == FAULT_ACCESS_WRITE ? FAULT_ACCESS_NONE
                                                                       : NO_ORDER;
}

/* The page is here. Who may touch it already only has to look again. */
static int need_of_wake(uint8_t page)
{
    uint32_t access = page & ACCESS_BITS;

    return access == FAULT_ACCESS_READ || access == FAULT_ACCESS_WRITE ? FAULT_ACCESS_SAME
                                                                       : FAULT_ACCESS_READ;
}

static int need_of_asked(uint8_t page)
{
    return (page & ASKED_BITS) != 0 ? need_of_wake(page) : NO_ORDER;
}

static int need_of_read(uint8_t page)
{
    (void)page;
    return FAULT_ACCESS_READ;
}

static int need_of_write(uint8_t page)
{
    (void)page;
    return FAULT_ACCESS_WRITE;
}

static int need_of_lost(uint8_t page)
{
    (void)page;
    return FAULT_ACCESS_LOST;
}

static int need_of_look(uint8_t page)
{
    (void)page;
    return FAULT_ACCESS_SAME;
}

/* Order what each page of a range needs, equal neighbours at once. */
static void change(struct frames_map *map, uint64_t offset, uint64_t len_bytes, need_of need,
                   bool takes)
{
    uint64_t page_bytes = channel_of(map)->page_bytes, count, end;
    uint8_t *pages = pages_of(map, offset, len_bytes, &count);

    for (uint64_t at = 0; at < count && !map->lost; at = end) {
        int access = need(pages[at]);

        for (end = at + 1; end < count && need(pages[end]) == access; end++) {
        }
        if (access == NO_ORDER) {
            continue;
        }
        for (uint64_t page = at; page < end; page++) {
            uint8_t now = access == FAULT_ACCESS_SAME ? pages[page] : (uint8_t)access;

            pages[page] = now & ACCESS_BITS;
        }
        order(map, offset + at * page_bytes, (end - at) * page_bytes, (enum fault_access)access,
              takes);
    }
}

static void protect(struct frames_map *map, uint64_t offset, uint64_t len_bytes)
{
    change(map, offset, len_bytes, need_of_protect, true);
}

static void hide(struct frames_map *map, uint64_t offset, uint64_t len_bytes)
{
    change(map, offset, len_bytes, need_of_hide, true);
}

static void allow(struct frames_map *map, uint64_t offset, uint64_t len_bytes)
{
    change(map, offset, len_bytes, need_of_write, false);
}

static void reveal(struct frames_map *map, uint64_t offset, uint64_t len_bytes,
                   enum watch_grant grant)
{
    static const need_of needs[] = {
        [WATCH_GRANT_WAKE] = need_of_asked,
        [WATCH_GRANT_READ] = need_of_read,
        [WATCH_GRANT_WRITE] = need_of_write,
    };

    change(map, offset, len_bytes, needs[grant], false);
}

static void wake(struct frames_map *map, uint64_t offset, uint64_t len_bytes, bool is_here)
{
    change(map, offset, len_bytes, is_here ? need_of_wake : need_of_look, false);
}

static void poison(struct frames_map *map, uint64_t offset, uint64_t len_bytes)
{
    change(map, offset, len_bytes, need_of_lost, false);
}

/* Take in one report; false: it is nonsense. `tells`: a doubled one is told again. */
static bool take_report(struct frames_map *map, const struct fault_report *report, bool tells)
{
    struct channel *channel = channel_of(map);
    bool write = report->word == FAULT_WORD_WRITE;
    uint8_t asked = write ? ASKED_BITS : ASKED_READ;
    uint8_t *page;

    if (report->word == FAULT_WORD_DONE) {
        bool is_sent = report->number - channel->done <= channel->sent - channel->done;

        channel->done = is_sent ? report->number : channel->done;
        if (!is_waiting(channel)) {
            channel->awaited = channel->done; /* Numbers come round: the two stay close. */
        }
        return is_sent;
    }
    if ((report->word != FAULT_WORD_READ && !write) || report->offset >= map->end - map->start ||
        report->offset % channel->page_bytes != 0) {
        return false;
    }
    page = channel->pages + report->offset / channel->page_bytes;
    if (tells || (*page & asked) != asked) {
        *page |= asked;
        map_tell(map, report->offset, write);
    }
    return true;
}

/* Receive up to `max` reports. */
static void receive(struct frames_map *map, uint32_t max, bool tells)
{
    /* Whoever is told of a report may close the mapping. */
    for (uint32_t count = 0; count < max && map->frames != NULL && !map->lost; count++) {
        struct fault_report report;
        struct packet packet = {0};
        int error = packet_receive(map->descriptor, (uint8_t *)&report, sizeof(report), &packet);

        if (error == DSM_EAGAIN || error == DSM_ESYS) {
            return; /* Out of memory, the kernel may do better in the next turn. */
        }
        if (error == DSM_EDOWN) {
            hang_up(map);
            return;
        }
        packet_close_fds(&packet);
        if (error != 0 || packet.len_bytes != sizeof(report) || !take_report(map, &report, tells)) {
            cut_off(map, "it reports what is no report");
        }
    }
}

static void on_ready(struct frames_map *map, int status, int events)
{
    if (status < 0) {
        hang_up(map);
        return;
    }
    if ((events & UV_WRITABLE) != 0) {
        flush(map);
    }
    if (map->lost || channel_of(map)->hung_up) {
        return;
    }
    receive(map, REPORTS_PER_TURN, true);
}

static bool is_awaited(const struct frames_map *map, struct pollfd *pollfd)
{
    const struct channel *channel = channel_of(map);

    *pollfd = (struct pollfd){
        .fd = map->descriptor,
        .events = (short)(POLLIN | (channel->queue.first != NULL ? POLLOUT : 0)),
    };
    return is_waiting(channel);
}

static void on_awaited(struct frames_map *map)
{
    if (channel_of(map)->queue.first != NULL) {
        flush(map);
    }
    /* No more than a turn's, so that one program that talks without end keeps nobody from being
     * heard, nor the time from running out. */
    if (!map->lost) {
        receive(map, REPORTS_PER_TURN, false);
    }
}

static void on_late(struct frames_map *map)
{
    cut_off(map, "it did not give up access in time");
}

static bool is_seqpacket(int fd)
{
    int domain = 0, type = 0;
    socklen_t len = sizeof(domain), type_len = sizeof(type);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && type == SOCK_SEQPACKET;
}

static int start(struct frames_map *map, int process)
{
    uint64_t page_bytes = map->frames->page_bytes;
    uint64_t count = (map->end - map->start) / page_bytes;
    struct channel *channel;

    if (!is_seqpacket(map->descriptor)) {
        return DSM_ESYS;
    }
    /* A program that could not be ended could keep every node that wants its pages waiting. */
    if (!process_may_kill(process)) {
        return DSM_EPERM;
    }
    /* A page of a large sparse mapping costs memory when it is first touched here. */
    channel = count <= SIZE_MAX - sizeof(*channel) ? calloc(1, sizeof(*channel) + count) : NULL;
    if (channel == NULL) {
        return DSM_ENOMEM;
    }
    /* Its session's own goes when that ends, which may be before the mapping does. */
    channel->process = fcntl(process, F_DUPFD_CLOEXEC, 0);
    if (channel->process < 0) {
        free(channel);
        return DSM_ESYS;
    }
    channel->page_bytes = page_bytes;
    map->watch = channel;
    return 0;
}

static void stop(struct frames_map *map)
{
    struct channel *channel = channel_of(map);

    packet_queue_close(&channel->queue);
    close(channel->process);
    free(channel);
    map->watch = NULL;
}

const struct watch_ops watch_channel_ops = {
    .start = start,
    .stop = stop,
    .on_ready = on_ready,
    .look = NULL,
    .protect = protect,
    .hide = hide,
    .allow = allow,
    .fill = NULL,
    .reveal = reveal,
    .wake = wake,
    .poison = poison,
    .is_awaited = is_awaited,
    .on_awaited = on_awaited,
    .on_late = on_late,
};
