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

static int map_region(struct hand *hand, const struct order *order)
{
    void *mapped;
    int error = dsm_shm_map(hand->region, NULL, 0, order->a, DSM_READ | DSM_WRITE, &mapped);

    if (error) {
        return error;
    }
    hand->memory = mapped;
    hand->size_bytes = order->a;
    hand->page_bytes = order->c ? (uint32_t)order->c : BENCH_PAGE_BYTES;
    snprintf(hand->name, sizeof(hand->name), "%s", order->text);
    return 0;
}

int order_make(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)outcome;
    struct dsm_shm_options options = {.window_ms = (uint32_t)order->b,
                                      .page_size = (uint32_t)order->c};
    int error = dsm_shm_open(hand->dsm, order->text, O_RDWR | O_CREAT | O_EXCL, 0600, &options,
                             &hand->region);

    if (!error) {
        error = dsm_shm_truncate(hand->region, order->a);
    }
    return error ? error : map_region(hand, order);
}

int order_map(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)outcome;
    int error = dsm_shm_open(hand->dsm, order->text, O_RDWR, 0, NULL, &hand->region);

    return error ? error : map_region(hand, order);
}

int order_unmap(struct hand *hand, const struct order *order, struct outcome *outcome)
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

bool hand_has_pages(const struct hand *hand, uint64_t first, uint64_t count)
{
    uint64_t pages = hand->memory ? hand->size_bytes / BENCH_PAGE_BYTES : 0;

    return first <= pages && count <= pages - first;
}

int order_write_all(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)outcome;
    if (!hand_has_pages(hand, order->a, order->b)) {
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

int order_read_all(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)outcome;
    if (!hand_has_pages(hand, order->a, order->b)) {
        return DSM_ERANGE;
    }
    for (uint64_t i = 0; i < order->b; i++) {
        if (!page_is_right(hand, order->a + i)) {
            return DSM_EPROTO;
        }
    }
    return 0;
}

/* Every other page of the region from order->a on, in random order, so that nothing looks
 * sequential. */
static int touch_random(struct hand *hand, const struct order *order, bool write)
{
    uint64_t distance = 2 * hand->page_bytes / BENCH_PAGE_BYTES;

    if (order->b > SAMPLES_MAX || !hand_has_pages(hand, order->a, order->b * distance)) {
        return DSM_ERANGE;
    }
    uint32_t *numbers = malloc(order->b * sizeof(*numbers));
    int error = numbers ? 0 : DSM_ENOMEM;
    if (numbers) {
        shuffle(numbers, (uint32_t)order->b, order->a + 7);
    }
    for (uint64_t i = 0; i < order->b && !error; i++) {
        uint64_t page = order->a + numbers[i] * distance;
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

int order_read_random(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    outcome->count = (uint32_t)order->b;
    return touch_random(hand, order, false);
}

int order_write_random(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    outcome->count = (uint32_t)order->b;
    return touch_random(hand, order, true);
}

__attribute__((noinline)) uint64_t scan_words(const uint8_t *memory, uint64_t len_bytes)
{
    uint64_t sum = 0;

    for (uint64_t offset = 0; offset < len_bytes; offset += sizeof(uint64_t)) {
        uint64_t value;

        memcpy(&value, memory + offset, sizeof(value));
        sum += value;
    }
    return sum;
}

uint64_t scan_expected(uint64_t len_bytes)
{
    uint64_t sum = 0;

    for (uint64_t page = 0; page < len_bytes / BENCH_PAGE_BYTES; page++) {
        uint64_t word = (page % 251 + 1) * UINT64_C(0x0101010101010101);

        sum += word * (BENCH_PAGE_BYTES / sizeof(word));
    }
    return sum;
}

int order_stream(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    if (!hand_has_pages(hand, 0, order->a / BENCH_PAGE_BYTES)) {
        return DSM_ERANGE;
    }
    double begin = clock_us();
    uint64_t sum = scan_words(hand->memory, order->a);

    hand->samples[0] = (double)order->a / (clock_us() - begin);
    outcome->count = 1;
    return sum == scan_expected(order->a) ? 0 : DSM_EPROTO;
}

int order_compute(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    volatile uint64_t sum = 0;

    (void)order;
    (void)outcome;
    while (!atomic_load_explicit(&hand->board->stop, memory_order_relaxed)) {
        for (uint64_t i = 0; i < 100000; i++) {
            sum = sum * 3 + i;
        }
    }
    return 0;
}

int order_stats(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)order;
    return dsm_stats_get(hand->dsm, &outcome->stats);
}

int order_handoff(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    outcome->count = (uint32_t)order->b;
    return handoff_measure(&hand->handoff, (uint32_t)order->a, hand->samples, order->b) ? DSM_ESYS
                                                                                        : 0;
}

int order_connect(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    (void)outcome;
    if (tls_connect(&hand->tls, order->text, (uint16_t)order->a)) {
        return DSM_EDOWN;
    }
    snprintf(hand->board->cipher, sizeof(hand->board->cipher), "%s", link_cipher(hand->tls.link));
    return 0;
}

int order_round_trips(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    outcome->count = (uint32_t)order->b;
    hand->tls.polls = order->c;
    return tls_measure_round_trips(&hand->tls, order->a, hand->samples, order->b) ? DSM_EDOWN : 0;
}

int order_bulk(struct hand *hand, const struct order *order, struct outcome *outcome)
{
    outcome->count = 1;
    return tls_measure_bulk(&hand->tls, order->a, hand->samples) ? DSM_EDOWN : 0;
}
