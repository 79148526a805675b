/* SPDX-License-Identifier: Apache-2.0 */
/**
 * lu: a matrix as the product of a lower and an upper triangle, in place, without pivoting (the
 * diagonal dominates). Bands of rows are dealt to the ranks in turns, so that all have work to the
 * end. In each step the owner of a band finishes it, then every rank takes it off its rows below.
 *
 * Checked: L (U x) = A x for two vectors x, to 1e-10 of the right side; with --size up to 512 also
 * by the textbook's loop in memory of rank 0's own, where every element must be equal to the last
 * bit: bands change the order between rows, never that of the sums of one element.
 */
#include "job.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BAND 16u
#define TEXTBOOK_MAX 512u

static double element(size_t row, size_t column, size_t side)
{
    return row == column ? (double)side : (double)((row * 7 + column * 19) % 23) / 23.0 - 0.5;
}

/* Take rows [first, last), which are finished, off one row below them. */
static void reduce_row(double *matrix, size_t side, size_t row, size_t first, size_t last)
{
    double *to = matrix + row * side;

    for (size_t k = first; k < last; k++) {
        const double *from = matrix + k * side;
        double factor = to[k] / from[k];

        to[k] = factor;
        for (size_t column = k + 1; column < side; column++) {
            to[column] -= factor * from[column];
        }
    }
}

/* Rows [first, last), from which all rows above are off already. */
static void finish_band(double *matrix, size_t side, size_t first, size_t last)
{
    for (size_t row = first + 1; row < last; row++) {
        reduce_row(matrix, side, row, first, row);
    }
}

static void factorise(struct job *job, double *matrix)
{
    uint32_t side = job->size;

    for (uint32_t first = 0, band = 0; first < side; first += BAND, band++) {
        uint32_t last = first + BAND < side ? first + BAND : side;

        if (band % job->ranks == job->rank) {
            finish_band(matrix, side, first, last);
        }
        job_barrier(job);
        for (uint32_t row = last; row < side; row++) {
            if (row / BAND % job->ranks == job->rank) {
                reduce_row(matrix, side, row, first, last);
            }
        }
    }
}

static bool is_product_right(const double *matrix, size_t side, double *vector)
{
    double *upper = vector + side;
    double worst = 0, largest = 0;

    for (size_t row = 0; row < side; row++) {
        upper[row] = 0;
        for (size_t column = row; column < side; column++) {
            upper[row] += matrix[row * side + column] * vector[column];
        }
    }
    for (size_t row = 0; row < side; row++) {
        double left = upper[row], right = 0;

        for (size_t column = 0; column < side; column++) {
            left += column < row ? matrix[row * side + column] * upper[column] : 0;
            right += element(row, column, side) * vector[column];
        }
        worst = fmax(worst, fabs(left - right));
        largest = fmax(largest, fabs(right));
    }
    return worst <= 1e-10 * largest;
}

static bool is_as_in_textbook(struct job *job, const double *answer)
{
    size_t side = job->size;
    double *matrix = job_private(job, side * side, sizeof(double));

    for (size_t i = 0; i < side * side; i++) {
        matrix[i] = element(i / side, i % side, side);
    }
    for (size_t k = 0; k < side; k++) {
        for (size_t row = k + 1; row < side; row++) {
            reduce_row(matrix, side, row, k, k + 1);
        }
    }
    bool is_same = memcmp(matrix, answer, side * side * sizeof(double)) == 0;
    free(matrix);
    return is_same;
}

static bool is_right(struct job *job, const double *matrix)
{
    size_t side = job->size;
    double *vector = job_private(job, 2 * side, sizeof(double));
    bool right = true;

    for (size_t round = 0; round < 2 && right; round++) {
        for (size_t i = 0; i < side; i++) {
            vector[i] = (double)((i * (31 + round) + 7) % 11) - 5;
        }
        right = is_product_right(matrix, side, vector);
    }
    free(vector);
    return right && (job->size > TEXTBOOK_MAX || is_as_in_textbook(job, matrix));
}

int main(int argc, char **argv)
{
    static const struct job_about about = {
        .name = "lu",
        .type = "f64[]",
        .size_is = "rows and columns of the matrix",
        .size = 1024,
        .size_max = 16384,
        .iterations = 1,
    };
    struct job job;
    double checksum = 0;

    job_open(&job, argc, argv, &about);
    size_t side = job.size;
    double *matrix = job_memory(&job, side * side * sizeof(double));

    for (size_t row = 0; row < side; row++) {
        for (size_t column = 0; row / BAND % job.ranks == job.rank && column < side; column++) {
            matrix[row * side + column] = element(row, column, side);
        }
    }

    job_start(&job);
    factorise(&job, matrix);
    job_stop(&job);

    bool right = job_checks(&job) && is_right(&job, matrix);
    for (size_t i = 0; job.rank == 0 && i < side * side; i++) {
        checksum += matrix[i];
    }
    return job_close(&job, right, checksum);
}
