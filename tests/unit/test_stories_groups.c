/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stories of nodes whose hardware page holds several pages of a region, as transcripts in
 * virtual time. Node 0 is the home of all pages; K is a node of 4 KiB pages, G one of 64 KiB: its
 * groups are of 16 pages.
 */
#include "tests/unit/group_story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define K 4096
#define M 16384
#define G 65536

static void expect_groups(const struct story *story, uint32_t node, uint32_t gathered,
                          uint32_t scattered)
{
    assert_int_equal(story->gathered[node], gathered);
    assert_int_equal(story->scattered[node], scattered);
}

/* The same, and whatever follows from it is not part of the story. */
static void share_with(struct story *story, uint32_t node, uint64_t page)
{
    story_read(story, node, page);
    story_count(story);
}

static void write_page(struct story *story, uint32_t node, uint64_t page, uint64_t value)
{
    cluster_write(story->cluster, node, story->map[node], page, value);
}

/* --- misses --- */

static void test_group_of_one_owner_is_read_by_one_request(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 0);
    story_give(&story, 1, 0, 16);
    assert_int_equal(story_read(&story, 2, 5), 105);
    story_expect(&story, "2>0 READ 0+16\n0>1 FORWARD 0+16\n1>2 DATA 0+16\n2>0 CONFIRM 0+16\n", 4);
    assert_int_equal(story_read(&story, 2, 15), 115);
    expect_groups(&story, 2, 1, 0);
    story_end(&story);
}

static void test_group_of_several_owners_is_read_run_by_run(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 0);
    story_give(&story, 1, 0, 6);
    story_give(&story, 3, 6, 10);
    assert_int_equal(story_read(&story, 2, 15), 115);
    story_expect(&story,
           "2>0 READ 0+16\n0>1 FORWARD 0+6\n1>2 DATA 0+6\n2>0 CONFIRM 0+6\n"
           "2>0 READ 6+10\n0>3 FORWARD 6+10\n3>2 DATA 6+10\n2>0 CONFIRM 6+10\n",
           8);
    expect_groups(&story, 2, 1, 0);
    story_end(&story);
}

static void test_group_that_was_never_written_moves_no_bytes(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 0);
    write_page(&story, 2, 20, 7);
    story_expect(&story, "2>0 WRITE 16+16\n0>2 GRANT 16+16\n2>0 CONFIRM 16+16\n", 3);
    expect_groups(&story, 2, 1, 0);
    story_end(&story);
}

static void test_group_is_written_when_every_other_copy_is_gone(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 0);
    story_give(&story, 1, 0, 16);
    share_with(&story, 3, 9);
    write_page(&story, 2, 0, 1);
    story_expect(&story,
           "2>0 WRITE 0+16\n0>1 FORWARD 0+9\n1>2 DATA 0+9\n2>0 CONFIRM 0+9\n"
           "2>0 WRITE 9+7\n0>1 RELEASE 0+9\n0>3 INVALIDATE 9+1\n"
           "0>1 FORWARD 9+1\n1>2 DATA 9+1\n3>0 INVALIDATED 9+1\n0>2 GRANT 9+1\n"
           "2>0 CONFIRM 9+1\n2>0 WRITE 10+6\n0>1 RELEASE 9+1\n0>1 FORWARD 10+6\n"
           "1>2 DATA 10+6\n2>0 CONFIRM 10+6\n0>1 RELEASE 10+6\n",
           18);
    assert_int_equal(story_read(&story, 2, 9), 109);
    expect_groups(&story, 2, 1, 0);
    story_end(&story);
}

static void test_pages_that_are_here_are_not_asked_for_again(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 0);
    story_give(&story, 1, 0, 16);
    share_with(&story, 2, 0);
    write_page(&story, 1, 5, 7); /* a small page is taken out of the group */
    story_count(&story);
    assert_int_equal(story_read(&story, 2, 4), 104);
    story_expect(&story, "2>0 READ 5+1\n0>1 FORWARD 5+1\n1>2 DATA 5+1\n2>0 CONFIRM 5+1\n", 4);
    assert_int_equal(story_read(&story, 2, 5), 7);
    story_end(&story);
}

