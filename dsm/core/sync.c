/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each operation is a numbered request. It waits, holds (a mutex), or is done; what is done is kept
 * until the requester's floor has passed it, so that a repeated request gets the same outcome and
 * is not carried out twice.
 *
 * S1 A mutex has one holder at most, and it is passed on in order of arrival (mutex.c).
 * S2 A semaphore's value is above zero only when nobody waits.
 * S3 A barrier releases all parties of a round or none (barrier.c).
 * S4 An operation is carried out once however often its request comes.
 * S5 An operation that is cancelled or whose node died takes nothing with it.
 * S6 An outcome of an operation that was called queued is sent again until it is acknowledged.
 */
#include "dsm/core/sync.h"

#include "dsm/core/barrier.h"

#define SEM_VALUE_MAX INT32_MAX
/** Operations of one node that wait, hold or are remembered, at most. */
#define OPS_PER_NODE_MAX 65536u

void syncs_init(struct syncs *syncs, struct context *context)
{
    syncs->context = context;
    pool_init(&syncs->objects, sizeof(struct sync_object), ITEMS_PER_STEP * 2, 64);
    pool_init(&syncs->ops, sizeof(struct sync_entry), ITEMS_PER_STEP * 2, 64);
    list_init(&syncs->outbox);
    list_init(&syncs->unacknowledged);
    list_init(&syncs->atomics);
    list_init(&syncs->recalled);
    for (uint32_t i = 0; i < SYNC_BUCKETS; i++) {
        list_init(&syncs->objects_by_key[i]);
        list_init(&syncs->ops_by_request[i]);
    }
}

/* --- objects --- */

static uint32_t class_of(uint32_t op)
{
    switch (op) {
    case SYNC_LOCK:
    case SYNC_UNLOCK:
    case SYNC_UNLOCK_DEAD:
        return SYNC_CLASS_MUTEX;
    case SYNC_SEM_WAIT:
    case SYNC_SEM_POST:
    case SYNC_SEM_VALUE:
        return SYNC_CLASS_SEM;
    case SYNC_BARRIER:
        return SYNC_CLASS_BARRIER;
    case SYNC_FETCH_ADD:
    case SYNC_COMPARE_SWAP:
        return SYNC_CLASS_ATOMIC;
    default:
        return 0;
    }
}

static struct sync_object *get_object(struct syncs *syncs, struct region *region, uint64_t offset,
                                      uint32_t class_)
{
    uint64_t key = (offset / 8 + region->record.id.slot * 31 + class_) % SYNC_BUCKETS;
    struct list *bucket = &syncs->objects_by_key[key];
    struct sync_object *object;

    for (struct list *place = bucket->next; place != bucket; place = place->next) {
        object = list_object(place, struct sync_object, place);
        if (object->region == region && object->offset == offset && object->class_ == class_) {
            return object;
        }
    }
    object = pool_get(&syncs->objects);
    object->region = region;
    object->offset = offset;
    object->class_ = class_;
    object->value = class_ == SYNC_CLASS_SEM ? region->record.size_bytes : 0;
    list_init(&object->waiters);
    list_init(&object->recalled);
    list_add_tail(bucket, &object->place);
    return object;
}

/* Objects whose state is that of a new one need not be kept. */
void sync_tidy_object(struct syncs *syncs, struct sync_object *object)
{
    if (object->class_ != SYNC_CLASS_SEM && list_is_empty(&object->waiters) &&
        object->holder == NULL && !object->is_dead) {
        list_remove(&object->place);
        pool_put(&syncs->objects, object);
    }
}

/* --- operations --- */

static struct list *op_bucket(const struct syncs *syncs, uint32_t node, uint64_t request)
{
    uint64_t key = (request / NODES_MAX + node * 17u) % SYNC_BUCKETS;

    return (struct list *)(uintptr_t)&syncs->ops_by_request[key];
}

struct sync_entry *sync_find_op(const struct syncs *syncs, uint32_t node, uint64_t request)
{
    const struct list *bucket = op_bucket(syncs, node, request);

    for (struct list *place = bucket->next; place != bucket; place = place->next) {
        struct sync_entry *op = list_object(place, struct sync_entry, by_request);

        if (op->node == node && op->request == request) {
            return op;
        }
    }
    return NULL;
}

static struct sync_entry *new_op(struct syncs *syncs, const struct message *message)
{
    struct sync_entry *op = pool_get(&syncs->ops);
    struct remote *remote = remote_get(&syncs->context->remotes, message->from);

    op->node = message->from;
    op->request = message->request;
    op->region = message->region;
    op->op = message->op;
    op->value = message->value;
    op->state = SYNC_WAITING;
    list_init(&op->place);
    list_init(&op->outbox);
    list_init(&op->atomic);
    list_add_tail(op_bucket(syncs, op->node, op->request), &op->by_request);
    list_add_tail(&remote->sync_ops, &op->by_node);
    remote->count_sync_ops++;
    return op;
}

