/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The anti-thrash window: how long a page that has just come stays with the threads that asked for
 * it, when another node wants it already (Mirage's delta: Fleisch & Popek 1989). FORWARD or
 * INVALIDATE is put off until the turn ends (page_defer.c); who waits elsewhere stays in the home's
 * line.
 *
 * A page that two nodes write as fast as they can moves at each message, and most of the time it is
 * on its way: both get more done when it stays. A page that is handed over because its holder is
 * done with it must go at once. Which of the two it is cannot be told from the messages, but from
 * the bytes: did they change after somebody else had asked?
 *
 * T1 A turn puts a message off only for a page that came within BOUNCE_MS before it (and the
 *    window), and never beyond the region's bound from the grant on, or HOLD_MS from now on.
 * T2 The window is learnt page by page. It begins at 0: the page goes at once. Now and then a turn
 *    is tried that lasts HOLD_MS. When the bytes changed between the message's coming and the
 *    turn's end, the window doubles, up to the region's bound; when they did not, it is halved,
 *    and at 0 the trials become rarer (from one in GAP_MIN turns to one in GAP_MAX).
 * T3 Only who may write to a page has such a turn: of a reader nobody knows whether it reads.
 * T4 Of two turns of the home's own threads at a page that others wait for, one lasts HOLD_MS,
 *    whatever the window is. A page that was granted elsewhere stays for a round trip; here it
 *    would be gone before the thread that has waited for it runs, every time.
 */
#include "dsm/core/group.h"

/** A thread's turn at least, where it gets one; a trial. */
#define HOLD_MS 1u
/** The bound of a region that names none. */
#define WINDOW_MS_USUAL 4u
/** A page has just come for so long. */
#define BOUNCE_MS 10u
/** Turns from one trial to the next. */
#define GAP_MIN 4u
#define GAP_MAX 1024u
/** What bounces is remembered for so long after its last turn, if there is room. */
#define MEMORY_MS 1000u
/** So often in one second: worth telling. */
#define BOUNCE_MANY 50u

uint32_t turn_bound_ms(const struct region *region)
{
    uint32_t window_ms = region->record.window_ms;

    if (window_ms == DSM_WINDOW_NONE) {
        return 0;
    }
    return window_ms != 0 && window_ms <= DSM_WINDOW_MS_MAX ? window_ms : WINDOW_MS_USUAL;
}

/* The latest turn at any of the pages, or at one that shares a group with them; NULL: none. */
static struct turn *find_turn(const struct pages *pages, const struct region *region, uint64_t page,
                              uint32_t count)
{
    struct page_span span = pages_around(pages, region, page, count);
    const struct turn *found = NULL;

    for (uint32_t i = 0; i < TURNS; i++) {
        const struct turn *turn = &pages->turns[i];

        if (turn->page - span.page < span.count &&
            region_id_equal(turn->region, region->record.id) &&
            (found == NULL || turn->granted_ms > found->granted_ms)) {
            found = turn;
        }
    }
    return (struct turn *)(uintptr_t)found;
}

bool turn_is_young(const struct pages *pages, const struct region *region, uint64_t page,
                   uint32_t grace_ms)
{
    const struct turn *turn = find_turn(pages, region, page, 1);

    return turn != NULL && pages->context->now_ms < turn->granted_ms + grace_ms;
}

/* Whose memory is the least loss: the oldest that does not bounce, or else the oldest. */
static struct turn *oldest_turn(struct pages *pages)
{
    uint64_t now_ms = pages->context->now_ms;
    struct turn *oldest = &pages->turns[0];
    bool bounces = true;

    for (uint32_t i = 0; i < TURNS; i++) {
        struct turn *turn = &pages->turns[i];
        bool other_bounces = turn->gap != 0 && now_ms < turn->granted_ms + MEMORY_MS;

        if (other_bounces < bounces ||
            (other_bounces == bounces && turn->granted_ms < oldest->granted_ms)) {
            oldest = turn;
            bounces = other_bounces;
        }
    }
    return oldest;
}

void turn_begin(struct pages *pages, const struct page_request *request, bool has_threads)
{
    struct turn *turn = NULL;

    for (uint32_t i = 0; i < TURNS && turn == NULL; i++) {
        if (pages->turns[i].page == request->page &&
            region_id_equal(pages->turns[i].region, request->region->record.id)) {
            turn = &pages->turns[i];
        }
    }
    if (turn == NULL) {
        turn = oldest_turn(pages);
        *turn = (struct turn){.region = request->region->record.id, .page = request->page};
    }
    turn->granted_ms = pages->context->now_ms;
    turn->has_threads = has_threads;
    turn->is_watched = false;
}

/* Count it, and tell of a page that other nodes want again and again before it is used here. */
static void note_bounce(struct pages *pages, struct turn *turn, const struct region *region,
                        const struct message *message)
{
    uint64_t now_ms = pages->context->now_ms;
    struct action *action;

    pages->context->counters.bounces++;
    if (turn->gap == 0) {
        turn->gap = GAP_MIN;
        turn->skip = GAP_MIN;
    }
    if (now_ms >= turn->second_ms + 1000) {
        turn->second_ms = now_ms;
        turn->count = 0;
        turn->is_told = false;
    }
    turn->count++;
    if (turn->count < BOUNCE_MANY || turn->is_told ||
        (turn->window_ms == 0 && turn_bound_ms(region) != 0)) {
        return;
    }
    turn->is_told = true;
    action = context_act_range(pages->context, ACTION_BOUNCE, turn->region, turn->page,
                               turn->count);
    action->node = message->requester;
}

/* Of the page, or of its group, when all of it may be written to here. */
static bool ask_digest(struct pages *pages, const struct turn *turn, const struct region *region,
                       bool is_end)
{
    struct page_span span = pages_group(pages, region, turn->page);

    for (uint64_t i = 0; i < span.count; i++) {
        const struct page *page =
            directory_find(&pages->directory, region->record.id.slot, span.page + i);

        if (page == NULL || page->state != PAGE_WRITE) {
            return false;
        }
    }
    context_act_range(pages->context, ACTION_DIGEST, turn->region, span.page,
                      (uint32_t)span.count)
        ->write = is_end;
    return true;
}

/* The window of a page that may be written to here (T1, T2), now_ms for none. */
static uint64_t window_until(struct pages *pages, struct turn *turn, const struct region *region)
{
    uint64_t now_ms = pages->context->now_ms;
    uint32_t bound_ms = turn_bound_ms(region);
    uint32_t window_ms = turn->window_ms < bound_ms ? turn->window_ms : bound_ms;
    uint64_t until_ms = turn->granted_ms + window_ms;

    if (bound_ms == 0) {
        return now_ms;
    }
    if (turn->window_ms == 0) {
        turn->skip--;
        if (turn->skip > 0) {
            return now_ms;
        }
        turn->skip = turn->gap;
        until_ms = now_ms + HOLD_MS;
    }
    if (until_ms <= now_ms || !ask_digest(pages, turn, region, false)) {
        return now_ms;
    }
    turn->is_watched = true;
    return until_ms;
}

/* T4 */
static bool has_not_run(const struct pages *pages, struct turn *turn, const struct message *message)
{
    bool could_not = turn->has_threads && turn->granted_ms == pages->context->now_ms &&
                     message->from == pages->context->config.self &&
                     (message->flags & FLAG_WAITED) != 0;

    if (could_not) {
        turn->was_short = !turn->was_short;
    }
    return could_not && !turn->was_short;
}

uint64_t turn_until(struct pages *pages, const struct message *message)
{
    const struct region *region = context_region(pages->context, message->region);
    uint64_t now_ms = pages->context->now_ms, until_ms = now_ms;
    struct turn *turn =
        region != NULL ? find_turn(pages, region, message->page, message->count) : NULL;
    const struct page *page;
    bool writes;

    if (turn == NULL || now_ms > turn->granted_ms + turn->window_ms + BOUNCE_MS) {
        return now_ms;
    }
    page = directory_find(&pages->directory, message->region.slot, turn->page);
    writes = page != NULL && page->state == PAGE_WRITE;
    if (!writes && message->kind == MESSAGE_FORWARD && (message->flags & FLAG_WRITE) == 0) {
        return now_ms; /* a reader more: nothing is taken away */
    }
    note_bounce(pages, turn, region, message);
    if (writes) { /* T3 */
        until_ms = window_until(pages, turn, region);
    }
    if (has_not_run(pages, turn, message) && until_ms < now_ms + HOLD_MS) {
        until_ms = now_ms + HOLD_MS;
    }
    pages->context->counters.holds += until_ms > now_ms;
    return until_ms;
}

void turn_end(struct pages *pages, const struct message *message)
{
    const struct region *region = context_region(pages->context, message->region);
    struct turn *turn =
        region != NULL ? find_turn(pages, region, message->page, message->count) : NULL;

    if (turn != NULL && turn->is_watched) {
        turn->is_watched = ask_digest(pages, turn, region, true);
    }
}

/* Were the bytes changed while others waited for them (T2)? */
static void learn(struct turn *turn, const struct region *region, bool was_used)
{
    uint32_t longer_ms = turn->window_ms != 0 ? turn->window_ms * 2u : HOLD_MS;
    uint32_t bound_ms = turn_bound_ms(region);

    if (was_used) {
        turn->window_ms = (uint16_t)(longer_ms < bound_ms ? longer_ms : bound_ms);
        turn->gap = GAP_MIN;
    } else {
        turn->window_ms /= 2;
        if (turn->window_ms == 0) {
            turn->gap = (uint16_t)(turn->gap < GAP_MAX ? turn->gap * 2u : GAP_MAX);
        }
    }
    turn->skip = turn->gap;
}

void pages_on_digest(struct pages *pages, region_id id, uint64_t page, uint64_t digest, bool is_end)
{
    const struct region *region = context_region(pages->context, id);
    struct turn *turn = region != NULL ? find_turn(pages, region, page, 1) : NULL;

    if (turn == NULL || !turn->is_watched) {
        return;
    }
    if (!is_end) {
        turn->digest = digest;
        return;
    }
    turn->is_watched = false;
    learn(turn, region, turn->digest != digest);
}
