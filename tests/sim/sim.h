/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The deterministic simulator: N real cores (cluster.h) under a virtual clock in microseconds.
 * Messages, deadlines, programs' turns, the keeper's answers and news, and faults are events of one
 * heap; everything is drawn from one seed. The core has no pagers yet, so none are simulated.
 *
 * What is checked is listed in tests/sim/oracle.h by number. Here:
 *   O6 a mutex has one holder, and the next one is told of a dead one
 *   O7 a barrier releases all of a round or none
 *   O8 a semaphore never gives more than it has and loses no post
 *   O9 an operation at the home happens once: each old value is given once, none is lost
 *   O11 whatever waits is answered within a bound (sim_wait.h)
 *   O12 a page is lost only where a death may have taken its last copy
 */
#ifndef DSM_TESTS_SIM_SIM_H
#define DSM_TESTS_SIM_SIM_H

#include "tests/sim/cluster.h"
#include "tests/sim/oracle.h"
#include "tests/sim/sim_draw.h"
#include "tests/sim/sim_heap.h"
#include "tests/sim/sim_log.h"
#include "tests/sim/sim_options.h"

/** Regions and semaphores of one run at most; made anew only while there is room. */
#define SIM_AREAS 16u
#define SIM_SEMS SIM_AREAS
#define SIM_SEM_UNITS 2u
#define SIM_ADDS 8192u
/**
 * Mutex i is at page i * STRIPE_PAGES, if there is one, and protects the page after. Pages 2 and 3
 * are changed only by their home's fetch-add, page 4 by compare-and-swap; its offsets from 64 on
 * are barriers.
 */
#define SIM_LOCKS 2u
#define SIM_ADD_PAGE 2u
#define SIM_SWAP_PAGE 4u
#define SIM_FREE_PAGE 5u
#define SIM_PARTIES_MAX 4u

enum sim_due_kind {
    SIM_DUE_DELIVER = 1, /* a: from, b: to */
    SIM_DUE_WAKE,        /* a: node; its deadline */
    SIM_DUE_TURN,        /* a: program, b: its turn's number */
    SIM_DUE_DECIDE,
    SIM_DUE_TELL,      /* a: node */
    SIM_DUE_FINISH,    /* a: node, an atomic operation */
    SIM_DUE_HEAL,      /* a, b: nodes, c: 1 both ways */
    SIM_DUE_UNCLOG,    /* a: from, b: to, NODE_NONE: all */
    SIM_DUE_PEER_UP,   /* a is told of b */
    SIM_DUE_DECLARE,   /* a: node, dead */
    SIM_DUE_RESTART,   /* a: node */
    SIM_DUE_RETIRED,   /* a: node; is it ready to leave? */
    SIM_DUE_RECONNECT, /* a: node that was cut off from all others */
    SIM_DUE_LEARN,     /* a: node, that it was declared dead */
};

enum sim_program_state {
    SIM_NONE = 0,
    SIM_OPENING,
    SIM_GROWING,
    SIM_ASKING_SIZE,
    SIM_MAPPING,
    SIM_ASKING_TOKENS, /* asks for the words of its mutexes */
    SIM_OPENING_SEM,
    SIM_IDLE,
    SIM_TOUCHING,
    SIM_CALLING, /* SYNC or whatever else changes nothing that the program knows */
    SIM_READING, /* has a mutex, and reads what it protects */
    SIM_WRITING, /* writes there */
    SIM_UNMAPPING,
    SIM_CLOSING,
    SIM_SEALING,
};

struct sim_program {
    uint32_t state; /* enum sim_program_state */
    uint32_t node;
    client_id client; /* shared by threads */
    uint32_t name;    /* of its region */
    uint32_t area;    /* index of the region, SIM_AREAS: none */
    uint32_t sem_index;
    uint64_t handle, sem;
    map_id map;
    uint32_t page_bytes; /* of its region */
    uint64_t pages;
    struct sim_row row;
    uint32_t turn; /* number of its next turn; others are void */
    uint32_t pattern;
    uint64_t position;
    uint64_t hung_until_us;
    uint64_t waits_since_us; /* a call or a touch under way began; 0: none */
    bool is_blocked;         /* in a touch: until it is woken */
    bool is_thread;
    bool has_tokens; /* takes mutexes by their words */
    bool is_void; /* its node is an outcast: nothing is promised to it, others must not notice */
    bool wants_reopen, wants_sem; /* to make them anew */
    bool wants_seal;              /* when it has unmapped */
    bool is_reader;               /* the region is sealed: it can but read */
    uint64_t page, value;
    bool write;
    uint64_t call; /* number of the call under way */
    uint8_t call_kind, op;
    bool has_reply, has_unit, has_lock;
    uint32_t lock, parties;
    uint64_t expected, desired; /* COMPARE_SWAP */
    struct reply reply;
};

struct sim_lock {
    uint32_t holder; /* index of a program + 1 */
    bool died;       /* the holder did; the next one has to be told */
};

struct sim_barrier {
    uint64_t arrived; /* calls begun, but for those that were given up */
    uint64_t let_go;
    uint64_t unknown; /* calls whose outcome nobody has seen */
};

