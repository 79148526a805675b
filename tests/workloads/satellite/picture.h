/* SPDX-License-Identifier: Apache-2.0 */
/** A picture of RGB pixels that becomes a PNG file. Part of the program report. */
#ifndef SATELLITE_PICTURE_H
#define SATELLITE_PICTURE_H

#include <stdint.h>

struct colour {
    uint8_t red, green, blue;
};

struct picture {
    uint32_t width, height; /* pixels */
    struct colour *pixels;
};

/** A point of a colour ramp; the points of one ramp have rising values. */
struct ramp_point {
    double value;
    struct colour colour;
};

/** Make a picture of one colour; 0, or -1 when memory is short. Release with picture_close(). */
int picture_init(struct picture *picture, uint32_t width, uint32_t height,
                 struct colour background);
void picture_close(struct picture *picture);

/** Fill a rectangle; what leaves the picture is cut off. */
void picture_fill(struct picture *picture, uint32_t x, uint32_t y, uint32_t width, uint32_t height,
                  struct colour colour);

/** Write text, its upper left corner at x, y, each dot of a letter `dot` pixels wide. */
void picture_text(struct picture *picture, uint32_t x, uint32_t y, uint32_t dot,
                  struct colour colour, const char *text);

/** Pixels that a text is wide. */
uint32_t picture_text_width(uint32_t dot, const char *text);

/** Write a PNG file; 0, or -1 after a message on standard error. */
int picture_write(const struct picture *picture, const char *path);

/** The colour of a value: between two points of the ramp in proportion, beyond its ends the end's.
 */
struct colour ramp_colour(const struct ramp_point *ramp, uint32_t count_points, double value);

#endif
