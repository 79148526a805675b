/* SPDX-License-Identifier: Apache-2.0 */
/* A program of the random world: it comes, uses the region, and goes. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <string.h>

static void start_call(struct world *world, struct program *program, const struct call *call,
                       enum program_state state)
{
    program->op = 0;
    program->state = state;
    program->call = cluster_call_start(world->cluster, program->node, program->client, call);
}

static void come(struct world *world, struct program *program)
{
    struct call call = {.kind = CALL_OPEN,
                        .object = RECORD_REGION,
                        .oflag = CALL_OFLAG_WRITE | CALL_OFLAG_CREATE,
                        .mode = 0666,
                        .home = world->options.striped ? DSM_HOME_STRIPED : DSM_HOME_CREATOR,
                        .name = "/r"};
    uint32_t node = (uint32_t)world_draw(world, world->options.nodes);

    if (world->cluster->nodes[node].is_dead || world->is_ending) {
        return;
    }
    memset(program, 0, sizeof(*program));
    program->node = node;
    program->client = ++world->next_client;
    start_call(world, program, &call, PROGRAM_OPENING);
}

static uint32_t area_of(const struct world *world, region_id id)
{
    for (uint32_t i = 0; i < CLUSTER_REGIONS; i++) {
        if (region_id_equal(world->cluster->regions[i], id)) {
            return i;
        }
    }
    return CLUSTER_REGIONS;
}

static void map_whole(struct world *world, struct program *program, const struct reply *reply)
{
    struct call call = {.kind = CALL_MAP,
                        .handle = program->handle,
                        .size_bytes = reply->size_bytes,
                        .rights = RIGHTS_READ | RIGHTS_WRITE};

    start_call(world, program, &call, PROGRAM_MAPPING);
}

static void open_sem(struct world *world, struct program *program, const struct reply *reply)
{
    struct call call = {.kind = CALL_OPEN,
                        .object = RECORD_SEM,
                        .oflag = CALL_OFLAG_WRITE | CALL_OFLAG_CREATE,
                        .mode = 0666,
                        .value = WORLD_SEM_UNITS,
                        .name = "/s"};

    program->map = reply->map;
    program->pages = reply->size_bytes / 4096;
    program->area = area_of(world, reply->region);
    start_call(world, program, &call, PROGRAM_OPENING_SEM);
}

/* The calls that make a program ready, one after the other. */
static void settle_in(struct world *world, struct program *program, const struct reply *reply)
{
    struct call stat = {.kind = CALL_STAT, .handle = program->handle};
    struct call grow = {.kind = CALL_TRUNCATE};

    switch (program->state) {
    case PROGRAM_OPENING:
        program->handle = reply->handle;
        grow.handle = program->handle;
        grow.size_bytes = world->options.pages * 4096;
        if (reply->size_bytes == 0) {
            start_call(world, program, &grow, PROGRAM_GROWING);
        } else {
            map_whole(world, program, reply);
        }
        break;
    case PROGRAM_GROWING:
        start_call(world, program, &stat, PROGRAM_ASKING_SIZE);
        break;
    case PROGRAM_ASKING_SIZE:
        map_whole(world, program, reply);
        break;
    case PROGRAM_MAPPING:
        open_sem(world, program, reply);
        break;
    default:
        program->sem = reply->handle;
        world->sem = reply->region;
        program->state = PROGRAM_IDLE;
        break;
    }
}

static void go(struct world *world, struct program *program)
{
    struct call unmap = {.kind = CALL_UNMAP, .map = program->map};
    struct call close = {.kind = CALL_CLOSE, .handle = program->handle};

    cluster_call_start(world->cluster, program->node, program->client, &unmap);
    cluster_call_start(world->cluster, program->node, program->client, &close);
    program_die(world, program, false);
}

