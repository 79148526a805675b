/* SPDX-License-Identifier: Apache-2.0 */
/** Pages that several nodes tear at (ACTION_BOUNCE): what is told of them, and what to do. */
#ifndef DSM_AGENT_BOUNCES_H
#define DSM_AGENT_BOUNCES_H

#include <stddef.h>

#include "agent/log.h"
#include "dsm/core/node.h"

/** Pages that are remembered. */
#define BOUNCES_MAX 32u

/** One page, or one hardware page that shows several of its region. */
struct bounce {
    region_id region;
    uint64_t page;
    uint32_t per_s_peak;
    nodeset nodes; /* others that wanted it */
    uint64_t told_ms;
};

struct bounces {
    struct bounce list[BOUNCES_MAX];
    uint32_t count;
    struct log_limit limit;
};

/**
 * Remember what the core tells, and write a line about it, now and then.
 *
 * @record     the region's
 * @page_bytes of this machine's hardware
 * @node       the name of the action's node
 */
void bounces_note(struct bounces *bounces, const struct action *action, const struct record *record,
                  uint64_t page_bytes, const char *node, uint64_t now_ms);
/** The next one of this region, NULL at the end; `cursor` is 0 at first. */
const struct bounce *bounces_next(const struct bounces *bounces, region_id region,
                                  uint32_t *cursor);
/** What to do about it, into `text` of len_bytes. */
void bounces_advise(const struct record *record, uint64_t page_bytes, char *text, size_t len_bytes);

#endif
