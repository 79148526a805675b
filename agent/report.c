/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dsm.h"

json_t *report_text(const char *text)
{
    json_t *json = json_string(text);
    size_t size_bytes = strlen(text) * 4 + 1;
    char *escaped;
    size_t at = 0;

    if (json) {
        return json;
    }
    escaped = malloc(size_bytes);
    if (escaped == NULL) {
        return NULL;
    }
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;

        at += (size_t)snprintf(escaped + at, size_bytes - at, byte < 0x80 ? "%c" : "\\x%02x", byte);
    }
    json = json_stringn(escaped, at);
    free(escaped);
    return json;
}

void report_add(json_t **array, json_t *element)
{
    if (json_array_append_new(*array, element) < 0) {
        json_decref(*array);
        *array = NULL;
    }
}

/** As report_add() for an object's member. */
static void object_set(json_t **object, const char *key, json_t *value)
{
    if (json_object_set_new(*object, key, value) < 0) {
        json_decref(*object);
        *object = NULL;
    }
}

json_t *report_node_names(const struct agent *agent, nodeset nodes)
{
    json_t *names = json_array();

    for (uint32_t i = nodeset_first(nodes); i != NODE_NONE; i = nodeset_next(nodes, i)) {
        const char *name = agent_node_name(agent, i);

        report_add(&names, report_text(name));
    }
    return names;
}

/** The records from a cursor on; none before there is a core. */
static const struct record *records_next(const struct agent *agent, uint32_t *cursor)
{
    return agent->driver ? node_records(driver_node(agent->driver), cursor) : NULL;
}

/** Bytes of page memory that the kernel holds for a region here; false when it is not open here. */
static bool region_resident(const struct agent *agent, region_id region, uint64_t *bytes)
{
    struct stat status;
    int fd = frames_memfd(agent->frames, region);

    if (fd < 0 || fstat(fd, &status) < 0) {
        return false;
    }
    *bytes = (uint64_t)status.st_blocks * 512;
    return true;
}

/** The same for all regions, and their number. */
static uint64_t resident_bytes(const struct agent *agent, uint32_t *count_regions)
{
    const struct record *record;
    uint32_t cursor = 0;
    uint64_t bytes = 0;

    *count_regions = 0;
    while ((record = records_next(agent, &cursor)) != NULL) {
        uint64_t region_bytes;

        if (record->kind != RECORD_REGION) {
            continue;
        }
        *count_regions += 1;
        if (region_resident(agent, record->id, &region_bytes)) {
            bytes += region_bytes;
        }
    }
    return bytes;
}

static uint32_t count_peers_up(const struct agent *agent, nodeset members)
{
    uint32_t count = 0;

    for (uint32_t i = nodeset_first(members); i != NODE_NONE; i = nodeset_next(members, i)) {
        count += i != agent->node && peers_is_up(agent->peers, i);
    }
    return count;
}

json_t *report_status(const struct agent *agent)
{
    const struct node *node = driver_node(agent->driver);
    nodeset members = node_members(node);
    char keeper[TEXT_BYTES_MAX] = "";
    uint32_t count_regions;
    uint64_t bytes = resident_bytes(agent, &count_regions);
    bool is_available = agent->catalog->ops->is_available(agent->catalog, keeper);

    return json_pack(
        "{s:o s:I s:s s:I s:I s:I s:I s:I s:s s:{s:b s:o} s:I s:I s:I s:I s:I s:I}", "node",
        report_text(agent->name), "number", (json_int_t)agent->node, "version", DSM_VERSION,
        "protocol", (json_int_t)PROTOCOL_VERSION, "incarnation", (json_int_t)agent->incarnation,
        "epoch", (json_int_t)node_epoch(node), "pid", (json_int_t)getpid(), "uptime_s",
        (json_int_t)((uv_hrtime() / 1000000 - agent->started_ms) / 1000), "listen", agent->listen,
        "keeper", "available", is_available, "text", report_text(keeper), "members",
        (json_int_t)nodeset_count(members), "peers_up", (json_int_t)count_peers_up(agent, members),
        "regions", (json_int_t)count_regions, "clients",
        (json_int_t)(agent->clients ? clients_count(agent->clients) : 0), "budget_bytes",
        (json_int_t)agent->budget_bytes, "resident_bytes", (json_int_t)bytes);
}

