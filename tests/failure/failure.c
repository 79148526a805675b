/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/failure/failure.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/failure/failure_state.h"

/** A loop that goes on for longer than this does not come to an end. */
#define POINTS_MAX 20000u
/** The n of a try in which nothing fails: the first, which also makes what is made once. */
#define N_NEVER UINT32_MAX

/** Interposed functions have nobody to hand them a state. */
static struct {
    _Atomic uint32_t kinds; /* 0: disarmed */
    _Atomic uint32_t n;
    atomic_bool is_lasting;
    _Atomic uint32_t calls;
    _Atomic(const char *) failed; /* the first call that failed */
    atomic_int number;
    atomic_bool forbids_copies;
    _Atomic int64_t mapped_bytes;
} state;

/** False until a thread runs what it was started for: a sanitizer's preparations are nobody's. */
static _Thread_local bool is_counted;

__attribute__((constructor)) static void count_first_thread(void)
{
    is_counted = true;
}

static void arm(uint32_t kinds, uint32_t n, bool is_lasting)
{
    state.kinds = 0;
    state.n = n;
    state.is_lasting = is_lasting;
    state.calls = 0;
    state.failed = NULL;
    state.kinds = kinds;
}

void failure_arm(uint32_t kinds, uint32_t n)
{
    arm(kinds, n, false);
}

void failure_arm_lasting(uint32_t kinds, uint32_t n)
{
    arm(kinds, n, true);
}

void failure_disarm(void)
{
    state.kinds = 0;
}

void failure_errno(int number)
{
    state.number = number;
}

bool failure_was_injected(void)
{
    return state.failed != NULL;
}

const char *failure_call(void)
{
    const char *failed = state.failed;

    return failed != NULL ? failed : "";
}

uint32_t failure_calls(void)
{
    return state.calls;
}

void failure_exempt(bool is_exempt)
{
    is_counted = !is_exempt;
}

bool failure_is_exempt(void)
{
    return !is_counted;
}

static int errno_of(uint32_t kind, int own)
{
    if (kind == FAILURE_SHORT) {
        return FAILURE_TAKE_SHORT;
    }
    if (state.number != 0) {
        return state.number;
    }
    switch (kind) {
    case FAILURE_MEMORY:
    case FAILURE_MAPPING:
    case FAILURE_COPY:
        return ENOMEM;
    case FAILURE_DESCRIPTOR:
        return EMFILE;
    case FAILURE_THREAD:
    case FAILURE_AGAIN:
        return EAGAIN;
    case FAILURE_INTERRUPT:
        return EINTR;
    case FAILURE_SPACE:
        return ENOSPC;
    case FAILURE_SYNC:
        return EIO;
    default:
        return own;
    }
}

int failure_take(const char *call, uint32_t kinds, int own)
{
    uint32_t wanted = state.kinds & kinds;
    const char *none = NULL;
    uint32_t at;

    if (wanted == 0 || !is_counted) {
        return 0;
    }
    at = state.calls++;
    if (at < state.n || (at > state.n && !state.is_lasting)) {
        return 0;
    }
    (void)atomic_compare_exchange_strong(&state.failed, &none, call);
    return errno_of(wanted & -wanted, own);
}

void failure_forbid_copies(bool is_forbidden)
{
    state.forbids_copies = is_forbidden;
}

bool failure_forbids_copies(void)
{
    return state.forbids_copies;
}

void failure_map_note(int64_t len_bytes)
{
    state.mapped_bytes += len_bytes;
}

int64_t failure_mapped_bytes(void)
{
    return state.mapped_bytes;
}

/* Past our own functions, which would count. */
uint32_t failure_open_descriptors(void)
{
    struct entry {
        uint64_t inode;
        int64_t offset;
        uint16_t len_bytes;
        uint8_t type;
        char name[];
    };
    _Alignas(struct entry) char bytes[4096];
    uint32_t count = 0;
    long len, folder = REAL(syscall)(SYS_openat, AT_FDCWD, "/proc/self/fd",
                                     O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    while ((len = REAL(syscall)(SYS_getdents64, folder, bytes, sizeof bytes)) > 0) {
        for (long at = 0; at < len; at += ((const struct entry *)(void *)(bytes + at))->len_bytes) {
            count += ((const struct entry *)(void *)(bytes + at))->name[0] != '.';
        }
    }
    (void)REAL(syscall)(SYS_close, folder);
    return count - 1; /* the folder itself was one of them */
}

void failure_mark(struct failure_mark *mark)
{
    mark->serial = failure_serial();
    mark->blocks = failure_live_blocks();
    mark->mapped_bytes = failure_mapped_bytes();
    mark->descriptors = failure_open_descriptors();
}

bool failure_has_grown(const struct failure_mark *mark)
{
    return failure_live_blocks() > mark->blocks || failure_mapped_bytes() > mark->mapped_bytes ||
           failure_open_descriptors() > mark->descriptors;
}

void failure_print_growth(const struct failure_mark *mark)
{
    (void)fprintf(stderr,
                  "blocks %lu, then %lu; mapped bytes %ld, then %ld; descriptors %u, then %u\n",
                  mark->blocks, failure_live_blocks(), mark->mapped_bytes, failure_mapped_bytes(),
                  mark->descriptors, failure_open_descriptors());
    failure_print_blocks(mark->serial);
}

void failure_loop_arm(const struct failure_loop *loop)
{
    arm(loop->kinds, loop->n, loop->is_lasting);
}

/* What grew twice in a row grows each time. */
static bool judge_growth(struct failure_loop *loop)
{
    if (!failure_has_grown(&loop->mark)) {
        return false;
    }
    if (loop->is_repeated) {
        failure_print_growth(&loop->mark);
        fail_msg("%s: something is left when call %u fails (%s)", loop->name, loop->n,
                 failure_call());
    }
    return true;
}

bool failure_loop_next(struct failure_loop *loop)
{
    failure_disarm();
    if (!loop->has_begun) {
        loop->has_begun = true;
        loop->n = N_NEVER;
    } else if (judge_growth(loop)) {
        loop->is_repeated = true;
        failure_mark(&loop->mark);
        return true;
    } else {
        loop->is_repeated = false;
        if (loop->n == N_NEVER) {
            loop->n = 0;
        } else if (failure_was_injected()) {
            loop->points++;
            loop->n += loop->stride > 0 && getenv("FAILURE_EXHAUSTIVE") == NULL ? loop->stride : 1;
        } else {
            if (!loop->is_quiet) {
                print_message("%s: %u points of failure\n", loop->name, loop->points);
            }
            return false;
        }
        if (loop->n > POINTS_MAX) {
            fail_msg("%s: no end after %u points of failure", loop->name, loop->points);
        }
    }
    failure_mark(&loop->mark);
    return true;
}
