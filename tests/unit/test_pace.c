/* SPDX-License-Identifier: Apache-2.0 */
/* How the agent's loop waits: when it polls, when it stops, and when what is held back leaves. */
#include "agent/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SPIN_US 50u
#define US UINT64_C(1000)

/** A loop under a clock of the test's. */
struct loop {
    struct pace pace;
    uint64_t now_ns;
};

static struct loop loop_of(uint64_t spin_us)
{
    struct loop loop = {.now_ns = 1000 * US};

    pace_init(&loop.pace, spin_us, loop.now_ns);
    return loop;
}

/** Looks without waiting until it sleeps; how many, each of 1 us. What is held back leaves. */
static uint32_t looks_before_sleep(struct loop *loop, bool is_holding)
{
    uint32_t looks = 0;

    for (;;) {
        enum pace_step step = pace_next(&loop->pace, loop->now_ns, is_holding);

        if (step == PACE_SLEEP) {
            return looks;
        }
        if (step == PACE_FLUSH) {
            is_holding = false;
            continue;
        }
        pace_on_back(&loop->pace, loop->now_ns + US / 2);
        loop->now_ns += US;
        pace_on_look(&loop->pace, loop->now_ns, false);
        looks++;
    }
}

/** An event comes after so long: before the loop sleeps, or it wakes up for it. */
static void event_after(struct loop *loop, uint64_t wait_us)
{
    uint64_t until_ns = loop->now_ns + wait_us * US;

    while (loop->now_ns < until_ns &&
           pace_next(&loop->pace, loop->now_ns, false) == PACE_LOOK) {
        pace_on_back(&loop->pace, loop->now_ns + US / 2);
        loop->now_ns += US;
        pace_on_look(&loop->pace, loop->now_ns, loop->now_ns >= until_ns);
    }
    if (loop->now_ns < until_ns) {
        loop->now_ns = until_ns;
        pace_on_look(&loop->pace, until_ns, true);
    }
}

static void events(struct loop *loop, uint32_t count, uint64_t wait_us)
{
    for (uint32_t i = 0; i < count; i++) {
        event_after(loop, wait_us);
    }
}

/* Somebody else has the CPU for so long when it is given up. */
static void others_run(struct loop *loop, uint64_t away_us)
{
    assert_int_equal(pace_next(&loop->pace, loop->now_ns, false), PACE_LOOK);
    loop->now_ns += away_us * US;
    pace_on_back(&loop->pace, loop->now_ns);
    pace_on_look(&loop->pace, loop->now_ns, false);
}

static void test_idle_loop_sleeps_at_once(void **state)
{
    struct loop loop = loop_of(SPIN_US);

    (void)state;
    assert_int_equal(looks_before_sleep(&loop, false), 0);
    events(&loop, 100, 1000); /* one a millisecond */
    assert_int_equal(looks_before_sleep(&loop, false), 0);
}

static void test_short_waits_begin_polling_which_lasts_while_it_pays(void **state)
{
    struct loop loop = loop_of(SPIN_US);

    (void)state;
    events(&loop, PACE_NEEDED_MIN - 1, 100);
    assert_int_equal(looks_before_sleep(&loop, false), 0);
    events(&loop, 1, 10);
    events(&loop, 1000, 20);
    assert_int_equal(looks_before_sleep(&loop, false), SPIN_US);
    assert_int_equal(looks_before_sleep(&loop, false), 0); /* once a wait */
}

static void test_polls_that_run_out_end_polling_for_longer_each_time(void **state)
{
    struct loop loop = loop_of(SPIN_US);
    uint32_t needed = PACE_NEEDED_MIN;

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        events(&loop, needed, 100);
        for (uint32_t poll = 0; poll < PACE_UNPAID_MAX; poll++) {
            assert_int_equal(looks_before_sleep(&loop, false), SPIN_US);
            event_after(&loop, 1000);
        }
        assert_int_equal(looks_before_sleep(&loop, false), 0);
        needed *= 2;
        events(&loop, needed - 1, 100);
        assert_int_equal(looks_before_sleep(&loop, false), 0);
        event_after(&loop, 1000);
    }
}

static void test_without_a_spin_time_nothing_is_polled(void **state)
{
    struct loop loop = loop_of(0);

    (void)state;
    events(&loop, 1000, 1);
    assert_int_equal(looks_before_sleep(&loop, false), 0);
}

