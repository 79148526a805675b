/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What views need of the kernel: pages that come when they are touched (userfaultfd, MISSING), and
 * to know which were written (asynchronous write protection and PAGEMAP_SCAN, Linux 6.7; without it
 * all filled pages are compared).
 */
#include "dsm/lib/view.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dsm.h"

/* Newer than the headers of the oldest system that we build on. */
#define FEATURE_WP_UNPOPULATED (UINT64_C(1) << 13)
#define FEATURE_POISON (UINT64_C(1) << 14)
#define FEATURE_WP_ASYNC (UINT64_C(1) << 15)

struct poison_request {
    struct uffdio_range range;
    uint64_t mode;
    int64_t updated;
};
#define POISON_REQUEST _IOWR(UFFDIO, 0x08, struct poison_request)

struct scan_region {
    uint64_t start, end, categories;
};
struct scan_request {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_REQUEST _IOWR('f', 16, struct scan_request)
#define SCAN_PROTECT_MATCHING (UINT64_C(1) << 0)
#define SCAN_CHECK_ASYNC (UINT64_C(1) << 1)
#define SCAN_IS_WRITTEN (UINT64_C(1) << 1)
#define SCAN_IS_PRESENT (UINT64_C(1) << 3)
#define SCAN_IS_SWAPPED (UINT64_C(1) << 4)

static bool enable(int uffd, uint64_t features)
{
    struct uffdio_api api = {.api = UFFD_API, .features = features};

    return ioctl(uffd, UFFDIO_API, &api) == 0;
}

/* The best that this kernel has; a refused set leaves the descriptor as it was. */
static bool enable_best(struct view_watch *watch, bool can_scan)
{
    const uint64_t tracked =
        FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC | UFFD_FEATURE_PAGEFAULT_FLAG_WP;

    if (can_scan && enable(watch->uffd, tracked | FEATURE_POISON)) {
        watch->is_tracked = true;
        return true;
    }
    return enable(watch->uffd, FEATURE_POISON) || enable(watch->uffd, 0);
}

static int range_register(const struct view_watch *watch, const uint8_t *address,
                          uint64_t len_bytes, uint64_t mode)
{
    struct uffdio_register registration = {
        .range = {.start = (uintptr_t)address, .len = len_bytes}, .mode = mode};

    return ioctl(watch->uffd, UFFDIO_REGISTER, &registration);
}

int view_watch_start(struct view *view, char *text)
{
    struct view_watch *watch = &view->watch;
    uint64_t mode = UFFDIO_REGISTER_MODE_MISSING;
    int error;

    watch->uffd = fault_descriptor(&view->dsm->fault);
    if (watch->uffd >= 0 && enable_best(watch, view->dsm->views.pagemap >= 0)) {
        mode |= watch->is_tracked ? UFFDIO_REGISTER_MODE_WP : 0;
        if (range_register(watch, view->address, view->len_bytes, mode) == 0 &&
            range_register(watch, view->twin, view->len_bytes, UFFDIO_REGISTER_MODE_MISSING) ==
                0) {
            return 0;
        }
    }
    error = errno == ENOMEM ? DSM_ENOMEM : errno == EPERM ? DSM_EPERM : DSM_ESYS;
    (void)snprintf(text, TEXT_BYTES_MAX,
                   "a userfaultfd for its release-consistent view: %s; map it without DSM_RELEASE",
                   strerror(errno));
    if (watch->uffd >= 0) {
        (void)close(watch->uffd);
        watch->uffd = -1;
    }
    return error;
}

static uint64_t copy_range(int uffd, uint8_t *to, const uint8_t *from, uint64_t len_bytes,
                           uint64_t mode)
{
    uint64_t done = 0;

    while (done < len_bytes) {
        struct uffdio_copy copy = {
            .dst = (uintptr_t)to + done,
            .src = (uintptr_t)from + done,
            .len = len_bytes - done,
            .mode = mode,
        };

        if (ioctl(uffd, UFFDIO_COPY, &copy) == 0) {
            return len_bytes;
        }
        if (errno != EAGAIN || copy.copy <= 0) {
            break;
        }
        done += (uint64_t)copy.copy;
    }
    return done;
}

uint64_t view_copy(struct view *view, uint64_t offset, uint64_t len_bytes)
{
    const struct view_watch *watch = &view->watch;
    uint64_t twins = copy_range(watch->uffd, view->twin + offset, view->base->address + offset,
                                len_bytes, UFFDIO_COPY_MODE_DONTWAKE);
    uint64_t done = copy_range(watch->uffd, view->address + offset, view->twin + offset, twins,
                               watch->is_tracked ? UFFDIO_COPY_MODE_WP : 0);

    if (done < twins) {
        (void)madvise(view->twin + offset + done, twins - done, MADV_DONTNEED);
    }
    return done;
}

void view_wake(const struct view *view, uint64_t offset, uint64_t len_bytes)
{
    struct uffdio_range range = {.start = (uintptr_t)(view->address + offset), .len = len_bytes};

    (void)ioctl(view->watch.uffd, UFFDIO_WAKE, &range);
}

void view_poison(struct view *view, uint64_t offset, uint64_t len_bytes)
{
    struct poison_request request = {
        .range = {.start = (uintptr_t)(view->address + offset), .len = len_bytes}};

    if (ioctl(view->watch.uffd, POISON_REQUEST, &request) != 0) {
        /* Before Linux 6.6: SIGSEGV in place of SIGBUS. */
        (void)mprotect(view->address + offset, len_bytes, PROT_NONE);
    }
    view_wake(view, offset, len_bytes);
}

/* The next runs of filled pages: any of them may have been written. */
static uint32_t scan_filled(const struct view *view, uint64_t page, uint64_t end,
                            struct view_run *runs, uint64_t *next)
{
    uint32_t count = 0;

