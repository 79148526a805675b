/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/orders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/bench/process.h"
#include "tests/bench/shuffle.h"

#define WAIT_MS 60000

typedef int (*order_function)(struct hand *hand, const struct order *order,
                              struct outcome *outcome);

static int map_region(struct hand *hand, const struct order *order)
{
    void *mapped;
    int error = dsm_shm_map(hand->region, NULL, 0, order->a, DSM_READ | DSM_WRITE, &mapped);

    if (error) {
        return error;
    }
    hand->memory = mapped;
    hand->size_bytes = order->a;
    snprintf(hand->name, sizeof(hand->name), "%s", order->text);
    return 0;
}

static int on_make(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)outcome;
    int error =
        dsm_shm_open(hand->dsm, order->text, O_RDWR | O_CREAT | O_EXCL, 0600, NULL, &hand->region);

    if (!error) {
        error = dsm_shm_truncate(hand->region, order->a);
    }
    return error ? error : map_region(hand, order);
}

static int on_map(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)outcome;
    int error = dsm_shm_open(hand->dsm, order->text, O_RDWR, 0, NULL, &hand->region);

    return error ? error : map_region(hand, order);
}

static int on_unmap(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)outcome;
    int error = hand->memory ? dsm_shm_unmap(hand->dsm, hand->memory) : 0;
    int second = dsm_shm_close(hand->region);

    hand->memory = NULL;
    hand->region = NULL;
    if (!error) {
        error = second;
    }
    if (!error && order->a) {
        error = dsm_shm_unlink(hand->dsm, hand->name);
    }
    return error;
}

static bool has_pages(const struct hand *hand, uint64_t first, uint64_t count)
{
    uint64_t pages = hand->memory ? hand->size_bytes / BENCH_PAGE_BYTES : 0;

    return first <= pages && count <= pages - first;
}

static int on_write_all(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)outcome;
    if (!has_pages(hand, order->a, order->b)) {
        return DSM_ERANGE;
    }
    for (uint64_t i = 0; i < order->b; i++) {
        uint64_t page = order->a + i;

        memset(hand->memory + page * BENCH_PAGE_BYTES, (int)(page % 251) + 1, BENCH_PAGE_BYTES);
    }
    return 0;
}

/* Each page holds its own byte: a benchmark that got wrong bytes has measured nothing. */
static bool page_is_right(const struct hand *hand, uint64_t page)
{
    volatile const uint8_t *byte = hand->memory + page * BENCH_PAGE_BYTES;

    return *byte == page % 251 + 1;
}

static int on_read_all(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)outcome;
    if (!has_pages(hand, order->a, order->b)) {
        return DSM_ERANGE;
    }
    for (uint64_t i = 0; i < order->b; i++) {
        if (!page_is_right(hand, order->a + i)) {
            return DSM_EPROTO;
        }
    }
    return 0;
}

/* Every other page from order->a on, in random order, so that nothing looks sequential. */
static int touch_random(struct hand *hand, const struct order *order, bool write)
{
    if (order->b > SAMPLES_MAX || !has_pages(hand, order->a, order->b * 2)) {
        return DSM_ERANGE;
    }
    uint32_t *numbers = malloc(order->b * sizeof(*numbers));
    int error = numbers ? 0 : DSM_ENOMEM;
    if (numbers) {
        shuffle(numbers, (uint32_t)order->b, order->a + 7);
    }
    for (uint64_t i = 0; i < order->b && !error; i++) {
        uint64_t page = order->a + (uint64_t)numbers[i] * 2;
        volatile uint8_t *byte = hand->memory + page * BENCH_PAGE_BYTES;
        uint8_t seen = 0;
        double begin = clock_us();

        if (write) {
            *byte = (uint8_t)(page % 251 + 1);
        } else {
            seen = *byte;
        }
        hand->samples[i] = clock_us() - begin;
        if (!write && seen != page % 251 + 1) {
            error = DSM_EPROTO;
        }
    }
    free(numbers);
    return error;
}

