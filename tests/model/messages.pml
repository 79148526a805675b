/* SPDX-License-Identifier: Apache-2.0 */
/* The vocabulary: the kinds of MESSAGES in dsm/core/message.h, by the same names; run.py compares. */
mtype = {
    READ, WRITE, FORWARD, DATA, GRANT, INVALIDATE, INVALIDATED, NOT_HERE, CONFIRM, RELEASE, LEAVE,
    TAKE, LOST, SYNC, SYNC_REPLY, SYNC_ACK, ATOMIC, ATOMIC_DONE, ADOPT, ASK,
    RECALL, HELD
}

#define FLAG_WRITE 1
#define FLAG_GRANT 2
#define FLAG_ZERO 4
#define FLAG_COPY 8
#define FLAG_LEAVE 16
#define FLAG_QUEUED 32
#define FLAG_ADOPT 64
#define FLAG_WANTED 128 /* 512 in message.h: these are bytes */

/* Errors. */
#define EDOWN 1
#define EACCES 2
#define ECANCELED 3
#define EOWNERDEAD 4
#define EAGAIN 5
#define EPERM 6

#define HOME 0
#define NODES 3
#define NONE 255
#define NODE_BIT(n) (1 << (n))
/* The link of a pair of nodes: FIFO. Link 0 is the home's own loop, which loses nothing. */
#define LINK(from, to) ((from) == 0 -> (to) : ((to) == 0 -> 2 + (from) : 4 + (from)))
#define LINKS 7
