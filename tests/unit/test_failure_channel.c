/* SPDX-License-Identifier: Apache-2.0 */
/* A program over a channel, and groups of pages, while calls of the agent fail: what the agent
 * takes away is gone when it says so, or the program is. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/frames.h"
#include "agent/process.h"
#include "dsm.h"
#include "net/codec.h"
#include "net/fault_channel.h"
#include "tests/failure/failure.h"
#include "tests/failure/hush.h"
#include "tests/failure/uv_spare.h"

#define PAGE 4096u
#define LARGE 65536u
#define PAGES 4u

static const region_id region = {1, 7};

/* A program: a process that could touch the memory, and a thread that answers for it. */
struct player {
    pid_t pid;
    int process;
    int fd, given;
    pthread_t thread;
    atomic_uchar access[PAGES];
};

static void *play(void *context)
{
    struct player *player = context;
    struct fault_order order;

    failure_exempt(true);
    while (recv(player->fd, &order, sizeof(order), 0) == (ssize_t)sizeof(order)) {
        struct fault_report done = {.word = FAULT_WORD_DONE, .number = order.number};

        for (uint64_t at = 0; at < order.len_bytes / PAGE; at++) {
            if (order.access != FAULT_ACCESS_SAME) {
                player->access[order.offset / PAGE + at] = (uint8_t)order.access;
            }
        }
        (void)!send(player->fd, &done, sizeof(done), MSG_NOSIGNAL);
    }
    return NULL;
}

