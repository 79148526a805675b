/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

double clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void ending_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
}

int signals_open(void)
{
    sigset_t set;

    ending_signals(&set);
    if (sigprocmask(SIG_BLOCK, &set, NULL)) {
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void child_prepare(int death_signal)
{
    sigset_t set;

    prctl(PR_SET_PDEATHSIG, death_signal);
    ending_signals(&set);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int wait_readable(int fd, int signals_fd, int timeout_ms)
{
    struct pollfd polls[2] = {{.fd = fd, .events = POLLIN}, {.fd = signals_fd, .events = POLLIN}};
    int count = poll(polls, 2, timeout_ms);

    if (count > 0 && polls[1].revents) {
        return -1;
    }
    return count > 0 && polls[0].revents ? 1 : 0;
}

bool child_has_ended(pid_t pid)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid == pid;
}

int end_child(pid_t pid)
{
    int status = -1;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    kill(pid, SIGTERM);
    if (pidfd < 0 || wait_readable(pidfd, -1, 5000) != 1) {
        kill(pid, SIGKILL);
    }
    if (pidfd >= 0) {
        close(pidfd);
    }
    waitpid(pid, &status, 0);
    return status;
}

int finish_child(pid_t pid, int signal, int timeout_ms)
{
    int status = -1;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (signal) {
        kill(pid, signal);
    }
    if (pidfd >= 0 && wait_readable(pidfd, -1, timeout_ms) == 1) {
        waitpid(pid, &status, 0);
    } else {
        status = end_child(pid);
    }
    if (pidfd >= 0) {
        close(pidfd);
    }
    return status;
}

int pin_process(pid_t pid, const cpu_set_t *cpus)
{
    char path[64];
    int error = 0;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (!tasks) {
        return -1;
    }
    for (struct dirent *entry; (entry = readdir(tasks));) {
        pid_t task = (pid_t)strtol(entry->d_name, NULL, 10);

        if (task > 0 && sched_setaffinity(task, sizeof(*cpus), cpus) && errno != ESRCH) {
            error = -1;
        }
    }
    closedir(tasks);
    return error;
}

uint64_t process_anonymous_bytes(pid_t pid)
{
    char path[64], line[256];
    uint64_t kib = 0;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file) {
        return 0;
    }
    while (fgets(line, sizeof(line), file)) {
        if (!strncmp(line, "RssAnon:", 8)) {
            kib = strtoull(line + 8, NULL, 10);
        }
    }
    fclose(file);
    return kib << 10;
}

void memory_warm(uint64_t len_bytes)
{
    uint8_t *memory =
        mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        return; /* nothing is measured less rightly, only later */
    }
    for (uint64_t offset = 0; offset < len_bytes; offset += 4096) {
        memory[offset] = 1;
    }
    munmap(memory, len_bytes);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    remove(path);
    return 0;
}

void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
