/* SPDX-License-Identifier: Apache-2.0 */
/** A line of text that is put together piece by piece, without stdio; too long ones are cut. */
#ifndef DSM_CORE_LINE_H
#define DSM_CORE_LINE_H

#include "dsm/core/types.h"

struct line {
    char *text; /* terminated at all times */
    size_t size_bytes;
    size_t len_bytes;
    bool is_cut; /* something did not fit */
};

/** Begin a line in memory of the caller, 1 byte at least. */
void line_begin(struct line *line, char *text, size_t size_bytes);
void line_add_bytes(struct line *line, const char *bytes, size_t len_bytes);
void line_add(struct line *line, const char *text);
void line_add_number(struct line *line, uint64_t number);

#endif
