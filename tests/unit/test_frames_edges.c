/* SPDX-License-Identifier: Apache-2.0 */
/* What the frames do when programs die, go round the rules, or map only parts. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/frames.h"
#include "dsm.h"
#include "frames_program.h"

/* Fill pages; the first word of hardware page n of the fill is value + n. */
static void fill_numbered(struct agent_side *side, uint64_t page, uint32_t count, map_id map,
                          bool write, uint64_t value)
{
    size_t len_bytes = (size_t)count * side->page_size;
    uint8_t *bytes = calloc(1, len_bytes + 1);

    assert_non_null(bytes);
    for (size_t at = 0; at < len_bytes; at += HARDWARE_PAGE, value++) {
        memcpy(bytes + 1 + at, &value, sizeof(value));
    }
    /* A receive buffer has no alignment either. */
    frames_fill(side->frames, side->region, page, count, map, write, bytes + 1);
    free(bytes);
}

static uint64_t word_at(struct agent_side *side, uint64_t offset)
{
    uint64_t value = 0;

    assert_int_equal(
        pread(frames_memfd(side->frames, side->region), &value, sizeof(value), (off_t)offset),
        sizeof(value));
    return value;
}

static void assert_hole(struct agent_side *side, uint64_t page)
{
    off_t offset = (off_t)(page * side->page_size);

    assert_int_equal(lseek(frames_memfd(side->frames, side->region), offset, SEEK_HOLE), offset);
}

/* A fill without any mapping stores the pages and nothing around them. */
static void test_fill_without_mapping_stores_only_its_pages(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open(&side, 64, HARDWARE_PAGE);
    fill_numbered(&side, 20, 4, 0, false, 200);
    fill_numbered(&side, 30, 1, 12345, true, 300); /* A mapping that has gone meanwhile. */
    assert_hole(&side, 19);
    assert_hole(&side, 24);
    assert_hole(&side, 31);
    assert_int_equal(word_at(&side, 23 * HARDWARE_PAGE), 203);
    program_start_attached(&program, &side, 1, 0, 64);
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, 22 * HARDWARE_PAGE, 0), 202);
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, 30 * HARDWARE_PAGE, 0), 300);
    assert_int_equal(side.count_faults, 0);
    program_order(&program, PROGRAM_WRITE, 30 * HARDWARE_PAGE, 0);
    side_wait_faults(&side, 1);
    assert_true(side.write);
    assert_int_equal(frames_counters(side.frames)->repairs, 0);
    program_kill(&program);
    side_close(&side);
}

/* A range of which two mappings cover different parts and nobody the rest comes complete. */
static void test_fill_over_several_mappings_is_complete(void **state)
{
    struct agent_side side;
    struct program low, high;

    (void)state;
    side_open(&side, 32, HARDWARE_PAGE);
    program_start_attached(&low, &side, 1, 2, 4);
    program_start_attached(&high, &side, 2, 8, 4);
    program_order(&high, PROGRAM_WRITE, 0, 1000);
    side_wait_faults(&side, 1);
    fill_numbered(&side, 0, 16, 2, true, 500);
    assert_int_equal(program_result(&high, &side).signal, 0);
    assert_int_equal(word_at(&side, 8 * HARDWARE_PAGE), 1000);
    for (uint64_t page = 0; page < 16; page++) {
        if (page != 8) {
            assert_int_equal(word_at(&side, page * HARDWARE_PAGE), 500 + page);
        }
    }
    assert_hole(&side, 16);
    program_do(&high, &side, PROGRAM_WRITE, 3 * HARDWARE_PAGE, 1);
    assert_int_equal(program_do(&low, &side, PROGRAM_READ, HARDWARE_PAGE, 0), 503);
    assert_int_equal(side.count_faults, 1);
    program_order(&low, PROGRAM_WRITE, HARDWARE_PAGE, 1);
    side_wait_faults(&side, 2);
    assert_int_equal(side.map, 1);
    assert_int_equal(side.page, 3);
    assert_int_equal(frames_counters(side.frames)->repairs, 0);
    program_kill(&low);
    program_kill(&high);
    side_close(&side);
}

