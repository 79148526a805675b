/* SPDX-License-Identifier: Apache-2.0 */
/* Calls fail while a session of libdsm is in trouble already: late answers, an agent that dies, a
 * child that inherits it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dsm/lib/session.h"
#include "tests/unit/lib_world.h"

#define SILENT_PAGE 7u

/* What the agent is told to do is not the program's doing. */
static void tell(struct world *world, void (*what)(struct fake_agent *fake))
{
    failure_exempt(true);
    what(world->fake);
    failure_exempt(false);
}

static uint32_t count_unlocks(struct world *world)
{
    struct fake_seen seen;

    fake_look(world->fake, &seen);
    return seen.count_unlocks;
}

static bool one_is_held(const struct fake_seen *seen)
{
    return seen->count_held == 1;
}

/*
 * A lock that is granted after its caller gave up is given back, whatever failed in between: else
 * nobody could take it for as long as this session lasts.
 */
static void test_late_lock_is_given_back(void **state)
{
    static const struct {
        uint32_t kinds;
        int number;
    } troubles[] = {
        {FAILURE_MEMORY, 0}, {FAILURE_THREAD, 0},        {FAILURE_INTERRUPT, 0},
        {FAILURE_AGAIN, 0},  {FAILURE_TRANSFER, ENOMEM},
    };
    struct session_request request = {
        .kind = SESSION_CALL,
        .call = {.kind = CALL_SYNC, .op = SYNC_LOCK, .offset = 24, .timeout_ms = 5}};
    struct world world;

    (void)state;
    world_start(&world, (struct fake_options){0});
    world_enter(&world);
    request.call.handle = world.region->handle.number;
    for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++) {
        FAILURE_LOOP(loop, troubles[i].kinds)
        {
            uint32_t unlocks = count_unlocks(&world);
            struct answer answer;
            struct fake_seen seen;
            int asked;

            tell(&world, fake_hold_locks);
            failure_errno(troubles[i].number);
            failure_loop_arm(&loop);
            asked = requests_ask(&world.dsm->requests, &request, -1, 5, &answer);
            failure_exempt(true);
            if (asked == DSM_ETIMEDOUT) {
                (void)fake_await(world.fake, one_is_held);
            }
            fake_look(world.fake, &seen);
            fake_release(world.fake);
            failure_exempt(false);
            (void)dsm_fetch_add(world.region, 0, 1, NULL);
            failure_disarm();
            failure_errno(0);
            assert_int_equal(seen.count_held, asked == DSM_ETIMEDOUT);
            if (asked != DSM_ETIMEDOUT) {
                assert_true(asked == DSM_ENOMEM || asked == DSM_ESYS);
                assert_true(failure_was_injected());
            }
            /* The second one comes back after what was sent before it was heard. */
            assert_int_equal(dsm_fetch_add(world.region, 0, 1, NULL), 0);
            assert_int_equal(dsm_fetch_add(world.region, 0, 1, NULL), 0);
            assert_int_equal(count_unlocks(&world), unlocks + (asked == DSM_ETIMEDOUT));
        }
    }
    world_leave(&world);
    world_settle(&world);
    world_stop(&world);
}

/* Can the kernel read it for this process? */
static bool is_readable(const void *bytes)
{
    int ends[2];
    ssize_t len;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    len = write(ends[1], bytes, 1);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
    return len == 1;
}

/** A thread that waits for what never comes. */
struct waiting {
    struct world *world;
    pthread_t thread;
    int error;
};

static void *lock_for_ever(void *argument)
{
    struct waiting *waiting = argument;

    waiting->error = dsm_mutex_lock(waiting->world->region, 8, DSM_FOREVER);
    return NULL;
}

static void *read_silent(void *argument)
{
    struct waiting *waiting = argument;
    uint8_t copy[8];

    waiting->error =
        dsm_vm_read(waiting->world->region, SILENT_PAGE * FAKE_PAGE, copy, sizeof copy);
    return NULL;
}

static bool both_wait(const struct fake_seen *seen)
{
    return seen->count_held == 1 && seen->count_silent == 1;
}

/* All pages are out of reach, and every call has ended with the error that says why. */
static void check_end(struct world *world, struct waiting *waiting)
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(waiting[i].thread, NULL), 0);
        assert_int_equal(waiting[i].error, DSM_ENOAGENT);
    }
    for (int i = 0; i < 2; i++) {
        assert_false(is_readable(world->mapped[i]));
    }
    assert_int_equal(dsm_fetch_add(world->region, 0, 1, NULL), DSM_ENOAGENT);
    assert_int_equal(dsm_shm_unmap(world->dsm, world->mapped[1]), 0);
    assert_int_equal(dsm_shm_close(world->region), DSM_ENOAGENT);
}

