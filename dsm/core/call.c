/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call is sent to the home of (region, offset), waits for its SYNC_REPLY, and is answered. A lock
 * that was granted is a token from then on (token.c); calls about what this node has a token of are
 * not sent at all.
 *
 * C1 What a home grants to a program that is gone is given back: a lock is unlocked as of a dead
 *    holder, a semaphore is posted again.
 * C2 A call that the home called queued is acknowledged, so that the home can forget the outcome.
 */
#include "dsm/core/call.h"

#include "dsm/core/binding.h"
#include "dsm/core/token.h"

void calls_init(struct calls *calls, struct context *context, struct clients_table *clients)
{
    calls->context = context;
    calls->clients = clients;
    tokens_init(calls);
    pool_init(&calls->pool, sizeof(struct sync_call), ITEMS_PER_STEP * 3, 64);
    for (uint32_t i = 0; i < CALL_BUCKETS; i++) {
        list_init(&calls->by_id[i]);
    }
    list_init(&calls->all);
    list_init(&calls->blocked);
    list_init(&calls->parked);
    list_init(&calls->gone);
    calls->next_deadline_ms = UINT64_MAX;
}

static struct sync_call *find_call(const struct calls *calls, uint64_t id)
{
    const struct list *bucket = &calls->by_id[(id / NODES_MAX + id) % CALL_BUCKETS];

    for (struct list *place = bucket->next; place != bucket; place = place->next) {
        struct sync_call *call = list_object(place, struct sync_call, by_id);

        if (call->out.id == id) {
            return call;
        }
    }
    return NULL;
}

bool calls_is_open(const struct calls *calls, uint64_t id)
{
    return find_call(calls, id) != NULL;
}

uint32_t call_home(const struct region *region, uint64_t offset)
{
    uint32_t page_size = region->record.page_size;

    return region_home(region, page_size != 0 ? offset / page_size : 0);
}

static void send_call(struct calls *calls, const struct sync_call *call)
{
    struct message message = {
        .kind = MESSAGE_SYNC,
        .to = (uint16_t)call->out.home,
        .region = call->region->record.id,
        .request = call->out.id,
        .floor = context_floor(calls->context, call->out.home),
        .op = call->is_cancelled ? SYNC_CANCEL : call->op,
        .offset = call->offset,
        .value = call->value,
        .operand = call->operand,
    };

    context_send(calls->context, &message, BYTES_NONE, 0, 0);
}

void call_free(struct calls *calls, struct sync_call *call)
{
    outstanding_close(calls->context, &call->out);
    list_remove(&call->by_id);
    list_remove(&call->in_calls);
    list_remove(&call->by_client);
    list_remove(&call->place);
    pool_put(&calls->pool, call);
}

/* Number and send it, or put it among the blocked. */
static bool launch(struct calls *calls, struct sync_call *call)
{
    uint32_t home = call_home(call->region, call->offset);

    list_remove(&call->place);
    call->after_round = remote_get(&calls->context->remotes, home)->last_round;
    if (!outstanding_open(calls->context, &call->out, home, true)) {
        list_add_tail(&calls->blocked, &call->place);
        return false;
    }
    list_add_tail(&calls->by_id[(call->out.id / NODES_MAX + call->out.id) % CALL_BUCKETS],
                  &call->by_id);
    send_call(calls, call);
    if (call->op == SYNC_LOCK && !call->is_try) {
        bindings_ask(calls->bindings, call);
    }
    return true;
}

struct sync_call *call_new(struct calls *calls, struct client *client, struct region *region,
                           uint32_t op, uint64_t offset)
{
    struct sync_call *call = pool_get(&calls->pool);

    list_init(&call->out.channel_place);
    list_init(&call->out.timer_place);
    list_init(&call->by_id);
    list_init(&call->by_client);
    list_init(&call->place);
    list_add_tail(&calls->all, &call->in_calls);
    call->client = client;
    call->region = region;
    call->op = (uint8_t)op;
    call->offset = offset;
    call->deadline_ms = UINT64_MAX;
    if (client != NULL) {
        list_add_tail(&client->calls, &call->by_client);
    }
    return call;
}

void call_launch_own(struct calls *calls, struct region *region, uint64_t offset, uint32_t op,
                     uint64_t operand)
{
    struct sync_call *call = call_new(calls, NULL, region, op, offset);

    call->operand = operand;
    launch(calls, call);
}

/* --- calls of programs --- */

