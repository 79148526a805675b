/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_death.h"

#include "tests/sim/cluster_parts.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_program.h"

#define RESTART_MIN_US 1000u
#define RESTART_MAX_US 8000000u
/** A retiring agent is asked so often whether it is done, and is given so long. */
#define RETIRE_LOOK_US 5000u
#define RETIRE_MAX_US 30000000u
/** The keeper declares dead who was not heard for so long; who is learns it so much later. */
#define SILENCE_MIN_US 1000u
#define SILENCE_MAX_US 4000000u
#define OUTCAST_MIN_US 1000u
#define OUTCAST_MAX_US 8000000u

static bool may_go(const struct sim *sim, uint32_t node)
{
    uint32_t alive = 0;

    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        alive += sim->hosts[i].life == SIM_ALIVE;
    }
    return sim->hosts[node].life == SIM_ALIVE && alive > 1;
}

static void end_programs(struct sim *sim, uint32_t node, bool with_node)
{
    for (uint32_t i = 0; i < sim->slots; i++) {
        if (sim->programs[i].state != SIM_NONE && sim->programs[i].node == node) {
            sim_program_die(sim, &sim->programs[i], with_node);
        }
    }
}

/* What it was to give back for programs that are gone. */
static void count_death(struct sim *sim, uint32_t node)
{
    sim->stats.deaths++;
    for (uint32_t i = 0; i < sim->count_sems; i++) {
        sim->sems[i].unknown_units += sim->sems[i].left_units[node];
        sim->sems[i].left_units[node] = 0;
    }
}

/* What it has sent is still under way, or lost with it. */
static void end_agent(struct sim *sim, uint32_t node)
{
    if (sim_chance(&sim->faults, 2)) {
        cluster_stop(sim->cluster, node);
    } else {
        cluster_kill(sim->cluster, node);
    }
    end_programs(sim, node, true);
}

static void plan_restart(struct sim *sim, uint32_t node, uint64_t after_us)
{
    uint64_t us = sim_draw_log(&sim->faults, RESTART_MIN_US, RESTART_MAX_US);

    sim_at(sim, sim->now_us + after_us + us, SIM_DUE_RESTART, node, 0, 0);
}

static void stop(struct sim *sim, uint32_t node, bool in_good_order)
{
    uint64_t late_us = sim_draw(&sim->faults, (uint64_t)sim->options.weights[SIM_LATE_DEATH] + 1);

    count_death(sim, node);
    sim->hosts[node].life = SIM_DEAD;
    if (in_good_order) {
        late_us = 0;
    }
    end_agent(sim, node);
    sim_at(sim, sim->now_us + late_us, SIM_DUE_DECLARE, node, 0, 0);
    plan_restart(sim, node, late_us);
}

void sim_death_kill(struct sim *sim)
{
    uint32_t node = (uint32_t)sim_draw(&sim->faults, sim->options.nodes);

    if (may_go(sim, node)) {
        sim_trouble(sim, SIM_KILL, node, NODE_NONE, 0, true);
        stop(sim, node, false);
    }
}

/* --- false deaths --- */

void sim_death_falsify(struct sim *sim)
{
    uint32_t node = (uint32_t)sim_draw(&sim->faults, sim->options.nodes);
    uint64_t way = sim_draw(&sim->faults, 6);
    uint64_t us = sim_draw_log(&sim->faults, SILENCE_MIN_US, SILENCE_MAX_US);

    if (!may_go(sim, node)) {
        return;
    }
    sim_trouble(sim, SIM_FALSE_DEATH, node, NODE_NONE, way, true);
    sim->hosts[node].life = SIM_SILENT;
    sim->cluster->is_late[node] = true; /* it gets no news either */
    sim_net_isolate(sim, node, way >= 3 || way == 1, way >= 3 || way == 2);
    sim_at(sim, sim->now_us + us, SIM_DUE_DECLARE, node, 0, 0);
}

