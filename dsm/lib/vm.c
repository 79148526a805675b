/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies between a region and this process that report a lost page instead of raising a signal.
 *
 * The kernel copies, by process_vm_readv() on this very process, which ends early where a page
 * cannot be had. In both directions the call is the reading one, for this reason: it pins the pages
 * of its remote side and copies to or from its local side through the page tables, like any system
 * call. A pinned page that is written after another node has taken it away is a lost write, so a
 * region is never the pinned side of a write. Reading from pinned pages is harmless: each held its
 * bytes at a moment of this call.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dsm/lib/mapping.h"
#include "dsm/lib/segv.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/** Bytes of a mapping that is made for these calls; its page tables take 1/512 of it. */
#define WINDOW_BYTES (UINT64_C(64) << 20)
/** Bytes copied at once. */
#define CHUNK_BYTES (256u << 10)
/** The same through a pipe: its capacity. */
#define BOUNCE_BYTES (64u << 10)

/** Tries of one page before the thread copies it by itself. */
#define TRIES_MAX 8

/** Where a copy stands. */
struct copy {
    struct dsm_region *region;
    bool write;      /* into the region */
    uint64_t offset; /* of the region */
    uint8_t *bytes;  /* of the caller; not changed when write */
    size_t len_bytes;
};

static const char *copy_verb(const struct copy *copy)
{
    return copy->write ? "write to region" : "read from region";
}

static int copy_fail(const struct copy *copy, int error)
{
    struct deed deed = {.verb = copy_verb(copy),
                        .name = copy->region->handle.name,
                        .has_offset = true,
                        .offset = copy->offset};

    return session_fail_deed(copy->region->handle.dsm, error, &deed);
}

static int caller_fail(const struct copy *copy, struct dsm *dsm)
{
    return session_fail(dsm, DSM_EINVAL, "%s '%s': the caller's memory at %p is not accessible",
                        copy_verb(copy), copy->region->handle.name, (void *)copy->bytes);
}

static void copy_advance(struct copy *copy, size_t len_bytes)
{
    copy->offset += len_bytes;
    copy->bytes += len_bytes;
    copy->len_bytes -= len_bytes;
}

static ssize_t transfer(const struct dsm *dsm, void *to, void *from, size_t len_bytes)
{
    struct iovec local = {.iov_base = to, .iov_len = len_bytes};
    struct iovec remote = {.iov_base = from, .iov_len = len_bytes};

    return process_vm_readv(dsm->pid, &local, 1, &remote, 1, 0);
}

/*
 * Through a pipe, where the other way is forbidden (seccomp). The pipe's own pages begin where
 * those of the region do, so the kernel counts every byte that it copied before a lost page.
 */
static ssize_t transfer_by_pipe(const struct dsm *dsm, void *to, const void *from,
                                const uint8_t *at, size_t len_bytes)
{
    size_t page = (size_t)dsm->page_bytes, head = page - (uintptr_t)at % page;
    int ends[2];
    ssize_t put, got = -1;
    int saved;

    if (head != page && len_bytes > head) {
        len_bytes = head;
    }

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -1;
    }
    put = write(ends[1], from, len_bytes < BOUNCE_BYTES ? len_bytes : BOUNCE_BYTES);
    if (put > 0) {
        got = read(ends[0], to, (size_t)put);
    }
    saved = errno;
    (void)close(ends[0]);
    (void)close(ends[1]);
    errno = saved;
    return got;
}

/* @at whichever of the two is in the region */
static ssize_t transfer_any(const struct dsm *dsm, void *to, void *from, const uint8_t *at,
                            size_t len_bytes)
{
    ssize_t len = transfer(dsm, to, from, len_bytes);

    if (len < 0 && (errno == EPERM || errno == ENOSYS)) {
        len = transfer_by_pipe(dsm, to, from, at, len_bytes);
    }
    return len;
}

/* Can the caller's memory at the place of the copy be used? */
static int caller_check(const struct copy *copy, struct dsm *dsm)
{
    uint8_t probe = 0;
    ssize_t len;

    do {
        len = copy->write ? transfer_any(dsm, &probe, copy->bytes, copy->bytes, 1)
                          : transfer_any(dsm, copy->bytes, &probe, copy->bytes, 1);
    } while (len < 0 && errno == EINTR);
    return len == 1          ? 0
           : errno == EFAULT ? caller_fail(copy, dsm)
                             : copy_fail(copy, errno == ENOMEM ? DSM_ENOMEM : DSM_ESYS);
}

