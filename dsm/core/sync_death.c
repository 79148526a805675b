/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What synchronisation does when a member dies, a region goes, or messages may be lost. The rules
 * S1 to S5 are told in sync.c.
 */
#include "dsm/core/sync.h"

static void hurry(struct syncs *syncs, const struct list *list)
{
    for (struct list *place = list->next; place != list; place = place->next) {
        struct sync_entry *op = list_object(place, struct sync_entry, by_node);

        if (op->state == SYNC_DONE && op->was_queued) {
            list_remove(&op->outbox);
            list_add_tail(&syncs->outbox, &op->outbox);
        }
    }
}

void syncs_hurry(struct syncs *syncs, uint32_t node)
{
    for (uint32_t i = 0; i < NODES_MAX; i++) {
        struct remote *remote = remote_find(&syncs->context->remotes, i);

        if (remote != NULL && (node == NODE_NONE || node == i)) {
            hurry(syncs, &remote->sync_ops);
        }
    }
    for (struct list *place = syncs->recalled.next; place != &syncs->recalled;
         place = place->next) {
        list_object(place, struct sync_object, recalled)->recalled_ms = 0;
    }
}

static void leave_object(struct syncs *syncs, struct sync_entry *op)
{
    struct sync_object *object = op->object;

    if (object == NULL) {
        return;
    }
    list_remove(&op->place);
    if (object->holder == op) {
        object->holder = NULL;
        object->is_dead = true;
        mutex_pass(syncs, object);
    } else {
        sync_tidy_object(syncs, object);
    }
}

static void free_all(struct syncs *syncs, const struct list *list)
{
    while (!list_is_empty(list)) {
        struct sync_entry *op = list_object(list->next, struct sync_entry, by_node);

        leave_object(syncs, op);
        sync_free_op(syncs, op);
    }
}

void syncs_member_died(struct syncs *syncs, uint32_t node)
{
    struct remote *remote = remote_get(&syncs->context->remotes, node);
    struct list *list = &remote->sync_ops;

    /* First nobody of it waits any more, then what it held is passed on. */
    for (struct list *place = list->next; place != list; place = place->next) {
        struct sync_entry *op = list_object(place, struct sync_entry, by_node);

        if (op->state == SYNC_WAITING) {
            leave_object(syncs, op);
            op->object = NULL;
        }
    }
    free_all(syncs, &remote->sync_ops);
    free_all(syncs, &remote->sync_held);
}

static void forget_region(struct syncs *syncs, const struct list *list, const struct region *region)
{
    for (struct list *place = list->next; place != list;) {
        struct sync_entry *op = list_object(place, struct sync_entry, by_node);

        place = place->next;
        if (region_id_equal(op->region, region->record.id)) {
            sync_free_op(syncs, op);
        }
    }
}

void syncs_region_gone(struct syncs *syncs, const struct region *region)
{
    for (uint32_t i = 0; i < NODES_MAX; i++) {
        struct remote *remote = remote_find(&syncs->context->remotes, i);

        if (remote != NULL) {
            forget_region(syncs, &remote->sync_ops, region);
            forget_region(syncs, &remote->sync_held, region);
        }
    }
    for (uint32_t i = 0; i < SYNC_BUCKETS; i++) {
        struct list *bucket = &syncs->objects_by_key[i];

        for (struct list *place = bucket->next; place != bucket;) {
            struct sync_object *object = list_object(place, struct sync_object, place);

            place = place->next;
            if (object->region == region) {
                list_remove(&object->place);
                list_remove(&object->recalled);
                pool_put(&syncs->objects, object);
            }
        }
    }
}
