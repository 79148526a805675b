/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the home does when time passes, a member dies or a region goes. The states and the rules H1
 * to H5 are told in home.c.
 *
 * A page whose owner died is an orphan: the first transfer that comes makes a reader its owner
 * (ADOPT). Without readers it is lost.
 *
 * When the requester of a write transfer dies, the page is lost if it may have been written: never
 * an old copy. It was not if an acknowledgement was missing, because then no GRANT was sent (P5);
 * nor if the source still has its copy, because then no bytes were sent. ADOPT finds that out, the
 * source's new epoch being younger than any FORWARD that is still under way.
 */
#include "dsm/core/home.h"

uint64_t homes_deadline(const struct homes *homes)
{
    if (!list_is_empty(&homes->ready)) {
        return 0;
    }
    if (list_is_empty(&homes->open)) {
        return UINT64_MAX;
    }
    return list_object(homes->open.next, struct transfer, place)->sent_ms +
           homes->context->config.resend_ms;
}

bool homes_resend(struct homes *homes)
{
    struct transfer *transfer;

    if (list_is_empty(&homes->open)) {
        return false;
    }
    transfer = list_object(homes->open.next, struct transfer, place);
    if (homes->context->now_ms < transfer->sent_ms + homes->context->config.resend_ms) {
        return false;
    }
    homes->context->counters.resends++;
    transfer_drive(homes, transfer);
    return true;
}

void homes_hurry(struct homes *homes)
{
    for (struct list *place = homes->open.next; place != &homes->open; place = place->next) {
        list_object(place, struct transfer, place)->sent_ms = 0;
    }
}

static void orphan_page(struct home_page *page, uint32_t node)
{
    nodeset_remove(&page->readers, node);
    if (page->owner == node + 1u) {
        page->orphan = 1;
    }
    if (page->orphan && nodeset_is_empty(page->readers)) {
        page->lost = 1;
    }
}

static void orphan_pages(struct homes *homes, uint32_t node)
{
    for (uint32_t i = 0; i < DIRECTORY_BUCKETS; i++) {
        for (struct chunk *chunk = homes->directory.buckets[i]; chunk; chunk = chunk->next) {
            for (uint32_t j = 0; j < CHUNK_PAGES; j++) {
                orphan_page(chunk_record(&homes->directory, chunk, j), node);
            }
        }
    }
}

/* The requester died: nothing is sent any more, but a writer may have written. */
static void abandon(struct homes *homes, struct transfer *transfer)
{
    bool was_granted = nodeset_is_empty(transfer->acks);

    for (uint32_t i = 0; transfer->kind == TRANSFER_WRITE && i < transfer->count; i++) {
        struct home_page *page = transfer_page(homes, transfer, i);

        if (was_granted) {
            page->readers = transfer->mode == MODE_DATA
                                ? nodeset_intersect(page->readers, nodeset_of(transfer->source))
                                : NODESET_EMPTY;
            page->owner = transfer->requester + 1u;
        }
        /* Readers that have acknowledged have no copy any more, the owner among them, perhaps. */
        page->orphan = page->owner != 0;
        page->lost = page->orphan && nodeset_is_empty(page->readers);
    }
    if (transfer->kind == TRANSFER_ADOPT) {
        struct home_page *page = transfer_page(homes, transfer, 0);

        page->lost = nodeset_is_empty(page->readers);
    }
    transfer_close(homes, transfer);
}

static void drop_waiters_of(struct homes *homes, struct home_page *page, uint32_t node)
{
    struct transfer **place = &page->waiters;

    while (*place != NULL) {
        struct transfer *waiter = *place;

        if (waiter->requester == node) {
            *place = waiter->next;
            transfer_free(homes, waiter);
        } else {
            place = &waiter->next;
        }
    }
    if (page->open == NULL && page->waiters != NULL && list_is_empty(&page->waiters->place)) {
        list_add_tail(&homes->ready, &page->waiters->place);
    }
}

