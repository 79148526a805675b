/* SPDX-License-Identifier: Apache-2.0 */
/**
 * mm: the product of two square matrices, C = A B. Each rank computes a band of rows of C from the
 * same rows of A and all of B, which every rank reads and nobody writes.
 *
 * Checked: C x = A (B x) for two vectors x (Freivalds 1979). All numbers are small integers, so
 * that every sum is exact in double, and the two sides must be equal, not nearly so.
 */
#include "job.h"

#include <stdlib.h>

/* Rows of A and columns of B at once: what is worked on stays in the cache. */
#define BLOCK 64u

static void fill(double *matrix, size_t side, size_t first, size_t last, size_t seed)
{
    for (size_t row = first; row < last; row++) {
        for (size_t column = 0; column < side; column++) {
            matrix[row * side + column] = (double)((row * 7 + column * 13 + seed) % 17) - 8;
        }
    }
}

/* Rows [first, last) of C, which are zero. */
static void multiply(const double *a, const double *b, double *c, size_t side, size_t first,
                     size_t last)
{
    for (size_t middle = 0; middle < side; middle += BLOCK) {
        size_t end = middle + BLOCK < side ? middle + BLOCK : side;
        for (size_t row = first; row < last; row++) {
            double *to = c + row * side;
            for (size_t k = middle; k < end; k++) {
                const double *from = b + k * side;
                double factor = a[row * side + k];
                for (size_t column = 0; column < side; column++) {
                    to[column] += factor * from[column];
                }
            }
        }
    }
}

static void times_vector(const double *matrix, const double *vector, double *result, size_t side)
{
    for (size_t row = 0; row < side; row++) {
        result[row] = 0;
        for (size_t column = 0; column < side; column++) {
            result[row] += matrix[row * side + column] * vector[column];
        }
    }
}

static bool is_right(struct job *job, const double *a, const double *b, const double *c)
{
    size_t side = job->size;
    double *vector = job_private(job, 4 * side, sizeof(double));
    double *b_vector = vector + side, *left = b_vector + side, *right = left + side;
    bool is_same = true;

    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < side; i++) {
            vector[i] = (double)((i * (29 + 2 * round) + 11) % 7) - 3;
        }
        times_vector(b, vector, b_vector, side);
        times_vector(a, b_vector, left, side);
        times_vector(c, vector, right, side);
        for (size_t i = 0; i < side; i++) {
            is_same = is_same && left[i] == right[i];
        }
    }
    free(vector);
    return is_same;
}

int main(int argc, char **argv)
{
    static const struct job_about about = {
        .name = "mm",
        .type = "f64[]",
        .size_is = "rows and columns of the matrices",
        .size = 1024,
        .size_max = 16384,
        .iterations = 1,
    };
    struct job job;
    uint32_t first, last;
    double checksum = 0;

    job_open(&job, argc, argv, &about);
    size_t side = job.size, cells = side * side;
    double *a = job_memory(&job, 3 * cells * sizeof(double));
    double *b = a + cells, *c = b + cells;

    job_share(&job, job.size, &first, &last);
    fill(a, side, first, last, 1);
    fill(b, side, first, last, 5);

    job_start(&job);
    multiply(a, b, c, side, first, last);
    job_stop(&job);

    bool right = job_checks(&job) && is_right(&job, a, b, c);
    for (size_t i = 0; job.rank == 0 && i < cells; i++) {
        checksum += c[i] * (double)(i % 3 + 1);
    }
    return job_close(&job, right, checksum);
}
