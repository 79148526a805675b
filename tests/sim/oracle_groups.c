/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of pages (O16): what programs see of them, and who may write to them. */
#include "dsm/core/page.h"
#include "tests/sim/cluster_frames.h"
#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"
#include "tests/sim/oracle_parts.h"

_Noreturn static void fail(const struct cluster *cluster, uint32_t number, uint32_t region,
                           uint64_t page, const char *what)
{
    oracle_fail(cluster, "O16", "%s: node %u region %u page %llu", what, number, region,
                (unsigned long long)page);
}

static void check_shown(struct cluster *cluster, uint32_t number, uint32_t region,
                        struct sim_run group)
{
    bool is_shown = cluster_frame(cluster, number, region, group.page)->shown;

    for (uint64_t page = group.page; page < group.page + group.count; page++) {
        const struct sim_frame *frame = cluster_frame(cluster, number, region, page);

        if (frame->shown != is_shown || (is_shown && !frame->present)) {
            fail(cluster, number, region, page, "part of a group is shown");
        }
        if (!is_shown && frame->writers > 0) {
            fail(cluster, number, region, page, "what lies aside is writable");
        }
    }
}

/* Which pages of the group a mapping may write to: all that it covers, or none. */
static bool is_writable(const struct cluster *cluster, uint32_t number, const struct sim_map *map,
                        struct sim_run group)
{
    uint64_t end = group.page + group.count < map->count ? group.page + group.count : map->count;

    for (uint64_t page = group.page; page < end; page++) {
        if (map->writable[page] != map->writable[group.page]) {
            fail(cluster, number, map->region, page, "part of a group is writable");
        }
    }
    return end > group.page && map->writable[group.page];
}

static void check_writable(const struct cluster *cluster, uint32_t number, uint32_t region,
                           struct sim_run group)
{
    const struct sim_node *node = &cluster->nodes[number];

    for (uint64_t page = group.page; page < group.page + group.count; page++) {
        const struct sim_region *area = &cluster->areas[region];
        struct page_view view;

        node_page_view(node->node, cluster->regions[region], page, &view);
        if (view.state != PAGE_WRITE ||
            (!node->is_outcast && nodeset_count(area->pages[page].present) > 1)) {
            fail(cluster, number, region, page,
                 "a group is writable, and not all of it is this node's alone");
        }
    }
}

void oracle_check_group(struct cluster *cluster, uint32_t number, uint32_t region, uint64_t page)
{
    const struct sim_node *node = &cluster->nodes[number];
    struct sim_run group = cluster_group(cluster, number, region, page);
    bool any = false;

    if (group.count == 0 || page >= group.page + group.count) {
        return; /* behind the region's end */
    }
    check_shown(cluster, number, region, group);
    for (uint32_t i = 0; i < node->count_maps; i++) {
        const struct sim_map *map = &node->maps[i];

        any = (map->id != 0 && map->region == region && is_writable(cluster, number, map, group)) ||
              any;
    }
    if (any) {
        check_writable(cluster, number, region, group);
    }
}

void oracle_on_sight(struct cluster *cluster, uint32_t number, uint32_t region, uint64_t page)
{
    struct sim_run group = cluster_group(cluster, number, region, page);

    for (uint64_t other = group.page; other < group.page + group.count; other++) {
        const struct sim_frame *frame = cluster_frame(cluster, number, region, other);

        if (!frame->shown || !frame->present) {
            fail(cluster, number, region, other, "a program sees part of a group");
        }
        if (!cluster->nodes[number].is_outcast &&
            frame->bytes.stamp != cluster_page(cluster, region, other)->stamp) {
            fail(cluster, number, region, other, "a program sees an old page beside another");
        }
    }
}
