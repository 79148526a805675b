/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames of the nodes, and what is known of each page by who looks at all of them at once
 * (struct sim_page): each change of a frame is counted there when it is made (O1, O3), and each
 * duty of the driver is possible or it is told (O13).
 */
#include "tests/sim/cluster_frames.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"

/* Is what this node has part of what is promised? */
static bool counts(const struct sim_node *node)
{
    return !node->is_dead && !node->is_outcast;
}

/* --- frames and mappings --- */

const struct sim_frame *cluster_frame(const struct cluster *cluster, uint32_t number,
                                      uint32_t region, uint64_t page)
{
    static const struct sim_frame none;
    const struct sim_frame *frame = frames_find(&cluster->nodes[number], region, page);

    return frame != NULL ? frame : &none;
}

struct sim_frame *frames_at(struct cluster *cluster, uint32_t number, uint32_t region,
                            uint64_t page)
{
    struct sim_node *node = &cluster->nodes[number];
    uint64_t old = node->count_chunks[region], number_of_chunk = page / CLUSTER_CHUNK;
    struct sim_frame **chunk;

    if (number_of_chunk >= old) {
        node->chunks[region] =
            realloc(node->chunks[region], (number_of_chunk + 1) * sizeof(struct sim_frame *));
        memset(node->chunks[region] + old, 0,
               (number_of_chunk + 1 - old) * sizeof(struct sim_frame *));
        node->count_chunks[region] = number_of_chunk + 1;
    }
    chunk = &node->chunks[region][number_of_chunk];
    if (*chunk == NULL) {
        *chunk = calloc(CLUSTER_CHUNK, sizeof(struct sim_frame));
    }
    return &(*chunk)[page % CLUSTER_CHUNK];
}

/* All frames of a region are gone. */
static void free_chunks(struct sim_node *node, uint32_t region)
{
    for (uint64_t i = 0; i < node->count_chunks[region]; i++) {
        free(node->chunks[region][i]);
    }
    free(node->chunks[region]);
    node->chunks[region] = NULL;
    node->count_chunks[region] = 0;
}

void frames_add_map(struct cluster *cluster, uint32_t number, const struct action *action,
                    uint32_t region)
{
    struct sim_node *node = &cluster->nodes[number];
    struct sim_map *map = node->maps;

    while (map < node->maps + node->count_maps && map->id != 0) {
        map++;
    }
    if (map == node->maps + node->count_maps) {
        node->maps = realloc(node->maps, (node->count_maps + 1) * sizeof(struct sim_map));
        map = &node->maps[node->count_maps++];
    }
    *map = (struct sim_map){
        .id = action->reply.reply.map,
        .region = region,
        .count = action->reply.reply.size_bytes / cluster_page_bytes(cluster, region),
        .thread = ++cluster->count_threads,
    };
    map->writable = calloc(map->count, 1);
}

struct sim_map *frames_map(const struct cluster *cluster, uint32_t number, map_id id)
{
    const struct sim_node *node = &cluster->nodes[number];

    for (uint32_t i = 0; i < node->count_maps && id != 0; i++) {
        if (node->maps[i].id == id) {
            return &node->maps[i];
        }
    }
    return NULL;
}

struct sim_frame *frames_reach(struct cluster *cluster, uint32_t number, const struct sim_map *map,
                               uint64_t page, bool write)
{
    struct sim_frame *frame = frames_at(cluster, number, map->region, page);

    if (frame->poisoned || (frame->present && (!write || map->writable[page]) &&
                            (frame->shown || !frames_has_groups(cluster, number, map->region)))) {
        return frame;
    }
    return NULL;
}

/* --- changes, each counted --- */

static void check_writers(const struct cluster *cluster, const struct sim_page *all,
                          uint32_t number, uint32_t region, uint64_t page)
{
    if (all->writers > 0 && nodeset_count(all->present) > 1) {
        oracle_fail(cluster, "O1",
                    "a writer and other copies at once: region %u page %llu, %u nodes have it, "
                    "after an action of node %u",
                    region, (unsigned long long)page, nodeset_count(all->present), number);
    }
}

