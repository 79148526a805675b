/* SPDX-License-Identifier: Apache-2.0 */
/* An agent that starts, with each call in turn failing: it says why it cannot and leaves nothing
 * behind, or it serves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/admin.h"
#include "agent/agent.h"
#include "agent/authority.h"
#include "agent/config.h"
#include "agent/report.h"
#include "dsm.h"
#include "tests/failure/failure.h"
#include "tests/failure/hush.h"
#include "tests/failure/uv_spare.h"
#include "tests/unit/certs.h"

#define TURNS_MAX 2000
/** Calls that uv_loop_init() makes for descriptors. It forgets the first when another fails; the
 * agent ends then, so nothing comes of it. */
#define LOOP_DESCRIPTORS 3

/** A node's directory, and what was said of the last try. */
struct ground {
    char directory[CERTS_PATH_BYTES], text[TEXT_BYTES_MAX];
    struct config config;
    struct hush hush;
};

/* libuv ends the process when its table of descriptors cannot grow; what agent.h says of that is
 * not tried here. */

static int set_up(void **state)
{
    struct ground *ground = calloc(1, sizeof(*ground));
    struct config *config = &ground->config;
    struct authority_validity validity = authority_validity_days(2);
    char error[AUTHORITY_ERROR_BYTES];
    assert_int_equal(setenv("TMPDIR", "/dev/shm", 1), 0);
    assert_int_equal(certs_directory_make(ground->directory), 0);
    assert_int_equal(authority_make(ground->directory, &validity, error), 0);
    assert_int_equal(authority_issue(ground->directory, "a", &validity, ground->directory, error),
                     0);
    config_init(config);
    snprintf(config->node, sizeof(config->node), "a");
    snprintf(config->listen, sizeof(config->listen), "127.0.0.1:0");
    snprintf(config->state_dir, sizeof(config->state_dir), "%s", ground->directory);
    snprintf(config->socket, sizeof(config->socket), "%.200s/agent.sock", ground->directory);
    snprintf(config->ca, sizeof(config->ca), "%.200s/ca.crt", ground->directory);
    snprintf(config->certificate, sizeof(config->certificate), "%.200s/node.crt",
             ground->directory);
    snprintf(config->key, sizeof(config->key), "%.200s/node.key", ground->directory);
    config->budget = 1 << 20;
    hush_open(&ground->hush);
    assert_int_equal(uv_spare_memory(), 0);
    *state = ground;
    return 0;
}

static int tear_down(void **state)
{
    struct ground *ground = *state;
    hush_close(&ground->hush);
    certs_directory_remove(ground->directory);
    free(ground);
    return 0;
}

/** Start and serve: 0, or the error with which the agent ended; quietly. */
static int start(struct ground *ground)
{
    struct agent *agent = NULL;
    ground->text[0] = 0;
    hush_begin(&ground->hush);
    int error = agent_new(&ground->config, &agent, ground->text);
    for (uint32_t i = 0; error == 0 && i < TURNS_MAX && !agent->is_stopping && !agent->clients;
         i++) {
        uv_run(&agent->loop, UV_RUN_NOWAIT);
    }
    if (error == 0) {
        error = agent->error;
        error = error == 0 && agent->clients == NULL ? DSM_ETIMEDOUT : error;
        agent_free(agent);
    }
    hush_end(&ground->hush);
    return error;
}

static void start_each(struct ground *ground, uint32_t kinds, uint32_t stride)
{
    FAILURE_LOOP(loop, kinds)
    {
        loop.stride = stride;
        if (kinds == FAILURE_DESCRIPTOR && loop.n < LOOP_DESCRIPTORS) {
            loop.n = LOOP_DESCRIPTORS;
        }
        failure_loop_arm(&loop);
        int error = start(ground);
        failure_disarm();
        if (error != 0) {
            if (!failure_was_injected() || error == DSM_ETIMEDOUT ||
                (ground->text[0] == 0 && strstr(ground->hush.text, "agent ends error=") == NULL)) {
                fail_msg("%s fails: %s '%s' %s", failure_call(), dsm_strerror(error), ground->text,
                         ground->hush.text);
            }
            if (getenv("SHOW") != NULL) {
                print_message("%s: %s|%s|%s", failure_call(), dsm_strerror(error), ground->text,
                              ground->hush.text);
            }
            error = start(ground);
        }
        if (error != 0) {
            fail_msg("tried again: %s '%s' %s", dsm_strerror(error), ground->text,
                     ground->hush.text);
        }
    }
}

static void test_start_without_memory_is_told_and_can_be_tried_again(void **state)
{
    start_each(*state, FAILURE_MEMORY, 13);
}

