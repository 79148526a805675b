/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/oracle_story.h"

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
#include "tests/sim/oracle.h"

#define PAGES 64u
#define OUTPUT_BYTES (1u << 17)

/* The region, which has its type from who makes it. */
static void make_region(struct story *story, const char *type)
{
    struct call call = {.kind = CALL_OPEN,
                        .object = RECORD_REGION,
                        .oflag = CALL_OFLAG_WRITE | CALL_OFLAG_CREATE,
                        .mode = 0666,
                        .page_size = CLUSTER_PAGE_BYTES,
                        .home = DSM_HOME_CREATOR,
                        .name = "/r"};

    snprintf(call.type, sizeof(call.type), "%s", type);
    assert_int_equal(cluster_call(story->cluster, 0, 1, &call).error, 0);
}

static void begin(struct story *story, const struct story_kind *kind)
{
    struct node_config config = {.read_ahead_pages = 1};

    story->cluster = cluster_new_unlike(STORY_NODES, &config, nodeset_of(0), kind->machines);
    make_region(story, kind->type);
    for (uint32_t i = 0; i < STORY_NODES; i++) {
        story->handle[i] = cluster_open(story->cluster, i, 1, "/r", PAGES, DSM_HOME_CREATOR);
        story->map[i] = cluster_map(story->cluster, i, 1, story->handle[i]);
    }
    cluster_take_log(story->cluster);
    oracle_record_history(story->cluster);
    cluster_write(story->cluster, 1, story->map[1], STORY_PAGE, 7);
    cluster_run(story->cluster);
}

/* What a child says that runs this; whether it was ended by an abort. */
static bool run_child(const struct story_kind *kind, void (*run)(struct story *story), char *output)
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
        begin(&story, kind);
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

void story_refused(const struct story_kind *kind, void (*run)(struct story *story),
                   const char *property, const char *words)
{
    static const char transcript[] = "1>0 WRITE 5+1";
    char *output = calloc(1, OUTPUT_BYTES);

    if (!run_child(kind, run, output) || strncmp(output, property, strlen(property)) != 0 ||
        output[strlen(property)] != ' ' || strstr(output, words) == NULL ||
        strstr(output, transcript) == NULL) {
        fail_msg("not refused as %s: %.200s", property, output);
    }
    free(output);
}

void story_passed(const struct story_kind *kind, void (*run)(struct story *story))
{
    char *output = calloc(1, OUTPUT_BYTES);

    if (run_child(kind, run, output)) {
        fail_msg("refused: %.200s", output);
    }
    free(output);
}

void story_act_on(struct story *story, uint32_t node, uint32_t kind, uint64_t page, uint32_t count)
{
    struct action action = {.kind = (uint8_t)kind,
                            .region = story->cluster->regions[0],
                            .page = page,
                            .count = count,
                            .source = BYTES_ZERO,
                            .map = kind == ACTION_GATHER ? 0 : story->map[node],
                            .keep = 99};

    frames_execute(story->cluster, node, &action, 0, NULL);
}

void story_act(struct story *story, uint32_t node, uint32_t kind)
{
    story_act_on(story, node, kind, STORY_PAGE, 1);
}

void story_look(struct story *story, uint32_t node)
{
    oracle_touch(story->cluster, 0, STORY_PAGE, 1);
    oracle_check(story->cluster, node);
    oracle_rest(story->cluster);
}

struct sim_frame *story_frame(struct story *story, uint32_t node)
{
    return frames_find(&story->cluster->nodes[node], 0, STORY_PAGE);
}

void story_read_by(struct story *story, uint32_t node)
{
    cluster_read(story->cluster, node, story->map[node], STORY_PAGE);
    cluster_run(story->cluster);
}
