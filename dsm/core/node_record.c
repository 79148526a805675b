/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's news: members come and die, regions come, grow and go. */
#include "dsm/core/group.h"
#include "dsm/core/node_parts.h"

/* Everything that is open is sent again: what was on its way may be lost or is of an old epoch. */
void node_hurry(struct node *node, uint32_t home)
{
    struct list late;

    list_init(&late);
    calls_hurry(&node->calls, home);
    catalog_hurry(&node->catalog);
    for (struct list *place = node->context.timers.next; place != &node->context.timers;) {
        struct outstanding *outstanding = list_object(place, struct outstanding, timer_place);

        place = place->next;
        if (home == NODE_NONE || outstanding->home == home) {
            outstanding->sent_ms = 0;
            list_remove(&outstanding->timer_place);
            list_add_tail(&late, &outstanding->timer_place);
        }
    }
    while (!list_is_empty(&late)) { /* to the front, in their order */
        struct list *place = late.prev;

        list_remove(place);
        place->next = node->context.timers.next;
        place->prev = &node->context.timers;
        place->next->prev = place;
        node->context.timers.next = place;
    }
    homes_hurry(&node->homes);
    syncs_hurry(&node->syncs, home);
}

/* A request of another incarnation would count as seen what the next one has not asked for yet. */
static void drop_parked(struct node *node, uint32_t number)
{
    for (struct list *place = node->parked.next; place != &node->parked;) {
        struct parked *parked = list_object(place, struct parked, place);

        place = place->next;
        if (parked->message.from == number) {
            list_remove(&parked->place);
            pool_put(&node->parked_pool, parked);
            node->count_parked--;
        }
    }
}

static void member_died(struct node *node, uint32_t number)
{
    struct remote *remote = remote_get(&node->context.remotes, number);

    drop_parked(node, number);
    homes_member_died(&node->homes, number);
    syncs_member_died(&node->syncs, number);
    pages_member_died(&node->pages, number);
    tokens_home_died(&node->calls, number);
    if (remote->window != NULL) {
        window_reset(remote->window);
    }
    remote->last_round = 0; /* its next incarnation counts anew */
}

static void on_member(struct node *node, const struct record *record)
{
    struct context *context = &node->context;
    uint32_t number = record->id.slot;
    const struct record *known;

    if (number >= NODES_MAX) {
        return;
    }
    known = remote_record(&context->remotes, number);
    if (number != context->config.self && known != NULL && known->alive &&
        (!record->alive || record->id.generation != known->id.generation)) {
        nodeset_remove(&context->alive, number);
        member_died(node, number);
    }
    remote_set_record(&context->remotes, number, record);
    if (record->alive || number == context->config.self) {
        nodeset_add(&context->alive, number);
    }
    if (record->epoch > context->epoch) {
        context->epoch = record->epoch;
        for (struct list *place = context->loop.next; place != &context->loop;
             place = place->next) {
            list_object(place, struct loop_item, place)->message.epoch = context->epoch;
        }
        node_hurry(node, NODE_NONE);
    }
}

static void region_gone(struct node *node, struct region *region)
{
    struct context *context = &node->context;

    for (struct list *place = context->loop.next; place != &context->loop;) {
        struct loop_item *item = list_object(place, struct loop_item, place);

        place = place->next;
        if (region_id_equal(item->message.region, region->record.id)) {
            list_remove(&item->place);
            pool_put(&context->loop_pool, item);
        }
    }
    pages_region_gone(&node->pages, region);
    homes_region_gone(&node->homes, region);
    syncs_region_gone(&node->syncs, region);
    calls_region_gone(&node->calls, region);
    bindings_region_gone(&node->bindings, region);
    clients_region_gone(&node->clients, region);
    if (region->is_open) {
        context_act(context, ACTION_REGION_CLOSE, region->record.id);
    }
    list_remove(&region->place);
    pool_put(&context->region_pool, region);
}

void node_on_record(struct node *node, const struct record *record)
{
    struct region *region;

    if (record->kind == RECORD_NODE) {
        on_member(node, record);
        return;
    }
    region = context_region(&node->context, record->id);
    if (region != NULL && record->size_bytes > region->record.size_bytes) {
        groups_region_grows(&node->pages, region);
    }
    region = catalog_on_record(&node->catalog, record);
    if (region != NULL && record->deleted) {
        region_gone(node, region);
    }
}
