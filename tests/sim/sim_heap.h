/* SPDX-License-Identifier: Apache-2.0 */
/** What is to happen when: a binary heap by time, and by order of entry where times are equal. */
#ifndef DSM_TESTS_SIM_SIM_HEAP_H
#define DSM_TESTS_SIM_SIM_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_due {
    uint64_t due_us;
    uint64_t order; /* set by the heap */
    uint32_t kind;  /* enum sim_due_kind */
    uint32_t a, b, c;
};

struct sim_heap {
    struct sim_due *list;
    size_t count, room;
    uint64_t next_order;
};

void sim_heap_init(struct sim_heap *heap);
void sim_heap_close(struct sim_heap *heap);
void sim_heap_add(struct sim_heap *heap, const struct sim_due *event);
/** Take the first one; false: there is none. */
bool sim_heap_take(struct sim_heap *heap, struct sim_due *event);

#endif
