/* SPDX-License-Identifier: Apache-2.0 */
/**
 * raster.h: how a photograph, the maps made of it, and the results lie in their regions.
 *
 * This header and machine.h are all that the satellite programs have in common. A photograph is in
 * one region, /olinda say; the regions and the semaphore that go with it have its name and a
 * suffix, below.
 *
 * Layout    struct raster at offset 0, then the bands one after another, each from a 4096-byte
 * boundary on, row by row without gaps.
 * Types     Every region is made with the type that stands beside its struct, so that a program
 * finds its own machine's byte order in it, whatever machine wrote it.
 * Publishing  The writer calls raster_publish() when all the rest is there, then posts the
 * semaphore once for each program. A reader waits on the semaphore, then opens the regions, then
 * calls raster_check().
 * Positions   Only offsets are stored, never pointers: each program maps a region where it likes.
 */
#ifndef SATELLITE_RASTER_H
#define SATELLITE_RASTER_H

#include <stdatomic.h>
#include <stdint.h>

#include "dsm_type.h"
#include "machine.h"

/* Numbers, the same on every machine; on a little-endian one they read SATLRAM1 and SRESLTS1. */
#define RASTER_MAGIC 0x314d52414c544153ull
#define RESULTS_MAGIC 0x3153544c53455253ull
#define RASTER_VERSION 1u

/** What is added to the photograph's name. */
#define RASTER_READY_SUFFIX ".ready"     /* semaphore: one post for each program */
#define RASTER_RESULTS_SUFFIX ".results" /* region of a struct results */
#define RASTER_NDVI_SUFFIX ".ndvi"       /* region of a raster: f32, NaN where there is no value */
#define RASTER_CLOUD_SUFFIX ".cloud"     /* region of a raster: u8, 1 is cloud */
#define RASTER_TURBIDITY_SUFFIX                                                                    \
    ".turbidity" /* region of a raster: f32, NaN where there is no water */

#define RASTER_BANDS_MAX 16u
#define RASTER_SIDE_MAX 1000000u /* pixels */
#define RASTER_ALIGN 4096u       /* bytes */

enum raster_type {
    RASTER_U8 = 1,
    RASTER_U16 = 2,
    RASTER_F32 = 3,
};

/** What a band shows. Programs look bands up by role, never by number. */
#define RASTER_ROLES(X)                                                                            \
    X(BLUE, "blue")                                                                                \
    X(GREEN, "green")                                                                              \
    X(RED, "red")                                                                                  \
    X(NIR, "nir")     /* near infrared */                                                          \
    X(SWIR1, "swir1") /* shortwave infrared, 1.6 micrometres */                                    \
    X(SWIR2, "swir2") /* shortwave infrared, 2.2 micrometres */                                    \
    X(THERMAL, "thermal")                                                                          \
    X(OTHER, "other")

enum raster_role {
#define RASTER_ROLE_ENUM(name, text) RASTER_##name,
    RASTER_ROLES(RASTER_ROLE_ENUM)
#undef RASTER_ROLE_ENUM
        RASTER_ROLE_COUNT,
};

struct raster_band {
    uint32_t role;           /* enum raster_role */
    uint32_t number;         /* of the sensor, 1 is the first; 0 in a map */
    uint64_t offset;         /* bytes from the start of the region */
    double reflectance_gain; /* reflectance = gain * DN + bias; not for the thermal band */
    double reflectance_bias;
    double radiance_gain; /* radiance = gain * DN + bias, W/(m^2 sr um) */
    double radiance_bias;
    double k1, k2; /* thermal band: kelvin = k2 / log(k1 / radiance + 1) */
};

struct raster {
    uint64_t magic; /* RASTER_MAGIC, stored when all the rest is there */
    uint32_t version;
    uint32_t type;          /* enum raster_type, of every band */
    uint32_t width, height; /* pixels */
    uint32_t count_bands;
    uint32_t pixel_bytes;
    uint64_t total_bytes;   /* of this header and all bands */
    double geotransform[6]; /* GDAL's: x = g0 + column*g1 + row*g2, y = g3 + column*g4 + row*g5 */
    char title[64];
    struct raster_band bands[RASTER_BANDS_MAX];
};

/* Where the members lie; both for the text of the type and to check the struct. */
#define RASTER_BAND_LIST                                                                           \
    (u32, role), (u32, number), (u64, offset), (f64, reflectance_gain), (f64, reflectance_bias),   \
        (f64, radiance_gain), (f64, radiance_bias), (f64, k1), (f64, k2)
#define RASTER_LIST                                                                                \
    (u64, magic), (u32, version), (u32, type), (u32, width), (u32, height), (u32, count_bands),    \
        (u32, pixel_bytes), (u64, total_bytes), (f64, geotransform, 6), (u8, title, 64),           \
        (structs, bands, 16, RASTER_BAND_LIST)
