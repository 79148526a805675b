/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stories of sealed regions: how one is sealed, who serves whom, and what holds when nodes die.
 * Node 0 makes the region and is the home of all pages.
 */
#include "tests/sim/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"

#define NODES 8u
#define PAGES 16u

struct story {
    struct cluster *cluster;
    uint64_t handle[NODES];
    map_id map[NODES];
};

static struct reply call_with(struct story *story, uint32_t node, uint32_t kind, uint32_t rights)
{
    struct call call = {.kind = (uint8_t)kind,
                        .handle = story->handle[node],
                        .map = story->map[node],
                        .size_bytes = PAGES * CLUSTER_PAGE_BYTES,
                        .rights = (uint8_t)rights};

    return cluster_call(story->cluster, node, 1, &call);
}

static struct reply open_for(struct story *story, uint32_t node, uint32_t oflag)
{
    struct call call = {
        .kind = CALL_OPEN, .object = RECORD_REGION, .oflag = (uint8_t)oflag, .name = "/r"};

    return cluster_call(story->cluster, node, 1, &call);
}

static void map_for_reading(struct story *story, uint32_t node)
{
    struct reply reply = call_with(story, node, CALL_MAP, RIGHTS_READ);

    assert_int_equal(reply.error, 0);
    story->map[node] = reply.map;
}

/* Node 0 writes page i as 100 + i, for each; the others have opened the region, not mapped it. */
static struct story begin(uint32_t nodes)
{
    struct node_config config = {.read_ahead_pages = 1};
    struct story story = {.cluster = cluster_new(nodes, &config)};

    story.handle[0] = cluster_open(story.cluster, 0, 1, "/r", PAGES, DSM_HOME_CREATOR);
    story.map[0] = cluster_map(story.cluster, 0, 1, story.handle[0]);
    for (uint32_t page = 0; page < PAGES; page++) {
        cluster_write(story.cluster, 0, story.map[0], page, 100 + page);
    }
    for (uint32_t i = 1; i < nodes; i++) {
        story.handle[i] = open_for(&story, i, 0).handle;
        assert_true(story.handle[i] != 0);
    }
    cluster_take_log(story.cluster);
    return story;
}

/* And it is sealed, and everybody has mapped it for reading. */
static struct story begin_sealed(uint32_t nodes)
{
    struct story story = begin(nodes);

    assert_int_equal(call_with(&story, 0, CALL_UNMAP, 0).error, 0);
    assert_int_equal(call_with(&story, 0, CALL_SEAL, 0).error, 0);
    oracle_on_sealed(story.cluster, 0);
    for (uint32_t i = 0; i < nodes; i++) {
        map_for_reading(&story, i);
    }
    cluster_take_log(story.cluster);
    return story;
}

static void end(struct story *story)
{
    cluster_run(story->cluster);
    cluster_free(story->cluster);
}

static void expect(struct story *story, const char *transcript)
{
    assert_string_equal(cluster_take_log(story->cluster), transcript);
}

static void expect_read(struct story *story, uint32_t node, uint64_t page)
{
    assert_int_equal(cluster_read(story->cluster, node, story->map[node], page), 100 + page);
    cluster_run(story->cluster);
}

/* And nodes 1, 2, 3 have read page 5, in this order: node 1 is the parent of node 3. */
static struct story begin_seated(void)
{
    struct story story = begin_sealed(4);

    for (uint32_t i = 1; i < 4; i++) {
        expect_read(&story, i, 5);
    }
    cluster_take_log(story.cluster);
    return story;
}

/* Node 0 gives the region up, another node opens it for writing; the handle there. */
static uint64_t leave_to_writer(struct story *story, uint32_t node)
{
    call_with(story, 0, CALL_UNMAP, 0);
    call_with(story, 0, CALL_CLOSE, 0);
    return open_for(story, node, CALL_OFLAG_WRITE).handle;
}

