/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory is a bounded cache: when more is here than the budget allows, copies that another node
 * answers for are dropped, and pages that this node owns go to their homes (LEAVE, TAKE, DATA,
 * CONFIRM, RELEASE). A page whose home is here stays: the home is its storage. The clock gives each
 * page one round, begins a round only some time after the last used page of the one before (else a
 * page is gone before the thread that asked for it has touched it, again and again), and
 * rests when two rounds have found nothing to let go, until something is granted again.
 */
#include "dsm/core/group.h"
#include "dsm/core/sealed.h"

/** Owned pages on their way to their homes at once, at most: each waits for an answer. */
#define LEAVING_MAX 256u
/** Pages that one item of work lets go, and buckets of the directory that it looks at. */
#define EVICT_PAGES 8u
#define EVICT_BUCKETS 8u
/** A page that was granted stays for so long at least, but on a node that retires, ... */
#define GRACE_MS 20u
/** ... and on one that is further above its budget: there only what was demanded last stays. */
#define GRACE_BYTES (128u << 10)

/* Clean copies that are neighbours are dropped by one pair of actions. */
struct drop_run {
    struct region *region;
    uint64_t page;
    uint32_t count;
};

static void flush_run(struct pages *pages, struct drop_run *run)
{
    if (run->count > 0) {
        pages_drop(pages, run->region, run->page, run->count);
        pages->context->counters.evictions += run->count;
        run->count = 0;
    }
}

static void drop_copy(struct pages *pages, struct drop_run *run, struct region *region,
                      uint64_t number, struct page *page)
{
    if (run->count > 0 && (run->region != region || run->page + run->count != number)) {
        flush_run(pages, run);
    }
    if (run->count == 0) {
        run->region = region;
        run->page = number;
    }
    run->count++;
    page_forget(pages, region, page);
}

static bool may_go(const struct pages *pages, const struct region *region, uint64_t number,
                   const struct page *page)
{
    return page->request == NULL && (page->state == PAGE_READ || page->state == PAGE_WRITE) &&
           !group_is_wanted(pages, region, number); /* P1 */
}

/* Let a page go that may; how many of the item's EVICT_PAGES that costs. */
static uint32_t let_go(struct pages *pages, struct drop_run *run, struct region *region,
                       uint64_t number, struct page *page)
{
    struct context *context = pages->context;
    uint32_t home = region_home(region, number);

    if (!page->owner) {
        if (!sealed_may_drop(pages, region, number, page)) {
            return 0;
        }
        drop_copy(pages, run, region, number, page);
        return 1;
    }
    if (home == context->config.self || region_home_is_lost(context, region, home) ||
        pages->count_leaving >= LEAVING_MAX) {
        return 0;
    }
    pages_protect(pages, region, number, 1); /* P3 */
    page->state = PAGE_READ;
    if (request_open(pages, region, number, 1, REQUEST_LEAVE) == NULL) {
        return 0;
    }
    return 1;
}

uint64_t pages_let_go(struct pages *pages, struct region *region, uint64_t page, uint64_t end)
{
    struct drop_run run = {.region = region};
    uint32_t gone = 0;

    for (uint32_t i = 0; page < end && gone < EVICT_PAGES && i < CHUNK_PAGES; i++, page++) {
        struct page *record = directory_find(&pages->directory, region->record.id.slot, page);

        if (record == NULL || !may_go(pages, region, page, record)) {
            continue;
        }
        if (record->owner && pages->count_leaving >= LEAVING_MAX) {
            break;
        }
        gone += let_go(pages, &run, region, page, record);
    }
    flush_run(pages, &run);
    return page;
}

/* Let a page go if it may by the clock; how many of the item's EVICT_PAGES that costs. */
static uint32_t evict_page(struct pages *pages, struct drop_run *run, struct region *region,
                           uint64_t number, struct page *page)
{
    if (!may_go(pages, region, number, page)) {
        return 0;
    }
    if (page->used && !pages->is_retiring) {
        page->used = 0;
        pages->clock_ms = pages->context->now_ms;
        return 0;
    }
    if (!pages->is_retiring && turn_is_young(pages, region, number, GRACE_MS)) {
        return 0;
    }
    return let_go(pages, run, region, number, page);
}

static struct region *region_of_slot(struct context *context, uint32_t slot)
{
    struct list *bucket = &context->regions[slot % REGION_BUCKETS];

    for (struct list *place = bucket->next; place != bucket; place = place->next) {
        struct region *region = list_object(place, struct region, place);

        if (region->record.id.slot == slot) {
            return region;
        }
    }
    return NULL;
}

