/* SPDX-License-Identifier: Apache-2.0 */
/* dsmctl init, node add and doctor: the files of a node, and what is found wrong with them. */
#include "tests/unit/ctl_place.h"

#include <sys/stat.h>
#include <time.h>

#include "agent/authority.h"
#include "agent/config.h"

static bool exists(const struct place *place, const char *name)
{
    char path[160];
    struct stat status;
    place_path(place, name, path);
    return lstat(path, &status) == 0;
}

/** The first node's and another node's directories pass the configuration's own check. */
static void test_init_and_node_add_make_working_nodes(void **state)
{
    struct place *place = *state;
    char a[160];
    char b[160];
    char ini[192];
    char error[CONFIG_ERROR_BYTES];
    char state_dir[160];
    struct config config;
    place_path(place, "a", a);
    place_path(place, "b", b);
    place_path(place, "state", state_dir);
    run(place, "init", a, "--name", "Alpha", "--address", "10.0.0.1", "--state-dir", state_dir,
        NULL);
    assert_run(place, CTL_OK);
    assert_text(place->out, "node alpha");
    assert_text(place->out, "dsmctl node add NAME --config");
    assert_int_equal(mkdir(state_dir, 0700), 0);
    config_init(&config);
    snprintf(ini, sizeof(ini), "%s/agent.ini", a);
    assert_int_equal(config_read_file(&config, ini, error), 0);
    assert_int_equal(config_check(&config, error), 0);
    assert_string_equal(config.node, "alpha");
    assert_string_equal(config.advertise, "10.0.0.1:7400");
    assert_string_equal(config.keeper, "");

    run(place, "node", "add", "beta", "--config", a, "--out", b, "--address", "[fd00::2]:7500",
        "--socket", "/run/b.sock", "--json", NULL);
    assert_run(place, CTL_OK);
    json_t *json = parse_out(place);
    assert_string_equal(ctl_text(json, "node"), "beta");
    assert_string_equal(ctl_text(json, "keeper"), "10.0.0.1:7400");
    json_decref(json);
    config_init(&config);
    snprintf(ini, sizeof(ini), "%s/agent.ini", b);
    assert_int_equal(config_read_file(&config, ini, error), 0);
    assert_int_equal(config_check(&config, error), 0);
    assert_string_equal(config.listen, "[::]:7500");
    assert_string_equal(config.keeper, "10.0.0.1:7400");
    assert_string_equal(config.socket, "/run/b.sock");
    assert_false(exists(place, "b/ca.key"));
}

/** What cannot be made is refused, and leaves nothing half made. */
static void test_init_and_node_add_refuse_and_leave_nothing(void **state)
{
    struct place *place = *state;
    char a[160];
    char b[160];
    place_path(place, "a", a);
    place_path(place, "b", b);
    run(place, "init", a, NULL);
    assert_run(place, CTL_USAGE);
    assert_text(place->err, "init needs --name");
    run(place, "init", a, "--name", "a b", NULL);
    assert_run(place, CTL_USAGE);
    run(place, "init", a, "--name", "a", "--address", "0.0.0.0:7400", NULL);
    assert_run(place, CTL_USAGE);
    assert_text(place->err, "an address that the other nodes can connect to");
    run(place, "init", a, "--name", "a", "--address", "a b:1", NULL);
    assert_run(place, CTL_USAGE);
    assert_false(exists(place, "a"));
    run(place, "node", "add", "b", "--config", a, "--out", b, NULL);
    assert_run(place, CTL_FAILED);
    assert_text(place->err, "/a/agent.ini: cannot be read");
    run(place, "node", "add", "b", "--config", a, "--out", b, "--keeper", "10.0.0.1:7400", NULL);
    assert_run(place, CTL_FAILED);
    assert_text(place->err, "/a/ca.crt: cannot be read");
    assert_false(exists(place, "b"));
    run(place, "node", "add", "b", "--config", a, NULL);
    assert_run(place, CTL_USAGE);
    run(place, "init", a, "--name", "a", "--address", "10.0.0.1:7400", NULL);
    assert_run(place, CTL_OK);
    run(place, "init", a, "--name", "a", "--address", "10.0.0.1:7400", NULL);
    assert_run(place, CTL_FAILED);
    assert_text(place->err, "exists and is not overwritten");
    run(place, "node", "add", "b", "--config", a, "--out", a, NULL);
    assert_run(place, CTL_FAILED);
    assert_text(place->err, "exists and is not overwritten");
}

/** Doctor finds what is wrong with a node's files, and says what to do. */
static void test_doctor_finds_bad_files(void **state)
{
    char page[64];
    struct place *place = *state;
    char a[160];
    char path[192];
    char error[AUTHORITY_ERROR_BYTES];
    int64_t now_s = (int64_t)time(NULL);
    struct authority_validity past = {now_s - 300000, now_s - 200000};
    place_path(place, "a", a);
    run(place, "init", a, "--name", "a", "--address", "10.0.0.1:7400", "--state-dir",
        place->directory, NULL);
    assert_run(place, CTL_OK);
    snprintf(path, sizeof(path), "%s/node.crt", a);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof(path), "%s/node.key", a);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(authority_issue(a, "other", &past, a, error), 0);
    assert_int_equal(chmod(path, 0644), 0);
    snprintf(path, sizeof(path), "%s/agent.ini", a);
    run(place, "doctor", "--config", path, "--json", NULL);
    assert_run(place, CTL_UNHEALTHY);
    json_t *json = parse_out(place);
    assert_string_equal(check_result(json, "configuration", "agent.ini"), "ok");
    assert_string_equal(check_result(json, "certificate", "expired 2 days ago"), "fail");
    assert_string_equal(check_result(json, "authority", "valid for"), "ok");
    assert_string_equal(check_result(json, "signature", "of this authority"), "ok");
    assert_string_equal(check_result(json, "node name", "the certificate 'other'"), "fail");
    assert_string_equal(check_result(json, "key", "mode 0644"), "warn");
    assert_string_equal(check_result(json, "agent", place->socket), "fail");
    check_result(json, "memory", "the budget is");
    check_result(json, "kernel", "Linux");
    snprintf(page, sizeof(page), "hardware pages of %ld bytes", sysconf(_SC_PAGESIZE));
    assert_string_equal(check_result(json, "machine", page), "ok");
    assert_string_equal(check_result(json, "sigsegv", "works for programs of"), "ok");
    assert_string_equal(check_result(json, "fault back ends", "best first: "), "ok");
    check_result(json, "/dev/userfaultfd", "");
    check_result(json, "memfd", "");
    check_result(json, "huge pages", "");
    check_result(json, "open files", "descriptors");
    check_result(json, "clock", "UTC");
    assert_true(ctl_number(json, "failures") >= 3);
    json_decref(json);
    run(place, "doctor", "--config", path, NULL);
    assert_run(place, CTL_UNHEALTHY);
    assert_text(place->out, "FAIL  certificate");
    assert_text(place->out, "-> renew it on the first node: dsmctl node add other");
    assert_text(place->out, "-> chmod 600 ");
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)
    const struct CMUnitTest tests[] = {
        ROW(test_init_and_node_add_make_working_nodes),
        ROW(test_init_and_node_add_refuse_and_leave_nothing),
        ROW(test_doctor_finds_bad_files),
    };
#undef ROW
    return cmocka_run_group_tests(tests, NULL, NULL);
}
