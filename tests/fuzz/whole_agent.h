/* SPDX-License-Identifier: Apache-2.0 */
/**
 * One whole agent in this process, made anew for each input: its socket, its frames, the core and
 * the catalog are the real ones, the other agents are played (played_peers.h). Steps of an input
 * make it deal with programs and peers that keep to no protocol.
 */
#ifndef DSM_TESTS_FUZZ_WHOLE_AGENT_H
#define DSM_TESTS_FUZZ_WHOLE_AGENT_H

#include "agent/agent.h"
#include "tests/fuzz/input.h"

#define WHOLE_PROGRAMS 3u
#define WHOLE_NUMBERS 8u

/** A local program, as far as it is only a socket. */
struct program {
    int socket;                      /* -1: not connected */
    uint64_t handles[WHOLE_NUMBERS]; /* that it was given, a ring */
    map_id maps[WHOLE_NUMBERS];
    uint32_t count_handles, count_maps;
    uint64_t last_number;
    struct call asked[WHOLE_NUMBERS]; /* by number, to know what a reply is to */
    int memory;                       /* of the last mapping that was granted, -1: none */
    uint64_t memory_bytes;
};

struct whole {
    struct agent *agent;
    struct config config;
    char directory[64];
    struct program programs[WHOLE_PROGRAMS];
    struct session_request request; /* too large for a stack, like the reply */
    struct session_reply reply;
    uint8_t packet[SESSION_PACKET_MAX];
};

/** An agent that keeps the catalog itself, or one whose keeper is a played peer. */
struct whole *whole_new(bool is_keeper);
/** End it; whatever was done to it, nothing may be left of its programs. */
void whole_free(struct whole *whole);
/** Turn its loop until it has nothing more to do at once. */
void whole_run(struct whole *whole);
/** One step of a program: connect, send something, hang up. */
void whole_program_step(struct whole *whole, struct input *input);
/** One step of another agent: come, go, send something. */
void whole_peer_step(struct whole *whole, struct input *input);
/** descriptor_count(), once libuv has those that it keeps for all loops. */
uint32_t whole_descriptors(void);
/** A catalog's file has been put in place before the agent starts; see whole_new(). */
struct whole *whole_new_over(const uint8_t *body, size_t len_bytes);

#endif
