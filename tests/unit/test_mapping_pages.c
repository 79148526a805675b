/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings where the region's pages and the machine's are of unlike sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>

#include "dsm/lib/session.h"
#include "tests/unit/lib_world.h"

/* Hardware pages of 64 KiB, as far as the library can know: a region's page may begin anywhere in
 * one, and so does the address; a fixed one has to fit. */
static void test_small_region_pages_are_mapped_on_large_hardware_pages(void **state)
{
    enum { HARDWARE = 65536 };
    struct world world;
    uint8_t *bytes, *room, *at;
    void *mapped;

    (void)state;
    world_start(&world, (struct fake_options){.size_bytes = 4 * HARDWARE});
    world_enter(&world);
    world.dsm->page_bytes = HARDWARE;
    assert_int_equal(dsm_shm_map(world.region, NULL, 5 * FAKE_PAGE, 2 * HARDWARE - 5 * FAKE_PAGE,
                                 DSM_READ | DSM_WRITE, &mapped),
                     0);
    bytes = mapped;
    assert_int_equal(bytes[1], fake_byte(5 * FAKE_PAGE + 1));
    assert_int_equal(bytes[2 * HARDWARE - 5 * FAKE_PAGE - 1], fake_byte(2 * HARDWARE - 1));
    assert_int_equal(dsm_shm_unmap(world.dsm, bytes - 5 * FAKE_PAGE), DSM_EINVAL);
    assert_int_equal(dsm_shm_unmap(world.dsm, bytes + 1), DSM_EINVAL);
    assert_int_equal(dsm_shm_unmap(world.dsm, bytes), 0);
    room = mmap(NULL, 4 * HARDWARE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(room != MAP_FAILED);
    assert_int_equal(munmap(room, 4 * HARDWARE), 0);
    at = room + (HARDWARE - (uintptr_t)room % HARDWARE);
    assert_int_equal(
        dsm_shm_map(world.region, at, FAKE_PAGE, HARDWARE - FAKE_PAGE, DSM_READ, &mapped),
        DSM_EINVAL);
    assert_int_equal(dsm_shm_map(world.region, at + FAKE_PAGE, FAKE_PAGE, HARDWARE - FAKE_PAGE,
                                 DSM_READ, &mapped),
                     0);
    assert_ptr_equal(mapped, at + FAKE_PAGE);
    assert_int_equal(at[FAKE_PAGE], fake_byte(FAKE_PAGE));
    assert_int_equal(dsm_shm_map(world.region, NULL, 0, UINT64_MAX - HARDWARE, DSM_READ, &mapped),
                     SIZE_MAX < UINT64_MAX ? DSM_ENOMEM : DSM_ERANGE);
    world_leave(&world);
    world_stop(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_region_pages_are_mapped_on_large_hardware_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
