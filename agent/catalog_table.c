/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/catalog_table.h"

#include <stdlib.h>
#include <string.h>

#include "agent/catalog_table_state.h"
#include "agent/log.h"
#include "dsm.h"

/** Outcomes remembered for each node. */
#define OUTCOMES_KEPT 1024u

/* Objects (regions, semaphores) share one space of slots, nodes have the other. */
#define SPACE_OBJECTS 0
#define SPACE_NODES 1

int record_list_add(struct record_list *list, const struct record *record)
{
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity > 0 ? list->capacity * 2 : 4;
        struct record *grown = realloc(list->records, capacity * sizeof(*grown));
        if (grown == NULL) {
            return DSM_ENOMEM;
        }
        list->records = grown;
        list->capacity = capacity;
    }
    list->records[list->count++] = *record;
    return 0;
}

void record_list_close(struct record_list *list)
{
    free(list->records);
    *list = (struct record_list){0};
}

static int table_error(struct catalog_table *table, const char *what)
{
    log_line(LOG_LEVEL_ERROR, "catalog cannot %s: %s", what, sqlite3_errmsg(table->db));
    return sqlite3_errcode(table->db) == SQLITE_NOMEM ? DSM_ENOMEM : DSM_ESYS;
}

sqlite3_stmt *table_statement(struct catalog_table *table, enum statement which)
{
    sqlite3_stmt *statement = table->statements[which];
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return statement;
}

static void bind_number(sqlite3_stmt *statement, int index, uint64_t value)
{
    sqlite3_bind_int64(statement, index, (sqlite3_int64)value);
}

uint64_t table_number(sqlite3_stmt *statement, int index)
{
    return (uint64_t)sqlite3_column_int64(statement, index);
}

/** Run a statement that returns no rows. */
static int statement_run(struct catalog_table *table, sqlite3_stmt *statement, const char *what)
{
    int rc = sqlite3_step(statement);
    int error = rc == SQLITE_DONE ? 0 : table_error(table, what);
    sqlite3_reset(statement);
    return error;
}

int table_record(sqlite3_stmt *statement, struct record *record)
{
    const void *bytes = sqlite3_column_blob(statement, 0);
    int len_bytes = sqlite3_column_bytes(statement, 0);
    if (bytes == NULL || record_unpack(bytes, (size_t)len_bytes, record) != 0) {
        log_line(LOG_LEVEL_ERROR, "catalog holds a malformed record bytes=%d", len_bytes);
        return DSM_ESYS;
    }
    return 0;
}

/** Run a statement that returns one record or none. */
static int statement_record(struct catalog_table *table, sqlite3_stmt *statement,
                            struct record *record)
{
    int rc = sqlite3_step(statement);
    int error;
    if (rc == SQLITE_ROW) {
        error = table_record(statement, record);
    } else {
        error = rc == SQLITE_DONE ? DSM_ENOENT : table_error(table, "read a record");
    }
    sqlite3_reset(statement);
    return error;
}

/* Transactions and counters. */

int catalog_table_begin(struct catalog_table *table)
{
    table->saved = table->meta;
    return statement_run(table, table_statement(table, STATEMENT_BEGIN), "begin a transaction");
}

int catalog_table_commit(struct catalog_table *table)
{
    sqlite3_stmt *set = table_statement(table, STATEMENT_META_SET);
    bind_number(set, 1, table->meta.revision);
    bind_number(set, 2, table->meta.epoch);
    bind_number(set, 3, table->meta.trimmed);
    int error = statement_run(table, set, "store its counters");
    if (error == 0) {
        error = statement_run(table, table_statement(table, STATEMENT_COMMIT), "commit");
    }
    if (error != 0) {
        catalog_table_rollback(table);
    }
    return error;
}

void catalog_table_rollback(struct catalog_table *table)
{
    table->meta = table->saved;
    /* SQLite has rolled back by itself after some errors. */
    if (!sqlite3_get_autocommit(table->db)) {
        statement_run(table, table_statement(table, STATEMENT_ROLLBACK), "roll back");
    }
}

