/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/report.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bench/machine.h"
#include "tests/bench/process.h"
#include "tests/bench/result.h"

#define ROUNDS_FULL 7u
#define ROUNDS_QUICK 2u
#define BUDGET_FULL_S 540.0
#define BUDGET_QUICK_S 140.0
#define WORKLOAD_S 180.0
#define SPIN_US_DEFAULT 50u /* as an agent that is told nothing */
#define LOCAL_HOSTS 3u

static const char help[] =
    "usage: dsm-bench report [options] [OPERATION... | kernels | satellite]\n"
    "\n"
    "Measures everything, or these, on three hosts made for it, and writes a text, all results\n"
    "and plots. kernels and satellite are the workloads of tests/workloads. Takes root, and ten\n"
    "to fifteen minutes.\n"
    "\n"
    "options\n"
    "  --out DIR     where to; made when it is not there; default dsm-bench-report\n"
    "  --quick       within three minutes: fewer rounds, less memory, agents that sleep only, no\n"
    "                workloads\n"
    "  --rounds N    rounds of operation and limit in turns, 2 to 64\n"
    "  --spin US     for how long agents poll where they do, default 50\n"
    "  --add FILE    lines of JSON from tests/workloads/measure.py --json\n"
    "  --from FILE   do not measure: text and plots of this results.json, or of several together\n"
    "  --help\n"
    "\n"
    "exit status: 0 measured, 1 failed or interrupted (what was measured is written), 2 wrong "
    "usage\n";

struct plan {
    const char *out;
    bool is_quick;
    bool is_made; /* of results that were there: nothing is measured */
    unsigned rounds, spin_us;
    char **names;
    int count_names;
    json_t *report;
    int signals_fd;
    double end_us;
    bool is_interrupted;
};

const char *const report_places[] = {"1cpu", "2cpu", "2cpu-poll", "none", NULL};

const char *report_place_text(const char *place)
{
    static const char *const texts[] = {"1 cpu", "2 cpu", "polling", "unpinned"};

    for (int i = 0; report_places[i]; i++) {
        if (!strcmp(report_places[i], place)) {
            return texts[i];
        }
    }
    return place;
}

json_t *report_find(const json_t *report, const char *op, const char *place)
{
    json_t *results = json_object_get(report, "results"), *result;
    size_t i;

    json_array_foreach(results, i, result)
    {
        if (!strcmp(report_string(result, "op"), op) &&
            !strcmp(report_string(result, "pinning"), place)) {
            return result;
        }
    }
    return NULL;
}

double report_number(const json_t *result, const char *name)
{
    return json_number_value(json_object_get(result, name));
}

const char *report_string(const json_t *result, const char *name)
{
    const char *text = json_string_value(json_object_get(result, name));

    return text ? text : "";
}

/* Written beside it first: who reads it while we measure finds all of an older one. */
static int save_results(const struct plan *plan)
{
    char path[PATH_MAX], fresh[PATH_MAX];

    snprintf(path, sizeof(path), "%s/results.json", plan->out);
    snprintf(fresh, sizeof(fresh), "%s/results.json.new", plan->out);
    if (json_dump_file(plan->report, fresh, JSON_INDENT(1)) || rename(fresh, path)) {
        fprintf(stderr, "dsm-bench: %s: %s\n", path, strerror(errno));
        return -1;
    }
    return 0;
}

static void leave_out(struct plan *plan, const char *name, const char *place, const char *why)
{
    json_array_append_new(json_object_get(plan->report, "left_out"),
                          json_pack("{s:s, s:s, s:s}", "op", name, "pinning", place, "why", why));
}

static bool is_wanted(const struct plan *plan, const struct op *op)
{
    bool wanted = plan->count_names == 0;

    for (int i = 0; i < plan->count_names; i++) {
        wanted |= !strcmp(plan->names[i], op->name);
    }
    return wanted;
}

/* Is the operation measured where the processes are put now? */
static bool belongs(const struct plan *plan, const struct bench *bench, const struct op *op,
                    enum pinning pinning)
{
    if (!is_wanted(plan, op) || (op->needs_2cpu && pinning == PIN_1CPU)) {
        return false;
    }
    if (bench->agents_poll) {
        return pinning == PIN_2CPU && !op->is_unpinned;
    }
    if (op->is_unpinned) {
        return pinning == PIN_NONE;
    }
    if (plan->is_quick) {
        return pinning == PIN_2CPU || (pinning == PIN_1CPU && !op->is_detail);
    }
    return true;
}

/* Returns 0, also when there is nothing to measure; -1 when the hosts are of no more use. */
static int measure_one(struct plan *plan, struct bench *bench, const struct op *op,
                       enum pinning pinning)
{
    struct result result;
    char place[32];

