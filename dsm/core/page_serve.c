/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The owner's and the readers' side of a page: bytes go to whom the home names, copies go away when
 * the home says so. The states and the rules P1 to P5 are told in page.c; besides,
 *
 * P6 A page that is given to a writer is dropped here at once, its bytes kept aside (struct kept)
 *    until the home says that the writer has them, so that a lost message loses no page.
 *    RELEASE is sent once; who still keeps bytes after a while asks (NOT_HERE with FLAG_COPY).
 * P7 A message of a transfer that is not younger than the copy here is a late repetition: it
 *    changes nothing (`version` counts transfers at the home).
 */
#include "dsm/core/binding.h"
#include "dsm/core/group.h"

/** A page is hot that the home takes away within so many of its transfers (P8 in page.c). */
#define HOT_TRANSFERS 8u

/** The home is asked about bytes put aside after so many times the time of a resend. */
#define KEPT_RESENDS 10u

static struct page *find_page(const struct pages *pages, const struct message *message,
                              uint32_t index)
{
    return directory_find(&pages->directory, message->region.slot, message->page + index);
}

static bool has_bytes(const struct page *page)
{
    return page != NULL && (page->state == PAGE_READ || page->state == PAGE_WRITE);
}

/*
 * Whose request it is: of a page that leaves, our own; else that of the node that gets the bytes.
 */
static uint32_t requester_of(const struct pages *pages, const struct message *message)
{
    return (message->flags & FLAG_LEAVE) != 0 || message->kind == MESSAGE_TAKE
               ? pages->context->config.self
               : message->requester;
}

static struct kept *find_kept(const struct pages *pages, const struct message *message)
{
    uint32_t requester = requester_of(pages, message);

    for (const struct list *place = pages->kept.next; place != &pages->kept; place = place->next) {
        struct kept *kept = list_object((struct list *)(uintptr_t)place, struct kept, place);

        if (kept->requester == requester && kept->request == message->request &&
            kept->page == message->page && region_id_equal(kept->region, message->region)) {
            return kept;
        }
    }
    return NULL;
}

static void forget_kept(struct pages *pages, struct kept *kept)
{
    context_act(pages->context, ACTION_FORGET, kept->region)->keep = kept->number;
    list_remove(&kept->place);
    pool_put(&pages->kept_pool, kept);
}

/* Send `count` pages in as many messages as their size asks for. */
static void send_data(struct pages *pages, const struct message *forward,
                      const struct region *region, uint32_t count, const struct kept *kept)
{
    uint32_t step = PAYLOAD_BYTES_TARGET / region->record.page_size;
    struct message data = {
        .kind = MESSAGE_DATA,
        .to = forward->requester,
        .flags = forward->flags & (FLAG_WRITE | FLAG_GRANT | FLAG_LEAVE),
        .region = forward->region,
        .request = forward->request,
        .version = forward->version,
        .granted = (uint16_t)count,
    };

    step = step > 0 ? step : 1;
    for (uint32_t sent = 0; sent < count; sent += step) {
        data.page = forward->page + sent;
        data.count = (uint16_t)(count - sent < step ? count - sent : step);
        context_send(pages->context, &data, kept != NULL ? BYTES_KEPT : BYTES_FRAMES,
                     kept != NULL ? kept->number : 0, sent);
    }
}

/*
 * Not all of the pages are here. The answer names the run from page number `first` on that is not:
 * the home takes this node for a reader of the others still, and it is.
 */
static void send_not_here(struct pages *pages, const struct message *forward, uint32_t first)
{
    uint32_t count = 1;
    struct message answer = {
        .kind = MESSAGE_NOT_HERE,
        .to = forward->from,
        .region = forward->region,
        .page = forward->page + first,
        .request = forward->request,
        .requester = forward->requester,
    };

    while (first + count < forward->count && !has_bytes(find_page(pages, forward, first + count))) {
        count++;
    }
    answer.count = (uint16_t)count;
    context_send(pages->context, &answer, BYTES_NONE, 0, 0);
}

/* Somebody else wants the page: was it granted just before? */
static void note_taken(struct page *page, const struct message *message)
{
    page->hot = message->version - page->version <= HOT_TRANSFERS;
}

/* Write-protect what is writable; the pages are read from now on. */
static void downgrade(struct pages *pages, const struct message *forward,
                      const struct region *region, uint32_t count)
{
    uint32_t first = count, last = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct page *page = find_page(pages, forward, i);

        if (page->state == PAGE_WRITE) {
            note_taken(page, forward);
            page->state = PAGE_READ;
            pages->context->counters.downgrades++;
            first = i < first ? i : first;
            last = i;
        }
    }
    if (first < count) {
        pages_protect(pages, region, forward->page + first, last - first + 1);
    }
}

/* Absent from that transfer on: bytes of an older one come too late. */
static void forget_page(struct pages *pages, const struct region *region,
                        const struct message *message, uint32_t index)
{
    struct page *page = find_page(pages, message, index);

    note_taken(page, message);
    page_forget(pages, region, page);
    page->version = message->version & ((UINT64_C(1) << 56) - 1);
}

