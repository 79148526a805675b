/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plots of a report. Each is a gnuplot script NAME.gp with its data inside, which stays beside
 * NAME.png and NAME.svg: a reader may draw it again in another way.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/process.h"
#include "tests/bench/report.h"
#include "tests/bench/worker.h"

/** Of a plot command. */
#define DRAW_BYTES 4096

/** What the lines of plots look like, in order: told apart without colours as well. */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                      "#56b4e9", "#e69f00", "#000000", "#999999"};
#define COLOURS (sizeof(colours) / sizeof(colours[0]))

/** Misses of all kinds, whose distributions are drawn; what they are compared with is dashed. */
static const struct {
    const char *op, *title;
    bool is_other;
} misses[] = {
    {"fault", "read miss", false},
    {"fault-busy", "read miss, home computes", false},
    {"dirty", "read miss, owner is a third host", false},
    {"upgrade", "write to a page that both read", false},
    {"tls-4k", "TLS round trip, 4 KiB", true},
    {"tls-4k-poll", "TLS round trip, 4 KiB, polling", true},
    {"mpi-get-4k", "MPI_Get 4 KiB (polls, no TLS)", true},
    {"redis-get-4k", "Redis GET 4 KiB (no TLS)", true},
};

/* Add to the plot command, which grows until the script is closed. */
static __attribute__((format(printf, 2, 3))) void add(char draw[DRAW_BYTES], const char *format,
                                                      ...)
{
    size_t len = strlen(draw);
    va_list values;

    va_start(values, format);
    vsnprintf(draw + len, DRAW_BYTES - len, format, values);
    va_end(values);
}

static FILE *script_open(const char *directory, const char *name)
{
    char path[PATH_BYTES * 2];

    snprintf(path, sizeof(path), "%s/%s.gp", directory, name);
    FILE *script = fopen(path, "we");
    if (!script) {
        perror(path);
        return NULL;
    }
    fprintf(script,
            "# gnuplot %s.gp draws %s.png and %s.svg here\n"
            "set encoding utf8\nset grid xtics ytics lt 1 lw 1 lc rgb '#e0e0e0'\nset tics "
            "nomirror\nset border 3\n",
            name, name, name);
    return script;
}

/* The plot command, then for PNG and for SVG; and have it drawn. Returns 1, 0 or -1. */
static int script_close(FILE *script, const char *directory, const char *name, int height)
{
    char command[PATH_BYTES * 2], file[PATH_BYTES];

    fprintf(script,
            "set terminal pngcairo size 1100,%d font 'sans,11' background 'white'\n"
            "set output '%s.png'\neval draw\n"
            "set terminal svg size 1100,%d font 'sans,13' background 'white'\n"
            "set output '%s.svg'\neval draw\nset output\n",
            height, name, height, name);
    if (fclose(script)) {
        perror(directory);
        return -1;
    }
    snprintf(file, sizeof(file), "%s.gp", name);
    snprintf(command, sizeof(command), "cd '%s' && gnuplot %s", directory, file);
    const char *const argv[] = {"sh", "-c", command, NULL};
    if (!find_program("gnuplot", NULL, 0)) {
        return 0;
    }
    return run_program(argv, -1, true) ? -1 : 1;
}

static void write_distribution(FILE *script, unsigned number, const json_t *result)
{
    const json_t *quantiles = json_object_get(result, "quantiles"), *one;
    size_t i;

    fprintf(script, "$d%u << EOD\n", number);
    json_array_foreach(quantiles, i, one)
    {
        fprintf(script, "%g %zu\n", json_number_value(one), i);
    }
    fputs("EOD\n", script);
}

