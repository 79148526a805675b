/* SPDX-License-Identifier: Apache-2.0 */
/* ATTACH: what watches a mapping is handed to the agent, checked, and told of in its log. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "clients_place.h"
#include "dsm.h"
#include "probe.h"
#include "tests/failure/hush.h"

#define MAP_BYTES 8192u

/* A mapping of MAP_BYTES of the region, registered with a userfaultfd of this process. */
static int register_mapping(int memfd, void **base)
{
    struct uffdio_api api = {
        .api = UFFD_API,
        .features = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_PAGEFAULT_FLAG_WP |
                    UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
    };
    struct uffdio_register registration = {
        .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
    };
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    int uffd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);

    close(device);
    *base = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    assert_true(*base != MAP_FAILED);
    registration.range.start = (uint64_t)(uintptr_t)*base;
    registration.range.len = MAP_BYTES;
    assert_int_equal(ioctl(uffd, UFFDIO_API, &api), 0);
    assert_int_equal(ioctl(uffd, UFFDIO_REGISTER, &registration), 0);
    return uffd;
}

/* ATTACH reaches the frames: right ones succeed, others get an error and a sentence. */
static void test_attach_is_checked_and_answered(void **state)
{
    struct place *place;
    region_id region = {.slot = 1, .generation = 1};
    void *base;
    int fd, uffd;

    (void)state;
    if (!has_userfaultfd()) {
        print_message("SKIP: no userfaultfd can be had here\n");
        skip();
    }
    place = place_new();
    fd = connect_greeted(place);
    assert_int_equal(frames_region_open(place->frames, region, MAP_BYTES, 4096), 0);
    assert_int_equal(frames_map_add(place->frames, 6, 1, region, 0, 2, true), 0);
    uffd = register_mapping(frames_memfd(place->frames, region), &base);
    memset(&place->request, 0, sizeof(place->request));
    place->request.kind = SESSION_ATTACH;
    place->request.number = 5;
    place->request.map = 7;
    place->request.address = (uint64_t)(uintptr_t)base;
    place->request.size_bytes = MAP_BYTES;
    place->request.backend = SESSION_USERFAULTFD;
    send_request(place, fd, uffd);
    read_reply(place, fd);
    assert_int_equal(place->reply.reply.error, DSM_EINVAL);
    assert_true(place->reply.text_bytes > 0);
    place->request.map = 6;
    send_request(place, fd, fd);
    read_reply(place, fd);
    assert_int_equal(place->reply.reply.error, DSM_ESYS);
    assert_true(place->reply.text_bytes > 0);
    send_request(place, fd, uffd);
    read_reply(place, fd);
    assert_int_equal(place->reply.reply.error, 0);
    frames_fill(place->frames, region, 0, 2, 6, true, NULL);
    *(volatile uint64_t *)base = 12;
    frames_map_gone(place->frames, 6);
    send_request(place, fd, -1);
    read_reply(place, fd);
    assert_int_equal(place->reply.reply.error, DSM_EPROTO);
    assert_disconnected(place, fd);
    munmap(base, MAP_BYTES);
    close(uffd);
    close(fd);
    place_free(place);
}

/* What is attached is one line of the log, in which a program's words cannot make another. */
static void test_attached_back_end_is_told(void **state)
{
    region_id region = {.slot = 1, .generation = 1};
    struct place *place = place_new();
    int fd = connect_greeted(place), ends[2];
    struct hush hush;

    (void)state;
    assert_int_equal(frames_region_open(place->frames, region, MAP_BYTES, 4096), 0);
    assert_int_equal(frames_map_add(place->frames, 6, 1, region, 0, 2, true), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    memset(&place->request, 0, sizeof(place->request));
    place->request.kind = SESSION_ATTACH;
    place->request.map = 6;
    place->request.address = 1 << 20;
    place->request.size_bytes = MAP_BYTES;
    place->request.backend = SESSION_SIGSEGV;
    snprintf(place->request.why, sizeof(place->request.why), "no \"device\"\nagent ends");
    hush_open(&hush);
    hush_begin(&hush);
    send_request(place, fd, ends[1]);
    read_reply(place, fd);
    hush_end(&hush);
    assert_int_equal(place->reply.reply.error, 0);
    assert_non_null(strstr(hush.text, "client attached client=1"));
    place->request.kind = SESSION_FOLLOW;
    send_request(place, fd, -1);
    read_reply(place, fd);
    assert_int_equal(place->reply.reply.error, 0);
    assert_int_equal(place->reply.value, 1); /* with a descriptor */
    send_request(place, fd, -1);
    read_reply(place, fd);
    assert_int_equal(place->reply.reply.error, DSM_EINVAL);
    assert_non_null(strstr(place->reply.text, "follows it already"));
    assert_non_null(strstr(hush.text, "backend=sigsegv why=\"no ?device??agent ends\""));
    hush_close(&hush);
    close(ends[0]);
    close(ends[1]);
    close(fd);
    place_free(place);
}

/* One request of a program in a process of its own; its answer is place->reply. */
static void ask(struct place *place, int fd, int passed)
{
    uint8_t *bytes = malloc(SESSION_PACKET_MAX);
    ssize_t len;

    send_request(place, fd, passed);
    len = recv(fd, bytes, SESSION_PACKET_MAX, 0);
    if (len <= 0 || session_reply_unpack(bytes, (size_t)len, &place->reply) != 0) {
        _exit(1);
    }
    free(bytes);
}

/* A program that the agent may not end gets no channel, and is told so. */
static void test_program_that_cannot_be_ended_gets_no_channel(void **state)
{
    region_id region = {.slot = 1, .generation = 1};
    struct place *place;
    int status = 0;
    pid_t program;

    (void)state;
    if (getuid() != 0) {
        print_message("SKIP: only root can become another user\n");
        skip();
    }
    place = place_new();
    assert_int_equal(frames_region_open(place->frames, region, MAP_BYTES, 4096), 0);
    assert_int_equal(frames_map_add(place->frames, 6, 1, region, 0, 2, true), 0);
    program = fork();
    if (program == 0) {
        int fd = connect_to(place->path), ends[2];

        place->request.kind = SESSION_HELLO;
        place->request.version = SESSION_VERSION;
        ask(place, fd, -1);
        place->request.kind = SESSION_ATTACH;
        place->request.map = 6;
        place->request.size_bytes = MAP_BYTES;
        place->request.backend = SESSION_SIGSEGV;
        ask(place, fd, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0 ? ends[1] : -1);
        _exit(place->reply.reply.error == DSM_EPERM &&
                      strstr(place->reply.text, "may not end this one") != NULL
                  ? 0
                  : 2);
    }
    assert_int_equal(setresuid(65534, 65534, 0), 0);
    wait_count(place, &place->count_gone, 1);
    assert_int_equal(setresuid(0, 0, 0), 0);
    assert_int_equal(waitpid(program, &status, 0), program);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    place_free(place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attach_is_checked_and_answered),
        cmocka_unit_test(test_attached_back_end_is_told),
        cmocka_unit_test(test_program_that_cannot_be_ended_gets_no_channel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
