/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of local programs: what can be decided here is, the rest goes to the catalog or to a home.
 */
#include "dsm/core/group.h"
#include "dsm/core/node_parts.h"

#include <string.h>

#include "dsm/core/type.h"

static int32_t check_name(const struct call *call)
{
    if (!record_name_is_valid(call->name)) {
        return DSM_ENAME;
    }
    return call->object == RECORD_REGION || call->object == RECORD_SEM ? 0 : DSM_EINVAL;
}

static int32_t check_new(struct call *call)
{
    if (call->object == RECORD_SEM) {
        return call->value <= INT32_MAX ? 0 : DSM_EINVAL;
    }
    if (call->page_size == 0) {
        call->page_size = DSM_PAGE_SIZE_MIN; /* on every node: groups make up the difference */
    }
    if (call->page_size < DSM_PAGE_SIZE_MIN || call->page_size > DSM_PAGE_SIZE_MAX ||
        (call->page_size & (call->page_size - 1)) != 0 || call->home > DSM_HOME_STRIPED ||
        (call->window_ms > DSM_WINDOW_MS_MAX && call->window_ms != DSM_WINDOW_NONE)) {
        return DSM_EINVAL;
    }
    return 0;
}

static void on_map(struct node *node, struct client *client, uint64_t number,
                   const struct handle *handle, const struct call *call)
{
    struct region *region = handle->region;
    uint64_t page_size = region->record.page_size;
    uint64_t end = region_pages(region) * page_size;
    struct reply reply = {.node = NODE_NONE};
    int32_t error = 0;
    struct map *map;

    if (region->record.kind != RECORD_REGION || call->size_bytes == 0 ||
        (call->rights & RIGHTS_READ) == 0 ||
        call->offset % (page_size * pages_group_size(&node->pages, region)) != 0) {
        error = DSM_EINVAL;
    } else if (call->offset >= end || call->size_bytes > end - call->offset) {
        error = DSM_ERANGE;
    } else if ((call->rights & ~handle->rights) != 0) {
        error = DSM_EACCES;
    } else if ((call->rights & RIGHTS_WRITE) != 0 && region->record.sealed) {
        error = DSM_ESEALED;
    } else if ((call->rights & RIGHTS_WRITE) != 0 && catalog_is_sealing(&node->catalog, region)) {
        error = DSM_EBUSY;
    }
    if (error != 0) {
        client_reply_error(&node->context, client->id, number, error, NODE_NONE);
        return;
    }
    region_open(&node->context, region);
    map =
        map_add(&node->clients, client, region, call->offset / page_size,
                (call->size_bytes + page_size - 1) / page_size, (call->rights & RIGHTS_WRITE) != 0);
    reply.map = map->id;
    reply.region = region->record.id;
    reply.size_bytes = map->count * page_size;
    reply.page_size = region->record.page_size;
    client_reply(&node->context, client->id, number, &reply);
}

static void on_advise(struct node *node, const struct client *client, uint64_t number,
                      const struct region *region, const struct call *call)
{
    struct reply done = {.node = NODE_NONE};
    uint64_t page_size = region->record.page_size, end = region_pages(region) * page_size;
    uint64_t first, last;

    if (region->record.kind != RECORD_REGION || call->op < DSM_ADVICE_WILL_NEED ||
        call->op > DSM_ADVICE_MIGRATORY) {
        client_reply_error(&node->context, client->id, number, DSM_EINVAL, NODE_NONE);
    } else if (call->offset > end || call->size_bytes > end - call->offset) {
        client_reply_error(&node->context, client->id, number, DSM_ERANGE, NODE_NONE);
    } else {
        first = call->offset / page_size;
        last = (call->offset + call->size_bytes + page_size - 1) / page_size;
        if (call->op == DSM_ADVICE_DONE_WITH) { /* pages that others may use stay */
            first = (call->offset + page_size - 1) / page_size;
            last = (call->offset + call->size_bytes) / page_size;
        }
        if (first < last) {
            pages_advise(&node->pages, region, (struct page_span){first, last - first}, call->op);
        }
        client_reply(&node->context, client->id, number, &done);
    }
}

