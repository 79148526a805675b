/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes to an agent's port that is no agent of this cluster, or not of this version, or does
 * not behave: each is turned away with a reason, and nobody else is disturbed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dsm.h"
#include "tests/unit/hosts.h"

#define CROWD 140

/* a (0), which is visited, and b (1), which must not notice. */
struct scene {
    struct stage stage;
    struct host a, b;
    struct stranger stranger, other;
    struct stranger crowd[CROWD];
};

static bool scene_is_up(void *context)
{
    struct scene *scene = context;
    return peers_is_up(scene->a.peers, 1) && peers_is_up(scene->b.peers, 0);
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    stage_open(&scene->stage);
    host_open(&scene->a, &scene->stage, "ca", "a", 11);
    host_open(&scene->b, &scene->stage, "ca", "b", 21);
    host_know(&scene->a, 0, &scene->b, "b", 1);
    host_know(&scene->b, 1, &scene->a, "a", 0);
    assert_true(stage_run(&scene->stage, scene_is_up, scene));
    scene->stranger.hello = (struct wire){.kind = WIRE_HELLO,
                                          .version = PROTOCOL_VERSION,
                                          .node = NODE_NONE,
                                          .incarnation = 31,
                                          .address = "0.0.0.0:7400"};
    scene->other.hello = scene->stranger.hello;
    *state = scene;
    return 0;
}

static bool has_message(void *context)
{
    return ((struct host *)context)->messages > 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    struct message message = {.kind = MESSAGE_READ, .to = 0, .request = 7, .count = 1};
    /* Nothing that a test did has disturbed the two. */
    assert_int_equal(scene->b.downs, 0);
    scene->a.messages = 0;
    peers_send_message(scene->b.peers, &message, NULL, 0, MAY_WAIT_NOT);
    assert_true(stage_run(&scene->stage, has_message, &scene->a));
    host_close(&scene->a);
    host_close(&scene->b);
    stage_close(&scene->stage);
    tls_context_free(scene->a.tls);
    tls_context_free(scene->b.tls);
    tls_context_free(scene->stranger.tls);
    tls_context_free(scene->other.tls);
    free(scene);
    return 0;
}

static bool is_closed(void *context)
{
    return ((struct stranger *)context)->is_closed;
}

static bool is_connected(void *context)
{
    return ((struct stranger *)context)->is_connected;
}

static bool has_head(void *context)
{
    return ((struct stranger *)context)->count_heads > 0;
}

static bool has_pinged(void *context)
{
    return ((struct stranger *)context)->count_pings > 0;
}

static bool a_knows_c(void *context)
{
    return host_find(&((struct scene *)context)->a, "c", 0) != NULL;
}

static void enter(struct scene *scene, struct stranger *stranger, const char *name)
{
    stranger_open(stranger, &scene->stage, "ca", name, peers_port(scene->a.peers));
}

/* Open the stranger as the well-behaved agent c, up to the point where a has announced it. */
static void enter_as_c(struct scene *scene)
{
    enter(scene, &scene->stranger, "c");
    assert_true(stage_run(&scene->stage, a_knows_c, scene));
    assert_true(stage_run(&scene->stage, has_head, &scene->stranger));
}

static void test_plain_text_is_hung_up_on(void **state)
{
    struct scene *scene = *state;
    enter(scene, &scene->stranger, NULL);
    assert_true(stage_run(&scene->stage, is_connected, &scene->stranger));
    stranger_send(&scene->stranger, "GET / HTTP/1.0\r\n\r\n", 18);
    assert_true(stage_run(&scene->stage, is_closed, &scene->stranger));
    assert_int_equal(scene->a.ups, 1);
    stranger_close(&scene->stranger);
}

/* A record of TLS that is none inside. */
static void test_broken_tls_is_hung_up_on(void **state)
{
    struct scene *scene = *state;
    uint8_t record[300] = {22, 3, 1, 1, 0};
    memset(record + 5, 0xa5, sizeof(record) - 5);
    enter(scene, &scene->stranger, NULL);
    assert_true(stage_run(&scene->stage, is_connected, &scene->stranger));
    stranger_send(&scene->stranger, record, sizeof(record));
    assert_true(stage_run(&scene->stage, is_closed, &scene->stranger));
    stranger_close(&scene->stranger);
}

