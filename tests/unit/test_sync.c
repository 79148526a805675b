/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutexes, semaphores, barriers and atomic operations, as programs on several nodes see them while
 * all nodes live and no message is lost.
 */
#include "tests/sim/parties.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WAITS 1 /* parties_error() of a call that is not answered */

static int set_up(void **state)
{
    *state = parties_new();
    return 0;
}

static int tear_down(void **state)
{
    parties_free(*state);
    return 0;
}

/* --- mutex --- */

static void test_mutex_is_passed_on_in_order_of_arrival(void **state)
{
    struct parties *p = *state;
    uint64_t holder = parties_do(p, 1, 1, SYNC_LOCK, 64, 0, -1);
    uint64_t waiter[4];

    assert_int_equal(parties_error(p, 1, holder), 0);
    for (uint32_t i = 0; i < 4; i++) { /* of every node, the holder's own included */
        waiter[i] = parties_do(p, i, 2, SYNC_LOCK, 64, 0, -1);
    }
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t unlock;

        assert_int_equal(parties_error(p, i, waiter[i]), WAITS);
        unlock = i == 0 ? parties_do(p, 1, 1, SYNC_UNLOCK, 64, 0, -1)
                        : parties_do(p, i - 1, 2, SYNC_UNLOCK, 64, 0, -1);
        assert_int_equal(parties_error(p, i == 0 ? 1 : i - 1, unlock), 0);
        assert_int_equal(parties_error(p, i, waiter[i]), 0);
    }
}

static void test_mutexes_at_other_offsets_are_others(void **state)
{
    struct parties *p = *state;

    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 1, SYNC_LOCK, 64, 0, -1)), 0);
    assert_int_equal(parties_error(p, 2, parties_do(p, 2, 1, SYNC_LOCK, 72, 0, -1)), 0);
    assert_int_equal(parties_error(p, 3, parties_do(p, 3, 1, SYNC_LOCK, 8192, 0, -1)), 0);
}

static void test_trying_a_mutex_never_waits(void **state)
{
    struct parties *p = *state;

    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 1, SYNC_LOCK, 64, 0, 0)), 0);
    assert_int_equal(parties_error(p, 2, parties_do(p, 2, 1, SYNC_LOCK, 64, 0, 0)), DSM_EAGAIN);
    parties_do(p, 1, 1, SYNC_UNLOCK, 64, 0, -1);
    assert_int_equal(parties_error(p, 2, parties_do(p, 2, 1, SYNC_LOCK, 64, 0, 0)), 0);
}

static void test_lock_that_is_not_got_in_time_takes_nothing(void **state)
{
    struct parties *p = *state;
    uint64_t late, next;

    parties_do(p, 1, 1, SYNC_LOCK, 64, 0, -1);
    late = parties_do(p, 2, 1, SYNC_LOCK, 64, 0, 300);
    next = parties_do(p, 3, 1, SYNC_LOCK, 64, 0, -1);
    cluster_advance(p->cluster, 299);
    assert_int_equal(parties_error(p, 2, late), WAITS);
    cluster_advance(p->cluster, 1);
    assert_int_equal(parties_error(p, 2, late), DSM_ETIMEDOUT);
    parties_do(p, 1, 1, SYNC_UNLOCK, 64, 0, -1);
    assert_int_equal(parties_error(p, 3, next), 0);
}

static void test_grant_that_crosses_the_cancellation_counts(void **state)
{
    struct parties *p = *state;
    uint64_t waiter, next;

    parties_do(p, 1, 1, SYNC_LOCK, 64, 0, -1);
    waiter = parties_do(p, 2, 1, SYNC_LOCK, 64, 0, 300);
    p->cluster->is_held[0][2] = true; /* the grant stays on its way */
    parties_do(p, 1, 1, SYNC_UNLOCK, 64, 0, -1);
    cluster_advance(p->cluster, 300); /* the cancellation goes out */
    assert_int_equal(parties_error(p, 2, waiter), WAITS);
    p->cluster->is_held[0][2] = false;
    cluster_run(p->cluster);
    assert_int_equal(parties_error(p, 2, waiter), 0);
    next = parties_do(p, 3, 1, SYNC_LOCK, 64, 0, -1);
    assert_int_equal(parties_error(p, 3, next), WAITS);
    assert_int_equal(parties_error(p, 2, parties_do(p, 2, 1, SYNC_UNLOCK, 64, 0, -1)), 0);
    assert_int_equal(parties_error(p, 3, next), 0);
}