/*
 * Where system calls are not served, each page is waited for first; then the call finds it, unless
 * another node was quicker. The thread that is beaten again and again, or has no such call, copies
 * by itself: if the page is lost at that moment, SIGBUS comes. userfaultfd for user mode alone
 * tells nobody that a page is lost: there SIGBUS comes in any case.
 */
static int copy_page(struct copy *copy, uint8_t *at, size_t *len_bytes)
{
    struct dsm *dsm = copy->region->handle.dsm;
    uint8_t *to = copy->write ? at : copy->bytes, *from = copy->write ? copy->bytes : at;
    int error;

    for (int i = 0; i < TRIES_MAX; i++) {
        ssize_t len;

        error = segv_await(segv_find(), (uintptr_t)at, copy->write);
        if (error != 0) {
            return copy_fail(copy, space_is_fenced(&dsm->space) ? DSM_ENOAGENT : error);
        }
        len = transfer(dsm, to, from, *len_bytes);
        if (len > 0) {
            *len_bytes = (size_t)len;
            return 0;
        }
        if (len < 0 && errno != EFAULT && errno != EINTR) {
            if (errno == EPERM || errno == ENOSYS) {
                break;
            }
            return copy_fail(copy, errno == ENOMEM ? DSM_ENOMEM : DSM_ESYS);
        }
    }
    error = caller_check(copy, dsm);
    if (error == 0) {
        segv_copy(to, from, *len_bytes);
    }
    return error;
}

static int copy_pages(struct copy *copy, uint8_t *at, size_t len_bytes)
{
    size_t page = (size_t)copy->region->handle.dsm->page_bytes;

    while (len_bytes > 0) {
        size_t step = page - (uintptr_t)at % page;
        int error;

        step = step < len_bytes ? step : len_bytes;
        error = copy_page(copy, at, &step);
        if (error != 0) {
            return error;
        }
        copy_advance(copy, step);
        at += step;
        len_bytes -= step;
    }
    return 0;
}

/*
 * A page that a system call writes to, and waits for, makes the thread spin while a signal is
 * pending that has a handler. Waiting for the pages first does not; the call then finds most of
 * them.
 */
static void populate(uint8_t *at, size_t len_bytes, uint32_t page_size)
{
    uintptr_t mask = (uintptr_t)page_size - 1;
    uintptr_t start = (uintptr_t)at & ~mask;
    uintptr_t end = ((uintptr_t)at + len_bytes + mask) & ~mask;

    (void)madvise(at - ((uintptr_t)at - start), end - start, MADV_POPULATE_WRITE);
}

/* The copy got to a byte that the kernel cannot reach: is it the region's or the caller's? */
static int fault_explain(const struct copy *copy, struct dsm *dsm, uint8_t *at)
{
    uint8_t probe;
    ssize_t len;

    if (space_is_fenced(&dsm->space)) {
        return copy_fail(copy, DSM_ENOAGENT);
    }
    do {
        len = transfer_any(dsm, &probe, at, at, 1);
    } while (len < 0 && errno == EINTR);
    if (len < 0 && errno != EFAULT) {
        return copy_fail(copy, errno == ENOMEM ? DSM_ENOMEM : DSM_ESYS);
    }
    if (len == 1) {
        return caller_fail(copy, dsm);
    }
    if (space_is_fenced(&dsm->space)) {
        return copy_fail(copy, DSM_ENOAGENT);
    }
    return copy_fail(copy, DSM_EDOWN);
}

/* Copy what lies in this mapping. */
static int copy_through(struct copy *copy, const struct mapping *mapping)
{
    struct dsm *dsm = copy->region->handle.dsm;
    uint64_t end = mapping->offset + mapping->len_bytes;

    while (copy->len_bytes > 0 && copy->offset < end) {
        uint8_t *at = mapping->address + (copy->offset - mapping->offset);
        uint64_t chunk = CHUNK_BYTES - copy->offset % CHUNK_BYTES;
        ssize_t len;

        chunk = chunk < end - copy->offset ? chunk : end - copy->offset;
        chunk = chunk < copy->len_bytes ? chunk : copy->len_bytes;
        if (!dsm->fault.ops->system_calls) {
            int error = copy_pages(copy, at, (size_t)chunk);

            if (error != 0) {
                return error;
            }
            continue;
        }
        if (copy->write) {
            populate(at, chunk, copy->region->page_size);
            len = transfer_any(dsm, at, copy->bytes, at, chunk);
        } else {
            len = transfer_any(dsm, copy->bytes, at, at, chunk);
        }
        if (len > 0) {
            copy_advance(copy, (size_t)len);
        } else if (len < 0 && errno == EFAULT) {
            return fault_explain(copy, dsm, at);
        } else if (len == 0 || errno != EINTR) {
            return copy_fail(copy, len < 0 && errno == ENOMEM ? DSM_ENOMEM : DSM_ESYS);
        }
    }
    return 0;
}

