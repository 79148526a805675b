/* SPDX-License-Identifier: Apache-2.0 */
/**
 * O11: what waits is answered.
 *
 * Once the faults have stopped (sim_run() heals every link, tells all news, declares the dead, and
 * from then on no message takes longer than 2 ms), every program has what it waits for within
 *
 *     SETTLE_BASE_US + SETTLE_RESENDS * resend + SETTLE_TURN_US * programs
 *         + WINDOW_TURNS * longest window * programs
 *
 * The base covers the timeouts that programs give their calls (5 s at most); the resends cover a
 * chain of messages lost, each of which is noticed only by its timer; the last term covers programs
 * that queue for one mutex or one page.
 *
 * While faults last, a touch or a call that depends on no other program (all but LOCK, SEM_WAIT and
 * BARRIER) is answered within
 *
 *     WAIT_BASE_US + WAIT_RESENDS * resend + WAIT_TRIPS * longest delay of a message * programs
 *         + (WAIT_NEWS + WAIT_ROUNDS * programs) * (lateness of news + of the keeper)
 *         + lateness of atomic operations * programs
 *         + WINDOW_TURNS * longest window * programs
 *
 * of the time since when nothing has been in anybody's way.
 *
 * Two waits are looked at only in the end:
 * - A home that has told a call that it is queued sends the outcome once, and again when the link
 *   comes up: where a message was lost without that (which TCP does not do), calls to homes.
 * - Records change by compare-and-swap: where news come late to some nodes, calls to the catalog,
 *   which lose to those of other nodes as long as others go on changing the same record.
 *
 * dsm-sim --json tells how much of either bound was used (settle_permille, wait_permille): the
 * constants leave a margin over that.
 */
#ifndef DSM_TESTS_SIM_SIM_WAIT_H
#define DSM_TESTS_SIM_SIM_WAIT_H

#include "tests/sim/sim.h"

/** How long may it take until all are served? */
uint64_t sim_wait_settle_bound_us(const struct sim *sim);
/** How long may a program wait that nothing is in the way of? */
uint64_t sim_wait_bound_us(const struct sim *sim);
/** What a program waited for has come: how long was it, and was that too long? */
void sim_wait_note(struct sim *sim, struct sim_program *program);
/** Does somebody wait too long at this moment? */
void sim_wait_check(struct sim *sim);
/** Has everybody what he waits for? */
bool sim_wait_is_over(const struct sim *sim);

#endif
