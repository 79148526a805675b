/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading ahead. A run of sequential faults makes the requests four times longer each, up to the
 * longest range; from then on the ranges behind it are asked for as well, so that the next ones are
 * on their way while a program works on the first. Only what is absent and wanted by nobody is
 * asked for (P4 in page.c), and nothing that the budget would throw out again.
 */
#include "dsm/core/group.h"

/** Longest ranges asked for ahead of a stream. */
#define AHEAD_RANGES 4u

static uint32_t longest_range(const struct pages *pages, const struct region *region)
{
    uint32_t longest = pages->context->config.read_ahead_pages;
    uint32_t range_max = region_range_max(region);
    uint32_t unit = pages_group_size(pages, region);

    longest = longest < range_max ? longest : range_max;
    return longest > unit ? longest - longest % unit : unit;
}

/* Is there room for so many more pages? */
static bool fits_budget(const struct pages *pages, const struct region *region, uint64_t count)
{
    uint64_t budget = pages->context->config.budget_bytes;

    return budget == 0 || pages->resident_bytes + count * region->record.page_size <= budget;
}

static void plan_ahead(struct pages *pages, const struct region *region, map_id map,
                       struct stream *stream, uint32_t longest)
{
    struct ahead *ahead = &pages->ahead[pages->next_ahead++ % AHEAD_STREAMS];
    uint64_t end = region_pages(region);

    if (!fits_budget(pages, region, (uint64_t)longest * (AHEAD_RANGES + 1))) {
        return;
    }
    ahead->region = region->record.id;
    ahead->map = map;
    ahead->page = stream->next_page;
    stream->next_page += (uint64_t)longest * AHEAD_RANGES;
    ahead->end = stream->next_page < end ? stream->next_page : end;
}

uint32_t pages_stream(struct pages *pages, struct region *region, uint64_t page, map_id map,
                      bool write)
{
    uint32_t longest = longest_range(pages, region);
    uint32_t unit = pages_group_size(pages, region);
    struct stream *oldest = &region->streams[0];

    for (uint32_t i = 0; i < STREAMS; i++) {
        struct stream *stream = &region->streams[i];

        if (stream->pages > 0 && page > stream->page && page <= stream->next_page) {
            stream->pages = stream->pages * 4 < longest ? stream->pages * 4 : longest;
            stream->page = page;
            stream->next_page = page + stream->pages;
            stream->used_ms = pages->context->now_ms;
            if (stream->pages == longest && longest > unit && !write) {
                plan_ahead(pages, region, map, stream, longest);
            }
            return stream->pages;
        }
        if (stream->used_ms < oldest->used_ms) {
            oldest = stream;
        }
    }
    oldest->page = page;
    oldest->next_page = page + unit;
    oldest->pages = unit;
    oldest->used_ms = pages->context->now_ms;
    return unit;
}

static bool is_free(struct pages *pages, const struct region *region, uint64_t number)
{
    const struct page *page = page_get(pages, region, number);

    return page->state == PAGE_ABSENT && page->request == NULL;
}

uint32_t pages_free_run(struct pages *pages, const struct region *region, uint64_t page,
                        uint32_t count_max)
{
    uint32_t wanted = region_same_home(region, page, count_max);
    uint32_t count = 0;

    while (count < wanted && is_free(pages, region, page + count)) {
        count++;
    }
    return count;
}

static void ask_ahead(struct pages *pages, struct ahead *ahead)
{
    struct region *region = context_region(pages->context, ahead->region);
    struct page_request *request;
    uint64_t page = ahead->page;
    uint32_t count;

    if (region == NULL) {
        ahead->page = ahead->end;
        return;
    }
    while (page < ahead->end && !is_free(pages, region, page)) {
        page++;
    }
    ahead->page = page;
    if (page == ahead->end) {
        return;
    }
    if (region_home_is_lost(pages->context, region, region_home(region, page))) {
        ahead->page++;
        return;
    }
    count = longest_range(pages, region);
    if (count > ahead->end - page) {
        count = (uint32_t)(ahead->end - page);
    }
    count = pages_free_run(pages, region, page, count);
    request = request_open(pages, region, page, count, REQUEST_READ);
    if (request == NULL) {
        ahead->page = ahead->end; /* the window to the home is full: no time for guesses */
        return;
    }
    request->map = ahead->map;
    ahead->page += count;
}

bool pages_read_ahead(struct pages *pages)
{
    for (uint32_t i = 0; i < AHEAD_STREAMS; i++) {
        struct ahead *ahead = &pages->ahead[i];

        if (ahead->page < ahead->end) {
            ask_ahead(pages, ahead);
            return true;
        }
    }
    return false;
}
