/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every change is: look at the records, propose, and look again when the outcome is there. A
 * conflict (another node was faster) means to look again.
 *
 * K1 A program gets a handle only while the record says that this node reads (and writes) the
 *    region; each bit goes only when the last handle and mapping here that needs it have gone, or,
 *    that of writers, with the seal (catalog_seal.c).
 *
 * K2 No call is decided on old news: the keeper has said something since it began, and the outcome
 *    of a proposal comes after the news of all that was changed before. So a program that was told
 *    in another way of what another one has done (made, unlinked, grown) finds it done. Where a
 *    call changes nothing, a proposal of nothing asks. What no later news can undo needs none: a
 *    region that is gone stays gone, sizes only grow.
 */
#include "dsm/core/catalog.h"

#include <string.h>

/** Conflicts in a row before a call gives up. */
#define TRIES_MAX 1000u

void catalog_init(struct catalog_view *view, struct context *context, struct clients_table *clients)
{
    view->context = context;
    view->clients = clients;
    pool_init(&view->tickets, sizeof(struct ticket), ITEMS_PER_STEP + 2, 16);
    list_init(&view->waiting);
    list_init(&view->stalled);
    list_init(&view->retry);
    list_init(&view->told);
    list_init(&view->sealed);
}

static struct region *find_name(const struct catalog_view *view, uint32_t kind, const char *name)
{
    for (uint32_t i = 0; i < REGION_BUCKETS; i++) {
        const struct list *bucket = &view->context->regions[i];

        for (struct list *place = bucket->next; place != bucket; place = place->next) {
            struct region *region = list_object(place, struct region, place);

            if (region->record.kind == kind && !region->record.unlinked &&
                strcmp(region->record.name, name) == 0) {
                return region;
            }
        }
    }
    return NULL;
}

/* Something has come to an end: what was stalled may go on. */
static void unstall(struct catalog_view *view)
{
    while (!list_is_empty(&view->stalled)) {
        struct list *place = view->stalled.next;

        list_remove(place);
        list_add_tail(&view->retry, place);
    }
}

void ticket_finish(struct catalog_view *view, struct ticket *ticket, const struct reply *reply)
{
    if (ticket->client != 0) {
        client_reply(view->context, ticket->client, ticket->call_number, reply);
    }
    list_remove(&ticket->place);
    pool_put(&view->tickets, ticket);
    unstall(view);
}

void ticket_fail(struct catalog_view *view, struct ticket *ticket, int32_t error)
{
    struct reply reply = {.error = error, .node = NODE_NONE};

    ticket_finish(view, ticket, &reply);
}

void ticket_propose(struct catalog_view *view, struct ticket *ticket, uint32_t kind)
{
    struct action *action;

    ticket->proposal.kind = (uint8_t)kind;
    ticket->proposal.credential = ticket->call.credential;
    list_remove(&ticket->place);
    list_add_tail(&view->waiting, &ticket->place);
    action = context_act(view->context, ACTION_PROPOSE, ticket->proposal.record.id);
    action->propose.ticket = ticket->number;
    action->propose.proposal = &ticket->proposal;
}

bool ticket_ask(struct catalog_view *view, struct ticket *ticket)
{
    if (ticket->has_news) {
        return false;
    }
    memset(&ticket->proposal, 0, sizeof(ticket->proposal));
    ticket->proposal.record.kind = RECORD_REGION; /* any that there is */
    ticket_propose(view, ticket, PROPOSAL_NOTHING);
    return true;
}

/* By the records as they are the call fails. */
static void refuse(struct catalog_view *view, struct ticket *ticket, int32_t error)
{
    if (!ticket_ask(view, ticket)) {
        ticket_fail(view, ticket, error);
    }
}

void ticket_stall(struct catalog_view *view, struct ticket *ticket)
{
    list_remove(&ticket->place);
    list_add_tail(&view->stalled, &ticket->place);
}

/* Then nothing else is decided on it (K1). */
bool catalog_is_leaving(const struct catalog_view *view, const struct region *region)
{
    for (struct list *place = view->waiting.next; place != &view->waiting; place = place->next) {
        const struct ticket *ticket = list_object(place, struct ticket, place);

        if (ticket->client == 0 && region_id_equal(ticket->region, region->record.id)) {
            return true;
        }
    }
    return false;
}

/* --- open --- */

