/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The home of a page serialises its transfers.
 *
 *             READ, WRITE, LEAVE            FORWARD, INVALIDATE ..., GRANT, TAKE
 *   free  -------------------------> open ------------------------------------------+
 *     ^         (busy: wait, FIFO)     |  INVALIDATED from each reader: GRANT       |
 *     |                                |  NOT_HERE: another source or owner         |
 *     +------- CONFIRM ----------------+--------------------------------------------+
 *              (or the requester died, or the pages are lost)
 *
 * A transfer covers a run of pages that are alike: same owner, same readers, the requester's copies
 * all current or none, nobody waiting. A longer request is cut to such a run; the requester asks
 * again for the rest if it still wants it.
 *
 * What may be trusted: while a transfer is open the record still tells of the time before it; the
 * CONFIRM moves it on. `readers` may name nodes that dropped their copy silently, never misses one
 * that has a copy. The owner has the bytes, or they are on their way to the requester of the open
 * transfer and kept aside at the owner.
 *
 * H1 At most one transfer is open for a page; it closes by the requester's CONFIRM and nothing
 *    else, as long as the requester lives. (Data taken as completion lets an invalidation overtake
 *    data.)
 * H2 A GRANT is sent only after every other reader has said INVALIDATED.
 * H3 Owner, readers and version of a record change only when a transfer closes or a member dies.
 * H4 Versions are given out in the order in which transfers open.
 * H5 Waiters of a page are served in the order in which they came.
 * H6 An orphan has readers, or it is lost.
 * H7 What it sends of a transfer that waited for the one before says so (FLAG_WAITED): its own
 *    threads may not have run since their grant (page_turn.c, T4).
 */
#include "dsm/core/home.h"

#include <string.h>

void homes_init(struct homes *homes, struct context *context)
{
    homes->context = context;
    directory_init(&homes->directory, sizeof(struct home_page));
    pool_init(&homes->transfers, sizeof(struct transfer), ITEMS_PER_STEP * 2 + 2, 64);
    list_init(&homes->open);
    list_init(&homes->ready);
}

struct home_page *transfer_page(struct homes *homes, const struct transfer *transfer,
                                uint32_t index)
{
    return directory_get(&homes->directory, transfer->region->record.id.slot,
                         transfer->page + index);
}

uint32_t home_page_owner(const struct home_page *page)
{
    return page->owner != 0 ? (uint32_t)page->owner - 1 : NODE_NONE;
}

/* --- messages of an open transfer --- */

struct message transfer_message(const struct transfer *transfer, uint32_t kind, uint32_t to)
{
    struct message message = {
        .kind = (uint8_t)kind,
        .to = (uint16_t)to,
        .requester = transfer->requester,
        .region = transfer->region->record.id,
        .page = transfer->page,
        .count = (uint16_t)transfer->count,
        .granted = (uint16_t)transfer->count,
        .request = transfer->request,
        .version = transfer->version,
        .flags = transfer->has_waited ? FLAG_WAITED : 0,
    };

    return message;
}

static void send_simple(struct homes *homes, const struct transfer *transfer, uint32_t kind,
                        uint32_t to)
{
    struct message message = transfer_message(transfer, kind, to);

    context_send(homes->context, &message, BYTES_NONE, 0, 0);
}

static void send_forward(struct homes *homes, const struct transfer *transfer)
{
    struct message message = transfer_message(transfer, MESSAGE_FORWARD, transfer->source);

    message.flags |= (uint16_t)((transfer->kind == TRANSFER_WRITE ? FLAG_WRITE : 0) |
                               (transfer->announced ? FLAG_GRANT : 0));
    context_send(homes->context, &message, BYTES_NONE, 0, 0);
}

void transfer_grant(struct homes *homes, const struct transfer *transfer)
{
    struct message message = transfer_message(transfer, MESSAGE_GRANT, transfer->requester);
    static const uint8_t mode_flags[] = {0, FLAG_ZERO, FLAG_COPY};

    core_assert(nodeset_is_empty(transfer->acks), "H2");
    message.flags = mode_flags[transfer->mode];
    if (transfer->kind == TRANSFER_WRITE) {
        message.flags |= FLAG_WRITE;
    }
    context_send(homes->context, &message, BYTES_NONE, 0, 0);
}

