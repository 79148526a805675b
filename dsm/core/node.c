/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node: its parts, and the step that hands each event to the part that it is for.
 *
 * N1 A pool holds its low-water mark when a step begins, and a step takes on ITEMS_PER_STEP items
 *    of queued work at most, so no pool runs dry within it.
 * N2 An item of work adds ACTIONS_PER_ITEM actions and DIRECTORY_ITEM_CHUNKS chunks at most, and
 *    begins only when there is room for them.
 * N3 Messages to the node itself carry no page bytes: its pages are where they are.
 * N4 A request is handed to the home's part only after it has been admitted: the region is known,
 *    the sender may use it, and this node is the home.
 * N5 A number that finds a node's record is that of a member: what comes from others is refused.
 */
#include "dsm/core/node.h"

#include "dsm/core/node_parts.h"

#define RESEND_MS_DEFAULT 1000u
#define BARRIER_RUN_DEFAULT 9u

/* Where the pools are in a node. */
static const size_t pool_places[] = {
    offsetof(struct node, context.loop_pool),
    offsetof(struct node, context.region_pool),
    offsetof(struct node, pages.directory.pool),
    offsetof(struct node, pages.requests),
    offsetof(struct node, pages.waiters),
    offsetof(struct node, pages.kept_pool),
    offsetof(struct node, pages.assembly_pool),
    offsetof(struct node, pages.deferred_pool),
    offsetof(struct node, pages.seat_pool),
    offsetof(struct node, homes.transfers),
    offsetof(struct node, homes.directory.pool),
    offsetof(struct node, syncs.objects),
    offsetof(struct node, syncs.ops),
    offsetof(struct node, clients.clients),
    offsetof(struct node, clients.handles),
    offsetof(struct node, clients.maps),
    offsetof(struct node, calls.pool),
    offsetof(struct node, calls.tokens_pool),
    offsetof(struct node, bindings.pool),
    offsetof(struct node, catalog.tickets),
    offsetof(struct node, parked_pool),
    offsetof(struct node, context.remotes.pool),
    offsetof(struct node, context.remotes.records),
    offsetof(struct node, context.remotes.windows),
};

#define POOLS (sizeof(pool_places) / sizeof(pool_places[0]))

static struct pool *node_pool(struct node *node, uint32_t index)
{
    return (struct pool *)(void *)((uint8_t *)node + pool_places[index]);
}

size_t node_size(void)
{
    return sizeof(struct node);
}

int node_init(struct node *node, const struct node_config *config)
{
    struct node_config filled = *config;

    if (config->self >= NODES_MAX) {
        return DSM_EINVAL;
    }
    filled.resend_ms = config->resend_ms != 0 ? config->resend_ms : RESEND_MS_DEFAULT;
    if (filled.barrier_run == 0) {
        filled.barrier_run = BARRIER_RUN_DEFAULT;
    }
    if (filled.read_ahead_pages == 0 || filled.read_ahead_pages > RANGE_PAGES_MAX) {
        filled.read_ahead_pages = RANGE_PAGES_MAX;
    }
    context_init(&node->context, &filled);
    pages_init(&node->pages, &node->context);
    homes_init(&node->homes, &node->context);
    syncs_init(&node->syncs, &node->context);
    clients_init(&node->clients, &node->context);
    calls_init(&node->calls, &node->context, &node->clients);
    bindings_init(&node->bindings, &node->pages, &node->calls);
    catalog_init(&node->catalog, &node->context, &node->clients);
    pool_init(&node->parked_pool, sizeof(struct parked), ITEMS_PER_STEP * 2, 64);
    list_init(&node->parked);
    node->context.counters.core_bytes = sizeof(struct node);
    return 0;
}

size_t node_wants(const struct node *node)
{
    for (uint32_t i = 0; i < POOLS; i++) {
        size_t bytes = pool_wants(node_pool((struct node *)(uintptr_t)node, i));

        if (bytes != 0) {
            return bytes;
        }
    }
    return 0;
}

void node_supply(struct node *node, void *memory)
{
    for (uint32_t i = 0; i < POOLS; i++) {
        struct pool *pool = node_pool(node, i);

        if (pool_wants(pool) != 0) {
            node->context.counters.core_bytes += pool_wants(pool);
            pool_supply(pool, memory);
            return;
        }
    }
}

