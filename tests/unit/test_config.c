/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: every setting from every source, and an error that names every mistake. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/config.h"
#include "dsm.h"
#include "dsm/core/types.h"

/** A directory of the test's own, with the files that a legal configuration names. */
struct place {
    char directory[64];
    char file[128];
    struct config config;
    char error[CONFIG_ERROR_BYTES];
};

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void place_path(const struct place *place, const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", place->directory, name);
}

static int place_make(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    const char *names[] = {"ca.crt", "node.crt", "node.key"};
    char path[128];
    if (!place) {
        return -1;
    }
    snprintf(place->directory, sizeof(place->directory), "/tmp/test_config.XXXXXX");
    if (!mkdtemp(place->directory)) {
        free(place);
        return -1;
    }
    place_path(place, "agent.ini", place->file);
    config_init(&place->config);
    for (size_t i = 0; i < 3; i++) {
        place_path(place, names[i], path);
        write_text(path, "x");
    }
    place_path(place, "state", path);
    *state = place;
    return mkdir(path, 0700);
}

static int place_remove(void **state)
{
    struct place *place = *state;
    const char *names[] = {"ca.crt", "node.crt", "node.key", "agent.ini", "again.ini"};
    char path[128];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        place_path(place, names[i], path);
        unlink(path);
    }
    place_path(place, "state", path);
    rmdir(path);
    rmdir(place->directory);
    free(place);
    return 0;
}

/** Read this text as the file. */
static int place_read(struct place *place, const char *text)
{
    write_text(place->file, text);
    place->error[0] = '\0';
    return config_read_file(&place->config, place->file, place->error);
}

static void assert_says(const struct place *place, const char *words)
{
    if (!strstr(place->error, words)) {
        fail_msg("'%s' does not say '%s'", place->error, words);
    }
}

static void assert_refuses(struct place *place, const char *text, const char *words)
{
    struct config before = place->config;
    assert_int_equal(place_read(place, text), DSM_ECONFIG);
    assert_says(place, words);
    assert_memory_equal(&before, &place->config, sizeof(before));
}

static const char legal[] = "[agent]\n"
                            "node = a\n"
                            "listen = 10.0.0.1:7400\n"
                            "state_dir = state\n"
                            "ca = ca.crt\n"
                            "certificate = node.crt\n"
                            "key = node.key\n";

/** Without any source, each setting has the default that the list gives. */
static void test_no_source_gives_the_defaults(void **state)
{
    struct place *place = *state;
    assert_string_equal(place->config.node, "");
    assert_string_equal(place->config.listen, "0.0.0.0:7400");
    assert_string_equal(place->config.state_dir, "/var/lib/dsm");
    assert_int_equal(place->config.budget, 0);
    assert_true(place->config.region_max == 1ull << 40);
    assert_int_equal(place->config.lease_ms, 5000);
    assert_int_equal(place->config.read_ahead_pages, RANGE_PAGES_MAX);
}

/** Keys with and without a section, comments, spaces and suffixes are read. */
static void test_legal_file_is_read_and_passes_the_check(void **state)
{
    struct place *place = *state;
    char path[128];
    assert_int_equal(place_read(place, legal), 0);
    assert_int_equal(config_check(&place->config, place->error), 0);
    assert_string_equal(place->config.node, "a");
    place_path(place, "ca.crt", path);
    assert_string_equal(place->config.ca, path);

    assert_int_equal(place_read(place, "; a comment\n# another\n\n  budget=3g ; behind\n"
                                       "\tnode = Host-1.Example\nregion_max = 512M\n"),
                     0);
    assert_true(place->config.budget == 3ull << 30);
    assert_true(place->config.region_max == 512ull << 20);
    assert_string_equal(place->config.node, "host-1.example");
    assert_string_equal(place->config.listen, "10.0.0.1:7400");
}