DSM_TYPE_CHECK(struct raster, RASTER_LIST);

/** The type of a raster's region whose pixels are u8, u16 or f32. */
#define RASTER_TYPE(pixel) DSM_TYPE_TEXT(RASTER_LIST) " pad 2920 " pixel "[]"
_Static_assert(sizeof(struct raster) + 2920 == RASTER_ALIGN, "the first band begins after the pad");

/**
 * The values, per program: X(C or R, member, name in the reference, what it is). C is a count,
 * which must match exactly, R a real number.
 */
#define RESULTS_WEATHER(C, R)                                                                      \
    R(brightness_mean, "mean brightness (reflectance)")                                            \
    C(candidates, "cloud candidates (pixels)")                                                     \
    C(cloud, "cloud (pixels)")                                                                     \
    R(cloud_percent, "cloud (% of the scene)")

/** Of a scene with a thermal band only. */
#define RESULTS_THERMAL(C, R)                                                                      \
    R(kelvin_mean, "brightness temperature, mean (K)")                                             \
    R(kelvin_min, "brightness temperature, min (K)")                                               \
    R(kelvin_max, "brightness temperature, max (K)")

#define RESULTS_CROP(C, R)                                                                         \
    C(count, "NDVI, pixels with a value")                                                          \
    R(mean, "NDVI, mean")                                                                          \
    R(min, "NDVI, min")                                                                            \
    R(max, "NDVI, max")                                                                            \
    R(std, "NDVI, standard deviation")                                                             \
    C(above, "NDVI above 0.4 (pixels)")

#define RESULTS_POLLUTION(C, R)                                                                    \
    C(water, "water (pixels)")                                                                     \
    R(water_percent, "water (% of the scene)")                                                     \
    R(turbidity_mean, "turbidity NDTI on water, mean")                                             \
    R(turbidity_max, "turbidity NDTI on water, max")                                               \
    C(turbid, "turbidity above -0.2 (pixels)")                                                     \
    R(haze_mean, "haze HOT, mean")                                                                 \
    R(dark_mean, "dark object, mean")                                                              \
    R(dark_max, "dark object, max")

#define RESULTS_HISTOGRAM_BINS 20u /* of NDVI over [-1, 1] */
#define RESULTS_GRID 4u            /* NDVI means of 4 x 4 cells, row by row from the north */

#define RESULTS_COUNT_MEMBER(name, text) uint64_t name;
#define RESULTS_REAL_MEMBER(name, text) double name;

/* The same as members of a type. */
#define RESULTS_COUNT_FIELD(name, text) , (u64, name)
#define RESULTS_REAL_FIELD(name, text) , (f64, name)

struct weather_results {
    struct machine machine; /* where it was computed */
    uint64_t is_done;
    uint64_t has_thermal;
    RESULTS_WEATHER(RESULTS_COUNT_MEMBER, RESULTS_REAL_MEMBER)
    RESULTS_THERMAL(RESULTS_COUNT_MEMBER, RESULTS_REAL_MEMBER)
};
#define RESULTS_WEATHER_LIST                                                                       \
    (struct, machine, MACHINE_LIST), (u64, is_done),                                               \
        (u64, has_thermal)RESULTS_WEATHER(RESULTS_COUNT_FIELD, RESULTS_REAL_FIELD)                 \
            RESULTS_THERMAL(RESULTS_COUNT_FIELD, RESULTS_REAL_FIELD)

struct crop_results {
    struct machine machine;
    uint64_t is_done;
    RESULTS_CROP(RESULTS_COUNT_MEMBER, RESULTS_REAL_MEMBER)
    uint64_t histogram[RESULTS_HISTOGRAM_BINS];
    double grid[RESULTS_GRID * RESULTS_GRID];
};
#define RESULTS_CROP_LIST                                                                          \
    (struct, machine, MACHINE_LIST),                                                               \
        (u64, is_done)RESULTS_CROP(RESULTS_COUNT_FIELD, RESULTS_REAL_FIELD), (u64, histogram, 20), \
        (f64, grid, 16)

struct pollution_results {
    struct machine machine;
    uint64_t is_done;
    RESULTS_POLLUTION(RESULTS_COUNT_MEMBER, RESULTS_REAL_MEMBER)
};
#define RESULTS_POLLUTION_LIST                                                                     \
    (struct, machine, MACHINE_LIST),                                                               \
        (u64, is_done)RESULTS_POLLUTION(RESULTS_COUNT_FIELD, RESULTS_REAL_FIELD)