static int on_read_random(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    outcome->count = (uint32_t)order->b;
    return touch_random(hand, order, false);
}

static int on_write_random(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    outcome->count = (uint32_t)order->b;
    return touch_random(hand, order, true);
}

/* The same loop for region and plain memory; not inlined, so that both run the same instructions.
 */
static __attribute__((noinline)) uint64_t scan(const uint8_t *memory, uint64_t len_bytes)
{
    uint64_t sum = 0;

    for (uint64_t offset = 0; offset < len_bytes; offset += sizeof(uint64_t)) {
        uint64_t value;

        memcpy(&value, memory + offset, sizeof(value));
        sum += value;
    }
    return sum;
}

static uint64_t expected_sum(uint64_t len_bytes)
{
    uint64_t sum = 0;

    for (uint64_t page = 0; page < len_bytes / BENCH_PAGE_BYTES; page++) {
        uint64_t word = (page % 251 + 1) * UINT64_C(0x0101010101010101);

        sum += word * (BENCH_PAGE_BYTES / sizeof(word));
    }
    return sum;
}

static int on_stream(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    if (!has_pages(hand, 0, order->a / BENCH_PAGE_BYTES)) {
        return DSM_ERANGE;
    }
    double begin = clock_us();
    uint64_t sum = scan(hand->memory, order->a);

    hand->samples[0] = (double)order->a / (clock_us() - begin);
    outcome->count = 1;
    return sum == expected_sum(order->a) ? 0 : DSM_EPROTO;
}

static int on_hit(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    /* Pages of the same size as a region's, so that nothing but being a region is compared. */
    uint8_t *plain =
        mmap(NULL, hand->size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (plain == MAP_FAILED) {
        return DSM_ENOMEM;
    }
    madvise(plain, hand->size_bytes, MADV_NOHUGEPAGE);
    memcpy(plain, hand->memory, hand->size_bytes);
    uint64_t right = scan(plain, hand->size_bytes);
    int error = 0;
    for (uint64_t i = 0; i < order->b && !error; i++) {
        double begin = clock_us();
        uint64_t first = scan(hand->memory, hand->size_bytes);
        double middle = clock_us();
        uint64_t second = scan(plain, hand->size_bytes);
        double end = clock_us();

        hand->samples[2 * i] = middle - begin;
        hand->samples[2 * i + 1] = end - middle;
        error = first == right && second == right ? 0 : DSM_EPROTO;
    }
    munmap(plain, hand->size_bytes);
    outcome->count = (uint32_t)order->b * 2;
    return error;
}

/*
 * The turn itself goes round over a socket pair, outside of the region: the sample is what one
 * store costs while the other host has the page for writing, and nothing else.
 */
static int on_ping(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    volatile uint64_t *word =
        (volatile uint64_t *)(void *)(hand->memory + order->a * BENCH_PAGE_BYTES);
    uint64_t turn;

    for (uint64_t i = 0; i < order->b; i++) {
        if ((i > 0 || !order->c) && read(hand->turn_fd, &turn, sizeof(turn)) != sizeof(turn)) {
            return DSM_ESYS;
        }
        turn = i > 0 || !order->c ? turn + 1 : 1;
        double begin = clock_us();

        *word = turn;
        hand->samples[i] = clock_us() - begin;
        if (write(hand->turn_fd, &turn, sizeof(turn)) != sizeof(turn)) {
            return DSM_ESYS;
        }
    }
    if (order->c && read(hand->turn_fd, &turn, sizeof(turn)) != sizeof(turn)) {
        return DSM_ESYS;
    }
    outcome->count = (uint32_t)order->b;
    return 0;
}

static int on_lock_alone(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    for (uint64_t i = 0; i < order->b; i++) {
        double begin = clock_us();
        int error = dsm_mutex_lock(hand->region, order->a, WAIT_MS);

        if (!error) {
            error = dsm_mutex_unlock(hand->region, order->a);
        }
        if (error) {
            return error;
        }
        hand->samples[i] = clock_us() - begin;
    }
    outcome->count = (uint32_t)order->b;
    return 0;
}

static int on_lock_turns(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    int error = dsm_barrier_wait(hand->region, order->a + 8, 2, WAIT_MS);

    for (uint64_t i = 0; i < order->b && !error; i++) {
        double *sample = hand->samples + 3 * i;

        sample[0] = clock_us();
        error = dsm_mutex_lock(hand->region, order->a, WAIT_MS);
        sample[1] = clock_us();
        sample[2] = clock_us();
        if (!error) {
            error = dsm_mutex_unlock(hand->region, order->a);
        }
    }
    outcome->count = (uint32_t)order->b * 3;
    return error;
}

static int on_barrier(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    int error = 0;

    for (uint64_t i = 0; i < order->b && !error; i++) {
        double begin = clock_us();

        error = dsm_barrier_wait(hand->region, order->a, 2, WAIT_MS);
        hand->samples[i] = clock_us() - begin;
    }
    outcome->count = (uint32_t)order->b;
    return error;
}

static int on_stats(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)order;
    return dsm_stats_get(hand->dsm, &outcome->stats);
}

