/* SPDX-License-Identifier: Apache-2.0 */
/**
 * sor: Laplace's equation by successive over-relaxation, red and black cells in turns. Each rank
 * has a band of rows, and reads one row of each neighbour's. A red cell needs black neighbours only
 * and the other way round, so that one grid is enough, with a barrier after each colour.
 *
 * Checked: rank 0 does the same alone, in memory of its own; all of the grid must be equal to the
 * last bit.
 */
#include "job.h"

#include <stdlib.h>
#include <string.h>

#define OMEGA 1.5

/* Rows [first, last) as they are at the beginning. */
static void fill(double *grid, size_t side, size_t first, size_t last)
{
    for (size_t row = first; row < last; row++) {
        for (size_t column = 0; column < side; column++) {
            grid[row * side + column] = (double)((row * 37 + column * 101) % 509) / 509.0;
        }
    }
}

/* Relax the cells of one colour in rows [first, last). */
static void relax(double *grid, size_t side, size_t first, size_t last, uint32_t colour)
{
    for (size_t row = first; row < last; row++) {
        double *here = grid + row * side;
        const double *above = here - side, *below = here + side;
        for (size_t column = 1 + (row + colour + 1) % 2; column + 1 < side; column += 2) {
            double mean =
                0.25 * (above[column] + below[column] + here[column - 1] + here[column + 1]);
            here[column] += OMEGA * (mean - here[column]);
        }
    }
}

static bool is_right(struct job *job, const double *answer)
{
    size_t side = job->size;
    double *grid = job_private(job, side * side, sizeof(double));

    fill(grid, side, 0, side);
    for (uint32_t i = 0; i < 2 * job->iterations; i++) {
        relax(grid, side, 1, side - 1, i % 2);
    }
    bool is_same = memcmp(answer, grid, side * side * sizeof(double)) == 0;
    free(grid);
    return is_same;
}

int main(int argc, char **argv)
{
    static const struct job_about about = {
        .name = "sor",
        .type = "f64[]",
        .size_is = "rows and columns of the grid, its border included",
        .size = 2048,
        .size_max = 32768,
        .iterations = 20,
        .has_iterations = true,
    };
    struct job job;
    uint32_t first, last;
    double checksum = 0;

    job_open(&job, argc, argv, &about);
    size_t side = job.size;
    job_prefer_pages(&job, side * sizeof(double));
    double *grid = job_memory(&job, side * side * sizeof(double));

    job_share(&job, job.size - 2, &first, &last);
    fill(grid, side, job.rank == 0 ? 0 : first + 1, job.rank + 1 == job.ranks ? side : last + 1);

    job_start(&job);
    for (uint32_t i = 0; i < 2 * job.iterations; i++) {
        relax(grid, side, first + 1, last + 1, i % 2);
        job_barrier(&job);
    }
    job_stop(&job);

    bool right = job_checks(&job) && is_right(&job, grid);
    for (size_t i = 0; job.rank == 0 && i < side * side; i++) {
        checksum += grid[i];
    }
    return job_close(&job, right, checksum);
}