static void propose_new(struct catalog_view *view, struct ticket *ticket)
{
    struct record *record = &ticket->proposal.record;
    const struct call *call = &ticket->call;
    nodeset self = nodeset_of(view->context->config.self);

    memset(&ticket->proposal, 0, sizeof(ticket->proposal));
    record->kind = call->object;
    memcpy(record->name, call->name, sizeof(record->name));
    record->uid = call->credential.uid;
    record->gid = call->credential.gid;
    record->mode = call->mode & 0777;
    record->size_bytes = call->object == RECORD_SEM ? call->value : 0;
    record->page_size = call->object == RECORD_SEM ? 0 : call->page_size;
    record->home = call->home;
    record->window_ms = call->window_ms;
    memcpy(record->type, call->type, sizeof(record->type));
    record->homes = call->home == DSM_HOME_STRIPED ? view->context->alive : self;
    record->readers = self;
    record->writers = self;
    ticket_propose(view, ticket, PROPOSAL_CREATE);
}

static void propose_truncated(struct catalog_view *view, struct ticket *ticket,
                              const struct region *old)
{
    struct record *record = &ticket->proposal.record;
    nodeset self = nodeset_of(view->context->config.self);

    memset(&ticket->proposal, 0, sizeof(ticket->proposal));
    *record = old->record;
    record->id = (region_id){0, 0};
    record->revision = 0;
    record->size_bytes = 0;
    record->sealed = false;
    record->homes = record->home == DSM_HOME_STRIPED ? view->context->alive : self;
    record->readers = self;
    record->writers = self;
    ticket->proposal.replaces = old->record.id;
    ticket_propose(view, ticket, PROPOSAL_CREATE);
}

static int32_t check_open(const struct ticket *ticket, const struct region *region)
{
    const struct call *call = &ticket->call;
    uint32_t rights = record_rights(&region->record, &call->credential);
    uint32_t wanted = RIGHTS_READ;

    if (call->object == RECORD_SEM || (call->oflag & CALL_OFLAG_WRITE) != 0 ||
        (call->oflag & CALL_OFLAG_TRUNCATE) != 0) {
        wanted |= RIGHTS_WRITE;
    }
    if ((call->oflag & CALL_OFLAG_CREATE) != 0 && (call->oflag & CALL_OFLAG_EXCLUSIVE) != 0 &&
        !region_id_equal(ticket->region, region->record.id)) {
        return DSM_EEXIST;
    }
    /* Who has just made it may use it whatever its mode is. */
    if (!region_id_equal(ticket->region, region->record.id) && (rights & wanted) != wanted) {
        return DSM_EACCES;
    }
    if (region->record.sealed && (call->oflag & CALL_OFLAG_WRITE) != 0 &&
        ((call->oflag & CALL_OFLAG_TRUNCATE) == 0 || region->record.size_bytes == 0)) {
        return DSM_ESEALED; /* O_TRUNC gives the name to another region */
    }
    return call->type[0] != 0 && strcmp(call->type, region->record.type) != 0 ? DSM_ETYPE : 0;
}

static void grant_handle(struct catalog_view *view, struct ticket *ticket, struct region *region,
                         bool write)
{
    struct client *client = client_find(view->clients, ticket->client);
    struct reply reply = {.node = NODE_NONE};
    struct handle *handle;

    if (client == NULL) {
        ticket_fail(view, ticket, DSM_ECANCELED);
        catalog_leave(view, region);
        return;
    }
    handle = client_handle_add(view->clients, client, region,
                               RIGHTS_READ | (write ? (uint32_t)RIGHTS_WRITE : 0));
    reply.handle = handle->number;
    reply.region = region->record.id;
    reply.size_bytes = region->record.size_bytes;
    reply.page_size = region->record.page_size;
    reply.mode = region->record.mode;
    ticket_finish(view, ticket, &reply);
}

/* What is to be opened: what the keeper has let this very call in to, else what has the name. */
static struct region *find_opened(const struct catalog_view *view, const struct ticket *ticket)
{
    struct region *region = NULL;

    if (ticket->region.generation != 0) {
        region = context_region(view->context, ticket->region);
    }
    return region != NULL ? region : find_name(view, ticket->call.object, ticket->call.name);
}