/* --- the step --- */

static bool resend_one(struct node *node)
{
    struct context *context = &node->context;
    struct outstanding *outstanding;
    bool is_lost;

    if (list_is_empty(&context->timers)) {
        return false;
    }
    outstanding = list_object(context->timers.next, struct outstanding, timer_place);
    if (context->now_ms < outstanding->sent_ms + context->config.resend_ms) {
        return false;
    }
    if (outstanding->is_call) {
        struct sync_call *call = (struct sync_call *)(void *)outstanding;

        is_lost = region_home_is_lost(context, call->region, outstanding->home);
        (is_lost ? calls_fail : calls_resend)(&node->calls, call);
    } else {
        struct page_request *request = (struct page_request *)(void *)outstanding;

        is_lost = region_home_is_lost(context, request->region, outstanding->home);
        (is_lost ? pages_fail : pages_resend)(&node->pages, request);
    }
    return true;
}

/* One message of the node to itself; false: there is none. */
static bool dispatch_own(struct node *node)
{
    struct loop_item *item;
    struct message message;

    if (list_is_empty(&node->context.loop)) {
        return false;
    }
    item = list_object(node->context.loop.next, struct loop_item, place);
    message = item->message;
    list_remove(&item->place);
    pool_put(&node->context.loop_pool, item);
    node_on_message(node, &message);
    return true;
}

/* One message that was put off; false: none is due. */
static bool dispatch_deferred(struct node *node)
{
    struct message message;

    if (!pages_take_deferred(&node->pages, &message)) {
        return false;
    }
    node->pages.is_due = true;
    node_on_message(node, &message);
    node->pages.is_due = false;
    return true;
}

/* One item of queued work; false: nothing is left to do now. */
static bool work(struct node *node)
{
    if (node->context.window_moved) {
        node->context.window_moved = false;
        pages_unblock(&node->pages);
    }
    return dispatch_own(node) || dispatch_deferred(node) || tokens_work(&node->calls) || /* B3 */
           pages_retry(&node->pages) || bindings_ask_next(&node->bindings) ||
           homes_start_ready(&node->homes) ||
           syncs_send_outcome(&node->syncs) || catalog_try(&node->catalog) ||
           catalog_ask_homes(&node->catalog) || node_call_again(node) || resend_one(node) ||
           homes_resend(&node->homes) || syncs_resend(&node->syncs) || node_reap_client(node) ||
           node_try_parked(node) || calls_answer_gone(&node->calls) ||
           calls_unblock(&node->calls) || pages_tidy_kept(&node->pages) ||
           pages_read_ahead(&node->pages) || pages_give_up(&node->pages) ||
           pages_evict(&node->pages);
}

static void on_event(struct node *node, const struct event *event)
{
    switch (event->kind) {
    case EVENT_MESSAGE:
        node->context.counters.messages_received++;
        node->context.payload_pages = event->message.payload_pages;
        node_on_message(node, event->message.message);
        node->context.payload_pages = 0;
        break;
    case EVENT_FAULT:
        pages_on_fault(&node->pages, event->fault.map, event->fault.page, event->fault.write);
        break;
    case EVENT_CALL:
        node_on_call(node, event->call.client, event->call.number, event->call.call);
        break;
    case EVENT_CLIENT_GONE:
        node_on_client_gone(node, event->client_gone);
        break;
    case EVENT_RECORD:
        node_on_record(node, event->record);
        break;
    case EVENT_PROPOSED:
        catalog_on_proposed(&node->catalog, event->proposed.ticket, event->proposed.error,
                            event->proposed.id);
        break;
    case EVENT_PEER_UP:
        node_hurry(node, event->peer_up);
        break;
    case EVENT_ATOMIC_DONE: {
        struct message done = {
            .kind = MESSAGE_ATOMIC_DONE,
            .to = (uint16_t)node->context.config.self,
            .requester = (uint16_t)event->atomic_done.requester,
            .request = event->atomic_done.request,
            .error = event->atomic_done.error,
            .value = event->atomic_done.value,
        };

        context_send(&node->context, &done, BYTES_NONE, 0, 0);
        break;
    }
    case EVENT_DIGEST:
        pages_on_digest(&node->pages, event->digest.region, event->digest.page,
                        event->digest.value, event->digest.is_end);
        break;
    case EVENT_RETIRE:
        pages_retire(&node->pages);
        tokens_leave(&node->calls, NULL);
        break;
    case EVENT_TOKEN:
        tokens_on_taken(&node->calls, event);
        break;
    default:
        break;
    }
}

