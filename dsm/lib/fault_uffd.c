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

/* Newer than the headers of the oldest system that we build on. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#define FEATURE_POISON (UINT64_C(1) << 14)

#define FEATURES_NEEDED                                            \
    (UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_PAGEFAULT_FLAG_WP | \
     UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_EXACT_ADDRESS)

/*
 * Only the descriptor of the device, which the agent passes, lets an unprivileged program have
 * faults of system calls served as well. Without it the plain system call may do (root, or the
 * sysctl is set); the last resort serves faults of user mode alone.
 */
static int descriptor_new(int device, bool *system_calls)
{
    int descriptor = -1;

    *system_calls = true;
    if (device >= 0) {
        descriptor = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
    }
    if (descriptor < 0) {
        descriptor = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    }
    if (descriptor < 0 && errno == EPERM) {
        *system_calls = false;
        descriptor = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    }
    return descriptor;
}

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

static int uffd_start(const struct fault *fault, void *address, size_t len_bytes,
                      struct fault_map *map, char *text)
{
    struct uffdio_register registration = {
        .range = {.start = (uintptr_t)address, .len = len_bytes},
        .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
    };
    bool system_calls;
    int error, descriptor = descriptor_new(fault->device, &system_calls);

    if (descriptor < 0) {
        switch (errno) {
        case ENOSYS:
            return refuse(DSM_ENOTSUP, "userfaultfd", "this kernel is built without it", text);
        case EPERM:
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
    if (error == 0 && ioctl(descriptor, UFFDIO_REGISTER, &registration) != 0) {
        error = refuse(errno == ENOMEM ? DSM_ENOMEM : DSM_ESYS, "registering a mapping",
                       "`dsmctl doctor` checks this machine", text);
    }
    if (error != 0) {
        (void)close(descriptor);
        return error;
    }
    map->descriptor = descriptor;
    map->system_calls = system_calls;
    return 0;
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

static void uffd_stop(struct fault_map *map)
{
    if (map->descriptor >= 0) {
        (void)close(map->descriptor);
        map->descriptor = -1;
    }
}

const struct fault_ops fault_uffd_ops = {
    .name = "userfaultfd",
    .start = uffd_start,
    .wake = uffd_wake,
    .stop = uffd_stop,
};

void fault_init(struct fault *fault, int device)
{
    fault->ops = &fault_uffd_ops;
    fault->device = device;
}

void fault_close(struct fault *fault)
{
    if (fault->device >= 0) {
        (void)close(fault->device);
        fault->device = -1;
    }
}
