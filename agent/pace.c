/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pace.h"

void pace_init(struct pace *pace, uint64_t spin_us, uint64_t now_ns)
{
    *pace = (struct pace){
        .spin_ns = spin_us * 1000, .idle_ns = now_ns, .needed = PACE_NEEDED_MIN};
}

/** Polling does not pay: it takes more to begin again. */
static void polling_end(struct pace *pace)
{
    pace->is_polling = false;
    pace->short_waits = 0;
    pace->needed = pace->needed * 2 < PACE_NEEDED_MAX ? pace->needed * 2 : PACE_NEEDED_MAX;
}

static void poll_end(struct pace *pace)
{
    pace->is_over = true;
    pace->unpaid++;
    if (pace->unpaid >= PACE_UNPAID_MAX) {
        polling_end(pace);
    }
}

enum pace_step pace_next(struct pace *pace, uint64_t now_ns, bool is_holding)
{
    bool is_crowded = now_ns < pace->crowded_ns;

    if (is_holding && !pace->has_held) {
        pace->held_ns = now_ns;
    }
    pace->has_held = is_holding;
    if (is_holding && now_ns - pace->held_ns >= PACE_HOLD_NS) {
        return PACE_FLUSH;
    }
    pace->begun_ns = now_ns;
    if (pace->is_polling && !pace->is_over) {
        if (!pace->is_away && now_ns - pace->idle_ns < pace->spin_ns) {
            return PACE_LOOK;
        }
        poll_end(pace);
    }
    if (!is_holding) {
        return PACE_SLEEP;
    }
    /* Who has just got his page may want the next one at once. */
    return pace->has_looked || is_crowded ? PACE_FLUSH : PACE_LOOK;
}

void pace_on_back(struct pace *pace, uint64_t now_ns)
{
    uint64_t away_ns = now_ns - pace->begun_ns;

    pace->is_away = away_ns > PACE_AWAY_NS;
    if (away_ns > PACE_AWAY_LONG_NS) {
        pace->crowded_ns = now_ns + PACE_CROWDED * away_ns;
        polling_end(pace);
    }
}

/** An event came: did it come soon enough, and what has polling to do with it? */
static void judge(struct pace *pace, uint64_t now_ns)
{
    if (pace->is_polling && !pace->is_over) {
        if (!pace->is_away) { /* else it would have come to a sleeper as soon */
            pace->unpaid = 0;
            pace->needed = PACE_NEEDED_MIN;
        }
    } else if (now_ns - pace->idle_ns > PACE_SHORT * pace->spin_ns) {
        pace->short_waits = 0;
    } else if (!pace->is_polling && ++pace->short_waits >= pace->needed) {
        pace->is_polling = now_ns >= pace->crowded_ns;
        pace->unpaid = 0;
    }
}

void pace_on_look(struct pace *pace, uint64_t now_ns, bool has_come)
{
    pace->has_looked = true;
    if (has_come) {
        judge(pace, now_ns);
        pace->idle_ns = now_ns;
        pace->is_over = false;
        pace->is_away = false;
        pace->has_looked = false;
    }
}
