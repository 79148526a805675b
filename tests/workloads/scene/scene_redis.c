/* SPDX-License-Identifier: Apache-2.0 */
/**
 * scene_redis: the same from a Redis server that has each band as tiles, which are strips of whole
 * rows here. The tiles of the next strip are asked for before those of this one are waited for.
 *
 *     scene_redis load ADDRESS FILE                          put the scene there
 *     scene_redis ADDRESS WIDTH HEIGHT RANK RANKS            analyse a part of it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orders.h"
#include "resp.h"
#include "tests/workloads/satellite/scene.h"

#define PORT 6379
#define ROWS ANALYSIS_BLOCK_ROWS

struct tiles {
    struct resp resp;
    uint32_t width, height;
    uint16_t *rows[ANALYSIS_BANDS]; /* a strip with a row on each side */
};

static void die(const char *text)
{
    fprintf(stderr, "scene_redis: %s\n", text);
    exit(EXIT_FAILURE);
}

static uint16_t *allocate(uint32_t width)
{
    uint16_t *memory = calloc((size_t)width * (ROWS + 2), sizeof(uint16_t));

    if (memory == NULL) {
        die("out of memory");
    }
    return memory;
}

static void name_tile(char name[32], uint32_t band, uint32_t tile)
{
    snprintf(name, 32, "scene:%u:%u", band, tile);
}

static int load(const char *address, char *path)
{
    char error[SCENE_ERROR_BYTES], name[32];
    struct scene scene;
    struct resp resp;

    if (scene_open(&scene, &path, 1, "red:1,nir:2,other:3,other:4", error) != 0) {
        die(error);
    }
    if (resp_open(&resp, address, PORT) != 0) {
        die("cannot reach the server");
    }
    uint16_t *rows = allocate(scene.width);
    for (uint32_t band = 0; band < ANALYSIS_BANDS; band++) {
        for (uint32_t first = 0; first < scene.height; first += ROWS) {
            uint32_t count = scene.height - first < ROWS ? scene.height - first : ROWS;

            if (scene_read(&scene, band, first, count, rows, error) != 0) {
                die(error);
            }
            name_tile(name, band, first / ROWS);
            if (resp_set(&resp, name, rows, (size_t)count * scene.width * sizeof(uint16_t)) != 0) {
                die("cannot put a tile");
            }
        }
    }
    free(rows);
    resp_close(&resp);
    scene_close(&scene);
    return 0;
}

/* Rows of a tile that are in the scene. */
static uint32_t rows_of(const struct tiles *tiles, uint32_t tile)
{
    uint32_t left = tiles->height - tile * ROWS;

    return left < ROWS ? left : ROWS;
}

/* Ask for what a task reads of a strip, without waiting. */
static void ask(struct tiles *tiles, enum analysis_task task, uint32_t tile)
{
    uint32_t row_bytes = tiles->width * (uint32_t)sizeof(uint16_t);
    bool has_halo = analysis_halo(task) > 0;
    char name[32];
    int error = 0;

    for (uint32_t band = 0; band < ANALYSIS_BANDS; band++) {
        if (!analysis_reads(task, band)) {
            continue;
        }
        if (has_halo && tile > 0) {
            name_tile(name, band, tile - 1);
            error |= resp_ask_part(&tiles->resp, name, (ROWS - 1) * row_bytes, ROWS * row_bytes);
        }
        name_tile(name, band, tile);
        error |= resp_ask(&tiles->resp, name);
        if (has_halo && (tile + 1) * ROWS < tiles->height) {
            name_tile(name, band, tile + 1);
            error |= resp_ask_part(&tiles->resp, name, 0, row_bytes);
        }
    }
    if (error != 0) {
        die("cannot ask for a tile");
    }
}

/* Take it, in the same order. */
static void take(struct tiles *tiles, enum analysis_task task, uint32_t tile)
{
    size_t row_bytes = tiles->width * sizeof(uint16_t);
    uint32_t rows = rows_of(tiles, tile);
    bool has_halo = analysis_halo(task) > 0;
    int error = 0;

    for (uint32_t band = 0; band < ANALYSIS_BANDS; band++) {
        if (!analysis_reads(task, band)) {
            continue;
        }
        uint16_t *to = tiles->rows[band];
        if (has_halo && tile > 0) {
            error |= resp_take(&tiles->resp, to, row_bytes);
        }
        error |= resp_take(&tiles->resp, to + tiles->width, rows * row_bytes);
        if (has_halo && (tile + 1) * ROWS < tiles->height) {
            error |= resp_take(&tiles->resp, to + (size_t)(rows + 1) * tiles->width, row_bytes);
        }
    }
    if (error != 0) {
        die("a tile does not come, or is not as long as it should be");
    }
}

static void analyse(struct tiles *tiles, enum analysis_task task, uint32_t first, uint32_t last,
                    struct analysis *found)
{
    struct picture picture = {.width = tiles->width, .height = tiles->height};

    if (first < last) {
        ask(tiles, task, first);
    }
    for (uint32_t tile = first; tile < last; tile++) {
        if (tile + 1 < last) {
            ask(tiles, task, tile + 1);
        }
        take(tiles, task, tile);
        /* Strips begin with the row above, which the first of the scene does not have. */
        picture.first = tile > 0 ? tile * ROWS - 1 : 0;
        for (uint32_t band = 0; band < ANALYSIS_BANDS; band++) {
            picture.band[band] = tiles->rows[band] + (tile > 0 ? 0 : tiles->width);
        }
        analysis_rows(task, &picture, tile * ROWS, tile * ROWS + rows_of(tiles, tile), found);
    }
}

int main(int argc, char **argv)
{
    struct analysis found;
    struct order order;
    struct tiles tiles;

    if (argc == 4 && strcmp(argv[1], "load") == 0) {
        return load(argv[2], argv[3]);
    }
    if (argc != 6) {
        fputs("usage: scene_redis load ADDRESS FILE\n"
              "       scene_redis ADDRESS WIDTH HEIGHT RANK RANKS\n",
              stderr);
        return 2;
    }
    tiles.width = order_number(argv[2], RASTER_SIDE_MAX);
    tiles.height = order_number(argv[3], RASTER_SIDE_MAX);
    uint32_t ranks = order_number(argv[5], 1000), rank = order_number(argv[4], ranks - 1);
    uint32_t count = (tiles.height + ROWS - 1) / ROWS;
    if (resp_open(&tiles.resp, argv[1], PORT) != 0) {
        die("cannot reach the server");
    }
    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        tiles.rows[i] = allocate(tiles.width);
    }
    order_ready();
    while (order_read(&order, stdin)) {
        analysis_begin(&found);
        analyse(&tiles, order.task, count * rank / ranks, count * (rank + 1) / ranks, &found);
        order_answer(&found);
    }
    for (uint32_t i = 0; i < ANALYSIS_BANDS; i++) {
        free(tiles.rows[i]);
    }
    resp_close(&tiles.resp);
    return 0;
}
