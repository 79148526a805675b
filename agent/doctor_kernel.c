/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SHMEM_HUGE_PAGES "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
/* What it can do is tried; the number only helps to tell of it. */
static void check_version(struct doctor *doctor)
{
    struct utsname name;
    if (uname(&name) == 0) {
        doctor_find(doctor, DOCTOR_OK, "kernel", "%s %s on %s", name.sysname, name.release,
                    name.machine);
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
    check_memfd(doctor);
    check_huge_pages(doctor);
}
