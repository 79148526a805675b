/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/catalog_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/catalog_rules.h"
#include "dsm.h"

struct catalog_store {
    struct catalog_table *table;
    uint64_t region_bytes_max;
};

int catalog_store_open(const char *path, uint64_t region_bytes_max, struct catalog_store **store,
                       char *text)
{
    struct catalog_store *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        snprintf(text, TEXT_BYTES_MAX, "no memory to open the catalog %s", path);
        return DSM_ENOMEM;
    }
    made->region_bytes_max = region_bytes_max;
    int error = catalog_table_open(path, &made->table, text);
    if (error != 0) {
        free(made);
        return error;
    }
    *store = made;
    return 0;
}

void catalog_store_close(struct catalog_store *store)
{
    if (store != NULL) {
        catalog_table_close(store->table);
        free(store);
    }
}

static int transaction_begin(struct catalog_store *store, struct record_list *changes)
{
    changes->count = 0;
    return catalog_table_begin(store->table);
}

/** Commit when there is no error so far, else undo; C1. */
static int transaction_end(struct catalog_store *store, int error, struct record_list *changes)
{
    if (error == 0) {
        error = catalog_table_commit(store->table);
    } else {
        catalog_table_rollback(store->table);
    }
    if (error != 0) {
        changes->count = 0;
    }
    return error;
}

/** Store a record as changed; C2, and C6: an unlinked object without readers is deleted. */
static int record_change(struct catalog_store *store, struct record *record,
                         struct record_list *changes)
{
    record->revision = catalog_table_next_revision(store->table);
    record->deleted =
        record->kind != RECORD_NODE && record->unlinked && nodeset_is_empty(record->readers);
    int error = catalog_table_put(store->table, record);
    return error != 0 ? error : record_list_add(changes, record);
}

/** The nodes that are alive now. */
static int find_alive(struct catalog_store *store, nodeset *alive)
{
    struct record record;
    *alive = NODESET_EMPTY;
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        int error = catalog_table_find_node(store->table, node, &record);
        if (error == 0 && record.alive) {
            nodeset_add(alive, node);
        } else if (error != 0 && error != DSM_ENOENT) {
            return error;
        }
    }
    return 0;
}

/* Proposals. */

/** The new record takes name, owner, mode and type of `replaces`, which is unlinked. */
static int replace_record(struct catalog_store *store, const struct proposal *proposal,
                          struct record *record, struct record_list *changes)
{
    struct record old;
    int error = catalog_table_find_object(store->table, proposal->replaces.slot, &old);
    if (error == DSM_ENOENT) {
        return DSM_EAGAIN;
    }
    if (error != 0) {
        return error;
    }
    if (!region_id_equal(old.id, proposal->replaces) || old.unlinked) {
        return DSM_EAGAIN;
    }
    if (old.kind != record->kind || strcmp(old.name, record->name) != 0) {
        return DSM_EINVAL;
    }
    if ((record_rights(&old, &proposal->credential) & RIGHTS_WRITE) == 0) {
        return DSM_EACCES;
    }
    record->uid = old.uid;
    record->gid = old.gid;
    record->mode = old.mode;
    memcpy(record->type, old.type, sizeof(record->type));
    old.unlinked = true;
    return record_change(store, &old, changes);
}

static int apply_create(struct catalog_store *store, uint32_t node, const struct proposal *proposal,
                        struct record_list *changes, region_id *id)
{
    struct record record = proposal->record;
    struct record other;
    int error = rules_check_create(&record, node, store->region_bytes_max);
    record.uid = proposal->credential.uid;
    record.gid = proposal->credential.gid;
    if (error == 0 && !region_id_equal(proposal->replaces, (region_id){0, 0})) {
        error = replace_record(store, proposal, &record, changes);
    }
    if (error != 0) {
        return error;
    }
    error = catalog_table_find_name(store->table, record.kind, record.name, &other);
    if (error != DSM_ENOENT) {
        return error == 0 ? DSM_EEXIST : error;
    }
    record.homes = nodeset_of(node);
    if (record.kind == RECORD_REGION && record.home == DSM_HOME_STRIPED) {
        error = find_alive(store, &record.homes);
    } else {
        error = 0;
    }
    if (error == 0) {
        error = catalog_table_free_slot(store->table, &record.id.slot);
    }
    if (error != 0) {
        return error;
    }
    /* C4. The revision is the next one, as record_change() takes it; 0 is no generation. */
    record.id.generation = (uint32_t)(catalog_table_revision(store->table) + 1);
    if (record.id.generation == 0) {
        record.id.generation = UINT32_MAX;
    }
    record.alive = false;
    record.machine = (struct node_kind){0};
    record.epoch = 0;
    record.joined = 0;
    record.address[0] = 0;
    *id = record.id;
    return record_change(store, &record, changes);
}