static void reply_stat(struct node *node, const struct client *client, uint64_t number,
                       const struct region *region)
{
    struct reply reply = {
        .node = NODE_NONE,
        .region = region->record.id,
        .size_bytes = region->record.size_bytes,
        .page_size = region->record.page_size,
        .mode = region->record.mode,
        .uid = region->record.uid,
        .gid = region->record.gid,
        .home = region->record.home,
        .window_ms = region->record.window_ms,
    };

    client_reply(&node->context, client->id, number, &reply);
}

static void drop_ref(struct node *node, struct region *region)
{
    if (region != NULL && region->count_refs == 0) {
        tokens_leave(&node->calls, region);
    }
    if (region != NULL) {
        catalog_leave(&node->catalog, region);
    }
}

static void remove_handle(struct node *node, struct handle *handle)
{
    bindings_handle_gone(&node->bindings, handle);
    drop_ref(node, client_handle_remove(&node->clients, handle));
}

/* The program is to share the words of this region's mutexes. */
static void on_tokens(struct node *node, const struct client *client, uint64_t number,
                      const struct handle *handle)
{
    const struct record *record = &handle->region->record;
    struct reply reply = {.node = NODE_NONE, .value = client->id, .region = record->id};

    if (record->kind != RECORD_REGION || record->size_bytes == 0) {
        reply.error = DSM_EINVAL;
    } else if ((handle->rights & RIGHTS_WRITE) == 0) {
        reply.error = DSM_EACCES;
    } else {
        region_open(&node->context, handle->region);
        handle->region->has_tokens = true;
    }
    client_reply(&node->context, client->id, number, &reply);
}

/* How many bytes of the region a call of this kind is about. */
static uint64_t sync_bytes(const struct call *call)
{
    return call->op == SYNC_FETCH_ADD || call->op == SYNC_COMPARE_SWAP ? 8 : 1;
}

/*
 * Does the answer hang on news that may not be here yet? How large a region is now, and whether it
 * is still too small. (One that is large enough stays so.)
 */
static bool needs_news(const struct region *region, const struct call *call)
{
    uint64_t size_bytes = region->record.size_bytes;

    if (region->record.kind != RECORD_REGION) {
        return false; /* nothing of a semaphore's record changes */
    }
    if (call->kind == CALL_STAT) {
        return true;
    }
    if (call->kind == CALL_MAP || call->kind == CALL_ADVISE) {
        size_bytes = region_pages(region) * region->record.page_size;
        return call->offset > size_bytes || call->size_bytes > size_bytes - call->offset;
    }
    if (call->kind == CALL_BIND) {
        return bindings_leave(&region->record, call);
    }
    return call->kind == CALL_SYNC &&
           (call->offset >= size_bytes || size_bytes - call->offset < sync_bytes(call));
}

static void on_handle_call(struct node *node, struct client *client, uint64_t number,
                           const struct call *call, bool has_news)
{
    struct handle *handle = client_handle_find(&node->clients, client, call->handle);
    struct reply done = {.node = NODE_NONE};

    if (handle == NULL || (handle->region == NULL && call->kind != CALL_CLOSE)) {
        client_reply_error(&node->context, client->id, number, DSM_ESTALE, NODE_NONE);
        return;
    }
    if (!has_news && call->kind != CALL_CLOSE && needs_news(handle->region, call)) {
        catalog_on_call(&node->catalog, client, number, call, handle->region->record.id);
        return;
    }
    switch (call->kind) {
    case CALL_CLOSE:
        remove_handle(node, handle);
        client_reply(&node->context, client->id, number, &done);
        break;
    case CALL_STAT:
        reply_stat(node, client, number, handle->region);
        break;
    case CALL_MAP:
        on_map(node, client, number, handle, call);
        break;
    case CALL_TOKENS:
        on_tokens(node, client, number, handle);
        break;
    case CALL_BIND:
        bindings_on_call(&node->bindings, client, number, handle, call);
        break;
    case CALL_ADVISE:
        on_advise(node, client, number, handle->region, call);
        break;
    case CALL_TRUNCATE:
    case CALL_SEAL:
        if ((handle->rights & RIGHTS_WRITE) == 0) {
            client_reply_error(&node->context, client->id, number, DSM_EACCES, NODE_NONE);
        } else if (handle->region->record.kind != RECORD_REGION) {
            client_reply_error(&node->context, client->id, number, DSM_EINVAL, NODE_NONE);
        } else {
            catalog_on_call(&node->catalog, client, number, call, handle->region->record.id);
        }
        break;
    default:
        calls_on_sync(&node->calls, client, number, handle, call);
        break;
    }
}

