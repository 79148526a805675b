/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Advice: what programs say of the pages that they use. It changes when bytes move, and with which
 * right, never what is read: a right that is asked for too early is one all the same (P1 to P5).
 *
 * How a part is used from now on (its pattern) is the node's: the programs of a node share its
 * pages. The last that was said of a page counts; some dozens of parts are remembered.
 */
#include "dsm/core/page.h"

void pages_advise(struct pages *pages, const struct region *region, struct page_span span,
                  uint32_t advice)
{
    struct advice_range range = {
        .region = region->record.id,
        .page = span.page,
        .end = span.page + span.count,
        .advice = advice,
    };

    switch (advice) {
    case DSM_ADVICE_WILL_NEED:
        pages_need(pages, region, span);
        break;
    case DSM_ADVICE_DONE_WITH:
        pages->done[pages->next_done++ % DONE_RANGES] = range;
        break;
    default:
        pages->patterns[pages->next_pattern++ % PATTERNS] = range;
    }
}

uint32_t pages_pattern(const struct pages *pages, const struct region *region, uint64_t page,
                       struct page_span *part)
{
    uint32_t count = pages->next_pattern < PATTERNS ? pages->next_pattern : PATTERNS;

    for (uint32_t i = 1; i <= count; i++) {
        const struct advice_range *range = &pages->patterns[(pages->next_pattern - i) % PATTERNS];

        if (page >= range->page && page < range->end &&
            region_id_equal(range->region, region->record.id)) {
            *part = (struct page_span){.page = range->page, .count = range->end - range->page};
            return range->advice;
        }
    }
    return DSM_ADVICE_NORMAL;
}

bool pages_give_up(struct pages *pages)
{
    for (uint32_t i = 0; i < DONE_RANGES; i++) {
        struct advice_range *done = &pages->done[i];
        struct region *region = context_region(pages->context, done->region);
        uint64_t page = done->page;

        if (page >= done->end) {
            continue;
        }
        done->page = region != NULL ? pages_let_go(pages, region, page, done->end) : done->end;
        if (done->page > page) {
            return true;
        }
    }
    return false;
}
