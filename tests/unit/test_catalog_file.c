/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's members, and what its file keeps: numbers, deaths, restarts, damage. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dsm.h"
#include "tests/unit/store_fixture.h"

/* Nodes get the numbers from 0 on, a name keeps its own, and another incarnation is a death first.
 */
static void test_join_gives_numbers_and_keeps_them(void **state)
{
    struct fixture *f = *state;
    struct record record;
    assert_int_equal(fixture_join(f, "c", 31), 2);
    assert_int_equal(f->changes.count, 1);
    assert_true(f->changes.records[0].alive);
    assert_int_equal(f->changes.records[0].id.slot, 2);
    assert_int_equal(f->changes.records[0].id.generation, 31);
    assert_string_equal(f->changes.records[0].address, "10.0.0.1:7400");
    assert_int_equal(fixture_join(f, "b", 21), 1);
    assert_int_equal(f->changes.count, 0);
    assert_int_equal(fixture_join(f, "b", 22), 1);
    assert_int_equal(f->changes.count, 2);
    assert_false(f->changes.records[0].alive);
    assert_int_equal(f->changes.records[0].id.generation, 21);
    assert_int_equal(f->changes.records[0].epoch, 1);
    assert_true(f->changes.records[1].alive);
    assert_int_equal(f->changes.records[1].id.generation, 22);
    assert_int_equal(f->changes.records[1].epoch, 1);
    assert_true(f->changes.records[1].revision > f->changes.records[0].revision);
    assert_int_equal(catalog_store_find_member_name(f->store, "b", &record), 0);
    assert_int_equal(record.id.slot, 1);
    assert_int_equal(catalog_store_find_member(f->store, 9, &record), DSM_ENOENT);
}

/* The same incarnation may come with another address, but not once it is dead. */
static void test_join_of_known_incarnation_moves_or_is_refused(void **state)
{
    struct fixture *f = *state;
    uint32_t node;
    assert_int_equal(fixture_ask(f, "b", 21, "10.0.0.9:1", &node), 0);
    assert_int_equal(node, 1);
    assert_int_equal(f->changes.count, 1);
    assert_string_equal(f->changes.records[0].address, "10.0.0.9:1");
    assert_true(f->changes.records[0].alive);
    assert_int_equal(catalog_store_declare_dead(f->store, 1, &f->changes), 0);
    assert_int_equal(fixture_ask(f, "b", 21, "10.0.0.9:1", &node), DSM_EDOWN);
    assert_int_equal(fixture_join(f, "b", 22), 1);
    assert_int_equal(f->changes.count, 1);
}

static void test_join_of_nonsense_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct node_kind machines[] = {
        {.page_bytes = 0, .word_bits = 64},
        {.page_bytes = 12288, .word_bits = 64},
        {.page_bytes = 4096, .word_bits = 16},
    };
    struct joiner joiner = {.name = "c", .address = "a:1", .incarnation = 1};
    char text[RECORD_NAME_BYTES + 1];
    uint32_t node = 77;
    memset(text, 'x', sizeof(text));
    text[RECORD_NAME_BYTES] = 0;
    assert_int_equal(fixture_ask(f, "", 1, "a:1", &node), DSM_EINVAL);
    assert_int_equal(fixture_ask(f, "c", 0, "a:1", &node), DSM_EINVAL);
    assert_int_equal(fixture_ask(f, text, 1, "a:1", &node), DSM_EINVAL);
    assert_int_equal(fixture_ask(f, "c", 1, text, &node), DSM_EINVAL);
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
        joiner.machine = machines[i];
        assert_int_equal(catalog_store_join(f->store, &joiner, &f->changes, &node), DSM_EINVAL);
    }
    assert_int_equal(node, 77);
}

/* What kind of machine a node is stands in its record, as it said when it joined. */
static void test_join_tells_the_machine(void **state)
{
    struct fixture *f = *state;
    struct joiner joiner = {.name = "z",
                            .address = "a:1",
                            .incarnation = 1,
                            .machine = {.page_bytes = 65536, .word_bits = 32, .big_endian = true}};
    struct record record;
    uint32_t node;
    assert_int_equal(catalog_store_join(f->store, &joiner, &f->changes, &node), 0);
    fixture_reopen(f);
    assert_int_equal(catalog_store_find_member(f->store, node, &record), 0);
    assert_int_equal(record.machine.page_bytes, 65536);
    assert_int_equal(record.machine.word_bits, 32);
    assert_true(record.machine.big_endian);
    joiner.incarnation = 2;
    joiner.machine = (struct node_kind){.page_bytes = 4096, .word_bits = 64};
    assert_int_equal(catalog_store_join(f->store, &joiner, &f->changes, &node), 0);
    assert_int_equal(catalog_store_find_member(f->store, node, &record), 0);
    assert_int_equal(record.machine.page_bytes, 4096);
    assert_false(record.machine.big_endian);
}

