/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages: who may send which kind (the dispatch table), which requests are admitted to the home's
 * part (N4 in node.c), and which have to wait for the catalog's news.
 */
#include "dsm/core/node_parts.h"
#include "dsm/core/sealed.h"

/* Who may send a kind, and what has to be true of it. */
enum admission {
    ADMIT_SELF = 1,    /* only from this node itself */
    ADMIT_MEMBER = 2,  /* any member */
    ADMIT_REQUEST = 3, /* a member with the right to the region, to this node as the home, or, of
                          a sealed region, to any node */
};

static void refuse(struct node *node, const struct message *message, int32_t error)
{
    struct message answer = *message;

    node->context.counters.refused++;
    if (message->kind == MESSAGE_SEAL) {
        return; /* it is asked again */
    }
    answer.to = message->from;
    answer.error = error;
    answer.flags = 0;
    if (message->kind == MESSAGE_PULL) {
        answer.kind = MESSAGE_SEAT;
    } else if (message->kind == MESSAGE_SYNC) {
        answer.kind = MESSAGE_SYNC_REPLY;
    } else if (message->kind == MESSAGE_LEAVE) {
        answer.kind = MESSAGE_RELEASE;
        answer.flags = FLAG_LEAVE;
    } else {
        answer.kind = MESSAGE_LOST;
        answer.granted = message->count;
        answer.requester = (uint16_t)node->context.config.self;
    }
    context_send(&node->context, &answer, BYTES_NONE, 0, 0);
}

static bool was_admitted(const struct node *node, const struct message *message)
{
    const struct remote *remote = remote_find(&node->context.remotes, message->from);

    return remote != NULL && remote->window != NULL &&
           window_has(remote->window, message->request / NODES_MAX);
}

/* May the sender make this request? What was admitted once is admitted again. */
static bool has_right(const struct node *node, const struct region *region,
                      const struct message *message)
{
    bool writes = message->kind == MESSAGE_WRITE || message->kind == MESSAGE_SYNC;

    if (message->from == node->context.config.self || message->kind == MESSAGE_LEAVE ||
        was_admitted(node, message)) {
        return true; /* the home's own: its programs were checked, atomic operations are others' */
    }
    if (nodeset_has(writes ? region->record.writers : region->record.readers, message->from)) {
        return true;
    }
    /* What a program that has gone still holds or waits for is given back all the same. */
    return message->kind == MESSAGE_SYNC &&
           (message->op == SYNC_UNLOCK_DEAD || message->op == SYNC_CANCEL ||
            message->op == SYNC_SEM_POST || message->op == SYNC_UNLOCK);
}

static bool is_about_sealed(const struct message *message)
{
    return message->kind == MESSAGE_PULL || message->kind == MESSAGE_SEAL;
}

/* Likewise, of a message about a region that the sender knows to be sealed (I3). */
static int32_t check_sealed(const struct node *node, const struct message *message)
{
    const struct region *region = context_region(&node->context, message->region);

    if (region == NULL || !region->record.sealed) {
        return DSM_EAGAIN;
    }
    if (message->kind == MESSAGE_SEAL) {
        return 0;
    }
    if (message->count == 0 || message->count > region_range_max(region) ||
        message->page + message->count > region_pages(region) ||
        region_same_home(region, message->page, message->count) != message->count) {
        return DSM_EPROTO;
    }
    return message->from == node->context.config.self ||
                   nodeset_has(region->record.readers, message->from) ||
                   nodeset_has(region->record.homes, message->from)
               ? 0
               : DSM_EAGAIN;
}

/* 0: admitted; DSM_EAGAIN: it is ahead of the catalog's news; else why not. */
static int32_t check_request(const struct node *node, const struct message *message)
{
    const struct context *context = &node->context;
    const struct region *region = context_region(context, message->region);
    bool is_sync = message->kind == MESSAGE_SYNC;
    uint64_t page = message->page;

    if (is_about_sealed(message)) {
        return check_sealed(node, message);
    }
    if (region == NULL) {
        return DSM_EAGAIN;
    }
    if (message->request % NODES_MAX != context->config.self) {
        return DSM_EPROTO;
    }
    if (is_sync && region->record.page_size != 0) {
        if (message->offset >= region->record.size_bytes) {
            return DSM_EAGAIN;
        }
        page = message->offset / region->record.page_size;
    }
    if (!is_sync &&
        (message->count == 0 || page + message->count > region_pages(region))) {
        return DSM_EAGAIN; /* the region may have grown */
    }
    if (region_home(region, page) != context->config.self) {
        return DSM_EPROTO;
    }
    if (region_home_is_lost(context, region, context->config.self)) {
        return DSM_EDOWN;
    }
    return has_right(node, region, message) ? 0 : DSM_EAGAIN;
}

static void accept_sealed(struct node *node, const struct message *message)
{
    struct message answer = *message;

    if (message->kind == MESSAGE_PULL) {
        sealed_on_pull(&node->pages, message);
    } else {
        answer.kind = MESSAGE_SEALED;
        answer.to = message->from;
        context_send(&node->context, &answer, BYTES_NONE, 0, 0);
    }
}

