/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Local programs as the core sees them: their handles, mappings, calls under way and locks held.
 * All of it goes when the program goes.
 */
#ifndef DSM_CORE_CLIENT_H
#define DSM_CORE_CLIENT_H

#include "dsm/core/context.h"

#define CLIENT_BUCKETS 256u

struct client {
    struct list place;
    struct list handles; /* struct handle */
    struct list maps;    /* struct map */
    struct list calls;   /* struct sync_call: waiting */
    struct list tokens;  /* struct token: of mutexes that it is known to hold */
    client_id id;
    bool is_dying;
};

/** A number that a program has for an open region or semaphore. */
struct handle {
    struct list by_number;
    struct list by_client;
    struct client *client;
    struct region *region; /* NULL: the region is gone */
    struct list bindings;  /* struct binding (binding.h) */
    uint64_t number;
    uint32_t rights; /* enum rights */
};

struct clients_table {
    struct context *context;
    struct pool clients, handles, maps;
    struct list by_id[CLIENT_BUCKETS];
    struct list handles_by_number[CLIENT_BUCKETS];
    struct list dying; /* struct client */
    uint64_t next_handle;
    map_id next_map;
};

void clients_init(struct clients_table *table, struct context *context);
/** The client, made if need be; NULL when it is dying. */
struct client *client_get(struct clients_table *table, client_id id);
/** The client, NULL when it is unknown or dying. */
struct client *client_find(const struct clients_table *table, client_id id);
/** A client's handle of this number, NULL for a stale one. */
struct handle *client_handle_find(const struct clients_table *table, const struct client *client,
                                  uint64_t number);
struct handle *client_handle_add(struct clients_table *table, struct client *client,
                                 struct region *region, uint32_t rights);
/** Returns the region that has one reference less, NULL when it was gone. */
struct region *client_handle_remove(struct clients_table *table, struct handle *handle);
struct map *map_add(struct clients_table *table, struct client *client, struct region *region,
                    uint64_t page, uint64_t count, bool may_write);
/** A client's mapping, NULL for a stale one. */
struct map *client_map(const struct client *client, map_id id);
/** Gives ACTION_MAP_GONE; returns the region that has one reference less. */
struct region *map_remove(struct clients_table *table, struct map *map);
/** The region is gone: handles are stale, mappings are removed. */
void clients_region_gone(struct clients_table *table, struct region *region);
/** Answer a call. */
void client_reply(struct context *context, client_id client, uint64_t number,
                  const struct reply *reply);
/** Answer a call with an error; `node` as in struct reply. */
void client_reply_error(struct context *context, client_id client, uint64_t number, int32_t error,
                        uint32_t node);

#endif
