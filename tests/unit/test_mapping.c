/* SPDX-License-Identifier: Apache-2.0 */
/* libdsm's mappings against an agent that is played: faults, addresses, system calls, dsm_vm_*. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dsm_advice.h"
#include "dsm/lib/session.h"
#include "tests/unit/fake_agent.h"
#include "tests/unit/probe.h"

#define PAGES 32u
#define SIZE_BYTES (PAGES * FAKE_PAGE)

/** One program with one handle. */
struct world {
    struct fake_agent *fake;
    struct dsm *dsm;
    struct dsm_region *region;
};

static void begin(struct world *world, struct fake_options options)
{
    if (!has_userfaultfd()) {
        print_message("SKIP: no userfaultfd can be had here\n");
        skip();
    }
    options.size_bytes = options.size_bytes ? options.size_bytes : SIZE_BYTES;
    assert_int_equal(fake_start(&options, &world->fake), 0);
    assert_int_equal(dsm_connect(fake_path(world->fake), &world->dsm), 0);
    assert_int_equal(dsm_shm_open(world->dsm, FAKE_REGION, O_RDWR, 0, NULL, &world->region), 0);
}

static void end(struct world *world)
{
    dsm_disconnect(world->dsm);
    fake_stop(world->fake);
}

static uint8_t *map_all(struct world *world)
{
    void *mapped = NULL;

    assert_int_equal(dsm_shm_map(world->region, NULL, 0, SIZE_BYTES, DSM_READ | DSM_WRITE, &mapped),
                     0);
    return mapped;
}

static uint32_t count_faults(struct world *world)
{
    struct fake_seen seen;

    fake_look(world->fake, &seen);
    return seen.count_faults;
}

/* A load of a page that is not here brings it; a store asks once more; nothing moves before it is
 * touched. */
static void test_loads_and_stores_bring_pages(void **state)
{
    struct world world;
    volatile uint8_t *bytes;

    (void)state;
    begin(&world, (struct fake_options){0});
    bytes = map_all(&world);
    assert_int_equal(count_faults(&world), 0);
    for (uint64_t i = 0; i < SIZE_BYTES; i += 509) {
        assert_int_equal(bytes[i], fake_byte(i));
    }
    assert_int_equal(count_faults(&world), PAGES);
    bytes[3 * FAKE_PAGE + 1] = 200;
    assert_int_equal(bytes[3 * FAKE_PAGE + 1], 200);
    assert_int_equal(count_faults(&world), PAGES + 1);
    bytes[3 * FAKE_PAGE + 2] = 201;
    assert_int_equal(count_faults(&world), PAGES + 1);
    end(&world);
}

/* Two mappings of one region, at two offsets, are the same memory. */
static void test_several_maps_share_the_pages(void **state)
{
    struct world world;
    volatile uint8_t *whole, *part;
    void *mapped;

    (void)state;
    begin(&world, (struct fake_options){0});
    whole = map_all(&world);
    assert_int_equal(
        dsm_shm_map(world.region, NULL, 4 * FAKE_PAGE, FAKE_PAGE + 1, DSM_READ, &mapped), 0);
    part = mapped;
    assert_int_equal(part[5], fake_byte(4 * FAKE_PAGE + 5));
    whole[4 * FAKE_PAGE + 5] = 77;
    assert_int_equal(part[5], 77);
    assert_int_equal(part[2 * FAKE_PAGE - 1], fake_byte(6 * FAKE_PAGE - 1));
    assert_int_equal(dsm_shm_close(world.region), 0);
    assert_int_equal(part[6], fake_byte(4 * FAKE_PAGE + 6));
    assert_int_equal(dsm_shm_unmap(world.dsm, mapped), 0);
    assert_int_equal(dsm_shm_unmap(world.dsm, mapped), DSM_EINVAL);
    assert_int_equal(whole[4 * FAKE_PAGE + 5], 77);
    end(&world);
}

