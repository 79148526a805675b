/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the oracle says of machines that are unlike: node 2 has hardware pages of 16 KiB, four of
 * the region's, and is big-endian.
 */
#include "tests/unit/oracle_story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/cluster_bytes.h"
#include "tests/sim/cluster_frames.h"
#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"
#include "tests/sim/oracle_parts.h"

/** The group of STORY_PAGE on node 2. */
#define GROUP 4u
#define GROUP_PAGES 4u
#define LARGE 2u

static const struct story_kind untyped = {.machines = {[LARGE] = {16384, true}}, .type = ""};
static const struct story_kind typed = {.machines = {[LARGE] = {16384, true}},
                                        .type = "struct { u64 a; u32 b; u16 c; u16 d; } []"};
static const struct story_kind floats = {.machines = {[LARGE] = {16384, true}}, .type = "f32 []"};

static void check_refused(void (*run)(struct story *story), const char *property, const char *words)
{
    story_refused(&untyped, run, property, words);
}

static struct sim_frame *frame_of(struct story *story, uint64_t page)
{
    return frames_find(&story->cluster->nodes[LARGE], 0, page);
}

static void write_group(struct story *story)
{
    cluster_write(story->cluster, LARGE, story->map[LARGE], STORY_PAGE, 8);
    cluster_run(story->cluster);
}

static void look_at_group(struct story *story)
{
    oracle_touch(story->cluster, 0, GROUP, GROUP_PAGES);
    oracle_check(story->cluster, LARGE);
    oracle_rest(story->cluster);
}

/* --- O13: duties with groups --- */

static void gather_of_an_absent_page(struct story *story)
{
    story_act_on(story, LARGE, ACTION_GATHER, GROUP, GROUP_PAGES);
}

static void gather_of_a_shown_group(struct story *story)
{
    story_read_by(story, LARGE);
    story_act_on(story, LARGE, ACTION_GATHER, GROUP, GROUP_PAGES);
}

static void gather_of_part_of_a_group(struct story *story)
{
    story_read_by(story, LARGE);
    story_act_on(story, LARGE, ACTION_SCATTER, GROUP, GROUP_PAGES);
    story_act_on(story, LARGE, ACTION_GATHER, GROUP, GROUP_PAGES - 1);
}

static void gather_where_pages_are_small(struct story *story)
{
    story_act(story, 1, ACTION_GATHER);
}

static void scatter_of_what_lies_aside(struct story *story)
{
    story_read_by(story, LARGE);
    story_act_on(story, LARGE, ACTION_SCATTER, GROUP, GROUP_PAGES);
    story_act_on(story, LARGE, ACTION_SCATTER, GROUP, GROUP_PAGES);
}

static void drop_of_what_is_shown(struct story *story)
{
    story_read_by(story, LARGE);
    story_act(story, LARGE, ACTION_DROP);
}

static void fill_for_a_mapping(struct story *story)
{
    story_act_on(story, LARGE, ACTION_FILL, GROUP + GROUP_PAGES, 1);
}

static void allow_of_what_lies_aside(struct story *story)
{
    story_read_by(story, LARGE);
    story_act_on(story, LARGE, ACTION_SCATTER, GROUP, GROUP_PAGES);
    story_act_on(story, LARGE, ACTION_ALLOW, GROUP, GROUP_PAGES);
}

static void protect_of_part_of_a_group(struct story *story)
{
    write_group(story);
    story_act(story, LARGE, ACTION_PROTECT);
}

static void wake_of_part_of_a_group(struct story *story)
{
    story_act_on(story, LARGE, ACTION_WAKE, GROUP, 1);
}

static void poison_of_part_of_a_group(struct story *story)
{
    story_act_on(story, LARGE, ACTION_POISON, GROUP + 1, GROUP_PAGES - 1);
}