static int apply_update(struct catalog_store *store, uint32_t node, const struct proposal *proposal,
                        struct record_list *changes, region_id *id)
{
    struct record record = proposal->record;
    struct record old;
    if (record.kind != RECORD_REGION && record.kind != RECORD_SEM) {
        return DSM_EACCES; /* nodes become members and die by other ways */
    }
    int error = catalog_table_find_object(store->table, record.id.slot, &old);
    if (error == DSM_ENOENT || (error == 0 && !region_id_equal(old.id, record.id))) {
        return DSM_ESTALE;
    }
    if (error != 0) {
        return error;
    }
    if (old.revision != record.revision) {
        return DSM_EAGAIN;
    }
    error = rules_check_update(&old, proposal, node, store->region_bytes_max);
    if (error != 0) {
        return error;
    }
    *id = old.id;
    if (old.unlinked == record.unlinked && nodeset_equal(old.readers, record.readers) &&
        nodeset_equal(old.writers, record.writers) && old.size_bytes == record.size_bytes &&
        old.sealed == record.sealed) {
        return 0;
    }
    return record_change(store, &record, changes);
}

/** May the node ask for anything? */
static int check_member(struct catalog_store *store, uint32_t node)
{
    struct record member;
    int error = catalog_table_find_node(store->table, node, &member);
    return error == DSM_ENOENT || (error == 0 && !member.alive) ? DSM_EDOWN : error;
}

/** Has this request been carried out already? Else carry it out. */
static int apply_proposal(struct catalog_store *store, uint32_t node, uint64_t request,
                          const struct proposal *proposal, struct record_list *changes,
                          region_id *id)
{
    int error = check_member(store, node);
    if (error == 0 && request != 0) {
        error = catalog_table_find_outcome(store->table, node, request, id);
        if (error != DSM_ENOENT) {
            return error;
        }
        error = 0;
    }
    if (error != 0) {
        return error;
    }
    switch (proposal->kind) {
    case PROPOSAL_CREATE:
        error = apply_create(store, node, proposal, changes, id);
        break;
    case PROPOSAL_UPDATE:
        error = apply_update(store, node, proposal, changes, id);
        break;
    default:
        error = DSM_EINVAL;
        break;
    }
    if (error == 0 && request != 0) {
        error = catalog_table_add_outcome(store->table, node, request, *id);
    }
    return error;
}

int catalog_store_propose(struct catalog_store *store, uint32_t node, uint64_t request,
                          const struct proposal *proposal, struct record_list *changes,
                          region_id *id)
{
    region_id made = {0, 0};
    if (proposal->kind == PROPOSAL_NOTHING) { /* and nothing has to go to the disk for it */
        changes->count = 0;
        *id = made;
        return check_member(store, node);
    }
    int error = transaction_begin(store, changes);
    if (error != 0) {
        return error;
    }
    error = apply_proposal(store, node, request, proposal, changes, &made);
    error = transaction_end(store, error, changes);
    if (error == 0) {
        *id = made;
    }
    return error;
}

/* Members. */

/** Take the dead node's bits out of every object; C5. */
static int release_objects(struct catalog_store *store, uint32_t node, struct record_list *changes)
{
    struct record record;
    uint64_t slot = 1;
    int error = 0;
    while (slot <= UINT32_MAX) {
        error = catalog_table_next_object(store->table, (uint32_t)slot, &record);
        if (error != 0) {
            break;
        }
        slot = (uint64_t)record.id.slot + 1;
        if (nodeset_has(nodeset_union(record.readers, record.writers), node)) {
            nodeset_remove(&record.readers, node);
            nodeset_remove(&record.writers, node);
            error = record_change(store, &record, changes);
            if (error != 0) {
                return error;
            }
        }
    }
    return error == DSM_ENOENT ? 0 : error;
}

