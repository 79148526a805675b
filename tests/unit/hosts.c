/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dsm.h"

#define DEADLINE_MS 20000
#define TICK_MS 2

/* The stage. */

void stage_open(struct stage *stage)
{
    *stage = (struct stage){0};
    assert_int_equal(uv_loop_init(&stage->loop), 0);
    assert_int_equal(uv_timer_init(&stage->loop, &stage->deadline), 0);
    stage->deadline.data = stage;
    assert_int_equal(certs_directory_make(stage->directory), 0);
}

/* The loop runs timers before it sleeps: a tick wakes it to look whether one of them was the one.
 */
static void on_tick(uv_timer_t *timer)
{
    struct stage *stage = timer->data;
    stage->is_late = uv_now(&stage->loop) >= stage->late_ms;
}

static void stage_begin(struct stage *stage, uint64_t time_ms)
{
    stage->is_late = false;
    uv_update_time(&stage->loop);
    stage->late_ms = uv_now(&stage->loop) + time_ms;
    uv_timer_start(&stage->deadline, on_tick, TICK_MS, TICK_MS);
}

bool stage_run(struct stage *stage, condition *is_true, void *context)
{
    stage_begin(stage, DEADLINE_MS);
    while (!stage->is_late && !is_true(context)) {
        uv_run(&stage->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&stage->deadline);
    return is_true(context);
}

void stage_run_ms(struct stage *stage, uint64_t time_ms)
{
    stage_begin(stage, time_ms);
    while (!stage->is_late) {
        uv_run(&stage->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&stage->deadline);
}

static void stop_waiting(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

void stage_close(struct stage *stage)
{
    /* A handle that stays open would keep the loop for ever: an unreferenced timer ends it. */
    uv_timer_start(&stage->deadline, stop_waiting, DEADLINE_MS, 0);
    uv_unref((uv_handle_t *)&stage->deadline);
    assert_int_equal(uv_run(&stage->loop, UV_RUN_DEFAULT), 0);
    uv_close((uv_handle_t *)&stage->deadline, NULL);
    uv_run(&stage->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&stage->loop), 0);
    certs_directory_remove(stage->directory);
}

/* Hosts. */

static void on_message(void *context, const struct message *message, uint8_t *payload,
                       size_t payload_bytes)
{
    struct host *host = context;
    host->messages++;
    host->message = *message;
    free(host->payload);
    host->payload = malloc(payload_bytes + 1);
    assert_non_null(host->payload);
    if (payload_bytes > 0) {
        memcpy(host->payload, payload, payload_bytes);
    }
    host->payload_bytes = payload_bytes;
}

static void on_wire(void *context, struct peer *peer, const struct wire *wire)
{
    struct host *host = context;
    host->wires++;
    host->wire = *wire;
    if (host->catalog != NULL) {
        host->catalog->ops->on_wire(host->catalog, peer, wire);
    } else if (wire->kind == WIRE_QUERY) {
        peers_refuse(host->peers, peer, DSM_EBUSY, wire->topic); /* within its own delivery */
    }
}

static void on_up(void *context, struct peer *peer)
{
    struct host *host = context;
    assert_true(host->count_up < HOST_PEERS_MAX);
    host->up[host->count_up++] = peer;
    host->ups++;
    if (host->catalog != NULL) {
        host->catalog->ops->on_peer(host->catalog, peer, true);
    }
}

static void on_down(void *context, struct peer *peer)
{
    struct host *host = context;
    uint32_t i = 0;
    while (i < host->count_up && host->up[i] != peer) {
        i++;
    }
    assert_true(i < host->count_up);
    host->up[i] = host->up[--host->count_up];
    host->downs++;
    host->lefts += peer_has_left(peer) ? 1 : 0;
    if (host->catalog != NULL) {
        host->catalog->ops->on_peer(host->catalog, peer, false);
    }
}

static void on_failure(void *context, const char *address, int error, const char *text, bool fatal)
{
    struct host *host = context;
    assert_non_null(address);
    host->failures++;
    host->failure = error;
    host->is_fatal = fatal;
    snprintf(host->text, sizeof(host->text), "%s", text);
}

static void open_peers(struct host *host)
{
    struct peers_events events = {.context = host,
                                  .on_message = on_message,
                                  .on_wire = on_wire,
                                  .on_up = on_up,
                                  .on_down = on_down,
                                  .on_failure = on_failure};
    char text[TEXT_BYTES_MAX] = "";
    int error = peers_new(&host->stage->loop, &host->config, host->tls, host->incarnation, &events,
                          &host->peers, text);
    if (error != 0) {
        fail_msg("%s", text);
    }
    snprintf(host->address, sizeof(host->address), "127.0.0.1:%u", peers_port(host->peers));
    assert_string_equal(host->address, peers_own_address(host->peers));
}

static void open_tls(struct stage *stage, const char *ca, const char *name,
                     struct tls_context **tls)
{
    char ca_path[CERTS_PATH_BYTES], certificate[CERTS_PATH_BYTES], key[CERTS_PATH_BYTES];
    char text[TEXT_BYTES_MAX] = "";
    assert_int_equal(certs_make(stage->directory, ca, name, -3600, 86400), 0);
    certs_path(ca_path, stage->directory, ca, ".pem");
    certs_path(certificate, stage->directory, name, ".pem");
    certs_path(key, stage->directory, name, ".key");
    if (tls_context_new(ca_path, certificate, key, tls, text) != 0) {
        fail_msg("%s", text);
    }
}

void host_open(struct host *host, struct stage *stage, const char *ca, const char *name,
               uint32_t incarnation)
{
    *host = (struct host){.stage = stage, .incarnation = incarnation};
    config_init(&host->config);
    snprintf(host->config.listen, sizeof(host->config.listen), "127.0.0.1:0");
    open_tls(stage, ca, name, &host->tls);
    open_peers(host);
}

void host_open_again(struct host *host, uint32_t incarnation)
{
    char name[RECORD_NAME_BYTES];
    snprintf(name, sizeof(name), "%s", host->address);
    snprintf(host->config.listen, sizeof(host->config.listen), "%s", name);
    host->incarnation = incarnation;
    host->count_up = 0;
    open_peers(host);
}

void host_close(struct host *host)
{
    if (host->catalog != NULL) {
        host->catalog->ops->free(host->catalog);
        host->catalog = NULL;
    }
    peers_free(host->peers);
    host->peers = NULL;
    free(host->payload);
    host->payload = NULL;
}

void host_know(struct host *host, uint32_t self, const struct host *other, const char *name,
               uint32_t node)
{
    peers_set_self(host->peers, self);
    peers_set_member(host->peers, node, name, other->incarnation, other->address, true);
}

struct peer *host_find(const struct host *host, const char *name, uint32_t incarnation)
{
    for (uint32_t i = 0; i < host->count_up; i++) {
        if (strcmp(peer_name(host->up[i]), name) == 0 &&
            (incarnation == 0 || peer_incarnation(host->up[i]) == incarnation)) {
            return host->up[i];
        }
    }
    return NULL;
}

/* Strangers. */

static void on_stranger_closed(uv_handle_t *handle)
{
    struct stranger *stranger = handle->data;
    link_free(stranger->link);
    stranger->link = NULL;
}

void stranger_close(struct stranger *stranger)
{
    if (stranger->is_listening) {
        stranger->is_listening = false;
        uv_close((uv_handle_t *)&stranger->listener, NULL);
    }
    if (!uv_is_closing((uv_handle_t *)&stranger->tcp)) {
        uv_close((uv_handle_t *)&stranger->tcp, on_stranger_closed);
    }
}

static void write_all(struct stranger *stranger, const void *bytes, size_t len_bytes)
{
    uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)bytes, (unsigned int)len_bytes);
    uv_try_write((uv_stream_t *)&stranger->tcp, &buffer, 1); /* small things into an empty socket */
}

