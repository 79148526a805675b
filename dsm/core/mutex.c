/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mutex at its home. Who holds it is a node, by the number of a LOCK of it, until an UNLOCK with
 * that number comes: such a node is said to have the mutex's token. It gives the mutex to its own
 * programs without asking (token.c), and gives the token back when the home has told it that others
 * wait.
 *
 * S1 A mutex has one holder at most, and it is passed on in order of arrival.
 * S8 While somebody waits, the holder knows of it, or is about to be told: by FLAG_WANTED with the
 *    grant, or by RECALL, which is sent again until HELD or UNLOCK answers it.
 * S9 Who only tries waits no longer than until the holder's node has answered: it gets the mutex if
 *    that was held by no program, and else is told EAGAIN.
 * S10 A mutex that several nodes have wanted in turn is given as one that is wanted: its next
 *    waiter is a message away, mostly. A guess that was wrong costs one LOCK; a few end guessing.
 */
#include "dsm/core/sync.h"

/**
 * Holders who kept somebody waiting, before the next one is taken to do so (S10); and how many
 * count at most: a guess that was wrong halves them.
 */
#define STREAK 2u
#define STREAK_MAX 16u

static void recall_over(struct sync_object *object, uint32_t state)
{
    list_remove(&object->recalled);
    object->recall = (uint8_t)state;
}

static void send_recall(struct syncs *syncs, struct sync_object *object)
{
    const struct sync_entry *holder = object->holder;
    struct message recall = {
        .kind = MESSAGE_RECALL,
        .to = holder->node,
        .region = holder->region,
        .request = holder->request,
        .offset = object->offset,
    };

    list_remove(&object->recalled);
    list_add_tail(&syncs->recalled, &object->recalled);
    object->recall = RECALL_SENT;
    object->recalled_ms = syncs->context->now_ms;
    context_send(syncs->context, &recall, BYTES_NONE, 0, 0);
}

uint64_t mutex_deadline(const struct syncs *syncs)
{
    if (list_is_empty(&syncs->recalled)) {
        return UINT64_MAX;
    }
    return list_object(syncs->recalled.next, struct sync_object, recalled)->recalled_ms +
           syncs->context->config.resend_ms;
}

bool mutex_resend(struct syncs *syncs)
{
    if (syncs->context->now_ms < mutex_deadline(syncs)) {
        return false;
    }
    syncs->context->counters.resends++;
    send_recall(syncs, list_object(syncs->recalled.next, struct sync_object, recalled));
    return true;
}

/* A program holds it, so those that only try do not get it (S9). */
static void refuse_tries(struct syncs *syncs, struct sync_object *object)
{
    for (struct list *place = object->waiters.next; place != &object->waiters;) {
        struct sync_entry *op = list_object(place, struct sync_entry, place);

        place = place->next;
        if (op->is_try) {
            sync_finish(syncs, op, DSM_EAGAIN, 0);
        }
    }
}

uint32_t mutex_grant_flags(struct sync_entry *op)
{
    struct sync_object *object = op->object;

    if (op->state != SYNC_HOLDING) {
        return 0;
    }
    op->is_sent = true;
    if (object->recall == RECALL_NONE &&
        (!list_is_empty(&object->waiters) || object->streak >= STREAK)) {
        object->recall = RECALL_TOLD; /* S8, S10 */
    }
    return object->recall == RECALL_TOLD ? FLAG_WANTED : 0;
}

void mutex_pass(struct syncs *syncs, struct sync_object *object)
{
    struct sync_entry *op;

    core_assert(object->holder == NULL, "S1");
    recall_over(object, RECALL_NONE);
    if (list_is_empty(&object->waiters)) {
        sync_tidy_object(syncs, object);
        return;
    }
    op = list_object(object->waiters.next, struct sync_entry, place);
    list_remove(&op->place);
    list_remove(&op->by_node);
    list_add_tail(&remote_get(&syncs->context->remotes, op->node)->sync_held, &op->by_node);
    op->state = SYNC_HOLDING;
    op->error = object->is_dead ? DSM_EOWNERDEAD : 0;
    object->is_dead = false;
    object->holder = op;
    refuse_tries(syncs, object);
    sync_post_outcome(syncs, op);
}

void mutex_lock(struct syncs *syncs, struct sync_entry *op, struct sync_object *object)
{
    const struct sync_entry *holder = object->holder;

    if (op->is_try && holder != NULL &&
        (!holder->is_sent || object->recall == RECALL_TOLD || !list_is_empty(&object->waiters))) {
        sync_finish(syncs, op, DSM_EAGAIN, 0); /* whoever is before it gets it first (S9) */
        return;
    }
    op->object = object;
    list_add_tail(&object->waiters, &op->place);
    if (holder == NULL) {
        mutex_pass(syncs, object);
    } else if (holder->is_sent && object->recall == RECALL_NONE) {
        send_recall(syncs, object); /* S8 */
    }
}

void mutex_unlock(struct syncs *syncs, struct sync_entry *op, struct sync_object *object,
                  uint64_t held_by, bool is_dead)
{
    struct sync_entry *holder = object->holder;

    if (holder == NULL || holder->node != op->node || holder->request != held_by) {
        sync_finish(syncs, op, DSM_EPERM, 0);
        sync_tidy_object(syncs, object);
        return;
    }
    if (list_is_empty(&object->waiters)) {
        object->streak /= 2;
    } else if (object->streak < STREAK_MAX) {
        object->streak++;
    }
    object->holder = NULL;
    object->is_dead = is_dead;
    sync_free_op(syncs, holder);
    mutex_pass(syncs, object); /* the next one's grant leaves before the answer to this one */
    sync_finish(syncs, op, 0, 0);
}

void syncs_on_held(struct syncs *syncs, const struct message *message)
{
    const struct sync_entry *op = sync_find_op(syncs, message->from, message->request);

    if (op == NULL || op->state != SYNC_HOLDING || op->object->recall != RECALL_SENT) {
        return;
    }
    recall_over(op->object, RECALL_TOLD);
    refuse_tries(syncs, op->object);
}