static void remove_map(struct node *node, struct map *map)
{
    groups_map_gone(&node->pages, map->id);
    drop_ref(node, map_remove(&node->clients, map));
}

static void on_unmap(struct node *node, struct client *client, uint64_t number, map_id id)
{
    struct map *map = client_map(client, id);
    struct reply done = {.node = NODE_NONE};

    if (map == NULL) {
        client_reply_error(&node->context, client->id, number, DSM_EINVAL, NODE_NONE);
        return;
    }
    remove_map(node, map);
    client_reply(&node->context, client->id, number, &done);
}

/* A type given is right, and brought to the form that records have. */
static int32_t check_type(struct call *call)
{
    struct type type;
    struct type_error why;

    if (call->type[0] == 0) {
        return 0;
    }
    if (call->kind != CALL_OPEN || call->object != RECORD_REGION ||
        type_parse(call->type, &type, &why) != 0) {
        return DSM_EINVAL;
    }
    memcpy(call->type, type.text, sizeof(call->type));
    return 0;
}

void node_on_call(struct node *node, client_id id, uint64_t number, const struct call *given)
{
    struct client *client = client_get(&node->clients, id);
    struct call call = *given;
    int32_t error = 0;

    if (client == NULL) {
        return;
    }
    if (call.kind == CALL_UNMAP) {
        on_unmap(node, client, number, call.map);
        return;
    }
    if (call.kind != CALL_OPEN && call.kind != CALL_UNLINK) {
        if (call.kind == CALL_NONE || call.kind >= CALL_KINDS) {
            client_reply_error(&node->context, id, number, DSM_EINVAL, NODE_NONE);
            return;
        }
        on_handle_call(node, client, number, &call, false);
        return;
    }
    error = check_name(&call);
    if (error == 0) {
        error = check_type(&call);
    }
    if (error == 0 && call.kind == CALL_OPEN && (call.oflag & CALL_OFLAG_CREATE) != 0) {
        error = check_new(&call);
    }
    if (error != 0) {
        client_reply_error(&node->context, id, number, error, NODE_NONE);
        return;
    }
    catalog_on_call(&node->catalog, client, number, &call, (region_id){0, 0});
}

bool node_call_again(struct node *node)
{
    struct client *client;
    struct call call;
    client_id id;
    uint64_t number;

    if (!catalog_take_told(&node->catalog, &id, &number, &call)) {
        return false;
    }
    client = client_find(&node->clients, id);
    if (client != NULL) {
        on_handle_call(node, client, number, &call, true);
    }
    return true;
}

/* A dying client is taken apart piece by piece; false: nobody is dying. */
bool node_reap_client(struct node *node)
{
    struct client *client;

    if (list_is_empty(&node->clients.dying)) {
        return false;
    }
    client = list_object(node->clients.dying.next, struct client, place);
    if (!list_is_empty(&client->maps)) {
        remove_map(node, list_object(client->maps.next, struct map, by_client));
    } else if (calls_reap(&node->calls, client)) {
        return true;
    } else if (!list_is_empty(&client->handles)) {
        remove_handle(node, list_object(client->handles.next, struct handle, by_client));
    } else {
        list_remove(&client->place);
        pool_put(&node->clients.clients, client);
    }
    return true;
}

void node_on_client_gone(struct node *node, client_id id)
{
    struct client *client = client_find(&node->clients, id);

    if (client != NULL && !client->is_dying) {
        client->is_dying = true;
        list_remove(&client->place);
        list_add_tail(&node->clients.dying, &client->place);
    }
}
