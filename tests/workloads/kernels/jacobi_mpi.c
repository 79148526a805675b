/* SPDX-License-Identifier: Apache-2.0 */
/**
 * jacobi_mpi: jacobi.c's work over MPI, to compare with: the same arithmetic, each rank with its
 * rows and a halo row above and below, which are sent after each sweep.
 *
 *     mpirun -n RANKS jacobi_mpi [SIZE [ITERATIONS]]
 */
#include "jacobi.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct part {
    int rank, ranks;
    size_t side, first, rows; /* rows [first, first + rows) of the inner ones */
    double *grid[2];          /* rows + 2 rows each: a halo above and below */
};

/* Send the outer rows of a copy to the neighbours, and take theirs. */
static void exchange(const struct part *part, double *grid)
{
    int side = (int)part->side;
    int up = part->rank > 0 ? part->rank - 1 : MPI_PROC_NULL;
    int down = part->rank + 1 < part->ranks ? part->rank + 1 : MPI_PROC_NULL;

    MPI_Sendrecv(grid + part->side, side, MPI_DOUBLE, up, 0, grid + (part->rows + 1) * part->side,
                 side, MPI_DOUBLE, down, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Sendrecv(grid + part->rows * part->side, side, MPI_DOUBLE, down, 1, grid, side, MPI_DOUBLE,
                 up, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

/* All ranks' rows one after another at rank 0, summed as jacobi.c does; all: the same number. */
static double sum_in_order(const struct part *part, const double *grid)
{
    size_t begin = part->rank == 0 ? 0 : 1;
    size_t end = part->rank + 1 == part->ranks ? part->rows + 2 : part->rows + 1;
    double sum = 0;

    if (part->rank > 0) {
        MPI_Recv(&sum, 1, MPI_DOUBLE, part->rank - 1, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    for (size_t i = begin * part->side; i < end * part->side; i++) {
        sum += grid[i];
    }
    if (part->rank + 1 < part->ranks) {
        MPI_Send(&sum, 1, MPI_DOUBLE, part->rank + 1, 2, MPI_COMM_WORLD);
    }
    MPI_Bcast(&sum, 1, MPI_DOUBLE, part->ranks - 1, MPI_COMM_WORLD);
    return sum;
}

static void run(struct part *part, unsigned iterations)
{
    size_t cells = (part->rows + 2) * part->side;

    part->grid[0] = malloc(2 * cells * sizeof(double));
    if (part->grid[0] == NULL) {
        fputs("jacobi_mpi: out of memory\n", stderr);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    part->grid[1] = part->grid[0] + cells;
    jacobi_fill(part->grid[0], part->grid[1], part->side, 0, part->rows + 2, part->first);
    MPI_Barrier(MPI_COMM_WORLD);
    double start_s = MPI_Wtime();
    for (unsigned i = 0; i < iterations; i++) {
        double *to = part->grid[(i + 1) % 2];
        jacobi_sweep(part->grid[i % 2], to, part->side, 1, part->rows + 1);
        exchange(part, to);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    double seconds = MPI_Wtime() - start_s;
    double checksum = sum_in_order(part, part->grid[iterations % 2]);
    if (part->rank == 0) {
        printf("{\"kernel\": \"jacobi_mpi\", \"hosts\": %d, \"size\": %zu, \"iterations\": %u, "
               "\"seconds\": %.6f, \"checksum\": %.17g}\n",
               part->ranks, part->side, iterations, seconds, checksum);
    }
    free(part->grid[0]);
}

int main(int argc, char **argv)
{
    struct part part = {.rank = 0};

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &part.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &part.ranks);
    part.side = argc > 1 ? strtoul(argv[1], NULL, 10) : 2048;
    unsigned iterations = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 50;
    if (part.side < 4 || part.side > 32768 || iterations == 0 || argc > 3) {
        fputs("usage: mpirun -n RANKS jacobi_mpi [SIZE [ITERATIONS]]\n", stderr);
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    size_t inner = part.side - 2, rank = (size_t)part.rank, ranks = (size_t)part.ranks;
    part.first = inner * rank / ranks;
    part.rows = inner * (rank + 1) / ranks - part.first;
    run(&part, iterations);
    MPI_Finalize();
    return 0;
}
