/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ctl_table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dsm.h"

#define COLUMNS_MAX 80

struct ctl_table {
    char columns[COLUMNS_MAX + 1];
    size_t count_columns;
    size_t width[COLUMNS_MAX];
    char **cells;
    size_t count_cells;
    size_t capacity;
    bool failed;
};

/** Characters of UTF-8 text: bytes that do not continue one. */
static size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

/** A terminal must not be told anything by a region's name. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20 || byte == 0x7f) {
            *text = '?';
        }
    }
}

static void add_text(struct ctl_table *table, char *text)
{
    if (table->count_cells == table->capacity) {
        size_t capacity = table->capacity ? table->capacity * 2 : 64;
        char **cells = realloc(table->cells, capacity * sizeof(*cells));
        if (!cells) {
            table->failed = true;
            free(text);
            return;
        }
        table->cells = cells;
        table->capacity = capacity;
    }
    make_printable(text);
    size_t column = table->count_cells % table->count_columns;
    size_t width = text_width(text);
    if (width > table->width[column]) {
        table->width[column] = width;
    }
    table->cells[table->count_cells++] = text;
}

struct ctl_table *ctl_table_new(const char *columns, const char *heads)
{
    struct ctl_table *table = calloc(1, sizeof(*table));
    if (!table) {
        return NULL;
    }
    snprintf(table->columns, sizeof(table->columns), "%s", columns);
    table->count_columns = strlen(table->columns);
    while (heads) {
        size_t len = strcspn(heads, "|");
        ctl_table_add(table, "%.*s", (int)len, heads);
        heads = heads[len] == '|' ? heads + len + 1 : NULL;
    }
    return table;
}

void ctl_table_add(struct ctl_table *table, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    if (!table || table->failed) {
        return;
    }
    va_start(arguments, format);
    int len = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (len < 0) {
        table->failed = true;
        return;
    }
    add_text(table, text);
}

int ctl_table_print(struct ctl_table *table)
{
    if (!table) {
        return DSM_ENOMEM;
    }
    for (size_t i = 0; i < table->count_cells; i++) {
        size_t column = i % table->count_columns;
        bool is_last = column + 1 == table->count_columns;
        int padding = (int)(table->width[column] - text_width(table->cells[i]));
        if (table->columns[column] == 'r') {
            printf("%*s%s", padding, "", table->cells[i]);
        } else {
            printf("%s%*s", table->cells[i], is_last ? 0 : padding, "");
        }
        fputs(is_last ? "\n" : "  ", stdout);
        free(table->cells[i]);
    }
    int result = table->failed ? DSM_ENOMEM : 0;
    free(table->cells);
    free(table);
    return result;
}
