/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/series.h"

#include <stdlib.h>
#include <string.h>

void series_close(struct series *series)
{
    free(series->values);
    memset(series, 0, sizeof(*series));
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

double values_median(double *values, size_t count)
{
    if (count == 0) {
        return 0;
    }
    qsort(values, count, sizeof(*values), compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

int series_add_round(struct series *series, const double *values, size_t count)
{
    if (series->count_rounds == ROUNDS_MAX) {
        return -1;
    }
    if (series->count + count > series->capacity) {
        size_t capacity = (series->count + count) * 2;
        double *grown = realloc(series->values, capacity * sizeof(*grown));

        if (!grown) {
            return -1;
        }
        series->values = grown;
        series->capacity = capacity;
    }
    double *round = series->values + series->count;
    memcpy(round, values, count * sizeof(*values));
    series->rounds[series->count_rounds++] = values_median(round, count);
    series->count += count;
    return 0;
}

double series_median(const struct series *series)
{
    double rounds[ROUNDS_MAX];

    memcpy(rounds, series->rounds, series->count_rounds * sizeof(*rounds));
    return values_median(rounds, series->count_rounds);
}

void series_sort(struct series *series)
{
    if (series->count > 0) {
        qsort(series->values, series->count, sizeof(*series->values), compare_doubles);
    }
}
