/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Defects that were found in the protocol, each as the shortest story that shows it, on a whole
 * cluster. Node 0 is the home of all pages.
 */
#include "tests/sim/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NODES 4u
#define POISONED UINT64_MAX

struct story {
    struct cluster *cluster;
    uint64_t handle[NODES];
    map_id map[NODES];
};

static void open_all(struct story *story)
{
    for (uint32_t i = 0; i < NODES; i++) {
        story->handle[i] = cluster_open(story->cluster, i, 1, "/r", 64, DSM_HOME_CREATOR);
        story->map[i] = cluster_map(story->cluster, i, 1, story->handle[i]);
        assert_true(story->map[i] != 0);
    }
    cluster_take_log(story->cluster);
}

static int begin(void **state)
{
    static struct story story;
    struct node_config config = {.read_ahead_pages = 16};

    story = (struct story){.cluster = cluster_new(NODES, &config)};
    open_all(&story);
    *state = &story;
    return 0;
}

/* The same with room for one page on each node but the first. */
static int begin_small(void **state)
{
    static struct story story;
    struct node_config config = {.budget_bytes = 4096, .read_ahead_pages = 1};

    story = (struct story){.cluster = cluster_new(NODES, &config)};
    open_all(&story);
    *state = &story;
    return 0;
}

static int end(void **state)
{
    struct story *story = *state;

    cluster_free(story->cluster);
    return 0;
}

static void write_page(struct story *story, uint32_t node, uint64_t page, uint64_t value)
{
    cluster_write(story->cluster, node, story->map[node], page, value);
    cluster_run(story->cluster);
}

static uint64_t read_page(struct story *story, uint32_t node, uint64_t page)
{
    return cluster_read(story->cluster, node, story->map[node], page);
}

static bool touch(struct story *story, uint32_t node, uint64_t page, bool write)
{
    uint64_t value = 1000;

    return cluster_touch(story->cluster, node, story->map[node], page, write, &value);
}

static void die(struct story *story, uint32_t node)
{
    cluster_kill(story->cluster, node);
    cluster_declare_dead(story->cluster, node);
    cluster_run(story->cluster);
}

/* The eviction clock of a node comes to a page of it that has to go home. */
static void make_leave(struct story *story, uint32_t node)
{
    write_page(story, node, 0, 100);
    story->cluster->is_held[node][0] = true;
    touch(story, node, 1, false);
    story->cluster->is_held[node][0] = false;
    cluster_deliver(story->cluster, node, 0);
    cluster_deliver(story->cluster, 0, node);
    story->cluster->is_held[node][0] = true;
    for (uint32_t i = 0; i < 300 && story->cluster->queues[node][0] == NULL; i++) {
        cluster_advance(story->cluster, 1);
    }
    while (story->cluster->queues[node][0] != NULL &&
           story->cluster->queues[node][0]->message.kind != MESSAGE_LEAVE) {
        cluster_deliver(story->cluster, node, 0);
        for (uint32_t i = 0; i < 300 && story->cluster->queues[node][0] == NULL; i++) {
            cluster_advance(story->cluster, 1);
        }
    }
    assert_non_null(story->cluster->queues[node][0]);
}

/*
 * The home's own wish waits behind the LEAVE that makes it the owner: it was asked to send to
 * itself.
 */
static void test_home_writes_a_page_that_has_just_left_for_it(void **state)
{
    struct story *story = *state;

    make_leave(story, 1);
    story->cluster->is_held[0][1] = true;
    cluster_deliver(story->cluster, 1, 0); /* LEAVE */
    assert_false(touch(story, 0, 0, true)); /* WRITE waits behind it */
    story->cluster->is_held[1][0] = false;
    story->cluster->is_held[0][1] = false;
    cluster_run(story->cluster);
    assert_int_equal(read_page(story, 0, 0), 100);
    assert_true(touch(story, 0, 0, true));
    assert_int_equal(read_page(story, 2, 0), 1000);
}

/* Bytes of a page that left, sent twice: the second came when another node had written the page. */
static void test_bytes_of_a_leaving_page_that_come_again_are_too_late(void **state)
{
    struct story *story = *state;

    make_leave(story, 1);
    cluster_deliver(story->cluster, 1, 0);
    cluster_run(story->cluster); /* TAKE; DATA waits on the way */
    cluster_advance(story->cluster, 1000);
    assert_int_equal(story->cluster->queues[1][0]->message.kind, MESSAGE_DATA);
    cluster_deliver(story->cluster, 1, 0);
    cluster_run(story->cluster);
    write_page(story, 2, 0, 200);
    story->cluster->is_held[1][0] = false;
    cluster_run(story->cluster); /* DATA again */
    assert_int_equal(read_page(story, 0, 0), 200);
}