static void accept_request(struct node *node, const struct message *message)
{
    uint64_t number = message->request / NODES_MAX;
    enum window_answer answer;

    if (is_about_sealed(message)) {
        accept_sealed(node, message);
        return;
    }
    if (message->kind == MESSAGE_SYNC ? syncs_is_full(&node->syncs, message)
                                      : homes_is_full(&node->homes, message->from)) {
        node->context.counters.refused++; /* before its number counts as seen */
        return;
    }
    answer =
        window_note(remote_window(&node->context.remotes, message->from), number, message->floor);
    syncs_raise_floor(&node->syncs, message->from, message->floor);
    if (answer == WINDOW_BEYOND) {
        node->context.counters.refused++;
    } else if (message->kind == MESSAGE_SYNC) {
        syncs_on_request(&node->syncs, message, answer == WINDOW_NEW);
    } else {
        homes_on_request(&node->homes, message, answer == WINDOW_NEW);
    }
}

static void on_request(struct node *node, const struct message *message)
{
    int32_t error = check_request(node, message);
    struct parked *parked;

    if (error == 0) {
        accept_request(node, message);
    } else if (error == DSM_EAGAIN) {
        if (node->count_parked >= PARKED_MAX) {
            node->context.counters.refused++;
            return;
        }
        parked = pool_get(&node->parked_pool);
        parked->message = *message;
        parked->deadline_ms = node->context.now_ms + node->context.config.resend_ms;
        list_add_tail(&node->parked, &parked->place);
        node->count_parked++;
    } else if (error == DSM_EPROTO) {
        node->context.counters.refused++;
    } else {
        refuse(node, message, error);
    }
}

/* The catalog's news may have come for this one; or its time is up. */
bool node_try_parked(struct node *node)
{
    for (struct list *place = node->parked.next; place != &node->parked; place = place->next) {
        struct parked *parked = list_object(place, struct parked, place);
        struct message message = parked->message;
        int32_t error = check_request(node, &message);
        bool late = node->context.now_ms >= parked->deadline_ms;

        if (error == DSM_EAGAIN && !late) {
            continue;
        }
        list_remove(place);
        pool_put(&node->parked_pool, parked);
        node->count_parked--;
        if (error == DSM_EAGAIN) {
            const struct region *region = context_region(&node->context, message.region);

            if (!is_about_sealed(&message)) {
                /* No other copy of it is admitted later, when the requester has given it up. */
                window_note(remote_window(&node->context.remotes, message.from),
                            message.request / NODES_MAX, message.floor);
            }
            refuse(node, &message, region == NULL ? DSM_ESTALE : DSM_EACCES);
        } else {
            on_request(node, &message);
        }
        return true;
    }
    return false;
}

static void dispatch_page(struct node *node, const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_FORWARD:
        pages_on_forward(&node->pages, message);
        break;
    case MESSAGE_DATA:
        if ((message->flags & FLAG_LEAVE) == 0 || homes_awaits(&node->homes, message)) {
            pages_on_data(&node->pages, message);
        }
        break;
    case MESSAGE_GRANT:
        pages_on_grant(&node->pages, message);
        break;
    case MESSAGE_INVALIDATE:
        pages_on_invalidate(&node->pages, message);
        break;
    case MESSAGE_RELEASE:
        pages_on_release(&node->pages, message);
        break;
    case MESSAGE_TAKE:
        pages_on_take(&node->pages, message);
        break;
    case MESSAGE_LOST:
        pages_on_lost(&node->pages, message);
        break;
    case MESSAGE_ADOPT:
        pages_on_adopt(&node->pages, message);
        break;
    case MESSAGE_ASK:
        pages_on_ask(&node->pages, message);
        break;
    case MESSAGE_ATOMIC:
        pages_on_atomic(&node->pages, message);
        break;
    case MESSAGE_SYNC_REPLY:
        calls_on_reply(&node->calls, message);
        break;
    case MESSAGE_RECALL:
        tokens_on_recall(&node->calls, message);
        break;
    case MESSAGE_BARRIER_OVER:
        calls_on_over(&node->calls, message);
        break;
    case MESSAGE_SEAT:
        sealed_on_seat(&node->pages, message);
        break;
    case MESSAGE_SEALED:
        catalog_on_sealed(&node->catalog, message);
        break;
    default:
        break;
    }
}

static void dispatch_home(struct node *node, const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_READ:
    case MESSAGE_WRITE:
    case MESSAGE_LEAVE:
    case MESSAGE_SYNC:
    case MESSAGE_PULL:
    case MESSAGE_SEAL:
        on_request(node, message);
        break;
    case MESSAGE_INVALIDATED:
        homes_on_invalidated(&node->homes, message);
        break;
    case MESSAGE_NOT_HERE:
        homes_on_not_here(&node->homes, message);
        break;
    case MESSAGE_CONFIRM:
        homes_on_confirm(&node->homes, message);
        break;
    case MESSAGE_SYNC_ACK:
        syncs_on_ack(&node->syncs, message);
        break;
    case MESSAGE_HELD:
        syncs_on_held(&node->syncs, message);
        break;
    case MESSAGE_ATOMIC_DONE:
        syncs_on_atomic_done(&node->syncs, message);
        break;
    default:
        break;
    }
}

