/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a run in words, for whoever looks at one that failed. */
#include "tests/sim/sim.h"

#include <stdio.h>

static void tell_program(struct sim_text *out, const struct sim *sim, uint32_t index)
{
    const struct sim_program *program = &sim->programs[index];
    uint64_t since_us = program->waits_since_us != 0 ? sim->now_us - program->waits_since_us : 0;

    sim_text_add(out, "  program %u on node %u, area %u: ", index, program->node, program->area);
    if (program->is_blocked) {
        sim_text_add(out, "waits to %s page %llu",
                     program->write || program->state == SIM_WRITING ? "write" : "read",
                     (unsigned long long)program->page);
    } else if (program->call != 0) {
        sim_text_add(out, "waits for %s %s", sim_call_name(program->call_kind),
                     program->op != 0 ? sim_op_name(program->op) : "");
    } else {
        sim_text_add(out, "at work");
    }
    sim_text_add(out, " since %llu ms%s%s%s\n", (unsigned long long)(since_us / 1000),
                 program->has_lock ? ", has a mutex" : "", program->has_unit ? ", has a unit" : "",
                 program->hung_until_us > sim->now_us ? ", hangs" : "");
}

void sim_print_summary(const struct sim *sim, char *text, size_t bytes)
{
    static const char *const lives[] = {
        [SIM_ALIVE] = "alive",
        [SIM_RETIRING] = "retiring",
        [SIM_SILENT] = "not heard of by the keeper",
        [SIM_OUTCAST] = "declared dead, and lives",
        [SIM_DEAD] = "dead",
        [SIM_GONE] = "declared dead",
    };
    struct sim_text out = {text, bytes, 0};

    sim_text_add(&out, "after %llu events, at %llu ms%s: %u nodes, %llu pages, %u programs\n",
                 (unsigned long long)sim->stats.events, (unsigned long long)(sim->now_us / 1000),
                 sim->is_ending ? ", the faults have stopped" : "", sim->options.nodes,
                 (unsigned long long)sim->options.pages, sim->options.programs);
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        if (sim->hosts[i].life != SIM_ALIVE) {
            sim_text_add(&out, "  node %u is %s\n", i, lives[sim->hosts[i].life]);
        }
        for (uint32_t j = 0; j < sim->options.nodes; j++) {
            if (sim->links[i][j].cuts != 0) {
                sim_text_add(&out, "  nothing comes from node %u to node %u\n", i, j);
            }
        }
    }
    for (uint32_t i = 0; i < sim->slots; i++) {
        if (sim->programs[i].state != SIM_NONE && sim->programs[i].state != SIM_IDLE) {
            tell_program(&out, sim, i);
        }
    }
}
