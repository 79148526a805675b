/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What typed regions take where nodes have different byte orders: a converter for each, compiled
 * when it is first needed, and what may be done to a region's words.
 */
#ifndef DSM_AGENT_CONVERSIONS_H
#define DSM_AGENT_CONVERSIONS_H

#include "agent/table.h"
#include "dsm/core/record.h"

struct conversions {
    struct table regions;
};

/** Make it empty. Errors: DSM_ENOMEM. */
int conversions_init(struct conversions *conversions);
/** Forget everything. */
void conversions_close(struct conversions *conversions);
/**
 * Turn bytes of a region from the other byte order into this machine's, in place.
 *
 * @record    of the region; an untyped one's bytes stay as they are
 * @offset    of the first byte in the region
 *
 * Errors: DSM_ENOMEM  nothing was changed
 */
int conversions_turn(struct conversions *conversions, const struct record *record, uint64_t offset,
                     uint8_t *bytes, uint64_t len_bytes);
/**
 * May an atomic operation change the 8 bytes at an offset of the region? In a typed one they must
 * be a u64 or i64, in an untyped one they may.
 *
 * @text on DSM_EINVAL: what is there instead; text_bytes bytes
 *
 * Errors: DSM_EINVAL, DSM_ENOMEM
 */
int conversions_check_atomic(struct conversions *conversions, const struct record *record,
                             uint64_t offset, char *text, size_t text_bytes);
/** Forget what was compiled for a region. */
void conversions_forget(struct conversions *conversions, region_id region);

#endif