/** Made by the writer of the photograph. A program writes its own place, and adds itself to the
 * count. */
struct results {
    uint64_t magic; /* RESULTS_MAGIC */
    uint32_t version;
    uint32_t reserved;
    uint64_t count_programs; /* that have written; changed under the mutex */
    struct weather_results weather;
    struct crop_results crop;
    struct pollution_results pollution;
};
#define RESULTS_LIST                                                                               \
    (u64, magic), (u32, version), (u32, reserved), (u64, count_programs),                          \
        (struct, weather, RESULTS_WEATHER_LIST), (struct, crop, RESULTS_CROP_LIST),                \
        (struct, pollution, RESULTS_POLLUTION_LIST)
DSM_TYPE_CHECK(struct results, RESULTS_LIST);

/** The type of the results' region. */
#define RESULTS_TYPE DSM_TYPE_TEXT(RESULTS_LIST)

/** Offsets in the results region that name the lock on it, and the barrier at the end of a round.
 */
#define RESULTS_MUTEX 0u
#define RESULTS_BARRIER 8u

/** Bytes from the start of one band to the start of the next, 0 when the sizes are not sensible. */
static inline uint64_t raster_band_bytes(const struct raster *raster)
{
    if (raster->width == 0 || raster->width > RASTER_SIDE_MAX || raster->height == 0 ||
        raster->height > RASTER_SIDE_MAX || raster->pixel_bytes == 0 || raster->pixel_bytes > 4) {
        return 0;
    }
    uint64_t bytes = (uint64_t)raster->width * raster->height * raster->pixel_bytes;
    return (bytes + RASTER_ALIGN - 1) / RASTER_ALIGN * RASTER_ALIGN;
}

/** The type of a region of that kind of pixels; NULL when there is no such kind. */
static inline const char *raster_type_text(uint32_t type)
{
    switch (type) {
    case RASTER_U8:
        return RASTER_TYPE("u8");
    case RASTER_U16:
        return RASTER_TYPE("u16");
    case RASTER_F32:
        return RASTER_TYPE("f32");
    default:
        return (const char *)0;
    }
}

/** What is wrong with a raster in a region of that many bytes, or NULL. A static string. */
static inline const char *raster_check(const struct raster *raster, uint64_t region_bytes)
{
    if (region_bytes < sizeof *raster) {
        return "the region is too small for a raster's header";
    }
    if (raster->magic != RASTER_MAGIC) {
        return "the region holds no raster";
    }
    if (raster->version != RASTER_VERSION) {
        return "the raster has another version";
    }
    static const uint32_t bytes_of_type[] = {0, 1, 2, 4};
    if (raster->type < RASTER_U8 || raster->type > RASTER_F32 ||
        raster->pixel_bytes != bytes_of_type[raster->type]) {
        return "the raster has an unknown pixel type";
    }
    uint64_t band_bytes = raster_band_bytes(raster);
    if (band_bytes == 0 || raster->count_bands == 0 || raster->count_bands > RASTER_BANDS_MAX) {
        return "the raster's sides or bands are out of range";
    }
    for (uint32_t i = 0; i < raster->count_bands; i++) {
        uint64_t offset = raster->bands[i].offset;
        if (offset < sizeof *raster || offset % RASTER_ALIGN != 0 || offset > region_bytes ||
            region_bytes - offset < band_bytes) {
            return "a band of the raster leaves the region";
        }
    }
    return (const char *)0;
}

/** Let readers in: who sees the magic number sees all that was written before it. */
static inline void raster_publish(struct raster *raster)
{
    atomic_thread_fence(memory_order_release);
    raster->magic = RASTER_MAGIC;
}

/** The first band of a role, or NULL. Points into the raster. */
static inline const struct raster_band *raster_find(const struct raster *raster, uint32_t role)
{
    for (uint32_t i = 0; i < raster->count_bands; i++) {
        if (raster->bands[i].role == role) {
            return &raster->bands[i];
        }
    }
    return (const struct raster_band *)0;
}

/** The number stored at a pixel of a band; index is row * width + column. */
static inline double raster_number(const struct raster *raster, const struct raster_band *band,
                                   uint64_t index)
{
    const unsigned char *start = (const unsigned char *)raster + band->offset;
    switch (raster->type) {
    case RASTER_U8:
        return start[index];
    case RASTER_U16:
        return ((const uint16_t *)(const void *)start)[index];
    default:
        return (double)((const float *)(const void *)start)[index];
    }
}

/** The reflectance at a pixel of a band. */
static inline double raster_reflectance(const struct raster *raster, const struct raster_band *band,
                                        uint64_t index)
{
    return band->reflectance_gain * raster_number(raster, band, index) + band->reflectance_bias;
}

#endif