/* A node writes pages as 100 + their number, and seals the region when node 0 has given it up. */
static void seal_written_by(struct story *story, uint32_t node, uint64_t page, uint64_t count)
{
    struct call seal = {.kind = CALL_SEAL,
                        .handle = open_for(story, node, CALL_OFLAG_WRITE).handle};
    struct call unmap = {.kind = CALL_UNMAP,
                         .map = cluster_map(story->cluster, node, 1, seal.handle)};

    for (uint64_t end = page + count; page < end; page++) {
        cluster_write(story->cluster, node, unmap.map, page, 100 + page);
    }
    cluster_run(story->cluster);
    call_with(story, 0, CALL_UNMAP, 0);
    call_with(story, 0, CALL_CLOSE, 0);
    cluster_call(story->cluster, node, 1, &unmap);
    assert_int_equal(cluster_call(story->cluster, node, 1, &seal).error, 0);
}

/* --- sealing --- */

static void test_writer_elsewhere_keeps_a_region_from_being_sealed(void **state)
{
    struct story story = begin(3);
    struct reply writer = open_for(&story, 2, CALL_OFLAG_WRITE), reply;
    struct call close = {.kind = CALL_CLOSE, .handle = writer.handle};

    (void)state;
    call_with(&story, 0, CALL_UNMAP, 0);
    reply = call_with(&story, 0, CALL_SEAL, 0);
    assert_int_equal(reply.error, DSM_EBUSY);
    assert_int_equal(reply.node, 2);
    assert_int_equal(cluster_call(story.cluster, 2, 1, &close).error, 0); /* it reads still */
    assert_int_equal(call_with(&story, 0, CALL_SEAL, 0).error, 0);
    end(&story);
}

static void test_writable_mapping_here_keeps_a_region_from_being_sealed(void **state)
{
    struct story story = begin(1);
    struct reply reply = call_with(&story, 0, CALL_SEAL, 0);

    (void)state;
    assert_int_equal(reply.error, DSM_EBUSY);
    assert_int_equal(reply.node, 0);
    end(&story);
}

static void test_sealed_region_is_written_by_nobody(void **state)
{
    struct story story = begin_sealed(2);
    struct call grow = {.kind = CALL_TRUNCATE,
                        .handle = story.handle[0],
                        .size_bytes = 2 * PAGES * CLUSTER_PAGE_BYTES};
    struct call add = {
        .kind = CALL_SYNC, .op = SYNC_FETCH_ADD, .handle = story.handle[0], .value = 1};
    struct call lock = {.kind = CALL_SYNC, .op = SYNC_LOCK, .handle = story.handle[0]};

    (void)state;
    assert_int_equal(open_for(&story, 1, CALL_OFLAG_WRITE).error, DSM_ESEALED);
    assert_int_equal(call_with(&story, 0, CALL_MAP, RIGHTS_READ | RIGHTS_WRITE).error, DSM_ESEALED);
    assert_int_equal(call_with(&story, 1, CALL_MAP, RIGHTS_READ | RIGHTS_WRITE).error, DSM_EACCES);
    assert_int_equal(call_with(&story, 1, CALL_SEAL, 0).error, DSM_EACCES);
    assert_int_equal(cluster_call(story.cluster, 0, 1, &grow).error, DSM_ESEALED);
    assert_int_equal(cluster_call(story.cluster, 0, 1, &add).error, DSM_ESEALED);
    assert_int_equal(cluster_call(story.cluster, 0, 1, &lock).error, DSM_ESEALED);
    assert_int_equal(call_with(&story, 0, CALL_SEAL, 0).error, 0); /* it is */
    end(&story);
}

static void test_name_of_a_sealed_region_goes_to_a_new_one_that_is_not(void **state)
{
    struct story story = begin_sealed(2);
    struct reply reply = open_for(&story, 1, CALL_OFLAG_WRITE | CALL_OFLAG_TRUNCATE);

    (void)state;
    assert_int_equal(reply.error, 0);
    assert_int_equal(reply.size_bytes, 0);
    assert_false(node_record(story.cluster->nodes[1].node, reply.region)->sealed);
    expect_read(&story, 1, 3); /* who has the old one keeps it */
    end(&story);
}