/* All on one CPU: whoever was waited for runs when it is given up, so sleeping is as quick. */
static void test_polling_ends_where_others_need_the_cpu(void **state)
{
    struct loop loop = loop_of(SPIN_US);

    (void)state;
    events(&loop, PACE_NEEDED_MIN, 40);
    for (uint32_t i = 0; i < PACE_UNPAID_MAX; i++) {
        others_run(&loop, 15);
        assert_int_equal(looks_before_sleep(&loop, false), 0);
        event_after(&loop, 20);
    }
    assert_int_equal(looks_before_sleep(&loop, false), 0);
}

/* What came while another one ran neither pays for polling nor speaks against it. */
static void test_event_that_came_while_others_ran_is_no_verdict(void **state)
{
    struct loop loop = loop_of(SPIN_US);

    (void)state;
    events(&loop, PACE_NEEDED_MIN, 40);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(pace_next(&loop.pace, loop.now_ns, false), PACE_LOOK);
        loop.now_ns += 15 * US;
        pace_on_back(&loop.pace, loop.now_ns);
        pace_on_look(&loop.pace, loop.now_ns, true);
    }
    assert_int_equal(looks_before_sleep(&loop, false), SPIN_US);
}

static void test_who_computes_beside_us_is_left_alone_for_a_while(void **state)
{
    struct loop loop = loop_of(SPIN_US);
    uint64_t until_ns;

    (void)state;
    events(&loop, PACE_NEEDED_MIN, 40);
    others_run(&loop, 3000);
    until_ns = loop.now_ns + PACE_CROWDED * 3000 * US;
    while (loop.now_ns + 100 * US < until_ns) {
        assert_int_equal(pace_next(&loop.pace, loop.now_ns, true), PACE_FLUSH);
        assert_int_equal(looks_before_sleep(&loop, false), 0);
        events(&loop, 1, 50);
    }
    loop.now_ns = until_ns;
    events(&loop, 1, 1000);
    assert_int_equal(looks_before_sleep(&loop, true), 1);
    assert_int_equal(looks_before_sleep(&loop, false), 0);
    events(&loop, 2 * PACE_NEEDED_MIN, 40);
    assert_int_equal(looks_before_sleep(&loop, false), SPIN_US);
}

/* One look, since who was served may want the next page at once; then it leaves. */
static void test_what_is_held_back_leaves_before_the_loop_sleeps(void **state)
{
    struct loop loop = loop_of(0);

    (void)state;
    events(&loop, 1, 100);
    assert_int_equal(pace_next(&loop.pace, loop.now_ns, true), PACE_LOOK);
    pace_on_back(&loop.pace, loop.now_ns);
    pace_on_look(&loop.pace, loop.now_ns, false);
    assert_int_equal(pace_next(&loop.pace, loop.now_ns, true), PACE_FLUSH);
    assert_int_equal(pace_next(&loop.pace, loop.now_ns, false), PACE_SLEEP);
}

static void test_what_is_held_back_leaves_in_time_from_a_busy_loop(void **state)
{
    struct loop loop = loop_of(SPIN_US);
    uint64_t begun_ns;

    (void)state;
    events(&loop, 10, 5);
    begun_ns = loop.now_ns;
    while (pace_next(&loop.pace, loop.now_ns, true) == PACE_LOOK) {
        pace_on_back(&loop.pace, loop.now_ns);
        loop.now_ns += 5 * US;
        pace_on_look(&loop.pace, loop.now_ns, true);
    }
    assert_int_equal(loop.now_ns - begun_ns, PACE_HOLD_NS);
    /* What is held back next has its own time. */
    assert_int_equal(pace_next(&loop.pace, loop.now_ns, false), PACE_LOOK);
    assert_int_equal(pace_next(&loop.pace, loop.now_ns, true), PACE_LOOK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_loop_sleeps_at_once),
        cmocka_unit_test(test_short_waits_begin_polling_which_lasts_while_it_pays),
        cmocka_unit_test(test_polls_that_run_out_end_polling_for_longer_each_time),
        cmocka_unit_test(test_without_a_spin_time_nothing_is_polled),
        cmocka_unit_test(test_polling_ends_where_others_need_the_cpu),
        cmocka_unit_test(test_event_that_came_while_others_ran_is_no_verdict),
        cmocka_unit_test(test_who_computes_beside_us_is_left_alone_for_a_while),
        cmocka_unit_test(test_what_is_held_back_leaves_before_the_loop_sleeps),
        cmocka_unit_test(test_what_is_held_back_leaves_in_time_from_a_busy_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
