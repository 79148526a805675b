/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A random world: programs come, open, grow and unlink a region, read and increment its pages,
 * lock, post, meet at barriers, add at the home, and go or die; nodes die and come again; messages
 * are lost, repeated and held up; the keeper's news come late. It ends when everything that waits
 * was served.
 *
 * What is promised is checked all along: a read gives the last value written (cluster.c) or SIGBUS,
 * and SIGBUS only where a death may have taken the last copy; a mutex has one holder, told of a
 * dead one before it; no increment under a mutex or at the home is lost; no unit of a semaphore is
 * lost or made; a barrier lets all go or none; nobody waits for ever.
 */
#ifndef DSM_TESTS_SIM_WORLD_H
#define DSM_TESTS_SIM_WORLD_H

#include "tests/sim/cluster.h"

#define WORLD_PROGRAMS 16
#define WORLD_SEM_UNITS 2
#define WORLD_ADDS 8192
/**
 * Mutexes of a region; mutex i is at page i * STRIPE_PAGES, if there is one, and protects the page
 * after.
 */
#define WORLD_LOCKS 2
/** Pages 2 and 3 are only added to by their home, page 4 holds the barrier. */
#define WORLD_ADD_PAGE 2
#define WORLD_BARRIER_PAGE 4
#define WORLD_FREE_PAGE 5
#define WORLD_PAGES_MIN 8

struct world_options {
    uint64_t seed;
    uint32_t nodes;    /* at most CLUSTER_NODES */
    uint32_t programs; /* at most WORLD_PROGRAMS */
    uint64_t pages;    /* of a new region, WORLD_PAGES_MIN to CLUSTER_PAGES / 2 */
    uint64_t steps;
    uint64_t budget_pages; /* 0: no bound */
    uint32_t read_ahead_pages;
    uint32_t lose_permille, duplicate_permille;
    bool striped;
    bool late_news, held_links, dying_programs, new_regions;
    uint32_t dying_nodes; /* at most so many */
};

enum program_state {
    PROGRAM_NONE = 0,
    PROGRAM_OPENING,
    PROGRAM_GROWING,
    PROGRAM_ASKING_SIZE,
    PROGRAM_MAPPING,
    PROGRAM_OPENING_SEM,
    PROGRAM_IDLE,
    PROGRAM_TOUCHING,
    PROGRAM_CALLING,  /* SYNC or whatever else changes nothing that the program knows */
    PROGRAM_LOCKED,   /* reads what the mutex protects */
    PROGRAM_WRITING,  /* writes what it has read, plus one */
};

struct program {
    enum program_state state;
    uint32_t node;
    client_id client;
    uint32_t area; /* index of the region */
    uint64_t handle, sem;
    map_id map;
    uint64_t pages;
    uint64_t call; /* number of the call under way */
    uint8_t op;    /* of a SYNC call under way, else 0 */
    uint32_t lock;
    uint64_t page, value;
    bool write, has_unit, has_lock;
};

struct world_lock {
    uint32_t holder; /* index of a program + 1 */
    bool died;       /* the holder did; the next one has to be told */
};

/** What is known of a region. */
struct area {
    struct world_lock locks[WORLD_LOCKS];
    uint8_t added[2][WORLD_ADDS]; /* old values that fetch-add has given */
    uint64_t adds[2], unknown_adds[2];
    bool may_be_lost[CLUSTER_PAGES];
};

struct world {
    struct cluster *cluster;
    struct world_options options;
    struct program programs[WORLD_PROGRAMS];
    struct area areas[CLUSTER_REGIONS];
    region_id sem;
    uint32_t taken, unknown_units; /* of the semaphore: held, or gone with who held them */
    uint32_t left_units[CLUSTER_NODES]; /* of dead programs: their node gives them back */
    uint64_t barriers, unknown_barriers;
    uint32_t deaths, regions_made;
    nodeset dead;     /* and not declared, or declared and not restarted */
    nodeset declared;
    client_id next_client;
    bool is_ending; /* nobody begins anything new */
    uint64_t done, poisoned;
    uint64_t state;
    const char *error;
};

/** NULL, or what went wrong (told on standard error with the last messages). */
const char *world_run(const struct world_options *options, uint64_t *operations);

/*
 * For the other files of the world.
 */

uint64_t world_draw(struct world *world, uint64_t below);
void world_fail(struct world *world, const char *what);
/** A program's turn (world_program.c). */
void program_turn(struct world *world, struct program *program);
/** It dies, or its node does. */
void program_die(struct world *world, struct program *program, bool with_node);
/** Begin a random operation (world_sync.c). */
void program_begin_sync(struct world *world, struct program *program);
/** The outcome of the SYNC call is here. */
void program_end_sync(struct world *world, struct program *program, const struct reply *reply);
void program_unlock(struct world *world, struct program *program);
/** What the call under way leaves unknown when its program dies. */
void program_drop_sync(struct world *world, struct program *program, bool with_node);
/** What must be true of synchronisation in the end. */
void world_check_sync(struct world *world);
/** The page of a mutex. */
uint64_t world_lock_page(const struct program *program, uint32_t lock);
/** A node stops, is declared dead, starts again (world_death.c). */
void world_kill(struct world *world);
void world_declare(struct world *world);
void world_restart(struct world *world);
/**
 * Is the home of a page of this region dead, or another incarnation than that which was asked
 * first?
 */
bool world_home_is_gone(const struct world *world, uint32_t area, uint64_t page);
/** May a death have taken the last copy of a page? */
bool world_may_be_lost(const struct world *world, uint32_t area, uint64_t page);

#endif
