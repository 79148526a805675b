/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's tables of mutexes: memory that programs have as well, and cannot take away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/token_tables.h"
#include "dsm.h"
#include "net/token_table.h"

#define OFFSET UINT64_C(192)

static const region_id photo = {3, 9}, later = {3, 10};

/* As a program maps it. */
static struct token_table *map_table(const struct token_tables *tables, region_id region)
{
    void *memory = mmap(NULL, sizeof(struct token_table), PROT_READ | PROT_WRITE, MAP_SHARED,
                        token_tables_memfd(tables, region), 0);

    assert_true(memory != MAP_FAILED);
    return memory;
}

static uint64_t word_at(struct token_table *table, uint64_t offset)
{
    return atomic_load(&table->words[token_word_slot(offset)]);
}

static bool act(struct token_tables *tables, region_id region, uint32_t verb, client_id client,
                struct event *event)
{
    struct action action = {
        .kind = ACTION_TOKEN,
        .region = region,
        .token = {.offset = OFFSET, .request = 77, .client = client, .verb = (uint8_t)verb},
    };

    return token_tables_act(tables, &action, event);
}

static void test_region_has_one_table_of_its_own(void **state)
{
    struct token_tables tables;
    int memfd;

    (void)state;
    assert_int_equal(token_tables_init(&tables), 0);
    assert_int_equal(token_tables_memfd(&tables, photo), -1);
    assert_int_equal(token_tables_open(&tables, photo), 0);
    memfd = token_tables_memfd(&tables, photo);
    assert_true(memfd >= 0);
    assert_int_equal(token_tables_open(&tables, photo), 0);
    assert_int_equal(token_tables_memfd(&tables, photo), memfd);
    assert_int_equal(token_tables_memfd(&tables, later), -1); /* of the same slot */
    token_tables_close(&tables);
}

/* Else the agent would die of a store to a page that is not there any more. */
static void test_programs_cannot_make_it_smaller(void **state)
{
    struct token_tables tables;
    int memfd;

    (void)state;
    assert_int_equal(token_tables_init(&tables), 0);
    assert_int_equal(token_tables_open(&tables, photo), 0);
    memfd = token_tables_memfd(&tables, photo);
    assert_int_equal(ftruncate(memfd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(memfd, 2 * sizeof(struct token_table)), -1);
    assert_int_equal(fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    assert_true((fcntl(memfd, F_GET_SEALS) & F_SEAL_SHRINK) != 0);
    token_tables_close(&tables);
}

static void test_actions_of_the_core_are_words(void **state)
{
    struct token_tables tables;
    struct token_table *table;
    struct event event;

    (void)state;
    assert_int_equal(token_tables_init(&tables), 0);
    assert_int_equal(token_tables_open(&tables, photo), 0);
    table = map_table(&tables, photo);
    assert_false(act(&tables, photo, TOKEN_PUT, 0, &event));
    assert_int_equal(word_at(table, OFFSET), token_word(OFFSET, 0, TOKEN_FREE));
    assert_true(token_table_lock(table, OFFSET, 5));
    assert_true(act(&tables, photo, TOKEN_TAKE, 0, &event));
    assert_int_equal(event.kind, EVENT_TOKEN);
    assert_true(region_id_equal(event.token.region, photo));
    assert_int_equal(event.token.offset, OFFSET);
    assert_int_equal(event.token.request, 77);
    assert_int_equal(event.token.client, 5);
    assert_int_equal(word_at(table, OFFSET), token_word(OFFSET, 5, TOKEN_WANTED));
    assert_int_equal(token_table_unlock(table, OFFSET, 5), TOKEN_IS_OWED);
    assert_false(act(&tables, photo, TOKEN_PUT_WANTED, 6, &event));
    assert_int_equal(word_at(table, OFFSET), token_word(OFFSET, 6, TOKEN_WANTED));
    assert_false(act(&tables, photo, TOKEN_CLEAR, 0, &event));
    assert_int_equal(word_at(table, OFFSET), 0);
    assert_true(act(&tables, photo, TOKEN_TAKE, 0, &event)); /* nobody has it */
    assert_int_equal(event.token.client, 0);
    munmap(table, sizeof(*table));
    token_tables_close(&tables);
}

static void test_region_without_a_table_has_no_words(void **state)
{
    struct token_tables tables;
    struct event event;

    (void)state;
    assert_int_equal(token_tables_init(&tables), 0);
    assert_false(act(&tables, photo, TOKEN_PUT, 0, &event));
    assert_false(act(&tables, photo, TOKEN_TAKE, 0, &event));
    token_tables_close_region(&tables, photo);
    token_tables_close(&tables);
}

/* Programs may go on having the memory. */
static void test_words_of_a_region_that_is_gone_say_nothing(void **state)
{
    struct token_tables tables;
    struct token_table *gone, *stays;
    struct event event;

    (void)state;
    assert_int_equal(token_tables_init(&tables), 0);
    assert_int_equal(token_tables_open(&tables, photo), 0);
    assert_int_equal(token_tables_open(&tables, later), 0);
    gone = map_table(&tables, photo);
    stays = map_table(&tables, later);
    act(&tables, photo, TOKEN_PUT, 0, &event);
    act(&tables, later, TOKEN_PUT, 0, &event);
    token_tables_close_region(&tables, photo);
    assert_false(token_table_lock(gone, OFFSET, 5));
    assert_int_equal(token_tables_memfd(&tables, photo), -1);
    assert_true(token_table_lock(stays, OFFSET, 5));
    token_tables_close(&tables);
    assert_int_equal(token_table_unlock(stays, OFFSET, 5), TOKEN_IS_UNKNOWN);
    munmap(gone, sizeof(*gone));
    munmap(stays, sizeof(*stays));
}

static void test_too_many_descriptors_are_told(void **state)
{
    struct token_tables tables;
    struct rlimit limit, low;

    (void)state;
    assert_int_equal(token_tables_init(&tables), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(token_tables_open(&tables, photo), DSM_ESYS);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(token_tables_memfd(&tables, photo), -1);
    assert_int_equal(token_tables_open(&tables, photo), 0);
    token_tables_close(&tables);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_region_has_one_table_of_its_own),
        cmocka_unit_test(test_programs_cannot_make_it_smaller),
        cmocka_unit_test(test_actions_of_the_core_are_words),
        cmocka_unit_test(test_region_without_a_table_has_no_words),
        cmocka_unit_test(test_words_of_a_region_that_is_gone_say_nothing),
        cmocka_unit_test(test_too_many_descriptors_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
