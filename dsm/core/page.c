/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requester's side of a page.
 *
 *            fault: READ                DATA or GRANT(zero), whole range in: CONFIRM
 *   absent ----------------> want-read ------------------------------------------> read
 *      |  fault: WRITE                    DATA and, if announced, GRANT: CONFIRM      |
 *      +------------------> want-write ----------------------------------> write      | fault:
 *      ^                        ^  ^                                        |         | WRITE
 *      |   INVALIDATE (copy     |  +--------- read, upgrade under way <-----|---------+
 *      |   goes, request stays) |                                           |
 *      +--- INVALIDATE, or FORWARD for a writer (bytes are kept aside) <----+--> FORWARD for a
 *      |                                                                         reader: read
 *      +--- LOST: poisoned for good
 *
 * "want-" is no state of its own but an open request that the page points at, so that every
 * combination of a copy and a wish is legal and named: what the copy is (absent, read, write, lost)
 * and what was asked for.
 *
 * What may be trusted: in `read` every map has the page write-protected or not at all, and the
 * bytes are those of `version`; in `write` this node alone has bytes, and each map may or may not
 * have the right to write; in `absent` no map can reach bytes.
 *
 * P1 A page with an open request is not evicted and gets no second request.
 * P2 Pages become read or write here only by DATA or GRANT that the home started, in the order in
 *    which the home serialised them; the CONFIRM closes the transfer at the home, nothing else
 *    does.
 * P3 Before bytes leave, every map is write-protected; before a page is dropped likewise.
 * P4 A request asks for pages that are all absent, or that are all read (an upgrade).
 * P5 Bytes that came are never shown writable before the GRANT, if one was announced.
 * P8 The CONFIRM of a page that was taken away soon after its last grant goes at once: whoever took
 *    it may be waiting for it again. That of any other page may wait for company on the wire.
 */
#include "dsm/core/page.h"

#include <string.h>

#include "dsm/core/group.h"
#include "dsm/core/sealed.h"

struct page *page_get(struct pages *pages, const struct region *region, uint64_t number)
{
    return directory_get(&pages->directory, region->record.id.slot, number);
}

const struct page *page_at(const struct pages *pages, const struct region *region, uint64_t number)
{
    static const struct page none;
    const struct page *page = directory_find(&pages->directory, region->record.id.slot, number);

    return page != NULL ? page : &none;
}

void pages_init(struct pages *pages, struct context *context)
{
    pages->context = context;
    directory_init(&pages->directory, sizeof(struct page));
    pool_init(&pages->requests, sizeof(struct page_request), ITEMS_PER_STEP * 10, 64);
    pool_init(&pages->waiters, sizeof(struct waiter), ITEMS_PER_STEP * 2, 64);
    pool_init(&pages->kept_pool, sizeof(struct kept), ITEMS_PER_STEP * 2, 64);
    for (uint32_t i = 0; i < REQUEST_BUCKETS; i++) {
        list_init(&pages->by_id[i]);
    }
    list_init(&pages->kept);
    list_init(&pages->doomed);
    list_init(&pages->retry);
    list_init(&pages->blocked);
    list_init(&pages->assemblies);
    list_init(&pages->deferred);
    list_init(&pages->pulls);
    pool_init(&pages->seat_pool, sizeof(struct seat), ITEMS_PER_STEP * 2, 64);
    pool_init(&pages->deferred_pool, sizeof(struct deferred), ITEMS_PER_STEP * 2, 64);
    if (context->config.page_bytes <= DSM_PAGE_SIZE_MIN) {
        return; /* no region's pages come in groups */
    }
    pool_init(&pages->assembly_pool, sizeof(struct assembly), ITEMS_PER_STEP * 2, 64);
}

void page_forget(struct pages *pages, const struct region *region, struct page *page)
{
    if (page->state == PAGE_READ || page->state == PAGE_WRITE) {
        pages->resident_bytes -= region->record.page_size;
        pages->context->counters.pages_resident--;
    }
    page->state = PAGE_ABSENT;
    page->last = 0;
    page->owner = 0; /* the version stays: bytes of an older transfer are late (P7) */
}

void page_grant(struct pages *pages, const struct region *region, struct page *page, uint32_t state,
                uint64_t version)
{
    if (page->state != PAGE_READ && page->state != PAGE_WRITE) {
        pages->resident_bytes += region->record.page_size;
        pages->context->counters.pages_resident++;
    }
    page->state = state & 3u;
    page->version = version & ((UINT64_C(1) << 56) - 1);
    page->used = 1;
    if (state == PAGE_WRITE) {
        page->owner = 1;
    }
}

