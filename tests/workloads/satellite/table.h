/* SPDX-License-Identifier: Apache-2.0 */
/** The table of values, references and matches. Part of the program report. */
#ifndef SATELLITE_TABLE_H
#define SATELLITE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "raster.h"

/** A mean or another real number matches when it is this close, relative to the reference. */
#define TABLE_TOLERANCE 1e-9

/**
 * Compare the results with the reference and print one table.
 *
 * @results    copied out of the region, borrowed
 * @path       of the reference, JSON; borrowed
 * @is_verbose a line for each bin and grid cell
 * @compared   returned: how many values were compared
 * @differing  returned: how many of them do not match
 *
 * Returns 0, or -1 after a message on standard error: the reference cannot be read.
 */
int table_print(const struct results *results, const char *path, bool is_verbose,
                uint32_t *compared, uint32_t *differing);

#endif