uint64_t catalog_table_revision(const struct catalog_table *table)
{
    return table->meta.revision;
}

uint64_t catalog_table_trimmed(const struct catalog_table *table)
{
    return table->meta.trimmed;
}

uint64_t catalog_table_next_revision(struct catalog_table *table)
{
    return ++table->meta.revision;
}

uint32_t catalog_table_next_epoch(struct catalog_table *table)
{
    return ++table->meta.epoch;
}

/* Records. */

static int find_slot(struct catalog_table *table, int space, uint32_t slot, struct record *record)
{
    sqlite3_stmt *find = table_statement(table, STATEMENT_FIND_SLOT);
    sqlite3_bind_int(find, 1, space);
    bind_number(find, 2, slot);
    return statement_record(table, find, record);
}

int catalog_table_find_node(struct catalog_table *table, uint32_t node, struct record *record)
{
    return find_slot(table, SPACE_NODES, node, record);
}

int catalog_table_find_object(struct catalog_table *table, uint32_t slot, struct record *record)
{
    return find_slot(table, SPACE_OBJECTS, slot, record);
}

int catalog_table_find_name(struct catalog_table *table, uint32_t kind, const char *name,
                            struct record *record)
{
    sqlite3_stmt *find = table_statement(table, STATEMENT_FIND_NAME);
    bind_number(find, 1, kind);
    sqlite3_bind_blob(find, 2, name, (int)strlen(name), SQLITE_STATIC);
    return statement_record(table, find, record);
}

int catalog_table_next_object(struct catalog_table *table, uint32_t slot, struct record *record)
{
    sqlite3_stmt *next = table_statement(table, STATEMENT_NEXT_SLOT);
    bind_number(next, 1, slot);
    return statement_record(table, next, record);
}

int catalog_table_free_slot(struct catalog_table *table, uint32_t *slot)
{
    sqlite3_stmt *slots = table_statement(table, STATEMENT_SLOTS);
    uint32_t candidate = table->meta.free_slot;
    int rc;
    bind_number(slots, 1, candidate);
    while ((rc = sqlite3_step(slots)) == SQLITE_ROW && table_number(slots, 0) == candidate) {
        candidate++;
    }
    sqlite3_reset(slots);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        return table_error(table, "look for a free slot");
    }
    table->meta.free_slot = candidate;
    *slot = candidate;
    return 0;
}

static int pack_body(struct catalog_table *table, const struct record *record)
{
    buffer_clear(&table->body);
    record_pack(record, &table->body);
    if (table->body.failed) {
        buffer_close(&table->body);
        return DSM_ENOMEM;
    }
    return 0;
}

static int remove_record(struct catalog_table *table, const struct record *record, int space)
{
    sqlite3_stmt *remove = table_statement(table, STATEMENT_REMOVE);
    sqlite3_bind_int(remove, 1, space);
    bind_number(remove, 2, record->id.slot);
    int error = statement_run(table, remove, "remove a record");
    if (error != 0) {
        return error;
    }
    if (space == SPACE_OBJECTS && record->id.slot < table->meta.free_slot) {
        table->meta.free_slot = record->id.slot;
    }
    sqlite3_stmt *add = table_statement(table, STATEMENT_DELETED_ADD);
    bind_number(add, 1, record->revision);
    sqlite3_bind_blob(add, 2, buffer_data(&table->body), (int)buffer_len(&table->body),
                      SQLITE_STATIC);
    return statement_run(table, add, "remember a deletion");
}

int catalog_table_put(struct catalog_table *table, const struct record *record)
{
    int space = record->kind == RECORD_NODE ? SPACE_NODES : SPACE_OBJECTS;
    int error = pack_body(table, record);
    if (error != 0) {
        return error;
    }
    if (record->deleted) {
        return remove_record(table, record, space);
    }
    sqlite3_stmt *put = table_statement(table, STATEMENT_PUT);
    sqlite3_bind_int(put, 1, space);
    bind_number(put, 2, record->id.slot);
    bind_number(put, 3, record->kind);
    bind_number(put, 4, record->id.generation);
    sqlite3_bind_blob(put, 5, record->name, (int)strlen(record->name), SQLITE_STATIC);
    bind_number(put, 6, record->unlinked ? 1 : 0);
    bind_number(put, 7, record->revision);
    sqlite3_bind_blob(put, 8, buffer_data(&table->body), (int)buffer_len(&table->body),
                      SQLITE_STATIC);
    return statement_run(table, put, "store a record");
}

