/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The catalog's records on disk: SQLite with WAL and synchronous=FULL, open in one process only.
 * This file stores what it is told; which changes are legal is the business of catalog_store.c.
 *
 * Changes are made between begin() and commit() or rollback(); a crash leaves all of them or none.
 * Every revision that a transaction uses up is newer than all before it.
 */
#ifndef DSM_AGENT_CATALOG_TABLE_H
#define DSM_AGENT_CATALOG_TABLE_H

#include "dsm/core/record.h"
#include "net/codec.h"

struct catalog_table;

/** Records in the order of their revisions. All zero is an empty one. */
struct record_list {
    struct record *records;
    uint32_t count, capacity;
};

/** Append a copy. Errors: DSM_ENOMEM. */
int record_list_add(struct record_list *list, const struct record *record);
/** Free its memory and make it empty. */
void record_list_close(struct record_list *list);

/**
 * Open the file, make it if it is absent, and check the whole of it.
 *
 * @table returned, release with catalog_table_close()
 * @text  on error: the file, what is wrong with it and what to do; TEXT_BYTES_MAX bytes
 *
 * Errors: DSM_EBUSY another agent has it open
 *         DSM_ESYS  it cannot be opened, is damaged, or is of a newer version; DSM_ENOMEM
 */
int catalog_table_open(const char *path, struct catalog_table **table, char *text);
/** Close it; what is not committed is not there any more. NULL is ignored. */
void catalog_table_close(struct catalog_table *table);

/** The transaction. Errors: DSM_ESYS (logged). A failed commit has rolled back. */
int catalog_table_begin(struct catalog_table *table);
int catalog_table_commit(struct catalog_table *table);
void catalog_table_rollback(struct catalog_table *table);

/** The last revision used, and the last up to which deletions are forgotten. */
uint64_t catalog_table_revision(const struct catalog_table *table);
uint64_t catalog_table_trimmed(const struct catalog_table *table);
/** A new revision, a new membership epoch; inside a transaction. */
uint64_t catalog_table_next_revision(struct catalog_table *table);
uint32_t catalog_table_next_epoch(struct catalog_table *table);

/**
 * Find a record: of a node by its number, of an object by its slot; of either by its name (an
 * unlinked object has none); or the first object whose slot is not below.
 *
 * Errors: DSM_ENOENT none; DSM_ESYS (logged)
 */
int catalog_table_find_node(struct catalog_table *table, uint32_t node, struct record *record);
int catalog_table_find_object(struct catalog_table *table, uint32_t slot, struct record *record);
int catalog_table_find_name(struct catalog_table *table, uint32_t kind, const char *name,
                            struct record *record);
int catalog_table_next_object(struct catalog_table *table, uint32_t slot, struct record *record);
/** The lowest slot >= 1 that no object has. Errors: DSM_ESYS (logged). */
int catalog_table_free_slot(struct catalog_table *table, uint32_t *slot);

/**
 * Store a record under its (kind, slot) in place of what is there; one that is `deleted` is
 * removed, and remembered as deleted.
 *
 * Errors: DSM_ESYS (logged), DSM_ENOMEM
 */
int catalog_table_put(struct catalog_table *table, const struct record *record);

/**
 * Append the records with a revision after this one, deletions included (but when it is 0).
 *
 * Errors: DSM_ESYS (logged), DSM_ENOMEM
 */
int catalog_table_list(struct catalog_table *table, uint64_t after, struct record_list *list);

/** Deletions that are remembered; 0 also when they cannot be counted (logged). */
uint64_t catalog_table_count_deleted(struct catalog_table *table);
/** Forget all of them but the newest `keep`. Errors: DSM_ESYS (logged). */
int catalog_table_trim(struct catalog_table *table, uint64_t keep);

/**
 * Outcomes of proposals that were carried out, so that one asked again after a cut is not done
 * twice.
 *
 * find: DSM_ENOENT when the request is not known; add: forgets those 1024 and more requests before;
 * forget: all of the node, whose next incarnation counts its requests from the start.
 */
int catalog_table_find_outcome(struct catalog_table *table, uint32_t node, uint64_t request,
                               region_id *id);
int catalog_table_add_outcome(struct catalog_table *table, uint32_t node, uint64_t request,
                              region_id id);
int catalog_table_forget_outcomes(struct catalog_table *table, uint32_t node);

#endif