/* A mapping that holds the next byte; one that the program has anyway, or else a window of our own.
 */
static int copy_mapping(const struct copy *copy, struct mapping **mapping)
{
    struct dsm_region *region = copy->region;
    struct space *space = &region->handle.dsm->space;
    uint64_t size = region->size_bytes;
    struct mapping_wish wish = {
        .offset = copy->offset - copy->offset % WINDOW_BYTES,
        .protection = DSM_READ | (region->writable && !region->sealed ? DSM_WRITE : 0),
        .is_window = true,
    };
    int protection = copy->write ? DSM_READ | DSM_WRITE : DSM_READ;
    struct mapping *found, *made;
    int error;

    wish.len_bytes = size - wish.offset < WINDOW_BYTES ? size - wish.offset : WINDOW_BYTES;
    found = space_borrow(space, region, region->handle.id, copy->offset, protection);
    while (found == NULL) {
        windows_remove(region);
        error = mapping_make(region, &wish, &made);
        if (error != 0) {
            return error;
        }
        /* Another thread may take it away before it is borrowed; then it is made again. */
        found = space_borrow(space, region, region->handle.id, copy->offset, protection);
    }
    *mapping = found;
    return 0;
}

static int copy_check(const struct copy *copy)
{
    struct dsm_region *region = copy->region;
    struct dsm *dsm = region->handle.dsm;
    uint64_t end = copy->offset + copy->len_bytes;
    struct dsm_shm_stat stat;
    int error = session_check(dsm);

    if (error != 0) {
        return error;
    }
    if (copy->write && !region->writable) {
        return session_fail(dsm, DSM_EACCES,
                            "write to region '%s': the handle was opened O_RDONLY; open it O_RDWR",
                            region->handle.name);
    }
    if (copy->write && region->sealed) {
        return session_fail(dsm, DSM_ESEALED, "write to region '%s': %s", region->handle.name,
                            dsm_strerror(DSM_ESEALED));
    }
    if (end >= copy->offset && end <= region->size_bytes) {
        return 0;
    }
    /* It may have grown since we last heard of it. */
    error = dsm_shm_stat(region, &stat);
    if (error != 0) {
        return error;
    }
    if (end < copy->offset || end > stat.size_bytes) {
        return session_fail(
            dsm, DSM_ERANGE,
            "%s '%s': %zu bytes at offset %" PRIu64 " leave it; it has %" PRIu64 " bytes",
            copy_verb(copy), region->handle.name, copy->len_bytes, copy->offset, stat.size_bytes);
    }
    return 0;
}

static int copy_run(struct copy *copy)
{
    struct space *space = &copy->region->handle.dsm->space;
    int error = copy_check(copy);

    while (error == 0 && copy->len_bytes > 0) {
        struct mapping *mapping;

        error = copy_mapping(copy, &mapping);
        if (error == 0) {
            error = copy_through(copy, mapping);
            space_return(space, mapping);
        }
    }
    return error;
}

int dsm_vm_read(struct dsm_region *region, uint64_t offset, void *to, size_t len_bytes)
{
    struct copy copy = {.region = region, .offset = offset, .bytes = to, .len_bytes = len_bytes};

    return copy_run(&copy);
}

int dsm_vm_write(struct dsm_region *region, uint64_t offset, const void *from, size_t len_bytes)
{
    /* Not written through: the union takes the const away where the struct serves both directions.
     */
    union {
        const void *from;
        uint8_t *bytes;
    } caller = {.from = from};
    struct copy copy = {.region = region,
                        .write = true,
                        .offset = offset,
                        .bytes = caller.bytes,
                        .len_bytes = len_bytes};

    return copy_run(&copy);
}
