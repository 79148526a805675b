/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that show what agents say: status, nodes, regions, sems, stats; and rm. */
#include "agent/ctl.h"

#include <stdio.h>
#include <string.h>

#include "agent/ctl_table.h"
#include "dsm/core/record.h"

#define TEXT_BYTES 2048
/** Bytes of a type in the table of regions; `dsmctl region` shows all of it. */
#define TYPE_SHOWN 32

static int finish(const struct ctl_options *options, struct ctl_table *table)
{
    if (ctl_table_print(table) != 0) {
        return ctl_fail(options, CTL_FAILED, "out of memory");
    }
    return CTL_OK;
}

/** Seconds for people: the two largest units. */
static void duration(long long seconds, char *text, size_t text_bytes)
{
    if (seconds >= 86400) {
        snprintf(text, text_bytes, "%lld d %lld h", seconds / 86400, seconds % 86400 / 3600);
    } else if (seconds >= 3600) {
        snprintf(text, text_bytes, "%lld h %lld min", seconds / 3600, seconds % 3600 / 60);
    } else if (seconds >= 60) {
        snprintf(text, text_bytes, "%lld min %lld s", seconds / 60, seconds % 60);
    } else {
        snprintf(text, text_bytes, "%lld s", seconds);
    }
}

static int print_status(const struct ctl_options *options, const json_t *status)
{
    char uptime[64];
    char resident[64];
    char budget[64];
    const json_t *keeper = json_object_get(status, "keeper");
    struct ctl_table *table = ctl_table_new("ll", NULL);
    duration(ctl_number(status, "uptime_s"), uptime, sizeof(uptime));
    ctl_size(ctl_number(status, "resident_bytes"), resident, sizeof(resident));
    ctl_size(ctl_number(status, "budget_bytes"), budget, sizeof(budget));
    ctl_table_add(table, "node");
    ctl_table_add(table, "%s (number %lld, incarnation %lld)", ctl_text(status, "node"),
                  ctl_number(status, "number"), ctl_number(status, "incarnation"));
    ctl_table_add(table, "agent");
    ctl_table_add(table, "version %s, protocol %lld, pid %lld, up %s", ctl_text(status, "version"),
                  ctl_number(status, "protocol"), ctl_number(status, "pid"), uptime);
    ctl_table_add(table, "listens at");
    ctl_table_add(table, "%s", ctl_text(status, "listen"));
    ctl_table_add(table, "keeper");
    ctl_table_add(table, "%s: %s",
                  json_is_true(json_object_get(keeper, "available")) ? "available"
                                                                     : "NOT AVAILABLE",
                  ctl_text(keeper, "text"));
    ctl_table_add(table, "members");
    ctl_table_add(table, "%lld, links up: %lld, epoch %lld", ctl_number(status, "members"),
                  ctl_number(status, "peers_up"), ctl_number(status, "epoch"));
    ctl_table_add(table, "regions");
    ctl_table_add(table, "%lld", ctl_number(status, "regions"));
    ctl_table_add(table, "programs");
    ctl_table_add(table, "%lld connected", ctl_number(status, "clients"));
    ctl_table_add(table, "memory");
    ctl_table_add(table, "%s of pages, budget %s", resident, budget);
    return finish(options, table);
}

static int print_nodes(const struct ctl_options *options, const json_t *document)
{
    char page[64];
    size_t index;
    json_t *node;
    struct ctl_table *table =
        ctl_table_new("rllllrrrrlr", "NODE|NAME|ADDRESS|STATE|LINK|INCARNATION|EPOCH|HEARD|PAGE|"
                                     "ORDER|WORD");
    json_array_foreach(json_object_get(document, "nodes"), index, node)
    {
        const json_t *heard = json_object_get(node, "heard_ms_ago");
        bool is_self = json_is_true(json_object_get(node, "self"));
        ctl_table_add(table, "%lld", ctl_number(node, "node"));
        ctl_table_add(table, "%s", ctl_text(node, "name"));
        ctl_table_add(table, "%s", ctl_text(node, "address"));
        ctl_table_add(table, "%s", json_is_true(json_object_get(node, "alive")) ? "alive" : "dead");
        ctl_table_add(table, "%s", ctl_text(node, "link"));
        ctl_table_add(table, "%lld", ctl_number(node, "incarnation"));
        ctl_table_add(table, "%lld", ctl_number(node, "epoch"));
        if (is_self || !json_is_integer(heard)) {
            ctl_table_add(table, "-");
        } else {
            ctl_table_add(table, "%lld ms ago", json_integer_value(heard));
        }
        ctl_size(ctl_number(node, "page_bytes"), page, sizeof(page));
        ctl_table_add(table, "%s", page);
        ctl_table_add(table, "%s", ctl_text(node, "byte_order"));
        ctl_table_add(table, "%lld bit", ctl_number(node, "word_bits"));
    }
    return finish(options, table);
}

