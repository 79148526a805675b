/* SPDX-License-Identifier: Apache-2.0 */
/** Agents of the simulator crash, leave in good order, are declared dead, and come back. */
#ifndef DSM_TESTS_SIM_SIM_DEATH_H
#define DSM_TESTS_SIM_SIM_DEATH_H

#include "tests/sim/sim.h"

/** Some agent crashes. */
void sim_death_kill(struct sim *sim);
/** The catalog tells that it has died. */
void sim_death_declare(struct sim *sim, uint32_t node);
/** It comes back with nothing. */
void sim_death_restart(struct sim *sim, uint32_t node);
/** Some agent is told to leave: its programs end, its pages go home. */
void sim_death_retire(struct sim *sim);
/** Look whether it has nothing left that others need: then it goes. */
void sim_death_on_retired(struct sim *sim, uint32_t node);
/**
 * The keeper hears nothing of some agent any more, which others may hear or not. After a while it
 * declares it dead: an outcast, which goes on with its old epoch, and so do its programs, until it
 * learns of it. Then it fences them and ends, as the agent does (agent/membership.c); it comes back
 * as another incarnation, while old messages may still be on their way.
 */
void sim_death_falsify(struct sim *sim);
/** It hears and is heard again. */
void sim_death_reconnect(struct sim *sim, uint32_t node);
/** It learns that it was declared dead. */
void sim_death_learn(struct sim *sim, uint32_t node);
/** Those that are dead are declared so, and outcasts learn of it. */
void sim_death_settle(struct sim *sim);

#endif