void transfer_drive(struct homes *homes, struct transfer *transfer)
{
    const nodeset *acks = &transfer->acks;

    transfer->sent_ms = homes->context->now_ms;
    list_remove(&transfer->place);
    list_add_tail(&homes->open, &transfer->place);
    if (transfer->asking) {
        send_simple(homes, transfer, MESSAGE_ASK, transfer->requester);
        return;
    }
    if (transfer->kind == TRANSFER_LEAVE) {
        send_simple(homes, transfer, MESSAGE_TAKE, transfer->requester);
        return;
    }
    if (transfer->kind == TRANSFER_ADOPT) {
        send_simple(homes, transfer, MESSAGE_ADOPT, transfer->requester);
        return;
    }
    for (uint32_t node = nodeset_first(*acks); node != NODE_NONE;
         node = nodeset_next(*acks, node)) {
        send_simple(homes, transfer, MESSAGE_INVALIDATE, node);
    }
    if (transfer->mode == MODE_DATA) {
        send_forward(homes, transfer);
        transfer->is_late = transfer->is_forwarded;
        transfer->is_forwarded = true;
    }
    if (nodeset_is_empty(*acks) && (transfer->mode != MODE_DATA || transfer->announced)) {
        transfer_grant(homes, transfer);
    }
}

/* --- life of a transfer --- */

struct transfer *transfer_new(struct homes *homes, struct region *region, uint64_t page,
                              uint32_t requester)
{
    struct transfer *transfer = pool_get(&homes->transfers);

    list_init(&transfer->place);
    transfer->region = region;
    transfer->page = page;
    transfer->requester = (uint16_t)requester;
    transfer->source = NODE_NONE;
    remote_get(&homes->context->remotes, requester)->count_transfers++;
    return transfer;
}

void transfer_free(struct homes *homes, struct transfer *transfer)
{
    list_remove(&transfer->place);
    remote_get(&homes->context->remotes, transfer->requester)->count_transfers--;
    pool_put(&homes->transfers, transfer);
}

static void make_ready(struct homes *homes, struct home_page *page)
{
    if (page->waiters != NULL && list_is_empty(&page->waiters->place)) {
        list_add_tail(&homes->ready, &page->waiters->place);
    }
}

void transfer_close(struct homes *homes, struct transfer *transfer)
{
    for (uint32_t i = 0; i < transfer->count; i++) {
        struct home_page *page = transfer_page(homes, transfer, i);

        core_assert(page->open == transfer, "H1");
        page->open = NULL;
        make_ready(homes, page);
    }
    transfer_free(homes, transfer);
}

static void wait_first(struct homes *homes, struct transfer *transfer)
{
    struct home_page *page = transfer_page(homes, transfer, 0);

    list_remove(&transfer->place);
    transfer->is_open = false;
    transfer->next = page->waiters;
    if (page->waiters != NULL) {
        list_remove(&page->waiters->place);
    }
    page->waiters = transfer;
}

void transfer_restart(struct homes *homes, struct transfer *transfer)
{
    for (uint32_t i = 0; i < transfer->count; i++) {
        struct home_page *page = transfer_page(homes, transfer, i);

        page->open = NULL;
        if (i > 0) {
            make_ready(homes, page);
        }
    }
    transfer->is_forwarded = false;
    transfer->is_late = false;
    wait_first(homes, transfer);
    make_ready(homes, transfer_page(homes, transfer, 0));
}

void transfer_lose(struct homes *homes, struct transfer *transfer)
{
    const struct home_page *page = transfer_page(homes, transfer, 0);
    struct message message = transfer_message(transfer, MESSAGE_LOST, transfer->requester);

    message.error = DSM_EDOWN;
    message.requester = (uint16_t)(home_page_owner(page) % NODES_MAX);
    context_send(homes->context, &message, BYTES_NONE, 0, 0);
    transfer_close(homes, transfer);
}

static bool is_alike(const struct home_page *first, const struct home_page *page)
{
    return page->open == NULL && page->waiters == NULL && page->owner == first->owner &&
           nodeset_equal(page->readers, first->readers) && page->lost == first->lost &&
           page->orphan == first->orphan;
}

/* Is the copy that the requester says it has the latest of this page? */
static bool is_current(const struct transfer *transfer, const struct home_page *page)
{
    return nodeset_has(page->readers, transfer->requester) && transfer->have != 0 &&
           transfer->have >= page->written;
}

/* Could the page be covered by a transfer of the one before? */
static bool continues_run(const struct transfer *transfer, const struct home_page *first,
                          const struct home_page *page)
{
    return is_alike(first, page) && is_current(transfer, first) == is_current(transfer, page);
}

