/* SPDX-License-Identifier: Apache-2.0 */
/* Members that crash, fall silent, come back or misbehave, and what the keeper makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dsm.h"
#include "tests/unit/cluster.h"

/* The keeper a, the member b, and strangers who are an agent c that can do anything. */
struct scene {
    struct cluster cluster;
    struct stranger c, again;
};

static struct wire hello_of(uint32_t incarnation)
{
    return (struct wire){.kind = WIRE_HELLO,
                         .version = PROTOCOL_VERSION,
                         .node = NODE_NONE,
                         .incarnation = incarnation,
                         .address = "127.0.0.1:1"};
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    cluster_open(&scene->cluster);
    cluster_add(&scene->cluster, &scene->cluster.b, "b", 21);
    scene->c.hello = hello_of(31);
    scene->again.hello = hello_of(31);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    struct tls_context *tls = scene->c.tls != NULL ? scene->c.tls : scene->again.tls;
    /* b was never disturbed. */
    assert_int_equal(scene->cluster.b.count_refused, 0);
    assert_true(node_host_find(&scene->cluster.b, RECORD_NODE, "b")->alive);
    cluster_close(&scene->cluster);
    tls_context_free(tls);
    free(scene);
    return 0;
}

static bool has_head(void *context)
{
    return ((struct stranger *)context)->count_heads > 0;
}

static bool is_closed(void *context)
{
    return ((struct stranger *)context)->is_closed;
}

static bool b_sees_c_alive(void *context)
{
    struct scene *scene = context;
    const struct record *record = node_host_find(&scene->cluster.b, RECORD_NODE, "c");
    return record != NULL && record->alive;
}

static bool b_sees_c_dead(void *context)
{
    return !b_sees_c_alive(context);
}

static void connect_as_c(struct scene *scene, struct stranger *stranger)
{
    stranger_open(stranger, &scene->cluster.stage, "ca", "c",
                  peers_port(scene->cluster.a.host.peers));
    assert_true(stage_run(&scene->cluster.stage, has_head, stranger));
    stranger->count_heads = 0;
}

static void say_join(struct stranger *stranger)
{
    struct wire join = {.kind = WIRE_JOIN,
                        .request = 1,
                        .node = NODE_NONE,
                        .incarnation = stranger->hello.incarnation,
                        .machine = {.page_bytes = 4096, .word_bits = 64},
                        .address = "127.0.0.1:1"};
    stranger_send_wire(stranger, &join);
}

/* c is a member, node 2, with a region open. */
static void join_as_c(struct scene *scene)
{
    struct wire propose = {.kind = WIRE_PROPOSE,
                           .request = 1,
                           .proposal = {.kind = PROPOSAL_CREATE,
                                        .record = {.kind = RECORD_REGION,
                                                   .name = "/of-c",
                                                   .mode = 0600,
                                                   .page_size = 4096,
                                                   .readers = nodeset_of(2)}}};
    connect_as_c(scene, &scene->c);
    say_join(&scene->c);
    assert_true(stage_run(&scene->cluster.stage, b_sees_c_alive, scene));
    stranger_send_wire(&scene->c, &propose);
    while (node_host_find(&scene->cluster.b, RECORD_REGION, "/of-c") == NULL) {
        stage_run_ms(&scene->cluster.stage, 1);
    }
}

/* Cut without a word, as a crash or a cable does it. */
static void cut(struct scene *scene, struct stranger *stranger)
{
    stranger_close(stranger);
    stage_run_ms(&scene->cluster.stage, 20);
}

/* A crash is a death when the lease is over, not before; what it had open is open no more. */
static void test_crashed_member_dies_after_its_lease(void **state)
{
    struct scene *scene = *state;
    scene->cluster.a.host.config.lease_ms = 500;
    join_as_c(scene);
    uint64_t begun_ms = uv_now(&scene->cluster.stage.loop);
    cut(scene, &scene->c);
    assert_true(b_sees_c_alive(scene));
    assert_true(stage_run(&scene->cluster.stage, b_sees_c_dead, scene));
    uint64_t took_ms = uv_now(&scene->cluster.stage.loop) - begun_ms;
    assert_true(took_ms >= 400 && took_ms < 3000);
    struct node_host *const nodes[] = {&scene->cluster.a, &scene->cluster.b};
    cluster_check_even(&scene->cluster, 2, nodes, 2);
    assert_int_equal(node_host_find(&scene->cluster.b, RECORD_NODE, "c")->epoch, 1);
    assert_int_equal(
        nodeset_word(node_host_find(&scene->cluster.b, RECORD_REGION, "/of-c")->readers), 0);
}