/* --- faults --- */

void page_poison(struct pages *pages, const struct region *region, uint64_t page, uint32_t count,
                 uint32_t node, int32_t error)
{
    struct page_span run = pages_around(pages, region, page, count);
    struct action *action = context_act_range(pages->context, ACTION_POISON, region->record.id,
                                              run.page, (uint32_t)run.count);

    action->node = node;
    action->error = error;
}

static void act_atomic(struct pages *pages, const struct waiter *waiter)
{
    struct context *context = pages->context;
    struct action *action;

    /* P3: the agent writes the bytes itself, so no program may be writing them meanwhile. */
    pages_protect(pages, waiter->region, waiter->page, 1);
    action = context_act_range(context, ACTION_ATOMIC, waiter->region->record.id, waiter->page, 1);
    action->message = waiter->atomic;
}

/* Answer an atomic operation that cannot be done. */
static void fail_atomic(struct pages *pages, const struct waiter *waiter, int32_t error)
{
    struct message reply = {
        .kind = MESSAGE_ATOMIC_DONE,
        .to = (uint16_t)pages->context->config.self,
        .requester = waiter->atomic.requester,
        .region = waiter->region->record.id,
        .request = waiter->atomic.request,
        .error = error,
    };

    context_send(pages->context, &reply, BYTES_NONE, 0, 0);
}

/* The waiter's map may write to its page, and to what of its walk is here for writing. */
static void allow(struct pages *pages, const struct waiter *waiter)
{
    struct page_span wanted = pages_walk(pages, waiter->region, waiter->page, waiter->map, true);
    struct page_span span = pages_alike(pages, waiter->region, waiter->page, wanted);

    walks_cut(&waiter->region->walks[true], wanted.page + wanted.count, span.page + span.count);
    context_act_range(pages->context, ACTION_ALLOW, waiter->region->record.id, span.page,
                      (uint32_t)span.count)
        ->map = waiter->map;
}

/* Serve a waiter from what is here; false: it has to wait. */
static bool settle(struct pages *pages, const struct waiter *waiter, const struct page *page)
{
    struct context *context = pages->context;
    region_id region = waiter->region->record.id;

    if (page->state == PAGE_LOST) {
        if (waiter->map == 0) {
            fail_atomic(pages, waiter, DSM_EDOWN);
        } else {
            page_poison(pages, waiter->region, waiter->page, 1,
                        region_home(waiter->region, waiter->page), DSM_EDOWN);
        }
        return true;
    }
    if (page->state == PAGE_WRITE && page->request == NULL) {
        if (waiter->map == 0) {
            act_atomic(pages, waiter);
        } else if (waiter->write) {
            allow(pages, waiter);
        } else {
            context_act_range(context, ACTION_WAKE, region, waiter->page, 1)->map = waiter->map;
        }
        return true;
    }
    if (page->state == PAGE_READ && !waiter->write) {
        context_act_range(context, ACTION_WAKE, region, waiter->page, 1)->map = waiter->map;
        return true;
    }
    return false;
}

/* A page that is wanted has a lost home: nobody knows any more where its bytes are. */
void page_lose(struct pages *pages, const struct region *region, uint64_t number, uint32_t node)
{
    struct page *page = page_get(pages, region, number);

    page_forget(pages, region, page);
    page->state = PAGE_LOST;
    pages->context->counters.pages_lost++;
    pages_drop(pages, region, number, 1);
    page_poison(pages, region, number, 1, node, DSM_EDOWN);
}

/* Ask for the waiter's page and for what its walk makes likely, as far as that is alike. */
static void ask(struct pages *pages, const struct waiter *waiter)
{
    struct region *region = waiter->region;
    struct page_span span = {.page = waiter->page, .count = 1};

    if (waiter->map != 0) {
        pages->context->counters.faults_remote++;
        struct page_span wanted =
            pages_walk(pages, region, waiter->page, waiter->map, waiter->write);

        span = pages_alike(pages, region, waiter->page, wanted);
        if (waiter->write) {
            walks_cut(&region->walks[true], wanted.page + wanted.count, span.page + span.count);
        } else {
            pages_ask_later(pages, region, waiter->map, span, wanted);
        }
    }
    request_open(pages, region, span.page, (uint32_t)span.count,
                 waiter->write ? REQUEST_WRITE : REQUEST_READ);
}

static bool waits_already(const struct page_request *request, const struct waiter *waiter)
{
    if (waiter->map == 0) {
        return false;
    }
    for (const struct list *place = request->waiters.next; place != &request->waiters;
         place = place->next) {
        const struct waiter *other =
            list_object((struct list *)(uintptr_t)place, struct waiter, place);

        if (other->map == waiter->map && other->page == waiter->page &&
            other->write >= waiter->write) {
            return true;
        }
    }
    return false;
}