static void try_open(struct catalog_view *view, struct ticket *ticket)
{
    const struct call *call = &ticket->call;
    struct region *region = find_opened(view, ticket);
    uint32_t self = view->context->config.self;
    bool write = call->object == RECORD_SEM || (call->oflag & CALL_OFLAG_WRITE) != 0;
    int32_t error;

    if (region == NULL) {
        if ((call->oflag & CALL_OFLAG_CREATE) == 0) {
            refuse(view, ticket, DSM_ENOENT);
        } else {
            propose_new(view, ticket);
        }
        return;
    }
    error = check_open(ticket, region);
    if (error != 0) {
        refuse(view, ticket, error);
    } else if ((call->oflag & CALL_OFLAG_TRUNCATE) != 0 && region->record.size_bytes > 0) {
        propose_truncated(view, ticket, region);
    } else if (catalog_is_leaving(view, region) || catalog_is_sealing(view, region)) {
        ticket_stall(view, ticket);
    } else if (!nodeset_has(region->record.readers, self) ||
               (write && !nodeset_has(region->record.writers, self))) {
        ticket->proposal.record = region->record;
        nodeset_add(&ticket->proposal.record.readers, self);
        if (write) {
            nodeset_add(&ticket->proposal.record.writers, self);
        }
        ticket->proposal.replaces = (region_id){0, 0};
        ticket_propose(view, ticket, PROPOSAL_UPDATE);
    } else if (!ticket_ask(view, ticket)) {
        grant_handle(view, ticket, region, write);
    }
}

/* --- unlink, truncate, leave --- */

static void try_unlink(struct catalog_view *view, struct ticket *ticket)
{
    const struct credential *credential = &ticket->call.credential;
    struct region *region;
    struct reply reply = {.node = NODE_NONE};

    if (ticket->region.generation != 0) { /* our proposal went through */
        ticket_finish(view, ticket, &reply);
        return;
    }
    region = find_name(view, ticket->call.object, ticket->call.name);
    if (region == NULL) {
        refuse(view, ticket, DSM_ENOENT);
    } else if (credential->uid != 0 && credential->uid != region->record.uid) {
        refuse(view, ticket, DSM_EACCES);
    } else {
        ticket->proposal.record = region->record;
        ticket->proposal.record.unlinked = true;
        ticket_propose(view, ticket, PROPOSAL_UPDATE);
    }
}

static bool is_beyond_budget(const struct catalog_view *view, const struct region *region,
                             uint64_t size_bytes)
{
    const struct node_config *config = &view->context->config;
    uint64_t homes = nodeset_count(region->record.homes);

    if (size_bytes > RECORD_SIZE_BYTES_MAX ||
        (config->region_bytes_max != 0 && size_bytes > config->region_bytes_max)) {
        return true;
    }
    return config->budget_bytes != 0 && size_bytes / (homes > 0 ? homes : 1) > config->budget_bytes;
}

static void try_truncate(struct catalog_view *view, struct ticket *ticket)
{
    struct region *region = context_region(view->context, ticket->region);
    uint64_t size_bytes = ticket->call.size_bytes;
    struct reply reply = {.node = NODE_NONE};

    if (region == NULL) {
        ticket_fail(view, ticket, DSM_ESTALE);
    } else if (region->record.sealed) {
        ticket_fail(view, ticket, DSM_ESEALED);
    } else if (size_bytes == 0 || is_beyond_budget(view, region, size_bytes)) {
        ticket_fail(view, ticket, DSM_ESIZE);
    } else if (size_bytes < region->record.size_bytes) {
        ticket_fail(view, ticket, DSM_EINVAL);
    } else if (size_bytes == region->record.size_bytes) {
        reply.size_bytes = size_bytes;
        ticket_finish(view, ticket, &reply);
    } else {
        ticket->proposal.record = region->record;
        ticket->proposal.record.size_bytes = size_bytes;
        ticket_propose(view, ticket, PROPOSAL_UPDATE);
    }
}

/* Does the record say more of this node than is so? */
static bool is_to_leave(const struct catalog_view *view, const struct region *region)
{
    uint32_t self = view->context->config.self;

    if (region->count_refs > 0) {
        return region->record.kind == RECORD_REGION && region->count_writers == 0 &&
               nodeset_has(region->record.writers, self);
    }
    return nodeset_has(region->record.readers, self);
}

static void try_leave(struct catalog_view *view, struct ticket *ticket)
{
    struct region *region = context_region(view->context, ticket->region);
    uint32_t self = view->context->config.self;

    if (region == NULL || !is_to_leave(view, region)) {
        ticket_fail(view, ticket, 0);
        return;
    }
    ticket->proposal.record = region->record;
    nodeset_remove(&ticket->proposal.record.writers, self);
    if (region->count_refs == 0) {
        nodeset_remove(&ticket->proposal.record.readers, self);
    }
    ticket_propose(view, ticket, PROPOSAL_UPDATE);
}