/* Silence on an open connection counts from the last sign of life, once and not twice. */
static void test_silent_member_dies_after_one_lease(void **state)
{
    struct scene *scene = *state;
    scene->cluster.a.host.config.lease_ms = 800;
    join_as_c(scene);
    uint64_t begun_ms = uv_now(&scene->cluster.stage.loop);
    assert_true(stage_run(&scene->cluster.stage, b_sees_c_dead, scene));
    uint64_t took_ms = uv_now(&scene->cluster.stage.loop) - begun_ms;
    assert_true(took_ms >= 700 && took_ms < 1500);
    assert_true(scene->c.count_pings > 0);
    stranger_close(&scene->c);
}

/* Back within the lease nothing has happened: the same number, and it joins again without a death.
 */
static void test_member_back_within_its_lease_is_the_same(void **state)
{
    struct scene *scene = *state;
    join_as_c(scene);
    uint64_t before = node_host_revision(&scene->cluster.b);
    cut(scene, &scene->c);
    scene->again.tls = scene->c.tls;
    connect_as_c(scene, &scene->again);
    say_join(&scene->again);
    assert_true(stage_run(&scene->cluster.stage, has_head, &scene->again));
    assert_int_equal(scene->again.last.kind, WIRE_JOINED);
    assert_int_equal(scene->again.last.error, 0);
    assert_int_equal(scene->again.last.id.slot, 2);
    assert_int_equal(node_host_revision(&scene->cluster.b), before);
    stranger_close(&scene->again);
    scene->again.tls = NULL;
}

/* Back after its death, the incarnation is told to start anew. */
static void test_dead_incarnation_is_not_let_in_again(void **state)
{
    struct scene *scene = *state;
    scene->cluster.a.host.config.lease_ms = 300;
    join_as_c(scene);
    cut(scene, &scene->c);
    assert_true(stage_run(&scene->cluster.stage, b_sees_c_dead, scene));
    scene->cluster.a.host.config.lease_ms = 5000;
    scene->again.tls = scene->c.tls;
    connect_as_c(scene, &scene->again);
    say_join(&scene->again);
    assert_true(stage_run(&scene->cluster.stage, is_closed, &scene->again));
    assert_int_equal(scene->again.bye.error, DSM_EDOWN);
    assert_non_null(strstr(scene->again.bye.text, "restart its agent"));
    stranger_close(&scene->again);
    scene->again.tls = NULL;
}

static bool c_is_node_again(void *context)
{
    struct scene *scene = context;
    return scene->cluster.c.count_joined > 0;
}

/* The time it takes an agent c of a new incarnation to become a member. */
static uint64_t restart_c(struct scene *scene)
{
    uint64_t begun_ms = uv_now(&scene->cluster.stage.loop);
    cluster_start(&scene->cluster, &scene->cluster.c, "c", 32, 5000);
    assert_true(stage_run(&scene->cluster.stage, c_is_node_again, scene));
    assert_int_equal(scene->cluster.c.node, 2);
    const struct record *record = NULL;
    while (record == NULL || record->id.generation != 32) {
        stage_run_ms(&scene->cluster.stage, 1);
        record = node_host_find(&scene->cluster.b, RECORD_NODE, "c");
    }
    assert_true(record->alive);
    assert_int_equal(record->epoch, 1);
    return uv_now(&scene->cluster.stage.loop) - begun_ms;
}

/* An agent started again does not wait for the lease of the crashed one: that is declared dead
 * first. */
static void test_restarted_agent_is_let_in_at_once(void **state)
{
    struct scene *scene = *state;
    scene->cluster.a.host.config.lease_ms = 60000;
    join_as_c(scene);
    cut(scene, &scene->c);
    assert_true(restart_c(scene) < 900);
    uint32_t count_dead = 0;
    for (uint32_t i = 0; i < scene->cluster.b.records.count; i++) {
        const struct record *record = &scene->cluster.b.records.records[i];
        count_dead += record->kind == RECORD_NODE && !record->alive ? 1 : 0;
    }
    assert_int_equal(count_dead, 1); /* the death was told by itself, before the new life */
}