static void player_start(struct player *player, int memfd)
{
    int ends[2], ready[2];
    char byte;

    memset(player, 0, sizeof(*player));
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(pipe(ready), 0);
    player->fd = ends[0];
    player->given = ends[1];
    player->pid = fork();
    assert_true(player->pid >= 0);
    if (player->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (mmap(NULL, PAGE, PROT_READ, MAP_SHARED, memfd, 0) == MAP_FAILED ||
            write(ready[1], "r", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    player->process = (int)syscall(SYS_pidfd_open, player->pid, 0);
    assert_true(player->process >= 0);
    assert_int_equal(pthread_create(&player->thread, NULL, play, player), 0);
}

static void player_end(struct player *player)
{
    shutdown(player->fd, SHUT_RDWR);
    pthread_join(player->thread, NULL);
    kill(player->pid, SIGKILL);
    waitpid(player->pid, NULL, 0);
    close(player->process);
    close(player->fd);
    close(player->given);
}

static void nothing(void *context, map_id map, uint64_t page, bool write)
{
    (void)context, (void)map, (void)page, (void)write;
}

static int attach(struct frames *frames, const struct player *player, int descriptor)
{
    struct frames_attachment attachment = {
        .backend = SESSION_SIGSEGV,
        .descriptor = descriptor,
        .process = player->process,
        .address = LARGE,
        .len_bytes = PAGES * PAGE,
    };

    return frames_attach(frames, 9, 1, &attachment);
}

/* The access that a program has is what the agent left it, or the program has been ended. */
static void assert_access(const struct player *player, uint32_t page, uint32_t most,
                          const struct hush *hush)
{
    if (player->access[page] > most && !process_has_ended(player->process)) {
        fail_msg("%s fails: page %u has access %u: %s", failure_call(), page, player->access[page],
                 hush->text);
    }
    if (!failure_was_injected()) {
        assert_false(process_has_ended(player->process));
    }
}

/* A mapping that cannot be attached is refused, and can be attached after it. */
static void test_channel_is_attached_or_refused(void **state)
{
    const struct frames_events events = {NULL, nothing};
    struct hush hush;
    uv_loop_t uv;

    (void)state;
    hush_open(&hush);
    assert_int_equal(uv_loop_init(&uv), 0);
    FAILURE_LOOP(loop, FAILURE_MEMORY | FAILURE_DESCRIPTOR) /* libuv aborts when epoll_ctl fails. */
    {
        struct frames *frames = NULL;
        struct player player;
        int spare, error;

        assert_int_equal(frames_new(&uv, PAGE, &events, &frames), 0);
        assert_int_equal(frames_region_open(frames, region, PAGES * PAGE, PAGE), 0);
        assert_int_equal(frames_map_add(frames, 9, 1, region, 0, PAGES, true), 0);
        player_start(&player, frames_memfd(frames, region));
        spare = dup(player.given);
        hush_begin(&hush);
        failure_loop_arm(&loop);
        error = attach(frames, &player, player.given);
        failure_disarm();
        hush_end(&hush);
        if (error != 0) {
            assert_true(failure_was_injected());
            assert_true(error == DSM_ENOMEM || error == DSM_ESYS);
            assert_int_equal(attach(frames, &player, dup(spare)), 0);
        }
        player.given = spare;
        frames_free(frames);
        uv_run(&uv, UV_RUN_DEFAULT);
        player_end(&player);
    }
    assert_int_equal(uv_loop_close(&uv), 0);
    hush_close(&hush);
}

/* Whatever fails, access that was to be taken away is gone, or the program that had it. */
static void test_access_is_gone_or_the_program_is(void **state)
{
    const struct frames_events events = {NULL, nothing};
    uint8_t bytes[PAGES * PAGE];
    struct hush hush;
    uv_loop_t uv;

    (void)state;
    memset(bytes, 5, sizeof(bytes));
    hush_open(&hush);
    assert_int_equal(uv_loop_init(&uv), 0);
    FAILURE_LOOP(loop, FAILURE_MEMORY | FAILURE_DESCRIPTOR | FAILURE_TRANSFER | FAILURE_INTERRUPT |
                           FAILURE_AGAIN)
    {
        struct frames *frames = NULL;
        struct player player;
        int spare;

        assert_int_equal(frames_new(&uv, PAGE, &events, &frames), 0);
        assert_int_equal(frames_region_open(frames, region, sizeof(bytes), PAGE), 0);
        assert_int_equal(frames_map_add(frames, 9, 1, region, 0, PAGES, true), 0);
        player_start(&player, frames_memfd(frames, region));
        spare = dup(player.given);
        assert_int_equal(attach(frames, &player, player.given), 0);
        player.given = spare;
        frames_fill(frames, region, 0, PAGES, 9, true, bytes);
        hush_begin(&hush);
        failure_loop_arm(&loop);
        frames_protect(frames, region, 0, 1);
        frames_drop(frames, region, 1, 1);
        frames_wake(frames, region, 0, 1, 9);
        failure_disarm();
        hush_end(&hush);
        assert_access(&player, 0, FAULT_ACCESS_READ, &hush);
        assert_access(&player, 1, FAULT_ACCESS_NONE, &hush);
        frames_free(frames);
        uv_run(&uv, UV_RUN_DEFAULT);
        player_end(&player);
    }
    assert_int_equal(uv_loop_close(&uv), 0);
    hush_close(&hush);
}

/* A group whose pages cannot be stored ends the agent; nothing is served in their place. */
static void test_group_without_memory_ends_the_agent(void **state)
{
    const struct frames_events events = {NULL, nothing};
    static uint8_t bytes[LARGE];
    uint32_t ended = 0, status_of_none = 1;

    (void)state;
    for (uint32_t n = 0; n < 4; n++) {
        int status = 0;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            struct frames *frames = NULL;
            uint8_t read[PAGE];
            uv_loop_t uv;
            int null = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", 1 /* O_WRONLY */, 0);

            dup2(null, 2);
            if (uv_loop_init(&uv) != 0 || frames_new(&uv, LARGE, &events, &frames) != 0 ||
                frames_region_open(frames, region, LARGE, PAGE) != 0) {
                _exit(2);
            }
            failure_arm(FAILURE_MEMORY, n);
            frames_fill(frames, region, 0, LARGE / PAGE, 0, false, bytes);
            frames_gather(frames, region, 0, LARGE / PAGE, 0, false);
            frames_scatter(frames, region, 0, LARGE / PAGE);
            failure_disarm();
            _exit(frames_read(frames, region, 0, 1, read) != 0 || failure_was_injected() ? 3 : 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        ended += WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
        status_of_none = WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : status_of_none;
    }
    assert_int_equal(ended, 2); /* The fill and the scatter. */
    assert_int_equal(status_of_none, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel_is_attached_or_refused),
        cmocka_unit_test(test_access_is_gone_or_the_program_is),
        cmocka_unit_test(test_group_without_memory_ends_the_agent),
    };

    if (uv_spare_memory() != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
