/* SPDX-License-Identifier: Apache-2.0 */
/** The three maps as PNG files, with title and legend. Part of the program report. */
#ifndef SATELLITE_MAPS_H
#define SATELLITE_MAPS_H

#include "raster.h"

struct maps {
    const struct raster *photo;
    const struct raster *ndvi;
    const struct raster *cloud;
    const struct raster *turbidity;
    const struct results *results;
};

/**
 * Write ndvi.png, cloud.png and turbidity.png.
 *
 * @maps      checked rasters of one size, borrowed; the photo has blue, green and red
 * @directory exists
 *
 * Returns 0, or -1 after a message on standard error.
 */
int maps_write(const struct maps *maps, const char *directory);

#endif
