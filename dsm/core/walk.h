/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Walks: what the faults of a region's programs have in common, so that pages can be asked for
 * before they are wanted. Pure arithmetic: faults go in, what to ask for comes out.
 *
 *   in order, forwards or backwards   each request is four times as long as the one before
 *   every so many pages               three faults at equal distances; a column of a matrix
 *   runs of pages at equal distances  rows of a rectangle: as long as the runs were so far
 *   one such walk beside the other    the next columns: four pages wide, sixteen, ...
 *
 * How far ahead a walk asks grows with how far it has come, so that what was fetched for nothing
 * when it ends is no more than a few times what was used. A walk is doubted that ended before what
 * it had asked for, or that lost pages before it came to them, because another node writes there: a
 * band of a matrix, say, that its owner still works on. While there are doubts, new walks have to
 * prove themselves for longer, and ask for no more than they have come; and a stride that lost
 * pages asks for one run at a time, until it has come further than before.
 *
 * A walk that begins where one began before asks at once for as much as that one used
 * (footprint.h).
 */
#ifndef DSM_CORE_WALK_H
#define DSM_CORE_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "dsm/core/footprint.h"

/** Walks of one region that are followed at the same time. */
#define WALKS 8u

/** One walk. A position is a page, or for a walk backwards its distance from WALK_TOP. */
struct walk {
    uint64_t start;  /* where it began; of a stride: this lane */
    uint64_t at;     /* its last fault */
    uint64_t next;   /* asked for up to here; of a stride: the first run that was not asked for */
    uint64_t stride; /* from run to run; 0: in order */
    int64_t jump;    /* from the begin of the nearest walk before it to its own, pages; 0: far */
    uint64_t used;   /* by the clock of the walks */
    uint64_t lost_at; /* its last fault when pages were lost that it had asked for ahead */
    uint32_t run;    /* pages of the last request, or of each run; 0: no walk */
    uint32_t steps;  /* faults that went on with it */
    uint32_t losses; /* how often that was */
    uint32_t known;  /* pages of its footprint, 0: it has none */
    bool is_backward;
};

/** All walks of a region; all zero: none. */
struct walks {
    struct walk list[WALKS];
    struct footprints footprints;
    uint64_t clock;
    uint32_t doubts; /* walks that ended early or lost pages, less those since that did not */
};

/** What a request may be. */
struct walk_limits {
    uint32_t unit;    /* pages that are always asked for together */
    uint32_t longest; /* pages of one request at most; `unit`: nothing is asked for ahead */
    uint64_t room;    /* pages that may be asked for ahead of the fault at most */
    uint64_t end;     /* pages of the region */
    bool is_exact;    /* a walk in order goes on only with the page behind what it asked for */
    bool is_certain;  /* a walk is one in order, up to `end`, and need not prove it */
};

/** What to ask for. */
struct walk_plan {
    uint64_t page; /* at once: these, the wanted one among them */
    uint32_t count;
    uint32_t ahead_run;   /* then these: runs of so many pages, ... */
    uint32_t ahead_count; /* ... so many runs, ... */
    uint64_t ahead_page;  /* ... the first of them here, ... */
    int64_t ahead_stride; /* ... each so far from the one before */
};

/** A page that was not asked for is wanted. */
struct walk_plan walks_on_miss(struct walks *walks, uint64_t page,
                               const struct walk_limits *limits);
/** Another node writes to pages, so that they are not here any more. */
void walks_on_loss(struct walks *walks, uint64_t page, uint64_t count);
/** Of what was asked for at once, up to `asked`, only what is before `got` was to be had. */
void walks_cut(struct walks *walks, uint64_t asked, uint64_t got);
/** One that was asked for, but has not come, is wanted: a walk goes on, and asks for more. */
struct walk_plan walks_on_wait(struct walks *walks, uint64_t page,
                               const struct walk_limits *limits);

#endif
