/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/core/line.h"

#include <string.h>

/** Digits of a 64-bit number. */
#define DIGITS_MAX 20u

void line_begin(struct line *line, char *text, size_t size_bytes)
{
    *line = (struct line){.text = text, .size_bytes = size_bytes};
    text[0] = 0;
}

void line_add_bytes(struct line *line, const char *bytes, size_t len_bytes)
{
    size_t room = line->size_bytes - line->len_bytes - 1;

    if (len_bytes > room) {
        line->is_cut = true;
        len_bytes = room;
    }
    memcpy(line->text + line->len_bytes, bytes, len_bytes);
    line->len_bytes += len_bytes;
    line->text[line->len_bytes] = 0;
}

void line_add(struct line *line, const char *text)
{
    line_add_bytes(line, text, strlen(text));
}

void line_add_number(struct line *line, uint64_t number)
{
    char digits[DIGITS_MAX];
    size_t first = DIGITS_MAX;

    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    line_add_bytes(line, digits + first, DIGITS_MAX - first);
}
