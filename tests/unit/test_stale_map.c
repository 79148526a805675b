/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent tells a program about pages that may have changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dsm.h"
#include "net/stale_map.h"

struct ends {
    struct stale_map agent, program;
    char told[512];
    size_t used;
};

static void begin(struct ends *ends, uint64_t count_pages)
{
    int descriptor;

    *ends = (struct ends){0};
    assert_int_equal(stale_map_make(count_pages, &ends->agent, &descriptor), 0);
    assert_int_equal(stale_map_open(count_pages, descriptor, &ends->program), 0);
    close(descriptor);
}

static void end(struct ends *ends)
{
    stale_map_close(&ends->agent);
    stale_map_close(&ends->program);
    stale_map_close(&ends->program);
}

static void note(void *context, uint64_t page, uint64_t count)
{
    struct ends *ends = context;

    ends->used += (size_t)snprintf(ends->told + ends->used, sizeof(ends->told) - ends->used,
                                   "%llu+%llu ", (unsigned long long)page,
                                   (unsigned long long)count);
}

static const char *take(struct ends *ends)
{
    ends->used = 0;
    ends->told[0] = '\0';
    stale_map_take(&ends->program, note, ends);
    return ends->told;
}

/* What has changed is told once, in runs. */
static void test_changes_are_told_once(void **state)
{
    struct ends ends;

    (void)state;
    begin(&ends, 20000);
    assert_string_equal(take(&ends), "");
    stale_map_set_changed(&ends.agent, 5, 1);
    stale_map_set_changed(&ends.agent, 62, 70);
    stale_map_set_changed(&ends.agent, 63, 2);
    stale_map_set_changed(&ends.agent, 4095, 2);
    stale_map_set_changed(&ends.agent, 19999, 1);
    assert_string_equal(take(&ends), "5+1 62+70 4095+2 19999+1 ");
    assert_string_equal(take(&ends), "");
    stale_map_set_changed(&ends.agent, 0, 20000);
    assert_string_equal(take(&ends), "0+20000 ");
    end(&ends);
}

/* Where another mapping may be writing is told each time until it may not, and once more then. */
static void test_open_pages_are_told_until_they_are_settled(void **state)
{
    struct ends ends;

    (void)state;
    begin(&ends, 300);
    stale_map_set_open(&ends.agent, 100, 10);
    assert_string_equal(take(&ends), "100+10 ");
    assert_string_equal(take(&ends), "100+10 ");
    stale_map_settle(&ends.agent, 105, 100);
    assert_string_equal(take(&ends), "100+10 ");
    assert_string_equal(take(&ends), "100+5 ");
    stale_map_settle(&ends.agent, 0, 300);
    assert_string_equal(take(&ends), "100+5 ");
    assert_string_equal(take(&ends), "");
    stale_map_settle(&ends.agent, 0, 300);
    assert_string_equal(take(&ends), "");
    end(&ends);
}

/* A mapping of a terabyte, in which little happens. */
static void test_large_mappings(void **state)
{
    uint64_t pages = UINT64_C(1) << 28;
    struct ends ends;

    (void)state;
    assert_int_equal(stale_map_bytes(UINT64_MAX), 0);
    if (sizeof(size_t) < 8) {
        return;
    }
    begin(&ends, pages);
    stale_map_set_changed(&ends.agent, pages - 1, 1);
    stale_map_set_open(&ends.agent, 70000000, 1);
    assert_string_equal(take(&ends), "70000000+1 268435455+1 ");
    assert_string_equal(take(&ends), "70000000+1 ");
    end(&ends);
}

/* Memory of another size is none, and the agent's cannot be given another. */
static void test_memory_of_another_size_is_refused(void **state)
{
    struct stale_map agent, program;
    int descriptor;

    (void)state;
    assert_int_equal(stale_map_make(100000, &agent, &descriptor), 0);
    assert_int_equal(stale_map_open(400000, descriptor, &program), DSM_EPROTO);
    assert_int_equal(stale_map_open(100000, -1, &program), DSM_EPROTO);
    assert_int_equal(ftruncate(descriptor, 0), -1);
    assert_int_equal(ftruncate(descriptor, 1 << 20), -1);
    stale_map_close(&agent);
    close(descriptor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_are_told_once),
        cmocka_unit_test(test_open_pages_are_told_until_they_are_settled),
        cmocka_unit_test(test_large_mappings),
        cmocka_unit_test(test_memory_of_another_size_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
