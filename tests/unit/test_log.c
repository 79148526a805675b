/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/log.h"

/* Standard error, sent into a file. */
struct capture {
    FILE *file;
    int saved;
    char text[8192];
};

static void capture_start(struct capture *capture)
{
    capture->file = tmpfile();
    assert_non_null(capture->file);
    capture->saved = dup(STDERR_FILENO);
    assert_true(dup2(fileno(capture->file), STDERR_FILENO) >= 0);
}

static void capture_end(struct capture *capture)
{
    size_t len;

    assert_true(dup2(capture->saved, STDERR_FILENO) >= 0);
    close(capture->saved);
    rewind(capture->file);
    len = fread(capture->text, 1, sizeof(capture->text) - 1, capture->file);
    capture->text[len] = '\0';
    fclose(capture->file);
}

/* One line, without what would start another one or talk to a terminal. */
static void test_line_is_written_once_and_clean(void **state)
{
    struct capture capture;

    (void)state;
    capture_start(&capture);
    log_line(LOG_LEVEL_INFO, "opened name=%s", "/a\nforged\x1b[2J");
    capture_end(&capture);
    assert_string_equal(capture.text, "opened name=/a?forged?[2J\n");
}

/* A line that is too long is cut, not dropped. */
static void test_long_line_is_cut(void **state)
{
    struct capture capture;

    (void)state;
    capture_start(&capture);
    log_line(LOG_LEVEL_ERROR, "%05000d", 1);
    capture_end(&capture);
    assert_int_equal(capture.text[0], '0');
    assert_int_equal(strlen(capture.text), 2048);
    assert_int_equal(capture.text[2047], '\n');
}

/* journald gets the priority before the line, on its own stream only. */
static void test_priority_is_for_the_journal(void **state)
{
    struct capture capture;
    struct stat status;
    char stream[64];

    (void)state;
    capture_start(&capture);
    assert_int_equal(fstat(STDERR_FILENO, &status), 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_line(LOG_LEVEL_WARNING, "one");
    setenv("JOURNAL_STREAM", "1:2", 1);
    log_line(LOG_LEVEL_WARNING, "two");
    unsetenv("JOURNAL_STREAM");
    capture_end(&capture);
    assert_string_equal(capture.text, "<4>one\ntwo\n");
}

/* Of many lines that others cause five come through, and the next one tells how many did not. */
static void test_limited_lines_are_counted(void **state)
{
    struct log_limit limit = {0};
    struct capture capture;
    uint32_t lines = 0;

    (void)state;
    capture_start(&capture);
    for (uint32_t at = 0; at < 105; at++) {
        log_limited(&limit, LOG_LEVEL_WARNING, "peer is wrong");
    }
    limit.last_ms -= 1000; /* As if a second had passed. */
    log_limited(&limit, LOG_LEVEL_WARNING, "peer is wrong");
    capture_end(&capture);
    for (const char *at = strchr(capture.text, '\n'); at != NULL; at = strchr(at + 1, '\n')) {
        lines++;
    }
    assert_int_equal(lines, 6);
    assert_non_null(strstr(capture.text, "peer is wrong suppressed=100\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_is_written_once_and_clean),
        cmocka_unit_test(test_long_line_is_cut),
        cmocka_unit_test(test_priority_is_for_the_journal),
        cmocka_unit_test(test_limited_lines_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
