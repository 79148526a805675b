/* SPDX-License-Identifier: Apache-2.0 */
/** What the files of the oracle share. */
#ifndef DSM_TESTS_SIM_ORACLE_PARTS_H
#define DSM_TESTS_SIM_ORACLE_PARTS_H

#include "tests/sim/cluster.h"

/** The home of a page; NODE_NONE: see oracle_home_is_gone(). */
uint32_t oracle_home(const struct cluster *cluster, uint32_t region, uint64_t page);
/** The keeper's record of a region, NULL when it is deleted or unknown. */
const struct record *oracle_record(const struct cluster *cluster, uint32_t region);
/** Is it sealed, as the keeper says? */
bool oracle_is_sealed(const struct cluster *cluster, uint32_t region);
/** O19, at a write. */
void oracle_check_sealed_write(const struct cluster *cluster, uint32_t node, uint32_t region,
                               uint64_t page, bool is_atomic);
/** Has the home heard of the last death of a node? */
bool oracle_has_heard(const struct cluster *cluster, uint32_t home, uint32_t node);
/** An outcast has done something with a page. */
void oracle_on_outcast(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t page,
                       const struct page_view *view);
/** O16, of the group that a page is in. */
void oracle_check_group(struct cluster *cluster, uint32_t node, uint32_t region, uint64_t page);
/** Note an operation in the history, if there is one. */
void oracle_note(struct cluster *cluster, uint32_t thread, uint32_t region, uint64_t page,
                 bool reads, uint64_t read, uint64_t written);

#endif