static void test_seal_waits_until_the_home_knows(void **state)
{
    struct story story = begin(3);
    struct call seal = {.kind = CALL_SEAL};
    struct reply reply;
    uint64_t number;

    (void)state;
    seal.handle = leave_to_writer(&story, 2);
    story.cluster->is_late[0] = true; /* the home hears nothing new of the catalog */
    cluster_take_log(story.cluster);
    number = cluster_call_start(story.cluster, 2, 1, &seal);
    cluster_run(story.cluster);
    expect(&story, "2>0 SEAL 0+0\n");
    assert_false(cluster_reply(story.cluster, 2, number, &reply));
    while (cluster_tell(story.cluster, 0)) {
    }
    cluster_run(story.cluster);
    assert_true(cluster_reply(story.cluster, 2, number, &reply));
    assert_int_equal(reply.error, 0);
    oracle_on_sealed(story.cluster, 0);
    expect(&story, "0>2 SEALED 0+0\n");
    end(&story);
}

static void test_seal_does_not_wait_for_a_dead_home(void **state)
{
    struct story story = begin(3);
    struct call seal = {.kind = CALL_SEAL};
    struct reply reply;
    uint64_t number;

    (void)state;
    seal.handle = leave_to_writer(&story, 2);
    story.cluster->is_held[2][0] = true;
    number = cluster_call_start(story.cluster, 2, 1, &seal);
    cluster_run(story.cluster);
    assert_false(cluster_reply(story.cluster, 2, number, &reply));
    cluster_kill(story.cluster, 0);
    cluster_declare_dead(story.cluster, 0);
    cluster_advance(story.cluster, 2000);
    assert_true(cluster_reply(story.cluster, 2, number, &reply));
    assert_int_equal(reply.error, 0);
    end(&story);
}

/* What a program that has gone had asked of the home is done before the seal, or never. */
static void test_atomic_operation_that_waits_at_the_home_is_refused_after_the_seal(void **state)
{
    struct story story = begin(3);
    uint64_t writer = open_for(&story, 1, CALL_OFLAG_WRITE).handle;
    struct call close = {.kind = CALL_CLOSE, .handle = writer}, unmap = {.kind = CALL_UNMAP};
    uint64_t adder = open_for(&story, 2, CALL_OFLAG_WRITE).handle;

    (void)state;
    unmap.map = cluster_map(story.cluster, 1, 1, writer);
    cluster_write(story.cluster, 1, unmap.map, 5, 105);
    cluster_run(story.cluster);
    story.cluster->is_held[1][0] = true; /* the page does not come to its home */
    cluster_sync(story.cluster, 2, 1, adder, SYNC_FETCH_ADD, 5 * CLUSTER_PAGE_BYTES, 1, -1);
    cluster_run(story.cluster);
    cluster_client_gone(story.cluster, 2, 1);
    cluster_call(story.cluster, 1, 1, &unmap);
    cluster_call(story.cluster, 1, 1, &close);
    call_with(&story, 0, CALL_UNMAP, 0);
    assert_int_equal(call_with(&story, 0, CALL_SEAL, 0).error, 0);
    oracle_on_sealed(story.cluster, 0);
    story.cluster->is_held[1][0] = false;
    cluster_run(story.cluster);
    map_for_reading(&story, 0);
    expect_read(&story, 0, 5); /* and O19 sees no write */
    end(&story);
}

/* --- reading --- */

static void test_miss_at_the_home_takes_two_messages(void **state)
{
    struct story story = begin_sealed(3);

    (void)state;
    expect_read(&story, 1, 5);
    expect(&story, "1>0 PULL 5+1\n0>1 DATA 5+1\n");
    expect_read(&story, 2, 5);
    expect(&story, "2>0 PULL 5+1\n0>2 DATA 5+1\n");
    end(&story);
}

static void test_third_node_is_sent_to_the_first_once(void **state)
{
    struct story story = begin_sealed(4);

    (void)state;
    expect_read(&story, 1, 5);
    expect_read(&story, 2, 5);
    cluster_take_log(story.cluster);
    expect_read(&story, 3, 5);
    expect(&story, "3>0 PULL 5+1\n0>3 SEAT 5+1\n3>1 PULL 5+1\n1>3 DATA 5+1\n");
    expect_read(&story, 3, 9); /* its parent has to get that first */
    expect(&story, "3>1 PULL 9+1\n1>0 PULL 9+1\n0>1 DATA 9+1\n1>3 DATA 9+1\n");
    end(&story);
}

