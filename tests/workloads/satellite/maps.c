/* SPDX-License-Identifier: Apache-2.0 */
#include "maps.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "font.h"
#include "picture.h"

#define MARGIN 16u
#define TITLE_DOT 3u /* pixels of a dot of the title's letters */
#define TEXT_DOT 2u
#define LEGEND_HEIGHT 14u
#define SIDE_LEAST 520u /* pixels that a legend needs */
#define SIDE_MOST 1600u
#define LEVELS 65536u /* of digital numbers */

static const struct colour paper = {255, 255, 255};
static const struct colour ink = {30, 30, 34};
static const struct colour cloud_colour = {255, 32, 200};

static const struct ramp_point ndvi_ramp[] = {
    {-0.8, {8, 29, 88}},    {-0.4, {33, 94, 168}},   {-0.1, {120, 176, 214}},
    {0.0, {214, 196, 160}}, {0.15, {236, 218, 160}}, {0.3, {206, 218, 122}},
    {0.45, {134, 190, 78}}, {0.6, {64, 150, 52}},    {0.8, {6, 76, 28}},
};
static const struct ramp_point turbidity_ramp[] = {
    {-0.40, {12, 44, 132}},   {-0.30, {34, 110, 190}},  {-0.23, {64, 182, 196}},
    {-0.18, {190, 228, 180}}, {-0.12, {252, 216, 110}}, {-0.06, {240, 140, 50}},
    {0.0, {150, 40, 20}},
};

/** Where a scene's pixels come in a picture: each is a square of `zoom`, or every `step`-th is one.
 */
struct view {
    uint32_t zoom, step;
    uint32_t columns, rows; /* of the scene's pixels that show */
    uint32_t left, top;     /* pixels of the picture */
};

/** For each band of the true-colour image the digital numbers that become black and white. */
struct stretch {
    const struct raster_band *bands[3]; /* red, green, blue */
    double low[3], high[3];
};

static struct view plan_view(const struct raster *photo)
{
    uint32_t side = photo->width > photo->height ? photo->width : photo->height;
    struct view view = {.zoom = 2, .step = 1};
    while (side / view.step * view.zoom > SIDE_MOST) {
        if (view.zoom > 1) {
            view.zoom--;
        } else {
            view.step++;
        }
    }
    while (view.step == 1 && photo->width * view.zoom < SIDE_LEAST &&
           side * (view.zoom + 1) <= SIDE_MOST) {
        view.zoom++;
    }
    view.columns = photo->width / view.step;
    view.rows = photo->height / view.step;
    view.left = MARGIN;
    view.top = MARGIN + FONT_HEIGHT * TITLE_DOT + MARGIN;
    return view;
}

/** Cut off the darkest and the brightest hundredth of each band. */
static int find_stretch(const struct raster *photo, const struct view *view,
                        struct stretch *stretch)
{
    static const uint32_t roles[] = {RASTER_RED, RASTER_GREEN, RASTER_BLUE};
    uint64_t *counts = malloc(LEVELS * sizeof *counts);
    if (counts == NULL) {
        fputs("report: out of memory\n", stderr);
        return -1;
    }
    uint64_t shown = (uint64_t)view->columns * view->rows;
    for (uint32_t i = 0; i < 3; i++) {
        memset(counts, 0, LEVELS * sizeof *counts);
        stretch->bands[i] = raster_find(photo, roles[i]);
        for (uint64_t at = 0; at < shown; at++) {
            uint64_t row = at / view->columns * view->step,
                     column = at % view->columns * view->step;
            counts[(uint32_t)raster_number(photo, stretch->bands[i],
                                           row * photo->width + column)]++;
        }
        uint64_t below = 0;
        stretch->low[i] = stretch->high[i] = 0;
        for (uint32_t level = 0; level < LEVELS; level++) {
            if (below < shown / 100) {
                stretch->low[i] = level;
            }
            if (below < shown - shown / 100) {
                stretch->high[i] = level;
            }
            below += counts[level];
        }
    }
    free(counts);
    return 0;
}

