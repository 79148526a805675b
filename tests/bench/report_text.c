/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a report: first all targets in one table, then each operation by itself. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "tests/bench/report.h"

#define NAME_WIDTH 18
#define TARGET_WIDTH 30
#define VALUE_WIDTH 26
#define LINE_WIDTH 96
/** Of a list of operations. */
#define TEXT_BYTES 8192

/* A number with as many digits as tell something. */
static const char *short_number(double number, char text[32])
{
    int digits = number >= 1000 || number == 0 ? 0 : number >= 100 ? 1 : number >= 1 ? 2 : 3;

    snprintf(text, 32, "%.*f", digits, number);
    return text;
}

/* Words in lines, all of them indented; it begins where a line does, and ends it. */
static void write_wrapped(const char *text, unsigned indent, FILE *file)
{
    size_t column = 0;

    while (*text) {
        size_t len = strcspn(text, " ");

        if (column > 0 && column + 1 + len > LINE_WIDTH) {
            fputc('\n', file);
            column = 0;
        }
        fprintf(file, "%*s%.*s", column > 0 ? 1 : (int)indent, "", (int)len, text);
        column += len + (column > 0 ? 1 : indent);
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', file);
}

static __attribute__((format(printf, 2, 3))) void add_text(char text[TEXT_BYTES],
                                                           const char *format, ...)
{
    size_t len = strlen(text);
    va_list values;

    va_start(values, format);
    vsnprintf(text + len, TEXT_BYTES - len, format, values);
    va_end(values);
}

static void write_machine(const json_t *report, FILE *file)
{
    const json_t *machine = json_object_get(report, "machine");

    fprintf(file, "dsm-bench report, %s\n\n", report_string(machine, "time"));
    fprintf(file, "machine   %s, %.0f CPUs, %.0f GiB, %s\n", report_string(machine, "cpu"),
            report_number(machine, "cpus"), report_number(machine, "memory_gib"),
            report_string(machine, "kernel"));
    if (json_is_number(json_object_get(machine, "busy_percent"))) {
        fprintf(
            file,
            "busy      %.0f %% of its CPUs' time with other programs, just before or after: who\n"
            "          polls gives the CPU to them, and each p99 has them in it\n",
            report_number(machine, "busy_percent"));
    }
    fprintf(file, "network   three hosts (network namespaces) joined by veth pairs; TLS 1.3, %s\n",
            report_string(machine, "cipher"));
    fprintf(file,
            "rounds    %.0f of each operation, in turns with its limit, after one to warm up\n",
            report_number(report, "rounds"));
    fputs("\n"
          "1 cpu     all processes of all hosts on one CPU: nobody sleeps deeply, nobody polls\n"
          "2 cpu     hosts a and c on one CPU, host b on another; who waits sleeps, and to wake a\n"
          "          CPU is a large part of each figure\n",
          file);
    fprintf(file,
            "polling   the same, but agents poll for %.0f us before they sleep; compared with\n"
            "          limits whose ends poll too\n",
            report_number(report, "spin_us"));
    fputs("unpinned  wherever the kernel puts them: operation and limit may run on different\n"
          "          CPUs, so that their ratio says little\n\n"
          "Medians are those of the rounds' medians. Memory is touched before each operation:\n"
          "what was idle may be with the machine below this one, and slow when it is used first.\n"
          "Figures at different places are not to be compared with one another.\n\n",
          file);
}

static bool is_target(const json_t *result)
{
    return report_string(result, "target")[0] != 0;
}

/* The first result of each operation, in the order in which they were measured. */
static bool is_first(const json_t *results, size_t index)
{
    const char *op = report_string(json_array_get(results, index), "op");

    for (size_t i = 0; i < index; i++) {
        if (!strcmp(report_string(json_array_get(results, i), "op"), op)) {
            return false;
        }
    }
    return true;
}

/* What the target is about, and whether it was met: "1.27 x met". */
static void write_verdict(const json_t *result, FILE *file)
{
    char value[32] = "", text[96];

    if (!result || !is_target(result)) {
        snprintf(text, sizeof(text), "-");
    } else {
        bool is_ratio = json_is_true(json_object_get(result, "target_is_ratio"));

        short_number(report_number(result, is_ratio ? "ratio" : "median"), value);
        snprintf(text, sizeof(text), "%s %s %s", value,
                 is_ratio ? "x" : report_string(result, "unit"), report_string(result, "verdict"));
    }
    fprintf(file, " %-*s", VALUE_WIDTH, text);
}

/* The one target that a whole program has, which is told with the workloads as well. */
static void write_jacobi(const json_t *workloads, FILE *file)
{
    const json_t *line;
    size_t i;

    fprintf(file, "%-*s %-*s ", NAME_WIDTH, "jacobi", TARGET_WIDTH, "2 hosts faster than 1");
    json_array_foreach(workloads, i, line)
    {
        double speed_up = report_number(line, "speed_up");

        if (!strcmp(report_string(line, "workload"), "jacobi") &&
            report_number(line, "hosts") == 2 && speed_up > 0) {
            fprintf(file, "%.2f times as fast, each host a CPU: %s\n", speed_up,
                    speed_up > 1 ? "met" : "missed");
            return;
        }
    }
    fputs("- (a workload: dsm-bench report kernels)\n", file);
}

static void write_targets(const json_t *report, FILE *file)
{
    const json_t *results = json_object_get(report, "results");
    const json_t *result;
    char target[96];
    size_t i;

    fputs("TARGETS\n\n", file);
    fprintf(file, "%-*s %-*s", NAME_WIDTH, "operation", TARGET_WIDTH, "target");
    for (int k = 0; report_places[k]; k++) {
        fprintf(file, " %-*s", VALUE_WIDTH, report_place_text(report_places[k]));
    }
    fputc('\n', file);
    json_array_foreach(results, i, result)
    {
        const char *op = report_string(result, "op");
        const json_t *polling = report_find(report, op, "2cpu-poll");
        bool has_one = is_target(result), polls = !has_one && polling && is_target(polling);

        if (!is_first(results, i) || !(has_one || polls)) {
            continue;
        }
        /* Where agents poll it may be another one, which stands with the operation. */
        snprintf(target, sizeof(target), "%s%s",
                 report_string(has_one ? result : polling, "target"), polls ? ", polling" : "");
        fprintf(file, "%-*s %-*s", NAME_WIDTH, op, TARGET_WIDTH, target);
        for (int k = 0; report_places[k]; k++) {
            write_verdict(report_find(report, op, report_places[k]), file);
        }
        fputc('\n', file);
    }
    write_jacobi(json_object_get(report, "workloads"), file);
    fputs("\nx: times its limit, which each operation names below. A barrier of 512 hosts and more "
          "is\n"
          "simulated: dsm/core/SCALE.md has its messages and rounds.\n\n",
          file);
}

static void write_place(const json_t *result, const char *place, FILE *file)
{
    const json_t *messages = json_object_get(result, "messages_per_op");
    char median[32], p99[32], limit[32];
    double ratio = report_number(result, "ratio");

    fprintf(file, "  %-10s %10s %10s", report_place_text(place),
            short_number(report_number(result, "median"), median),
            short_number(report_number(result, "p99"), p99));
    if (ratio > 0) {
        fprintf(file, " %10s %7.2f", short_number(report_number(result, "limit"), limit), ratio);
    } else {
        fprintf(file, " %10s %7s", "-", "-");
    }
    if (json_is_number(messages)) {
        fprintf(file, " %9.3f", json_number_value(messages));
    } else {
        fprintf(file, " %9s", "-");
    }
    fprintf(file, "  %s\n", report_string(result, "verdict"));
}

/* The targets of an operation: where agents poll it may be another one. */
static void write_target(const json_t *report, const json_t *first, FILE *file)
{
    const json_t *polling = report_find(report, report_string(first, "op"), "2cpu-poll");
    const char *target = report_string(first, "target"), *other = report_string(polling, "target");

    if (target[0]) {
        fprintf(file, "  target     %s\n", target);
    }
    if (other[0] && strcmp(target, other)) {
        fprintf(file, "  target     %s where agents poll\n", other);
    }
}

/* What others reach, at the same places. */
static void write_peers(const json_t *report, const json_t *first, FILE *file)
{
    const json_t *peers = json_object_get(first, "peers"), *peer;
    size_t i;

    json_array_foreach(peers, i, peer)
    {
        const char *name = json_string_value(peer);
        bool is_there = false;

        fprintf(file, "  beside     %s:", name);
        for (int k = 0; report_places[k]; k++) {
            const json_t *other = report_find(report, name, report_places[k]);
            char text[32];

            if (other) {
                fprintf(file, "%s %s %s (%s)", is_there ? "," : "",
                        short_number(report_number(other, "median"), text),
                        report_string(other, "unit"), report_place_text(report_places[k]));
                is_there = true;
            }
        }
        fprintf(file, "%s\n", is_there ? "" : " not measured");
    }
}

static void write_operation(const json_t *report, const json_t *first, FILE *file)
{
    const char *op = report_string(first, "op"), *limit_is = report_string(first, "limit_is");
    double spin_us = report_number(report, "spin_us");

    fprintf(file, "%s: %s\n", op, report_string(first, "what"));
    write_wrapped(report_string(first, "meaning"), 2, file);
    if (limit_is[0]) {
        fprintf(file, "  limit      %s\n", limit_is);
    }
    write_target(report, first, file);
    fprintf(file, "  %-10s %10s %10s %10s %7s %9s\n", report_string(first, "unit"), "median", "p99",
            "limit", "ratio", "messages");
    for (int k = 0; report_places[k]; k++) {
        const json_t *result = report_find(report, op, report_places[k]);

        if (result) {
            write_place(result, report_places[k], file);
        }
    }
    write_peers(report, first, file);
    fprintf(file, "  again      dsm-bench --local %s", op);
    if (report_find(report, op, "2cpu-poll")) {
        fprintf(file, "; polling: dsm-bench --local --pin 2cpu --spin %.0f %s", spin_us, op);
    }
    fputs("\n\n", file);
}

/* The parallel jobs; of one that is also there by MPI, the target is told. */
static void write_kernels(const json_t *workloads, FILE *file)
{
    bool is_begun = false;
    const json_t *line;
    size_t i;

    json_array_foreach(workloads, i, line)
    {
        is_begun |= json_is_number(json_object_get(line, "seconds"));
    }
    if (!is_begun) {
        return;
    }
    fprintf(file, "%-12s %5s %9s %8s %9s %8s %9s %9s %9s\n", "job", "hosts", "seconds", "speed-up",
            "messages", "MB sent", "in faults", "in calls", "for CPU");
    json_array_foreach(workloads, i, line)
    {
        const char *name = report_string(line, "workload");
        double hosts = report_number(line, "hosts"), speed_up = report_number(line, "speed_up");

        if (!json_is_number(json_object_get(line, "seconds"))) {
            continue;
        }
        fprintf(file, "%-12s %5.0f %9.4f %8.2f", name, hosts, report_number(line, "seconds"),
                speed_up);
        if (json_is_number(json_object_get(line, "messages"))) {
            fprintf(file, " %9.0f %8.2f %9.4f %9.4f %9.4f", report_number(line, "messages"),
                    report_number(line, "bytes") / 1e6, fabs(report_number(line, "in_faults_s")),
                    report_number(line, "in_calls_s"), report_number(line, "for_cpu_s"));
        } else if (hosts == 1) {
            fputs("  one process of its own, without any service", file);
        }
        if (!strcmp(name, "jacobi") && hosts == 2) {
            fprintf(file, "\n  target: faster than on 1 host: %s", speed_up > 1 ? "met" : "missed");
        }
        fputc('\n', file);
    }
    fputs(
        "\nseconds: from the first to the last barrier, the median run. speed-up: against the "
        "same\n"
        "on one host; one host has the service as well, but no page that is not there. "
        "jacobi_mpi:\n"
        "the same arithmetic by MPI over TCP, whose ranks poll. Messages and bytes are of all\n"
        "agents together. in faults: waiting for pages; in calls: in barriers and locks; for CPU:\n"
        "of all that, while others had the CPU; seconds, as means over hosts. Again:\n"
        "tests/workloads/measure.py kernels\n\n",
        file);
}

/* One scene, four analyses, and the ways in which its pixels come. */
static void write_scene(const json_t *workloads, FILE *file)
{
    static const char *const columns[] = {"first_s", "later_s", "first_to_dsm", "later_to_dsm"};
    bool is_begun = false;
    const json_t *line;
    size_t i;

    json_array_foreach(workloads, i, line)
    {
        const char *way = report_string(line, "way");

        if (!way[0]) {
            continue;
        }
        if (!is_begun) {
            fprintf(file, "%-14s %-10s %6s %12s %12s %12s %12s\n", "analysis", "way", "hosts",
                    "first, s", "later, s", "first / dsm", "later / dsm");
            is_begun = true;
        }
        fprintf(file, "%-14s %-10s %6.0f", report_string(line, "task"), way,
                report_number(line, "hosts"));
        for (int k = 0; k < 4; k++) {
            const json_t *number = json_object_get(line, columns[k]);

            if (json_is_number(number)) {
                fprintf(file, " %12.3f", json_number_value(number));
            } else {
                fprintf(file, " %12s", "-");
            }
        }
        fputc('\n', file);
    }
    if (is_begun) {
        fputs("\nTarget: dsm first in later passes, and within 1.2 x of MPI in the first (first / "
              "dsm\n"
              "of mpi at least 0.83). Again: tests/workloads/measure.py --hosts 3 satellite\n\n",
              file);
    }
}

static void write_workloads(const json_t *report, FILE *file)
{
    const json_t *workloads = json_object_get(report, "workloads");

    if (json_array_size(workloads) > 0) {
        fputs(
            "WORKLOADS\n\n"
            "Whole programs, which check their own answers (tests/workloads/README.md). With more\n"
            "hosts than CPUs, hosts share a CPU and cannot be faster than with fewer.\n\n",
            file);
        write_kernels(workloads, file);
        write_scene(workloads, file);
    }
}

/* Is it the first that was left out for this reason? */
static bool is_first_reason(const json_t *left_out, size_t index)
{
    const char *why = report_string(json_array_get(left_out, index), "why");

    for (size_t i = 0; i < index; i++) {
        if (!strcmp(report_string(json_array_get(left_out, i), "why"), why)) {
            return false;
        }
    }
    return true;
}

/* All that was left out for one reason. */
static void write_reason(const json_t *left_out, const char *why, FILE *file)
{
    const char *last = "";
    char text[TEXT_BYTES] = "";
    const json_t *one;
    size_t i;

    add_text(text, "%s:", why);
    json_array_foreach(left_out, i, one)
    {
        const char *op = report_string(one, "op");
        const char *place = report_place_text(report_string(one, "pinning"));

        if (strcmp(report_string(one, "why"), why)) {
            continue;
        }
        if (!strcmp(op, last)) {
            add_text(text, ", %s", place);
        } else {
            add_text(text, "%s %s (%s", last[0] ? ")," : "", op, place);
        }
        last = op;
    }
    add_text(text, ")");
    write_wrapped(text, 2, file);
}

static void write_left_out(const json_t *report, FILE *file)
{
    const json_t *left_out = json_object_get(report, "left_out"), *one;
    size_t i;

    if (json_array_size(left_out) > 0) {
        fputs("NOT MEASURED\n\n", file);
    }
    json_array_foreach(left_out, i, one)
    {
        if (is_first_reason(left_out, i)) {
            write_reason(left_out, report_string(one, "why"), file);
        }
    }
}

void report_write_text(const json_t *report, FILE *file)
{
    const json_t *results = json_object_get(report, "results"), *result;
    size_t i;

    write_machine(report, file);
    if (json_array_size(results) > 0) {
        write_targets(report, file);
        fputs("EACH OPERATION\n\n", file);
    }
    json_array_foreach(results, i, result)
    {
        if (is_first(results, i)) {
            write_operation(report, result, file);
        }
    }
    write_workloads(report, file);
    write_left_out(report, file);
}
