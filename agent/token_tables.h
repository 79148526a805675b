/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The tables of words by which local programs take mutexes without a call (net/token_table.h): a
 * sealed memory file for each region that a program asked for one.
 */
#ifndef DSM_AGENT_TOKEN_TABLES_H
#define DSM_AGENT_TOKEN_TABLES_H

#include "agent/table.h"
#include "dsm/core/node.h"

struct token_tables {
    struct table regions;
};

/** Make it empty. Errors: DSM_ENOMEM. */
int token_tables_init(struct token_tables *tables);
/** Free all tables; the words that programs still see say nothing any more. */
void token_tables_close(struct token_tables *tables);
/**
 * Make a region's table, if it has none.
 *
 * Errors: DSM_ENOMEM, DSM_ESYS
 */
int token_tables_open(struct token_tables *tables, region_id region);
/** The descriptor of a region's table, borrowed until it is closed; -1: it has none. */
int token_tables_memfd(const struct token_tables *tables, region_id region);
/**
 * Carry out an ACTION_TOKEN.
 *
 * @event written when it returns true: to be stepped
 */
bool token_tables_act(struct token_tables *tables, const struct action *action,
                      struct event *event);
/** Its region is gone. */
void token_tables_close_region(struct token_tables *tables, region_id region);

#endif
