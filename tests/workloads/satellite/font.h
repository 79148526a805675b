/* SPDX-License-Identifier: Apache-2.0 */
/** Letters of 5 x 7 pixels, for the titles of maps. Part of the program report. */
#ifndef SATELLITE_FONT_H
#define SATELLITE_FONT_H

#include <stdint.h>

#define FONT_WIDTH 5u
#define FONT_HEIGHT 7u

/** The rows of a letter from the top; bit 4 is the left pixel. What has no shape is a blank. */
const uint8_t *font_find(char letter);

#endif
