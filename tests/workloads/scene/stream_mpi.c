/* SPDX-License-Identifier: Apache-2.0 */
/**
 * stream_mpi: the same over MPI: rank 0 has the picture and sends each strip of the bands that the
 * task of each other rank reads; it has a task too, and does its strip between two sendings.
 *
 *     mpirun -n RANKS stream_mpi FILE ORDERS TASK...      (a task for each rank)
 *
 * Orders as in scene_mpi; with "whole" no rank looks at a strip before all of them are there.
 */
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "orders.h"
#include "tests/workloads/satellite/scene.h"

#define ROWS ANALYSIS_BLOCK_ROWS
#define RANKS_MAX 8

struct part {
    int rank, ranks;
    enum analysis_task tasks[RANKS_MAX];
    struct picture picture;
    uint16_t *band[ANALYSIS_BANDS];
};

static void die(const char *text)
{
    fprintf(stderr, "stream_mpi: %s\n", text);
    MPI_Abort(MPI_COMM_WORLD, 1);
    abort();
}

static void load(struct part *part, char *path)
{
    char error[SCENE_ERROR_BYTES];
    struct scene scene;

    if (scene_open(&scene, &path, 1, "red:1,nir:2,other:3,other:4", error) != 0) {
        die(error);
    }
    part->picture.width = scene.width;
    part->picture.height = scene.height;
    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        part->band[i] = malloc((uint64_t)scene.width * scene.height * sizeof(uint16_t));
        part->picture.band[i] = part->band[i];
        if (part->band[i] == NULL || scene.count_bands != ANALYSIS_BANDS ||
            scene.pixel_bytes != 2 ||
            (part->rank == 0 && scene_read(&scene, i, 0, scene.height, part->band[i], error))) {
            die("no memory, or no scene of four bands of u16");
        }
    }
    scene_close(&scene);
}

/* Rank 0: send the others a strip; they: take it. */
static void move_strip(struct part *part, uint32_t first, uint32_t rows)
{
    uint64_t start = (uint64_t)first * part->picture.width;
    int pixels = (int)(rows * part->picture.width), count = 0;
    MPI_Request requests[RANKS_MAX * ANALYSIS_BANDS];

    for (int rank = 1; rank < part->ranks; rank++) {
        for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
            if (!analysis_reads(part->tasks[rank], i)) {
                continue;
            }
            if (part->rank == 0) {
                MPI_Isend(part->band[i] + start, pixels, MPI_UINT16_T, rank, (int)i, MPI_COMM_WORLD,
                          &requests[count++]);
            } else if (part->rank == rank) {
                MPI_Irecv(part->band[i] + start, pixels, MPI_UINT16_T, 0, (int)i, MPI_COMM_WORLD,
                          &requests[count++]);
            }
        }
    }
    MPI_Waitall(count, requests, MPI_STATUSES_IGNORE);
}

static void run(struct part *part, bool is_whole, struct analysis *found)
{
    enum analysis_task task = part->tasks[part->rank];
    uint32_t height = part->picture.height, done = 0;

    for (uint32_t first = 0; first < height; first += ROWS) {
        uint32_t rows = height - first < ROWS ? height - first : ROWS, there = first + rows;
        uint32_t until = there == height ? height : there - analysis_halo(task);

        move_strip(part, first, rows);
        if (!is_whole) {
            analysis_rows(task, &part->picture, done, until, found);
            done = until;
        }
    }
    if (is_whole) {
        MPI_Barrier(MPI_COMM_WORLD);
        analysis_rows(task, &part->picture, 0, height, found);
    }
}

/* Rank 0 tells all answers, in the order of the ranks. */
static void tell(const struct part *part, struct analysis *found)
{
    if (part->rank > 0) {
        MPI_Send(found, sizeof *found, MPI_BYTE, 0, 100, MPI_COMM_WORLD);
        return;
    }
    order_answer(found);
    for (int rank = 1; rank < part->ranks; rank++) {
        MPI_Recv(found, sizeof *found, MPI_BYTE, rank, 100, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        order_answer(found);
    }
}

int main(int argc, char **argv)
{
    struct part part = {.rank = 0};
    struct analysis found;
    char text[512];

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &part.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &part.ranks);
    if (part.ranks > RANKS_MAX || argc != 3 + part.ranks) {
        die("usage: mpirun -n RANKS stream_mpi FILE ORDERS TASK... (a task for each rank)");
    }
    for (int i = 0; i < part.ranks; i++) {
        part.tasks[i] = analysis_find(argv[3 + i]);
        if (part.tasks[i] == ANALYSIS_COUNT) {
            die("no such task");
        }
    }
    snprintf(text, sizeof text, "%s%d", argv[2], part.rank);
    FILE *orders = fopen(text, "r");
    if (orders == NULL) {
        die("cannot open the pipe of the orders");
    }
    load(&part, argv[1]);
    if (part.rank == 0) {
        order_ready();
    }
    while (fgets(text, sizeof text, orders) != NULL) {
        analysis_begin(&found);
        run(&part, strcmp(text, "whole\n") == 0, &found);
        tell(&part, &found);
    }
    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        free(part.band[i]);
    }
    fclose(orders);
    MPI_Finalize();
    return 0;
}
