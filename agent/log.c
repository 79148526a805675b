/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 2048u
#define LIMIT_TOKENS 5u
#define LIMIT_MS 1000u

/* journald names the stream that it reads in JOURNAL_STREAM; only that stream wants "<N>". */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    char own[64];

    if (stream == NULL || fstat(STDERR_FILENO, &status) != 0) {
        return false;
    }
    snprintf(own, sizeof(own), "%" PRIuMAX ":%" PRIuMAX, (uintmax_t)status.st_dev,
             (uintmax_t)status.st_ino);
    return strcmp(stream, own) == 0;
}

/* One write(2) for the whole line, so that lines of several processes do not mix. */
static void write_line(enum log_level level, const char *format, va_list arguments,
                       uint32_t suppressed)
{
    char line[LINE_BYTES];
    size_t start = 0, len;
    int printed;

    if (stderr_is_journal()) {
        start = (size_t)snprintf(line, sizeof(line), "<%d>", (int)level);
    }
    printed = vsnprintf(line + start, sizeof(line) - start, format, arguments);
    if (printed < 0) {
        return;
    }
    len = strlen(line);
    if (suppressed > 0) {
        snprintf(line + len, sizeof(line) - len, " suppressed=%u", suppressed);
        len = strlen(line);
    }
    /* Names come from programs and peers: they shall not be able to forge a line or a terminal
     * code. */
    for (size_t at = start; at < len; at++) {
        if ((unsigned char)line[at] < 0x20 || line[at] == 0x7f) {
            line[at] = '?';
        }
    }
    line[len] = '\n';
    if (write(STDERR_FILENO, line, len + 1) < 0) {
        return; /* There is nowhere left to say so. */
    }
}

void log_line(enum log_level level, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    write_line(level, format, arguments, 0);
    va_end(arguments);
}

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
{
    uint64_t now_ms = clock_ms();
    uint64_t earned = (now_ms - limit->last_ms) / LIMIT_MS;
    va_list arguments;

    if (limit->last_ms == 0 || earned >= LIMIT_TOKENS) {
        limit->tokens = LIMIT_TOKENS;
        limit->last_ms = now_ms;
    } else if (earned > 0) {
        limit->tokens += (uint32_t)earned;
        limit->tokens = limit->tokens > LIMIT_TOKENS ? LIMIT_TOKENS : limit->tokens;
        limit->last_ms += earned * LIMIT_MS;
    }
    if (limit->tokens == 0) {
        limit->suppressed++;
        return;
    }
    limit->tokens--;
    va_start(arguments, format);
    write_line(level, format, arguments, limit->suppressed);
    va_end(arguments);
    limit->suppressed = 0;
}
