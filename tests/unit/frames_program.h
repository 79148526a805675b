/* SPDX-License-Identifier: Apache-2.0 */
/**
 * For the tests of agent/frames: local programs as forked children, each with a mapping, a
 * userfaultfd and a socket over which it is told what to touch; and the agent's side, a loop with
 * its frames.
 */
#ifndef DSM_TESTS_FRAMES_PROGRAM_H
#define DSM_TESTS_FRAMES_PROGRAM_H

#include <sys/types.h>

#include "agent/frames.h"
#include "channel_child.h"
#include "net/codec.h"
#include "probe.h"

#define HARDWARE_PAGE 4096u
#define PROGRAM_PAGES_MAX 4096u
#define SIDE_PENDING_MAX 256u

/** What a program can be told to do. */
enum program_op {
    PROGRAM_READ = 1, /* load 8 bytes */
    PROGRAM_WRITE,    /* store 8 bytes */
    PROGRAM_SYSCALL, /* write(2) 8 bytes from the region into a pipe, and give back what came out */
    PROGRAM_COUNT,   /* add 1 until told to stop by the shared word; gives back how often */
    PROGRAM_MAPPED,  /* how many of the first `value` pages are mapped */
    PROGRAM_SPLIT,   /* mprotect(PROT_READ) the hardware page */
    PROGRAM_UNMAP,   /* munmap the hardware page */
    PROGRAM_BLOCKING,  /* make the userfaultfd blocking */
    PROGRAM_MISBEHAVE, /* as enum channel_fault says; gives back the orders carried out so far */
};

struct program_order {
    uint32_t op;
    uint64_t offset; /* bytes, of the mapping */
    uint64_t value;
};

struct program_result {
    int32_t signal; /* SIGBUS or SIGSEGV when the touch raised it, else 0 */
    uint64_t value;
};

struct program {
    pid_t pid;
    int socket;
    int process; /* pidfd */
    uint32_t backend;
    int descriptor; /* to be attached; -1 afterwards */
    uint64_t address, len_bytes;
    uint64_t *stop; /* shared with the child */
};

/** The agent's side. Without `answer` faults are only noted. */
struct agent_side {
    uv_loop_t loop;
    struct frames *frames;
    region_id region;
    uint32_t page_size;
    uint32_t hardware_page; /* HARDWARE_PAGE, or what is taken for it */
    uint32_t backend;       /* of programs that are started; SESSION_USERFAULTFD at first */
    bool has_readers;       /* they map it to read only */
    uint32_t count_faults;
    map_id map; /* of the last fault */
    uint64_t page;
    bool write;
    /* Told of each fault when set. */
    void (*answer)(struct agent_side *side);
    /* Faults told while side_take() waits: they are answered after it. */
    bool is_taking;
    uint32_t count_pending;
    struct {
        map_id map;
        uint64_t page;
        bool write;
    } pending[SIDE_PENDING_MAX];
    /* A stand-in for the core, for program_answer(): what is here, and the bytes of what is not. */
    uint8_t state[PROGRAM_PAGES_MAX]; /* 0 absent, 1 read, 2 write */
    uint8_t *store;
};

/** Make the loop, the frames and one region. */
void side_open(struct agent_side *side, uint64_t count_pages, uint32_t page_size);
/** The same where the hardware page is `hardware_page` bytes. */
void side_open_on(struct agent_side *side, uint64_t count_pages, uint32_t page_size,
                  uint32_t hardware_page);
/** Free it all and run the loop to its end; fails when a handle is left. */
void side_close(struct agent_side *side);
/** Wait a little for something on the loop or on fd (-1: none). */
void side_turn(struct agent_side *side, int fd);
/** Turn until so many faults have been noted. */
void side_wait_faults(struct agent_side *side, uint32_t count);
/** Turn the loop without waiting, a few times. */
void side_settle(struct agent_side *side);
/** frames_protect(), then frames_drop() if `drops`; faults told meanwhile are answered after it. */
void side_take(struct agent_side *side, uint64_t page, uint32_t count, bool drops);
/** From here to side_end_taking() faults are kept, as the driver does in a step. */
void side_begin_taking(struct agent_side *side);
void side_end_taking(struct agent_side *side);
/** An `answer` that fills absent pages from the store and grants what is asked for. */
void side_serve(struct agent_side *side);

/** Fork a program that maps [page, page + count) of the region. */
void program_start(struct program *program, struct agent_side *side, uint64_t page, uint64_t count);
/** The same, announced and attached as this map; the client's number is the map's. */
void program_start_attached(struct program *program, struct agent_side *side, map_id map,
                            uint64_t page, uint64_t count);
/** Announce and attach a program that was started. */
int program_attach(struct program *program, struct agent_side *side, map_id map);
/** Give an order; the result comes later. */
void program_order(struct program *program, uint32_t op, uint64_t offset, uint64_t value);
/** Wait for the result of the order, turning the loop. */
struct program_result program_result(struct program *program, struct agent_side *side);
/** Order and result; the touch must raise no signal. */
uint64_t program_do(struct program *program, struct agent_side *side, uint32_t op, uint64_t offset,
                    uint64_t value);
/** Stop it, each thread of it. */
void program_stop(const struct program *program);
/** Kill it, unless it has ended, and wait for its end. */
void program_kill(struct program *program);
/** Has it been killed? Does not wait. */
bool program_was_killed(const struct program *program);

#endif
