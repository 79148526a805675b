/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory is a bounded cache: when more is here than the budget allows, copies that another node answers for are
 * dropped, and pages that this node owns go to their homes (LEAVE, TAKE, DATA, CONFIRM, RELEASE).
 * A page whose home is here stays: the home is its storage. The clock gives each page one round.
 */
#include "dsm/core/page.h"

static bool evict_page(struct pages *pages, struct region *region, uint64_t number,
                       struct page *page)
{
    struct context *context = pages->context;
    uint32_t home = region_home(region, number);
    struct page_request *request;

    if (page->request != NULL || (page->state != PAGE_READ && page->state != PAGE_WRITE)) {
        return false; /* P1 */
    }
    if (page->used) {
        page->used = 0;
        return false;
    }
    if (!page->owner) {
        context_act_range(context, ACTION_PROTECT, region->record.id, number, 1);
        context_act_range(context, ACTION_DROP, region->record.id, number, 1);
        page_forget(pages, region, page);
        context->counters.evictions++;
        return true;
    }
    if (home == context->config.self || region_home_is_lost(context, region, home)) {
        return false;
    }
    context_act_range(context, ACTION_PROTECT, region->record.id, number, 1); /* P3 */
    page->state = PAGE_READ;
    request = request_open(pages, region, number, 1, REQUEST_LEAVE);
    return request != NULL;
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

bool pages_evict(struct pages *pages)
{
    struct context *context = pages->context;
    uint32_t evicted = 0;

    if (context->config.budget_bytes == 0 ||
        pages->resident_bytes <= context->config.budget_bytes) {
        return false;
    }
    /* A bounded piece of the clock's way: the agent goes on serving in between. */
    for (uint32_t i = 0; i < 4 && evicted < 16; i++) {
        struct chunk *chunk = pages->directory.buckets[pages->clock_bucket];

        pages->clock_bucket = (pages->clock_bucket + 1) % DIRECTORY_BUCKETS;
        for (; chunk != NULL && evicted < 16; chunk = chunk->next) {
            struct region *region = region_of_slot(context, chunk->slot);

            for (uint32_t j = 0; region != NULL && j < CHUNK_PAGES && evicted < 16; j++) {
                evicted += evict_page(pages, region, chunk->number * CHUNK_PAGES + j,
                                      chunk_record(&pages->directory, chunk, j));
            }
        }
    }
    return evicted > 0;
}

static void drop_waiters(struct pages *pages, struct list *list, const struct region *region)
{
    for (struct list *place = list->next; place != list;) {
        struct waiter *waiter = list_object(place, struct waiter, place);

        place = place->next;
        if (waiter->region == region) {
            list_remove(&waiter->place);
            pool_put(&pages->waiters, waiter);
        }
    }
}

void pages_region_gone(struct pages *pages, struct region *region)
{
    uint32_t slot = region->record.id.slot;
    struct chunk *chunk = directory_next(&pages->directory, slot, 0);

    for (; chunk != NULL; chunk = directory_next(&pages->directory, slot, chunk->number + 1)) {
        for (uint32_t i = 0; i < CHUNK_PAGES; i++) {
            struct page *page = chunk_record(&pages->directory, chunk, i);

            if (page->request != NULL) {
                request_close(pages, page->request);
            }
            page_forget(pages, region, page);
        }
    }
    drop_waiters(pages, &pages->retry, region);
    drop_waiters(pages, &pages->blocked, region);
    for (struct list *place = pages->kept.next; place != &pages->kept;) {
        struct kept *kept = list_object(place, struct kept, place);

        place = place->next;
        if (region_id_equal(kept->region, region->record.id)) {
            list_remove(&kept->place);
            pool_put(&pages->kept_pool, kept);
        }
    }
    directory_forget(&pages->directory, slot);
}
