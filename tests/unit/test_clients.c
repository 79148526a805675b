/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's side of the session protocol, over real sockets. */
#include <fcntl.h>
#include <grp.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/packet.h"
#include "clients_place.h"
#include "dsm.h"
#include "probe.h"

/* HELLO is answered with the node's name and a descriptor from which a userfaultfd can be made. */
static void test_hello_gives_name_and_device(void **state)
{
    struct place *place = place_new();
    int fd = connect_to(place->path), device, uffd;
    struct stat status;

    (void)state;
    place->request.kind = SESSION_HELLO;
    place->request.version = SESSION_VERSION;
    place->request.number = 17;
    send_request(place, fd, -1);
    device = read_reply(place, fd);
    assert_int_equal(place->reply.number, 17);
    assert_int_equal(place->reply.reply.error, 0);
    assert_string_equal(place->reply.text, "alpha");
    assert_int_equal(clients_count(place->clients), 1);
    if (access("/dev/userfaultfd", R_OK | W_OK) == 0) {
        assert_int_equal(place->reply.value, 1);
        uffd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC);
        assert_int_equal(uffd >= 0, has_userfaultfd());
        close(uffd);
        close(device);
    } else {
        assert_int_equal(place->reply.value, 0);
        assert_int_equal(device, -1);
    }
    assert_int_equal(stat(place->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0666);
    close(fd);
    place_free(place);
}

/* Another version is told which versions there are; it is not let in. */
static void test_hello_of_other_version_is_refused(void **state)
{
    struct place *place = place_new();
    int fd = connect_to(place->path);

    (void)state;
    place->request.kind = SESSION_HELLO;
    place->request.version = SESSION_VERSION + 1;
    place->request.number = 2;
    send_request(place, fd, -1);
    assert_int_equal(read_reply(place, fd), -1);
    assert_int_equal(place->reply.reply.error, DSM_EVERSION);
    assert_non_null(strstr(place->reply.text, "alpha"));
    place->request.kind = SESSION_STATS;
    send_request(place, fd, -1);
    assert_int_equal(read_reply(place, fd), -1);
    assert_int_equal(place->reply.reply.error, DSM_EPROTO);
    assert_disconnected(place, fd);
    assert_int_equal(place->count_admins, 0);
    close(fd);
    place_free(place);
}

/* A call arrives with the identity that the kernel vouches for, and its reply goes back. */
static void test_call_carries_the_kernels_credential(void **state)
{
    struct place *place = place_new();
    int fd = connect_greeted(place);
    gid_t groups[CREDENTIAL_GROUPS_MAX];
    int count_groups = getgroups(CREDENTIAL_GROUPS_MAX, groups);

    (void)state;
    memset(&place->request, 0, sizeof(place->request));
    place->request.kind = SESSION_CALL;
    place->request.number = 99;
    place->request.call.kind = CALL_UNLINK;
    place->request.call.object = RECORD_REGION;
    snprintf(place->request.call.name, sizeof(place->request.call.name), "/name");
    send_request(place, fd, -1);
    read_reply(place, fd);
    assert_int_equal(place->reply.number, 99);
    assert_int_equal(place->reply.text_bytes, SESSION_TEXT_MAX - 1);
    assert_int_equal(place->count_calls, 1);
    assert_int_equal(place->number, 99);
    assert_int_equal(place->call.kind, CALL_UNLINK);
    assert_string_equal(place->call.name, "/name");
    assert_int_equal(place->credential.uid, getuid());
    assert_int_equal(place->credential.gid, getgid());
    assert_int_equal(place->credential.count_groups, count_groups);
    for (int at = 0; at < count_groups; at++) {
        assert_int_equal(place->credential.groups[at], groups[at]);
    }
    close(fd);
    wait_count(place, &place->count_gone, 1);
    assert_int_equal(place->gone, place->client);
    assert_int_equal(clients_count(place->clients), 0);
    clients_reply(place->clients, place->client, &place->reply, -1); /* Dropped. */
    place_free(place);
}

/* Of a user with very many groups the first ones count; the kernel tells them. */
static void test_call_carries_the_groups(void **state)
{
    struct place *place;
    gid_t groups[CREDENTIAL_GROUPS_MAX + 8], before[1024];
    int count_before = getgroups(1024, before), fd;
    socklen_t len = 0;

    (void)state;
    for (uint32_t at = 0; at < CREDENTIAL_GROUPS_MAX + 8; at++) {
        groups[at] = 7000 + at;
    }
    if (count_before < 0 || setgroups(CREDENTIAL_GROUPS_MAX + 8, groups) != 0) {
        print_message("SKIP: this user may not change its groups\n");
        skip();
    }
    place = place_new();
    fd = connect_greeted(place);
    assert_int_equal(setgroups((size_t)count_before, before), 0);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) != 0 && len == 0) {
        print_message("SKIP: this kernel, or emulator, does not tell the groups of a peer\n");
        close(fd);
        place_free(place);
        skip();
    }
    memset(&place->request, 0, sizeof(place->request));
    place->request.kind = SESSION_STATS;
    send_request(place, fd, -1);
    wait_count(place, &place->count_admins, 1);
    assert_int_equal(place->credential.count_groups, CREDENTIAL_GROUPS_MAX);
    for (uint32_t at = 0; at < CREDENTIAL_GROUPS_MAX; at++) {
        assert_int_equal(place->credential.groups[at], 7000 + at);
    }
    close(fd);
    place_free(place);
}

