/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.6; headers may be older than the kernel. */
#ifndef _UFFDIO_POISON
#define _UFFDIO_POISON (0x08)
struct uffdio_poison {
    struct uffdio_range range;
    __u64 mode;
    __s64 updated;
};
#define UFFDIO_POISON _IOWR(UFFDIO, _UFFDIO_POISON, struct uffdio_poison)
#endif

#define ZERO_BYTES 65536u
/* EAGAIN without progress needs an event of the program to be read; a sane one has none (KERNEL.md
 * 7). */
#define AGAIN_MAX 16u
#define DRAIN_MESSAGES 16u

/* Read-only: the source of zero fills, which must be copies since ZEROPAGE cannot protect. */
static const uint8_t zeros[ZERO_BYTES];

uint64_t uffd_page_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

bool uffd_is_one(int fd)
{
    static const char expected[] = "anon_inode:[userfaultfd]";
    char path[64], target[64];
    ssize_t len;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    len = readlink(path, target, sizeof(target));
    return len == (ssize_t)strlen(expected) && memcmp(target, expected, (size_t)len) == 0;
}

int uffd_make(uint64_t address, uint64_t len_bytes)
{
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_MISSING_SHMEM};
    struct uffdio_register registration = {.range = {.start = address, .len = len_bytes},
                                           .mode = UFFDIO_REGISTER_MODE_MISSING};
    int error;
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

    if (fd < 0) {
        return -errno;
    }
    if (ioctl(fd, UFFDIO_API, &api) != 0 || ioctl(fd, UFFDIO_REGISTER, &registration) != 0) {
        error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

/*
 * A program that asked for EVENT_REMOVE and the like makes every ioctl fail with EAGAIN until its
 * event is read. Faults that are read here are lost, so their threads are woken: they fault again.
 */
static void drain(int uffd)
{
    struct uffd_msg messages[DRAIN_MESSAGES];
    ssize_t len = read(uffd, messages, sizeof(messages));
    uint64_t page_bytes = uffd_page_bytes();

    for (ssize_t at = 0; at < len / (ssize_t)sizeof(messages[0]); at++) {
        if (messages[at].event == UFFD_EVENT_PAGEFAULT) {
            uffd_wake(uffd, messages[at].arg.pagefault.address & ~(page_bytes - 1), page_bytes);
        } else if (messages[at].event == UFFD_EVENT_FORK) {
            close((int)messages[at].arg.fork.ufd);
        }
    }
}

/* How far a loop over partial results may still go, and in which steps. */
struct progress {
    uint64_t done, len_bytes;
    uint64_t step_bytes; /* one page once a range turned out to be split */
    uint32_t again;
};

static uint64_t progress_step(const struct progress *progress)
{
    uint64_t left = progress->len_bytes - progress->done;

    return left < progress->step_bytes ? left : progress->step_bytes;
}

/*
 * Judge one failed ioctl over `tried` bytes, of which `updated` were done. Returns 0 to go on, else
 * the error to end with. ENOENT on more than one page may mean just that the range lies in several
 * mappings (a client's mprotect() splits them), so it is tried page by page then.
 */
static int progress_judge(struct progress *progress, int uffd, int error, int64_t updated,
                          uint64_t tried)
{
    if (updated > 0) {
        progress->done += (uint64_t)updated;
        progress->again = 0;
        return 0;
    }
    if (error == EINTR) {
        return 0;
    }
    if (error == EAGAIN && progress->again < AGAIN_MAX) {
        progress->again++;
        drain(uffd);
        return 0;
    }
    if (error == ENOENT && tried > uffd_page_bytes()) {
        progress->step_bytes = uffd_page_bytes();
        return 0;
    }
    return -error;
}

uint64_t uffd_copy(int uffd, uint64_t address, const uint8_t *from, uint64_t len_bytes,
                   bool protect, int *error)
{
    struct progress progress = {
        .len_bytes = len_bytes,
        .step_bytes = from == NULL ? sizeof(zeros) : UINT64_MAX,
    };

    *error = 0;
    while (progress.done < len_bytes && *error == 0) {
        struct uffdio_copy copy = {
            .dst = address + progress.done,
            .src = (uint64_t)(uintptr_t)(from == NULL ? zeros : from + progress.done),
            .len = progress_step(&progress),
            .mode = protect ? UFFDIO_COPY_MODE_WP : 0,
        };

        if (ioctl(uffd, UFFDIO_COPY, &copy) == 0) {
            progress.done += copy.len;
        } else {
            *error = progress_judge(&progress, uffd, errno, copy.copy, copy.len);
        }
    }
    return progress.done;
}

/* A page that is no longer mapped or registered is skipped: there is nothing to protect in it. */
static int change_protection(int uffd, uint64_t address, uint64_t len_bytes, uint64_t mode)
{
    struct progress progress = {.len_bytes = len_bytes, .step_bytes = UINT64_MAX};
    int missing = 0;

    while (progress.done < len_bytes) {
        struct uffdio_writeprotect change = {
            .range = {.start = address + progress.done, .len = progress_step(&progress)},
            .mode = mode,
        };
        int error = 0;

        if (ioctl(uffd, UFFDIO_WRITEPROTECT, &change) == 0) {
            progress.done += change.range.len;
        } else {
            error = progress_judge(&progress, uffd, errno, 0, change.range.len);
        }
        if (error == -ENOENT) {
            missing = error;
            progress.done += change.range.len;
        } else if (error != 0) {
            return error;
        }
    }
    return missing;
}

int uffd_protect(int uffd, uint64_t address, uint64_t len_bytes)
{
    return change_protection(uffd, address, len_bytes, UFFDIO_WRITEPROTECT_MODE_WP);
}

int uffd_unprotect(int uffd, uint64_t address, uint64_t len_bytes, bool wake)
{
    return change_protection(uffd, address, len_bytes,
                             wake ? 0 : UFFDIO_WRITEPROTECT_MODE_DONTWAKE);
}

void uffd_wake(int uffd, uint64_t address, uint64_t len_bytes)
{
    struct uffdio_range range = {.start = address, .len = len_bytes};

    (void)ioctl(uffd, UFFDIO_WAKE, &range); /* It checks nothing but the range. */
}

int uffd_poison(int uffd, uint64_t address, uint64_t len_bytes)
{
    struct progress progress = {.len_bytes = len_bytes, .step_bytes = UINT64_MAX};
    int result = 0;

    while (progress.done < len_bytes) {
        struct uffdio_poison poison = {
            .range = {.start = address + progress.done, .len = progress_step(&progress)},
        };
        int error = 0;

        if (ioctl(uffd, UFFDIO_POISON, &poison) == 0) {
            progress.done += poison.range.len;
        } else {
            error = progress_judge(&progress, uffd, errno, poison.updated, poison.range.len);
        }
        if (error == -EEXIST || error == -ENOENT) {
            /* Poisoned before, or gone from that mapping: the thread looks again and finds out. */
            uint64_t page_bytes = uffd_page_bytes();

            uffd_wake(uffd, poison.range.start, page_bytes);
            progress.done += page_bytes;
        } else if (error != 0) {
            result = error;
            break;
        }
    }
    return result;
}
