/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers to a request for pages: bytes, grants, and the news that the pages are lost. The
 * states and the rules P1 to P5 are told in page.c.
 */
#include "dsm/core/group.h"
#include "dsm/core/sealed.h"

/*
 * Tell the home that the request's pages are here; also for a request that was closed before.
 * `idly`: it is not known that anybody waits for it.
 */
static void confirm(struct pages *pages, const struct message *message, uint64_t page,
                    uint32_t count, bool idly)
{
    const struct region *region = context_region(pages->context, message->region);
    struct message answer = {
        .kind = MESSAGE_CONFIRM,
        .region = message->region,
        .page = page,
        .count = (uint16_t)count,
        .request = message->request,
        .version = message->version,
        .flags = message->flags & FLAG_LEAVE,
    };

    if (region == NULL || page >= region_pages(region)) {
        return;
    }
    answer.to = (uint16_t)region_home(region, page);
    if (idly) {
        context_send_idly(pages->context, &answer, MAY_WAIT_SHORTLY);
    } else {
        context_send(pages->context, &answer, BYTES_NONE, 0, 0);
    }
}

/* Some mapping of the region, 0 for none. */
static map_id any_map(const struct region *region)
{
    const struct list *maps = &region->maps;

    return list_is_empty(maps) ? 0 : list_object(maps->next, struct map, by_region)->id;
}

/* The mapping through which bytes go in: that of the first thread that waits for any of them. */
static map_id filling_map(const struct pages *pages, const struct page_request *request)
{
    for (const struct list *place = request->waiters.next; place != &request->waiters;
         place = place->next) {
        const struct waiter *waiter =
            list_object((struct list *)(uintptr_t)place, struct waiter, place);

        if (waiter->map != 0 && context_map(pages->context, waiter->map) != NULL) {
            return waiter->map;
        }
    }
    if (request->map != 0 && context_map(pages->context, request->map) != NULL) {
        return request->map;
    }
    return any_map(request->region);
}

map_id request_fill(struct pages *pages, struct page_request *request, uint64_t page,
                    uint32_t count, uint32_t source, bool write)
{
    struct context *context = pages->context;
    region_id region = request->region->record.id;
    struct action *action;
    bool has_old = false;

    for (uint32_t i = 0; i < count; i++) {
        has_old |= page_get(pages, request->region, page + i)->state == PAGE_READ;
    }
    if (has_old) {
        /*
         * An upgrade whose copy the home did not count on: its bytes give way to those that came.
         */
        pages_drop(pages, request->region, page, count);
    }
    action = context_act_range(context, ACTION_FILL, region, page, count);
    action->source = (uint8_t)source;
    if (pages_group_size(pages, request->region) == 1) { /* else they lie aside at first */
        action->map = filling_map(pages, request);
        action->write = write;
    }
    return action->map;
}

/*
 * Who waits for nothing more. After one fill of all pages for writing, its own map's threads run
 * already (`writer`, 0 for none); the others' rights come one by one.
 */
static void drop_served(struct pages *pages, struct page_request *request, map_id writer)
{
    for (struct list *place = request->waiters.next; place != &request->waiters;) {
        struct waiter *waiter = list_object(place, struct waiter, place);

        place = place->next;
        if (waiter->page >= request->page + request->granted) {
            continue;
        }
        if (waiter->map != 0 && (!waiter->write || waiter->map == writer)) {
            waiter_free(pages, waiter);
        }
    }
}

/*
 * The copies that were here may be written from now on: whose thread waits first may write to all
 * of them, as after a fill.
 */
static void allow_run(struct pages *pages, struct page_request *request)
{
    map_id writer = context_map(pages->context, request->map) != NULL ? request->map : 0;

    for (const struct list *place = request->waiters.next; place != &request->waiters;
         place = place->next) {
        const struct waiter *waiter =
            list_object((struct list *)(uintptr_t)place, struct waiter, place);

        if (waiter->write && waiter->page < request->page + request->granted &&
            context_map(pages->context, waiter->map) != NULL) {
            writer = waiter->map;
            break;
        }
    }
    if (writer != 0) {
        context_act_range(pages->context, ACTION_ALLOW, request->region->record.id, request->page,
                          request->granted)
            ->map = writer;
        drop_served(pages, request, writer);
    }
}

/* Does a thread of this node wait for any of the pages? */
static bool has_threads(const struct page_request *request)
{
    for (const struct list *place = request->waiters.next; place != &request->waiters;
         place = place->next) {
        if (list_object((struct list *)(uintptr_t)place, struct waiter, place)->map != 0) {
            return true;
        }
    }
    return false;
}

/*
 * Everything that the request gets is here: the pages change state, the home is told. `writer` is
 * the mapping that one fill has just let write to all of the pages, 0 for none.
 */