static void put_in(struct cluster *cluster, uint32_t number, uint32_t region, uint64_t page,
                   const struct sim_bytes *bytes)
{
    struct sim_page *all = cluster_page(cluster, region, page);
    struct sim_frame *frame = frames_at(cluster, number, region, page);

    frame->present = true;
    frame->bytes = *bytes;
    if (counts(&cluster->nodes[number])) {
        all->present = nodeset_union(all->present, nodeset_of(number));
        all->holders += bytes->stamp == all->stamp;
        check_writers(cluster, all, number, region, page);
    }
}

static void take_out(struct cluster *cluster, uint32_t number, uint32_t region, uint64_t page)
{
    struct sim_page *all = cluster_page(cluster, region, page);
    struct sim_frame *frame = frames_at(cluster, number, region, page);

    if (frame->present && counts(&cluster->nodes[number])) {
        all->present = nodeset_minus(all->present, nodeset_of(number));
        all->holders -= frame->bytes.stamp == all->stamp;
        all->writers -= frame->writers > 0;
    }
    frame->present = false;
}

void frames_set_writable(struct cluster *cluster, uint32_t number, struct sim_map *map,
                         uint64_t page, bool writable)
{
    struct sim_page *all = cluster_page(cluster, map->region, page);
    struct sim_frame *frame = frames_at(cluster, number, map->region, page);
    bool was = frame->writers > 0;

    if (map->writable[page] == writable) {
        return;
    }
    map->writable[page] = writable;
    frame->writers += writable ? 1 : UINT32_MAX;
    if (frame->present && counts(&cluster->nodes[number])) {
        all->writers += (frame->writers > 0) - was;
        check_writers(cluster, all, number, map->region, page);
    }
}

/* --- actions --- */

_Noreturn void frames_refuse(const struct cluster *cluster, uint32_t number,
                             const struct action *action, uint64_t page, const char *what)
{
    oracle_fail(cluster, "O13", "%s: node %u page %llu (map %u, number %u)", what, number,
                (unsigned long long)page, action->map, action->keep);
}

static void fill(struct cluster *cluster, uint32_t number, const struct action *action,
                 uint32_t region, const struct sim_bytes *payload)
{
    struct sim_map *map = frames_map(cluster, number, action->map);
    bool has_bytes = action->source == BYTES_PAYLOAD;
    const struct sim_bytes zero = {0};

    if (has_bytes && payload == NULL) {
        frames_refuse(cluster, number, action, action->page,
                      "FILL from a payload that is not there");
    }
    if (frames_has_groups(cluster, number, region) && (action->write || action->map != 0)) {
        frames_refuse(cluster, number, action, action->page,
                      "FILL of what lies aside, for a mapping");
    }
    for (uint32_t i = 0; i < action->count; i++) {
        uint64_t page = action->page + i;

        if (cluster_frame(cluster, number, region, page)->present) {
            frames_refuse(cluster, number, action, page, "FILL of a page that is present");
        }
        put_in(cluster, number, region, page, has_bytes ? &payload[action->first + i] : &zero);
        if (action->write && map != NULL && page < map->count) {
            frames_set_writable(cluster, number, map, page, true);
        }
    }
}

static void allow(struct cluster *cluster, uint32_t number, const struct action *action,
                  uint32_t region)
{
    struct sim_map *map = frames_map(cluster, number, action->map);

    frames_check_whole(cluster, number, action, region);
    if (map == NULL) {
        frames_refuse(cluster, number, action, action->page,
                      "ALLOW in a mapping that does not exist");
    }
    for (uint64_t page = action->page; page < action->page + action->count; page++) {
        const struct sim_frame *frame = cluster_frame(cluster, number, region, page);

        if (map->region != region || !frame->present ||
            frame->shown != frames_has_groups(cluster, number, region)) {
            frames_refuse(cluster, number, action, page, "ALLOW of a page that is not here");
        }
        if (page >= map->count) {
            break; /* of a group that reaches further than the mapping */
        }
        frames_set_writable(cluster, number, map, page, true);
    }
}

