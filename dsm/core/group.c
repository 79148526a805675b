/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups: on a node whose hardware page is larger than a region's, programs see the region's pages
 * a group at a time. Homes, owners and requests know pages only; what is told in page.c is true of
 * each of them. Besides, on such a node,
 *
 *           every page is here; a thread wants it, or it was read ahead: GATHER
 *   aside  ---------------------------------------------------------------------> shown
 *     ^                                                                             |
 *     +--- SCATTER: before any of the pages is dropped, given away, filled anew ----+
 *
 * A fault waits until all pages of its group are read, or all are written. It asks for whatever
 * lacks at once, and waits at the first page that does.
 *
 * What may be trusted: of a group that lies aside no program reaches any byte; one that is shown
 * has all its pages here, and each map has the right to write to all of them, or to none.
 *
 * G1 A group is shown only while each of its pages is read or write; a map may write to it only
 *    while each is write.
 * G2 Before a page is dropped, given away or filled anew, its group is scattered. What else takes
 *    rights away (a page is sent to a reader, leaves, or is changed by an atomic operation)
 *    protects the whole group.
 * G3 A thread waits for its group at a request for the first page that it lacks, or for room in
 *    the window, or is about to be looked at: it is never forgotten while the group lacks anything.
 * G4 One page that is lost makes its whole group unusable: all of it is poisoned.
 * G5 What another node wants of a group that threads wait for is put off only when all of it lies
 *    below the first page that the group lacks, and for a time at most (page_defer.c). So who waits
 *    for a page waits for one that waits for a higher one, and nobody for himself.
 */
#include "dsm/core/group.h"

/** Requests that one item of work opens for a group at most. */
#define GROUP_ASKS 4u

/* --- arithmetic --- */

uint32_t group_size(uint32_t hardware_bytes, uint32_t page_size)
{
    return hardware_bytes > page_size ? hardware_bytes / page_size : 1;
}

struct page_span group_around(uint32_t size, struct page_span run, uint64_t count_pages)
{
    uint64_t first = run.page - run.page % size;
    uint64_t end = run.page + run.count;

    end += (size - end % size) % size;
    end = end < count_pages ? end : count_pages;
    return (struct page_span){.page = first, .count = end > first ? end - first : 0};
}

struct page_span group_of(uint32_t size, uint64_t page, uint64_t count_pages)
{
    return group_around(size, (struct page_span){.page = page, .count = 1}, count_pages);
}

uint32_t pages_group_size(const struct pages *pages, const struct region *region)
{
    return group_size(pages->context->config.page_bytes, region->record.page_size);
}

struct page_span pages_around(const struct pages *pages, const struct region *region, uint64_t page,
                              uint64_t count)
{
    return group_around(pages_group_size(pages, region),
                        (struct page_span){.page = page, .count = count}, region_pages(region));
}

struct page_span pages_group(const struct pages *pages, const struct region *region, uint64_t page)
{
    return pages_around(pages, region, page, 1);
}

/* --- shown or aside --- */

/* The first page from `page` on, before `end`, that a thread lacks; `end` for none. */
static uint64_t first_lacking(const struct pages *pages, const struct region *region, uint64_t page,
                              uint64_t end, bool write)
{
    while (page < end) {
        uint32_t state = page_at(pages, region, page)->state;

        if (state != PAGE_WRITE && (write || state != PAGE_READ)) {
            break;
        }
        page++;
    }
    return page;
}

static void gather(struct pages *pages, const struct region *region, struct page_span group,
                   map_id map, bool write)
{
    struct action *action;

    core_assert(first_lacking(pages, region, group.page, group.page + group.count, write) ==
                    group.page + group.count,
                "G1");
    action = context_act_range(pages->context, ACTION_GATHER, region->record.id, group.page,
                               (uint32_t)group.count);
    action->map = map;
    action->write = write;
    page_get(pages, region, group.page)->shown = 1;
}

static void scatter(struct pages *pages, const struct region *region, struct page_span group)
{
    if (page_at(pages, region, group.page)->shown) {
        context_act_range(pages->context, ACTION_SCATTER, region->record.id, group.page,
                          (uint32_t)group.count);
        page_get(pages, region, group.page)->shown = 0;
    }
}

static struct assembly *find_assembly(const struct pages *pages, const struct region *region,
                                      uint64_t first)
{
    for (struct list *place = pages->assemblies.next; place != &pages->assemblies;
         place = place->next) {
        struct assembly *assembly = list_object(place, struct assembly, place);

        if (assembly->region == region && assembly->page == first) {
            return assembly;
        }
    }
    return NULL;
}

