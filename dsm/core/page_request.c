/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a request for pages. The states and the rules P1 to P5 are told in page.c, what is
 * asked of whom in a sealed region in sealed.c.
 */
#include "dsm/core/sealed.h"

static struct list *bucket_of(const struct pages *pages, uint64_t id)
{
    return (struct list *)(uintptr_t)&pages->by_id[(id / NODES_MAX + id) % REQUEST_BUCKETS];
}

struct page_request *pages_request(const struct pages *pages, uint64_t id)
{
    const struct list *bucket = bucket_of(pages, id);

    for (struct list *place = bucket->next; place != bucket; place = place->next) {
        struct page_request *request = list_object(place, struct page_request, by_id);

        if (request->out.id == id) {
            return request;
        }
    }
    return NULL;
}

/* The oldest version of the copies that an upgrade has, 0: it has none. */
static uint64_t have_of(struct pages *pages, const struct page_request *request)
{
    uint64_t have = 0;

    for (uint32_t i = 0; i < request->count; i++) {
        const struct page *page = page_get(pages, request->region, request->page + i);

        if (page->state == PAGE_READ && (have == 0 || page->version < have)) {
            have = page->version;
        }
    }
    return have;
}

static void send_request(struct pages *pages, struct page_request *request)
{
    struct context *context = pages->context;
    static const uint8_t kinds[] = {0, MESSAGE_READ, MESSAGE_WRITE, MESSAGE_LEAVE, 0, 0};
    struct message message = {
        .kind = kinds[request->kind],
        .to = (uint16_t)request->out.home,
        .region = request->region->record.id,
        .page = request->page,
        .count = (uint16_t)request->count,
        .request = request->out.id,
        .floor = context_floor(context, request->out.home),
    };

    if (message.kind == MESSAGE_NONE) {
        sealed_send(pages, request);
        return;
    }
    if (request->kind == REQUEST_LEAVE) {
        message.version = page_get(pages, request->region, request->page)->version;
    } else {
        message.have = have_of(pages, request);
    }
    if (request->is_ahead && list_is_empty(&request->waiters)) {
        context_send_idly(context, &message, MAY_WAIT_SHORTLY);
    } else {
        context_send(context, &message, BYTES_NONE, 0, 0);
    }
}

/* A new request of all but its sending; NULL: no room in the window. */
static struct page_request *request_make(struct pages *pages, struct region *region, uint64_t page,
                                         uint32_t count, uint32_t kind)
{
    struct page_request *request = pool_get(&pages->requests);

    if (!outstanding_open(pages->context, &request->out, region_home(region, page), false)) {
        pool_put(&pages->requests, request);
        return NULL;
    }
    request->region = region;
    request->page = page;
    request->count = count;
    request->kind = (uint8_t)sealed_request_kind(pages, region, page, kind);
    if (kind == REQUEST_LEAVE) {
        pages->count_leaving++;
        pages->leaving_bytes += region->record.page_size;
    }
    list_init(&request->waiters);
    list_add_tail(bucket_of(pages, request->out.id), &request->by_id);
    for (uint32_t i = 0; i < count; i++) {
        struct page *record = page_get(pages, region, page + i);

        core_assert(record->request == NULL, "P1");
        record->request = request;
    }
    return request;
}

struct page_request *request_open(struct pages *pages, struct region *region, uint64_t page,
                                  uint32_t count, uint32_t kind)
{
    struct page_request *request = request_make(pages, region, page, count, kind);

    if (request != NULL) {
        send_request(pages, request);
    }
    return request;
}

bool request_open_ahead(struct pages *pages, struct region *region, struct page_span span,
                        map_id map)
{
    struct page_request *request =
        request_make(pages, region, span.page, (uint32_t)span.count, REQUEST_READ);

    if (request == NULL) {
        return false;
    }
    request->map = map;
    request->is_ahead = true;
    pages->ahead_bytes += (uint64_t)request->count * region->record.page_size;
    send_request(pages, request);
    return true;
}

void request_close(struct pages *pages, struct page_request *request)
{
    if (request->is_ahead) {
        pages->ahead_bytes -= (uint64_t)request->count * request->region->record.page_size;
    }
    if (request->kind == REQUEST_LEAVE) {
        pages->count_leaving--;
        pages->leaving_bytes -= request->region->record.page_size;
        pages->clock_idle = 0;
    }
    for (uint32_t i = 0; i < request->count; i++) {
        page_get(pages, request->region, request->page + i)->request = NULL;
    }
    while (!list_is_empty(&request->waiters)) {
        struct list *place = request->waiters.next;

        list_remove(place);
        list_add_tail(&pages->retry, place);
    }
    outstanding_close(pages->context, &request->out);
    list_remove(&request->by_id);
    pool_put(&pages->requests, request);
}

/* Who waits for a group may have touched any page of it, and waits for the last that it lacks. */
static void retry_waiters(struct pages *pages, struct page_request *request, uint64_t page,
                          uint64_t end)
{
    for (struct list *place = request->waiters.next; place != &request->waiters;) {
        struct waiter *waiter = list_object(place, struct waiter, place);

        place = place->next;
        if (waiter->assembly != NULL || (waiter->page >= page && waiter->page < end)) {
            list_remove(&waiter->place);
            list_add_tail(&pages->retry, &waiter->place);
        }
    }
}

static void detach(struct pages *pages, const struct page_request *request, uint64_t page,
                   uint64_t end)
{
    for (; page < end; page++) {
        page_get(pages, request->region, page)->request = NULL;
    }
}

void request_shift(struct pages *pages, struct page_request *request, uint32_t count)
{
    uint64_t page = request->page;

    detach(pages, request, page, page + count);
    request->page += count;
    request->count -= count;
    retry_waiters(pages, request, page, page + count);
}

void request_cut(struct pages *pages, struct page_request *request, uint32_t count)
{
    uint64_t end = request->page + request->count;

    detach(pages, request, request->page + count, end);
    request->count = count;
    retry_waiters(pages, request, request->page + count, end);
}

void pages_resend(struct pages *pages, struct page_request *request)
{
    pages->context->counters.resends++;
    outstanding_sent(pages->context, &request->out);
    if (request->kind == REQUEST_PULL) {
        sealed_resend(pages, request);
    } else {
        send_request(pages, request);
    }
}
