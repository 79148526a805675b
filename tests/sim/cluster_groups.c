/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes whose hardware page is larger than the regions': what GATHER and SCATTER do to the frames,
 * and that only whole groups are shown (O13).
 */
#include "tests/sim/cluster_frames.h"
#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"

static const struct sim_frame *frame_of(const struct cluster *cluster, uint32_t number,
                                        const struct action *action, uint32_t region, uint32_t i)
{
    return cluster_frame(cluster, number, region, action->page + i);
}

bool frames_has_groups(const struct cluster *cluster, uint32_t number)
{
    return cluster->page_bytes[number] > 4096;
}

static void check_group(const struct cluster *cluster, uint32_t number, const struct action *action,
                        uint32_t region)
{
    uint64_t size = cluster->page_bytes[number] / 4096;
    const struct record *record = node_record(cluster->nodes[number].node, action->region);
    uint64_t end = record != NULL ? (record->size_bytes + 4095) / 4096 : 0;
    uint64_t count = end - action->page < size ? end - action->page : size;
    bool is_gathered = action->kind == ACTION_SCATTER;

    /* A region that grows may scatter what was its end. */
    if (size == 0 || action->page % size != 0 || action->count > count || action->count == 0 ||
        (!is_gathered && action->count < count)) {
        frames_refuse(cluster, number, action, action->page, "what is no group");
    }
    for (uint32_t i = 0; i < action->count; i++) {
        const struct sim_frame *frame = frame_of(cluster, number, action, region, i);

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
