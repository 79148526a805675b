/* SPDX-License-Identifier: Apache-2.0 */
/* What programs of the random world do together, and what must come of it. */
#include "tests/sim/world.h"

#include <stdio.h>

#define PARTIES 2

uint64_t world_lock_page(const struct program *program, uint32_t lock)
{
    return lock > 0 && program->pages > STRIPE_PAGES + 1 ? STRIPE_PAGES : 0;
}

static void start(struct world *world, struct program *program, uint32_t op, uint64_t offset,
                  uint64_t value, int64_t timeout_ms)
{
    bool is_sem = op >= SYNC_SEM_WAIT && op <= SYNC_SEM_VALUE;

    program->op = (uint8_t)op;
    program->state = PROGRAM_CALLING;
    program->call = cluster_sync(world->cluster, program->node, program->client,
                                 is_sem ? program->sem : program->handle, op, offset, value,
                                 timeout_ms);
}

static int64_t draw_timeout(struct world *world)
{
    uint64_t choice = world_draw(world, 4);

    return choice == 0 ? 0 : (int64_t)world_draw(world, choice == 1 ? 100 : 5000);
}

void program_begin_sync(struct world *world, struct program *program)
{
    uint64_t choice = world_draw(world, 10);

    if (program->has_unit) { /* what was taken is given back at once */
        program->has_unit = false;
        world->taken--;
        start(world, program, SYNC_SEM_POST, 0, 0, -1);
    } else if (choice < 4) {
        program->lock = (uint32_t)world_draw(world, WORLD_LOCKS);
        start(world, program, SYNC_LOCK, world_lock_page(program, program->lock) * 4096, 0,
              world_draw(world, 2) ? -1 : draw_timeout(world));
    } else if (choice < 7) {
        program->page = WORLD_ADD_PAGE + world_draw(world, 2);
        start(world, program, SYNC_FETCH_ADD, program->page * 4096, 1, -1);
    } else if (choice < 9) {
        start(world, program, SYNC_SEM_WAIT, 0, 0, draw_timeout(world));
    } else {
        start(world, program, SYNC_BARRIER, WORLD_BARRIER_PAGE * 4096, PARTIES,
              1 + draw_timeout(world));
    }
}

static struct world_lock *lock_of(struct world *world, const struct program *program)
{
    uint32_t lock = world_lock_page(program, program->lock) != 0 ? 1 : 0;

    return &world->areas[program->area].locks[lock];
}

static void end_lock(struct world *world, struct program *program, int32_t error)
{
    struct world_lock *lock = lock_of(world, program);

    if (error != 0 && error != DSM_EOWNERDEAD) {
        return;
    }
    if (lock->holder != 0) {
        world_fail(world, "a mutex has two holders");
    }
    if (lock->died && error != DSM_EOWNERDEAD) {
        world_fail(world, "the next holder was not told of the dead one");
    }
    lock->died = false;
    lock->holder = (uint32_t)(program - world->programs) + 1;
    program->has_lock = true;
    program->page = world_lock_page(program, program->lock) + 1;
    program->state = PROGRAM_LOCKED;
}

void program_unlock(struct world *world, struct program *program)
{
    lock_of(world, program)->holder = 0;
    program->has_lock = false;
    start(world, program, SYNC_UNLOCK, world_lock_page(program, program->lock) * 4096, 0, -1);
}

static void end_add(struct world *world, const struct program *program, const struct reply *reply)
{
    struct area *area = &world->areas[program->area];
    uint32_t index = (uint32_t)(program->page - WORLD_ADD_PAGE);

    if (reply->error == DSM_EDOWN) {
        area->unknown_adds[index]++;
        if (!world_may_be_lost(world, program->area, program->page)) {
            world_fail(world, "an addition was refused that need not be");
        }
        return;
    }
    area->adds[index]++;
    if (reply->value >= WORLD_ADDS || area->added[index][reply->value]++ != 0) {
        world_fail(world, "two additions gave the same value");
    }
}

static bool may_fail(const struct world *world, const struct program *program, int32_t error)
{
    bool is_sem = program->op >= SYNC_SEM_WAIT && program->op <= SYNC_SEM_VALUE;
    uint64_t page = program->op == SYNC_BARRIER  ? WORLD_BARRIER_PAGE
                    : program->op == SYNC_LOCK || program->op == SYNC_UNLOCK
                        ? world_lock_page(program, program->lock)
                        : program->page;

    if (error == DSM_ETIMEDOUT || error == DSM_EAGAIN) {
        return program->op == SYNC_LOCK || program->op == SYNC_SEM_WAIT ||
               program->op == SYNC_BARRIER;
    }
    if (error == DSM_EOWNERDEAD) {
        return program->op == SYNC_LOCK;
    }
    return error == DSM_EDOWN &&
           (is_sem || program->op == SYNC_FETCH_ADD || program->op == SYNC_COMPARE_SWAP ||
            world_home_is_gone(world, program->area, page));
}

