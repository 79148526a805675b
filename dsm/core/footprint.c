/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/core/footprint.h"

#include <stddef.h>

static struct footprint *find(struct footprints *footprints, uint64_t page)
{
    for (uint32_t i = 0; i < FOOTPRINTS; i++) {
        struct footprint *footprint = &footprints->list[i];

        if (footprint->count != 0 && footprint->page == page) {
            footprint->used = ++footprints->clock;
            return footprint;
        }
    }
    return NULL;
}

static struct footprint *oldest(struct footprints *footprints)
{
    struct footprint *found = &footprints->list[0];

    for (uint32_t i = 1; i < FOOTPRINTS; i++) {
        if (footprints->list[i].used < found->used) {
            found = &footprints->list[i];
        }
    }
    return found;
}

void footprints_note(struct footprints *footprints, uint64_t page, uint64_t count)
{
    struct footprint *footprint = find(footprints, page);

    if (footprint == NULL) {
        footprint = oldest(footprints);
        *footprint = (struct footprint){.page = page, .used = ++footprints->clock};
    }
    if (count > footprint->count) {
        footprint->count = count < FOOTPRINT_PAGES_MAX ? (uint32_t)count : FOOTPRINT_PAGES_MAX;
    }
}

uint32_t footprints_tell(struct footprints *footprints, uint64_t page)
{
    struct footprint *footprint = find(footprints, page);

    if (footprint == NULL) {
        return 0;
    }
    footprint->told++;
    if (footprint->told % FOOTPRINT_TOLD == 0) {
        footprint->count = footprint->count / 2 + footprint->count % 2;
    }
    return footprint->count;
}
