/* SPDX-License-Identifier: Apache-2.0 */
/** Sentences on failures: what was being done to which thing, what went wrong, what to do. */
#ifndef DSM_LIB_ERROR_H
#define DSM_LIB_ERROR_H

#include "dsm/core/node.h"

/** What was being done, for the sentence on its failure. */
struct deed {
    const char *verb; /* "open region" */
    const char *name; /* of the thing, NULL when it has none */
    bool has_offset;  /* the thing is at an offset of the region */
    uint64_t offset;
};

/**
 * Write the sentence for an error of a deed.
 *
 * @error      a DSM_E... value
 * @node       DSM_EDOWN: the number of the lost node, NODE_NONE when unknown
 * @text       written, always terminated
 */
void error_compose(int error, const struct deed *deed, uint32_t node, char *text,
                   size_t size_bytes);

/** What a person can do about an error, a static string; empty when there is nothing general. */
const char *error_advice(int error);

#endif
