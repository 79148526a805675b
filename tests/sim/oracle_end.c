/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is looked at when a run ends: its whole history (O10), and what is left behind (O14). And
 * what is put off meanwhile (O18).
 */
#include <stdlib.h>

#include "dsm/core/node_parts.h"
#include "tests/sim/cluster_parts.h"
#include "tests/sim/history.h"
#include "tests/sim/oracle.h"
#include "tests/sim/oracle_parts.h"

#define WHY_BYTES 1024u
#define QUIET_MS 60000u
/** O18, as page_defer.c and page_turn.c have it. */
#define PUT_OFF_MS_GROUP 100u
#define PUT_OFF_MS_HOME 1u
#define PUT_OFF_MS_USUAL 4u

struct sim_history {
    struct history_op *ops;
    uint32_t count, room;
};

void oracle_record_history(struct cluster *cluster)
{
    if (cluster->history == NULL) {
        cluster->history = calloc(1, sizeof(struct sim_history));
    }
}

void oracle_note(struct cluster *cluster, uint32_t thread, uint32_t region, uint64_t page,
                 bool reads, uint64_t read, uint64_t written)
{
    struct sim_history *history = cluster->history;

    if (history == NULL) {
        return;
    }
    history->ops =
        cluster_grow(history->ops, history->count, &history->room, sizeof(struct history_op));
    history->ops[history->count++] = (struct history_op){
        .thread = thread,
        .location = (uint32_t)page * CLUSTER_REGIONS + region,
        .reads = reads,
        .writes = written != 0,
        .read = read,
        .written = written,
    };
}

void oracle_check_history(const struct cluster *cluster)
{
    const struct sim_history *history = cluster->history;
    char why[WHY_BYTES] = "";

    if (history != NULL && !history_is_sequential(history->ops, history->count, why, sizeof(why))) {
        oracle_fail(cluster, "O10", "the history is not sequentially consistent: %s", why);
    }
}

/* --- O14 --- */

static void check_pages(const struct cluster *cluster, uint32_t number, uint32_t region)
{
    for (uint64_t page = 0; page < cluster->areas[region].count_pages; page++) {
        struct page_view view;

        node_page_view(cluster->nodes[number].node, cluster->regions[region], page, &view);
        if (view.request != 0 || view.home.transfer != 0 || view.home.count_waiters != 0) {
            oracle_fail(cluster, "O14",
                        "something is open for ever: node %u region %u page %llu, request %u, "
                        "transfer %u, %u waiting",
                        number, region, (unsigned long long)page, view.request, view.home.transfer,
                        view.home.count_waiters);
        }
    }
}

static uint64_t core_bytes(const struct cluster *cluster)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        sum += node_counters(cluster->nodes[i].node)->core_bytes;
    }
    return sum;
}

static void check_rest(const struct cluster *cluster)
{
    uint32_t from = 0, to = 0;

    if (cluster_next_link(cluster, &from, &to)) {
        oracle_fail(cluster, "O14", "a message is on its way though all is quiet: %u>%u %s", from,
                    to, message_kind_name(cluster_first(cluster, from, to)->message.kind));
    }
    for (uint32_t i = 0; i < cluster->count_nodes; i++) {
        const struct sim_node *node = &cluster->nodes[i];

        if (node->is_dead || node->is_outcast) {
            continue;
        }
        if (node->kept != NULL) {
            oracle_fail(cluster, "O14", "bytes put aside are kept for ever: node %u page %llu", i,
                        (unsigned long long)node->kept->page);
        }
        if (node->atomics != NULL) {
            oracle_fail(cluster, "O14", "an atomic operation has no outcome: node %u", i);
        }
        for (uint32_t region = 0; region < CLUSTER_REGIONS; region++) {
            check_pages(cluster, i, region);
        }
    }
}

void oracle_check_put_off(const struct cluster *cluster, uint32_t number)
{
    const struct list *deferred = &cluster->nodes[number].node->pages.deferred;

    for (struct list *place = deferred->next; place != deferred; place = place->next) {
        const struct deferred *one = list_object(place, struct deferred, place);
        const struct record *record =
            node_record(cluster->nodes[number].node, one->message.region);
        uint64_t longest_ms = PUT_OFF_MS_GROUP;

        if (record == NULL) {
            continue;
        }
        if (one->reason != DEFER_GROUP) {
            longest_ms = record->window_ms == 0 ? PUT_OFF_MS_USUAL : record->window_ms;
            longest_ms = record->window_ms == DSM_WINDOW_NONE ? PUT_OFF_MS_HOME : longest_ms;
        }
        if (one->due_ms > cluster->now_ms + longest_ms ||
            (record->window_ms == DSM_WINDOW_NONE &&
             (one->reason == DEFER_LOCK ||
              (one->reason == DEFER_TURN && one->message.from != number)))) {
            oracle_fail(cluster, "O18", "node %u puts %s of page %llu off until %llu ms", number,
                        message_kind_name(one->message.kind),
                        (unsigned long long)one->message.page, (unsigned long long)one->due_ms);
        }
    }
}

void oracle_check_quiet(struct cluster *cluster)
{
    uint64_t before;

    check_rest(cluster);
    before = core_bytes(cluster);
    cluster_advance(cluster, QUIET_MS);
    if (core_bytes(cluster) != before) {
        oracle_fail(cluster, "O14", "memory grows though all is quiet: %llu bytes to %llu",
                    (unsigned long long)before, (unsigned long long)core_bytes(cluster));
    }
    check_rest(cluster);
}

void oracle_free(struct cluster *cluster)
{
    if (cluster->history != NULL) {
        free(cluster->history->ops);
    }
    free(cluster->history);
    free(cluster->touched);
    free(cluster->deaths);
}