    if (bench_pin(bench, pinning)) {
        leave_out(plan, op->name, pinning_name(pinning), "too few CPUs");
        return 0;
    }
    result_place(bench, place);
    if (clock_us() > plan->end_us) {
        leave_out(plan, op->name, place, "the time was over");
        return 0;
    }
    fprintf(stderr, "%s, %s\n", op->name, report_place_text(place));
    int error = op_run(bench, op, &result);
    if (error == RUN_MISSING) {
        leave_out(plan, op->name, place, "not installed");
        return 0;
    }
    if (error) {
        plan->is_interrupted = wait_readable(-1, plan->signals_fd, 0) < 0;
        leave_out(plan, op->name, place, plan->is_interrupted ? "interrupted" : "failed");
        return -1;
    }
    json_array_append_new(json_object_get(plan->report, "results"), result_to_json(bench, &result));
    result_close(&result);
    return save_results(plan);
}

/* All operations from index on, on new hosts. Returns the index of the next one: after a failure
 * the hosts are made anew. */
static unsigned measure_from(struct plan *plan, unsigned index, unsigned spin_us)
{
    struct hosts hosts;
    struct bench bench;
    const struct op *op;
    bool failed = hosts_open_local(&hosts, LOCAL_HOSTS, spin_us, plan->signals_fd) != 0;

    if (failed) {
        plan->is_interrupted = true; /* nothing else would do better */
        return index;
    }
    failed = bench_open(&bench, &hosts, plan->rounds) != 0;
    if (failed) {
        hosts_close(&hosts, true);
        plan->is_interrupted = true;
        return index;
    }
    bench.agents_poll = spin_us > 0;
    bench.is_quick = plan->is_quick;
    for (; !failed && (op = op_get(index)); index++) {
        for (enum pinning pinning = 0; pinning < PIN_COUNT && !failed; pinning++) {
            failed =
                belongs(plan, &bench, op, pinning) && measure_one(plan, &bench, op, pinning) != 0;
        }
    }
    /* Who measures limits has connected in the same way as the agents have. */
    json_object_set_new(json_object_get(plan->report, "machine"), "cipher",
                        json_string(bench_worker(&bench, HOST_B, 0)->board->cipher));
    bench_close(&bench);
    hosts_close(&hosts, failed && !plan->is_interrupted);
    return index;
}

static void measure_all(struct plan *plan)
{
    unsigned ways = plan->is_quick ? 1 : 2;

    for (unsigned way = 0; way < ways && !plan->is_interrupted; way++) {
        unsigned index = 0;

        while (op_get(index) && !plan->is_interrupted) {
            index = measure_from(plan, index, way == 0 ? 0 : plan->spin_us);
        }
    }
}

static bool has_operation(const struct plan *plan)
{
    bool has = false;

    for (int i = 0; i < plan->count_names; i++) {
        has |= op_find(plan->names[i]) != NULL;
    }
    return has;
}

static const char *const workloads[] = {"kernels", "satellite"};
#define WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

static bool is_workload(const char *name)
{
    bool is = false;

    for (size_t i = 0; i < WORKLOADS; i++) {
        is |= !strcmp(workloads[i], name);
    }
    return is;
}

static void measure_workloads(struct plan *plan)
{
    bool all = plan->count_names == 0 && !plan->is_quick;

    for (size_t i = 0; i < WORKLOADS; i++) {
        bool is_named = all;

        for (int k = 0; k < plan->count_names; k++) {
            is_named |= !strcmp(plan->names[k], workloads[i]);
        }
        if (is_named && !plan->is_interrupted &&
            report_run_workloads(plan->report, workloads[i], plan->signals_fd,
                                 clock_us() + WORKLOAD_S * 1e6)) {
            leave_out(plan, workloads[i], "2cpu", "it said why, or its time was over");
            plan->is_interrupted = wait_readable(-1, plan->signals_fd, 0) < 0;
        }
    }
}

static int write_all(const struct plan *plan)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/report.txt", plan->out);
    FILE *file = fopen(path, "we");
    if (!file) {
        perror(path);
        return -1;
    }
    report_write_text(plan->report, file);
    if (fclose(file)) {
        perror(path);
        return -1;
    }
    int drawn = report_plot(plan->report, plan->out);
    printf("%s\n", path);
    if (drawn > 0) {
        printf("%s has %d plots, as PNG and as SVG\n", plan->out, drawn);
    }
    return drawn < 0 ? -1 : 0;
}

static int refuse(const char *what, const char *value)
{
    fprintf(stderr, "dsm-bench report: %s%s; dsm-bench report --help tells more\n", what, value);
    return 2;
}

static bool parse_number(const char *text, unsigned long min, unsigned long max, unsigned *number)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (end == text || *end || text[0] == '-' || value < min || value > max) {
        return false;
    }
    *number = (unsigned)value;
    return true;
}

