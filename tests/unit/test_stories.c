/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stories of the protocol, as transcripts in virtual time: each test says what every node
 * sends, in order, and how many messages that makes. Node 0 is the home of all pages.
 */
#include "dsm_advice.h"
#include "tests/sim/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct story {
    struct cluster *cluster;
    uint64_t handle[4];
    map_id map[4];
};

/* Four nodes, each with one program (client 1) that has mapped a region of 64 pages of node 0. */
static struct story begin(void)
{
    struct node_config config = {.read_ahead_pages = 16};
    struct story story = {.cluster = cluster_new(4, &config)};

    for (uint32_t i = 0; i < 4; i++) {
        story.handle[i] = cluster_open(story.cluster, i, 1, "/r", 64, DSM_HOME_CREATOR);
        assert_true(story.handle[i] != 0);
        story.map[i] = cluster_map(story.cluster, i, 1, story.handle[i]);
        assert_true(story.map[i] != 0);
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

/* Node 1 writes a page, so that it is the owner. */
static void give_to(struct story *story, uint32_t node, uint64_t page, uint64_t value)
{
    cluster_write(story->cluster, node, story->map[node], page, value);
    cluster_run(story->cluster);
    cluster_take_log(story->cluster);
}

static bool touch(struct story *story, uint32_t node, uint64_t page, bool write, uint64_t *value)
{
    return cluster_touch(story->cluster, node, story->map[node], page, write, value);
}

static void test_clean_miss_takes_two_messages(void **state)
{
    struct story story = begin();

    (void)state;
    give_to(&story, 0, 5, 77);
    assert_int_equal(cluster_read(story.cluster, 2, story.map[2], 5), 77);
    expect(&story, "2>0 READ 5+1\n0>2 DATA 5+1\n2>0 CONFIRM 5+1\n");
    end(&story);
}

static void test_zero_page_moves_no_bytes(void **state)
{
    struct story story = begin();

    (void)state;
    assert_int_equal(cluster_read(story.cluster, 2, story.map[2], 9), 0);
    expect(&story, "2>0 READ 9+1\n0>2 GRANT 9+1\n2>0 CONFIRM 9+1\n");
    end(&story);
}

static void test_dirty_miss_takes_three_messages(void **state)
{
    struct story story = begin();

    (void)state;
    give_to(&story, 1, 5, 42);
    assert_int_equal(cluster_read(story.cluster, 2, story.map[2], 5), 42);
    expect(&story, "2>0 READ 5+1\n0>1 FORWARD 5+1\n1>2 DATA 5+1\n2>0 CONFIRM 5+1\n");
    end(&story);
}

static void test_home_reads_dirty_page_with_two_messages(void **state)
{
    struct story story = begin();

    (void)state;
    give_to(&story, 1, 5, 42);
    assert_int_equal(cluster_read(story.cluster, 0, story.map[0], 5), 42);
    expect(&story, "0>1 FORWARD 5+1\n1>0 DATA 5+1\n");
    end(&story);
}

static void test_upgrade_of_only_reader_takes_two_messages(void **state)
{
    struct story story = begin();

    (void)state;
    cluster_read(story.cluster, 2, story.map[2], 5);
    cluster_take_log(story.cluster);
    cluster_write(story.cluster, 2, story.map[2], 5, 1);
    expect(&story, "2>0 WRITE 5+1\n0>2 GRANT 5+1\n2>0 CONFIRM 5+1\n");
    end(&story);
}

static void test_upgrade_with_k_readers_takes_2_plus_2k_messages_and_no_bytes(void **state)
{
    struct story story = begin();

    (void)state;
    give_to(&story, 1, 5, 10);
    cluster_read(story.cluster, 2, story.map[2], 5);
    cluster_read(story.cluster, 3, story.map[3], 5);
    cluster_take_log(story.cluster);
    /* k = 2 other holders: the owner 1 and the reader 3. */
    cluster_write(story.cluster, 2, story.map[2], 5, 11);
    expect(&story, "2>0 WRITE 5+1\n0>1 INVALIDATE 5+1\n0>3 INVALIDATE 5+1\n"
                   "1>0 INVALIDATED 5+1\n3>0 INVALIDATED 5+1\n0>2 GRANT 5+1\n"
                   "2>0 CONFIRM 5+1\n");
    assert_int_equal(cluster_read(story.cluster, 3, story.map[3], 5), 11);
    end(&story);
}

/* Data under a lock: read, then written, on node after node. */
static void test_migratory_page_moves_by_one_transfer(void **state)
{
    struct story story = begin();
    struct call advise = {.kind = CALL_ADVISE,
                          .op = DSM_ADVICE_MIGRATORY,
                          .handle = story.handle[2],
                          .size_bytes = 8 * 4096};

    (void)state;
    give_to(&story, 1, 5, 10);
    cluster_read(story.cluster, 2, story.map[2], 5);
    cluster_write(story.cluster, 2, story.map[2], 5, 11);
    expect(&story, "2>0 READ 5+1\n0>1 FORWARD 5+1\n1>2 DATA 5+1\n2>0 CONFIRM 5+1\n"
                   "2>0 WRITE 5+1\n0>1 INVALIDATE 5+1\n1>0 INVALIDATED 5+1\n0>2 GRANT 5+1\n"
                   "2>0 CONFIRM 5+1\n");
    assert_int_equal(cluster_call(story.cluster, 2, 1, &advise).error, 0);
    give_to(&story, 1, 5, 12);
    assert_int_equal(cluster_read(story.cluster, 2, story.map[2], 5), 12);
    cluster_write(story.cluster, 2, story.map[2], 5, 13);
    expect(&story, "2>0 WRITE 5+1\n0>1 FORWARD 5+1\n1>2 DATA 5+1\n2>0 CONFIRM 5+1\n"
                   "0>1 RELEASE 5+1\n");
    end(&story);
}

static void test_write_takes_page_from_k_readers(void **state)
{
    struct story story = begin();

    (void)state;
    give_to(&story, 1, 5, 10);
    cluster_read(story.cluster, 2, story.map[2], 5);
    cluster_take_log(story.cluster);
    /* k = 2 holders: owner 1, which sends the bytes, and reader 2. */
    cluster_write(story.cluster, 3, story.map[3], 5, 12);
    expect(&story, "3>0 WRITE 5+1\n0>2 INVALIDATE 5+1\n0>1 FORWARD 5+1\n1>3 DATA 5+1\n"
                   "2>0 INVALIDATED 5+1\n0>3 GRANT 5+1\n3>0 CONFIRM 5+1\n0>1 RELEASE 5+1\n");
    end(&story);
}

static void test_two_writers_at_once_are_served_one_after_the_other(void **state)
{
    struct story story = begin();
    uint64_t one = 1, two = 2;

    (void)state;
    assert_false(touch(&story, 1, 5, true, &one));
    assert_false(touch(&story, 2, 5, true, &two));
    cluster_run(story.cluster);
    /* The second transfer begins only when the first is confirmed. */
    expect(&story, "1>0 WRITE 5+1\n2>0 WRITE 5+1\n0>1 GRANT 5+1\n1>0 CONFIRM 5+1\n"
                   "0>1 FORWARD 5+1\n1>2 DATA 5+1\n2>0 CONFIRM 5+1\n0>1 RELEASE 5+1\n");
    assert_true(touch(&story, 2, 5, true, &two));
    assert_int_equal(cluster_read(story.cluster, 1, story.map[1], 5), 2);
    end(&story);
}

static void test_upgrade_crossing_an_invalidation_gets_bytes(void **state)
{
    struct story story = begin();
    uint64_t one = 1, two = 2;

    (void)state;
    give_to(&story, 0, 5, 9);
    cluster_read(story.cluster, 1, story.map[1], 5);
    cluster_read(story.cluster, 2, story.map[2], 5);
    cluster_take_log(story.cluster);
    assert_false(touch(&story, 1, 5, true, &one));
    assert_false(touch(&story, 2, 5, true, &two)); /* still has its copy when it asks */
    cluster_run(story.cluster);
    expect(&story, "1>0 WRITE 5+1\n2>0 WRITE 5+1\n0>2 INVALIDATE 5+1\n2>0 INVALIDATED 5+1\n"
                   "0>1 GRANT 5+1\n1>0 CONFIRM 5+1\n0>1 FORWARD 5+1\n1>2 DATA 5+1\n"
                   "2>0 CONFIRM 5+1\n0>1 RELEASE 5+1\n");
    assert_true(touch(&story, 2, 5, true, &two));
    end(&story);
}

static void test_data_is_not_taken_as_completion(void **state)
{
    struct story story = begin();
    uint64_t one = 1;

    (void)state;
    give_to(&story, 1, 5, 42);
    /* Reader 2's bytes are slow; writer 3 asks meanwhile and must wait for reader 2's CONFIRM. */
    story.cluster->is_held[1][2] = true;
    assert_false(touch(&story, 2, 5, false, &one));
    cluster_run(story.cluster);
    assert_false(touch(&story, 3, 5, true, &one));
    cluster_run(story.cluster);
    expect(&story, "2>0 READ 5+1\n0>1 FORWARD 5+1\n1>2 DATA 5+1\n3>0 WRITE 5+1\n");
    story.cluster->is_held[1][2] = false;
    cluster_run(story.cluster);
    expect(&story, "2>0 CONFIRM 5+1\n0>2 INVALIDATE 5+1\n0>1 FORWARD 5+1\n1>3 DATA 5+1\n"
                   "2>0 INVALIDATED 5+1\n0>3 GRANT 5+1\n3>0 CONFIRM 5+1\n0>1 RELEASE 5+1\n");
    end(&story);
}

static void test_sequential_reads_ask_for_ranges(void **state)
{
    struct story story = begin();

    (void)state;
    for (uint64_t page = 0; page < 32; page++) {
        give_to(&story, 0, page, page + 1);
    }
    for (uint64_t page = 0; page < 32; page++) {
        assert_int_equal(cluster_read(story.cluster, 1, story.map[1], page), page + 1);
    }
    /* From the longest range on, more behind it is asked for at once, as far as it has come. */
    expect(&story, "1>0 READ 0+1\n0>1 DATA 0+1\n1>0 CONFIRM 0+1\n"
                   "1>0 READ 1+4\n0>1 DATA 1+4\n1>0 CONFIRM 1+4\n"
                   "1>0 READ 5+16\n1>0 READ 21+16\n"
                   "0>1 DATA 5+16\n1>0 CONFIRM 5+16\n"
                   "0>1 DATA 21+16\n1>0 CONFIRM 21+16\n");
    end(&story);
}

/* Read in order, then written in order: requests for runs, and one right for each run. */
static void test_pages_that_are_here_are_upgraded_in_runs(void **state)
{
    struct story story = begin();

    (void)state;
    for (uint64_t page = 0; page < 21; page++) {
        give_to(&story, 0, page, page + 1);
    }
    for (uint64_t page = 0; page < 21; page++) {
        assert_int_equal(cluster_read(story.cluster, 1, story.map[1], page), page + 1);
    }
    expect(&story, "1>0 READ 0+1\n0>1 DATA 0+1\n1>0 CONFIRM 0+1\n"
                   "1>0 READ 1+4\n0>1 DATA 1+4\n1>0 CONFIRM 1+4\n"
                   "1>0 READ 5+16\n1>0 READ 21+16\n"
                   "0>1 DATA 5+16\n1>0 CONFIRM 5+16\n"
                   "0>1 GRANT 21+16\n1>0 CONFIRM 21+16\n");
    for (uint64_t page = 0; page < 21; page++) {
        cluster_write(story.cluster, 1, story.map[1], page, 2 * page);
    }
    expect(&story, "1>0 WRITE 0+1\n0>1 GRANT 0+1\n1>0 CONFIRM 0+1\n"
                   "1>0 WRITE 1+4\n0>1 GRANT 1+4\n1>0 CONFIRM 1+4\n"
                   "1>0 WRITE 5+16\n0>1 GRANT 5+16\n1>0 CONFIRM 5+16\n");
    end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean_miss_takes_two_messages),
        cmocka_unit_test(test_zero_page_moves_no_bytes),
        cmocka_unit_test(test_dirty_miss_takes_three_messages),
        cmocka_unit_test(test_home_reads_dirty_page_with_two_messages),
        cmocka_unit_test(test_upgrade_of_only_reader_takes_two_messages),
        cmocka_unit_test(test_upgrade_with_k_readers_takes_2_plus_2k_messages_and_no_bytes),
        cmocka_unit_test(test_migratory_page_moves_by_one_transfer),
        cmocka_unit_test(test_write_takes_page_from_k_readers),
        cmocka_unit_test(test_two_writers_at_once_are_served_one_after_the_other),
        cmocka_unit_test(test_upgrade_crossing_an_invalidation_gets_bytes),
        cmocka_unit_test(test_data_is_not_taken_as_completion),
        cmocka_unit_test(test_sequential_reads_ask_for_ranges),
        cmocka_unit_test(test_pages_that_are_here_are_upgraded_in_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
