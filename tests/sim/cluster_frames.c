/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/cluster_frames.h"

#include <stdlib.h>
#include <string.h>

void frames_add_map(struct sim_node *node, const struct action *action, uint32_t region)
{
    for (uint32_t i = 0; i < CLUSTER_MAPS; i++) {
        struct sim_map *map = &node->maps[i];

        if (map->id == 0) {
            memset(map, 0, sizeof(*map));
            map->id = action->reply.reply.map;
            map->region = region;
            map->count = action->reply.reply.size_bytes / 4096;
            map->may_write = true;
            return;
        }
    }
    abort();
}

static struct sim_map *find_map(struct sim_node *node, map_id id)
{
    for (uint32_t i = 0; i < CLUSTER_MAPS; i++) {
        if (node->maps[i].id == id && id != 0) {
            return &node->maps[i];
        }
    }
    return NULL;
}

uint32_t frames_region(const struct sim_node *node, map_id id)
{
    return find_map((struct sim_node *)(uintptr_t)node, id)->region;
}

void frames_close(struct sim_node *node, uint32_t region)
{
    for (uint32_t i = 0; i < CLUSTER_MAPS; i++) {
        if (node->maps[i].region == region) {
            node->maps[i].id = 0;
        }
    }
}

bool frames_touch(struct sim_node *node, map_id id, uint64_t page, bool write, uint64_t *value)
{
    struct sim_map *map = find_map(node, id);
    struct sim_frame *frame;

    if (map == NULL) {
        abort();
    }
    frame = &node->frames[map->region][page];
    if (frame->poisoned) {
        *value = UINT64_MAX;
        return true;
    }
    if (!frame->present || (write && !map->writable[page])) {
        return false;
    }
    if (write) {
        frame->value = *value;
    } else {
        *value = frame->value;
    }
    return true;
}

static void protect(struct sim_node *node, const struct action *action, uint32_t region)
{
    for (uint32_t i = 0; i < CLUSTER_MAPS; i++) {
        if (node->maps[i].id != 0 && node->maps[i].region == region) {
            memset(node->maps[i].writable + action->page, 0, action->count);
        }
    }
}

static bool is_writable(const struct sim_node *node, uint32_t region, uint64_t page)
{
    for (uint32_t i = 0; i < CLUSTER_MAPS; i++) {
        if (node->maps[i].id != 0 && node->maps[i].region == region &&
            node->maps[i].writable[page]) {
            return true;
        }
    }
    return false;
}

static const char *fill(struct sim_node *node, const struct action *action, uint32_t region,
                        const uint64_t *payload)
{
    struct sim_map *map = find_map(node, action->map);

    for (uint32_t i = 0; i < action->count; i++) {
        struct sim_frame *frame = &node->frames[region][action->page + i];

        if (frame->present) {
            return "FILL of a page that is present";
        }
        if (action->source == BYTES_PAYLOAD && payload == NULL) {
            return "FILL from a payload that is not there";
        }
        frame->present = true;
        frame->value = action->source == BYTES_PAYLOAD ? payload[action->first + i] : 0;
        if (action->write && map != NULL) {
            map->writable[action->page + i] = 1;
        }
    }
    return NULL;
}

static const char *drop(struct sim_node *node, const struct action *action, uint32_t region)
{
    for (uint32_t i = 0; i < action->count; i++) {
        if (is_writable(node, region, action->page + i)) {
            return "DROP of a page that is writable (F2)";
        }
        node->frames[region][action->page + i].present = false;
    }
    return NULL;
}

static const char *keep(struct sim_node *node, const struct action *action, uint32_t region)
{
    struct sim_kept *kept = calloc(1, sizeof(*kept));

    kept->number = action->keep;
    kept->count = action->count;
    kept->values = calloc(action->count, sizeof(uint64_t));
    kept->next = node->kept;
    node->kept = kept;
    for (uint32_t i = 0; i < action->count; i++) {
        const struct sim_frame *frame = &node->frames[region][action->page + i];

        if (!frame->present || is_writable(node, region, action->page + i)) {
            return "KEEP of a page that is absent or writable";
        }
        kept->values[i] = frame->value;
    }
    return NULL;
}

static struct sim_kept **find_kept(struct sim_node *node, uint32_t number)
{
    struct sim_kept **place = &node->kept;

    while (*place != NULL && (*place)->number != number) {
        place = &(*place)->next;
    }
    return place;
}

static void forget(struct sim_node *node, uint32_t number)
{
    struct sim_kept **place = find_kept(node, number);
    struct sim_kept *kept = *place;

    if (kept != NULL) {
        *place = kept->next;
        free(kept->values);
        free(kept);
    }
}

void frames_free_kept(struct sim_node *node)
{
    while (node->kept != NULL) {
        forget(node, node->kept->number);
    }
}

const char *frames_execute(struct sim_node *node, const struct action *action, uint32_t region,
                           const uint64_t *payload)
{
    struct sim_map *map = find_map(node, action->map);

    switch (action->kind) {
    case ACTION_FILL:
        return fill(node, action, region, payload);
    case ACTION_ALLOW:
        if (map != NULL) {
            memset(map->writable + action->page, 1, action->count);
        }
        return NULL;
    case ACTION_PROTECT:
        protect(node, action, region);
        return NULL;
    case ACTION_DROP:
        return drop(node, action, region);
    case ACTION_KEEP:
        return keep(node, action, region);
    case ACTION_FORGET:
        forget(node, action->keep);
        return NULL;
    case ACTION_POISON:
        for (uint32_t i = 0; i < action->count; i++) {
            node->frames[region][action->page + i].poisoned = true;
        }
        return NULL;
    case ACTION_MAP_GONE:
        if (map != NULL) {
            map->id = 0;
        }
        return NULL;
    default:
        return NULL;
    }
}

void frames_copy_out(struct sim_node *node, const struct action *action, uint32_t region,
                     uint64_t *to)
{
    const struct sim_kept *kept = *find_kept(node, action->keep);

    for (uint32_t i = 0; i < action->count; i++) {
        const struct sim_frame *frame = &node->frames[region][action->page + i];

        if (action->source == BYTES_KEPT) {
            if (kept == NULL || action->first + i >= kept->count) {
                abort();
            }
            to[i] = kept->values[action->first + i];
        } else {
            if (!frame->present || is_writable(node, region, action->page + i)) {
                abort(); /* bytes of an absent or writable page must not leave */
            }
            to[i] = frame->value;
        }
    }
}

const char *frames_check(const struct cluster *cluster, uint32_t region, uint64_t page)
{
    uint32_t copies = 0, writers = 0;

    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        const struct sim_node *node = &cluster->nodes[i];

        if (node->is_dead) {
            continue;
        }
        copies += node->frames[region][page].present;
        writers += node->frames[region][page].present && is_writable(node, region, page);
    }
    return writers > 1 || (writers == 1 && copies > 1) ? "a writer and other copies at once" : NULL;
}
