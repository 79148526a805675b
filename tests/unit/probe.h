/* SPDX-License-Identifier: Apache-2.0 */
/** What this machine, or the emulator that a test runs in, has. */
#ifndef DSM_TESTS_PROBE_H
#define DSM_TESTS_PROBE_H

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <unistd.h>

/** Can a userfaultfd be had here? An emulator may have the device and nothing behind it. */
static inline bool has_userfaultfd(void)
{
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    int uffd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);

    close(device);
    close(uffd);
    return uffd >= 0;
}

#endif
