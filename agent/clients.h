/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Local programs: a SOCK_SEQPACKET Unix socket, one packet a request or reply (net/codec.h),
 * descriptors beside them (SCM_RIGHTS), the caller's identity from the kernel (SO_PEERCRED,
 * SO_PEERGROUPS).
 */
#ifndef DSM_AGENT_CLIENTS_H
#define DSM_AGENT_CLIENTS_H

#include <uv.h>

#include "agent/frames.h"
#include "net/codec.h"

struct clients;

/** Whom to tell. Every request is answered by exactly one clients_reply(), at any later time. */
struct clients_events {
    void *context;
    /** SESSION_CALL; credential is filled in. Borrowed until return. */
    void (*on_call)(void *context, client_id client, uint64_t number, const struct call *call);
    /** SESSION_STATS (topic NULL) and SESSION_ADMIN. */
    void (*on_admin)(void *context, client_id client, uint64_t number, const char *topic,
                     uint64_t cursor, const struct credential *credential);
    /** The program has gone; nothing more comes from it and replies to it are dropped. */
    void (*on_gone)(void *context, client_id client);
};

/**
 * Listen. HELLO and ATTACH are answered here, the rest by `events`.
 *
 * @socket_path  made with mode 0666 (rights are checked per region); a stale socket is replaced
 * @frames       borrowed; for SESSION_ATTACH
 * @text         on error: what is wrong with the path; TEXT_BYTES_MAX bytes
 *
 * Errors: DSM_EBUSY  another agent listens there
 *         DSM_ESYS, DSM_ENOMEM
 */
int clients_new(uv_loop_t *loop, const char *socket_path, const char *node_name,
                struct frames *frames, const struct clients_events *events,
                struct clients **clients, char *text);
/** Disconnects all, removes the socket; handles are closed through the loop. */
void clients_free(struct clients *clients);
/**
 * Answer a request.
 *
 * @reply  borrowed; reply->number says which request
 * @fd     a descriptor to pass, borrowed, or -1
 */
void clients_reply(struct clients *clients, client_id client, const struct session_reply *reply,
                   int fd);
/** Programs connected now. */
uint32_t clients_count(const struct clients *clients);

#endif
