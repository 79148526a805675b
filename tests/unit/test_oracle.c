/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle of the simulated cluster: each property that it looks at is broken behind the core's
 * back, in a child process, and has to be named; what is right or excused is let pass.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/sim/cluster_frames.h"
#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"
#include "tests/sim/oracle_parts.h"

#define NODES 3u
#define PAGE 5u
#define OUTPUT_BYTES (1u << 17)

/** Three nodes, the first homes all pages of a region that all have mapped. */
struct story {
    struct cluster *cluster;
    uint64_t handle[NODES];
    map_id map[NODES];
};

static void begin(struct story *story)
{
    struct node_config config = {.read_ahead_pages = 1};

    story->cluster = cluster_new(NODES, &config);
    for (uint32_t i = 0; i < NODES; i++) {
        story->handle[i] = cluster_open(story->cluster, i, 1, "/r", 64, DSM_HOME_CREATOR);
        story->map[i] = cluster_map(story->cluster, i, 1, story->handle[i]);
    }
    cluster_take_log(story->cluster);
    oracle_record_history(story->cluster);
    cluster_write(story->cluster, 1, story->map[1], PAGE, 7);
    cluster_run(story->cluster);
}

/* What a child says that runs this; whether it was ended by an abort. */
static bool run_child(void (*run)(struct story *story), char *output)
{
    struct story story;
    size_t used = 0;
    ssize_t bytes;
    int ends[2], status;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL); /* not the test runner's, which goes on */
        begin(&story);
        run(&story);
        cluster_free(story.cluster);
        _exit(0);
    }
    close(ends[1]);
    while ((bytes = read(ends[0], output + used, OUTPUT_BYTES - 1 - used)) > 0) {
        used += (size_t)bytes;
    }
    output[used] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGABRT);
        return true;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    return false;
}

/* It has to be refused, for this property and in these words. */
static void check_refused(void (*run)(struct story *story), const char *property, const char *words)
{
    static const char transcript[] = "1>0 WRITE 5+1";
    char *output = calloc(1, OUTPUT_BYTES);

    if (!run_child(run, output) || strncmp(output, property, strlen(property)) != 0 ||
        output[strlen(property)] != ' ' || strstr(output, words) == NULL ||
        strstr(output, transcript) == NULL) {
        fail_msg("not refused as %s: %.200s", property, output);
    }
    free(output);
}

static void check_passed(void (*run)(struct story *story))
{
    char *output = calloc(1, OUTPUT_BYTES);

    if (run_child(run, output)) {
        fail_msg("refused: %.200s", output);
    }
    free(output);
}

/* An action that no core gave. */
static void act(struct story *story, uint32_t node, uint32_t kind)
{
    struct action action = {.kind = (uint8_t)kind,
                            .region = story->cluster->regions[0],
                            .page = PAGE,
                            .count = 1,
                            .source = BYTES_ZERO,
                            .map = story->map[node],
                            .keep = 99};

    frames_execute(story->cluster, node, &action, 0, NULL);
}

static void look(struct story *story, uint32_t node)
{
    oracle_touch(story->cluster, 0, PAGE, 1);
    oracle_check(story->cluster, node);
    oracle_rest(story->cluster);
}

static struct sim_frame *frame(struct story *story, uint32_t node)
{
    return frames_find(&story->cluster->nodes[node], 0, PAGE);
}

static void read_by(struct story *story, uint32_t node)
{
    cluster_read(story->cluster, node, story->map[node], PAGE);
    cluster_run(story->cluster);
}

/* --- what has to be refused --- */

static void second_copy(struct story *story)
{
    act(story, 2, ACTION_FILL);
}

static void second_writer(struct story *story)
{
    read_by(story, 2);
    act(story, 2, ACTION_ALLOW);
}

static void copy_beside_a_page_held_for_writing(struct story *story)
{
    act(story, 1, ACTION_PROTECT);
    act(story, 2, ACTION_FILL);
    look(story, 1);
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
    read_by(story, 2);
    frame(story, 2)->stamp--;
    read_by(story, 2);
}

static void old_write(struct story *story)
{
    frame(story, 1)->stamp--;
    cluster_write(story->cluster, 1, story->map[1], PAGE, 8);
}