/** What is known of a region. */
struct sim_area {
    struct sim_lock locks[SIM_LOCKS];
    struct sim_barrier barriers[SIM_PARTIES_MAX + 1];
    uint64_t adds[2], unknown_adds[2];
    uint64_t swaps, swapped, unknown_swaps; /* values offered, taken, perhaps taken */
    uint64_t produced;                      /* pages written by producers */
    uint32_t seen;                          /* a program has it */
    uint8_t added[2][SIM_ADDS];             /* old values that fetch-add has given */
    uint16_t after[SIM_ADDS];               /* COMPARE_SWAP: the value that replaced this one */
};

struct sim_sem {
    region_id id;
    uint32_t taken, unknown_units;      /* held, or gone with who held them */
    uint32_t left_units[SIM_NODES_MAX]; /* of dead programs: their node gives them back */
};

/** One way between two nodes. */
struct sim_link {
    uint64_t last_due_us;
    uint32_t factor; /* of delays; 0 and 1: none */
    uint16_t cuts;   /* so many cuts lie on it */
    bool is_scheduled;
};

enum sim_life {
    SIM_ALIVE = 0,
    SIM_RETIRING,
    SIM_SILENT,  /* it lives, and the keeper hears nothing of it */
    SIM_OUTCAST, /* it lives, and was declared dead */
    SIM_DEAD,    /* not declared */
    SIM_GONE,
};

struct sim_host {
    uint32_t life; /* enum sim_life */
    uint32_t factor;
    uint64_t wake_us; /* an EVENT_WAKE is due then, UINT64_MAX: none */
    uint64_t retires_until_us;
    bool is_telling;
    bool is_slow;          /* its news come late */
    bool is_dirty;         /* it was stepped in this event */
    bool is_finishing;     /* the outcome of an atomic operation is on its way */
    bool is_deaf, is_mute; /* cut off from all others, this way and that */
};

/** Of one run; added up over many. */
struct sim_stats {
    uint64_t fast_locks; /* by their words */
    uint64_t operations, events, steps, messages, poisoned, deaths, sealed;
    uint64_t faults[SIM_FAULT_KINDS];
    uint64_t virtual_us;
    uint64_t settle_us, wait_us;             /* the longest there were, see sim_wait.h */
    uint64_t settle_permille, wait_permille; /* the longest, of their bounds */
};

/** A defect planted by a test of the simulator itself (test_sim.c): some messages are spoilt. */
struct sim_plant {
    uint32_t kind;       /* enum message_kind; 0: none */
    uint32_t turns_into; /* another one; 0: it stays that, its version is 0 */
    uint64_t each;       /* every so many of them */
};

struct sim {
    struct sim_options options;
    struct sim_plant plant;
    struct sim_stats stats;
    struct sim_log log;
    uint64_t now_us;
    bool is_ending; /* faults have stopped: nobody begins anything new */
    bool is_over;
    char failure[256]; /* "O6 a mutex ...", "" */
    struct sim_row net, faults, keeper;
    uint32_t count_names;
    uint64_t next_value; /* every value is written once */
    client_id next_client;
    uint32_t objects_made;   /* regions and semaphores */
    uint32_t slots;          /* programs and threads at the same time */
    bool has_died;           /* some program, in whatever way */
    bool has_lost;           /* messages were lost, and nobody was told by PEER_UP */
    uint64_t quiet_since_us; /* nothing was wrong since then */
    uint32_t troubles;       /* that last */
    bool is_deciding;
    uint64_t next_fault[SIM_FAULT_KINDS]; /* event number */
    uint64_t next_fault_any;
    uint64_t planted;
    struct sim_program programs[SIM_PROGRAMS_MAX];
    struct sim_host hosts[SIM_NODES_MAX];
    struct sim_link links[SIM_NODES_MAX][SIM_NODES_MAX];
    struct sim_sem sems[SIM_SEMS];
    uint32_t count_sems;
    struct sim_area areas[SIM_AREAS];
    struct cluster *cluster; /* below here: of the running process only */
    struct sim_heap heap;
};

/**
 * Run a seed. Does not return when a property is broken (O1 to O15): tells it, aborts.
 *
 * @sim     zeroed memory, left as the run ended, for whoever looks at it afterwards
 * @options borrowed until return
 * @plant   NULL: no planted defect
 */
void sim_run(struct sim *sim, const struct sim_options *options, const struct sim_plant *plant,
             bool is_verbose);

/** Tell who waits for what, in lines of text: a program that is not idle has one. */
void sim_print_summary(const struct sim *sim, char *text, size_t bytes);

/*
 * For the other files of the simulator.
 */

/** A property is broken. */
_Noreturn __attribute__((format(printf, 3, 4))) void sim_fail(struct sim *sim, const char *property,
                                                              const char *format, ...);
void sim_at(struct sim *sim, uint64_t due_us, uint32_t kind, uint32_t a, uint32_t b, uint32_t c);
/** The node was stepped: its deadline may have moved. */
void sim_touched(struct sim *sim, uint32_t node);
void sim_touched_all(struct sim *sim);
/** Trouble begins (lasts: until sim_trouble_ends()). */
void sim_trouble(struct sim *sim, uint32_t fault, uint32_t node, uint32_t other, uint64_t value,
                 bool lasts);
void sim_trouble_ends(struct sim *sim, uint32_t fault, uint32_t node, uint32_t other);
/** The index of a region, SIM_AREAS when it is unknown. */
uint32_t sim_area_of(const struct sim *sim, region_id id);
/** A program finds a page lost: may it be (O12)? */
void sim_check_loss(struct sim *sim, uint32_t area, uint64_t page, uint32_t node);

#endif
