/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What operators ask (dsmctl, and the agents of one another): JSON documents by topic, in pieces
 * where they are long. "region NAME" and "stats all" ask other agents first and wait 2 s for them
 * at most.
 */
#ifndef DSM_AGENT_ADMIN_H
#define DSM_AGENT_ADMIN_H

#include "agent/agent.h"

/** @agent borrowed. Errors: DSM_ENOMEM. */
int admin_new(struct agent *agent, struct admin **admin);
/** Gives up all that is asked; timers are closed through the loop. */
void admin_free(struct admin *admin);

/**
 * A program asks; it is answered by clients_reply(), at once or later.
 *
 * @topic NULL: the counters (SESSION_STATS)
 */
void admin_on_request(struct admin *admin, client_id client, uint64_t number, const char *topic,
                      uint64_t cursor, const struct credential *credential);
/** A program has gone: what was kept for it goes. */
void admin_on_gone(struct admin *admin, client_id client);
/** An agent asks or answers; heads of other kinds are ignored. */
void admin_on_wire(struct admin *admin, struct peer *peer, const struct wire *wire);
/** A connection is gone: what was asked over it is not answered any more. */
void admin_on_down(struct admin *admin, uint32_t node);
/** The call of CLIENT_AGENT to remove a name has ended. */
void admin_on_removed(struct admin *admin, uint64_t number, int error, const char *text);

#endif
