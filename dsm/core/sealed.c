/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of sealed regions. Their home is the root of a binary tree: it gives each node that asks it
 * a seat, in order of arrival, and the node of seat r asks that of seat (r - 1) / 2 from then on,
 * whatever the pages; seat 0 is the home. A node that lacks what it is asked for asks its own
 * parent, and sends page by page what has come: a stream runs down the tree. The home itself reads
 * as everywhere, from the owner (page.c, home.c).
 *
 *           PULL               lacks some: its own PULL          DATA, FLAG_COPY
 *   child ---------> parent ------------------------> grandparent --------> parent -----> child
 *     |  SEAT: ask that one (from the home); I have none (from a parent): ask the home, shunning me
 *     +----> home
 *   home dead, or the page is lost there: SEARCH, a PULL with FLAG_COPY to each member in turn
 *
 * I1 The region's record is sealed by a change that no writer can overlap: it is made on the
 *    revision of a record whose writers are the sealer's node alone, which has no other program
 *    and no mapping that may write, and it leaves no writers (catalog_seal.c, K1).
 * I2 A home that knows the seal does no atomic operation on the region any more; the sealer is told
 *    only when every living home knows it. From then on all copies of a page have the same bytes.
 * I3 A PULL is served only by a node that knows the seal, and only to a reader or home by the
 *    record. The first one of each node goes to the home, so whoever has a parent knows of a home
 *    that I2 holds for.
 * I4 Nothing of it is confirmed, remembered or taken back: a node that has a copy by PULL is no
 *    reader in the home's record, and may drop it at any time (but I6).
 * I5 A node has two children at most while nobody dies, leaves or is slow: it sends no page more
 *    than twice, unless it, or a child, drops and asks again.
 * I6 What may be the last copy stays: of a page whose home is lost, or that a search has found.
 * I7 A page is lost only when its home, or its home being dead, every living member in turn, has
 *    none.
 * I8 The version of such a copy is that of the last transfer that the page had here, so that what
 *    is late of the time before the seal stays late (P7).
 */
#include "dsm/core/sealed.h"

#include "dsm/core/group.h"

/** Of other nodes' wishes at once; honest children have fewer. */
#define PULLS_MAX 4096u
/** A parent that sends nothing for so many repetitions is no good. */
#define TRIES_MAX 3u

static bool has_bytes(const struct pages *pages, const struct region *region, uint64_t number)
{
    const struct page *page = directory_find(&pages->directory, region->record.id.slot, number);

    return page != NULL && (page->state == PAGE_READ || page->state == PAGE_WRITE);
}

uint32_t sealed_request_kind(const struct pages *pages, const struct region *region, uint64_t page,
                             uint32_t kind)
{
    uint32_t home = region_home(region, page);

    if (!region->record.sealed || kind != REQUEST_READ) {
        return kind;
    }
    if (region_home_is_lost(pages->context, region, home)) {
        return REQUEST_SEARCH;
    }
    return home == pages->context->config.self ? REQUEST_READ : REQUEST_PULL;
}

/* --- asking --- */

static void send_pull(struct pages *pages, struct page_request *request, uint32_t to, uint32_t shun)
{
    struct message message = {
        .kind = MESSAGE_PULL,
        .to = (uint16_t)to,
        .flags = request->kind == REQUEST_SEARCH ? FLAG_COPY : 0,
        .region = request->region->record.id,
        .page = request->page,
        .count = (uint16_t)request->count,
        .request = request->out.id,
        .requester = (uint16_t)shun,
    };

    request->source = (uint16_t)to;
    context_send(pages->context, &message, BYTES_NONE, 0, 0);
}

void sealed_send(struct pages *pages, struct page_request *request)
{
    uint32_t self = pages->context->config.self;

    if (request->kind == REQUEST_PULL) {
        send_pull(pages, request, sealed_parent(pages, request->region, request->out.home)->parent,
                  self);
    } else if (request->lacking > 0 && nodeset_has(pages->context->alive, request->source)) {
        send_pull(pages, request, request->source, self);
    } else { /* it begins, or who was asked has died: with this node itself, which has none */
        request->lacking = (uint16_t)request->count;
        send_pull(pages, request, self, self);
    }
}

/* The parent is no good: the home names another one, or sends the pages itself. */
static void shun(struct pages *pages, struct page_request *request, uint32_t parent)
{
    uint32_t home = request->out.home;

    sealed_parent(pages, request->region, home)->parent = (uint16_t)home;
    request->tries = 0;
    send_pull(pages, request, home, parent);
}

void sealed_resend(struct pages *pages, struct page_request *request)
{
    if (request->source != request->out.home && ++request->tries > TRIES_MAX) {
        shun(pages, request, request->source);
    } else {
        sealed_send(pages, request);
    }
}

void sealed_search(struct pages *pages, struct page_request *request, uint32_t count)
{
    if (request->kind != REQUEST_PULL) {
        request_drop_received(pages, request);
    }
    request_cut(pages, request, count);
    request->kind = REQUEST_SEARCH;
    request->lacking = 0;
    outstanding_sent(pages->context, &request->out);
    sealed_send(pages, request);
}

