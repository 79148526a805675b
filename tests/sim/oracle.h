/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What must be true of a simulated cluster, whatever happens to it. A violation is told as
 * "O1 ...", with the last events, and aborts: who runs many seeds runs each in a child process.
 *
 * "Live" nodes run and are members. One that has stopped is none of them, nor is one that was
 * declared dead while it ran: it has to be fenced before, nothing is promised to its programs.
 *
 * An outcast's writes are writes all the same: who hears of its death late may be given them, and
 * then nobody may see an older one again; else they are lost with it.
 *
 * O1  A page has a single writer or many readers: where a program may write to a frame, or the core
 *     holds a page for writing, no other live node has a frame of it.
 *     (cluster_frames.c, when a frame comes or becomes writable; oracle.c after each step)
 *
 * O2  A read returns the latest write, in the order in which the home granted them, or SIGBUS; a
 *     write or an atomic operation goes onto the latest bytes and no others. What is compared is
 *     not the value but the number of the write that left it. (oracle.c, at each access)
 *
 * O3  No write is lost: the bytes of the latest write are always in a frame of a live node, put
 *     aside by one, or on their way as a payload, unless a death may have cost them. It may have:
 *     - when the page's owner died, or who had its bytes put aside, and no live owner has them;
 *     - when who had asked to write or to leave died: the home may go on giving it the page, and
 *       the owner may go on obeying, until both have heard of the death; so when an outcast asks
 *       before the home has heard;
 *     - when its home died, or another incarnation of it runs: nobody knows where bytes are.
 *     A later write ends the excuse, once every live node has heard of the death.
 *     (oracle.c, for each page of a step, and for each payload that is lost)
 *
 * O4  Versions never go back: of a page at a node, of a page's transfers and of its last write
 *     grant at its home. (oracle.c, for each page of a step)
 *
 * O5  The readers in a home's record contain every live node that has a frame. Exceptions: the
 *     requester of the transfer that is open, for its bytes come before its CONFIRM; the home
 *     itself while it takes a page over from its owner that leaves.
 *     And when no transfer is open, the owner in the record is a reader and has the latest bytes,
 *     as owner. Exceptions: the home knows that it may not be so (orphan, lost); the owner died and
 *     the home has not heard of it.
 *     A home that died, or that is another incarnation, has no record to be right.
 *     (oracle.c, for each page of a step, of whichever node that stepped)
 *
 * O6  A mutex has one holder, and the next one is told of a dead one. (sim)
 *
 * O7  A barrier releases all of a round or none. (sim)
 *
 * O8  A semaphore never gives more than it has, and loses no post. (sim)
 *
 * O9  An addition at the home happens once: every old value is given once, none is lost. (sim)
 *
 * O10 Whole histories are sequentially consistent: reads, writes and atomic operations of all
 *     programs over all pages, each program's in its order. A mapping counts as a program, an
 *     atomic operation as one of its own. (cluster.c records them once oracle_record_history() was
 *     called, oracle_check_history() looks at the end)
 *
 * O11 Once faults stop, all that waits is answered within a stated time; while they last nobody
 *     that can be served starves beyond a stated time. (sim)
 *
 * O12 A page is poisoned only where a death may have taken its last copy; never an old copy, never
 *     zeros instead. (sim; oracle_may_be_lost() says where)
 *
 * O13 The driver's duties are possible: bytes leave only from a page that is present and protected;
 *     FILL only of an absent one; DROP only of a protected one; ALLOW only of a present one in a
 *     mapping that exists; FORGET only of what was put aside. And the core believes of a page what
 *     is so: a page held has a frame, a page held for reading is nowhere writable, a page that is
 *     neither held nor asked for has no frame.
 *     (cluster_frames.c, when the action is carried out; oracle.c after each step)
 *
 * O14 Nothing is kept for ever: once all is quiet no bytes are put aside, no request and no
 *     transfer is open, nobody waits, no message is on its way, and while time passes the memory
 *     that a node wants does not grow. (oracle_check_quiet(), which the sim calls at the end)
 *
 * O15 No call is decided on old news: that a name stands for this region, or for none, and that a
 *     region is so large, was true at the keeper at some time between the call and its reply.
 *     (oracle_names.c, at each reply to OPEN, UNLINK and STAT of a live node)
 *
 * O16 No program ever sees part of a group: on a node whose hardware page is larger than the
 *     region's, each hardware page is shown whole or lies aside, what is seen of it is all the
 *     latest, a mapping may write to all of it or to none, and where one may, every page of it is
 *     this node's alone.
 *     (oracle_groups.c, after each step and at each access; O13 holds GATHER to what lies aside and
 *     is whole, SCATTER to what was gathered, FILL and DROP to pages that lie aside, PROTECT,
 *     ALLOW, WAKE and POISON to whole groups; O11 covers who waits for a group, whatever is put off
 *     for him, as any other)
 *
 * O17 A value written on one node is read as that value on every other, whatever their byte orders:
 *     a few bytes of each page lie in the order of the node that has them, elements of the region's
 *     type, and are converted by the receiver where the orders differ, once. Bytes of a region
 *     without a type stay as they are; atomic operations there are on little-endian numbers, and
 *     elsewhere on elements that are such numbers.
 *     (oracle_death.c at each access, cluster_bytes.c)
 *
 * O18 What another node wants is put off for no longer than the window of its region, or HOLD_MS;
 *     for threads that wait for a group, for DEFER_MS; and once. Nothing is put off in a region
 *     without a window, but for a group, or for the home's own threads.
 *     (oracle_end.c, after each step)
 *
 * O19 What is sealed is never written again: no program writes to a region once the keeper's record
 *     is sealed, no home that knows it does an atomic operation there, and whoever sealed it is
 *     told only when every living home knows. Its pages are held by whom no home knows (so O5 is
 *     not asked of readers, nor O1 of a copy that its owner could write and nobody does), and O2
 *     holds all of them to the latest bytes.
 *     (oracle_sealed.c, at each write and when a CALL_SEAL is answered)
 */
