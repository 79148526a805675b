/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent remembers of pages that bounce. */
#include "agent/bounces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct record record = {
    .kind = RECORD_REGION, .id = {3, 9}, .name = "/torn", .page_size = 4096};

static void note(struct bounces *bounces, region_id region, uint64_t page, uint32_t node,
                 uint32_t per_s, uint64_t now_ms)
{
    struct action action = {
        .kind = ACTION_BOUNCE, .region = region, .page = page, .node = node, .count = per_s};

    bounces_note(bounces, &action, &record, 4096, "b", now_ms);
}

/* One entry for a page, with all who wanted it and the worst second. */
static void test_page_is_remembered_with_all_who_want_it(void **state)
{
    struct bounces bounces = {.count = 0};
    const struct bounce *bounce;
    uint32_t cursor = 0;

    (void)state;
    note(&bounces, record.id, 7, 2, 90, 1);
    note(&bounces, record.id, 7, 3, 60, 2);
    note(&bounces, (region_id){3, 8}, 7, 4, 50, 3); /* an older region in its slot */
    bounce = bounces_next(&bounces, record.id, &cursor);
    assert_int_equal(bounce->page, 7);
    assert_int_equal(bounce->per_s_peak, 90);
    assert_true(nodeset_has(bounce->nodes, 2) && nodeset_has(bounce->nodes, 3));
    assert_false(nodeset_has(bounce->nodes, 4));
    assert_null(bounces_next(&bounces, record.id, &cursor));
}

/* When there are too many, the one that was told of longest ago gives way. */
static void test_oldest_page_gives_way(void **state)
{
    struct bounces bounces = {.count = 0};
    const struct bounce *bounce;
    uint32_t cursor = 0, count = 0;

    (void)state;
    for (uint32_t i = 0; i < BOUNCES_MAX; i++) {
        note(&bounces, record.id, i, 2, 50, 100 + i);
    }
    note(&bounces, record.id, 0, 2, 50, 500);
    note(&bounces, record.id, 1000, 2, 50, 501);
    while ((bounce = bounces_next(&bounces, record.id, &cursor)) != NULL) {
        assert_int_not_equal(bounce->page, 1);
        count++;
    }
    assert_int_equal(count, BOUNCES_MAX);
}

/* What to do depends on whether the hardware's page is larger than the region's. */
static void test_advice_fits_the_machine(void **state)
{
    char text[256];

    (void)state;
    bounces_advise(&record, 4096, text, sizeof(text));
    assert_non_null(strstr(text, "on different 4096 bytes"));
    assert_non_null(strstr(text, "mutex"));
    assert_non_null(strstr(text, "dsm_fetch_add"));
    bounces_advise(&record, 65536, text, sizeof(text));
    assert_non_null(strstr(text, "page_size of 65536 or more"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_is_remembered_with_all_who_want_it),
        cmocka_unit_test(test_oldest_page_gives_way),
        cmocka_unit_test(test_advice_fits_the_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
