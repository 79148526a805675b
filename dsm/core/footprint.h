/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Footprints: how far the walks came that began at a page, so that the next one that begins there
 * asks for all of that at once: rows of a grid that neighbours read and write in turns, or what is
 * under a mutex (spatial footprints: Kumar & Wilkerson 1998). Pure arithmetic.
 *
 * Only as far as a fault was seen counts as used. When a footprint is right there are no more of
 * them, and programs change: so it is halved now and then, and what was right is found again.
 */
#ifndef DSM_CORE_FOOTPRINT_H
#define DSM_CORE_FOOTPRINT_H

#include <stdint.h>

/** Footprints of one region that are remembered. */
#define FOOTPRINTS 16u
/** A footprint is halved each time that it was told so often. */
#define FOOTPRINT_TOLD 8u
/**
 * Pages of one at most: who comes further is soon given much at once anyway, and a long walk that
 * came once must not make those pay who look at its first page later.
 */
#define FOOTPRINT_PAGES_MAX 64u

struct footprint {
    uint64_t page;  /* where it begins */
    uint64_t used;  /* by the clock */
    uint32_t count; /* pages; 0: no footprint */
    uint32_t told;  /* how often */
};

/** All of a region; all zero: none. */
struct footprints {
    struct footprint list[FOOTPRINTS];
    uint64_t clock;
};

/** A walk to read that began at the page has come over so many pages, at least 2. */
void footprints_note(struct footprints *footprints, uint64_t page, uint64_t count);
/** A walk begins at the page: pages that it will come over; 0: not known. */
uint32_t footprints_tell(struct footprints *footprints, uint64_t page);

#endif