static void test_start_without_descriptors_is_told_and_can_be_tried_again(void **state)
{
    start_each(*state, FAILURE_DESCRIPTOR, 0);
}

static void test_start_on_failing_files_is_told_and_can_be_tried_again(void **state)
{
    start_each(*state, FAILURE_FILE, 0);
    start_each(*state, FAILURE_SYNC, 0);
}

static void test_start_without_mappings_is_told_and_can_be_tried_again(void **state)
{
    start_each(*state, FAILURE_MAPPING, 0);
}

/** An agent that serves; quietly. */
static struct agent *serving(struct ground *ground)
{
    struct agent *agent = NULL;
    hush_begin(&ground->hush);
    assert_int_equal(agent_new(&ground->config, &agent, ground->text), 0);
    for (uint32_t i = 0; i < TURNS_MAX && !agent->clients; i++) {
        uv_run(&agent->loop, UV_RUN_NOWAIT);
    }
    hush_end(&ground->hush);
    assert_non_null(agent->clients);
    return agent;
}

/** A report is whole or it is none. */
static void report_each(const struct agent *agent, json_t *(*report)(const struct agent *))
{
    json_t *whole = report(agent);
    assert_non_null(whole);
    FAILURE_LOOP(loop, FAILURE_MEMORY)
    {
        failure_loop_arm(&loop);
        json_t *document = report(agent);
        failure_disarm();
        assert_true(document != NULL || failure_was_injected());
        assert_true(document == NULL || json_equal(document, whole));
        json_decref(document);
    }
    json_decref(whole);
}

static json_t *report_of_region(const struct agent *agent)
{
    const struct record record = {.kind = RECORD_REGION,
                                  .name = "/x\xff",
                                  .page_size = 4096,
                                  .homes = nodeset_of(0),
                                  .readers = nodeset_of(0),
                                  .writers = nodeset_of(0)};
    struct page_run list[2] = {{.page = 0, .count = 4, .owner = 0, .readers = nodeset_of(0)},
                               {.page = 4, .count = 4, .owner = NODE_NONE}};
    const struct runs runs = {.list = list, .count = 2, .capacity = 2};
    return report_region(agent, &record, &runs, nodeset_of(0));
}

static void test_report_without_memory_is_none(void **state)
{
    struct ground *ground = *state;
    struct agent *agent = serving(ground);
    report_each(agent, report_status);
    report_each(agent, report_nodes);
    report_each(agent, report_regions);
    report_each(agent, report_stats);
    report_each(agent, report_of_region);
    hush_begin(&ground->hush);
    agent_free(agent);
    hush_end(&ground->hush);
}

/* The core takes it that what it asks for is there: an agent that cannot store a region's pages, or
 * those by which it has grown, ends instead of owning pages whose bytes are nowhere. */
static void test_region_that_cannot_be_stored_ends_the_agent(void **state)
{
    struct ground *ground = *state;
    struct agent *agent = serving(ground);
    const region_id id = {1, 1};
    struct action close_it = {.kind = ACTION_REGION_CLOSE, .region = id};
    struct action open_it = {.kind = ACTION_REGION_OPEN, .region = id};
    uint32_t points = 0;
    open_it.open.page_size = 4096;
    FAILURE_LOOP(loop, FAILURE_MEMORY | FAILURE_DESCRIPTOR | FAILURE_CONTROL | FAILURE_SPACE)
    {
        hush_begin(&ground->hush);
        failure_loop_arm(&loop);
        open_it.open.size_bytes = 4096;
        agent_act(agent, &open_it, NULL, 0);
        open_it.open.size_bytes = 8192;
        agent_act(agent, &open_it, NULL, 0);
        failure_disarm();
        hush_end(&ground->hush);
        assert_int_equal(agent->is_stopping, failure_was_injected());
        assert_int_equal(agent->error != 0, failure_was_injected());
        assert_true(!failure_was_injected() ||
                    strstr(ground->hush.text, "agent ends error=") != NULL);
        agent_act(agent, &close_it, NULL, 0);
        agent->is_stopping = false;
        agent->error = 0;
        points = loop.points;
    }
    assert_true(points >= 5); /* its record, its file, the file's size and seals, a larger size */
    hush_begin(&ground->hush);
    agent_free(agent);
    hush_end(&ground->hush);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_without_memory_is_told_and_can_be_tried_again),
        cmocka_unit_test(test_start_without_descriptors_is_told_and_can_be_tried_again),
        cmocka_unit_test(test_start_on_failing_files_is_told_and_can_be_tried_again),
        cmocka_unit_test(test_report_without_memory_is_none),
        cmocka_unit_test(test_region_that_cannot_be_stored_ends_the_agent),
        cmocka_unit_test(test_start_without_mappings_is_told_and_can_be_tried_again),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
