/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis.h"

#include <string.h>

/* Pixels at once: what is worked on stays in the nearest cache. */
#define CHUNK 2048u
#define UNIT 8192
#define VIGOROUS (4 * UNIT / 10)
#define CHANGED (UNIT / 10)
#define BINS 20
#define EDGE (9 * 200) /* nine times how far a pixel is from the mean around it */

/* Made once more for machines with AVX2, as dsm/core/swap.c is: all ways have the same. */
#define CLONES SWAP_CLONES

/* Where in `sum` each task keeps what. */
enum { NDVI_SUM, NDVI_SQUARES, NDVI_ABOVE, NDVI_BINS };
enum { STENCIL_SUM, STENCIL_EDGES };
enum { CHANGE_SUM, CHANGE_GAIN, CHANGE_LOSS };

struct task {
    const char *name;
    uint32_t bands, halo;
};

static const struct task tasks[] = {
#define ANALYSIS_ROW(name, text, bands, halo) {text, bands, halo},
    ANALYSIS_TASKS(ANALYSIS_ROW)
#undef ANALYSIS_ROW
};

enum analysis_task analysis_find(const char *name)
{
    enum analysis_task task = 0;

    while (task < ANALYSIS_COUNT && strcmp(tasks[task].name, name) != 0) {
        task++;
    }
    return task;
}

bool analysis_reads(enum analysis_task task, uint32_t band)
{
    return (tasks[task].bands >> band & 1) != 0;
}

uint32_t analysis_halo(enum analysis_task task)
{
    return tasks[task].halo;
}

void analysis_begin(struct analysis *found)
{
    memset(found, 0, sizeof *found);
    found->min = INT32_MAX;
    found->max = INT32_MIN;
}

void analysis_add(struct analysis *found, const struct analysis *other)
{
    for (uint32_t i = 0; i < ANALYSIS_SUMS; i++) {
        found->sum[i] += other->sum[i];
    }
    found->min = other->min < found->min ? other->min : found->min;
    found->max = other->max > found->max ? other->max : found->max;
}

CLONES static void compute_ndvi(const uint16_t *restrict red, const uint16_t *restrict nir,
                                uint32_t count, int32_t *restrict ndvi)
{
    for (uint32_t i = 0; i < count; i++) {
        int32_t difference = (int32_t)nir[i] - (int32_t)red[i];
        int32_t sum = (int32_t)nir[i] + (int32_t)red[i];

        ndvi[i] = (int32_t)((float)(difference * UNIT) / (float)(sum > 0 ? sum : 1));
    }
}

CLONES static void find_range(const int32_t *values, uint32_t count, struct analysis *found)
{
    int32_t min = INT32_MAX, max = INT32_MIN;

    for (uint32_t i = 0; i < count; i++) {
        min = values[i] < min ? values[i] : min;
        max = values[i] > max ? values[i] : max;
    }
    found->min = min < found->min ? min : found->min;
    found->max = max > found->max ? max : found->max;
}

