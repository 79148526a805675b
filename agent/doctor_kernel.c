/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define USERFAULTFD_DEVICE "/dev/userfaultfd"
#define SHMEM_HUGE_PAGES "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
/* Newer than the headers of the oldest kernel that this builds on (Linux 6.6). */
#define FEATURE_POISON (1ull << 14)

struct feature {
    unsigned long long bit;
    const char *name;
    const char *since;
    enum doctor_result missing; /* what it means when the kernel lacks it */
    const char *effect;
};

static const struct feature features[] = {
    {UFFD_FEATURE_MISSING_SHMEM, "MISSING_SHMEM", "4.11", DOCTOR_FAIL,
     "no page fault of a region can be answered"},
    {UFFD_FEATURE_PAGEFAULT_FLAG_WP, "PAGEFAULT_FLAG_WP", "5.7", DOCTOR_FAIL,
     "writes cannot be held back, so copies cannot be kept equal"},
    {UFFD_FEATURE_WP_HUGETLBFS_SHMEM, "WP_HUGETLBFS_SHMEM", "5.19", DOCTOR_FAIL,
     "writes to shared memory cannot be held back, so copies cannot be kept equal"},
    {UFFD_FEATURE_EXACT_ADDRESS, "EXACT_ADDRESS", "5.18", DOCTOR_WARN,
     "traces show pages, not addresses"},
    {FEATURE_POISON, "POISON", "6.6", DOCTOR_WARN,
     "a program that touches a page whose only copy died waits, instead of getting SIGBUS"},
};

static void check_version(struct doctor *doctor)
{
    struct utsname name;
    unsigned major = 0;
    unsigned minor = 0;
    if (uname(&name) != 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2) {
        doctor_find(doctor, DOCTOR_WARN, "kernel", "its version cannot be told");
        doctor_advise(doctor, "this is not a Linux that is known; 6.1 or later is needed");
        return;
    }
    bool is_new = major > 6 || (major == 6 && minor >= 1);
    bool is_usable = is_new || major == 6 || (major == 5 && minor >= 19);
    doctor_find(doctor,
                is_new      ? DOCTOR_OK
                : is_usable ? DOCTOR_WARN
                            : DOCTOR_FAIL,
                "kernel", "Linux %s on %s", name.release, name.machine);
    if (!is_usable) {
        doctor_advise(doctor,
                      "5.19 is needed to write-protect shared memory; install 6.1 or later");
    } else if (!is_new) {
        doctor_advise(doctor,
                      "before 6.1 there is no %s, and system calls on region memory fail with "
                      "EFAULT; install 6.1 or later",
                      USERFAULTFD_DEVICE);
    }
}

/** A userfaultfd: of the device, else of the system call for faults in user mode. */
static int open_userfaultfd(struct doctor *doctor)
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
        doctor_find(doctor, DOCTOR_FAIL, USERFAULTFD_DEVICE, "opens, but gives no userfaultfd: %s",
                    strerror(number));
        doctor_advise(doctor, "a seccomp filter or security module may forbid it; allow ioctl on "
                              "this device");
        return -1;
    }
    int number = errno;
    int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    doctor_find(doctor, uffd >= 0 ? DOCTOR_WARN : DOCTOR_FAIL, USERFAULTFD_DEVICE,
                "cannot be opened: %s", strerror(number));
    if (number == EACCES || number == EPERM) {
        doctor_advise(doctor,
                      "run the agent, and this check, as root, or give the agent's user the "
                      "device (chgrp dsm %s; chmod 0660 %s); in a container or unit, allow "
                      "the device (DeviceAllow=%s rw)",
                      USERFAULTFD_DEVICE, USERFAULTFD_DEVICE, USERFAULTFD_DEVICE);
    } else {
        doctor_advise(doctor,
                      "it comes with Linux 6.1 and CONFIG_USERFAULTFD; in a container, pass the "
                      "device in%s",
                      uffd >= 0 ? "; without it read(2) and the like fail with EFAULT on region "
                                  "memory"
                                : "");
    }
    return uffd;
}

static void check_features(struct doctor *doctor, int uffd)
{
    struct uffdio_api api = {.api = UFFD_API};
    unsigned missing = 0;
    if (ioctl(uffd, UFFDIO_API, &api) != 0) {
        doctor_find(doctor, DOCTOR_FAIL, "userfaultfd", "UFFDIO_API fails: %s", strerror(errno));
        doctor_advise(doctor, "install Linux 6.1 or later");
        return;
    }
    for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        const struct feature *feature = &features[i];
        if (!(api.features & feature->bit)) {
            doctor_find(doctor, feature->missing, "userfaultfd", "%s is missing: %s", feature->name,
                        feature->effect);
            doctor_advise(doctor, "it comes with Linux %s; install that or a later one",
                          feature->since);
            missing++;
        }
    }
    if (missing == 0) {
        doctor_find(
            doctor, DOCTOR_OK, "userfaultfd",
            "has MISSING_SHMEM, WP_HUGETLBFS_SHMEM, EXACT_ADDRESS, POISON (features 0x%llx)",
            (unsigned long long)api.features);
    }
}

static void check_memfd(struct doctor *doctor)
{
    int fd = memfd_create("dsm-doctor", MFD_CLOEXEC);
    bool is_good = fd >= 0 && ftruncate(fd, 1 << 20) == 0 && pwrite(fd, "x", 1, 4096) == 1 &&
                   fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096) == 0;
    int number = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (is_good) {
        doctor_find(doctor, DOCTOR_OK, "memfd", "can be made, and pages can be dropped from it");
    } else {
        doctor_find(doctor, DOCTOR_FAIL, "memfd", "does not work: %s", strerror(number));
        doctor_advise(doctor, "a security module may forbid memfd_create(2), or memory is short");
    }
}

/** The file lists the choices, the one in force in brackets. */
static void check_huge_pages(struct doctor *doctor)
{
    char text[256] = "";
    char choice[64] = "";
    FILE *file = fopen(SHMEM_HUGE_PAGES, "re");
    const char *open_bracket = NULL;
    if (file) {
        open_bracket = fgets(text, sizeof(text), file) ? strchr(text, '[') : NULL;
        fclose(file);
    }
    if (open_bracket) {
        snprintf(choice, sizeof(choice), "%.*s", (int)strcspn(open_bracket + 1, "]\n"),
                 open_bracket + 1);
    }
    if (!open_bracket) {
        doctor_find(doctor, DOCTOR_OK, "huge pages", "this kernel has none for shared memory");
    } else if (strcmp(choice, "always") == 0 || strcmp(choice, "within_size") == 0 ||
               strcmp(choice, "force") == 0) {
        doctor_find(doctor, DOCTOR_WARN, "huge pages", "shared memory gets them ('%s')", choice);
        doctor_advise(doctor, "one page then takes the memory of many; set: echo never > %s",
                      SHMEM_HUGE_PAGES);
    } else {
        doctor_find(doctor, DOCTOR_OK, "huge pages", "not forced on shared memory ('%s')", choice);
    }
}

void doctor_check_kernel(struct doctor *doctor)
{
    check_version(doctor);
    int uffd = open_userfaultfd(doctor);
    if (uffd >= 0) {
        check_features(doctor, uffd);
        close(uffd);
    }
    check_memfd(doctor);
    check_huge_pages(doctor);
}