void frames_protect(struct cluster *cluster, uint32_t number, uint64_t first, uint64_t count,
                    uint32_t region)
{
    struct sim_node *node = &cluster->nodes[number];

    for (uint32_t i = 0; i < node->count_maps; i++) {
        struct sim_map *map = &node->maps[i];

        for (uint64_t page = first;
             map->id != 0 && map->region == region && page < map->count && page < first + count;
             page++) {
            frames_set_writable(cluster, number, map, page, false);
        }
    }
}

static void drop(struct cluster *cluster, uint32_t number, const struct action *action,
                 uint32_t region)
{
    for (uint64_t page = action->page; page < action->page + action->count; page++) {
        const struct sim_frame *frame = cluster_frame(cluster, number, region, page);

        if (frame->writers > 0 || frame->shown) {
            frames_refuse(cluster, number, action, page,
                          frame->shown ? "DROP of part of a group that is shown"
                                       : "DROP of a page that is writable (F2)");
        }
        take_out(cluster, number, region, page);
    }
}

static const struct sim_frame *leaving_frame(const struct cluster *cluster, uint32_t number,
                                             const struct action *action, uint32_t region,
                                             uint64_t page)
{
    const struct sim_frame *frame = cluster_frame(cluster, number, region, page);

    if (!frame->present || frame->writers > 0) {
        frames_refuse(cluster, number, action, page,
                      "bytes leave from a page that is absent or writable");
    }
    return frame;
}

static struct sim_kept **find_kept(struct sim_node *node, uint32_t keep)
{
    struct sim_kept **place = &node->kept;

    while (*place != NULL && (*place)->number != keep) {
        place = &(*place)->next;
    }
    return place;
}

static void keep(struct cluster *cluster, uint32_t number, const struct action *action,
                 uint32_t region)
{
    struct sim_node *node = &cluster->nodes[number];
    struct sim_kept *kept =
        calloc(1, sizeof(*kept) + (size_t)action->count * sizeof(struct sim_bytes));

    if (*find_kept(node, action->keep) != NULL) {
        frames_refuse(cluster, number, action, action->page, "KEEP under a number that is in use");
    }
    kept->number = action->keep;
    kept->region = region;
    kept->page = action->page;
    kept->count = action->count;
    kept->next = node->kept;
    node->kept = kept;
    for (uint32_t i = 0; i < action->count; i++) {
        kept->bytes[i] = leaving_frame(cluster, number, action, region, action->page + i)->bytes;
    }
    if (counts(node)) {
        oracle_on_bytes(cluster, region, kept->page, kept->count, kept->bytes, true);
    }
}

static void forget(struct cluster *cluster, uint32_t number, const struct action *action)
{
    struct sim_node *node = &cluster->nodes[number];
    struct sim_kept **place = find_kept(node, action->keep);
    struct sim_kept *kept = *place;

    if (kept == NULL) {
        frames_refuse(cluster, number, action, action->page, "FORGET of what was not put aside");
    }
    if (counts(node)) {
        oracle_on_bytes(cluster, kept->region, kept->page, kept->count, kept->bytes, false);
    }
    *place = kept->next;
    free(kept);
}

static void close_map(struct cluster *cluster, uint32_t number, struct sim_map *map)
{
    for (uint64_t page = 0; page < map->count; page++) {
        frames_set_writable(cluster, number, map, page, false);
    }
    map->id = 0;
    free(map->writable);
    map->writable = NULL;
}

static void region_close(struct cluster *cluster, uint32_t number, uint32_t region)
{
    struct sim_node *node = &cluster->nodes[number];

    for (uint32_t i = 0; i < node->count_maps; i++) {
        if (node->maps[i].id != 0 && node->maps[i].region == region) {
            close_map(cluster, number, &node->maps[i]);
        }
    }
    for (uint64_t page = 0; page < node->count_chunks[region] * CLUSTER_CHUNK; page++) {
        if (cluster_frame(cluster, number, region, page)->present) {
            take_out(cluster, number, region, page);
        }
    }
    free_chunks(node, region);
}

