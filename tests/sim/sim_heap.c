/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_heap.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 256u

void sim_heap_init(struct sim_heap *heap)
{
    memset(heap, 0, sizeof(*heap));
}

void sim_heap_close(struct sim_heap *heap)
{
    free(heap->list);
    heap->list = NULL;
}

static bool is_before(const struct sim_due *one, const struct sim_due *other)
{
    return one->due_us != other->due_us ? one->due_us < other->due_us : one->order < other->order;
}

void sim_heap_add(struct sim_heap *heap, const struct sim_due *event)
{
    struct sim_due new = *event;
    size_t place = heap->count;

    if (heap->count == heap->room) {
        heap->room = heap->room != 0 ? heap->room * 2 : ROOM_FIRST;
        heap->list = realloc(heap->list, heap->room * sizeof(*heap->list));
        if (heap->list == NULL) {
            abort();
        }
    }
    new.order = heap->next_order++;
    heap->count++;
    while (place > 0 && is_before(&new, &heap->list[(place - 1) / 2])) {
        heap->list[place] = heap->list[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    heap->list[place] = new;
}

bool sim_heap_take(struct sim_heap *heap, struct sim_due *event)
{
    struct sim_due last;
    size_t place = 0;

    if (heap->count == 0) {
        return false;
    }
    *event = heap->list[0];
    last = heap->list[--heap->count];
    while (place * 2 + 1 < heap->count) {
        size_t child = place * 2 + 1;

        if (child + 1 < heap->count && is_before(&heap->list[child + 1], &heap->list[child])) {
            child++;
        }
        if (!is_before(&heap->list[child], &last)) {
            break;
        }
        heap->list[place] = heap->list[child];
        place = child;
    }
    heap->list[place] = last;
    return true;
}