/* Open it over the longest run of pages that are alike (H1, H4). */
static void open_run(struct homes *homes, struct transfer *transfer)
{
    struct home_page *first = transfer_page(homes, transfer, 0);
    uint32_t count = 1;

    core_assert(first->open == NULL, "H1");
    while (count < transfer->count &&
           continues_run(transfer, first, transfer_page(homes, transfer, count))) {
        count++;
    }
    transfer->count = count;
    transfer->version = ++homes->clock;
    transfer->is_open = true;
    for (uint32_t i = 0; i < count; i++) {
        transfer_page(homes, transfer, i)->open = transfer;
    }
}

static void plan_read(struct homes *homes, struct transfer *transfer, const struct home_page *page)
{
    uint32_t self = homes->context->config.self;
    uint32_t owner = home_page_owner(page);

    transfer->acks = NODESET_EMPTY;
    transfer->announced = false;
    if (owner == NODE_NONE) {
        transfer->mode = MODE_ZERO;
    } else if (owner == transfer->requester) {
        transfer->mode = MODE_COPY;
    } else {
        bool here = nodeset_has(page->readers, self) && self != transfer->requester &&
                    transfer->source != self;

        transfer->mode = MODE_DATA;
        transfer->source = (uint16_t)(here ? self : owner);
    }
}

static void plan_write(struct transfer *transfer, const struct home_page *page)
{
    uint32_t owner = home_page_owner(page);

    transfer->acks = nodeset_minus(page->readers, nodeset_of(transfer->requester));
    if (owner == transfer->requester) {
        transfer->mode = MODE_COPY; /* the home itself: it took the page over after it had asked */
    } else if (is_current(transfer, page)) {
        transfer->mode = MODE_COPY;
    } else if (owner == NODE_NONE) {
        transfer->mode = MODE_ZERO;
    } else {
        transfer->mode = MODE_DATA;
        transfer->source = (uint16_t)owner;
        nodeset_remove(&transfer->acks, owner);
    }
    transfer->announced = !nodeset_is_empty(transfer->acks);
}

/*
 * The owner died: before anything else a reader has to take its place; first of all who was it
 * before.
 */
static void adopt_first(struct homes *homes, struct transfer *transfer)
{
    struct home_page *page = transfer_page(homes, transfer, 0);
    uint32_t owner = home_page_owner(page);
    uint32_t heir = nodeset_has(page->readers, owner) ? owner : nodeset_first(page->readers);
    struct transfer *adopt;

    core_assert(heir < NODES_MAX, "H6");
    adopt = transfer_new(homes, transfer->region, transfer->page, heir);

    wait_first(homes, transfer);
    adopt->kind = TRANSFER_ADOPT;
    adopt->count = 1;
    open_run(homes, adopt);
    adopt->request = adopt->version;
    transfer_drive(homes, adopt);
}

void transfer_start(struct homes *homes, struct transfer *transfer)
{
    const struct home_page *page = transfer_page(homes, transfer, 0);

    if (page->orphan && !page->lost) {
        adopt_first(homes, transfer);
        return;
    }
    open_run(homes, transfer);
    if (transfer->kind == TRANSFER_LEAVE) {
        /* Of a page that is lost not even its last owner has bytes any more. */
        if (home_page_owner(page) != transfer->requester || page->lost) {
            struct message release =
                transfer_message(transfer, MESSAGE_RELEASE, transfer->requester);

            release.flags = FLAG_LEAVE;
            context_send(homes->context, &release, BYTES_NONE, 0, 0);
            transfer_close(homes, transfer);
            return;
        }
    } else if (page->lost) {
        transfer_lose(homes, transfer);
        return;
    } else if (transfer->kind == TRANSFER_READ) {
        plan_read(homes, transfer, page);
    } else {
        plan_write(transfer, page);
    }
    transfer_drive(homes, transfer);
}

bool homes_start_ready(struct homes *homes)
{
    struct transfer *transfer;
    struct home_page *page;

    if (list_is_empty(&homes->ready)) {
        return false;
    }
    transfer = list_object(homes->ready.next, struct transfer, place);
    list_remove(&transfer->place);
    page = transfer_page(homes, transfer, 0);
    core_assert(page->waiters == transfer, "H5");
    if (page->open == NULL) {
        page->waiters = transfer->next;
        transfer->next = NULL;
        transfer->has_waited = true;
        transfer_start(homes, transfer);
    }
    return true;
}
