/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bounces.h"

#include <inttypes.h>
#include <stdio.h>

void bounces_advise(const struct record *record, uint64_t page_bytes, char *text, size_t len_bytes)
{
    if (record->page_size < page_bytes) {
        snprintf(text, len_bytes,
                 "create the region with a page_size of %" PRIu64
                 " or more, or keep what different nodes write on different %" PRIu64 " bytes",
                 page_bytes, page_bytes);
    } else {
        snprintf(text, len_bytes,
                 "keep what different nodes write on different %u bytes, take a mutex around many "
                 "accesses, or count with dsm_fetch_add",
                 record->page_size);
    }
}

/* The entry of a page: its own, a new one, or the one that was told of longest ago. */
static struct bounce *bounce_get(struct bounces *bounces, region_id region, uint64_t page)
{
    struct bounce *oldest = &bounces->list[0];

    for (uint32_t i = 0; i < bounces->count; i++) {
        struct bounce *bounce = &bounces->list[i];

        if (bounce->page == page && region_id_equal(bounce->region, region)) {
            return bounce;
        }
        oldest = bounce->told_ms < oldest->told_ms ? bounce : oldest;
    }
    if (bounces->count < BOUNCES_MAX) {
        oldest = &bounces->list[bounces->count++];
    }
    *oldest = (struct bounce){.region = region, .page = page};
    return oldest;
}

void bounces_note(struct bounces *bounces, const struct action *action, const struct record *record,
                  uint64_t page_bytes, const char *node, uint64_t now_ms)
{
    struct bounce *bounce = bounce_get(bounces, action->region, action->page);
    char advice[256];

    bounce->told_ms = now_ms;
    bounce->per_s_peak = action->count > bounce->per_s_peak ? action->count : bounce->per_s_peak;
    nodeset_add(&bounce->nodes, action->node);
    bounces_advise(record, page_bytes, advice, sizeof(advice));
    log_limited(&bounces->limit, LOG_LEVEL_WARNING,
                "page bounces region=%s offset=%" PRIu64 " page_size=%u hardware_page=%" PRIu64
                " other_node=%s per_s=%u advice=\"%s\"",
                record->name, action->page * record->page_size, record->page_size, page_bytes, node,
                action->count, advice);
}

const struct bounce *bounces_next(const struct bounces *bounces, region_id region, uint32_t *cursor)
{
    while (*cursor < bounces->count) {
        const struct bounce *bounce = &bounces->list[(*cursor)++];

        if (region_id_equal(bounce->region, region)) {
            return bounce;
        }
    }
    return NULL;
}
