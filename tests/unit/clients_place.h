/* SPDX-License-Identifier: Apache-2.0 */
/** For the tests of agent/clients: an agent's side that notes what it is told, and programs'
 * sockets. */
#ifndef DSM_TESTS_CLIENTS_PLACE_H
#define DSM_TESTS_CLIENTS_PLACE_H

#include "agent/clients.h"

/** The agent's side, and what it was told last. */
struct place {
    char directory[64], path[80];
    uv_loop_t loop;
    struct frames *frames;
    struct clients *clients;
    uint32_t count_calls, count_admins, count_gone;
    client_id client, gone;
    uint64_t number, cursor;
    struct call call;
    struct credential credential;
    bool has_topic;
    char topic[RECORD_NAME_BYTES + 32];
    uint32_t replies;               /* to each call; 0: free everything instead */
    struct session_request request; /* of the tests, too large for a stack */
    struct session_reply reply;
};

/** Listen at the place's path, with events that are noted in the place. */
int clients_start(struct place *place, struct clients **clients, char *text);
/** A directory, a loop, frames, and clients that listen. */
struct place *place_new(void);
/** Free it all; fails when a handle or the socket is left. */
void place_free(struct place *place);
/** Turn the loop until fd has something to read; 10 s at most. */
void wait_readable(struct place *place, int fd);
/** Turn the loop until a counter has reached a value. */
void wait_count(struct place *place, const uint32_t *count, uint32_t value);
/** A connected socket. */
int connect_to(const char *path);
/** Send place->request, with a descriptor unless it is -1. */
void send_request(struct place *place, int fd, int passed);
/** Wait for a reply, unpack it into place->reply; the descriptor that came with it, or -1. */
int read_reply(struct place *place, int fd);
/** The other end has hung up: nothing more comes, whatever was on its way before. */
void assert_disconnected(struct place *place, int fd);
/** Connect and be greeted. */
int connect_greeted(struct place *place);

#endif