static void test_join_of_65th_node_is_refused(void **state)
{
    struct fixture *f = *state;
    char name[16];
    uint32_t node;
    for (uint32_t i = 2; i < NODES_MAX; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        assert_int_equal(fixture_join(f, name, 1), i);
    }
    assert_int_equal(fixture_ask(f, "late", 1, "a:1", &node), DSM_EBUSY);
    assert_int_equal(fixture_join(f, "n63", 2), 63);
}

/* A death: a new epoch, its bits go, and what only it had open goes with it. */
static void test_death_releases_what_the_node_had_open(void **state)
{
    struct fixture *f = *state;
    struct record kept = fixture_create(f, 1, "/kept", ALICE, 0666);
    struct record gone = fixture_create(f, 1, "/gone", ALICE, 0666);
    struct record other = fixture_create(f, 0, "/other", ALICE, 0666);
    struct proposal unlink = update_of(&gone, ALICE);
    unlink.record.unlinked = true;
    assert_int_equal(fixture_propose(f, 1, &unlink, NULL), 0);
    uint64_t before = catalog_store_revision(f->store);
    assert_int_equal(catalog_store_declare_dead(f->store, 1, &f->changes), 0);
    assert_int_equal(f->changes.count, 3);
    assert_int_equal(f->changes.records[0].kind, RECORD_NODE);
    assert_false(f->changes.records[0].alive);
    assert_int_equal(f->changes.records[0].epoch, 1);
    assert_true(region_id_equal(f->changes.records[1].id, kept.id));
    assert_true(nodeset_is_empty(f->changes.records[1].readers));
    assert_true(nodeset_is_empty(f->changes.records[1].writers));
    assert_false(f->changes.records[1].deleted);
    assert_true(region_id_equal(f->changes.records[2].id, gone.id));
    assert_true(f->changes.records[2].deleted);
    assert_int_equal(fixture_count(f, before), 3);
    struct proposal still = update_of(&other, ALICE);
    still.record.size_bytes = 4096;
    assert_int_equal(fixture_propose(f, 0, &still, NULL), 0);
    assert_int_equal(catalog_store_declare_dead(f->store, 1, &f->changes), 0);
    assert_int_equal(f->changes.count, 0);
    assert_int_equal(catalog_store_declare_dead(f->store, 9, &f->changes), DSM_ENOENT);
    assert_int_equal(catalog_store_declare_dead(f->store, 0, &f->changes), 0);
    assert_int_equal(f->changes.records[0].epoch, 2);
}

/* The lowest free slot is given, whatever was removed and wherever the file was opened. */
static void test_slots_are_given_from_the_lowest(void **state)
{
    struct fixture *f = *state;
    struct record r[4];
    char name[16];
    for (uint32_t i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "/%u", i);
        r[i] = fixture_create(f, 0, name, ALICE, 0600);
        assert_int_equal(r[i].id.slot, i + 1);
    }
    struct proposal update = update_of(&r[1], ALICE);
    update.record.unlinked = true;
    update.record.readers = NODESET_EMPTY;
    update.record.writers = NODESET_EMPTY;
    assert_int_equal(fixture_propose(f, 0, &update, NULL), 0);
    fixture_reopen(f);
    struct record again = fixture_create(f, 0, "/again", ALICE, 0600);
    assert_int_equal(again.id.slot, 2);
    assert_true(again.id.generation > r[3].id.generation);
    assert_int_equal(fixture_create(f, 0, "/next", ALICE, 0600).id.slot, 5);
}

/* Asked again under the same number, a proposal is answered and not done again. */
static void test_proposal_asked_again_is_done_once(void **state)
{
    struct fixture *f = *state;
    struct proposal proposal = create_of("/x", ALICE, 0600);
    region_id first, again = {0, 0};
    assert_int_equal(catalog_store_propose(f->store, 1, 5, &proposal, &f->changes, &first), 0);
    fixture_reopen(f);
    assert_int_equal(catalog_store_propose(f->store, 1, 5, &proposal, &f->changes, &again), 0);
    assert_int_equal(f->changes.count, 0);
    assert_true(region_id_equal(first, again));
    assert_int_equal(catalog_store_propose(f->store, 1, 6, &proposal, &f->changes, &again),
                     DSM_EEXIST);
    assert_int_equal(catalog_store_propose(f->store, 0, 5, &proposal, &f->changes, &again),
                     DSM_EEXIST);
    fixture_join(f, "b", 22); /* which counts from the start again */
    assert_int_equal(catalog_store_propose(f->store, 1, 5, &proposal, &f->changes, &again),
                     DSM_EEXIST);
    proposal = create_of("/far", ALICE, 0600);
    assert_int_equal(catalog_store_propose(f->store, 1, 7, &proposal, &f->changes, &again), 0);
    proposal = create_of("/farther", ALICE, 0600);
    assert_int_equal(catalog_store_propose(f->store, 1, 7 + 1024, &proposal, &f->changes, &again),
                     0);
    proposal = create_of("/far", ALICE, 0600); /* number 7 is forgotten by now */
    assert_int_equal(catalog_store_propose(f->store, 1, 7, &proposal, &f->changes, &again),
                     DSM_EEXIST);
}

