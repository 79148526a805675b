/* SPDX-License-Identifier: Apache-2.0 */
/**
 * From digital numbers to physical ones: the gains of each band of a scene. Part of the program
 * ingest, which stores them with the photograph.
 */
#ifndef SATELLITE_CALIBRATION_H
#define SATELLITE_CALIBRATION_H

#include "scene.h"

/**
 * Fill in a band's gains.
 *
 * @metadata path of the scene's Landsat MTL file; or NULL, then the band's role selects the Landsat
 * 7 ETM+ handbook's values, without the sun's height and distance, which the scene lacks
 * @band     role and label are read, gains are written
 * @error    SCENE_ERROR_BYTES, written on failure
 *
 * Returns 0 or -1. A band of role `other` gets gains only where the metadata has them.
 */
int calibration_fill(const char *metadata, const char *label, struct raster_band *band,
                     char *error);

#endif
