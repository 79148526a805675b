/* SPDX-License-Identifier: Apache-2.0 */
/* libdsm's requests against a played agent: synchronisation, many at once, late answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "dsm.h"
#include "dsm/lib/channel.h"
#include "dsm/lib/session.h"
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

static void test_mutexes_pass_on_what_the_agent_says(void **state)
{
    struct dsm_region *region, *reader;
    struct fake_agent *fake;
    struct fake_seen seen;
    struct dsm *dsm;

    (void)state;
    begin((struct fake_options){.size_bytes = 8192}, &fake, &dsm);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDWR, 0, NULL, &region), 0);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDONLY, 0, NULL, &reader), 0);
    assert_int_equal(dsm_mutex_lock(region, 64, DSM_FOREVER), 0);
    fake_look(fake, &seen);
    assert_int_equal(seen.sync.op, SYNC_LOCK);
    assert_int_equal(seen.sync.offset, 64);
    assert_int_equal(seen.sync.timeout_ms, -1);
    assert_int_equal(dsm_mutex_lock(region, 64, 0), DSM_EAGAIN);
    assert_sentence(dsm, "'/photo' at offset 64", "would block");
    assert_int_equal(dsm_mutex_lock(region, 64, 1), DSM_ETIMEDOUT);
    assert_int_equal(dsm_mutex_lock(region, 4096, 1000), DSM_EOWNERDEAD);
    assert_sentence(dsm, "'/photo' at offset 4096", "the lock is yours");
    assert_int_equal(dsm_mutex_lock(region, 64, -7), DSM_EINVAL);
    assert_int_equal(dsm_mutex_lock(reader, 64, 0), DSM_EACCES);
    assert_int_equal(dsm_mutex_unlock(region, 64), 0);
    fake_look(fake, &seen);
    assert_int_equal(seen.count_unlocks, 1);
    end(fake, dsm);
}

static void test_barriers_and_atomics_pass_their_operands(void **state)
{
    struct dsm_region *region;
    struct fake_agent *fake;
    struct fake_seen seen;
    struct dsm *dsm;
    uint64_t old = 99;

    (void)state;
    begin((struct fake_options){.size_bytes = 8192}, &fake, &dsm);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDWR, 0, NULL, &region), 0);
    assert_int_equal(dsm_barrier_wait(region, 8, 3, 500), 0);
    fake_look(fake, &seen);
    assert_int_equal(seen.sync.op, SYNC_BARRIER);
    assert_int_equal(seen.sync.value, 3);
    assert_int_equal(seen.sync.timeout_ms, 500);
    assert_int_equal(dsm_barrier_wait(region, 8, 0, 500), DSM_EINVAL);

    assert_int_equal(dsm_fetch_add(region, 16, 5, &old), 0);
    assert_int_equal(old, 0);
    assert_int_equal(dsm_fetch_add(region, 16, UINT64_MAX, NULL), 0);
    assert_int_equal(dsm_fetch_add(region, 12, 1, &old), DSM_EINVAL);
    assert_int_equal(dsm_compare_swap(region, 16, 4, 77, &old), 0);
    assert_int_equal(old, 4);
    assert_int_equal(dsm_compare_swap(region, 16, 4, 78, &old), 0);
    assert_int_equal(old, 77);
    assert_int_equal(dsm_compare_swap(region, 17, 4, 78, &old), DSM_EINVAL);
    end(fake, dsm);
}

static void test_semaphores_reach_the_agent(void **state)
{
    struct fake_agent *fake;
    struct fake_seen seen;
    struct dsm_sem *sem;
    struct dsm *dsm;
    uint32_t value = 0;

    (void)state;
    begin((struct fake_options){0}, &fake, &dsm);
    assert_int_equal(dsm_sem_open(dsm, FAKE_SEM, O_CREAT, 0600, 3, &sem), 0);
    fake_look(fake, &seen);
    assert_int_equal(seen.open.object, RECORD_SEM);
    assert_int_equal(seen.open.value, 3);
    assert_int_equal(dsm_sem_wait(sem, 250), 0);
    fake_look(fake, &seen);
    assert_int_equal(seen.sync.op, SYNC_SEM_WAIT);
    assert_int_equal(seen.sync.timeout_ms, 250);
    assert_int_equal(dsm_sem_post(sem), 0);
    assert_int_equal(dsm_sem_value(sem, &value), 0);
    assert_int_equal(value, 7);
    assert_int_equal(dsm_sem_close(sem), 0);
    assert_int_equal(dsm_sem_close(NULL), 0);
    assert_int_equal(dsm_sem_unlink(dsm, FAKE_SEM), 0);
    end(fake, dsm);
}

struct adder {
    struct dsm_region *region;
    uint64_t delta, old;
    int error;
};

static void *add(void *argument)
{
    struct adder *adder = argument;

    adder->error = dsm_fetch_add(adder->region, 0, adder->delta, &adder->old);
    return NULL;
}

/* Eight threads ask; the answers come last first; each thread gets its own. */
static void test_replies_out_of_order_reach_their_threads(void **state)
{
    enum { COUNT = FAKE_HELD_MAX, ROUNDS = 50 };
    struct adder adders[COUNT];
    pthread_t threads[COUNT];
    struct dsm_region *region;
    struct fake_agent *fake;
    struct dsm *dsm;

    (void)state;
    begin((struct fake_options){.size_bytes = 4096, .count_hold = COUNT}, &fake, &dsm);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDWR, 0, NULL, &region), 0);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        for (uint64_t i = 0; i < COUNT; i++) {
            adders[i] = (struct adder){.region = region, .delta = round * 100 + i};
            assert_int_equal(pthread_create(&threads[i], NULL, add, &adders[i]), 0);
        }
        for (uint64_t i = 0; i < COUNT; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_int_equal(adders[i].error, 0);
            assert_int_equal(adders[i].old, adders[i].delta * 2);
        }
    }
    end(fake, dsm);
}

