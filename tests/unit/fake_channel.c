/* SPDX-License-Identifier: Apache-2.0 */
/* The fake agent's pages: what it takes from programs, and mappings over a channel. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/fault_channel.h"
#include "tests/unit/fake_state.h"

#define DONE_WAIT_MS 10000

void page_make(const struct fake_agent *fake, uint64_t offset, uint8_t *bytes)
{
    uint64_t unit = fake_unit();

    if (offset < fake->store_bytes && fake->is_stored[offset / unit]) {
        memcpy(bytes, fake->store + offset, unit);
        return;
    }
    for (uint64_t i = 0; i < unit; i++) {
        bytes[i] = fake_byte(offset + i);
    }
}

static void order_send(struct fake_map *map, uint32_t access, uint64_t offset, uint64_t len_bytes)
{
    struct fault_order order = {
        .access = access, .number = ++map->sent, .offset = offset, .len_bytes = len_bytes};

    (void)send(map->uffd, &order, sizeof order, MSG_NOSIGNAL);
}

static bool page_is_here(const struct fake_agent *fake, uint64_t offset)
{
    return lseek(fake->memfd, (off_t)offset, SEEK_DATA) == (off_t)offset;
}

/* Put the page into the memfd, unless it is there. */
static void page_fill(const struct fake_agent *fake, uint64_t offset)
{
    uint64_t unit = fake_unit();
    uint8_t *bytes;
    ssize_t len;

    if (page_is_here(fake, offset)) {
        return;
    }
    bytes = malloc(unit);
    if (bytes == NULL) {
        abort();
    }
    page_make(fake, offset, bytes);
    len = pwrite(fake->memfd, bytes, unit, (off_t)offset);
    (void)len;
    free(bytes);
}

static void on_report(struct fake_agent *fake, struct fake_map *map, uint64_t at, bool write)
{
    uint64_t unit = fake_unit(), offset = map->offset + at, page = offset / unit;

    fake->seen.count_faults++;
    if (page == fake->options.silent_page && page != 0) {
        fake->seen.count_silent++;
    } else if (page == fake->options.lost_page && page != 0) {
        order_send(map, FAULT_ACCESS_LOST, at, unit);
    } else {
        page_fill(fake, offset);
        write = write || fake->gives_writes;
        order_send(map, write && map->writable ? FAULT_ACCESS_WRITE : FAULT_ACCESS_READ, at, unit);
    }
}

/* Takes one packet in. Returns false when there is none. */
static bool report_take(struct fake_map *map, struct fault_report *report)
{
    while (recv(map->uffd, report, sizeof *report, MSG_DONTWAIT) == (ssize_t)sizeof *report) {
        if (report->word != FAULT_WORD_DONE) {
            return true;
        }
        map->done = report->number;
    }
    return false;
}

void on_channel(struct fake_agent *fake, struct fake_map *map)
{
    struct pollfd end = {.fd = map->uffd, .events = POLLIN};
    struct fault_report report;

    while (report_take(map, &report)) {
        on_report(fake, map, report.offset, report.word == FAULT_WORD_WRITE);
    }
    if (poll(&end, 1, 0) == 1 && (end.revents & POLLHUP) != 0) {
        fake->seen.count_maps--;
        descriptor_close(&map->uffd);
    }
}

/* Until all orders are carried out; what is reported meanwhile is answered afterwards. */
static void orders_await(struct fake_map *map)
{
    struct fault_report report;

    while (map->done != map->sent) {
        struct pollfd in = {.fd = map->uffd, .events = POLLIN};

        if (poll(&in, 1, DONE_WAIT_MS) != 1 || (in.revents & POLLHUP) != 0) {
            return;
        }
        while (report_take(map, &report)) {
            uint8_t *wanted = &map->wanted[report.offset / fake_unit()];

            *wanted = *wanted == FAULT_WORD_WRITE ? *wanted : (uint8_t)report.word;
        }
    }
}

