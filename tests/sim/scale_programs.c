/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/scale_programs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "dsm/core/barrier.h"
#include "tests/sim/cluster_parts.h"

#define CLIENT 1u
#define PAGES_MIN 4096u

static const char *const object_names[SCALE_OBJECTS] = {"/creator", "/striped", "/sem", "/sealed"};

_Noreturn void scale_fail(const char *what, uint64_t number)
{
    fprintf(stderr, "scale: %s (%" PRIu64 ")\n", what, number);
    exit(1);
}

/* --- what is counted --- */

static void on_send(void *context, struct envelope *sent)
{
    struct scale *scale = context;
    uint32_t from = sent->message.from, to = sent->message.to;
    uint64_t link = 0, inbox = ++scale->nodes[to].sent_here - scale->cluster->nodes[to].handled;

    for (const struct envelope *at = cluster_first(scale->cluster, from, to); at != NULL;
         at = at->next) {
        link++;
    }
    scale->sent++;
    scale->payloads += sent->payload_pages != 0;
    scale->longest_link_ever = link > scale->longest_link_ever ? link : scale->longest_link_ever;
    scale->longest_inbox = inbox > scale->longest_inbox ? inbox : scale->longest_inbox;
}

static void on_action(void *context, uint32_t node, const struct action *action)
{
    (void)context;
    switch (action->kind) {
    case ACTION_REPLY:
        if (action->reply.reply.error != 0) {
            scale_fail("a call failed at node", node);
        }
        break;
    case ACTION_PROPOSE:
        if (action->propose.proposal->kind != PROPOSAL_NOTHING) {
            scale_fail("a proposal for what was made beforehand, of node", node);
        }
        break;
    case ACTION_SEND:
    case ACTION_FILL:
    case ACTION_ALLOW:
    case ACTION_PROTECT:
    case ACTION_DROP:
    case ACTION_KEEP:
    case ACTION_FORGET:
    case ACTION_WAKE:
    case ACTION_REGION_OPEN:
    case ACTION_ATOMIC:
        break;
    default:
        scale_fail("an action that nothing here should cause", action->kind);
    }
}

void scale_mark(struct scale *scale)
{
    scale->sent = 0;
    scale->payloads = 0;
    scale->longest_inbox = 0;
    for (uint32_t i = 0; i < scale->count; i++) {
        scale->nodes[i].handled_before = scale->cluster->nodes[i].handled;
        scale->nodes[i].replies_before = scale->cluster->nodes[i].count_replies;
    }
}

uint32_t scale_replies(const struct scale *scale, uint32_t node)
{
    return scale->cluster->nodes[node].count_replies - scale->nodes[node].replies_before;
}

uint64_t scale_busiest(const struct scale *scale)
{
    uint64_t most = 0;

    for (uint32_t i = 0; i < scale->count; i++) {
        uint64_t handled = scale->cluster->nodes[i].handled - scale->nodes[i].handled_before;

        most = handled > most ? handled : most;
    }
    return most;
}

uint64_t scale_core_bytes(struct cluster *cluster, uint32_t node)
{
    cluster_supply(&cluster->nodes[node]);
    return node_counters(cluster->nodes[node].node)->core_bytes;
}

/* --- programs --- */

void scale_touch(struct scale *scale, uint32_t node, uint32_t object, uint64_t page, bool write)
{
    uint64_t value = 0;

    cluster_touch(scale->cluster, node, scale->nodes[node].maps[object], page, write, &value);
}

void scale_write(struct scale *scale, uint32_t node, uint32_t object, uint64_t page, uint64_t value)
{
    cluster_write(scale->cluster, node, scale->nodes[node].maps[object], page, value);
}

uint64_t scale_read(struct scale *scale, uint32_t node, uint32_t object, uint64_t page)
{
    return cluster_read(scale->cluster, node, scale->nodes[node].maps[object], page);
}

void scale_sync(struct scale *scale, uint32_t node, uint32_t object, uint32_t op, uint64_t offset,
                uint64_t value)
{
    cluster_sync(scale->cluster, node, CLIENT, scale->nodes[node].handles[object], op, offset,
                 value, -1);
}

/* --- members, objects, handles and mappings --- */

/* Who tells a node that a barrier of all is over (barrier_spread() of dsm/core/barrier.c). */
static uint32_t told_by(const struct scale *scale, uint32_t node)
{
    uint32_t from = 0, first = 1, end = scale->count;

    while (node > 0) {
        uint32_t count = end - first, part = 0;
        uint32_t parts = count < BARRIER_FAN ? count : BARRIER_FAN;

        while (first + count * (part + 1) / parts <= node) {
            part++;
        }
        end = first + count * (part + 1) / parts;
        first += count * part / parts;
        if (first == node) {
            break;
        }
        from = first++;
    }
    return from;
}

