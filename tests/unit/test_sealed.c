/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that reads a sealed region: what it makes of answers that are late, wrong or of nodes that
 * have died, and of wishes that no honest node has. The home (node 0) and the others are played.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "dsm_advice.h"
#include "tests/sim/solo_page.h"

#define PAGE 5u

static int set_up_on(void **state, uint32_t hardware_page, uint32_t read_ahead_pages)
{
    struct node_config config = {
        .resend_ms = 100, .page_bytes = hardware_page, .read_ahead_pages = read_ahead_pages};
    struct solo_page *p = solo_page_new(&config);
    struct record record = solo_region(7, 600, 0);

    record.sealed = true;
    record.writers = NODESET_EMPTY;
    solo_record(p->solo, &record);
    p->region = record.id;
    p->map = 0;
    *state = p;
    return 0;
}

static int set_up(void **state)
{
    return set_up_on(state, 0, 1);
}

static int set_up_groups(void **state)
{
    return set_up_on(state, 4 * SOLO_PAGE_BYTES, 64);
}

static int tear_down(void **state)
{
    solo_page_free(*state);
    return 0;
}

/* A program of this node maps the region for reading and touches a page. */
static void touch(struct solo_page *p, uint64_t number)
{
    struct call open = {.kind = CALL_OPEN, .object = RECORD_REGION, .name = "/r7"};
    struct call map = {
        .kind = CALL_MAP, .size_bytes = 600 * SOLO_PAGE_BYTES, .rights = RIGHTS_READ};

    if (p->map == 0) {
        const struct record *record = node_record(p->solo->node, p->region);

        memcpy(open.name, record->name, sizeof(open.name));
        p->handle = solo_reply(p->solo, solo_call(p->solo, 3, &open))->handle;
        map.handle = p->handle;
        p->map = solo_reply(p->solo, solo_call(p->solo, 3, &map))->map;
    }
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, number, false);
}

/* An answer to the newest wish. */
static struct message answer_of(const struct solo_page *p, uint32_t kind, uint32_t from)
{
    const struct message *pull = NULL;
    struct message message = {.kind = (uint8_t)kind, .from = (uint16_t)from, .to = 1};

    for (uint32_t i = 0; solo_sent(p->solo, MESSAGE_PULL, i) != NULL; i++) {
        pull = solo_sent(p->solo, MESSAGE_PULL, i);
    }
    assert_non_null(pull);
    message.epoch = pull->epoch;
    message.region = pull->region;
    message.request = pull->request;
    message.page = pull->page;
    message.count = pull->count;
    message.flags = kind == MESSAGE_DATA ? FLAG_COPY : 0;
    message.granted = kind == MESSAGE_DATA ? pull->count : 0;
    return message;
}

/* The newest wish has gone to this node, which is to shun that one. */
static void expect_pull(const struct solo_page *p, uint32_t nth, uint32_t to, uint32_t shun)
{
    const struct message *pull = solo_sent(p->solo, MESSAGE_PULL, nth);

    assert_non_null(pull);
    assert_int_equal(pull->to, to);
    assert_int_equal(pull->requester, shun);
    assert_null(solo_sent(p->solo, MESSAGE_PULL, nth + 1));
}

static void expect_nothing(struct solo_page *p, const struct message *message, uint32_t pages)
{
    uint32_t before = p->solo->count;

    solo_message(p->solo, message, pages);
    assert_int_equal(p->solo->count, before);
}

/* Node 2 wishes to have pages. */
static struct message wish(const struct solo_page *p, uint64_t page, uint32_t count)
{
    return (struct message){.kind = MESSAGE_PULL, .from = 2, .to = 1, .requester = 2,
                            .epoch = node_epoch(p->solo->node), .region = p->region,
                            .request = NODES_MAX + 1, .page = page, .count = (uint16_t)count};
}

