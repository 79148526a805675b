/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Atomic operations in the frames of their page's owner, and digests of frames. The 8 bytes are a
 * number of the region's type in the owner's own order, or a little-endian one where there is no
 * type.
 */
#include <stdlib.h>

#include "tests/sim/cluster_bytes.h"
#include "tests/sim/cluster_frames.h"
#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"

/* It was done; its outcome is told to the core later. */
static struct event *new_outcome(struct sim_node *node, uint8_t kind)
{
    struct sim_atomic *atomic = calloc(1, sizeof(*atomic));

    atomic->done.kind = kind;
    *node->last_atomic = atomic;
    node->last_atomic = &atomic->next;
    return &atomic->done;
}

void frames_digest(struct cluster *cluster, uint32_t number, const struct action *action,
                   uint32_t region)
{
    struct event *done = new_outcome(&cluster->nodes[number], EVENT_DIGEST);

    done->digest.region = action->region;
    done->digest.page = action->page;
    done->digest.is_end = action->write;
    for (uint32_t i = 0; i < action->count; i++) {
        const struct sim_frame *frame = frames_at(cluster, number, region, action->page + i);

        if (!frame->present) {
            frames_refuse(cluster, number, action, action->page + i, "a digest of an absent page");
        }
        done->digest.value = done->digest.value * 31 + frame->bytes.stamp;
    }
}

void frames_atomic(struct cluster *cluster, uint32_t number, const struct action *action,
                   uint32_t region)
{
    const struct message *message = &action->message;
    uint64_t page = message->offset / cluster_page_bytes(cluster, region), value;
    struct sim_frame *frame = frames_at(cluster, number, region, page);
    struct event *done = new_outcome(&cluster->nodes[number], EVENT_ATOMIC_DONE);
    struct sim_event *note = cluster_note(cluster, SIM_ATOMIC, number);

    done->atomic_done.requester = message->requester;
    done->atomic_done.request = message->request;
    if (!frame->present || frame->writers > 0) {
        frames_refuse(cluster, number, action, page,
                      "an atomic operation on a page absent or writable");
    }
    value = frame->bytes.value;
    note->page = page;
    note->value = value;
    if (!bytes_are_whole_number(cluster, region, message->offset)) {
        done->atomic_done.error = DSM_EINVAL;
        return;
    }
    done->atomic_done.value = value;
    if (message->op == SYNC_FETCH_ADD) {
        value += message->value;
    } else if (value == message->operand) {
        value = message->value;
    } else {
        oracle_on_read(cluster, number, region, page, frame, ++cluster->count_threads);
        return;
    }
    oracle_touch(cluster, region, page, 1);
    oracle_on_write(cluster, number, region, page, frame, value, ++cluster->count_threads, true);
}
