/* SPDX-License-Identifier: Apache-2.0 */
/** Which changes to a record a node may propose. Pure: a decision from what is stored and what is
 * asked. */
#ifndef DSM_AGENT_CATALOG_RULES_H
#define DSM_AGENT_CATALOG_RULES_H

#include "dsm/core/record.h"

/**
 * May the node create this record?
 *
 * @region_bytes_max size of one region at most, 0: no bound
 *
 * Errors: DSM_ENAME, DSM_EINVAL, DSM_ESIZE what is wrong with it
 *         DSM_EACCES it names other users than this node
 */
int rules_check_create(const struct record *record, uint32_t node, uint64_t region_bytes_max);

/** Can a node of this name, address and machine be one at all? */
bool rules_check_joiner(const struct joiner *joiner);

/**
 * May the node put proposal->record in the place of `old`, which has the same id and revision?
 *
 * Errors: DSM_EACCES neither the credential's nor the node's to change
 *         DSM_EINVAL, DSM_ESIZE no record may become so
 */
int rules_check_update(const struct record *old, const struct proposal *proposal, uint32_t node,
                       uint64_t region_bytes_max);

#endif
