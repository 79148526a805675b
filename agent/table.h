/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A hash table of objects by a 64-bit number. The link is a member (the first) of the object; the
 * table owns nothing but its buckets, and adding never fails: without memory for more buckets it
 * only gets slower.
 */
#ifndef DSM_AGENT_TABLE_H
#define DSM_AGENT_TABLE_H

#include <stdint.h>

struct table_link {
    struct table_link *next;
    uint64_t key;
};

struct table {
    struct table_link **buckets;
    uint32_t count; /* objects in it */
    uint32_t mask;  /* buckets - 1 */
};

/** Make an empty table. Errors: DSM_ENOMEM. */
int table_init(struct table *table);
/** Free the buckets; the objects are the caller's. */
void table_close(struct table *table);
/** Add an object under a number that is not in the table. */
void table_add(struct table *table, struct table_link *link, uint64_t key);
/** The object with this number, NULL when there is none. */
struct table_link *table_find(const struct table *table, uint64_t key);
/** Take the object with this number out and return it, NULL when there is none. */
struct table_link *table_remove(struct table *table, uint64_t key);
/** Any object, NULL when the table is empty. */
struct table_link *table_any(const struct table *table);

#endif