/* Who was asked has none of the first pages: the next one is asked, or they are lost (I7). */
static void search_on(struct pages *pages, struct page_request *request,
                      const struct message *message)
{
    const nodeset *alive = &pages->context->alive;
    uint32_t self = pages->context->config.self;
    uint32_t next = nodeset_next(*alive, request->source);

    if (message->count > 0 && message->count < request->lacking) {
        request->lacking = message->count;
    }
    next = next == NODE_NONE ? nodeset_first(*alive) : next;
    if (next == self || next == NODE_NONE) {
        request_lose(pages, request, request->lacking, request->out.home, DSM_EDOWN);
        return;
    }
    outstanding_sent(pages->context, &request->out);
    send_pull(pages, request, next, self);
}

static void on_home_seat(struct pages *pages, struct page_request *request,
                         const struct message *message)
{
    uint32_t parent = message->requester;

    if (message->error == DSM_EDOWN) {
        request_lose(pages, request, 1, request->out.home, DSM_EDOWN);
    } else if (message->error != 0) {
        request_close(pages, request); /* refused and forgotten: who still waits asks anew */
    } else if (!nodeset_has(pages->context->alive, parent) ||
               parent == pages->context->config.self) {
        shun(pages, request, parent);
    } else {
        sealed_parent(pages, request->region, request->out.home)->parent = (uint16_t)parent;
        outstanding_sent(pages->context, &request->out);
        sealed_send(pages, request);
    }
}

void sealed_on_seat(struct pages *pages, const struct message *message)
{
    struct page_request *request = pages_request(pages, message->request);

    if (request == NULL || request->source != message->from ||
        !region_id_equal(request->region->record.id, message->region) ||
        message->page != request->page) {
        return; /* late */
    }
    if (request->kind == REQUEST_SEARCH) {
        search_on(pages, request, message);
    } else if (request->kind == REQUEST_PULL && message->from == request->out.home) {
        on_home_seat(pages, request, message);
    } else if (request->kind == REQUEST_PULL) {
        outstanding_sent(pages->context, &request->out);
        shun(pages, request, message->from);
    }
}

/* Threads are woken by what fills; other nodes' wishes are looked at again (request_shift). */
static void free_threads(struct pages *pages, struct page_request *request, uint64_t end)
{
    for (struct list *place = request->waiters.next; place != &request->waiters;) {
        struct waiter *waiter = list_object(place, struct waiter, place);

        place = place->next;
        if (waiter->page < end && waiter->map != 0) {
            waiter_free(pages, waiter);
        }
    }
}

void sealed_on_data(struct pages *pages, const struct message *message)
{
    struct page_request *request = pages_request(pages, message->request);
    struct region *region;
    map_id map;

    if (request == NULL || request->source != message->from ||
        (request->kind != REQUEST_PULL && request->kind != REQUEST_SEARCH) ||
        !region_id_equal(request->region->record.id, message->region) ||
        message->page != request->page || message->count == 0 || message->count > request->count ||
        message->count != pages->context->payload_pages) {
        return; /* a repetition; what is missing will be asked for again */
    }
    region = request->region;
    map = request_fill(pages, request, message->page, message->count, BYTES_PAYLOAD, false);
    pages->context->counters.pages_received += message->count;
    for (uint32_t i = 0; i < message->count; i++) {
        struct page *page = page_get(pages, region, message->page + i);

        page_grant(pages, region, page, PAGE_READ, page->version); /* I8 */
        page->last = request->kind == REQUEST_SEARCH;              /* I6 */
    }
    turn_begin(pages, request, false);
    pages->clock_idle = 0;
    request->tries = 0;
    request->lacking = 0;
    outstanding_sent(pages->context, &request->out);
    if (pages_group_size(pages, region) > 1) {
        groups_gather(pages, region, message->page, message->count, map);
    } else {
        free_threads(pages, request, message->page + message->count);
    }
    request_shift(pages, request, message->count);
    if (request->count == 0) {
        request_close(pages, request);
    } else if (request->kind == REQUEST_SEARCH && message->granted == message->count) {
        sealed_send(pages, request); /* who was asked has no more: the search begins anew */
    }
}

/* --- being asked --- */

static void refuse(struct pages *pages, const struct message *pull, uint32_t to, int32_t error,
                   uint32_t count)
{
    struct message answer = {
        .kind = MESSAGE_SEAT,
        .to = (uint16_t)to,
        .region = pull->region,
        .page = pull->page,
        .count = (uint16_t)count,
        .request = pull->request,
        .requester = (uint16_t)pages->context->config.self,
        .error = error,
    };

    context_send(pages->context, &answer, BYTES_NONE, 0, 0);
}

