/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of programs: they die, stand still, or have a second thread. */
#include "tests/sim/sim_program.h"

#define HANG_MIN_US 1000u
#define HANG_MAX_US 16000000u

/* A second thread, which goes on for itself in the place of a program that has not come. */
static bool fork_one(struct sim *sim, const struct sim_program *program)
{
    for (uint32_t i = 0; i < sim->slots; i++) {
        struct sim_program *thread = &sim->programs[i];
        struct sim_row row = thread->row;
        uint32_t turn = thread->turn;

        if (thread->state == SIM_NONE) {
            *thread = *program;
            thread->row = row;
            thread->turn = turn;
            thread->is_thread = true;
            thread->has_unit = false;
            sim_program_choose_pattern(sim, thread);
            sim_program_rest(sim, thread);
            return true;
        }
    }
    return false;
}

void sim_program_strike(struct sim *sim, uint32_t fault)
{
    uint32_t index = (uint32_t)sim_draw(&sim->faults, sim->slots);
    struct sim_program *program = &sim->programs[index];
    uint64_t us = sim_draw_log(&sim->faults, HANG_MIN_US, HANG_MAX_US);

    if (program->state == SIM_NONE) {
        return;
    }
    if (fault == SIM_CRASH) {
        sim_trouble(sim, fault, program->node, index, program->client, false);
        sim_program_die(sim, program, false);
    } else if (fault == SIM_HANG) {
        sim_trouble(sim, fault, program->node, index, us, false);
        program->hung_until_us = sim->now_us + us;
        if (program->has_reply || program->state == SIM_IDLE || !program->is_blocked) {
            sim_program_plan(sim, program, us);
        }
    } else if (program->state == SIM_IDLE && !program->wants_reopen && fork_one(sim, program)) {
        sim->stats.faults[SIM_FORK]++;
    }
}