/** A whole line is taken, however short libinih's own limit is. */
static void test_long_path_is_not_cut(void **state)
{
    struct place *place = *state;
    char text[700] = "socket = /";
    memset(text + strlen(text), 'p', 500);
    assert_int_equal(place_read(place, legal), 0);
    assert_int_equal(place_read(place, text), 0);
    assert_int_equal(strlen(place->config.socket), 501);
    assert_int_equal(config_check(&place->config, place->error), DSM_ECONFIG);
    assert_says(place, "longer than the 107 bytes that a socket's path may have");
}

/** Each mistake in a file is refused with the file's name, the line, and what would be right. */
static void test_mistakes_in_a_file_are_refused_by_line(void **state)
{
    static const char *const rows[][2] = {
        {"node = a\n\nbudgett = 1G\n", "agent.ini, line 3: there is no setting 'budgett'"},
        {"budgett = 1G\n", "did you mean 'budget'?"},
        {"certificat = x\n", "did you mean 'certificate'?"},
        {"read-ahead-pages = 3\n", "did you mean 'read_ahead_pages'?"},
        {"colour = blue\n", "there is no setting 'colour'; dsm-agent(8)"},
        {"budget = lots\n", "line 1: budget = 'lots' is not a size"},
        {"budget = -1\n", "is not a size"},
        {"budget = 1GB\n", "such as 512M"},
        {"budget = 99999999999999999999\n", "is not a size"},
        {"budget = 99999999999T\n", "is not a size"},
        {"budget =\n", "budget = '' is not a size"},
        {"lease_ms = 5K\n", "is not a number; give a whole number, such as 5000"},
        {"key =\n", "key needs a path"},
        {"node = a\nnode = b\n", "line 2: node is set for the second time, first in line 1"},
        {"[server]\nnode = a\n", "there is no section [server]"},
        {"node = a\njust words\n", "line 2: this is neither"},
        {"[agent\nnode = a\n", "line 1: this is neither"},
        {"words\nbudget = x\n", "line 1: this is neither"},
        {"budget = x\nwords\n", "line 1: budget"},
    };
    struct place *place = *state;
    char line[4096];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_refuses(place, rows[i][0], rows[i][1]);
    }
    memset(line, 'n', sizeof(line));
    line[sizeof(line) - 1] = '\0';
    memcpy(line, "ca = ", 5);
    assert_refuses(place, line, "line 1: longer than");
    line[600] = '\0';
    assert_refuses(place, line, "ca is longer than 511 bytes");
}

/** A file that cannot be read is an error that says how to get one. */
static void test_missing_file_is_refused(void **state)
{
    struct place *place = *state;
    assert_int_equal(config_read_file(&place->config, "/nonexistent/agent.ini", place->error),
                     DSM_ECONFIG);
    assert_says(place, "/nonexistent/agent.ini: cannot be read: No such file");
    assert_says(place, "dsmctl init");
    assert_int_equal(config_read_file(&place->config, place->directory, place->error), DSM_ECONFIG);
    assert_says(place, "is a directory");
}

/** DSM_ variables beat the file, and a bad one is named. */
static void test_environment_beats_the_file(void **state)
{
    struct place *place = *state;
    assert_int_equal(place_read(place, legal), 0);
    setenv("DSM_BUDGET", "64M", 1);
    setenv("DSM_UNKNOWN_THING", "1", 1);
    assert_int_equal(config_read_environment(&place->config, place->error), 0);
    assert_true(place->config.budget == 64ull << 20);
    assert_string_equal(place->config.node, "a");
    setenv("DSM_BUDGET", "many", 1);
    assert_int_equal(config_read_environment(&place->config, place->error), DSM_ECONFIG);
    assert_says(place, "DSM_BUDGET: budget = 'many' is not a size");
    unsetenv("DSM_BUDGET");
    unsetenv("DSM_UNKNOWN_THING");
}