static int plot_latency(const json_t *report, const char *directory, const char *place)
{
    char name[64], draw[DRAW_BYTES] = "";
    unsigned count = 0;
    FILE *script;

    const json_t *fault = report_find(report, "fault", place);
    if (!fault) {
        return 0;
    }
    snprintf(name, sizeof(name), "latency_%s", place);
    script = script_open(directory, name);
    if (!script) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(misses) / sizeof(misses[0]); i++) {
        const json_t *result = report_find(report, misses[i].op, place);

        if (result) {
            write_distribution(script, count, result);
            add(draw, "%s$d%u using 1:2 with lines lw 2.5 dt %s lc rgb \"%s\" title \"%s\"",
                count ? ", " : "plot ", count, misses[i].is_other ? "\"- \"" : "1",
                colours[i % COLOURS], misses[i].title);
            count++;
        }
    }
    double limit = report_number(fault, "limit");
    fprintf(script,
            "set title 'How long single pages take, %s' offset 0,1\nset tmargin 4\n"
            "set logscale x\nset xrange [5:5000]\nset yrange [0:100]\n"
            "set xlabel 'microseconds (logarithmic); what took none had been read ahead'\n"
            "set ylabel '%% of the samples that took no longer'\n"
            "set key inside right bottom Left reverse noenhanced spacing 1.3 samplen 5\n"
            "set arrow 1 from %g, graph 0 to %g, graph 1 nohead lw 1.5 dt 3 lc rgb '#000000'\n"
            "set label 1 'limit of a read miss: %.1f us' at %g, graph 1 center offset 0,0.7\n"
            "draw = '%s'\n",
            report_place_text(place), limit, limit, limit, limit, draw);
    return script_close(script, directory, name, 560);
}

/* Rates in MB/s, as bars: operations beside what they are compared with. */
static int plot_bandwidth(const json_t *report, const char *directory)
{
    static const char *const others[] = {"tls-bulk", "tcp-bulk", "mpi-get-1m"};
    const json_t *results = json_object_get(report, "results"), *result;
    char last[64] = "", draw[DRAW_BYTES] = "";
    unsigned count_ops = 0, count_places = 0;
    bool has_rate[8] = {false};
    size_t i;
    FILE *script = script_open(directory, "bandwidth");

    if (!script) {
        return -1;
    }
    fputs("$rates << EOD\noperation", script);
    for (int k = 0; report_places[k]; k++) {
        fprintf(script, " \"%s\"", report_place_text(report_places[k]));
    }
    fputc('\n', script);
    for (int pass = 0; pass < 2; pass++) {
        json_array_foreach(results, i, result)
        {
            const char *op = report_string(result, "op");
            bool is_other =
                !strcmp(op, others[0]) || !strcmp(op, others[1]) || !strcmp(op, others[2]);

            if (strcmp(report_string(result, "unit"), "MB/s") || !strcmp(op, "memcpy") ||
                !strcmp(op, last) || is_other != (pass == 1)) {
                continue;
            }
            snprintf(last, sizeof(last), "%s", op);
            fprintf(script, "\"%s\"", op);
            for (int k = 0; report_places[k]; k++) {
                const json_t *there = report_find(report, op, report_places[k]);

                fprintf(script, there ? " %g" : " NaN", report_number(there, "median"));
                has_rate[k] |= there != NULL;
            }
            fputc('\n', script);
            count_ops++;
        }
    }
    fputs("EOD\n", script);
    for (unsigned k = 0; report_places[k]; k++) {
        if (!has_rate[k]) {
            continue;
        }
        add(draw, "%s$rates using %u%s title columnheader lc rgb \"%s\"",
            count_places ? ", " : "plot ", k + 2, count_places ? "" : ":xtic(1)", colours[k]);
        count_places++;
    }
    fprintf(script,
            "set title 'Bulk: what is read or written through the service, and beside it bare TLS, "
            "bare TCP, MPI'\n"
            "set style data histogram\nset style histogram clustered gap 1.5\n"
            "set style fill solid 0.85 noborder\nset boxwidth 0.95\n"
            "set ylabel 'MB/s'\nset yrange [0:*]\nset xtics rotate by -30 left\n"
            "set key outside right top vertical\n"
            "draw = '%s'\n",
            draw);
    if (count_ops == 0) {
        fclose(script);
        return 0;
    }
    return script_close(script, directory, "bandwidth", 560);
}