static int on_handoff(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    outcome->count = (uint32_t)order->b;
    return handoff_measure(&hand->handoff, hand->samples, order->b) ? DSM_ESYS : 0;
}

static int on_connect(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)outcome;
    return tls_connect(&hand->tls, order->text, (uint16_t)order->a) ? DSM_EDOWN : 0;
}

static int on_round_trips(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    outcome->count = (uint32_t)order->b;
    return tls_measure_round_trips(&hand->tls, order->a, hand->samples, order->b) ? DSM_EDOWN : 0;
}

static int on_bulk(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    outcome->count = 1;
    return tls_measure_bulk(&hand->tls, order->a, hand->samples) ? DSM_EDOWN : 0;
}

static const struct {
    const char *name;
    order_function function;
} order_table[ORDER_COUNT] = {
    [ORDER_MAKE] = {"make", on_make},
    [ORDER_MAP] = {"map", on_map},
    [ORDER_UNMAP] = {"unmap", on_unmap},
    [ORDER_WRITE_ALL] = {"write all", on_write_all},
    [ORDER_READ_ALL] = {"read all", on_read_all},
    [ORDER_READ_RANDOM] = {"read random", on_read_random},
    [ORDER_WRITE_RANDOM] = {"write random", on_write_random},
    [ORDER_STREAM] = {"stream", on_stream},
    [ORDER_HIT] = {"hit", on_hit},
    [ORDER_PING] = {"ping", on_ping},
    [ORDER_LOCK_ALONE] = {"lock alone", on_lock_alone},
    [ORDER_LOCK_TURNS] = {"lock turns", on_lock_turns},
    [ORDER_BARRIER] = {"barrier", on_barrier},
    [ORDER_STATS] = {"stats", on_stats},
    [ORDER_HANDOFF] = {"hand-off", on_handoff},
    [ORDER_CONNECT] = {"connect", on_connect},
    [ORDER_ROUND_TRIPS] = {"round trips", on_round_trips},
    [ORDER_BULK] = {"bulk", on_bulk},
};

void order_execute(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    char why[384] = "";

    *outcome = (struct outcome){.error = DSM_EINVAL};
    if (order->kind > ORDER_NONE && order->kind < ORDER_COUNT) {
        outcome->error = order_table[order->kind].function(hand, order, outcome);
    }
    if (outcome->error) {
        dsm_last_error(hand->dsm, why, sizeof(why));
        snprintf(outcome->text, sizeof(outcome->text), "%s %s: %s (%s)",
                 order_table[order->kind].name, order->text, dsm_strerror(outcome->error), why);
    }
}
