/* SPDX-License-Identifier: Apache-2.0 */
/* Other programs: found, run, read (the second part of process.h). */
#include "tests/bench/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FINISH_MS 10000

static bool is_program(const char *folder, int folder_bytes, const char *name, char *path,
                       size_t size_bytes)
{
    char found[PATH_MAX];

    snprintf(found, sizeof(found), "%.*s/%s", folder_bytes, folder, name);
    if (access(found, X_OK)) {
        return false;
    }
    if (path) {
        snprintf(path, size_bytes, "%s", found);
    }
    return true;
}

bool find_program(const char *name, char *path, size_t size_bytes)
{
    char self[PATH_MAX - 32], beside[PATH_MAX];
    ssize_t len_bytes = readlink("/proc/self/exe", self, sizeof(self) - 1);
    const char *folders = getenv("PATH");

    if (len_bytes > 0) {
        self[len_bytes] = 0;
        *strrchr(self, '/') = 0;
        snprintf(beside, sizeof(beside), "%s/../agent", self);
        if (is_program(beside, (int)strlen(beside), name, path, size_bytes) ||
            is_program(self, (int)strlen(self), name, path, size_bytes)) {
            return true;
        }
    }
    while (folders && *folders) {
        size_t len = strcspn(folders, ":");

        if (is_program(folders, (int)len, name, path, size_bytes)) {
            return true;
        }
        folders += len + (folders[len] == ':');
    }
    return false;
}

/* In the child: enter the namespace, then become the program. */
static void become(const char *const *argv, int netns, int out, int err, int death_signal)
{
    child_prepare(death_signal);
    if (netns >= 0 && setns(netns, CLONE_NEWNET)) {
        _exit(126);
    }
    if (out >= 0) {
        dup2(out, STDOUT_FILENO);
    }
    if (err >= 0) {
        dup2(err, STDERR_FILENO);
    }
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    dprintf(STDERR_FILENO, "dsm-bench: cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int run_program(const char *const *argv, int netns, bool quiet)
{
    int null = quiet ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
    pid_t pid = fork();

    if (pid == 0) {
        /* What it says is no result of ours: standard output may be read as JSON. */
        become(argv, netns, quiet ? null : STDERR_FILENO, -1, SIGKILL);
    }
    if (null >= 0) {
        close(null);
    }
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "dsm-bench: %s failed:", argv[0]);
        for (const char *const *argument = argv + 1; *argument; argument++) {
            fprintf(stderr, " %s", *argument);
        }
        fprintf(stderr, "\n");
        return -1;
    }
    return 0;
}

int start_program(const char *const *argv, int netns, const char *log_path, pid_t *pid)
{
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

    if (log < 0) {
        return -1;
    }
    pid_t child = fork();
    if (child == 0) {
        become(argv, netns, log, log, SIGTERM);
    }
    close(log);
    if (child < 0) {
        return -1;
    }
    *pid = child;
    return 0;
}

int start_program_piped(const char *const *argv, int netns, pid_t *pid, int *out)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC)) {
        return -1;
    }
    pid_t child = fork();
    if (child == 0) {
        become(argv, netns, ends[1], -1, SIGTERM);
    }
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return -1;
    }
    *pid = child;
    *out = ends[0];
    return 0;
}

/* All that comes until the end. Returns 0 then, -1 when it is full, late or interrupted. */
static int read_text(int fd, int signals_fd, int timeout_ms, char *text, size_t size_bytes)
{
    double end_us = clock_us() + timeout_ms * 1e3;
    size_t len = 0;

    while (len + 1 < size_bytes) {
        double left_us = end_us - clock_us();
        ssize_t count;

        if (left_us <= 0 || wait_readable(fd, signals_fd, (int)(left_us / 1e3) + 1) != 1) {
            return -1;
        }
        count = read(fd, text + len, size_bytes - len - 1);
        if (count <= 0) {
            text[len] = 0;
            return (int)count;
        }
        len += (size_t)count;
    }
    return -1;
}

int read_numbers(const char *const *argv, int signals_fd, int timeout_ms, double *numbers,
                 size_t size, size_t *count)
{
    static const size_t text_bytes = 1 << 20;
    char *text = malloc(text_bytes);
    int out = -1, error = -1;
    size_t found = 0;
    pid_t pid = -1;

    if (text && !start_program_piped(argv, -1, &pid, &out)) {
        error = read_text(out, signals_fd, timeout_ms, text, text_bytes);
        close(out);
        int status = finish_child(pid, error ? SIGTERM : 0, FINISH_MS);
        error = error || status != 0 ? -1 : 0;
    }
    for (char *line = text, *end; !error && found < size; line = end) {
        double number = strtod(line, &end);

        if (end == line) {
            break;
        }
        numbers[found++] = number;
    }
    free(text);
    if (error || found == 0) {
        fprintf(stderr, "dsm-bench: %s gave no numbers\n", argv[0]);
        return -1;
    }
    *count = found;
    return 0;
}