/* A page was evicted before the thread that had asked for it could touch it, again and again. */
static void test_page_that_was_just_granted_is_not_evicted_at_once(void **state)
{
    struct story *story = *state;
    uint64_t handle = cluster_open(story->cluster, 1, 2, "/own", 1, DSM_HOME_CREATOR);
    map_id map = cluster_map(story->cluster, 1, 2, handle);

    cluster_write(story->cluster, 1, map, 0, 7); /* fills node 1, and cannot leave its home */
    assert_false(touch(story, 1, 5, false));
    cluster_run(story->cluster);
    assert_true(touch(story, 1, 5, false));
    cluster_advance(story->cluster, 200);
    assert_false(touch(story, 1, 5, false)); /* but then it is */
}

/* An addition at a home whose own programs have closed the region was refused. */
static void test_home_adds_for_others_when_its_own_programs_have_gone(void **state)
{
    struct story *story = *state;
    struct reply reply;
    uint64_t number;

    cluster_client_gone(story->cluster, 0, 1);
    cluster_run(story->cluster);
    number = cluster_sync(story->cluster, 1, 1, story->handle[1], SYNC_FETCH_ADD, 0, 5, -1);
    cluster_advance(story->cluster, 3000);
    assert_true(cluster_reply(story->cluster, 1, number, &reply));
    assert_int_equal(reply.error, 0);
    assert_int_equal(read_page(story, 2, 0), 5);
}

/* A home that is behind the catalog's news refused, and the program got a SIGBUS for it. */
static void test_home_that_is_behind_the_news_costs_nobody_a_page(void **state)
{
    struct story *story = *state;
    uint64_t handle, lock;
    struct reply reply;
    map_id map;

    cluster_client_gone(story->cluster, 3, 1);
    cluster_run(story->cluster);
    story->cluster->is_late[0] = true;
    handle = cluster_open(story->cluster, 3, 2, "/r", 64, DSM_HOME_CREATOR);
    map = cluster_map(story->cluster, 3, 2, handle);
    lock = cluster_sync(story->cluster, 3, 2, handle, SYNC_LOCK, 0, 0, -1);
    cluster_touch(story->cluster, 3, map, 5, true, &(uint64_t){1});
    cluster_advance(story->cluster, 5500);
    assert_false(cluster_reply(story->cluster, 3, lock, &reply));
    assert_false(cluster_frame(story->cluster, 3, 0, 5)->poisoned);
    story->cluster->is_late[0] = false;
    cluster_advance(story->cluster, 3000);
    assert_true(cluster_touch(story->cluster, 3, map, 5, true, &(uint64_t){1}));
    assert_true(cluster_reply(story->cluster, 3, lock, &reply));
    assert_int_equal(reply.error, 0);
}

/* A program that was told of a region by another way was told that there is none, or was given the
 * one that had its name before, while the keeper's news were on their way. */
static void test_name_is_found_though_its_news_are_late(void **state)
{
    struct story *story = *state;
    struct cluster *cluster = story->cluster;
    struct call unlink = {.kind = CALL_UNLINK, .object = RECORD_REGION, .name = "/r"};
    struct call open = {.kind = CALL_OPEN, .object = RECORD_REGION, .name = "/new"};
    const char *names[] = {"/new", "/r"};
    struct reply reply;

    cluster->is_late[3] = true;
    assert_true(cluster_open(cluster, 1, 2, "/new", 8, DSM_HOME_CREATOR) != 0);
    assert_int_equal(cluster_call(cluster, 0, 2, &unlink).error, 0);
    assert_true(cluster_open(cluster, 1, 2, "/r", 8, DSM_HOME_CREATOR) != 0);
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t number;

        snprintf(open.name, sizeof(open.name), "%s", names[i]);
        number = cluster_call_start(cluster, 3, 2, &open);
        cluster_run(cluster);
        assert_false(cluster_reply(cluster, 3, number, &reply));
        while (!cluster_reply(cluster, 3, number, &reply) && cluster_tell(cluster, 3)) {
            cluster_run(cluster);
        }
        assert_true(cluster_reply(cluster, 3, number, &reply));
        assert_int_equal(reply.error, 0);
        assert_int_equal(reply.size_bytes, 8 * 4096);
    }
}

/* RELEASE is sent once: when it was lost, the old owner kept the bytes until somebody died. */
static void test_bytes_put_aside_are_forgotten_though_the_release_was_lost(void **state)
{
    struct story *story = *state;

    write_page(story, 1, 5, 7);
    story->cluster->is_held[0][1] = true;
    assert_false(touch(story, 2, 5, true));
    cluster_deliver(story->cluster, 2, 0);
    cluster_deliver(story->cluster, 0, 1); /* FORWARD */
    cluster_run(story->cluster);
    assert_int_equal(story->cluster->queues[0][1]->message.kind, MESSAGE_RELEASE);
    assert_true(cluster_lose(story->cluster, 0, 1));
    story->cluster->is_held[0][1] = false;
    assert_non_null(story->cluster->nodes[1].kept);
    cluster_advance(story->cluster, 11000);
    assert_null(story->cluster->nodes[1].kept);
    assert_int_equal(read_page(story, 3, 5), 7);
}