static void test_answers_that_fit_no_wish_change_nothing(void **state)
{
    struct solo_page *p = *state;
    struct message seat, data, wrong;

    touch(p, PAGE);
    expect_pull(p, 0, 0, 1);
    seat = answer_of(p, MESSAGE_SEAT, 0);
    seat.requester = 2;
    wrong = seat;
    wrong.page++;
    expect_nothing(p, &wrong, 0);
    wrong = seat;
    wrong.request += NODES_MAX;
    expect_nothing(p, &wrong, 0);
    wrong = seat;
    wrong.from = 3;
    expect_nothing(p, &wrong, 0);
    wrong = seat;
    wrong.region.slot = 5;
    wrong.region.generation = 1005;
    expect_nothing(p, &wrong, 0);

    data = answer_of(p, MESSAGE_DATA, 0);
    expect_nothing(p, &data, 0); /* without the bytes */
    wrong = data;
    wrong.page++;
    expect_nothing(p, &wrong, 1);
    wrong = data;
    wrong.count = 0;
    expect_nothing(p, &wrong, 0);
    wrong = data;
    wrong.count = 2;
    wrong.granted = 2;
    expect_nothing(p, &wrong, 2);
    wrong = data;
    wrong.from = 3;
    expect_nothing(p, &wrong, 1);
    wrong = data;
    wrong.region.slot = 5;
    wrong.region.generation = 1005;
    expect_nothing(p, &wrong, 1);
    solo_message(p->solo, &data, 1);
    assert_non_null(solo_action(p->solo, ACTION_FILL, 0));
    solo_forget(p->solo);
    expect_nothing(p, &data, 1); /* once more */
}

static void test_seat_below_who_has_died_or_oneself_is_given_back(void **state)
{
    struct solo_page *p = *state;
    struct message seat;

    solo_member(p->solo, 3, 1, false, 2);
    touch(p, PAGE);
    seat = answer_of(p, MESSAGE_SEAT, 0);
    seat.requester = 3;
    solo_message(p->solo, &seat, 0);
    expect_pull(p, 1, 0, 3);
    seat.requester = 1;
    solo_message(p->solo, &seat, 0);
    expect_pull(p, 2, 0, 1);
    seat.requester = 2;
    solo_message(p->solo, &seat, 0);
    expect_pull(p, 3, 2, 1);
}

static void test_refused_wish_is_uttered_anew(void **state)
{
    struct solo_page *p = *state;
    struct message seat;

    touch(p, PAGE);
    seat = answer_of(p, MESSAGE_SEAT, 0);
    seat.error = DSM_EACCES;
    solo_message(p->solo, &seat, 0);
    assert_null(solo_action(p->solo, ACTION_FILL, 0));
    expect_pull(p, 1, 0, 1);
    assert_true(solo_sent(p->solo, MESSAGE_PULL, 1)->request != seat.request);
}

static void test_more_wishes_than_honest_nodes_have_are_dropped(void **state)
{
    struct solo_page *p = *state;
    struct message pull = wish(p, 0, 1);
    uint32_t count;

    touch(p, 599);
    for (count = 0; count < 5000; count++) { /* it has none of the pages: all of them wait */
        pull.page = count % 599;
        pull.request = (count + 1) * NODES_MAX + 1;
        solo_message(p->solo, &pull, 0);
    }
    assert_in_range(solo_counters(p->solo)->core_bytes, 1, UINT64_C(16) << 20);
    solo_forget(p->solo);
    pull.page = 0;
    expect_nothing(p, &pull, 0);
}

static void test_wish_that_is_repeated_may_begin_earlier(void **state)
{
    struct solo_page *p = *state;
    struct message pull = wish(p, PAGE + 1, 1), data;

    touch(p, 599);
    solo_message(p->solo, &pull, 0);
    data = answer_of(p, MESSAGE_DATA, 0);
    pull = wish(p, PAGE, 2);
    solo_message(p->solo, &pull, 0);
    solo_message(p->solo, &data, 1); /* the second one */
    data = answer_of(p, MESSAGE_DATA, 0);
    assert_int_equal(data.page, PAGE);
    assert_null(solo_sent(p->solo, MESSAGE_DATA, 0));
    solo_message(p->solo, &data, 1);
    assert_int_equal(solo_sent(p->solo, MESSAGE_DATA, 0)->page, PAGE);
    assert_int_equal(solo_sent(p->solo, MESSAGE_DATA, 0)->granted, 2);
}