static void old_addition(struct story *story)
{
    read_by(story, 0);
    cluster_write(story->cluster, 0, story->map[0], PAGE, 8);
    frame(story, 0)->stamp--;
    cluster_sync(story->cluster, 2, 1, story->handle[2], SYNC_FETCH_ADD, PAGE * 4096, 1, -1);
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
    act(story, 1, ACTION_PROTECT);
    act(story, 1, ACTION_DROP);
    oracle_touch(story->cluster, 0, PAGE, 1);
    oracle_rest(story->cluster);
}

/* The excuse of a death ends when all have heard of it. */
static void lost_write_after_a_death(struct story *story)
{
    read_by(story, 2);
    cluster_kill(story->cluster, 1);
    cluster_declare_dead(story->cluster, 1);
    cluster_run(story->cluster);
    assert_true(oracle_may_be_lost(story->cluster, 0, PAGE));
    cluster_write(story->cluster, 2, story->map[2], PAGE, 8);
    act(story, 2, ACTION_PROTECT);
    act(story, 2, ACTION_DROP);
    oracle_touch(story->cluster, 0, PAGE, 1);
    oracle_rest(story->cluster);
}

static void write_lost_with_its_node(struct story *story)
{
    cluster_kill(story->cluster, 1);
    cluster_declare_dead(story->cluster, 1);
    assert_int_equal(cluster_read(story->cluster, 2, story->map[2], PAGE), UINT64_MAX);
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
    frame(story, 1)->version += 1000;
    look(story, 1);
}

static void old_home_version(struct story *story)
{
    cluster_page(story->cluster, 0, PAGE)->written += 1000;
    look(story, 0);
}

static void old_transfer_version(struct story *story)
{
    uint64_t value;

    cluster_page(story->cluster, 0, PAGE)->version += 1000;
    cluster_touch(story->cluster, 2, story->map[2], PAGE, false, &value);
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
    read_by(story, 0);
    act(story, 2, ACTION_FILL);
    look(story, 0);
}

static void owner_with_old_bytes(struct story *story)
{
    read_by(story, 0);
    frame(story, 1)->stamp--;
    look(story, 0);
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
        cluster_write(story->cluster, i % NODES, story->map[i % NODES], i % 3, 7);
        cluster_read(story->cluster, (i + 1) % NODES, story->map[(i + 1) % NODES], (i + 1) % 3);
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
    act(story, 1, ACTION_DROP);
}

static void fill_of_a_present_page(struct story *story)
{
    act(story, 1, ACTION_FILL);
}

static void keep_of_an_absent_page(struct story *story)
{
    act(story, 2, ACTION_KEEP);
}

static void forget_of_nothing(struct story *story)
{
    act(story, 2, ACTION_FORGET);
}

static void allow_of_an_absent_page(struct story *story)
{
    act(story, 2, ACTION_ALLOW);
}

static void allow_in_no_mapping(struct story *story)
{
    story->map[1] = 77;
    act(story, 1, ACTION_ALLOW);
}

static void belief_without_a_frame(struct story *story)
{
    act(story, 1, ACTION_PROTECT);
    act(story, 1, ACTION_DROP);
    look(story, 1);
}

static void frame_without_a_belief(struct story *story)
{
    act(story, 1, ACTION_PROTECT);
    act(story, 1, ACTION_DROP);
    act(story, 2, ACTION_FILL);
    look(story, 2);
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

    cluster_touch(story->cluster, 2, story->map[2], PAGE, false, &value);
    oracle_check_quiet(story->cluster);
}

static void request_left(struct story *story)
{
    uint64_t value;

    cluster_touch(story->cluster, 2, story->map[2], PAGE, false, &value);
    cluster_lose(story->cluster, 2, 0);
    oracle_check_quiet(story->cluster);
}

static void bytes_left(struct story *story)
{
    act(story, 1, ACTION_PROTECT);
    act(story, 1, ACTION_KEEP);
    oracle_check_quiet(story->cluster);
}

static void nothing_left(struct story *story)
{
    read_by(story, 2);
    cluster_write(story->cluster, 2, story->map[2], PAGE, 8);
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
