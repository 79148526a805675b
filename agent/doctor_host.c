/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <time.h>

#include "agent/ctl.h"

/* A descriptor for each region, mapping and program; 64 peers; some of the agent's own. */
#define FILES_ENOUGH 4096u
#define FILES_LEAST 256u
#define YEAR_LEAST 2024
#define YEAR_MOST 2100

/** The soft limit of open files of a process, as /proc tells it; false when it cannot be read. */
static bool read_files_limit(long pid, unsigned long long *limit)
{
    char path[64];
    char line[256];
    bool is_found = false;
    snprintf(path, sizeof(path), "/proc/%ld/limits", pid);
    FILE *file = fopen(path, "re");
    if (!file) {
        return false;
    }
    while (!is_found && fgets(line, sizeof(line), file)) {
        static const char label[] = "Max open files";
        if (strncmp(line, label, sizeof(label) - 1) == 0) {
            char *end = NULL;
            const char *start = line + sizeof(label) - 1;
            *limit = strtoull(start, &end, 10);
            if (end == start) {
                *limit = RLIM_INFINITY; /* "unlimited" */
            }
            is_found = true;
        }
    }
    fclose(file);
    return is_found;
}

static void check_files(struct doctor *doctor, long agent_pid)
{
    struct rlimit own;
    unsigned long long limit = 0;
    bool is_agent = agent_pid > 0 && read_files_limit(agent_pid, &limit);
    if (!is_agent) {
        limit = getrlimit(RLIMIT_NOFILE, &own) == 0 ? own.rlim_cur : 0;
    }
    enum doctor_result result = limit >= FILES_ENOUGH  ? DOCTOR_OK
                                : limit >= FILES_LEAST ? DOCTOR_WARN
                                                       : DOCTOR_FAIL;
    doctor_find(doctor, result, "open files", "%s may have %llu descriptors",
                is_agent ? "the agent" : "a process of this user", limit);
    if (result != DOCTOR_OK) {
        doctor_advise(doctor,
                      "each region, mapping and program takes one; set LimitNOFILE=65536 in the "
                      "agent's unit, or ulimit -n 65536 before it is started");
    }
}

static bool read_memory(long long *total, long long *available)
{
    char line[256];
    unsigned found = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    if (!file) {
        return false;
    }
    while (found < 2 && fgets(line, sizeof(line), file)) {
        long long kilobytes;
        if (sscanf(line, "MemTotal: %lld", &kilobytes) == 1) {
            *total = kilobytes * 1024;
            found++;
        } else if (sscanf(line, "MemAvailable: %lld", &kilobytes) == 1) {
            *available = kilobytes * 1024;
            found++;
        }
    }
    fclose(file);
    return found == 2;
}

static void check_memory(struct doctor *doctor, const struct config *config)
{
    char total_text[64];
    char available_text[64];
    char budget_text[64];
    long long total = 0;
    long long available = 0;
    long long budget = (long long)config_budget_bytes(config);
    if (!read_memory(&total, &available)) {
        doctor_find(doctor, DOCTOR_WARN, "memory", "/proc/meminfo cannot be read");
        doctor_advise(doctor, "mount /proc");
        return;
    }
    ctl_size(total, total_text, sizeof(total_text));
    ctl_size(available, available_text, sizeof(available_text));
    ctl_size(budget, budget_text, sizeof(budget_text));
    enum doctor_result result = budget > total       ? DOCTOR_FAIL
                                : budget > available ? DOCTOR_WARN
                                                     : DOCTOR_OK;
    doctor_find(doctor, result, "memory", "the budget is %s; of %s of memory %s are available",
                budget_text, total_text, available_text);
    if (result == DOCTOR_FAIL) {
        doctor_advise(doctor,
                      "set budget in agent.ini below the machine's memory; 0 is half of it");
    } else if (result == DOCTOR_WARN) {
        doctor_advise(doctor,
                      "other programs (or the agent already) use it; a budget below what is "
                      "available keeps the kernel from killing programs");
    }
}

static void check_clock(struct doctor *doctor)
{
    struct timex timex = {0};
    struct tm tm;
    time_t now = time(NULL);
    int state = adjtimex(&timex);
    char text[64] = "?";
    if (!gmtime_r(&now, &tm)) {
        memset(&tm, 0, sizeof(tm));
    }
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
    bool is_year_good = tm.tm_year + 1900 >= YEAR_LEAST && tm.tm_year + 1900 <= YEAR_MOST;
    if (!is_year_good) {
        doctor_find(doctor, DOCTOR_FAIL, "clock", "it says %s", text);
        doctor_advise(doctor, "certificates are refused with such a date; set it: timedatectl "
                              "set-ntp true");
    } else if (state == -1) {
        doctor_find(doctor, DOCTOR_WARN, "clock", "%s; its state cannot be told: %s", text,
                    strerror(errno));
        doctor_advise(doctor, "see timedatectl");
    } else if (state == TIME_ERROR || (timex.status & STA_UNSYNC)) {
        doctor_find(doctor, DOCTOR_WARN, "clock", "%s, not synchronised", text);
        doctor_advise(doctor, "certificates and logs need the time, the protocol does not; "
                              "timedatectl set-ntp true, or install chrony");
    } else {
        doctor_find(doctor, DOCTOR_OK, "clock", "%s, synchronised", text);
    }
}

void doctor_check_host(struct doctor *doctor, const struct config *config, long agent_pid)
{
    check_files(doctor, agent_pid);
    check_memory(doctor, config);
    check_clock(doctor);
}
