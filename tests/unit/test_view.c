/* SPDX-License-Identifier: Apache-2.0 */
/* libdsm's release-consistent mappings against an agent that is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dsm/lib/view.h"
#include "tests/unit/fake_agent.h"
#include "tests/unit/probe.h"

#define PAGES 64u
#define SIZE_BYTES (PAGES * FAKE_PAGE)
#define RIGHTS (DSM_READ | DSM_WRITE)

/** One program with a view, and a plain mapping of the same pages. */
struct world {
    struct fake_agent *fake;
    struct dsm *dsm;
    struct dsm_region *region;
    volatile uint8_t *view, *plain;
};

static void begin(struct world *world, struct fake_options options)
{
    void *mapped;

    options.size_bytes = SIZE_BYTES;
    assert_int_equal(fake_start(&options, &world->fake), 0);
    assert_int_equal(dsm_connect(fake_path(world->fake), &world->dsm), 0);
    assert_int_equal(dsm_shm_open(world->dsm, FAKE_REGION, O_RDWR, 0, NULL, &world->region), 0);
    assert_int_equal(dsm_shm_map(world->region, NULL, 0, SIZE_BYTES, RIGHTS | DSM_RELEASE, &mapped),
                     0);
    world->view = mapped;
    assert_int_equal(dsm_shm_map(world->region, NULL, 0, SIZE_BYTES, RIGHTS, &mapped), 0);
    world->plain = mapped;
}

static void end(struct world *world)
{
    dsm_disconnect(world->dsm);
    fake_stop(world->fake);
}

static struct dsm_release_stat stat_of(struct world *world)
{
    struct dsm_release_stat stat;

    assert_int_equal(dsm_release_stat_get(world->region, &stat), 0);
    return stat;
}

/* Pages come when they are touched, more at once the longer a walk lasts. */
static void test_pages_come_when_they_are_touched(void **state)
{
    struct world world;
    uint8_t bytes[2 * FAKE_PAGE];
    int ends[2];

    (void)state;
    begin(&world, (struct fake_options){0});
    assert_int_equal(stat_of(&world).count_views, 1);
    assert_int_equal(world.view[9 * FAKE_PAGE + 5], fake_byte(9 * FAKE_PAGE + 5));
    assert_int_equal(stat_of(&world).pages_filled, 1);
    world.view[30 * FAKE_PAGE] = 1;
    assert_int_equal(world.view[30 * FAKE_PAGE + 1], fake_byte(30 * FAKE_PAGE + 1));
    assert_int_equal(stat_of(&world).pages_filled, 2);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], (void *)(uintptr_t)&world.view[40 * FAKE_PAGE], sizeof bytes),
                     sizeof bytes);
    assert_int_equal(read(ends[0], bytes, sizeof bytes), sizeof bytes);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(bytes[sizeof bytes - 1], fake_byte(42 * FAKE_PAGE - 1));
    for (uint64_t i = 0; i < SIZE_BYTES; i += 511) {
        assert_int_equal(world.view[i], fake_byte(i));
    }
    assert_int_equal(stat_of(&world).pages_filled, PAGES);
    end(&world);
}

/* Stores go out with a release and come in with an acquire, and not before. */
static void test_release_and_acquire(void **state)
{
    struct world world;

    (void)state;
    begin(&world, (struct fake_options){0});
    world.view[5000] = 1;
    assert_int_equal(world.plain[5000], fake_byte(5000));
    world.plain[5001] = 2;
    assert_int_equal(dsm_release(world.region), 0);
    assert_int_equal(world.plain[5000], 1);
    assert_int_equal(world.plain[5001], 2);
    assert_int_equal(world.view[5001], fake_byte(5001));
    assert_int_equal(dsm_acquire(world.region), 0);
    assert_int_equal(world.view[5001], 2);
    world.plain[5002] = 3; /* it may write without asking by now */
    assert_int_equal(dsm_acquire(world.region), 0);
    assert_int_equal(world.view[5002], 3);
    assert_int_equal(stat_of(&world).bytes_released, 1);
    assert_int_equal(stat_of(&world).pages_released, 1);
    assert_int_equal(stat_of(&world).races, 0);
    end(&world);
}

