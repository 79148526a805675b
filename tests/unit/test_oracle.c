/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle of the simulated cluster: each property that it looks at is broken behind the core's
 * back, in a child process, and has to be named; what is right or excused is let pass.
 */
#include "tests/unit/oracle_story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/sim/cluster_frames.h"
#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"
#include "tests/sim/oracle_parts.h"

/** Machines that are all alike. */
static const struct story_kind like = {.type = ""};

static void check_refused(void (*run)(struct story *story), const char *property, const char *words)
{
    story_refused(&like, run, property, words);
}

static void check_passed(void (*run)(struct story *story))
{
    story_passed(&like, run);
}

/* --- what has to be refused --- */

static void second_copy(struct story *story)
{
    story_act(story, 2, ACTION_FILL);
}

static void second_writer(struct story *story)
{
    story_read_by(story, 2);
    story_act(story, 2, ACTION_ALLOW);
}

static void copy_beside_a_page_held_for_writing(struct story *story)
{
    story_act(story, 1, ACTION_PROTECT);
    story_act(story, 2, ACTION_FILL);
    story_look(story, 1);
}

static void test_writer_beside_others_is_refused(void **state)
{
    (void)state;
    check_refused(second_copy, "O1", "a writer and other copies");
    check_refused(second_writer, "O1", "a writer and other copies");
    check_refused(copy_beside_a_page_held_for_writing, "O1", "held for writing");
}

static void old_read(struct story *story)
{
    story_read_by(story, 2);
    story_frame(story, 2)->bytes.stamp--;
    story_read_by(story, 2);
}

static void old_write(struct story *story)
{
    story_frame(story, 1)->bytes.stamp--;
    cluster_write(story->cluster, 1, story->map[1], STORY_PAGE, 8);
}

static void old_addition(struct story *story)
{
    story_read_by(story, 0);
    cluster_write(story->cluster, 0, story->map[0], STORY_PAGE, 8);
    story_frame(story, 0)->bytes.stamp--;
    cluster_sync(story->cluster, 2, 1, story->handle[2], SYNC_FETCH_ADD, STORY_PAGE * 4096, 1, -1);
    cluster_run(story->cluster);
}

static void test_access_to_an_old_copy_is_refused(void **state)
{
    (void)state;
    check_refused(old_read, "O2", "a read of an old copy");
    check_refused(old_write, "O2", "a write onto an old copy");
    check_refused(old_addition, "O2", "a write onto an old copy");
}

static void lost_write(struct story *story)
{
    story_act(story, 1, ACTION_PROTECT);
    story_act(story, 1, ACTION_DROP);
    oracle_touch(story->cluster, 0, STORY_PAGE, 1);
    oracle_rest(story->cluster);
}

/* The excuse of a death ends when all have heard of it. */
static void lost_write_after_a_death(struct story *story)
{
    story_read_by(story, 2);
    cluster_kill(story->cluster, 1);
    cluster_declare_dead(story->cluster, 1);
    cluster_run(story->cluster);
    assert_true(oracle_may_be_lost(story->cluster, 0, STORY_PAGE));
    cluster_write(story->cluster, 2, story->map[2], STORY_PAGE, 8);
    story_act(story, 2, ACTION_PROTECT);
    story_act(story, 2, ACTION_DROP);
    oracle_touch(story->cluster, 0, STORY_PAGE, 1);
    oracle_rest(story->cluster);
}

static void write_lost_with_its_node(struct story *story)
{
    cluster_kill(story->cluster, 1);
    cluster_declare_dead(story->cluster, 1);
    assert_int_equal(cluster_read(story->cluster, 2, story->map[2], STORY_PAGE), UINT64_MAX);
}

static void test_lost_write_is_refused_unless_a_death_explains_it(void **state)
{
    (void)state;
    check_refused(lost_write, "O3", "a write is lost");
    check_refused(lost_write_after_a_death, "O3", "a write is lost");
    check_passed(write_lost_with_its_node);
}

static void old_copy_version(struct story *story)
{
    story_frame(story, 1)->version += 1000;
    story_look(story, 1);
}

static void old_home_version(struct story *story)
{
    cluster_page(story->cluster, 0, STORY_PAGE)->written += 1000;
    story_look(story, 0);
}

static void old_transfer_version(struct story *story)
{
    uint64_t value;

    cluster_page(story->cluster, 0, STORY_PAGE)->version += 1000;
    cluster_touch(story->cluster, 2, story->map[2], STORY_PAGE, false, &value);
    cluster_deliver(story->cluster, 2, 0);
}

static void test_version_that_goes_back_is_refused(void **state)
{
    (void)state;
    check_refused(old_copy_version, "O4", "the version of a copy");
    check_refused(old_home_version, "O4", "at the home");
    check_refused(old_transfer_version, "O4", "at the home");
}

static void unknown_reader(struct story *story)
{
    story_read_by(story, 0);
    story_act(story, 2, ACTION_FILL);
    story_look(story, 0);
}

static void owner_with_old_bytes(struct story *story)
{
    story_read_by(story, 0);
    story_frame(story, 1)->bytes.stamp--;
    story_look(story, 0);
}