static void test_unlock_by_who_does_not_hold_it_is_refused(void **state)
{
    struct parties *p = *state;

    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 1, SYNC_UNLOCK, 64, 0, -1)), DSM_EPERM);
    parties_do(p, 1, 1, SYNC_LOCK, 64, 0, -1);
    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 2, SYNC_UNLOCK, 64, 0, -1)), DSM_EPERM);
    assert_int_equal(parties_error(p, 2, parties_do(p, 2, 1, SYNC_UNLOCK, 64, 0, -1)), DSM_EPERM);
    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 1, SYNC_UNLOCK, 64, 0, -1)), 0);
    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 1, SYNC_UNLOCK, 64, 0, -1)), DSM_EPERM);
}

/* --- semaphore --- */

static void test_semaphore_counts(void **state)
{
    struct parties *p = *state;

    assert_int_equal(parties_value(p, 3, parties_do(p, 3, 1, SYNC_SEM_VALUE, 0, 0, -1)),
                     PARTIES_SEM_VALUE);
    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 1, SYNC_SEM_POST, 0, 0, -1)), 0);
    assert_int_equal(parties_value(p, 0, parties_do(p, 0, 1, SYNC_SEM_VALUE, 0, 0, -1)), 2);
    assert_int_equal(parties_error(p, 2, parties_do(p, 2, 1, SYNC_SEM_WAIT, 0, 0, -1)), 0);
    assert_int_equal(parties_error(p, 2, parties_do(p, 2, 1, SYNC_SEM_WAIT, 0, 0, 0)), 0);
    assert_int_equal(parties_error(p, 2, parties_do(p, 2, 1, SYNC_SEM_WAIT, 0, 0, 0)), DSM_EAGAIN);
    assert_int_equal(parties_value(p, 0, parties_do(p, 0, 1, SYNC_SEM_VALUE, 0, 0, -1)), 0);
}

static void test_posts_wake_waiters_in_order(void **state)
{
    struct parties *p = *state;
    uint64_t waiter[3];

    parties_do(p, 0, 1, SYNC_SEM_WAIT, 0, 0, -1);
    for (uint32_t i = 0; i < 3; i++) {
        waiter[i] = parties_do(p, 3 - i, 1, SYNC_SEM_WAIT, 0, 0, -1);
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(parties_error(p, 3 - i, waiter[i]), WAITS);
        parties_do(p, 0, 2, SYNC_SEM_POST, 0, 0, -1);
        assert_int_equal(parties_error(p, 3 - i, waiter[i]), 0);
    }
    assert_int_equal(parties_value(p, 0, parties_do(p, 0, 1, SYNC_SEM_VALUE, 0, 0, -1)), 0);
}

static void test_wait_that_is_not_served_in_time_takes_no_post(void **state)
{
    struct parties *p = *state;
    uint64_t late;

    parties_do(p, 0, 1, SYNC_SEM_WAIT, 0, 0, -1);
    late = parties_do(p, 2, 1, SYNC_SEM_WAIT, 0, 0, 50);
    cluster_advance(p->cluster, 50);
    assert_int_equal(parties_error(p, 2, late), DSM_ETIMEDOUT);
    parties_do(p, 0, 1, SYNC_SEM_POST, 0, 0, -1);
    assert_int_equal(parties_value(p, 0, parties_do(p, 0, 1, SYNC_SEM_VALUE, 0, 0, -1)), 1);
}

static void test_semaphore_does_not_overflow(void **state)
{
    struct parties *p = *state;
    struct call open = {.kind = CALL_OPEN,
                        .object = RECORD_SEM,
                        .oflag = CALL_OFLAG_CREATE,
                        .mode = 0666,
                        .value = INT32_MAX,
                        .name = "/full"};

    p->sem[1][1] = cluster_call(p->cluster, 1, 1, &open).handle;
    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 1, SYNC_SEM_POST, 0, 0, -1)),
                     DSM_EOVERFLOW);
    assert_int_equal(parties_value(p, 1, parties_do(p, 1, 1, SYNC_SEM_VALUE, 0, 0, -1)), INT32_MAX);
    parties_do(p, 1, 1, SYNC_SEM_WAIT, 0, 0, -1);
    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 1, SYNC_SEM_POST, 0, 0, -1)), 0);
    open.value = (uint64_t)INT32_MAX + 1;
    memcpy(open.name, "/more", 6);
    assert_int_equal(cluster_call(p->cluster, 1, 1, &open).error, DSM_EINVAL);
}

/* --- barrier --- */