void homes_member_died(struct homes *homes, uint32_t node)
{
    for (uint32_t i = 0; i < DIRECTORY_BUCKETS; i++) {
        for (struct chunk *chunk = homes->directory.buckets[i]; chunk; chunk = chunk->next) {
            for (uint32_t j = 0; j < CHUNK_PAGES; j++) {
                drop_waiters_of(homes, chunk_record(&homes->directory, chunk, j), node);
            }
        }
    }
    orphan_pages(homes, node);
    for (struct list *place = homes->open.next; place != &homes->open;) {
        struct transfer *transfer = list_object(place, struct transfer, place);

        place = place->next;
        if (transfer->requester == node) {
            abandon(homes, transfer);
            continue;
        }
        nodeset_remove(&transfer->acks, node);
        if (transfer->mode == MODE_DATA && transfer->source == node &&
            (transfer->kind == TRANSFER_READ || transfer->kind == TRANSFER_WRITE)) {
            transfer->asking = true; /* its bytes may have come all the same */
        }
    }
    homes_hurry(homes);
}

static void end_page(struct homes *homes, struct home_page *page)
{
    while (page->waiters != NULL) {
        struct transfer *waiter = page->waiters;

        page->waiters = waiter->next;
        transfer_free(homes, waiter);
    }
    if (page->open != NULL) {
        transfer_close(homes, page->open);
    }
}

void homes_region_gone(struct homes *homes, struct region *region)
{
    uint32_t slot = region->record.id.slot;

    for (uint32_t i = 0; i < DIRECTORY_BUCKETS; i++) {
        for (struct chunk *chunk = homes->directory.buckets[i]; chunk; chunk = chunk->next) {
            for (uint32_t j = 0; chunk->slot == slot && j < CHUNK_PAGES; j++) {
                end_page(homes, chunk_record(&homes->directory, chunk, j));
            }
        }
    }
    directory_forget(&homes->directory, slot);
}

static struct page_run run_of(const struct home_page *page, uint64_t number)
{
    struct page_run run = {
        .page = number,
        .count = 1,
        .owner = page->owner != 0 ? (uint32_t)page->owner - 1 : NODE_NONE,
        .readers = page->readers,
        .lost = page->lost,
        .busy = page->open != NULL,
    };

    return run;
}

static bool continues(const struct page_run *run, const struct page_run *next)
{
    return run->page + run->count == next->page && run->owner == next->owner &&
           nodeset_equal(run->readers, next->readers) && run->lost == next->lost &&
           run->busy == next->busy;
}

uint32_t homes_page_runs(const struct homes *homes, const struct region *region, uint64_t page,
                         struct page_run *runs, uint32_t count_runs)
{
    uint32_t count = 0;
    uint32_t slot = region->record.id.slot;
    struct chunk *chunk = directory_next(&homes->directory, slot, page / CHUNK_PAGES);

    for (; chunk != NULL; chunk = directory_next(&homes->directory, slot, chunk->number + 1)) {
        for (uint32_t i = 0; i < CHUNK_PAGES; i++) {
            const struct home_page *record = chunk_record(&homes->directory, chunk, i);
            uint64_t number = chunk->number * CHUNK_PAGES + i;
            struct page_run run = run_of(record, number);

            if (number < page ||
                (record->owner == 0 && nodeset_is_empty(run.readers) && !run.busy)) {
                continue;
            }
            if (count > 0 && continues(&runs[count - 1], &run)) {
                runs[count - 1].count++;
                continue;
            }
            if (count == count_runs) {
                return count;
            }
            runs[count++] = run;
        }
    }
    return count;
}

void homes_view(const struct homes *homes, const struct region *region, uint64_t number,
                struct page_view *view)
{
    const struct home_page *page =
        directory_find(&homes->directory, region->record.id.slot, number);

    if (page == NULL) {
        return;
    }
    view->home.owner = home_page_owner(page);
    view->home.readers = page->readers;
    view->home.written = page->written;
    view->home.orphan = page->orphan;
    view->home.lost = page->lost;
    for (const struct transfer *waiter = page->waiters; waiter != NULL; waiter = waiter->next) {
        view->home.count_waiters++;
    }
    if (page->open != NULL) {
        view->home.transfer = page->open->kind;
        view->home.requester = page->open->requester;
        view->home.version = page->open->version;
    }
}
