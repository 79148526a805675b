/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What another node wants may be put off. To the protocol such a message is one that the network
 * has delayed. There are three reasons.
 *
 * The mutex to which a program has bound the page is held here (binding.c): the message is handled
 * when it is given up.
 *
 * A page has just come, and its threads have their turn (page_turn.c): the message is handled at
 * the turn's end.
 *
 * Threads of this node wait for the page's group: else pages that come one by one could be taken
 * one by one, and no thread would ever get on (G5 in group.c). The message is handled HOLD_MS after
 * the group is whole or nobody waits for it any more; after DEFER_MS in any case. Nobody waits for
 * ever: a message is put off only for a group whose first lacking page lies above all pages of the
 * message. Who waits for these, waits for one that waits for a higher page.
 *
 * A message is put off once, for one of them.
 */
#include "dsm/core/binding.h"
#include "dsm/core/group.h"

/** A thread's turn when its group is whole. */
#define HOLD_MS 1u
/** How long a message is put off at most. */
#define DEFER_MS 100u
/** Messages put off at once; homes that are honest send fewer. */
#define DEFERRED_MAX 256u

/* Is this message, of all that is wanted here, to be put off (G5)? */
static bool must_wait(const struct pages *pages, const struct message *message)
{
    bool reads = message->kind == MESSAGE_FORWARD && (message->flags & FLAG_WRITE) == 0;
    uint64_t end = message->page + message->count;
    bool waits = false;

    for (const struct list *place = pages->assemblies.next; place != &pages->assemblies;
         place = place->next) {
        const struct assembly *assembly =
            list_object((struct list *)(uintptr_t)place, struct assembly, place);
        struct page_span group = pages_group(pages, assembly->region, assembly->page);
        uint64_t lacks = assembly_lacks(pages, assembly);

        if (!region_id_equal(assembly->region->record.id, message->region)) {
            continue;
        }
        if (end > lacks && message->page < group.page + group.count) {
            return false;
        }
        if (message->page < lacks && end > group.page && (!reads || assembly_writes(assembly))) {
            waits = true;
        }
    }
    return waits;
}

/* The same message of the same transfer, which has come before; NULL: it has not. */
static struct deferred *find_deferred(const struct pages *pages, const struct message *message)
{
    for (struct list *place = pages->deferred.next; place != &pages->deferred;
         place = place->next) {
        struct deferred *deferred = list_object(place, struct deferred, place);

        if (deferred->message.version == message->version &&
            deferred->message.page == message->page &&
            region_id_equal(deferred->message.region, message->region)) {
            return deferred;
        }
    }
    return NULL;
}

/* Why is this message, which came now, put off, and until when? now_ms: it is not. */
static uint64_t defer_until(struct pages *pages, const struct message *message, uint8_t *reason)
{
    uint64_t now_ms = pages->context->now_ms, until_ms;

    if (must_wait(pages, message)) {
        *reason = DEFER_GROUP;
        return now_ms + DEFER_MS;
    }
    until_ms = bindings_until(pages->bindings, message, now_ms);
    *reason = DEFER_LOCK;
    if (until_ms <= now_ms) {
        *reason = DEFER_TURN;
        until_ms = turn_until(pages, message);
    }
    return until_ms;
}

bool pages_defer(struct pages *pages, const struct message *message)
{
    uint64_t now_ms = pages->context->now_ms, due_ms;
    struct deferred *deferred = find_deferred(pages, message);
    uint8_t reason;

    if (pages->is_due) {
        turn_end(pages, message);
        return false;
    }
    if (deferred == NULL) {
        if (pages->count_deferred == DEFERRED_MAX) {
            return false;
        }
        due_ms = defer_until(pages, message, &reason);
        if (due_ms <= now_ms) {
            return false;
        }
        deferred = pool_get(&pages->deferred_pool);
        deferred->since_ms = now_ms;
        deferred->due_ms = due_ms;
        deferred->reason = reason;
        list_add_tail(&pages->deferred, &deferred->place);
        pages->count_deferred++;
    }
    deferred->message = *message;
    return true;
}

/* Does the reason still hold? */
static void look_again(const struct pages *pages, struct deferred *deferred)
{
    uint64_t now_ms = pages->context->now_ms;

    if (deferred->reason == DEFER_LOCK) {
        deferred->due_ms =
            bindings_until(pages->bindings, &deferred->message, deferred->since_ms);
    } else if (deferred->reason == DEFER_GROUP && deferred->due_ms > now_ms + HOLD_MS &&
               !must_wait(pages, &deferred->message)) {
        deferred->due_ms = now_ms + HOLD_MS;
    }
}

bool pages_take_deferred(struct pages *pages, struct message *message)
{
    uint64_t now_ms = pages->context->now_ms;

    for (struct list *place = pages->deferred.next; place != &pages->deferred;
         place = place->next) {
        struct deferred *deferred = list_object(place, struct deferred, place);

        look_again(pages, deferred);
        if (deferred->due_ms <= now_ms) {
            *message = deferred->message;
            list_remove(place);
            pool_put(&pages->deferred_pool, deferred);
            pages->count_deferred--;
            return true;
        }
    }
    return false;
}

uint64_t pages_defer_deadline(const struct pages *pages)
{
    uint64_t due_ms = UINT64_MAX;

    for (struct list *place = pages->deferred.next; place != &pages->deferred;
         place = place->next) {
        uint64_t other_ms = list_object(place, struct deferred, place)->due_ms;

        due_ms = other_ms < due_ms ? other_ms : due_ms;
    }
    return due_ms;
}

void pages_defer_no_more(struct pages *pages)
{
    for (struct list *place = pages->deferred.next; place != &pages->deferred;
         place = place->next) {
        struct deferred *deferred = list_object(place, struct deferred, place);

        deferred->due_ms = 0;
        deferred->reason = DEFER_NO_MORE;
    }
}
