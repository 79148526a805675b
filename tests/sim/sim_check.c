/* SPDX-License-Identifier: Apache-2.0 */
/* What must be true when everything has come to rest. */
#include "tests/sim/sim_program.h"

/** Pages that are read in the end by all programs together, at most. */
#define READS_MAX 4096u
#define ANSWER_MS 3000u
/** After so long nothing is put aside any more. */
#define REST_MS 40000u

/* Or another page may be that the node shows together with this one. */
static bool may_be_lost(const struct sim *sim, uint32_t area, uint64_t page, uint32_t node)
{
    struct sim_run group = cluster_group(sim->cluster, node, area, page);
    bool any = oracle_may_be_lost(sim->cluster, area, page);

    for (uint64_t other = group.page; !any && other < group.page + group.count; other++) {
        any = oracle_may_be_lost(sim->cluster, area, other);
    }
    return any;
}

void sim_check_loss(struct sim *sim, uint32_t area, uint64_t page, uint32_t node)
{
    sim->stats.poisoned++;
    if (!may_be_lost(sim, area, page, node)) {
        sim_fail(sim, "O12", "page %llu of area %u is lost for node %u, and no death took it",
                 (unsigned long long)page, area, node);
    }
}

static uint64_t latest(const struct sim *sim, uint32_t area, uint64_t page)
{
    return cluster_latest(sim->cluster, area, page);
}

static void check_adds(struct sim *sim, uint32_t index)
{
    const struct sim_area *area = &sim->areas[index];

    for (uint32_t i = 0; i < 2; i++) {
        uint64_t value = latest(sim, index, SIM_ADD_PAGE + i);

        if (!oracle_may_be_lost(sim->cluster, index, SIM_ADD_PAGE + i) &&
            (value < area->adds[i] || value > area->adds[i] + area->unknown_adds[i])) {
            sim_fail(sim, "O9", "area %u page %u is %llu after %llu additions, %llu unknown", index,
                     SIM_ADD_PAGE + i, (unsigned long long)value, (unsigned long long)area->adds[i],
                     (unsigned long long)area->unknown_adds[i]);
        }
    }
}

/* The values that were swapped make one chain from 0 to what is there. */
static void check_swaps(struct sim *sim, uint32_t index)
{
    const struct sim_area *area = &sim->areas[index];
    uint64_t value = 0, count = 0;

    if (area->unknown_swaps > 0 || oracle_may_be_lost(sim->cluster, index, SIM_SWAP_PAGE)) {
        return;
    }
    while (area->after[value] != 0 && count <= area->swapped) {
        value = area->after[value];
        count++;
    }
    if (value != latest(sim, index, SIM_SWAP_PAGE) || count != area->swapped) {
        sim_fail(sim, "O9", "area %u: %llu swaps, a chain of %llu that ends at %llu and not %llu",
                 index, (unsigned long long)area->swapped, (unsigned long long)count,
                 (unsigned long long)value, (unsigned long long)latest(sim, index, SIM_SWAP_PAGE));
    }
}

/* Some number of whole rounds was let go, when those whose outcome is unknown are counted so. */
static void check_barriers(struct sim *sim, uint32_t index)
{
    for (uint32_t i = 2; i <= SIM_PARTIES_MAX; i++) {
        const struct sim_barrier *barrier = &sim->areas[index].barriers[i];
        uint64_t most = barrier->let_go + barrier->unknown;

        if (most / i * i < barrier->let_go) {
            sim_fail(sim, "O7",
                     "area %u: a barrier of %u let %llu go and others not (%llu unknown)", index, i,
                     (unsigned long long)barrier->let_go, (unsigned long long)barrier->unknown);
        }
    }
}

static void check_sem(struct sim *sim, const struct sim_program *program)
{
    const struct sim_sem *sem = &sim->sems[program->sem_index];
    uint64_t most = SIM_SEM_UNITS - sem->taken;
    struct reply reply;
    uint64_t number = cluster_sync(sim->cluster, program->node, program->client, program->sem,
                                   SYNC_SEM_VALUE, 0, 0, -1);

    cluster_advance(sim->cluster, ANSWER_MS);
    if (!cluster_reply(sim->cluster, program->node, number, &reply)) {
        sim_fail(sim, "O11", "a semaphore does not answer node %u", program->node);
    } else if (reply.error == 0 &&
               (reply.value > most || reply.value + sem->unknown_units < most)) {
        sim_fail(sim, "O8", "a semaphore has %llu units, %u taken, %u unknown",
                 (unsigned long long)reply.value, sem->taken, sem->unknown_units);
    }
}

static void check_sems(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->count_sems; i++) {
        for (uint32_t j = 0; j < sim->slots; j++) {
            const struct sim_program *program = &sim->programs[j];

            if (program->state == SIM_IDLE && program->sem != 0 && program->sem_index == i) {
                check_sem(sim, program);
                break;
            }
        }
    }
}

/* Who is left reads everything, or as much of it as can be had in a short time. */
static void read_all(struct sim *sim)
{
    uint64_t reads = 0;

    for (uint32_t i = 0; i < sim->slots; i++) {
        const struct sim_program *program = &sim->programs[i];

        for (uint64_t page = 0;
             program->state == SIM_IDLE && page < program->pages && reads < READS_MAX; page++) {
            uint64_t value = cluster_read(sim->cluster, program->node, program->map, page);

            reads++;
            if (value == UINT64_MAX) {
                sim_check_loss(sim, program->area, page, program->node);
            }
        }
    }
}

void sim_check_end(struct sim *sim)
{
    cluster_advance(sim->cluster, REST_MS); /* what was lost of the last requests is repeated */
    read_all(sim);
    for (uint32_t i = 0; i < SIM_AREAS; i++) {
        check_adds(sim, i);
        check_swaps(sim, i);
        check_barriers(sim, i);
    }
    check_sems(sim);
    oracle_check_history(sim->cluster);
    cluster_advance(sim->cluster, REST_MS);
    oracle_check_quiet(sim->cluster);
}