static void flush(struct stranger *stranger)
{
    const uint8_t *bytes;
    size_t len_bytes;
    while ((len_bytes = link_output(stranger->link, &bytes)) > 0) {
        write_all(stranger, bytes, len_bytes);
        link_output_done(stranger->link, len_bytes);
    }
}

void stranger_send(struct stranger *stranger, const void *bytes, size_t len_bytes)
{
    if (stranger->link == NULL) {
        write_all(stranger, bytes, len_bytes);
        return;
    }
    assert_int_equal(link_send(stranger->link, bytes, len_bytes, NULL, 0), 0);
    flush(stranger);
}

void stranger_send_wire(struct stranger *stranger, const struct wire *wire)
{
    struct buffer head = {0};
    wire_pack(wire, &head);
    stranger_send(stranger, buffer_data(&head), buffer_len(&head));
    buffer_close(&head);
}

static void stranger_receive(struct stranger *stranger, const uint8_t *bytes, size_t len_bytes)
{
    struct frame frame;
    struct wire wire;
    link_receive(stranger->link, bytes, len_bytes);
    flush(stranger);
    if (link_is_ready(stranger->link) && !stranger->has_sent_hello && stranger->hello.kind != 0) {
        stranger->has_sent_hello = true;
        stranger_send_wire(stranger, &stranger->hello);
    }
    while (link_next(stranger->link, &frame) == 1) {
        stranger->count_heads++;
        if (wire_unpack(frame.head, frame.head_bytes, &wire) == 0) {
            stranger->count_pings += wire.kind == WIRE_PING ? 1 : 0;
            if (wire.kind != WIRE_PING) {
                stranger->last = wire;
            }
            if (wire.kind == WIRE_BYE) {
                stranger->bye = wire;
            }
        }
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested_bytes, uv_buf_t *buffer)
{
    (void)handle;
    *buffer = uv_buf_init(malloc(suggested_bytes), (unsigned int)suggested_bytes);
}

static void on_read(uv_stream_t *stream, ssize_t len_bytes, const uv_buf_t *buffer)
{
    struct stranger *stranger = stream->data;
    if (len_bytes < 0) {
        stranger->is_closed = true;
        uv_read_stop(stream);
    } else if (len_bytes > 0 && stranger->link != NULL) {
        stranger_receive(stranger, (const uint8_t *)buffer->base, (size_t)len_bytes);
    }
    free(buffer->base);
}

static void begin(struct stranger *stranger)
{
    stranger->is_connected = true;
    uv_read_start((uv_stream_t *)&stranger->tcp, on_alloc, on_read);
    if (stranger->link != NULL) {
        flush(stranger);
    }
}

static void on_connected(uv_connect_t *request, int status)
{
    struct stranger *stranger = request->data;
    if (status == UV_ECANCELED) {
        return;
    }
    assert_int_equal(status, 0);
    begin(stranger);
}

static void stranger_init(struct stranger *stranger, struct stage *stage, const char *ca,
                          const char *name, bool is_server)
{
    *stranger = (struct stranger){.stage = stage, .tls = stranger->tls, .hello = stranger->hello};
    stranger->tcp.data = stranger;
    uv_tcp_init(&stage->loop, &stranger->tcp);
    if (name != NULL) {
        if (stranger->tls == NULL) {
            open_tls(stage, ca, name, &stranger->tls);
        }
        assert_int_equal(link_new(stranger->tls, is_server, &stranger->link), 0);
    }
}

void stranger_open(struct stranger *stranger, struct stage *stage, const char *ca, const char *name,
                   uint16_t port)
{
    struct sockaddr_in address;
    stranger_init(stranger, stage, ca, name, false);
    uv_ip4_addr("127.0.0.1", port, &address);
    stranger->connect.data = stranger;
    assert_int_equal(uv_tcp_connect(&stranger->connect, &stranger->tcp,
                                    (const struct sockaddr *)&address, on_connected),
                     0);
}

static void on_stranger_connection(uv_stream_t *server, int status)
{
    struct stranger *stranger = server->data;
    assert_int_equal(status, 0);
    if (!stranger->is_connected) {
        assert_int_equal(uv_accept(server, (uv_stream_t *)&stranger->tcp), 0);
        begin(stranger);
    }
}

uint16_t stranger_listen(struct stranger *stranger, struct stage *stage, const char *ca,
                         const char *name)
{
    struct sockaddr_in address;
    int address_bytes = sizeof(address);
    stranger_init(stranger, stage, ca, name, true);
    uv_tcp_init(&stage->loop, &stranger->listener);
    stranger->listener.data = stranger;
    stranger->is_listening = true;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&stranger->listener, (const struct sockaddr *)&address, 0);
    assert_int_equal(uv_listen((uv_stream_t *)&stranger->listener, 8, on_stranger_connection), 0);
    uv_tcp_getsockname(&stranger->listener, (struct sockaddr *)&address, &address_bytes);
    return ntohs(address.sin_port);
}

void stranger_ignore(struct stranger *stranger)
{
    uv_read_stop((uv_stream_t *)&stranger->tcp);
}

bool pair_is_up(void *context)
{
    struct pair *pair = context;
    return peers_is_up(pair->a.peers, 1) && peers_is_up(pair->b.peers, 0);
}

void pair_know(struct pair *pair)
{
    host_know(&pair->a, 0, &pair->b, "b", 1);
    host_know(&pair->b, 1, &pair->a, "a", 0);
}

int pair_set_up(void **state)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    assert_non_null(pair);
    stage_open(&pair->stage);
    host_open(&pair->a, &pair->stage, "ca", "a", 11);
    host_open(&pair->b, &pair->stage, "ca", "b", 21);
    pair_know(pair);
    assert_true(stage_run(&pair->stage, pair_is_up, pair));
    *state = pair;
    return 0;
}

int pair_tear_down(void **state)
{
    struct pair *pair = *state;
    host_close(&pair->a);
    host_close(&pair->b);
    stage_close(&pair->stage);
    tls_context_free(pair->a.tls);
    tls_context_free(pair->b.tls);
    free(pair);
    return 0;
}
