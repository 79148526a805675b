/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing a region (I1 and I2 in sealed.c): one change of its record, and then a question to each
 * of its homes. It is refused while any other program may write, or this one has it mapped for
 * writing: nobody's right is taken away. Every writer stands in the record (K1), and the change is
 * made on the very record that was looked at, so no writer can come up meanwhile on another node;
 * on this one, opening and mapping for writing wait, or are refused, while it is under way.
 */
#include "dsm/core/catalog.h"

bool catalog_is_sealing(const struct catalog_view *view, const struct region *region)
{
    for (struct list *place = view->waiting.next; place != &view->waiting; place = place->next) {
        const struct ticket *ticket = list_object(place, struct ticket, place);

        if (ticket->call.kind == CALL_SEAL && ticket->proposal.kind == PROPOSAL_UPDATE &&
            region_id_equal(ticket->region, region->record.id)) {
            return true;
        }
    }
    return false;
}

static void ask_homes(struct catalog_view *view, struct ticket *ticket, const struct region *region)
{
    struct message message = {
        .kind = MESSAGE_SEAL,
        .region = ticket->region,
        .request = ticket->number,
    };

    for (uint32_t home = nodeset_first(ticket->homes); home != NODE_NONE;
         home = nodeset_next(ticket->homes, home)) {
        if (region_home_is_lost(view->context, region, home)) {
            nodeset_remove(&ticket->homes, home);
        } else {
            message.to = (uint16_t)home;
            context_send(view->context, &message, BYTES_NONE, 0, 0);
        }
    }
}

/* Ask those homes that have not answered; done when there are none. */
static void go_on(struct catalog_view *view, struct ticket *ticket)
{
    const struct region *region = context_region(view->context, ticket->region);
    struct reply reply = {.node = NODE_NONE};

    if (region != NULL) {
        ask_homes(view, ticket, region);
    }
    if (region == NULL || nodeset_is_empty(ticket->homes)) {
        ticket_finish(view, ticket, &reply);
        return;
    }
    ticket->sent_ms = view->context->now_ms;
    list_remove(&ticket->place);
    list_add_tail(&view->sealed, &ticket->place);
}

static void fail_busy(struct catalog_view *view, struct ticket *ticket, uint32_t node)
{
    struct reply reply = {.error = DSM_EBUSY, .node = node};

    ticket_finish(view, ticket, &reply);
}

void ticket_try_seal(struct catalog_view *view, struct ticket *ticket)
{
    const struct region *region = context_region(view->context, ticket->region);
    uint32_t self = view->context->config.self;
    nodeset others;

    if (region == NULL) {
        ticket_fail(view, ticket, DSM_ESTALE);
        return;
    }
    if (region->record.sealed) {
        ticket->homes = region->record.homes;
        go_on(view, ticket);
        return;
    }
    if (ticket_ask(view, ticket)) {
        return;
    }
    others = nodeset_minus(region->record.writers, nodeset_of(self));
    if (!nodeset_is_empty(others)) {
        fail_busy(view, ticket, nodeset_first(others));
    } else if (region->count_writers > 1) {
        fail_busy(view, ticket, self);
    } else if (catalog_is_leaving(view, region) || catalog_is_sealing(view, region)) {
        ticket_stall(view, ticket);
    } else {
        ticket->proposal.record = region->record;
        ticket->proposal.record.sealed = true;
        ticket->proposal.record.writers = NODESET_EMPTY;
        ticket_propose(view, ticket, PROPOSAL_UPDATE);
    }
}

void catalog_on_sealed(struct catalog_view *view, const struct message *message)
{
    for (struct list *place = view->sealed.next; place != &view->sealed; place = place->next) {
        struct ticket *ticket = list_object(place, struct ticket, place);
        struct reply reply = {.node = NODE_NONE};

        if (ticket->number != message->request ||
            !region_id_equal(ticket->region, message->region)) {
            continue;
        }
        nodeset_remove(&ticket->homes, message->from);
        if (nodeset_is_empty(ticket->homes)) {
            ticket_finish(view, ticket, &reply);
        }
        return;
    }
}

uint64_t catalog_deadline(const struct catalog_view *view)
{
    if (list_is_empty(&view->sealed)) {
        return UINT64_MAX;
    }
    return list_object(view->sealed.next, struct ticket, place)->sent_ms +
           view->context->config.resend_ms;
}

bool catalog_ask_homes(struct catalog_view *view)
{
    if (view->context->now_ms < catalog_deadline(view)) {
        return false;
    }
    view->context->counters.resends++;
    go_on(view, list_object(view->sealed.next, struct ticket, place));
    return true;
}

void catalog_hurry(struct catalog_view *view)
{
    for (struct list *place = view->sealed.next; place != &view->sealed; place = place->next) {
        list_object(place, struct ticket, place)->sent_ms = 0;
    }
}
