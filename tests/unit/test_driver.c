/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's promises to the core, with a core of this file's own in place of dsm/core/node.c:
 * one step at a time, actions to their end, memory before each step, time when it is due.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/driver.h"
#include "dsm.h"

#define STEPS_MAX 64

/** An allocation that is too large is to fail as it does without the sanitizer, not to end the
 * test. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

/** The core of this test: it writes down what it is stepped with and answers as it was told. */
struct node {
    uint32_t self;
    uint32_t count_steps;
    uint8_t kinds[STEPS_MAX];
    uint64_t numbers[STEPS_MAX]; /* of the event: request, ticket, revision or client */
    uint64_t deadline_ms;
    uint32_t deadlines_left; /* how often time is due at once */
    size_t wants_bytes;
    uint32_t supplies;
    uint32_t actions_next; /* actions of the next step */
    bool is_inside;
};

size_t node_size(void)
{
    return sizeof(struct node);
}

int node_init(struct node *node, const struct node_config *config)
{
    node->self = config->self;
    node->deadline_ms = UINT64_MAX;
    return config->self < NODES_MAX ? 0 : DSM_EINVAL;
}

size_t node_wants(const struct node *node)
{
    return node->wants_bytes;
}

void node_supply(struct node *node, void *memory)
{
    const uint8_t *bytes = memory;

    for (size_t i = 0; i < node->wants_bytes; i++) {
        assert_int_equal(bytes[i], 0);
    }
    node->supplies++;
    node->wants_bytes = 0;
}

static uint64_t event_number(const struct event *event)
{
    switch (event->kind) {
    case EVENT_MESSAGE:
        return event->message.message->request;
    case EVENT_CALL:
        return event->call.call->value;
    case EVENT_RECORD:
        return event->record->revision;
    case EVENT_PROPOSED:
        return event->proposed.ticket;
    default:
        return 0;
    }
}

void node_step(struct node *node, const struct event *event, struct actions *actions)
{
    assert_false(node->is_inside);
    assert_int_equal(node->wants_bytes, 0);
    assert_true(event->now_ms > 0);
    assert_true(node->count_steps < STEPS_MAX);
    node->kinds[node->count_steps] = event->kind;
    node->numbers[node->count_steps++] = event_number(event);
    if (event->kind == EVENT_TIME) {
        node->deadlines_left -= node->deadlines_left > 0;
        node->deadline_ms = node->deadlines_left > 0 ? 0 : UINT64_MAX;
    }
    actions->count = node->actions_next;
    node->actions_next = 0;
    for (uint32_t i = 0; i < actions->count; i++) {
        actions->list[i] = (struct action){.kind = ACTION_WAKE, .page = i};
    }
}

uint64_t node_deadline(const struct node *node)
{
    return node->deadline_ms;
}

/** What a test's actions do, and what came of them. */
struct world {
    uv_loop_t loop;
    struct driver *driver;
    struct node *node;
    uint32_t count_actions;
    uint32_t count_begins, count_ends;
    bool is_posting; /* post one event of each kind out of the first action */
    int error;
    uint8_t payload[4]; /* that the last action saw */
    size_t payload_bytes;
};

static void post_each_kind(struct world *world)
{
    uint8_t payload[4] = {1, 2, 3, 4};
    struct message *message = calloc(1, sizeof(*message));
    struct call *call = calloc(1, sizeof(*call));
    struct record *record = calloc(1, sizeof(*record));
    struct event event = {.kind = EVENT_RECORD, .record = record};

    record->revision = 11;
    driver_post(world->driver, &event, NULL, 0);
    event = (struct event){.kind = EVENT_PROPOSED, .proposed.ticket = 12};
    driver_post(world->driver, &event, NULL, 0);
    call->value = 13;
    event = (struct event){.kind = EVENT_CALL, .call.call = call};
    driver_post(world->driver, &event, NULL, 0);
    message->request = 14;
    event = (struct event){.kind = EVENT_MESSAGE, .message.message = message};
    world->node->is_inside = true; /* none of them may step the core now */
    driver_post(world->driver, &event, payload, sizeof(payload));
    world->node->is_inside = false;
    /* They were borrowed until return only. */
    memset(payload, 0xff, sizeof(payload));
    memset(message, 0xff, sizeof(*message));
    free(message);
    free(call);
    free(record);
}

static void on_action(void *context, const struct action *action, const uint8_t *payload,
                      size_t payload_bytes)
{
    struct world *world = context;

    assert_int_equal(world->count_begins, world->count_ends + 1);
    assert_int_equal(action->page, world->count_actions++);
    world->payload_bytes = payload_bytes;
    if (payload_bytes > 0) {
        memcpy(world->payload, payload, payload_bytes);
    }
    if (world->is_posting) {
        world->is_posting = false;
        post_each_kind(world);
    }
}

static void on_begin(void *context)
{
    struct world *world = context;

    assert_int_equal(world->count_begins++, world->count_ends);
}

static void on_end(void *context)
{
    struct world *world = context;

    assert_int_equal(++world->count_ends, world->count_begins);
}

static void on_failure(void *context, int error)
{
    ((struct world *)context)->error = error;
}

