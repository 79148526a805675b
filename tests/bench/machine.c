/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

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