static void test_restart_finds_everything_again(void **state)
{
    struct fixture *f = *state;
    struct record_list before = {0}, after = {0};
    struct record x = fixture_create(f, 1, "/x", ALICE, 0640);
    fixture_create(f, 0, "/y", BOB, 0600);
    assert_int_equal(catalog_store_declare_dead(f->store, 1, &f->changes), 0);
    uint64_t revision = catalog_store_revision(f->store);
    assert_int_equal(catalog_store_list(f->store, 0, &before), 0);
    fixture_reopen(f);
    assert_int_equal(catalog_store_revision(f->store), revision);
    assert_int_equal(catalog_store_list(f->store, 0, &after), 0);
    assert_int_equal(before.count, 4);
    assert_int_equal(after.count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(region_id_equal(before.records[i].id, after.records[i].id));
        assert_int_equal(before.records[i].revision, after.records[i].revision);
        assert_string_equal(before.records[i].name, after.records[i].name);
        assert_int_equal(before.records[i].epoch, after.records[i].epoch);
    }
    assert_true(fixture_create(f, 0, "/z", BOB, 0600).id.generation > x.id.generation);
    record_list_close(&before);
    record_list_close(&after);
}

/* Deletions are remembered up to the trim; who is older than that, or ahead of us, must start anew.
 */
static void test_list_before_the_trim_is_stale(void **state)
{
    struct fixture *f = *state;
    struct record_list list = {0};
    uint64_t revisions[3];
    for (uint32_t i = 0; i < 3; i++) {
        struct record x = fixture_create(f, 0, "/x", ALICE, 0600);
        struct proposal remove = update_of(&x, ALICE);
        remove.record.unlinked = true;
        remove.record.readers = NODESET_EMPTY;
        remove.record.writers = NODESET_EMPTY;
        assert_int_equal(fixture_propose(f, 0, &remove, NULL), 0);
        revisions[i] = catalog_store_revision(f->store);
    }
    assert_int_equal(catalog_store_count_deleted(f->store), 3);
    assert_int_equal(catalog_store_trim(f->store, 5), 0);
    assert_int_equal(catalog_store_count_deleted(f->store), 3);
    assert_int_equal(catalog_store_trim(f->store, 1), 0);
    assert_int_equal(catalog_store_count_deleted(f->store), 1);
    fixture_reopen(f);
    assert_int_equal(catalog_store_list(f->store, revisions[0], &list), DSM_ESTALE);
    assert_int_equal(fixture_count(f, revisions[1]), 1);
    assert_int_equal(fixture_count(f, revisions[2]), 0);
    assert_int_equal(fixture_count(f, 0), 2);
    assert_int_equal(catalog_store_list(f->store, revisions[2] + 1, &list), DSM_ESTALE);
    record_list_close(&list);
}

/* A second agent, here another process as in life, gets the file only when the first is gone. */
static void test_open_by_another_agent_is_busy(void **state)
{
    struct fixture *f = *state;
    struct catalog_store *second = NULL;
    char text[TEXT_BYTES_MAX] = "";
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int error = catalog_store_open(f->path, 0, &second, text);
        bool is_told = strstr(text, f->path) != NULL && strstr(text, "another agent") != NULL;
        _exit(error == DSM_EBUSY && is_told ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(catalog_store_open(f->path, 0, &second, text), DSM_EBUSY);
    fixture_reopen(f);
}

static void test_open_of_bad_file_says_what_is_wrong(void **state)
{
    struct fixture *f = *state;
    struct catalog_store *store = NULL;
    char path[CERTS_PATH_BYTES], text[TEXT_BYTES_MAX] = "";
    certs_path(path, f->directory, "nonsense", ".db");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++) {
        fputs("this is no database, whatever its name\n", file);
    }
    fclose(file);
    assert_int_equal(catalog_store_open(path, 0, &store, text), DSM_ESYS);
    assert_non_null(strstr(text, path));
    assert_non_null(strstr(text, "damaged"));
    assert_int_equal(catalog_store_open("/nonexistent/catalog.db", 0, &store, text), DSM_ESYS);
    assert_non_null(strstr(text, "/nonexistent/catalog.db"));
    assert_non_null(strstr(text, "No such file"));
    assert_null(store);
}