/* Add what another report has to this one; machine, rounds and times are those of the first. */
static int add_report(json_t *report, const char *path)
{
    static const char *const arrays[] = {"results", "left_out", "workloads"};
    json_error_t error;
    json_t *loaded = json_load_file(path, 0, &error);

    if (!json_is_array(json_object_get(loaded, "results"))) {
        fprintf(stderr, "dsm-bench: %s is no results.json: %s\n", path, error.text);
        json_decref(loaded);
        return -1;
    }
    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
        json_t *more = json_object_get(loaded, arrays[i]);

        if (json_is_array(more)) {
            json_array_extend(json_object_get(report, arrays[i]), more);
        }
    }
    json_object_update_missing(json_object_get(report, "machine"),
                               json_object_get(loaded, "machine"));
    json_object_update_missing(report, loaded);
    json_decref(loaded);
    return 0;
}

/* Returns 0, a number above 0 as exit status, or -1 after --help. */
static int parse_options(int argc, char **argv, struct plan *plan)
{
    static const struct option known[] = {
        {"out", required_argument, NULL, 'o'},    {"quick", no_argument, NULL, 'q'},
        {"rounds", required_argument, NULL, 'r'}, {"spin", required_argument, NULL, 's'},
        {"add", required_argument, NULL, 'a'},    {"from", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int letter;

    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (letter) {
        case 'o':
            plan->out = optarg;
            break;
        case 'q':
            plan->is_quick = true;
            break;
        case 'f':
            plan->is_made = true;
            if (add_report(plan->report, optarg)) {
                return 1;
            }
            break;
        case 'a':
            if (report_add_lines(plan->report, optarg)) {
                return 1;
            }
            break;
        case 'r':
            if (!parse_number(optarg, ROUNDS_QUICK, ROUNDS_MAX, &plan->rounds)) {
                return refuse("--rounds is a number from 2 to 64, not ", optarg);
            }
            break;
        case 's':
            if (!parse_number(optarg, 1, 1000000, &plan->spin_us)) {
                return refuse("--spin is a number of microseconds, not ", optarg);
            }
            break;
        case 'h':
            fputs(help, stdout);
            return -1;
        default:
            return 2;
        }
    }
    plan->names = argv + optind;
    plan->count_names = argc - optind;
    for (int i = 0; i < plan->count_names; i++) {
        if (!op_find(plan->names[i]) && !is_workload(plan->names[i])) {
            return refuse("there is no operation ", plan->names[i]);
        }
    }
    return 0;
}

static int report_measured(struct plan *plan)
{
    double begin_us = clock_us();

    plan->rounds = plan->rounds ? plan->rounds : plan->is_quick ? ROUNDS_QUICK : ROUNDS_FULL;
    plan->end_us = begin_us + (plan->is_quick ? BUDGET_QUICK_S : BUDGET_FULL_S) * 1e6;
    json_object_set_new(plan->report, "machine", machine_describe());
    json_object_set_new(plan->report, "rounds", json_integer(plan->rounds));
    json_object_set_new(plan->report, "spin_us", json_integer(plan->spin_us));
    plan->signals_fd = signals_open();
    if (plan->signals_fd < 0) {
        perror("dsm-bench: signalfd");
        return -1;
    }
    double busy = machine_busy_percent(plan->signals_fd);
    if (plan->count_names == 0 || has_operation(plan)) {
        measure_all(plan);
    }
    measure_workloads(plan);
    double busy_after = machine_busy_percent(plan->signals_fd);
    json_object_set_new(json_object_get(plan->report, "machine"), "busy_percent",
                        json_real(busy > busy_after ? busy : busy_after));
    json_object_set_new(plan->report, "seconds", json_real((clock_us() - begin_us) / 1e6));
    close(plan->signals_fd);
    return save_results(plan) || plan->is_interrupted ? -1 : 0;
}

int bench_report(int argc, char **argv)
{
    struct plan plan = {.out = "dsm-bench-report", .spin_us = SPIN_US_DEFAULT};
    int error;

    plan.report =
        json_pack("{s:{}, s:[], s:[], s:[]}", "machine", "results", "left_out", "workloads");
    error = parse_options(argc, argv, &plan);
    if (error == 0 && mkdir(plan.out, 0777) && errno != EEXIST) {
        fprintf(stderr, "dsm-bench: %s: %s\n", plan.out, strerror(errno));
        error = 1;
    }
    if (error == 0) {
        error = !plan.is_made && report_measured(&plan) ? 1 : 0;
        bool has_any = json_array_size(json_object_get(plan.report, "results")) > 0 ||
                       json_array_size(json_object_get(plan.report, "workloads")) > 0;

        if (has_any && write_all(&plan)) {
            error = 1;
        }
    }
    json_decref(plan.report);
    return error < 0 ? 0 : error;
}