static int apply_death(struct catalog_store *store, struct record *member,
                       struct record_list *changes)
{
    member->alive = false;
    member->epoch = catalog_table_next_epoch(store->table);
    int error = record_change(store, member, changes);
    if (error == 0) {
        error = catalog_table_forget_outcomes(store->table, member->id.slot);
    }
    return error != 0 ? error : release_objects(store, member->id.slot, changes);
}

int catalog_store_declare_dead(struct catalog_store *store, uint32_t node,
                               struct record_list *changes)
{
    struct record member;
    int error = transaction_begin(store, changes);
    if (error != 0) {
        return error;
    }
    error = catalog_table_find_node(store->table, node, &member);
    if (error == 0 && member.alive) {
        error = apply_death(store, &member, changes);
    }
    return transaction_end(store, error, changes);
}

/** The record of the name, or a new one with the first number that is free. */
static int find_or_make_member(struct catalog_store *store, const char *name, struct record *member)
{
    struct record other;
    int error = catalog_table_find_name(store->table, RECORD_NODE, name, member);
    if (error != DSM_ENOENT) {
        return error;
    }
    *member = (struct record){.kind = RECORD_NODE};
    memcpy(member->name, name, strlen(name) + 1);
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        error = catalog_table_find_node(store->table, node, &other);
        if (error == DSM_ENOENT) {
            member->id.slot = node;
            return 0;
        }
        if (error != 0) {
            return error;
        }
    }
    return DSM_EBUSY;
}

static int apply_join(struct catalog_store *store, const struct joiner *joiner,
                      struct record_list *changes, uint32_t *number)
{
    struct record member;
    int error = find_or_make_member(store, joiner->name, &member);
    if (error != 0) {
        return error;
    }
    if (member.id.generation == joiner->incarnation) {
        if (!member.alive) {
            return DSM_EDOWN;
        }
        *number = member.id.slot;
        if (strcmp(member.address, joiner->address) == 0) {
            return 0;
        }
    } else if (member.alive) {
        error = apply_death(store, &member, changes);
        if (error != 0) {
            return error;
        }
    }
    if (member.id.generation != joiner->incarnation) {
        member.joined = catalog_table_revision(store->table) + 1; /* as record_change() takes it */
    }
    member.alive = true;
    member.id.generation = joiner->incarnation;
    member.machine = joiner->machine;
    memcpy(member.address, joiner->address, strlen(joiner->address) + 1);
    *number = member.id.slot;
    return record_change(store, &member, changes);
}

int catalog_store_join(struct catalog_store *store, const struct joiner *joiner,
                       struct record_list *changes, uint32_t *number)
{
    uint32_t node = NODE_NONE;
    changes->count = 0;
    if (!rules_check_joiner(joiner)) {
        return DSM_EINVAL;
    }
    int error = transaction_begin(store, changes);
    if (error != 0) {
        return error;
    }
    error = apply_join(store, joiner, changes, &node);
    error = transaction_end(store, error, changes);
    if (error == 0) {
        *number = node;
    }
    return error;
}

int catalog_store_find_member(struct catalog_store *store, uint32_t node, struct record *record)
{
    return catalog_table_find_node(store->table, node, record);
}

int catalog_store_find_member_name(struct catalog_store *store, const char *name,
                                   struct record *record)
{
    return catalog_table_find_name(store->table, RECORD_NODE, name, record);
}

/* Lists. */

uint64_t catalog_store_revision(const struct catalog_store *store)
{
    return catalog_table_revision(store->table);
}

int catalog_store_list(struct catalog_store *store, uint64_t after, struct record_list *list)
{
    if (after > catalog_table_revision(store->table) ||
        (after != 0 && after < catalog_table_trimmed(store->table))) {
        return DSM_ESTALE;
    }
    return catalog_table_list(store->table, after, list);
}

uint64_t catalog_store_count_deleted(struct catalog_store *store)
{
    return catalog_table_count_deleted(store->table);
}

int catalog_store_trim(struct catalog_store *store, uint64_t keep)
{
    int error = catalog_table_begin(store->table);
    if (error != 0) {
        return error;
    }
    error = catalog_table_trim(store->table, keep);
    if (error != 0) {
        catalog_table_rollback(store->table);
        return error;
    }
    return catalog_table_commit(store->table);
}
