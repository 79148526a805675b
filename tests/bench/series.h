/* SPDX-License-Identifier: Apache-2.0 */
/** Samples of one measurement, taken in rounds; medians and percentiles of them. */
#ifndef DSM_BENCH_SERIES_H
#define DSM_BENCH_SERIES_H

#include <stddef.h>

/** Rounds of one measurement at most. */
#define ROUNDS_MAX 64

/** All zero is an empty series. */
struct series {
    double *values;
    size_t count, capacity;
    double rounds[ROUNDS_MAX]; /* the median of each round */
    size_t count_rounds;
};

/** Free the samples and make the series empty. */
void series_close(struct series *series);
/**
 * Add a round of samples.
 *
 * Returns 0, or -1 without memory or with more rounds than ROUNDS_MAX.
 */
int series_add_round(struct series *series, const double *values, size_t count);
/** The median of the rounds' medians; 0 without rounds. */
double series_median(const struct series *series);
/** Put all samples in ascending order, without regard to rounds. */
void series_sort(struct series *series);
/** The median of values, which are sorted in place; 0 when there are none. */
double values_median(double *values, size_t count);

#endif