static void begin(struct world *world, struct program *program)
{
    uint64_t choice = world_draw(world, 100);
    struct call grow = {.kind = CALL_TRUNCATE,
                        .handle = program->handle,
                        .size_bytes = (program->pages + program->pages / 2) * 4096};
    struct call unlink = {.kind = CALL_UNLINK, .object = RECORD_REGION, .name = "/r"};

    if (world->is_ending && !program->has_unit) {
        return;
    }
    if (choice < 30 || program->has_unit) {
        program_begin_sync(world, program);
    } else if (choice < 32) {
        go(world, program);
    } else if (choice < 33 && program->pages < CLUSTER_PAGES / 2) {
        start_call(world, program, &grow, PROGRAM_CALLING);
    } else if (choice < 34 && world->options.new_regions && world->regions_made < 6) {
        world->regions_made++;
        start_call(world, program, &unlink, PROGRAM_CALLING);
    } else {
        program->state = PROGRAM_TOUCHING;
        program->write = world_draw(world, 2) == 0;
        program->page = WORLD_FREE_PAGE + (world_draw(world, 3) != 0
                                               ? program->page + 1 - WORLD_FREE_PAGE
                                               : world_draw(world, program->pages)) %
                                              (program->pages - WORLD_FREE_PAGE);
    }
}

/* A page of this program cannot be read any more. */
static void note_poison(struct world *world, const struct program *program)
{
    world->poisoned++;
    if (!world_may_be_lost(world, program->area, program->page)) {
        fprintf(stderr, "area %u page %llu on node %u\n", program->area,
                (unsigned long long)program->page, program->node);
        world_fail(world, "a page was lost that need not be");
    }
}

static bool touch(struct world *world, struct program *program, bool write, uint64_t *value)
{
    return cluster_touch(world->cluster, program->node, program->map, program->page, write, value);
}

static bool is_protected(const struct world *world, const struct program *program)
{
    (void)world;
    for (uint32_t i = 0; i < WORLD_LOCKS; i++) {
        if (program->page == world_lock_page(program, i) + 1) {
            return true;
        }
    }
    return false;
}

static void go_on_touching(struct world *world, struct program *program)
{
    uint64_t value = 0, next;

    if (!touch(world, program, false, &value)) {
        return;
    }
    if (value == UINT64_MAX) {
        note_poison(world, program);
    } else if (program->write && !is_protected(world, program)) {
        next = value + 1;
        if (!touch(world, program, true, &next)) {
            return;
        }
    }
    program->state = PROGRAM_IDLE;
    world->done++;
}

/* Read and write in two turns, between which whoever else had the mutex too would be noticed. */
static void go_on_locked(struct world *world, struct program *program)
{
    uint64_t value = program->value + 1, now = 0;

    if (program->state == PROGRAM_LOCKED) {
        if (touch(world, program, false, &program->value)) {
            program->state = PROGRAM_WRITING;
        }
        return;
    }
    if (program->value != UINT64_MAX) {
        if (!touch(world, program, false, &now)) {
            return;
        }
        if (now != UINT64_MAX && now != program->value) {
            world_fail(world, "an increment under a mutex was lost");
        }
        if (!touch(world, program, true, &value)) {
            return;
        }
    }
    if (program->value == UINT64_MAX || value == UINT64_MAX) {
        note_poison(world, program);
    }
    program_unlock(world, program);
}

void program_turn(struct world *world, struct program *program)
{
    struct reply reply;

    switch (program->state) {
    case PROGRAM_NONE:
        come(world, program);
        return;
    case PROGRAM_IDLE:
        begin(world, program);
        return;
    case PROGRAM_TOUCHING:
        go_on_touching(world, program);
        return;
    case PROGRAM_LOCKED:
    case PROGRAM_WRITING:
        go_on_locked(world, program);
        return;
    default:
        break;
    }
    if (!cluster_reply(world->cluster, program->node, program->call, &reply)) {
        return;
    }
    world->done++;
    if (program->op != 0) {
        program_end_sync(world, program, &reply);
    } else if (program->state == PROGRAM_CALLING) {
        program->state = PROGRAM_IDLE; /* somebody else may have unlinked it, or made it larger */
    } else if (reply.error == DSM_ESIZE) {
        program_die(world, program, false); /* only node 0 may make regions beyond the budget */
    } else if (reply.error != 0 && program->state != PROGRAM_GROWING) {
        world_fail(world, "a region or a semaphore could not be opened");
    } else {
        settle_in(world, program, &reply);
    }
}

void program_die(struct world *world, struct program *program, bool with_node)
{
    program_drop_sync(world, program, with_node);
    if (!with_node) {
        cluster_client_gone(world->cluster, program->node, program->client);
    }
    memset(program, 0, sizeof(*program));
}