static bool one_is_held(const struct fake_seen *seen)
{
    return seen->count_held == 1;
}

static bool one_is_unlocked(const struct fake_seen *seen)
{
    return seen->count_unlocks == 1;
}

/* A lock that is granted after its thread gave up goes back; other threads' answers are unharmed.
 */
static void test_late_lock_is_given_back(void **state)
{
    struct session_request request = {
        .kind = SESSION_CALL,
        .call = {.kind = CALL_SYNC, .op = SYNC_LOCK, .offset = 24, .timeout_ms = 10}};
    struct dsm_region *region;
    struct fake_agent *fake;
    struct fake_seen seen;
    struct answer answer;
    struct dsm *dsm;

    (void)state;
    begin((struct fake_options){.size_bytes = 4096}, &fake, &dsm);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDWR, 0, NULL, &region), 0);
    request.call.handle = region->handle.number;
    fake_hold_locks(fake);
    assert_int_equal(requests_ask(&dsm->requests, &request, -1, 10, &answer), DSM_ETIMEDOUT);
    assert_true(fake_await(fake, one_is_held));
    fake_release(fake);
    assert_int_equal(dsm_fetch_add(region, 0, 1, NULL), 0);
    assert_true(fake_await(fake, one_is_unlocked));
    fake_look(fake, &seen);
    assert_int_equal(seen.sync.offset, 24);
    assert_int_equal(seen.sync.handle, region->handle.number);
    end(fake, dsm);
}

/* What is no reply ends the session: nothing after it can be trusted. */
static void test_nonsense_from_the_agent_ends_the_session(void **state)
{
    struct dsm_region *region;
    struct fake_agent *fake;
    struct dsm *dsm;
    int error;

    (void)state;
    begin((struct fake_options){.size_bytes = 4096}, &fake, &dsm);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDWR, 0, NULL, &region), 0);
    fake_babble(fake);
    error = dsm_fetch_add(region, 0, 1, NULL);
    assert_true(error == DSM_EPROTO || error == DSM_ENOAGENT);
    assert_true(dsm_fetch_add(region, 0, 1, NULL) != 0);
    end(fake, dsm);
}

/* The socket itself waits while the deadline is far off, and its wait ends now and then: that is
 * nothing that came, and no error. */
static void test_wait_of_the_socket_that_ends_is_no_end(void **state)
{
    struct timeval soon = {.tv_usec = 1000};
    struct arrival arrival;
    uint8_t byte = 0;
    int ends[2];

    (void)state;
    assert_int_equal(channel_prepare(-1), DSM_ESYS);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(channel_prepare(ends[0]), 0);
    assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon), 0);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(
            channel_receive(ends[0], deadline_after(i == 0 ? -1 : 60000), &byte, 1, &arrival), 0);
        assert_int_equal(arrival.len_bytes, 0);
    }
    assert_int_equal(channel_send(ends[1], "x", 1, -1, deadline_after(-1)), 0);
    assert_int_equal(channel_receive(ends[0], deadline_after(60000), &byte, 1, &arrival), 0);
    assert_int_equal(byte, 'x');
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wait_of_the_socket_that_ends_is_no_end),
        cmocka_unit_test(test_mutexes_pass_on_what_the_agent_says),
        cmocka_unit_test(test_barriers_and_atomics_pass_their_operands),
        cmocka_unit_test(test_semaphores_reach_the_agent),
        cmocka_unit_test(test_replies_out_of_order_reach_their_threads),
        cmocka_unit_test(test_late_lock_is_given_back),
        cmocka_unit_test(test_nonsense_from_the_agent_ends_the_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
