/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages that a home gets. The states and the rules H1 to H5 are told in home.c; a message
 * that is about no open transfer is late and changes nothing.
 */
#include "dsm/core/home.h"

static struct transfer *find_repeated(const struct home_page *page, const struct message *message)
{
    struct transfer *transfer = page != NULL ? page->open : NULL;

    if (transfer != NULL && transfer->requester == message->from &&
        transfer->request == message->request) {
        return transfer;
    }
    return NULL;
}

static bool is_waiting(const struct home_page *page, uint32_t requester, uint64_t request)
{
    const struct transfer *transfer = page->waiters;

    while (transfer != NULL &&
           (transfer->requester != requester || transfer->request != request)) {
        transfer = transfer->next;
    }
    return transfer != NULL;
}

/* A repeated request: repeat what it waits for, or the outcome that closed it without a CONFIRM. */
static void repeat(struct homes *homes, const struct message *message, struct home_page *page)
{
    struct transfer *transfer = find_repeated(page, message);
    struct message answer = *message;

    if (transfer != NULL) {
        transfer_drive(homes, transfer);
        return;
    }
    answer.to = message->from;
    if (is_waiting(page, message->from, message->request)) {
        return;
    }
    if (message->kind == MESSAGE_LEAVE) {
        answer.kind = MESSAGE_RELEASE;
        answer.flags = FLAG_LEAVE;
        context_send(homes->context, &answer, BYTES_NONE, 0, 0);
    } else {
        answer.kind = MESSAGE_LOST;
        answer.granted = 1;
        answer.requester = (uint16_t)(home_page_owner(page) % NODES_MAX);
        /*
         * It was closed by a CONFIRM, and then nobody listens, or it was refused. What seems to be
         * lost while a transfer is open may have reached its requester.
         */
        answer.error = page->lost && page->open == NULL ? DSM_EDOWN : DSM_EACCES;
        context_send(homes->context, &answer, BYTES_NONE, 0, 0);
    }
}

void homes_on_request(struct homes *homes, const struct message *message, bool is_new)
{
    struct region *region = context_region(homes->context, message->region);
    struct home_page *page;
    struct transfer *transfer, **tail;

    core_assert(region != NULL, "N4: the node admits no message to an unknown region");
    page = directory_get(&homes->directory, message->region.slot, message->page);
    if (!is_new) {
        repeat(homes, message, page);
        return;
    }
    transfer = transfer_new(homes, region, message->page, message->from);
    transfer->count = region_same_home(region, message->page, message->count);
    if (transfer->count > region_range_max(region)) {
        transfer->count = region_range_max(region);
    }
    transfer->request = message->request;
    transfer->have = message->have;
    transfer->kind = message->kind == MESSAGE_READ    ? TRANSFER_READ
                     : message->kind == MESSAGE_WRITE ? TRANSFER_WRITE
                                                      : TRANSFER_LEAVE;
    if (page->open == NULL && page->waiters == NULL) {
        transfer_start(homes, transfer);
        return;
    }
    for (tail = &page->waiters; *tail != NULL; tail = &(*tail)->next) {
    }
    *tail = transfer;
}

/* The open transfer that a message is about; NULL: the message is late. */
static struct transfer *find_open(const struct homes *homes, const struct message *message)
{
    const struct home_page *page =
        directory_find(&homes->directory, message->region.slot, message->page);
    struct transfer *transfer = page != NULL ? page->open : NULL;

    if (transfer == NULL || transfer->request != message->request ||
        !region_id_equal(transfer->region->record.id, message->region)) {
        return NULL;
    }
    return transfer;
}

void homes_on_invalidated(struct homes *homes, const struct message *message)
{
    struct transfer *transfer = find_open(homes, message);

    if (transfer == NULL || transfer->requester != message->requester ||
        transfer->kind != TRANSFER_WRITE || !nodeset_has(transfer->acks, message->from)) {
        return;
    }
    nodeset_remove(&transfer->acks, message->from);
    /* When the requester is being asked, its transfer ends or begins anew. */
    if (nodeset_is_empty(transfer->acks) && !transfer->asking) {
        transfer_grant(homes, transfer);
    }
}

static void close_adopt(struct homes *homes, struct transfer *transfer, bool adopted)
{
    struct home_page *page = transfer_page(homes, transfer, 0);

    if (adopted) {
        page->owner = transfer->requester + 1u;
        page->orphan = 0;
    } else {
        nodeset_remove(&page->readers, transfer->requester);
        page->lost = nodeset_is_empty(page->readers);
    }
    transfer_close(homes, transfer);
}

bool homes_is_full(const struct homes *homes, uint32_t requester)
{
    const struct remote *remote = remote_find(&homes->context->remotes, requester);

    return remote != NULL && remote->count_transfers >= WINDOW;
}

bool homes_awaits(const struct homes *homes, const struct message *message)
{
    const struct transfer *transfer = find_open(homes, message);

    return transfer != NULL && transfer->kind == TRANSFER_LEAVE &&
           transfer->requester == message->from && transfer->version == message->version;
}