typedef void (*message_handler)(struct node *node, const struct message *message);

struct dispatch_row {
    message_handler handler;
    enum admission admission;
};

/* One row per kind: who handles it, who may send it. */
static const struct dispatch_row dispatch_table[MESSAGE_KINDS] = {
    [MESSAGE_READ] = {dispatch_home, ADMIT_REQUEST},
    [MESSAGE_WRITE] = {dispatch_home, ADMIT_REQUEST},
    [MESSAGE_LEAVE] = {dispatch_home, ADMIT_REQUEST},
    [MESSAGE_SYNC] = {dispatch_home, ADMIT_REQUEST},
    [MESSAGE_PULL] = {dispatch_home, ADMIT_REQUEST},
    [MESSAGE_SEAL] = {dispatch_home, ADMIT_REQUEST},
    [MESSAGE_INVALIDATED] = {dispatch_home, ADMIT_MEMBER},
    [MESSAGE_NOT_HERE] = {dispatch_home, ADMIT_MEMBER},
    [MESSAGE_CONFIRM] = {dispatch_home, ADMIT_MEMBER},
    [MESSAGE_SYNC_ACK] = {dispatch_home, ADMIT_MEMBER},
    [MESSAGE_ATOMIC_DONE] = {dispatch_home, ADMIT_SELF},
    [MESSAGE_FORWARD] = {dispatch_page, ADMIT_MEMBER},
    [MESSAGE_DATA] = {dispatch_page, ADMIT_MEMBER},
    [MESSAGE_GRANT] = {dispatch_page, ADMIT_MEMBER},
    [MESSAGE_INVALIDATE] = {dispatch_page, ADMIT_MEMBER},
    [MESSAGE_RELEASE] = {dispatch_page, ADMIT_MEMBER},
    [MESSAGE_TAKE] = {dispatch_page, ADMIT_MEMBER},
    [MESSAGE_LOST] = {dispatch_page, ADMIT_MEMBER},
    [MESSAGE_ADOPT] = {dispatch_page, ADMIT_MEMBER},
    [MESSAGE_ASK] = {dispatch_page, ADMIT_MEMBER},
    [MESSAGE_ATOMIC] = {dispatch_page, ADMIT_SELF},
    [MESSAGE_SYNC_REPLY] = {dispatch_page, ADMIT_MEMBER},
    [MESSAGE_RECALL] = {dispatch_page, ADMIT_MEMBER},
    [MESSAGE_HELD] = {dispatch_home, ADMIT_MEMBER},
    [MESSAGE_BARRIER_OVER] = {dispatch_page, ADMIT_MEMBER},
    [MESSAGE_SEAT] = {dispatch_page, ADMIT_MEMBER},
    [MESSAGE_SEALED] = {dispatch_page, ADMIT_MEMBER},
};

/* What only the home of the range may say comes from it, or not at all. */
static bool comes_from_home(const struct node *node, const struct message *message)
{
    const struct region *region = context_region(&node->context, message->region);

    switch (message->kind) {
    case MESSAGE_FORWARD:
    case MESSAGE_GRANT:
    case MESSAGE_INVALIDATE:
    case MESSAGE_RELEASE:
    case MESSAGE_TAKE:
    case MESSAGE_LOST:
    case MESSAGE_ADOPT:
    case MESSAGE_ASK:
        return region == NULL || region_home(region, message->page) == message->from;
    default:
        return true;
    }
}

static bool is_in_bounds(const struct node *node, const struct message *message)
{
    const struct region *region = context_region(&node->context, message->region);

    if (message->kind == MESSAGE_SYNC || message->kind == MESSAGE_SYNC_REPLY ||
        message->kind == MESSAGE_SYNC_ACK || region == NULL ||
        dispatch_table[message->kind].admission != ADMIT_MEMBER) {
        return true;
    }
    return message->page + message->count <= region_pages(region) &&
           message->count <= RANGE_PAGES_MAX && message->granted <= RANGE_PAGES_MAX;
}

void node_on_message(struct node *node, const struct message *message)
{
    struct context *context = &node->context;
    const struct dispatch_row *row;
    bool is_own = message->from == context->config.self;

    if (message->kind == MESSAGE_NONE || message->kind >= MESSAGE_KINDS ||
        message->from >= NODES_MAX) {
        context->counters.refused++;
        return;
    }
    row = &dispatch_table[message->kind];
    if (row->handler == NULL) {
        context->counters.refused++; /* a number that no kind has */
        return;
    }
    if (message->epoch != context->epoch) {
        context->counters.old_epoch++;
        return;
    }
    if ((row->admission == ADMIT_SELF && !is_own) ||
        (!is_own && !nodeset_has(context->alive, message->from)) ||
        !comes_from_home(node, message) || !is_in_bounds(node, message)) {
        context->counters.refused++;
        return;
    }
    row->handler(node, message);
}
