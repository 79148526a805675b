/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_wait.h"

#define SETTLE_BASE_US 7000000u
#define SETTLE_RESENDS 4u
#define SETTLE_TURN_US 100000u
#define WAIT_BASE_US 2000000u
#define WAIT_RESENDS 8u
#define WAIT_TRIPS 16u
#define WAIT_NEWS 32u
/** Who changes one record at the same time as all others wins last. */
#define WAIT_ROUNDS 16u
/** Pages of a group may have their turns one after the other. */
#define WINDOW_TURNS 4u
/** Heavy tails: the longest of many messages, in delays. */
#define TAIL_FACTOR 512u

static uint64_t windows_us(const struct sim *sim)
{
    uint32_t longest_ms = 4; /* of a region that names none */

    for (uint32_t i = 0; i < sim->options.names; i++) {
        uint32_t window_ms = sim->options.windows_ms[i];

        if (window_ms != DSM_WINDOW_NONE && window_ms > longest_ms) {
            longest_ms = window_ms;
        }
    }
    return (uint64_t)WINDOW_TURNS * longest_ms * 1000 * sim->options.programs;
}

uint64_t sim_wait_settle_bound_us(const struct sim *sim)
{
    return SETTLE_BASE_US + (uint64_t)SETTLE_RESENDS * sim->options.resend_ms * 1000 +
           (uint64_t)SETTLE_TURN_US * sim->options.programs + windows_us(sim);
}

uint64_t sim_wait_bound_us(const struct sim *sim)
{
    const struct sim_options *options = &sim->options;
    uint64_t longest_us = options->delay_us * (options->delay == SIM_TAIL ? TAIL_FACTOR : 2);

    return WAIT_BASE_US + (uint64_t)WAIT_RESENDS * options->resend_ms * 1000 +
           WAIT_TRIPS * longest_us * options->programs +
           (WAIT_NEWS + WAIT_ROUNDS * (uint64_t)options->programs) *
               (options->weights[SIM_LATE_NEWS] + options->weights[SIM_SLOW_KEEPER]) +
           (uint64_t)options->weights[SIM_LATE_ATOMIC] * options->programs + windows_us(sim);
}

static bool waits_for_others(const struct sim *sim, const struct sim_program *program)
{
    bool touches = program->state == SIM_TOUCHING || program->state == SIM_READING ||
                   program->state == SIM_WRITING;

    if (touches) {
        return false;
    }
    if (program->op == 0) { /* the catalog's: who has old news loses to who has not */
        return sim->options.weights[SIM_LATE_NEWS] != 0;
    }
    return sim->has_lost || program->op == SYNC_LOCK || program->op == SYNC_SEM_WAIT ||
           program->op == SYNC_BARRIER;
}

/* Since when nothing was in the way; 0: it does not wait, or something may be. */
static uint64_t waits_since(const struct sim *sim, const struct sim_program *program)
{
    if (program->state == SIM_NONE || program->is_void || program->waits_since_us == 0 ||
        sim->troubles > 0 || program->hung_until_us > program->waits_since_us ||
        waits_for_others(sim, program)) {
        return 0;
    }
    return program->waits_since_us > sim->quiet_since_us ? program->waits_since_us
                                                         : sim->quiet_since_us;
}

static void check_one(struct sim *sim, const struct sim_program *program)
{
    uint64_t since_us = waits_since(sim, program);
    uint64_t us = since_us != 0 && !sim->is_ending ? sim->now_us - since_us : 0;

    uint64_t bound_us = sim_wait_bound_us(sim);

    if (us > sim->stats.wait_us) {
        sim->stats.wait_us = us;
        sim->stats.wait_permille = us * 1000 / bound_us;
    }
    if (us > bound_us) {
        sim_fail(sim, "O11", "program %u waits for %llu us with nothing in its way",
                 (uint32_t)(program - sim->programs), (unsigned long long)us);
    }
}

void sim_wait_note(struct sim *sim, struct sim_program *program)
{
    check_one(sim, program);
    program->waits_since_us = 0;
}

void sim_wait_check(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->slots; i++) {
        check_one(sim, &sim->programs[i]);
    }
}

bool sim_wait_is_over(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->slots; i++) {
        const struct sim_program *program = &sim->programs[i];

        if ((program->state != SIM_IDLE && program->state != SIM_NONE) || program->has_unit) {
            return false;
        }
    }
    return true;
}
