/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Merging of two versions of a page that have grown from one: the bytes that differ from the twin,
 * the page as it was then, are the ones that were written. Other threads may be storing to either
 * page meanwhile: each byte that this changes was not theirs to write, and none of theirs is lost.
 *
 * Whole words are loaded and stored, so a number at its natural alignment is never seen in halves.
 */
#ifndef DSM_LIB_MERGE_H
#define DSM_LIB_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A page, its twin, and the same page in the region; multiples of 8 in address and length. */
struct merge {
    _Atomic uint64_t *view;
    uint64_t *twin;
    _Atomic uint64_t *base;
    size_t len_bytes;
};

/** What one merge did. */
struct merge_outcome {
    uint64_t count_bytes; /* that were carried over */
    uint64_t count_races; /* words of which both sides have written the same bytes, to no end that
                             they agree on */
    size_t first_race;    /* offset of the first of them */
};

/** Has the view anything that the twin has not? */
bool merge_is_dirty(const struct merge *merge);
/**
 * Carry what was written in the view into the region; the twin has it then.
 *
 * @outcome added to
 */
void merge_out(const struct merge *merge, struct merge_outcome *outcome);
/**
 * Carry what others have written to the region into the view and the twin; what was written in the
 * view and not yet carried out stays as it is, and is carried out by the next merge_out().
 *
 * @outcome added to
 */
void merge_in(const struct merge *merge, struct merge_outcome *outcome);

#endif
