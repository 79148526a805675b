/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dsm-bench report: everything is measured, and told in a text, a file of results and plots.
 *
 * What is known is one JSON object, which results.json is: machine, rounds, spin_us, results (as
 * result_to_json() makes them), left_out ({op, pinning, why}), workloads (lines of
 * tests/workloads/measure.py). Text and plots are made from nothing else.
 */
#ifndef DSM_BENCH_REPORT_H
#define DSM_BENCH_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/** As main(), with argv[0] the word "report". */
int bench_report(int argc, char **argv);

/** Places in the order in which they are told; NULL after the last. */
extern const char *const report_places[];
/** A place in words. */
const char *report_place_text(const char *place);
/** The result of an operation at a place, borrowed from the report; NULL: there is none. */
json_t *report_find(const json_t *report, const char *op, const char *place);
/** A number of a result; 0 when there is none. */
double report_number(const json_t *result, const char *name);
/** A text of a result; "" when there is none. */
const char *report_string(const json_t *result, const char *name);

/** Add a file's lines of JSON to the workloads. Returns 0 or -1 after a line on standard error. */
int report_add_lines(json_t *report, const char *path);
/**
 * Have tests/workloads/measure.py measure, and add what it prints.
 *
 * Returns 0; 1 when it is not there, -1 when it failed, was interrupted, or the time was over,
 * after a line on standard error; what it had printed until then is added.
 */
int report_run_workloads(json_t *report, const char *workload, int signals_fd, double end_us);

/** Write the text. */
void report_write_text(const json_t *report, FILE *file);
/**
 * Write a gnuplot script for each plot that there is something for, and have it drawn as PNG and
 * SVG where gnuplot is installed.
 *
 * Returns how many were drawn, -1 after a line on standard error.
 */
int report_plot(const json_t *report, const char *directory);

#endif