CLONES static void add_statistics(const int32_t *ndvi, uint32_t count, struct analysis *found)
{
    int32_t sum = 0, above = 0;
    uint64_t squares = 0;
    uint32_t bins[4][BINS + 1] = {{0}};
    uint8_t bin[CHUNK];

    for (uint32_t i = 0; i < count; i++) {
        sum += ndvi[i];
        above += ndvi[i] > VIGOROUS;
    }
    for (uint32_t i = 0; i < count; i++) {
        squares += (uint32_t)(ndvi[i] * ndvi[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        bin[i] = (uint8_t)((ndvi[i] + UNIT) * BINS / (2 * UNIT));
    }
    /* Four tables, so that one bin need not wait for the next pixel of the same. */
    for (uint32_t i = 0; i < count / 4 * 4; i += 4) {
        bins[0][bin[i]]++;
        bins[1][bin[i + 1]]++;
        bins[2][bin[i + 2]]++;
        bins[3][bin[i + 3]]++;
    }
    for (uint32_t i = count / 4 * 4; i < count; i++) {
        bins[0][bin[i]]++;
    }
    found->sum[NDVI_SUM] += sum;
    found->sum[NDVI_SQUARES] += (int64_t)squares;
    found->sum[NDVI_ABOVE] += above;
    for (uint32_t i = 0; i <= BINS; i++) {
        found->sum[NDVI_BINS + (i < BINS ? i : BINS - 1)] +=
            bins[0][i] + bins[1][i] + bins[2][i] + bins[3][i];
    }
}

static void add_zones(const struct picture *picture, const int32_t *ndvi, uint32_t row,
                      uint32_t column, uint32_t count, struct analysis *found)
{
    uint32_t of_row = (uint32_t)((uint64_t)row * ANALYSIS_GRID / picture->height);
    uint32_t end = column + count;

    for (uint32_t i = column; i < end;) {
        uint32_t zone = (uint32_t)((uint64_t)i * ANALYSIS_GRID / picture->width);
        /* The first column that is not of this zone. */
        uint32_t next =
            (uint32_t)(((uint64_t)(zone + 1) * picture->width + ANALYSIS_GRID - 1) / ANALYSIS_GRID);
        int64_t *sums = found->sum + 2 * ((size_t)of_row * ANALYSIS_GRID + zone);
        int32_t sum = 0;

        next = next < end ? next : end;
        for (uint32_t k = i; k < next; k++) {
            sum += ndvi[k - column];
        }
        sums[0] += sum;
        sums[1] += next - i;
        i = next;
    }
}

CLONES static void add_change(const int32_t *before, int32_t *after, uint32_t count,
                              struct analysis *found)
{
    int32_t sum = 0, gain = 0, loss = 0;

    for (uint32_t i = 0; i < count; i++) {
        after[i] -= before[i];
        sum += after[i];
        gain += after[i] > CHANGED;
        loss += after[i] < -CHANGED;
    }
    find_range(after, count, found);
    found->sum[CHANGE_SUM] += sum;
    found->sum[CHANGE_GAIN] += gain;
    found->sum[CHANGE_LOSS] += loss;
}

/* A part of a row of a band. */
static const uint16_t *pixels(const struct picture *picture, uint32_t band, uint32_t row,
                              uint32_t column)
{
    return picture->band[band] + (uint64_t)(row - picture->first) * picture->width + column;
}

/* Columns [column, column + count) of a row; edges are repeated. */
CLONES static void add_stencil(const struct picture *picture, uint32_t row, uint32_t column,
                               uint32_t count, struct analysis *found)
{
    const uint16_t *up = pixels(picture, 1, row > 0 ? row - 1 : row, 0);
    const uint16_t *here = pixels(picture, 1, row, 0);
    const uint16_t *down = pixels(picture, 1, row + 1 < picture->height ? row + 1 : row, 0);
    int32_t three[CHUNK + 2]; /* of each column, one more on either side */
    uint32_t left = column > 0 ? column - 1 : 0, end = column + count;
    uint32_t right = end < picture->width ? end : end - 1;
    int32_t edges = 0;
    uint64_t sum = 0;

    three[0] = up[left] + here[left] + down[left];
    for (uint32_t i = 0; i < count; i++) {
        three[i + 1] = up[column + i] + here[column + i] + down[column + i];
    }
    three[count + 1] = up[right] + here[right] + down[right];
    for (uint32_t i = 0; i < count; i++) {
        int32_t nine = three[i] + three[i + 1] + three[i + 2];
        int32_t difference = 9 * here[column + i] - nine;

        edges += difference > EDGE || difference < -EDGE;
        sum += (uint32_t)nine;
    }
    found->sum[STENCIL_SUM] += (int64_t)sum;
    found->sum[STENCIL_EDGES] += edges;
}

static void add_chunk(enum analysis_task task, const struct picture *picture, uint32_t row,
                      uint32_t column, uint32_t count, struct analysis *found)
{
    int32_t ndvi[CHUNK], later[CHUNK];

    if (task == ANALYSIS_STENCIL) {
        add_stencil(picture, row, column, count, found);
        return;
    }
    compute_ndvi(pixels(picture, 0, row, column), pixels(picture, 1, row, column), count, ndvi);
    if (task == ANALYSIS_NDVI) {
        find_range(ndvi, count, found);
        add_statistics(ndvi, count, found);
    } else if (task == ANALYSIS_ZONES) {
        add_zones(picture, ndvi, row, column, count, found);
    } else {
        compute_ndvi(pixels(picture, 2, row, column), pixels(picture, 3, row, column), count,
                     later);
        add_change(ndvi, later, count, found);
    }
}

void analysis_rows(enum analysis_task task, const struct picture *picture, uint32_t first,
                   uint32_t last, struct analysis *found)
{
    for (uint32_t row = first; row < last; row++) {
        for (uint32_t column = 0; column < picture->width; column += CHUNK) {
            uint32_t left = picture->width - column;

            add_chunk(task, picture, row, column, left < CHUNK ? left : CHUNK, found);
        }
    }
}
