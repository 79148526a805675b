/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/peer_link.h"

#include <stdio.h>
#include <string.h>

#include "dsm.h"

/** Silence after which a PING is sent at the latest. */
#define PING_MS 1000u

static uint32_t ping_interval_ms(const struct peers *peers)
{
    uint64_t third = peers->config->lease_ms / 3;
    return third < PING_MS ? (uint32_t)(third > 0 ? third : 1) : PING_MS;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/** When is something to be done for this connection? */
static uint64_t peer_due_ms(const struct peers *peers, const struct peer *peer)
{
    uint64_t ping_ms, lease_ms;
    switch (peer->state) {
    case PEER_DIALLING:
    case PEER_GREETING:
        return peer->begun_ms + PEER_GREETING_MS;
    case PEER_UP:
        ping_ms = max_u64(peer->heard_ms, peer->pinged_ms) + ping_interval_ms(peers);
        lease_ms = peer->heard_ms + peers->config->lease_ms;
        return ping_ms < lease_ms ? ping_ms : lease_ms;
    case PEER_PARTING:
        return peer->is_over_told ? peer->parting_ms : 0;
    default:
        return UINT64_MAX;
    }
}

/** Does this agent connect to the member, and is there no connection? */
static bool member_is_wanted(const struct peers *peers, uint32_t node)
{
    const struct member *member = &peers->members[node];
    return !peers->is_parting && member->is_known && member->is_alive &&
           peers->self != NODE_NONE && peers->self > node &&
           member->peer == NULL && member->target.peer == NULL &&
           !(peers->has_kept && (strcmp(member->name, peers->kept_name) == 0 ||
                                 strcmp(member->target.address, peers->kept.address) == 0));
}

static bool kept_is_wanted(const struct peers *peers)
{
    return !peers->is_parting && peers->has_kept && peers->kept.peer == NULL &&
           peers_kept(peers) == NULL;
}

static uint64_t peers_due_ms(const struct peers *peers)
{
    uint64_t due_ms = kept_is_wanted(peers) ? peers->kept.next_ms : UINT64_MAX;
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        if (member_is_wanted(peers, node) && peers->members[node].target.next_ms < due_ms) {
            due_ms = peers->members[node].target.next_ms;
        }
    }
    for (const struct peer *peer = peers->list; peer != NULL; peer = peer->next) {
        uint64_t peer_ms = peer_due_ms(peers, peer);
        due_ms = peer_ms < due_ms ? peer_ms : due_ms;
    }
    return due_ms;
}

/** The connection is over: tell who wants to know, once. */
static void peer_tell_over(struct peers *peers, struct peer *peer)
{
    peer->is_over_told = true;
    if (peer->is_announced) {
        log_line(LOG_LEVEL_INFO, "peer down name=%s address=%s cause=\"%s\"", peer->name,
                 peer->address, peer->text);
        peers->events.on_down(peers->events.context, peer);
    } else if (peer->target == NULL) {
        log_limited(&peers->limit, LOG_LEVEL_WARNING, "peer refused address=%s cause=\"%s\"",
                    peer->socket_address, peer->text);
    }
    struct target *target = peer->target;
    if (target == NULL || target->peer != peer || peers->is_freed) {
        return;
    }
    target->peer = NULL;
    if (!peer->is_announced || peer->is_fatal) {
        target_failed(peers, target, peer->error, peer->text, peer->is_fatal);
    } else {
        target->next_ms = uv_now(peers->loop) + TARGET_WAIT_MIN_MS;
        snprintf(target->failure, sizeof(target->failure), "%s", peer->text);
    }
}

static void peer_on_time(struct peers *peers, struct peer *peer, uint64_t now_ms)
{
    struct wire ping = {.kind = WIRE_PING};
    if (peer_due_ms(peers, peer) > now_ms) {
        return;
    }
    switch (peer->state) {
    case PEER_DIALLING:
    case PEER_GREETING:
        peer_end(peer, DSM_ETIMEDOUT, false, "no answer in %u s", PEER_GREETING_MS / 1000);
        break;
    case PEER_UP:
        if (now_ms >= peer->heard_ms + peers->config->lease_ms) {
            peer_end(peer, DSM_ETIMEDOUT, true, "silent for %llu ms",
                     (unsigned long long)(now_ms - peer->heard_ms));
        } else {
            peer->pinged_ms = now_ms;
            peer_send_wire(peer, &ping);
        }
        break;
    default:
        break;
    }
    if (peer->state == PEER_PARTING && !peer->is_over_told) {
        peer_tell_over(peers, peer);
    }
    if (peer->state == PEER_PARTING && peer_is_parted(peer, now_ms)) {
        peer_close(peer);
    }
}

/**
 * Has this process itself been away (stopped, starved of CPU)? Then the silence was ours: what the
 * others have sent meanwhile is still to be read.
 */
static void forgive_own_silence(struct peers *peers, uint64_t now_ms)
{
    if (now_ms < peers->timer_due_ms + peers->config->lease_ms / 4) {
        return;
    }
    for (struct peer *peer = peers->list; peer != NULL; peer = peer->next) {
        if (peer->state == PEER_UP) {
            peer->heard_ms = now_ms;
        } else if (peer->state < PEER_UP) {
            peer->begun_ms = now_ms;
        }
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct peers *peers = timer->data;
    uint64_t now_ms = uv_now(peers->loop);
    forgive_own_silence(peers, now_ms);
    /* Connections leave the list only when the loop closes them; new ones come in front. */
    for (struct peer *peer = peers->list; peer != NULL && !peers->is_freed; peer = peer->next) {
        peer_on_time(peers, peer, now_ms);
    }
    if (!peers->is_freed && kept_is_wanted(peers) && peers->kept.next_ms <= now_ms) {
        target_dial(peers, &peers->kept);
    }
    for (uint32_t node = 0; node < NODES_MAX && !peers->is_freed; node++) {
        if (member_is_wanted(peers, node) && peers->members[node].target.next_ms <= now_ms) {
            target_dial(peers, &peers->members[node].target);
        }
    }
    peers_schedule(peers, false);
}

void peers_schedule(struct peers *peers, bool at_once)
{
    if (peers->is_freed) {
        return;
    }
    uint64_t now_ms = uv_now(peers->loop);
    uint64_t due_ms = at_once ? now_ms : peers_due_ms(peers);
    if (due_ms == UINT64_MAX) {
        uv_timer_stop(&peers->timer);
        return;
    }
    peers->timer_due_ms = max_u64(due_ms, now_ms);
    uv_timer_start(&peers->timer, on_timer, peers->timer_due_ms - now_ms, 0);
}
