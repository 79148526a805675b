/* SPDX-License-Identifier: Apache-2.0 */
/* libdsm's session against an agent that is played: connecting, opening, requests, synchronisation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dsm.h"
#include "net/codec.h"
#include "tests/unit/fake_agent.h"

static void begin(struct fake_options options, struct fake_agent **fake, struct dsm **dsm)
{
    assert_int_equal(fake_start(&options, fake), 0);
    assert_int_equal(dsm_connect(fake_path(*fake), dsm), 0);
}

static void end(struct fake_agent *fake, struct dsm *dsm)
{
    dsm_disconnect(dsm);
    fake_stop(fake);
}

/* The sentence on the last failure must hold each of these words. */
static void assert_sentence(struct dsm *dsm, const char *first, const char *second)
{
    char text[TEXT_BYTES_MAX];

    dsm_last_error(dsm, text, sizeof text);
    if (strstr(text, first) == NULL || strstr(text, second) == NULL) {
        fail_msg("'%s' does not hold '%s' and '%s'", text, first, second);
    }
}

/* Nothing listens: the error says so, and the sentence what to look at. */
static void test_connect_to_nobody_names_the_agent(void **state)
{
    char directory[] = "/tmp/dsm-session-XXXXXX";
    char path[64];
    char far[300];
    struct dsm *dsm = NULL;
    int file;

    (void)state;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof path, "%s/agent.sock", directory);
    assert_int_equal(dsm_connect(path, &dsm), DSM_ENOAGENT);
    assert_null(dsm);
    assert_sentence(NULL, "dsm-agent", "$DSM_SOCKET");

    file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(close(file), 0);
    assert_int_equal(dsm_connect(path, &dsm), DSM_ENOAGENT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);

    memset(far, 'x', sizeof far - 1);
    far[0] = '/';
    far[sizeof far - 1] = 0;
    assert_int_equal(dsm_connect(far, &dsm), DSM_ENOAGENT);
    assert_int_equal(dsm_connect("", &dsm), DSM_ENOAGENT);
}

/* The path comes from the environment when the program gives none. */
static void test_connect_without_path_uses_environment(void **state)
{
    struct fake_agent *fake;
    struct dsm *dsm;

    (void)state;
    assert_int_equal(fake_start(&(struct fake_options){0}, &fake), 0);
    assert_int_equal(setenv("DSM_SOCKET", fake_path(fake), 1), 0);
    assert_int_equal(dsm_connect(NULL, &dsm), 0);
    assert_int_equal(unsetenv("DSM_SOCKET"), 0);
    assert_string_equal(dsm_node_name(dsm), FAKE_NODE);
    end(fake, dsm);
}

static void test_connect_to_other_version_is_refused(void **state)
{
    struct fake_options options = {.refuse_version = true};
    struct fake_agent *fake;
    struct dsm *dsm = NULL;

    (void)state;
    assert_int_equal(fake_start(&options, &fake), 0);
    assert_int_equal(dsm_connect(fake_path(fake), &dsm), DSM_EVERSION);
    assert_null(dsm);
    fake_stop(fake);
}

/* Flags, mode and options reach the agent; the umask is applied on the way. */
static void test_open_passes_flags_and_lessened_mode(void **state)
{
    struct dsm_shm_options options = {.page_size = 65536, .home = DSM_HOME_STRIPED};
    struct dsm_region *region;
    struct fake_agent *fake;
    struct fake_seen seen;
    struct dsm *dsm;
    mode_t before;

    (void)state;
    begin((struct fake_options){.size_bytes = 8192}, &fake, &dsm);
    before = umask(027);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDWR | O_CREAT | O_EXCL | O_TRUNC, 0666,
                                  &options, &region),
                     0);
    (void)umask(before);
    fake_look(fake, &seen);
    assert_int_equal(seen.open.object, RECORD_REGION);
    assert_int_equal(seen.open.mode, 0640);
    assert_int_equal(seen.open.oflag, CALL_OFLAG_WRITE | CALL_OFLAG_CREATE | CALL_OFLAG_EXCLUSIVE |
                                          CALL_OFLAG_TRUNCATE);
    assert_int_equal(seen.open.page_size, 65536);
    assert_int_equal(seen.open.home, DSM_HOME_STRIPED);
    assert_string_equal(seen.open.name, FAKE_REGION);
    assert_int_equal(dsm_shm_close(region), 0);
    assert_int_equal(dsm_shm_close(NULL), 0);
    end(fake, dsm);
}

