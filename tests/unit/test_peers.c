/* SPDX-License-Identifier: Apache-2.0 */
/* Agents that connect, part and come back: members among themselves. */
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

static bool has_message(void *context)
{
    return ((struct host *)context)->messages > 0;
}

/* Prove that the pair still works: a message arrives. */
static void check_pair_works(struct pair *pair)
{
    struct message message = {.kind = MESSAGE_READ, .to = 0, .request = 7, .count = 1};
    assert_true(stage_run(&pair->stage, pair_is_up, pair));
    pair->a.messages = 0;
    peers_send_message(pair->b.peers, &message, NULL, 0, MAY_WAIT_NOT);
    assert_true(stage_run(&pair->stage, has_message, &pair->a));
    assert_int_equal(pair->a.message.from, 1);
    assert_int_equal(pair->a.message.request, 7);
}

/* Both know who is there; the higher number has connected. */
static void test_members_connect_and_know_each_other(void **state)
{
    struct pair *pair = *state;
    struct peer *peer = host_find(&pair->a, "b", 21);
    assert_non_null(peer);
    assert_int_equal(peer_node(peer), 1);
    assert_string_equal(peer_address(peer), pair->b.address);
    assert_false(peer_is_kept(peer));
    assert_true(peer_heard_ms(peer) <= uv_now(&pair->stage.loop));
    peer = host_find(&pair->b, "a", 11);
    assert_non_null(peer);
    assert_int_equal(peer_node(peer), 0);
    assert_int_equal(pair->a.ups, 1);
    assert_int_equal(pair->b.ups, 1);
    assert_false(peers_is_up(pair->a.peers, 5));
    assert_false(peers_is_up(pair->a.peers, NODE_NONE));
    check_pair_works(pair);
    assert_int_equal(peers_bytes_sent(pair->b.peers), peers_bytes_received(pair->a.peers));
}

static void send_data(struct host *from, uint8_t to, uint8_t *bytes, size_t len_bytes,
                      uint64_t request)
{
    struct message message = {.kind = MESSAGE_DATA,
                              .to = to,
                              .request = request,
                              .count = (uint16_t)(len_bytes / 4096),
                              .granted = (uint16_t)(len_bytes / 4096)};
    peers_send_message(from->peers, &message, bytes, len_bytes, MAY_WAIT_NOT);
}

static void test_payload_of_256_kib_arrives_both_ways(void **state)
{
    struct pair *pair = *state;
    struct host *hosts[2] = {&pair->a, &pair->b};
    size_t len_bytes = PAYLOAD_BYTES_TARGET;
    uint8_t *bytes = malloc(len_bytes);
    assert_non_null(bytes);
    for (uint8_t to = 0; to < 2; to++) {
        for (size_t i = 0; i < len_bytes; i++) {
            bytes[i] = (uint8_t)(i * 31 + to + (i >> 8));
        }
        send_data(hosts[1 - to], to, bytes, len_bytes, 40u + to);
        assert_true(stage_run(&pair->stage, has_message, hosts[to]));
        assert_int_equal(hosts[to]->message.from, 1 - to);
        assert_int_equal(hosts[to]->message.to, to);
        assert_int_equal(hosts[to]->message.request, 40 + to);
        assert_int_equal(hosts[to]->payload_bytes, len_bytes);
        assert_memory_equal(hosts[to]->payload, bytes, len_bytes);
    }
    free(bytes);
}

#define FLOOD 200u

static bool has_flood(void *context)
{
    return ((struct host *)context)->messages == FLOOD;
}

/* What is sent while the flood comes, as word that it lives, is on its way a moment longer. */
static bool has_all_bytes(void *context)
{
    const struct pair *pair = context;

    return peers_bytes_sent(pair->a.peers) == peers_bytes_received(pair->b.peers);
}

/* 50 MiB at once are more than any socket takes: the rest waits its turn, in order, nothing is
 * lost. */
static void test_flood_arrives_whole_and_in_order(void **state)
{
    struct pair *pair = *state;
    size_t len_bytes = PAYLOAD_BYTES_TARGET;
    uint8_t *bytes = malloc(len_bytes);
    assert_non_null(bytes);
    for (uint32_t i = 0; i < FLOOD; i++) {
        memset(bytes, (int)i, len_bytes);
        send_data(&pair->a, 1, bytes, len_bytes, i);
    }
    assert_true(stage_run(&pair->stage, has_flood, &pair->b));
    assert_int_equal(pair->b.message.request, FLOOD - 1);
    assert_memory_equal(pair->b.payload, bytes, len_bytes);
    assert_true(stage_run(&pair->stage, has_all_bytes, pair));
    free(bytes);
}

static bool has_wire(void *context)
{
    return ((struct host *)context)->wires > 0;
}