/* Whom it deals with in what is counted here, when it cannot know all. */
static bool is_to_know(const struct scale *scale, uint32_t node, uint32_t other)
{
    uint32_t apart = (node + scale->count - other) % scale->count;

    return scale->all_are_told || apart <= 1 || apart == scale->count - 1 || node < 3 ||
           other < 3 || told_by(scale, node) == other || told_by(scale, other) == node ||
           (node - 1) / 2 == other || (other - 1) / 2 == node;
}

/* It is told of those that are there, and they of it; how many records that are. */
static uint64_t join(struct scale *scale, uint32_t node)
{
    const struct record *members = scale->cluster->records;
    uint64_t told = 0;

    for (uint32_t i = 0; i <= node; i++) {
        if (is_to_know(scale, node, i)) {
            cluster_tell_record(scale->cluster, node, &members[i]);
            told++;
        }
        if (i != node && is_to_know(scale, i, node)) {
            cluster_tell_record(scale->cluster, i, &members[node]);
            told++;
        }
    }
    return told;
}

static const struct record *add_object(struct scale *scale, uint32_t object)
{
    struct record record = {
        .kind = object == SCALE_SEM ? RECORD_SEM : RECORD_REGION,
        .mode = 0666,
        .home = object == SCALE_STRIPED ? DSM_HOME_STRIPED : DSM_HOME_CREATOR,
        .homes = object == SCALE_STRIPED ? nodeset_below(scale->count) : nodeset_of(0),
        .readers = nodeset_below(scale->count),
        .writers = nodeset_below(scale->count),
    };

    if (object == SCALE_SEALED) {
        record.sealed = true;
        record.writers = NODESET_EMPTY;
    }
    if (object != SCALE_SEM) {
        record.page_size = SCALE_PAGE_BYTES;
        record.size_bytes = scale->pages * SCALE_PAGE_BYTES;
    }
    snprintf(record.name, sizeof(record.name), "%s", object_names[object]);
    return cluster_add_record(scale->cluster, &record);
}

static void open_object(struct scale *scale, uint32_t number, uint32_t object)
{
    struct scale_node *node = &scale->nodes[number];
    struct call open = {.kind = CALL_OPEN,
                        .object = object == SCALE_SEM ? RECORD_SEM : RECORD_REGION,
                        .oflag = object == SCALE_SEALED ? 0 : CALL_OFLAG_WRITE};
    struct call map = {.kind = CALL_MAP,
                       .size_bytes = scale->pages * SCALE_PAGE_BYTES,
                       .rights = RIGHTS_READ};

    snprintf(open.name, sizeof(open.name), "%s", object_names[object]);
    node->handles[object] = cluster_call(scale->cluster, number, CLIENT, &open).handle;
    map.handle = node->handles[object];
    if (object == SCALE_SEALED) {
        node->maps[object] = cluster_call(scale->cluster, number, CLIENT, &map).map;
    } else if (object != SCALE_SEM) {
        node->maps[object] = cluster_map(scale->cluster, number, CLIENT, node->handles[object]);
    }
}

struct scale *scale_new(uint32_t count, bool tell_all)
{
    const struct node_config config = {.read_ahead_pages = 1};
    struct scale *scale = calloc(1, sizeof(*scale));

    scale->count = count;
    scale->all_are_told = tell_all;
    scale->pages = count * STRIPE_PAGES < PAGES_MIN ? PAGES_MIN : count * STRIPE_PAGES;
    scale->nodes = calloc(count, sizeof(*scale->nodes));
    scale->cluster = cluster_new_strangers(count, &config);
    scale->cluster->on_send = on_send;
    scale->cluster->on_send_context = scale;
    scale->cluster->on_action = on_action;
    for (uint32_t i = 0; i < count; i++) {
        scale->told_of_last_join = join(scale, i);
    }
    for (uint32_t object = 0; object < SCALE_OBJECTS; object++) {
        const struct record *record = add_object(scale, object);

        scale->objects[object] = record->id;
        for (uint32_t i = 0; i < count; i++) {
            cluster_tell_record(scale->cluster, i, record);
            open_object(scale, i, object);
        }
    }
    return scale;
}

void scale_free(struct scale *scale)
{
    for (uint32_t i = 0; i < scale->count; i++) {
        const struct node_counters *counters = node_counters(scale->cluster->nodes[i].node);

        if (counters->refused + counters->resends + counters->old_epoch != 0) {
            scale_fail("messages were refused, repeated or of an old epoch at node", i);
        }
    }
    cluster_free(scale->cluster);
    free(scale->nodes);
    free(scale);
}
