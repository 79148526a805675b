/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What a seed runs: the cluster, its programs, and the swarm of faults. Each fault is off or on,
 * and those that are on have weights that differ widely (Groce et al., Swarm Testing, ISSTA 2012):
 * a fault that is always there hides what shows only without it.
 */
#ifndef DSM_TESTS_SIM_SIM_OPTIONS_H
#define DSM_TESTS_SIM_SIM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Faults: name, name on the command line, what the weight means, what happens.
 *
 * PER_MESSAGE: so many of 10,000 messages; EVERY: once in so many events of the simulator, about;
 * UPTO_US: so many microseconds late at most.
 */
#define SIM_FAULTS(X)                                                                              \
    X(LOSS, "loss", PER_MESSAGE, "messages are lost, and nobody is told")                          \
    X(DUPLICATE, "duplicate", PER_MESSAGE, "messages come twice")                                  \
    X(CUT, "cut", EVERY, "a pair of nodes is cut off from each other, both ways")                  \
    X(HALF_CUT, "half-cut", EVERY, "one way between two nodes is cut")                             \
    X(CLOG, "clog", EVERY, "a way, or all ways of a node, are 100 to 1000 times slower")           \
    X(MEND, "mend", EVERY, "a node is told that a link is up again, and nothing was wrong")        \
    X(CRASH, "crash", EVERY, "a program dies")                                                     \
    X(HANG, "hang", EVERY, "a program stands still, perhaps with a mutex")                         \
    X(FORK, "fork", EVERY, "a second thread with the same session and mapping")                    \
    X(REOPEN, "reopen", EVERY, "a program unmaps, closes and opens again")                         \
    X(KILL, "kill", EVERY, "an agent dies, is declared dead, and comes back")                      \
    X(RETIRE, "retire", EVERY, "an agent leaves in good order, and comes back")                    \
    X(FALSE_DEATH, "false-death", EVERY,                                                           \
      "an agent that lives is declared dead, and learns it late")                                  \
    X(LATE_DEATH, "late-death", UPTO_US, "a dead agent is declared dead late")                     \
    X(LATE_NEWS, "late-news", UPTO_US, "the catalog's news come late, to each node otherwise")     \
    X(SLOW_KEEPER, "slow-keeper", UPTO_US, "proposals are answered late")                          \
    X(BAD_KEEPER, "bad-keeper", PER_MESSAGE, "proposals fail, be they carried out or not")         \
    X(LATE_ATOMIC, "late-atomic", UPTO_US, "operations at the home take long")                     \
    X(EVICTION, "eviction", EVERY, "nodes may keep few pages (all but node 0)")                    \
    X(RENEW, "renew", EVERY, "the region is unlinked; who opens it next makes a new one")          \
    X(GROW, "grow", EVERY, "the region grows")                                                     \
    X(SEAL, "seal", EVERY, "a program seals the region, if nobody else may write")

enum sim_fault {
#define SIM_FAULT_ENUM(name, text, unit, what) SIM_##name,
    SIM_FAULTS(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
        SIM_FAULT_KINDS,
};

/** How programs choose pages. */
#define SIM_PATTERNS(X)                                                                            \
    X(HOT, "hot")               /* one page, all programs */                                       \
    X(SEQUENTIAL, "sequential") /* on and on, so that it is read ahead */                          \
    X(UNIFORM, "uniform")                                                                          \
    X(SHARING, "false-sharing") /* three pages, written by all at once */                          \
    X(MIGRATORY, "migratory")   /* read, then write, one page after the other */                   \
    X(PRODUCER, "producer")     /* one writes, the others read */                                  \
    X(STREAM, "stream")         /* the same, on and on: node 0, which may keep everything, writes */

enum sim_pattern {
#define SIM_PATTERN_ENUM(name, text) SIM_##name,
    SIM_PATTERNS(SIM_PATTERN_ENUM)
#undef SIM_PATTERN_ENUM
        SIM_PATTERN_KINDS,
};

/** How long messages take. */
enum sim_delay {
    SIM_CONSTANT,
    SIM_SPREAD, /* uniformly between a half and three halves */
    SIM_TAIL,   /* heavy: twice as long half as often, up to 4096 times */
    SIM_DELAY_KINDS,
};

#define SIM_NODES_MIN 2u
#define SIM_NODES_MAX 64u
#define SIM_PROGRAMS_MAX 64u
#define SIM_PAGES_MIN 8u
/** Of a new region; it grows to twice as many at most. */
#define SIM_PAGES_MAX 500u
#define SIM_STEPS_MAX 1000000u

/** Regions that programs use at the same time, at most. */
#define SIM_NAMES_MAX 2u

/**
 * What programs say that a region's bytes are. Atomic operations are refused where they would not
 * be on a number of 64 bits.
 */
#define SIM_TYPES(X)                                                                               \
    X("")                                                                                          \
    X("u64 []")                                                                                    \
    X("struct { u64 a; u32 b; u16 c; u16 d; } []")                                                 \
    X("struct { i64 a; f64 b; u8[8] c; ref d; u32[2] e; } []")                                     \
    X("u64[4096] u16 []")                                                                          \
    X("u16 []")                                                                                    \
    X("u32 []")                                                                                    \
    X("f64 []")

struct sim_options {
    uint64_t seed;
    uint64_t salt; /* other rows of numbers for the same swarm */
    uint32_t nodes;
    uint32_t programs;
    uint64_t pages;        /* of a new region */
    uint64_t steps;        /* events until the faults stop */
    uint32_t names;        /* regions that programs use at the same time */
    uint64_t budget_pages; /* with EVICTION */
    bool is_tight_home;    /* only of node 1, which makes the region; else of all but node 0 */
    uint32_t read_ahead_pages;
    uint32_t resend_ms;
    bool striped;
    uint32_t delay; /* enum sim_delay */
    uint64_t delay_us;
    uint64_t think_us;                      /* of a program between two deeds, at most */
    uint32_t sync_share;                    /* of 100 deeds, so many synchronise */
    uint32_t reader_share;                  /* of 100 programs, so many come to read only */
    uint32_t patterns[SIM_PATTERN_KINDS];   /* weights */
    uint32_t weights[SIM_FAULT_KINDS];      /* 0: off */
    uint32_t page_bytes[SIM_NAMES_MAX];     /* of the regions of each name */
    const char *types[SIM_NAMES_MAX];       /* their types, "": none */
    uint32_t barrier_run; /* so many nodes in a row tell each other of a round's end, 0: 9 */
    uint32_t windows_ms[SIM_NAMES_MAX];     /* how long their pages stay, as dsm.h has it */
    uint32_t hardware_bytes[SIM_NODES_MAX]; /* of each node's pages */
    bool big_endian[SIM_NODES_MAX];
};

/** The options of a seed, without any override. */
void sim_options_draw(struct sim_options *options, uint64_t seed);
/** The name of a fault on the command line. */
const char *sim_fault_name(uint32_t fault);
/** What it does, in words. */
const char *sim_fault_text(uint32_t fault);
/** The fault of a name, SIM_FAULT_KINDS for none. */
uint32_t sim_fault_find(const char *name);
/** Tell the options in lines of text. */
void sim_options_print(const struct sim_options *options, char *text, size_t bytes);

/** A text that grows until its bytes are full. */
struct sim_text {
    char *text;
    size_t bytes, used;
};

void sim_text_add(struct sim_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
