/* SPDX-License-Identifier: Apache-2.0 */
/* How what is sent to another agent leaves: at once, with the other answers, or with the next. */
#include "agent/peer_link.h"

#include <stdlib.h>
#include <string.h>

#include "dsm.h"

/* What is held back (L4). */

void peer_hold_no_more(struct peer *peer)
{
    if (peer->holding_back == NULL) {
        return;
    }
    *peer->holding_back = peer->holding_next;
    if (peer->holding_next != NULL) {
        peer->holding_next->holding_back = peer->holding_back;
    }
    peer->holding_back = NULL;
}

static void on_late_timer(uv_timer_t *timer)
{
    peers_flush_held(timer->data, PEER_SEND_LATE);
}

static void peer_hold(struct peer *peer, enum peer_urgency urgency)
{
    struct peers *peers = peer->peers;
    struct peer **list = &peers->holding[urgency];
    if (peer->holding_back != NULL && peer->holding_urgency <= urgency) {
        return;
    }
    peer_hold_no_more(peer);
    peer->holding_urgency = urgency;
    peer->holding_next = *list;
    if (*list != NULL) {
        (*list)->holding_back = &peer->holding_next;
    }
    *list = peer;
    peer->holding_back = list;
    /* Left running when they have gone with others, so that it is not started for each message. */
    if (urgency == PEER_SEND_LATE && !uv_is_active((uv_handle_t *)&peers->late_timer)) {
        uv_timer_start(&peers->late_timer, on_late_timer, PEERS_WAIT_MS, 0);
    }
}

/* Sending. */

static void on_written(uv_write_t *request, int status)
{
    struct peer *peer = request->data;
    peer->is_writing = false;
    if (peer->state == PEER_CLOSED) {
        return;
    }
    if (status != 0) {
        peer_end(peer, DSM_EDOWN, false, "cannot send: %s", uv_strerror(status));
        peer_part_now(peer);
        return;
    }
    peer_write(peer);
}

/** The socket is full: libuv tells when it has taken this piece, which goes before all the rest. */
static void peer_stall(struct peer *peer, const uint8_t *bytes, size_t len_bytes)
{
    if (peer->stall == NULL) {
        peer->stall = malloc(PEER_STALL_BYTES);
    }
    if (peer->stall == NULL) {
        peer_end(peer, DSM_ENOMEM, false, "out of memory");
        peer_part_now(peer);
        return;
    }
    size_t piece = len_bytes < PEER_STALL_BYTES ? len_bytes : PEER_STALL_BYTES;
    memcpy(peer->stall, bytes, piece);
    uv_buf_t buffer = uv_buf_init((char *)peer->stall, (unsigned int)piece);
    peer->write.data = peer;
    int status = uv_write(&peer->write, (uv_stream_t *)&peer->tcp, &buffer, 1, on_written);
    if (status != 0) {
        peer_end(peer, DSM_EDOWN, false, "cannot send: %s", uv_strerror(status));
        peer_part_now(peer);
        return;
    }
    peer->is_writing = true;
    peer->peers->count_sends++;
    peer->peers->bytes_sent += piece;
    link_output_done(peer->link, piece);
}

void peer_write(struct peer *peer)
{
    const uint8_t *bytes;
    size_t len_bytes;
    while (!peer->is_writing && (len_bytes = link_output(peer->link, &bytes)) > 0) {
        uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)bytes, (unsigned int)len_bytes);
        int sent = uv_try_write((uv_stream_t *)&peer->tcp, &buffer, 1);
        if (sent == UV_EAGAIN) {
            peer_stall(peer, bytes, len_bytes);
            return;
        }
        if (sent < 0) {
            peer_end(peer, DSM_EDOWN, false, "cannot send: %s", uv_strerror(sent));
            peer_part_now(peer);
            return;
        }
        peer->peers->count_sends++;
        peer->peers->bytes_sent += (uint64_t)sent;
        link_output_done(peer->link, (size_t)sent);
    }
    if (!peer->is_writing) {
        peer_shut(peer);
    } else if (peer->state != PEER_PARTING && link_output(peer->link, &bytes) > PEER_OUTPUT_MAX) {
        peer_end(peer, DSM_EDOWN, false, "it does not take what is sent: %u MiB wait",
                 PEER_OUTPUT_MAX >> 20);
        peer_part_now(peer);
    }
}

void peer_flush(struct peer *peer)
{
    peer_hold_no_more(peer);
    if (link_seal(peer->link) != 0) {
        peer_end(peer, link_error(peer->link), false, "cannot send: %s",
                 link_error_text(peer->link));
    }
    peer_write(peer);
}

int peer_send_head(struct peer *peer, const uint8_t *payload, size_t payload_bytes,
                   enum peer_urgency urgency)
{
    struct buffer *head = &peer->peers->head;
    int error = DSM_ENOMEM;
    if (!head->failed) {
        error = link_hold(peer->link, buffer_data(head), buffer_len(head), payload, payload_bytes);
    }
    if (error != 0) {
        if (peer->state != PEER_PARTING) {
            const char *text = link_error_text(peer->link);
            peer_end(peer, error, false, "cannot send: %s", text[0] ? text : dsm_strerror(error));
        }
        return DSM_EDOWN;
    }
    const uint8_t *bytes;
    bool is_collecting = peer->peers->count_collecting > 0;
    if (urgency == PEER_SEND_NOW || (urgency == PEER_SEND_SOON && !is_collecting) ||
        link_output(peer->link, &bytes) >= PEER_ANSWERS_BYTES) {
        peer_flush(peer);
    } else {
        peer_hold(peer, urgency);
    }
    return 0;
}

void peers_flush_held(struct peers *peers, enum peer_urgency urgency)
{
    while (peers->holding[urgency] != NULL) {
        peer_flush(peers->holding[urgency]);
    }
}

int peer_send_wire(struct peer *peer, const struct wire *wire)
{
    buffer_clear(&peer->peers->head);
    wire_pack(wire, &peer->peers->head);
    return peer_send_head(peer, NULL, 0, PEER_SEND_NOW);
}

void peers_collect(struct peers *peers)
{
    peers->count_collecting++;
}

void peers_collected(struct peers *peers)
{
    peers->count_collecting--;
    if (peers->count_collecting == 0) {
        peers_flush_held(peers, PEER_SEND_SOON);
    }
}
