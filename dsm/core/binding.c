/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages that come with a mutex (entry consistency's binding of data to a lock: Bershad, Zekauskas &
 * Sawdon 1993; here it is advice, and every load and store stays coherent without it).
 *
 * Who asks for a mutex asks for its pages behind the LOCK, in the same flight. At their home these
 * requests wait like the LOCK does, and in the same order; at the owner they wait until the mutex
 * is given up. So the pages leave for the next holder when the UNLOCK leaves for the home,
 * straight, and are there no later than the grant, mostly.
 *
 * B1 A binding changes when pages move, and nothing else: it asks by WRITE, and what it puts off is
 *    to the protocol a message that the network has delayed (page_defer.c).
 * B2 A FORWARD is put off while a program here holds the mutex, or waits for it here, and no longer
 *    than the region's bound (T1 in page_turn.c) from its coming on. Not so while the node waits
 *    for the mutex: where several programs of a node want it, or pages have several homes, pages
 *    may come in another order than the mutex does, and the holder would wait for who waits for it.
 *    The grant is here before the next one's FORWARD, mostly: it comes by way of the home, which
 *    hears of the UNLOCK a message before it hears that the pages have come.
 * B3 Of an UNLOCK and the pages that were put off for it, the pages leave first.
 * B4 A LOCK that only tries asks for nothing before it is granted; a mutex that is here has its
 *    pages here, or their absence is found out as that of any page.
 * B5 A page is asked for once for each LOCK before it is granted, and once more when it is: also
 *    one that was here when the LOCK was sent, and leaves before the grant. (More often would be to
 *    fight with a holder who needs longer than the bound.)
 */
#include "dsm/core/binding.h"

#include "dsm/core/group.h"
#include "dsm/core/token.h"

void bindings_init(struct bindings *bindings, struct pages *pages, struct calls *calls)
{
    bindings->pages = pages;
    bindings->calls = calls;
    pages->bindings = bindings;
    calls->bindings = bindings;
    pool_init(&bindings->pool, sizeof(struct binding), ITEMS_PER_STEP * 2, 64);
    for (uint32_t i = 0; i < BINDING_BUCKETS; i++) {
        list_init(&bindings->by_key[i]);
    }
    list_init(&bindings->asking);
}

static struct list *bucket_of(struct bindings *bindings, const struct region *region,
                              uint64_t offset)
{
    uint64_t key = offset * UINT64_C(0x9e3779b97f4a7c15) >> 40;

    return &bindings->by_key[(key + region->record.id.slot) % BINDING_BUCKETS];
}

static struct binding *find_binding(struct bindings *bindings, const struct client *client,
                                    const struct region *region, uint64_t offset)
{
    struct list *bucket = bucket_of(bindings, region, offset);

    for (struct list *place = bucket->next; place != bucket; place = place->next) {
        struct binding *binding = list_object(place, struct binding, by_key);

        if (binding->client == client && binding->region == region && binding->offset == offset) {
            return binding;
        }
    }
    return NULL;
}

static bool touches(const struct binding *binding, const struct message *message)
{
    return binding->page < message->page + message->count && binding->end > message->page;
}

/* --- what programs say --- */

static void free_binding(struct bindings *bindings, struct binding *binding)
{
    binding->region->count_bindings--;
    list_remove(&binding->by_key);
    list_remove(&binding->by_region);
    list_remove(&binding->by_handle);
    list_remove(&binding->asking);
    pool_put(&bindings->pool, binding);
}

bool bindings_leave(const struct record *record, const struct call *call)
{
    return call->value >= record->size_bytes || call->offset > record->size_bytes ||
           call->size_bytes > record->size_bytes - call->offset;
}

static int32_t check(const struct handle *handle, const struct call *call)
{
    const struct record *record = &handle->region->record;

    if (record->kind != RECORD_REGION || call->size_bytes > DSM_BIND_BYTES_MAX) {
        return DSM_EINVAL;
    }
    if (bindings_leave(record, call)) {
        return DSM_ERANGE;
    }
    if ((handle->rights & RIGHTS_WRITE) == 0) {
        return DSM_EACCES;
    }
    return record->sealed ? DSM_ESEALED : 0;
}

static struct binding *new_binding(struct bindings *bindings, struct handle *handle,
                                   uint64_t offset)
{
    struct binding *binding = pool_get(&bindings->pool);

    list_init(&binding->by_handle);
    list_init(&binding->asking);
    binding->region = handle->region;
    binding->client = handle->client;
    binding->offset = offset;
    list_add_tail(bucket_of(bindings, handle->region, offset), &binding->by_key);
    list_add_tail(&handle->region->bindings, &binding->by_region);
    handle->region->count_bindings++;
    return binding;
}

void bindings_on_call(struct bindings *bindings, const struct client *client, uint64_t number,
                      struct handle *handle, const struct call *call)
{
    struct binding *binding = find_binding(bindings, client, handle->region, call->value);
    struct reply reply = {.node = NODE_NONE, .error = check(handle, call)};
    uint64_t page_size = handle->region->record.page_size;