void waiter_free(struct pages *pages, struct waiter *waiter)
{
    list_remove(&waiter->place);
    if (waiter->map == 0 && waiter->atomic.kind == MESSAGE_PULL) {
        sealed_forget(pages, waiter);
    }
    if (waiter->assembly != NULL) {
        group_leave(pages, waiter);
    }
    pool_put(&pages->waiters, waiter);
}

void waiter_hang(struct pages *pages, struct waiter *waiter, struct page_request *request)
{
    if (request == NULL) {
        list_add_tail(&pages->blocked, &waiter->place);
    } else if (waits_already(request, waiter)) {
        waiter_free(pages, waiter);
    } else {
        list_add_tail(&request->waiters, &waiter->place);
    }
}

/* Serve a waiter, or let it wait at an open or a new request; takes the waiter over. */
static void attend(struct pages *pages, struct waiter *waiter)
{
    struct region *region = waiter->region;
    struct page *page = page_get(pages, region, waiter->page);
    uint32_t home = region_home(region, waiter->page);

    if (waiter->map != 0 && context_map(pages->context, waiter->map) == NULL) {
        waiter_free(pages, waiter);
        return;
    }
    if (waiter->map == 0 && waiter->atomic.kind == MESSAGE_PULL) {
        sealed_attend(pages, waiter);
        return;
    }
    if (waiter->map == 0 && region->record.sealed) { /* I2 */
        fail_atomic(pages, waiter, DSM_ESEALED);
        waiter_free(pages, waiter);
        return;
    }
    if (waiter->map != 0 && pages_group_size(pages, region) > 1) {
        group_attend(pages, waiter);
        return;
    }
    if (page->request == NULL && page->state == PAGE_ABSENT && !region->record.sealed &&
        region_home_is_lost(pages->context, region, home)) {
        page_lose(pages, region, waiter->page, home);
    }
    if (settle(pages, waiter, page)) {
        waiter_free(pages, waiter);
        return;
    }
    if (page->request == NULL) {
        region_open(pages->context, region);
        ask(pages, waiter);
    } else if (waiter->map != 0 && !waiter->write && page->request->kind == REQUEST_READ) {
        pages_walk_on(pages, region, waiter->page, waiter->map);
    }
    waiter_hang(pages, waiter, page->request);
}

void pages_on_fault(struct pages *pages, map_id id, uint64_t number, bool write)
{
    struct map *map = context_map(pages->context, id);
    struct page_span group = {0, 0}, part;
    struct waiter *waiter;

    if (map != NULL) {
        group = pages_group(pages, map->region, number);
    }
    if (map == NULL || group.page >= map->page + map->count ||
        group.page + group.count <= map->page) {
        return; /* the mapping has just gone: its threads get their signal from the kernel */
    }
    pages->context->counters.faults++;
    waiter = pool_get(&pages->waiters);
    list_init(&waiter->place);
    waiter->region = map->region;
    waiter->page = number;
    waiter->map = id;
    write = write || pages_pattern(pages, map->region, number, &part) == DSM_ADVICE_MIGRATORY;
    waiter->write = write && map->may_write;
    attend(pages, waiter);
}

void pages_on_atomic(struct pages *pages, const struct message *message)
{
    struct region *region = context_region(pages->context, message->region);
    struct waiter *waiter = pool_get(&pages->waiters);

    core_assert(region != NULL, "N4: the home checks the region first");
    list_init(&waiter->place);
    waiter->region = region;
    waiter->page = message->offset / region->record.page_size;
    waiter->write = true;
    waiter->atomic = *message;
    attend(pages, waiter);
}

bool pages_retry(struct pages *pages)
{
    struct list *place = pages->retry.next;

    if (list_is_empty(&pages->retry)) {
        return false;
    }
    list_remove(place);
    attend(pages, list_object(place, struct waiter, place));
    return true;
}

void pages_unblock(struct pages *pages)
{
    while (!list_is_empty(&pages->blocked)) {
        struct list *place = pages->blocked.next;

        list_remove(place);
        list_add_tail(&pages->retry, place);
    }
}

void pages_view(const struct pages *pages, const struct region *region, uint64_t number,
                struct page_view *view)
{
    const struct page *page = directory_find(&pages->directory, region->record.id.slot, number);

    if (page != NULL) {
        view->state = page->state;
        view->request = page->request != NULL ? page->request->kind : 0;
        view->is_owner = page->owner;
        view->version = page->version;
    }
}
