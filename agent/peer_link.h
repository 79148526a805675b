/* SPDX-License-Identifier: Apache-2.0 */
/**
 * One connection to another agent, and what the five files of peers share: peers.c has the table of
 * members, peers_clock.c what happens by time, peer_dial.c makes and accepts connections,
 * peer_link.c carries one from its first byte to its last, peer_send.c decides when bytes leave.
 *
 * A connection's life
 *   DIALLING  we are connecting; nothing was sent
 *   GREETING  TLS and HELLO are under way; 5 s at most from its beginning
 *   UP        its HELLO was checked, on_up() was called
 *   PARTING   it is over: nothing is delivered or sent any more. What was written (a BYE, an alert)
 * gets 1 s to arrive before the socket is closed, since closing on unread bytes would destroy it
 *   CLOSED    the handle is on its way out of the loop, the memory goes with it
 *
 * Invariants
 *   L1 a connection goes through these states in this order only; peer_end() alone begins PARTING,
 * and calls nobody: on_down() and on_failure() come from the timer, so that a connection may be
 * ended in the middle of any call L2 on_up() is followed by exactly one on_down(), before the
 * memory goes L3 peers->members[n].peer is UP and has the name and the incarnation of member n,
 * which is alive
 *   L4 a connection is in a list of peers->holding, by holding_back, exactly while its link holds
 * frames: in that of the most urgent of them
 */
#ifndef DSM_AGENT_PEER_LINK_H
#define DSM_AGENT_PEER_LINK_H

#include "agent/log.h"
#include "agent/peers.h"

/** Time for the handshake and both HELLOs, and for the last words. */
#define PEER_GREETING_MS 5000u
#define PEER_PARTING_MS 1000u
/** Accepted connections that are not UP at most; the oldest makes room for another one. */
#define PEERS_UNFINISHED_MAX 128u
/** Bytes that may wait for one peer; one that takes so little has its connection closed. */
#define PEER_OUTPUT_MAX (256u << 20)
/** Bytes of one read, and of what is handed to libuv when the socket is full. */
#define PEERS_READ_BYTES (256u << 10)
#define PEER_STALL_BYTES (64u << 10)
/** Encrypted answers that wait for others at most. */
#define PEER_ANSWERS_BYTES (64u << 10)
/** Time between attempts to connect: doubles from the first to the last. */
#define TARGET_WAIT_MIN_MS 50u
#define TARGET_WAIT_MAX_MS 2000u

/** When something leaves, by peers_send_message(): with the answers, by peers_flush(), by time. */
enum peer_urgency {
    PEER_SEND_NOW = 0,
    PEER_SEND_SOON,
    PEER_SEND_IDLY,
    PEER_SEND_LATE,
    PEER_SEND_COUNT
};

enum peer_state { PEER_DIALLING = 1, PEER_GREETING, PEER_UP, PEER_PARTING, PEER_CLOSED };

/** An address to which this agent connects. */
struct target {
    char address[CONFIG_TEXT_BYTES];
    struct peer *peer; /* that is being made or was made to it, NULL: none */
    uint64_t next_ms;  /* not to be tried before */
    uint32_t wait_ms;  /* after the next failure */
    char failure[TEXT_BYTES_MAX];
};

struct peer {
    struct peers *peers;
    struct peer *next, **link_back;
    struct peer *holding_next, **holding_back; /* L4 */
    enum peer_urgency holding_urgency;
    uv_tcp_t tcp;
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct link *link;
    struct target *target; /* that it was made for, NULL: accepted */
    uint8_t *stall;        /* PEER_STALL_BYTES, made when first needed */
    enum peer_state state;
    bool is_resolving, is_connecting, is_writing, is_shut, is_announced, is_over_told, is_kept;
    bool has_sent_hello, has_left, is_handle_gone;
    bool is_fatal; /* the end's cause: see on_failure() */
    int error;     /* the end's cause */
    uint32_t node, hello_node, incarnation;
    uint64_t begun_ms, heard_ms, pinged_ms, parting_ms;
    char name[RECORD_NAME_BYTES];
    char address[RECORD_ADDRESS_BYTES];
    char socket_address[RECORD_ADDRESS_BYTES];
    char text[TEXT_BYTES_MAX]; /* the end's cause */
};

