/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/table.h"

#include <stdlib.h>

#include "dsm.h"

#define BUCKETS_FIRST 64u

/* Numbers are mostly counted upwards: the multiplication spreads them, its high bits are the best.
 */
static uint32_t bucket_of(const struct table *table, uint64_t key)
{
    return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & table->mask;
}

int table_init(struct table *table)
{
    table->buckets = calloc(BUCKETS_FIRST, sizeof(struct table_link *));
    table->count = 0;
    table->mask = BUCKETS_FIRST - 1;
    return table->buckets == NULL ? DSM_ENOMEM : 0;
}

void table_close(struct table *table)
{
    free(table->buckets);
    table->buckets = NULL;
    table->count = 0;
}

static void insert(struct table *table, struct table_link *link)
{
    struct table_link **bucket = &table->buckets[bucket_of(table, link->key)];

    link->next = *bucket;
    *bucket = link;
}

static void grow(struct table *table)
{
    struct table larger = {.count = table->count, .mask = table->mask * 2 + 1};

    larger.buckets = calloc((size_t)larger.mask + 1, sizeof(struct table_link *));
    if (larger.buckets == NULL) {
        return;
    }
    for (uint32_t at = 0; at <= table->mask; at++) {
        struct table_link *next;

        for (struct table_link *link = table->buckets[at]; link != NULL; link = next) {
            next = link->next;
            insert(&larger, link);
        }
    }
    free(table->buckets);
    *table = larger;
}

void table_add(struct table *table, struct table_link *link, uint64_t key)
{
    if (table->count > table->mask && table->mask < UINT32_MAX / 4) {
        grow(table);
    }
    link->key = key;
    insert(table, link);
    table->count++;
}

struct table_link *table_find(const struct table *table, uint64_t key)
{
    struct table_link *link = table->buckets[bucket_of(table, key)];

    while (link != NULL && link->key != key) {
        link = link->next;
    }
    return link;
}

struct table_link *table_remove(struct table *table, uint64_t key)
{
    struct table_link **at = &table->buckets[bucket_of(table, key)];
    struct table_link *link;

    while (*at != NULL && (*at)->key != key) {
        at = &(*at)->next;
    }
    link = *at;
    if (link != NULL) {
        *at = link->next;
        link->next = NULL;
        table->count--;
    }
    return link;
}

struct table_link *table_any(const struct table *table)
{
    for (uint32_t at = 0; table->count > 0 && at <= table->mask; at++) {
        if (table->buckets[at] != NULL) {
            return table->buckets[at];
        }
    }
    return NULL;
}