/* write(2) out of pages that are not here, and read(2) into them. */
static void test_system_calls_take_region_memory(void **state)
{
    struct world world;
    uint8_t *bytes, copy[3 * FAKE_PAGE];
    int ends[2];

    (void)state;
    begin(&world, (struct fake_options){0});
    bytes = map_all(&world);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], bytes + 100, sizeof copy), sizeof copy);
    assert_int_equal(read(ends[0], copy, sizeof copy), sizeof copy);
    for (uint64_t i = 0; i < sizeof copy; i++) {
        assert_int_equal(copy[i], fake_byte(100 + i));
    }
    memset(copy, 9, sizeof copy);
    assert_int_equal(write(ends[1], copy, sizeof copy), sizeof copy);
    assert_int_equal(read(ends[0], bytes + 10 * FAKE_PAGE + 8, sizeof copy), sizeof copy);
    assert_int_equal(bytes[10 * FAKE_PAGE + 7], fake_byte(10 * FAKE_PAGE + 7));
    assert_memory_equal(bytes + 10 * FAKE_PAGE + 8, copy, sizeof copy);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
    end(&world);
}

static void test_map_at_an_address_replaces_nothing(void **state)
{
    struct world world;
    uint8_t *room;
    void *mapped = NULL, *other = NULL;

    (void)state;
    begin(&world, (struct fake_options){0});
    room = mmap(NULL, SIZE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(room != MAP_FAILED);
    assert_int_equal(dsm_shm_map(world.region, room, 0, SIZE_BYTES, DSM_READ, &mapped), DSM_EBUSY);
    assert_int_equal(munmap(room, SIZE_BYTES), 0);
    assert_int_equal(dsm_shm_map(world.region, room, 0, SIZE_BYTES, DSM_READ, &mapped), 0);
    assert_ptr_equal(mapped, room);
    assert_int_equal(room[7], fake_byte(7));
    assert_int_equal(dsm_shm_map(world.region, room + FAKE_PAGE, 0, FAKE_PAGE, DSM_READ, &other),
                     DSM_EBUSY);
    assert_null(other);
    assert_int_equal(room[FAKE_PAGE], fake_byte(FAKE_PAGE));
    assert_int_equal(dsm_shm_unmap(world.dsm, room), 0);
    assert_int_equal(dsm_shm_map(world.region, room, 0, FAKE_PAGE, DSM_READ, &other), 0);
    end(&world);
}

static bool none_is_mapped(const struct fake_seen *seen)
{
    return seen->count_maps == 0;
}

static void test_bad_maps_are_refused_and_leave_nothing(void **state)
{
    struct dsm_region *reader;
    struct world world;
    void *mapped = NULL;
    char text[TEXT_BYTES_MAX];
    int here;

    (void)state;
    begin(&world, (struct fake_options){0});
    assert_int_equal(dsm_shm_open(world.dsm, FAKE_REGION, O_RDONLY, 0, NULL, &reader), 0);
    assert_int_equal(dsm_shm_map(world.region, NULL, 0, 0, DSM_READ, &mapped), DSM_EINVAL);
    assert_int_equal(dsm_shm_map(world.region, NULL, 100, 10, DSM_READ, &mapped), DSM_EINVAL);
    dsm_last_error(world.dsm, text, sizeof text);
    assert_non_null(strstr(text, "'/photo'"));
    assert_non_null(strstr(text, "4096"));
    assert_int_equal(dsm_shm_map(world.region, (void *)100, 0, 10, DSM_READ, &mapped), DSM_EINVAL);
    assert_int_equal(dsm_shm_map(world.region, NULL, 0, 10, DSM_WRITE, &mapped), DSM_EINVAL);
    assert_int_equal(dsm_shm_map(world.region, NULL, 0, 10, 8 | DSM_READ, &mapped), DSM_EINVAL);
    assert_int_equal(dsm_shm_map(reader, NULL, 0, 10, DSM_READ | DSM_WRITE, &mapped), DSM_EACCES);
    assert_int_equal(dsm_shm_map(world.region, NULL, 0, SIZE_BYTES + 1, DSM_READ, &mapped),
                     DSM_ERANGE);
    assert_int_equal(dsm_shm_map(world.region, NULL, FAKE_PAGE, UINT64_MAX, DSM_READ, &mapped),
                     DSM_ERANGE);
    assert_int_equal(dsm_shm_unmap(world.dsm, &here), DSM_EINVAL);
    assert_null(mapped);
    assert_true(fake_await(world.fake, none_is_mapped));
    end(&world);
}

/* A mapping through a read-only handle reads, and takes the place of nothing that may be written.
 */
static void test_read_only_handle_maps_to_read(void **state)
{
    struct dsm_region *reader;
    struct world world;
    uint8_t byte = 0;
    void *mapped;
    int ends[2];

    (void)state;
    begin(&world, (struct fake_options){0});
    assert_int_equal(dsm_shm_open(world.dsm, FAKE_REGION, O_RDONLY, 0, NULL, &reader), 0);
    assert_int_equal(dsm_shm_map(reader, NULL, 0, FAKE_PAGE, DSM_READ, &mapped), 0);
    assert_int_equal(((uint8_t *)mapped)[9], fake_byte(9));
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(read(ends[0], mapped, 1), -1);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(dsm_vm_write(reader, 0, &byte, 1), DSM_EACCES);
    assert_int_equal(dsm_vm_read(reader, 9, &byte, 1), 0);
    assert_int_equal(byte, fake_byte(9));
    end(&world);
}

/* Large region pages: the address that the library chooses is a multiple of them. */
static void test_large_pages_are_aligned(void **state)
{
    enum { LARGE = 2 << 20 };
    struct world world;
    void *mapped[3];

    (void)state;
    begin(&world, (struct fake_options){.page_size = LARGE, .size_bytes = 4 * LARGE});
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            dsm_shm_map(world.region, NULL, LARGE, 1, DSM_READ | DSM_WRITE, &mapped[i]), 0);
        assert_int_equal((uintptr_t)mapped[i] % LARGE, 0);
        assert_int_equal(((uint8_t *)mapped[i])[LARGE - 1], fake_byte(2 * LARGE - 1));
    }
    assert_int_equal(dsm_shm_map(world.region, NULL, FAKE_PAGE, 1, DSM_READ, &mapped[0]),
                     DSM_EINVAL);
    end(&world);
}

