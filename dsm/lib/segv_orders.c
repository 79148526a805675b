/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protections of one mapping, by the agent's orders. Each range of its own kind costs the process
 * one of vm.max_map_count; when there is no more, all access to the whole mapping is taken away,
 * which joins its ranges into one, and the threads report again. Less access is always right.
 */
#include "dsm/lib/segv_map.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "dsm.h"

static int protection_of(uint32_t access)
{
    return access == FAULT_ACCESS_NONE   ? PROT_NONE
           : access == FAULT_ACCESS_READ ? PROT_READ
                                         : PROT_READ | PROT_WRITE;
}

/* The whole mapping has no access any more. What cannot be had must not be left undone. */
static void close_whole(struct segv *segv, struct segv_map *map)
{
    uint8_t *address = map->range.address;
    size_t len = map->range.len_bytes;

    for (size_t i = 0; i < map->count_pages; i++) {
        if (map->access[i] != FAULT_ACCESS_NONE) {
            atomic_store(&map->access[i], FAULT_ACCESS_NONE);
        }
    }
    if (mprotect(address, len, PROT_NONE) != 0) {
        /* Memory that nobody keeps coherent any more must not stay readable at any price. */
        abort();
    }
    segv_wake(segv, (uintptr_t)address, len);
}

/* V3: less is noted before it is so, more after it is. */
static void protect(struct segv *segv, struct segv_map *map, size_t first, size_t count,
                    uint32_t access)
{
    size_t page_bytes = segv->page_bytes;
    uint8_t *address = map->range.address + first * page_bytes;
    size_t len = count * page_bytes;
    int protection = protection_of(access);

    for (size_t i = first; i < first + count; i++) {
        if (map->access[i] > access) {
            atomic_store(&map->access[i], (uint8_t)access);
        }
    }
    if (mprotect(address, len, protection) != 0) {
        close_whole(segv, map);
        if (access == FAULT_ACCESS_NONE || mprotect(address, len, protection) != 0) {
            return;
        }
    }
    for (size_t i = first; i < first + count; i++) {
        atomic_store(&map->access[i], (uint8_t)access);
    }
}

static void lose(struct segv *segv, struct segv_map *map, size_t first, size_t count)
{
    size_t page_bytes = segv->page_bytes;
    uint8_t *address = map->range.address + first * page_bytes;
    size_t len = count * page_bytes;
    int protection = PROT_READ | (map->range.writable ? PROT_WRITE : 0);
    void *got = mmap(address, len, protection, MAP_SHARED | MAP_FIXED, map->empty, 0);

    if (got == MAP_FAILED) {
        close_whole(segv, map);
        got = mmap(address, len, protection, MAP_SHARED | MAP_FIXED, map->empty, 0);
    }
    if (got == MAP_FAILED) {
        return;
    }
    (void)madvise(address, len, MADV_DONTFORK);
    for (size_t i = first; i < first + count; i++) {
        atomic_store(&map->access[i], FAULT_ACCESS_LOST);
    }
}

int segv_order_apply(struct segv *segv, struct segv_map *map, const struct fault_order *order)
{
    size_t page_bytes = segv->page_bytes, first, count;
    uint32_t access = order->access;

    if (access > FAULT_ACCESS_SAME || order->len_bytes == 0 ||
        (order->offset | order->len_bytes) % page_bytes != 0 ||
        order->offset >= map->range.len_bytes ||
        order->len_bytes > map->range.len_bytes - order->offset) {
        return DSM_EPROTO;
    }
    first = (size_t)order->offset / page_bytes;
    count = (size_t)order->len_bytes / page_bytes;
    if (access == FAULT_ACCESS_WRITE && !map->range.writable) {
        access = FAULT_ACCESS_READ;
    }
    if (access == FAULT_ACCESS_LOST) {
        lose(segv, map, first, count);
    } else if (access != FAULT_ACCESS_SAME) {
        protect(segv, map, first, count, access);
    }
    segv_wake(segv, (uintptr_t)map->range.address + first * page_bytes, count * page_bytes);
    return 0;
}
