/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded catalog without memory or descriptors, at each call in turn: ours and SQLite's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dsm.h"
#include "tests/failure/catalog_story.h"
#include "tests/failure/failure.h"

/** Take a step that may fail: it is done wholly or not at all, and can be tried again. */
static void step_or_again(struct story *story, int expected)
{
    int error = story_step_on(story);
    if (error == 0) {
        return;
    }
    failure_disarm();
    if (error != expected || !failure_was_injected()) {
        fail_msg("step %u, %s failing: %s, not %s: %s %s", story->at, failure_call(),
                 dsm_strerror(error), dsm_strerror(expected), story->text, story->hush.text);
    }
    /* An error of memory says no more than that, and has no need to. */
    if (story->store == NULL) {
        assert_non_null(strstr(story->text, story->path));
        /* Or people move it away. */
        if (strstr(story->text, "damaged") != NULL && strstr(story->text, "disk in") == NULL) {
            fail_msg("step %u, %s failing: %s", story->at, failure_call(), story->text);
        }
    } else if (expected != DSM_ENOMEM) {
        assert_non_null(strstr(story->hush.text, "catalog cannot"));
    }
    assert_true(story_is_at(story, story->at));
    error = story_step_on(story);
    if (error != 0) {
        fail_msg("step %u tried again: %s %s %s", story->at, dsm_strerror(error), story->text,
                 story->hush.text);
    }
}

static void fail_each(uint32_t kinds, int expected, uint32_t stride)
{
    struct story story;
    story_open(&story);
    FAILURE_LOOP(loop, kinds)
    {
        loop.stride = stride;
        story_restart(&story);
        failure_loop_arm(&loop);
        while (story.at < story.count_steps) {
            step_or_again(&story, expected);
        }
        failure_disarm();
        assert_true(story_is_at(&story, story.at));
        story_close_store(&story);
        record_list_close(&story.changes);
        record_list_close(&story.all);
    }
    story_close(&story);
}

static void test_step_without_memory_is_undone_and_can_be_done_again(void **state)
{
    (void)state;
    fail_each(FAILURE_MEMORY, DSM_ENOMEM, 7);
}

static void test_step_whose_system_calls_fail_is_undone_and_can_be_done_again(void **state)
{
    (void)state;
    fail_each(FAILURE_DESCRIPTOR, DSM_ESYS, 0);
    fail_each(FAILURE_TRANSFER, DSM_ESYS, 0);
    fail_each(FAILURE_SPACE, DSM_ESYS, 0);
    fail_each(FAILURE_SYNC, DSM_ESYS, 0);
}

/** What SQLite has to go on with is as good as none: the step is done as if nothing had been. */
static void test_call_that_is_cut_short_is_made_again(void **state)
{
    (void)state;
    fail_each(FAILURE_SHORT, DSM_ESYS, 0);
    fail_each(FAILURE_INTERRUPT, DSM_ESYS, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_without_memory_is_undone_and_can_be_done_again),
        cmocka_unit_test(test_step_whose_system_calls_fail_is_undone_and_can_be_done_again),
        cmocka_unit_test(test_call_that_is_cut_short_is_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