static void test_wish_outside_the_region_or_for_nothing_is_refused(void **state)
{
    struct solo_page *p = *state;
    struct message pull = wish(p, 3, 0);
    uint64_t refused;

    touch(p, PAGE);
    solo_forget(p->solo);
    for (uint32_t i = 0; i < 3; i++) {
        pull.count = i == 0 ? 0 : i == 1 ? RANGE_PAGES_MAX + 1 : 2;
        pull.page = i == 2 ? 599 : 3;
        refused = solo_counters(p->solo)->refused;
        solo_message(p->solo, &pull, 0);
        assert_int_equal(solo_counters(p->solo)->refused, refused + 1);
    }
    assert_null(solo_sent(p->solo, MESSAGE_PULL, 0));
}

static void test_wish_for_pages_of_two_homes_is_refused(void **state)
{
    struct solo_page *p = *state;
    struct record record = solo_region(8, 600, 0);
    struct message pull = wish(p, STRIPE_PAGES - 1, 2);
    uint64_t refused = solo_counters(p->solo)->refused;

    record.sealed = true;
    record.writers = NODESET_EMPTY;
    nodeset_add(&record.homes, 2);
    solo_record(p->solo, &record);
    pull.region = record.id;
    solo_message(p->solo, &pull, 0);
    assert_int_equal(solo_counters(p->solo)->refused, refused + 1);
    pull.page = STRIPE_PAGES - 2;
    solo_message(p->solo, &pull, 0);
    assert_int_equal(solo_counters(p->solo)->refused, refused + 1);
}

/* --- a search, the home being dead --- */

/* Node 2 asks for two pages of this node, whose turn it is to search. */
static void ask_two(struct solo_page *p)
{
    struct message pull;

    touch(p, 599);
    solo_member(p->solo, 0, 1, false, 2);
    solo_forget(p->solo);
    pull = wish(p, PAGE, 2);
    solo_message(p->solo, &pull, 0);
}

static void test_search_that_is_not_answered_is_repeated(void **state)
{
    struct solo_page *p = *state;
    const struct message *first, *again;

    ask_two(p);
    first = solo_sent(p->solo, MESSAGE_PULL, 0);
    assert_int_equal(first->to, 2);
    assert_int_equal(first->flags & FLAG_COPY, FLAG_COPY);
    solo_advance(p->solo, 100);
    again = solo_sent(p->solo, MESSAGE_PULL, 2); /* behind that for the page which was touched */
    assert_int_equal(again->to, 2);
    assert_int_equal(again->request, first->request);
}

/* Who says that it lacks none of them, and sends none, is passed over like others. */
static void test_search_goes_on_after_an_answer_about_no_page(void **state)
{
    struct solo_page *p = *state;
    struct message seat;

    ask_two(p);
    seat = answer_of(p, MESSAGE_SEAT, 2);
    seat.error = DSM_ENOENT;
    seat.count = 0;
    solo_message(p->solo, &seat, 0);
    expect_pull(p, 1, 3, 1);
}

static void test_what_a_search_finds_may_come_in_parts(void **state)
{
    struct solo_page *p = *state;
    struct message seat, data;

    ask_two(p);
    seat = answer_of(p, MESSAGE_SEAT, 2);
    seat.error = DSM_ENOENT;
    solo_message(p->solo, &seat, 0);
    data = answer_of(p, MESSAGE_DATA, 3);
    data.count = 1;
    solo_forget(p->solo);
    solo_message(p->solo, &data, 1);
    assert_null(solo_sent(p->solo, MESSAGE_PULL, 0)); /* the rest is on its way */
    data.page++;
    data.granted = 1;
    solo_message(p->solo, &data, 1);
    assert_int_equal(solo_sent(p->solo, MESSAGE_DATA, 0)->to, 2);
    assert_int_equal(solo_sent(p->solo, MESSAGE_DATA, 1)->page, PAGE + 1);
}

