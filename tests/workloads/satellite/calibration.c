/* SPDX-License-Identifier: Apache-2.0 */
#include "calibration.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_BYTES 64

/**
 * The sun's irradiance above the atmosphere by band, W/(m^2 um): Chander, Markham & Helder 2009.
 * There is none for Landsat 8 and 9, whose metadata gives reflectance directly.
 */
static const struct {
    const char *spacecraft; /* as in the metadata */
    double sun[RASTER_ROLE_COUNT];
} irradiance[] = {
    {"LANDSAT_7",
     {[RASTER_BLUE] = 1997,
      [RASTER_GREEN] = 1812,
      [RASTER_RED] = 1533,
      [RASTER_NIR] = 1039,
      [RASTER_SWIR1] = 230.8,
      [RASTER_SWIR2] = 84.90}},
    {"LANDSAT_5",
     {[RASTER_BLUE] = 1983,
      [RASTER_GREEN] = 1796,
      [RASTER_RED] = 1536,
      [RASTER_NIR] = 1031,
      [RASTER_SWIR1] = 220.0,
      [RASTER_SWIR2] = 83.44}},
};

/** Find `KEY = value` in a metadata file of Landsat, which may hold bytes that are not text. */
static bool find_value(FILE *file, const char *key, const char *label, char *value)
{
    char wanted[VALUE_BYTES], line[512];
    snprintf(wanted, sizeof wanted, "%s%s%s", key, label[0] != '\0' ? "_" : "", label);
    rewind(file);
    while (fgets(line, sizeof line, file) != NULL) {
        const char *at = line + strspn(line, " \t");
        size_t name_bytes = strcspn(at, " \t=\r\n");
        if (strlen(wanted) == name_bytes && memcmp(at, wanted, name_bytes) == 0) {
            at += name_bytes;
            at += strspn(at, " \t=\"");
            snprintf(value, VALUE_BYTES, "%.*s", (int)strcspn(at, "\"\r\n"), at);
            return true;
        }
    }
    return false;
}

static bool find_number(FILE *file, const char *key, const char *label, double *number)
{
    char value[VALUE_BYTES];
    if (!find_value(file, key, label, value)) {
        return false;
    }
    char *end = NULL;
    double found = strtod(value, &end);
    if (end == value || !isfinite(found)) {
        return false;
    }
    *number = found;
    return true;
}

/** The distance of the sun on the scene's date, in astronomical units; 1 when it has no date. */
static double find_distance(FILE *file)
{
    static const int days_before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    char date[VALUE_BYTES];
    double distance = 1;
    int year, month, day;
    if (find_number(file, "EARTH_SUN_DISTANCE", "", &distance)) {
        return distance;
    }
    if (find_value(file, "DATE_ACQUIRED", "", date) &&
        sscanf(date, "%4d-%2d-%2d", &year, &month, &day) == 3 && month >= 1 && month <= 12) {
        int day_of_year = days_before[month - 1] + day + (year % 4 == 0 && month > 2);
        distance = 1 - 0.01672 * cos(0.9856 * (day_of_year - 4) * acos(-1.0) / 180);
    }
    return distance;
}

/** Reflectance at the top of the atmosphere, with the sun's height and distance. */
static bool fill_reflectance(FILE *file, const char *label, bool has_radiance,
                             struct raster_band *band)
{
    char spacecraft[VALUE_BYTES] = "";
    double elevation = 0, sun = 0;
    if (!find_number(file, "SUN_ELEVATION", "", &elevation) || elevation <= 0) {
        return false;
    }
    double height = sin(elevation * acos(-1.0) / 180);
    (void)find_value(file, "SPACECRAFT_ID", "", spacecraft);
    for (size_t i = 0; i < sizeof irradiance / sizeof *irradiance; i++) {
        if (strcmp(irradiance[i].spacecraft, spacecraft) == 0) {
            sun = irradiance[i].sun[band->role];
        }
    }
    if (sun > 0 && has_radiance) {
        double distance = find_distance(file);
        double factor = acos(-1.0) * distance * distance / (sun * height);
        band->reflectance_gain = factor * band->radiance_gain;
        band->reflectance_bias = factor * band->radiance_bias;
        return true;
    }
    if (!find_number(file, "REFLECTANCE_MULT_BAND", label, &band->reflectance_gain) ||
        !find_number(file, "REFLECTANCE_ADD_BAND", label, &band->reflectance_bias)) {
        return false;
    }
    band->reflectance_gain /= height;
    band->reflectance_bias /= height;
    return true;
}

