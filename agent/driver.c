/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/driver.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dsm.h"

/** Steps of time in one turn of the loop; then sockets get their turn again. */
#define TIME_STEPS_MAX 64u
#define NOT_ARMED UINT64_MAX

/** An event that came while a step was being carried out, with copies of all it points to. */
struct pending_event {
    struct pending_event *next;
    struct event event;
    union {
        struct message message;
        struct call call;
        struct record record;
    };
    size_t payload_bytes;
    uint8_t payload[];
};

/** Memory that the core was given, so that it can be freed at the end. */
struct supply {
    struct supply *next;
    void *memory;
};

struct driver {
    struct driver_events events;
    struct node *node;
    struct supply *supplies;
    struct pending_event *first;
    struct pending_event **last;
    uv_timer_t timer;
    uint64_t armed_ms; /* the deadline that the timer runs for */
    uint64_t now_ms;   /* of the last step: reading the clock takes as long as many a step */
    uint64_t count_events;
    bool is_stepping;
    bool is_over; /* no memory, or driver_free() was called */
    struct actions actions;
};

static uint64_t clock_ms(void)
{
    return uv_hrtime() / 1000000;
}

static void driver_fail(struct driver *driver)
{
    if (!driver->is_over) {
        driver->is_over = true;
        driver->events.on_failure(driver->events.context, DSM_ENOMEM);
    }
}

/** Duty 1: before a step the core has all the memory that the step could need. */
static bool node_feed(struct driver *driver)
{
    size_t bytes;

    while ((bytes = node_wants(driver->node)) != 0) {
        struct supply *supply = malloc(sizeof(*supply));
        void *memory = supply ? calloc(1, bytes) : NULL;

        if (memory == NULL) {
            free(supply);
            driver_fail(driver);
            return false;
        }
        *supply = (struct supply){.next = driver->supplies, .memory = memory};
        driver->supplies = supply;
        node_supply(driver->node, memory);
    }
    return true;
}

/** Duty 2: one step, and all its actions to their end. */
static void driver_step(struct driver *driver, struct event *event, const uint8_t *payload,
                        size_t payload_bytes)
{
    if (driver->is_over || !node_feed(driver)) {
        return;
    }
    assert(!driver->is_stepping);
    driver->is_stepping = true;
    driver->now_ms = clock_ms();
    event->now_ms = driver->now_ms;
    node_step(driver->node, event, &driver->actions);
    for (uint32_t i = 0; i < driver->actions.count && !driver->is_over; i++) {
        driver->events.on_action(driver->events.context, &driver->actions.list[i], payload,
                                 payload_bytes);
    }
    driver->is_stepping = false;
}

static void queue_drain(struct driver *driver)
{
    while (driver->first) {
        struct pending_event *pending = driver->first;

        driver->first = pending->next;
        if (driver->first == NULL) {
            driver->last = &driver->first;
        }
        driver_step(driver, &pending->event, pending->payload, pending->payload_bytes);
        free(pending);
    }
}

static void on_time(uv_timer_t *timer);

/** Duty 3: time that is due, a bounded number of steps; then the timer for the rest. */
static void driver_settle(struct driver *driver)
{
    uint64_t deadline_ms;

    queue_drain(driver);
    for (uint32_t i = 0; i < TIME_STEPS_MAX && !driver->is_over; i++) {
        struct event event = {.kind = EVENT_TIME};

        if (node_deadline(driver->node) > driver->now_ms) {
            break;
        }
        driver_step(driver, &event, NULL, 0);
        queue_drain(driver);
    }
    driver->events.on_end(driver->events.context);
    if (driver->is_over) {
        return;
    }
    deadline_ms = node_deadline(driver->node);
    if (deadline_ms == driver->armed_ms && deadline_ms > driver->now_ms) {
        return;
    }
    driver->armed_ms = deadline_ms;
    if (deadline_ms == UINT64_MAX) {
        uv_timer_stop(&driver->timer);
        return;
    }
    uv_timer_start(&driver->timer, on_time,
                   deadline_ms > driver->now_ms ? deadline_ms - driver->now_ms : 0, 0);
}

static void on_time(uv_timer_t *timer)
{
    struct driver *driver = timer->data;

    driver->armed_ms = NOT_ARMED;
    driver->now_ms = clock_ms();
    if (!driver->is_over) {
        driver->events.on_begin(driver->events.context);
        driver_settle(driver);
    }
}

int driver_new(uv_loop_t *loop, const struct node_config *config,
               const struct driver_events *events, struct driver **result)
{
    struct driver *driver = calloc(1, sizeof(*driver));
    int error;

    if (driver == NULL) {
        return DSM_ENOMEM;
    }
    driver->node = calloc(1, node_size());
    if (driver->node == NULL) {
        free(driver);
        return DSM_ENOMEM;
    }
    error = node_init(driver->node, config);
    if (error < 0) {
        free(driver->node);
        free(driver);
        return error;
    }
    driver->events = *events;
    driver->last = &driver->first;
    driver->armed_ms = NOT_ARMED;
    uv_timer_init(loop, &driver->timer);
    driver->timer.data = driver;
    *result = driver;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct driver *driver = handle->data;

    while (driver->first) {
        struct pending_event *pending = driver->first;

        driver->first = pending->next;
        free(pending);
    }
    while (driver->supplies) {
        struct supply *supply = driver->supplies;

        driver->supplies = supply->next;
        free(supply->memory);
        free(supply);
    }
    free(driver->node);
    free(driver);
}

void driver_free(struct driver *driver)
{
    if (driver) {
        driver->is_over = true;
        uv_close((uv_handle_t *)&driver->timer, on_closed);
    }
}

/** Copy an event and what it points to, since the sender's memory is his again after return. */
static struct pending_event *event_copy(const struct event *event, const uint8_t *payload,
                                        size_t payload_bytes)
{
    struct pending_event *pending = malloc(sizeof(*pending) + payload_bytes);

    if (pending == NULL) {
        return NULL;
    }
    pending->next = NULL;
    pending->event = *event;
    pending->payload_bytes = payload_bytes;
    if (payload_bytes > 0) {
        memcpy(pending->payload, payload, payload_bytes);
    }
    if (event->kind == EVENT_MESSAGE) {
        pending->message = *event->message.message;
        pending->event.message.message = &pending->message;
    } else if (event->kind == EVENT_CALL) {
        pending->call = *event->call.call;
        pending->event.call.call = &pending->call;
    } else if (event->kind == EVENT_RECORD) {
        pending->record = *event->record;
        pending->event.record = &pending->record;
    }
    return pending;
}

void driver_post(struct driver *driver, const struct event *event, const uint8_t *payload,
                 size_t payload_bytes)
{
    if (driver->is_over) {
        return;
    }
    driver->count_events++;
    if (driver->is_stepping || driver->first) {
        struct pending_event *pending = event_copy(event, payload, payload_bytes);

        if (pending == NULL) {
            driver_fail(driver);
            return;
        }
        *driver->last = pending;
        driver->last = &pending->next;
    } else {
        struct event now = *event;

        driver->events.on_begin(driver->events.context);
        driver_step(driver, &now, payload, payload_bytes);
        driver_settle(driver);
    }
}

struct node *driver_node(const struct driver *driver)
{
    return driver->node;
}

uint64_t driver_count_events(const struct driver *driver)
{
    return driver->count_events;
}