/* Drop pages [first, first + count) of a message's range. */
static void drop_run(struct pages *pages, struct region *region, const struct message *message,
                     uint32_t first, uint32_t count)
{
    if (count == 0) {
        return;
    }
    pages_drop(pages, region, message->page + first, count);
    for (uint32_t i = first; i < first + count; i++) {
        forget_page(pages, region, message, i);
    }
    walks_on_loss(&region->walks[false], message->page + first, count);
    pages->context->counters.invalidations += count;
}

/* Put the bytes aside, drop the pages, send the bytes (P6). */
static void give_away(struct pages *pages, const struct message *forward,
                      const struct region *region, uint32_t count)
{
    struct context *context = pages->context;
    struct kept *kept = pool_get(&pages->kept_pool);

    kept->region = forward->region;
    kept->page = forward->page;
    kept->count = count;
    kept->request = forward->request;
    kept->requester = requester_of(pages, forward);
    kept->version = forward->version;
    kept->number = ++pages->next_keep;
    kept->asked_ms = context->now_ms;
    list_add_tail(&pages->kept, &kept->place);
    pages_withdraw(pages, region, forward->page, count);
    context_act_range(context, ACTION_KEEP, forward->region, forward->page, count)->keep =
        kept->number;
    context_act_range(context, ACTION_DROP, forward->region, forward->page, count);
    for (uint32_t i = 0; i < count; i++) {
        forget_page(pages, region, forward, i);
    }
    context->counters.invalidations += count;
    send_data(pages, forward, region, count, kept);
}

/*
 * All of the pages are sent or none: a FORWARD that comes again may find fewer here, and whoever
 * has got all of them by the first one would confirm no more than the second one sent.
 */
void pages_on_forward(struct pages *pages, const struct message *message)
{
    struct region *region = context_region(pages->context, message->region);
    struct kept *kept = find_kept(pages, message);
    uint32_t missing = message->count;

    if ((message->flags & FLAG_LEAVE) != 0 || message->count == 0) {
        pages->context->counters.refused++; /* TAKE is for what leaves */
        return;
    }
    if (region == NULL || message->requester == pages->context->config.self) { /* N3 */
        send_not_here(pages, message, 0);
        return;
    }
    if (message->count > region_range_max(region)) {
        pages->context->counters.refused++; /* no home cuts requests so large */
        return;
    }
    if (kept != NULL) {
        send_data(pages, message, region, kept->count, kept);
        return;
    }
    for (uint32_t i = message->count; i-- > 0;) {
        const struct page *page = find_page(pages, message, i);

        if (!has_bytes(page)) {
            missing = i;
        } else if (page->version >= message->version) {
            return; /* P7 */
        }
    }
    if (missing < message->count) {
        send_not_here(pages, message, missing);
    } else if (pages_defer(pages, message)) {
        return;
    } else if ((message->flags & FLAG_WRITE) != 0) {
        walks_on_loss(&region->walks[true], message->page, message->count);
        give_away(pages, message, region, message->count);
        bindings_on_gone(pages->bindings, message);
    } else {
        downgrade(pages, message, region, message->count);
        send_data(pages, message, region, message->count, NULL);
    }
}

void pages_on_invalidate(struct pages *pages, const struct message *message)
{
    struct region *region = context_region(pages->context, message->region);
    uint32_t first = 0;
    struct message answer = {
        .kind = MESSAGE_INVALIDATED,
        .to = message->from,
        .region = message->region,
        .page = message->page,
        .count = message->count,
        .request = message->request,
        .requester = message->requester,
    };

    if (pages_defer(pages, message)) {
        return;
    }
    for (uint32_t i = 0; region != NULL && i < message->count; i++) {
        const struct page *page = find_page(pages, message, i);
        bool goes = has_bytes(page) && page->version < message->version;

        if (goes && page->state == PAGE_WRITE) {
            pages->context->counters.refused++; /* only bytes on their way to a writer may go */
            return;
        }
        if (!goes) {
            drop_run(pages, region, message, first, i - first);
            first = i + 1;
        }
    }
    if (region != NULL) {
        drop_run(pages, region, message, first, message->count - first);
    }
    context_send(pages->context, &answer, BYTES_NONE, 0, 0);
}

void pages_on_release(struct pages *pages, const struct message *message)
{
    struct page_request *request = pages_request(pages, message->request);
    struct kept *kept = find_kept(pages, message);

    if (kept != NULL) {
        forget_kept(pages, kept);
    }
    if ((message->flags & FLAG_LEAVE) != 0 && request != NULL && request->kind == REQUEST_LEAVE &&
        region_id_equal(request->region->record.id, message->region)) {
        request_close(pages, request);
    }
}

/*
 * The page goes to its home: like one that is given to a writer, it is dropped before its bytes are
 * sent.
 */
