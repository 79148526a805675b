/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/failure/failure_state.h"

/** Places of the table of live blocks, a power of two; it is never more than half full. */
#define PLACES (1u << 18)

struct block {
    uintptr_t address; /* 0: the place is free */
    size_t size_bytes;
    uint64_t serial;
    const void *taker; /* the code that asked for it */
};

static struct {
    atomic_flag lock;
    struct block places[PLACES];
    uint64_t blocks, bytes, serial;
} table = {.lock = ATOMIC_FLAG_INIT};

static void table_lock(void)
{
    while (atomic_flag_test_and_set_explicit(&table.lock, memory_order_acquire)) {
    }
}

static void table_unlock(void)
{
    atomic_flag_clear_explicit(&table.lock, memory_order_release);
}

/* A child must not find the lock held by a thread that it has not. */
__attribute__((constructor)) static void watch_forks(void)
{
    (void)pthread_atfork(table_lock, table_unlock, table_unlock);
}

static uint32_t place_of(uintptr_t address)
{
    return (uint32_t)((address >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 40) & (PLACES - 1);
}

/* Under the lock: the block's place, or the free one where it would be. */
static uint32_t place_find(uintptr_t address)
{
    uint32_t at = place_of(address);

    while (table.places[at].address != 0 && table.places[at].address != address) {
        at = (at + 1) & (PLACES - 1);
    }
    return at;
}

static void block_enter(const void *block, size_t size_bytes, const void *taker)
{
    if (block == NULL || failure_is_exempt()) {
        return;
    }
    table_lock();
    if (table.blocks >= PLACES / 2) {
        abort();
    }
    table.places[place_find((uintptr_t)block)] = (struct block){
        .address = (uintptr_t)block,
        .size_bytes = size_bytes,
        .serial = ++table.serial,
        .taker = taker,
    };
    table.blocks++;
    table.bytes += size_bytes;
    table_unlock();
}

/* Those behind it that a search would no longer find move up (Knuth, 6.4, algorithm R). */
static void place_close(uint32_t hole)
{
    for (uint32_t at = (hole + 1) & (PLACES - 1); table.places[at].address != 0;
         at = (at + 1) & (PLACES - 1)) {
        uint32_t wanted = place_of(table.places[at].address);

        if (((at - wanted) & (PLACES - 1)) >= ((at - hole) & (PLACES - 1))) {
            table.places[hole] = table.places[at];
            hole = at;
        }
    }
    table.places[hole].address = 0;
}

/* Whoever frees it; one that was not entered is nobody's. Returns whether it was. */
static bool block_leave(const void *block)
{
    uint32_t at;
    bool was_there;

    table_lock();
    at = place_find((uintptr_t)block);
    was_there = table.places[at].address != 0;
    if (was_there) {
        table.blocks--;
        table.bytes -= table.places[at].size_bytes;
        place_close(at);
    }
    table_unlock();
    return was_there;
}

uint64_t failure_live_blocks(void)
{
    uint64_t blocks;

    table_lock();
    blocks = table.blocks;
    table_unlock();
    return blocks;
}

uint64_t failure_live_bytes(void)
{
    uint64_t bytes;

    table_lock();
    bytes = table.bytes;
    table_unlock();
    return bytes;
}

uint64_t failure_serial(void)
{
    uint64_t serial;

    table_lock();
    serial = table.serial;
    table_unlock();
    return serial;
}

/* A copy first: to print takes memory. */
void failure_print_blocks(uint64_t serial)
{
    for (uint32_t at = 0; at < PLACES; at++) {
        struct block block;
        Dl_info where = {0};

        table_lock();
        block = table.places[at];
        table_unlock();
        if (block.address == 0 || block.serial <= serial) {
            continue;
        }
        (void)dladdr(block.taker, &where);
        (void)fprintf(stderr, "  %zu bytes taken by %s+0x%lx (%s)\n", block.size_bytes,
                      where.dli_fname ? where.dli_fname : "?",
                      (uintptr_t)block.taker - (uintptr_t)where.dli_fbase,
                      where.dli_sname ? where.dli_sname : "?");
    }
}

static bool memory_fails(const char *call)
{
    int number = failure_take(call, FAILURE_MEMORY, ENOMEM);

    if (number != 0) {
        errno = number;
    }
    return number != 0;
}

void *malloc(size_t size)
{
    void *block = memory_fails("malloc") ? NULL : REAL(malloc)(size);

    block_enter(block, size, __builtin_return_address(0));
    return block;
}

void *calloc(size_t count, size_t size)
{
    void *block = memory_fails("calloc") ? NULL : REAL(calloc)(count, size);

    block_enter(block, count * size, __builtin_return_address(0));
    return block;
}

/* The old block is forgotten before it may become another thread's. */
static void *resize(void *block, size_t size, const void *taker)
{
    bool was_there = block != NULL && block_leave(block);
    void *moved = REAL(realloc)(block, size);

    if (moved != NULL) {
        block_enter(moved, size, taker);
    } else if (was_there && size > 0) {
        block_enter(block, size, taker);
    }
    return moved;
}

void *realloc(void *block, size_t size)
{
    return memory_fails("realloc") ? NULL : resize(block, size, __builtin_return_address(0));
}

void *reallocarray(void *block, size_t count, size_t size)
{
    if (memory_fails("reallocarray")) {
        return NULL;
    }
    if (size != 0 && count > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    return resize(block, count * size, __builtin_return_address(0));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    void *block = memory_fails("aligned_alloc") ? NULL : REAL(aligned_alloc)(alignment, size);

    block_enter(block, size, __builtin_return_address(0));
    return block;
}

void *memalign(size_t alignment, size_t size)
{
    void *block = memory_fails("memalign") ? NULL : REAL(memalign)(alignment, size);

    block_enter(block, size, __builtin_return_address(0));
    return block;
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    int number = failure_take("posix_memalign", FAILURE_MEMORY, ENOMEM);

    if (number == 0) {
        number = REAL(posix_memalign)(block, alignment, size);
        if (number == 0) {
            block_enter(*block, size, __builtin_return_address(0));
        }
    }
    return number;
}

/*
 * Out of the table before it is free: from then on another thread may be given the same address. To
 * look for the function that is behind this one may itself free the text of an earlier error; that
 * one block stays.
 */
void free(void *block)
{
    static _Thread_local bool is_looking;
    void (*release)(void *);

    if (block != NULL) {
        (void)block_leave(block);
    }
    if (!is_looking) {
        is_looking = true;
        release = REAL(free);
        is_looking = false;
        release(block);
    }
}
