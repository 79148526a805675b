/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Barriers at their home, and how the end of a round gets about. Each party's arrival is a request
 * to the home. Who is in a round of a few nodes gets its SYNC_REPLY from the home. Where nodes are
 * many, the home tells a few of them BARRIER_OVER, and these tell others: O(log n) messages one
 * after the other, and none sends more than BARRIER_FAN.
 *
 * S7 The home names in BARRIER_OVER only nodes that have exactly one party in the round, which it
 *    has not called queued. To a node it counts only for a call that waits alone at that barrier,
 *    and only when the round is younger than any that the node had heard of, from this home when
 *    the call was made, and at this barrier since (call_barrier.c): so it is the call that the home
 *    has counted. In all other cases the message is nothing, and the call asks again.
 */
#include "dsm/core/barrier.h"

/** Runs of nodes that are told so at most: the actions of a step are bounded. */
#define BARRIER_RUNS 8u

void barrier_spread(struct context *context, const struct message *over, uint32_t first,
                    uint32_t end)
{
    struct message message = *over;
    uint32_t count = end > first ? end - first : 0;
    uint32_t parts = count < BARRIER_FAN ? count : BARRIER_FAN;

    message.kind = MESSAGE_BARRIER_OVER;
    message.flags = 0;
    for (uint32_t part = 0; part < parts; part++) {
        uint32_t to = first + count * part / parts, part_end = first + count * (part + 1) / parts;

        while (to < part_end && !nodeset_has(context->alive, to)) {
            to++;
        }
        if (to < part_end) {
            message.to = (uint16_t)to;
            message.operand = to;
            message.value = part_end;
            context_send(context, &message, BYTES_NONE, 0, 0);
        }
    }
}

/* The nodes with exactly one party that the home may leave to others to tell. */
static nodeset sole_parties(const struct syncs *syncs, const struct sync_object *object)
{
    nodeset once = NODESET_EMPTY, other = nodeset_of(syncs->context->config.self);

    for (const struct list *place = object->waiters.next; place != &object->waiters;
         place = place->next) {
        const struct sync_entry *op =
            list_object((struct list *)(uintptr_t)place, struct sync_entry, place);

        nodeset_add(op->was_queued || nodeset_has(once, op->node) ? &other : &once, op->node);
    }
    return nodeset_minus(once, other);
}

/* Tell long runs of nodes by BARRIER_OVER; who is told. */
static nodeset tell_runs(struct syncs *syncs, const struct sync_object *object, uint64_t round)
{
    const nodeset sole = sole_parties(syncs, object);
    const struct message over = {
        .region = object->region->record.id, .offset = object->offset, .version = round};
    nodeset told = NODESET_EMPTY;
    uint32_t first = nodeset_first(sole);

    for (uint32_t runs = 0; first != NODE_NONE && runs < BARRIER_RUNS;) {
        uint32_t end = first + 1;

        while (end < NODES_MAX && nodeset_has(sole, end)) {
            end++;
        }
        if (end - first >= syncs->context->config.barrier_run) {
            barrier_spread(syncs->context, &over, first, end);
            for (uint32_t node = first; node < end; node++) {
                nodeset_add(&told, node);
            }
            runs++;
        }
        first = nodeset_next(sole, end - 1);
    }
    return told;
}

/* All parties have come (S3). */
static void end_round(struct syncs *syncs, struct sync_object *object)
{
    uint64_t round = ++syncs->count_rounds;
    nodeset told = tell_runs(syncs, object, round);

    while (!list_is_empty(&object->waiters)) {
        struct sync_entry *op = list_object(object->waiters.next, struct sync_entry, place);

        if (nodeset_has(told, op->node)) {
            sync_close(op, 0, round);
        } else {
            sync_finish(syncs, op, 0, round);
        }
    }
}

void barrier_arrive(struct syncs *syncs, struct sync_entry *op, struct sync_object *object)
{
    uint32_t count = 1;

    if (list_is_empty(&object->waiters)) {
        object->parties = op->value > 0 && op->value < UINT32_MAX ? (uint32_t)op->value : 0;
    }
    if (object->parties == 0 || object->parties != op->value) {
        sync_finish(syncs, op, DSM_EINVAL, 0);
        sync_tidy_object(syncs, object);
        return;
    }
    for (const struct list *place = object->waiters.next; place != &object->waiters;
         place = place->next) {
        count++;
    }
    op->object = object;
    list_add_tail(&object->waiters, &op->place);
    if (count == object->parties) {
        end_round(syncs, object);
        sync_tidy_object(syncs, object);
    }
}
