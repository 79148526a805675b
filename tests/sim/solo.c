/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/solo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn static void broken(const char *what)
{
    fprintf(stderr, "solo: %s\n", what);
    abort();
}

static void supply(struct solo *solo)
{
    size_t bytes;

    while ((bytes = node_wants(solo->node)) != 0) {
        solo->blocks = realloc(solo->blocks, (solo->count_blocks + 1) * sizeof(void *));
        solo->blocks[solo->count_blocks] = calloc(1, bytes);
        node_supply(solo->node, solo->blocks[solo->count_blocks++]);
    }
}

static void keep_actions(struct solo *solo)
{
    for (uint32_t i = 0; i < solo->actions->count; i++) {
        struct action *action = &solo->list[solo->count];

        if (solo->count == SOLO_ACTIONS) {
            broken("too many actions");
        }
        *action = solo->actions->list[i];
        if (action->kind == ACTION_PROPOSE && action->propose.proposal->kind == PROPOSAL_NOTHING) {
            if (solo->count_asked == 64) {
                broken("too many ask for news");
            }
            solo->asked[solo->count_asked++] = action->propose.ticket;
            continue;
        }
        if (action->kind == ACTION_PROPOSE) {
            struct proposal *proposal = &solo->proposals[solo->count_proposals++ % 64];

            *proposal = *action->propose.proposal;
            action->propose.proposal = proposal;
        }
        solo->count++;
    }
}

void solo_step_once(struct solo *solo, struct event *event)
{
    event->now_ms = solo->now_ms;
    supply(solo);
    node_step(solo->node, event, solo->actions);
    keep_actions(solo);
}

static void step_and_rest(struct solo *solo, struct event *event)
{
    struct event more = {.kind = EVENT_TIME};

    solo_step_once(solo, event);
    for (solo->steps = 1; node_deadline(solo->node) <= solo->now_ms; solo->steps++) {
        if (solo->steps > 10000) {
            broken("it never comes to rest");
        }
        solo_step_once(solo, &more);
    }
}

void solo_tell(struct solo *solo, int32_t error)
{
    uint32_t count = solo->count_asked;

    for (uint32_t i = 0; i < count; i++) {
        struct event event = {.kind = EVENT_PROPOSED, .proposed.error = error};

        event.proposed.ticket = solo->asked[i];
        step_and_rest(solo, &event);
    }
    solo->count_asked -= count;
    memmove(solo->asked, solo->asked + count, solo->count_asked * sizeof(solo->asked[0]));
}

void solo_step(struct solo *solo, struct event *event)
{
    uint32_t steps;

    step_and_rest(solo, event);
    steps = solo->steps;
    while (solo->count_asked > (solo->keeps_news ? 32 : 0)) {
        solo_tell(solo, 0);
    }
    solo->steps = steps;
}

void solo_advance(struct solo *solo, uint64_t ms)
{
    struct event event = {.kind = EVENT_TIME};

    solo->now_ms += ms;
    solo_step(solo, &event);
}

void solo_record(struct solo *solo, const struct record *given)
{
    struct record record = *given;
    struct event event = {.kind = EVENT_RECORD, .record = &record};

    record.revision = ++solo->revision;
    solo_step(solo, &event);
}

void solo_member(struct solo *solo, uint32_t node, uint32_t incarnation, bool alive,
                 uint32_t epoch)
{
    struct record record = {
        .kind = RECORD_NODE, .id = {node, incarnation}, .alive = alive, .epoch = epoch};

    solo_record(solo, &record);
}

struct record solo_region(uint32_t slot, uint64_t pages, uint32_t home)
{
    struct record record = {
        .kind = RECORD_REGION,
        .id = {slot, 1000 + slot},
        .mode = 0666,
        .size_bytes = pages * SOLO_PAGE_BYTES,
        .page_size = SOLO_PAGE_BYTES,
        .homes = nodeset_of(home),
        .readers = nodeset_below(NODES_MAX),
        .writers = nodeset_below(NODES_MAX),
    };

    snprintf(record.name, sizeof(record.name), "/r%u", slot);
    return record;
}

void solo_message(struct solo *solo, const struct message *message, uint32_t payload_pages)
{
    struct event event = {.kind = EVENT_MESSAGE};

    event.message.message = message;
    event.message.payload_pages = payload_pages;
    solo_step(solo, &event);
}

uint64_t solo_call(struct solo *solo, client_id client, const struct call *call)
{
    struct event event = {.kind = EVENT_CALL};

    event.call.client = client;
    event.call.number = ++solo->next_call;
    event.call.call = call;
    solo_step(solo, &event);
    return solo->next_call;
}

