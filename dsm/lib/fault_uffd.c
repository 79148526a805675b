/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dsm.h"
#include "dsm/lib/segv.h"

/* Newer than the headers of the oldest system that we build on. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#define FEATURE_POISON (UINT64_C(1) << 14)

#define FEATURES_NEEDED                                                                            \
    (UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_PAGEFAULT_FLAG_WP |                                 \
     UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_EXACT_ADDRESS)

static int refuse(int error, const char *what, const char *advice, char *text)
{
    (void)snprintf(text, TEXT_BYTES_MAX, "%s: %s; %s", what, strerror(errno), advice);
    return error;
}

/* An API call that asks for an unknown feature fails and leaves the descriptor as it was. */
static int features_enable(int descriptor, char *text)
{
    struct uffdio_api api = {.api = UFFD_API, .features = FEATURES_NEEDED | FEATURE_POISON};

    if (ioctl(descriptor, UFFDIO_API, &api) == 0) {
        return 0;
    }
    api = (struct uffdio_api){.api = UFFD_API, .features = FEATURES_NEEDED};
    if (ioctl(descriptor, UFFDIO_API, &api) == 0) {
        return 0;
    }
    return refuse(DSM_ENOTSUP, "userfaultfd lacks write protection of shared memory",
                  "it takes Linux 5.19 or newer; `dsmctl doctor` checks this machine", text);
}