/** The gains that the scene's own metadata gives. */
static int fill_from_metadata(const char *path, const char *label, struct raster_band *band,
                              char *error)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        snprintf(error, SCENE_ERROR_BYTES, "cannot open the metadata %s: %s", path,
                 strerror(errno));
        return -1;
    }
    bool is_thermal = band->role == RASTER_THERMAL;
    bool has_radiance = find_number(file, "RADIANCE_MULT_BAND", label, &band->radiance_gain) &&
                        find_number(file, "RADIANCE_ADD_BAND", label, &band->radiance_bias);
    bool has_constants = find_number(file, "K1_CONSTANT_BAND", label, &band->k1) &&
                         find_number(file, "K2_CONSTANT_BAND", label, &band->k2);
    if (is_thermal && has_radiance && !has_constants) {
        /* The older files of Landsat 5 lack them; Chander et al. 2009, table 7. */
        char spacecraft[VALUE_BYTES] = "";
        (void)find_value(file, "SPACECRAFT_ID", "", spacecraft);
        has_constants = strcmp(spacecraft, "LANDSAT_5") == 0;
        band->k1 = has_constants ? 607.76 : 0;
        band->k2 = has_constants ? 1260.56 : 0;
    }
    bool is_filled = is_thermal ? has_radiance && has_constants
                                : fill_reflectance(file, label, has_radiance, band) ||
                                      band->role == RASTER_OTHER;
    fclose(file);
    if (!is_filled) {
        snprintf(error, SCENE_ERROR_BYTES, "%s lacks %s of band %s", path,
                 is_thermal
                     ? "RADIANCE_MULT, RADIANCE_ADD, K1_CONSTANT or K2_CONSTANT"
                     : "SUN_ELEVATION, or RADIANCE_MULT and REFLECTANCE_MULT with their _ADD",
                 label);
        return -1;
    }
    return 0;
}

/**
 * Landsat 7 Science Data Users Handbook, chapter 11 (LMIN and LMAX after July 2000; low gain for
 * band 4, high gain for the others). DN 1 is LMIN, DN 255 is LMAX.
 */
int calibration_fill(const char *metadata, const char *label, struct raster_band *band, char *error)
{
    static const struct {
        double radiance_min, radiance_max;
    } handbook[RASTER_ROLE_COUNT] = {
        [RASTER_BLUE] = {-6.2, 191.6},  [RASTER_GREEN] = {-6.4, 196.5},
        [RASTER_RED] = {-5.0, 152.9},   [RASTER_NIR] = {-5.1, 241.1},
        [RASTER_SWIR1] = {-1.0, 31.06}, [RASTER_SWIR2] = {-0.35, 10.80},
    };
    if (metadata != NULL) {
        return fill_from_metadata(metadata, label, band, error);
    }
    double sun = irradiance[0].sun[band->role];
    if (sun > 0) {
        double least = handbook[band->role].radiance_min;
        band->radiance_gain = (handbook[band->role].radiance_max - least) / 254;
        band->radiance_bias = least - band->radiance_gain;
        band->reflectance_gain = acos(-1.0) * band->radiance_gain / sun;
        band->reflectance_bias = acos(-1.0) * band->radiance_bias / sun;
    }
    return 0;
}