/** The photograph as an eye would see it, a little lightened. */
static struct colour true_colour(const struct raster *photo, const struct stretch *stretch,
                                 uint64_t index)
{
    uint8_t parts[3];
    for (uint32_t i = 0; i < 3; i++) {
        double width = fmax(stretch->high[i] - stretch->low[i], 1);
        double part = (raster_number(photo, stretch->bands[i], index) - stretch->low[i]) / width;
        parts[i] = (uint8_t)(255 * pow(fmin(fmax(part, 0), 1), 0.8) + 0.5);
    }
    return (struct colour){parts[0], parts[1], parts[2]};
}

static struct colour grey_of(struct colour colour)
{
    double bright = 0.3 * colour.red + 0.59 * colour.green + 0.11 * colour.blue;
    uint8_t level = (uint8_t)(60 + 0.65 * bright);
    return (struct colour){level, level, level};
}

/** An empty map: title above, room for the image and the legend. */
static int start_map(const struct view *view, const char *title, struct picture *picture)
{
    uint32_t height = view->top + view->rows * view->zoom + MARGIN + LEGEND_HEIGHT + 8 +
                      FONT_HEIGHT * TEXT_DOT + MARGIN;
    uint32_t width = view->columns * view->zoom;
    width = width > SIDE_LEAST ? width : SIDE_LEAST;
    if (picture_init(picture, width + 2 * MARGIN, height, paper) != 0) {
        return -1;
    }
    uint32_t dot = picture_text_width(TITLE_DOT, title) <= width ? TITLE_DOT : TEXT_DOT;
    picture_text(picture, MARGIN, MARGIN, dot, ink, title);
    return 0;
}

/** One pixel of the scene. */
static void set_pixel(struct picture *picture, const struct view *view, uint32_t column,
                      uint32_t row, struct colour colour)
{
    picture_fill(picture, view->left + column * view->zoom, view->top + row * view->zoom,
                 view->zoom, view->zoom, colour);
}

/** A bar of the ramp under the image, with five values. */
static void draw_ramp(struct picture *picture, const struct view *view,
                      const struct ramp_point *ramp, uint32_t count_points, const char *meaning)
{
    uint32_t top = view->top + view->rows * view->zoom + MARGIN;
    uint32_t text_top = top + LEGEND_HEIGHT + 8;
    uint32_t room = picture->width - 2 * MARGIN;
    uint32_t width = room - picture_text_width(TEXT_DOT, meaning) - 2 * MARGIN;
    double low = ramp[0].value, high = ramp[count_points - 1].value;
    for (uint32_t x = 0; x < width; x++) {
        double value = low + (high - low) * x / (width - 1);
        picture_fill(picture, MARGIN + x, top, 1, LEGEND_HEIGHT,
                     ramp_colour(ramp, count_points, value));
    }
    for (uint32_t i = 0; i < 5; i++) {
        char text[32];
        snprintf(text, sizeof text, "%.2f", low + (high - low) * i / 4);
        uint32_t text_width = picture_text_width(TEXT_DOT, text) - TEXT_DOT;
        uint32_t x = MARGIN + width * i / 4;
        x = i == 0 ? x : i == 4 ? x - text_width : x - text_width / 2;
        picture_text(picture, x, text_top, TEXT_DOT, ink, text);
    }
    picture_text(picture, MARGIN + width + 2 * MARGIN, top, TEXT_DOT, ink, meaning);
}

/** Colour squares with words, from the left; returns where the next may begin. */
static uint32_t draw_key(struct picture *picture, const struct view *view, uint32_t x,
                         struct colour colour, const char *meaning)
{
    uint32_t top = view->top + view->rows * view->zoom + MARGIN;
    picture_fill(picture, x, top, LEGEND_HEIGHT * 2, LEGEND_HEIGHT, colour);
    picture_text(picture, x + LEGEND_HEIGHT * 2 + 8, top, TEXT_DOT, ink, meaning);
    return x + LEGEND_HEIGHT * 2 + 8 + picture_text_width(TEXT_DOT, meaning) + MARGIN;
}

