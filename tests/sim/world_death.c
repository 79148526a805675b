/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes of the random world die and come again; which pages that may cost is worked out beforehand.
 */
#include "tests/sim/world.h"

#include "tests/sim/cluster_parts.h"

static const struct record *record_of(const struct world *world, uint32_t area)
{
    for (uint32_t i = world->cluster->count_nodes; i < world->cluster->count_records; i++) {
        if (region_id_equal(world->cluster->records[i].id, world->cluster->regions[area]) &&
            world->cluster->regions[area].generation != 0) {
            return &world->cluster->records[i];
        }
    }
    return NULL;
}

/* The policy, worked out a second time. */
static uint32_t home_of(const struct record *record, uint64_t page)
{
    uint32_t nodes[NODES_MAX], count = 0;

    for (uint32_t i = 0; i < NODES_MAX; i++) {
        if (nodeset_has(record->homes, i)) {
            nodes[count++] = i;
        }
    }
    return nodes[page / STRIPE_PAGES % count];
}

bool world_home_is_gone(const struct world *world, uint32_t area, uint64_t page)
{
    const struct record *record = record_of(world, area);
    uint32_t home;

    if (record == NULL) {
        return false;
    }
    home = home_of(record, page);

    return nodeset_has(world->dead, home) ||
           world->cluster->records[home].joined > record->id.generation;
}

bool world_may_be_lost(const struct world *world, uint32_t area, uint64_t page)
{
    return world->areas[area].may_be_lost[page] || world_home_is_gone(world, area, page);
}

/* A home knows a page to be alone with the dead, on its way, or not to be known. */
static bool is_at_stake(const struct world *world, const struct page_run *run)
{
    if (run->busy || nodeset_is_part(run->readers, world->dead)) {
        return run->busy || run->owner != NODE_NONE;
    }
    return world->options.budget_pages != 0 && nodeset_has(world->dead, run->owner);
}

static void mark_area(struct world *world, uint32_t index)
{
    const struct record *record = record_of(world, index);
    struct area *area = &world->areas[index];

    for (uint64_t page = 0; page < CLUSTER_PAGES; page++) {
        uint32_t home = home_of(record, page);
        struct page_run run;

        if (world_home_is_gone(world, index, page)) {
            area->may_be_lost[page] = true;
        } else if (node_page_runs(world->cluster->nodes[home].node, record->id, page, &run, 1) ==
                       1 && run.page == page && is_at_stake(world, &run)) {
            area->may_be_lost[page] = true;
        }
    }
}

/* What a dying node has asked for may still be given to it, for nobody knows of its death. */
static void mark_requests(struct world *world, uint32_t node)
{
    for (uint32_t area = 0; area < CLUSTER_REGIONS; area++) {
        const struct record *record = record_of(world, area);

        for (uint32_t to = 0; record != NULL && to < world->options.nodes; to++) {
            const struct envelope *envelope = world->cluster->queues[node][to];

            for (; envelope != NULL; envelope = envelope->next) {
                for (uint64_t i = 0; region_id_equal(envelope->message.region, record->id) &&
                                     i < envelope->message.count; i++) {
                    world->areas[area].may_be_lost[envelope->message.page + i] = true;
                }
            }
            for (uint64_t page = 0; world->cluster->is_late[to] && page < CLUSTER_PAGES; page++) {
                world->areas[area].may_be_lost[page] = true; /* a request may be parked there */
            }
        }
    }
}

void world_kill(struct world *world)
{
    uint32_t node = (uint32_t)world_draw(world, world->options.nodes);

    if (world->cluster->nodes[node].is_dead ||
        nodeset_count(world->dead) + 1 >= world->options.nodes) {
        return;
    }
    world->deaths++;
    world->unknown_units += world->left_units[node];
    mark_requests(world, node);
    if (world_draw(world, 2)) {
        cluster_stop(world->cluster, node);
    } else {
        cluster_kill(world->cluster, node);
    }
    nodeset_add(&world->dead, node);
    nodeset_remove(&world->declared, node);
    for (uint32_t i = 0; i < CLUSTER_REGIONS; i++) {
        if (record_of(world, i) != NULL) {
            mark_area(world, i);
        }
    }
    for (uint32_t i = 0; i < world->options.programs; i++) {
        if (world->programs[i].state != PROGRAM_NONE && world->programs[i].node == node) {
            program_die(world, &world->programs[i], true);
        }
    }
}

void world_declare(struct world *world)
{
    uint32_t node = nodeset_first(nodeset_minus(world->dead, world->declared));

    if (node != NODE_NONE) {
        cluster_declare_dead(world->cluster, node);
        nodeset_add(&world->declared, node);
    }
}

void world_restart(struct world *world)
{
    uint32_t node = nodeset_first(world->dead);

    if (node != NODE_NONE && !world->cluster->is_late[node]) {
        cluster_restart(world->cluster, node);
        nodeset_remove(&world->dead, node);
        nodeset_remove(&world->declared, node);
    }
}
