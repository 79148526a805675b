/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes whose hardware page is larger than a region's: what GATHER and SCATTER do to the frames,
 * and that what is shown or hidden is whole groups (O13).
 */
#include "tests/sim/cluster_frames.h"
#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"

uint32_t cluster_group_size(struct cluster *cluster, uint32_t number, uint32_t region)
{
    uint32_t own = cluster->machines[number].page_bytes;
    uint32_t page_bytes = cluster_page_bytes(cluster, region);

    return own > page_bytes ? own / page_bytes : 1;
}

bool frames_has_groups(struct cluster *cluster, uint32_t number, uint32_t region)
{
    return cluster_group_size(cluster, number, region) > 1;
}

/* As many pages as this node knows of; all, of a region that is gone. */
static uint64_t count_pages(struct cluster *cluster, uint32_t number, uint32_t region)
{
    const struct record *record =
        node_record(cluster->nodes[number].node, cluster->regions[region]);
    uint32_t page_bytes = cluster_page_bytes(cluster, region);

    return record != NULL ? (record->size_bytes + page_bytes - 1) / page_bytes : UINT64_MAX;
}

struct sim_run cluster_group(struct cluster *cluster, uint32_t number, uint32_t region,
                             uint64_t page)
{
    uint32_t size = cluster_group_size(cluster, number, region);
    struct sim_run group = {.page = page - page % size, .count = size};
    uint64_t rest;

    if (size > 1) {
        rest = count_pages(cluster, number, region) - group.page;
        group.count = rest < size ? rest : size;
    }
    return group;
}

void frames_check_whole(struct cluster *cluster, uint32_t number, const struct action *action,
                        uint32_t region)
{
    uint32_t size = cluster_group_size(cluster, number, region);
    uint64_t end = action->page + action->count;
    uint64_t last = count_pages(cluster, number, region);

    if (size > 1 &&
        (action->page % size != 0 || (end % size != 0 && end != last && last != UINT64_MAX))) {
        frames_refuse(cluster, number, action, action->page, "part of a group is shown or hidden");
    }
}

static void check_group(struct cluster *cluster, uint32_t number, const struct action *action,
                        uint32_t region)
{
    struct sim_run group = cluster_group(cluster, number, region, action->page);
    bool is_gathered = action->kind == ACTION_SCATTER;

    /* When the region grows, what was its last group is scattered as it was. */
    while (is_gathered && group.count > action->count &&
           !cluster_frame(cluster, number, region, group.page + group.count - 1)->shown) {
        group.count--;
    }
    if (!frames_has_groups(cluster, number, region) || action->page != group.page ||
        action->count != group.count || action->count == 0) {
        frames_refuse(cluster, number, action, action->page, "what is no group");
    }
    for (uint32_t i = 0; i < action->count; i++) {
        const struct sim_frame *frame = cluster_frame(cluster, number, region, action->page + i);

        if (!frame->present || frame->shown != is_gathered) {
            frames_refuse(cluster, number, action, action->page + i,
                          is_gathered ? "SCATTER of what was not gathered"
                                      : "GATHER of a page that is absent or shown");
        }
    }
}

void frames_gather(struct cluster *cluster, uint32_t number, const struct action *action,
                   uint32_t region)
{
    struct sim_map *map = frames_map(cluster, number, action->map);

    check_group(cluster, number, action, region);
    if (action->map != 0 && map == NULL) {
        frames_refuse(cluster, number, action, action->page, "GATHER for a mapping that is not");
    }
    for (uint32_t i = 0; i < action->count; i++) {
        frames_at(cluster, number, region, action->page + i)->shown = true;
        if (action->write && map != NULL && action->page + i < map->count) {
            frames_set_writable(cluster, number, map, action->page + i, true);
        }
    }
}

void frames_scatter(struct cluster *cluster, uint32_t number, const struct action *action,
                    uint32_t region)
{
    check_group(cluster, number, action, region);
    frames_protect(cluster, number, action->page, action->count, region);
    for (uint32_t i = 0; i < action->count; i++) {
        frames_at(cluster, number, region, action->page + i)->shown = false;
    }
}