/* STATS comes without a topic, ADMIN with topic and cursor; a reply may come later, with a
 * descriptor. */
static void test_admin_request_is_answered_later(void **state)
{
    struct place *place = place_new();
    int fd = connect_greeted(place), passed;
    char byte = 'b';
    int ends[2];

    (void)state;
    memset(&place->request, 0, sizeof(place->request));
    place->request.kind = SESSION_STATS;
    place->request.number = 3;
    send_request(place, fd, -1);
    wait_count(place, &place->count_admins, 1);
    assert_false(place->has_topic);
    place->request.kind = SESSION_ADMIN;
    place->request.number = 4;
    place->request.cursor = 8;
    snprintf(place->request.topic, sizeof(place->request.topic), "region /a");
    send_request(place, fd, -1);
    wait_count(place, &place->count_admins, 2);
    assert_true(place->has_topic);
    assert_string_equal(place->topic, "region /a");
    assert_int_equal(place->cursor, 8);
    assert_int_equal(place->credential.uid, getuid());

    assert_int_equal(pipe(ends), 0);
    memset(&place->reply, 0, sizeof(place->reply));
    place->reply.number = 4;
    clients_reply(place->clients, place->client, &place->reply, ends[0]);
    close(ends[0]);
    passed = read_reply(place, fd);
    assert_int_equal(place->reply.number, 4);
    assert_int_equal(write(ends[1], &byte, 1), 1);
    byte = 0;
    assert_int_equal(read(passed, &byte, 1), 1);
    assert_int_equal(byte, 'b');
    close(passed);
    close(ends[1]);
    close(fd);
    place_free(place);
}

/* Nonsense disconnects who sent it, with a reason, and nobody else. */
static void test_nonsense_disconnects_only_its_sender(void **state)
{
    static const uint8_t nonsense[] = {0x93, 0x01, 0xff};
    struct place *place = place_new();
    int good = connect_greeted(place), bad = connect_greeted(place);
    uint8_t *large = calloc(1, SESSION_PACKET_MAX + 1);

    (void)state;
    assert_int_equal(packet_send(bad, nonsense, sizeof(nonsense), good), 0); /* A gift as well. */
    read_reply(place, bad);
    assert_int_equal(place->reply.reply.error, DSM_EPROTO);
    assert_true(place->reply.text_bytes > 0);
    assert_disconnected(place, bad);
    wait_count(place, &place->count_gone, 1);
    close(bad);

    bad = connect_greeted(place);
    assert_non_null(large);
    assert_int_equal(packet_send(bad, large, SESSION_PACKET_MAX + 1, -1), 0);
    assert_disconnected(place, bad);
    wait_count(place, &place->count_gone, 2);
    close(bad);
    free(large);

    memset(&place->request, 0, sizeof(place->request));
    place->request.kind = SESSION_STATS;
    send_request(place, good, -1);
    wait_count(place, &place->count_admins, 1);
    assert_int_equal(clients_count(place->clients), 1);
    assert_int_equal(place->count_gone, 2);
    close(good);
    wait_count(place, &place->count_gone, 3);
    place_free(place);
}

/* A socket file left by an agent that was killed is replaced; one that is in use is not. */
static void test_stale_socket_is_replaced_and_busy_one_refused(void **state)
{
    struct place *place = place_new();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct clients *second = NULL;
    char text[TEXT_BYTES_MAX];
    int fd;

    (void)state;
    assert_int_equal(clients_start(place, &second, text), DSM_EBUSY);
    assert_non_null(strstr(text, place->path));
    assert_null(second);
    clients_free(place->clients);
    uv_run(&place->loop, UV_RUN_NOWAIT);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", place->path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(clients_start(place, &place->clients, text),
                     DSM_EBUSY); /* No lock, but alive. */
    assert_non_null(strstr(text, place->path));
    close(fd);
    assert_int_equal(access(place->path, F_OK), 0);
    assert_int_equal(clients_start(place, &place->clients, text), 0);
    close(connect_greeted(place));
    place_free(place);
}

