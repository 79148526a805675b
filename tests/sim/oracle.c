/* SPDX-License-Identifier: Apache-2.0 */
/* The properties of pages (O1 to O5, O13), looked at for the pages that a step has touched. */
#include "tests/sim/oracle.h"

#include <stdlib.h>
#include <string.h>

#include "dsm/core/home.h"
#include "dsm/core/page.h"
#include "tests/sim/cluster_frames.h"
#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle_parts.h"

struct sim_touch {
    uint32_t region;
    uint64_t page;
};

/* --- what a step has touched --- */

void oracle_touch(struct cluster *cluster, uint32_t region, uint64_t page, uint32_t count)
{
    for (uint64_t end = page + count; page < end; page++) {
        struct sim_page *all = cluster_page(cluster, region, page);

        if (all->is_touched) {
            continue;
        }
        all->is_touched = true;
        cluster->touched = cluster_grow(cluster->touched, cluster->count_touched,
                                        &cluster->room_touched, sizeof(struct sim_touch));
        cluster->touched[cluster->count_touched++] = (struct sim_touch){region, page};
    }
}

void oracle_touch_all(struct cluster *cluster)
{
    for (uint32_t region = 0; region < CLUSTER_REGIONS; region++) {
        oracle_touch(cluster, region, 0, (uint32_t)cluster->areas[region].count_pages);
    }
}

/* --- where a page's home is --- */

const struct record *oracle_record(const struct cluster *cluster, uint32_t region)
{
    region_id id = cluster->regions[region];
    const struct record *record;

    if (id.slot == 0 || id.slot > cluster->count_records) {
        return NULL;
    }
    record = &cluster->records[id.slot - 1]; /* as the keeper gives ids */
    return region_id_equal(record->id, id) && !record->deleted ? record : NULL;
}

uint32_t oracle_home(const struct cluster *cluster, uint32_t region, uint64_t page)
{
    const struct record *record = oracle_record(cluster, region);
    uint32_t turn, home;

    if (record == NULL || nodeset_is_empty(record->homes)) {
        return NODE_NONE;
    }
    /* The policy, worked out a second time. */
    home = nodeset_first(record->homes);
    turn = nodeset_count(record->homes);
    for (turn = turn > 1 ? (uint32_t)(page / STRIPE_PAGES % turn) : 0; turn > 0; turn--) {
        do {
            home++;
        } while (!nodeset_has(record->homes, home));
    }
    return cluster->nodes[home].is_dead || cluster->nodes[home].is_outcast ||
                   cluster->records[home].joined > record->id.generation
               ? NODE_NONE
               : home;
}

bool oracle_home_is_gone(const struct cluster *cluster, uint32_t region, uint64_t page)
{
    return oracle_home(cluster, region, page) == NODE_NONE;
}

/* --- O4, O13, and O1 by what the core believes: a page at the node that stepped --- */

static void check_own(struct cluster *cluster, uint32_t number, uint32_t region, uint64_t page,
                      const struct page_view *view)
{
    const struct sim_page *all = cluster_page(cluster, region, page);
    const struct sim_node *node = &cluster->nodes[number];
    const struct sim_frame *frame = cluster_frame(cluster, number, region, page);
    struct sim_frame *own = frames_find(node, region, page);
    bool held = view->state == PAGE_READ || view->state == PAGE_WRITE;
    bool wanted = view->request == REQUEST_READ || view->request == REQUEST_WRITE;

    if (own != NULL) {
        if (view->version < own->version) {
            oracle_fail(cluster, "O4",
                        "the version of a copy went back: node %u region %u page %llu, from %llu "
                        "to %llu",
                        number, region, (unsigned long long)page, (unsigned long long)own->version,
                        (unsigned long long)view->version);
        }
        own->version = view->version;
    }
    if (held != frame->present && (held || !wanted || view->state == PAGE_LOST)) {
        oracle_fail(cluster, "O13",
                    "the core believes what is not so: node %u region %u page %llu is %s, its "
                    "state is %u",
                    number, region, (unsigned long long)page, frame->present ? "here" : "absent",
                    view->state);
    }
    if (view->state == PAGE_READ && frame->writers > 0) {
        oracle_fail(cluster, "O13",
                    "a page held for reading is writable: node %u region %u page %llu", number,
                    region, (unsigned long long)page);
    }
    if (view->state == PAGE_WRITE && !node->is_outcast && nodeset_count(all->present) > 1 &&
        !oracle_is_sealed(cluster, region)) {
        oracle_fail(cluster, "O1",
                    "a page held for writing has other copies: node %u region %u page %llu, %u "
                    "nodes have it",
                    number, region, (unsigned long long)page, nodeset_count(all->present));
    }
}

/* --- O4 and O5: the home's record --- */

bool oracle_has_heard(const struct cluster *cluster, uint32_t home, uint32_t node)
{
    uint32_t death = cluster->nodes[node].last_death;

    return death == 0 || (cluster->deaths[death].epoch != 0 &&
                          node_epoch(cluster->nodes[home].node) >= cluster->deaths[death].epoch);
}