static void test_impossible_duty_with_a_group_is_refused(void **state)
{
    (void)state;
    check_refused(gather_of_an_absent_page, "O13", "GATHER of a page that is absent or shown");
    check_refused(gather_of_a_shown_group, "O13", "GATHER of a page that is absent or shown");
    check_refused(gather_of_part_of_a_group, "O13", "what is no group");
    check_refused(gather_where_pages_are_small, "O13", "what is no group");
    check_refused(scatter_of_what_lies_aside, "O13", "SCATTER of what was not gathered");
    check_refused(drop_of_what_is_shown, "O13", "DROP of part of a group that is shown");
    check_refused(fill_for_a_mapping, "O13", "FILL of what lies aside, for a mapping");
    check_refused(allow_of_what_lies_aside, "O13", "ALLOW of a page that is not here");
    check_refused(protect_of_part_of_a_group, "O13", "part of a group is shown or hidden");
    check_refused(wake_of_part_of_a_group, "O13", "part of a group is shown or hidden");
    check_refused(poison_of_part_of_a_group, "O13", "part of a group is shown or hidden");
}

/* --- O16 --- */

static void part_is_shown(struct story *story)
{
    story_read_by(story, LARGE);
    frame_of(story, GROUP + 2)->shown = false;
    look_at_group(story);
}

static void part_is_seen(struct story *story)
{
    story_read_by(story, LARGE);
    frame_of(story, GROUP + 2)->shown = false;
    story_read_by(story, LARGE);
}

static void old_page_is_seen_beside_another(struct story *story)
{
    story_read_by(story, LARGE);
    cluster_write(story->cluster, 1, story->map[1], GROUP + 2, 9);
    cluster_run(story->cluster);
    story_read_by(story, LARGE);
    frame_of(story, GROUP + 2)->bytes.stamp--;
    story_read_by(story, LARGE);
}

static void part_is_writable(struct story *story)
{
    write_group(story);
    frames_set_writable(story->cluster, LARGE,
                        frames_map(story->cluster, LARGE, story->map[LARGE]), GROUP + 2, false);
    look_at_group(story);
}

static void writable_aside(struct story *story)
{
    write_group(story);
    for (uint32_t i = 0; i < GROUP_PAGES; i++) {
        frame_of(story, GROUP + i)->shown = false;
    }
    look_at_group(story);
}

/* All of it is writable, and the core holds it for reading, as others do. */
static void writable_and_not_alone(struct story *story)
{
    story_read_by(story, LARGE);
    story_act_on(story, LARGE, ACTION_ALLOW, GROUP, GROUP_PAGES);
    look_at_group(story);
}

static void group_comes_and_goes(struct story *story)
{
    write_group(story);
    look_at_group(story);
    story_read_by(story, 1);
    look_at_group(story);
    cluster_write(story->cluster, 1, story->map[1], STORY_PAGE, 9);
    look_at_group(story);
    assert_int_equal(cluster_read(story->cluster, LARGE, story->map[LARGE], STORY_PAGE), 9);
    look_at_group(story);
}

static void test_part_of_a_group_is_refused(void **state)
{
    (void)state;
    check_refused(part_is_shown, "O16", "part of a group is shown");
    check_refused(part_is_seen, "O16", "a program sees part of a group");
    check_refused(old_page_is_seen_beside_another, "O16", "an old page beside another");
    check_refused(part_is_writable, "O16", "part of a group is writable");
    check_refused(writable_aside, "O16", "what lies aside is writable");
    check_refused(writable_and_not_alone, "O1", "a writer and other copies");
    story_passed(&untyped, group_comes_and_goes);
}

/* Of pages that nobody else has, the core's belief is what counts. */
static void writable_and_held_for_reading(struct story *story)
{
    uint64_t first = GROUP + 2 * GROUP_PAGES;

    cluster_read(story->cluster, LARGE, story->map[LARGE], first);
    cluster_run(story->cluster);
    story_act_on(story, LARGE, ACTION_ALLOW, first, GROUP_PAGES);
    oracle_check_group(story->cluster, LARGE, 0, first);
}

static void test_writable_group_that_is_not_held_for_writing_is_refused(void **state)
{
    (void)state;
    check_refused(writable_and_held_for_reading, "O16", "not all of it is this node's alone");
}

