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