static int print_regions(const struct ctl_options *options, const json_t *rows)
{
    char size[64];
    char homes[TEXT_BYTES];
    char readers[TEXT_BYTES];
    char writers[TEXT_BYTES];
    const char *type;
    size_t index;
    json_t *row;
    struct ctl_table *table = ctl_table_new(
        options->all ? "llrrlrrllllrl" : "lrrlrrllllrl",
        options->all
            ? "NAME|KIND|SIZE|PAGE|MODE|UID|GID|HOME|OPEN ON|WRITABLE ON|STATE|RESIDENT|TYPE"
            : "NAME|SIZE|PAGE|MODE|UID|GID|HOME|OPEN ON|WRITABLE ON|STATE|RESIDENT|TYPE");
    json_array_foreach(rows, index, row)
    {
        bool is_sem = strcmp(ctl_text(row, "kind"), "sem") == 0;
        ctl_size(ctl_number(row, "size_bytes"), size, sizeof(size));
        ctl_names(json_object_get(row, "homes"), homes, sizeof(homes));
        ctl_names(json_object_get(row, "readers"), readers, sizeof(readers));
        ctl_names(json_object_get(row, "writers"), writers, sizeof(writers));
        ctl_table_add(table, "%s", ctl_text(row, "name"));
        if (options->all) {
            ctl_table_add(table, "%s", ctl_text(row, "kind"));
        }
        ctl_table_add(table, "%s", is_sem ? "-" : size);
        if (is_sem) {
            ctl_table_add(table, "-");
        } else {
            ctl_table_add(table, "%lldK", ctl_number(row, "page_size") / 1024);
        }
        ctl_table_add(table, "%s", ctl_text(row, "mode"));
        ctl_table_add(table, "%lld", ctl_number(row, "uid"));
        ctl_table_add(table, "%lld", ctl_number(row, "gid"));
        ctl_table_add(table, "%s: %s", ctl_text(row, "home"), homes);
        ctl_table_add(table, "%s", readers);
        ctl_table_add(table, "%s", writers);
        ctl_table_add(table, "%s%s",
                      json_is_true(json_object_get(row, "unlinked")) ? "unlinked" : "named",
                      json_is_true(json_object_get(row, "sealed")) ? ", sealed" : "");
        if (json_is_integer(json_object_get(row, "resident_pages"))) {
            ctl_table_add(table, "%lld", ctl_number(row, "resident_pages"));
        } else {
            ctl_table_add(table, "-");
        }
        type = json_string_value(json_object_get(row, "type"));
        ctl_table_add(table, "%.*s%s", TYPE_SHOWN, type ? type : "-",
                      type && strlen(type) > TYPE_SHOWN ? "..." : "");
    }
    return finish(options, table);
}

static int print_sems(const struct ctl_options *options, const json_t *rows)
{
    char homes[TEXT_BYTES];
    char readers[TEXT_BYTES];
    size_t index;
    json_t *row;
    struct ctl_table *table =
        ctl_table_new("lrlrrlll", "NAME|INITIAL|MODE|UID|GID|HOME|OPEN ON|STATE");
    json_array_foreach(rows, index, row)
    {
        ctl_names(json_object_get(row, "homes"), homes, sizeof(homes));
        ctl_names(json_object_get(row, "readers"), readers, sizeof(readers));
        ctl_table_add(table, "%s", ctl_text(row, "name"));
        ctl_table_add(table, "%lld", ctl_number(row, "size_bytes"));
        ctl_table_add(table, "%s", ctl_text(row, "mode"));
        ctl_table_add(table, "%lld", ctl_number(row, "uid"));
        ctl_table_add(table, "%lld", ctl_number(row, "gid"));
        ctl_table_add(table, "%s", homes);
        ctl_table_add(table, "%s", readers);
        ctl_table_add(table, "%s",
                      json_is_true(json_object_get(row, "unlinked")) ? "unlinked" : "named");
    }
    return finish(options, table);
}

