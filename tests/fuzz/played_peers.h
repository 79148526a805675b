/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Other agents that are played: all of agent/peers.h, and what agent.c wants of certificates,
 * without a network. A program that is linked with this has it in place of agent/peers*.c and
 * net/tls.c. What the agent sends is checked to be what the codec can read, then forgotten.
 */
#ifndef DSM_TESTS_FUZZ_PLAYED_PEERS_H
#define DSM_TESTS_FUZZ_PLAYED_PEERS_H

#include "agent/peers.h"

#define PLAYED_PEERS 4u

/** The name that the next agent's certificate has. */
#define PLAYED_SELF "alpha"

/** A connection with this peer, whose certificate says `name`, is there. False: it is already. */
bool played_up(struct peers *peers, uint32_t which, const char *name, uint32_t incarnation,
               bool is_kept);
/** It is over. False: there was none. */
bool played_down(struct peers *peers, uint32_t which, bool has_left);
/** The connection, NULL when it is not there, or the agent has refused it. */
struct peer *played_peer(struct peers *peers, uint32_t which);
/** It sends a head that is no protocol message. */
void played_wire(struct peers *peers, struct peer *peer, const struct wire *wire);
/** It sends a protocol message; only a member's reaches the agent. */
void played_message(struct peers *peers, struct peer *peer, struct message *message,
                    const uint8_t *payload, size_t payload_bytes);
/** End the connections that the agent has refused, as the loop would. */
void played_settle(struct peers *peers);
/** The number of the last proposal that the agent sent to its keeper. */
uint64_t played_last_request(const struct peers *peers);

#endif
