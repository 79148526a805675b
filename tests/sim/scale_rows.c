/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages for each operation, and the queues that form. Node 0 is the home of all pages and words
 * but those of the striped region. What a node sends to itself is no message, so n = 1 sends none.
 * CONFIRM, RELEASE and the answer to an UNLOCK are counted, though nobody waits for them.
 */
#include "tests/sim/scale_rows.h"

#include <stdlib.h>

#include "dsm/core/barrier.h"
#include "dsm/core/node_parts.h"

/** A home tells so many nodes by itself (node_config.barrier_run). */
#define TREE_NODES 8u

/** Pages of the region of node 0, one for each row; and words for the rows without pages. */
enum {
    AT_CLEAN,
    AT_DIRTY,
    AT_WRITE,
    AT_UPGRADE,
    AT_CONTENDED,
    AT_QUEUE,
    AT_WORD,
    AT_LOCK,
    AT_LOCK_QUEUE,
    AT_HAND_OFF,
    AT_BARRIER,
    AT_INBOX,
    AT_TREE,
};

static uint64_t offset_of(uint64_t page)
{
    return page * SCALE_PAGE_BYTES;
}

static void expect(uint64_t counted, uint64_t right, const char *what)
{
    if (counted != right) {
        scale_fail(what, counted);
    }
}

/* --- pages --- */

static uint64_t expect_clean(uint64_t n)
{
    return n == 1 ? 0 : 3;
}

static uint64_t count_clean(struct scale *scale)
{
    scale_write(scale, 0, SCALE_CREATOR, AT_CLEAN, 71);
    scale_mark(scale);
    expect(scale_read(scale, scale->count - 1, SCALE_CREATOR, AT_CLEAN), 71, "a value read");
    return scale->sent;
}

static uint64_t expect_dirty(uint64_t n)
{
    return n == 1 ? 0 : 4;
}

static uint64_t count_dirty(struct scale *scale)
{
    scale_write(scale, 1 % scale->count, SCALE_CREATOR, AT_DIRTY, 72);
    scale_mark(scale);
    expect(scale_read(scale, scale->count - 1, SCALE_CREATOR, AT_DIRTY), 72, "a value read");
    return scale->sent;
}

/* k = n - 2 others have a copy, the owner 1 among them; the home has none. */
static uint64_t expect_write(uint64_t n)
{
    return n == 1 ? 0 : 2 * (n - 2) + 4;
}

static uint64_t count_write(struct scale *scale)
{
    uint32_t last = scale->count - 1;

    scale_write(scale, 1 % scale->count, SCALE_CREATOR, AT_WRITE, 73);
    for (uint32_t i = 2; i < last; i++) {
        expect(scale_read(scale, i, SCALE_CREATOR, AT_WRITE), 73, "a value read");
    }
    scale_mark(scale);
    scale_write(scale, last, SCALE_CREATOR, AT_WRITE, 74);
    expect(scale->payloads, last > 0 ? 1 : 0, "pages of bytes sent for a write miss");
    return scale->sent;
}

/* k = n - 2 others have a copy, and so has the home; the bytes are where they are wanted. */
static uint64_t expect_upgrade(uint64_t n)
{
    return n == 1 ? 0 : 2 * (n - 2) + 3;
}

static uint64_t count_upgrade(struct scale *scale)
{
    uint32_t last = scale->count - 1;

    scale_write(scale, 1 % scale->count, SCALE_CREATOR, AT_UPGRADE, 75);
    for (uint32_t i = 0; i <= last; i++) {
        expect(scale_read(scale, i, SCALE_CREATOR, AT_UPGRADE), 75, "a value read");
    }
    scale_mark(scale);
    scale_write(scale, last, SCALE_CREATOR, AT_UPGRADE, 76);
    expect(scale->payloads, 0, "pages of bytes sent for an upgrade");
    expect(scale_read(scale, last, SCALE_CREATOR, AT_UPGRADE), 76, "a value written");
    return scale->sent;
}

/* All write a page at once: the first from its home, the others each from the one before. */
static uint64_t expect_contended(uint64_t n)
{
    return n == 1 ? 0 : 5 * (n - 2) + 3;
}

static uint64_t count_contended(struct scale *scale)
{
    scale_write(scale, 0, SCALE_CREATOR, AT_CONTENDED, 77);
    scale_mark(scale);
    for (uint32_t i = 1; i < scale->count; i++) {
        scale_touch(scale, i, SCALE_CREATOR, AT_CONTENDED, true);
    }
    cluster_run(scale->cluster);
    return scale->sent;
}