/* An old owner still keeps bytes aside: the RELEASE was lost, if the transfer is closed. */
static void release_again(struct homes *homes, const struct message *message)
{
    const struct home_page *page =
        directory_find(&homes->directory, message->region.slot, message->page);
    const struct transfer *transfer = find_open(homes, message);
    struct message release = *message;

    if ((transfer != NULL && transfer->requester == message->requester) ||
        (page != NULL && is_waiting(page, message->requester, message->request))) {
        return;
    }
    release.kind = MESSAGE_RELEASE;
    release.flags = 0;
    release.to = message->from;
    context_send(homes->context, &release, BYTES_NONE, 0, 0);
}

/* Who has bytes by the transfer's plan; NODE_NONE: nobody need have any. */
static uint32_t holder_of(const struct transfer *transfer)
{
    if (transfer->mode == MODE_DATA) {
        return transfer->source;
    }
    return transfer->mode == MODE_COPY ? transfer->requester : NODE_NONE;
}

/*
 * The source has nothing. A new beginning may be with fewer pages, and the others are free at once;
 * but an earlier FORWARD may have brought bytes of them, or all of them and the CONFIRM is late. So
 * the requester is asked first; it drops what it has got if that was not all. A home that has just
 * asked itself for the first time knows that nothing was sent.
 */
static void begin_anew(struct homes *homes, struct transfer *transfer)
{
    if (transfer->mode == MODE_DATA &&
        (transfer->is_late || transfer->source != homes->context->config.self)) {
        transfer->asking = true;
        transfer_drive(homes, transfer);
    } else {
        transfer_restart(homes, transfer);
    }
}

void homes_on_not_here(struct homes *homes, const struct message *message)
{
    struct transfer *transfer = find_open(homes, message);
    uint32_t first;

    if ((message->flags & FLAG_COPY) != 0) {
        release_again(homes, message);
        return;
    }
    if (transfer == NULL || message->count == 0) {
        return;
    }
    if (transfer->kind == TRANSFER_ADOPT) {
        if (transfer->requester == message->from && (message->flags & FLAG_ADOPT) != 0) {
            close_adopt(homes, transfer, false);
        }
        return;
    }
    if (transfer->requester != message->requester || transfer->kind == TRANSFER_LEAVE) {
        return;
    }
    if (transfer->asking && message->from == transfer->requester) {
        transfer->asking = false;
        transfer_restart(homes, transfer); /* its pages are orphans, or lost */
        return;
    }
    if (transfer->asking || holder_of(transfer) != message->from) {
        return;
    }
    first = (uint32_t)(message->page - transfer->page);
    for (uint32_t i = first; i < transfer->count && i < first + message->count; i++) {
        struct home_page *page = transfer_page(homes, transfer, i);

        nodeset_remove(&page->readers, message->from);
        if (home_page_owner(page) == message->from) {
            page->orphan = 1;
        }
        if (page->orphan && nodeset_is_empty(page->readers)) { /* H6 */
            page->lost = 1;
        }
    }
    begin_anew(homes, transfer);
}

static void apply(struct homes *homes, const struct transfer *transfer, struct home_page *page)
{
    uint32_t self = homes->context->config.self;

    switch (transfer->kind) {
    case TRANSFER_READ:
        nodeset_add(&page->readers, transfer->requester);
        page->lost = 0; /* its source died when the bytes had left */
        break;
    case TRANSFER_WRITE:
        page->readers = nodeset_of(transfer->requester);
        page->owner = transfer->requester + 1u;
        page->written = transfer->version & ((UINT64_C(1) << 48) - 1);
        page->orphan = 0;
        page->lost = 0;
        break;
    case TRANSFER_LEAVE:
        nodeset_remove(&page->readers, transfer->requester);
        nodeset_add(&page->readers, self);
        page->owner = self + 1u;
        page->orphan = 0;
        page->lost = 0;
        break;
    default:
        break;
    }
}

void homes_on_confirm(struct homes *homes, const struct message *message)
{
    struct transfer *transfer = find_open(homes, message);
    bool leave = (message->flags & FLAG_LEAVE) != 0;
    bool adopt = (message->flags & FLAG_ADOPT) != 0;
    uint32_t from;

    if (transfer == NULL || leave != (transfer->kind == TRANSFER_LEAVE) ||
        adopt != (transfer->kind == TRANSFER_ADOPT)) {
        return;
    }
    from = leave ? homes->context->config.self : transfer->requester;
    if (message->from != from || message->count == 0) {
        return;
    }
    if (adopt) {
        close_adopt(homes, transfer, true);
        return;
    }
    for (uint32_t i = 0; i < transfer->count && i < message->count; i++) {
        apply(homes, transfer, transfer_page(homes, transfer, i));
    }
    if (leave || (transfer->kind == TRANSFER_WRITE && transfer->mode == MODE_DATA)) {
        struct message release = transfer_message(transfer, MESSAGE_RELEASE,
                                       leave ? transfer->requester : transfer->source);

        release.flags = leave ? FLAG_LEAVE : 0;
        if (leave) {
            context_send(homes->context, &release, BYTES_NONE, 0, 0);
        } else {
            context_send_idly(homes->context, &release, MAY_WAIT_SHORTLY);
        }
    }
    transfer_close(homes, transfer);
}
