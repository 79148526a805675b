/* SPDX-License-Identifier: Apache-2.0 */
#include "channel_child.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/fault_channel.h"

struct channel_child {
    uint8_t *base;
    size_t len_bytes, page_bytes;
    int fd;
    atomic_uint generation, count;
    atomic_int fault;
    atomic_uchar access[]; /* of each page, enum fault_access */
};

static void report(const struct channel_child *child, uint32_t word, uint32_t number,
                   uint64_t offset)
{
    struct fault_report report = {.word = word, .number = number, .offset = offset};

    (void)!send(child->fd, &report, sizeof(report), MSG_NOSIGNAL);
}

static void obey(struct channel_child *child, const struct fault_order *order)
{
    static const int protections[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_NONE};

    if (order->access != FAULT_ACCESS_SAME) {
        if (mprotect(child->base + order->offset, order->len_bytes, protections[order->access]) !=
            0) {
            _exit(5);
        }
        for (uint64_t at = 0; at < order->len_bytes; at += child->page_bytes) {
            child->access[(order->offset + at) / child->page_bytes] = (uint8_t)order->access;
        }
    }
    atomic_fetch_add(&child->count, 1);
    atomic_fetch_add(&child->generation, 1);
    syscall(SYS_futex, &child->generation, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* Answer an order as the fault wants it. */
static void answer(struct channel_child *child, uint32_t number)
{
    switch ((enum channel_fault)child->fault) {
    case CHANNEL_MUTE:
        break;
    case CHANNEL_EARLY:
        report(child, FAULT_WORD_DONE, number + 1000, 0);
        break;
    case CHANNEL_BABBLES:
        (void)!send(child->fd, "nonsense", 8, MSG_NOSIGNAL);
        break;
    case CHANNEL_STRAYS:
        report(child, FAULT_WORD_READ, 0, child->len_bytes);
        break;
    case CHANNEL_HANGS_UP:
        shutdown(child->fd, SHUT_RDWR);
        break;
    case CHANNEL_UNMAPS:
        munmap(child->base, child->len_bytes);
        shutdown(child->fd, SHUT_RDWR);
        break;
    case CHANNEL_TALKS:
        for (;;) {
            report(child, FAULT_WORD_READ, 0, 0);
        }
    default:
        report(child, FAULT_WORD_DONE, number, 0);
        break;
    }
}

static void *serve(void *context)
{
    struct channel_child *child = context;
    struct fault_order order;

    while (recv(child->fd, &order, sizeof(order), 0) == (ssize_t)sizeof(order)) {
        obey(child, &order);
        answer(child, order.number);
        while (child->fault == CHANNEL_DEAF) {
            pause();
        }
    }
    return NULL;
}

struct channel_child *channel_child_new(uint8_t *base, size_t len_bytes, size_t page_bytes,
                                        int *given)
{
    struct channel_child *child = calloc(1, sizeof(*child) + len_bytes / page_bytes);
    pthread_t thread;
    sigset_t all, before;
    int ends[2];

    if (child == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        _exit(6);
    }
    child->base = base;
    child->len_bytes = len_bytes;
    child->page_bytes = page_bytes;
    child->fd = ends[0];
    *given = ends[1];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, serve, child) != 0) {
        _exit(7);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return child;
}

/* A page that has no access is asked for to read, and a write faults again. */
bool channel_child_touch(struct channel_child *child, const siginfo_t *info, int *number)
{
    uint64_t offset = (uintptr_t)info->si_addr - (uintptr_t)child->base;
    uint32_t generation, access;
    bool write;

    if (offset >= child->len_bytes) {
        *number = SIGSEGV;
        return false;
    }
    offset -= offset % child->page_bytes;
    generation = child->generation;
    access = child->access[offset / child->page_bytes];
    write = access == FAULT_ACCESS_READ;
    if (access == FAULT_ACCESS_LOST) {
        *number = SIGBUS;
        return false;
    }
    if (access != FAULT_ACCESS_WRITE) {
        report(child, write ? FAULT_WORD_WRITE : FAULT_WORD_READ, 0, offset);
        syscall(SYS_futex, &child->generation, FUTEX_WAIT, generation, NULL, NULL, 0);
    }
    return true;
}

void channel_child_misbehave(struct channel_child *child, enum channel_fault fault)
{
    child->fault = (int)fault;
}

uint32_t channel_child_count(const struct channel_child *child)
{
    return child->count;
}