static uint64_t expect_queue(uint64_t n)
{
    return n == 1 ? 0 : n - 2;
}

/* The links take turns; false: nothing is on its way. */
static bool deliver_one(struct cluster *cluster, uint32_t *from, uint32_t *to)
{
    if (!cluster_next_link(cluster, from, to)) {
        *from = *to = 0;
        if (!cluster_next_link(cluster, from, to)) {
            return false;
        }
    }
    return cluster_deliver(cluster, *from, (*to)++);
}

static uint64_t count_queue(struct scale *scale)
{
    const struct homes *homes = &scale->cluster->nodes[0].node->homes;
    const struct home_page *page;
    uint32_t from = 0, to = 0;
    uint64_t longest = 0;

    scale_write(scale, 0, SCALE_CREATOR, AT_QUEUE, 78);
    for (uint32_t i = 1; i < scale->count; i++) {
        scale_touch(scale, i, SCALE_CREATOR, AT_QUEUE, true);
    }
    page = directory_find(&homes->directory, scale->objects[SCALE_CREATOR].slot, AT_QUEUE);
    do {
        uint64_t waiting = 0;

        for (const struct transfer *at = page->waiters; at != NULL; at = at->next) {
            waiting++;
        }
        longest = waiting > longest ? waiting : longest;
    } while (deliver_one(scale->cluster, &from, &to));
    return longest;
}

/* --- synchronisation --- */

static void sync_all(struct scale *scale, uint32_t object, uint32_t op, uint64_t page,
                     uint64_t value)
{
    for (uint32_t i = 0; i < scale->count; i++) {
        scale_sync(scale, i, object, op, offset_of(page), value);
    }
}

static void expect_replies(const struct scale *scale, uint32_t each)
{
    for (uint32_t i = 0; i < scale->count; i++) {
        expect(scale_replies(scale, i), each, "replies to a node");
    }
}

static uint64_t expect_four(uint64_t n)
{
    return 4 * (n - 1);
}

static uint64_t expect_two(uint64_t n)
{
    return 2 * (n - 1);
}

static uint64_t expect_others(uint64_t n)
{
    return n - 1;
}

/* All lock at once; each unlocks when it has the lock. */
static uint64_t count_mutex(struct scale *scale)
{
    uint32_t left = scale->count;

    scale_mark(scale);
    sync_all(scale, SCALE_CREATOR, SYNC_LOCK, AT_LOCK, 0);
    cluster_run(scale->cluster);
    while (left > 0) { /* each round exactly one more has it */
        for (uint32_t i = 0; i < scale->count; i++) {
            if (scale_replies(scale, i) == 1) {
                scale_sync(scale, i, SCALE_CREATOR, SYNC_UNLOCK, offset_of(AT_LOCK), 0);
                cluster_run(scale->cluster);
                expect(scale_replies(scale, i), 2, "replies to who unlocked");
                left--;
            }
        }
    }
    return scale->sent;
}

static const struct sync_object *find_mutex(const struct scale *scale, uint64_t page)
{
    const struct syncs *syncs = &scale->cluster->nodes[0].node->syncs;

    for (uint32_t i = 0; i < SYNC_BUCKETS; i++) {
        const struct list *bucket = &syncs->objects_by_key[i];

        for (struct list *place = bucket->next; place != bucket; place = place->next) {
            const struct sync_object *object = list_object(place, struct sync_object, place);

            if (object->class_ == SYNC_CLASS_MUTEX && object->offset == offset_of(page)) {
                return object;
            }
        }
    }
    scale_fail("no such mutex", page);
}

static uint64_t count_mutex_queue(struct scale *scale)
{
    const struct list *waiters;
    uint64_t waiting = 0;

    sync_all(scale, SCALE_CREATOR, SYNC_LOCK, AT_LOCK_QUEUE, 0);
    cluster_run(scale->cluster);
    waiters = &find_mutex(scale, AT_LOCK_QUEUE)->waiters;
    for (const struct list *place = waiters->next; place != waiters; place = place->next) {
        waiting++;
    }
    return waiting;
}

static uint64_t expect_hand_off(uint64_t n)
{
    return n == 1 ? 0 : 3;
}

