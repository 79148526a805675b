/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/group_story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void on_action(void *context, uint32_t node, const struct action *action)
{
    struct story *story = context;

    story->gathered[node] += action->kind == ACTION_GATHER;
    story->scattered[node] += action->kind == ACTION_SCATTER;
    if (action->kind == ACTION_POISON) {
        story->poisoned_pages[node] = action->count;
    }
}

void story_count(struct story *story)
{
    cluster_run(story->cluster);
    cluster_take_log(story->cluster);
    story->counted = cluster_messages(story->cluster);
    memset(story->gathered, 0, sizeof(story->gathered));
    memset(story->scattered, 0, sizeof(story->scattered));
}

void story_begin(struct story *story, uint64_t pages, const uint32_t page_bytes[4],
                 uint64_t budget_bytes)
{
    struct node_config config = {.read_ahead_pages = 16, .budget_bytes = budget_bytes};

    memset(story, 0, sizeof(*story));
    story->cluster = cluster_new_mixed(4, &config, page_bytes);
    story->cluster->on_action = on_action;
    story->cluster->on_action_context = story;
    for (uint32_t i = 0; i < 4; i++) {
        story->handle[i] = cluster_open(story->cluster, i, 1, "/r", pages, DSM_HOME_CREATOR);
        story->map[i] = cluster_map(story->cluster, i, 1, story->handle[i]);
        assert_true(story->map[i] != 0);
    }
    story_count(story);
}

void story_end(struct story *story)
{
    cluster_heal(story->cluster);
    cluster_run(story->cluster);
    cluster_free(story->cluster);
}

void story_expect(struct story *story, const char *transcript, uint32_t count)
{
    assert_string_equal(cluster_take_log(story->cluster), transcript);
    assert_int_equal(cluster_messages(story->cluster) - story->counted, count);
}

void story_give(struct story *story, uint32_t node, uint64_t page, uint64_t count)
{
    for (uint64_t i = page; i < page + count; i++) {
        cluster_write(story->cluster, node, story->map[node], i, 100 + i);
    }
    story_count(story);
}

uint64_t story_read(struct story *story, uint32_t node, uint64_t page)
{
    return cluster_read(story->cluster, node, story->map[node], page);
}

bool story_touch(struct story *story, uint32_t node, uint64_t page, bool write)
{
    uint64_t value = 1000 + node;

    return cluster_touch(story->cluster, node, story->map[node], page, write, &value);
}
