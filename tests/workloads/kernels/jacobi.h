/* SPDX-License-Identifier: Apache-2.0 */
/** The arithmetic of Jacobi's method, the same over shared memory and over MPI. */
#ifndef KERNELS_JACOBI_H
#define KERNELS_JACOBI_H

#include <stddef.h>

/** What cell (row, column) is before the first sweep; the border stays so. */
static inline double jacobi_begin(size_t row, size_t column)
{
    return (double)((row * 131 + column * 71) % 1021) / 1021.0;
}

/** Rows [first, last) of a square grid, in both of its copies, before the first sweep. */
static inline void jacobi_fill(double *even, double *odd, size_t side, size_t first, size_t last,
                               size_t row_of_first)
{
    for (size_t row = first; row < last; row++) {
        for (size_t column = 0; column < side; column++) {
            double value = jacobi_begin(row - first + row_of_first, column);
            even[row * side + column] = value;
            odd[row * side + column] = value;
        }
    }
}

/** Each inner cell of rows [first, last) becomes the mean of its four neighbours. */
static inline void jacobi_sweep(const double *from, double *to, size_t side, size_t first,
                                size_t last)
{
    for (size_t row = first; row < last; row++) {
        const double *here = from + row * side;
        const double *above = here - side, *below = here + side;
        double *result = to + row * side;
        for (size_t column = 1; column + 1 < side; column++) {
            result[column] =
                0.25 * (above[column] + below[column] + here[column - 1] + here[column + 1]);
        }
    }
}

/** The sum of rows [first, last), row by row. */
static inline double jacobi_sum(const double *grid, size_t side, size_t first, size_t last)
{
    double sum = 0;
    for (size_t i = first * side; i < last * side; i++) {
        sum += grid[i];
    }
    return sum;
}

#endif
