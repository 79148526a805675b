/* SPDX-License-Identifier: Apache-2.0 */
/** What catalog_table.c and catalog_table_open.c share: the open file and its statements. */
#ifndef DSM_AGENT_CATALOG_TABLE_STATE_H
#define DSM_AGENT_CATALOG_TABLE_STATE_H

#include <sqlite3.h>

#include "agent/catalog_table.h"

/** Statements: name, text. All are prepared at opening. */
#define STATEMENTS(X)                                                                             \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                   \
    X(COMMIT, "COMMIT")                                                                           \
    X(ROLLBACK, "ROLLBACK")                                                                       \
    X(META_GET, "SELECT revision, epoch, trimmed FROM meta")                                      \
    X(META_SET, "UPDATE meta SET revision = ?1, epoch = ?2, trimmed = ?3")                        \
    X(FIND_SLOT, "SELECT body FROM records WHERE space = ?1 AND slot = ?2")                       \
    X(FIND_NAME, "SELECT body FROM records WHERE kind = ?1 AND name = ?2 AND unlinked = 0")       \
    X(NEXT_SLOT, "SELECT body FROM records WHERE space = 0 AND slot >= ?1 ORDER BY slot LIMIT 1") \
    X(SLOTS, "SELECT slot FROM records WHERE space = 0 AND slot >= ?1 ORDER BY slot")             \
    X(PUT, "INSERT OR REPLACE INTO records VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")               \
    X(REMOVE, "DELETE FROM records WHERE space = ?1 AND slot = ?2")                               \
    X(DELETED_ADD, "INSERT INTO deleted VALUES(?1, ?2)")                                          \
    X(DELETED_COUNT, "SELECT count(*) FROM deleted")                                              \
    X(DELETED_LAST, "SELECT revision FROM deleted ORDER BY revision DESC LIMIT 1 OFFSET ?1")      \
    X(DELETED_TRIM, "DELETE FROM deleted WHERE revision <= ?1")                                   \
    X(LIST, "SELECT body, revision AS r FROM records WHERE revision > ?1"                         \
            " UNION ALL SELECT body, revision AS r FROM deleted WHERE revision > ?1 AND ?1 > 0"   \
            " ORDER BY r")                                                                        \
    X(OUTCOME_FIND, "SELECT slot, generation FROM outcomes WHERE node = ?1 AND request = ?2")     \
    X(OUTCOME_ADD, "INSERT OR REPLACE INTO outcomes VALUES(?1, ?2, ?3, ?4)")                      \
    X(OUTCOME_TRIM, "DELETE FROM outcomes WHERE node = ?1 AND request <= ?2")                     \
    X(OUTCOME_FORGET, "DELETE FROM outcomes WHERE node = ?1")

enum statement {
#define STATEMENT_ENUM(name, text) STATEMENT_##name,
    STATEMENTS(STATEMENT_ENUM)
#undef STATEMENT_ENUM
        STATEMENT_COUNT,
};

/** The numbers of the table `meta`, kept here and written by each commit. */
struct meta {
    uint64_t revision, trimmed;
    uint32_t epoch;
    uint32_t free_slot; /* every slot below it is taken; not stored */
};

struct catalog_table {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    struct meta meta, saved; /* saved: as rollback() restores it */
    struct buffer body;
};

/** A statement ready to be bound. */
sqlite3_stmt *table_statement(struct catalog_table *table, enum statement which);
/** Column `index` of the row as a number. */
uint64_t table_number(sqlite3_stmt *statement, int index);
/** Column 0 of the row as a record. Errors: DSM_ESYS it is none (logged). */
int table_record(sqlite3_stmt *statement, struct record *record);

#endif
