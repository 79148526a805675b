/* SPDX-License-Identifier: Apache-2.0 */
/** The agent's log: one line per event that a person would act on, `what key=value`, to stderr. */
#ifndef DSM_AGENT_LOG_H
#define DSM_AGENT_LOG_H

#include <stdint.h>

/**
 * Priorities as in syslog; the "<N>" prefix that journald reads is written when stderr is its
 * stream.
 */
enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6 };

/**
 * Bounds how often lines are written that a peer or a program can cause: a token bucket of its
 * own.
 */
struct log_limit {
    uint64_t last_ms;
    uint32_t tokens;
    uint32_t suppressed;
};

/** Write one line. Never page contents, keys or certificates. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/**
 * The same for lines that others cause: 5 at once, then one a second; tells how many were left
 * out.
 */
void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
