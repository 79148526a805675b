/* SPDX-License-Identifier: Apache-2.0 */
#include "clients_place.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/packet.h"
#include "dsm.h"

/* Waits end with what they wait for; in slices, for the loop asks the kernel for what its callbacks
 * have started only in its next turn. */
#define SLICE_MS 10
#define SLICES_MAX 1000u

static void on_fault(void *context, map_id map, uint64_t page, bool write)
{
    (void)context;
    (void)map;
    (void)page;
    (void)write;
}

static void on_call(void *context, client_id client, uint64_t number, const struct call *call)
{
    struct place *place = context;
    struct session_reply *reply = calloc(1, sizeof(*reply));

    assert_non_null(reply);
    place->count_calls++;
    place->client = client;
    place->number = number;
    place->call = *call;
    place->credential = call->credential;
    if (place->replies == 0) {
        clients_free(place->clients);
        place->clients = NULL;
    }
    for (uint32_t count = 0; count < place->replies; count++) {
        reply->number = number;
        reply->value = count;
        reply->text_bytes = SESSION_TEXT_MAX - 1;
        memset(reply->text, 'x', reply->text_bytes);
        clients_reply(place->clients, client, reply, -1);
    }
    free(reply);
}

static void on_admin(void *context, client_id client, uint64_t number, const char *topic,
                     uint64_t cursor, const struct credential *credential)
{
    struct place *place = context;

    place->count_admins++;
    place->client = client;
    place->number = number;
    place->cursor = cursor;
    place->credential = *credential;
    place->has_topic = topic != NULL;
    snprintf(place->topic, sizeof(place->topic), "%s", topic == NULL ? "" : topic);
}

static void on_gone(void *context, client_id client)
{
    struct place *place = context;

    place->count_gone++;
    place->gone = client;
}

int clients_start(struct place *place, struct clients **clients, char *text)
{
    struct clients_events events = {
        .context = place, .on_call = on_call, .on_admin = on_admin, .on_gone = on_gone};

    return clients_new(&place->loop, place->path, "alpha", place->frames, &events, clients, text);
}

struct place *place_new(void)
{
    struct frames_events frames_events = {.on_fault = on_fault};
    struct place *place = calloc(1, sizeof(*place));
    char text[TEXT_BYTES_MAX];

    assert_non_null(place);
    place->replies = 1;
    snprintf(place->directory, sizeof(place->directory), "/tmp/dsm-clients-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->path, sizeof(place->path), "%s/run/agent.sock", place->directory);
    assert_int_equal(uv_loop_init(&place->loop), 0);
    assert_int_equal(frames_new(&place->loop, 4096, &frames_events, &place->frames), 0);
    assert_int_equal(clients_start(place, &place->clients, text), 0);
    return place;
}

void place_free(struct place *place)
{
    char name[128];

    if (place->clients != NULL) {
        clients_free(place->clients);
    }
    frames_free(place->frames);
    uv_run(&place->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&place->loop), 0);
    assert_int_equal(access(place->path, F_OK), -1); /* The socket went with the clients. */
    snprintf(name, sizeof(name), "%s.lock", place->path);
    unlink(name);
    snprintf(name, sizeof(name), "%s/run", place->directory);
    assert_int_equal(rmdir(name), 0);
    assert_int_equal(rmdir(place->directory), 0);
    free(place);
}

void wait_readable(struct place *place, int fd)
{
    struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.events = POLLIN}};

    fds[1].fd = uv_backend_fd(&place->loop);
    for (uint32_t idle = 0; idle < SLICES_MAX;) {
        uv_run(&place->loop, UV_RUN_NOWAIT);
        if (poll(fds, 1, 0) > 0) {
            return;
        }
        idle += poll(fds, 2, SLICE_MS) == 0;
    }
    fail_msg("nothing to read");
}

void wait_count(struct place *place, const uint32_t *count, uint32_t value)
{
    struct pollfd pollfd = {.fd = uv_backend_fd(&place->loop), .events = POLLIN};

    for (uint32_t idle = 0; *count < value;) {
        uv_run(&place->loop, UV_RUN_NOWAIT);
        idle += *count < value && poll(&pollfd, 1, SLICE_MS) == 0;
        assert_true(idle < SLICES_MAX);
    }
}

int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

void send_request(struct place *place, int fd, int passed)
{
    struct buffer buffer = {0};

    session_request_pack(&place->request, &buffer);
    assert_false(buffer.failed);
    assert_int_equal(packet_send(fd, buffer_data(&buffer), buffer_len(&buffer), passed), 0);
    buffer_close(&buffer);
}

int read_reply(struct place *place, int fd)
{
    uint8_t *bytes = malloc(SESSION_PACKET_MAX);
    struct packet packet;

    assert_non_null(bytes);
    wait_readable(place, fd);
    assert_int_equal(packet_receive(fd, bytes, SESSION_PACKET_MAX, &packet), 0);
    assert_int_equal(session_reply_unpack(bytes, packet.len_bytes, &place->reply), 0);
    free(bytes);
    assert_true(packet.count_fds <= 1);
    return packet.count_fds == 1 ? packet.fds[0] : -1;
}

void assert_disconnected(struct place *place, int fd)
{
    uint8_t byte;
    ssize_t len;

    do {
        wait_readable(place, fd);
        len = recv(fd, &byte, sizeof(byte), MSG_DONTWAIT);
    } while (len > 0);
    assert_true(len == 0 || errno == ECONNRESET);
}

int connect_greeted(struct place *place)
{
    int fd = connect_to(place->path), device;

    memset(&place->request, 0, sizeof(place->request));
    place->request.kind = SESSION_HELLO;
    place->request.version = SESSION_VERSION;
    place->request.number = 1;
    send_request(place, fd, -1);
    device = read_reply(place, fd);
    assert_int_equal(place->reply.reply.error, 0);
    if (device >= 0) {
        close(device);
    }
    return fd;
}