/* Is there room for one more item (N2)? What is wanted comes before the next step. */
static bool has_room(const struct node *node)
{
    return context_has_room(&node->context) && directory_has_room(&node->pages.directory) &&
           directory_has_room(&node->homes.directory);
}

void node_step(struct node *node, const struct event *event, struct actions *actions)
{
    uint32_t items = 0;

    actions->count = 0;
    node->context.actions = actions;
    node->context.now_ms = event->now_ms;
    on_event(node, event);
    calls_check_deadlines(&node->calls);
    while (items < ITEMS_PER_STEP && has_room(node) && work(node)) {
        items++;
    }
    node->has_more = items == ITEMS_PER_STEP || !has_room(node);
    node->context.actions = NULL;
}

uint64_t node_deadline(const struct node *node)
{
    const struct context *context = &node->context;
    uint64_t deadline = homes_deadline(&node->homes);
    uint64_t other;

    if (node->has_more) {
        return 0;
    }
    if (!list_is_empty(&context->timers)) {
        other = list_object(context->timers.next, struct outstanding, timer_place)->sent_ms +
                context->config.resend_ms;
        deadline = other < deadline ? other : deadline;
    }
    other = syncs_deadline(&node->syncs);
    deadline = other < deadline ? other : deadline;
    other = pages_deadline(&node->pages);
    deadline = other < deadline ? other : deadline;
    other = catalog_deadline(&node->catalog);
    deadline = other < deadline ? other : deadline;
    if (!list_is_empty(&node->parked)) {
        other = list_object(node->parked.next, struct parked, place)->deadline_ms;
        deadline = other < deadline ? other : deadline;
    }
    return node->calls.next_deadline_ms < deadline ? node->calls.next_deadline_ms : deadline;
}

/* --- looking in --- */

bool node_is_retired(const struct node *node)
{
    return pages_is_retired(&node->pages) && node->calls.count_tokens == 0;
}

const struct node_counters *node_counters(const struct node *node)
{
    return &node->context.counters;
}

uint32_t node_epoch(const struct node *node)
{
    return node->context.epoch;
}

nodeset node_members(const struct node *node)
{
    return node->context.alive;
}

const struct record *node_record(const struct node *node, region_id id)
{
    const struct region *region = context_region(&node->context, id);

    return region != NULL ? &region->record : NULL;
}

const struct record *node_records(const struct node *node, uint32_t *cursor)
{
    uint32_t index = 0;

    for (uint32_t i = 0; i < NODES_MAX; i++) {
        const struct record *member = remote_record(&node->context.remotes, i);

        if (member != NULL && index++ == *cursor) {
            (*cursor)++;
            return member;
        }
    }
    for (uint32_t i = 0; i < REGION_BUCKETS; i++) {
        const struct list *bucket = &node->context.regions[i];

        for (const struct list *place = bucket->next; place != bucket; place = place->next) {
            if (index++ == *cursor) {
                (*cursor)++;
                return &list_object((struct list *)(uintptr_t)place, struct region, place)->record;
            }
        }
    }
    return NULL;
}

uint32_t node_page_runs(const struct node *node, region_id id, uint64_t page,
                        struct page_run *runs, uint32_t count_runs)
{
    const struct region *region = context_region(&node->context, id);

    return region != NULL ? homes_page_runs(&node->homes, region, page, runs, count_runs) : 0;
}

void node_page_view(const struct node *node, region_id id, uint64_t page, struct page_view *view)
{
    const struct region *region = context_region(&node->context, id);

    *view = (struct page_view){.home.owner = NODE_NONE};
    if (region != NULL) {
        pages_view(&node->pages, region, page, view);
        homes_view(&node->homes, region, page, view);
    }
}