/* Two mappings, one thread in a call, and one in a copy. */
static void begin_waiting(struct world *world, struct waiting *waiting)
{
    world_start(world, (struct fake_options){.silent_page = SILENT_PAGE});
    world_enter(world);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dsm_shm_map(world->region, NULL, 0, WORLD_BYTES, DSM_READ | DSM_WRITE,
                                     &world->mapped[i]),
                         0);
        assert_true(is_readable(world->mapped[i]));
        waiting[i].world = world;
    }
    fake_hold_locks(world->fake);
    assert_int_equal(pthread_create(&waiting[0].thread, NULL, lock_for_ever, &waiting[0]), 0);
    assert_int_equal(pthread_create(&waiting[1].thread, NULL, read_silent, &waiting[1]), 0);
    assert_true(fake_await(world->fake, both_wait));
}

/* The agent dies while calls wait for it; the fence must fall on every mapping all the same. */
static void test_agent_dies_and_the_fence_falls(void **state)
{
    static const uint32_t kinds[] = {FAILURE_MAPPING, FAILURE_INTERRUPT, FAILURE_MEMORY,
                                     FAILURE_TRANSFER};

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        FAILURE_LOOP(loop, kinds[i])
        {
            struct waiting waiting[2];
            struct world world;

            begin_waiting(&world, waiting);
            failure_loop_arm(&loop);
            tell(&world, fake_die);
            while (!space_is_fenced(&world.dsm->space)) {
                (void)sched_yield();
            }
            failure_disarm();
            check_end(&world, waiting);
            world_leave(&world);
            world_stop(&world);
        }
    }
}

/* The parent's session is refused to the child, and its own is there whole or not at all. */
static int run_child(struct world *world)
{
    struct dsm_region *region;
    struct dsm *own;
    uint32_t n = 0;
    int error;

    do {
        failure_arm(FAILURE_MEMORY | FAILURE_DESCRIPTOR | FAILURE_MAPPING | FAILURE_THREAD, n++);
        if (dsm_shm_open(world->dsm, FAKE_REGION, O_RDWR, 0, NULL, &region) == 0) {
            return 1;
        }
        own = NULL;
        error = dsm_connect(fake_path(world->fake), &own);
        if (error == 0) {
            error = dsm_shm_open(own, FAKE_REGION, O_RDWR, 0, NULL, &region);
            if (error == 0) {
                uint8_t byte = 0;

                error = dsm_vm_read(region, 9, &byte, 1);
                error = error == 0 && byte != fake_byte(9) ? -1000 : error;
            }
        }
        failure_disarm();
        dsm_disconnect(own);
        if (error != 0 && (!failure_was_injected() || (error != DSM_ENOMEM && error != DSM_ESYS))) {
            return 2;
        }
    } while (failure_was_injected());
    dsm_disconnect(world->dsm);
    return n > 10 ? 0 : 3;
}

static void test_child_connects_for_itself_or_not_at_all(void **state)
{
    struct world world;
    int status;
    pid_t child;

    (void)state;
#ifdef __SANITIZE_THREAD__
    print_message("ThreadSanitizer lets no child of a program with threads start one\n");
    skip();
#endif
    world_start(&world, (struct fake_options){0});
    world_enter(&world);
    assert_int_equal(dsm_shm_map(world.region, NULL, 0, WORLD_BYTES, DSM_READ, &world.mapped[0]),
                     0);
    child = fork();
    if (child == 0) {
        _exit(run_child(&world));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(((const uint8_t *)world.mapped[0])[5], fake_byte(5));
    world_leave(&world);
    world_settle(&world);
    world_stop(&world);
}

static bool nobody_is_connected(const struct fake_seen *seen)
{
    return seen->count_clients == 0;
}

/* When it returns the agent has let go of everything, signals or not. */
static void test_disconnect_waits_for_the_agent(void **state)
{
    struct world world;

    (void)state;
    world_start(&world, (struct fake_options){0});
    FAILURE_LOOP(loop, FAILURE_INTERRUPT)
    {
        struct fake_seen seen;

        world_enter(&world);
        failure_loop_arm(&loop);
        world_leave(&world);
        failure_disarm();
        fake_look(world.fake, &seen);
        assert_int_equal(seen.count_clients, 0);
    }
    world_stop(&world);
}

/* A refused program has nothing left of the try, whatever else went wrong in it. */
static void test_refused_version_leaves_nothing(void **state)
{
    struct world world;

    (void)state;
    world_start(&world, (struct fake_options){.refuse_version = true});
    FAILURE_LOOP(loop, FAILURE_MEMORY | FAILURE_DESCRIPTOR | FAILURE_THREAD)
    {
        struct dsm *dsm = NULL;
        int error;

        failure_loop_arm(&loop);
        error = dsm_connect(fake_path(world.fake), &dsm);
        failure_disarm();
        assert_null(dsm);
        assert_true(error == DSM_EVERSION ||
                    (failure_was_injected() && (error == DSM_ENOMEM || error == DSM_ESYS)));
        assert_int_equal(dsm_connect(fake_path(world.fake), &dsm), DSM_EVERSION);
        assert_true(fake_await(world.fake, nobody_is_connected));
    }
    world_stop(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late_lock_is_given_back),
        cmocka_unit_test(test_agent_dies_and_the_fence_falls),
        cmocka_unit_test(test_child_connects_for_itself_or_not_at_all),
        cmocka_unit_test(test_disconnect_waits_for_the_agent),
        cmocka_unit_test(test_refused_version_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
