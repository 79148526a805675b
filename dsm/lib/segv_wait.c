/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a thread that faulted tells the agent and waits. All of it may run in a signal handler.
 */
#include "dsm/lib/segv.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dsm.h"
#include "net/fault_channel.h"

/* How long a thread waits at once until the agent reads its reports. */
#define FULL_WAIT_MS 10

static _Atomic uint32_t *word_of(struct segv *segv, uintptr_t address)
{
    return &segv->words[address / segv->page_bytes % SEGV_WORDS];
}

void segv_wake(struct segv *segv, uintptr_t address, size_t len_bytes)
{
    size_t count = len_bytes / segv->page_bytes;

    for (size_t i = 0; i < count && i < SEGV_WORDS; i++) {
        _Atomic uint32_t *word = word_of(segv, address + i * segv->page_bytes);

        (void)atomic_fetch_add(word, 1);
        (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
}

/* Whoever bumps the word, or a signal, ends the wait; the thread looks again in any case. */
static void word_wait(_Atomic uint32_t *word, uint32_t value, const sigset_t *mask)
{
    sigset_t blocked;

    (void)pthread_sigmask(SIG_SETMASK, mask, &blocked);
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
    (void)pthread_sigmask(SIG_SETMASK, &blocked, NULL);
}

/*
 * A channel whose other end is gone is no error here: the fence comes, and wakes everybody. Returns
 * false when the agent is behind with its reading: there is nothing to wait for yet.
 */
static bool report_send(int channel, uint32_t word, uint64_t offset)
{
    struct fault_report report = {.word = word, .offset = offset};

    return send(channel, &report, sizeof report, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
           (errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM);
}

/*
 * The page has all the access that the thread seems to want. It may have got that between the fault
 * and now; so the thread tries again. When it comes back although nothing was changed meanwhile, it
 * is not the page's access that stops it: it stores into a read-only mapping, or the program
 * changed the protection itself.
 *
 * @before the word, read before the access was: whoever takes the access away after that changes
 *         the word before he gives it again
 */
static bool is_tried_in_vain(struct segv *segv, uintptr_t address, uint32_t before)
{
    uint64_t thread = (uint64_t)syscall(SYS_gettid);
    _Atomic uint64_t *retry = &segv->retries[thread % SEGV_RETRIES];
    uint64_t who = (thread * UINT64_C(0x9e3779b97f4a7c15)) ^
                   ((uint64_t)address * UINT64_C(0xc2b2ae3d27d4eb4f));
    uint64_t mark = (who >> 32 | 1) << 32;
    uint32_t now = atomic_load(word_of(segv, address));

    if (atomic_load(retry) == (mark | now)) {
        return true;
    }
    atomic_store(retry, mark | before);
    return false;
}

/* What to report for a page with this access; 0: nothing, the access is there. */
static uint32_t report_of(const struct segv_watch *watch, uint8_t access, enum access_hint hint)
{
    switch (access) {
    case FAULT_ACCESS_NONE:
        return hint == ACCESS_HINT_WRITE ? FAULT_WORD_WRITE : FAULT_WORD_READ;
    case FAULT_ACCESS_READ:
        return hint != ACCESS_HINT_READ && watch->writable ? FAULT_WORD_WRITE : 0;
    default:
        return 0;
    }
}

enum segv_verdict segv_fault(struct segv *segv, uintptr_t address, enum access_hint hint,
                             const sigset_t *mask)
{
    _Atomic uint32_t *word = word_of(segv, address);
    uint32_t value = atomic_load(word), report;
    struct segv_place *place = segv_use(segv, address);
    size_t page;
    bool sent;

    if (place == NULL) {
        return SEGV_FOREIGN;
    }
    if (place->watch.channel < 0 || (hint == ACCESS_HINT_WRITE && !place->watch.writable)) {
        segv_unuse(place);
        return SEGV_FOREIGN;
    }
    page = (address - (uintptr_t)place->watch.start) / segv->page_bytes;
    report = report_of(&place->watch, atomic_load(&place->watch.access[page]), hint);
    if (report == 0) {
        segv_unuse(place);
        return is_tried_in_vain(segv, address, value) ? SEGV_FOREIGN : SEGV_AGAIN;
    }
    sent = report_send(place->watch.channel, report, (uint64_t)page * segv->page_bytes);
    if (!sent) {
        struct pollfd out = {.fd = place->watch.channel, .events = POLLOUT};

        (void)poll(&out, 1, FULL_WAIT_MS);
    }
    segv_unuse(place);
    if (sent) {
        word_wait(word, value, mask);
    }
    return SEGV_AGAIN;
}

/* The kernel serves the place: the touch itself waits, and changes nothing. */
static void touch(uintptr_t address, bool write)
{
    uint8_t *byte = (uint8_t *)address;

    if (write) {
        (void)__atomic_fetch_or(byte, 0, __ATOMIC_RELAXED);
    } else {
        (void)__atomic_load_n(byte, __ATOMIC_RELAXED);
    }
}

/* @access written when the place has a channel */
static int place_look(struct segv *segv, uintptr_t address, bool write, bool *served,
                      uint8_t *access)
{
    struct segv_place *place = segv_use(segv, address);
    int error = 0;

    if (place == NULL) {
        return DSM_EINVAL;
    }
    *served = place->watch.channel < 0;
    if (write && !place->watch.writable) {
        error = DSM_EACCES;
    } else if (!*served) {
        size_t page = (address - (uintptr_t)place->watch.start) / segv->page_bytes;

        *access = atomic_load(&place->watch.access[page]);
        error = *access == FAULT_ACCESS_LOST ? DSM_EDOWN : 0;
    }
    segv_unuse(place);
    return error;
}

/* Signals are kept off for as long as a place is used: V2 must not wait for their handlers. */
int segv_await(struct segv *segv, uintptr_t address, bool write)
{
    enum access_hint hint = write ? ACCESS_HINT_WRITE : ACCESS_HINT_READ;
    uint8_t access = FAULT_ACCESS_NONE;
    bool served = false;
    sigset_t all, before;
    int error;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    for (;;) {
        error = place_look(segv, address, write, &served, &access);
        if (error != 0 || served || access == FAULT_ACCESS_WRITE ||
            (access == FAULT_ACCESS_READ && !write)) {
            break;
        }
        (void)segv_fault(segv, address, hint, &before);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0 && served) {
        touch(address, write);
    }
    return error;
}