#ifndef DSM_TESTS_SIM_ORACLE_H
#define DSM_TESTS_SIM_ORACLE_H

#include "tests/sim/cluster.h"

/** Tell that a property ("O6") does not hold and how, with the last events, and abort. */
_Noreturn void oracle_fail(const struct cluster *cluster, const char *property, const char *format,
                           ...) __attribute__((format(printf, 3, 4)));

/** Record the history from now on; without it there is none. */
void oracle_record_history(struct cluster *cluster);
/** O10, of what was recorded. */
void oracle_check_history(const struct cluster *cluster);
/** O14; a minute of virtual time passes. Everything has to be at rest before, and nothing held. */
void oracle_check_quiet(struct cluster *cluster);
/** May a death have taken the last copy of a page (of the region of that index)? */
bool oracle_may_be_lost(const struct cluster *cluster, uint32_t region, uint64_t page);
/**
 * Is the home of a page dead, or another incarnation than that which was its home first? Also when
 * its region is deleted or unknown.
 */
bool oracle_home_is_gone(const struct cluster *cluster, uint32_t region, uint64_t page);

/** A CALL_SEAL on this region was answered with 0 (O19). */
void oracle_on_sealed(const struct cluster *cluster, uint32_t region);

/*
 * For the cluster.
 */

/** O18, after a step of this node. */
void oracle_check_put_off(const struct cluster *cluster, uint32_t node);
/** These pages are to be looked at after this step. */
void oracle_touch(struct cluster *cluster, uint32_t region, uint64_t page, uint32_t count);
/** All pages are. */
void oracle_touch_all(struct cluster *cluster);
/** A node's actions have been carried out. */
void oracle_check(struct cluster *cluster, uint32_t node);
/** All that was touched is at rest. */
void oracle_rest(struct cluster *cluster);
/** A program, or an atomic operation, reads or writes what is in a frame. */
void oracle_on_read(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t page,
                    const struct sim_frame *frame, uint32_t thread);
/** `reads`: and the program saw what it overwrites. */
void oracle_on_write(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t page,
                     struct sim_frame *frame, uint64_t value, uint32_t thread, bool reads);
/** A program reaches a page on a node that has groups (O16). */
void oracle_on_sight(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t page);
/** Bytes are put aside or on their way (is_there), or are no more. */
void oracle_on_bytes(struct cluster *cluster, uint32_t region, uint64_t page, uint32_t count,
                     const struct sim_bytes *bytes, bool is_there);
/** A live node is about to stop. */
void oracle_on_death(struct cluster *cluster, uint32_t node);
/** It was declared dead, the cluster's epoch is new. */
void oracle_on_declared(struct cluster *cluster, uint32_t node);
/** A record of the keeper has changed; a program calls, and is answered (O15). */
void oracle_on_published(struct cluster *cluster, const struct record *record);
void oracle_on_call(struct cluster *cluster, uint64_t number, const struct call *call);
void oracle_on_reply(struct cluster *cluster, uint32_t node, const struct action *action);
void oracle_free(struct cluster *cluster);
void oracle_free_names(struct cluster *cluster);

#endif
