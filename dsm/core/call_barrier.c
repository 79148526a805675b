/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a barrier's round as a node hears of it by BARRIER_OVER (S7 in barrier.c). */
#include "dsm/core/barrier.h"
#include "dsm/core/call.h"

static bool is_at(const struct sync_call *call, const struct region *region, uint64_t offset)
{
    return call->op == SYNC_BARRIER && call->region == region && call->offset == offset;
}

void calls_note_round(struct calls *calls, const struct sync_call *call, uint64_t round)
{
    struct remote *remote = remote_get(&calls->context->remotes, call->out.home);

    if (round > remote->last_round) {
        remote->last_round = round;
    }
    for (struct list *place = calls->all.next; place != &calls->all; place = place->next) {
        struct sync_call *other = list_object(place, struct sync_call, in_calls);

        if (is_at(other, call->region, call->offset) && other->after_round < round) {
            other->after_round = round;
        }
    }
}

/* The only call that has been sent for this barrier; NULL: there is none, or another one. */
static struct sync_call *sole_call(const struct calls *calls, const struct region *region,
                                   uint64_t offset)
{
    struct sync_call *found = NULL;

    for (struct list *place = calls->all.next; place != &calls->all; place = place->next) {
        struct sync_call *call = list_object(place, struct sync_call, in_calls);

        if (!is_at(call, region, offset) || call->out.id == 0) {
            continue;
        }
        if (found != NULL) {
            return NULL;
        }
        found = call;
    }
    return found;
}

void calls_on_over(struct calls *calls, const struct message *message)
{
    struct context *context = calls->context;
    const struct region *region = context_region(context, message->region);
    struct sync_call *call;

    if (region == NULL) {
        return; /* its record is late here, or it is deleted */
    }
    if (message->operand != context->config.self || message->value > NODES_MAX ||
        (message->from != call_home(region, message->offset) &&
         !nodeset_has(region->record.writers, message->from))) {
        context->counters.refused++;
        return;
    }
    barrier_spread(context, message, context->config.self + 1, (uint32_t)message->value);
    call = sole_call(calls, region, message->offset);
    if (call != NULL && !call->is_cancelled && !call->was_queued &&
        message->version > call->after_round) {
        calls_note_round(calls, call, message->version);
        call_end(calls, call);
    }
}