void sync_free_op(struct syncs *syncs, struct sync_entry *op)
{
    list_remove(&op->place);
    list_remove(&op->by_request);
    list_remove(&op->by_node);
    list_remove(&op->outbox);
    list_remove(&op->atomic);
    remote_get(&syncs->context->remotes, op->node)->count_sync_ops--;
    pool_put(&syncs->ops, op);
}

static void send_reply(struct syncs *syncs, const struct sync_entry *op, uint32_t flags)
{
    struct message reply = {
        .kind = MESSAGE_SYNC_REPLY,
        .to = op->node,
        .flags = (uint16_t)flags,
        .region = op->region,
        .request = op->request,
        .op = op->op,
        .value = op->value,
        .error = op->error,
    };

    if (op->op == SYNC_UNLOCK || op->op == SYNC_UNLOCK_DEAD) {
        context_send_idly(syncs->context, &reply, MAY_WAIT_LONG); /* a node's own, no program's */
    } else {
        context_send(syncs->context, &reply, BYTES_NONE, 0, 0);
    }
}

static void send_refusal(struct syncs *syncs, const struct message *message)
{
    struct message reply = {
        .kind = MESSAGE_SYNC_REPLY,
        .to = message->from,
        .region = message->region,
        .request = message->request,
        .op = message->op,
        .error = DSM_EACCES,
    };

    context_send(syncs->context, &reply, BYTES_NONE, 0, 0);
}

/*
 * Outcomes leave one by one: a barrier may have thousands of parties, a step's actions are bounded.
 */
void sync_post_outcome(struct syncs *syncs, struct sync_entry *op)
{
    list_remove(&op->outbox);
    list_add_tail(&syncs->outbox, &op->outbox);
}

bool syncs_send_outcome(struct syncs *syncs)
{
    struct sync_entry *op;

    if (list_is_empty(&syncs->outbox)) {
        return false;
    }
    op = list_object(syncs->outbox.next, struct sync_entry, outbox);
    list_remove(&op->outbox);
    if (op->state == SYNC_DONE && op->was_queued) { /* S6 */
        op->sent_ms = syncs->context->now_ms;
        list_add_tail(&syncs->unacknowledged, &op->outbox);
    }
    send_reply(syncs, op, mutex_grant_flags(op));
    return true;
}

static uint64_t outcome_deadline(const struct syncs *syncs)
{
    if (list_is_empty(&syncs->unacknowledged)) {
        return UINT64_MAX;
    }
    return list_object(syncs->unacknowledged.next, struct sync_entry, outbox)->sent_ms +
           syncs->context->config.resend_ms;
}

uint64_t syncs_deadline(const struct syncs *syncs)
{
    uint64_t outcome = outcome_deadline(syncs), recall = mutex_deadline(syncs);

    return outcome < recall ? outcome : recall;
}

bool syncs_resend(struct syncs *syncs)
{
    if (syncs->context->now_ms < outcome_deadline(syncs)) {
        return mutex_resend(syncs);
    }
    syncs->context->counters.resends++;
    sync_post_outcome(syncs, list_object(syncs->unacknowledged.next, struct sync_entry, outbox));
    return true;
}

void sync_close(struct sync_entry *op, int32_t error, uint64_t value)
{
    list_remove(&op->place);
    op->state = SYNC_DONE;
    op->object = NULL;
    op->error = error;
    op->value = value;
}

void sync_finish(struct syncs *syncs, struct sync_entry *op, int32_t error, uint64_t value)
{
    sync_close(op, error, value);
    sync_post_outcome(syncs, op);
}

/* --- semaphore --- */

static void post(struct syncs *syncs, struct sync_object *object)
{
    if (list_is_empty(&object->waiters)) {
        object->value++;
    } else {
        sync_finish(syncs, list_object(object->waiters.next, struct sync_entry, place), 0,
                    0); /* S2 */
    }
}

static void sem_operation(struct syncs *syncs, struct sync_entry *op, struct sync_object *object)
{
    if (op->op == SYNC_SEM_VALUE) {
        sync_finish(syncs, op, 0, object->value);
    } else if (op->op == SYNC_SEM_POST) {
        if (object->value >= SEM_VALUE_MAX) {
            sync_finish(syncs, op, DSM_EOVERFLOW, 0);
        } else {
            sync_finish(syncs, op, 0, 0);
            post(syncs, object);
        }
    } else if (object->value > 0) {
        object->value--;
        sync_finish(syncs, op, 0, 0);
    } else if (op->value == 1) {
        sync_finish(syncs, op, DSM_EAGAIN, 0);
    } else {
        op->object = object;
        list_add_tail(&object->waiters, &op->place);
    }
}

/* --- messages --- */

/*
 * The operation goes by a number of this home's: its node may die and come back before it is done,
 * and then has another request of the same number.
 */
static void start_atomic(struct syncs *syncs, struct sync_entry *op, const struct message *message)
{
    struct message atomic = *message;

    op->atomic_number = ++syncs->count_atomics;
    list_add_tail(&syncs->atomics, &op->atomic);
    atomic.request = op->atomic_number;
    atomic.kind = MESSAGE_ATOMIC;
    atomic.to = (uint16_t)syncs->context->config.self;
    atomic.requester = message->from;
    context_send(syncs->context, &atomic, BYTES_NONE, 0, 0);
}