void solo_decide(struct solo *solo, int32_t error, region_id id)
{
    struct event event = {.kind = EVENT_PROPOSED};
    const struct action *last = NULL;

    for (uint32_t i = 0; i < solo->count; i++) {
        if (solo->list[i].kind == ACTION_PROPOSE) {
            last = &solo->list[i];
        }
    }
    if (last == NULL) {
        broken("nothing was proposed");
    }
    event.proposed.ticket = last->propose.ticket;
    event.proposed.error = error;
    event.proposed.id = id;
    solo_step(solo, &event);
}

map_id solo_map(struct solo *solo, client_id client, const struct record *record,
                uint64_t *handle)
{
    struct call open = {.kind = CALL_OPEN, .object = RECORD_REGION, .oflag = CALL_OFLAG_WRITE};
    struct call map = {.kind = CALL_MAP,
                       .rights = RIGHTS_READ | RIGHTS_WRITE,
                       .size_bytes = record->size_bytes};
    const struct reply *reply;

    memcpy(open.name, record->name, sizeof(open.name));
    reply = solo_reply(solo, solo_call(solo, client, &open));
    if (reply == NULL || reply->error != 0) {
        broken("the region cannot be opened");
    }
    map.handle = reply->handle;
    if (handle != NULL) {
        *handle = reply->handle;
    }
    reply = solo_reply(solo, solo_call(solo, client, &map));
    if (reply == NULL || reply->error != 0) {
        broken("the region cannot be mapped");
    }
    return reply->map;
}

void solo_fault(struct solo *solo, map_id map, uint64_t page, bool write)
{
    struct event event = {.kind = EVENT_FAULT};

    event.fault.map = map;
    event.fault.page = page;
    event.fault.write = write;
    solo_step(solo, &event);
}

const struct action *solo_action(const struct solo *solo, uint32_t kind, uint32_t nth)
{
    for (uint32_t i = 0; i < solo->count; i++) {
        if (solo->list[i].kind == kind && nth-- == 0) {
            return &solo->list[i];
        }
    }
    return NULL;
}

const struct message *solo_sent(const struct solo *solo, uint32_t kind, uint32_t nth)
{
    for (uint32_t i = 0; i < solo->count; i++) {
        if (solo->list[i].kind == ACTION_SEND && solo->list[i].message.kind == kind &&
            nth-- == 0) {
            return &solo->list[i].message;
        }
    }
    return NULL;
}

const struct reply *solo_reply(const struct solo *solo, uint64_t number)
{
    for (uint32_t i = 0; i < solo->count; i++) {
        if (solo->list[i].kind == ACTION_REPLY && solo->list[i].reply.number == number) {
            return &solo->list[i].reply.reply;
        }
    }
    return NULL;
}

int32_t solo_error(const struct solo *solo, uint64_t number)
{
    const struct reply *reply = solo_reply(solo, number);

    return reply != NULL ? reply->error : 1;
}

int32_t solo_do(struct solo *solo, client_id client, const struct call *call)
{
    return solo_error(solo, solo_call(solo, client, call));
}

const struct proposal *solo_proposed(const struct solo *solo, uint32_t nth)
{
    const struct action *action = solo_action(solo, ACTION_PROPOSE, nth);

    return action != NULL ? action->propose.proposal : NULL;
}

void solo_agree(struct solo *solo)
{
    struct record record = {.kind = RECORD_NONE};

    for (uint32_t i = 0; solo_proposed(solo, i) != NULL; i++) {
        record = solo_proposed(solo, i)->record;
    }
    record.deleted = record.unlinked && nodeset_is_empty(record.readers);
    solo_record(solo, &record);
    solo_decide(solo, 0, record.id);
}

void solo_forget(struct solo *solo)
{
    solo->count = 0;
}

const struct node_counters *solo_counters(const struct solo *solo)
{
    return node_counters(solo->node);
}

struct solo *solo_new(uint32_t self, uint32_t count_nodes, const struct node_config *config)
{
    struct solo *solo = calloc(1, sizeof(*solo));
    struct node_config own = *config;

    own.self = self;
    solo->self = self;
    solo->now_ms = 1000000;
    solo->actions = calloc(1, sizeof(*solo->actions));
    solo->list = calloc(SOLO_ACTIONS, sizeof(*solo->list));
    solo->node = calloc(1, node_size());
    if (node_init(solo->node, &own) != 0) {
        broken("node_init failed");
    }
    for (uint32_t i = 0; i < count_nodes; i++) {
        solo_member(solo, i, i + 1, true, 0);
    }
    solo_forget(solo);
    return solo;
}

void solo_free(struct solo *solo)
{
    for (uint32_t i = 0; i < solo->count_blocks; i++) {
        free(solo->blocks[i]);
    }
    free(solo->blocks);
    free(solo->node);
    free(solo->list);
    free(solo->actions);
    free(solo);
}