bool group_is_wanted(const struct pages *pages, const struct region *region, uint64_t page)
{
    return !list_is_empty(&pages->assemblies) &&
           find_assembly(pages, region, pages_group(pages, region, page).page) != NULL;
}

void groups_gather(struct pages *pages, const struct region *region, uint64_t page, uint32_t count,
                   map_id map)
{
    uint64_t end = page + count;

    while (page < end) {
        struct page_span group = pages_group(pages, region, page);
        uint64_t group_end = group.page + group.count;

        if (!page_at(pages, region, group.page)->shown && !group_is_wanted(pages, region, page) &&
            first_lacking(pages, region, group.page, group_end, false) == group_end) {
            gather(pages, region, group, map, false);
        }
        page = group_end;
    }
}

void groups_region_grows(struct pages *pages, const struct region *region)
{
    uint64_t count = region_pages(region);

    if (count > 0 && count % pages_group_size(pages, region) != 0) {
        scatter(pages, region, pages_group(pages, region, count - 1));
    }
}

/* --- for the other files of the page part --- */

void pages_protect(struct pages *pages, const struct region *region, uint64_t page, uint32_t count)
{
    struct page_span run = pages_around(pages, region, page, count);
    uint32_t size = pages_group_size(pages, region);
    bool reach = size == 1;

    for (uint64_t at = run.page; !reach && at < run.page + run.count; at += size) {
        reach = page_at(pages, region, at)->shown;
    }
    if (reach) {
        context_act_range(pages->context, ACTION_PROTECT, region->record.id, run.page,
                          (uint32_t)run.count);
    }
}

void pages_withdraw(struct pages *pages, const struct region *region, uint64_t page, uint32_t count)
{
    uint32_t size = pages_group_size(pages, region);

    if (size == 1) {
        pages_protect(pages, region, page, count);
        return;
    }
    for (uint64_t at = page - page % size; at < page + count; at += size) {
        scatter(pages, region, pages_group(pages, region, at));
    }
}

void pages_drop(struct pages *pages, const struct region *region, uint64_t page, uint32_t count)
{
    pages_withdraw(pages, region, page, count);
    context_act_range(pages->context, ACTION_DROP, region->record.id, page, count);
}

/* --- threads that wait --- */

bool assembly_writes(const struct assembly *assembly)
{
    for (const struct list *place = assembly->waiters.next; place != &assembly->waiters;
         place = place->next) {
        if (list_object((struct list *)(uintptr_t)place, struct waiter, by_assembly)->write) {
            return true;
        }
    }
    return false;
}

uint64_t assembly_lacks(const struct pages *pages, const struct assembly *assembly)
{
    struct page_span group = pages_group(pages, assembly->region, assembly->page);

    return first_lacking(pages, assembly->region, group.page, group.page + group.count,
                         assembly_writes(assembly));
}

/* The threads that wait for the group, this one among them; `is_new`: it is the first. */
static struct assembly *join(struct pages *pages, struct waiter *waiter, bool *is_new)
{
    struct assembly *assembly = waiter->assembly;

    *is_new = false;
    if (assembly != NULL) {
        return assembly;
    }
    assembly = find_assembly(pages, waiter->region, waiter->page);
    if (assembly == NULL) {
        *is_new = true;
        assembly = pool_get(&pages->assembly_pool);
        list_init(&assembly->waiters);
        assembly->region = waiter->region;
        assembly->page = waiter->page;
        list_add_tail(&pages->assemblies, &assembly->place);
    }
    waiter->assembly = assembly;
    list_add_tail(&assembly->waiters, &waiter->by_assembly);
    return assembly;
}

void group_leave(struct pages *pages, struct waiter *waiter)
{
    struct assembly *assembly = waiter->assembly;

    list_remove(&waiter->by_assembly);
    waiter->assembly = NULL;
    if (list_is_empty(&assembly->waiters)) {
        list_remove(&assembly->place);
        pool_put(&pages->assembly_pool, assembly);
    }
}

/* Somebody who waits for the group through this mapping; NULL: nobody does. */
static struct waiter *find_waiter(const struct assembly *assembly, map_id map)
{
    for (const struct list *place = assembly->waiters.next; place != &assembly->waiters;
         place = place->next) {
        struct waiter *waiter =
            list_object((struct list *)(uintptr_t)place, struct waiter, by_assembly);

        if (waiter->map == map) {
            return waiter;
        }
    }
    return NULL;
}