/* What is resident once the pages that are leaving have left. */
static bool is_over_budget(const struct pages *pages)
{
    uint64_t budget = pages->context->config.budget_bytes;

    if (pages->is_retiring) {
        return pages->resident_bytes > 0;
    }
    return budget != 0 && pages->resident_bytes > budget + pages->leaving_bytes;
}

static uint32_t evict_from(struct pages *pages, struct chunk *chunk, uint32_t wanted)
{
    struct region *region = region_of_slot(pages->context, chunk->slot);
    struct drop_run run = {.region = region};
    uint32_t evicted = 0;

    for (uint32_t i = 0; region != NULL && i < CHUNK_PAGES; i++) {
        if (evicted >= wanted || !is_over_budget(pages)) {
            break;
        }
        evicted += evict_page(pages, &run, region, chunk->number * CHUNK_PAGES + i,
                              chunk_record(&pages->directory, chunk, i));
    }
    flush_run(pages, &run);
    return evicted;
}

void pages_retire(struct pages *pages)
{
    pages->is_retiring = true;
    pages->clock_idle = 0;
}

bool pages_is_retired(const struct pages *pages)
{
    return pages->is_retiring && pages->count_leaving == 0 &&
           (pages->resident_bytes == 0 || pages->clock_idle >= 2 * DIRECTORY_BUCKETS);
}

uint64_t pages_next_round_ms(const struct pages *pages)
{
    uint64_t bound = pages->context->config.budget_bytes + pages->leaving_bytes + GRACE_BYTES;
    bool rests = pages->clock_bucket == 0 && !pages->is_retiring && is_over_budget(pages) &&
                 pages->clock_idle < 2 * DIRECTORY_BUCKETS && pages->resident_bytes <= bound;

    return rests && pages->clock_ms != 0 ? pages->clock_ms + GRACE_MS : UINT64_MAX;
}

bool pages_evict(struct pages *pages)
{
    uint32_t evicted = 0;
    uint64_t next_ms = pages_next_round_ms(pages);

    if (!is_over_budget(pages) || pages->clock_idle >= 2 * DIRECTORY_BUCKETS ||
        (next_ms != UINT64_MAX && pages->context->now_ms < next_ms)) {
        return false;
    }
    pages->clock_ms = pages->clock_bucket == 0 ? 0 : pages->clock_ms;
    /* A bounded piece of the clock's way: the node goes on serving in between. */
    for (uint32_t i = 0; i < EVICT_BUCKETS && evicted < EVICT_PAGES && is_over_budget(pages); i++) {
        struct chunk *chunk = pages->directory.buckets[pages->clock_bucket];

        for (; chunk != NULL && evicted < EVICT_PAGES; chunk = chunk->next) {
            evicted += evict_from(pages, chunk, EVICT_PAGES - evicted);
        }
        if (chunk != NULL) {
            break;
        }
        pages->clock_bucket = (pages->clock_bucket + 1) % DIRECTORY_BUCKETS;
        pages->clock_idle++;
        if (pages->clock_bucket == 0) {
            break; /* the round is over */
        }
    }
    if (evicted > 0) {
        pages->clock_idle = 0;
    }
    return true;
}

static void drop_waiters(struct pages *pages, struct list *list, const struct region *region)
{
    for (struct list *place = list->next; place != list;) {
        struct waiter *waiter = list_object(place, struct waiter, place);

        place = place->next;
        if (waiter->region == region) {
            waiter_free(pages, waiter);
        }
    }
}

void pages_region_gone(struct pages *pages, struct region *region)
{
    uint32_t slot = region->record.id.slot;

    for (uint32_t i = 0; i < DIRECTORY_BUCKETS; i++) {
        for (struct chunk *chunk = pages->directory.buckets[i]; chunk; chunk = chunk->next) {
            for (uint32_t j = 0; chunk->slot == slot && j < CHUNK_PAGES; j++) {
                struct page *page = chunk_record(&pages->directory, chunk, j);

                if (page->request != NULL) {
                    request_close(pages, page->request);
                }
                page_forget(pages, region, page);
            }
        }
    }
    drop_waiters(pages, &pages->retry, region);
    drop_waiters(pages, &pages->blocked, region);
    for (struct list *place = pages->kept.next; place != &pages->kept;) {
        struct kept *kept = list_object(place, struct kept, place);

        place = place->next;
        if (region_id_equal(kept->region, region->record.id)) {
            list_remove(&kept->place);
            list_add_tail(&pages->doomed, &kept->place);
        }
    }
    sealed_region_gone(pages, region);
    directory_forget(&pages->directory, slot);
}