/* Without the device's descriptor from the agent, the system call does (for root, at least). */
static void test_map_without_the_agents_device_works(void **state)
{
    struct world world;
    uint8_t copy[100];
    uint8_t *bytes;

    (void)state;
    begin(&world, (struct fake_options){.no_device = true});
    bytes = map_all(&world);
    assert_int_equal(bytes[FAKE_PAGE], fake_byte(FAKE_PAGE));
    assert_int_equal(dsm_vm_read(world.region, 5 * FAKE_PAGE - 50, copy, sizeof copy), 0);
    assert_int_equal(copy[99], fake_byte(5 * FAKE_PAGE + 49));
    end(&world);
}

/* Copies that begin and end anywhere, through no mapping of the program and through one. */
static void test_vm_copies_have_any_alignment(void **state)
{
    static const struct {
        uint64_t offset, len_bytes;
    } spans[] = {{0, 1}, {4095, 2}, {100, 5 * FAKE_PAGE}, {0, SIZE_BYTES}, {SIZE_BYTES - 1, 1}};
    uint8_t *copy = malloc(SIZE_BYTES);
    uint8_t *given = malloc(SIZE_BYTES);
    struct world world;

    (void)state;
    assert_non_null(copy);
    assert_non_null(given);
    for (int mapped = 0; mapped < 2; mapped++) {
        begin(&world, (struct fake_options){0});
        if (mapped) {
            (void)map_all(&world);
        }
        for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
            uint64_t len = spans[i].len_bytes;

            assert_int_equal(dsm_vm_read(world.region, spans[i].offset, copy, len), 0);
            for (uint64_t at = 0; at < len; at++) {
                if (copy[at] != fake_byte(spans[i].offset + at)) {
                    fail_msg("byte %lu of span %zu", (unsigned long)at, i);
                }
            }
        }
        for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
            uint64_t len = spans[i].len_bytes;

            memset(given, (int)(0x50 + i), len);
            assert_int_equal(dsm_vm_write(world.region, spans[i].offset, given, len), 0);
            assert_int_equal(dsm_vm_read(world.region, spans[i].offset, copy, len), 0);
            assert_memory_equal(copy, given, len);
        }
        end(&world);
    }
    free(copy);
    free(given);
}

