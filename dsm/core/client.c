/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/core/client.h"

void clients_init(struct clients_table *table, struct context *context)
{
    table->context = context;
    pool_init(&table->clients, sizeof(struct client), 4, 32);
    pool_init(&table->handles, sizeof(struct handle), ITEMS_PER_STEP * 2, 64);
    pool_init(&table->maps, sizeof(struct map), ITEMS_PER_STEP * 2, 64);
    for (uint32_t i = 0; i < CLIENT_BUCKETS; i++) {
        list_init(&table->by_id[i]);
        list_init(&table->handles_by_number[i]);
    }
    list_init(&table->dying);
}

struct client *client_find(const struct clients_table *table, client_id id)
{
    const struct list *bucket = &table->by_id[id % CLIENT_BUCKETS];

    for (struct list *place = bucket->next; place != bucket; place = place->next) {
        struct client *client = list_object(place, struct client, place);

        if (client->id == id) {
            return client;
        }
    }
    return NULL;
}

struct client *client_get(struct clients_table *table, client_id id)
{
    struct client *client = client_find(table, id);

    for (struct list *place = table->dying.next; place != &table->dying; place = place->next) {
        if (list_object(place, struct client, place)->id == id) {
            return NULL;
        }
    }
    if (client == NULL) {
        client = pool_get(&table->clients);
        client->id = id;
        list_init(&client->handles);
        list_init(&client->maps);
        list_init(&client->calls);
        list_init(&client->tokens);
        list_add_tail(&table->by_id[id % CLIENT_BUCKETS], &client->place);
    }
    return client;
}

/* --- handles --- */

struct handle *client_handle_find(const struct clients_table *table, const struct client *client,
                                  uint64_t number)
{
    const struct list *bucket = &table->handles_by_number[number % CLIENT_BUCKETS];

    for (struct list *place = bucket->next; place != bucket; place = place->next) {
        struct handle *handle = list_object(place, struct handle, by_number);

        if (handle->number == number && handle->client == client) {
            return handle;
        }
    }
    return NULL;
}

struct handle *client_handle_add(struct clients_table *table, struct client *client,
                                 struct region *region, uint32_t rights)
{
    struct handle *handle = pool_get(&table->handles);

    list_init(&handle->bindings);
    handle->client = client;
    handle->region = region;
    handle->rights = rights;
    handle->number = ++table->next_handle;
    list_add_tail(&table->handles_by_number[handle->number % CLIENT_BUCKETS], &handle->by_number);
    list_add_tail(&client->handles, &handle->by_client);
    region->count_refs++;
    region->count_writers += (rights & RIGHTS_WRITE) != 0;
    return handle;
}

struct region *client_handle_remove(struct clients_table *table, struct handle *handle)
{
    struct region *region = handle->region;
    bool may_write = (handle->rights & RIGHTS_WRITE) != 0;

    list_remove(&handle->by_number);
    list_remove(&handle->by_client);
    pool_put(&table->handles, handle);
    if (region != NULL) {
        region->count_refs--;
        region->count_writers -= may_write;
    }
    return region;
}

/* --- mappings --- */

struct map *map_add(struct clients_table *table, struct client *client, struct region *region,
                    uint64_t page, uint64_t count, bool may_write)
{
    struct map *map = pool_get(&table->maps);

    map->id = ++table->next_map;
    map->region = region;
    map->page = page;
    map->count = count;
    map->may_write = may_write;
    list_add_tail(&table->context->maps_by_number[map->id % REGION_BUCKETS], &map->by_number);
    list_add_tail(&region->maps, &map->by_region);
    list_add_tail(&client->maps, &map->by_client);
    region->count_refs++;
    region->count_writers += may_write;
    return map;
}

struct map *client_map(const struct client *client, map_id id)
{
    for (struct list *place = client->maps.next; place != &client->maps; place = place->next) {
        struct map *map = list_object(place, struct map, by_client);

        if (map->id == id) {
            return map;
        }
    }
    return NULL;
}

struct region *map_remove(struct clients_table *table, struct map *map)
{
    struct region *region = map->region;

    region->count_writers -= map->may_write;
    context_act(table->context, ACTION_MAP_GONE, region->record.id)->map = map->id;
    list_remove(&map->by_number);
    list_remove(&map->by_region);
    list_remove(&map->by_client);
    pool_put(&table->maps, map);
    region->count_refs--;
    return region;
}

void clients_region_gone(struct clients_table *table, struct region *region)
{
    for (uint32_t i = 0; i < CLIENT_BUCKETS; i++) {
        struct list *bucket = &table->handles_by_number[i];

        for (struct list *place = bucket->next; place != bucket; place = place->next) {
            struct handle *handle = list_object(place, struct handle, by_number);

            if (handle->region == region) {
                handle->region = NULL;
            }
        }
    }
    /* The driver closes the descriptors of these mappings with the region. */
    while (!list_is_empty(&region->maps)) {
        struct map *map = list_object(region->maps.next, struct map, by_region);

        list_remove(&map->by_number);
        list_remove(&map->by_region);
        list_remove(&map->by_client);
        pool_put(&table->maps, map);
    }
}

/* --- replies --- */

void client_reply(struct context *context, client_id client, uint64_t number,
                  const struct reply *reply)
{
    struct action *action = context_act(context, ACTION_REPLY, reply->region);

    action->reply.client = client;
    action->reply.number = number;
    action->reply.reply = *reply;
}

void client_reply_error(struct context *context, client_id client, uint64_t number, int32_t error,
                        uint32_t node)
{
    struct reply reply = {.error = error, .node = node};

    client_reply(context, client, number, &reply);
}