/* Who says nothing has 5 s. */
static void test_silence_before_hello_ends_in_time(void **state)
{
    struct scene *scene = *state;
    uint64_t begun_ms = uv_now(&scene->stage.loop);
    enter(scene, &scene->stranger, NULL);
    assert_true(stage_run(&scene->stage, is_closed, &scene->stranger));
    uint64_t took_ms = uv_now(&scene->stage.loop) - begun_ms;
    assert_true(took_ms >= 4900 && took_ms < 10000);
    stranger_close(&scene->stranger);
}

static bool first_of_crowd_is_closed(void *context)
{
    return ((struct scene *)context)->crowd[0].is_closed;
}

static bool crowd_is_connected(void *context)
{
    struct scene *scene = context;
    uint32_t count = 0;
    for (uint32_t i = 0; i < CROWD; i++) {
        count += scene->crowd[i].is_connected ? 1 : 0;
    }
    return count == CROWD;
}

/* A crowd that says nothing keeps nobody out: the oldest of it makes room. */
static void test_crowd_of_silent_ones_makes_room(void **state)
{
    struct scene *scene = *state;
    for (uint32_t i = 0; i < CROWD; i++) {
        enter(scene, &scene->crowd[i], NULL);
    }
    assert_true(stage_run(&scene->stage, crowd_is_connected, scene));
    enter_as_c(scene);
    assert_true(stage_run(&scene->stage, first_of_crowd_is_closed, scene));
    assert_false(scene->crowd[CROWD - 1].is_closed);
    for (uint32_t i = 0; i < CROWD; i++) {
        stranger_close(&scene->crowd[i]);
    }
    stranger_close(&scene->stranger);
}

static void test_client_of_another_ca_is_refused(void **state)
{
    struct scene *scene = *state;
    stranger_open(&scene->stranger, &scene->stage, "foreign", "c", peers_port(scene->a.peers));
    assert_true(stage_run(&scene->stage, is_closed, &scene->stranger));
    assert_int_equal(link_error(scene->stranger.link), DSM_ECERT);
    assert_int_equal(scene->a.ups, 1);
    stranger_close(&scene->stranger);
}

static bool has_failed(void *context)
{
    return ((struct host *)context)->failures > 0;
}

/* The same seen from the agent that connects: it is told, and that trying again does not help. */
static void test_agent_of_another_ca_is_told_so(void **state)
{
    struct scene *scene = *state;
    struct host c;
    host_open(&c, &scene->stage, "foreign", "c", 31);
    peers_keep_address(c.peers, scene->a.address);
    assert_true(stage_run(&scene->stage, has_failed, &c));
    assert_int_equal(c.failure, DSM_ECERT);
    assert_true(c.is_fatal);
    assert_non_null(strstr(c.text, "certificate"));
    assert_string_equal(peers_kept_failure(c.peers), c.text);
    assert_int_equal(scene->a.ups, 1);
    host_close(&c);
    stage_run_ms(&scene->stage, 1);
    tls_context_free(c.tls);
}

static void test_client_of_another_version_is_told_so(void **state)
{
    struct scene *scene = *state;
    scene->stranger.hello.version = PROTOCOL_VERSION + 1;
    enter(scene, &scene->stranger, "c");
    assert_true(stage_run(&scene->stage, is_closed, &scene->stranger));
    assert_int_equal(scene->stranger.bye.error, DSM_EVERSION);
    assert_string_equal(scene->stranger.bye.text,
                        "agent 'c' speaks protocol 2, agent 'a' protocol 1: upgrade the older one");
    assert_int_equal(scene->a.ups, 1);
    stranger_close(&scene->stranger);
}

static void test_server_of_another_version_is_a_fatal_failure(void **state)
{
    struct scene *scene = *state;
    char address[64];
    scene->stranger.hello.version = PROTOCOL_VERSION + 1;
    uint16_t port = stranger_listen(&scene->stranger, &scene->stage, "ca", "c");
    snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    peers_keep_address(scene->a.peers, address);
    assert_true(stage_run(&scene->stage, has_failed, &scene->a));
    assert_int_equal(scene->a.failure, DSM_EVERSION);
    assert_true(scene->a.is_fatal);
    assert_non_null(strstr(scene->a.text, "upgrade the older one"));
    assert_true(stage_run(&scene->stage, is_closed, &scene->stranger));
    assert_int_equal(scene->stranger.bye.error, DSM_EVERSION);
    stranger_close(&scene->stranger);
}

/* Where it listens on all addresses, it is known by the one that it came from. */
static void test_wildcard_address_becomes_that_of_the_socket(void **state)
{
    struct scene *scene = *state;
    enter_as_c(scene);
    assert_string_equal(peer_address(host_find(&scene->a, "c", 0)), "127.0.0.1:7400");
    stranger_close(&scene->stranger);
}