/* A program killed in its fault: the page is stored all the same, and the other one gets it. */
static void test_program_killed_in_fault_page_is_stored(void **state)
{
    struct agent_side side;
    struct program victim, other;

    (void)state;
    side_open(&side, 8, HARDWARE_PAGE);
    program_start_attached(&other, &side, 2, 4, 4);
    program_start_attached(&victim, &side, 1, 0, 8);
    program_order(&victim, PROGRAM_READ, 4 * HARDWARE_PAGE, 0);
    program_order(&other, PROGRAM_READ, 0, 0);
    side_wait_faults(&side, 2);
    program_kill(&victim);
    fill_numbered(&side, 0, 8, 1, false, 60);
    assert_int_equal(program_result(&other, &side).value, 64);
    assert_int_equal(word_at(&side, 0), 60);
    assert_int_equal(word_at(&side, 7 * HARDWARE_PAGE), 67);
    frames_allow(side.frames, side.region, 0, 8, 1);
    frames_protect(side.frames, side.region, 0, 8);
    frames_drop(side.frames, side.region, 0, 8);
    frames_poison(side.frames, side.region, 0, 1);
    frames_map_gone(side.frames, 1);
    frames_map_gone(side.frames, 1);
    frames_wake(side.frames, side.region, 0, 8, 1);
    side_settle(&side);
    program_kill(&other);
    side_close(&side);
}

static void close_own_map(struct agent_side *side)
{
    frames_map_gone(side->frames, side->map);
}

/* The mapping goes away while its own fault is being told. */
static void test_map_gone_while_its_fault_is_told(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open(&side, 8, HARDWARE_PAGE);
    program_start_attached(&program, &side, 1, 0, 8);
    side.answer = close_own_map;
    program_order(&program, PROGRAM_READ, 0, 0);
    side_wait_faults(&side, 1);
    side_settle(&side);
    assert_int_equal(side.count_faults, 1);
    program_kill(&program);
    side_close(&side);
}

/* Somebody wrote the memory file behind the agent's back: the fill wins, rights as asked for. */
static void test_page_present_unawares_is_put_right(void **state)
{
    struct agent_side side;
    struct program first, second;
    uint64_t wrong = 666;

    (void)state;
    side_open(&side, 8, HARDWARE_PAGE);
    program_start_attached(&first, &side, 1, 0, 8);
    program_start_attached(&second, &side, 2, 0, 8);
    for (uint64_t page = 1; page < 4; page++) {
        assert_int_equal(pwrite(frames_memfd(side.frames, side.region), &wrong, sizeof(wrong),
                                (off_t)(page * HARDWARE_PAGE)),
                         sizeof(wrong));
    }
    fill_numbered(&side, 0, 3, 1, false, 10);
    assert_int_equal(frames_counters(side.frames)->repairs, 2);
    fill_numbered(&side, 3, 1, 1, true, 13);
    assert_int_equal(frames_counters(side.frames)->repairs, 3);
    for (uint64_t page = 0; page < 4; page++) {
        assert_int_equal(program_do(&first, &side, PROGRAM_READ, page * HARDWARE_PAGE, 0),
                         10 + page);
        assert_int_equal(program_do(&second, &side, PROGRAM_READ, page * HARDWARE_PAGE, 0),
                         10 + page);
    }
    program_do(&first, &side, PROGRAM_WRITE, 3 * HARDWARE_PAGE, 0);
    assert_int_equal(side.count_faults, 0);
    program_order(&first, PROGRAM_WRITE, 2 * HARDWARE_PAGE, 0);
    side_wait_faults(&side, 1);
    assert_int_equal(side.map, 1);
    program_order(&second, PROGRAM_WRITE, 3 * HARDWARE_PAGE, 0);
    side_wait_faults(&side, 2);
    assert_int_equal(side.map, 2);
    program_kill(&first);
    program_kill(&second);

    assert_int_equal(
        pwrite(frames_memfd(side.frames, side.region), &wrong, sizeof(wrong), 6 * HARDWARE_PAGE),
        sizeof(wrong));
    frames_map_gone(side.frames, 1);
    frames_map_gone(side.frames, 2);
    fill_numbered(&side, 5, 3, 0, false, 15);
    assert_int_equal(frames_counters(side.frames)->repairs, 4);
    assert_int_equal(word_at(&side, 6 * HARDWARE_PAGE), 16);
    assert_int_equal(word_at(&side, 7 * HARDWARE_PAGE), 17);
    side_close(&side);
}

