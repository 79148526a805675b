/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded catalog on a disk that fails, at each call in turn, and after each loss of power. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dsm.h"
#include "tests/failure/catalog_story.h"
#include "tests/failure/failure_vfs.h"

#define SEEDS 2

/** Whatever failed, it was said of which file and why, and who asked got an error of ours. */
static void check_said(const struct story *story, int error)
{
    assert_true(error == DSM_ESYS || error == DSM_ENOMEM);
    if (story->store == NULL) {
        assert_non_null(strstr(story->text, story->path));
        assert_null(strstr(story->text, "damaged")); /* or people move it away */
    } else {
        assert_non_null(strstr(story->hush.text, "catalog cannot"));
    }
}

/** Take a step that may fail: it is done wholly or not at all, and can be tried again. */
static void step_or_again(struct story *story, struct disk *disk)
{
    int error = story_step_on(story);
    if (error != 0) {
        assert_true(disk->was_injected);
        check_said(story, error);
        if (disk->is_lasting && story->store != NULL) {
            assert_true(story_step_on(story) != 0);
        }
        disk_disarm(disk);
        assert_true(story_is_at(story, story->at));
        error = story_step_on(story);
        if (error != 0) {
            fail_msg("step %u tried again: %s %s %s", story->at, dsm_strerror(error), story->text,
                     story->hush.text);
        }
    }
}

/** Let every stride-th call of these kinds fail, one in each try; returns how many tries. */
static uint32_t fail_each(struct story *story, uint32_t calls, enum disk_fault fault,
                          bool is_lasting, uint32_t stride)
{
    for (uint32_t n = 0;; n += stride) {
        struct disk disk;
        disk_open(&disk, n);
        story_restart(story);
        disk_arm(&disk, calls, fault, n);
        disk.is_lasting = is_lasting;
        while (story->at < story->count_steps) {
            step_or_again(story, &disk);
            if (disk.was_injected) {
                disk_disarm(&disk);
                assert_true(story_is_at(story, story->at));
            }
        }
        disk_disarm(&disk);
        story_close_store(story);
        assert_true(story_is_at(story, story->at));
        story_close_store(story);
        disk_close(&disk);
        if (!disk.was_injected) {
            return n / stride;
        }
    }
}

/** `reads`: each of so many reads fails. */
static void fail_all_ways(struct story *story, const char *name, uint32_t reads)
{
    static const struct {
        const char *name;
        uint32_t calls;
        enum disk_fault fault;
        bool is_lasting;
    } ways[] = {
        {"write EIO", DISK_WRITE, DISK_FAULT_IO, false},
        {"write short", DISK_WRITE, DISK_FAULT_SHORT, false},
        {"write ENOSPC", DISK_WRITE, DISK_FAULT_FULL, false},
        {"disk full", DISK_WRITE, DISK_FAULT_FULL, true},
        {"sync EIO", DISK_SYNC, DISK_FAULT_IO, false},
        {"sync EIO lasting", DISK_SYNC, DISK_FAULT_IO, true},
        {"read EIO", DISK_READ, DISK_FAULT_IO, false},
        {"truncate EIO", DISK_TRUNCATE, DISK_FAULT_IO, false},
        {"open, delete", DISK_OPEN | DISK_DELETE, DISK_FAULT_IO, false},
        {"size, lock, access", DISK_OTHER, DISK_FAULT_IO, false},
    };
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        uint32_t count = fail_each(story, ways[i].calls, ways[i].fault, ways[i].is_lasting,
                                   ways[i].calls == DISK_READ ? reads : 1);
        print_message("%s, %s: %u points\n", name, ways[i].name, count);
    }
}

static void test_step_whose_disk_fails_is_undone_and_can_be_done_again(void **state)
{
    struct story story;
    (void)state;
    story_open(&story);
    fail_all_ways(&story, "steps", 1);
    story_close(&story);
}

static void test_log_that_cannot_be_moved_loses_nothing(void **state)
{
    struct story story;
    (void)state;
    story_open_large(&story);
    /* A thousand reads find the log again, all alike. */
    fail_all_ways(&story, "large log", 97);
    story_close(&story);
}

