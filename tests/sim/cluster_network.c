/* SPDX-License-Identifier: Apache-2.0 */
/* The messages on their way in a simulated cluster: one queue for each way from node to node. */
#include "tests/sim/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/cluster_bytes.h"
#include "tests/sim/cluster_frames.h"
#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"

#define RUN_ROUNDS_MAX 300000u

/* --- which ways are not empty --- */

static size_t row_words(const struct cluster *cluster)
{
    return (cluster->count_nodes + 63u) / 64u;
}

static void set_busy(struct cluster *cluster, uint32_t from, uint32_t to, bool is_busy)
{
    uint64_t *row = cluster->busy_links + from * row_words(cluster);
    uint64_t any = 0;

    if (is_busy) {
        row[to / 64] |= UINT64_C(1) << to % 64;
        cluster->busy_senders[from / 64] |= UINT64_C(1) << from % 64;
        return;
    }
    row[to / 64] &= ~(UINT64_C(1) << to % 64);
    for (size_t i = 0; i < row_words(cluster); i++) {
        any |= row[i];
    }
    if (any == 0) {
        cluster->busy_senders[from / 64] &= ~(UINT64_C(1) << from % 64);
    }
}

/* The first bit at or after `start`; `count` for none. */
static uint32_t next_bit(const uint64_t *words, uint32_t count, uint32_t start)
{
    while (start < count) {
        uint64_t rest = words[start / 64] >> start % 64;

        if (rest != 0) {
            return start + (uint32_t)__builtin_ctzll(rest);
        }
        start = (start / 64 + 1) * 64;
    }
    return count;
}

bool cluster_next_link(const struct cluster *cluster, uint32_t *from, uint32_t *to)
{
    uint32_t count = cluster->count_nodes;
    uint32_t sender = next_bit(cluster->busy_senders, count, *from);
    uint32_t receiver = sender == *from ? *to : 0;

    while (sender < count) {
        receiver = next_bit(cluster->busy_links + sender * row_words(cluster), count, receiver);
        if (receiver < count) {
            *from = sender;
            *to = receiver;
            return true;
        }
        sender = next_bit(cluster->busy_senders, count, sender + 1);
        receiver = 0;
    }
    return false;
}

struct envelope *cluster_first(const struct cluster *cluster, uint32_t from, uint32_t to)
{
    return cluster->queues[from][to];
}

void cluster_heal(struct cluster *cluster)
{
    size_t count = cluster->count_nodes;

    memset(cluster->is_held[0], 0, count * count * sizeof(bool));
    memset(cluster->is_late, 0, count * sizeof(bool));
    cluster->atomics_are_late = false;
    cluster->keeper_is_away = false;
    for (uint32_t i = 0; i < count; i++) {
        while (cluster_finish_atomic(cluster, i)) {
        }
    }
}

/* --- queues --- */

/* A message with room for so many pages of bytes. */
static struct envelope *new_envelope(const struct message *message, uint32_t pages)
{
    struct envelope *envelope =
        malloc(sizeof(*envelope) + (size_t)pages * sizeof(struct sim_bytes));

    if (envelope == NULL) {
        abort();
    }
    memset(envelope, 0, sizeof(*envelope));
    envelope->message = *message;
    envelope->payload_pages = pages;
    envelope->payload = pages != 0 ? (struct sim_bytes *)(void *)(envelope + 1) : NULL;
    return envelope;
}

static void free_envelope(struct cluster *cluster, struct envelope *envelope)
{
    if (envelope->payload_pages != 0) {
        oracle_on_bytes(cluster, cluster_region_index(cluster, envelope->message.region),
                        envelope->message.page, envelope->payload_pages, envelope->payload, false);
    }
    free(envelope);
}

