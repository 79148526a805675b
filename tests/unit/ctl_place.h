/* SPDX-License-Identifier: Apache-2.0 */
/* A directory for a test of dsmctl, and one run of dsmctl in a process of its own. */
#ifndef DSM_TESTS_UNIT_CTL_PLACE_H
#define DSM_TESTS_UNIT_CTL_PLACE_H

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/ctl.h"

#define OUTPUT_BYTES 65536

struct place {
    char directory[64];
    char socket[96];
    pid_t agent;
    int exit_code;
    char out[OUTPUT_BYTES];
    char err[OUTPUT_BYTES];
};

static int place_make(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    if (!place) {
        return -1;
    }
    *state = place;
    snprintf(place->directory, sizeof(place->directory), "/tmp/test_dsmctl.XXXXXX");
    if (!mkdtemp(place->directory)) {
        return -1;
    }
    snprintf(place->socket, sizeof(place->socket), "%s/agent.sock", place->directory);
    return setenv("DSM_SOCKET", place->socket, 1);
}

static void remove_files(const char *directory)
{
    static const char *const names[] = {"ca.crt",    "ca.key",     "node.crt", "node.key",
                                        "agent.ini", "agent.sock", "out",      "err"};
    char path[160];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        unlink(path);
    }
}

static int place_remove(void **state)
{
    static const char *const names[] = {"a", "b", "state"};
    struct place *place = *state;
    char path[128];
    if (place->agent > 0) {
        kill(place->agent, SIGKILL);
        waitpid(place->agent, NULL, 0);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", place->directory, names[i]);
        remove_files(path);
        rmdir(path);
    }
    remove_files(place->directory);
    rmdir(place->directory);
    unsetenv("DSM_SOCKET");
    free(place);
    return 0;
}

static void redirect(const struct place *place, const char *name, int to)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", place->directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || dup2(fd, to) < 0) {
        _exit(99);
    }
    close(fd);
}

static void read_back(const struct place *place, const char *name, char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", place->directory, name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t len = fread(text, 1, OUTPUT_BYTES - 1, file);
    text[len] = '\0';
    fclose(file);
}

/** Run dsmctl with these words, up to NULL; fills exit_code, out and err. */
static void run(struct place *place, ...)
{
    char *words[16] = {NULL};
    char copies[16][192];
    int count = 1;
    va_list arguments;
    const char *word;
    snprintf(copies[0], sizeof(copies[0]), "dsmctl");
    va_start(arguments, place);
    while ((word = va_arg(arguments, const char *)) != NULL && count < 15) {
        snprintf(copies[count++], sizeof(copies[0]), "%s", word);
    }
    va_end(arguments);
    for (int i = 0; i < count; i++) {
        words[i] = copies[i];
    }
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        redirect(place, "out", STDOUT_FILENO);
        redirect(place, "err", STDERR_FILENO);
        exit(ctl_main(count, words));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    place->exit_code = WEXITSTATUS(status);
    read_back(place, "out", place->out);
    read_back(place, "err", place->err);
}

static void assert_text(const char *text, const char *words)
{
    if (!strstr(text, words)) {
        fail_msg("'%s' is not in:\n%s", words, text);
    }
}

static void assert_run(const struct place *place, int exit_code)
{
    if (place->exit_code != exit_code) {
        fail_msg("exit code %d, not %d; stderr: %s", place->exit_code, exit_code, place->err);
    }
}

/** The whole of standard output as one JSON document. */
static json_t *parse_out(const struct place *place)
{
    json_error_t error;
    json_t *json = json_loads(place->out, 0, &error);
    if (!json) {
        fail_msg("no JSON: %s in:\n%s", error.text, place->out);
    }
    return json;
}

static void place_path(const struct place *place, const char *name, char path[160])
{
    snprintf(path, 160, "%s/%s", place->directory, name);
}

/** The result of one check; fails the test when doctor did not make it. */
static const char *check_result(const json_t *document, const char *check, const char *words)
{
    size_t index;
    json_t *row;
    json_array_foreach(json_object_get(document, "checks"), index, row)
    {
        if (strcmp(ctl_text(row, "check"), check) == 0 && strstr(ctl_text(row, "found"), words)) {
            const char *result = ctl_text(row, "result");
            /* Whatever is wrong, there is something to do about it. */
            assert_true(strcmp(result, "ok") == 0 || ctl_text(row, "advice")[0] != '\0');
            return result;
        }
    }
    fail_msg("no check '%s' found '%s'", check, words);
    return NULL;
}

#endif