static int32_t check(const struct calls *calls, const struct handle *handle,
                     const struct call *call)
{
    const struct region *region = handle->region;
    bool is_sem = region->record.kind == RECORD_SEM;
    bool sem_op = call->op >= SYNC_SEM_WAIT && call->op <= SYNC_SEM_VALUE;

    if (call->op == SYNC_NONE || call->op >= SYNC_CANCEL || call->op == SYNC_UNLOCK_DEAD ||
        is_sem != sem_op || (is_sem && call->offset != 0)) {
        return DSM_EINVAL;
    }
    if (!is_sem && call->offset >= region->record.size_bytes) {
        return DSM_ERANGE;
    }
    if ((handle->rights & RIGHTS_WRITE) == 0) {
        return DSM_EACCES;
    }
    if (region->record.sealed && call->op != SYNC_UNLOCK) {
        return DSM_ESEALED;
    }
    if (call->op == SYNC_FETCH_ADD || call->op == SYNC_COMPARE_SWAP) {
        if (call->offset % 8 != 0) {
            return DSM_EINVAL;
        }
        if (region->record.size_bytes - call->offset < 8) {
            return DSM_ERANGE;
        }
    }
    if (call->op == SYNC_BARRIER && (call->value == 0 || call->value > UINT32_MAX)) {
        return DSM_EINVAL;
    }
    return region_home_is_lost(calls->context, region, call_home(region, call->offset)) ? DSM_EDOWN
                                                                                      : 0;
}

void calls_on_sync(struct calls *calls, struct client *client, uint64_t number,
                   const struct handle *handle, const struct call *call)
{
    struct context *context = calls->context;
    int32_t error = check(calls, handle, call);
    struct sync_call *sync;

    if (error != 0) {
        uint32_t home = error == DSM_EDOWN ? call_home(handle->region, call->offset) : NODE_NONE;

        client_reply_error(context, client->id, number, error, home);
        return;
    }
    sync = call_new(calls, client, handle->region, call->op, call->offset);
    sync->number = number;
    sync->is_try = call->timeout_ms == 0;
    if (call->timeout_ms >= 0 &&
        (call->op == SYNC_LOCK || call->op == SYNC_SEM_WAIT || call->op == SYNC_BARRIER)) {
        sync->deadline_ms = context->now_ms + (uint64_t)call->timeout_ms;
        if (call->timeout_ms == 0 && call->op != SYNC_BARRIER) {
            sync->deadline_ms = UINT64_MAX; /* nobody lets it wait */
        }
        if (sync->deadline_ms < calls->next_deadline_ms) {
            calls->next_deadline_ms = sync->deadline_ms;
        }
    }
    if (call->op == SYNC_LOCK) {
        sync->operand = sync->is_try;
    } else if (call->op == SYNC_SEM_WAIT) {
        sync->value = sync->is_try;
    } else {
        sync->value = call->value;
        sync->operand = call->operand;
    }
    if (!tokens_take_call(calls, sync)) {
        launch(calls, sync);
    }
}

bool calls_unblock(struct calls *calls)
{
    /* In order of arrival, but one home that is silent does not hold up the calls to others. */
    for (struct list *place = calls->blocked.next; place != &calls->blocked; place = place->next) {
        struct sync_call *call = list_object(place, struct sync_call, place);

        if (context_has_window(calls->context, call_home(call->region, call->offset))) {
            return launch(calls, call);
        }
    }
    return false;
}

/* --- outcomes --- */

static void acknowledge(struct calls *calls, const struct sync_call *call)
{
    struct message message = {
        .kind = MESSAGE_SYNC_ACK,
        .to = (uint16_t)call->out.home,
        .region = call->region->record.id,
        .request = call->out.id,
    };

    context_send_idly(calls->context, &message, MAY_WAIT_LONG);
}

/* A repeated outcome: the first acknowledgement was lost, perhaps. */
static void acknowledge_unknown(struct calls *calls, const struct message *message)
{
    struct message ack = {
        .kind = MESSAGE_SYNC_ACK,
        .to = message->from,
        .region = message->region,
        .request = message->request,
    };

    context_send(calls->context, &ack, BYTES_NONE, 0, 0);
}

static void give_back(struct calls *calls, const struct sync_call *call, int32_t error)
{
    if (call->op == SYNC_LOCK && (error == 0 || error == DSM_EOWNERDEAD)) {
        call_launch_own(calls, call->region, call->offset, SYNC_UNLOCK_DEAD, call->out.id);
    } else if (call->op == SYNC_SEM_WAIT && error == 0) {
        call_launch_own(calls, call->region, call->offset, SYNC_SEM_POST, 0);
    }
}

void call_answer(struct calls *calls, const struct sync_call *call, int32_t error, uint64_t value,
                 uint32_t node)
{
    struct reply reply = {.error = error, .value = value, .node = node};

    if (error == DSM_ECANCELED) {
        reply.error = call->is_try ? DSM_EAGAIN : DSM_ETIMEDOUT;
    }
    client_reply(calls->context, call->client->id, call->number, &reply);
}

/*
 * A home has refused the call and forgotten its number. If the record that is known here permits
 * it, then that record was not known there: the call is made anew. False: it is not to be.
 */
static bool launch_again(struct calls *calls, struct sync_call *call)
{
    if (call->is_cancelled || (call->client != NULL && !nodeset_has(call->region->record.writers,
                                                                    calls->context->config.self))) {
        return false;
    }
    outstanding_close(calls->context, &call->out);
    list_remove(&call->by_id);
    call->out.id = 0;
    call->was_queued = false;
    launch(calls, call);
    return true;
}