static void test_open_of_bad_name_names_it(void **state)
{
    struct dsm_region *region = NULL;
    struct fake_agent *fake;
    struct dsm_sem *sem;
    struct dsm *dsm;
    char name[400];

    (void)state;
    begin((struct fake_options){0}, &fake, &dsm);
    assert_int_equal(dsm_shm_open(dsm, "photo", O_RDWR, 0, NULL, &region), DSM_ENAME);
    assert_sentence(dsm, "'photo'", "start with '/'");
    assert_int_equal(dsm_shm_open(dsm, "/a/b", O_RDWR, 0, NULL, &region), DSM_ENAME);
    assert_int_equal(dsm_shm_open(dsm, "/", O_RDWR, 0, NULL, &region), DSM_ENAME);
    assert_int_equal(dsm_shm_open(dsm, NULL, O_RDWR, 0, NULL, &region), DSM_ENAME);
    memset(name, 'n', sizeof name - 1);
    name[0] = '/';
    name[sizeof name - 1] = 0;
    assert_int_equal(dsm_shm_open(dsm, name, O_RDWR, 0, NULL, &region), DSM_ENAME);
    assert_int_equal(dsm_sem_open(dsm, name, 0, 0, 0, &sem), DSM_ENAME);
    assert_int_equal(dsm_shm_unlink(dsm, name), DSM_ENAME);
    name[DSM_NAME_MAX] = 0;
    assert_int_equal(dsm_shm_open(dsm, name, O_RDWR, 0, NULL, &region), DSM_ENOENT);
    assert_null(region);
    end(fake, dsm);
}

static void test_open_with_bad_arguments_is_refused(void **state)
{
    struct dsm_shm_options bad_page = {.page_size = 5000};
    struct dsm_shm_options small_page = {.page_size = 2048};
    struct dsm_shm_options bad_home = {.home = 2};
    struct dsm_shm_options bad_window = {.window_ms = DSM_WINDOW_MS_MAX + 1};
    struct dsm_region *region;
    struct fake_agent *fake;
    struct dsm_sem *sem;
    struct dsm *dsm;

    (void)state;
    begin((struct fake_options){0}, &fake, &dsm);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_WRONLY, 0, NULL, &region), DSM_EINVAL);
    assert_sentence(dsm, FAKE_REGION, "O_RDWR");
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDWR | O_APPEND, 0, NULL, &region),
                     DSM_EINVAL);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDONLY | O_TRUNC, 0, NULL, &region),
                     DSM_EINVAL);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDWR, 0, &bad_page, &region), DSM_EINVAL);
    assert_sentence(dsm, "5000", "power of two");
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDWR, 0, &small_page, &region), DSM_EINVAL);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDWR, 0, &bad_home, &region), DSM_EINVAL);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDWR, 0, &bad_window, &region), DSM_EINVAL);
    assert_sentence(dsm, "101 ms", "DSM_WINDOW_NONE");
    assert_int_equal(dsm_sem_open(dsm, FAKE_SEM, O_RDWR, 0, 0, &sem), DSM_EINVAL);
    assert_int_equal(dsm_sem_open(dsm, FAKE_SEM, O_CREAT, 0600, 1u + INT32_MAX, &sem), DSM_EINVAL);
    end(fake, dsm);
}

/* The agent's own sentence is passed on; without one the library makes one. */
static void test_refused_open_tells_why(void **state)
{
    struct dsm_region *region;
    struct fake_agent *fake;
    struct dsm *dsm;

    (void)state;
    begin((struct fake_options){0}, &fake, &dsm);
    assert_int_equal(dsm_shm_open(dsm, "/absent", O_RDONLY, 0, NULL, &region), DSM_ENOENT);
    assert_sentence(dsm, "'/absent'", "O_CREAT");
    assert_int_equal(dsm_shm_open(dsm, "/secret", O_RDONLY, 0, NULL, &region), DSM_EACCES);
    assert_sentence(dsm, "uid 7", "0600");
    end(fake, dsm);
}

static void test_truncate_and_stat_tell_the_size(void **state)
{
    struct dsm_region *writer, *reader;
    struct dsm_shm_stat stat;
    struct fake_agent *fake;
    struct dsm *dsm;

    (void)state;
    begin((struct fake_options){0}, &fake, &dsm);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDWR, 0, NULL, &writer), 0);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDONLY, 0, NULL, &reader), 0);
    assert_int_equal(dsm_shm_truncate(reader, 100), DSM_EACCES);
    assert_int_equal(dsm_shm_truncate(writer, 10000), 0);
    assert_int_equal(dsm_shm_stat(reader, &stat), 0);
    assert_int_equal(stat.size_bytes, 10000);
    assert_int_equal(stat.page_size, FAKE_PAGE);
    assert_int_equal(stat.mode, 0640);
    assert_int_equal(stat.uid, 7);
    assert_int_equal(stat.gid, 8);
    assert_int_equal(stat.slot, 3);
    assert_int_equal(stat.generation, 9);
    assert_int_equal(dsm_shm_close(reader), 0);
    /* The other handle is closed by the end of the session. */
    end(fake, dsm);
}

