/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Other agents: TCP connections with a link (net/link.h) on each. Of two members the one with the
 * higher node number connects, tries again with back-off (50 ms doubling to 2 s, with jitter), and
 * gives up when told so. A connection is known by the name in the peer's certificate; what a HELLO
 * says must agree with it and with the catalog. One more connection is kept to the keeper's
 * address; it is the connection to that member, too.
 */
#ifndef DSM_AGENT_PEERS_H
#define DSM_AGENT_PEERS_H

#include <uv.h>

#include "agent/config.h"
#include "net/link.h"

/** A message for which nobody ever waits may be held back for so long. */
#define PEERS_WAIT_MS 20u

struct peers;
/** One connection whose HELLO has been checked. */
struct peer;

struct peers_events {
    void *context;
    /**
     * A protocol message from member `from`; payload as it arrived, and may be changed. All
     * borrowed until return.
     */
    void (*on_message)(void *context, const struct message *message, uint8_t *payload,
                       size_t payload_bytes);
    /** Any other head but HELLO, BYE, PING, PONG. Borrowed until return. */
    void (*on_wire)(void *context, struct peer *peer, const struct wire *wire);
    /** A connection with a checked HELLO is there. It may be of a node that is no member yet. */
    void (*on_up)(void *context, struct peer *peer);
    /** It is gone; `peer` is not valid any more after return. */
    void (*on_down)(void *context, struct peer *peer);
    /**
     * A connection from this agent to another could not be made, or was refused; `fatal`: trying
     * again will not help until somebody has mended something (yet it is tried, every 2 s).
     */
    void (*on_failure)(void *context, const char *address, int error, const char *text, bool fatal);
};

/** What there is to say of a connection. */
const char *peer_name(const struct peer *peer);
const char *peer_address(const struct peer *peer);
/** The node number it has in the catalog, NODE_NONE before. */
uint32_t peer_node(const struct peer *peer);
uint32_t peer_incarnation(const struct peer *peer);
/** loop time (ms) when something last arrived. */
uint64_t peer_heard_ms(const struct peer *peer);
/** Does it lead to the address of peers_keep_address(), or to the agent that was found there? */
bool peer_is_kept(const struct peer *peer);
/** Has the other side said that it stops in good order (BYE without an error)? For on_down(). */
bool peer_has_left(const struct peer *peer);

/**
 * Listen and get ready.
 *
 * @config, @tls borrowed for the life of peers
 * @incarnation  of this agent
 * @text         on error: which address and what is wrong; TEXT_BYTES_MAX bytes
 *
 * Errors: DSM_EBUSY  the address is in use
 *         DSM_ECONFIG not an address of this host; DSM_ESYS, DSM_ENOMEM
 */
int peers_new(uv_loop_t *loop, const struct config *config, struct tls_context *tls,
              uint32_t incarnation, const struct peers_events *events, struct peers **peers,
              char *text);
/**
 * Say BYE to all, connect and accept no more; the loop closes each connection once the other side
 * has read it to the end, after 1 s at the latest. (Closing at once with bytes unread would reset
 * the connection, and the other side might lose the BYE.)
 */
void peers_part(struct peers *peers);
/** Is every connection closed? */
bool peers_have_parted(const struct peers *peers);
/** Says BYE to all, closes all through the loop; no event comes any more. NULL is ignored. */
void peers_free(struct peers *peers);
/** The port that is listened on, which the system has chosen when the configuration says 0. */
uint16_t peers_port(const struct peers *peers);
/** Where others reach this agent, as its HELLOs say: `advertise` if it is set, else `listen`. */
const char *peers_own_address(const struct peers *peers);

/** Tell who we are once the keeper has said so; HELLOs carry it from then on. */
void peers_set_self(struct peers *peers, uint32_t node);
/** Keep a connection to this address (the keeper) whoever it is. */
void peers_keep_address(struct peers *peers, const char *address);
/** The connection that peer_is_kept(), NULL when there is none now. */
struct peer *peers_kept(const struct peers *peers);
/** Why there was none when it was last tried, "" before. */
const char *peers_kept_failure(const struct peers *peers);
/** The catalog says: node has this name, incarnation and address, or is dead (alive false). */
void peers_set_member(struct peers *peers, uint32_t node, const char *name, uint32_t incarnation,
                      const char *address, bool alive);

/** Is there a connection to the member? */
bool peers_is_up(const struct peers *peers, uint32_t node);
/**
 * Send a protocol message to message->to; dropped without a connection (the core repeats it).
 * Whatever is given while bytes from a peer are being handled leaves when they have been
 * (peers_collect()).
 *
 * @payload  borrowed until return
 * @may_wait it is held back until something else goes to that peer; SHORTLY: or until
 *           peers_flush(); LONG: for PEERS_WAIT_MS at most
 */
void peers_send_message(struct peers *peers, const struct message *message, const uint8_t *payload,
                        size_t payload_bytes, enum may_wait may_wait);
/**
 * What is sent until peers_collected() leaves then, what goes to one peer together; unless this was
 * called more often still.
 */
void peers_collect(struct peers *peers);
void peers_collected(struct peers *peers);
/** Is anything held back that does not wait long? */
bool peers_are_holding(const struct peers *peers);
/** Send that. */
void peers_flush(struct peers *peers);
/** Send another head. Errors: DSM_EDOWN. */
int peers_send_wire(struct peers *peers, struct peer *peer, const struct wire *wire);
int peers_send_wire_to(struct peers *peers, uint32_t node, const struct wire *wire);
/** Close a connection with a reason that the other side is told (BYE). */
void peers_refuse(struct peers *peers, struct peer *peer, int error, const char *text);
/** Pieces so far that were handed to the sockets; several messages may be in one. */
uint64_t peers_count_sends(const struct peers *peers);
/** Bytes so far on the wire, encrypted. */
uint64_t peers_bytes_sent(const struct peers *peers);
uint64_t peers_bytes_received(const struct peers *peers);

#endif