void program_end_sync(struct world *world, struct program *program, const struct reply *reply)
{
    program->state = PROGRAM_IDLE;
    if (reply->error != 0 && !may_fail(world, program, reply->error)) {
        fprintf(stderr, "op %u: error %d\n", program->op, reply->error);
        world_fail(world, "a call failed that need not");
    }
    if (program->op == SYNC_LOCK) {
        end_lock(world, program, reply->error);
    } else if (program->op == SYNC_FETCH_ADD) {
        end_add(world, program, reply);
    } else if (program->op == SYNC_BARRIER) {
        world->barriers += reply->error == 0;
        world->unknown_barriers += reply->error == DSM_EDOWN;
    } else if (program->op == SYNC_SEM_WAIT && reply->error == 0) {
        program->has_unit = true;
        if (++world->taken > WORLD_SEM_UNITS) {
            world_fail(world, "a semaphore gave more than it had");
        }
    } else if (reply->error == DSM_EDOWN) {
        world->unknown_units++;
    }
    program->op = 0;
}

void program_drop_sync(struct world *world, struct program *program, bool with_node)
{
    struct area *area = &world->areas[program->area];
    struct reply reply;

    if (program->has_lock) {
        lock_of(world, program)->holder = 0;
        lock_of(world, program)->died = true;
    }
    if (program->op == 0) {
        return;
    }
    if (program->op == SYNC_FETCH_ADD) {
        area->unknown_adds[program->page - WORLD_ADD_PAGE]++;
    } else if (program->op == SYNC_BARRIER) {
        world->unknown_barriers++;
    } else if (program->op == SYNC_SEM_WAIT && !with_node) {
        /* The outcome may be here already, not looked at: then the unit went with the program. */
        if (cluster_reply(world->cluster, program->node, program->call, &reply) &&
            reply.error == 0) {
            world->taken++;
        }
        world->left_units[program->node]++;
    } else if (program->op == SYNC_SEM_WAIT || program->op == SYNC_SEM_POST) {
        world->unknown_units += with_node;
        world->left_units[program->node]++;
    }
}

static void check_adds(struct world *world, uint32_t area_index)
{
    const struct area *area = &world->areas[area_index];

    for (uint32_t i = 0; i < 2; i++) {
        uint64_t value = cluster_latest(world->cluster, area_index, WORLD_ADD_PAGE + i);

        if (!world_may_be_lost(world, area_index, WORLD_ADD_PAGE + i) &&
            (value < area->adds[i] || value > area->adds[i] + area->unknown_adds[i])) {
            fprintf(stderr, "area %u page %u: %llu, %llu adds, %llu unknown\n", area_index,
                    WORLD_ADD_PAGE + i, (unsigned long long)value,
                    (unsigned long long)area->adds[i], (unsigned long long)area->unknown_adds[i]);
            world_fail(world, "an addition was lost, or done twice");
        }
    }
}

static void check_sem(struct world *world, struct program *program)
{
    struct reply reply;
    uint64_t number = cluster_sync(world->cluster, program->node, program->client, program->sem,
                                   SYNC_SEM_VALUE, 0, 0, -1);
    uint64_t most = WORLD_SEM_UNITS - world->taken;

    cluster_advance(world->cluster, 3000);
    if (!cluster_reply(world->cluster, program->node, number, &reply)) {
        world_fail(world, "a semaphore does not answer");
    } else if (reply.error == 0 &&
               (reply.value > most || reply.value + world->unknown_units < most)) {
        fprintf(stderr, "semaphore: %llu, %u taken, %u unknown\n",
                (unsigned long long)reply.value, world->taken, world->unknown_units);
        world_fail(world, "a semaphore's count was not kept");
    }
}

void world_check_sync(struct world *world)
{
    for (uint32_t i = 0; i < CLUSTER_REGIONS; i++) {
        check_adds(world, i);
    }
    if (world->unknown_barriers == 0 && world->barriers % PARTIES != 0) {
        world_fail(world, "a barrier let some go and others not");
    }
    for (uint32_t i = 0; i < world->options.programs; i++) {
        if (world->programs[i].state == PROGRAM_IDLE) {
            check_sem(world, &world->programs[i]);
            return;
        }
    }
}
