/* SPDX-License-Identifier: Apache-2.0 */
/**
 * scene_mpi: the same over MPI: rank 0 has the scene in memory and scatters the rows of the bands
 * that the task reads; the outer rows then go to the neighbours, for the stencil.
 *
 *     mpirun -n RANKS scene_mpi FILE ORDERS
 *
 * ORDERS and the rank are the path of a pipe that the rank's orders come from: while it waits for
 * them it does not poll, as it would in a call of MPI.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#include "orders.h"
#include "tests/workloads/satellite/scene.h"

#define RANKS_MAX 64

struct part {
    int rank, ranks;
    FILE *orders;
    uint32_t width, height, first, last; /* the rows of this rank */
    uint16_t *whole[ANALYSIS_BANDS];     /* rank 0: the scene */
    uint16_t *rows[ANALYSIS_BANDS]; /* the others: their rows, with a row of halo on each side */
    int counts[RANKS_MAX], starts[RANKS_MAX]; /* pixels of each rank */
};

static void die(const char *text)
{
    fprintf(stderr, "scene_mpi: %s\n", text);
    MPI_Abort(MPI_COMM_WORLD, 1);
    abort();
}

static uint16_t *allocate(uint64_t pixels)
{
    uint16_t *memory = malloc(pixels * sizeof(uint16_t));

    if (memory == NULL) {
        die("out of memory");
    }
    return memory;
}

static void load(struct part *part, char *path)
{
    char error[SCENE_ERROR_BYTES];
    struct scene scene;

    if (scene_open(&scene, &path, 1, "red:1,nir:2,other:3,other:4", error) != 0) {
        die(error);
    }
    if (scene.count_bands != ANALYSIS_BANDS || scene.pixel_bytes != 2) {
        die("the scene is not one of four bands of u16");
    }
    part->width = scene.width;
    part->height = scene.height;
    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        part->whole[i] = allocate((uint64_t)scene.width * scene.height);
        if (scene_read(&scene, i, 0, scene.height, part->whole[i], error) != 0) {
            die(error);
        }
    }
    scene_close(&scene);
}

static void divide(struct part *part)
{
    uint64_t height = part->height;

    for (int i = 0; i < part->ranks; i++) {
        uint64_t first = height * (uint64_t)i / (uint64_t)part->ranks;
        uint64_t last = height * ((uint64_t)i + 1) / (uint64_t)part->ranks;

        part->starts[i] = (int)(first * part->width);
        part->counts[i] = (int)((last - first) * part->width);
        if (i == part->rank) {
            part->first = (uint32_t)first;
            part->last = (uint32_t)last;
        }
    }
    for (uint32_t i = 0; part->rank != 0 && i < ANALYSIS_BANDS; i++) {
        part->rows[i] = allocate((uint64_t)(part->last - part->first + 2) * part->width);
    }
}

/* The halo of one band: the lowest row to the lower neighbour, then the uppermost to the upper. */
static void exchange(const struct part *part, uint32_t band)
{
    int width = (int)part->width;
    int up = part->rank > 0 ? part->rank - 1 : MPI_PROC_NULL;
    int down = part->rank + 1 < part->ranks ? part->rank + 1 : MPI_PROC_NULL;
    uint16_t *own = part->rank == 0 ? part->whole[band] : part->rows[band] + width;
    uint16_t *below = own + (uint64_t)(part->last - part->first) * part->width;
    uint16_t *above = up == MPI_PROC_NULL ? own : own - width;

    MPI_Sendrecv(below - width, width, MPI_UINT16_T, down, 0, above, width, MPI_UINT16_T, up, 0,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Sendrecv(own, width, MPI_UINT16_T, up, 1, below, width, MPI_UINT16_T, down, 1,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void fetch(struct part *part, enum analysis_task task)
{
    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        if (!analysis_reads(task, i)) {
            continue;
        }
        void *to = part->rank == 0 ? MPI_IN_PLACE : part->rows[i] + part->width;

        MPI_Scatterv(part->whole[i], part->counts, part->starts, MPI_UINT16_T, to,
                     part->counts[part->rank], MPI_UINT16_T, 0, MPI_COMM_WORLD);
        if (analysis_halo(task) > 0) {
            exchange(part, i);
        }
    }
}

static void work(struct part *part)
{
    struct picture picture = {.width = part->width, .height = part->height};
    struct order order;
    struct analysis found, all;

    /* Rank 0's rows begin with the scene, the others' with the row above their first. */
    picture.first = part->rank == 0 ? 0 : part->first - 1;
    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        picture.band[i] = part->rank == 0 ? part->whole[i] : part->rows[i];
    }
    if (part->rank == 0) {
        order_ready();
    }
    while (order_read(&order, part->orders)) {
        if (!order.is_kept) {
            fetch(part, order.task);
        }
        analysis_begin(&found);
        analysis_rows(order.task, &picture, part->first, part->last, &found);
        MPI_Reduce(found.sum, all.sum, ANALYSIS_SUMS, MPI_INT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
        MPI_Reduce(&found.min, &all.min, 1, MPI_INT64_T, MPI_MIN, 0, MPI_COMM_WORLD);
        MPI_Reduce(&found.max, &all.max, 1, MPI_INT64_T, MPI_MAX, 0, MPI_COMM_WORLD);
        if (part->rank == 0) {
            order_answer(&all);
        }
    }
}

int main(int argc, char **argv)
{
    struct part part = {.rank = 0};
    char path[512];

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &part.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &part.ranks);
    if (argc != 3 || part.ranks > RANKS_MAX) {
        die("usage: mpirun -n RANKS scene_mpi FILE ORDERS");
    }
    snprintf(path, sizeof path, "%s%d", argv[2], part.rank);
    part.orders = fopen(path, "r");
    if (part.orders == NULL) {
        die("cannot open the pipe of the orders");
    }
    if (part.rank == 0) {
        load(&part, argv[1]);
    }
    MPI_Bcast(&part.width, 1, MPI_UINT32_T, 0, MPI_COMM_WORLD);
    MPI_Bcast(&part.height, 1, MPI_UINT32_T, 0, MPI_COMM_WORLD);
    divide(&part);
    work(&part);
    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        free(part.whole[i]);
        free(part.rows[i]);
    }
    fclose(part.orders);
    MPI_Finalize();
    return 0;
}