void frames_execute(struct cluster *cluster, uint32_t number, const struct action *action,
                    uint32_t region, const struct sim_bytes *payload)
{
    switch (action->kind) {
    case ACTION_FILL:
        fill(cluster, number, action, region, payload);
        break;
    case ACTION_ALLOW:
        allow(cluster, number, action, region);
        break;
    case ACTION_PROTECT:
        frames_check_whole(cluster, number, action, region);
        frames_protect(cluster, number, action->page, action->count, region);
        break;
    case ACTION_GATHER:
        frames_gather(cluster, number, action, region);
        break;
    case ACTION_SCATTER:
        frames_scatter(cluster, number, action, region);
        break;
    case ACTION_DROP:
        drop(cluster, number, action, region);
        break;
    case ACTION_KEEP:
        keep(cluster, number, action, region);
        break;
    case ACTION_FORGET:
        forget(cluster, number, action);
        break;
    case ACTION_POISON:
        frames_check_whole(cluster, number, action, region);
        for (uint32_t i = 0; i < action->count; i++) {
            frames_at(cluster, number, region, action->page + i)->poisoned = true;
        }
        break;
    case ACTION_WAKE:
        frames_check_whole(cluster, number, action, region);
        break;
    case ACTION_MAP_GONE:
        if (frames_map(cluster, number, action->map) != NULL) { /* else its CALL_MAP failed */
            close_map(cluster, number, frames_map(cluster, number, action->map));
        }
        break;
    case ACTION_ATOMIC:
        frames_atomic(cluster, number, action, region);
        break;
    case ACTION_DIGEST:
        frames_digest(cluster, number, action, region);
        break;
    case ACTION_REGION_CLOSE:
        region_close(cluster, number, region);
        cluster_tokens_close(&cluster->nodes[number], region);
        break;
    default:
        break;
    }
}

void frames_copy_out(struct cluster *cluster, uint32_t number, const struct action *action,
                     uint32_t region, struct sim_bytes *bytes)
{
    const struct sim_kept *kept = *find_kept(&cluster->nodes[number], action->keep);

    for (uint32_t i = 0; i < action->count; i++) {
        if (action->source == BYTES_KEPT) {
            if (kept == NULL || action->first + i >= kept->count) {
                frames_refuse(cluster, number, action, action->page + i,
                              "bytes leave that were not put aside");
            }
            bytes[i] = kept->bytes[action->first + i];
        } else {
            bytes[i] = leaving_frame(cluster, number, action, region, action->page + i)->bytes;
        }
    }
}

/* --- ends --- */

void frames_uncount(struct cluster *cluster, uint32_t number)
{
    const struct sim_node *node = &cluster->nodes[number];

    for (uint32_t region = 0; region < CLUSTER_REGIONS; region++) {
        for (uint64_t page = 0; page < node->count_chunks[region] * CLUSTER_CHUNK; page++) {
            const struct sim_frame *frame = cluster_frame(cluster, number, region, page);

            if (frame->present) {
                struct sim_page *all = cluster_page(cluster, region, page);

                all->present = nodeset_minus(all->present, nodeset_of(number));
                all->holders -= frame->bytes.stamp == all->stamp;
                all->writers -= frame->writers > 0;
            }
        }
    }
    for (const struct sim_kept *kept = node->kept; kept != NULL; kept = kept->next) {
        oracle_on_bytes(cluster, kept->region, kept->page, kept->count, kept->bytes, false);
    }
}

void frames_free(struct sim_node *node)
{
    while (node->kept != NULL) {
        struct sim_kept *kept = node->kept;

        node->kept = kept->next;
        free(kept);
    }
    for (uint32_t i = 0; i < node->count_maps; i++) {
        free(node->maps[i].writable);
    }
    for (uint32_t region = 0; region < CLUSTER_REGIONS; region++) {
        free_chunks(node, region);
    }
    free(node->maps);
}