static void test_barrier_releases_all_parties_or_none(void **state)
{
    struct parties *p = *state;

    for (uint32_t round = 0; round < 3; round++) {
        uint64_t number[5];

        for (uint32_t i = 0; i < 4; i++) {
            number[i] = parties_do(p, i, 1, SYNC_BARRIER, 256, 5, -1);
        }
        for (uint32_t i = 0; i < 4; i++) {
            assert_int_equal(parties_error(p, i, number[i]), WAITS);
        }
        number[4] = parties_do(p, 2, 2, SYNC_BARRIER, 256, 5, -1);
        for (uint32_t i = 0; i < 5; i++) {
            assert_int_equal(parties_error(p, i < 4 ? i : 2, number[i]), 0);
        }
    }
}

static void test_party_that_counts_otherwise_is_refused(void **state)
{
    struct parties *p = *state;
    uint64_t first = parties_do(p, 1, 1, SYNC_BARRIER, 256, 2, -1);

    assert_int_equal(parties_error(p, 2, parties_do(p, 2, 1, SYNC_BARRIER, 256, 3, -1)),
                     DSM_EINVAL);
    assert_int_equal(parties_error(p, 1, first), WAITS);
    assert_int_equal(parties_error(p, 2, parties_do(p, 2, 1, SYNC_BARRIER, 256, 2, -1)), 0);
    assert_int_equal(parties_error(p, 1, first), 0);
    /* Another round may have another number. */
    assert_int_equal(parties_error(p, 2, parties_do(p, 2, 1, SYNC_BARRIER, 256, 1, -1)), 0);
}

static void test_barrier_of_no_or_too_many_parties_is_refused(void **state)
{
    struct parties *p = *state;
    static const uint64_t bad[] = {0, (uint64_t)UINT32_MAX + 1, UINT64_MAX};

    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(parties_error(p, 1, parties_do(p, 1, 1, SYNC_BARRIER, 0, bad[i], -1)),
                         DSM_EINVAL);
    }
}

static void test_party_whose_time_is_up_is_not_counted(void **state)
{
    struct parties *p = *state;
    uint64_t late = parties_do(p, 1, 1, SYNC_BARRIER, 256, 3, 40);
    uint64_t first = parties_do(p, 2, 1, SYNC_BARRIER, 256, 3, -1), last;
    uint64_t at_once = parties_do(p, 3, 1, SYNC_BARRIER, 512, 2, 0);

    cluster_advance(p->cluster, 40);
    assert_int_equal(parties_error(p, 1, late), DSM_ETIMEDOUT);
    assert_int_equal(parties_error(p, 3, at_once), DSM_EAGAIN);
    parties_do(p, 3, 1, SYNC_BARRIER, 256, 3, -1);
    assert_int_equal(parties_error(p, 2, first), WAITS);
    last = parties_do(p, 1, 1, SYNC_BARRIER, 256, 3, -1);
    assert_int_equal(parties_error(p, 1, last), 0);
    assert_int_equal(parties_error(p, 2, first), 0);
}

/* --- atomic operations --- */

static void test_fetch_add_and_compare_swap_change_the_page(void **state)
{
    struct parties *p = *state;
    struct call swap = {.kind = CALL_SYNC,
                        .handle = p->region[2][1],
                        .op = SYNC_COMPARE_SWAP,
                        .offset = 4096,
                        .value = 70,
                        .operand = 7,
                        .timeout_ms = -1};

    assert_int_equal(parties_value(p, 1, parties_do(p, 1, 1, SYNC_FETCH_ADD, 4096, 7, -1)), 0);
    assert_int_equal(cluster_call(p->cluster, 2, 1, &swap).value, 7);
    assert_int_equal(cluster_call(p->cluster, 2, 1, &swap).value, 70); /* changed nothing */
    assert_int_equal(cluster_read(p->cluster, 3, p->map[3], 1), 70);
    /* A writer on another node and the operation at the home take turns. */
    cluster_write(p->cluster, 3, p->map[3], 1, 100);
    assert_int_equal(parties_value(p, 0, parties_do(p, 0, 1, SYNC_FETCH_ADD, 4096, 1, -1)), 100);
    assert_int_equal(cluster_read(p->cluster, 1, p->map[1], 1), 101);
}

static void test_atomic_operation_out_of_place_is_refused(void **state)
{
    struct parties *p = *state;
    static const uint8_t ops[] = {SYNC_FETCH_ADD, SYNC_COMPARE_SWAP};

    for (uint32_t i = 0; i < 2; i++) {
        uint64_t odd = parties_do(p, 1, 1, ops[i], 4, 1, -1);
        uint64_t beyond = parties_do(p, 1, 1, ops[i], 16 * 4096, 1, -1);
        uint64_t last = parties_do(p, 1, 1, ops[i], 16 * 4096 - 8, 1, -1);

        assert_int_equal(parties_error(p, 1, odd), DSM_EINVAL);
        assert_int_equal(parties_error(p, 1, beyond), DSM_ERANGE);
        assert_int_equal(parties_error(p, 1, last), 0);
    }
}

