/* SPDX-License-Identifier: Apache-2.0 */
/** Two links back to back, of two nodes of a cluster, while calls fail under one of them. */
#ifndef DSM_TESTS_LINK_PAIR_H
#define DSM_TESTS_LINK_PAIR_H

#include "net/link.h"
#include "tests/unit/certs.h"

/** Two nodes of a cluster, and the paths of the first one's files. */
struct place {
    char directory[CERTS_PATH_BYTES];
    char ca[CERTS_PATH_BYTES], certificate[CERTS_PATH_BYTES], key[CERTS_PATH_BYTES];
    struct tls_context *a, *b;
};

/** For a group of tests: the state is a place. Return 0 or -1. */
int place_set_up(void **state);
int place_tear_down(void **state);

/** Two links back to back, and whose call it was that failed. */
struct pair {
    struct link *client, *server;
    struct link *victim;
};

/** A pair after its handshake. */
void pair_new(struct place *place, struct pair *pair);
void pair_free(struct pair *pair);
/** If a call failed by now, it was in the course of what this link was told last. */
void pair_blame(struct pair *pair, struct link *link);
/** Carry both ways, `chunk` bytes at a time, until neither has anything to say. */
void pair_settle(struct pair *pair, size_t chunk);

#endif
