/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All of libdsm from several threads at once in one session, against an agent that is played. What
 * each thread gets is looked at; what they do to each other is for ThreadSanitizer to see.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "dsm.h"
#include "tests/unit/fake_agent.h"

#define THREADS 4u
#define ROUNDS 60u

struct worker {
    struct dsm *dsm;
    struct dsm_region *shared; /* of all workers */
    pthread_t thread;
    uint32_t number;
    atomic_uint *count_wrong;
};

static void check(struct worker *worker, int condition)
{
    if (!condition) {
        atomic_fetch_add(worker->count_wrong, 1);
    }
}

static void map_and_touch(struct worker *worker, struct dsm_region *region)
{
    uint64_t offset = (uint64_t)worker->number * FAKE_PAGE;
    volatile uint8_t *bytes;
    void *mapped = NULL;

    check(worker, dsm_shm_map(region, NULL, offset, FAKE_PAGE, DSM_READ, &mapped) == 0);
    if (mapped != NULL) {
        bytes = mapped;
        check(worker, bytes[1] == fake_byte(offset + 1));
        check(worker, dsm_shm_unmap(worker->dsm, mapped) == 0);
    }
}

static void ask_for_things(struct worker *worker)
{
    struct dsm_shm_stat stat;
    struct dsm_stats stats;
    char text[TEXT_BYTES_MAX];
    struct dsm_sem *sem;
    uint64_t old;
    uint8_t byte;

    check(worker, dsm_shm_stat(worker->shared, &stat) == 0);
    check(worker, stat.size_bytes == THREADS * FAKE_PAGE);
    check(worker, dsm_fetch_add(worker->shared, 0, 1, &old) == 0);
    check(worker, dsm_vm_read(worker->shared, 1, &byte, 1) == 0 && byte == fake_byte(1));
    check(worker, dsm_stats_get(worker->dsm, &stats) == 0);
    check(worker, dsm_sem_open(worker->dsm, "/absent", 0, 0, 0, &sem) == DSM_ENOENT);
    dsm_last_error(worker->dsm, text, sizeof text);
    check(worker, strstr(text, "/absent") != NULL); /* whoever has failed, failed at this */
}

static void *work(void *argument)
{
    struct worker *worker = argument;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct dsm_region *own;

        check(worker, dsm_shm_open(worker->dsm, FAKE_REGION, O_RDWR, 0, NULL, &own) == 0);
        map_and_touch(worker, own);
        check(worker, dsm_shm_close(own) == 0);
        map_and_touch(worker, worker->shared);
        ask_for_things(worker);
    }
    return NULL;
}

static void test_threads_share_a_session(void **state)
{
    struct fake_options options = {.size_bytes = THREADS * FAKE_PAGE};
    struct worker workers[THREADS];
    atomic_uint count_wrong = 0;
    struct dsm_region *region;
    struct fake_agent *fake;
    struct dsm *dsm;
    uint64_t old;

    (void)state;
    assert_int_equal(fake_start(&options, &fake), 0);
    assert_int_equal(dsm_connect(fake_path(fake), &dsm), 0);
    assert_int_equal(dsm_shm_open(dsm, FAKE_REGION, O_RDWR, 0, NULL, &region), 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] =
            (struct worker){.dsm = dsm, .shared = region, .number = i, .count_wrong = &count_wrong};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    }
    assert_int_equal(atomic_load(&count_wrong), 0);
    /* Every addition was asked for once. */
    assert_int_equal(dsm_fetch_add(region, 0, 0, &old), 0);
    assert_int_equal(old, THREADS * ROUNDS);
    dsm_disconnect(dsm);
    fake_stop(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_share_a_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