static int bye_after(struct scene *scene, const void *head, size_t len_bytes)
{
    enter_as_c(scene);
    stranger_send(&scene->stranger, head, len_bytes);
    assert_true(stage_run(&scene->stage, is_closed, &scene->stranger));
    int error = scene->stranger.bye.error;
    stranger_close(&scene->stranger);
    return error;
}

static void test_malformed_head_ends_the_connection(void **state)
{
    struct scene *scene = *state;
    const uint8_t head[] = {0x93, 0x01, 0xc0, 0xc0};
    assert_int_equal(bye_after(scene, head, sizeof(head)), DSM_EPROTO);
}

static void test_head_of_no_kind_ends_the_connection(void **state)
{
    struct scene *scene = *state;
    const uint8_t head[] = {0x91, 0x7f};
    assert_int_equal(bye_after(scene, head, sizeof(head)), DSM_EPROTO);
}

static void test_second_hello_ends_the_connection(void **state)
{
    struct scene *scene = *state;
    struct buffer head = {0};
    wire_pack(&scene->stranger.hello, &head);
    assert_int_equal(bye_after(scene, buffer_data(&head), buffer_len(&head)), DSM_EPROTO);
    buffer_close(&head);
}

static void test_head_before_hello_ends_the_connection(void **state)
{
    struct scene *scene = *state;
    scene->stranger.hello = (struct wire){.kind = WIRE_PING};
    enter(scene, &scene->stranger, "c");
    assert_true(stage_run(&scene->stage, is_closed, &scene->stranger));
    assert_int_equal(scene->stranger.bye.error, DSM_EPROTO);
    assert_int_equal(scene->a.ups, 1);
    stranger_close(&scene->stranger);
}

/* The number that a HELLO says must be that of the name, where the catalog has told. */
static void test_hello_with_a_number_of_another_ends_the_connection(void **state)
{
    struct scene *scene = *state;
    scene->stranger.hello.node = 1;
    enter(scene, &scene->stranger, "c");
    assert_true(stage_run(&scene->stage, is_closed, &scene->stranger));
    assert_int_equal(scene->stranger.bye.error, DSM_EPROTO);
    assert_non_null(strstr(scene->stranger.bye.text, "'b'"));
    stranger_close(&scene->stranger);
}

static void test_ping_is_answered(void **state)
{
    struct scene *scene = *state;
    struct wire ping = {.kind = WIRE_PING};
    enter_as_c(scene);
    scene->stranger.count_heads = 0;
    stranger_send_wire(&scene->stranger, &ping);
    assert_true(stage_run(&scene->stage, has_head, &scene->stranger));
    assert_int_equal(scene->stranger.bye.kind, 0);
    stranger_close(&scene->stranger);
}

/* Who is up and then silent is asked, and after the lease cut off. */
static void test_silent_agent_is_asked_and_then_cut_off(void **state)
{
    struct scene *scene = *state;
    scene->a.config.lease_ms = 600; /* b answers within that */
    enter_as_c(scene);
    uint64_t begun_ms = uv_now(&scene->stage.loop);
    assert_true(stage_run(&scene->stage, has_pinged, &scene->stranger));
    assert_true(stage_run(&scene->stage, is_closed, &scene->stranger));
    uint64_t took_ms = uv_now(&scene->stage.loop) - begun_ms;
    assert_true(took_ms >= 550 && took_ms < 5000);
    assert_int_equal(scene->stranger.bye.error, DSM_ETIMEDOUT);
    assert_int_equal(scene->a.downs, 1);
    stranger_close(&scene->stranger);
}

/* Of two connections of one incarnation the newer stays: it made it because the older does not
 * work. */
static void test_newer_connection_takes_the_older_ones_place(void **state)
{
    struct scene *scene = *state;
    enter_as_c(scene);
    scene->other.tls = scene->stranger.tls;
    enter(scene, &scene->other, "c");
    assert_true(stage_run(&scene->stage, is_closed, &scene->stranger));
    assert_int_equal(scene->stranger.bye.error, DSM_EAGAIN);
    assert_false(scene->other.is_closed);
    assert_int_equal(scene->a.count_up, 2);
    stranger_close(&scene->stranger);
    stranger_close(&scene->other);
    scene->other.tls = NULL;
}