static void test_wrong_record_at_the_home_is_refused(void **state)
{
    (void)state;
    check_refused(unknown_reader, "O5", "node 2 has it");
    check_refused(owner_with_old_bytes, "O5", "the owner in the home's record is wrong");
}

/* Message passing: the flag is seen, what was written before it is not. */
static void impossible_history(struct story *story)
{
    oracle_note(story->cluster, 100, 0, 20, false, 0, 1000);
    oracle_note(story->cluster, 100, 0, 21, false, 0, 1001);
    oracle_note(story->cluster, 101, 0, 21, true, 1001, 0);
    oracle_note(story->cluster, 101, 0, 20, true, 0, 0);
    oracle_check_history(story->cluster);
}

static void true_history(struct story *story)
{
    for (uint32_t i = 0; i < 20; i++) {
        cluster_write(story->cluster, i % STORY_NODES, story->map[i % STORY_NODES], i % 3, 7);
        cluster_read(story->cluster, (i + 1) % STORY_NODES, story->map[(i + 1) % STORY_NODES],
                     (i + 1) % 3);
        cluster_sync(story->cluster, 1, 1, story->handle[1], SYNC_FETCH_ADD, 2 * 4096, 1, -1);
        cluster_run(story->cluster);
    }
    assert_true(cluster_latest(story->cluster, 0, 2) > 0);
    oracle_check_history(story->cluster);
}

static void test_history_is_looked_at_as_a_whole(void **state)
{
    (void)state;
    check_refused(impossible_history, "O10", "not sequentially consistent");
    check_passed(true_history);
}

static void drop_of_a_writable_page(struct story *story)
{
    story_act(story, 1, ACTION_DROP);
}

static void fill_of_a_present_page(struct story *story)
{
    story_act(story, 1, ACTION_FILL);
}

static void keep_of_an_absent_page(struct story *story)
{
    story_act(story, 2, ACTION_KEEP);
}

static void forget_of_nothing(struct story *story)
{
    story_act(story, 2, ACTION_FORGET);
}

static void allow_of_an_absent_page(struct story *story)
{
    story_act(story, 2, ACTION_ALLOW);
}

static void allow_in_no_mapping(struct story *story)
{
    story->map[1] = 77;
    story_act(story, 1, ACTION_ALLOW);
}

static void belief_without_a_frame(struct story *story)
{
    story_act(story, 1, ACTION_PROTECT);
    story_act(story, 1, ACTION_DROP);
    story_look(story, 1);
}

static void frame_without_a_belief(struct story *story)
{
    story_act(story, 1, ACTION_PROTECT);
    story_act(story, 1, ACTION_DROP);
    story_act(story, 2, ACTION_FILL);
    story_look(story, 2);
}

static void test_impossible_duty_is_refused(void **state)
{
    (void)state;
    check_refused(drop_of_a_writable_page, "O13", "DROP of a page that is writable");
    check_refused(fill_of_a_present_page, "O13", "FILL of a page that is present");
    check_refused(keep_of_an_absent_page, "O13", "absent or writable");
    check_refused(forget_of_nothing, "O13", "FORGET of what was not put aside");
    check_refused(allow_of_an_absent_page, "O13", "ALLOW of a page that is not here");
    check_refused(allow_in_no_mapping, "O13", "a mapping that does not exist");
    check_refused(belief_without_a_frame, "O13", "the core believes what is not so");
    check_refused(frame_without_a_belief, "O13", "the core believes what is not so");
}

static void message_left(struct story *story)
{
    uint64_t value;

    cluster_touch(story->cluster, 2, story->map[2], STORY_PAGE, false, &value);
    oracle_check_quiet(story->cluster);
}

static void request_left(struct story *story)
{
    uint64_t value;

    cluster_touch(story->cluster, 2, story->map[2], STORY_PAGE, false, &value);
    cluster_lose(story->cluster, 2, 0);
    oracle_check_quiet(story->cluster);
}

static void bytes_left(struct story *story)
{
    story_act(story, 1, ACTION_PROTECT);
    story_act(story, 1, ACTION_KEEP);
    oracle_check_quiet(story->cluster);
}

static void nothing_left(struct story *story)
{
    story_read_by(story, 2);
    cluster_write(story->cluster, 2, story->map[2], STORY_PAGE, 8);
    cluster_advance(story->cluster, 40000);
    oracle_check_quiet(story->cluster);
}

static void test_what_is_left_behind_is_refused(void **state)
{
    (void)state;
    check_refused(message_left, "O14", "2>0 READ");
    check_refused(request_left, "O14", "something is open for ever");
    check_refused(bytes_left, "O14", "bytes put aside are kept for ever");
    check_passed(nothing_left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer_beside_others_is_refused),
        cmocka_unit_test(test_access_to_an_old_copy_is_refused),
        cmocka_unit_test(test_lost_write_is_refused_unless_a_death_explains_it),
        cmocka_unit_test(test_version_that_goes_back_is_refused),
        cmocka_unit_test(test_wrong_record_at_the_home_is_refused),
        cmocka_unit_test(test_history_is_looked_at_as_a_whole),
        cmocka_unit_test(test_impossible_duty_is_refused),
        cmocka_unit_test(test_what_is_left_behind_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
