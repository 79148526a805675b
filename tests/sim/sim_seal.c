/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that seal their region. What they may not do from then on is O19's business; a program
 * that finds it sealed opens it for reading and reads.
 */
#include "tests/sim/sim_program.h"

void sim_seal_begin(struct sim *sim, struct sim_program *program)
{
    struct call call = {.kind = CALL_SEAL, .handle = program->handle};

    program->wants_seal = false;
    program->wants_reopen = true;
    sim_program_call(sim, program, &call, SIM_SEALING);
}

bool sim_seal_end(struct sim *sim, struct sim_program *program)
{
    struct call close = {.kind = CALL_CLOSE, .handle = program->handle};
    int32_t error = program->reply.error;

    if (program->state != SIM_SEALING) {
        return false;
    }
    if (program->is_void) {
        sim_program_die(sim, program, false);
        return true;
    }
    if (error == 0) {
        sim->stats.sealed++;
        oracle_on_sealed(sim->cluster, program->area);
    } else if (error != DSM_EBUSY && error != DSM_EKEEPER && error != DSM_ESTALE &&
               error != DSM_EAGAIN) {
        sim_fail(sim, "O19", "a region could not be sealed: area %u, error %d", program->area,
                 error);
    }
    sim_program_call(sim, program, &close, SIM_CLOSING);
    return true;
}

bool sim_seal_note(struct sim_program *program)
{
    int32_t error = program->reply.error;
    bool was = program->is_reader;

    if (program->state != SIM_OPENING || (error != DSM_ESEALED && error != DSM_ENOENT)) {
        return false;
    }
    program->is_reader = error == DSM_ESEALED;
    return program->is_reader != was;
}
