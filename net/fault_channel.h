/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What libdsm and the agent tell each other about one mapping that no userfaultfd watches (the
 * SIGSEGV back end). The channel is a pair of Unix sockets, SOCK_SEQPACKET, one struct a packet, in
 * this machine's own layout: both ends run on it. The program makes the pair and gives one end away
 * with ATTACH; the mapping has no access anywhere by then.
 *
 * Rules
 *   1 The program's service thread carries out orders in the order in which they come, then answers
 *     each with DONE and its number: an answer stands for all orders before it.
 *   2 An order that takes access away (lower access than before) holds when its DONE is here, not
 *     before. The agent waits for that, FAULT_DEADLINE_MS at most; a program that has not answered
 *     by then is ended (SIGKILL): it could write to pages that are somebody else's.
 *   3 Access is never more than the last order said. It may be less, when the program had no room
 *     for so many different ranges (vm.max_map_count): the next touch reports again.
 *   4 Reports are hints, like a userfaultfd's events: stale and doubled ones are normal.
 *   5 The program closes its end only when it maps the range no more, and answers until then: as a
 *     rule after the agent has closed its own, which follows UNMAP and the end of a session. A
 *     channel that is closed while its process still maps the region is as bad as no answer.
 */
#ifndef DSM_NET_FAULT_CHANNEL_H
#define DSM_NET_FAULT_CHANNEL_H

#include <stdint.h>

/** How long a program may take to carry out an order. */
#define FAULT_DEADLINE_MS 2000

/** What a program may do with a range. Each word also wakes who waits there. */
enum fault_access {
    FAULT_ACCESS_NONE = 0,
    FAULT_ACCESS_READ = 1,
    FAULT_ACCESS_WRITE = 2, /* and read; in a read-only mapping the same as READ */
    FAULT_ACCESS_LOST = 3,  /* touching it is SIGBUS from now on */
    FAULT_ACCESS_SAME = 4,  /* as before: only wake, let the threads look again */
};

/** Agent -> program. */
struct fault_order {
    uint32_t access; /* enum fault_access */
    uint32_t number; /* of the order, counted up; DONE repeats it */
    uint64_t offset, len_bytes; /* of the mapping; multiples of the hardware page */
};

enum fault_word {
    FAULT_WORD_READ = 1,  /* a thread is blocked that wants to read at `offset` */
    FAULT_WORD_WRITE = 2, /* the same, to write */
    FAULT_WORD_DONE = 3,  /* the order `number` and all before it are carried out */
};

/** Program -> agent. */
struct fault_report {
    uint32_t word; /* enum fault_word */
    uint32_t number;
    uint64_t offset; /* of the mapping, a multiple of the hardware page */
};

#endif
