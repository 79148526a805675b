/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Several agents' peers in one loop over 127.0.0.1, and strangers who do what no agent does.
 * Waiting is always for a condition with a deadline.
 */
#ifndef DSM_TESTS_HOSTS_H
#define DSM_TESTS_HOSTS_H

#include <uv.h>

#include "agent/catalog.h"
#include "agent/peers.h"
#include "tests/unit/certs.h"

/** Connections of one host that are recorded at most. */
#define HOST_PEERS_MAX 16

/** The loop and the certificates of a test. */
struct stage {
    uv_loop_t loop;
    uv_timer_t deadline;
    bool is_late;
    uint64_t late_ms;
    char directory[CERTS_PATH_BYTES];
};

/** An agent as far as these tests need one: configuration, certificate, peers; perhaps a catalog.
 */
struct host {
    struct stage *stage;
    struct config config;
    struct tls_context *tls;
    struct peers *peers;
    struct catalog *catalog; /* gets on_wire, on_up, on_down; NULL: none */
    uint32_t incarnation;
    char address[64]; /* where it listens */
    struct peer *up[HOST_PEERS_MAX];
    uint32_t count_up;                                     /* now */
    uint32_t ups, downs, lefts, messages, wires, failures; /* so far */
    struct message message;                                /* the last one */
    uint8_t *payload;                                      /* its bytes, payload_bytes of them */
    size_t payload_bytes;
    struct wire wire; /* the last one */
    int failure;      /* the last one */
    bool is_fatal;
    char text[TEXT_BYTES_MAX];
};

/** A raw connection, by TLS or without, that does nothing by itself but remember. */
struct stranger {
    struct stage *stage;
    struct tls_context *tls;
    struct link *link; /* NULL: plain TCP */
    uv_tcp_t tcp, listener;
    uv_connect_t connect;
    bool is_listening, is_connected, is_closed;
    struct wire hello; /* sent as soon as TLS stands, unless its kind is 0 */
    bool has_sent_hello;
    uint32_t count_heads, count_pings;
    struct wire last; /* that came, but PING */
    struct wire bye;  /* that came */
};

typedef bool condition(void *context);

void stage_open(struct stage *stage);
/** Runs the loop until every handle is closed, which must happen. */
void stage_close(struct stage *stage);
/** Run the loop until the condition holds; false when it does not within 20 s. */
bool stage_run(struct stage *stage, condition *is_true, void *context);
/** Run the loop until this timer has fired: for what must not happen meanwhile. */
void stage_run_ms(struct stage *stage, uint64_t time_ms);

/** Start an agent's peers under a name, certified by the CA `ca`, on a port of the system's choice.
 */
void host_open(struct host *host, struct stage *stage, const char *ca, const char *name,
               uint32_t incarnation);
/** As host_open() at the address where it listened before. */
void host_open_again(struct host *host, uint32_t incarnation);
/** Stop it; its handles close with the loop. */
void host_close(struct host *host);
/** Tell a host that another one is a member, and which number the host itself has. */
void host_know(struct host *host, uint32_t self, const struct host *other, const char *name,
               uint32_t node);
/** The connection that is up to an agent of this name (and incarnation, unless it is 0), or NULL.
 */
struct peer *host_find(const struct host *host, const char *name, uint32_t incarnation);

/** Connect to an address; `name` NULL: plain TCP. */
void stranger_open(struct stranger *stranger, struct stage *stage, const char *ca, const char *name,
                   uint16_t port);
/** Wait for a connection on a port of the system's choice, which is returned. */
uint16_t stranger_listen(struct stranger *stranger, struct stage *stage, const char *ca,
                         const char *name);
/** Send bytes as they are, or (with TLS) a frame with this head. */
void stranger_send(struct stranger *stranger, const void *bytes, size_t len_bytes);
void stranger_send_wire(struct stranger *stranger, const struct wire *wire);
/** Stop reading what comes. */
void stranger_ignore(struct stranger *stranger);
void stranger_close(struct stranger *stranger);

/** Two members, a (0) and b (1). */
struct pair {
    struct stage stage;
    struct host a, b;
};

/** Each is told of the other. */
void pair_know(struct pair *pair);
/** Are they connected? For stage_run(), a struct pair. */
bool pair_is_up(void *context);
/** The fixture of a test whose state is a pair that is connected. */
int pair_set_up(void **state);
int pair_tear_down(void **state);

#endif