void pages_on_take(struct pages *pages, const struct message *message)
{
    const struct page_request *request = pages_request(pages, message->request);
    const struct kept *kept = find_kept(pages, message);
    struct message to_home = *message;

    to_home.requester = message->from;
    to_home.flags = FLAG_LEAVE;
    if (kept != NULL) {
        send_data(pages, &to_home, context_region(pages->context, message->region), 1, kept);
    } else if (request != NULL && request->kind == REQUEST_LEAVE &&
               region_id_equal(request->region->record.id, message->region) &&
               request->page == message->page &&
               has_bytes(page_get(pages, request->region, request->page))) {
        give_away(pages, &to_home, request->region, 1);
        pages->context->counters.evictions++;
    }
}

void pages_on_adopt(struct pages *pages, const struct message *message)
{
    struct page *page = find_page(pages, message, 0);
    bool can = context_region(pages->context, message->region) != NULL && has_bytes(page) &&
               page->version < message->version;
    struct message answer = {
        .kind = can ? MESSAGE_CONFIRM : MESSAGE_NOT_HERE,
        .flags = FLAG_ADOPT,
        .to = message->from,
        .region = message->region,
        .page = message->page,
        .count = 1,
        .request = message->request,
        .version = message->version,
        .requester = (uint16_t)pages->context->config.self,
    };

    if (can) {
        page->owner = 1;
    }
    context_send(pages->context, &answer, BYTES_NONE, 0, 0);
}

/* --- bytes put aside --- */

/* The home still has the transfer open, or it answers with the RELEASE that was lost. */
static void ask_about(struct pages *pages, const struct kept *kept, const struct region *region)
{
    struct message message = {
        .kind = MESSAGE_NOT_HERE,
        .flags = FLAG_COPY,
        .to = (uint16_t)region_home(region, kept->page),
        .region = kept->region,
        .page = kept->page,
        .count = (uint16_t)kept->count,
        .request = kept->request,
        .requester = (uint16_t)kept->requester,
    };

    context_send(pages->context, &message, BYTES_NONE, 0, 0);
}

static uint64_t ask_deadline(const struct pages *pages)
{
    if (list_is_empty(&pages->kept)) {
        return UINT64_MAX;
    }
    return list_object(pages->kept.next, struct kept, place)->asked_ms +
           KEPT_RESENDS * (uint64_t)pages->context->config.resend_ms;
}

bool pages_tidy_kept(struct pages *pages)
{
    const struct region *region;
    struct kept *kept;

    if (!list_is_empty(&pages->doomed)) {
        forget_kept(pages, list_object(pages->doomed.next, struct kept, place));
        return true;
    }
    if (pages->context->now_ms < ask_deadline(pages)) {
        return false;
    }
    kept = list_object(pages->kept.next, struct kept, place);
    list_remove(&kept->place);
    list_add_tail(&pages->kept, &kept->place);
    kept->asked_ms = pages->context->now_ms;
    region = context_region(pages->context, kept->region);
    if (region != NULL && kept->requester != pages->context->config.self) {
        ask_about(pages, kept, region); /* our own LEAVE is sent again until its RELEASE comes */
    }
    return true;
}

uint64_t pages_deadline(const struct pages *pages)
{
    uint64_t ask_ms = ask_deadline(pages), round_ms = pages_next_round_ms(pages);
    uint64_t due_ms = pages_defer_deadline(pages);

    if (!list_is_empty(&pages->doomed)) {
        return 0;
    }
    ask_ms = ask_ms < round_ms ? ask_ms : round_ms;
    return ask_ms < due_ms ? ask_ms : due_ms;
}

/* Who asked for these is gone; another incarnation of it numbers its requests anew. */
static void drop_atomics(struct pages *pages, struct list *list, uint32_t node)
{
    for (struct list *place = list->next; place != list;) {
        struct waiter *waiter = list_object(place, struct waiter, place);

        place = place->next;
        if (waiter->map == 0 && waiter->atomic.requester == node) {
            waiter_free(pages, waiter);
        }
    }
}

void pages_member_died(struct pages *pages, uint32_t node)
{
    for (struct list *place = pages->kept.next; place != &pages->kept;) {
        struct kept *kept = list_object(place, struct kept, place);

        place = place->next;
        if (kept->requester == node || kept->request % NODES_MAX == node) {
            list_remove(&kept->place);
            list_add_tail(&pages->doomed, &kept->place);
        }
    }
    pages_defer_no_more(pages); /* they are of an old epoch */
    drop_atomics(pages, &pages->retry, node);
    drop_atomics(pages, &pages->blocked, node);
    for (uint32_t i = 0; i < REQUEST_BUCKETS; i++) {
        for (struct list *place = pages->by_id[i].next; place != &pages->by_id[i];
             place = place->next) {
            drop_atomics(pages, &list_object(place, struct page_request, by_id)->waiters, node);
        }
    }
}