static void test_vm_copies_keep_within_the_region(void **state)
{
    struct dsm_region *other;
    struct world world;
    uint8_t copy[16] = {0};
    const uint8_t zeros[16] = {0};

    (void)state;
    begin(&world, (struct fake_options){.size_bytes = FAKE_PAGE + 10});
    assert_int_equal(dsm_vm_read(world.region, FAKE_PAGE, copy, 11), DSM_ERANGE);
    assert_int_equal(dsm_vm_read(world.region, UINT64_MAX - 3, copy, 8), DSM_ERANGE);
    assert_int_equal(dsm_vm_write(world.region, FAKE_PAGE + 10, copy, 1), DSM_ERANGE);
    assert_memory_equal(copy, zeros, sizeof copy);
    assert_int_equal(dsm_vm_read(world.region, FAKE_PAGE, copy, 10), 0);
    assert_int_equal(copy[9], fake_byte(FAKE_PAGE + 9));
    assert_int_equal(dsm_vm_read(world.region, FAKE_PAGE + 10, copy, 0), 0);
    /* It grows behind the back of this handle, which finds out when it needs to. */
    assert_int_equal(dsm_shm_open(world.dsm, FAKE_REGION, O_RDWR, 0, NULL, &other), 0);
    assert_int_equal(dsm_shm_truncate(other, 200u << 20), 0);
    assert_int_equal(dsm_vm_write(world.region, (150u << 20) - 8, zeros, 16), 0);
    assert_int_equal(dsm_vm_read(other, 150u << 20, copy, 9), 0);
    assert_int_equal(copy[7], 0);
    assert_int_equal(copy[8], fake_byte((150u << 20) + 8));
    assert_int_equal(dsm_shm_close(other), 0);
    end(&world);
}

/* A lost page ends the copy with an error and no signal; what comes before it is copied. */
static void test_vm_copy_reports_a_lost_page(void **state)
{
    uint8_t copy[3 * FAKE_PAGE];
    char text[TEXT_BYTES_MAX];
    struct world world;
    uint8_t *bytes;

    (void)state;
    begin(&world, (struct fake_options){.lost_page = 5});
    memset(copy, 0, sizeof copy);
    assert_int_equal(dsm_vm_read(world.region, 3 * FAKE_PAGE + 8, copy, sizeof copy), DSM_EDOWN);
    dsm_last_error(world.dsm, text, sizeof text);
    assert_non_null(strstr(text, "'/photo' at offset 20480"));
    for (uint64_t i = 0; i < 2 * FAKE_PAGE - 8; i++) {
        assert_int_equal(copy[i], fake_byte(3 * FAKE_PAGE + 8 + i));
    }
    assert_int_equal(copy[2 * FAKE_PAGE - 8], 0);
    memset(copy, 3, sizeof copy);
    assert_int_equal(dsm_vm_write(world.region, 4 * FAKE_PAGE + 8, copy, sizeof copy), DSM_EDOWN);
    bytes = map_all(&world);
    assert_int_equal(bytes[4 * FAKE_PAGE + 7], fake_byte(4 * FAKE_PAGE + 7));
    assert_int_equal(bytes[5 * FAKE_PAGE - 1], 3);
    assert_int_equal(bytes[6 * FAKE_PAGE], fake_byte(6 * FAKE_PAGE));
    end(&world);
}

