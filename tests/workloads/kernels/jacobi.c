/* SPDX-License-Identifier: Apache-2.0 */
/**
 * jacobi: Laplace's equation on a square grid by Jacobi's method. Each rank has a band of rows, and
 * reads one row of each neighbour's. Two copies of the grid, from one into the other in turns, so
 * that a barrier after each sweep is all the order that is needed.
 *
 * Checked: rank 0 does all sweeps again, alone, in memory of its own. Each cell is the same sum in
 * the same order, so that all of the grid must be equal to the last bit.
 */
#include "jacobi.h"

#include <stdlib.h>
#include <string.h>

#include "job.h"

static bool is_right(struct job *job, const double *answer)
{
    size_t side = job->size, cells = side * side;
    double *grid[2] = {job_private(job, cells, sizeof(double)),
                       job_private(job, cells, sizeof(double))};

    jacobi_fill(grid[0], grid[1], side, 0, side, 0);
    for (uint32_t i = 0; i < job->iterations; i++) {
        jacobi_sweep(grid[i % 2], grid[(i + 1) % 2], side, 1, side - 1);
    }
    bool is_same = memcmp(answer, grid[job->iterations % 2], cells * sizeof(double)) == 0;
    free(grid[0]);
    free(grid[1]);
    return is_same;
}

int main(int argc, char **argv)
{
    static const struct job_about about = {
        .name = "jacobi",
        .type = "f64[]",
        .size_is = "rows and columns of the grid, its border included",
        .size = 2048,
        .size_max = 32768,
        .iterations = 50,
        .has_iterations = true,
    };
    struct job job;
    uint32_t first, last;

    job_open(&job, argc, argv, &about);
    size_t side = job.size;
    job_prefer_pages(&job, side * sizeof(double));
    double *memory = job_memory(&job, 2 * side * side * sizeof(double));
    double *grid[2] = {memory, memory + side * side};

    /* Who writes a row first owns it; the border's rows belong to the ranks next to them. */
    job_share(&job, job.size - 2, &first, &last);
    jacobi_fill(grid[0], grid[1], side, job.rank == 0 ? 0 : first + 1,
                job.rank + 1 == job.ranks ? side : last + 1, job.rank == 0 ? 0 : first + 1);

    job_start(&job);
    for (uint32_t i = 0; i < job.iterations; i++) {
        jacobi_sweep(grid[i % 2], grid[(i + 1) % 2], side, first + 1, last + 1);
        job_barrier(&job);
    }
    job_stop(&job);

    const double *answer = grid[job.iterations % 2];
    bool right = job_checks(&job) && is_right(&job, answer);
    return job_close(&job, right, job.rank == 0 ? jacobi_sum(answer, side, 0, side) : 0);
}
