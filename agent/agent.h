/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The agent: one libuv loop on which the core (driver.h), the frames, the local programs
 * (clients.h), the other agents (peers.h) and the catalog meet. Everything here runs on the loop's
 * thread.
 *
 * Life: agent_new() listens for agents and asks to be a member; on_joined makes the core; the
 * record of this very incarnation, which comes after all older records, opens the socket for
 * programs: only then does the agent know every name that it may be asked for, and says so
 * (READY=1).
 *
 * Without memory, descriptors or room: what was asked for alone is refused, with DSM_ENOMEM or
 * DSM_ESYS, whose sentence says for what there was none: a call, a report, a program's session, a
 * connection (both sides make a new one), a change of the catalog. Where going on would lose what
 * was promised the agent ends with exit status 1 and a line `agent ends error=` (agent_fail: the
 * core's records, pages that must be kept, the file for a region's pages) or `the agent stops
 * rather than serve wrong bytes` (frames_give_up: a page that cannot be stored or dropped; it
 * aborts, since no byte may be served after it). libuv aborts when its own table of descriptors
 * cannot grow; the line before says so.
 * To the others each of these is a node that died.
 */
#ifndef DSM_AGENT_AGENT_H
#define DSM_AGENT_AGENT_H

#include <uv.h>

#include "agent/notes.h"
#include "agent/bounces.h"
#include "agent/catalog.h"
#include "agent/clients.h"
#include "agent/config.h"
#include "agent/conversions.h"
#include "agent/driver.h"
#include "agent/frames.h"
#include "agent/log.h"
#include "agent/notify.h"
#include "agent/pace.h"
#include "agent/peers.h"
#include "agent/token_tables.h"

/** The client that stands for the agent itself in calls of its own; no program gets this number. */
#define CLIENT_AGENT UINT32_MAX

struct admin;

struct agent {
    uv_loop_t loop;
    uv_signal_t on_terminate, on_interrupt;
    uv_timer_t retire_timer;
    struct config config;
    struct notify notify;
    struct tls_context *tls;
    struct frames *frames;
    struct peers *peers;
    struct pace pace;
    struct catalog *catalog;
    struct driver *driver;   /* NULL before this node has a number */
    struct clients *clients; /* NULL before this node knows its records */
    struct admin *admin;
    struct notes notes;
    struct conversions conversions;
    struct token_tables token_tables;
    struct bounces bounces;
    const char *name;                  /* of this node */
    char listen[RECORD_ADDRESS_BYTES]; /* where it listens, with the port that it was given */
    uint32_t node;                     /* its number, NODE_NONE before it has one */
    uint32_t incarnation;
    struct node_kind machine; /* that this is */
    uint64_t budget_bytes;
    uint64_t started_ms;
    uint64_t own_number; /* of the last call of CLIENT_AGENT */
    uint64_t refused;    /* messages dropped here, before the core */
    struct log_limit limit_refused, limit_lost;
    struct session_reply
        *reply;          /* the one that is being made; too large for the stack of each call */
    uint8_t *page_bytes; /* PAYLOAD_BYTES_MAX bytes for what is sent */
    char node_names[NODES_MAX][RECORD_NAME_BYTES]; /* as the catalog says, "" unknown */
    struct peer **up;                              /* connections with a checked HELLO */
    uint32_t count_up, capacity_up;
    bool is_stopping;
    bool is_retired; /* what a stop in good order does is done */
    int error;       /* why it ends, 0: it was asked to */
};

/**
 * Start: load the certificates, listen, open the catalog, ask to be a member.
 *
 * @config borrowed until return, checked by config_check()
 * @agent  returned, release with agent_free()
 * @text   on error: what is wrong and what to do; TEXT_BYTES_MAX bytes
 *
 * Errors: those of tls_context_new(), peers_new() and catalog_keeper_new(); DSM_ENOMEM, DSM_ESYS
 */
int agent_new(const struct config *config, struct agent **agent, char *text);
/** Work until a SIGTERM or SIGINT (returns 0) or until going on is impossible (the error; logged).
 */
int agent_run(struct agent *agent);
/** Leave the cluster in good order and free everything. */
void agent_free(struct agent *agent);

/** Stop with an error, which is logged with the text. */
void agent_fail(struct agent *agent, int error, const char *text);
/** Step the core with an event without page bytes; nothing happens before there is a core. */
void agent_post(struct agent *agent, const struct event *event);
/** Carry out one action of the core (actions.c). */
void agent_act(struct agent *agent, const struct action *action, const uint8_t *payload,
               size_t payload_bytes);
/** ACTION_REPLY (replies.c). */
void agent_act_reply(struct agent *agent, const struct action *action);
/** A program's call (actions.c). */
void agent_call(struct agent *agent, client_id client, uint64_t number, const struct call *call);
/** A protocol message with its page bytes, which may be changed (actions.c). */
void agent_receive(struct agent *agent, const struct message *message, uint8_t *payload,
                   size_t payload_bytes);
/** What agent_new() gives to peers_new() and to the catalog (membership.c). */
struct peers_events agent_peers_events(struct agent *agent);
struct catalog_events agent_catalog_events(struct agent *agent);
/** The reply structure, emptied, for request `number`. */
struct session_reply *agent_reply(struct agent *agent, uint64_t number);
/** The record of a node, NULL when there is none; borrowed until the next step. */
const struct record *agent_node_record(const struct agent *agent, uint32_t node);
/** The name of a node, "?" when unknown; borrowed. */
const char *agent_node_name(const struct agent *agent, uint32_t node);
/** The record of a region or semaphore by its present name, NULL when there is none; borrowed. */
const struct record *agent_find_record(const struct agent *agent, uint8_t kind, const char *name);
/** The connection to a member, NULL when there is none. */
struct peer *agent_find_peer(const struct agent *agent, uint32_t node);

#endif