/* A type is asked for in its one form, and told as the agent tells it; none is asked for twice. */
static void test_type_is_given_and_told(void **state)
{
    const struct dsm_shm_options given = {.type = "struct{u16 a;pad 06;f64 b;}[ ]"};
    const struct dsm_shm_options wrong = {.type = "u16 u32"};
    struct dsm_region *region, *other;
    struct dsm_shm_stat stat;
    struct fake_agent *fake;
    struct fake_seen seen;
    struct dsm *dsm;

    (void)state;
    begin((struct fake_options){0}, &fake, &dsm);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDWR, 0, &given, &region), 0);
    fake_look(fake, &seen);
    assert_string_equal(seen.open.type, "struct { u16 a; pad 6; f64 b; }[]");
    assert_int_equal(dsm_shm_stat(region, &stat), 0);
    assert_string_equal(stat.type, "struct { u16 a; pad 6; f64 b; }[]");
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDWR, 0, &wrong, &other), DSM_EINVAL);
    assert_sentence(dsm, "'/photo'", "element 2 at offset 2: a u32 must lie at a multiple of 4");
    fake_look(fake, &seen);
    assert_string_equal(seen.open.type, stat.type);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDONLY, 0, NULL, &other), 0);
    assert_int_equal(dsm_shm_stat(other, &stat), 0);
    assert_string_equal(stat.type, "");
    end(fake, dsm);
}

static void test_counters_come_in_their_order(void **state)
{
    struct dsm_stats stats;
    struct fake_agent *fake;
    struct dsm *dsm;
    uint64_t expected = 0;

    (void)state;
    begin((struct fake_options){0}, &fake, &dsm);
    assert_int_equal(dsm_stats_get(dsm, &stats), 0);
#define COUNTER_CHECK(name) assert_int_equal(stats.name, ++expected);
    DSM_COUNTERS(COUNTER_CHECK)
#undef COUNTER_CHECK
    end(fake, dsm);
}

static bool nobody_is_connected(const struct fake_seen *seen)
{
    return seen->count_clients == 0;
}

/* Many sessions of one process, each with its own watchdog, none left behind. */
static void test_sessions_end_without_a_trace(void **state)
{
    struct fake_agent *fake;
    struct dsm *dsm[4];

    (void)state;
    assert_int_equal(fake_start(&(struct fake_options){0}, &fake), 0);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 4; i++) {
            assert_int_equal(dsm_connect(fake_path(fake), &dsm[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            dsm_disconnect(dsm[i]);
        }
        assert_true(fake_await(fake, nobody_is_connected));
    }
    dsm_disconnect(NULL);
    fake_stop(fake);
}

/* Every error has a name and a text, and numbers that are none are told apart. */
static void test_errors_have_names_and_texts(void **state)
{
    (void)state;
#define ERROR_CHECK(name, value, text)                                                             \
    assert_string_equal(dsm_error_name(name), #name);                                              \
    assert_string_equal(dsm_strerror(name), text);
    DSM_ERRORS(ERROR_CHECK)
#undef ERROR_CHECK
    assert_string_equal(dsm_strerror(0), "success");
    assert_non_null(dsm_strerror(-1000));
    assert_non_null(dsm_error_name(17));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_to_nobody_names_the_agent),
        cmocka_unit_test(test_connect_without_path_uses_environment),
        cmocka_unit_test(test_connect_to_other_version_is_refused),
        cmocka_unit_test(test_open_passes_flags_and_lessened_mode),
        cmocka_unit_test(test_open_of_bad_name_names_it),
        cmocka_unit_test(test_open_with_bad_arguments_is_refused),
        cmocka_unit_test(test_refused_open_tells_why),
        cmocka_unit_test(test_truncate_and_stat_tell_the_size),
        cmocka_unit_test(test_type_is_given_and_told),
        cmocka_unit_test(test_counters_come_in_their_order),
        cmocka_unit_test(test_sessions_end_without_a_trace),
        cmocka_unit_test(test_errors_have_names_and_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