static void test_nodes_that_ask_at_once_get_it_down_the_tree(void **state)
{
    struct story story = begin_sealed(NODES);
    uint64_t value = 0, sent = 0;

    (void)state;
    for (uint32_t i = 1; i < NODES; i++) {
        assert_false(cluster_touch(story.cluster, i, story.map[i], 7, false, &value));
    }
    cluster_run(story.cluster);
    for (uint32_t i = 1; i < NODES; i++) {
        expect_read(&story, i, 7);
    }
    for (uint32_t i = 0; i < NODES; i++) {
        uint64_t pages = node_counters(story.cluster->nodes[i].node)->pages_sent;

        assert_true(pages <= 2);
        sent += pages;
    }
    assert_int_equal(sent, NODES - 1);
    end(&story);
}

static void test_bytes_of_an_owner_elsewhere_come_to_the_home_first(void **state)
{
    struct story story = begin(4);

    (void)state;
    seal_written_by(&story, 3, 5, 1);
    map_for_reading(&story, 1);
    cluster_take_log(story.cluster);
    expect_read(&story, 1, 5);
    /* The home has no program that has it open: it gets the page all the same, as its storage. */
    expect(&story, "1>0 PULL 5+1\n0>3 FORWARD 5+1\n3>0 DATA 5+1\n0>1 DATA 5+1\n");
    end(&story);
}

static void test_page_never_written_is_read_as_zeros(void **state)
{
    struct node_config config = {.read_ahead_pages = 1};
    struct story story = {.cluster = cluster_new(2, &config)};

    (void)state;
    story.handle[0] = cluster_open(story.cluster, 0, 1, "/r", PAGES, DSM_HOME_CREATOR);
    assert_int_equal(call_with(&story, 0, CALL_SEAL, 0).error, 0);
    story.handle[1] = open_for(&story, 1, 0).handle;
    map_for_reading(&story, 1);
    assert_int_equal(cluster_read(story.cluster, 1, story.map[1], 3), 0);
    end(&story);
}

/* --- trouble --- */

static void test_lost_answer_is_asked_for_again(void **state)
{
    struct story story = begin_sealed(2);
    uint64_t value = 0;

    (void)state;
    assert_false(cluster_touch(story.cluster, 1, story.map[1], 5, false, &value));
    cluster_deliver(story.cluster, 1, 0);
    assert_true(cluster_lose(story.cluster, 0, 1));
    cluster_take_log(story.cluster);
    cluster_advance(story.cluster, 1001);
    expect_read(&story, 1, 5);
    expect(&story, "1>0 PULL 5+1\n0>1 DATA 5+1\n");
    end(&story);
}

static void test_orphans_of_the_tree_are_given_another_parent(void **state)
{
    struct story story = begin_seated();

    (void)state;
    cluster_kill(story.cluster, 1);
    cluster_declare_dead(story.cluster, 1);
    cluster_run(story.cluster);
    cluster_take_log(story.cluster);
    expect_read(&story, 3, 6);
    expect(&story, "3>0 PULL 6+1\n0>3 DATA 6+1\n");
    end(&story);
}

static void test_parent_that_is_silent_is_passed_over(void **state)
{
    struct story story = begin_seated();
    uint64_t value = 0;

    (void)state;
    story.cluster->is_held[3][1] = true;
    assert_false(cluster_touch(story.cluster, 3, story.map[3], 6, false, &value));
    cluster_advance(story.cluster, 5000);
    expect_read(&story, 3, 6);
    expect(&story, "3>1 PULL 6+1\n3>1 PULL 6+1\n3>1 PULL 6+1\n3>1 PULL 6+1\n"
                   "3>0 PULL 6+1\n0>3 DATA 6+1\n");
    story.cluster->is_held[3][1] = false;
    end(&story);
}