/* The keeper hears it again in time, or declares it dead. */
static void end_silence(struct sim *sim, uint32_t node)
{
    uint64_t us = sim_draw_log(&sim->faults, OUTCAST_MIN_US, OUTCAST_MAX_US);

    if (sim_chance(&sim->faults, 8)) {
        sim->hosts[node].life = SIM_ALIVE;
        sim->cluster->is_late[node] = sim->hosts[node].is_slow;
        sim_trouble_ends(sim, SIM_FALSE_DEATH, node, NODE_NONE);
        sim_net_reconnect(sim, node);
        return;
    }
    count_death(sim, node);
    sim->hosts[node].life = SIM_OUTCAST;
    for (uint32_t i = 0; i < sim->slots; i++) {
        if (sim->programs[i].state != SIM_NONE && sim->programs[i].node == node) {
            sim_program_leave_behind(sim, &sim->programs[i]);
        }
    }
    cluster_declare_dead(sim->cluster, node);
    sim_touched_all(sim);
    sim_at(sim, sim->now_us + sim_draw(&sim->faults, us + 1), SIM_DUE_RECONNECT, node, 0, 0);
    sim_at(sim, sim->now_us + us, SIM_DUE_LEARN, node, 0, 0);
}

void sim_death_reconnect(struct sim *sim, uint32_t node)
{
    sim_net_reconnect(sim, node);
}

void sim_death_learn(struct sim *sim, uint32_t node)
{
    if (sim->hosts[node].life != SIM_OUTCAST) {
        return;
    }
    sim_net_reconnect(sim, node);
    sim->hosts[node].life = SIM_GONE;
    end_agent(sim, node);
    plan_restart(sim, node, 0);
}

/* --- deaths that are declared --- */

void sim_death_declare(struct sim *sim, uint32_t node)
{
    if (sim->hosts[node].life == SIM_SILENT) {
        end_silence(sim, node);
    } else if (sim->hosts[node].life == SIM_DEAD) {
        sim->hosts[node].life = SIM_GONE;
        cluster_declare_dead(sim->cluster, node);
        sim_touched_all(sim);
    }
}

void sim_death_restart(struct sim *sim, uint32_t node)
{
    if (sim->hosts[node].life < SIM_DEAD || sim->is_ending) {
        return;
    }
    sim->cluster->is_late[node] = false; /* an agent reads the catalog before it begins */
    cluster_restart(sim->cluster, node);
    sim->cluster->is_late[node] = sim->hosts[node].is_slow;
    sim->hosts[node].life = SIM_ALIVE;
    sim->hosts[node].wake_us = UINT64_MAX;
    sim_net_join(sim, node);
    sim_trouble_ends(sim, SIM_KILL, node, NODE_NONE);
    sim_touched_all(sim);
}

void sim_death_retire(struct sim *sim)
{
    uint32_t node = (uint32_t)sim_draw(&sim->faults, sim->options.nodes);
    struct event event = {.kind = EVENT_RETIRE, .now_ms = sim->cluster->now_ms};

    if (!may_go(sim, node)) {
        return;
    }
    sim_trouble(sim, SIM_RETIRE, node, NODE_NONE, 0, true);
    sim->hosts[node].life = SIM_RETIRING;
    sim->hosts[node].retires_until_us = sim->now_us + RETIRE_MAX_US;
    end_programs(sim, node, false);
    cluster_step(sim->cluster, node, &event, NULL);
    sim_touched(sim, node);
    sim_at(sim, sim->now_us + RETIRE_LOOK_US, SIM_DUE_RETIRED, node, 0, 0);
}

void sim_death_on_retired(struct sim *sim, uint32_t node)
{
    bool is_done = node_is_retired(sim->cluster->nodes[node].node);

    if (sim->hosts[node].life != SIM_RETIRING) {
        return;
    }
    if (!is_done && sim->now_us < sim->hosts[node].retires_until_us) {
        sim_at(sim, sim->now_us + RETIRE_LOOK_US, SIM_DUE_RETIRED, node, 0, 0);
        return;
    }
    stop(sim, node, is_done);
}

void sim_death_settle(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        if (sim->hosts[i].life == SIM_SILENT) {
            sim->hosts[i].life = SIM_ALIVE; /* heard again in time */
        }
        sim_death_learn(sim, i);
        sim_death_declare(sim, i);
    }
}