void catalog_leave(struct catalog_view *view, struct region *region)
{
    struct ticket *ticket;

    if ((region->count_refs > 0 && !is_to_leave(view, region)) ||
        catalog_is_leaving(view, region)) {
        return;
    }
    ticket = pool_get(&view->tickets);
    ticket->number = ++view->next_number;
    ticket->region = region->record.id;
    list_init(&ticket->place);
    list_add_tail(&view->retry, &ticket->place);
}

/* --- the life of a ticket --- */

static void try_ticket(struct catalog_view *view, struct ticket *ticket)
{
    if (++ticket->tries > TRIES_MAX) {
        ticket_fail(view, ticket, DSM_EAGAIN);
    } else if (ticket->client == 0) {
        try_leave(view, ticket);
    } else if (ticket->call.kind == CALL_OPEN) {
        try_open(view, ticket);
    } else if (ticket->call.kind == CALL_UNLINK) {
        try_unlink(view, ticket);
    } else if (ticket->call.kind == CALL_TRUNCATE) {
        try_truncate(view, ticket);
    } else if (ticket->call.kind == CALL_SEAL) {
        ticket_try_seal(view, ticket);
    } else if (!ticket_ask(view, ticket)) {
        list_remove(&ticket->place);
        list_add_tail(&view->told, &ticket->place);
    }
}

void catalog_on_call(struct catalog_view *view, struct client *client, uint64_t number,
                     const struct call *call, region_id region)
{
    struct ticket *ticket = pool_get(&view->tickets);

    ticket->number = ++view->next_number;
    ticket->client = client->id;
    ticket->call_number = number;
    ticket->call = *call;
    ticket->region = region;
    list_init(&ticket->place);
    try_ticket(view, ticket);
}

bool catalog_take_told(struct catalog_view *view, client_id *client, uint64_t *number,
                       struct call *call)
{
    struct ticket *ticket;

    if (list_is_empty(&view->told)) {
        return false;
    }
    ticket = list_object(view->told.next, struct ticket, place);
    *client = ticket->client;
    *number = ticket->call_number;
    *call = ticket->call;
    list_remove(&ticket->place);
    pool_put(&view->tickets, ticket);
    return true;
}

bool catalog_try(struct catalog_view *view)
{
    struct ticket *ticket;

    if (list_is_empty(&view->retry)) {
        return false;
    }
    ticket = list_object(view->retry.next, struct ticket, place);
    list_remove(&ticket->place);
    try_ticket(view, ticket);
    return true;
}

static struct ticket *find_ticket(const struct catalog_view *view, uint64_t number)
{
    for (struct list *place = view->waiting.next; place != &view->waiting; place = place->next) {
        struct ticket *ticket = list_object(place, struct ticket, place);

        if (ticket->number == number) {
            return ticket;
        }
    }
    return NULL;
}

/* What was proposed for a program has been done. */
static void note_done(struct ticket *ticket, region_id id)
{
    if (ticket->proposal.kind == PROPOSAL_CREATE) {
        ticket->region = id;
        ticket->call.oflag &= (uint8_t)~CALL_OFLAG_TRUNCATE;
    } else if (ticket->proposal.kind == PROPOSAL_UPDATE) {
        ticket->region = ticket->proposal.record.id;
    }
}

void catalog_on_proposed(struct catalog_view *view, uint64_t number, int32_t error, region_id id)
{
    struct ticket *ticket = find_ticket(view, number);

    if (ticket == NULL) {
        return;
    }
    if (error == 0 && ticket->client != 0) {
        note_done(ticket, id);
    }
    if (error == 0 || error == DSM_EAGAIN || (error == DSM_ESTALE && ticket->client != 0) ||
        (error == DSM_EEXIST && (ticket->call.oflag & CALL_OFLAG_EXCLUSIVE) == 0)) {
        ticket->has_news = true;
        list_remove(&ticket->place);
        list_add_tail(&view->retry, &ticket->place);
        return;
    }
    if (ticket->client == 0 && error == DSM_EKEEPER) {
        unstall(view);
        ticket_stall(view, ticket); /* nobody waits for it, but it has to be done some time */
        return;
    }
    ticket_fail(view, ticket, error);
}