/* Nothing is asked for again that was not taken away. */
static void test_what_is_unchanged_is_not_looked_at(void **state)
{
    struct fake_seen before, after;
    struct world world;

    (void)state;
    begin(&world, (struct fake_options){0});
    for (uint64_t i = 0; i < SIZE_BYTES; i += 8) {
        world.view[i] = 77;
    }
    assert_int_equal(dsm_release(world.region), 0);
    fake_look(world.fake, &before);
    for (uint64_t i = 0; i < SIZE_BYTES; i += 8) {
        world.view[i] = 78;
    }
    assert_int_equal(dsm_release(world.region), 0);
    assert_int_equal(dsm_acquire(world.region), 0);
    fake_look(world.fake, &after);
    assert_int_equal(after.count_faults, before.count_faults);
    assert_int_equal(stat_of(&world).pages_acquired, 0);
    fake_take(world.fake, 3, 5, true);
    assert_int_equal(dsm_acquire(world.region), 0);
    assert_int_equal(stat_of(&world).pages_acquired, 5 * fake_unit() / FAKE_PAGE);
    assert_int_equal(stat_of(&world).bytes_acquired, 0);
    assert_int_equal(world.view[4 * FAKE_PAGE], 78);
    end(&world);
}

/* The same without a kernel that notes what is written. */
static void test_all_pages_are_compared_without_tracking(void **state)
{
    struct world world;
    struct view *view;

    (void)state;
    begin(&world, (struct fake_options){0});
    view = world.dsm->views.list;
    for (uint64_t i = 0; i < SIZE_BYTES; i += FAKE_PAGE) {
        world.view[i + i / FAKE_PAGE] ^= 0x80;
    }
    assert_int_equal(pthread_mutex_lock(&view->lock), 0); /* the thread that fills pages looks */
    view->watch.is_tracked = false;
    assert_int_equal(pthread_mutex_unlock(&view->lock), 0);
    assert_int_equal(dsm_release(world.region), 0);
    assert_int_equal(stat_of(&world).pages_released, PAGES);
    assert_int_equal(stat_of(&world).is_tracked, 0);
    world.view[3 * FAKE_PAGE] = 8;
    assert_int_equal(dsm_release(world.region), 0);
    assert_int_equal(stat_of(&world).pages_released, PAGES + 1);
    assert_int_equal(world.plain[3 * FAKE_PAGE], 8);
    end(&world);
}

/* Locks, barriers and semaphores release and acquire. */
static void test_synchronisation_releases_and_acquires(void **state)
{
    struct world world;
    struct dsm_sem *sem;

    (void)state;
    begin(&world, (struct fake_options){0});
    assert_int_equal(dsm_sem_open(world.dsm, FAKE_SEM, 0, 0, 0, &sem), 0);
    world.view[0] = 1;
    assert_int_equal(dsm_mutex_unlock(world.region, 0), 0);
    assert_int_equal(world.plain[0], 1);
    world.view[0] = 2;
    assert_int_equal(dsm_barrier_wait(world.region, 0, 1, 1000), 0);
    assert_int_equal(world.plain[0], 2);
    world.view[0] = 3;
    assert_int_equal(dsm_sem_post(sem), 0);
    assert_int_equal(world.plain[0], 3);
    world.plain[1] = 4;
    assert_int_equal(dsm_mutex_lock(world.region, 0, DSM_FOREVER), 0);
    assert_int_equal(world.view[1], 4);
    world.plain[1] = 5;
    assert_int_equal(dsm_mutex_lock(world.region, 4096, DSM_FOREVER), DSM_EOWNERDEAD);
    assert_int_equal(world.view[1], 5);
    world.plain[1] = 6;
    assert_int_equal(dsm_barrier_wait(world.region, 0, 1, 1000), 0);
    assert_int_equal(world.view[1], 6);
    world.plain[1] = 7;
    assert_int_equal(dsm_sem_wait(sem, 1000), 0);
    assert_int_equal(world.view[1], 7);
    assert_int_equal(dsm_sem_close(sem), 0);
    end(&world);
}

