/* SPDX-License-Identifier: Apache-2.0 */
/** What the two files of the fake agent share: its thread, and its answers. */
#ifndef DSM_TESTS_FAKE_STATE_H
#define DSM_TESTS_FAKE_STATE_H

#include <pthread.h>
#include <sys/un.h>

#include "net/stale_map.h"
#include "tests/unit/fake_agent.h"

enum command {
    COMMAND_NONE,
    COMMAND_RELEASE,
    COMMAND_BABBLE,
    COMMAND_DIE,
    COMMAND_TAKE,
    COMMAND_STOP,
};

struct fake_map {
    map_id map;
    int client; /* its socket */
    int uffd;   /* -1 until attached; or a channel */
    bool is_channel, writable;
    struct stale_map stale; /* its program follows it */
    uint32_t sent, done;    /* numbers of orders */
    uint64_t address, offset, len_bytes;
    uint8_t wanted[FAKE_PAGES_MAX]; /* reported while an order was waited for: enum fault_word */
};

struct held {
    int client;
    struct session_reply reply;
};

struct fake_agent {
    struct fake_options options;
    char directory[64];
    struct sockaddr_un address;
    pthread_t thread;
    int listener, device, memfd, wake;
    int clients[FAKE_CLIENTS_MAX];
    struct fake_map maps[FAKE_MAPS_MAX];
    struct held held[FAKE_HELD_MAX];
    map_id last_map;
    uint64_t last_handle, counter;
    uint64_t size_bytes;
    bool dead;
    /* Under the lock, for other threads. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct fake_seen seen;
    enum command command;
    bool is_up; /* the thread has begun */
    bool hold_locks;
    bool gives_writes; /* who reads may write */
    int tokens_memfd;  /* for CALL_TOKENS, -1: none */
    uint64_t tokens_client;
    uint64_t take_page, take_count; /* of COMMAND_TAKE */
    bool take_all;
    uint64_t store_bytes; /* of the region at first: only pages of these are taken */
    uint8_t *store;       /* what was taken out of the memfd */
    bool *is_stored;
};

/** Close a descriptor, if it is one, and forget it. */
void descriptor_close(int *descriptor);
/** A program is gone, and its mappings with it. */
void client_drop(struct fake_agent *fake, int *client);
/** Frees a map's place; a place is in use while its number is not 0. */
void map_drop(struct fake_agent *fake, struct fake_map *map);
/** Answer what is held back, the last first. */
void held_release(struct fake_agent *fake);
/** A packet, or the end, of a program. */
void on_client(struct fake_agent *fake, int *client);
/** Faults of a mapping. */
void on_uffd(struct fake_agent *fake, struct fake_map *map);
/** Reports of a mapping. */
void on_channel(struct fake_agent *fake, struct fake_map *map);
/** The bytes of a page that is not in the memfd, fake_unit() of them. */
void page_make(const struct fake_agent *fake, uint64_t offset, uint8_t *bytes);
/** Take a range of pages away from every program, or, not `all`, the right to write to them. */
void pages_take(struct fake_agent *fake, uint64_t page, uint64_t count, bool all);

#endif