static void complete(struct pages *pages, struct page_request *request, bool is_upgrade,
                     map_id writer)
{
    struct message about = {
        .region = request->region->record.id,
        .request = request->out.id,
        .version = request->version,
    };
    bool write = request->kind == REQUEST_WRITE, is_hot = false;

    for (uint32_t i = 0; i < request->granted; i++) {
        struct page *page = page_get(pages, request->region, request->page + i);

        page_grant(pages, request->region, page, write ? PAGE_WRITE : PAGE_READ, request->version);
        is_hot |= page->hot;
    }
    if (write) {
        walks_cut(&request->region->walks[true], request->page + request->count,
                  request->page + request->granted);
    }
    turn_begin(pages, request, has_threads(request));
    if (!write || request->out.home != pages->context->config.self) {
        pages->clock_idle = 0; /* there is something again that may be let go */
    }
    confirm(pages, &about, request->page, request->granted, !is_hot);
    if (pages_group_size(pages, request->region) > 1) {
        groups_gather(pages, request->region, request->page, request->granted,
                      filling_map(pages, request));
    } else if (!is_upgrade) {
        drop_served(pages, request, writer);
    } else if (write) {
        allow_run(pages, request);
    }
    request_close(pages, request);
}

static bool request_matches(const struct page_request *request, const struct message *message)
{
    return (request->kind == REQUEST_READ || request->kind == REQUEST_WRITE) &&
           region_id_equal(request->region->record.id, message->region) && message->granted > 0 &&
           message->granted <= request->count &&
           (request->granted == 0 || request->granted == message->granted);
}

/* The home's node takes a page over from an owner that wants to be rid of it. */
static void take_over(struct pages *pages, const struct message *message)
{
    struct region *region = context_region(pages->context, message->region);
    struct page *page;

    if (region == NULL || message->page >= region_pages(region) || message->count != 1 ||
        pages->context->payload_pages != 1 ||
        region_home(region, message->page) != pages->context->config.self) {
        pages->context->counters.refused++;
        return;
    }
    page = page_get(pages, region, message->page);
    if (page->version < message->version && page->state != PAGE_WRITE) {
        region_open(pages->context, region);
        if (page->state != PAGE_READ) {
            struct action *action =
                context_act_range(pages->context, ACTION_FILL, message->region, message->page, 1);

            action->source = BYTES_PAYLOAD;
            action->map = pages_group_size(pages, region) == 1 ? any_map(region) : 0;
        }
        page_grant(pages, region, page, PAGE_READ, message->version);
        page->owner = 1;
        pages->context->counters.pages_received++;
    }
    confirm(pages, message, message->page, 1, false);
}

void request_drop_received(struct pages *pages, struct page_request *request)
{
    if (request->received > 0) {
        pages_drop(pages, request->region, request->page, request->received);
    }
    for (uint32_t i = 0; i < request->received; i++) { /* of an upgrade the old copy went before */
        page_forget(pages, request->region, page_get(pages, request->region, request->page + i));
    }
    request->received = 0;
    request->granted = 0;
    request->needs_grant = false;
    request->has_grant = false;
}

/* The first source died half way and another one sends all from the start. */
static void start_again(struct pages *pages, struct page_request *request,
                        const struct message *message)
{
    if (request->received != 0 && message->page == request->page &&
        message->version > request->version) {
        request_drop_received(pages, request);
    }
}

void pages_on_data(struct pages *pages, const struct message *message)
{
    struct page_request *request = pages_request(pages, message->request);
    bool write;

    if ((message->flags & FLAG_LEAVE) != 0) {
        take_over(pages, message);
        return;
    }
    if ((message->flags & FLAG_COPY) != 0) {
        sealed_on_data(pages, message);
        return;
    }
    if (request == NULL) {
        confirm(pages, message, message->page, message->granted, false);
        return;
    }
    start_again(pages, request, message);
    if (!request_matches(request, message) || message->count != pages->context->payload_pages ||
        message->page != request->page + request->received || message->count == 0 ||
        request->received + message->count > message->granted) {
        return; /* a repetition; what is missing will be asked for again */
    }
    request->granted = message->granted;
    request->version = message->version;
    request->needs_grant = (message->flags & FLAG_GRANT) != 0;
    write = request->kind == REQUEST_WRITE && (!request->needs_grant || request->has_grant);
    if (write) {
        request->needs_grant = false;
    }
    (void)request_fill(pages, request, message->page, message->count, BYTES_PAYLOAD, write);
    pages->context->counters.pages_received += message->count;
    request->received += message->count;
    if (request->received == request->granted && !request->needs_grant) {
        complete(pages, request, false,
                 write && message->count == request->granted ? filling_map(pages, request) : 0);
    }
}

/* Answer to the home that these pages of a request are not here. */
static void deny(struct pages *pages, const struct message *message, uint64_t page, uint32_t count)
{
    struct message answer = {
        .kind = MESSAGE_NOT_HERE,
        .to = message->from,
        .region = message->region,
        .page = page,
        .count = (uint16_t)count,
        .request = message->request,
        .requester = (uint16_t)pages->context->config.self,
    };

    context_send(pages->context, &answer, BYTES_NONE, 0, 0);
}