static void test_runs_that_lack_are_asked_for_at_once(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 0);
    story_give(&story, 1, 0, 16);
    share_with(&story, 2, 0);
    write_page(&story, 1, 2, 7);
    write_page(&story, 1, 9, 7);
    story_count(&story);
    assert_false(story_touch(&story, 2, 0, false));
    cluster_run(story.cluster);
    story_expect(&story,
           "2>0 READ 2+1\n2>0 READ 9+1\n0>1 FORWARD 2+1\n1>2 DATA 2+1\n"
           "2>0 CONFIRM 2+1\n0>1 FORWARD 9+1\n1>2 DATA 9+1\n2>0 CONFIRM 9+1\n",
           8);
    assert_true(story_touch(&story, 2, 0, false));
    story_end(&story);
}

static void test_groups_are_read_ahead_and_shown_at_once(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, M, K}, 0);
    story_give(&story, 0, 0, 64);
    for (uint64_t page = 0; page < 64; page++) {
        assert_int_equal(story_read(&story, 2, page), 100 + page);
    }
    story_expect(&story,
           "2>0 READ 0+4\n0>2 DATA 0+4\n2>0 CONFIRM 0+4\n2>0 READ 4+16\n"
           "2>0 READ 20+16\n2>0 READ 36+16\n0>2 DATA 4+16\n"
           "2>0 CONFIRM 4+16\n0>2 DATA 20+16\n2>0 CONFIRM 20+16\n"
           "0>2 DATA 36+16\n2>0 CONFIRM 36+16\n2>0 READ 52+12\n0>2 DATA 52+12\n"
           "2>0 CONFIRM 52+12\n",
           15);
    expect_groups(&story, 2, 16, 0);
    story_end(&story);
}

/* --- upgrades --- */

static void test_reader_of_a_group_is_made_its_writer_without_bytes(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 0);
    story_give(&story, 1, 0, 16);
    share_with(&story, 2, 0);
    write_page(&story, 2, 3, 1);
    story_expect(&story,
           "2>0 WRITE 0+16\n0>1 INVALIDATE 0+16\n1>0 INVALIDATED 0+16\n"
           "0>2 GRANT 0+16\n2>0 CONFIRM 0+16\n",
           5);
    expect_groups(&story, 2, 0, 0); /* it was shown all the while */
    story_end(&story);
}

static void test_copies_of_several_versions_are_upgraded_without_bytes(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 0);
    story_give(&story, 1, 0, 16);
    share_with(&story, 2, 0);
    write_page(&story, 1, 5, 7);
    share_with(&story, 2, 5);
    write_page(&story, 2, 5, 8);
    story_expect(&story,
           "2>0 WRITE 0+5\n2>0 WRITE 5+1\n2>0 WRITE 6+10\n0>1 INVALIDATE 0+5\n"
           "1>0 INVALIDATED 0+5\n0>2 GRANT 0+5\n0>1 INVALIDATE 5+1\n"
           "1>0 INVALIDATED 5+1\n2>0 CONFIRM 0+5\n0>2 GRANT 5+1\n"
           "0>1 INVALIDATE 6+10\n1>0 INVALIDATED 6+10\n2>0 CONFIRM 5+1\n"
           "0>2 GRANT 6+10\n2>0 CONFIRM 6+10\n",
           15);
    story_end(&story);
}

