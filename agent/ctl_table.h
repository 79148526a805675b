/* SPDX-License-Identifier: Apache-2.0 */
/** Text in aligned columns. Bytes that are no printable text are shown as '?': names are not
 * trusted. */
#ifndef DSM_AGENT_CTL_TABLE_H
#define DSM_AGENT_CTL_TABLE_H

struct ctl_table;

/**
 * Start a table.
 *
 * @columns   one letter a column: 'l' text to the left, 'r' numbers to the right
 * @heads     the columns' heads, separated by '|'; NULL: none
 *
 * Returns NULL without memory, which the other functions take; then nothing is printed.
 */
struct ctl_table *ctl_table_new(const char *columns, const char *heads);
/** Add one cell; cells fill rows from left to right. */
void ctl_table_add(struct ctl_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** Print it on standard output and free it. Returns 0, or DSM_ENOMEM when a part was lost. */
int ctl_table_print(struct ctl_table *table);

#endif