/* The source still had its copy: no bytes had gone to the writer that died. */
static void test_writer_that_dies_before_it_got_bytes_loses_no_page(void **state)
{
    struct story *story = *state;

    write_page(story, 1, 5, 7);
    assert_false(touch(story, 2, 5, true));
    cluster_deliver(story->cluster, 2, 0); /* FORWARD is under way, and will be of an old epoch */
    die(story, 2);
    assert_int_equal(read_page(story, 3, 5), 7);
    assert_true(touch(story, 1, 5, false));
}

/* An acknowledgement was missing, so nothing had been granted: a reader still has the bytes. */
static void test_upgrader_that_dies_before_its_grant_loses_no_page(void **state)
{
    struct story *story = *state;

    write_page(story, 1, 5, 7);
    read_page(story, 2, 5);
    read_page(story, 3, 5);
    story->cluster->is_held[0][3] = true;
    assert_false(touch(story, 2, 5, true));
    cluster_run(story->cluster); /* the owner has dropped its copy */
    die(story, 2);
    story->cluster->is_held[0][3] = false;
    cluster_run(story->cluster);
    assert_int_equal(read_page(story, 0, 5), 7);
}

/* The owner died when its bytes had come to the writer: the page was lost for all but that one. */
static void test_writer_whose_source_died_after_sending_has_the_page(void **state)
{
    struct story *story = *state;

    write_page(story, 1, 5, 7);
    assert_false(touch(story, 2, 5, true));
    cluster_deliver(story->cluster, 2, 0);
    cluster_deliver(story->cluster, 0, 1);
    cluster_deliver(story->cluster, 1, 2); /* CONFIRM will be of an old epoch */
    assert_true(touch(story, 2, 5, true));
    die(story, 1);
    assert_int_equal(read_page(story, 3, 5), 1000);
}

/* The owner died while a reader had the same bytes and the writer none: the page was given up. */
static void test_reader_helps_out_when_a_writers_source_died(void **state)
{
    struct story *story = *state;

    write_page(story, 1, 5, 7);
    read_page(story, 3, 5);
    story->cluster->is_held[0][3] = true; /* INVALIDATE is under way, and will be of an old epoch */
    assert_false(touch(story, 2, 5, true));
    cluster_deliver(story->cluster, 2, 0);
    cluster_kill(story->cluster, 1);
    cluster_declare_dead(story->cluster, 1);
    story->cluster->is_held[0][3] = false;
    cluster_run(story->cluster);
    assert_int_equal(read_page(story, 2, 5), 7);
    assert_true(touch(story, 2, 5, true));
}

/* The last reader of an orphan died before anybody asked: the home asked node 255 for ever. */
static void test_orphan_whose_last_reader_dies_is_lost(void **state)
{
    struct story *story = *state;

    write_page(story, 1, 5, 7);
    read_page(story, 2, 5);
    die(story, 1);
    die(story, 2);
    assert_int_equal(read_page(story, 3, 5), POISONED);
}

/* An operation on a page that was still on its way was carried out for the wrong incarnation. */
static void test_addition_of_an_earlier_incarnation_answers_no_later_one(void **state)
{
    struct story *story = *state;
    struct reply reply;
    uint64_t handle, number;

    write_page(story, 2, 5, 7);
    story->cluster->is_held[2][0] = true;
    cluster_sync(story->cluster, 1, 1, story->handle[1], SYNC_FETCH_ADD, 5 * 4096, 5, -1);
    cluster_run(story->cluster); /* waits for the page from node 2 */
    cluster_restart(story->cluster, 1);
    handle = cluster_open(story->cluster, 1, 9, "/r", 64, DSM_HOME_CREATOR);
    for (uint32_t i = 0; i < 8; i++) { /* one of them has the old one's number */
        number = cluster_sync(story->cluster, 1, 9, handle, SYNC_FETCH_ADD, 5 * 4096, 1, -1);
    }
    cluster_run(story->cluster);
    story->cluster->is_held[2][0] = false;
    cluster_advance(story->cluster, 3000);
    assert_true(cluster_reply(story->cluster, 1, number, &reply));
    assert_int_equal(reply.value, 14);
    assert_int_equal(read_page(story, 3, 5), 15);
}

/* Touch pages one after the other; each is here at once. */
static void read_all(struct cluster *cluster, uint32_t node, map_id map, uint64_t pages)
{
    for (uint64_t page = 0; page < pages; page++) {
        cluster_read(cluster, node, map, page);
        cluster_run(cluster);
    }
}

