/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The driver of the core (the duties are in dsm/core/node.h): gives it memory and time, steps it
 * with one event after the other, and hands its actions on in their order. What is posted while a
 * step is being carried out waits in a queue, so the core is never entered twice.
 */
#ifndef DSM_AGENT_DRIVER_H
#define DSM_AGENT_DRIVER_H

#include <uv.h>

#include "dsm/core/node.h"

struct driver;

/** Who carries out the actions. */
struct driver_events {
    void *context;
    /** Carry out one action; the payload is that of the event that led to it, or NULL. */
    void (*on_action)(void *context, const struct action *action, const uint8_t *payload,
                      size_t payload_bytes);
    /** Steps follow, and their actions; then nothing more is to be done now. In turns. */
    void (*on_begin)(void *context);
    void (*on_end)(void *context);
    /** There is no memory to go on with; the driver does nothing any more. */
    void (*on_failure)(void *context, int error);
};

/**
 * @loop   borrowed
 * @config borrowed until return
 * @events borrowed until return
 * @driver returned, release with driver_free()
 *
 * Errors: DSM_ENOMEM, DSM_EINVAL (config->self is no node number)
 */
int driver_new(uv_loop_t *loop, const struct node_config *config,
               const struct driver_events *events, struct driver **driver);
/** Stops at once; the memory goes when the loop has run once more. */
void driver_free(struct driver *driver);

/**
 * Step the core with an event, now or after what is under way; `now_ms` is filled in here.
 *
 * @event   borrowed until return, with all it points to
 * @payload of a message; borrowed until return
 */
void driver_post(struct driver *driver, const struct event *event, const uint8_t *payload,
                 size_t payload_bytes);

/** The core, for what may be read of it between steps. */
struct node *driver_node(const struct driver *driver);
/** Events that came from outside so far; time is not one. */
uint64_t driver_count_events(const struct driver *driver);

#endif