static bool has_copy(struct pages *pages, const struct page_request *request, uint32_t index)
{
    return page_get(pages, request->region, request->page + index)->state == PAGE_READ;
}

/*
 * The home thinks that the copies here are current. If some are not here (never of an honest home),
 * the answer names the first run of these: of the others this node is a reader still.
 */
static bool deny_missing(struct pages *pages, const struct page_request *request,
                         const struct message *message)
{
    uint32_t first = 0, end;

    while (first < message->granted && has_copy(pages, request, first)) {
        first++;
    }
    if (first == message->granted) {
        return false;
    }
    end = first + 1;
    while (end < message->granted && !has_copy(pages, request, end)) {
        end++;
    }
    pages->context->counters.refused++;
    deny(pages, message, request->page + first, end - first);
    return true;
}

void pages_on_grant(struct pages *pages, const struct message *message)
{
    struct page_request *request = pages_request(pages, message->request);

    if (request == NULL) {
        confirm(pages, message, message->page, message->granted, false);
        return;
    }
    if (!request_matches(request, message)) {
        return;
    }
    if ((message->flags & FLAG_ZERO) != 0 && request->received != 0) {
        return; /* bytes came before: they are not zero */
    }
    if ((message->flags & FLAG_COPY) != 0 && deny_missing(pages, request, message)) {
        return;
    }
    request->version = message->version;
    request->has_grant = true;
    if ((message->flags & FLAG_ZERO) != 0) {
        bool write = request->kind == REQUEST_WRITE;

        request->granted = message->granted;
        (void)request_fill(pages, request, request->page, request->granted, BYTES_ZERO, write);
        complete(pages, request, false, write ? filling_map(pages, request) : 0);
    } else if ((message->flags & FLAG_COPY) != 0) {
        request->granted = message->granted;
        complete(pages, request, true, 0);
    } else if (request->granted != 0 && request->received == request->granted) {
        complete(pages, request, false, 0);
    }
}

void pages_on_ask(struct pages *pages, const struct message *message)
{
    struct page_request *request = pages_request(pages, message->request);

    if (request == NULL) {
        confirm(pages, message, message->page, message->count, false);
    } else if (request->kind != REQUEST_LEAVE) {
        request_drop_received(pages, request); /* from now on others may be given these pages */
        deny(pages, message, message->page, message->count);
    }
}

/*
 * The home refuses the request and has forgotten it; who still waits asks anew, under another
 * number.
 */
static void give_up(struct pages *pages, struct page_request *request)
{
    request_drop_received(pages, request);
    request_close(pages, request);
}

void request_lose(struct pages *pages, struct page_request *request, uint32_t count, uint32_t node,
                  int32_t error)
{
    const struct region *region = request->region;
    uint32_t dropped;

    for (uint32_t i = 0; i < count; i++) {
        struct page *page = page_get(pages, region, request->page + i);

        page_forget(pages, region, page);
        page->state = PAGE_LOST;
        pages->context->counters.pages_lost++;
    }
    /* Bytes that came before their source died may reach further than what is lost for certain. */
    dropped = request->received > count ? request->received : count;
    pages_drop(pages, region, request->page, dropped);
    page_poison(pages, region, request->page, count, node, error);
    for (struct list *place = request->waiters.next; place != &request->waiters;) {
        struct waiter *waiter = list_object(place, struct waiter, place);

        place = place->next;
        if (waiter->page < request->page + count && waiter->map != 0) {
            waiter_free(pages, waiter);
        }
    }
    request_close(pages, request);
}

void pages_on_lost(struct pages *pages, const struct message *message)
{
    struct page_request *request = pages_request(pages, message->request);

    if (request == NULL || (request->kind != REQUEST_READ && request->kind != REQUEST_WRITE) ||
        !region_id_equal(request->region->record.id, message->region) || message->granted == 0 ||
        message->granted > request->count) {
        return;
    }
    if (message->error != DSM_EDOWN) {
        give_up(pages, request);
    } else if (request->region->record.sealed) {
        sealed_search(pages, request, message->granted);
    } else {
        request_lose(pages, request, message->granted, message->requester, message->error);
    }
}

void pages_fail(struct pages *pages, struct page_request *request)
{
    struct message lost = {
        .region = request->region->record.id,
        .request = request->out.id,
        .granted = (uint16_t)request->count,
        .requester = (uint16_t)request->out.home,
        .error = DSM_EDOWN,
    };

    if (request->kind == REQUEST_LEAVE) {
        request_close(pages, request); /* the page stays where it is */
    } else if (request->kind == REQUEST_SEARCH) {
        pages_resend(pages, request);
    } else if (request->kind == REQUEST_PULL) {
        sealed_search(pages, request, request->count);
    } else {
        pages_on_lost(pages, &lost);
    }
}
