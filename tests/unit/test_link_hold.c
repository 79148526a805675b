/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that are held on a link until others go with them: nothing is lost, turned or left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dsm.h"
#include "tests/unit/link_pair.h"

#define RECORD_BYTES 16384u

static void data_hold(struct link *link, uint64_t page, const uint8_t *payload, size_t len_bytes)
{
    const struct message message = {.kind = MESSAGE_DATA, .page = page};
    struct buffer head = {0};

    message_pack(&message, &head);
    assert_int_equal(link_hold(link, buffer_data(&head), buffer_len(&head), payload, len_bytes), 0);
    buffer_close(&head);
}

/** The next frame is a DATA head of this page with this payload. */
static void data_expect(struct link *link, uint64_t page, const uint8_t *payload, size_t len_bytes)
{
    struct message message;
    struct frame frame;

    assert_int_equal(link_next(link, &frame), 1);
    assert_int_equal(message_unpack(frame.head, frame.head_bytes, &message), 0);
    assert_int_equal(message.page, page);
    assert_int_equal(frame.payload_bytes, len_bytes);
    assert_memory_equal(frame.payload, payload, len_bytes);
}

static uint8_t *pattern(size_t len_bytes)
{
    uint8_t *bytes = malloc(len_bytes);

    assert_non_null(bytes);
    for (size_t i = 0; i < len_bytes; i++) {
        bytes[i] = (uint8_t)(i * 31 + (i >> 8));
    }
    return bytes;
}

static void test_held_frames_leave_together(void **state)
{
    struct pair pair;
    uint8_t *payload = pattern(4096);
    const uint8_t *bytes;

    pair_new(*state, &pair);
    for (uint64_t page = 0; page < 4; page++) {
        data_hold(pair.client, page, payload, page);
    }
    assert_int_equal(link_output(pair.client, &bytes), 0);
    data_hold(pair.client, 4, payload, 4096);
    assert_int_equal(link_seal(pair.client), 0);
    assert_int_equal(link_seal(pair.client), 0); /* nothing more to do */
    assert_int_equal(link_count_records(pair.client), 1);
    pair_settle(&pair, 1 << 20);
    for (uint64_t page = 0; page < 4; page++) {
        data_expect(pair.server, page, payload, page);
    }
    data_expect(pair.server, 4, payload, 4096);
    pair_free(&pair);
    free(payload);
}

/** A record that is full leaves at once; of what is long no byte waits for company but the rest. */
static void test_full_records_leave_at_once(void **state)
{
    struct pair pair;
    uint8_t *payload = pattern(6 * RECORD_BYTES);

    pair_new(*state, &pair);
    data_hold(pair.client, 5, payload, 6 * RECORD_BYTES);
    assert_int_equal(link_count_records(pair.client), 6);
    data_hold(pair.client, 6, payload, RECORD_BYTES);
    assert_int_equal(link_count_records(pair.client), 7);
    data_hold(pair.client, 7, payload, 1);
    assert_int_equal(link_count_records(pair.client), 7);
    assert_int_equal(link_seal(pair.client), 0);
    assert_int_equal(link_count_records(pair.client), 8);
    pair_settle(&pair, 1000);
    data_expect(pair.server, 5, payload, 6 * RECORD_BYTES);
    data_expect(pair.server, 6, payload, RECORD_BYTES);
    data_expect(pair.server, 7, payload, 1);
    pair_free(&pair);
    free(payload);
}

static void test_frame_that_is_refused_is_not_held(void **state)
{
    struct pair pair;
    uint8_t head[HEAD_BYTES_MAX + 1] = {0};

    pair_new(*state, &pair);
    assert_int_equal(link_hold(pair.client, head, sizeof(head), NULL, 0), DSM_EINVAL);
    assert_int_equal(link_hold(pair.client, head, 0, NULL, 0), DSM_EINVAL);
    assert_int_equal(link_seal(pair.client), 0);
    assert_int_equal(link_count_records(pair.client), 0);
    pair_free(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held_frames_leave_together),
        cmocka_unit_test(test_full_records_leave_at_once),
        cmocka_unit_test(test_frame_that_is_refused_is_not_held),
    };

    return cmocka_run_group_tests(tests, place_set_up, place_tear_down);
}
