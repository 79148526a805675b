/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's and dsmctl's files while calls fail: an error that names the file, nothing half done,
 * and another try that works. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/authority.h"
#include "agent/config.h"
#include "agent/ctl.h"
#include "agent/local_socket.h"
#include "dsm.h"
#include "net/codec.h"
#include "tests/failure/failure.h"
#include "tests/failure/hush.h"
#include "tests/unit/certs.h"

#define DISK (FAILURE_SPACE | FAILURE_SYNC | FAILURE_FILE | FAILURE_DESCRIPTOR)

struct ground {
    char directory[CERTS_PATH_BYTES], path[CERTS_PATH_BYTES];
    char error[AUTHORITY_ERROR_BYTES];
    struct authority_validity validity;
    struct hush hush;
    int own, nowhere; /* standard output, and where it goes meanwhile */
};

static int set_up(void **state)
{
    struct ground *ground = calloc(1, sizeof(*ground));
    assert_int_equal(setenv("TMPDIR", "/dev/shm", 1), 0);
    assert_int_equal(certs_directory_make(ground->directory), 0);
    ground->validity = authority_validity_days(2);
    ground->own = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
    ground->nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    hush_open(&ground->hush);
    *state = ground;
    return 0;
}

static int tear_down(void **state)
{
    struct ground *ground = *state;
    hush_close(&ground->hush);
    close(ground->own);
    close(ground->nowhere);
    certs_directory_remove(ground->directory);
    free(ground);
    return 0;
}

static void remove_all(const struct ground *ground)
{
    static const char *const names[] = {"ca.crt", "ca.key", "node.crt", "node.key"};
    char path[CERTS_PATH_BYTES];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unlink(certs_path(path, ground->directory, names[i], ""));
    }
}

static bool is_there(const struct ground *ground, const char *name)
{
    char path[CERTS_PATH_BYTES];
    return access(certs_path(path, ground->directory, name, ""), F_OK) == 0;
}

/** An authority and a node of it: both files of each or none. */
static void make_each(struct ground *ground, uint32_t kinds, uint32_t stride)
{
    FAILURE_LOOP(loop, kinds)
    {
        loop.stride = stride;
        remove_all(ground);
        ground->error[0] = 0;
        failure_loop_arm(&loop);
        int made = authority_make(ground->directory, &ground->validity, ground->error);
        int issued = made == 0 ? authority_issue(ground->directory, "a", &ground->validity,
                                                 ground->directory, ground->error)
                               : 0;
        failure_disarm();
        assert_true((made == 0 && issued == 0) || failure_was_injected());
        assert_true((made == 0) == is_there(ground, "ca.crt"));
        assert_true((made == 0) == is_there(ground, "ca.key"));
        assert_true((made == 0 && issued == 0) == is_there(ground, "node.crt"));
        assert_true((made == 0 && issued == 0) == is_there(ground, "node.key"));
        if (made != 0 || issued != 0) {
            assert_true(ground->error[0] != 0);
            if (strstr(ground->error, "Success") != NULL) {
                fail_msg("%s fails: %s", failure_call(), ground->error);
            }
            assert_true(made == 0 ||
                        authority_make(ground->directory, &ground->validity, ground->error) == 0);
            assert_int_equal(authority_issue(ground->directory, "a", &ground->validity,
                                             ground->directory, ground->error),
                             0);
        }
    }
}

static void test_certificates_are_made_all_or_none(void **state)
{
    make_each(*state, DISK, 0);
    make_each(*state, FAILURE_SHORT, 0);
    make_each(*state, FAILURE_INTERRUPT, 0);
    make_each(*state, FAILURE_MEMORY, 23);
}

static void test_certificates_that_find_no_memory_are_not_called_bad(void **state)
{
    struct ground *ground = *state;
    struct authority_report report;
    char ca[CERTS_PATH_BYTES], certificate[CERTS_PATH_BYTES], key[CERTS_PATH_BYTES];
    certs_path(ca, ground->directory, "ca.crt", "");
    certs_path(certificate, ground->directory, "node.crt", "");
    certs_path(key, ground->directory, "node.key", "");
    FAILURE_LOOP(loop, FAILURE_MEMORY)
    {
        loop.stride = 7;
        failure_loop_arm(&loop);
        int error = authority_examine(ca, certificate, key, &report, ground->error);
        failure_disarm();
        assert_true(error == 0 || failure_was_injected());
        /* Of some checks OpenSSL does not tell that it found no memory to make them. */
        if (error != 0) {
            assert_int_equal(error, DSM_ENOMEM);
            assert_non_null(strstr(ground->error, ground->directory));
        }
        assert_int_equal(authority_examine(ca, certificate, key, &report, ground->error), 0);
        assert_true(report.is_signed && report.is_key);
    }
}