static void test_upgrade_that_lost_a_page_meanwhile_gets_its_bytes(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 0);
    story_give(&story, 0, 0, 16);
    share_with(&story, 2, 0);
    share_with(&story, 1, 5);
    assert_false(story_touch(&story, 1, 5, true));
    assert_false(story_touch(&story, 2, 0, true));
    cluster_run(story.cluster);
    story_expect(&story,
           "1>0 WRITE 5+1\n2>0 WRITE 0+16\n0>2 INVALIDATE 5+1\n0>2 GRANT 0+5\n"
           "2>0 INVALIDATED 5+1\n0>1 GRANT 5+1\n1>0 CONFIRM 5+1\n"
           "2>0 CONFIRM 0+5\n2>0 WRITE 5+1\n2>0 WRITE 6+10\n0>1 FORWARD 5+1\n"
           "1>2 DATA 5+1\n2>0 CONFIRM 5+1\n0>2 GRANT 6+10\n2>0 CONFIRM 6+10\n"
           "0>1 RELEASE 5+1\n",
           16);
    assert_true(story_touch(&story, 2, 0, true));
    assert_int_equal(story_read(&story, 2, 5), 105);
    story_end(&story);
}

/* --- sharing --- */

static void test_two_large_nodes_want_one_group_and_each_gets_all_of_it(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, G, G, K}, 0);
    story_give(&story, 0, 0, 16);
    assert_false(story_touch(&story, 1, 0, true));
    assert_false(story_touch(&story, 2, 8, true));
    cluster_run(story.cluster);
    story_expect(&story,
           "1>0 WRITE 0+16\n2>0 WRITE 0+16\n0>1 DATA 0+16\n1>0 CONFIRM 0+16\n"
           "0>1 FORWARD 0+16\n1>2 DATA 0+16\n2>0 CONFIRM 0+16\n"
           "0>1 RELEASE 0+16\n",
           8);
    assert_true(story_touch(&story, 2, 8, true));
    expect_groups(&story, 1, 1, 1);
    expect_groups(&story, 2, 1, 0);
    story_end(&story);
}

static void test_small_writer_takes_one_page_of_a_group(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 0);
    story_give(&story, 2, 0, 16);
    write_page(&story, 3, 5, 7);
    story_expect(&story,
           "3>0 WRITE 5+1\n0>2 FORWARD 5+1\n2>3 DATA 5+1\n3>0 CONFIRM 5+1\n"
           "0>2 RELEASE 5+1\n",
           5);
    expect_groups(&story, 2, 0, 1);
    assert_int_equal(story_read(&story, 2, 6), 106);
    expect_groups(&story, 2, 1, 1);
    story_end(&story);
}

static void test_small_reader_protects_the_group_and_leaves_it_shown(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, K, G, K}, 0);
    story_give(&story, 2, 0, 16);
    assert_int_equal(story_read(&story, 3, 5), 105);
    story_expect(&story, "3>0 READ 5+1\n0>2 FORWARD 5+1\n2>3 DATA 5+1\n3>0 CONFIRM 5+1\n", 4);
    assert_true(story_touch(&story, 2, 6, false));
    assert_false(story_touch(&story, 2, 6, true));
    cluster_run(story.cluster);
    story_expect(&story,
           "2>0 WRITE 5+1\n0>3 INVALIDATE 5+1\n3>0 INVALIDATED 5+1\n"
           "0>2 GRANT 5+1\n2>0 CONFIRM 5+1\n",
           9);
    expect_groups(&story, 2, 0, 0);
    story_end(&story);
}

static void test_every_acknowledgement_is_counted(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story, 64, (uint32_t[4]){K, G, M, K}, 0);
    story_give(&story, 0, 0, 16);
    share_with(&story, 1, 0);
    share_with(&story, 2, 5); /* pages 4 to 7 */
    share_with(&story, 3, 6);
    story.cluster->is_held[2][0] = true;
    assert_false(story_touch(&story, 3, 6, true));
    cluster_run(story.cluster);
    story_expect(&story,
           "3>0 WRITE 6+1\n0>1 INVALIDATE 6+1\n0>2 INVALIDATE 6+1\n"
           "1>0 INVALIDATED 6+1\n2>0 INVALIDATED 6+1\n",
           5);
    assert_false(story_touch(&story, 3, 6, true));
    story.cluster->is_held[2][0] = false;
    cluster_run(story.cluster);
    story_expect(&story, "0>3 GRANT 6+1\n3>0 CONFIRM 6+1\n", 7);
    expect_groups(&story, 1, 0, 1);
    expect_groups(&story, 2, 0, 1);
    assert_true(story_touch(&story, 3, 6, true));
    story_end(&story);
}

