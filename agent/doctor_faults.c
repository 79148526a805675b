/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine is like, and by which back ends the touch of an absent page can reach the
 * agent here: each is tried, nothing is concluded from a version.
 */
#include "agent/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/process.h"
#include "net/codec.h"

#define USERFAULTFD_DEVICE "/dev/userfaultfd"
/* Newer than the headers of the oldest system that this builds on (Linux 6.4, 6.6, 6.7, 6.8). */
#define FEATURE_WP_UNPOPULATED (1ull << 13)
#define FEATURE_POISON (1ull << 14)
#define FEATURE_WP_ASYNC (1ull << 15)
#define FEATURE_MOVE (1ull << 16)

/* Bits of what the back ends were found to be. */
enum { CAN_DEVICE = 1, CAN_USER_MODE = 2, CAN_SIGSEGV = 4 };

struct feature {
    unsigned long long bit;
    const char *name;
    const char *since;
    const char *effect; /* of its absence, or of its presence where it is not needed */
};

/* Without one of these a userfaultfd is of no use here. */
static const struct feature needed[] = {
    {UFFD_FEATURE_MISSING_SHMEM, "MISSING_SHMEM", "4.11",
     "no page fault of a region can be answered"},
    {UFFD_FEATURE_PAGEFAULT_FLAG_WP, "PAGEFAULT_FLAG_WP", "5.7", "writes cannot be held back"},
    {UFFD_FEATURE_WP_HUGETLBFS_SHMEM, "WP_HUGETLBFS_SHMEM", "5.19",
     "writes to shared memory cannot be held back"},
    {UFFD_FEATURE_EXACT_ADDRESS, "EXACT_ADDRESS", "5.18", "libdsm asks for it"},
};

/* These a newer kernel would give. */
static const struct feature wanted[] = {
    {FEATURE_POISON, "POISON", "6.6",
     "a program that touches a page whose only copy died gets SIGBUS, instead of waiting"},
};

/* These too, but nothing here uses them yet. */
static const struct feature unused[] = {
    {UFFD_FEATURE_SIGBUS, "SIGBUS", "4.14", ""},
    {UFFD_FEATURE_MINOR_SHMEM, "MINOR_SHMEM", "5.14", ""},
    {FEATURE_WP_UNPOPULATED, "WP_UNPOPULATED", "6.4", ""},
    {FEATURE_WP_ASYNC, "WP_ASYNC", "6.7", ""},
    {FEATURE_MOVE, "MOVE", "6.8", ""},
};

static void check_machine(struct doctor *doctor)
{
    doctor_find(doctor, DOCTOR_OK, "machine",
                "hardware pages of %ld bytes, %s-endian, %u-bit words", sysconf(_SC_PAGESIZE),
                __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? "big" : "little",
                (unsigned)(sizeof(void *) * CHAR_BIT));
}

/** A userfaultfd of the device, which the agent passes to programs; -1: none. */
static int open_device(struct doctor *doctor)
{
    int device = open(USERFAULTFD_DEVICE, O_RDWR | O_CLOEXEC);
    if (device >= 0) {
        int uffd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
        int number = errno;
        close(device);
        if (uffd >= 0) {
            doctor_find(doctor, DOCTOR_OK, USERFAULTFD_DEVICE, "can be opened and used");
            return uffd;
        }
        doctor_find(doctor, DOCTOR_WARN, USERFAULTFD_DEVICE, "opens, but gives no userfaultfd: %s",
                    strerror(number));
        doctor_advise(doctor, "a seccomp filter or security module may forbid it; allow ioctl on "
                              "this device");
        return -1;
    }
    int number = errno;
    doctor_find(doctor, DOCTOR_WARN, USERFAULTFD_DEVICE, "cannot be opened: %s", strerror(number));
    if (number == EACCES || number == EPERM) {
        doctor_advise(doctor,
                      "run the agent, and this check, as root, or give the agent's user the "
                      "device (chgrp dsm %s; chmod 0660 %s); in a container or unit, allow "
                      "the device (DeviceAllow=%s rw)",
                      USERFAULTFD_DEVICE, USERFAULTFD_DEVICE, USERFAULTFD_DEVICE);
    } else {
        doctor_advise(doctor, "it comes with Linux 6.1 and CONFIG_USERFAULTFD; in a container, "
                              "pass the device in; without it read(2) and the like fail with "
                              "EFAULT on region memory");
    }
    return -1;
}

/** One that serves what programs do themselves, but not their system calls; -1: none. */
static int open_user_mode(struct doctor *doctor)
{
    int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (uffd >= 0) {
        doctor_find(doctor, DOCTOR_OK, "userfaultfd(2)", "works for faults of user mode");
        return uffd;
    }
    int number = errno;
    doctor_find(doctor, DOCTOR_WARN, "userfaultfd(2)", "does not work: %s", strerror(number));
    doctor_advise(doctor, number == ENOSYS
                              ? "this kernel, or the emulator that it is, has no userfaultfd"
                              : "a seccomp filter may forbid it (containers often do): allow "
                                "userfaultfd; UFFD_USER_MODE_ONLY comes with Linux 5.11");
    return -1;
}