int catalog_table_list(struct catalog_table *table, uint64_t after, struct record_list *list)
{
    sqlite3_stmt *all = table_statement(table, STATEMENT_LIST);
    struct record record;
    int rc, error = 0;
    bind_number(all, 1, after);
    while ((rc = sqlite3_step(all)) == SQLITE_ROW) {
        error = table_record(all, &record);
        if (error == 0) {
            error = record_list_add(list, &record);
        }
        if (error != 0) {
            break;
        }
    }
    if (error == 0 && rc != SQLITE_DONE) {
        error = table_error(table, "list its records");
    }
    sqlite3_reset(all);
    return error;
}

/** The number in the first column of the first row, 0 when there is none. */
static int statement_number(struct catalog_table *table, sqlite3_stmt *statement, const char *what,
                            uint64_t *number)
{
    int rc = sqlite3_step(statement);
    int error = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : table_error(table, what);
    *number = rc == SQLITE_ROW ? table_number(statement, 0) : 0;
    sqlite3_reset(statement);
    return error;
}

uint64_t catalog_table_count_deleted(struct catalog_table *table)
{
    uint64_t count;
    statement_number(table, table_statement(table, STATEMENT_DELETED_COUNT), "count its deletions",
                     &count);
    return count;
}

int catalog_table_trim(struct catalog_table *table, uint64_t keep)
{
    sqlite3_stmt *last = table_statement(table, STATEMENT_DELETED_LAST);
    uint64_t up_to;
    bind_number(last, 1, keep);
    int error = statement_number(table, last, "look for old deletions", &up_to);
    if (error != 0 || up_to == 0) {
        return error;
    }
    sqlite3_stmt *trim = table_statement(table, STATEMENT_DELETED_TRIM);
    bind_number(trim, 1, up_to);
    table->meta.trimmed = up_to;
    return statement_run(table, trim, "forget old deletions");
}

/* Outcomes. */

int catalog_table_find_outcome(struct catalog_table *table, uint32_t node, uint64_t request,
                               region_id *id)
{
    sqlite3_stmt *find = table_statement(table, STATEMENT_OUTCOME_FIND);
    bind_number(find, 1, node);
    bind_number(find, 2, request);
    int rc = sqlite3_step(find);
    int error = rc == SQLITE_DONE ? DSM_ENOENT : 0;
    if (rc == SQLITE_ROW) {
        id->slot = (uint32_t)table_number(find, 0);
        id->generation = (uint32_t)table_number(find, 1);
    } else if (rc != SQLITE_DONE) {
        error = table_error(table, "look for an outcome");
    }
    sqlite3_reset(find);
    return error;
}

int catalog_table_add_outcome(struct catalog_table *table, uint32_t node, uint64_t request,
                              region_id id)
{
    sqlite3_stmt *add = table_statement(table, STATEMENT_OUTCOME_ADD);
    bind_number(add, 1, node);
    bind_number(add, 2, request);
    bind_number(add, 3, id.slot);
    bind_number(add, 4, id.generation);
    int error = statement_run(table, add, "remember an outcome");
    if (error != 0 || request <= OUTCOMES_KEPT) {
        return error;
    }
    sqlite3_stmt *trim = table_statement(table, STATEMENT_OUTCOME_TRIM);
    bind_number(trim, 1, node);
    bind_number(trim, 2, request - OUTCOMES_KEPT);
    return statement_run(table, trim, "forget old outcomes");
}

int catalog_table_forget_outcomes(struct catalog_table *table, uint32_t node)
{
    sqlite3_stmt *forget = table_statement(table, STATEMENT_OUTCOME_FORGET);
    bind_number(forget, 1, node);
    return statement_run(table, forget, "forget outcomes");
}