/* What a program sees that walks over a page that is lost; exit status 2: nothing. */
static void walk(const char *path)
{
    struct dsm_region *region;
    struct dsm *dsm;
    void *mapped;

    (void)signal(SIGBUS, SIG_DFL);
    if (dsm_connect(path, &dsm) != 0 ||
        dsm_shm_open(dsm, FAKE_REGION, O_RDWR, 0, NULL, &region) != 0 ||
        dsm_shm_map(region, NULL, 0, SIZE_BYTES, RIGHTS | DSM_RELEASE, &mapped) != 0) {
        _exit(1);
    }
    for (uint64_t i = 0; i < PAGES; i++) {
        if (i * FAKE_PAGE / fake_unit() < 7) { /* those before it come */
            ((volatile uint8_t *)mapped)[i * FAKE_PAGE] = 1;
        }
    }
    (void)((volatile uint8_t *)mapped)[7 * fake_unit()];
    _exit(2);
}

/* A page that is lost is SIGBUS, and takes none with it that was filled at the same time. */
static void test_touching_a_lost_page_is_an_error(void **state)
{
    struct fake_options options = {.lost_page = 7, .size_bytes = SIZE_BYTES};
    struct fake_agent *fake;
    pid_t child;
    int status;

    (void)state;
    assert_int_equal(fake_start(&options, &fake), 0);
    child = fake_fork(fake);
    if (child == 0) {
        walk(fake_path(fake));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    fake_stop(fake);
}

/* Removing a view releases it, and so does the end of its session. */
static void test_removing_a_view_releases_it(void **state)
{
    struct world world;
    struct dsm_region *other;
    struct fake_seen seen;
    struct dsm *reader;
    uint8_t byte = 0;
    void *mapped;

    (void)state;
    begin(&world, (struct fake_options){0});
    assert_int_equal(dsm_connect(fake_path(world.fake), &reader), 0);
    assert_int_equal(dsm_shm_open(reader, FAKE_REGION, O_RDWR, 0, NULL, &other), 0);
    world.view[100] = 1;
    assert_int_equal(dsm_shm_unmap(world.dsm, (void *)(uintptr_t)world.view), 0);
    assert_int_equal(world.plain[100], 1);
    assert_int_equal(dsm_shm_unmap(world.dsm, (void *)(uintptr_t)world.view), DSM_EINVAL);
    assert_int_equal(stat_of(&world).count_views, 0);
    fake_look(world.fake, &seen);
    assert_int_equal(seen.count_maps, 1);
    assert_int_equal(dsm_shm_map(world.region, NULL, 0, SIZE_BYTES, RIGHTS | DSM_RELEASE, &mapped),
                     0);
    ((volatile uint8_t *)mapped)[101] = 2;
    dsm_disconnect(world.dsm);
    assert_int_equal(dsm_vm_read(other, 101, &byte, 1), 0);
    assert_int_equal(byte, 2);
    dsm_disconnect(reader);
    fake_stop(world.fake);
}

/* Where a view is asked for and where it is not made. */
static void test_where_views_are(void **state)
{
    struct world world;
    uint8_t *room;
    void *mapped;

    (void)state;
    begin(&world, (struct fake_options){0});
    assert_int_equal(dsm_shm_map(world.region, (void *)(uintptr_t)world.view, 0, FAKE_PAGE,
                                 RIGHTS | DSM_RELEASE, &mapped),
                     DSM_EBUSY);
    assert_int_equal(dsm_shm_map(world.region, NULL, 0, 0, RIGHTS | DSM_RELEASE, &mapped),
                     DSM_EINVAL);
    assert_int_equal(
        dsm_shm_map(world.region, NULL, 0, FAKE_PAGE, DSM_WRITE | DSM_RELEASE, &mapped),
        DSM_EINVAL);
    room = mmap(NULL, 8 * fake_unit(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(room, MAP_FAILED);
    assert_int_equal(munmap(room, 8 * fake_unit()), 0);
    assert_int_equal(dsm_shm_map(world.region, room, 2 * fake_unit(), 4 * fake_unit(),
                                 RIGHTS | DSM_RELEASE, &mapped),
                     0);
    assert_ptr_equal(mapped, room);
    assert_int_equal(room[9], fake_byte(2 * fake_unit() + 9));
    room[9] = 200;
    assert_int_equal(dsm_release(world.region), 0);
    assert_int_equal(world.plain[2 * fake_unit() + 9], 200);
    assert_int_equal(dsm_acquire(world.region), 0);
    assert_int_equal(world.view[2 * fake_unit() + 9], 200);
    assert_int_equal(
        dsm_shm_map(world.region, NULL, 0, SIZE_BYTES, DSM_READ | DSM_RELEASE, &mapped), 0);
    assert_int_equal(stat_of(&world).count_views, 2); /* who only reads has a plain mapping */
    end(&world);
}

#define TURNS 300u

/* Loads and stores of any program, said so that ThreadSanitizer knows them to be meant. */
static void *add_up(void *argument)
{
    struct world *world = argument;

    for (uint32_t i = 0; i < TURNS * 100; i++) {
        volatile _Atomic uint8_t *at =
            (volatile _Atomic uint8_t *)&world->view[(uint64_t)(i % PAGES) * FAKE_PAGE + 3];
        uint8_t value = atomic_load_explicit(at, memory_order_relaxed);

        atomic_store_explicit(at, (uint8_t)(value + 1), memory_order_relaxed);
    }
    return NULL;
}

/* One thread stores while another releases and acquires all the time: nothing is lost. */
static void test_threads_of_one_view(void **state)
{
    uint8_t expected[PAGES];
    pthread_t thread;
    struct world world;

    (void)state;
    begin(&world, (struct fake_options){0});
    for (uint32_t i = 0; i < PAGES; i++) {
        expected[i] = fake_byte((uint64_t)i * FAKE_PAGE + 3);
    }
    for (uint32_t i = 0; i < TURNS * 100; i++) {
        expected[i % PAGES]++;
    }
    assert_int_equal(pthread_create(&thread, NULL, add_up, &world), 0);
    for (uint32_t turn = 1; turn < TURNS; turn++) {
        uint64_t page = turn * 7 % PAGES;

        world.plain[page * FAKE_PAGE + 2] = (uint8_t)turn;
        world.plain[page * FAKE_PAGE + 4] = (uint8_t)turn;
        assert_int_equal(dsm_release(world.region), 0);
        fake_take(world.fake, page * FAKE_PAGE / fake_unit(), 1, true);
        assert_int_equal(dsm_acquire(world.region), 0);
        assert_int_equal(world.view[page * FAKE_PAGE + 2], (uint8_t)turn);
        assert_int_equal(world.view[page * FAKE_PAGE + 4], (uint8_t)turn);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(dsm_release(world.region), 0);
    for (uint32_t i = 0; i < PAGES; i++) {
        assert_int_equal(world.plain[(uint64_t)i * FAKE_PAGE + 3], expected[i]);
        assert_int_equal(world.view[(uint64_t)i * FAKE_PAGE + 3], expected[i]);
    }
    assert_int_equal(stat_of(&world).races, 0);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_come_when_they_are_touched),
        cmocka_unit_test(test_release_and_acquire),
        cmocka_unit_test(test_what_is_unchanged_is_not_looked_at),
        cmocka_unit_test(test_all_pages_are_compared_without_tracking),
        cmocka_unit_test(test_synchronisation_releases_and_acquires),
        cmocka_unit_test(test_touching_a_lost_page_is_an_error),
        cmocka_unit_test(test_removing_a_view_releases_it),
        cmocka_unit_test(test_where_views_are),
        cmocka_unit_test(test_threads_of_one_view),
    };

    if (!has_userfaultfd()) {
        print_message("SKIP: no userfaultfd can be had here\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
