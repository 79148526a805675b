/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel gives back the memory of a process before it says that it has ended, which takes the
 * longer the more it had. The agent stands still meanwhile, and with what it waited before
 * (FAULT_DEADLINE_MS) must not seem dead to the others (lease_ms). */
#define END_MS 1000

static long send_signal(int process, int number)
{
    return syscall(SYS_pidfd_send_signal, process, number, NULL, 0);
}

bool process_may_kill(int process)
{
    return process >= 0 && (send_signal(process, 0) == 0 || errno == ESRCH);
}

static bool wait_end(int process, int timeout_ms)
{
    struct pollfd pollfd = {.fd = process, .events = POLLIN};
    int count;

    do {
        count = poll(&pollfd, 1, timeout_ms);
    } while (count < 0 && errno == EINTR);
    return count > 0;
}

bool process_has_ended(int process)
{
    return wait_end(process, 0);
}

/* The number of a process, in this agent's view; 0 when it has none. */
static int number_of(int process)
{
    char path[64], line[128];
    int number = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", process);
    file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    while (number == 0 && fgets(line, sizeof(line), file) != NULL) {
        (void)sscanf(line, "Pid: %d", &number);
    }
    fclose(file);
    return number > 0 ? number : 0;
}

bool process_maps(int process, ino_t inode)
{
    char path[64], line[512];
    bool is_mapped = false;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/maps", number_of(process));
    file = fopen(path, "re");
    if (file == NULL) {
        return !process_has_ended(process);
    }
    while (!is_mapped && fgets(line, sizeof(line), file) != NULL) {
        unsigned long long number = 0;

        is_mapped = sscanf(line, "%*s %*s %*s %*s %llu", &number) == 1 && number == inode &&
                    strstr(line, "/memfd:") != NULL;
    }
    is_mapped = is_mapped || ferror(file) != 0;
    fclose(file);
    /* The file of a process that has ended is empty, or another process has its number by now. */
    return is_mapped && !process_has_ended(process);
}

bool process_kill(int process)
{
    return (send_signal(process, SIGKILL) == 0 || errno == ESRCH) && wait_end(process, END_MS);
}
