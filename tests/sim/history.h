/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Is a recorded history of reads and writes sequentially consistent?
 *
 * To find an interleaving for reads and writes alone is NP-complete. It takes linear time here,
 * because the history also says which write each read saw (values are unique) and which value each
 * write overwrote: then there is an interleaving if and only if the union of program order,
 * reads-from (a write before its readers), coherence (a write before the one that overwrote it) and
 * from-reads (a reader before the write that overwrote what it read) has no cycle.
 *
 * Sources: Gibbons & Korach 1997, Testing Shared Memories, SIAM J. Comput. 26(4): sequential
 * consistency with the read mapping and the order of writes given (VSC-conflict). Shasha & Snir
 * 1988, Efficient and correct execution of parallel programs that share memory, ACM TOPLAS 10(2):
 * an execution is sequentially consistent if program order and conflict order have no cycle.
 */
#ifndef DSM_TESTS_SIM_HISTORY_H
#define DSM_TESTS_SIM_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** One operation that took effect at one instant: a read, a write, or a read-modify-write. */
struct history_op {
    uint32_t thread;   /* which program did it; its ops stand in the array in program order */
    uint32_t location; /* any number that names a word */
    bool reads;        /* the program saw `read` */
    bool writes;
    uint64_t read; /* of a read what it saw, of a write what it overwrote; 0: the initial value */
    uint64_t written; /* never 0, and no other write to this location wrote it */
};

/**
 * True if the history is sequentially consistent.
 *
 * @ops       borrowed until return; the threads' ops may be mixed
 * @why       gets an explanation if it is not, of thread, op (its number within the thread, from
 *            0), location and values: the shortest cycle that was found, or what is impossible in
 *            itself: a value that nobody wrote, a value that two wrote, two that overwrote one
 *            value, an op that neither reads nor writes
 * @why_bytes room there; a longer explanation is cut
 *
 * Time and memory are linear in count. Without memory for it the process is aborted.
 */
bool history_is_sequential(const struct history_op *ops, size_t count, char *why, size_t why_bytes);

#endif
