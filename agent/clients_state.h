/* SPDX-License-Identifier: Apache-2.0 */
/** What client.c and clients.c share; nobody else includes it. */
#ifndef DSM_AGENT_CLIENTS_STATE_H
#define DSM_AGENT_CLIENTS_STATE_H

#include "agent/clients.h"
#include "agent/log.h"
#include "agent/packet.h"
#include "agent/table.h"

/**
 * A connected program.
 *
 *   open    in clients->table; its poll runs
 *   doomed  also: nothing is read or sent any more; its socket is shut down, so the loop calls its
 * poll, which removes it. Thus on_gone never comes out of clients_reply(). closed  clients is NULL,
 * on_gone was told; the memory goes when the loop has let go of the poll
 */
struct client {
    struct table_link link; /* the first member */
    struct clients *clients;
    uv_poll_t poll;
    uv_poll_t life;  /* of the process: a child that it forked may hold the socket open after it */
    int fd;
    int process;     /* pidfd, -1 when the kernel cannot tell */
    int count_polls; /* not closed yet */
    int events;      /* what the poll waits for now */
    bool greeted, doomed;
    struct credential credential;
    struct packet_queue queue;
};

struct clients {
    uv_loop_t *loop;
    uv_poll_t poll; /* of the listening socket */
    int fd, lock;
    int device; /* /dev/userfaultfd, -1 when this agent may not open it */
    int spare;  /* closed to accept and turn away a client when no descriptor is left */
    bool closing;
    char *path;
    char node_name[RECORD_NAME_BYTES];
    struct frames *frames;
    struct clients_events events;
    struct table table;
    client_id last_id;
    struct log_limit limit, limit_attached;
    struct buffer out;              /* of one packet */
    struct session_request request; /* of one packet, like the two below */
    struct session_reply reply;
    uint8_t in[SESSION_PACKET_MAX];
};

/**
 * Admit a program.
 *
 * @fd given, also on error
 *
 * Errors: DSM_ENOMEM, DSM_ESYS; DSM_EBUSY all numbers of clients are used up
 */
int client_new(struct clients *clients, int fd);
/** Take a program out; `tell`: on_gone has to be called. */
void client_close(struct client *client, bool tell);
/** Send a reply, now or later; a program that cannot get it is disconnected by the loop. */
void client_send(struct client *client, const struct session_reply *reply, int fd);

#endif