/* What is no socket is never removed, and a path that cannot be is named. */
static void test_unusable_path_is_refused_by_name(void **state)
{
    struct place *place = place_new();
    char text[TEXT_BYTES_MAX], good[sizeof(place->path)];
    struct clients *second = NULL;
    int fd;

    (void)state;
    clients_free(place->clients);
    place->clients = NULL;
    uv_run(&place->loop, UV_RUN_NOWAIT);
    fd = open(place->path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    close(fd);
    assert_int_equal(clients_start(place, &second, text), DSM_ESYS);
    assert_non_null(strstr(text, place->path));
    assert_int_equal(unlink(place->path), 0);
    memcpy(good, place->path, sizeof(good));
    snprintf(place->path, sizeof(place->path), "/proc/none/agent.sock");
    assert_int_equal(clients_start(place, &second, text), DSM_ESYS);
    assert_non_null(strstr(text, "/proc/none"));
    memcpy(place->path, good, sizeof(good));
    place_free(place);
}

/* A program that never reads is waited for up to a bound, in order, and then disconnected. */
static void test_slow_reader_gets_all_then_endless_one_is_cut(void **state)
{
    struct place *place = place_new();
    int fd = connect_greeted(place);

    (void)state;
    memset(&place->request, 0, sizeof(place->request));
    place->request.kind = SESSION_CALL;
    place->request.number = 1;
    place->request.call.kind = CALL_STAT;
    place->replies = 100; /* 3.2 MB: far beyond what the socket holds. */
    send_request(place, fd, -1);
    wait_count(place, &place->count_calls, 1);
    for (uint32_t count = 0; count < 100; count++) {
        read_reply(place, fd);
        assert_int_equal(place->reply.value, count);
    }
    assert_int_equal(place->count_gone, 0);
    place->replies = 200; /* Beyond the bound. */
    send_request(place, fd, -1);
    wait_count(place, &place->count_gone, 1);
    assert_disconnected(place, fd);
    close(fd);
    place_free(place);
}

/* Everything may be freed from inside a program's own request. */
static void test_clients_may_be_freed_inside_a_call(void **state)
{
    struct place *place = place_new();
    int fd = connect_greeted(place);

    (void)state;
    memset(&place->request, 0, sizeof(place->request));
    place->request.kind = SESSION_CALL;
    place->request.call.kind = CALL_STAT;
    place->replies = 0;
    send_request(place, fd, -1);
    send_request(place, fd, -1);
    wait_count(place, &place->count_calls, 1);
    assert_disconnected(place, fd);
    assert_int_equal(place->count_calls, 1);
    assert_int_equal(place->count_gone, 0); /* Who frees knows. */
    close(fd);
    place_free(place);
}

/* A program that dies is gone even while a child that it forked holds its socket open. */
static void test_program_is_gone_though_its_child_lives(void **state)
{
    struct place *place = place_new();
    int alive[2], child_pid[2];
    pid_t program, child = 0;
    char byte = 0;

    (void)state;
    assert_int_equal(pipe(alive), 0);
    assert_int_equal(pipe(child_pid), 0);
    program = fork();
    if (program == 0) {
        int fd = connect_to(place->path);

        child = fork();
        if (child == 0) {
            close(alive[1]);
            (void)!read(alive[0], &byte, 1); /* holds fd until the test ends */
            _exit(fd < 0);
        }
        (void)!write(child_pid[1], &child, sizeof(child));
        close(alive[1]);
        (void)!read(alive[0], &byte, 1);
        _exit(0);
    }
    assert_int_equal(read(child_pid[0], &child, sizeof(child)), sizeof(child));
    while (clients_count(place->clients) == 0) {
        uv_run(&place->loop, UV_RUN_ONCE);
    }
    assert_int_equal(kill(program, SIGKILL), 0);
    assert_int_equal(waitpid(program, NULL, 0), program);
    wait_count(place, &place->count_gone, 1);
    assert_int_equal(kill(child, 0), 0); /* it is still there */
    close(alive[0]);
    close(alive[1]);
    close(child_pid[0]);
    close(child_pid[1]);
    place_free(place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_gives_name_and_device),
        cmocka_unit_test(test_hello_of_other_version_is_refused),
        cmocka_unit_test(test_call_carries_the_kernels_credential),
        cmocka_unit_test(test_call_carries_the_groups),
        cmocka_unit_test(test_admin_request_is_answered_later),
        cmocka_unit_test(test_nonsense_disconnects_only_its_sender),
        cmocka_unit_test(test_stale_socket_is_replaced_and_busy_one_refused),
        cmocka_unit_test(test_unusable_path_is_refused_by_name),
        cmocka_unit_test(test_slow_reader_gets_all_then_endless_one_is_cut),
        cmocka_unit_test(test_clients_may_be_freed_inside_a_call),
        cmocka_unit_test(test_program_is_gone_though_its_child_lives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
