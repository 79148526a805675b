/* SPDX-License-Identifier: Apache-2.0 */
/* What each name stood for at which of the keeper's revisions, and what programs are told (O15). */
#include <stdlib.h>
#include <string.h>

#include "dsm.h"
#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"

#define NOBODY ((region_id){0, 0})

/** An object has got or lost its name, or grown. */
struct name_change {
    uint64_t revision, size_bytes;
    region_id id;
    uint8_t kind;
    bool has_name;
    char name[RECORD_NAME_BYTES];
};

/** A call under way, and the revision that there was when it began. */
struct name_call {
    uint64_t number, revision;
    struct call call;
};

struct sim_names {
    struct name_change *changes;
    struct name_call *calls;
    uint32_t count_changes, room_changes, count_calls, room_calls;
};

static struct sim_names *names_of(struct cluster *cluster)
{
    if (cluster->names == NULL) {
        cluster->names = calloc(1, sizeof(struct sim_names));
    }
    return cluster->names;
}

void oracle_on_published(struct cluster *cluster, const struct record *record)
{
    struct sim_names *names = names_of(cluster);
    bool has_name = !record->unlinked && !record->deleted;
    struct name_change *change;

    if (record->kind == RECORD_NODE) {
        return;
    }
    for (uint32_t i = names->count_changes; i > 0; i--) {
        change = &names->changes[i - 1];
        if (region_id_equal(change->id, record->id)) {
            if (change->has_name == has_name && change->size_bytes == record->size_bytes) {
                return;
            }
            break;
        }
    }
    names->changes = cluster_grow(names->changes, names->count_changes, &names->room_changes,
                                  sizeof(struct name_change));
    change = &names->changes[names->count_changes++];
    *change = (struct name_change){.revision = record->revision,
                                   .size_bytes = record->size_bytes,
                                   .id = record->id,
                                   .kind = record->kind,
                                   .has_name = has_name};
    memcpy(change->name, record->name, sizeof(change->name));
}

void oracle_on_call(struct cluster *cluster, uint64_t number, const struct call *call)
{
    struct sim_names *names = names_of(cluster);

    if (call->kind != CALL_OPEN && call->kind != CALL_UNLINK && call->kind != CALL_STAT) {
        return;
    }
    names->calls = cluster_grow(names->calls, names->count_calls, &names->room_calls,
                                sizeof(struct name_call));
    names->calls[names->count_calls++] =
        (struct name_call){.number = number, .revision = cluster->revision, .call = *call};
}

/* Who had the name when the call began, and then each that had it: was it this one (NOBODY: none,
 * NULL: any)? */
static bool name_was(const struct sim_names *names, const struct name_call *asked,
                     const region_id *wanted)
{
    region_id holder = NOBODY;
    bool is_new = false, was = false;

    for (uint32_t i = 0; i <= names->count_changes && !was; i++) {
        const struct name_change *change = &names->changes[i];
        bool is_end = i == names->count_changes;

        is_new = is_end || change->revision > asked->revision;
        if (is_new) { /* so it was until then */
            was = wanted != NULL ? region_id_equal(holder, *wanted)
                                 : !region_id_equal(holder, NOBODY);
        }
        if (is_end || change->kind != asked->call.object ||
            strcmp(change->name, asked->call.name) != 0) {
            continue;
        }
        if (change->has_name) {
            holder = change->id;
        } else if (region_id_equal(holder, change->id)) {
            holder = NOBODY;
        }
    }
    return was;
}

static uint64_t size_at(const struct sim_names *names, region_id id, uint64_t revision)
{
    uint64_t size_bytes = 0;

    for (uint32_t i = 0; i < names->count_changes; i++) {
        const struct name_change *change = &names->changes[i];

        if (change->revision <= revision && region_id_equal(change->id, id)) {
            size_bytes = change->size_bytes;
        }
    }
    return size_bytes;
}

/* Was the name taken from somebody while the call was under way? */
static bool was_unlinked(const struct sim_names *names, const struct name_call *asked)
{
    for (uint32_t i = names->count_changes; i > 0; i--) {
        const struct name_change *change = &names->changes[i - 1];

        if (change->revision > asked->revision && !change->has_name &&
            change->kind == asked->call.object && strcmp(change->name, asked->call.name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_right(const struct cluster *cluster, const struct name_call *asked,
                     const struct reply *reply)
{
    const struct sim_names *names = cluster->names;
    const region_id nobody = NOBODY;

    if (reply->error == DSM_ENOENT) {
        return name_was(names, asked, &nobody);
    }
    if (reply->error == DSM_EEXIST) {
        return name_was(names, asked, NULL);
    }
    if (reply->error != 0) {
        return true;
    }
    if (asked->call.kind == CALL_UNLINK) {
        return was_unlinked(names, asked);
    }
    if (asked->call.kind == CALL_OPEN && !name_was(names, asked, &reply->region)) {
        return false;
    }
    return reply->size_bytes >= size_at(names, reply->region, asked->revision) &&
           reply->size_bytes <= size_at(names, reply->region, cluster->revision);
}

void oracle_on_reply(struct cluster *cluster, uint32_t node, const struct action *action)
{
    struct sim_names *names = names_of(cluster);
    const struct reply *reply = &action->reply.reply;
    uint32_t i = names->count_calls;

    while (i > 0 && names->calls[i - 1].number != action->reply.number) {
        i--;
    }
    if (i == 0) {
        return;
    }
    if (!cluster->nodes[node].is_outcast && !is_right(cluster, &names->calls[i - 1], reply)) {
        oracle_fail(cluster, "O15",
                    "call %llu of node %u for '%s' is told error %d, region %u.%u of %llu bytes: "
                    "that was so before it began",
                    (unsigned long long)action->reply.number, node, names->calls[i - 1].call.name,
                    reply->error, reply->region.slot, reply->region.generation,
                    (unsigned long long)reply->size_bytes);
    }
    names->calls[i - 1] = names->calls[--names->count_calls];
}

void oracle_free_names(struct cluster *cluster)
{
    if (cluster->names != NULL) {
        free(cluster->names->changes);
        free(cluster->names->calls);
        free(cluster->names);
    }
}
