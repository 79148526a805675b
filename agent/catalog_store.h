/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The catalog's rules over its tables: who may change what, which number or id is given out, what a
 * death entails. Synchronous and without a loop; the keeper (catalog_keeper.c) drives it.
 *
 * Invariants
 *   C1 one call is one transaction: all of its changes are on disk when it returns 0, none
 *      otherwise; but of the last call, if its changes could not be synced, a loss of power or of
 *      this process before the next success may bring all of them back
 *   C2 each changed record gets a revision of its own, newer than every revision before
 *   C3 a name is held by at most one object of its kind that is not unlinked
 *   C4 (slot, generation) never comes back: the generation is the revision of the creation
 *   C5 a bit in readers or writers is that of a node that was alive at that revision, and writers
 *      is a part of readers
 *   C6 an unlinked object has a reader
 */
#ifndef DSM_AGENT_CATALOG_STORE_H
#define DSM_AGENT_CATALOG_STORE_H

#include "agent/catalog_table.h"

struct catalog_store;

/**
 * Open the catalog in a file; errors and text as catalog_table_open().
 *
 * @region_bytes_max size of one region at most, 0: no bound
 * @store            returned, release with catalog_store_close()
 */
int catalog_store_open(const char *path, uint64_t region_bytes_max, struct catalog_store **store,
                       char *text);
/** NULL is ignored. */
void catalog_store_close(struct catalog_store *store);

/**
 * Carry out a proposal of a member.
 *
 * CREATE takes from the record: kind, name, mode, size_bytes, page_size, home, window_ms, and of
 * readers and writers the asking node's bits; the rest is given here (owner: the credential; with
 * `replaces`, owner and mode are those of the replaced one, as truncation keeps them). UPDATE may
 * change size_bytes (upwards), unlinked and sealed (to true), and the asking node's bits of
 * readers and writers.
 * NOTHING changes nothing: every change so far has been in an earlier call's `changes`.
 *
 * @node    that asks; must be alive
 * @request its number for this proposal: asked again, it is not done again; 0: never asked again
 * @changes emptied, then what has changed, in the order of revisions
 * @id      of the created or updated record, written on success
 *
 * Errors: DSM_EDOWN   the asking node is not an alive member
 *         DSM_ENAME, DSM_EINVAL, DSM_ESIZE  the record is not one that may be
 *         DSM_EEXIST  CREATE: the name is taken
 *         DSM_EAGAIN  UPDATE: the record has changed since; CREATE: what it replaces has
 *         DSM_ESTALE  UPDATE: the record is gone
 *         DSM_EACCES  the credential has no right to it, or it is not for the asking node to change
 *         DSM_ESYS, DSM_ENOMEM
 */
int catalog_store_propose(struct catalog_store *store, uint32_t node, uint64_t request,
                          const struct proposal *proposal, struct record_list *changes,
                          region_id *id);

/**
 * Make a node a member. A name keeps its number; when it is alive with another incarnation, that
 * one is declared dead first. Joining again with the incarnation that is alive changes its address
 * at most.
 *
 * @joiner  borrowed until return
 * @number  of the node, written on success
 * @changes as for catalog_store_propose(); the node's record comes last
 *
 * Errors: DSM_EINVAL the name or the incarnation is empty, the address is too long, or there is no
 *                    such machine
 *         DSM_EDOWN  this incarnation was declared dead
 *         DSM_EBUSY  all NODES_MAX numbers are given
 *         DSM_ESYS, DSM_ENOMEM
 */
int catalog_store_join(struct catalog_store *store, const struct joiner *joiner,
                       struct record_list *changes, uint32_t *number);

/**
 * Declare a member dead: a new membership epoch begins, it has nothing open any more.
 *
 * @changes as for catalog_store_propose(); the node's record comes first. Empty when it was not
 * alive.
 *
 * Errors: DSM_ENOENT no such node; DSM_ESYS, DSM_ENOMEM
 */
int catalog_store_declare_dead(struct catalog_store *store, uint32_t node,
                               struct record_list *changes);

/** The record of a member. Errors: DSM_ENOENT, DSM_ESYS. */
int catalog_store_find_member(struct catalog_store *store, uint32_t node, struct record *record);
int catalog_store_find_member_name(struct catalog_store *store, const char *name,
                                   struct record *record);

/** The last revision. */
uint64_t catalog_store_revision(const struct catalog_store *store);
/**
 * Append all records with a revision after this one, in that order, deletions included; after 0,
 * all that there are.
 *
 * Errors: DSM_ESTALE deletions after that revision are forgotten already, or it is yet to come
 *         DSM_ESYS, DSM_ENOMEM
 */
int catalog_store_list(struct catalog_store *store, uint64_t after, struct record_list *list);
/** Deletions that are remembered; 0 also when they cannot be counted (logged). */
uint64_t catalog_store_count_deleted(struct catalog_store *store);
/** Forget all of them but the newest `keep`. Errors: DSM_ESYS. */
int catalog_store_trim(struct catalog_store *store, uint64_t keep);

#endif