/** One row per counter, one column per node. */
static int print_stats(const struct ctl_options *options, json_t *nodes)
{
    char columns[72] = "l";
    size_t index;
    json_t *node;
    const char *counter;
    json_t *value;
    size_t count = json_array_size(nodes);
    for (size_t i = 0; i < count && i < sizeof(columns) - 2; i++) {
        columns[1 + i] = 'r';
    }
    struct ctl_table *table = ctl_table_new(columns, "COUNTER");
    json_array_foreach(nodes, index, node)
    {
        ctl_table_add(table, "%s", ctl_text(node, "node"));
    }
    json_object_foreach(json_object_get(json_array_get(nodes, 0), "counters"), counter, value)
    {
        ctl_table_add(table, "%s", counter);
        json_array_foreach(nodes, index, node)
        {
            ctl_table_add(table, "%lld", ctl_number(json_object_get(node, "counters"), counter));
        }
    }
    return finish(options, table);
}

int ctl_status(const struct ctl_options *options)
{
    json_t *json = NULL;
    int result = ctl_fetch(options, "status", &json);
    if (result == CTL_OK && options->json) {
        ctl_print_json(json);
    } else if (result == CTL_OK) {
        result = print_status(options, json);
    }
    json_decref(json);
    return result;
}

int ctl_nodes(const struct ctl_options *options)
{
    json_t *json = NULL;
    int result = ctl_fetch(options, "nodes", &json);
    if (result == CTL_OK && options->json) {
        ctl_print_json(json);
    } else if (result == CTL_OK) {
        result = print_nodes(options, json);
    }
    json_decref(json);
    return result;
}

/** The rows of one kind; every kind when it is NULL. */
static int show_rows(const struct ctl_options *options, const char *key, const char *kind,
                     int (*print)(const struct ctl_options *options, const json_t *rows))
{
    json_t *json = NULL;
    size_t index;
    json_t *row;
    int result = ctl_fetch(options, "regions", &json);
    if (result != CTL_OK) {
        return result;
    }
    json_t *rows = json_array();
    json_array_foreach(json_object_get(json, "regions"), index, row)
    {
        if (!kind || strcmp(ctl_text(row, "kind"), kind) == 0) {
            json_array_append(rows, row);
        }
    }
    if (options->json) {
        json_t *document = json_pack("{s:O}", key, rows);
        ctl_print_json(document);
        json_decref(document);
    } else {
        result = print(options, rows);
    }
    json_decref(rows);
    json_decref(json);
    return result;
}

int ctl_regions(const struct ctl_options *options)
{
    return show_rows(options, "regions", options->all ? NULL : "region", print_regions);
}

int ctl_sems(const struct ctl_options *options)
{
    return show_rows(options, "semaphores", "sem", print_sems);
}

int ctl_stats(const struct ctl_options *options)
{
    json_t *json = NULL;
    int result = ctl_fetch(options, options->all ? "stats all" : "stats", &json);
    if (result != CTL_OK) {
        return result;
    }
    if (options->json) {
        ctl_print_json(json);
    } else if (options->all) {
        result = print_stats(options, json_object_get(json, "nodes"));
    } else {
        json_t *nodes = json_pack("[O]", json);
        result = print_stats(options, nodes);
        json_decref(nodes);
    }
    ctl_warn_incomplete(json);
    json_decref(json);
    return result;
}

int ctl_rm(const struct ctl_options *options)
{
    char topic[RECORD_NAME_BYTES + 16];
    json_t *json = NULL;
    const char *name = options->argument;
    if (!record_name_is_valid(name)) {
        return ctl_fail(options, CTL_USAGE,
                        "'%.300s' is no object's name: it must start with '/', hold no other '/', "
                        "and have 2 to 255 bytes, such as /photo",
                        name);
    }
    snprintf(topic, sizeof(topic), "%s %s", options->sem ? "rm-sem" : "rm", name);
    int result = ctl_fetch(options, topic, &json);
    if (result == CTL_OK && options->json) {
        ctl_print_json(json);
    } else if (result == CTL_OK) {
        printf("removed %s %s; its storage goes when the last program unmaps it\n",
               options->sem ? "semaphore" : "region", name);
    }
    json_decref(json);
    return result;
}