/* Memory of the caller that cannot be used is the caller's mistake, not a lost page. */
static void test_vm_copy_with_bad_memory_is_refused(void **state)
{
    struct world world;
    uint8_t *closed;

    (void)state;
    begin(&world, (struct fake_options){0});
    closed = mmap(NULL, FAKE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(closed != MAP_FAILED);
    assert_int_equal(dsm_vm_read(world.region, 0, closed, 100), DSM_EINVAL);
    assert_int_equal(dsm_vm_write(world.region, 0, closed, 100), DSM_EINVAL);
    assert_int_equal(munmap(closed, FAKE_PAGE), 0);
    end(&world);
}

/* The caller's memory may be region memory as well, absent on both sides. */
static void test_vm_copies_between_two_places_of_a_region(void **state)
{
    struct world world;
    uint8_t *bytes;

    (void)state;
    begin(&world, (struct fake_options){0});
    bytes = map_all(&world);
    assert_int_equal(dsm_vm_read(world.region, 100, bytes + 20 * FAKE_PAGE, 2 * FAKE_PAGE), 0);
    assert_int_equal(dsm_vm_write(world.region, 10 * FAKE_PAGE, bytes + 2 * FAKE_PAGE + 5, 5000),
                     0);
    for (uint64_t i = 0; i < 5000; i++) {
        assert_int_equal(bytes[20 * FAKE_PAGE + i], fake_byte(100 + i));
        assert_int_equal(bytes[10 * FAKE_PAGE + i], fake_byte(2 * FAKE_PAGE + 5 + i));
    }
    end(&world);
}

struct churner {
    struct world *world;
    uint64_t seed;
    int error;
};

/* Maps, reads through the mapping and through dsm_vm_read(), and unmaps, over and over. */
static void *churn(void *argument)
{
    struct churner *churner = argument;
    struct world *world = churner->world;
    uint64_t random = churner->seed;

    for (int i = 0; i < 100 && churner->error == 0; i++) {
        uint64_t page = (random >> 33) % (PAGES - 4);
        uint64_t offset = page * FAKE_PAGE;
        uint8_t copy[2 * FAKE_PAGE];
        void *mapped;

        random = random * 6364136223846793005u + 1442695040888963407u;
        churner->error = dsm_shm_map(world->region, NULL, offset, 4 * FAKE_PAGE, DSM_READ, &mapped);
        if (churner->error != 0) {
            break;
        }
        if (((volatile uint8_t *)mapped)[FAKE_PAGE] != fake_byte(offset + FAKE_PAGE)) {
            churner->error = 1;
        }
        if (dsm_vm_read(world->region, offset + 50, copy, sizeof copy) != 0 ||
            copy[sizeof copy - 1] != fake_byte(offset + 50 + sizeof copy - 1)) {
            churner->error = 2;
        }
        if (dsm_shm_unmap(world->dsm, mapped) != 0) {
            churner->error = 3;
        }
    }
    return NULL;
}

static void test_threads_map_and_unmap_at_once(void **state)
{
    enum { COUNT = 4 };
    struct churner churners[COUNT];
    pthread_t threads[COUNT];
    struct world world;

    (void)state;
    begin(&world, (struct fake_options){0});
    for (uint64_t i = 0; i < COUNT; i++) {
        churners[i] = (struct churner){.world = &world, .seed = i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &churners[i]), 0);
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(churners[i].error, 0);
    }
    assert_int_equal(dsm_shm_close(world.region), 0);
    assert_true(fake_await(world.fake, none_is_mapped));
    end(&world);
}

/* Advice that there is none of is named, and nobody is asked. */
static void test_unknown_advice_is_refused(void **state)
{
    struct world world;
    char text[256];

    (void)state;
    begin(&world, (struct fake_options){0});
    assert_int_equal(dsm_advise(world.region, 0, 1, (enum dsm_advice)7), DSM_EINVAL);
    dsm_last_error(world.dsm, text, sizeof text);
    assert_non_null(strstr(text, FAKE_REGION));
    assert_non_null(strstr(text, "advice 7"));
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_advice_is_refused),
        cmocka_unit_test(test_loads_and_stores_bring_pages),
        cmocka_unit_test(test_several_maps_share_the_pages),
        cmocka_unit_test(test_system_calls_take_region_memory),
        cmocka_unit_test(test_map_at_an_address_replaces_nothing),
        cmocka_unit_test(test_bad_maps_are_refused_and_leave_nothing),
        cmocka_unit_test(test_read_only_handle_maps_to_read),
        cmocka_unit_test(test_large_pages_are_aligned),
        cmocka_unit_test(test_map_without_the_agents_device_works),
        cmocka_unit_test(test_vm_copies_have_any_alignment),
        cmocka_unit_test(test_vm_copies_keep_within_the_region),
        cmocka_unit_test(test_vm_copy_reports_a_lost_page),
        cmocka_unit_test(test_vm_copy_with_bad_memory_is_refused),
        cmocka_unit_test(test_vm_copies_between_two_places_of_a_region),
        cmocka_unit_test(test_threads_map_and_unmap_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
