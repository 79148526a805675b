/* SPDX-License-Identifier: Apache-2.0 */
/* libdsm's mutexes by words that are shared with the agent, which is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dsm.h"
#include "dsm/lib/session.h"
#include "tests/unit/fake_agent.h"

#define CLIENT 5u
#define OFFSET UINT64_C(64)

struct place {
    struct fake_agent *fake;
    struct dsm *dsm;
    struct dsm_region *region;
    struct token_table *table; /* as the agent has it */
    int memfd;
};

static int set_up(void **state)
{
    static struct place place;
    struct fake_options options = {.size_bytes = 8192};

    place.memfd = memfd_create("tokens", MFD_CLOEXEC);
    assert_int_equal(ftruncate(place.memfd, sizeof(*place.table)), 0);
    place.table =
        mmap(NULL, sizeof(*place.table), PROT_READ | PROT_WRITE, MAP_SHARED, place.memfd, 0);
    assert_true(place.table != MAP_FAILED);
    assert_int_equal(fake_start(&options, &place.fake), 0);
    assert_int_equal(dsm_connect(fake_path(place.fake), &place.dsm), 0);
    assert_int_equal(dsm_shm_open(place.dsm, FAKE_REGION, O_RDWR, 0, NULL, &place.region), 0);
    *state = &place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    dsm_disconnect(place->dsm);
    fake_stop(place->fake);
    munmap(place->table, sizeof(*place->table));
    close(place->memfd);
    return 0;
}

static uint64_t word_at(const struct place *place, uint64_t offset)
{
    return atomic_load(&place->table->words[token_word_slot(offset)]);
}

static struct fake_seen look(const struct place *place)
{
    struct fake_seen seen;

    fake_look(place->fake, &seen);
    return seen;
}

/* The first lock asks for the table; from then on the agent puts words there. */
static void share(struct place *place)
{
    fake_share_tokens(place->fake, place->memfd, CLIENT);
    assert_int_equal(dsm_mutex_lock(place->region, OFFSET, DSM_FOREVER), 0);
    assert_int_equal(dsm_mutex_unlock(place->region, OFFSET), 0);
    assert_int_equal(look(place).count_tokens, 1);
    assert_int_equal(look(place).count_locks, 1);
    assert_int_equal(look(place).count_unlocks, 1);
}

static void test_mutex_that_is_here_is_taken_and_given_up_without_a_call(void **state)
{
    struct place *place = *state;

    share(place);
    token_table_put(place->table, TOKEN_PUT, OFFSET, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(dsm_mutex_lock(place->region, OFFSET, DSM_FOREVER), 0);
        assert_int_equal(word_at(place, OFFSET), token_word(OFFSET, CLIENT, TOKEN_HELD));
        assert_int_equal(dsm_mutex_unlock(place->region, OFFSET), 0);
        assert_int_equal(word_at(place, OFFSET), token_word(OFFSET, 0, TOKEN_FREE));
    }
    assert_int_equal(look(place).count_locks, 1);
    assert_int_equal(look(place).count_unlocks, 1);
    assert_int_equal(look(place).count_tokens, 1);
}

static void test_mutex_that_another_program_holds_is_asked_for_by_a_call(void **state)
{
    struct place *place = *state;

    share(place);
    token_table_put(place->table, TOKEN_PUT, OFFSET, CLIENT + 1);
    assert_int_equal(dsm_mutex_lock(place->region, OFFSET, DSM_FOREVER), 0);
    assert_int_equal(look(place).count_locks, 2);
    assert_int_equal(word_at(place, OFFSET), token_word(OFFSET, CLIENT + 1, TOKEN_HELD));
}

/* Nobody waits for the answer to what the agent is only told. */
static bool two_are_unlocked(const struct fake_seen *seen)
{
    return seen->count_unlocks == 2;
}

static void test_agent_is_told_of_a_mutex_that_somebody_waits_for(void **state)
{
    struct place *place = *state;

    share(place);
    token_table_put(place->table, TOKEN_PUT, OFFSET, 0);
    assert_int_equal(dsm_mutex_lock(place->region, OFFSET, DSM_FOREVER), 0);
    assert_int_equal(token_table_take(place->table, OFFSET), CLIENT);
    assert_int_equal(dsm_mutex_unlock(place->region, OFFSET), 0);
    assert_true(fake_await(place->fake, two_are_unlocked));
    assert_int_equal(word_at(place, OFFSET), token_word(OFFSET, 0, TOKEN_LET_GO));
}

/* Slots are shared by mutexes, words are not. */
static void test_word_of_another_mutex_is_let_alone(void **state)
{
    struct place *place = *state;
    uint64_t other = OFFSET + 8;
    uint64_t word;

    share(place);
    while (token_word_slot(other) != token_word_slot(OFFSET)) {
        other += 8;
    }
    token_table_put(place->table, TOKEN_PUT, other, 0);
    word = word_at(place, OFFSET);
    assert_int_equal(dsm_mutex_lock(place->region, OFFSET, DSM_FOREVER), 0);
    assert_int_equal(look(place).count_locks, 2);
    assert_int_equal(word_at(place, OFFSET), word);
}

static void test_no_table_means_calls(void **state)
{
    struct place *place = *state;

    fake_share_tokens(place->fake, place->memfd, 0); /* a client of no number */
    token_table_put(place->table, TOKEN_PUT, OFFSET, 0);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(dsm_mutex_lock(place->region, OFFSET, DSM_FOREVER), 0);
        assert_int_equal(look(place).count_locks, i);
    }
    assert_int_equal(look(place).count_tokens, 1); /* it is asked for once */
    assert_int_equal(word_at(place, OFFSET), token_word(OFFSET, 0, TOKEN_FREE));
}

/* The agent that put the word there can hear of nothing any more. */
static void test_words_of_a_dead_agent_are_worth_nothing(void **state)
{
    struct place *place = *state;

    share(place);
    token_table_put(place->table, TOKEN_PUT, OFFSET, 0);
    fake_die(place->fake);
    assert_int_equal(dsm_mutex_lock(place->region, OFFSET + 8, DSM_FOREVER), DSM_ENOAGENT);
    assert_int_equal(dsm_mutex_lock(place->region, OFFSET, DSM_FOREVER), DSM_ENOAGENT);
    assert_int_equal(word_at(place, OFFSET), token_word(OFFSET, 0, TOKEN_FREE));
}

/* A child has its parent's number, and would hold what its parent holds. */
static void test_forked_child_takes_nothing_by_words(void **state)
{
    struct place *place = *state;
    int status = -1;

    share(place);
    token_table_put(place->table, TOKEN_PUT, OFFSET, 0);
    pid_t pid = fake_fork(place->fake);
    if (pid == 0) {
        _exit(dsm_mutex_lock(place->region, OFFSET, 0) == 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(word_at(place, OFFSET), token_word(OFFSET, 0, TOKEN_FREE));
    assert_int_equal(dsm_mutex_lock(place->region, OFFSET, 0), 0);
    assert_int_equal(look(place).count_locks, 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_mutex_that_is_here_is_taken_and_given_up_without_a_call),
        TEST(test_mutex_that_another_program_holds_is_asked_for_by_a_call),
        TEST(test_agent_is_told_of_a_mutex_that_somebody_waits_for),
        TEST(test_word_of_another_mutex_is_let_alone),
        TEST(test_no_table_means_calls),
        TEST(test_words_of_a_dead_agent_are_worth_nothing),
        TEST(test_forked_child_takes_nothing_by_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
