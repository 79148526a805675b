/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses, and deaths: which write is the latest (O2), and which writes a death may have cost
 * (O3).
 */
#include <stdlib.h>
#include <string.h>

#include "dsm/core/page.h"
#include "tests/sim/cluster_bytes.h"
#include "tests/sim/cluster_frames.h"
#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"
#include "tests/sim/oracle_parts.h"

/* --- accesses --- */

static void check_latest(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t page,
                         const struct sim_frame *frame, const char *what)
{
    const struct sim_page *all = cluster_page(cluster, region, page);

    if (frame->bytes.stamp == all->stamp &&
        !bytes_are_right(cluster, node, region, page, &frame->bytes)) {
        oracle_fail(cluster, "O17",
                    "%s bytes that are not those of their value: node %u (%s-endian) region %u "
                    "page %llu, value %llu",
                    what, node, cluster->machines[node].big_endian ? "big" : "little", region,
                    (unsigned long long)page, (unsigned long long)frame->bytes.value);
    }
    if (frame->bytes.stamp != all->stamp) {
        oracle_fail(cluster, "O2",
                    "%s an old copy: node %u region %u page %llu, value %llu, the latest is %llu",
                    what, node, region, (unsigned long long)page,
                    (unsigned long long)frame->bytes.value, (unsigned long long)all->value);
    }
}

void oracle_on_read(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t page,
                    const struct sim_frame *frame, uint32_t thread)
{
    if (!cluster->nodes[node].is_outcast) {
        check_latest(cluster, node, region, page, frame, "a read of");
        oracle_note(cluster, thread, region, page, true, frame->bytes.stamp, 0);
    }
}

/* Some death that is not heard of everywhere yet may cost its bytes. */
static void put_at_stake(struct cluster *cluster, uint32_t region, uint64_t page)
{
    struct sim_page *all = cluster_page(cluster, region, page);

    all->stake = cluster->count_deaths;
    all->may_be_lost = true;
}

/* Deaths that every live node has heard of cost nothing that is written from now on. */
static void hear_of_deaths(struct cluster *cluster)
{
    while (cluster->told_deaths < cluster->count_deaths) {
        uint32_t epoch = cluster->deaths[cluster->told_deaths + 1].epoch;

        for (uint32_t i = 0; i < cluster->count_nodes; i++) {
            const struct sim_node *node = &cluster->nodes[i];

            if (epoch == 0 ||
                (!node->is_dead && !node->is_outcast && node_epoch(node->node) < epoch)) {
                return;
            }
        }
        cluster->told_deaths++;
    }
}

void oracle_on_write(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t page,
                     struct sim_frame *frame, uint64_t value, uint32_t thread, bool reads)
{
    struct sim_page *all = cluster_page(cluster, region, page);
    struct sim_event *note = cluster_note(cluster, SIM_TOUCH, node);

    note->region = (uint8_t)region;
    note->page = page;
    note->value = value;
    note->flags = 1;
    oracle_check_sealed_write(cluster, node, region, page, reads);
    check_latest(cluster, node, region, page, frame, "a write onto");
    frame->bytes.value = value;
    frame->bytes.stamp = ++cluster->count_writes;
    bytes_write(cluster, node, region, page, &frame->bytes);
    oracle_note(cluster, thread, region, page, reads, all->stamp, frame->bytes.stamp);
    all->value = value;
    all->stamp = frame->bytes.stamp;
    if (cluster->nodes[node].is_outcast) {
        all->holders = 0;
        put_at_stake(cluster, region, page);
        return;
    }
    all->holders = 1;
    if (all->stake != 0) {
        hear_of_deaths(cluster);
        all->may_be_lost = all->stake > cluster->told_deaths;
    }
}

/* --- deaths --- */

static bool has_live_owner(const struct cluster *cluster, uint32_t region, uint64_t page)
{
    const struct sim_page *all = &cluster->areas[region].pages[page];
    struct page_view view;

    for (nodeset rest = all->present; !nodeset_is_empty(rest);) {
        uint32_t node = nodeset_first(rest);

        rest = nodeset_minus(rest, nodeset_of(node));
        node_page_view(cluster->nodes[node].node, cluster->regions[region], page, &view);
        if (view.is_owner &&
            cluster_frame(cluster, node, region, page)->bytes.stamp == all->stamp) {
            return true;
        }
    }
    return false;
}

/* What the node owned, and what it had asked for. */
static void put_pages_at_stake(struct cluster *cluster, uint32_t number, uint32_t region)
{
    const struct sim_node *node = &cluster->nodes[number];

    for (uint64_t page = 0; page < cluster->areas[region].count_pages; page++) {
        const struct sim_page *all = &cluster->areas[region].pages[page];
        struct page_view view;

        node_page_view(node->node, cluster->regions[region], page, &view);
        if (view.request == REQUEST_WRITE || view.request == REQUEST_LEAVE ||
            (((view.is_owner && cluster_frame(cluster, number, region, page)->present) ||
              (all->stamp != 0 && all->holders == 0)) &&
             !has_live_owner(cluster, region, page))) {
            put_at_stake(cluster, region, page);
        }
    }
}

void oracle_on_death(struct cluster *cluster, uint32_t number)
{
    struct sim_node *node = &cluster->nodes[number];

    if (node->is_dead || node->is_outcast) {
        return;
    }
    cluster->deaths =
        realloc(cluster->deaths, (cluster->count_deaths + 2) * sizeof(struct sim_death));
    cluster->deaths[++cluster->count_deaths] = (struct sim_death){number, 0};
    node->last_death = cluster->count_deaths;
    frames_uncount(cluster, number);
    for (uint32_t region = 0; region < CLUSTER_REGIONS; region++) {
        put_pages_at_stake(cluster, number, region);
    }
    for (const struct sim_kept *kept = node->kept; kept != NULL; kept = kept->next) {
        for (uint32_t i = 0; i < kept->count; i++) {
            if (!has_live_owner(cluster, kept->region, kept->page + i)) {
                put_at_stake(cluster, kept->region, kept->page + i);
            }
        }
    }
}

void oracle_on_outcast(struct cluster *cluster, uint32_t number, uint32_t region, uint64_t page,
                       const struct page_view *view)
{
    uint32_t home = oracle_home(cluster, region, page);

    if (home != NODE_NONE && !oracle_has_heard(cluster, home, number) &&
        (view->request == REQUEST_WRITE || view->request == REQUEST_LEAVE ||
         (view->is_owner && cluster_frame(cluster, number, region, page)->present))) {
        put_at_stake(cluster, region, page);
    }
}

void oracle_on_declared(struct cluster *cluster, uint32_t number)
{
    struct sim_node *node = &cluster->nodes[number];

    oracle_on_death(cluster, number);
    node->is_outcast = !node->is_dead;
    cluster->deaths[node->last_death].epoch = cluster->epoch;
}