/** A value that an INI file could not say back is refused; a relative path counts from here. */
static void test_set_keeps_what_a_file_can_say(void **state)
{
    struct place *place = *state;
    char here[CONFIG_TEXT_BYTES - 64];
    char expected[CONFIG_TEXT_BYTES];
    assert_non_null(getcwd(here, sizeof(here)));
    assert_int_equal(config_set(&place->config, "key", "  keys/k ", "--key", place->error), 0);
    snprintf(expected, sizeof(expected), "%s/keys/k", here);
    assert_string_equal(place->config.key, expected);
    assert_int_equal(config_set(&place->config, "key", "/a ;b", "--key", place->error),
                     DSM_ECONFIG);
    assert_says(place, "--key: key may hold neither");
    assert_int_equal(config_set(&place->config, "key", ";b", "--key", place->error), DSM_ECONFIG);
    assert_int_equal(config_set(&place->config, "key", "a\nb", "--key", place->error), DSM_ECONFIG);
    assert_int_equal(config_set(&place->config, "keyy", "/a", "--keyy", place->error), DSM_ECONFIG);
    assert_says(place, "--keyy: there is no setting 'keyy'; did you mean 'key'?");
}

/** What config_print() prints is what config_read_file() reads. */
static void test_printed_configuration_reads_back_the_same(void **state)
{
    struct place *place = *state;
    struct config again;
    char path[128];
    assert_int_equal(place_read(place, legal), 0);
    assert_int_equal(config_set(&place->config, "budget", "7T", "x", place->error), 0);
    assert_int_equal(config_set(&place->config, "key", "/a;b=c:d [e] #f", "x", place->error), 0);
    assert_int_equal(config_set(&place->config, "keeper", "[::1]:7400", "x", place->error), 0);
    place_path(place, "again.ini", path);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(saved >= 0 && file >= 0);
    assert_true(dup2(file, STDOUT_FILENO) >= 0);
    config_print(&place->config);
    fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    close(file);
    config_init(&again);
    assert_int_equal(config_read_file(&again, path, place->error), 0);
    assert_memory_equal(&again, &place->config, sizeof(again));
}

/** The check names each setting that cannot work, and what to do. */
static void test_check_names_what_is_wrong(void **state)
{
    static const struct {
        const char *key, *value, *words;
    } rows[] = {
        {"node", "", "node is not set"},
        {"node", "-a", "node = '-a' is no node name"},
        {"node", "a_b", "is no node name"},
        {"node", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "1 to 63"},
        {"listen", "10.0.0.1", "listen = '10.0.0.1' is not an address"},
        {"listen", "10.0.0.1:0", "port 0"},
        {"listen", "0.0.0.0:7400", "advertise is not set and listen"},
        {"listen", "[::]:7400", "HOST:7400"},
        {"advertise", "0.0.0.0:7400", "nobody can connect to 0.0.0.0"},
        {"advertise", "host:port", "advertise = 'host:port' is not an address"},
        {"keeper", "nowhere", "keeper = 'nowhere' is not an address"},
        {"keeper", "[::]:1", "nobody can connect to ::"},
        {"keeper", "a-host-name-that-is-much-longer-than-any-record-of-it-can-hold.example:7400",
         "keeper = a-host"},
        {"budget", "1K", "budget = 1024: give at least 65536"},
        {"region_max", "1", "region_max = 1: give a value from 4096"},
        {"lease_ms", "1", "lease_ms = 1: give a value from 100 to 600000"},
        {"read_ahead_pages", "0", "read_ahead_pages = 0: give a value from 1 to 256"},
        {"read_ahead_pages", "257", "read_ahead_pages = 257"},
        {"spin_us", "2000000", "spin_us = 2000000"},
        {"boost", "21", "boost = 21"},
        {"ca", "/nonexistent/ca", "ca = /nonexistent/ca: No such file"},
        {"certificate", "/", "certificate = /: not a file"},
        {"key", "/nonexistent/key", "dsmctl node add"},
        {"state_dir", "/nonexistent", "make it with: install -d -m 0700 /nonexistent"},
        {"state_dir", "/dev/null", "state_dir = /dev/null: not a directory"},
    };
    struct place *place = *state;
    assert_int_equal(place_read(place, legal), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config config = place->config;
        assert_int_equal(config_set(&config, rows[i].key, rows[i].value, "test", place->error), 0);
        assert_int_equal(config_check(&config, place->error), DSM_ECONFIG);
        assert_says(place, rows[i].words);
    }
}