static uint64_t count_hand_off(struct scale *scale)
{
    uint32_t first = 1 % scale->count;
    uint32_t second = scale->count - 1;

    scale_sync(scale, first, SCALE_CREATOR, SYNC_LOCK, offset_of(AT_HAND_OFF), 0);
    if (second != first) {
        scale_sync(scale, second, SCALE_CREATOR, SYNC_LOCK, offset_of(AT_HAND_OFF), 0);
    }
    cluster_run(scale->cluster);
    scale_mark(scale);
    scale_sync(scale, first, SCALE_CREATOR, SYNC_UNLOCK, offset_of(AT_HAND_OFF), 0);
    cluster_run(scale->cluster);
    expect(scale_replies(scale, second), 1, "replies to the next holder");
    return scale->sent;
}

static uint64_t count_barrier(struct scale *scale)
{
    scale_mark(scale);
    sync_all(scale, SCALE_CREATOR, SYNC_BARRIER, AT_BARRIER, scale->count);
    cluster_run(scale->cluster);
    expect_replies(scale, 1);
    return scale->sent;
}

static uint64_t count_inbox(struct scale *scale)
{
    scale_mark(scale);
    sync_all(scale, SCALE_CREATOR, SYNC_BARRIER, AT_INBOX, scale->count);
    cluster_run(scale->cluster);
    return scale->longest_inbox;
}

/* Messages that a node has sent, ever. */
static uint64_t sent_by(const struct scale *scale, uint32_t node)
{
    uint64_t sent = 0;

    for (uint32_t kind = 0; kind < MESSAGE_KINDS; kind++) {
        sent += scale->cluster->nodes[node].sent[kind];
    }
    return sent;
}

static bool is_tree(uint64_t n)
{
    return n - 1 > TREE_NODES;
}

static uint64_t expect_home_sends(uint64_t n)
{
    return is_tree(n) ? BARRIER_FAN : n - 1;
}

static uint64_t count_home_sends(struct scale *scale)
{
    uint64_t before = sent_by(scale, 0);

    sync_all(scale, SCALE_CREATOR, SYNC_BARRIER, AT_TREE, scale->count);
    cluster_run(scale->cluster);
    return sent_by(scale, 0) - before;
}

static uint64_t expect_other_sends(uint64_t n)
{
    return n == 1 ? 0 : is_tree(n) ? 1 + BARRIER_FAN : 1;
}

static uint64_t count_other_sends(struct scale *scale)
{
    uint64_t *before = calloc(scale->count, sizeof(*before)), most = 0;

    for (uint32_t i = 1; i < scale->count; i++) {
        before[i] = sent_by(scale, i);
    }
    sync_all(scale, SCALE_CREATOR, SYNC_BARRIER, AT_TREE, scale->count);
    cluster_run(scale->cluster);
    for (uint32_t i = 1; i < scale->count; i++) {
        uint64_t sent = sent_by(scale, i) - before[i];

        most = sent > most ? sent : most;
    }
    free(before);
    return most;
}

/* An arrival, and as many levels of the tree as it takes. */
static uint64_t expect_hops(uint64_t n)
{
    uint64_t hops = n == 1 ? 0 : 1, rest = n - 1;

    if (!is_tree(n)) {
        return 2 * hops;
    }
    for (; rest > 0; rest = (rest + BARRIER_FAN - 1) / BARRIER_FAN - 1) {
        hops++;
    }
    return hops;
}

/* All messages that are on their way arrive, and what these cause is the next hop. */
static uint64_t count_hops(struct scale *scale)
{
    uint32_t (*ways)[2] = calloc(scale->count * (size_t)BARRIER_FAN, sizeof(*ways));
    uint64_t hops = 0;

    sync_all(scale, SCALE_CREATOR, SYNC_BARRIER, AT_TREE, scale->count);
    for (;;) {
        uint32_t count = 0, from = 0, to = 0;

        for (; cluster_next_link(scale->cluster, &from, &to); to++) {
            ways[count][0] = from;
            ways[count++][1] = to;
        }
        if (count == 0) {
            break;
        }
        for (uint32_t i = 0; i < count; i++) {
            cluster_deliver(scale->cluster, ways[i][0], ways[i][1]);
        }
        hops++;
    }
    free(ways);
    return hops;
}

static uint64_t count_fetch_add(struct scale *scale)
{
    scale_write(scale, 0, SCALE_CREATOR, AT_WORD, 1000);
    scale_mark(scale);
    sync_all(scale, SCALE_CREATOR, SYNC_FETCH_ADD, AT_WORD, 1);
    cluster_run(scale->cluster);
    expect_replies(scale, 1);
    expect(scale_read(scale, 0, SCALE_CREATOR, AT_WORD), 1000 + scale->count, "the sum");
    return scale->sent;
}