/*
 * Of a long range the first part had come when its owner died. The home began anew with one page,
 * the others were free: another node wrote one while the first part was still to be read.
 */
static void test_first_part_of_a_range_is_dropped_when_its_source_died(void **state)
{
    struct node_config config = {.read_ahead_pages = 256};
    struct cluster *cluster = cluster_new(NODES, &config);
    uint64_t value = 0;
    map_id map[NODES];

    (void)state;
    for (uint32_t i = 0; i < NODES; i++) {
        map[i] =
            cluster_map(cluster, i, 1, cluster_open(cluster, i, 1, "/r", 341, DSM_HOME_CREATOR));
    }
    for (uint64_t page = 0; page < 341; page++) {
        cluster_write(cluster, 1, map[1], page, page + 1);
    }
    read_all(cluster, 3, map[3], 341);
    read_all(cluster, 2, map[2], 85);
    assert_false(cluster_touch(cluster, 2, map[2], 85, false, &value));
    cluster_deliver(cluster, 2, 0);
    cluster_deliver(cluster, 0, 1);
    assert_int_equal(cluster_first(cluster, 1, 2)->message.count, 64);
    cluster_deliver(cluster, 1, 2);
    assert_true(cluster_touch(cluster, 2, map[2], 90, false, &value));
    cluster_kill(cluster, 1);
    cluster_declare_dead(cluster, 1);
    cluster->is_held[3][2] = true; /* what node 3 sends in its place is on its way */
    cluster_run(cluster);
    cluster_write(cluster, 3, map[3], 90, 1000);
    cluster->is_held[3][2] = false;
    assert_int_equal(cluster_read(cluster, 2, map[2], 90), 1000);
    cluster_free(cluster);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, begin, end)
#define SMALL_STORY(test) cmocka_unit_test_setup_teardown(test, begin_small, end)

/*
 * A page that the home's own thread had waited for went to the next who waited before that thread
 * ran, every time (T4).
 */
static void test_home_gets_its_turn_at_a_page_that_all_want(void **state)
{
    struct node_config config = {.read_ahead_pages = 1};
    struct cluster *cluster = cluster_new(3, &config);
    struct call call = {.kind = CALL_OPEN,
                        .object = RECORD_REGION,
                        .oflag = CALL_OFLAG_WRITE | CALL_OFLAG_CREATE,
                        .mode = 0666,
                        .window_ms = DSM_WINDOW_NONE, /* which would give it one */
                        .name = "/r"};
    map_id maps[3];
    uint32_t turns[3] = {0, 0, 0};
    uint64_t value = 0;

    (void)state;
    assert_int_equal(cluster_call(cluster, 0, 1, &call).error, 0);
    for (uint32_t i = 0; i < 3; i++) {
        maps[i] = cluster_map(cluster, i, 1, cluster_open(cluster, i, 1, "/r", 1, 0));
    }
    for (uint32_t round = 0; round < 400; round++) {
        for (uint32_t from = 0; from < 3; from++) {
            for (uint32_t to = 0; to < 3; to++) {
                cluster_deliver(cluster, from, to);
            }
        }
        for (uint32_t i = 0; i < 3; i++) {
            value++;
            turns[i] += cluster_touch(cluster, i, maps[i], 0, true, &value);
        }
        if (round % 4 == 0) {
            cluster_tick(cluster, 1);
        }
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_in_range(turns[i], 10, 400);
    }
    cluster_free(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SMALL_STORY(test_home_writes_a_page_that_has_just_left_for_it),
        SMALL_STORY(test_bytes_of_a_leaving_page_that_come_again_are_too_late),
        SMALL_STORY(test_page_that_was_just_granted_is_not_evicted_at_once),
        STORY(test_home_adds_for_others_when_its_own_programs_have_gone),
        STORY(test_home_that_is_behind_the_news_costs_nobody_a_page),
        STORY(test_name_is_found_though_its_news_are_late),
        STORY(test_bytes_put_aside_are_forgotten_though_the_release_was_lost),
        STORY(test_writer_that_dies_before_it_got_bytes_loses_no_page),
        STORY(test_upgrader_that_dies_before_its_grant_loses_no_page),
        STORY(test_writer_whose_source_died_after_sending_has_the_page),
        STORY(test_reader_helps_out_when_a_writers_source_died),
        STORY(test_orphan_whose_last_reader_dies_is_lost),
        cmocka_unit_test(test_first_part_of_a_range_is_dropped_when_its_source_died),
        STORY(test_addition_of_an_earlier_incarnation_answers_no_later_one),
        cmocka_unit_test(test_home_gets_its_turn_at_a_page_that_all_want),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