/** A node that does not keep the catalog needs no directory for it. */
static void test_member_needs_no_state_directory(void **state)
{
    struct place *place = *state;
    assert_int_equal(place_read(place, legal), 0);
    assert_int_equal(config_set(&place->config, "state_dir", "/nonexistent", "x", place->error), 0);
    assert_int_equal(config_set(&place->config, "keeper", "b:7400", "x", place->error), 0);
    assert_int_equal(config_check(&place->config, place->error), 0);
}

/** Files that this user may not read are told apart from missing ones. */
static void test_unreadable_key_is_refused(void **state)
{
    struct place *place = *state;
    assert_int_equal(place_read(place, legal), 0);
    bool is_root = getuid() == 0;
    /* Root reads every file, so look as somebody else: access(2) asks for the real user. */
    assert_int_equal(chmod(place->directory, 0711), 0);
    assert_int_equal(chmod(place->config.ca, 0644), 0);
    assert_int_equal(chmod(place->config.certificate, 0644), 0);
    assert_int_equal(chmod(place->config.key, is_root ? 0600 : 0), 0);
    if (is_root) {
        assert_int_equal(setresuid(65534, 65534, 0), 0);
    }
    int result = config_check(&place->config, place->error);
    if (is_root) {
        assert_int_equal(setresuid(0, 0, 0), 0);
    }
    assert_int_equal(result, DSM_ECONFIG);
    assert_says(place, "key = ");
    assert_says(place, "node.key: cannot be read: Permission denied; run as the user that owns it");
}

/** Addresses are split into host and port, or refused. */
static void test_addresses_are_split_or_refused(void **state)
{
    static const char *const wrong[] = {
        "",           ":",       "host",        "host:", ":7400",       "host:-1",
        "host:65536", "host:1x", "ho st:1",     "[::1]", "[::1:7400",   "::1:7400",
        "[host]:1",   "1.2.3:4", "1.2.3.256:4", "[]:1",  "host:999999", "[::1]x:1",
    };
    (void)state;
    char host[64];
    uint16_t port = 0;
    assert_int_equal(config_split_address("a-b.example:7400", host, sizeof(host), &port), 0);
    assert_string_equal(host, "a-b.example");
    assert_int_equal(port, 7400);
    assert_int_equal(config_split_address("[fe80::1]:65535", host, sizeof(host), &port), 0);
    assert_string_equal(host, "fe80::1");
    assert_int_equal(port, 65535);
    assert_int_equal(config_split_address("127.0.0.1:0", host, sizeof(host), &port), 0);
    assert_int_equal(port, 0);
    assert_int_equal(config_split_address("127.0.0.1:1", host, 9, &port), DSM_ECONFIG);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (config_split_address(wrong[i], host, sizeof(host), &port) != DSM_ECONFIG) {
            fail_msg("'%s' was taken for an address", wrong[i]);
        }
    }
}

/** A budget of 0 is half of this machine's memory. */
static void test_budget_of_zero_is_half_of_memory(void **state)
{
    struct place *place = *state;
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    assert_true(config_budget_bytes(&place->config) == memory / 2);
    place->config.budget = 1 << 20;
    assert_true(config_budget_bytes(&place->config) == 1 << 20);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        ROW(test_no_source_gives_the_defaults),
        ROW(test_legal_file_is_read_and_passes_the_check),
        ROW(test_long_path_is_not_cut),
        ROW(test_mistakes_in_a_file_are_refused_by_line),
        ROW(test_missing_file_is_refused),
        ROW(test_environment_beats_the_file),
        ROW(test_set_keeps_what_a_file_can_say),
        ROW(test_printed_configuration_reads_back_the_same),
        ROW(test_check_names_what_is_wrong),
        ROW(test_member_needs_no_state_directory),
        ROW(test_unreadable_key_is_refused),
        ROW(test_addresses_are_split_or_refused),
        ROW(test_budget_of_zero_is_half_of_memory),
    };
#undef ROW
    return cmocka_run_group_tests(tests, NULL, NULL);
}