/* --- answers of another kind --- */

/* As if it were sealed, of a region that is not. */
static void test_answers_to_ordinary_requests_change_nothing(void **state)
{
    struct solo_page *p = *state;
    struct record record = solo_region(8, 600, 0);
    const struct message *read;
    struct message wrong;
    map_id map;

    solo_record(p->solo, &record);
    map = solo_map(p->solo, 4, &record, NULL);
    solo_forget(p->solo);
    solo_fault(p->solo, map, PAGE, false);
    read = solo_sent(p->solo, MESSAGE_READ, 0);
    wrong = *read;
    wrong.from = 0;
    wrong.to = 1;
    wrong.requester = 2;
    wrong.kind = MESSAGE_SEAT;
    expect_nothing(p, &wrong, 0);
    wrong.kind = MESSAGE_DATA;
    wrong.flags = FLAG_COPY;
    wrong.granted = wrong.count;
    expect_nothing(p, &wrong, wrong.count);
}

/* --- what a program is told --- */

static void test_seal_is_not_undone_by_a_record(void **state)
{
    struct solo_page *p = *state;
    struct record record = *node_record(p->solo->node, p->region);

    record.sealed = false;
    solo_record(p->solo, &record);
    assert_true(node_record(p->solo->node, p->region)->sealed);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* It came when the group's first pages were here; the request that brings the last goes further. */
static void test_thread_gets_its_group_when_the_last_page_of_it_is_in(void **state)
{
    struct solo_page *p = *state;
    struct call advise = {
        .kind = CALL_ADVISE, .op = DSM_ADVICE_WILL_NEED, .size_bytes = 12 * SOLO_PAGE_BYTES};
    struct message data;

    touch(p, 100);
    advise.handle = p->handle;
    solo_forget(p->solo);
    assert_int_equal(solo_do(p->solo, 3, &advise), 0);
    data = answer_of(p, MESSAGE_DATA, 0);
    assert_int_equal(data.page, 0);
    assert_in_range(data.count, 9, 12);
    data.count = 3;
    data.granted = 3;
    solo_message(p->solo, &data, 3);
    solo_forget(p->solo);
    solo_fault(p->solo, p->map, 0, false);
    data.page = 3;
    data.count = 2;
    data.granted = 2;
    solo_message(p->solo, &data, 2);
    assert_non_null(solo_action(p->solo, ACTION_GATHER, 0));
    assert_int_equal(solo_action(p->solo, ACTION_GATHER, 0)->page, 0);
    assert_null(solo_action(p->solo, ACTION_GATHER, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answers_that_fit_no_wish_change_nothing),
        TEST(test_seat_below_who_has_died_or_oneself_is_given_back),
        TEST(test_refused_wish_is_uttered_anew),
        TEST(test_more_wishes_than_honest_nodes_have_are_dropped),
        TEST(test_wish_that_is_repeated_may_begin_earlier),
        TEST(test_wish_outside_the_region_or_for_nothing_is_refused),
        TEST(test_wish_for_pages_of_two_homes_is_refused),
        TEST(test_search_that_is_not_answered_is_repeated),
        TEST(test_search_goes_on_after_an_answer_about_no_page),
        TEST(test_what_a_search_finds_may_come_in_parts),
        TEST(test_answers_to_ordinary_requests_change_nothing),
        TEST(test_seal_is_not_undone_by_a_record),
        cmocka_unit_test_setup_teardown(test_thread_gets_its_group_when_the_last_page_of_it_is_in,
                                        set_up_groups, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