static int finish_map(struct picture *picture, const char *directory, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int error = picture_write(picture, path);
    picture_close(picture);
    if (error == 0) {
        printf("report: wrote %s\n", path);
    }
    return error;
}

static int write_ndvi(const struct maps *maps, const struct view *view, const char *directory)
{
    struct picture picture;
    const struct raster *map = maps->ndvi;
    const uint32_t points = sizeof ndvi_ramp / sizeof *ndvi_ramp;
    if (start_map(view, "NDVI: vegetation", &picture) != 0) {
        return -1;
    }
    for (uint32_t row = 0; row < view->rows; row++) {
        for (uint32_t column = 0; column < view->columns; column++) {
            uint64_t index = (uint64_t)row * view->step * map->width + column * view->step;
            double value = raster_number(map, &map->bands[0], index);
            set_pixel(&picture, view, column, row,
                      isnan(value) ? paper : ramp_colour(ndvi_ramp, points, value));
        }
    }
    draw_ramp(&picture, view, ndvi_ramp, points, "NDVI");
    return finish_map(&picture, directory, "ndvi.png");
}

static int write_cloud(const struct maps *maps, const struct view *view,
                       const struct stretch *stretch, const char *directory)
{
    struct picture picture;
    const struct raster *map = maps->cloud;
    char meaning[80];
    if (start_map(view, "Cloud over true colour", &picture) != 0) {
        return -1;
    }
    for (uint32_t row = 0; row < view->rows; row++) {
        for (uint32_t column = 0; column < view->columns; column++) {
            uint64_t index = (uint64_t)row * view->step * map->width + column * view->step;
            struct colour colour = true_colour(maps->photo, stretch, index);
            set_pixel(&picture, view, column, row,
                      raster_number(map, &map->bands[0], index) > 0 ? cloud_colour : colour);
        }
    }
    snprintf(meaning, sizeof meaning, "cloud: %llu pixels, %.2f %%",
             (unsigned long long)maps->results->weather.cloud,
             maps->results->weather.cloud_percent);
    (void)draw_key(&picture, view, MARGIN, cloud_colour, meaning);
    return finish_map(&picture, directory, "cloud.png");
}

static int write_turbidity(const struct maps *maps, const struct view *view,
                           const struct stretch *stretch, const char *directory)
{
    struct picture picture;
    const struct raster *map = maps->turbidity;
    const uint32_t points = sizeof turbidity_ramp / sizeof *turbidity_ramp;
    if (start_map(view, "Turbidity of water (land grey)", &picture) != 0) {
        return -1;
    }
    for (uint32_t row = 0; row < view->rows; row++) {
        for (uint32_t column = 0; column < view->columns; column++) {
            uint64_t index = (uint64_t)row * view->step * map->width + column * view->step;
            double value = raster_number(map, &map->bands[0], index);
            set_pixel(&picture, view, column, row,
                      isnan(value) ? grey_of(true_colour(maps->photo, stretch, index))
                                   : ramp_colour(turbidity_ramp, points, value));
        }
    }
    draw_ramp(&picture, view, turbidity_ramp, points, "NDTI");
    return finish_map(&picture, directory, "turbidity.png");
}

int maps_write(const struct maps *maps, const char *directory)
{
    struct view view = plan_view(maps->photo);
    struct stretch stretch;
    if (find_stretch(maps->photo, &view, &stretch) != 0 ||
        write_ndvi(maps, &view, directory) != 0 ||
        write_cloud(maps, &view, &stretch, directory) != 0 ||
        write_turbidity(maps, &view, &stretch, directory) != 0) {
        return -1;
    }
    return 0;
}
