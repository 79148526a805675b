/* SPDX-License-Identifier: Apache-2.0 */
/* dsmctl region: a region's properties, and where its pages are. */
#include "agent/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/ctl_table.h"
#include "dsm/core/record.h"
#include "dsm/core/types.h"

#define TEXT_BYTES 2048
/** Runs shown without --pages. */
#define RUNS_MAX 24

/** Pages of one node. */
struct share {
    const char *node; /* borrowed from the document */
    long long owned;
    long long copies;
};

static void print_properties(const json_t *region)
{
    char size[64];
    char page[64];
    char homes[TEXT_BYTES];
    char readers[TEXT_BYTES];
    char writers[TEXT_BYTES];
    long long size_bytes = ctl_number(region, "size_bytes");
    long long page_size = ctl_number(region, "page_size");
    const json_t *group = json_object_get(region, "group_bytes");
    const json_t *bounce;
    size_t index;
    const char *type = json_string_value(json_object_get(region, "type"));
    struct ctl_table *table = ctl_table_new("ll", NULL);
    ctl_size(size_bytes, size, sizeof(size));
    ctl_size(page_size, page, sizeof(page));
    ctl_names(json_object_get(region, "homes"), homes, sizeof(homes));
    ctl_names(json_object_get(region, "readers"), readers, sizeof(readers));
    ctl_names(json_object_get(region, "writers"), writers, sizeof(writers));
    ctl_table_add(table, "name");
    ctl_table_add(table, "%s%s", ctl_text(region, "name"),
                  json_is_true(json_object_get(region, "unlinked")) ? " (unlinked)" : "");
    ctl_table_add(table, "id");
    ctl_table_add(table, "slot %lld, generation %lld", ctl_number(region, "slot"),
                  ctl_number(region, "generation"));
    ctl_table_add(table, "size");
    ctl_table_add(table, "%s (%lld bytes): %lld pages of %s", size, size_bytes,
                  page_size > 0 ? (size_bytes + page_size - 1) / page_size : 0, page);
    ctl_table_add(table, "mode");
    ctl_table_add(table, "%s, uid %lld, gid %lld", ctl_text(region, "mode"),
                  ctl_number(region, "uid"), ctl_number(region, "gid"));
    ctl_table_add(table, "home");
    ctl_table_add(table, "%s: %s", ctl_text(region, "home"), homes);
    ctl_table_add(table, "sealed");
    ctl_table_add(table, "%s", json_is_true(json_object_get(region, "sealed"))
                                   ? "yes: its bytes never change again, any holder serves them"
                                   : "no");
    ctl_table_add(table, "type");
    ctl_table_add(table, "%s", type ? type : "none: bytes, which no node converts");
    ctl_table_add(table, "open on");
    ctl_table_add(table, "%s", readers);
    ctl_table_add(table, "writable on");
    ctl_table_add(table, "%s", writers);
    if (group) {
        ctl_size(json_integer_value(group), page, sizeof(page));
        ctl_table_add(table, "groups here");
        ctl_table_add(table, "pages of %s of the hardware", page);
    }
    json_array_foreach(json_object_get(region, "bounces"), index, bounce)
    {
        ctl_names(json_object_get(bounce, "other_nodes"), readers, sizeof(readers));
        ctl_table_add(table, "bounces here");
        ctl_table_add(table, "page %lld (offset %lld), wanted by %s, %lld times in one second: %s",
                      ctl_number(bounce, "page"), ctl_number(bounce, "offset"), readers,
                      ctl_number(bounce, "per_s_peak"), ctl_text(bounce, "advice"));
    }
    if (json_is_integer(json_object_get(region, "resident_pages"))) {
        ctl_table_add(table, "resident here");
        ctl_table_add(table, "%lld pages", ctl_number(region, "resident_pages"));
    }
    (void)ctl_table_print(table);
}

static struct share *share_find(struct share *shares, size_t *count, const char *node)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(shares[i].node, node) == 0) {
            return &shares[i];
        }
    }
    if (*count == NODES_MAX) {
        return NULL;
    }
    shares[*count] = (struct share){node, 0, 0};
    return &shares[(*count)++];
}