static void carry_out(struct syncs *syncs, struct sync_entry *op, const struct message *message)
{
    struct region *region = context_region(syncs->context, message->region);
    uint32_t class_ = class_of(message->op);
    struct sync_object *object;
    bool is_sem = region->record.kind == RECORD_SEM;

    if (class_ == 0 || (class_ == SYNC_CLASS_SEM) != is_sem || (is_sem && message->offset != 0) ||
        (class_ == SYNC_CLASS_ATOMIC && message->offset % 8 != 0)) {
        sync_finish(syncs, op, DSM_EINVAL, 0);
        return;
    }
    if (class_ == SYNC_CLASS_ATOMIC) {
        start_atomic(syncs, op, message);
        return;
    }
    object = get_object(syncs, region, message->offset, class_);
    switch (message->op) {
    case SYNC_LOCK:
        op->is_try = message->operand == 1;
        mutex_lock(syncs, op, object);
        break;
    case SYNC_UNLOCK:
    case SYNC_UNLOCK_DEAD:
        mutex_unlock(syncs, op, object, message->operand, message->op == SYNC_UNLOCK_DEAD);
        break;
    case SYNC_BARRIER:
        barrier_arrive(syncs, op, object);
        break;
    default:
        sem_operation(syncs, op, object);
        break;
    }
}

static void cancel(struct syncs *syncs, const struct message *message, bool is_new)
{
    struct sync_entry *op = sync_find_op(syncs, message->from, message->request);

    if (op == NULL && !is_new) { /* the requester has the outcome already, or it was refused */
        send_refusal(syncs, message);
        return;
    }
    if (op == NULL) { /* its request was lost; should it come yet, it counts as seen */
        op = new_op(syncs, message);
        sync_finish(syncs, op, DSM_ECANCELED, 0);
    } else if (op->state == SYNC_WAITING && op->object != NULL) {
        struct sync_object *object = op->object;

        sync_finish(syncs, op, DSM_ECANCELED, 0); /* S5 */
        sync_tidy_object(syncs, object);
    } else if (op->state != SYNC_WAITING) {
        send_reply(syncs, op, mutex_grant_flags(op)); /* outcome and cancellation crossed */
    }
}

bool syncs_is_full(const struct syncs *syncs, const struct message *message)
{
    bool may_wait = message->op == SYNC_LOCK || message->op == SYNC_SEM_WAIT ||
                    message->op == SYNC_BARRIER || message->op == SYNC_FETCH_ADD ||
                    message->op == SYNC_COMPARE_SWAP;
    const struct remote *remote = remote_find(&syncs->context->remotes, message->from);

    return may_wait && remote != NULL && remote->count_sync_ops >= OPS_PER_NODE_MAX;
}

void syncs_on_request(struct syncs *syncs, const struct message *message, bool is_new)
{
    struct sync_entry *op;

    if (message->op == SYNC_CANCEL) {
        cancel(syncs, message, is_new);
        return;
    }
    if (is_new) {
        carry_out(syncs, new_op(syncs, message), message);
        return;
    }
    op = sync_find_op(syncs, message->from, message->request);
    if (op == NULL) { /* S4: closed long ago, and then nobody listens, or refused */
        send_refusal(syncs, message);
        return;
    }
    if (op->state == SYNC_WAITING) {
        op->was_queued = true;
        send_reply(syncs, op, FLAG_QUEUED);
    } else {
        send_reply(syncs, op, mutex_grant_flags(op));
    }
}

void syncs_on_atomic_done(struct syncs *syncs, const struct message *message)
{
    for (struct list *place = syncs->atomics.next; place != &syncs->atomics; place = place->next) {
        struct sync_entry *op = list_object(place, struct sync_entry, atomic);

        if (op->atomic_number == message->request) {
            list_remove(&op->atomic);
            sync_finish(syncs, op, message->error, message->value);
            return;
        }
    }
}

void syncs_on_ack(struct syncs *syncs, const struct message *message)
{
    struct sync_entry *op = sync_find_op(syncs, message->from, message->request);

    if (op == NULL) {
        return;
    }
    op->was_queued = false;
    if (op->state == SYNC_DONE) {
        sync_free_op(syncs, op);
    }
}

void syncs_raise_floor(struct syncs *syncs, uint32_t node, uint64_t floor)
{
    struct list *list = &remote_get(&syncs->context->remotes, node)->sync_ops;

    for (struct list *place = list->next; place != list;) {
        struct sync_entry *op = list_object(place, struct sync_entry, by_node);

        place = place->next;
        if (op->request / NODES_MAX >= floor) {
            break; /* the list is in order of numbers but for cancelled ones, which wait a little */
        }
        if (op->state == SYNC_DONE && !op->was_queued) {
            sync_free_op(syncs, op);
        }
    }
}
