/* SPDX-License-Identifier: Apache-2.0 */
/* How a cluster that counts is made: members, objects, handles and mappings. */
#include "tests/sim/scale_cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** Of the records of the objects: younger than every member, so that no home counts as lost. */
#define GENERATION (NODES_MAX + 10u)
#define PAGES_MIN 4096u

static const char *const object_names[SCALE_OBJECTS] = {"/creator", "/striped", "/sem"};

struct record scale_member(uint32_t node)
{
    struct record record = {
        .kind = RECORD_NODE, .id = {node, node + 1}, .revision = node + 1, .alive = true};

    snprintf(record.name, sizeof(record.name), "n%u", node);
    return record;
}

void scale_make_core(struct scale_node *node, uint32_t number)
{
    const struct node_config config = {.self = number, .read_ahead_pages = 1};

    node->core = calloc(1, node_size());
    if (node->core == NULL || node_init(node->core, &config) != 0) {
        scale_fail("no core", number);
    }
}

void scale_free_node(struct scale_node *node)
{
    for (uint32_t i = 0; i < node->count_blocks; i++) {
        free(node->blocks[i]);
    }
    free(node->blocks);
    free(node->frames);
    free(node->kept);
    free(node->core);
}

/* Whom it deals with in what is counted here, when it cannot know all. */
static bool is_to_know(const struct scale_cluster *cluster, uint32_t node, uint32_t other)
{
    uint32_t apart = (node + cluster->count - other) % cluster->count;

    return cluster->all_are_told || apart <= 1 || apart == cluster->count - 1 || node < 3 ||
           other < 3;
}

/* It is told of those that are there, and they of it. */
static void join(struct scale_cluster *cluster, uint32_t node)
{
    struct record own = scale_member(node);

    for (uint32_t i = 0; i <= node; i++) {
        struct record other = scale_member(i);

        if (is_to_know(cluster, node, i)) {
            scale_tell(cluster, node, &other);
        }
        if (i != node && is_to_know(cluster, i, node)) {
            scale_tell(cluster, i, &own);
        }
    }
}

static struct record object_record(const struct scale_cluster *cluster, uint32_t object)
{
    struct record record = {
        .kind = object == SCALE_SEM ? RECORD_SEM : RECORD_REGION,
        .id = {object + 1, GENERATION + object},
        .revision = GENERATION + object,
        .mode = 0666,
        .home = object == SCALE_STRIPED ? DSM_HOME_STRIPED : DSM_HOME_CREATOR,
        .homes = object == SCALE_STRIPED ? nodeset_below(cluster->count) : nodeset_of(0),
        .readers = nodeset_below(cluster->count),
        .writers = nodeset_below(cluster->count),
    };

    if (object != SCALE_SEM) {
        record.page_size = SCALE_PAGE_BYTES;
        record.size_bytes = cluster->pages * SCALE_PAGE_BYTES;
    }
    snprintf(record.name, sizeof(record.name), "%s", object_names[object]);
    return record;
}

static void open_object(struct scale_cluster *cluster, uint32_t number, uint32_t object)
{
    struct scale_node *node = &cluster->nodes[number];
    struct call open = {.kind = CALL_OPEN,
                        .object = object == SCALE_SEM ? RECORD_SEM : RECORD_REGION,
                        .oflag = CALL_OFLAG_WRITE};
    struct call map = {.kind = CALL_MAP,
                       .rights = RIGHTS_READ | RIGHTS_WRITE,
                       .size_bytes = cluster->pages * SCALE_PAGE_BYTES};

    snprintf(open.name, sizeof(open.name), "%s", object_names[object]);
    if (scale_call(cluster, number, &open) != node->reply_number) {
        scale_fail("an open was not answered", number);
    }
    node->handles[object] = node->reply.handle;
    if (object == SCALE_SEM) {
        return;
    }
    map.handle = node->reply.handle;
    if (scale_call(cluster, number, &map) != node->reply_number) {
        scale_fail("a map was not answered", number);
    }
    node->maps[object] = node->reply.map;
}

struct scale_cluster *scale_new(uint32_t count, bool tell_all)
{
    struct scale_cluster *cluster = calloc(1, sizeof(*cluster));

    cluster->count = count;
    cluster->all_are_told = tell_all;
    cluster->pages = count * STRIPE_PAGES < PAGES_MIN ? PAGES_MIN : count * STRIPE_PAGES;
    cluster->nodes = calloc(count, sizeof(*cluster->nodes));
    cluster->link_lengths = calloc((size_t)count * count, sizeof(*cluster->link_lengths));
    cluster->actions = calloc(1, sizeof(*cluster->actions));
    for (uint32_t i = 0; i < count; i++) {
        scale_make_core(&cluster->nodes[i], i);
        cluster->records_told = 0;
        join(cluster, i);
    }
    cluster->told_of_last_join = cluster->records_told;
    for (uint32_t object = 0; object < SCALE_OBJECTS; object++) {
        struct record record = object_record(cluster, object);

        for (uint32_t i = 0; i < count; i++) {
            scale_tell(cluster, i, &record);
            open_object(cluster, i, object);
        }
    }
    return cluster;
}

void scale_free(struct scale_cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count; i++) {
        const struct node_counters *counters = node_counters(cluster->nodes[i].core);

        if (counters->refused + counters->resends + counters->old_epoch != 0) {
            scale_fail("messages were refused, repeated or of an old epoch at node", i);
        }
        scale_free_node(&cluster->nodes[i]);
    }
    free(cluster->actions);
    free(cluster->link_lengths);
    free(cluster->packets);
    free(cluster->nodes);
    free(cluster);
}
