/* SPDX-License-Identifier: Apache-2.0 */
/* Programs and pages while calls of the agent fail: a program is served or hung up on, never left
 * waiting, and pages keep their bytes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "dsm.h"
#include "tests/failure/failure.h"
#include "tests/failure/hush.h"
#include "tests/failure/uv_spare.h"
#include "tests/unit/clients_place.h"

#define TURNS 20
#define PAGE 4096u
#define PAGES 4u

static void send_kind(struct place *place, int fd, uint32_t kind, uint64_t number)
{
    memset(&place->request, 0, sizeof(place->request));
    place->request.kind = kind;
    place->request.number = number;
    place->request.version = SESSION_VERSION;
    send_request(place, fd, -1);
}

static void turn(struct place *place)
{
    for (uint32_t i = 0; i < TURNS; i++) {
        uv_run(&place->loop, UV_RUN_NOWAIT);
    }
}

/** Replies that lie in the socket; *is_over when nothing more can come. */
static uint32_t count_replies(int fd, bool *is_over)
{
    static const size_t room = 1 << 16;
    char *bytes = malloc(room);
    uint32_t count = 0;
    ssize_t len;
    while ((len = recv(fd, bytes, room, MSG_DONTWAIT)) > 0) {
        count++;
    }
    *is_over = len == 0 || errno == ECONNRESET;
    free(bytes);
    return count;
}

static void test_program_is_served_or_hung_up_on(void **state)
{
    struct hush hush;
    (void)state;
    hush_open(&hush);
    FAILURE_LOOP(loop, FAILURE_MEMORY | FAILURE_DESCRIPTOR)
    {
        struct place *place = place_new();
        bool is_over;
        int fd = connect_to(place->path);
        send_kind(place, fd, SESSION_HELLO, 1);
        send_kind(place, fd, SESSION_HELLO, 2);
        hush_begin(&hush);
        failure_loop_arm(&loop);
        turn(place);
        failure_disarm();
        hush_end(&hush);
        uint32_t count = count_replies(fd, &is_over);
        if (count != 2 && !(is_over && failure_was_injected())) {
            fail_msg("%s fails: %u replies, over %d: %s", failure_call(), count, is_over,
                     hush.text);
        }
        if (is_over && strstr(hush.text, "clients:") == NULL) {
            fail_msg("%s fails, and nothing is said", failure_call());
        }
        close(connect_greeted(place)); /* the next one is served as if nothing had been */
        close(fd);
        turn(place);
        place_free(place);
    }
    hush_close(&hush);
}

static void nothing(void *context, map_id map, uint64_t page, bool write)
{
    (void)context, (void)map, (void)page, (void)write;
}

/** Try it, and once more when it failed because it was made to. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        int error_ = (call);                                                                       \
        if (error_ != 0) {                                                                         \
            failure_disarm();                                                                      \
            assert_true(failure_was_injected());                                                   \
            assert_true(error_ == DSM_ENOMEM || error_ == DSM_ESYS);                               \
            assert_int_equal((call), 0);                                                           \
        }                                                                                          \
    } while (0)

static void test_pages_keep_their_bytes(void **state)
{
    static const region_id region = {1, 7};
    const struct frames_events events = {NULL, nothing};
    struct hush hush;
    uint8_t bytes[PAGES * PAGE], read[PAGES * PAGE];
    uv_loop_t uv;
    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 31 + 1);
    }
    hush_open(&hush);
    assert_int_equal(uv_loop_init(&uv), 0);
    FAILURE_LOOP(loop, FAILURE_MEMORY | FAILURE_DESCRIPTOR | FAILURE_MAPPING | FAILURE_CONTROL)
    {
        struct frames *frames = NULL;
        size_t len_bytes = 0;
        hush_begin(&hush);
        failure_loop_arm(&loop);
        TRY(frames_new(&uv, PAGE, &events, &frames));
        TRY(frames_region_open(frames, region, PAGES * PAGE, PAGE));
        frames_fill(frames, region, 0, PAGES, 0, false, bytes);
        TRY(frames_map_add(frames, 9, 1, region, 0, PAGES, true));
        TRY(frames_keep(frames, 3, region, 1, 2));
        TRY(frames_region_open(frames, region, 2 * PAGES * PAGE, PAGE));
        frames_fill(frames, region, PAGES, 1, 0, false, bytes);
        failure_disarm();
        hush_end(&hush);
        assert_int_equal(frames_read(frames, region, 0, PAGES, read), 0);
        assert_memory_equal(read, bytes, sizeof(bytes));
        assert_int_equal(frames_read(frames, region, PAGES, 1, read), 0);
        assert_memory_equal(read, bytes, PAGE);
        assert_memory_equal(frames_kept(frames, 3, &len_bytes), bytes + PAGE, 2 * PAGE);
        assert_int_equal(len_bytes, 2 * PAGE);
        frames_free(frames);
    }
    assert_int_equal(uv_loop_close(&uv), 0);
    hush_close(&hush);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_program_is_served_or_hung_up_on),
        cmocka_unit_test(test_pages_keep_their_bytes),
    };
    if (uv_spare_memory() != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
