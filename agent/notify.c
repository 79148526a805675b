/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/notify.h"

#include <stdint.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "agent/log.h"

static void on_time(uv_timer_t *timer)
{
    (void)timer;
    sd_notify(0, "WATCHDOG=1");
}

void notify_init(struct notify *notify, uv_loop_t *loop)
{
    uint64_t interval_us = 0;
    uint64_t half_ms;

    if (sd_watchdog_enabled(0, &interval_us) <= 0) {
        return;
    }
    /* Twice in every interval, as sd_watchdog_enabled(3) advises. */
    half_ms = interval_us / 2000;
    if (half_ms == 0) {
        half_ms = 1;
    }
    uv_timer_init(loop, &notify->timer);
    uv_timer_start(&notify->timer, on_time, 0, half_ms);
    notify->is_started = 1;
}

void notify_close(struct notify *notify)
{
    if (notify->is_started) {
        uv_close((uv_handle_t *)&notify->timer, NULL);
        notify->is_started = 0;
    }
}

void notify_ready(const char *status)
{
    int result = sd_notifyf(0, "READY=1\nSTATUS=%s", status);

    if (result < 0) {
        log_line(LOG_LEVEL_WARNING,
                 "systemd cannot be told that the agent is ready, and will end it error=\"%s\"",
                 strerror(-result));
    }
}

void notify_status(const char *status)
{
    sd_notifyf(0, "STATUS=%s", status);
}

void notify_stopping(void)
{
    sd_notify(0, "STOPPING=1\nSTATUS=stopping");
}
