/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world.h"
#include "tests/sim/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t world_draw(struct world *world, uint64_t below)
{
    uint64_t z;

    world->state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 (Steele et al. 2014) */
    z = world->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

void world_fail(struct world *world, const char *what)
{
    if (world->error == NULL) {
        world->error = what;
    }
}

static void move_message(struct world *world)
{
    uint32_t from = (uint32_t)world_draw(world, world->options.nodes);
    uint32_t to = (uint32_t)world_draw(world, world->options.nodes);
    uint64_t fate = world_draw(world, 1000);

    if (world->cluster->is_held[from][to]) {
        return;
    }
    if (fate < world->options.lose_permille) {
        cluster_lose(world->cluster, from, to);
    } else if (fate < world->options.lose_permille + world->options.duplicate_permille) {
        cluster_duplicate(world->cluster, from, to);
    } else {
        cluster_deliver(world->cluster, from, to);
    }
}

/* A link that lost messages works again: both ends are told, one after the other. */
static void mend_link(struct world *world)
{
    uint32_t one = (uint32_t)world_draw(world, world->options.nodes);
    uint32_t other = (uint32_t)world_draw(world, world->options.nodes);

    if (one != other) {
        cluster_peer_up(world->cluster, one, other);
    }
}

static void make_trouble(struct world *world)
{
    uint64_t choice = world_draw(world, 100);
    uint32_t one = (uint32_t)world_draw(world, world->options.nodes);
    uint32_t other = (uint32_t)world_draw(world, world->options.nodes);

    if (choice < 20 && world->options.held_links) {
        world->cluster->is_held[one][other] = !world->cluster->is_held[one][other];
    } else if (choice < 40 && world->options.late_news) {
        world->cluster->is_late[one] = !world->cluster->is_late[one];
    } else if (choice < 55 && world->options.dying_programs) {
        struct program *program =
            &world->programs[world_draw(world, world->options.programs)];

        if (program->state != PROGRAM_NONE) {
            program_die(world, program, false);
        }
    } else if (choice < 58 && world->deaths < world->options.dying_nodes) {
        world_kill(world);
    } else if (choice < 75) {
        world_declare(world);
    } else if (choice < 78) {
        world_restart(world);
    } else {
        mend_link(world);
    }
}

static void step(struct world *world)
{
    uint64_t choice = world_draw(world, 64);

    if (choice < 20) {
        program_turn(world, &world->programs[world_draw(world, world->options.programs)]);
    } else if (choice < 56) {
        move_message(world);
    } else if (choice < 60) {
        cluster_decide(world->cluster);
        cluster_tell(world->cluster, (uint32_t)world_draw(world, world->options.nodes));
    } else if (choice < 63) {
        cluster_tick(world->cluster, world_draw(world, 60));
    } else {
        make_trouble(world);
    }
}

static bool is_idle(const struct world *world)
{
    for (uint32_t i = 0; i < world->options.programs; i++) {
        const struct program *program = &world->programs[i];

        if ((program->state != PROGRAM_IDLE && program->state != PROGRAM_NONE) ||
            program->has_unit) {
            return false;
        }
    }
    return true;
}

/* No more trouble: what waits must be served. */
static void settle(struct world *world)
{
    struct cluster *cluster = world->cluster;

    world->is_ending = true;
    cluster_heal(cluster);
    while ((world->dead & ~world->declared) != 0) {
        world_declare(world);
    }
    cluster_run(cluster);
    for (uint32_t i = 0; i < world->options.nodes; i++) {
        for (uint32_t j = 0; j < world->options.nodes; j++) {
            if (i != j) {
                cluster_peer_up(cluster, i, j);
            }
        }
    }
    for (uint32_t i = 0; i < 300 && !is_idle(world) && world->error == NULL; i++) {
        for (uint32_t j = 0; j < world->options.programs; j++) {
            for (uint32_t tries = 0; tries < 3; tries++) {
                program_turn(world, &world->programs[j]);
                cluster_run(cluster);
            }
        }
        cluster_advance(cluster, 200);
    }
    for (uint32_t j = 0; j < world->options.programs && !is_idle(world); j++) {
        const struct program *program = &world->programs[j];

        fprintf(stderr, "program %u on node %u: state %d op %u page %llu write %d\n", j,
                program->node, program->state, program->op, (unsigned long long)program->page,
                program->write);
        world_fail(world, "a program waits for ever");
    }
}

/* Who is left reads everything. */
static void read_all(struct world *world)
{
    for (uint32_t i = 0; i < world->options.programs && world->error == NULL; i++) {
        const struct program *program = &world->programs[i];

        for (uint64_t page = 0; program->state == PROGRAM_IDLE && page < program->pages; page++) {
            uint64_t value = cluster_read(world->cluster, program->node, program->map, page);

            if (value == UINT64_MAX && !world_may_be_lost(world, program->area, page)) {
                fprintf(stderr, "page %llu on node %u\n", (unsigned long long)page, program->node);
                world_fail(world, "a page was lost that need not be");
            }
        }
    }
}

/* Bytes put aside are not kept for ever. */
static void check_kept(struct world *world)
{
    cluster_advance(world->cluster, 40000);
    for (uint32_t i = 0; i < world->options.nodes; i++) {
        if (!world->cluster->nodes[i].is_dead && world->cluster->nodes[i].kept != NULL) {
            world_fail(world, "bytes put aside are kept for ever");
        }
    }
}

const char *world_run(const struct world_options *options, uint64_t *operations)
{
    struct node_config config = {.budget_bytes = options->budget_pages * 4096,
                                 .read_ahead_pages = options->read_ahead_pages};
    struct world *world = calloc(1, sizeof(*world));
    const char *error;

    world->options = *options;
    world->state = options->seed;
    world->cluster = cluster_new(options->nodes, &config);
    oracle_record_history(world->cluster);
    for (uint64_t i = 0; i < options->steps && world->error == NULL; i++) {
        step(world);
    }
    if (world->error == NULL) {
        settle(world);
    }
    if (world->error == NULL) {
        read_all(world);
        world_check_sync(world);
        check_kept(world);
        oracle_check_history(world->cluster);
        oracle_check_quiet(world->cluster);
    }
    error = world->error;
    *operations = world->done;
    if (error != NULL) {
        fprintf(stderr, "seed %llu: %s\n%s\n", (unsigned long long)options->seed, error,
                cluster_take_log(world->cluster));
    }
    cluster_free(world->cluster);
    free(world);
    return error;
}