static bool is_ready(void *context)
{
    struct stranger *stranger = context;
    return stranger->link != NULL && link_is_ready(stranger->link);
}

/* c has been connected to by a, and has connected to a, before either heard of the other's attempt.
 */
static void cross(struct scene *scene, uint32_t number_of_c)
{
    char address[64];
    struct wire hello = scene->other.hello;
    hello.node = number_of_c;
    scene->stranger.hello.node = number_of_c;
    scene->other.hello.kind = 0;
    uint16_t port = stranger_listen(&scene->other, &scene->stage, "ca", "c");
    snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    peers_set_self(scene->a.peers, 5);
    peers_set_member(scene->a.peers, 2, "c", 31, address, true);
    assert_true(stage_run(&scene->stage, is_ready, &scene->other));
    scene->stranger.tls = scene->other.tls;
    enter_as_c(scene);
    stranger_send_wire(&scene->other, &hello);
}

static void close_crossed(struct scene *scene)
{
    peers_set_member(scene->a.peers, 2, "c", 31, "127.0.0.1:1", false);
    peers_set_self(scene->a.peers, 0);
    stranger_close(&scene->stranger);
    stranger_close(&scene->other);
    scene->other.tls = NULL;
}

static void test_crossing_connections_that_of_the_higher_number_stays(void **state)
{
    struct scene *scene = *state;
    cross(scene, 2); /* a, which is 5, has made `other` */
    assert_true(stage_run(&scene->stage, is_closed, &scene->stranger));
    assert_int_equal(scene->stranger.bye.error, DSM_EAGAIN);
    assert_false(scene->other.is_closed);
    assert_true(peers_is_up(scene->a.peers, 2));
    close_crossed(scene);
}

static void test_crossing_connections_that_of_the_lower_number_goes(void **state)
{
    struct scene *scene = *state;
    cross(scene, 9); /* c, which is 9, has made `stranger` */
    assert_true(stage_run(&scene->stage, is_closed, &scene->other));
    assert_int_equal(scene->other.bye.error, DSM_EAGAIN);
    assert_false(scene->stranger.is_closed);
    assert_int_equal(scene->a.downs, 0);
    assert_true(peers_is_up(scene->a.peers, 2));
    close_crossed(scene);
}

/* Who takes nothing of what is sent cannot make the agent keep it all. */
static void test_peer_that_takes_nothing_is_cut_off(void **state)
{
    struct scene *scene = *state;
    size_t len_bytes = PAYLOAD_BYTES_TARGET;
    uint8_t *bytes = calloc(1, len_bytes);
    struct message message = {.kind = MESSAGE_DATA, .to = 2, .count = 64, .granted = 64};
    uint32_t sent = 0;
    assert_non_null(bytes);
    enter_as_c(scene);
    stranger_ignore(&scene->stranger);
    peers_set_member(scene->a.peers, 2, "c", 31, "127.0.0.1:7400", true);
    while (peers_is_up(scene->a.peers, 2) && sent < 4000) {
        peers_send_message(scene->a.peers, &message, bytes, len_bytes, MAY_WAIT_NOT);
        sent++;
    }
    assert_true(sent > 1000 && sent < 1200); /* 256 MiB, and what the sockets hold */
    free(bytes);
    stranger_close(&scene->stranger);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_plain_text_is_hung_up_on),
        TEST(test_broken_tls_is_hung_up_on),
        TEST(test_silence_before_hello_ends_in_time),
        TEST(test_crowd_of_silent_ones_makes_room),
        TEST(test_client_of_another_ca_is_refused),
        TEST(test_agent_of_another_ca_is_told_so),
        TEST(test_client_of_another_version_is_told_so),
        TEST(test_server_of_another_version_is_a_fatal_failure),
        TEST(test_wildcard_address_becomes_that_of_the_socket),
        TEST(test_malformed_head_ends_the_connection),
        TEST(test_head_of_no_kind_ends_the_connection),
        TEST(test_second_hello_ends_the_connection),
        TEST(test_head_before_hello_ends_the_connection),
        TEST(test_hello_with_a_number_of_another_ends_the_connection),
        TEST(test_ping_is_answered),
        TEST(test_silent_agent_is_asked_and_then_cut_off),
        TEST(test_newer_connection_takes_the_older_ones_place),
        TEST(test_crossing_connections_that_of_the_higher_number_stays),
        TEST(test_crossing_connections_that_of_the_lower_number_goes),
        TEST(test_peer_that_takes_nothing_is_cut_off),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
