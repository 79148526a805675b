/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading ahead. Faults to read, and faults to write, are followed as walks (walk.h). A fault asks
 * for as many pages at once as its walk makes likely; ranges behind these are asked for as well, so
 * that they are on their way while a program works on the first, and more of them whenever a
 * program waits for one that has not come yet. Only what is absent and wanted by nobody is asked
 * for ahead (P4 in page.c), only to read, nothing that the budget would throw out again, no more
 * than some megabytes at a time; what a program says that it will need is asked for likewise.
 */
#include "dsm/core/group.h"

/** Bytes asked for ahead that have not come, at most: who is in want comes behind them. */
#define AHEAD_BYTES_MAX (UINT64_C(8) << 20)

static uint32_t longest_range(const struct pages *pages, const struct region *region)
{
    uint32_t longest = pages->context->config.read_ahead_pages;
    uint32_t range_max = region_range_max(region);
    uint32_t unit = pages_group_size(pages, region);

    longest = longest < range_max ? longest : range_max;
    return longest > unit ? longest - longest % unit : unit;
}

/* Pages of this region for which the budget has room. */
static uint64_t room_for(const struct pages *pages, const struct region *region)
{
    uint64_t budget = pages->context->config.budget_bytes;

    if (budget == 0) {
        return UINT64_MAX;
    }
    return pages->resident_bytes < budget
               ? (budget - pages->resident_bytes) / region->record.page_size
               : 0;
}

static struct walk_limits limits_of(const struct pages *pages, const struct region *region,
                                    uint64_t page, bool write)
{
    struct page_span part = {0, 0};
    uint32_t advice = pages_pattern(pages, region, page, &part);
    struct walk_limits limits = {
        .unit = pages_group_size(pages, region),
        .longest = longest_range(pages, region),
        .room = write ? 0 : room_for(pages, region),
        .end = region_pages(region),
        .is_exact = write,
    };
    uint64_t end = part.page + part.count + limits.unit - 1;

    if (advice == DSM_ADVICE_RANDOM) {
        limits.longest = limits.unit;
    } else if (advice == DSM_ADVICE_SEQUENTIAL && !write) {
        limits.is_certain = true;
        end -= end % limits.unit;
        limits.end = end < limits.end ? end : limits.end;
    }
    return limits;
}

static void plan_ahead(struct pages *pages, const struct region *region, map_id map,
                       const struct walk_plan *plan)
{
    struct ahead *ahead;

    if (plan->ahead_count == 0) {
        return;
    }
    ahead = &pages->ahead[pages->next_ahead++ % AHEAD_STREAMS];
    *ahead = (struct ahead){
        .region = region->record.id,
        .map = map,
        .run = plan->ahead_run,
        .count = plan->ahead_count,
        .page = plan->ahead_page,
        .stride = plan->ahead_stride,
    };
}

struct page_span pages_walk(struct pages *pages, struct region *region, uint64_t page, map_id map,
                            bool write)
{
    struct walk_limits limits = limits_of(pages, region, page, write);
    struct walk_plan plan = walks_on_miss(&region->walks[write], page, &limits);

    plan_ahead(pages, region, map, &plan);
    return (struct page_span){.page = plan.page, .count = plan.count};
}

void pages_walk_on(struct pages *pages, struct region *region, uint64_t page, map_id map)
{
    struct walk_limits limits = limits_of(pages, region, page, false);
    struct walk_plan plan = walks_on_wait(&region->walks[false], page, &limits);

    plan_ahead(pages, region, map, &plan);
}

void pages_ask_later(struct pages *pages, const struct region *region, map_id map,
                     struct page_span asked, struct page_span wanted)
{
    uint64_t begin = asked.page + asked.count, end = wanted.page + wanted.count;
    struct walk_plan plan = {
        .ahead_page = begin,
        .ahead_run = (uint32_t)(end - begin),
        .ahead_count = begin < end,
    };

    plan_ahead(pages, region, map, &plan);
}

static bool is_alike(const struct page *first, const struct page *page)
{
    return page->request == NULL && page->state == first->state &&
           (page->state != PAGE_READ || page->version == first->version);
}

struct page_span pages_alike(const struct pages *pages, const struct region *region, uint64_t page,
                             struct page_span span)
{
    const struct page *first = page_at(pages, region, page);
    uint32_t home = region_home(region, page), most = region_range_max(region), wanted, count;
    uint64_t begin = page, left;

    while (begin > span.page && page - begin + 1 < most && region_home(region, begin - 1) == home &&
           is_alike(first, page_at(pages, region, begin - 1))) {
        begin--;
    }
    count = (uint32_t)(page - begin) + 1;
    left = span.page + span.count - begin;
    wanted = region_same_home(region, begin, left < most ? (uint32_t)left : most);
    while (count < wanted && is_alike(first, page_at(pages, region, begin + count))) {
        count++;
    }
    return (struct page_span){.page = begin, .count = count};
}

static bool is_free(const struct pages *pages, const struct region *region, uint64_t number)
{
    const struct page *page = page_at(pages, region, number);

    return page->state == PAGE_ABSENT && page->request == NULL;
}

/* The next pages of the first run that can be asked for; false: there are none, the run is over. */
static bool take_span(struct pages *pages, const struct region *region, struct ahead *ahead,
                      struct page_span *span)
{
    uint64_t end = region_pages(region);
    uint64_t page;

    for (; ahead->done < ahead->run; ahead->done++) {
        page = ahead->page + ahead->done;
        if (page < end && is_free(pages, region, page) &&
            (region->record.sealed ||
             !region_home_is_lost(pages->context, region, region_home(region, page)))) {
            *span = pages_alike(pages, region, page,
                                (struct page_span){page, ahead->run - ahead->done});
            ahead->done += (uint32_t)span->count;
            return true;
        }
    }
    ahead->page += (uint64_t)ahead->stride;
    ahead->done = 0;
    ahead->count--;
    return false;
}

static void ask_ahead(struct pages *pages, struct ahead *ahead)
{
    struct region *region = context_region(pages->context, ahead->region);
    struct page_span span;

    if (region == NULL) {
        ahead->count = 0;
        return;
    }
    if (!take_span(pages, region, ahead, &span)) {
        return;
    }
    if (!request_open_ahead(pages, region, span, ahead->map)) {
        ahead->count = 0; /* the window to the home is full: no time for guesses */
    }
}

bool pages_read_ahead(struct pages *pages)
{
    for (uint32_t i = 0; i < AHEAD_STREAMS && pages->ahead_bytes < AHEAD_BYTES_MAX; i++) {
        struct ahead *ahead = &pages->ahead[i];

        if (ahead->count > 0) {
            ask_ahead(pages, ahead);
            return true;
        }
    }
    return false;
}

void pages_need(struct pages *pages, const struct region *region, struct page_span span)
{
    uint64_t room = room_for(pages, region), count = span.count < room ? span.count : room;
    struct walk_plan plan = {.ahead_page = span.page, .ahead_count = 1};

    plan.ahead_run = (uint32_t)(count < UINT32_MAX ? count : UINT32_MAX);
    plan_ahead(pages, region, 0, &plan);
}