static int world_open(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct driver_events events = {world, on_action, on_begin, on_end, on_failure};
    struct node_config config = {.self = 3};

    assert_non_null(world);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(driver_new(&world->loop, &config, &events, &world->driver), 0);
    world->node = driver_node(world->driver);
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;

    driver_free(world->driver);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    free(world);
    return 0;
}

/* A number that is no node's is refused and leaves nothing behind. */
static void test_driver_of_no_node_is_refused(void **state)
{
    struct world *world = *state;
    struct driver_events events = {world, on_action, on_begin, on_end, on_failure};
    struct node_config config = {.self = NODES_MAX};
    struct driver *driver = NULL;

    assert_int_equal(driver_new(&world->loop, &config, &events, &driver), DSM_EINVAL);
    assert_null(driver);
}

/* What actions lead to is stepped after all of them, in order, with its memory its own. */
static void test_events_of_actions_wait_for_their_turn(void **state)
{
    struct world *world = *state;
    struct event event = {.kind = EVENT_PEER_UP, .peer_up = 1};

    world->node->actions_next = 3;
    world->is_posting = true;
    driver_post(world->driver, &event, NULL, 0);
    assert_int_equal(world->count_actions, 3);
    assert_int_equal(world->node->count_steps, 5);
    assert_int_equal(world->node->kinds[0], EVENT_PEER_UP);
    for (uint32_t i = 1; i < 5; i++) {
        assert_int_equal(world->node->numbers[i], 10 + i);
    }
    assert_int_equal(world->node->kinds[1], EVENT_RECORD);
    assert_int_equal(world->node->kinds[4], EVENT_MESSAGE);
    assert_int_equal(driver_count_events(world->driver), 5);
    assert_int_equal(world->count_begins, 1); /* one run of steps, which is over */
    assert_int_equal(world->count_ends, 1);
}

/* The bytes beside a message are there when its actions are carried out. */
static void test_payload_reaches_the_actions(void **state)
{
    struct world *world = *state;
    struct message message = {.request = 5};
    struct event event = {.kind = EVENT_MESSAGE, .message.message = &message};
    const uint8_t payload[4] = {9, 8, 7, 6};

    world->node->actions_next = 1;
    driver_post(world->driver, &event, payload, sizeof(payload));
    assert_int_equal(world->payload_bytes, 4);
    assert_memory_equal(world->payload, payload, 4);
}

/* Memory is there before the step that wants it. */
static void test_memory_comes_before_the_step(void **state)
{
    struct world *world = *state;
    struct event event = {.kind = EVENT_PEER_UP};

    world->node->wants_bytes = 5000;
    driver_post(world->driver, &event, NULL, 0);
    assert_int_equal(world->node->supplies, 1);
    assert_int_equal(world->node->count_steps, 1);
}

/* Without memory the driver says so once and does not step any more. */
static void test_no_memory_stops_the_driver(void **state)
{
    struct world *world = *state;
    struct event event = {.kind = EVENT_PEER_UP};

    world->node->wants_bytes = SIZE_MAX / 2 + 1; /* more than any array may have */
    driver_post(world->driver, &event, NULL, 0);
    driver_post(world->driver, &event, NULL, 0);
    assert_int_equal(world->error, DSM_ENOMEM);
    assert_int_equal(world->node->count_steps, 0);
    assert_int_equal(world->count_begins, 1);
    assert_int_equal(world->count_ends, 1);
}

/* Time that is due is stepped at once, as often as it is due. */
static void test_due_time_is_stepped_at_once(void **state)
{
    struct world *world = *state;
    struct event event = {.kind = EVENT_PEER_UP};

    world->node->deadline_ms = 0;
    world->node->deadlines_left = 4;
    driver_post(world->driver, &event, NULL, 0);
    assert_int_equal(world->node->count_steps, 5);
    assert_int_equal(world->node->kinds[4], EVENT_TIME);
    assert_int_equal(world->count_ends, 1); /* with the event that they came from */
}

/* Time that is due later comes by the loop, and not before. */
static void test_later_time_comes_by_the_loop(void **state)
{
    struct world *world = *state;
    struct event event = {.kind = EVENT_PEER_UP};
    uint64_t due_ms = uv_hrtime() / 1000000 + 20;

    world->node->deadline_ms = due_ms;
    world->node->deadlines_left = 1;
    driver_post(world->driver, &event, NULL, 0);
    assert_int_equal(world->node->count_steps, 1);
    while (world->node->count_steps < 2) {
        uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_true(uv_hrtime() / 1000000 >= due_ms);
    assert_int_equal(world->node->kinds[1], EVENT_TIME);
    assert_true(world->count_begins >= 2); /* a timer that is early comes again */
    assert_int_equal(world->count_ends, world->count_begins);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_driver_of_no_node_is_refused, world_open, world_close),
        cmocka_unit_test_setup_teardown(test_events_of_actions_wait_for_their_turn, world_open,
                                        world_close),
        cmocka_unit_test_setup_teardown(test_payload_reaches_the_actions, world_open, world_close),
        cmocka_unit_test_setup_teardown(test_memory_comes_before_the_step, world_open, world_close),
        cmocka_unit_test_setup_teardown(test_no_memory_stops_the_driver, world_open, world_close),
        cmocka_unit_test_setup_teardown(test_due_time_is_stepped_at_once, world_open, world_close),
        cmocka_unit_test_setup_teardown(test_later_time_comes_by_the_loop, world_open, world_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