static void test_atomic_operation_over_the_last_bytes_is_refused(void **state)
{
    struct parties *p = *state;
    struct call open = {.kind = CALL_OPEN,
                        .object = RECORD_REGION,
                        .oflag = CALL_OFLAG_WRITE | CALL_OFLAG_CREATE,
                        .mode = 0600,
                        .name = "/odd"};
    struct call grow = {.kind = CALL_TRUNCATE, .size_bytes = 12};

    p->region[1][1] = grow.handle = cluster_call(p->cluster, 1, 1, &open).handle;
    assert_int_equal(cluster_call(p->cluster, 1, 1, &grow).error, 0);
    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 1, SYNC_FETCH_ADD, 0, 1, -1)), 0);
    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 1, SYNC_FETCH_ADD, 8, 1, -1)),
                     DSM_ERANGE);
}

/* --- what is no operation --- */

static void test_calls_that_mean_nothing_are_refused(void **state)
{
    struct parties *p = *state;
    static const uint8_t ops[] = {SYNC_NONE, SYNC_UNLOCK_DEAD, SYNC_CANCEL, SYNC_OP_COUNT, 255};
    struct call call = {.kind = CALL_SYNC, .handle = p->region[1][1], .timeout_ms = -1};

    for (uint32_t i = 0; i < sizeof(ops); i++) {
        call.op = ops[i];
        assert_int_equal(cluster_call(p->cluster, 1, 1, &call).error, DSM_EINVAL);
    }
    call.op = SYNC_SEM_POST; /* on a region */
    assert_int_equal(cluster_call(p->cluster, 1, 1, &call).error, DSM_EINVAL);
    call.op = SYNC_LOCK;
    call.offset = 16 * 4096;
    assert_int_equal(cluster_call(p->cluster, 1, 1, &call).error, DSM_ERANGE);
    call.handle = p->sem[1][1];
    call.offset = 0;
    assert_int_equal(cluster_call(p->cluster, 1, 1, &call).error, DSM_EINVAL);
    call.op = SYNC_SEM_POST;
    call.offset = 8; /* a semaphore is one object only */
    assert_int_equal(cluster_call(p->cluster, 1, 1, &call).error, DSM_EINVAL);
    call.handle = p->sem[1][2]; /* of another client */
    call.offset = 0;
    assert_int_equal(cluster_call(p->cluster, 1, 1, &call).error, DSM_ESTALE);
    assert_null(strstr(cluster_take_log(p->cluster), "SYNC"));
}

static void test_reader_may_not_synchronise(void **state)
{
    struct parties *p = *state;
    struct call open = {.kind = CALL_OPEN, .object = RECORD_REGION, .name = "/r"};

    p->region[1][1] = cluster_call(p->cluster, 1, 1, &open).handle;
    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 1, SYNC_LOCK, 0, 0, -1)), DSM_EACCES);
    assert_int_equal(parties_error(p, 1, parties_do(p, 1, 1, SYNC_FETCH_ADD, 0, 0, -1)),
                     DSM_EACCES);
}

#define FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE(test_mutex_is_passed_on_in_order_of_arrival),
        FIXTURE(test_mutexes_at_other_offsets_are_others),
        FIXTURE(test_trying_a_mutex_never_waits),
        FIXTURE(test_lock_that_is_not_got_in_time_takes_nothing),
        FIXTURE(test_grant_that_crosses_the_cancellation_counts),
        FIXTURE(test_unlock_by_who_does_not_hold_it_is_refused),
        FIXTURE(test_semaphore_counts),
        FIXTURE(test_posts_wake_waiters_in_order),
        FIXTURE(test_wait_that_is_not_served_in_time_takes_no_post),
        FIXTURE(test_semaphore_does_not_overflow),
        FIXTURE(test_barrier_releases_all_parties_or_none),
        FIXTURE(test_party_that_counts_otherwise_is_refused),
        FIXTURE(test_barrier_of_no_or_too_many_parties_is_refused),
        FIXTURE(test_party_whose_time_is_up_is_not_counted),
        FIXTURE(test_fetch_add_and_compare_swap_change_the_page),
        FIXTURE(test_atomic_operation_out_of_place_is_refused),
        FIXTURE(test_atomic_operation_over_the_last_bytes_is_refused),
        FIXTURE(test_calls_that_mean_nothing_are_refused),
        FIXTURE(test_reader_may_not_synchronise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