void groups_map_gone(struct pages *pages, map_id map)
{
    for (struct list *place = pages->assemblies.next; place != &pages->assemblies;) {
        struct waiter *waiter = find_waiter(list_object(place, struct assembly, place), map);

        if (waiter == NULL) {
            place = place->next;
            continue;
        }
        if (waiter->by_assembly.next == waiter->by_assembly.prev) {
            place = place->next; /* the assembly goes with the last of them */
        }
        waiter_free(pages, waiter);
    }
}

/* --- asking --- */

/* Ask for what lacks and was not asked for; false: there is more to ask for, and room for it. */
static bool ask(struct pages *pages, const struct waiter *waiter, struct page_span group,
                uint64_t ahead_end)
{
    struct region *region = waiter->region;
    uint64_t page = group.page, end = group.page + group.count;
    uint32_t asked = 0;

    while ((page = first_lacking(pages, region, page, end, waiter->write)) < end) {
        const struct page *first = page_at(pages, region, page);
        uint32_t count = 1;

        if (first->request == NULL) {
            if (asked++ == GROUP_ASKS) {
                return false;
            }
            struct page_span span = {.page = page, .count = end - page};

            if (first->state == PAGE_ABSENT && ahead_end > end) {
                span.count = ahead_end - page;
            }
            count = (uint32_t)pages_alike(pages, region, page, span).count;
            if (request_open(pages, region, page, count,
                             waiter->write ? REQUEST_WRITE : REQUEST_READ) == NULL) {
                return true;
            }
        }
        page += count;
    }
    return true;
}

/* How far absent pages are asked for, by the stream that the fault belongs to. */
static uint64_t plan_end(struct pages *pages, const struct waiter *waiter, struct page_span group)
{
    uint64_t end = group.page + group.count;
    struct page_span span;

    pages->context->counters.faults_remote++;
    if (first_lacking(pages, waiter->region, group.page, end, false) == end) {
        return end; /* an upgrade */
    }
    span = pages_walk(pages, waiter->region, group.page, waiter->map, waiter->write);
    return span.page + span.count;
}

/* The homes of absent pages may have died, and what they knew of them is gone. */
static void lose_pages(struct pages *pages, struct region *region, struct page_span group)
{
    for (uint64_t page = group.page; page < group.page + group.count; page++) {
        uint32_t home = region_home(region, page);
        const struct page *record = page_at(pages, region, page);

        if (record->state == PAGE_ABSENT && record->request == NULL && !region->record.sealed &&
            region_home_is_lost(pages->context, region, home)) {
            page_lose(pages, region, page, home);
            return; /* one is enough (G4) */
        }
    }
}

static bool settle(struct pages *pages, const struct waiter *waiter, struct page_span group)
{
    struct region *region = waiter->region;
    uint64_t end = group.page + group.count;

    for (uint64_t page = group.page; page < end; page++) {
        if (page_at(pages, region, page)->state == PAGE_LOST) {
            page_poison(pages, region, page, 1, region_home(region, page), DSM_EDOWN); /* G4 */
            return true;
        }
    }
    if (first_lacking(pages, region, group.page, end, waiter->write) < end) {
        return false;
    }
    if (page_at(pages, region, group.page)->shown) {
        context_act_range(pages->context, waiter->write ? ACTION_ALLOW : ACTION_WAKE,
                          region->record.id, group.page, (uint32_t)group.count)
            ->map = waiter->map;
    } else {
        gather(pages, region, group, waiter->map, waiter->write);
    }
    return true;
}

void group_attend(struct pages *pages, struct waiter *waiter)
{
    struct region *region = waiter->region;
    struct page_span group = pages_group(pages, region, waiter->page);
    struct assembly *assembly;
    uint64_t lacking;
    bool is_new;

    waiter->page = group.page;
    lose_pages(pages, region, group);
    if (settle(pages, waiter, group)) {
        waiter_free(pages, waiter);
        return;
    }
    assembly = join(pages, waiter, &is_new);
    if (is_new) {
        assembly->end = plan_end(pages, waiter, group);
    }
    region_open(pages->context, region);
    if (!ask(pages, waiter, group, assembly->end)) {
        list_add_tail(&pages->retry, &waiter->place);
        return;
    }
    lacking = first_lacking(pages, region, group.page, group.page + group.count, waiter->write);
    waiter_hang(pages, waiter, page_at(pages, region, lacking)->request); /* G3 */
}