static void test_other_heads_are_delivered(void **state)
{
    struct pair *pair = *state;
    struct wire wire = {.kind = WIRE_INSPECT, .request = 3, .page = 77, .id = {1, 2}};
    assert_int_equal(peers_send_wire_to(pair->b.peers, 0, &wire), 0);
    assert_int_equal(peers_send_wire_to(pair->b.peers, 9, &wire), DSM_EDOWN);
    assert_true(stage_run(&pair->stage, has_wire, &pair->a));
    assert_int_equal(pair->a.wire.page, 77);
    pair->b.wires = 0;
    wire = (struct wire){.kind = WIRE_ANSWER, .request = 3, .text = "{}"};
    assert_int_equal(peers_send_wire(pair->a.peers, host_find(&pair->a, "b", 0), &wire), 0);
    assert_true(stage_run(&pair->stage, has_wire, &pair->b));
    assert_string_equal(pair->b.wire.text, "{}");
}

static bool pair_is_up_again(void *context)
{
    struct pair *pair = context;
    return pair->a.downs > 0 && pair->b.downs > 0 && pair_is_up(context);
}

/* A refusal in the middle of the delivery of its own frame; the other side hears why, and comes
 * back. */
static void test_refused_connection_comes_back(void **state)
{
    struct pair *pair = *state;
    struct wire wire = {.kind = WIRE_QUERY, .topic = "once too often"};
    assert_int_equal(peers_send_wire_to(pair->b.peers, 0, &wire), 0);
    assert_int_equal(peers_send_wire_to(pair->b.peers, 0, &wire), 0);
    assert_true(stage_run(&pair->stage, pair_is_up_again, pair));
    assert_int_equal(pair->a.wires, 1); /* the second came after the end */
    assert_int_equal(pair->a.downs, 1);
    assert_int_equal(pair->b.downs, 1);
    assert_int_equal(pair->a.lefts + pair->b.lefts, 0);
    check_pair_works(pair);
}

static bool a_has_lost_b(void *context)
{
    struct pair *pair = context;
    return pair->a.downs == 1 && !peers_is_up(pair->a.peers, 1);
}

static bool b_has_failed_twice(void *context)
{
    return ((struct pair *)context)->b.failures >= 2;
}

/* An agent that stops says so; started again with another incarnation it is let in again. */
static void test_stopped_agent_is_heard_and_comes_back(void **state)
{
    struct pair *pair = *state;
    peers_free(pair->b.peers);
    assert_true(stage_run(&pair->stage, a_has_lost_b, pair));
    assert_int_equal(pair->a.lefts, 1);
    host_open_again(&pair->b, 22);
    pair_know(pair);
    check_pair_works(pair);
    assert_int_equal(peer_incarnation(host_find(&pair->a, "b", 0)), 22);
}

/* The one that connects tries again until the other is there, whatever time that takes. */
static void test_connector_waits_for_the_other(void **state)
{
    struct pair *pair = *state;
    peers_free(pair->a.peers);
    pair->a.peers = NULL;
    assert_true(stage_run(&pair->stage, b_has_failed_twice, pair));
    assert_int_equal(pair->b.failure, DSM_EDOWN);
    assert_false(pair->b.is_fatal);
    assert_non_null(strstr(pair->b.text, "refused"));
    host_open_again(&pair->a, 12);
    pair_know(pair);
    check_pair_works(pair);
}

/* Who is declared dead is cut off, is told why, and is not connected to again. */
static void test_dead_member_is_cut_off(void **state)
{
    struct pair *pair = *state;
    struct message message = {.kind = MESSAGE_READ, .to = 0, .count = 1};
    peers_set_member(pair->a.peers, 1, "b", 21, pair->b.address, false);
    assert_false(peers_is_up(pair->a.peers, 1));
    assert_true(stage_run(&pair->stage, a_has_lost_b, pair));
    peers_send_message(pair->b.peers, &message, NULL, 0, MAY_WAIT_NOT);
    stage_run_ms(&pair->stage, 300);
    assert_int_equal(pair->a.messages, 0);
    assert_false(peers_is_up(pair->a.peers, 1));
}

static bool reaches_a(void *context)
{
    return peers_is_up(((struct host *)context)->peers, 0);
}

/* A message from an agent that is no member is not delivered, but its other heads are. */
static void test_message_of_stranger_is_refused(void **state)
{
    struct pair *pair = *state;
    struct host c;
    struct message message = {.kind = MESSAGE_READ, .to = 0, .count = 1};
    struct wire wire = {.kind = WIRE_INSPECT};
    host_open(&c, &pair->stage, "ca", "c", 31);
    host_know(&c, 2, &pair->a, "a", 0);
    peers_send_message(c.peers, &message, NULL, 0, MAY_WAIT_NOT); /* nobody there yet: dropped */
    pair->a.ups = 0;
    assert_true(stage_run(&pair->stage, reaches_a, &c));
    peers_send_message(c.peers, &message, NULL, 0, MAY_WAIT_NOT);
    peers_send_wire_to(c.peers, 0, &wire);
    assert_true(stage_run(&pair->stage, has_wire, &pair->a));
    assert_int_equal(pair->a.messages, 0);
    assert_int_equal(peer_node(host_find(&pair->a, "c", 0)), NODE_NONE);
    host_know(&pair->a, 0, &c, "c", 2);
    assert_true(peers_is_up(pair->a.peers, 2));
    peers_send_message(c.peers, &message, NULL, 0, MAY_WAIT_NOT);
    assert_true(stage_run(&pair->stage, has_message, &pair->a));
    assert_int_equal(pair->a.message.from, 2);
    host_close(&c);
    check_pair_works(pair);
    tls_context_free(c.tls);
}

