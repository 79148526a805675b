/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What is computed on a large scene, whatever way its pixels come: from shared memory, by MPI, from
 * a file, from a store of tiles. Rows are independent of each other but for the stencil's halo, and
 * all results are integers, so that any cut of the scene into parts adds up to the same numbers.
 *
 * NDVI is taken in units of 1/8192, towards zero: (nir - red) / max(nir + red, 1).
 */
#ifndef SCENE_ANALYSIS_H
#define SCENE_ANALYSIS_H

#include <stdbool.h>
#include <stdint.h>

#define ANALYSIS_BANDS 4u /* red and near infrared of the first date, then of the second */
#define ANALYSIS_GRID 20u /* zones in a row, and rows of zones */
#define ANALYSIS_SUMS (2u * ANALYSIS_GRID * ANALYSIS_GRID)
#define ANALYSIS_BLOCK_ROWS 60u /* cheap to fetch at once, where that matters */

/** Tasks: name, bit of each band that it reads, rows needed beyond its own, what it finds. */
#define ANALYSIS_TASKS(X)                                                                          \
    X(NDVI, "ndvi", 0x3, 0)       /* sum, sum of squares, pixels above 0.4, a histogram of 20 */   \
    X(STENCIL, "stencil", 0x2, 1) /* 3 x 3 sums of infrared; pixels that differ from their mean */ \
    X(ZONES, "zones", 0x3, 0)     /* NDVI's sum and the pixels of each zone of a 20 x 20 grid */   \
    X(CHANGE, "change", 0xf, 0)   /* NDVI's sum of differences, gains and losses beyond 0.1 */

enum analysis_task {
#define ANALYSIS_ENUM(name, text, bands, halo) ANALYSIS_##name,
    ANALYSIS_TASKS(ANALYSIS_ENUM)
#undef ANALYSIS_ENUM
        ANALYSIS_COUNT,
};

/** Some whole rows of a scene. */
struct picture {
    uint32_t width, height;               /* of the scene, pixels */
    uint32_t first;                       /* row of the scene that band[...] begins with */
    const uint16_t *band[ANALYSIS_BANDS]; /* row by row without gaps; what the task reads */
};

struct analysis {
    int64_t sum[ANALYSIS_SUMS];
    int64_t min, max; /* of NDVI or of its difference */
};

/** The task of this name, ANALYSIS_COUNT if there is none. */
enum analysis_task analysis_find(const char *name);
/** Does the task read this band? */
bool analysis_reads(enum analysis_task task, uint32_t band);
/** How many rows beyond its own the task reads on each side, inside of the scene. */
uint32_t analysis_halo(enum analysis_task task);
/** What has found nothing yet. */
void analysis_begin(struct analysis *found);
/**
 * Add what rows [first, last) of the scene give.
 *
 * @picture has these rows, and the task's halo around them as far as the scene goes
 */
void analysis_rows(enum analysis_task task, const struct picture *picture, uint32_t first,
                   uint32_t last, struct analysis *found);
/** Add what was found in another part of the scene. */
void analysis_add(struct analysis *found, const struct analysis *other);

#endif