/* The program has split its mapping and unmapped a part of it: the rest is filled and protected. */
static void test_fill_over_split_mapping_is_complete(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open(&side, 2, 8 * HARDWARE_PAGE);
    program_start_attached(&program, &side, 1, 0, 2);
    program_do(&program, &side, PROGRAM_SPLIT, 2 * HARDWARE_PAGE, 0);
    program_do(&program, &side, PROGRAM_UNMAP, 5 * HARDWARE_PAGE, 0);
    program_order(&program, PROGRAM_WRITE, 7 * HARDWARE_PAGE + 8, 1);
    side_wait_faults(&side, 1);
    fill_numbered(&side, 0, 1, 1, true, 90);
    assert_int_equal(program_result(&program, &side).signal, 0);
    for (uint64_t at = 0; at < 8; at++) {
        assert_int_equal(word_at(&side, at * HARDWARE_PAGE), 90 + at);
    }
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, 2 * HARDWARE_PAGE, 0), 92);
    program_order(&program, PROGRAM_READ, 5 * HARDWARE_PAGE, 0);
    assert_int_equal(program_result(&program, &side).signal, SIGSEGV);
    frames_protect(side.frames, side.region, 0, 1);
    program_order(&program, PROGRAM_WRITE, 6 * HARDWARE_PAGE, 1);
    side_wait_faults(&side, 2);
    assert_int_equal(word_at(&side, 6 * HARDWARE_PAGE), 96);
    program_kill(&program);
    side_close(&side);
}

/* A userfaultfd of this process that is registered for nothing. */
static int idle_uffd(void)
{
    struct uffdio_api api = {.api = UFFD_API};
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    int uffd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);

    close(device);
    assert_int_equal(ioctl(uffd, UFFDIO_API, &api), 0);
    return uffd;
}

/* Attach with one member of what is right changed. */
static int attach(struct agent_side *side, const struct program *program, map_id map,
                  client_id client, int descriptor, uint64_t address, uint64_t len_bytes)
{
    struct frames_attachment attachment = {
        .backend = program->backend,
        .descriptor = descriptor,
        .process = program->process,
        .address = address,
        .len_bytes = len_bytes,
    };

    return frames_attach(side->frames, map, client, &attachment);
}

/* What does not fit is refused, closes the descriptor, and leaves the mapping ready for the right
 * one. */