/** Change the version of the tables, the user_version that SQLite keeps at byte 60, low byte last.
 */
static void version_move(const char *path, int by)
{
    uint8_t low;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &low, 1, 63), 1);
    low = (uint8_t)(low + by);
    assert_int_equal(pwrite(fd, &low, 1, 63), 1);
    close(fd);
}

/* A file of another version's tables is told apart from a damaged one, and what to do is told. */
static void test_open_of_another_version_says_which(void **state)
{
    struct fixture *f = *state;
    struct catalog_store *store = NULL;
    catalog_store_close(f->store);
    f->store = NULL;
    version_move(f->path, -1);
    assert_int_equal(catalog_store_open(f->path, 0, &store, f->text), DSM_ESYS);
    assert_non_null(strstr(f->text, f->path));
    assert_non_null(strstr(f->text, "older agent"));
    assert_non_null(strstr(f->text, "move it away"));
    version_move(f->path, 2);
    assert_int_equal(catalog_store_open(f->path, 0, &store, f->text), DSM_ESYS);
    assert_non_null(strstr(f->text, "newer agent"));
    assert_non_null(strstr(f->text, "upgrade this agent"));
    assert_null(store);
    version_move(f->path, -1);
    fixture_reopen(f);
    assert_int_equal(fixture_join(f, "c", 31), 2);
}

/* A page in the middle of the file that was overwritten is found at opening and not at midnight. */
static void test_open_of_damaged_file_is_refused(void **state)
{
    struct fixture *f = *state;
    struct catalog_store *store = NULL;
    char name[32], garbage[4096];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "/region-%d", i);
        fixture_create(f, 0, name, ALICE, 0600);
    }
    catalog_store_close(f->store); /* which moves the log into the file */
    f->store = NULL;
    int fd = open(f->path, O_RDWR);
    struct stat stat;
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &stat), 0);
    assert_true(stat.st_size > 6 * 4096);
    assert_int_equal(stat.st_mode & 0777, 0600);
    memset(garbage, 0x5a, sizeof(garbage));
    for (off_t page = 2; page < stat.st_size / 4096; page++) {
        assert_int_equal(pwrite(fd, garbage, sizeof(garbage), page * 4096), sizeof(garbage));
    }
    close(fd);
    assert_int_equal(catalog_store_open(f->path, 0, &store, f->text), DSM_ESYS);
    assert_non_null(strstr(f->text, "damaged"));
}

/* What was homed by an earlier incarnation is lost: a region's generation is below `joined`. */
static void test_joined_tells_what_an_incarnation_never_homed(void **state)
{
    struct fixture *f = *state;
    struct record member, region = fixture_create(f, 1, "/old", ALICE, 0600);

    assert_int_equal(catalog_store_find_member(f->store, 1, &member), 0);
    assert_true(member.joined > 0);
    assert_true(region.id.generation > member.joined);
    fixture_join(f, "b", 4711);
    assert_int_equal(catalog_store_find_member(f->store, 1, &member), 0);
    assert_int_equal(member.id.generation, 4711);
    assert_true(region.id.generation < member.joined);
    fixture_reopen(f);
    assert_int_equal(catalog_store_find_member(f->store, 1, &member), 0);
    assert_true(region.id.generation < member.joined);
    region = fixture_create(f, 1, "/new", ALICE, 0600);
    assert_true(region.id.generation > member.joined);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_joined_tells_what_an_incarnation_never_homed,
                                        fixture_set_up, fixture_tear_down),
        TEST(test_join_gives_numbers_and_keeps_them),
        TEST(test_join_of_known_incarnation_moves_or_is_refused),
        TEST(test_join_of_nonsense_is_refused),
        TEST(test_join_tells_the_machine),
        TEST(test_join_of_65th_node_is_refused),
        TEST(test_death_releases_what_the_node_had_open),
        TEST(test_slots_are_given_from_the_lowest),
        TEST(test_proposal_asked_again_is_done_once),
        TEST(test_restart_finds_everything_again),
        TEST(test_list_before_the_trim_is_stale),
        TEST(test_open_by_another_agent_is_busy),
        TEST(test_open_of_bad_file_says_what_is_wrong),
        TEST(test_open_of_another_version_says_which),
        TEST(test_open_of_damaged_file_is_refused),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