/** The names of the features that are not there, "" for none. */
static void list_missing(const struct feature *features, size_t count, unsigned long long has,
                         char *text, size_t text_bytes)
{
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (!(has & features[i].bit) && len < text_bytes) {
            int added = snprintf(text + len, text_bytes - len, "%s%s (%s)%s%s", len > 0 ? ", " : "",
                                 features[i].name, features[i].since,
                                 features[i].effect[0] ? ": " : "", features[i].effect);
            len += added > 0 ? (size_t)added : 0;
        }
    }
}

/** Has it all that it takes? Says also what a newer kernel would give. */
static bool check_features(struct doctor *doctor, int uffd)
{
    struct uffdio_api api = {.api = UFFD_API};
    char lacks[512], would[512], more[256];
    if (ioctl(uffd, UFFDIO_API, &api) != 0) {
        doctor_find(doctor, DOCTOR_WARN, "userfaultfd", "UFFDIO_API fails: %s", strerror(errno));
        doctor_advise(doctor, "a security module may forbid it; programs do without (sigsegv)");
        return false;
    }
    list_missing(needed, sizeof(needed) / sizeof(needed[0]), api.features, lacks, sizeof(lacks));
    list_missing(wanted, sizeof(wanted) / sizeof(wanted[0]), api.features, would, sizeof(would));
    list_missing(unused, sizeof(unused) / sizeof(unused[0]), api.features, more, sizeof(more));
    if (lacks[0] != '\0') {
        doctor_find(doctor, DOCTOR_WARN, "userfaultfd", "lacks %s", lacks);
        doctor_advise(doctor, "the number is that of the Linux which has it; until then programs "
                              "do without a userfaultfd (sigsegv)");
        return false;
    }
    doctor_find(doctor, DOCTOR_OK, "userfaultfd", "has all that is needed (features 0x%llx)",
                (unsigned long long)api.features);
    if (would[0] != '\0' || more[0] != '\0') {
        doctor_find(doctor, DOCTOR_OK, "newer kernel", "would give %s%s%s%s",
                    would[0] ? would : "nothing that is used", more[0] ? "; not used yet: " : "",
                    more, "");
    }
    return true;
}

/** The way without any userfaultfd needs to end a program that does not give up pages. */
static bool check_sigsegv(struct doctor *doctor)
{
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    bool can_end = process_may_kill(self);
    int number = errno;
    if (self >= 0) {
        close(self);
    }
    if (!can_end) {
        doctor_find(doctor, DOCTOR_WARN, "sigsegv", "cannot be used: no pidfd: %s",
                    strerror(number));
        doctor_advise(doctor, "pidfd_open comes with Linux 5.3; a seccomp filter may forbid it");
    } else if (kill(1, 0) != 0 && errno == EPERM) {
        doctor_find(doctor, DOCTOR_OK, "sigsegv",
                    "works for programs of uid %u, whom alone it may "
                    "end",
                    (unsigned)geteuid());
    } else {
        doctor_find(doctor, DOCTOR_OK, "sigsegv", "works for programs of every user");
    }
    return can_end;
}

static void check_order(struct doctor *doctor, unsigned can)
{
    static const struct {
        unsigned bit;
        uint32_t backend;
    } best_first[] = {{CAN_DEVICE, SESSION_USERFAULTFD},
                      {CAN_USER_MODE, SESSION_USER_MODE},
                      {CAN_SIGSEGV, SESSION_SIGSEGV}};
    char text[128] = "";
    size_t len = 0;
    for (size_t i = 0; i < sizeof(best_first) / sizeof(best_first[0]); i++) {
        if (can & best_first[i].bit) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len > 0 ? ", " : "",
                                    session_backend_name(best_first[i].backend));
        }
    }
    doctor_find(doctor, can == 0 ? DOCTOR_FAIL : DOCTOR_OK, "fault back ends", "%s%s",
                can == 0 ? "none: no program can map a region" : "best first: ", text);
    if (can == 0) {
        doctor_advise(doctor, "correct one of the rows above; the first one is the best");
    }
}

void doctor_check_faults(struct doctor *doctor)
{
    check_machine(doctor);
    int device = open_device(doctor);
    int user_mode = open_user_mode(doctor);
    unsigned can = 0;
    if (device >= 0 || user_mode >= 0) {
        bool is_usable = check_features(doctor, device >= 0 ? device : user_mode);
        can |= is_usable && device >= 0 ? CAN_DEVICE : 0;
        can |= is_usable && user_mode >= 0 ? CAN_USER_MODE : 0;
    }
    can |= check_sigsegv(doctor) ? CAN_SIGSEGV : 0;
    check_order(doctor, can);
    if (device >= 0) {
        close(device);
    }
    if (user_mode >= 0) {
        close(user_mode);
    }
}
