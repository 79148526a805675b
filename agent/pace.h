/* SPDX-License-Identifier: Apache-2.0 */
/**
 * How the agent's loop waits for what comes next: it polls for a short while where that has paid,
 * and sleeps otherwise; what is held back for company (peers.h) leaves before it sleeps. Pure: the
 * time comes in with each call, what to do goes out; agent.c does it.
 *
 * Polling saves the time that a sleeping CPU takes to wake, which on many machines is more than all
 * the work of a page fault. It is worth nothing when nothing comes, and does harm when somebody
 * else wants the CPU. So it begins when several waits in a row were short, and gives the CPU up
 * between two looks. A poll that ran out, or during which others took the CPU and nothing came for
 * us, did not pay; after PACE_UNPAID_MAX of them in a row polling ends, and takes twice as many
 * short waits to begin again as the last time.
 *
 * A short sleep by a timer is no third way: setting and clearing one costs as much as a message
 * where the clock is the hypervisor's (8 us each, KVM).
 */
#ifndef DSM_AGENT_PACE_H
#define DSM_AGENT_PACE_H

#include <stdbool.h>
#include <stdint.h>

/** What is held back leaves so long after it was first seen, however busy the loop is. */
#define PACE_HOLD_NS UINT64_C(50000)
/** A wait is short up to so many times the longest poll: asleep it includes waking up. */
#define PACE_SHORT 4u
/** Short waits in a row before polling begins. */
#define PACE_NEEDED_MIN 2u
#define PACE_NEEDED_MAX 4096u
/** Polls in a row that may not pay. */
#define PACE_UNPAID_MAX 4u
/** Who gives up the CPU and has it back later than this has let somebody else run ... */
#define PACE_AWAY_NS UINT64_C(10000)
/** ... and later than this, somebody who computes: so many times as long nothing is given up any
 * more, so that less than one event of a hundred waits for him. */
#define PACE_AWAY_LONG_NS UINT64_C(500000)
#define PACE_CROWDED 128u

enum pace_step {
    PACE_LOOK = 1, /* look at who was answered last; if nothing is there, give up the CPU,
                      pace_on_back(), and look without waiting; pace_on_look() */
    PACE_FLUSH,    /* send what is held back */
    PACE_SLEEP,    /* wait for as long as it takes, pace_on_look() */
};

struct pace {
    uint64_t spin_ns;    /* the longest poll, 0: none at all */
    uint64_t idle_ns;    /* when the last event had been handled */
    uint64_t begun_ns;   /* when the CPU was given up */
    uint64_t held_ns;    /* since when something is held back */
    uint64_t crowded_ns; /* until then the CPU is not given up */
    uint32_t needed, short_waits, unpaid;
    bool is_polling; /* polling pays at present ... */
    bool is_over;    /* ... but not any more in this wait */
    bool is_away;    /* others ran since the last look */
    bool has_looked; /* since the last event */
    bool has_held;
};

/** @spin_us the longest poll, 0: never poll */
void pace_init(struct pace *pace, uint64_t spin_us, uint64_t now_ns);
/** What to do now. `is_holding`: messages are held back. */
enum pace_step pace_next(struct pace *pace, uint64_t now_ns, bool is_holding);
/** The CPU was given up and is back. */
void pace_on_back(struct pace *pace, uint64_t now_ns);
/** It was looked, and what had come was handled by now. */
void pace_on_look(struct pace *pace, uint64_t now_ns, bool has_come);

#endif
