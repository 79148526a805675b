/* SPDX-License-Identifier: Apache-2.0 */
#include "picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "font.h"

int picture_init(struct picture *picture, uint32_t width, uint32_t height, struct colour background)
{
    picture->width = width;
    picture->height = height;
    picture->pixels = calloc((size_t)width * height, sizeof *picture->pixels);
    if (picture->pixels == NULL) {
        fputs("report: out of memory\n", stderr);
        return -1;
    }
    picture_fill(picture, 0, 0, width, height, background);
    return 0;
}

void picture_close(struct picture *picture)
{
    free(picture->pixels);
    picture->pixels = NULL;
}

void picture_fill(struct picture *picture, uint32_t x, uint32_t y, uint32_t width, uint32_t height,
                  struct colour colour)
{
    for (uint32_t row = y; row < picture->height && row - y < height; row++) {
        for (uint32_t column = x; column < picture->width && column - x < width; column++) {
            picture->pixels[(size_t)row * picture->width + column] = colour;
        }
    }
}

void picture_text(struct picture *picture, uint32_t x, uint32_t y, uint32_t dot,
                  struct colour colour, const char *text)
{
    for (; *text != '\0'; text++, x += (FONT_WIDTH + 1) * dot) {
        const uint8_t *rows = font_find(*text);
        for (uint32_t row = 0; row < FONT_HEIGHT; row++) {
            for (uint32_t column = 0; column < FONT_WIDTH; column++) {
                if ((rows[row] >> (FONT_WIDTH - 1 - column) & 1) != 0) {
                    picture_fill(picture, x + column * dot, y + row * dot, dot, dot, colour);
                }
            }
        }
    }
}

uint32_t picture_text_width(uint32_t dot, const char *text)
{
    return (uint32_t)strlen(text) * (FONT_WIDTH + 1) * dot;
}

int picture_write(const struct picture *picture, const char *path)
{
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.width = picture->width;
    image.height = picture->height;
    image.format = PNG_FORMAT_RGB;
    if (png_image_write_to_file(&image, path, 0, picture->pixels, 0, NULL) == 0) {
        fprintf(stderr, "report: cannot write the map %s: %s\n", path, image.message);
        return -1;
    }
    return 0;
}

static uint8_t mix(uint8_t from, uint8_t to, double part)
{
    return (uint8_t)(from + (to - from) * part + 0.5);
}

struct colour ramp_colour(const struct ramp_point *ramp, uint32_t count_points, double value)
{
    if (!(value > ramp[0].value)) {
        return ramp[0].colour;
    }
    for (uint32_t i = 1; i < count_points; i++) {
        if (value < ramp[i].value) {
            struct colour low = ramp[i - 1].colour, high = ramp[i].colour;
            double part = (value - ramp[i - 1].value) / (ramp[i].value - ramp[i - 1].value);
            return (struct colour){mix(low.red, high.red, part), mix(low.green, high.green, part),
                                   mix(low.blue, high.blue, part)};
        }
    }
    return ramp[count_points - 1].colour;
}
