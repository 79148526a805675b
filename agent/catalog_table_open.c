/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/catalog_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/catalog_table_state.h"
#include "dsm.h"

/** The version of the tables below, in the file's user_version. */
#define TABLE_VERSION 3
static const char schema[] =
    "CREATE TABLE meta(one INTEGER PRIMARY KEY CHECK(one = 1), revision INTEGER NOT NULL,"
    " epoch INTEGER NOT NULL, trimmed INTEGER NOT NULL);"
    "INSERT INTO meta VALUES(1, 0, 0, 0);"
    "CREATE TABLE records(space INTEGER NOT NULL, slot INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " generation INTEGER NOT NULL, name BLOB NOT NULL, unlinked INTEGER NOT NULL,"
    " revision INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY(space, slot)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX records_name ON records(kind, name) WHERE unlinked = 0;"
    "CREATE UNIQUE INDEX records_revision ON records(revision);"
    "CREATE TABLE deleted(revision INTEGER PRIMARY KEY, body BLOB NOT NULL);"
    "CREATE TABLE outcomes(node INTEGER NOT NULL, request INTEGER NOT NULL, slot INTEGER NOT NULL,"
    " generation INTEGER NOT NULL, PRIMARY KEY(node, request)) WITHOUT ROWID;";

static const char *const statement_texts[STATEMENT_COUNT] = {
#define STATEMENT_TEXT(name, text) text,
    STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

static int open_failed(sqlite3 *db, const char *path, const char *doing, char *text)
{
    int code = sqlite3_errcode(db);
    if (code == SQLITE_BUSY) {
        snprintf(text, TEXT_BYTES_MAX,
                 "the catalog %s is open in another agent: stop it, or set another state_dir",
                 path);
        return DSM_EBUSY;
    }
    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) {
        /* SQLite calls a file malformed, too, of which the disk cannot read a page. */
        snprintf(text, TEXT_BYTES_MAX,
                 "the catalog %s is damaged or cannot be read (%s): look for errors of the disk in "
                 "the kernel's log; restore a copy of it, or move it away to start with an empty "
                 "one",
                 path, sqlite3_errmsg(db));
        return DSM_ESYS;
    }
    snprintf(text, TEXT_BYTES_MAX, "cannot %s the catalog %s: %s", doing, path, sqlite3_errmsg(db));
    return code == SQLITE_NOMEM ? DSM_ENOMEM : DSM_ESYS;
}

static int single_int(sqlite3 *db, const char *sql, int *value)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW) {
            *value = sqlite3_column_int(statement, 0);
            rc = SQLITE_OK;
        }
    }
    sqlite3_finalize(statement);
    return rc;
}

/** Was a page not to be read, rather than wrong? The check tells SQLite's code for it in words. */
static bool is_unread(const char *verdict)
{
    static const char words[] = "error code=";
    const char *found = strstr(verdict, words);
    long code = found != NULL ? strtol(found + strlen(words), NULL, 10) & 0xff : SQLITE_OK;
    return code == SQLITE_IOERR || code == SQLITE_NOMEM;
}

static int check_integrity(sqlite3 *db, const char *path, char *text)
{
    sqlite3_stmt *statement = NULL;
    int error = 0;
    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        error = open_failed(db, path, "check", text);
    } else {
        const char *verdict = (const char *)sqlite3_column_text(statement, 0);
        if (verdict == NULL) {
            error = open_failed(db, path, "check", text);
        } else if (is_unread(verdict)) {
            snprintf(text, TEXT_BYTES_MAX, "cannot read the catalog %s: %s", path, verdict);
            error = DSM_ESYS;
        } else if (strcmp(verdict, "ok") != 0) {
            snprintf(text, TEXT_BYTES_MAX,
                     "the catalog %s is damaged (%s): restore a copy of it, or move it away to "
                     "start with an empty one",
                     path, verdict);
            error = DSM_ESYS;
        }
    }
    sqlite3_finalize(statement);
    return error;
}