/* --- O17 --- */

static void bytes_are_not_converted(struct story *story)
{
    uint64_t value;

    story->cluster->machines[LARGE].big_endian = false; /* the core's own belief stays */
    cluster_touch(story->cluster, LARGE, story->map[LARGE], STORY_PAGE, false, &value);
    while (cluster_deliver(story->cluster, LARGE, 0) || cluster_deliver(story->cluster, 0, 1) ||
           cluster_deliver(story->cluster, 1, LARGE) || cluster_deliver(story->cluster, 0, LARGE)) {
    }
    story->cluster->machines[LARGE].big_endian = true;
    story_read_by(story, LARGE);
}

static void bytes_are_converted_twice(struct story *story)
{
    story_read_by(story, LARGE);
    for (uint32_t i = 0; i < 4; i++) {
        uint8_t *window = story_frame(story, LARGE)->bytes.window, kept = window[i];

        window[i] = window[7 - i];
        window[7 - i] = kept;
    }
    story_read_by(story, LARGE);
}

static void write_onto_foreign_bytes(struct story *story)
{
    write_group(story);
    story_frame(story, LARGE)->bytes.window[CLUSTER_WINDOW_BYTES - 1] ^= 1;
    write_group(story);
}

static void add(struct story *story, uint32_t node, uint64_t page)
{
    cluster_sync(story->cluster, node, 1, story->handle[node], SYNC_FETCH_ADD,
                 page * CLUSTER_PAGE_BYTES, 3, -1);
    cluster_run(story->cluster);
}

static void values_go_round(struct story *story)
{
    for (uint32_t i = 0; i < 2 * STORY_NODES; i++) {
        uint32_t node = i % STORY_NODES;

        for (uint64_t page = 0; page < 3 * GROUP_PAGES; page++) {
            cluster_read(story->cluster, (node + 1) % STORY_NODES,
                         story->map[(node + 1) % STORY_NODES], page);
            cluster_write(story->cluster, node, story->map[node], page, 100 * i + page);
        }
        add(story, node, 2);
    }
    assert_int_equal(cluster_read(story->cluster, 0, story->map[0], 2), 505);
}

static void test_value_in_the_wrong_order_is_refused(void **state)
{
    (void)state;
    story_refused(&typed, bytes_are_not_converted, "O17", "not those of their value");
    story_refused(&typed, bytes_are_converted_twice, "O17", "not those of their value");
    story_refused(&typed, write_onto_foreign_bytes, "O17", "not those of their value");
    story_refused(&untyped, bytes_are_converted_twice, "O17", "not those of their value");
    story_passed(&typed, values_go_round);
    story_passed(&untyped, values_go_round);
}

static int32_t error_of_add(struct story *story)
{
    struct call call = {.kind = CALL_SYNC,
                        .handle = story->handle[LARGE],
                        .op = SYNC_FETCH_ADD,
                        .offset = 2 * CLUSTER_PAGE_BYTES,
                        .value = 3,
                        .timeout_ms = -1};

    return cluster_call(story->cluster, LARGE, 1, &call).error;
}

static void addition_to_a_number(struct story *story)
{
    assert_int_equal(error_of_add(story), 0);
}

static void addition_to_no_number(struct story *story)
{
    assert_int_equal(error_of_add(story), DSM_EINVAL);
    assert_int_equal(cluster_read(story->cluster, 1, story->map[1], 2), 0);
}

static void test_atomic_operation_is_on_a_number_of_the_type(void **state)
{
    (void)state;
    story_passed(&typed, addition_to_a_number);
    story_passed(&untyped, addition_to_a_number);
    story_passed(&floats, addition_to_no_number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_impossible_duty_with_a_group_is_refused),
        cmocka_unit_test(test_part_of_a_group_is_refused),
        cmocka_unit_test(test_writable_group_that_is_not_held_for_writing_is_refused),
        cmocka_unit_test(test_value_in_the_wrong_order_is_refused),
        cmocka_unit_test(test_atomic_operation_is_on_a_number_of_the_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