static void test_wrong_attachments_are_refused(void **state)
{
    struct agent_side side;
    struct program program, other;
    uint64_t address;
    int ends[2], uffd;

    (void)state;
    side_open(&side, 8, HARDWARE_PAGE);
    program_start(&program, &side, 2, 2);
    address = program.address;
    uffd = program.descriptor;
    assert_int_equal(frames_map_add(side.frames, 4, 40, side.region, 7, 2, true), DSM_ERANGE);
    assert_int_equal(frames_map_add(side.frames, 4, 40, (region_id){1, 1}, 0, 1, true), DSM_ERANGE);
    assert_int_equal(frames_map_add(side.frames, 4, 40, side.region, 2, 2, true), 0);
    assert_int_equal(frames_map_add(side.frames, 4, 40, side.region, 2, 2, true), DSM_EINVAL);
    assert_int_equal(attach(&side, &program, 5, 40, dup(uffd), address, 8192), DSM_EINVAL);
    assert_int_equal(attach(&side, &program, 4, 41, dup(uffd), address, 8192), DSM_EINVAL);
    assert_int_equal(attach(&side, &program, 4, 40, dup(uffd), address, 4096), DSM_EINVAL);
    assert_int_equal(attach(&side, &program, 4, 40, dup(uffd), address + 8, 8192), DSM_EINVAL);
    other = program;
    other.backend = 0;
    assert_int_equal(attach(&side, &other, 4, 40, dup(uffd), address, 8192), DSM_EINVAL);
    other.backend = SESSION_BACKENDS;
    assert_int_equal(attach(&side, &other, 4, 40, dup(uffd), address, 8192), DSM_EINVAL);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(attach(&side, &program, 4, 40, ends[0], address, 8192), DSM_ESYS);
    assert_int_equal(fcntl(ends[0], F_GETFD), -1);
    close(ends[1]);
    assert_int_equal(attach(&side, &program, 4, 40, idle_uffd(), address, 8192), DSM_ESYS);
    assert_int_equal(attach(&side, &program, 4, 40, dup(uffd), address, 8192), 0);
    assert_int_equal(attach(&side, &program, 4, 40, dup(uffd), address, 8192), DSM_EINVAL);
    program_order(&program, PROGRAM_READ, HARDWARE_PAGE, 0);
    side_wait_faults(&side, 1);
    assert_int_equal(side.page, 3);
    program_kill(&program);
    side_close(&side);
}

/* A program makes its descriptor blocking, which must neither stop its faults nor spin the loop. */
static void test_blocking_descriptor_is_put_right(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open(&side, 8, HARDWARE_PAGE);
    program_start_attached(&program, &side, 1, 0, 8);
    program_do(&program, &side, PROGRAM_BLOCKING, 0, 0);
    program_order(&program, PROGRAM_READ, HARDWARE_PAGE, 0);
    side_wait_faults(&side, 1);
    fill_numbered(&side, 1, 1, 1, false, 4);
    assert_int_equal(program_result(&program, &side).value, 4);
    program_kill(&program);
    side_close(&side);
}

/* KiB of page tables of a process. */
static unsigned long page_table_kib(pid_t pid)
{
    char path[64], line[256];
    unsigned long kib = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmPTE:", 6) == 0) {
            kib = strtoul(line + 6, NULL, 10);
        }
    }
    fclose(file);
    return kib;
}

/* A mapping of a sparse terabyte: what is present is protected, the rest costs no page tables. */
static void test_sparse_terabyte_is_attached_at_no_cost(void **state)
{
    struct agent_side side;
    struct program program;
    uint64_t pages = (UINT64_C(1) << 40) / HARDWARE_PAGE;

    (void)state;
    side_open(&side, pages, HARDWARE_PAGE);
    fill_numbered(&side, 3, 2, 0, false, 30);
    fill_numbered(&side, pages / 2, 1, 0, false, 50);
    fill_numbered(&side, pages - 1, 1, 0, false, 99);
    program_start_attached(&program, &side, 1, 0, pages);
    assert_true(page_table_kib(program.pid) < 1024);
    assert_int_equal(program_do(&program, &side, PROGRAM_READ, (pages - 1) * HARDWARE_PAGE, 0), 99);
    assert_int_equal(side.count_faults, 0);
    program_order(&program, PROGRAM_WRITE, pages / 2 * HARDWARE_PAGE, 51);
    side_wait_faults(&side, 1);
    assert_true(side.write);
    assert_int_equal(side.page, pages / 2);
    frames_allow(side.frames, side.region, side.page, 1, 1);
    assert_int_equal(program_result(&program, &side).signal, 0);
    program_order(&program, PROGRAM_WRITE, 77 * HARDWARE_PAGE, 51);
    side_wait_faults(&side, 2);
    assert_int_equal(side.page, 77);
    program_kill(&program);
    side_close(&side);
}