static int by_device(const struct fault *fault)
{
    return ioctl(fault->device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
}

static int by_call(const struct fault *fault)
{
    (void)fault;
    return (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
}

static int by_call_for_user_mode(const struct fault *fault)
{
    (void)fault;
    return (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
}

int fault_descriptor(const struct fault *fault)
{
    return fault->ops == &fault_device_ops ? by_device(fault) : by_call(fault);
}

/* Returns the descriptor or an error. */
static int descriptor_new(const struct fault *fault, int (*make)(const struct fault *fault),
                          char *text)
{
    int descriptor = make(fault), error;

    if (descriptor < 0) {
        switch (errno) {
        case ENOSYS:
            return refuse(DSM_ENOTSUP, "userfaultfd", "this kernel is built without it", text);
        case EINVAL:
        case ENOTTY:
            return refuse(DSM_ENOTSUP, "userfaultfd", "this kernel does not know this way", text);
        case EPERM:
        case EACCES:
            return refuse(DSM_EPERM, "userfaultfd",
                          "let the agent run as root or set vm.unprivileged_userfaultfd", text);
        case EMFILE:
        case ENFILE:
            return refuse(DSM_ESYS, "userfaultfd", "raise the limit of open files (ulimit -n)",
                          text);
        default:
            return refuse(errno == ENOMEM ? DSM_ENOMEM : DSM_ESYS, "userfaultfd",
                          "`dsmctl doctor` checks this machine", text);
        }
    }
    error = features_enable(descriptor, text);
    if (error != 0) {
        (void)close(descriptor);
        return error;
    }
    return descriptor;
}

static int probe(const struct fault *fault, int (*make)(const struct fault *fault), char *why)
{
    char text[TEXT_BYTES_MAX];
    int descriptor = descriptor_new(fault, make, text);

    if (descriptor < 0) {
        (void)snprintf(why, SESSION_WHY_BYTES, "%.120s", text);
        return descriptor;
    }
    (void)close(descriptor);
    return 0;
}

/*
 * Only the descriptor of the device, which the agent passes, lets an unprivileged program have
 * faults of system calls served as well. Without it the plain system call may do (root, or the
 * sysctl is set).
 */
static int device_open(struct fault *fault, char *why)
{
    if (fault->device < 0) {
        (void)snprintf(why, SESSION_WHY_BYTES, "the agent passed no /dev/userfaultfd");
        return DSM_ENOTSUP;
    }
    return probe(fault, by_device, why);
}

static int call_open(struct fault *fault, char *why)
{
    return probe(fault, by_call, why);
}

/* The wrappers of dsm_io.h have to know these mappings. */
static int user_open(struct fault *fault, char *why)
{
    int error = probe(fault, by_call_for_user_mode, why);

    if (error == 0 && segv_get() == NULL) {
        (void)snprintf(why, SESSION_WHY_BYTES, "no memory for the table of mappings");
        error = DSM_ENOMEM;
    }
    return error;
}

static void uffd_close(struct fault *fault, bool in_child)
{
    (void)fault;
    (void)in_child;
}

static int start(const struct fault *fault, int (*make)(const struct fault *fault),
                 const struct fault_range *range, struct fault_map *map, char *text)
{
    struct uffdio_register registration = {
        .range = {.start = (uintptr_t)range->address, .len = range->len_bytes},
        .mode = UFFDIO_REGISTER_MODE_MISSING | (range->writable ? UFFDIO_REGISTER_MODE_WP : 0),
    };
    int descriptor = descriptor_new(fault, make, text), error;

    if (descriptor < 0) {
        return descriptor;
    }
    if (ioctl(descriptor, UFFDIO_REGISTER, &registration) != 0) {
        error = refuse(errno == ENOMEM ? DSM_ENOMEM : DSM_ESYS, "registering a mapping",
                       "`dsmctl doctor` checks this machine", text);
        (void)close(descriptor);
        return error;
    }
    *map = (struct fault_map){.descriptor = descriptor};
    return 0;
}

static int device_start(struct fault *fault, const struct fault_range *range, struct fault_map *map,
                        char *text)
{
    return start(fault, by_device, range, map, text);
}

static int call_start(struct fault *fault, const struct fault_range *range, struct fault_map *map,
                      char *text)
{
    return start(fault, by_call, range, map, text);
}

static int user_start(struct fault *fault, const struct fault_range *range, struct fault_map *map,
                      char *text)
{
    struct segv_watch watch = {
        .start = range->address,
        .len_bytes = range->len_bytes,
        .writable = range->writable,
        .channel = -1,
    };
    int error = start(fault, by_call_for_user_mode, range, map, text);

    if (error == 0) {
        map->place = segv_add(segv_get(), &watch);
        if (map->place == NULL) {
            (void)close(map->descriptor);
            error = refuse(DSM_ENOMEM, "noting a mapping", "there is no memory for it", text);
        }
    }
    return error;
}

static void uffd_attached(struct fault_map *map)
{
    (void)map;
}

static void uffd_retire(struct fault_map *map)
{
    if (map->place != NULL) {
        segv_remove(segv_get(), map->place);
        map->place = NULL;
    }
}

/* The kernel checks the range's form only, so this works on what was mapped over the range since.
 */
static void uffd_wake(const struct fault_map *map, void *address, size_t len_bytes)
{
    struct uffdio_range range = {.start = (uintptr_t)address, .len = len_bytes};

    if (map->descriptor >= 0) {
        (void)ioctl(map->descriptor, UFFDIO_WAKE, &range);
    }
}

static void uffd_stop(struct fault_map *map, bool in_child)
{
    (void)in_child;
    if (map->descriptor >= 0) {
        (void)close(map->descriptor);
        map->descriptor = -1;
    }
}

static void uffd_settle(struct fault *fault)
{
    (void)fault;
}

#define UFFD_OPS(kind, serves, way)                                                                \
    {                                                                                              \
        .backend = (kind), .system_calls = (serves), .open = way##_open, .close = uffd_close,      \
        .start = way##_start, .attached = uffd_attached, .retire = uffd_retire, .wake = uffd_wake, \
        .stop = uffd_stop, .settle = uffd_settle                                                   \
    }

const struct fault_ops fault_device_ops = UFFD_OPS(SESSION_USERFAULTFD, true, device);
const struct fault_ops fault_call_ops = UFFD_OPS(SESSION_USERFAULTFD, true, call);
const struct fault_ops fault_user_ops = UFFD_OPS(SESSION_USER_MODE, false, user);