    while (page < end) {
        if (page % 64 == 0 && view->filled[page / 64] == 0) {
            page += 64;
        } else if (!view_is_filled(view, page)) {
            page++;
        } else if (count > 0 && runs[count - 1].page + runs[count - 1].count == page) {
            runs[count - 1].count++;
            page++;
        } else if (count == VIEW_RUNS) {
            break;
        } else {
            runs[count++] = (struct view_run){page++, 1};
        }
    }
    *next = page < end ? page : end;
    return count;
}

uint32_t view_scan(const struct view *view, bool all, uint64_t page, uint64_t end,
                   struct view_run *runs, uint64_t *next)
{
    struct scan_region found[VIEW_RUNS];
    struct scan_request request = {
        .size = sizeof request,
        .flags = SCAN_PROTECT_MATCHING | SCAN_CHECK_ASYNC,
        .start = (uintptr_t)view->address + page * view->page_bytes,
        .end = (uintptr_t)view->address + end * view->page_bytes,
        .vec = (uintptr_t)found,
        .vec_len = VIEW_RUNS,
        .category_mask = SCAN_IS_WRITTEN,
        .category_anyof_mask = SCAN_IS_PRESENT | SCAN_IS_SWAPPED,
        .return_mask = SCAN_IS_WRITTEN,
    };
    int count = -1;

    if (view->watch.is_tracked && !all) {
        do {
            count = ioctl(view->dsm->views.pagemap, SCAN_REQUEST, &request);
        } while (count < 0 && errno == EINTR);
    }
    if (count < 0) {
        return scan_filled(view, page, end, runs, next);
    }
    for (int i = 0; i < count; i++) {
        runs[i].page = (found[i].start - (uintptr_t)view->address) / view->page_bytes;
        runs[i].count = (found[i].end - found[i].start) / view->page_bytes;
    }
    *next = (request.walk_end - (uintptr_t)view->address) / view->page_bytes;
    return (uint32_t)count;
}
