/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/core/walk.h"

#include <stddef.h>

/** No page is here; a walk backwards is one forwards that counts from here. */
#define WALK_TOP (UINT64_C(1) << 62)
/** Longest requests that are asked for ahead of a walk in order, and runs of one with a stride. */
#define AHEAD_RANGES 4u
#define AHEAD_RUNS 64u
/** A walk asks for so many times more than it has come, ... */
#define AHEAD_TIMES 4u
/** ... and for so many pages more than the request before. */
#define GROWTH 4u
/** Walks whose begins are further apart have nothing in common. */
#define JUMP_MAX (INT64_C(1) << 14)
/** Pages of a lane at most. */
#define LANE_MAX 64u
#define DOUBTS_MAX 4u

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

/* It goes on at a position: ask ahead by whole requests, as far as it has earned. */
static void ahead_in_order(struct walk *walk, const struct walk_limits *limits,
                           struct walk_plan *plan)
{
    uint64_t walked = walk->at - walk->start + limits->unit;
    uint64_t most = smaller((uint64_t)limits->longest * AHEAD_RANGES, limits->room);
    uint64_t earned = limits->is_certain ? most : smaller(walked * AHEAD_TIMES, most);
    uint64_t wanted = walk->at + walk->run + earned;

    if (walk->run == limits->longest && walk->next + walk->run <= wanted) {
        plan_ahead(walk, limits, (wanted - walk->next) / walk->run, plan);
    }
}

static struct walk_plan miss_in_order(struct walks *walks, struct walk *walk, uint64_t position,
                                      const struct walk_limits *limits)
{
    struct walk_plan plan = {0};

    walk->steps++;
    if (walk->steps > walks->doubts) {
        walk->run = (uint32_t)smaller((uint64_t)walk->run * GROWTH, limits->longest);
    }
    walk->at = position;
    plan_now(walk, limits, position, walk->run, &plan);
    if (walk->next < position + plan.count) {
        walk->next = position + plan.count;
    }
    ahead_in_order(walk, limits, &plan);
    return plan;
}

static bool goes_on_in_order(const struct walk *walk, uint64_t position,
                             const struct walk_limits *limits)
{
    return position > walk->at && position <= walk->next &&
           (position == walk->next || !limits->is_exact);
}

/* --- with a stride --- */

static void ahead_with_stride(struct walk *walk, const struct walk_limits *limits,
                              struct walk_plan *plan)
{
    uint64_t walked = (walk->at - walk->start) / walk->stride + 1;
    uint64_t most = smaller((uint64_t)limits->longest * AHEAD_RANGES, limits->room) / walk->run;
    uint64_t runs = smaller(smaller(walked * AHEAD_TIMES, AHEAD_RUNS), most);
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

static struct walk_plan miss_with_stride(struct walk *walk, uint64_t position,
                                         const struct walk_limits *limits)
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
    ahead_with_stride(walk, limits, &plan);
    return plan;
}

/* Is it the lane beside that of a walk which has come some way? */
static bool is_next_lane(const struct walk *walk, uint64_t position)
{
    return position == walk->start + walk->run && (walk->at - walk->start) / walk->stride >= 3;
}

static struct walk_plan begin_lane(struct walk *walk, uint64_t position,
                                   const struct walk_limits *limits)
{
    struct walk_plan plan = {0};
    uint64_t widest = smaller(smaller(walk->stride - 1, LANE_MAX), limits->longest);

    walk->run = (uint32_t)smaller((uint64_t)walk->run * GROWTH, widest);
    walk->start = walk->at = position;
    walk->next = position + walk->stride;
    plan_now(walk, limits, position, walk->run, &plan);
    ahead_with_stride(walk, limits, &plan);
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
        if (walk->run == limits->unit && limits->unit == 1 && walk->steps == 0 &&
            !walk->is_backward && page + 1 == walk->at) { /* its second step is back */
            walk->is_backward = true;
            walk->start = walk->at = WALK_TOP - walk->at;
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

        if (walk->run != 0 && walk->stride == 0 && distance != 0 && size <= best) {
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

    if (walk->run == 0 || walk->run <= limits->unit) {
        return;
    }
    walked = walk->at - walk->start + limits->unit;
    asked = walk->next > walk->at ? walk->next - walk->at : 0;
    if (walk->stride == 0 && asked > walked) {
        walks->doubts += walks->doubts < DOUBTS_MAX;
    } else {
        walks->doubts = 0;
    }
}

static struct walk *oldest_walk(struct walks *walks)
{
    struct walk *oldest = &walks->list[0];

    for (uint32_t i = 1; i < WALKS; i++) {
        if (walks->list[i].used < oldest->used) {
            oldest = &walks->list[i];
        }
    }
    return oldest;
}

/* It is known to be in order: as if it had come some way. */
static void begin_in_order(struct walk *walk, const struct walk_limits *limits,
                           struct walk_plan *plan)
{
    walk->run = limits->longest;
    plan_now(walk, limits, walk->start, walk->run, plan);
    walk->next = walk->start + plan->count;
    ahead_in_order(walk, limits, plan);
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
    struct walk *walk = oldest_walk(walks);
    struct walk_plan plan = {.page = page, .count = limits->unit};

    judge(walks, walk, limits);
    *walk = (struct walk){.jump = jump, .run = run, .used = ++walks->clock};
    walk->is_backward = has_stride && jump < 0 && run == 1;
    walk->start = walk->at = position_of(walk, page);
    walk->next = walk->start + limits->unit;
    if (limits->is_certain) {
        begin_in_order(walk, limits, &plan);
    } else if (has_stride && (walk->is_backward || (jump > 0 && run < (uint64_t)jump))) {
        walk->stride = (uint64_t)(jump < 0 ? -jump : jump);
        walk->next = walk->start + walk->stride;
        plan_now(walk, limits, walk->start, run, &plan);
        ahead_with_stride(walk, limits, &plan);
    } else {
        walk->run = limits->unit;
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
        return walk->stride != 0 ? miss_with_stride(walk, position_of(walk, page), limits)
                                 : miss_in_order(walks, walk, position_of(walk, page), limits);
    }
    walk = find_lane(walks, page);
    if (walk != NULL) {
        walk->used = ++walks->clock;
        return begin_lane(walk, position_of(walk, page), limits);
    }
    return begin_walk(walks, page, limits);
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
    walk->steps++;
    walk->at = position_of(walk, page);
    if (walk->stride != 0) {
        ahead_with_stride(walk, limits, &plan);
    } else {
        ahead_in_order(walk, limits, &plan);
    }
    return plan;
}