static json_t *node_json(const struct agent *agent, const struct record *record)
{
    uint32_t node = record->id.slot;
    bool is_self = node == agent->node;
    const struct peer *peer = peers_is_up(agent->peers, node) ? agent_find_peer(agent, node) : NULL;
    uint64_t now_ms = uv_now(&agent->loop);
    json_t *heard = is_self ? json_integer(0) : json_null();

    if (peer) {
        uint64_t heard_ms = peer_heard_ms(peer);

        heard = json_integer(now_ms > heard_ms ? (json_int_t)(now_ms - heard_ms) : 0);
    }
    return json_pack("{s:I s:o s:o s:b s:b s:s s:I s:I s:o s:I s:s s:I}", "node", (json_int_t)node,
                     "name", report_text(record->name), "address", report_text(record->address),
                     "alive", record->alive, "self", is_self, "link",
                     is_self ? "self"
                     : peer  ? "up"
                             : "down",
                     "incarnation", (json_int_t)record->id.generation, "epoch",
                     (json_int_t)record->epoch, "heard_ms_ago", heard, "page_bytes",
                     (json_int_t)record->machine.page_bytes, "byte_order",
                     record->machine.big_endian ? "big" : "little", "word_bits",
                     (json_int_t)record->machine.word_bits);
}

json_t *report_nodes(const struct agent *agent)
{
    const struct record *record;
    json_t *nodes = json_array();
    uint32_t cursor = 0;

    while ((record = records_next(agent, &cursor)) != NULL) {
        if (record->kind == RECORD_NODE) {
            report_add(&nodes, node_json(agent, record));
        }
    }
    return json_pack("{s:o}", "nodes", nodes);
}

static json_t *region_json(const struct agent *agent, const struct record *record)
{
    uint64_t bytes;
    json_t *json;
    char mode[16];

    snprintf(mode, sizeof(mode), "%04o", record->mode);
    json = json_pack(
        "{s:o s:s s:I s:I s:I s:I s:s s:I s:I s:s s:o s:o s:o s:b s:b s:o}", "name",
        report_text(record->name), "kind", record->kind == RECORD_SEM ? "sem" : "region", "slot",
        (json_int_t)record->id.slot, "generation", (json_int_t)record->id.generation, "size_bytes",
        (json_int_t)record->size_bytes, "page_size", (json_int_t)record->page_size, "mode", mode,
        "uid", (json_int_t)record->uid, "gid", (json_int_t)record->gid, "home",
        record->home == DSM_HOME_STRIPED ? "striped" : "creator", "homes",
        report_node_names(agent, record->homes), "readers",
        report_node_names(agent, record->readers), "writers",
        report_node_names(agent, record->writers), "unlinked", record->unlinked, "sealed",
        record->sealed, "type",
        record->type[0] ? json_string(record->type) : json_null());
    if (record->page_size > 0 && region_resident(agent, record->id, &bytes)) {
        object_set(&json, "resident_pages", json_integer((json_int_t)(bytes / record->page_size)));
    }
    return json;
}

json_t *report_regions(const struct agent *agent)
{
    const struct record *record;
    json_t *regions = json_array();
    uint32_t cursor = 0;

    while ((record = records_next(agent, &cursor)) != NULL) {
        if (record->kind == RECORD_REGION || record->kind == RECORD_SEM) {
            report_add(&regions, region_json(agent, record));
        }
    }
    return json_pack("{s:o}", "regions", regions);
}

