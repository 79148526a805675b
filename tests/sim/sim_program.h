/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Programs of the simulator: each opens a region and a semaphore, reads, writes, synchronises, goes
 * or dies, and another comes in its place.
 */
#ifndef DSM_TESTS_SIM_SIM_PROGRAM_H
#define DSM_TESTS_SIM_SIM_PROGRAM_H

#include "tests/sim/sim.h"

/** Make all of them ready to come. */
void sim_programs_init(struct sim *sim);
/** A program's turn. */
void sim_program_turn(struct sim *sim, struct sim_program *program);
/** Its next turn is then; what was planned before is void. */
void sim_program_plan(struct sim *sim, struct sim_program *program, uint64_t after_us);
/** Make a call; its reply comes by sim_program_on_reply(). */
void sim_program_call(struct sim *sim, struct sim_program *program, const struct call *call,
                      uint32_t state);
/** It is idle: its next deed is some time from now. */
void sim_program_rest(struct sim *sim, struct sim_program *program);
/** It dies with all its threads, or its node does. */
void sim_program_die(struct sim *sim, struct sim_program *program, bool with_node);
/** Its node is an outcast from now on: what it does counts no more, nor what it is told. */
void sim_program_leave_behind(struct sim *sim, struct sim_program *program);
/** It goes through its pages in another order from now on. */
void sim_program_choose_pattern(struct sim *sim, struct sim_program *program);
/** A fault strikes some program (sim_strike.c). */
void sim_program_strike(struct sim *sim, uint32_t fault);
/** What a node does is seen by its programs: replies come, threads are woken. */
void sim_program_on_action(struct sim *sim, uint32_t node, const struct action *action);

/*
 * sim_touch.c
 */

/** Begin to read or write a page. */
void sim_touch_begin(struct sim *sim, struct sim_program *program);
/** Try to go on. */
void sim_touch_go_on(struct sim *sim, struct sim_program *program);
/** The same, of what a mutex protects. */
void sim_touch_go_on_locked(struct sim *sim, struct sim_program *program);
/** Those that wait for this page are woken. */
void sim_touch_wake(struct sim *sim, uint32_t node, const struct action *action);

/*
 * sim_sync.c
 */

/** Begin some operation. */
void sim_sync_begin(struct sim *sim, struct sim_program *program);
/** Its outcome is here. */
void sim_sync_on_reply(struct sim *sim, struct sim_program *program);
/** The program acts on it. */
void sim_sync_end(struct sim *sim, struct sim_program *program);
void sim_sync_unlock(struct sim *sim, struct sim_program *program);
/** What the program's death leaves unknown. */
void sim_sync_drop(struct sim *sim, struct sim_program *program, bool with_node);
/** The page of a mutex. */
uint64_t sim_sync_lock_page(const struct sim_program *program, uint32_t lock);

/*
 * sim_seal.c
 */

/** It has unmapped the region, and seals it. */
void sim_seal_begin(struct sim *sim, struct sim_program *program);
/** Is this the outcome of that? Then it closes the region, to open it anew. */
bool sim_seal_end(struct sim *sim, struct sim_program *program);
/** Has it found that the region is sealed, or is so no more? Then it is opened otherwise. */
bool sim_seal_note(struct sim_program *program);

/** What must be true in the end (sim_check.c). */
void sim_check_end(struct sim *sim);

#endif