void calls_on_reply(struct calls *calls, const struct message *message)
{
    struct sync_call *call = find_call(calls, message->request);
    int32_t error = message->error;

    if (call == NULL) {
        acknowledge_unknown(calls, message);
        return;
    }
    if (message->from != call->out.home) {
        return;
    }
    if (error == DSM_EACCES || error == DSM_ESTALE) {
        if (launch_again(calls, call)) {
            return;
        }
        error = call->is_cancelled ? DSM_ECANCELED : error;
    }
    if ((message->flags & FLAG_QUEUED) != 0) {
        call->was_queued = true;
        outstanding_close(calls->context, &call->out);
        list_remove(&call->place);
        list_add_tail(&calls->parked, &call->place);
        return;
    }
    if (call->was_queued || error == DSM_ECANCELED) {
        acknowledge(calls, call); /* C2 */
    }
    if (call->client == NULL) {
        give_back(calls, call, error); /* C1 */
        call_free(calls, call);
        return;
    }
    if (call->op == SYNC_BARRIER && error == 0) {
        calls_note_round(calls, call, message->value);
    }
    if (call->op == SYNC_LOCK && (error == 0 || error == DSM_EOWNERDEAD)) {
        tokens_on_grant(calls, call, error != 0, (message->flags & FLAG_WANTED) != 0);
        return;
    }
    call_answer(calls, call, error, message->value, NODE_NONE);
    call_free(calls, call);
}

void call_end(struct calls *calls, struct sync_call *call)
{
    call_answer(calls, call, 0, 0, NODE_NONE);
    call_free(calls, call);
}

void calls_resend(struct calls *calls, struct sync_call *call)
{
    calls->context->counters.resends++;
    call->was_queued = true; /* the home may call it queued, and that answer be lost (C2) */
    outstanding_sent(calls->context, &call->out);
    send_call(calls, call);
}

void calls_fail(struct calls *calls, struct sync_call *call)
{
    if (call->client != NULL) {
        call_answer(calls, call, DSM_EDOWN, 0, call->out.home);
    }
    call_free(calls, call);
}

/* --- time --- */

static void cancel(struct calls *calls, struct sync_call *call)
{
    call->deadline_ms = UINT64_MAX;
    if (call->out.id == 0) { /* it never left */
        if (call->client != NULL) {
            call_answer(calls, call, DSM_ECANCELED, 0, NODE_NONE);
        }
        call_free(calls, call);
        return;
    }
    call->is_cancelled = true;
    list_remove(&call->place);
    outstanding_sent(calls->context, &call->out);
    send_call(calls, call);
}

void calls_check_deadlines(struct calls *calls)
{
    uint64_t next = UINT64_MAX;

    if (calls->context->now_ms < calls->next_deadline_ms) {
        return;
    }
    for (struct list *place = calls->all.next; place != &calls->all;) {
        struct sync_call *call = list_object(place, struct sync_call, in_calls);

        place = place->next;
        if (call->deadline_ms <= calls->context->now_ms && context_has_room(calls->context)) {
            cancel(calls, call);
        } else if (call->deadline_ms < next) {
            next = call->deadline_ms;
        }
    }
    calls->next_deadline_ms = next;
}

void calls_hurry(struct calls *calls, uint32_t home)
{
    for (struct list *place = calls->parked.next; place != &calls->parked;) {
        struct sync_call *call = list_object(place, struct sync_call, place);

        place = place->next;
        if (home == NODE_NONE || call->out.home == home) {
            list_remove(&call->place);
            outstanding_sent(calls->context, &call->out);
        }
    }
}

/* --- ends --- */

bool calls_reap(struct calls *calls, struct client *client)
{
    struct sync_call *call;

    if (list_is_empty(&client->calls)) {
        return tokens_reap(calls, client);
    }
    call = list_object(client->calls.next, struct sync_call, by_client);
    list_remove(&call->by_client);
    call->client = NULL;
    if (call->region == NULL || call->op == SYNC_UNLOCK) {
        call_free(calls, call); /* nobody is there to be told; L6 gives up what it holds */
    } else if (call->op == SYNC_LOCK || call->op == SYNC_SEM_WAIT || call->op == SYNC_BARRIER) {
        cancel(calls, call);
    }
    return true;
}

void calls_region_gone(struct calls *calls, const struct region *region)
{
    for (struct list *place = calls->all.next; place != &calls->all;) {
        struct sync_call *call = list_object(place, struct sync_call, in_calls);

        place = place->next;
        if (call->region != region) {
            continue;
        }
        if (call->client == NULL) {
            call_free(calls, call);
            continue;
        }
        /* They may be thousands, and a step's actions are bounded: they are answered one by one. */
        outstanding_close(calls->context, &call->out);
        list_remove(&call->by_id);
        list_remove(&call->place);
        list_add_tail(&calls->gone, &call->place);
        call->region = NULL;
        call->deadline_ms = UINT64_MAX;
    }
    tokens_region_gone(calls, region);
}

bool calls_answer_gone(struct calls *calls)
{
    struct sync_call *call;

    if (list_is_empty(&calls->gone)) {
        return false;
    }
    call = list_object(calls->gone.next, struct sync_call, place);
    call_answer(calls, call, DSM_ESTALE, 0, NODE_NONE);
    call_free(calls, call);
    return true;
}
