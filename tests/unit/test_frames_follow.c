/* SPDX-License-Identifier: Apache-2.0 */
/* What a program that follows a mapping is told of what the frames do (F5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/frames.h"
#include "dsm.h"
#include "frames_program.h"
#include "net/stale_map.h"

#define PAGES 64u

/* Two programs with a mapping each; the first one, of pages 8 to 39, is followed. */
struct story {
    struct agent_side side;
    struct program followed, other;
    struct stale_map stale;
    char told[256];
    size_t used;
};

static void note(void *context, uint64_t page, uint64_t count)
{
    struct story *story = context;

    story->used += (size_t)snprintf(story->told + story->used, sizeof(story->told) - story->used,
                                    "%llu+%llu ", (unsigned long long)page,
                                    (unsigned long long)count);
}

static const char *take(struct story *story)
{
    story->used = 0;
    story->told[0] = '\0';
    stale_map_take(&story->stale, note, story);
    return story->told;
}

static void follow(struct story *story)
{
    int descriptor;

    assert_int_equal(frames_follow(story->side.frames, 1, 1, &descriptor), 0);
    assert_int_equal(stale_map_open(32, descriptor, &story->stale), 0);
    close(descriptor);
}

static void begin(struct story *story)
{
    memset(story, 0, sizeof(*story));
    side_open(&story->side, PAGES, HARDWARE_PAGE);
    program_start_attached(&story->followed, &story->side, 1, 8, 32);
    program_start_attached(&story->other, &story->side, 2, 0, PAGES);
}

static void end(struct story *story)
{
    stale_map_close(&story->stale);
    program_kill(&story->followed);
    program_kill(&story->other);
    side_close(&story->side);
}

/* A right to write that another mapping gets, and its end; the mapping's own is not told. */
static void test_rights_of_other_mappings_are_told(void **state)
{
    struct story story;
    struct frames *frames;
    region_id region;

    (void)state;
    begin(&story);
    follow(&story);
    frames = story.side.frames;
    region = story.side.region;
    frames_fill(frames, region, 0, 30, 1, true, NULL);
    frames_allow(frames, region, 12, 1, 1);
    frames_protect(frames, region, 0, 64);
    assert_string_equal(take(&story), "");
    frames_allow(frames, region, 6, 4, 2);
    assert_string_equal(take(&story), "0+2 ");
    frames_fill(frames, region, 30, 20, 2, true, NULL);
    assert_string_equal(take(&story), "0+2 22+10 ");
    frames_protect(frames, region, 9, 40);
    assert_string_equal(take(&story), "0+2 22+10 ");
    assert_string_equal(take(&story), "0+1 ");
    frames_fill(frames, region, 50, 2, 2, true, NULL);
    frames_protect(frames, region, 0, 64);
    assert_string_equal(take(&story), "0+1 ");
    assert_string_equal(take(&story), "");
    end(&story);
}

/* A page that is dropped, one that is lost, one that an operation of the home has changed. */
static void test_drops_and_operations_are_told(void **state)
{
    struct story story;
    struct frames_atomic atomic = {
        .offset = 13 * HARDWARE_PAGE + 8, .op = SYNC_FETCH_ADD, .value = 1, .is_native = true};
    struct frames *frames;
    region_id region;
    uint64_t old;

    (void)state;
    begin(&story);
    follow(&story);
    frames = story.side.frames;
    region = story.side.region;
    frames_fill(frames, region, 0, 40, 2, false, NULL);
    assert_string_equal(take(&story), "");
    frames_protect(frames, region, 4, 8);
    frames_drop(frames, region, 4, 8);
    assert_string_equal(take(&story), "0+4 ");
    atomic.region = region;
    assert_int_equal(frames_atomic(frames, &atomic, &old), 0);
    assert_string_equal(take(&story), "5+1 ");
    frames_protect(frames, region, 39, 1);
    frames_poison(frames, region, 39, 1);
    assert_string_equal(take(&story), "31+1 ");
    end(&story);
}

/* Nobody has noted who may write to what is here when following begins: it may all be. */
static void test_pages_that_are_here_may_be_written(void **state)
{
    struct story story;
    int descriptor;

    (void)state;
    begin(&story);
    frames_fill(story.side.frames, story.side.region, 4, 6, 2, true, NULL);
    frames_fill(story.side.frames, story.side.region, 38, 10, 2, true, NULL);
    follow(&story);
    assert_string_equal(take(&story), "0+2 30+2 ");
    assert_int_equal(frames_follow(story.side.frames, 1, 1, &descriptor), DSM_EINVAL);
    assert_int_equal(frames_follow(story.side.frames, 2, 1, &descriptor), DSM_EINVAL);
    assert_int_equal(frames_follow(story.side.frames, 3, 3, &descriptor), DSM_EINVAL);
    frames_protect(story.side.frames, story.side.region, 0, PAGES);
    assert_string_equal(take(&story), "0+2 30+2 ");
    assert_string_equal(take(&story), "");
    end(&story);
}

/* Of a region whose pages come in groups: the group that is shown or hidden. */
static void test_groups_are_told_as_a_whole(void **state)
{
    struct story story;

    (void)state;
    memset(&story, 0, sizeof(story));
    side_open_on(&story.side, PAGES, HARDWARE_PAGE, 4 * HARDWARE_PAGE);
    program_start_attached(&story.followed, &story.side, 1, 8, 32);
    program_start_attached(&story.other, &story.side, 2, 0, PAGES);
    follow(&story);
    frames_fill(story.side.frames, story.side.region, 12, 4, 2, true, NULL);
    assert_string_equal(take(&story), "");
    frames_gather(story.side.frames, story.side.region, 12, 4, 2, true);
    assert_string_equal(take(&story), "4+4 ");
    frames_scatter(story.side.frames, story.side.region, 12, 4);
    assert_string_equal(take(&story), "4+4 ");
    assert_string_equal(take(&story), "");
    end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rights_of_other_mappings_are_told),
        cmocka_unit_test(test_drops_and_operations_are_told),
        cmocka_unit_test(test_pages_that_are_here_may_be_written),
        cmocka_unit_test(test_groups_are_told_as_a_whole),
    };

    if (!has_userfaultfd()) {
        printf("SKIP: no userfaultfd can be had here\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
