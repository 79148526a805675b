/* SPDX-License-Identifier: Apache-2.0 */
/**
 * scene_dsm: analyses a part of the rows of a scene in shared memory, which the program ingest has
 * published: maps it and reads it, and no more.
 *
 *     scene_dsm SOCKET REGION RANK RANKS
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "dsm.h"
#include "orders.h"
#include "tests/workloads/satellite/raster.h"

static void check(struct dsm *dsm, const char *what, int error)
{
    char text[512] = "";

    if (error != 0) {
        if (dsm != NULL) {
            dsm_last_error(dsm, text, sizeof text);
        }
        fprintf(stderr, "scene_dsm: %s: %s %s\n", what, dsm_strerror(error), text);
        exit(EXIT_FAILURE);
    }
}

static const struct raster *map_scene(struct dsm *dsm, const char *name)
{
    struct dsm_region *region;
    struct dsm_shm_stat stat;
    void *mapped;

    check(dsm, name, dsm_shm_open(dsm, name, O_RDONLY, 0, NULL, &region));
    check(dsm, name, dsm_shm_stat(region, &stat));
    check(dsm, name, dsm_shm_map(region, NULL, 0, stat.size_bytes, DSM_READ, &mapped));
    check(dsm, name, dsm_shm_close(region));
    const char *wrong = raster_check(mapped, stat.size_bytes);
    const struct raster *raster = mapped;
    if (wrong == NULL && (raster->type != RASTER_U16 || raster->count_bands != ANALYSIS_BANDS)) {
        wrong = "the scene is not one of four bands of u16";
    }
    if (wrong != NULL) {
        fprintf(stderr, "scene_dsm: %s: %s\n", name, wrong);
        exit(EXIT_FAILURE);
    }
    return raster;
}

int main(int argc, char **argv)
{
    struct analysis found;
    struct dsm *dsm = NULL;
    struct order order;

    if (argc != 5) {
        fputs("usage: scene_dsm SOCKET REGION RANK RANKS\n", stderr);
        return 2;
    }
    uint32_t ranks = order_number(argv[4], 1000), rank = order_number(argv[3], ranks - 1);
    check(dsm, argv[1], dsm_connect(argv[1], &dsm));
    const struct raster *raster = map_scene(dsm, argv[2]);
    struct picture picture = {.width = raster->width, .height = raster->height};
    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        picture.band[i] =
            (const uint16_t *)(const void *)((const char *)raster + raster->bands[i].offset);
    }
    uint32_t first = (uint32_t)((uint64_t)picture.height * rank / ranks);
    uint32_t last = (uint32_t)((uint64_t)picture.height * (rank + 1) / ranks);
    order_ready();
    while (order_read(&order, stdin)) {
        analysis_begin(&found);
        analysis_rows(order.task, &picture, first, last, &found);
        order_answer(&found);
    }
    dsm_disconnect(dsm);
    return 0;
}