struct member {
    bool is_known, is_alive;
    uint32_t incarnation;
    char name[RECORD_NAME_BYTES];
    struct peer *peer; /* L3 */
    struct target target;
};

struct peers {
    uv_loop_t *loop;
    const struct config *config;
    struct tls_context *tls;
    struct peers_events events;
    uv_tcp_t listener;
    uv_timer_t timer, late_timer;
    uv_tcp_t turned_away; /* a connection that is accepted only to be closed */
    bool is_turning_away; /* that is under way ... */
    bool is_more_waiting; /* ... and the next one waits for it */
    uint32_t
        count_handles; /* of listener, timers and connections; at 0 after free the memory goes */
    bool is_freed;
    bool is_parting; /* no new connections */
    uint16_t port;
    uint32_t self, incarnation;
    uint64_t timer_due_ms;
    uint64_t bytes_sent, bytes_received;
    struct peer *list;
    struct peer *holding[PEER_SEND_COUNT]; /* L4 */
    uint32_t count_collecting; /* peers_collect() without peers_collected() */
    uint64_t count_sends;
    struct member members[NODES_MAX];
    struct target kept;
    bool has_kept;
    char kept_name[RECORD_NAME_BYTES]; /* of the agent that was found there, "" before */
    char own_address[RECORD_ADDRESS_BYTES];
    struct buffer head;
    struct log_limit limit;
    uint8_t read_buffer[PEERS_READ_BYTES];
};

/* peer_link.c */

/** Make a connection that has no socket yet. Returns NULL without memory. */
struct peer *peer_new(struct peers *peers, struct target *target);
/** Its socket is connected: begin the handshake. */
void peer_begin(struct peer *peer);
/**
 * The connection is over: see PARTING. Ending it again does nothing.
 *
 * @error what it was; 0: in good order
 * @bye   tell the other side
 */
void peer_end(struct peer *peer, int error, bool bye, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/** Close the socket of a connection that is PARTING. */
void peer_close(struct peer *peer);
/** Free the memory of a connection whose handle is closed and that waits for nothing else. */
void peer_delete(struct peer *peer);
/** Have the last words left, or has their time? */
bool peer_is_parted(const struct peer *peer, uint64_t now_ms);
/** Nothing more is to come from or go to the other side. */
void peer_part_now(struct peer *peer);
/** All is written: say that nothing more follows, and wait for the other side to close. */
void peer_shut(struct peer *peer);

/* peer_send.c */

/** Send what peers->head holds. Errors: DSM_EDOWN. */
int peer_send_head(struct peer *peer, const uint8_t *payload, size_t payload_bytes,
                   enum peer_urgency urgency);
/** Send what is held back, and what the socket did not take before. */
void peer_flush(struct peer *peer);
/** Hand the link's output to the socket, as much as it takes. */
void peer_write(struct peer *peer);
/** Send what connections hold back, of which the most urgent is this urgent. */
void peers_flush_held(struct peers *peers, enum peer_urgency urgency);
/** Take the connection out of peers->holding. */
void peer_hold_no_more(struct peer *peer);
int peer_send_wire(struct peer *peer, const struct wire *wire);

/* peer_dial.c */

/** Try the target now. */
void target_dial(struct peers *peers, struct target *target);
/** It did not work: say so and try again later. */
void target_failed(struct peers *peers, struct target *target, int error, const char *text,
                   bool fatal);
/** The connection to it is up. */
void target_succeeded(struct target *target);
/** Write "host:port" or "[v6]:port" of a socket address. */
void address_format(const struct sockaddr *socket_address, char *address, size_t address_bytes);
/** Listen on the configuration's address; errors and text as peers_new(). */
int peers_listen(struct peers *peers, char *text);

/* peers_clock.c */

/** Something is to be done by the timer, at once or at a new time. */
void peers_schedule(struct peers *peers, bool at_once);

/* peers.c */

/** Look who is who again: sets peer->node and member.peer; L3. */
void peers_refresh(struct peers *peers);
/** The HELLO has been checked by itself: take the connection among the others. */
void peers_on_hello(struct peers *peers, struct peer *peer);
/** A handle is closed; frees peers after the last one. */
void peers_handle_closed(struct peers *peers);

#endif