/* Each target: 1 is what was aimed at, less is better, on a logarithmic axis. */
static int plot_targets(const json_t *report, const char *directory)
{
    static const int points[] = {7, 5, 9, 6};
    const json_t *results = json_object_get(report, "results"), *result;
    char names[128][32], draw[DRAW_BYTES] = "";
    unsigned count = 0;
    size_t i;

    json_array_foreach(results, i, result)
    {
        const char *op = report_string(result, "op");
        bool is_known = report_string(result, "target")[0] == 0 || count == 128 ||
                        report_number(result, "target_value") == 0; /* no ratio to it */

        for (unsigned k = 0; k < count && !is_known; k++) {
            is_known = !strcmp(names[k], op);
        }
        if (!is_known) {
            snprintf(names[count++], sizeof(names[0]), "%s", op);
        }
    }
    FILE *script = count > 0 ? script_open(directory, "targets") : NULL;
    if (!script) {
        return count > 0 ? -1 : 0;
    }
    unsigned count_places = 0;
    for (unsigned k = 0; report_places[k]; k++) {
        unsigned count_points = 0;

        fprintf(script, "$p%u << EOD\n", k);
        for (unsigned n = 0; n < count; n++) {
            const json_t *there = report_find(report, names[n], report_places[k]);
            bool is_ratio = json_is_true(json_object_get(there, "target_is_ratio"));
            double value = report_number(there, is_ratio ? "ratio" : "median");
            double part = value / report_number(there, "target_value");
            bool is_min = report_string(there, "target")[0] == '>';

            if (there && value > 0) {
                fprintf(script, "%g %u\n", is_min ? 1 / part : part, count - n);
                count_points++;
            }
        }
        fputs("EOD\n", script);
        if (count_points == 0) {
            continue;
        }
        add(draw, "%s$p%u using 1:2 with points pt %d ps 1.4 lc rgb \"%s\" title \"%s\"",
            count_places++ ? ", " : "plot ", k, points[k % 4], colours[k],
            report_place_text(report_places[k]));
    }
    fputs("set ytics (", script);
    for (unsigned n = 0; n < count; n++) {
        fprintf(script, "%s'%s' %u", n ? ", " : "", names[n], count - n);
    }
    fprintf(script,
            ")\nset title 'Targets: left of the line is met (medians; p99 is in report.txt)'\nset "
            "logscale x\n"
            "set xrange [*<0.5:2<*]\nset yrange [0:%u]\n"
            "set xlabel 'figure / target (for rates: target / figure), logarithmic'\n"
            "set arrow 1 from 1, graph 0 to 1, graph 1 nohead lw 2 lc rgb '#000000'\n"
            "set key outside right top vertical\ndraw = '%s'\n",
            count + 1, draw);
    return script_close(script, directory, "targets", 160 + 28 * (int)count);
}

/* Speed-up of the workloads over the number of hosts. */
static int plot_scaling(const json_t *report, const char *directory)
{
    const json_t *workloads = json_object_get(report, "workloads"), *line, *other;
    char draw[DRAW_BYTES] =
        "plot x with lines lw 1 dt 3 lc rgb \"#000000\" title \"as many times as hosts\"";
    unsigned count = 0;
    size_t i, k;
    FILE *script;

    if (json_array_size(workloads) == 0) {
        return 0;
    }
    script = script_open(directory, "scaling");
    if (!script) {
        return -1;
    }
    json_array_foreach(workloads, i, line)
    {
        const char *name = report_string(line, "workload");

        if (report_number(line, "hosts") != 1 || report_number(line, "speed_up") == 0) {
            continue;
        }
        fprintf(script, "$w%u << EOD\n", count);
        json_array_foreach(workloads, k, other)
        {
            if (!strcmp(report_string(other, "workload"), name)) {
                fprintf(script, "%g %g\n", report_number(other, "hosts"),
                        report_number(other, "speed_up"));
            }
        }
        fputs("EOD\n", script);
        add(draw, ", $w%u using 1:2 with linespoints lw 2 pt %u ps 1.3 lc rgb \"%s\" title \"%s\"",
            count, 4 + count % 10, colours[count % COLOURS], name);
        count++;
    }
    fprintf(script,
            "set title 'Workloads: how much faster than on one host (this machine has %.0f CPUs)'\n"
            "set xlabel 'hosts'\nset xtics 1\nset xrange [0.9:3.1]\nset yrange [0:*]\n"
            "set ylabel 'speed-up'\nset key outside right top vertical noenhanced\n"
            "draw = '%s'\n",
            report_number(json_object_get(report, "machine"), "cpus"), draw);
    return script_close(script, directory, "scaling", 560);
}