static void check_owner(const struct cluster *cluster, uint32_t home, uint32_t region,
                        uint64_t page, const struct page_view *view)
{
    uint32_t owner = view->home.owner;
    const struct sim_frame *frame;
    struct page_view own;

    if (view->home.transfer != 0 || view->home.orphan || view->home.lost || owner == NODE_NONE) {
        return;
    }
    if (cluster->nodes[owner].is_dead || cluster->nodes[owner].is_outcast ||
        !oracle_has_heard(cluster, home, owner)) {
        return;
    }
    node_page_view(cluster->nodes[owner].node, cluster->regions[region], page, &own);
    frame = cluster_frame(cluster, owner, region, page);
    if (!nodeset_has(view->home.readers, owner) || !own.is_owner || !frame->present ||
        own.version < view->home.written ||
        frame->bytes.stamp != cluster->areas[region].pages[page].stamp) {
        oracle_fail(cluster, "O5",
                    "the owner in the home's record is wrong: region %u page %llu home %u owner "
                    "%u, which %s, %s, version %llu, last write grant %llu",
                    region, (unsigned long long)page, home, owner,
                    frame->present ? "has bytes" : "has no bytes",
                    own.is_owner ? "knows it" : "does not know it", (unsigned long long)own.version,
                    (unsigned long long)view->home.written);
    }
}

static void check_home(struct cluster *cluster, uint32_t home, uint32_t region, uint64_t page,
                       const struct page_view *view)
{
    struct sim_page *all = cluster_page(cluster, region, page);
    nodeset missing = nodeset_minus(all->present, view->home.readers);

    if (view->home.written < all->written ||
        (view->home.transfer != 0 && view->home.version < all->version)) {
        oracle_fail(cluster, "O4",
                    "a version went back at the home: region %u page %llu home %u, write grant "
                    "%llu to %llu, transfer %llu to %llu",
                    region, (unsigned long long)page, home, (unsigned long long)all->written,
                    (unsigned long long)view->home.written, (unsigned long long)all->version,
                    (unsigned long long)view->home.version);
    }
    all->written = view->home.written;
    all->version = view->home.transfer != 0 ? view->home.version : all->version;
    if (view->home.transfer == TRANSFER_LEAVE) {
        missing = nodeset_minus(missing, nodeset_of(home));
    } else if (view->home.transfer != 0) {
        missing = nodeset_minus(missing, nodeset_of(view->home.requester));
    }
    if (!nodeset_is_empty(missing) && !oracle_is_sealed(cluster, region)) {
        oracle_fail(cluster, "O5",
                    "a reader is not in the home's record: region %u page %llu home %u, node %u "
                    "has it; open transfer %u for %u, %u waiting",
                    region, (unsigned long long)page, home, nodeset_first(missing),
                    view->home.transfer, view->home.requester, view->home.count_waiters);
    }
    check_owner(cluster, home, region, page, view);
}

/* --- O3 --- */

static void check_kept_somewhere(const struct cluster *cluster, uint32_t region, uint64_t page)
{
    const struct sim_page *all = &cluster->areas[region].pages[page];

    if (all->stamp != 0 && all->holders == 0 && !all->may_be_lost &&
        !oracle_home_is_gone(cluster, region, page)) {
        oracle_fail(cluster, "O3",
                    "a write is lost: region %u page %llu, nobody has the value %llu any more, "
                    "and no death explains it",
                    region, (unsigned long long)page, (unsigned long long)all->value);
    }
}

bool oracle_may_be_lost(const struct cluster *cluster, uint32_t region, uint64_t page)
{
    const struct sim_region *area = &cluster->areas[region];

    return oracle_home_is_gone(cluster, region, page) ||
           (page < area->count_pages && area->pages[page].may_be_lost);
}

void oracle_on_bytes(struct cluster *cluster, uint32_t region, uint64_t page, uint32_t count,
                     const struct sim_bytes *bytes, bool is_there)
{
    for (uint32_t i = 0; i < count; i++) {
        struct sim_page *all = cluster_page(cluster, region, page + i);

        if (bytes[i].stamp == all->stamp) {
            all->holders += is_there ? 1 : UINT32_MAX;
        }
    }
    if (!is_there) {
        oracle_touch(cluster, region, page, count);
    }
}

/* --- after a step --- */

/* Was its group not looked at a moment ago, for the page before it? */
static bool is_first_of_group(struct cluster *cluster, uint32_t number, uint32_t index)
{
    const struct sim_touch *touch = &cluster->touched[index];
    uint32_t size = cluster_group_size(cluster, number, touch->region);

    return size > 1 && (index == 0 || touch[-1].region != touch->region ||
                        touch[-1].page / size != touch->page / size);
}

void oracle_check(struct cluster *cluster, uint32_t number)
{
    oracle_check_put_off(cluster, number);
    for (uint32_t i = 0; i < cluster->count_touched; i++) {
        uint32_t region = cluster->touched[i].region;
        uint64_t page = cluster->touched[i].page;
        uint32_t home = oracle_home(cluster, region, page);
        struct page_view view;

        node_page_view(cluster->nodes[number].node, cluster->regions[region], page, &view);
        check_own(cluster, number, region, page, &view);
        if (cluster->machines[number].page_bytes > CLUSTER_PAGE_BYTES &&
            is_first_of_group(cluster, number, i)) {
            oracle_check_group(cluster, number, region, page);
        }
        if (cluster->nodes[number].is_outcast) {
            oracle_on_outcast(cluster, number, region, page, &view);
        }
        if (home == NODE_NONE) {
            continue;
        }
        if (home != number) {
            node_page_view(cluster->nodes[home].node, cluster->regions[region], page, &view);
        }
        check_home(cluster, home, region, page, &view);
    }
}

void oracle_rest(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->count_touched; i++) {
        const struct sim_touch *touch = &cluster->touched[i];

        check_kept_somewhere(cluster, touch->region, touch->page);
        cluster->areas[touch->region].pages[touch->page].is_touched = false;
    }
    cluster->count_touched = 0;
}