    if (reply.error == 0 && call->size_bytes == 0) {
        if (binding != NULL) {
            free_binding(bindings, binding);
        }
    } else if (reply.error == 0 && binding == NULL &&
               handle->region->count_bindings >= BINDINGS_MAX) {
        reply.error = DSM_ENOMEM;
    } else if (reply.error == 0) {
        struct page_span span;

        if (binding == NULL) {
            binding = new_binding(bindings, handle, call->value);
        }
        span =
            pages_around(bindings->pages, handle->region, call->offset / page_size,
                         (call->offset % page_size + call->size_bytes + page_size - 1) / page_size);
        list_remove(&binding->by_handle);
        list_add_tail(&handle->bindings, &binding->by_handle);
        list_remove(&binding->asking);
        binding->page = span.page;
        binding->end = span.page + span.count;
    }
    client_reply(bindings->pages->context, client->id, number, &reply);
}

void bindings_handle_gone(struct bindings *bindings, struct handle *handle)
{
    while (!list_is_empty(&handle->bindings)) {
        free_binding(bindings, list_object(handle->bindings.next, struct binding, by_handle));
    }
}

void bindings_region_gone(struct bindings *bindings, struct region *region)
{
    while (!list_is_empty(&region->bindings)) {
        free_binding(bindings, list_object(region->bindings.next, struct binding, by_region));
    }
}

/* --- asking for pages --- */

static void ask_from(struct bindings *bindings, struct binding *binding)
{
    binding->next = binding->page;
    list_remove(&binding->asking);
    list_add_tail(&bindings->asking, &binding->asking);
}

void bindings_ask(struct bindings *bindings, const struct sync_call *lock)
{
    struct binding *binding = find_binding(bindings, lock->client, lock->region, lock->offset);

    if (binding != NULL) {
        binding->request = lock->out.id;
        binding->asked = 0;
        ask_from(bindings, binding);
    }
}

void bindings_on_gone(struct bindings *bindings, const struct message *forward)
{
    const struct region *region = context_region(bindings->pages->context, forward->region);

    for (const struct list *place = region->bindings.next; place != &region->bindings;
         place = place->next) {
        struct binding *binding =
            list_object((struct list *)(uintptr_t)place, struct binding, by_region);

        if (touches(binding, forward) && calls_is_open(bindings->calls, binding->request)) {
            ask_from(bindings, binding); /* B5 */
        }
    }
}

/* A mapping of the program through which it may write to the page, 0 for none. */
static map_id map_of(const struct binding *binding, uint64_t page)
{
    const struct list *maps = &binding->client->maps;

    for (const struct list *place = maps->next; place != maps; place = place->next) {
        const struct map *map = list_object((struct list *)(uintptr_t)place, struct map, by_client);

        if (map->region == binding->region && map->may_write && page >= map->page &&
            page - map->page < map->count) {
            return map->id;
        }
    }
    return 0;
}

/* The bit in `asked` of the page's group. */
static uint64_t asked_bit(const struct bindings *bindings, const struct binding *binding,
                          uint64_t page)
{
    return UINT64_C(1) << (page - binding->page) /
                              pages_group_size(bindings->pages, binding->region);
}

/* The next page to ask for (B5) that may be (P1, P4), the end of the range: there is none. */
static uint64_t next_lacking(const struct bindings *bindings, const struct binding *binding)
{
    const struct region *region = binding->region;
    uint64_t number = binding->next;

    for (; number < binding->end; number++) {
        const struct page *page = page_at(bindings->pages, region, number);

        if ((binding->asked & asked_bit(bindings, binding, number)) == 0 &&
            (page->state == PAGE_ABSENT || page->state == PAGE_READ) && page->request == NULL &&
            !region->record.sealed &&
            !region_home_is_lost(bindings->pages->context, region, region_home(region, number))) {
            break;
        }
    }
    return number;
}

bool bindings_ask_next(struct bindings *bindings)
{
    struct pages *pages = bindings->pages;
    struct binding *binding;
    struct page_request *request;
    struct page_span span;

    if (list_is_empty(&bindings->asking)) {
        return false;
    }
    binding = list_object(bindings->asking.next, struct binding, asking);
    span.page = next_lacking(bindings, binding);
    if (span.page == binding->end) {
        list_remove(&binding->asking);
        return true;
    }
    span.count = binding->end - span.page;
    span = pages_alike(pages, binding->region, span.page, span);
    region_open(pages->context, binding->region);
    request = request_open(pages, binding->region, span.page, (uint32_t)span.count, REQUEST_WRITE);
    binding->next = span.page + span.count;
    if (request == NULL) {
        list_remove(&binding->asking); /* the window to the home is full: no time for advice */
        return true;
    }
    request->map = map_of(binding, span.page);
    for (uint64_t page = span.page; page < binding->next; page++) {
        uint64_t bit = asked_bit(bindings, binding, page);

        if (page + 1 == binding->end || asked_bit(bindings, binding, page + 1) != bit) {
            binding->asked |= bit; /* the group's last page: all of it was asked for */
        }
    }
    return true;
}

/* --- keeping pages --- */

uint64_t bindings_until(const struct bindings *bindings, const struct message *message,
                        uint64_t since_ms)
{
    const struct pages *pages = bindings->pages;
    const struct region *region = context_region(pages->context, message->region);

    if (region == NULL || message->kind != MESSAGE_FORWARD ||
        page_at(pages, region, message->page)->state != PAGE_WRITE) { /* as T3 in page_turn.c */
        return since_ms;
    }
    for (const struct list *place = region->bindings.next; place != &region->bindings;
         place = place->next) {
        const struct binding *binding =
            list_object((struct list *)(uintptr_t)place, struct binding, by_region);

        if (touches(binding, message) && tokens_hold(bindings->calls, region, binding->offset)) {
            return since_ms + turn_bound_ms(region); /* B2 */
        }
    }
    return since_ms;
}