/* How many pages from the first one on are here, or are not (`wanted`)? */
static uint32_t count_run(const struct pages *pages, const struct region *region,
                          const struct message *pull, bool wanted)
{
    uint32_t count = 0;

    while (count < pull->count && has_bytes(pages, region, pull->page + count) == wanted) {
        count++;
    }
    return count;
}

/* Send the first pages as far as they are here; the message is about the others then. */
static void send_held(struct pages *pages, const struct region *region, struct message *pull,
                      uint32_t to)
{
    uint32_t step = PAYLOAD_BYTES_TARGET / region->record.page_size;
    uint32_t left = count_run(pages, region, pull, true);
    struct message data = {
        .kind = MESSAGE_DATA,
        .to = (uint16_t)to,
        .flags = FLAG_COPY,
        .region = pull->region,
        .request = pull->request,
    };

    for (step = step > 0 ? step : 1; left > 0; left -= data.count) {
        data.page = pull->page;
        data.count = (uint16_t)(left < step ? left : step);
        data.granted = (uint16_t)left;
        context_send(pages->context, &data, BYTES_FRAMES, 0, 0);
        pull->page += data.count;
        pull->count = (uint16_t)(pull->count - data.count);
    }
}

void sealed_forget(struct pages *pages, struct waiter *waiter)
{
    list_remove(&waiter->by_assembly);
    pages->count_pulls--;
}

/* Would others give this node the page (as a home it asks itself)? */
static bool may_fetch(const struct pages *pages, const struct region *region, uint64_t number)
{
    uint32_t self = pages->context->config.self;

    return region_home(region, number) == self || nodeset_has(region->record.readers, self);
}

void sealed_attend(struct pages *pages, struct waiter *waiter)
{
    struct region *region = waiter->region;
    struct message *pull = &waiter->atomic;
    uint32_t to = pull->requester;
    const struct page *page;
    struct page_span free;

    send_held(pages, region, pull, to);
    if (pull->count == 0) {
        waiter_free(pages, waiter);
        return;
    }
    waiter->page = pull->page;
    page = page_get(pages, region, pull->page);
    if (page->state == PAGE_LOST || !may_fetch(pages, region, pull->page)) {
        bool is_lost = page->state == PAGE_LOST;

        refuse(pages, pull, to, is_lost ? DSM_EDOWN : DSM_EACCES, 1);
        waiter_free(pages, waiter);
        return;
    }
    if (page->request == NULL) {
        region_open(pages->context, region);
        free = pages_alike(pages, region, pull->page, (struct page_span){pull->page, pull->count});
        (void)request_open(pages, region, free.page, (uint32_t)free.count, REQUEST_READ);
    }
    waiter_hang(pages, waiter, page->request);
}

/* The same wish, repeated: from the first page that it names now on all is lacking there. */
static bool is_repeated(struct pages *pages, const struct region *region,
                        const struct message *message)
{
    for (struct list *place = pages->pulls.next; place != &pages->pulls; place = place->next) {
        struct waiter *waiter = list_object(place, struct waiter, by_assembly);
        struct message *pull = &waiter->atomic;

        if (pull->requester == message->from && pull->request == message->request) {
            if (message->page < pull->page) {
                pull->page = message->page;
                pull->count = message->count;
                send_held(pages, region, pull, message->from);
            }
            return true;
        }
    }
    return false;
}

void sealed_on_pull(struct pages *pages, const struct message *message)
{
    struct region *region = context_region(pages->context, message->region);
    uint32_t self = pages->context->config.self;
    struct message pull = *message;
    struct waiter *waiter;

    core_assert(region != NULL, "N4: the node admits no PULL of an unknown region");
    if ((message->flags & FLAG_COPY) != 0) {
        if (message->from == self || !has_bytes(pages, region, message->page)) {
            refuse(pages, message, message->from, DSM_ENOENT,
                   count_run(pages, region, message, false));
        } else {
            send_held(pages, region, &pull, message->from);
        }
        return;
    }
    if (region_home(region, message->page) == self) {
        uint32_t parent = sealed_forebear(pages, region, message->from, message->requester);

        if (parent != self) {
            pull.requester = (uint16_t)parent;
            pull.kind = MESSAGE_SEAT;
            pull.to = message->from;
            context_send(pages->context, &pull, BYTES_NONE, 0, 0);
            return;
        }
    }
    if (pages->count_pulls == PULLS_MAX || is_repeated(pages, region, message)) {
        return;
    }
    waiter = pool_get(&pages->waiters);
    list_init(&waiter->place);
    waiter->region = region;
    waiter->page = message->page;
    waiter->atomic = *message;
    waiter->atomic.requester = message->from;
    list_add_tail(&pages->pulls, &waiter->by_assembly);
    pages->count_pulls++;
    sealed_attend(pages, waiter);
}

bool sealed_may_drop(const struct pages *pages, const struct region *region, uint64_t number,
                     const struct page *page)
{
    return !region->record.sealed ||
           (!page->last &&
            !region_home_is_lost(pages->context, region, region_home(region, number)));
}
