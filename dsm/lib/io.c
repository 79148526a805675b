/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls on memory whose faults the kernel does not serve. Output: touch, call, and when
 * another node was quicker (EFAULT), again; at last through a copy. EFAULT takes nothing from an
 * output. Of an input it may: a datagram, an eventfd's count and a terminal's line are gone then.
 * So input goes to memory of our own first, but for regular files, whose position tells what was
 * taken.
 */
#include "dsm_io.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dsm.h"
#include "dsm/lib/segv.h"

/* Tries of one output before it goes through a copy. */
#define TRIES_MAX 8
/* Bytes at once where a call may be cut into several. */
#define CHUNK_BYTES (1u << 20)

/** One call. */
struct transfer {
    int fd, flags;
    bool is_socket;
    bool is_file; /* regular: a call may be cut into several */
};

/** Does the kernel serve the range, or is it no region's? */
static bool is_plain(const void *bytes, size_t len_bytes)
{
    struct segv *segv = segv_find();
    struct segv_place *place;
    uintptr_t start = (uintptr_t)bytes;

    if (segv == NULL || len_bytes == 0 || start + (len_bytes - 1) < start) {
        return true;
    }
    place = segv_use_overlap(segv, start, len_bytes);
    if (place != NULL) {
        segv_unuse(place);
    }
    return place == NULL;
}

static bool fd_is_file(int fd)
{
    struct stat stat;

    return fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode);
}

static size_t page_rest(const struct segv *segv, const uint8_t *at, size_t len_bytes)
{
    size_t rest = segv->page_bytes - (uintptr_t)at % segv->page_bytes;

    return rest < len_bytes ? rest : len_bytes;
}

/*
 * Wait for all pages. Returns the bytes before the first page that cannot be had, and whether all
 * of them are a region's.
 */
static size_t touch(const uint8_t *bytes, size_t len_bytes, bool write, bool *all_ours)
{
    struct segv *segv = segv_find();
    size_t done = 0;

    *all_ours = true;
    while (done < len_bytes) {
        int error = segv_await(segv, (uintptr_t)(bytes + done), write);

        if (error == DSM_EINVAL) {
            *all_ours = false;
        } else if (error != 0) {
            break;
        }
        done += page_rest(segv, bytes + done, len_bytes - done);
    }
    return done;
}

static ssize_t output_once(const struct transfer *transfer, const void *bytes, size_t len_bytes)
{
    return transfer->is_socket ? send(transfer->fd, bytes, len_bytes, transfer->flags)
                               : write(transfer->fd, bytes, len_bytes);
}

static ssize_t input_once(const struct transfer *transfer, void *bytes, size_t len_bytes)
{
    return transfer->is_socket ? recv(transfer->fd, bytes, len_bytes, transfer->flags)
                               : read(transfer->fd, bytes, len_bytes);
}

/* All of it is a region's. A page that goes between the waiting and the copying comes again. */
static ssize_t output_by_copy(const struct transfer *transfer, const uint8_t *bytes,
                              size_t len_bytes)
{
    uint8_t *copy = malloc(len_bytes);
    ssize_t len;
    int saved;

    if (copy == NULL) {
        return -1;
    }
    memcpy(copy, bytes, len_bytes);
    len = output_once(transfer, copy, len_bytes);
    saved = errno;
    free(copy);
    errno = saved;
    return len;
}

static ssize_t output_chunk(const struct transfer *transfer, const uint8_t *bytes, size_t len_bytes)
{
    bool all_ours = false;
    size_t there = 0;

    for (int i = 0; i < TRIES_MAX; i++) {
        ssize_t len;

        there = touch(bytes, len_bytes, false, &all_ours);
        len = output_once(transfer, bytes, len_bytes);
        if (len >= 0 || errno != EFAULT) {
            return len;
        }
        if (there < len_bytes) {
            return -1; /* A lost page: as the kernel says. */
        }
    }
    return all_ours ? output_by_copy(transfer, bytes, len_bytes) : -1;
}

