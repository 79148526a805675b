/* SPDX-License-Identifier: Apache-2.0 */
/** The network of the simulator: when messages arrive, and whether. */
#ifndef DSM_TESTS_SIM_SIM_NET_H
#define DSM_TESTS_SIM_SIM_NET_H

#include "tests/sim/sim.h"

/** A message was sent: the cluster's on_send. */
void sim_net_on_send(void *context, struct envelope *envelope);
/** The first message of a way is due. */
void sim_net_deliver(struct sim *sim, uint32_t from, uint32_t to);
/** A pair of nodes is cut off, for a while; both ways or one. */
void sim_net_cut(struct sim *sim, bool both);
void sim_net_heal(struct sim *sim, uint32_t one, uint32_t other, bool both);
void sim_net_clog(struct sim *sim);
void sim_net_unclog(struct sim *sim, uint32_t from, uint32_t to);
/** A node is told that the link to another is up. */
void sim_net_peer_up(struct sim *sim, uint32_t node, uint32_t peer);
/** Both ends of each link of a node are told so, soon. */
void sim_net_join(struct sim *sim, uint32_t node);
/** Nothing is cut or slow any more, everything on its way comes soon. */
void sim_net_settle(struct sim *sim);

/** Nothing comes to a node, nothing goes from it, or both, until sim_net_reconnect(). */
void sim_net_isolate(struct sim *sim, uint32_t node, bool is_deaf, bool is_mute);
/** What was on its way meanwhile arrives, or is lost. */
void sim_net_reconnect(struct sim *sim, uint32_t node);

#endif