/** Take the file for this process, make the tables in a new one, check an old one. */
static int prepare_file(sqlite3 *db, const char *path, char *text)
{
    int version = -1;
    /* The lock of locking_mode=EXCLUSIVE is taken by the first transaction and kept until closing.
     */
    if (sqlite3_exec(db,
                     "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
                     "PRAGMA synchronous = FULL; BEGIN EXCLUSIVE; COMMIT;",
                     NULL, NULL, NULL) != SQLITE_OK ||
        single_int(db, "PRAGMA user_version", &version) != SQLITE_OK) {
        return open_failed(db, path, "open", text);
    }
    if (version > TABLE_VERSION) {
        snprintf(text, TEXT_BYTES_MAX,
                 "the catalog %s was written by a newer agent (version %d, this one knows %d): "
                 "upgrade this agent",
                 path, version, TABLE_VERSION);
        return DSM_ESYS;
    }
    if (version > 0 && version < TABLE_VERSION) {
        snprintf(text, TEXT_BYTES_MAX,
                 "the catalog %s was written by an older agent (version %d, this one knows %d): "
                 "move it away to start with an empty one",
                 path, version, TABLE_VERSION);
        return DSM_ESYS;
    }
    if (version == 0) {
        char sql[sizeof(schema) + 96];
        snprintf(sql, sizeof(sql), "BEGIN; %s PRAGMA user_version = %d; COMMIT;", schema,
                 TABLE_VERSION);
        if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
            return open_failed(db, path, "make", text);
        }
    }
    return check_integrity(db, path, text);
}

static int prepare_statements(struct catalog_table *table, const char *path, char *text)
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        if (sqlite3_prepare_v3(table->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &table->statements[i], NULL) != SQLITE_OK) {
            return open_failed(table->db, path, "use", text);
        }
    }
    sqlite3_stmt *meta = table_statement(table, STATEMENT_META_GET);
    int rc = sqlite3_step(meta);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        int error = open_failed(table->db, path, "read", text);
        sqlite3_reset(meta);
        return error;
    }
    if (rc == SQLITE_DONE) {
        sqlite3_reset(meta);
        snprintf(text, TEXT_BYTES_MAX, "the catalog %s is damaged: its counters are missing", path);
        return DSM_ESYS;
    }
    table->meta = (struct meta){.revision = table_number(meta, 0),
                                .epoch = (uint32_t)table_number(meta, 1),
                                .trimmed = table_number(meta, 2),
                                .free_slot = 1};
    sqlite3_reset(meta);
    return 0;
}

/** The body of each record must be one, or nothing could be said of it later. */
static int check_records(struct catalog_table *table, const char *path, char *text)
{
    sqlite3_stmt *all = table_statement(table, STATEMENT_LIST);
    struct record record;
    uint64_t count = 0;
    int rc, error = 0;
    sqlite3_bind_int64(all, 1, 0);
    while (error == 0 && (rc = sqlite3_step(all)) == SQLITE_ROW) {
        error = table_record(all, &record);
        count++;
    }
    sqlite3_reset(all);
    if (error != 0) {
        snprintf(text, TEXT_BYTES_MAX,
                 "the catalog %s is damaged (record %llu is malformed): restore a copy of it", path,
                 (unsigned long long)count);
        return DSM_ESYS;
    }
    return rc == SQLITE_DONE ? 0 : open_failed(table->db, path, "read", text);
}

int catalog_table_open(const char *path, struct catalog_table **table, char *text)
{
    struct catalog_table *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        snprintf(text, TEXT_BYTES_MAX, "no memory to open the catalog %s", path);
        return DSM_ENOMEM;
    }
    /* Made here and not by SQLite, for its mode: names of regions are not everybody's business. */
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        snprintf(text, TEXT_BYTES_MAX,
                 "cannot open the catalog %s: %s: make its directory writable for the agent, or "
                 "set another state_dir",
                 path, strerror(errno));
        free(made);
        return DSM_ESYS;
    }
    close(fd);
    int error = 0;
    if (sqlite3_open_v2(path, &made->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        error = open_failed(made->db, path, "open", text);
    }
    if (error == 0) {
        error = prepare_file(made->db, path, text);
    }
    if (error == 0) {
        error = prepare_statements(made, path, text);
    }
    if (error == 0) {
        error = check_records(made, path, text);
    }
    if (error != 0) {
        catalog_table_close(made);
        return error;
    }
    *table = made;
    return 0;
}

void catalog_table_close(struct catalog_table *table)
{
    if (table == NULL) {
        return;
    }
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        sqlite3_finalize(table->statements[i]);
    }
    sqlite3_close(table->db);
    buffer_close(&table->body);
    free(table);
}
