/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/runs.h"

#include <stdlib.h>

#include "dsm.h"

void runs_close(struct runs *runs)
{
    free(runs->list);
    *runs = (struct runs){0};
}

int runs_add(struct runs *runs, const struct page_run *run)
{
    if (runs->count == RUNS_MAX) {
        return DSM_ENOMEM;
    }
    if (runs->count == runs->capacity) {
        uint32_t capacity = runs->capacity ? runs->capacity * 2 : 64;
        struct page_run *list = realloc(runs->list, capacity * sizeof(*list));

        if (list == NULL) {
            return DSM_ENOMEM;
        }
        runs->list = list;
        runs->capacity = capacity;
    }
    runs->list[runs->count++] = *run;
    return 0;
}

static int run_compare(const void *a, const void *b)
{
    const struct page_run *left = a;
    const struct page_run *right = b;

    return left->page < right->page ? -1 : left->page > right->page;
}

static bool run_is_alike(const struct page_run *a, const struct page_run *b)
{
    return a->owner == b->owner && nodeset_equal(a->readers, b->readers) && a->lost == b->lost &&
           a->busy == b->busy;
}

void runs_merge(struct runs *runs)
{
    uint32_t count = 0;

    if (runs->count == 0) {
        return;
    }
    qsort(runs->list, runs->count, sizeof(*runs->list), run_compare);
    for (uint32_t i = 1; i < runs->count; i++) {
        struct page_run *last = &runs->list[count];
        const struct page_run *run = &runs->list[i];

        if (last->page + last->count == run->page && run_is_alike(last, run)) {
            last->count += run->count;
        } else {
            runs->list[++count] = *run;
        }
    }
    runs->count = count + 1;
}

const char *run_state(const struct page_run *run)
{
    if (run->lost) {
        return "lost";
    }
    if (run->busy) {
        return "busy";
    }
    if (run->owner == NODE_NONE) {
        return "zero";
    }
    return nodeset_is_part(run->readers, nodeset_of(run->owner)) ? "owned" : "shared";
}