static uint64_t count_sem(struct scale *scale)
{
    scale_mark(scale);
    sync_all(scale, SCALE_SEM, SYNC_SEM_WAIT, 0, 0);
    cluster_run(scale->cluster);
    expect_replies(scale, 0);
    sync_all(scale, SCALE_SEM, SYNC_SEM_POST, 0, 0);
    cluster_run(scale->cluster);
    expect_replies(scale, 2);
    return scale->sent;
}

/* --- the home's load, links, and the catalog --- */

/* Each node writes a page of its own, of the stripe that the next node homes. */
static void write_own(struct scale *scale, uint32_t object)
{
    scale_mark(scale);
    for (uint32_t i = 0; i < scale->count; i++) {
        scale_touch(scale, i, object, (uint64_t)((i + 1) % scale->count) * STRIPE_PAGES + 20, true);
    }
    cluster_run(scale->cluster);
}

static uint64_t count_creator_load(struct scale *scale)
{
    write_own(scale, SCALE_CREATOR);
    return scale_busiest(scale);
}

static uint64_t expect_striped_load(uint64_t n)
{
    return n == 1 ? 0 : 3;
}

static uint64_t count_striped_load(struct scale *scale)
{
    write_own(scale, SCALE_STRIPED);
    return scale_busiest(scale);
}

static uint64_t expect_link(uint64_t n)
{
    return n == 1 ? 0 : 2;
}

static uint64_t count_link(struct scale *scale)
{
    return scale->longest_link_ever;
}

static uint64_t expect_join(uint64_t n)
{
    return 2 * n - 1;
}

static uint64_t count_join(struct scale *scale)
{
    return scale->told_of_last_join;
}

const struct scale_row scale_rows[] = {
    {"clean read miss", "2 + 1", expect_clean, count_clean, false},
    {"dirty read miss", "3 + 1", expect_dirty, count_dirty, false},
    {"write miss, k = n - 2 others have a copy", "2k + 2 + 2", expect_write, count_write, false},
    {"upgrade, k = n - 2 others and the home have a copy", "2k + 2 + 1", expect_upgrade,
     count_upgrade, false},
    {"all write one page at once, all messages", "5(n - 2) + 3", expect_contended, count_contended,
     false},
    {"longest queue at a page, then", "n - 2", expect_queue, count_queue, false},
    {"mutex: all lock and unlock once, all messages", "4(n - 1)", expect_four, count_mutex, false},
    {"longest queue at a mutex, then", "n - 1", expect_others, count_mutex_queue, false},
    {"mutex: unlock until the next one has it", "2 + 1", expect_hand_off, count_hand_off, false},
    {"barrier of all, all messages", "2(n - 1)", expect_two, count_barrier, false},
    {"barrier of all: its home sends", "4 of n > 9", expect_home_sends, count_home_sends, false},
    {"barrier of all: any other node sends at most", "1 + 4 of n > 9", expect_other_sends,
     count_other_sends, false},
    {"barrier of all: messages one after the other", "1 + log4 n of n > 9", expect_hops, count_hops,
     false},
    {"messages on their way to one node at most, then", "n - 1", expect_others, count_inbox, false},
    {"fetch-add, once by each node, all messages", "2(n - 1)", expect_two, count_fetch_add, false},
    {"semaphore: all wait, all post, all messages", "4(n - 1)", expect_four, count_sem, false},
    {"a page for each node, creator-homed: busiest node handles", "2(n - 1)", expect_two,
     count_creator_load, false},
    {"a page for each node, striped: busiest node handles", "3", expect_striped_load,
     count_striped_load, false},
    {"sealed: all read one page at once, for the first time: rounds", "log2 n + 2",
     scale_expect_sealed_rounds, scale_count_sealed_rounds, false},
    {"sealed: a node sends a page that all read at most", "2", scale_expect_sealed_sends,
     scale_count_sealed_sends, false},
    {"sealed: all read one page at once, all messages", "2(n - 1)", scale_expect_sealed_messages,
     scale_count_sealed_messages, false},
    {"longest queue on one link, in all of the above", "2", expect_link, count_link, false},
    {"catalog: records told when the n-th node joins", "2n - 1", expect_join, count_join, true},
};

const size_t scale_rows_count = sizeof(scale_rows) / sizeof(scale_rows[0]);