/* And the home knows it, however often it is told. */
static void test_parent_that_has_closed_the_region_is_passed_over(void **state)
{
    struct story story = begin_seated();
    uint64_t value = 0;

    (void)state;
    call_with(&story, 1, CALL_UNMAP, 0);
    call_with(&story, 1, CALL_CLOSE, 0);
    cluster_take_log(story.cluster);
    assert_false(cluster_touch(story.cluster, 3, story.map[3], 6, false, &value));
    assert_true(cluster_deliver(story.cluster, 3, 1));
    assert_true(cluster_deliver(story.cluster, 1, 3));
    assert_true(cluster_duplicate(story.cluster, 3, 0));
    expect_read(&story, 3, 6);
    expect_read(&story, 3, 7);
    expect(&story, "3>1 PULL 6+1\n1>3 SEAT 6+1\n3>0 PULL 6+1\n0>3 DATA 6+1\n0>3 DATA 6+1\n"
                   "3>0 PULL 7+1\n0>3 DATA 7+1\n");
    end(&story);
}

static void test_what_others_have_is_read_when_the_home_is_dead(void **state)
{
    struct story story = begin_sealed(4);

    (void)state;
    expect_read(&story, 1, 5);
    expect_read(&story, 2, 6);
    cluster_kill(story.cluster, 0);
    cluster_declare_dead(story.cluster, 0);
    cluster_run(story.cluster);
    cluster_take_log(story.cluster);
    expect_read(&story, 3, 6);
    expect(&story, "3>1 PULL 6+1\n1>3 SEAT 6+1\n3>2 PULL 6+1\n2>3 DATA 6+1\n");
    expect_read(&story, 3, 5);
    expect_read(&story, 1, 6);
    assert_int_equal(cluster_read(story.cluster, 1, story.map[1], 9), UINT64_MAX); /* nobody has */
    assert_int_equal(node_counters(story.cluster->nodes[1].node)->pages_lost, 1);
    end(&story);
}

static void test_page_lost_at_a_living_home_is_found_elsewhere(void **state)
{
    struct story story = begin(4);
    nodeset home_has;

    (void)state;
    seal_written_by(&story, 3, 5, 2);
    map_for_reading(&story, 1);
    map_for_reading(&story, 2);
    expect_read(&story, 1, 5);
    home_has = story.cluster->areas[0].pages[5].present;
    assert_true(nodeset_has(home_has, 0));
    cluster_kill(story.cluster, 3);
    cluster_declare_dead(story.cluster, 3);
    cluster_run(story.cluster);
    expect_read(&story, 2, 5);
    assert_int_equal(cluster_read(story.cluster, 2, story.map[2], 6), UINT64_MAX);
    end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer_elsewhere_keeps_a_region_from_being_sealed),
        cmocka_unit_test(test_writable_mapping_here_keeps_a_region_from_being_sealed),
        cmocka_unit_test(test_sealed_region_is_written_by_nobody),
        cmocka_unit_test(test_name_of_a_sealed_region_goes_to_a_new_one_that_is_not),
        cmocka_unit_test(test_seal_waits_until_the_home_knows),
        cmocka_unit_test(test_seal_does_not_wait_for_a_dead_home),
        cmocka_unit_test(test_atomic_operation_that_waits_at_the_home_is_refused_after_the_seal),
        cmocka_unit_test(test_miss_at_the_home_takes_two_messages),
        cmocka_unit_test(test_third_node_is_sent_to_the_first_once),
        cmocka_unit_test(test_nodes_that_ask_at_once_get_it_down_the_tree),
        cmocka_unit_test(test_bytes_of_an_owner_elsewhere_come_to_the_home_first),
        cmocka_unit_test(test_page_never_written_is_read_as_zeros),
        cmocka_unit_test(test_lost_answer_is_asked_for_again),
        cmocka_unit_test(test_orphans_of_the_tree_are_given_another_parent),
        cmocka_unit_test(test_parent_that_is_silent_is_passed_over),
        cmocka_unit_test(test_parent_that_has_closed_the_region_is_passed_over),
        cmocka_unit_test(test_what_others_have_is_read_when_the_home_is_dead),
        cmocka_unit_test(test_page_lost_at_a_living_home_is_found_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
