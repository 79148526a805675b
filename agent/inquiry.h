/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Questions that other agents have to answer: the homes of a region ("region NAME") or all members
 * ("stats all"). An inquiry ends when the last one has answered, or has gone, or after 2 s.
 */
#ifndef DSM_AGENT_INQUIRY_H
#define DSM_AGENT_INQUIRY_H

#include <jansson.h>

#include "agent/agent.h"
#include "agent/runs.h"
#include "net/buffer.h"

/** How long others may take. */
#define INQUIRY_MS 2000u

struct inquiries;

/** Told once for each inquiry, also before the function that starts it returns. */
typedef void (*inquiry_done)(void *context, client_id client, uint64_t number, json_t *document);

/**
 * @agent borrowed
 * @done  gets each document (given; NULL without memory), with `context`
 *
 * Errors: DSM_ENOMEM
 */
int inquiries_new(struct agent *agent, inquiry_done done, void *context,
                  struct inquiries **inquiries);
/** Gives up all of them without an answer; timers are closed through the loop. */
void inquiries_free(struct inquiries *inquiries);

/** Ask the homes of a region for its pages. Errors: DSM_ENOMEM. */
int inquiry_region(struct inquiries *inquiries, client_id client, uint64_t number,
                   const struct record *record);
/** Ask all members for their counters. Errors: DSM_ENOMEM. */
int inquiry_stats(struct inquiries *inquiries, client_id client, uint64_t number);

/** An INSPECTED or ANSWER of a member. */
void inquiries_on_wire(struct inquiries *inquiries, uint32_t node, const struct wire *wire);
/** The connection to a member is gone. */
void inquiries_on_down(struct inquiries *inquiries, uint32_t node);
/** A client is gone: its inquiries are given up. */
void inquiries_on_gone(struct inquiries *inquiries, client_id client);

#endif