/** How many pages each node owns, and of how many it has a copy beside the owner. */
static void print_shares(const json_t *pages)
{
    struct share shares[NODES_MAX];
    size_t count_shares = 0;
    size_t index;
    size_t reader_index;
    json_t *run;
    json_t *reader;
    json_array_foreach(pages, index, run)
    {
        long long count = ctl_number(run, "count");
        const char *owner = json_string_value(json_object_get(run, "owner"));
        struct share *share = owner ? share_find(shares, &count_shares, owner) : NULL;
        if (share) {
            share->owned += count;
        }
        json_array_foreach(json_object_get(run, "readers"), reader_index, reader)
        {
            const char *node = json_string_value(reader);
            share = node ? share_find(shares, &count_shares, node) : NULL;
            if (share && (!owner || strcmp(node, owner) != 0)) {
                share->copies += count;
            }
        }
    }
    if (count_shares == 0) {
        return;
    }
    struct ctl_table *table = ctl_table_new("lrr", "NODE|PAGES OWNED|COPIES");
    for (size_t i = 0; i < count_shares; i++) {
        ctl_table_add(table, "%s", shares[i].node);
        ctl_table_add(table, "%lld", shares[i].owned);
        ctl_table_add(table, "%lld", shares[i].copies);
    }
    putchar('\n');
    (void)ctl_table_print(table);
}

/** Is `next` the continuation of `run`, which ends before page `end`? */
static bool is_continued(const json_t *run, const json_t *next, long long end)
{
    return ctl_number(next, "page") == end &&
           strcmp(ctl_text(run, "state"), ctl_text(next, "state")) == 0 &&
           json_equal(json_object_get(run, "owner"), json_object_get(next, "owner")) &&
           json_equal(json_object_get(run, "readers"), json_object_get(next, "readers"));
}

/** Homes answer in pieces; runs that go on are shown as one. */
static void print_runs(const json_t *pages, size_t count_max)
{
    char readers[TEXT_BYTES];
    size_t count = json_array_size(pages);
    size_t shown = 0;
    size_t more = 0;
    struct ctl_table *table = ctl_table_new("rrlll", "FIRST PAGE|COUNT|STATE|OWNER|READERS");
    for (size_t i = 0; i < count;) {
        const json_t *run = json_array_get(pages, i);
        long long first = ctl_number(run, "page");
        long long end = first + ctl_number(run, "count");
        for (i++; i < count && is_continued(run, json_array_get(pages, i), end); i++) {
            end += ctl_number(json_array_get(pages, i), "count");
        }
        if (shown == count_max) {
            more++;
            continue;
        }
        shown++;
        const char *owner = json_string_value(json_object_get(run, "owner"));
        ctl_names(json_object_get(run, "readers"), readers, sizeof(readers));
        ctl_table_add(table, "%lld", first);
        ctl_table_add(table, "%lld", end - first);
        ctl_table_add(table, "%s", ctl_text(run, "state"));
        ctl_table_add(table, "%s", owner ? owner : "-");
        ctl_table_add(table, "%s", readers);
    }
    putchar('\n');
    (void)ctl_table_print(table);
    if (more > 0) {
        printf("... and %zu more runs; --pages shows all\n", more);
    }
}

int ctl_region(const struct ctl_options *options)
{
    char topic[RECORD_NAME_BYTES + 16];
    json_t *json = NULL;
    const char *name = options->argument;
    if (!record_name_is_valid(name)) {
        return ctl_fail(options, CTL_USAGE,
                        "'%.300s' is no region's name: it must start with '/', hold no other '/', "
                        "and have 2 to 255 bytes, such as /photo; 'dsmctl regions' lists them",
                        name);
    }
    snprintf(topic, sizeof(topic), "region %s", name);
    int result = ctl_fetch(options, topic, &json);
    if (result != CTL_OK) {
        return result;
    }
    if (options->json) {
        ctl_print_json(json);
    } else {
        const json_t *pages = json_object_get(json, "pages");
        print_properties(json_object_get(json, "region"));
        print_shares(pages);
        if (json_array_size(pages) > 0) {
            print_runs(pages, options->pages ? SIZE_MAX : RUNS_MAX);
        } else {
            printf("\nno page has been touched yet\n");
        }
    }
    ctl_warn_incomplete(json);
    json_decref(json);
    return CTL_OK;
}
