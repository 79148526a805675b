/* SPDX-License-Identifier: Apache-2.0 */
/** JSON documents on what this agent knows by itself. Every function returns NULL without memory.
 */
#ifndef DSM_AGENT_REPORT_H
#define DSM_AGENT_REPORT_H

#include <jansson.h>

#include "agent/agent.h"
#include "agent/runs.h"

/** A text that may not be UTF-8: what is not, is written as \xNN. */
json_t *report_text(const char *text);
/**
 * Append to an array. Without memory (an element that is NULL, too) the array becomes NULL, and so
 * does what is made of it: a report that lacks something is none.
 */
void report_add(json_t **array, json_t *element);
/** The names of a set of nodes. */
json_t *report_node_names(const struct agent *agent, nodeset nodes);
/** "status": this agent. */
json_t *report_status(const struct agent *agent);
/** "nodes": the members, alive or not. */
json_t *report_nodes(const struct agent *agent);
/** "regions": the regions and semaphores. */
json_t *report_regions(const struct agent *agent);
/** "region NAME": one of them with its pages; `silent`: homes that did not answer. */
json_t *report_region(const struct agent *agent, const struct record *record,
                      const struct runs *runs, nodeset silent);
/** "stats": the counters. */
json_t *report_stats(const struct agent *agent);
/** The counters by number, in the order of DSM_COUNTERS; returns how many. */
uint32_t report_counters(const struct agent *agent, uint64_t *counters);

#endif