void cluster_enqueue(struct cluster *cluster, uint32_t sender, const struct action *action,
                     uint32_t region)
{
    const struct message *message = &action->message;
    struct envelope *envelope =
        new_envelope(message, action->source != BYTES_NONE ? action->count : 0);
    struct envelope **first = &cluster->queues[message->from][message->to];

    cluster->nodes[sender].sent[message->kind]++;
    if (envelope->payload_pages != 0) {
        frames_copy_out(cluster, sender, action, region, envelope->payload);
        oracle_on_bytes(cluster, region, message->page, action->count, envelope->payload, true);
    }
    cluster_note_message(cluster, SIM_SENT, message);
    if (*first == NULL) {
        *first = envelope;
        set_busy(cluster, message->from, message->to, true);
    } else {
        (*first)->last->next = envelope;
    }
    (*first)->last = envelope;
    if (cluster->on_send != NULL) {
        cluster->on_send(cluster->on_send_context, envelope);
    }
}

static struct envelope *dequeue(struct cluster *cluster, uint32_t from, uint32_t to)
{
    struct envelope *envelope = cluster->queues[from][to];

    if (envelope == NULL) {
        return NULL;
    }
    cluster->queues[from][to] = envelope->next;
    if (envelope->next != NULL) {
        envelope->next->last = envelope->last;
    } else {
        set_busy(cluster, from, to, false);
    }
    return envelope;
}

static void hand_over(struct cluster *cluster, struct envelope *envelope)
{
    struct event event = {.kind = EVENT_MESSAGE, .now_ms = cluster->now_ms};

    event.message.message = &envelope->message;
    event.message.payload_pages = envelope->payload_pages;
    cluster->nodes[envelope->message.to].handled++;
    bytes_arrive(cluster, envelope);
    cluster_step(cluster, envelope->message.to, &event, envelope->payload);
    free_envelope(cluster, envelope);
    oracle_rest(cluster);
}

bool cluster_deliver(struct cluster *cluster, uint32_t from, uint32_t to)
{
    struct envelope *envelope = dequeue(cluster, from, to);

    if (envelope == NULL) {
        return false;
    }
    cluster_note_message(cluster, SIM_DELIVERED, &envelope->message);
    hand_over(cluster, envelope);
    return true;
}

bool cluster_lose(struct cluster *cluster, uint32_t from, uint32_t to)
{
    struct envelope *envelope = dequeue(cluster, from, to);

    if (envelope == NULL) {
        return false;
    }
    cluster_note_message(cluster, SIM_LOST, &envelope->message);
    free_envelope(cluster, envelope);
    oracle_rest(cluster);
    return true;
}

bool cluster_duplicate(struct cluster *cluster, uint32_t from, uint32_t to)
{
    const struct envelope *envelope = cluster->queues[from][to];
    struct envelope *copy;

    if (envelope == NULL) {
        return false;
    }
    copy = new_envelope(&envelope->message, envelope->payload_pages);
    if (copy->payload_pages != 0) {
        memcpy(copy->payload, envelope->payload, copy->payload_pages * sizeof(struct sim_bytes));
        oracle_on_bytes(cluster, cluster_region_index(cluster, copy->message.region),
                        copy->message.page, copy->payload_pages, copy->payload, true);
    }
    cluster_note_message(cluster, SIM_REPEATED, &copy->message);
    hand_over(cluster, copy);
    return true;
}

void cluster_run(struct cluster *cluster)
{
    bool any = true;

    for (uint64_t rounds = 0; any; rounds++) {
        any = !cluster->keeper_is_away && cluster_decide(cluster);
        for (uint32_t i = 0; i < cluster->count_nodes; i++) {
            any = (!cluster->is_late[i] && cluster_tell(cluster, i)) || any;
        }
        for (uint32_t i = 0, j = 0; cluster_next_link(cluster, &i, &j); j++) {
            if (!cluster->is_held[i][j]) {
                any = cluster_deliver(cluster, i, j) || any;
            }
        }
        if (rounds > RUN_ROUNDS_MAX) {
            cluster_broken(cluster, "it never comes to rest");
        }
    }
}
