/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/lib_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/** Address space around what is mapped at an address. */
#define SPARE_BYTES (64u << 20)

void world_start(struct world *world, struct fake_options options)
{
    int error;

    if (access("/dev/userfaultfd", R_OK) != 0) {
        print_message("no /dev/userfaultfd to open\n");
        skip();
    }
    *world = (struct world){0};
    world->nowhere = mmap(NULL, FAKE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(world->nowhere != MAP_FAILED);
    options.size_bytes = options.size_bytes ? options.size_bytes : WORLD_BYTES;
    failure_exempt(true);
    error = fake_start(&options, &world->fake);
    failure_exempt(false);
    assert_int_equal(error, 0);
}

void world_enter(struct world *world)
{
    assert_int_equal(dsm_connect(fake_path(world->fake), &world->dsm), 0);
    assert_int_equal(dsm_shm_open(world->dsm, FAKE_REGION, O_RDWR, 0, NULL, &world->region), 0);
    assert_int_equal(dsm_sem_open(world->dsm, FAKE_SEM, 0, 0, 0, &world->sem), 0);
}

void world_leave(struct world *world)
{
    dsm_disconnect(world->dsm);
    world->dsm = NULL;
    world->region = NULL;
    world->sem = NULL;
    world->made_region = NULL;
    world->made_sem = NULL;
    memset(world->mapped, 0, sizeof world->mapped);
}

static bool nobody_is_connected(const struct fake_seen *seen)
{
    return seen->count_clients == 0;
}

/* It takes callers in their order, so those that were there before this one have been looked at. */
void world_settle(struct world *world)
{
    struct dsm *dsm;

    assert_int_equal(dsm_connect(fake_path(world->fake), &dsm), 0);
    dsm_disconnect(dsm);
    assert_true(fake_await(world->fake, nobody_is_connected));
}

void world_stop(struct world *world)
{
    fake_stop(world->fake);
    assert_int_equal(munmap(world->nowhere, FAKE_PAGE), 0);
}

/* ---- Regions and semaphores. ---- */

static int run_open(struct world *world)
{
    return dsm_shm_open(world->dsm, FAKE_REGION, O_RDWR, 0, NULL, &world->made_region);
}

static void undo_open(struct world *world)
{
    assert_int_equal(dsm_shm_close(world->made_region), 0);
    world->made_region = NULL;
}

static int run_create(struct world *world)
{
    return dsm_shm_open(world->dsm, FAKE_REGION, O_RDWR | O_CREAT, 0666, NULL, &world->made_region);
}

/* An object that others may use must not become one that they may not, because a call failed. */
static void undo_create(struct world *world)
{
    struct fake_seen seen;
    mode_t mask = umask(0);

    (void)umask(mask);
    fake_look(world->fake, &seen);
    assert_int_equal(seen.open.mode, 0666 & ~mask);
    undo_open(world);
}

static int run_truncate(struct world *world)
{
    return dsm_shm_truncate(world->region, WORLD_BYTES);
}

static int run_stat(struct world *world)
{
    struct dsm_shm_stat stat;
    int error = dsm_shm_stat(world->region, &stat);

    return error == 0 && stat.size_bytes != WORLD_BYTES ? -1000 : error;
}

static int run_stats(struct world *world)
{
    struct dsm_stats stats;
    int error = dsm_stats_get(world->dsm, &stats);

    return error == 0 && stats.core_bytes == 0 ? -1000 : error;
}

static void prepare_close(struct world *world)
{
    assert_int_equal(run_open(world), 0);
}

static int run_close(struct world *world)
{
    struct dsm_region *region = world->made_region;

    world->made_region = NULL;
    return dsm_shm_close(region);
}

static int run_unlink(struct world *world)
{
    return dsm_shm_unlink(world->dsm, FAKE_REGION);
}

static int run_sem_open(struct world *world)
{
    return dsm_sem_open(world->dsm, FAKE_SEM, O_CREAT, 0600, 3, &world->made_sem);
}

static void undo_sem_open(struct world *world)
{
    assert_int_equal(dsm_sem_close(world->made_sem), 0);
    world->made_sem = NULL;
}

static void prepare_sem_close(struct world *world)
{
    assert_int_equal(run_sem_open(world), 0);
}

static int run_sem_close(struct world *world)
{
    struct dsm_sem *sem = world->made_sem;

    world->made_sem = NULL;
    return dsm_sem_close(sem);
}

static int run_sem_wait(struct world *world)
{
    return dsm_sem_wait(world->sem, DSM_FOREVER);
}

static int run_sem_post(struct world *world)
{
    return dsm_sem_post(world->sem);
}

static int run_sem_value(struct world *world)
{
    uint32_t value = 0;
    int error = dsm_sem_value(world->sem, &value);

    return error == 0 && value != 7 ? -1000 : error;
}

static int run_sem_unlink(struct world *world)
{
    return dsm_sem_unlink(world->dsm, FAKE_SEM);
}

/* ---- Synchronisation. ---- */

static int run_lock(struct world *world)
{
    return dsm_mutex_lock(world->region, 64, DSM_FOREVER);
}

static int run_unlock(struct world *world)
{
    return dsm_mutex_unlock(world->region, 64);
}

static int run_barrier(struct world *world)
{
    return dsm_barrier_wait(world->region, 128, 1, 10000);
}

/* What failed was not added, and what was added is there. */
static int run_fetch_add(struct world *world)
{
    uint64_t old = 0;
    int error = dsm_fetch_add(world->region, 8, 1, &old);

    if (error != 0) {
        return error;
    }
    return old == world->count_added++ ? 0 : -1000;
}

static int run_compare_swap(struct world *world)
{
    uint64_t old = 0;
    int error =
        dsm_compare_swap(world->region, 8, world->count_added, world->count_added + 1, &old);

    if (error != 0) {
        return error;
    }
    return old == world->count_added++ ? 0 : -1000;
}

/* ---- Mappings and copies. ---- */

static int run_map(struct world *world)
{
    return dsm_shm_map(world->region, NULL, FAKE_PAGE, 2 * FAKE_PAGE, DSM_READ | DSM_WRITE,
                       &world->mapped[0]);
}

static void unmap(struct world *world, int at)
{
    assert_int_equal(dsm_shm_unmap(world->dsm, world->mapped[at]), 0);
    world->mapped[at] = NULL;
}

static void undo_map(struct world *world)
{
    volatile uint8_t *bytes = world->mapped[0];

    assert_int_equal(bytes[5], fake_byte(FAKE_PAGE + 5));
    bytes[FAKE_PAGE] = 200;
    assert_int_equal(bytes[FAKE_PAGE], 200);
    bytes[FAKE_PAGE] = fake_byte(2 * FAKE_PAGE);
    unmap(world, 0);
}

/*
 * An address that is free: where something was until now. So much that what other threads map
 * meanwhile, from its end downwards, does not come to its start.
 */
static void prepare_map_at(struct world *world)
{
    world->mapped[1] = mmap(NULL, SPARE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(world->mapped[1] != MAP_FAILED);
    assert_int_equal(munmap(world->mapped[1], SPARE_BYTES), 0);
}

static int run_map_at(struct world *world)
{
    return dsm_shm_map(world->region, world->mapped[1], 0, 4 * FAKE_PAGE, DSM_READ,
                       &world->mapped[0]);
}

static void undo_map_at(struct world *world)
{
    assert_ptr_equal(world->mapped[0], world->mapped[1]);
    world->mapped[1] = NULL;
    unmap(world, 0);
}

/* The first stays as it is, whatever becomes of the second. */
static void prepare_map_twice(struct world *world)
{
    assert_int_equal(dsm_shm_map(world->region, NULL, 0, WORLD_BYTES, DSM_READ, &world->mapped[1]),
                     0);
}

static void undo_map_twice(struct world *world)
{
    volatile const uint8_t *whole = world->mapped[1];

    assert_int_equal(whole[FAKE_PAGE + 5], fake_byte(FAKE_PAGE + 5));
    undo_map(world);
    assert_int_equal(whole[9 * FAKE_PAGE], fake_byte(9 * FAKE_PAGE));
    unmap(world, 1);
}

static int run_map_view(struct world *world)
{
    return dsm_shm_map(world->region, NULL, FAKE_PAGE, 2 * FAKE_PAGE,
                       DSM_READ | DSM_WRITE | DSM_RELEASE, &world->mapped[0]);
}

static void prepare_view(struct world *world)
{
    volatile uint8_t *bytes;

    assert_int_equal(run_map_view(world), 0);
    bytes = world->mapped[0];
    bytes[1] = fake_byte(FAKE_PAGE + 1) ^ 1u;
    bytes[1] = fake_byte(FAKE_PAGE + 1);
}

static int run_view(struct world *world)
{
    int error = dsm_release(world->region);

    return error != 0 ? error : dsm_acquire(world->region);
}

static void prepare_unmap(struct world *world)
{
    assert_int_equal(run_map(world), 0);
}

static int run_unmap(struct world *world)
{
    void *mapped = world->mapped[0];

    world->mapped[0] = NULL;
    return dsm_shm_unmap(world->dsm, mapped);
}

/* Through a window of a handle that is new each time, so that one has to be made. */
static int run_read(struct world *world)
{
    uint8_t bytes[100];
    int error = dsm_vm_read(world->made_region, 3 * FAKE_PAGE - 50, bytes, sizeof bytes);

    if (error != 0) {
        return error;
    }
    for (uint64_t i = 0; i < sizeof bytes; i++) {
        if (bytes[i] != fake_byte(3 * FAKE_PAGE - 50 + i)) {
            return -1000;
        }
    }
    return 0;
}

/* What the region holds anyway: the next try is to find it. */
static int run_write(struct world *world)
{
    uint8_t bytes[100];

    for (uint64_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = fake_byte(5 * FAKE_PAGE - 50 + i);
    }
    return dsm_vm_write(world->made_region, 5 * FAKE_PAGE - 50, bytes, sizeof bytes);
}

/* The first kind of memory error is the caller's: it must not be told as a lost node. */
static int run_read_to_nowhere(struct world *world)
{
    int error = dsm_vm_read(world->made_region, 0, world->nowhere, 10);

    return error == DSM_EINVAL ? 0 : error;
}

const struct operation operations[] = {
    {"open", NULL, run_open, undo_open, false},
    {"create", NULL, run_create, undo_create, false},
    {"truncate", NULL, run_truncate, NULL, false},
    {"stat", NULL, run_stat, NULL, false},
    {"stats", NULL, run_stats, NULL, false},
    {"close", prepare_close, run_close, NULL, true},
    {"unlink", NULL, run_unlink, NULL, false},
    {"sem open", NULL, run_sem_open, undo_sem_open, false},
    {"sem close", prepare_sem_close, run_sem_close, NULL, true},
    {"sem wait", NULL, run_sem_wait, NULL, false},
    {"sem post", NULL, run_sem_post, NULL, false},
    {"sem value", NULL, run_sem_value, NULL, false},
    {"sem unlink", NULL, run_sem_unlink, NULL, false},
    {"lock", NULL, run_lock, NULL, false},
    {"unlock", NULL, run_unlock, NULL, false},
    {"barrier", NULL, run_barrier, NULL, false},
    {"fetch add", NULL, run_fetch_add, NULL, false},
    {"compare swap", NULL, run_compare_swap, NULL, false},
    {"map", NULL, run_map, undo_map, false},
    {"map at", prepare_map_at, run_map_at, undo_map_at, false},
    {"map twice", prepare_map_twice, run_map, undo_map_twice, false},
    {"map view", NULL, run_map_view, undo_map, false},
    {"release and acquire", prepare_view, run_view, undo_map, false},
    {"unmap", prepare_unmap, run_unmap, NULL, true},
    {"read", prepare_close, run_read, undo_open, false},
    {"write", prepare_close, run_write, undo_open, false},
    {"read to nowhere", prepare_close, run_read_to_nowhere, undo_open, false},
    {NULL, NULL, NULL, NULL, false},
};
