/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/process.h"

#define LOOK_MS 1000

/* The value of the first line "name : value" of a file, or "unknown". */
static void find_line(const char *path, const char *name, char *value, size_t size_bytes)
{
    char line[512];
    FILE *file = fopen(path, "re");

    snprintf(value, size_bytes, "unknown");
    while (file && fgets(line, sizeof(line), file)) {
        const char *colon = strchr(line, ':');

        if (colon && !strncmp(line, name, strlen(name))) {
            size_t len = strcspn(colon + 2, "\n");

            snprintf(value, size_bytes, "%.*s", (int)len, colon + 2);
            break;
        }
    }
    if (file) {
        fclose(file);
    }
}

/* Jiffies of all CPUs so far, and those of them in which nothing ran. */
static bool read_jiffies(double *all, double *idle)
{
    FILE *file = fopen("/proc/stat", "re");
    double jiffies[8]; /* user, nice, system, idle, iowait, irq, softirq, steal */
    int count = 0;

    if (file) {
        count =
            fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &jiffies[0], &jiffies[1],
                   &jiffies[2], &jiffies[3], &jiffies[4], &jiffies[5], &jiffies[6], &jiffies[7]);
        fclose(file);
    }
    *all = 0;
    for (int i = 0; i < count; i++) {
        *all += jiffies[i];
    }
    *idle = count == 8 ? jiffies[3] + jiffies[4] : 0;
    return count == 8;
}

double machine_busy_percent(int signals_fd)
{
    double all[2], idle[2];

    if (!read_jiffies(&all[0], &idle[0]) || wait_readable(-1, signals_fd, LOOK_MS) < 0 ||
        !read_jiffies(&all[1], &idle[1]) || all[1] <= all[0]) {
        return 0;
    }
    return 100 * (1 - (idle[1] - idle[0]) / (all[1] - all[0]));
}

json_t *machine_describe(void)
{
    const double gib = 1 << 30;
    char model[128], date[64];
    struct utsname name = {0};
    time_t now = time(NULL);
    struct tm parts;
    json_t *machine = json_object();

    find_line("/proc/cpuinfo", "model name", model, sizeof(model));
    uname(&name);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &parts));
    json_object_set_new(machine, "cpu", json_string(model));
    json_object_set_new(machine, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
    json_object_set_new(machine, "kernel",
                        json_sprintf("%s %s %s", name.sysname, name.release, name.machine));
    json_object_set_new(
        machine, "memory_gib",
        json_real((double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / gib));
    json_object_set_new(machine, "time", json_string(date));
    return machine;
}
