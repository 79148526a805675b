/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/core/walk.h"

#include <stddef.h>

/** No page is here; a walk backwards is one forwards that counts from here. */
#define WALK_TOP (UINT64_C(1) << 62)
/** Longest requests that are asked for ahead of a walk in order, and runs of one with a stride. */
#define AHEAD_RANGES 4u
#define AHEAD_RUNS 256u
/** A walk asks for so many times more than it has come, ... */
#define AHEAD_TIMES 4u
/** ... and for so many pages more than the request before. */
#define GROWTH 4u
/** Walks whose begins are further apart have nothing in common. */
#define JUMP_MAX (INT64_C(1) << 14)
/** Pages of a lane at most. */
#define LANE_MAX 64u
#define DOUBTS_MAX 4u
/** A stride that has lost pages n times comes over so many runs, times 2^n, before it asks ... */
#define PROOF_RUNS 8u
#define LOSSES_MAX 8u
/** ... for one more in so many. */
#define PROOF_SHARE 4u

static uint64_t position_of(const struct walk *walk, uint64_t page)
{
    return walk->is_backward ? WALK_TOP - page : page;
}

/* Positions before this one are pages of the region. */
static uint64_t end_of(const struct walk *walk, const struct walk_limits *limits)
{
    return walk->is_backward ? WALK_TOP + 1 : limits->end;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static bool is_off(const struct walk_limits *limits)
{
    return limits->longest <= limits->unit;
}

/* The pages of `count` positions from one on, as far as the region goes. */
static void plan_now(const struct walk *walk, const struct walk_limits *limits, uint64_t position,
                     uint64_t count, struct walk_plan *plan)
{
    count = smaller(count, end_of(walk, limits) - position);
    count = smaller(count, limits->longest);
    plan->page = walk->is_backward ? WALK_TOP - position - (count - 1) : position;
    plan->count = (uint32_t)count;
}

/* Runs from `next` on; `next` goes behind them. */
static void plan_ahead(struct walk *walk, const struct walk_limits *limits, uint64_t runs,
                       struct walk_plan *plan)
{
    uint64_t distance = walk->stride != 0 ? walk->stride : walk->run;
    uint64_t end = end_of(walk, limits);
    uint64_t left = walk->next < end ? (end - walk->next + distance - 1) / distance : 0;

    runs = smaller(runs, left);
    /* Of a walk backwards the last run would begin below the first page; and one that was told
     * where it ends goes no further. */
    if ((walk->is_backward || limits->is_certain) && runs == left && runs > 0 &&
        walk->next + (runs - 1) * distance + walk->run > end) {
        runs--;
    }
    if (runs == 0) {
        return;
    }
    plan->ahead_run = walk->run;
    plan->ahead_count = (uint32_t)runs;
    plan->ahead_page = walk->is_backward ? WALK_TOP - walk->next - (walk->run - 1) : walk->next;
    plan->ahead_stride = walk->is_backward ? -(int64_t)distance : (int64_t)distance;
    walk->next += runs * distance;
}

/* --- in order --- */

/* Pages that it has surely come over. */
static uint64_t walked_by(const struct walk *walk, const struct walk_limits *limits)
{
    return walk->at - walk->start + limits->unit;
}

/* It goes on at a position: ask ahead by whole requests, as far as it has earned. */
static void ahead_in_order(const struct walks *walks, struct walk *walk,
                           const struct walk_limits *limits, struct walk_plan *plan)
{
    uint64_t come = walked_by(walk, limits);
    uint64_t known = walk->known > come ? walk->known - come : 0;
    uint64_t earned = walks->doubts == 0 ? larger(known, come * AHEAD_TIMES) : known;
    uint64_t most = smaller((uint64_t)limits->longest * AHEAD_RANGES, limits->room);
    uint64_t wanted = walk->at + walk->run + (limits->is_certain ? most : smaller(earned, most));

    if (walk->run == limits->longest && walk->next + walk->run <= wanted) {
        plan_ahead(walk, limits, (wanted - walk->next) / walk->run, plan);
    }
}

/*
 * It goes on at a position: remember how far it has come. Of walks backwards not, nor of those that
 * write: who takes pages ahead to write drops others' copies, who then ask for all of them again,
 * and nobody would notice that only one is used.
 */
static void come_to(struct walks *walks, struct walk *walk, uint64_t position,
                    const struct walk_limits *limits)
{
    walk->steps++;
    walk->at = position;
    if (!walk->is_backward && !limits->is_exact) {
        footprints_note(&walks->footprints, walk->start, walked_by(walk, limits));
    }
}

/* Pages to ask for at once: what is left of the footprint; or behind it more each time. */
static uint64_t next_run(const struct walks *walks, struct walk *walk, uint64_t position,
                         const struct walk_limits *limits)
{
    uint64_t come = position - walk->start, most = limits->longest;

    if (limits->is_certain) {
        walk->run = limits->longest;
        return walk->run;
    }
    if (come < walk->known) {
        return smaller(walk->run, walk->known - come);
    }
    if (walk->at - walk->start < walk->known) {
        walk->run = limits->unit;
    }
    if (walks->doubts > 0) {
        most = smaller(most, come);
    }
    if (walk->steps >= walks->doubts) {
        walk->run = (uint32_t)smaller((uint64_t)walk->run * GROWTH, most);
    }
    return walk->run;
}

static struct walk_plan miss_in_order(struct walks *walks, struct walk *walk, uint64_t position,
                                      const struct walk_limits *limits)
{
    struct walk_plan plan = {0};
    uint64_t run = next_run(walks, walk, position, limits);

    come_to(walks, walk, position, limits);
    if (walked_by(walk, limits) > (uint64_t)limits->longest * AHEAD_RANGES) {
        walks->doubts = 0; /* who comes so far goes on */
    }
    plan_now(walk, limits, position, run, &plan);
    if (walk->next < position + plan.count) {
        walk->next = position + plan.count;
    }
    ahead_in_order(walks, walk, limits, &plan);
    return plan;
}

static bool goes_on_in_order(const struct walk *walk, uint64_t position,
                             const struct walk_limits *limits)
{
    return position > walk->at && position <= walk->next &&
           (position == walk->next || !limits->is_exact);
}

/* --- with a stride --- */

/* Runs that it may ask for ahead, after so many that it came over. */
static uint64_t earned_runs(const struct walks *walks, const struct walk *walk, uint64_t walked)
{
    uint64_t since;

    if (walk->losses == 0) {
        return walks->doubts == 0 ? walked * AHEAD_TIMES : walked;
    }
    since = (walk->at - walk->lost_at) / walk->stride;
    return since >= PROOF_RUNS << walk->losses ? since / PROOF_SHARE : 0;
}

static void ahead_with_stride(const struct walks *walks, struct walk *walk,
                              const struct walk_limits *limits, struct walk_plan *plan)
{
    uint64_t walked = (walk->at - walk->start) / walk->stride + 1;
    uint64_t most = smaller((uint64_t)limits->longest * AHEAD_RANGES, limits->room) / walk->run;
    uint64_t runs = smaller(smaller(earned_runs(walks, walk, walked), AHEAD_RUNS), most);
    uint64_t wanted = walk->start + (walked + runs) * walk->stride;

    /* Half of them at a time: single ones would cost a look at each fault. */
    if (walk->next + runs / 2 * walk->stride < wanted) {
        plan_ahead(walk, limits, (wanted - walk->next) / walk->stride, plan);
    }
}

static uint64_t place_in_run(const struct walk *walk, uint64_t position)
{
    return (position - walk->start) % walk->stride;
}

static bool goes_on_with_stride(const struct walk *walk, uint64_t position)
{
    return position > walk->at && position < walk->next + walk->stride &&
           place_in_run(walk, position) <= walk->run;
}

static struct walk_plan miss_with_stride(const struct walks *walks, struct walk *walk,
                                         uint64_t position, const struct walk_limits *limits)
{
    struct walk_plan plan = {0};
    uint64_t place = place_in_run(walk, position), behind = position - place + walk->stride;

    walk->steps++;
    walk->at = position;
    if (place == walk->run) { /* the runs are longer than they seemed */
        uint32_t more = walk->run > 1 ? walk->run / 2 : 1;

        walk->run += more;
        plan_now(walk, limits, position, more, &plan);
        if (walk->run >= walk->stride || walk->run > limits->longest) {
            walk->stride = 0;
            walk->run = more;
            walk->start = position;
            walk->next = position + plan.count;
            return plan;
        }
    } else {
        plan_now(walk, limits, position, walk->run - place, &plan);
    }
    walk->next = walk->next > behind ? walk->next : behind;
    ahead_with_stride(walks, walk, limits, &plan);
    return plan;
}

/* Is it the lane beside that of a walk which has come some way? */
static bool is_next_lane(const struct walk *walk, uint64_t position)
{
    return position == walk->start + walk->run && (walk->at - walk->start) / walk->stride >= 3;
}

static struct walk_plan begin_lane(const struct walks *walks, struct walk *walk, uint64_t position,
                                   const struct walk_limits *limits)
{
    struct walk_plan plan = {0};
    uint64_t widest = smaller(smaller(walk->stride - 1, LANE_MAX), limits->longest);

    walk->run = (uint32_t)smaller((uint64_t)walk->run * GROWTH, widest);
    walk->start = walk->at = walk->lost_at = position;
    walk->next = position + walk->stride;
    plan_now(walk, limits, position, walk->run, &plan);
    ahead_with_stride(walks, walk, limits, &plan);
    return plan;
}

/* --- which walk --- */

/* The walk that a fault at the page goes on with; NULL for none. */
static struct walk *find_walk(struct walks *walks, uint64_t page, const struct walk_limits *limits)
{
    for (uint32_t i = 0; i < WALKS; i++) {
        struct walk *walk = &walks->list[i];
        uint64_t position = position_of(walk, page);

        if (walk->run != 0 && (walk->stride != 0 ? goes_on_with_stride(walk, position)
                                                 : goes_on_in_order(walk, position, limits))) {
            return walk;
        }
        if (walk->stride == 0 && limits->unit == 1 && !limits->is_certain && walk->steps == 0 &&
            page + 1 == walk->at) { /* its second step is back */
            *walk = (struct walk){.jump = walk->jump, .run = 1, .is_backward = true};
            walk->start = walk->at = WALK_TOP - (page + 1);
            walk->next = walk->at + 1;
            return walk;
        }
    }
    return NULL;
}

static struct walk *find_lane(struct walks *walks, uint64_t page)
{
    for (uint32_t i = 0; i < WALKS; i++) {
        struct walk *walk = &walks->list[i];

        if (walk->run != 0 && walk->stride != 0 && is_next_lane(walk, position_of(walk, page))) {
            return walk;
        }
    }
    return NULL;
}

/* The page at which a walk began. */
static uint64_t first_page(const struct walk *walk)
{
    return walk->is_backward ? WALK_TOP - walk->start : walk->start;
}

/* The walk whose begin is nearest, if it is near at all. */
static const struct walk *find_nearest(const struct walks *walks, uint64_t page, int64_t *jump)
{
    const struct walk *nearest = NULL;
    uint64_t best = JUMP_MAX;

    for (uint32_t i = 0; i < WALKS; i++) {
        const struct walk *walk = &walks->list[i];
        int64_t distance = (int64_t)(page - first_page(walk));
        uint64_t size = (uint64_t)(distance < 0 ? -distance : distance);

        if (walk->run != 0 && walk->stride == 0 && size > 1 && size <= best) {
            nearest = walk;
            best = size;
            *jump = distance;
        }
    }
    return nearest;
}

/* A walk is given up for another one: had it asked for more than it used? */
static void judge(struct walks *walks, const struct walk *walk, const struct walk_limits *limits)
{
    uint64_t walked, asked;

    if (walk->run == 0 || walk->run <= limits->unit || walk->losses > 0) {
        return;
    }
    walked = larger(walked_by(walk, limits), walk->known);
    asked = walk->next > walk->at ? walk->next - walk->at : 0;
    if (walk->stride == 0 && asked > walked) {
        walks->doubts += walks->doubts < DOUBTS_MAX;
    } else {
        walks->doubts -= walks->doubts > 0;
    }
}

/* Which is to give way to one that begins at the page: one that began there too, or the oldest. */
static struct walk *walk_to_end(struct walks *walks, uint64_t page)
{
    struct walk *oldest = &walks->list[0];

    for (uint32_t i = 0; i < WALKS; i++) {
        struct walk *walk = &walks->list[i];

        if (walk->run != 0 && walk->stride == 0 && first_page(walk) == page) {
            return walk;
        }
        if (walk->used < oldest->used) {
            oldest = walk;
        }
    }
    return oldest;
}

/* At once as far as its footprint goes, if it has one; or as if it had come some way. */
static void begin_in_order(struct walks *walks, struct walk *walk, const struct walk_limits *limits,
                           struct walk_plan *plan)
{
    uint32_t known = footprints_tell(&walks->footprints, walk->start);

    walk->known = known - known % limits->unit;
    walk->run = limits->unit;
    if (limits->is_certain) {
        walk->run = limits->longest;
    } else if (walk->known > limits->unit) {
        walk->run = (uint32_t)smaller(walk->known, limits->longest);
    }
    if (walk->run > limits->unit) {
        plan_now(walk, limits, walk->start, walk->run, plan);
        walk->next = walk->start + plan->count;
        ahead_in_order(walks, walk, limits, plan);
    }
}

/* Nobody was expected here: it may begin a walk, or be the third step of one with a stride. */
static struct walk_plan begin_walk(struct walks *walks, uint64_t page,
                                   const struct walk_limits *limits)
{
    int64_t jump = 0;
    bool may_stride = limits->unit == 1 && !limits->is_certain;
    const struct walk *nearest = may_stride ? find_nearest(walks, page, &jump) : NULL;
    bool has_stride = nearest != NULL && nearest->jump == jump;
    uint32_t run = has_stride ? (uint32_t)(nearest->at - nearest->start + 1) : limits->unit;
    struct walk *walk = walk_to_end(walks, page);
    struct walk_plan plan = {.page = page, .count = limits->unit};

    judge(walks, walk, limits);
    *walk = (struct walk){.jump = jump, .run = run, .used = ++walks->clock};
    walk->is_backward = has_stride && jump < 0 && run == 1;
    walk->start = walk->at = position_of(walk, page);
    walk->next = walk->start + limits->unit;
    if (has_stride && (walk->is_backward || (jump > 0 && run < (uint64_t)jump))) {
        walk->stride = (uint64_t)(jump < 0 ? -jump : jump);
        walk->next = walk->start + walk->stride;
        plan_now(walk, limits, walk->start, run, &plan);
        ahead_with_stride(walks, walk, limits, &plan);
    } else {
        begin_in_order(walks, walk, limits, &plan);
    }
    return plan;
}

struct walk_plan walks_on_miss(struct walks *walks, uint64_t page, const struct walk_limits *limits)
{
    struct walk *walk;

    if (is_off(limits)) {
        return (struct walk_plan){.page = page, .count = limits->unit};
    }
    walk = find_walk(walks, page, limits);
    if (walk != NULL) {
        walk->used = ++walks->clock;
        return walk->stride != 0 ? miss_with_stride(walks, walk, position_of(walk, page), limits)
                                 : miss_in_order(walks, walk, position_of(walk, page), limits);
    }
    walk = find_lane(walks, page);
    if (walk != NULL) {
        walk->used = ++walks->clock;
        return begin_lane(walks, walk, position_of(walk, page), limits);
    }
    return begin_walk(walks, page, limits);
}

/* Where begins what it asks for without having come to it, or known that it will. */
static uint64_t ahead_of(const struct walk *walk)
{
    return walk->stride != 0 ? walk->at - place_in_run(walk, walk->at) + walk->stride
                             : larger(walk->at + 1, walk->start + walk->known);
}

/* Are any of positions [first, end) among what it has asked for ahead? */
static bool has_asked_for(const struct walk *walk, uint64_t first, uint64_t end)
{
    first = larger(first, ahead_of(walk));
    end = smaller(end, walk->next);
    return first < end && (walk->stride == 0 || place_in_run(walk, first) < walk->run ||
                           place_in_run(walk, first) + (end - first) > walk->stride);
}

void walks_on_loss(struct walks *walks, uint64_t page, uint64_t count)
{
    for (uint32_t i = 0; i < WALKS; i++) {
        struct walk *walk = &walks->list[i];
        uint64_t first = position_of(walk, walk->is_backward ? page + count - 1 : page);

        if (walk->run == 0 || !has_asked_for(walk, first, first + count)) {
            continue;
        }
        walk->next = ahead_of(walk);
        walk->lost_at = walk->at;
        walk->losses += walk->losses < LOSSES_MAX;
        walks->doubts += walks->doubts < DOUBTS_MAX;
    }
}

void walks_cut(struct walks *walks, uint64_t asked, uint64_t got)
{
    for (uint32_t i = 0; i < WALKS; i++) {
        struct walk *walk = &walks->list[i];

        if (walk->stride == 0 && !walk->is_backward && walk->next == asked) {
            walk->next = got;
        }
    }
}

struct walk_plan walks_on_wait(struct walks *walks, uint64_t page, const struct walk_limits *limits)
{
    struct walk_plan plan = {.page = page};
    struct walk *walk = is_off(limits) ? NULL : find_walk(walks, page, limits);

    if (walk == NULL) {
        return plan;
    }
    walk->used = ++walks->clock;
    if (walk->stride != 0) {
        walk->steps++;
        walk->at = position_of(walk, page);
        ahead_with_stride(walks, walk, limits, &plan);
    } else {
        come_to(walks, walk, position_of(walk, page), limits);
        ahead_in_order(walks, walk, limits, &plan);
    }
    return plan;
}
