/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cpl_error.h>

#define PLAN_SIX "blue:1,green:2,red:3,nir:4,swir1:5,swir2:7"
#define PLAN_SEVEN "blue:1,green:2,red:3,nir:4,swir1:5,thermal:6,swir2:7"

/** Find a role by its name. */
static bool find_role(const char *name, size_t len_bytes, uint32_t *role)
{
    static const char *const names[] = {
#define ROLE_NAME(name, text) text,
        RASTER_ROLES(ROLE_NAME)
#undef ROLE_NAME
    };
    for (uint32_t i = 0; i < RASTER_ROLE_COUNT; i++) {
        if (strlen(names[i]) == len_bytes && memcmp(names[i], name, len_bytes) == 0) {
            *role = i;
            return true;
        }
    }
    return false;
}

/** Give each band its role and label from the plan, "role:label,role:label". */
static int take_plan(struct scene *scene, const char *plan, char *error)
{
    const char *at = plan;
    for (uint32_t i = 0; i < scene->count_bands; i++) {
        struct scene_band *band = &scene->bands[i];
        size_t role_bytes = strcspn(at, ":,");
        if (!find_role(at, role_bytes, &band->role)) {
            snprintf(error, SCENE_ERROR_BYTES,
                     "--bands names %u of %u bands, or no role that is known, at '%s'; roles: blue "
                     "green red nir swir1 swir2 thermal other",
                     i, scene->count_bands, at);
            return -1;
        }
        at += role_bytes;
        size_t label_bytes = *at == ':' ? strcspn(++at, ",") : 0;
        if (label_bytes > 0) {
            snprintf(band->label, sizeof band->label, "%.*s", (int)label_bytes, at);
        } else {
            snprintf(band->label, sizeof band->label, "%u", i + 1);
        }
        at += label_bytes;
        at += *at == ',';
    }
    if (*at != '\0') {
        snprintf(error, SCENE_ERROR_BYTES,
                 "--bands names more than the %u bands of the scene: '%s'", scene->count_bands, at);
        return -1;
    }
    return 0;
}

/** Add the bands of one file. */
static int add_file(struct scene *scene, const char *path, char *error)
{
    GDALDatasetH file = GDALOpen(path, GA_ReadOnly);
    if (file == NULL) {
        snprintf(error, SCENE_ERROR_BYTES, "cannot open the raster %s: %.300s", path,
                 CPLGetLastErrorMsg());
        return -1;
    }
    scene->files[scene->count_files++] = file;
    int width = GDALGetRasterXSize(file), height = GDALGetRasterYSize(file);
    int count_bands = GDALGetRasterCount(file);
    if (width <= 0 || height <= 0 || width > (int)RASTER_SIDE_MAX ||
        height > (int)RASTER_SIDE_MAX || count_bands <= 0 ||
        (uint32_t)count_bands + scene->count_bands > RASTER_BANDS_MAX) {
        snprintf(error, SCENE_ERROR_BYTES,
                 "%s: %d x %d pixels, %d bands: a scene has at most %u bands of %u pixels a side",
                 path, width, height, count_bands, RASTER_BANDS_MAX, RASTER_SIDE_MAX);
        return -1;
    }
    if (scene->count_bands == 0) {
        scene->width = (uint32_t)width;
        scene->height = (uint32_t)height;
        GDALGetGeoTransform(file, scene->geotransform); /* the identity when it has none */
    } else if (scene->width != (uint32_t)width || scene->height != (uint32_t)height) {
        snprintf(error, SCENE_ERROR_BYTES, "%s is %d x %d pixels, the first file is %u x %u", path,
                 width, height, scene->width, scene->height);
        return -1;
    }
    for (int i = 1; i <= count_bands; i++) {
        GDALRasterBandH band = GDALGetRasterBand(file, i);
        GDALDataType type = GDALGetRasterDataType(band);
        if (type != GDT_Byte && type != GDT_UInt16 && type != GDT_Int16) {
            snprintf(error, SCENE_ERROR_BYTES,
                     "%s: band %d is of type %s; u8, u16 and i16 are taken", path, i,
                     GDALGetDataTypeName(type));
            return -1;
        }
        if (type != GDT_Byte) {
            scene->type = RASTER_U16;
            scene->pixel_bytes = 2;
        }
        scene->bands[scene->count_bands++].handle = band;
    }
    return 0;
}

int scene_open(struct scene *scene, char *const *paths, uint32_t count_paths, const char *plan,
               char *error)
{
    *scene = (struct scene){.type = RASTER_U8, .pixel_bytes = 1};
    CPLSetErrorHandler(CPLQuietErrorHandler);
    GDALAllRegister();
    if (count_paths > RASTER_BANDS_MAX) {
        snprintf(error, SCENE_ERROR_BYTES, "%u files: at most %u are taken", count_paths,
                 RASTER_BANDS_MAX);
        return -1;
    }
    for (uint32_t i = 0; i < count_paths; i++) {
        if (add_file(scene, paths[i], error) != 0) {
            goto close_files;
        }
    }
    if (plan == NULL && scene->count_bands != 6 && scene->count_bands != 7) {
        snprintf(error, SCENE_ERROR_BYTES,
                 "the scene has %u bands: say what they are with --bands, such as " PLAN_SIX,
                 scene->count_bands);
        goto close_files;
    }
    if (plan == NULL) {
        plan = scene->count_bands == 6 ? PLAN_SIX : PLAN_SEVEN;
    }
    if (take_plan(scene, plan, error) == 0) {
        return 0;
    }
close_files:
    scene_close(scene);
    return -1;
}

void scene_close(struct scene *scene)
{
    for (uint32_t i = 0; i < scene->count_files; i++) {
        GDALClose(scene->files[i]);
    }
    scene->count_files = 0;
}

int scene_read(struct scene *scene, uint32_t band, uint32_t row, uint32_t count_rows, void *to,
               char *error)
{
    CPLErr result = GDALRasterIO(scene->bands[band].handle, GF_Read, 0, (int)row, (int)scene->width,
                                 (int)count_rows, to, (int)scene->width, (int)count_rows,
                                 scene->type == RASTER_U16 ? GDT_UInt16 : GDT_Byte, 0, 0);
    if (result != CE_None) {
        snprintf(error, SCENE_ERROR_BYTES, "cannot read rows %u to %u of band %s: %.300s", row,
                 row + count_rows - 1, scene->bands[band].label, CPLGetLastErrorMsg());
        return -1;
    }
    return 0;
}

uint32_t scene_rows_at_once(const struct scene *scene)
{
    int block_width = 1, block_height = 1;
    GDALGetBlockSize(scene->bands[0].handle, &block_width, &block_height);
    uint32_t rows = block_height > 0 ? (uint32_t)block_height : 1;
    rows = rows < 64 ? 64 / rows * rows : rows; /* several strips, or one row of tiles */
    rows = rows < 1024 ? rows : 256;            /* a whole picture in one block */
    return rows < scene->height ? rows : scene->height;
}
