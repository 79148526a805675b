/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/core/context.h"

#include <string.h>

void context_init(struct context *context, const struct node_config *config)
{
    context->config = *config;
    context->alive = nodeset_of(config->self);
    list_init(&context->timers);
    list_init(&context->loop);
    remotes_init(&context->remotes);
    for (uint32_t i = 0; i < REGION_BUCKETS; i++) {
        list_init(&context->regions[i]);
        list_init(&context->maps_by_number[i]);
    }
    pool_init(&context->loop_pool, sizeof(struct loop_item), ITEMS_PER_STEP * 8, 64);
    pool_init(&context->region_pool, sizeof(struct region), 2, 4);
}

bool context_has_room(const struct context *context)
{
    return context->actions->count + ACTIONS_PER_ITEM <= ACTIONS_MAX;
}

struct action *context_act(struct context *context, uint32_t kind, region_id region)
{
    struct action *action;

    core_assert(context->actions->count < ACTIONS_MAX, "N2: an item adds ACTIONS_PER_ITEM at most");
    action = &context->actions->list[context->actions->count++];
    memset(action, 0, sizeof(*action));
    action->kind = (uint8_t)kind;
    action->region = region;
    return action;
}

struct action *context_act_range(struct context *context, uint32_t kind, region_id region,
                                 uint64_t page, uint32_t count)
{
    struct action *action = context_act(context, kind, region);

    action->page = page;
    action->count = count;
    return action;
}

void context_send(struct context *context, const struct message *message, uint32_t source,
                  uint32_t keep, uint32_t first)
{
    struct action *action;

    if (message->to == context->config.self) {
        struct loop_item *item = pool_get(&context->loop_pool);

        core_assert(source == BYTES_NONE, "N3: no node sends page bytes to itself");
        item->message = *message;
        item->message.from = (uint16_t)context->config.self;
        item->message.epoch = context->epoch;
        list_add_tail(&context->loop, &item->place);
        return;
    }
    action =
        context_act_range(context, ACTION_SEND, message->region, message->page, message->count);
    action->source = (uint8_t)source;
    action->keep = keep;
    action->first = first;
    action->message = *message;
    action->message.from = (uint16_t)context->config.self;
    action->message.epoch = context->epoch;
    context->counters.messages_sent++;
    if (source != BYTES_NONE) {
        if (context->config.big_endian) {
            action->message.flags |= FLAG_BIG_ENDIAN;
        }
        context->counters.pages_sent += message->count;
    }
}

void context_send_idly(struct context *context, const struct message *message,
                       enum may_wait may_wait)
{
    uint32_t before = context->actions->count;

    context_send(context, message, BYTES_NONE, 0, 0);
    if (context->actions->count > before) {
        context->actions->list[before].may_wait = (uint8_t)may_wait;
    }
}

struct region *context_region(const struct context *context, region_id id)
{
    const struct list *bucket = &context->regions[id.slot % REGION_BUCKETS];

    for (struct list *place = bucket->next; place != bucket; place = place->next) {
        struct region *region = list_object(place, struct region, place);

        if (region_id_equal(region->record.id, id)) {
            return region;
        }
    }
    return NULL;
}

struct map *context_map(const struct context *context, map_id id)
{
    const struct list *bucket = &context->maps_by_number[id % REGION_BUCKETS];

    for (struct list *place = bucket->next; place != bucket; place = place->next) {
        struct map *map = list_object(place, struct map, by_number);

        if (map->id == id) {
            return map;
        }
    }
    return NULL;
}

uint32_t region_home(const struct region *region, uint64_t page)
{
    const nodeset *homes = &region->record.homes;
    uint32_t count = nodeset_count(*homes);

    if (count <= 1) {
        return nodeset_first(*homes);
    }
    return nodeset_nth(*homes, (uint32_t)(page / STRIPE_PAGES % count));
}

bool region_home_is_lost(const struct context *context, const struct region *region, uint32_t home)
{
    const struct record *member = remote_record(&context->remotes, home);

    return !nodeset_has(context->alive, home) ||
           (member != NULL && member->joined > region->record.id.generation);
}

void region_open(struct context *context, struct region *region)
{
    struct action *action;

    if (region->is_open) {
        return;
    }
    region->is_open = true;
    action = context_act(context, ACTION_REGION_OPEN, region->record.id);
    action->open.size_bytes = region->record.size_bytes;
    action->open.page_size = region->record.page_size;
}

uint64_t region_pages(const struct region *region)
{
    uint64_t page_size = region->record.page_size;

    return page_size != 0 ? (region->record.size_bytes + page_size - 1) / page_size : 0;
}

uint32_t region_range_max(const struct region *region)
{
    uint32_t count = RANGE_BYTES_MAX / region->record.page_size;

    if (count > RANGE_PAGES_MAX) {
        return RANGE_PAGES_MAX;
    }
    return count > 0 ? count : 1;
}

uint32_t region_same_home(const struct region *region, uint64_t page, uint32_t count)
{
    uint64_t left = region_pages(region) - page;

    if (count > left) {
        count = (uint32_t)left;
    }
    if (nodeset_count(region->record.homes) > 1) {
        uint32_t stripe = STRIPE_PAGES - (uint32_t)(page % STRIPE_PAGES);

        count = count < stripe ? count : stripe;
    }
    return count;
}

uint64_t context_floor(const struct context *context, uint32_t home)
{
    const struct remote *remote = remote_find(&context->remotes, home);
    const struct list *open;

    if (remote == NULL) {
        return 1;
    }
    open = &remote->channel.open;
    return list_is_empty(open)
               ? remote->channel.next_number
               : list_object(open->next, struct outstanding, channel_place)->id / NODES_MAX;
}

bool context_has_window(const struct context *context, uint32_t home)
{
    const struct remote *remote = remote_find(&context->remotes, home);

    return remote == NULL ||
           remote->channel.next_number < context_floor(context, home) + WINDOW - 1;
}

bool outstanding_open(struct context *context, struct outstanding *outstanding, uint32_t home,
                      bool is_call)
{
    struct channel *channel;

    if (!context_has_window(context, home)) {
        return false;
    }
    channel = &remote_get(&context->remotes, home)->channel;
    outstanding->id = channel->next_number++ * NODES_MAX + home;
    outstanding->home = home;
    outstanding->is_call = is_call;
    list_add_tail(&channel->open, &outstanding->channel_place);
    list_init(&outstanding->timer_place);
    outstanding_sent(context, outstanding);
    return true;
}

void outstanding_sent(struct context *context, struct outstanding *outstanding)
{
    outstanding->sent_ms = context->now_ms;
    list_remove(&outstanding->timer_place);
    list_add_tail(&context->timers, &outstanding->timer_place);
}

void outstanding_close(struct context *context, struct outstanding *outstanding)
{
    context->window_moved = true;
    list_remove(&outstanding->channel_place);
    list_remove(&outstanding->timer_place);
}
