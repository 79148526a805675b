/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A scene on disk, as GDAL reads it: one file of many bands, or many files of one band each. Part
 * of the program ingest.
 */
#ifndef SATELLITE_SCENE_H
#define SATELLITE_SCENE_H

#include <stdint.h>

#include <gdal.h>

#include "raster.h"

#define SCENE_ERROR_BYTES 512
#define SCENE_LABEL_BYTES 16

struct scene_band {
    GDALRasterBandH handle;
    uint32_t role;                 /* enum raster_role */
    char label[SCENE_LABEL_BYTES]; /* the sensor's name for it, as metadata has it: 4, 6_VCID_1 */
};

struct scene {
    GDALDatasetH files[RASTER_BANDS_MAX];
    uint32_t count_files;
    struct scene_band bands[RASTER_BANDS_MAX];
    uint32_t count_bands;
    uint32_t width, height; /* pixels */
    uint32_t type;          /* enum raster_type: the widest of the bands */
    uint32_t pixel_bytes;
    double geotransform[6];
};

/**
 * Open the files of a scene.
 *
 * @paths one file, or one for each band; borrowed
 * @plan  what the bands are: "blue:1,green:2,..." in their order; NULL for a Landsat TM or ETM+
 *        scene of six bands (no thermal) or seven
 * @error SCENE_ERROR_BYTES, written on failure: names the file and says what is wrong
 *
 * Returns 0, or -1: then there is nothing to close.
 */
int scene_open(struct scene *scene, char *const *paths, uint32_t count_paths, const char *plan,
               char *error);

void scene_close(struct scene *scene);

/**
 * Read whole rows of one band.
 *
 * @to count_rows * width pixels of the scene's type, written
 *
 * Returns 0, or -1 with `error` written.
 */
int scene_read(struct scene *scene, uint32_t band, uint32_t row, uint32_t count_rows, void *to,
               char *error);

/** Rows that are cheap to read at once: whole strips or tiles, at most 256 or so. */
uint32_t scene_rows_at_once(const struct scene *scene);

#endif
