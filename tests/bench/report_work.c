/* SPDX-License-Identifier: Apache-2.0 */
/* The workloads' part of a report: tests/workloads/measure.py measures, we read its lines. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/process.h"
#include "tests/bench/report.h"

#define LINE_BYTES 8192u
#define FINISH_MS 30000

/* A line of JSON; others are passed over. */
static void add_line(json_t *report, const char *line)
{
    json_t *object = json_loads(line, 0, NULL);

    if (json_is_object(object)) {
        json_array_append(json_object_get(report, "workloads"), object);
    }
    json_decref(object);
}

int report_add_lines(json_t *report, const char *path)
{
    FILE *file = fopen(path, "re");
    char line[LINE_BYTES];

    if (!file) {
        fprintf(stderr, "dsm-bench: %s: %s\n", path, strerror(errno));
        return -1;
    }
    while (fgets(line, sizeof(line), file)) {
        add_line(report, line);
    }
    fclose(file);
    return 0;
}

/* The folder that has tests/dsm-bench: where this program was built. */
static void find_build(char path[PATH_MAX])
{
    char self[PATH_MAX] = "";
    ssize_t len_bytes = readlink("/proc/self/exe", self, sizeof(self) - 1);

    self[len_bytes > 0 ? len_bytes : 0] = 0;
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(self, '/');

        if (slash) {
            *slash = 0;
        }
    }
    snprintf(path, PATH_MAX, "%s", self);
}

/* Its lines, as they come. Returns 0 at their end, -1 after a signal or when the time is over. */
static int read_lines(json_t *report, int fd, int signals_fd, double end_us)
{
    char text[LINE_BYTES] = "";
    size_t len = 0;

    for (;;) {
        double left_ms = (end_us - clock_us()) / 1e3;
        char *newline;

        if (left_ms < 1 || wait_readable(fd, signals_fd, (int)left_ms) != 1) {
            return -1;
        }
        ssize_t count = read(fd, text + len, sizeof(text) - 1 - len);
        if (count <= 0) {
            return 0;
        }
        len += (size_t)count;
        text[len] = 0;
        while ((newline = strchr(text, '\n'))) {
            *newline = 0;
            add_line(report, text);
            len -= (size_t)(newline + 1 - text);
            memmove(text, newline + 1, len + 1);
        }
        if (len == sizeof(text) - 1) {
            return -1;
        }
    }
}

int report_run_workloads(json_t *report, const char *workload, int signals_fd, double end_us)
{
    char build[PATH_MAX];
    pid_t pid;
    int out;

    find_build(build);
    const char *const argv[] = {"python3", "-B",     BENCH_WORKLOADS, "--build",
                                build,     "--json", workload,        NULL};
    if (access(BENCH_WORKLOADS, R_OK) || !find_program("python3", NULL, 0)) {
        fprintf(stderr, "dsm-bench: workloads left out: no %s or no python3 here\n",
                BENCH_WORKLOADS);
        return 1;
    }
    fprintf(stderr, "workloads: %s\n", workload);
    if (start_program_piped(argv, -1, &pid, &out)) {
        return -1;
    }
    int error = read_lines(report, out, signals_fd, end_us);
    close(out);
    /* It takes its hosts down in good order when it is interrupted. */
    int status = finish_child(pid, error ? SIGINT : 0, FINISH_MS);
    if (error || status != 0) {
        fprintf(stderr, "dsm-bench: %s was not measured to its end\n", workload);
        return -1;
    }
    return 0;
}