static ssize_t input_by_copy(const struct transfer *transfer, uint8_t *bytes, size_t len_bytes)
{
    struct segv *segv = segv_find();
    bool all_ours;
    uint8_t *copy;
    size_t done = 0, step;
    ssize_t len;
    int saved;

    /* Without the first page nothing is to be taken. */
    if (touch(bytes, page_rest(segv, bytes, len_bytes), true, &all_ours) == 0) {
        errno = EFAULT;
        return -1;
    }
    copy = malloc(len_bytes);
    if (copy == NULL) {
        return -1;
    }
    len = input_once(transfer, copy, len_bytes);
    saved = errno;
    /* recv(2) may tell the length of a message that was longer. */
    while (len > 0 && done < (size_t)len && done < len_bytes) {
        step = page_rest(segv, bytes + done, len_bytes - done);
        step = step < (size_t)len - done ? step : (size_t)len - done;
        if (touch(bytes + done, step, true, &all_ours) < step) {
            break;
        }
        memcpy(bytes + done, copy + done, step);
        done += step;
    }
    if (len > 0 && done < (size_t)len && done < len_bytes) {
        len = done > 0 ? (ssize_t)done : -1;
        saved = EFAULT;
    }
    free(copy);
    errno = saved;
    return len;
}

static ssize_t input_chunk(const struct transfer *transfer, uint8_t *bytes, size_t len_bytes)
{
    bool all_ours;

    for (int i = 0; transfer->is_file && i < TRIES_MAX; i++) {
        size_t there = touch(bytes, len_bytes, true, &all_ours);
        ssize_t len = input_once(transfer, bytes, len_bytes);

        if (len >= 0 || errno != EFAULT || there < len_bytes) {
            return len;
        }
    }
    return input_by_copy(transfer, bytes, len_bytes);
}

/* @bytes of either direction; only an input writes there */
static ssize_t run(const struct transfer *transfer, uint8_t *bytes, size_t len_bytes, bool input)
{
    size_t done = 0;

    if (!transfer->is_file) {
        return input ? input_chunk(transfer, bytes, len_bytes)
                     : output_chunk(transfer, bytes, len_bytes);
    }
    while (done < len_bytes) {
        size_t left = len_bytes - done;
        size_t chunk = left < CHUNK_BYTES ? left : CHUNK_BYTES;
        ssize_t len = input ? input_chunk(transfer, bytes + done, chunk)
                            : output_chunk(transfer, bytes + done, chunk);

        if (len <= 0) {
            return done > 0 ? (ssize_t)done : len;
        }
        done += (size_t)len;
    }
    return (ssize_t)done;
}

static ssize_t output(struct transfer *transfer, const void *bytes, size_t len_bytes)
{
    /* Not written through: run() serves both directions. */
    union {
        const void *from;
        uint8_t *bytes;
    } caller = {.from = bytes};

    if (is_plain(bytes, len_bytes)) {
        return output_once(transfer, bytes, len_bytes);
    }
    transfer->is_file = fd_is_file(transfer->fd);
    return run(transfer, caller.bytes, len_bytes, false);
}

static ssize_t input(struct transfer *transfer, void *bytes, size_t len_bytes)
{
    if (is_plain(bytes, len_bytes)) {
        return input_once(transfer, bytes, len_bytes);
    }
    transfer->is_file = fd_is_file(transfer->fd);
    return run(transfer, bytes, len_bytes, true);
}

ssize_t dsm_read(int fd, void *bytes, size_t len_bytes)
{
    struct transfer transfer = {.fd = fd};

    return input(&transfer, bytes, len_bytes);
}

ssize_t dsm_write(int fd, const void *bytes, size_t len_bytes)
{
    struct transfer transfer = {.fd = fd};

    return output(&transfer, bytes, len_bytes);
}

ssize_t dsm_send(int socket, const void *bytes, size_t len_bytes, int flags)
{
    struct transfer transfer = {.fd = socket, .is_socket = true, .flags = flags};

    return output(&transfer, bytes, len_bytes);
}

ssize_t dsm_recv(int socket, void *bytes, size_t len_bytes, int flags)
{
    struct transfer transfer = {.fd = socket, .is_socket = true, .flags = flags};

    return input(&transfer, bytes, len_bytes);
}