/* The crash of its host closes no connection: the old one is asked, and given a second. */
static void test_restarted_host_is_let_in_after_a_second_of_silence(void **state)
{
    struct scene *scene = *state;
    scene->cluster.a.host.config.lease_ms = 60000;
    join_as_c(scene);
    uint64_t took_ms = restart_c(scene);
    assert_true(took_ms >= 900 && took_ms < 5000);
    assert_true(scene->c.count_pings > 0);
    assert_true(stage_run(&scene->cluster.stage, is_closed, &scene->c));
    stranger_close(&scene->c);
}

static void expect_refusal(struct scene *scene, int error)
{
    assert_true(stage_run(&scene->cluster.stage, is_closed, &scene->c));
    assert_int_equal(scene->c.bye.error, error);
    stranger_close(&scene->c);
}

static void test_watch_before_join_is_refused(void **state)
{
    struct scene *scene = *state;
    struct wire watch = {.kind = WIRE_WATCH};
    connect_as_c(scene, &scene->c);
    stranger_send_wire(&scene->c, &watch);
    expect_refusal(scene, DSM_EPROTO);
}

static void test_proposal_before_join_is_refused(void **state)
{
    struct scene *scene = *state;
    struct wire propose = {
        .kind = WIRE_PROPOSE,
        .request = 1,
        .proposal = {.kind = PROPOSAL_CREATE, .record = {.kind = RECORD_REGION, .name = "/x"}}};
    connect_as_c(scene, &scene->c);
    stranger_send_wire(&scene->c, &propose);
    expect_refusal(scene, DSM_EPROTO);
    assert_null(node_host_find(&scene->cluster.a, RECORD_REGION, "/x"));
}

static void test_record_from_a_member_is_refused(void **state)
{
    struct scene *scene = *state;
    struct wire record = {.kind = WIRE_RECORD,
                          .proposal.record = {.kind = RECORD_REGION, .name = "/x", .revision = 99}};
    connect_as_c(scene, &scene->c);
    stranger_send_wire(&scene->c, &record);
    expect_refusal(scene, DSM_EPROTO);
}

static void test_join_under_two_incarnations_is_refused(void **state)
{
    struct scene *scene = *state;
    connect_as_c(scene, &scene->c);
    scene->c.hello.incarnation = 77;
    say_join(&scene->c);
    expect_refusal(scene, DSM_EPROTO);
}

/* A keeper whose file was replaced cannot go on from what its members have seen. */
static void test_watch_from_the_future_is_refused(void **state)
{
    struct scene *scene = *state;
    struct wire watch = {.kind = WIRE_WATCH, .revision = 1000};
    join_as_c(scene);
    stranger_send_wire(&scene->c, &watch);
    expect_refusal(scene, DSM_ESTALE);
}

/* Nobody answers: a proposal waits 10 s and no longer. */
static void test_proposal_without_a_keeper_ends_in_time(void **state)
{
    struct scene *scene = *state;
    struct node_host *d = &scene->cluster.d;
    *d = (struct node_host){.node = NODE_NONE, .name = "d"};
    host_open(&d->host, &scene->cluster.stage, "ca", "d", 41);
    uint16_t port = stranger_listen(&scene->c, &scene->cluster.stage, NULL, NULL);
    snprintf(d->host.config.keeper, sizeof(d->host.config.keeper), "127.0.0.1:%u", port);
    node_host_member(d);
    uint64_t begun_ms = uv_now(&scene->cluster.stage.loop);
    node_host_create(d, 1, "/x");
    assert_int_equal(node_host_await(d, 1), DSM_EKEEPER);
    uint64_t took_ms = uv_now(&scene->cluster.stage.loop) - begun_ms;
    assert_true(took_ms >= 9900 && took_ms < 15000);
    assert_int_equal(d->count_joined, 0);
    stranger_close(&scene->c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_crashed_member_dies_after_its_lease),
        TEST(test_silent_member_dies_after_one_lease),
        TEST(test_member_back_within_its_lease_is_the_same),
        TEST(test_dead_incarnation_is_not_let_in_again),
        TEST(test_restarted_agent_is_let_in_at_once),
        TEST(test_restarted_host_is_let_in_after_a_second_of_silence),
        TEST(test_watch_before_join_is_refused),
        TEST(test_proposal_before_join_is_refused),
        TEST(test_record_from_a_member_is_refused),
        TEST(test_join_under_two_incarnations_is_refused),
        TEST(test_watch_from_the_future_is_refused),
        TEST(test_proposal_without_a_keeper_ends_in_time),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
