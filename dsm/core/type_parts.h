/* SPDX-License-Identifier: Apache-2.0 */
/** Between the files of the type's parser. */
#ifndef DSM_CORE_TYPE_PARTS_H
#define DSM_CORE_TYPE_PARTS_H

#include "dsm/core/line.h"
#include "dsm/core/type.h"

/** No byte of a region is further than this. */
#define TYPE_BYTES_MAX RECORD_SIZE_BYTES_MAX

/**
 * Give each node of a parsed type its offset and size.
 *
 * Errors: DSM_EINVAL  a scalar would not lie at a multiple of its size, or it is all too large
 */
int type_lay_out(struct type *type, struct type_error *error);

#endif
