/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/merge.h"

#include <stdatomic.h>
#include <string.h>

#define LOW_BITS UINT64_C(0x7f7f7f7f7f7f7f7f)

/* All bits of each byte that is not 0. */
static uint64_t bytes_of(uint64_t difference)
{
    uint64_t high = (((difference & LOW_BITS) + LOW_BITS) | difference) & ~LOW_BITS;

    return (high >> 7) * 0xff;
}

bool merge_is_dirty(const struct merge *merge)
{
    /* A store under way at this moment is the next release's. */
    return memcmp((const void *)(uintptr_t)merge->view, merge->twin, merge->len_bytes) != 0;
}

static void note_race(struct merge_outcome *outcome, size_t word)
{
    if (outcome->count_races++ == 0) {
        outcome->first_race = word * sizeof(uint64_t);
    }
}

/* Put the masked bytes into a word without touching its others. */
static void put(_Atomic uint64_t *word, uint64_t value, uint64_t mask)
{
    uint64_t found = atomic_load_explicit(word, memory_order_relaxed);

    if (mask == UINT64_MAX) {
        atomic_store_explicit(word, value, memory_order_relaxed);
        return;
    }
    while (!atomic_compare_exchange_weak_explicit(word, &found, (found & ~mask) | (value & mask),
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

void merge_out(const struct merge *merge, struct merge_outcome *outcome)
{
    for (size_t i = 0; i < merge->len_bytes / sizeof(uint64_t); i++) {
        uint64_t view = atomic_load_explicit(&merge->view[i], memory_order_relaxed);
        uint64_t twin = merge->twin[i], mask, base;

        if (view == twin) {
            continue;
        }
        mask = bytes_of(view ^ twin);
        base = atomic_load_explicit(&merge->base[i], memory_order_relaxed);
        if (((base ^ twin) & (base ^ view) & mask) != 0) {
            note_race(outcome, i);
        }
        put(&merge->base[i], view, mask);
        merge->twin[i] = view;
        outcome->count_bytes += (uint64_t)__builtin_popcountll(mask) / 8;
    }
}

/* The word of the view as it is when the others' bytes have been put beside its own. */
static void take(const struct merge *merge, size_t i, uint64_t base, struct merge_outcome *outcome)
{
    uint64_t twin = merge->twin[i], view, own, others = bytes_of(base ^ twin);
    bool races;

    view = atomic_load_explicit(&merge->view[i], memory_order_relaxed);
    do {
        own = bytes_of(view ^ twin);
        races = (own & others & (view ^ base)) != 0;
    } while (!atomic_compare_exchange_weak_explicit(
        &merge->view[i], &view, (view & ~(others & ~own)) | (base & others & ~own),
        memory_order_relaxed, memory_order_relaxed));
    merge->twin[i] = base;
    outcome->count_bytes += (uint64_t)__builtin_popcountll(others & ~own) / 8;
    if (races) {
        note_race(outcome, i);
    }
}

void merge_in(const struct merge *merge, struct merge_outcome *outcome)
{
    for (size_t i = 0; i < merge->len_bytes / sizeof(uint64_t); i++) {
        uint64_t base = atomic_load_explicit(&merge->base[i], memory_order_relaxed);

        if (base != merge->twin[i]) {
            take(merge, i, base, outcome);
        }
    }
}
