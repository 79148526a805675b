/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/handoff.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/process.h"
#include "tests/bench/shuffle.h"

static int fail(const char *what)
{
    fprintf(stderr, "dsm-bench: %s: %s\n", what, strerror(errno));
    return -1;
}

static int uffd_open(void)
{
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    int uffd = -1;

    if (device >= 0) {
        uffd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
        close(device);
    }
    if (uffd < 0) {
        uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    }
    return uffd;
}

/* The other process: waits in epoll as an agent does, and copies a page in for each event. */
static void handoff_serve(int uffd, const _Atomic uint32_t *page_bytes)
{
    uint8_t *page = malloc(HANDOFF_PAGE_BYTES_MAX);
    struct epoll_event interest = {.events = EPOLLIN}, event;
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (!page || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, uffd, &interest)) {
        _exit(1);
    }
    memset(page, 1, HANDOFF_PAGE_BYTES_MAX);
    for (;;) {
        struct uffd_msg message;

        if (epoll_wait(epoll, &event, 1, -1) < 0 && errno != EINTR) {
            _exit(1);
        }
        while (read(uffd, &message, sizeof(message)) == (ssize_t)sizeof(message)) {
            uint64_t len_bytes = atomic_load(page_bytes);
            struct uffdio_copy copy = {
                .dst = message.arg.pagefault.address & ~UINT64_C(4095), /* its first byte */
                .src = (uintptr_t)page,
                .len = len_bytes,
                .mode = UFFDIO_COPY_MODE_WP,
            };

            if (ioctl(uffd, UFFDIO_COPY, &copy) && errno != EEXIST) {
                _exit(1);
            }
        }
    }
}

int handoff_open(struct handoff *handoff)
{
    struct uffdio_api api = {.api = UFFD_API,
                             .features = UFFD_FEATURE_MISSING_SHMEM |
                                         UFFD_FEATURE_PAGEFAULT_FLAG_WP |
                                         UFFD_FEATURE_WP_HUGETLBFS_SHMEM};

    *handoff = (struct handoff){.memfd = -1, .uffd = -1, .memory = MAP_FAILED};
    void *shared = mmap(NULL, sizeof(*handoff->page_bytes), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        return fail("mmap");
    }
    handoff->page_bytes = shared;
    handoff->memfd = memfd_create("dsm-bench", MFD_CLOEXEC);
    if (handoff->memfd < 0 || ftruncate(handoff->memfd, (off_t)HANDOFF_BYTES)) {
        fail("memfd");
        goto fail;
    }
    handoff->memory =
        mmap(NULL, HANDOFF_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, handoff->memfd, 0);
    handoff->uffd = uffd_open();
    if (handoff->memory == MAP_FAILED || handoff->uffd < 0 ||
        ioctl(handoff->uffd, UFFDIO_API, &api)) {
        fail("userfaultfd");
        goto fail;
    }
    struct uffdio_register range = {
        .range = {.start = (uintptr_t)handoff->memory, .len = HANDOFF_BYTES},
        .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
    };
    if (ioctl(handoff->uffd, UFFDIO_REGISTER, &range)) {
        fail("UFFDIO_REGISTER");
        goto fail;
    }
    handoff->server = fork();
    if (handoff->server == 0) {
        child_prepare(SIGKILL);
        handoff_serve(handoff->uffd, handoff->page_bytes);
    }
    if (handoff->server < 0) {
        handoff->server = 0;
        fail("fork");
        goto fail;
    }
    return 0;
fail:
    handoff_close(handoff);
    return -1;
}

void handoff_close(struct handoff *handoff)
{
    if (handoff->server > 0) {
        kill(handoff->server, SIGKILL);
        waitpid(handoff->server, NULL, 0);
    }
    munmap((void *)(uintptr_t)handoff->page_bytes, sizeof(*handoff->page_bytes));
    if (handoff->memory != MAP_FAILED) {
        munmap(handoff->memory, HANDOFF_BYTES);
    }
    if (handoff->uffd >= 0) {
        close(handoff->uffd);
    }
    if (handoff->memfd >= 0) {
        close(handoff->memfd);
    }
}

int handoff_measure(struct handoff *handoff, uint32_t page_bytes, double *samples, size_t count)
{
    uint32_t order[HANDOFF_FAULTS_MAX];

    /* Only every other page is touched, as in the measured operation. */
    if (count > HANDOFF_FAULTS_MAX || count * 2 * page_bytes > HANDOFF_BYTES ||
        page_bytes > HANDOFF_PAGE_BYTES_MAX) {
        return -1;
    }
    atomic_store(handoff->page_bytes, page_bytes);
    if (fallocate(handoff->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                  (off_t)HANDOFF_BYTES)) {
        return fail("fallocate");
    }
    shuffle(order, (uint32_t)count, 1);
    for (size_t i = 0; i < count; i++) {
        volatile const uint8_t *byte = handoff->memory + (size_t)order[i] * 2 * page_bytes;
        double begin = clock_us();

        if (*byte != 1) {
            return -1;
        }
        samples[i] = clock_us() - begin;
    }
    return 0;
}