static void test_configuration_that_cannot_be_read_changes_nothing(void **state)
{
    struct ground *ground = *state;
    struct config config, before;
    certs_path(ground->path, ground->directory, "agent", ".ini");
    FILE *file = fopen(ground->path, "we");
    assert_non_null(file);
    fprintf(file, "[agent]\nnode = a\nstate_dir = state\nbudget = 1G\n");
    assert_int_equal(fclose(file), 0);
    FAILURE_LOOP(loop, FAILURE_MEMORY | FAILURE_FILE | FAILURE_DESCRIPTOR | FAILURE_TRANSFER)
    {
        config_init(&config);
        before = config;
        failure_loop_arm(&loop);
        int error = config_read_file(&config, ground->path, ground->error);
        failure_disarm();
        if (error != 0) {
            assert_true(failure_was_injected());
            assert_non_null(strstr(ground->error, ground->path));
            assert_memory_equal(&config, &before, sizeof(config));
            assert_int_equal(config_read_file(&config, ground->path, ground->error), 0);
        }
        assert_string_equal(config.node, "a");
        assert_int_equal(config.budget, UINT64_C(1) << 30);
    }
    unlink(ground->path);
}

static void test_socket_that_cannot_be_made_leaves_none(void **state)
{
    struct ground *ground = *state;
    certs_path(ground->path, ground->directory, "agent", ".sock");
    FAILURE_LOOP(loop, DISK | FAILURE_CONTROL)
    {
        int fd = -1, lock = -1;
        char text[TEXT_BYTES_MAX] = "";
        failure_loop_arm(&loop);
        int error = local_socket_listen(ground->path, &fd, &lock, text);
        failure_disarm();
        if (error != 0) {
            assert_true(failure_was_injected());
            /* Nobody else is there, whatever has failed. */
            if (error != DSM_ESYS || strstr(text, ground->directory) == NULL) {
                fail_msg("%s fails: %s %s", failure_call(), dsm_strerror(error), text);
            }
            assert_int_equal(local_socket_listen(ground->path, &fd, &lock, text), 0);
        }
        local_socket_close(ground->path, fd, lock);
    }
}

static int run_init(struct ground *ground)
{
    char words[][CERTS_PATH_BYTES] = {"dsmctl",    "init",          "", "--name", "a",
                                      "--address", "127.0.0.1:7400"};
    char *argv[8] = {NULL};
    snprintf(words[2], sizeof(words[2]), "%s", ground->path);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        argv[i] = words[i];
    }
    fflush(stdout);
    hush_begin(&ground->hush);
    dup2(ground->nowhere, STDOUT_FILENO);
    int code = ctl_main(7, argv);
    return code;
}

static void run_end(struct ground *ground)
{
    fflush(stdout);
    dup2(ground->own, STDOUT_FILENO);
    hush_end(&ground->hush);
}

/** `dsmctl init` makes a whole directory or none; only its last words can fail after that. */
static void init_each(struct ground *ground, uint32_t kinds, uint32_t stride)
{
    static const char *const names[] = {"made/ca.crt", "made/ca.key", "made/node.crt",
                                        "made/node.key", "made/agent.ini"};
    char path[CERTS_PATH_BYTES];
    certs_path(ground->path, ground->directory, "made", "");
    FAILURE_LOOP(loop, kinds)
    {
        loop.stride = stride;
        uint32_t count = 0;
        failure_loop_arm(&loop);
        int code = run_init(ground);
        failure_disarm();
        run_end(ground);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            count += is_there(ground, names[i]) ? 1 : 0;
        }
        if (count != (is_there(ground, "made") ? 5 : 0) || (code == 0 && count != 5) ||
            (code != 0 && (!failure_was_injected() || ground->hush.text[0] == 0))) {
            fail_msg("%s fails: code %d, %u files: %s", failure_call(), code, count,
                     ground->hush.text);
        }
        if (count == 0) {
            code = run_init(ground);
            run_end(ground);
            assert_int_equal(code, 0);
        }
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            assert_int_equal(unlink(certs_path(path, ground->directory, names[i], "")), 0);
        }
        assert_int_equal(rmdir(ground->path), 0);
    }
}

static void test_init_makes_all_or_none(void **state)
{
    init_each(*state, DISK, 0);
    init_each(*state, FAILURE_SHORT, 0);
    init_each(*state, FAILURE_MEMORY, 37);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates_are_made_all_or_none),
        cmocka_unit_test(test_certificates_that_find_no_memory_are_not_called_bad),
        cmocka_unit_test(test_configuration_that_cannot_be_read_changes_nothing),
        cmocka_unit_test(test_socket_that_cannot_be_made_leaves_none),
        cmocka_unit_test(test_init_makes_all_or_none),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