/* The same analyses by all ways, first and later passes one above the other. */
static int plot_scene(const json_t *report, const char *directory)
{
    static const char *const tasks[] = {"ndvi", "stencil", "zones", "change"};
    static const char *const ways[] = {"dsm", "mpi", "mpi-kept", "gdal", "redis"};
    static const char *const passes[] = {"first_s", "later_s"};
    const json_t *workloads = json_object_get(report, "workloads"), *line;
    bool is_there = false;
    size_t i;

    json_array_foreach(workloads, i, line)
    {
        is_there |= report_string(line, "way")[0] != 0;
    }
    FILE *script = is_there ? script_open(directory, "scene") : NULL;
    if (!script) {
        return is_there ? -1 : 0;
    }
    for (unsigned pass = 0; pass < 2; pass++) {
        fprintf(script, "$p%u << EOD\ntask", pass);
        for (unsigned w = 0; w < 5; w++) {
            fprintf(script, " %s", ways[w]);
        }
        for (unsigned t = 0; t < 4; t++) {
            fprintf(script, "\n%s", tasks[t]);
            for (unsigned w = 0; w < 5; w++) {
                double seconds = 0;

                json_array_foreach(workloads, i, line)
                {
                    if (!strcmp(report_string(line, "way"), ways[w]) &&
                        !strcmp(report_string(line, "task"), tasks[t])) {
                        seconds = report_number(line, passes[pass]);
                    }
                }
                fprintf(script, " %g", seconds);
            }
        }
        fputs("\nEOD\n", script);
    }
    fputs("set style data histogram\nset style histogram clustered gap 1.5\n"
          "set style fill solid 0.85 noborder\nset boxwidth 0.95\nset ylabel 'seconds'\n"
          "set yrange [0:*]\nset key outside right top vertical noenhanced\n"
          "draw = 'set multiplot layout 2,1; ",
          script);
    for (unsigned pass = 0; pass < 2; pass++) {
        fprintf(script, "set title \"%s\"; plot ",
                pass ? "the same, every later pass"
                     : "Analyses of one scene on three hosts, first pass");
        for (unsigned w = 0; w < 5; w++) {
            fprintf(script, "%s$p%u using %u%s title columnheader lc rgb \"%s\"", w ? ", " : "",
                    pass, w + 2, w ? "" : ":xtic(1)", colours[w]);
        }
        fputs("; ", script);
    }
    fputs("unset multiplot'\n", script);
    return script_close(script, directory, "scene", 760);
}

int report_plot(const json_t *report, const char *directory)
{
    int drawn = 0, result = 0;

    if (!find_program("gnuplot", NULL, 0)) {
        fprintf(stderr, "dsm-bench: gnuplot is not installed: %s has scripts, and no plots\n",
                directory);
    }
    for (int k = 0; report_places[k] && result >= 0; k++) {
        result = plot_latency(report, directory, report_places[k]);
        drawn += result;
    }
    int (*const others[])(const json_t *, const char *) = {plot_bandwidth, plot_targets, plot_scene,
                                                           plot_scaling};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]) && result >= 0; i++) {
        result = others[i](report, directory);
        drawn += result;
    }
    return result < 0 ? -1 : drawn;
}