/** Go on until the power is off and a step has failed for it, or the story ends. */
static void run_until_off(struct story *story, struct disk *disk)
{
    int error = 0;
    while (story->at < story->count_steps && !(error != 0 && disk->is_off)) {
        error = story_step_on(story);
        assert_true(error == 0 || disk->was_injected);
    }
}

/** What was answered is there, what was under way is wholly there or not at all; then go on. */
static void check_after_power(struct story *story, struct disk *disk)
{
    hush_begin(&story->hush);
    story_close_store(story);
    hush_end(&story->hush);
    assert_true(disk_power_on(disk));
    if (story_open_store(story) != 0) {
        fail_msg("after the power went at step %u, change %u of seed %llu: %s", story->at, disk->n,
                 (unsigned long long)disk->seed, story->text);
    }
    if (!story_is_at(story, story->at)) {
        if (story->at == story->count_steps || !story_is_at(story, story->at + 1)) {
            fail_msg("after the power went at step %u, change %u of seed %llu: another catalog",
                     story->at, disk->n, (unsigned long long)disk->seed);
        }
        story->at++;
    }
    story_finish(story);
    story_close_store(story);
    assert_true(story_is_at(story, story->count_steps));
    story_close_store(story);
}

static uint32_t lose_power_at_each(struct story *story, uint64_t seed)
{
    for (uint32_t n = 0;; n++) {
        struct disk disk;
        disk_open(&disk, seed * 100000 + n);
        story_restart(story);
        disk_arm(&disk, DISK_CHANGE, DISK_FAULT_POWER, n);
        run_until_off(story, &disk);
        disk_power_off(&disk);
        check_after_power(story, &disk);
        disk_close(&disk);
        if (!disk.was_injected) {
            return n;
        }
    }
}

static void test_power_lost_at_any_change_loses_nothing_answered(void **state)
{
    struct story story;
    (void)state;
    story_open(&story);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        print_message("power, seed %u: %u points\n", (unsigned)seed,
                      lose_power_at_each(&story, seed));
    }
    story_close(&story);
}

static void test_power_lost_while_the_log_is_moved_loses_nothing_answered(void **state)
{
    struct story story;
    (void)state;
    story_open_large(&story);
    print_message("power, large log: %u points\n", lose_power_at_each(&story, 1));
    story_close(&story);
}

/** A sync fails, the step is done again, and later the power goes as well. */
static uint32_t fail_sync_then_power(struct story *story, uint64_t seed)
{
    for (uint32_t n = 0;; n++) {
        struct disk disk;
        disk_open(&disk, seed * 100000 + n);
        story_restart(story);
        disk_arm(&disk, DISK_SYNC, DISK_FAULT_IO, n);
        while (story->at < story->count_steps && !disk.was_injected) {
            step_or_again(story, &disk);
        }
        bool was_injected = disk.was_injected;
        disk_arm(&disk, DISK_CHANGE, DISK_FAULT_POWER, n * 7 % 23);
        run_until_off(story, &disk);
        disk_power_off(&disk);
        check_after_power(story, &disk);
        disk_close(&disk);
        if (!was_injected) {
            return n;
        }
    }
}

static void test_failed_sync_and_then_no_power_loses_nothing_answered(void **state)
{
    struct story story;
    (void)state;
    story_open(&story);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        print_message("sync, then power, seed %u: %u points\n", (unsigned)seed,
                      fail_sync_then_power(&story, seed));
    }
    story_close(&story);
    story_open_large(&story);
    print_message("sync, then power, large log: %u points\n", fail_sync_then_power(&story, 1));
    story_close(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_whose_disk_fails_is_undone_and_can_be_done_again),
        cmocka_unit_test(test_log_that_cannot_be_moved_loses_nothing),
        cmocka_unit_test(test_power_lost_at_any_change_loses_nothing_answered),
        cmocka_unit_test(test_power_lost_while_the_log_is_moved_loses_nothing_answered),
        cmocka_unit_test(test_failed_sync_and_then_no_power_loses_nothing_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
