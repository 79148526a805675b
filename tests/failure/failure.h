/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Failure loops: let the first, the second, the third ... call of an operation fail until it ran
 * with none failing, and see after each try that nothing leaked.
 *
 * A program that is linked with failure_dep has its own malloc(), read(), mmap() and so on, which
 * come before those of the C library, and of a sanitizer, for every shared library too: what
 * OpenSSL, libuv and SQLite ask for is counted and refused like what we ask for. Only what the C
 * library does inside, such as the read(2) of its FILEs, goes by.
 *
 *     FAILURE_LOOP(loop, FAILURE_MEMORY | FAILURE_DESCRIPTOR) {
 *         struct thing *thing = NULL;
 *         int error;
 *
 *         failure_loop_arm(&loop);
 *         error = thing_new(&thing);
 *         failure_disarm();
 *         if (failure_was_injected()) {
 *             assert_int_equal(error, DSM_ENOMEM);
 *             error = thing_new(&thing);
 *         }
 *         assert_int_equal(error, 0);
 *         thing_free(thing);
 *     }
 *
 * No assertion may be made while a failure is armed: its own calls would fail.
 */
#ifndef DSM_TESTS_FAILURE_H
#define DSM_TESTS_FAILURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What may fail, and with which errno unless failure_errno() chooses another. */
enum failure_kind {
    FAILURE_MEMORY = 1 << 0,     /* malloc, calloc, realloc ...: ENOMEM */
    FAILURE_DESCRIPTOR = 1 << 1, /* what makes one, fopen and pipe2 too: EMFILE */
    FAILURE_MAPPING = 1 << 2,    /* mmap, mprotect, madvise: ENOMEM */
    FAILURE_THREAD = 1 << 3,     /* threads and their locks: EAGAIN */
    FAILURE_TRANSFER = 1 << 4,   /* read, write, send, receive, connect, poll: as if it broke */
    FAILURE_INTERRUPT = 1 << 5,  /* the same: EINTR */
    FAILURE_AGAIN = 1 << 6,      /* send, receive, read and write: EAGAIN */
    FAILURE_SHORT = 1 << 7,      /* read, write and the like of streams: half of the bytes */
    FAILURE_CONTROL = 1 << 8,    /* ioctl, fcntl, setsockopt, bind, listen, epoll_ctl: EINVAL */
    FAILURE_SPACE = 1 << 9,      /* what takes room on a disk: ENOSPC */
    FAILURE_SYNC = 1 << 10,      /* fsync, fdatasync: EIO */
    FAILURE_FILE = 1 << 11,      /* stat, rename, unlink, mkdir ...: EIO */
    FAILURE_COPY = 1 << 12,      /* process_vm_readv: ENOMEM */
};

/** Let the call after n others (0: the first) of these kinds fail, once. Counts from now. */
void failure_arm(uint32_t kinds, uint32_t n);
/** As failure_arm(); the calls after it fail as well, until failure_disarm(). */
void failure_arm_lasting(uint32_t kinds, uint32_t n);
/** Let no call fail any more. What was_injected() and the like tell stays until the next arm(). */
void failure_disarm(void);
/** The errno of failures from now on; 0: that of their kind. */
void failure_errno(int number);

/** Let process_vm_readv() fail with EPERM each time, as where a sandbox forbids it. */
void failure_forbid_copies(bool is_forbidden);

/** Has a call failed since the last arm()? */
bool failure_was_injected(void);
/** The name of the first call that did, such as "mmap"; "" when none has. */
const char *failure_call(void);
/** Calls of the armed kinds since the last arm(). */
uint32_t failure_calls(void);

/**
 * Do calls of this thread, and of threads that it starts from now on, neither fail nor count? Their
 * blocks and mappings are not counted either. For the other side of a test that is played in the
 * same process.
 */
void failure_exempt(bool is_exempt);

/** Blocks of memory that threads which are not exempt took and that are not freed. */
uint64_t failure_live_blocks(void);
/** The bytes of those. */
uint64_t failure_live_bytes(void);
/** Descriptors that are open in this process. */
uint32_t failure_open_descriptors(void);
/** Bytes that mmap() gave to threads which are not exempt and munmap() did not take back. */
int64_t failure_mapped_bytes(void);

/** What there is at one time. */
struct failure_mark {
    uint64_t serial; /* of the last block taken */
    uint64_t blocks;
    int64_t mapped_bytes;
    uint32_t descriptors;
};

/** Note what there is now. */
void failure_mark(struct failure_mark *mark);
/** Is there more now than at the mark? */
bool failure_has_grown(const struct failure_mark *mark);
/** Tell on standard error what there is more, with the code that took each block. */
void failure_print_growth(const struct failure_mark *mark);

/** A loop over the calls of an operation. */
struct failure_loop {
    const char *name; /* of the test */
    uint32_t kinds;
    uint32_t n;      /* calls that go well before the one that fails */
    uint32_t points; /* tries so far in which a call failed */
    uint32_t stride; /* set it in the body, to leave some out where each would take too long */
    bool is_lasting; /* set it in the body before failure_loop_arm(), if all after it are to fail */
    bool is_quiet;   /* set it in the body, if the test tells the number of points itself */
    bool has_begun, is_repeated;
    struct failure_mark mark;
};

/**
 * Run the statement after it with no call failing, then with each, until none was left to fail. The
 * statement makes all that it needs, arms with failure_loop_arm() before the operation, disarms
 * after it, and releases all: what remains is a leak and fails the test. A try that leaves
 * something behind is repeated once, for what a library makes once and keeps. With
 * FAILURE_EXHAUSTIVE in the environment a stride counts as 1.
 */
#define FAILURE_LOOP(loop, what)                                                                   \
    for (struct failure_loop loop = {.name = __func__, .kinds = (what)};                           \
         failure_loop_next(&(loop));)

/** Arm for this try of the loop. */
void failure_loop_arm(const struct failure_loop *loop);
/** FAILURE_LOOP()'s: judge the try before, and begin another one. */
bool failure_loop_next(struct failure_loop *loop);

#endif