static bool a_has_two_ups(void *context)
{
    return ((struct pair *)context)->a.count_up == 2;
}

static bool a_has_lost_one(void *context)
{
    return ((struct pair *)context)->a.downs == 1;
}

/* Two agents with one certificate: both connections are there until the catalog has decided. */
static void test_same_name_twice_only_member_counts(void **state)
{
    struct pair *pair = *state;
    struct host second;
    struct message message = {.kind = MESSAGE_READ, .to = 0, .count = 1};
    host_open(&second, &pair->stage, "ca", "b", 99);
    host_know(&second, 1, &pair->a, "a", 0);
    assert_true(stage_run(&pair->stage, a_has_two_ups, pair));
    assert_int_equal(peer_node(host_find(&pair->a, "b", 21)), 1);
    assert_int_equal(peer_node(host_find(&pair->a, "b", 99)), NODE_NONE);
    pair->a.messages = 0;
    peers_send_message(second.peers, &message, NULL, 0, MAY_WAIT_NOT);
    check_pair_works(pair);
    assert_int_equal(pair->a.messages, 1);
    host_know(&pair->a, 0, &second, "b", 1); /* the other incarnation it is */
    assert_int_equal(peer_node(host_find(&pair->a, "b", 99)), 1);
    pair->a.downs = 0;
    assert_true(stage_run(&pair->stage, a_has_lost_one, pair));
    assert_null(host_find(&pair->a, "b", 21));
    host_close(&second);
    stage_run_ms(&pair->stage, 1);
    tls_context_free(second.tls);
}

static bool is_kept_up(void *context)
{
    struct host *host = context;
    return peers_kept(host->peers) != NULL;
}

/* Before a node has a number it reaches the keeper by its address; that connection then serves. */
static void test_kept_address_serves_as_the_members_connection(void **state)
{
    struct pair *pair = *state;
    struct host c;
    host_open(&c, &pair->stage, "ca", "c", 31);
    assert_string_equal(peers_kept_failure(c.peers), "");
    peers_keep_address(c.peers, pair->a.address);
    peers_keep_address(c.peers, pair->a.address);
    assert_true(stage_run(&pair->stage, is_kept_up, &c));
    assert_string_equal(peer_name(peers_kept(c.peers)), "a");
    assert_true(peer_is_kept(peers_kept(c.peers)));
    host_know(&c, 2, &pair->a, "a", 0);
    assert_true(peers_is_up(c.peers, 0));
    stage_run_ms(&pair->stage, 200);
    assert_int_equal(c.ups, 1);
    host_close(&c);
    check_pair_works(pair);
    tls_context_free(c.tls);
}

static bool has_failed(void *context)
{
    return ((struct host *)context)->failures > 0;
}

static void test_own_address_as_keeper_is_told(void **state)
{
    struct pair *pair = *state;
    peers_keep_address(pair->b.peers, pair->b.address);
    assert_true(stage_run(&pair->stage, has_failed, &pair->b));
    assert_int_equal(pair->b.failure, DSM_ECONFIG);
    assert_true(pair->b.is_fatal);
    assert_non_null(strstr(pair->b.text, "own"));
    check_pair_works(pair);
}

static int new_at(struct pair *pair, const char *listen, char *text)
{
    struct config config = pair->a.config;
    struct peers *peers = NULL;
    struct peers_events events = {0};
    snprintf(config.listen, sizeof(config.listen), "%s", listen);
    return peers_new(&pair->stage.loop, &config, pair->a.tls, 1, &events, &peers, text);
}

static void test_bad_listen_addresses_are_told(void **state)
{
    struct pair *pair = *state;
    char text[TEXT_BYTES_MAX] = "";
    assert_int_equal(new_at(pair, pair->b.address, text), DSM_EBUSY);
    assert_non_null(strstr(text, pair->b.address));
    assert_non_null(strstr(text, "in use"));
    assert_int_equal(new_at(pair, "192.0.2.1:7400", text), DSM_ECONFIG);
    assert_non_null(strstr(text, "192.0.2.1:7400"));
    assert_int_equal(new_at(pair, "nonsense", text), DSM_ECONFIG);
    assert_non_null(strstr(text, "nonsense"));
    check_pair_works(pair);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_set_up, pair_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_members_connect_and_know_each_other),
        TEST(test_payload_of_256_kib_arrives_both_ways),
        TEST(test_flood_arrives_whole_and_in_order),
        TEST(test_other_heads_are_delivered),
        TEST(test_refused_connection_comes_back),
        TEST(test_stopped_agent_is_heard_and_comes_back),
        TEST(test_connector_waits_for_the_other),
        TEST(test_dead_member_is_cut_off),
        TEST(test_message_of_stranger_is_refused),
        TEST(test_same_name_twice_only_member_counts),
        TEST(test_kept_address_serves_as_the_members_connection),
        TEST(test_own_address_as_keeper_is_told),
        TEST(test_bad_listen_addresses_are_told),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