/* A page that comes by one mapping is read-only for another that has never had a marker there. */
static void test_fill_protects_mappings_without_markers(void **state)
{
    struct agent_side side;
    struct program first, second;
    uint64_t pages = (UINT64_C(1) << 40) / HARDWARE_PAGE;

    (void)state;
    side_open(&side, pages, HARDWARE_PAGE);
    program_start_attached(&first, &side, 1, 0, pages);
    program_start_attached(&second, &side, 2, 0, pages);
    program_order(&first, PROGRAM_WRITE, 90 * HARDWARE_PAGE + 8, 1);
    side_wait_faults(&side, 1);
    fill_numbered(&side, 90, 1, 1, true, 44);
    assert_int_equal(program_result(&first, &side).signal, 0);
    assert_int_equal(program_do(&second, &side, PROGRAM_READ, 90 * HARDWARE_PAGE, 0), 44);
    assert_int_equal(side.count_faults, 1);
    program_order(&second, PROGRAM_WRITE, 90 * HARDWARE_PAGE, 2);
    side_wait_faults(&side, 2);
    assert_int_equal(side.map, 2);
    assert_int_equal(word_at(&side, 90 * HARDWARE_PAGE), 44);
    program_kill(&first);
    program_kill(&second);
    side_close(&side);
}

/* Programs may not seal the memory file so that the agent can no longer punch or grow it. */
static void test_memory_file_takes_no_more_seals(void **state)
{
    struct agent_side side;
    int memfd;

    (void)state;
    side_open(&side, 8, HARDWARE_PAGE);
    memfd = frames_memfd(side.frames, side.region);
    assert_int_equal(fcntl(memfd, F_ADD_SEALS, F_SEAL_GROW), -1);
    assert_int_equal(fcntl(memfd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
    assert_int_equal(ftruncate(memfd, HARDWARE_PAGE), -1);
    assert_int_equal(fcntl(memfd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    side_close(&side);
}

/* Closing a region takes its mappings with it; a page number outside of a region does nothing. */
static void test_region_closed_takes_its_mappings(void **state)
{
    struct agent_side side;
    struct program program;

    (void)state;
    side_open(&side, 8, HARDWARE_PAGE);
    program_start_attached(&program, &side, 1, 0, 8);
    fill_numbered(&side, 7, 2, 1, false, 1);
    frames_drop(side.frames, side.region, UINT64_MAX, 2);
    assert_int_equal(word_at(&side, 7 * HARDWARE_PAGE), 0);
    frames_region_close(side.frames, side.region);
    frames_region_close(side.frames, side.region);
    fill_numbered(&side, 0, 1, 1, false, 1);
    assert_int_equal(frames_memfd(side.frames, side.region), -1);
    assert_int_equal(frames_region_open(side.frames, side.region, 8 * HARDWARE_PAGE, HARDWARE_PAGE),
                     0);
    assert_int_equal(frames_map_add(side.frames, 1, 1, side.region, 0, 8, true), 0);
    program_kill(&program);
    side_close(&side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fill_without_mapping_stores_only_its_pages),
        cmocka_unit_test(test_fill_over_several_mappings_is_complete),
        cmocka_unit_test(test_program_killed_in_fault_page_is_stored),
        cmocka_unit_test(test_map_gone_while_its_fault_is_told),
        cmocka_unit_test(test_page_present_unawares_is_put_right),
        cmocka_unit_test(test_fill_over_split_mapping_is_complete),
        cmocka_unit_test(test_wrong_attachments_are_refused),
        cmocka_unit_test(test_blocking_descriptor_is_put_right),
        cmocka_unit_test(test_sparse_terabyte_is_attached_at_no_cost),
        cmocka_unit_test(test_fill_protects_mappings_without_markers),
        cmocka_unit_test(test_memory_file_takes_no_more_seals),
        cmocka_unit_test(test_region_closed_takes_its_mappings),
    };

    if (!has_userfaultfd()) {
        printf("SKIP: no userfaultfd can be had here\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