/* The part of a range that lies in a mapping; false when none does. */
static bool clip(const struct fake_map *map, uint64_t *start, uint64_t *end)
{
    uint64_t last = map->offset + map->len_bytes;

    *start = *start < map->offset ? map->offset : *start;
    *end = *end > last ? last : *end;
    return map->map != 0 && map->uffd >= 0 && *start < *end;
}

/* To give the right to read a page that is not here would be to show zeros. */
static void orders_send(const struct fake_agent *fake, struct fake_map *map, uint64_t start,
                        uint64_t end, bool all)
{
    if (all) {
        order_send(map, FAULT_ACCESS_NONE, start, end - start);
    }
    for (uint64_t at = start; !all && at < end; at += fake_unit()) {
        if (page_is_here(fake, map->offset + at)) {
            order_send(map, FAULT_ACCESS_READ, at, fake_unit());
        }
    }
}

static void map_take(const struct fake_agent *fake, struct fake_map *map, uint64_t start,
                     uint64_t end, bool all)
{
    if (!clip(map, &start, &end)) {
        return;
    }
    start -= map->offset;
    end = (end - map->offset + fake_unit() - 1) / fake_unit() * fake_unit();
    if (map->is_channel) {
        orders_send(fake, map, start, end, all);
    } else {
        struct uffdio_writeprotect protect = {
            .range = {.start = map->address + start, .len = end - start},
            .mode = UFFDIO_WRITEPROTECT_MODE_WP,
        };

        (void)ioctl(map->uffd, UFFDIO_WRITEPROTECT, &protect);
    }
}

static void page_store(struct fake_agent *fake, uint64_t offset)
{
    uint64_t unit = fake_unit();

    if (!page_is_here(fake, offset)) {
        return;
    }
    if (offset >= fake->store_bytes ||
        pread(fake->memfd, fake->store + offset, unit, (off_t)offset) != (ssize_t)unit ||
        fallocate(fake->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                  (off_t)unit) != 0) {
        abort();
    }
    fake->is_stored[offset / unit] = true;
}

/* KERNEL.md, 4: protect in all programs, copy, punch. */
static void tell_taken(const struct fake_agent *fake, struct fake_map *map, uint64_t start,
                       uint64_t end, bool all)
{
    uint32_t page_size = fake->options.page_size;

    start = start > map->offset ? start - map->offset : 0;
    end = end > map->offset ? end - map->offset : 0;
    end = end < map->len_bytes ? end : map->len_bytes;
    if (map->stale.words == NULL || start >= end) {
        return;
    }
    stale_map_settle(&map->stale, start / page_size, (end - start) / page_size);
    if (all) {
        stale_map_set_changed(&map->stale, start / page_size, (end - start) / page_size);
    }
}

void pages_take(struct fake_agent *fake, uint64_t page, uint64_t count, bool all)
{
    uint64_t start = page * fake_unit(), end = start + count * fake_unit();

    for (uint32_t i = 0; i < FAKE_MAPS_MAX; i++) {
        map_take(fake, &fake->maps[i], start, end, all);
    }
    for (uint32_t i = 0; i < FAKE_MAPS_MAX; i++) {
        if (fake->maps[i].map != 0 && fake->maps[i].is_channel && fake->maps[i].uffd >= 0) {
            orders_await(&fake->maps[i]);
        }
    }
    for (uint64_t at = start; all && at < end; at += fake_unit()) {
        page_store(fake, at);
    }
    for (uint32_t i = 0; i < FAKE_MAPS_MAX; i++) {
        tell_taken(fake, &fake->maps[i], start, end, all);
    }
    for (uint32_t i = 0; i < FAKE_MAPS_MAX; i++) {
        struct fake_map *map = &fake->maps[i];

        for (uint64_t at = 0; map->is_channel && at < FAKE_PAGES_MAX; at++) {
            if (map->wanted[at] != 0) {
                on_report(fake, map, at * fake_unit(), map->wanted[at] == FAULT_WORD_WRITE);
                map->wanted[at] = 0;
            }
        }
    }
}
