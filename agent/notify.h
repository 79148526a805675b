/* SPDX-License-Identifier: Apache-2.0 */
/** What the service manager is told (sd_notify(3)); nothing happens where there is none. */
#ifndef DSM_AGENT_NOTIFY_H
#define DSM_AGENT_NOTIFY_H

#include <uv.h>

/** The watchdog's timer; all zero: not started. */
struct notify {
    uv_timer_t timer;
    int is_started;
};

/** Start telling the watchdog that the loop turns, if the service manager wants to hear it. */
void notify_init(struct notify *notify, uv_loop_t *loop);
/** Stop it; the timer is closed through the loop. */
void notify_close(struct notify *notify);
/** The agent serves programs now. */
void notify_ready(const char *status);
/** One line on what it is doing. */
void notify_status(const char *status);
/** The agent is about to end. */
void notify_stopping(void);

#endif