/* The values, and the messages of a miss, are the same whatever pages the three have. */
static void test_home_owner_and_reader_may_be_of_any_kind(void **state)
{
    static const uint32_t kinds[] = {K, M, G};

    (void)state;
    for (uint32_t i = 0; i < 27; i++) {
        uint32_t home = kinds[i % 3], owner = kinds[i / 3 % 3], reader = kinds[i / 9];
        struct story story;

        story_begin(&story, 48, (uint32_t[4]){home, owner, reader, K}, 0);
        story_give(&story, 1, 16, 16);
        assert_int_equal(story_read(&story, 2, 16), 116);
        assert_int_equal(cluster_messages(story.cluster) - story.counted, 4);
        write_page(&story, 2, 16, 5);
        assert_int_equal(story_read(&story, 0, 16), 5);
        assert_int_equal(story_read(&story, 1, 31), 131);
        assert_int_equal(story_read(&story, 0, 31), 131);
        story_end(&story);
    }
}

/* --- the region's end --- */

static void test_group_at_the_end_is_clipped_until_the_region_grows(void **state)
{
    struct call grow = {.kind = CALL_TRUNCATE, .size_bytes = 40 * 4096};
    struct story story;

    (void)state;
    story_begin(&story, 20, (uint32_t[4]){K, K, G, K}, 0);
    story_give(&story, 1, 0, 20);
    assert_int_equal(story_read(&story, 2, 17), 117);
    story_expect(&story, "2>0 READ 16+4\n0>1 FORWARD 16+4\n1>2 DATA 16+4\n2>0 CONFIRM 16+4\n", 4);
    grow.handle = story.handle[1];
    assert_int_equal(cluster_call(story.cluster, 1, 1, &grow).error, 0);
    expect_groups(&story, 2, 1, 1);
    story_count(&story);
    assert_int_equal(story_read(&story, 2, 17), 117);
    story_expect(&story, "2>0 READ 20+12\n0>2 GRANT 20+12\n2>0 CONFIRM 20+12\n", 3);
    expect_groups(&story, 2, 1, 0);
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_of_one_owner_is_read_by_one_request),
        cmocka_unit_test(test_group_of_several_owners_is_read_run_by_run),
        cmocka_unit_test(test_group_that_was_never_written_moves_no_bytes),
        cmocka_unit_test(test_group_is_written_when_every_other_copy_is_gone),
        cmocka_unit_test(test_pages_that_are_here_are_not_asked_for_again),
        cmocka_unit_test(test_runs_that_lack_are_asked_for_at_once),
        cmocka_unit_test(test_groups_are_read_ahead_and_shown_at_once),
        cmocka_unit_test(test_reader_of_a_group_is_made_its_writer_without_bytes),
        cmocka_unit_test(test_copies_of_several_versions_are_upgraded_without_bytes),
        cmocka_unit_test(test_upgrade_that_lost_a_page_meanwhile_gets_its_bytes),
        cmocka_unit_test(test_two_large_nodes_want_one_group_and_each_gets_all_of_it),
        cmocka_unit_test(test_small_writer_takes_one_page_of_a_group),
        cmocka_unit_test(test_small_reader_protects_the_group_and_leaves_it_shown),
        cmocka_unit_test(test_every_acknowledgement_is_counted),
        cmocka_unit_test(test_home_owner_and_reader_may_be_of_any_kind),
        cmocka_unit_test(test_group_at_the_end_is_clipped_until_the_region_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