static json_t *run_json(const struct agent *agent, const struct page_run *run)
{
    json_t *owner =
        run->owner == NODE_NONE ? json_null() : report_text(agent_node_name(agent, run->owner));

    return json_pack("{s:I s:I s:o s:o s:s}", "page", (json_int_t)run->page, "count",
                     (json_int_t)run->count, "owner", owner, "readers",
                     report_node_names(agent, run->readers), "state", run_state(run));
}

/** Pages of the region that other nodes want when they have just come here, and what to do. */
static void bounces_set(json_t **json, const struct agent *agent, const struct record *record)
{
    json_t *list = json_array();
    const struct bounce *bounce;
    char advice[TEXT_BYTES_MAX];
    uint32_t cursor = 0;

    bounces_advise(record, agent->machine.page_bytes, advice, sizeof(advice));
    while ((bounce = bounces_next(&agent->bounces, record->id, &cursor)) != NULL) {
        report_add(&list, json_pack("{s:I s:I s:o s:I s:s}", "page", (json_int_t)bounce->page,
                                    "offset", (json_int_t)(bounce->page * record->page_size),
                                    "other_nodes", report_node_names(agent, bounce->nodes),
                                    "per_s_peak", (json_int_t)bounce->per_s_peak, "advice",
                                    advice));
    }
    object_set(json, "bounces", list);
    if (record->page_size < agent->machine.page_bytes) {
        object_set(json, "group_bytes", json_integer((json_int_t)agent->machine.page_bytes));
    }
}

json_t *report_region(const struct agent *agent, const struct record *record,
                      const struct runs *runs, nodeset silent)
{
    json_t *pages = json_array();
    json_t *region = region_json(agent, record);

    bounces_set(&region, agent, record);
    for (uint32_t i = 0; i < runs->count; i++) {
        report_add(&pages, run_json(agent, &runs->list[i]));
    }
    return json_pack("{s:o s:o s:o}", "region", region, "pages", pages, "incomplete",
                     report_node_names(agent, silent));
}

static struct dsm_stats stats_read(const struct agent *agent)
{
    const struct node_counters *core = node_counters(driver_node(agent->driver));
    const struct frames_counters *frames = frames_counters(agent->frames);

    return (struct dsm_stats){
        .faults = core->faults,
        .faults_remote = core->faults_remote,
        .messages_sent = core->messages_sent,
        .messages_received = core->messages_received,
        .sends = peers_count_sends(agent->peers),
        .bytes_sent = peers_bytes_sent(agent->peers),
        .bytes_received = peers_bytes_received(agent->peers),
        .pages_sent = core->pages_sent,
        .pages_received = core->pages_received,
        .invalidations = core->invalidations,
        .downgrades = core->downgrades,
        .evictions = core->evictions,
        .pages_resident = core->pages_resident,
        .pages_lost = core->pages_lost,
        .resends = core->resends,
        .old_epoch = core->old_epoch,
        .refused = core->refused + agent->refused,
        .repairs = frames->repairs,
        .groups_gathered = frames->groups_gathered,
        .groups_scattered = frames->groups_scattered,
        .bounces = core->bounces,
        .holds = core->holds,
        .core_bytes = core->core_bytes,
    };
}

json_t *report_stats(const struct agent *agent)
{
    struct dsm_stats stats = stats_read(agent);
    json_t *counters = json_object();

#define COUNTER_JSON(name) object_set(&counters, #name, json_integer((json_int_t)stats.name));
    DSM_COUNTERS(COUNTER_JSON)
#undef COUNTER_JSON
    return json_pack("{s:o s:o}", "node", report_text(agent->name), "counters", counters);
}

uint32_t report_counters(const struct agent *agent, uint64_t *counters)
{
    struct dsm_stats stats = stats_read(agent);
    uint32_t count = 0;

#define COUNTER_NUMBER(name) counters[count++] = stats.name;
    DSM_COUNTERS(COUNTER_NUMBER)
#undef COUNTER_NUMBER
    return count;
}
