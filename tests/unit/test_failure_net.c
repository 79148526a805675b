/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever call fails under net: the error is the documented one, no byte is damaged, nothing is
 * left behind. */
#include "tests/unit/link_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dsm.h"
#include "tests/failure/failure.h"

/** What is held stays, and a cleared buffer works again. */
static void test_buffer_that_found_no_memory_keeps_its_bytes(void **state)
{
    uint8_t bytes[5000];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    FAILURE_LOOP(loop, FAILURE_MEMORY)
    {
        struct buffer buffer = {0};
        size_t appended = 0;
        bool failed;

        failure_loop_arm(&loop);
        for (size_t at = 0; at < sizeof(bytes); at += 100) {
            buffer_append(&buffer, bytes + at, 100);
            appended += buffer.failed ? 0 : 100;
        }
        failure_disarm();
        failed = buffer.failed;
        assert_true(failed == failure_was_injected());
        assert_int_equal(buffer_len(&buffer), appended);
        assert_memory_equal(appended ? buffer_data(&buffer) : bytes, bytes, appended);
        buffer_clear(&buffer);
        assert_non_null(buffer_reserve(&buffer, sizeof(bytes)));
        buffer_close(&buffer);
    }
}

/** One kind of head. */
struct head {
    union {
        struct message message;
        struct wire wire;
        struct session_request request;
        struct session_reply reply;
        struct record record;
    };
    uint32_t kind; /* 0: a record */
};

static void head_pack(const struct head *head, struct buffer *buffer)
{
    if (head->kind == 0) {
        record_pack(&head->record, buffer);
    } else if (head->kind < WIRE_HELLO) {
        message_pack(&head->message, buffer);
    } else if (head->kind < WIRE_KINDS) {
        wire_pack(&head->wire, buffer);
    } else if (head->kind == SESSION_REPLY) {
        session_reply_pack(&head->reply, buffer);
    } else {
        session_request_pack(&head->request, buffer);
    }
}

static int head_unpack(uint32_t kind, const uint8_t *bytes, size_t len_bytes, struct head *head)
{
    return kind == 0               ? record_unpack(bytes, len_bytes, &head->record)
           : kind < WIRE_HELLO     ? message_unpack(bytes, len_bytes, &head->message)
           : kind < WIRE_KINDS     ? wire_unpack(bytes, len_bytes, &head->wire)
           : kind == SESSION_REPLY ? session_reply_unpack(bytes, len_bytes, &head->reply)
                                   : session_request_unpack(bytes, len_bytes, &head->request);
}

/** Every number small, every text as long as it may be. */
static void head_fill(struct head *head, uint32_t kind)
{
    memset(head, 1, sizeof(*head));
    head->kind = kind;
    if (kind == SESSION_REPLY) {
        head->reply.text[SESSION_TEXT_MAX - 1] = 0;
    } else if (kind >= SESSION_HELLO) {
        head->request.kind = kind;
    } else if (kind >= WIRE_HELLO) {
        head->wire.kind = kind;
    } else if (kind > 0) {
        head->message.kind = (uint8_t)kind;
    }
}

static bool kind_exists(uint32_t kind)
{
    return kind == 0 || (kind < WIRE_HELLO && message_kind_fields(kind) != 0) ||
           (kind >= WIRE_HELLO && kind < WIRE_KINDS) ||
           (kind >= SESSION_HELLO && kind < SESSION_KINDS);
}

/** A head that could not be packed says so; the same buffer, cleared, takes it whole. */
static void test_every_kind_of_head_is_packed_whole_or_not(void **state)
{
    struct head *head = malloc(sizeof(*head)), *back = malloc(sizeof(*back));
    uint32_t kinds = 0;

    (void)state;
    assert_non_null(head);
    assert_non_null(back);
    for (uint32_t kind = 0; kind < SESSION_KINDS; kind++) {
        struct buffer whole = {0};

        if (!kind_exists(kind)) {
            continue;
        }
        kinds++;
        head_fill(head, kind);
        head_pack(head, &whole);
        assert_false(whole.failed);
        assert_true(kind < SESSION_HELLO || kind == SESSION_REPLY ||
                    buffer_len(&whole) <= SESSION_REQUEST_MAX);
        FAILURE_LOOP(loop, FAILURE_MEMORY)
        {
            struct buffer buffer = {0};

            failure_loop_arm(&loop);
            head_pack(head, &buffer);
            failure_disarm();
            assert_true(buffer.failed == failure_was_injected());
            buffer_clear(&buffer);
            head_pack(head, &buffer);
            assert_int_equal(buffer_len(&buffer), buffer_len(&whole));
            assert_memory_equal(buffer_data(&buffer), buffer_data(&whole), buffer_len(&whole));
            buffer_close(&buffer);
        }
        /* To read it takes no memory at all, also when it is cut short. */
        failure_arm_lasting(FAILURE_MEMORY, 0);
        for (size_t len_bytes = 0; len_bytes < buffer_len(&whole); len_bytes++) {
            if (head_unpack(kind, buffer_data(&whole), len_bytes, back) == 0) {
                failure_disarm();
                fail_msg("kind %u passes with %zu bytes", kind, len_bytes);
            }
        }
        (void)head_unpack(kind, buffer_data(&whole), buffer_len(&whole), back);
        failure_disarm();
        assert_int_equal(failure_calls(), 0);
        buffer_close(&whole);
    }
    assert_true(kinds > 30);
    free(head);
    free(back);
}

/** Give a reader bytes a few at a time; returns false when it had no room for some, then none. */
static bool feed(struct frame_reader *reader, const uint8_t **bytes, const uint8_t *end,
                 size_t chunk)
{
    while (*bytes < end) {
        size_t len_bytes = (size_t)(end - *bytes) < chunk ? (size_t)(end - *bytes) : chunk;
        uint8_t *room;

        if (frame_reader_room(reader, len_bytes, &room) == 0) {
            return false;
        }
        memcpy(room, *bytes, len_bytes);
        *bytes += len_bytes;
        if (!frame_reader_commit(reader, len_bytes)) {
            return false;
        }
    }
    return true;
}

/** A stream of frames byte by byte: each that arrived before the failure is whole. */
static void test_frames_that_arrived_outlive_the_lack_of_memory(void **state)
{
    enum { FRAMES = 6, PAYLOAD = 3000 };
    struct message message = {.kind = MESSAGE_DATA};
    struct buffer stream = {0}, head = {0};
    static uint8_t payload[PAYLOAD];

    (void)state;
    for (uint64_t i = 0; i < FRAMES; i++) {
        uint8_t header[FRAME_HEADER_BYTES];

        message.page = i;
        buffer_clear(&head);
        message_pack(&message, &head);
        memset(payload, (int)i + 1, PAYLOAD);
        frame_header_write(header, buffer_len(&head), PAYLOAD);
        buffer_append(&stream, header, sizeof(header));
        buffer_append(&stream, buffer_data(&head), buffer_len(&head));
        buffer_append(&stream, payload, PAYLOAD);
    }
    for (size_t chunk = 1; chunk <= 4096; chunk *= 16) {
        FAILURE_LOOP(loop, FAILURE_MEMORY)
        {
            struct frame_reader reader = {0};
            const uint8_t *next = buffer_data(&stream);
            struct frame frame;
            uint64_t count = 0;
            bool is_whole;

            failure_loop_arm(&loop);
            is_whole = feed(&reader, &next, next + buffer_len(&stream), chunk);
            failure_disarm();
            assert_true(is_whole == !failure_was_injected());
            assert_null(reader.refused);
            while (frame_reader_next(&reader, &frame)) {
                assert_int_equal(message_unpack(frame.head, frame.head_bytes, &message), 0);
                assert_int_equal(message.page, count++);
                assert_int_equal(frame.payload_bytes, PAYLOAD);
                assert_int_equal(frame.payload[0], count);
                assert_int_equal(frame.payload[PAYLOAD - 1], count);
            }
            assert_true(count == FRAMES || !is_whole);
            frame_reader_close(&reader);
        }
    }
    buffer_close(&stream);
    buffer_close(&head);
}

/** A head of each kind that travels between agents, with page bytes where it may have some. */
static int send_all(struct link *link, const struct buffer heads[], uint32_t count_heads,
                    const uint8_t *payload, uint32_t *sent)
{
    static const size_t sizes[] = {4096, 1, 40000, 0};
    int error = 0;

    for (uint32_t i = 0; i < count_heads && error == 0; i++) {
        const uint8_t *head = buffer_data(&heads[i]);
        size_t head_bytes = buffer_len(&heads[i]);
        size_t payload_bytes = frame_head_has_payload(head, head_bytes) ? sizes[i % 4] : 0;

        error = link_send(link, head, head_bytes, payload, payload_bytes);
        *sent += error == 0;
    }
    return error;
}

static uint32_t expect_frames(struct link *link, const struct buffer heads[], uint32_t count_heads,
                              const uint8_t *payload)
{
    struct frame frame;
    uint32_t count = 0;

    while (link_next(link, &frame) == 1) {
        assert_true(count < count_heads);
        assert_int_equal(frame.head_bytes, buffer_len(&heads[count]));
        assert_memory_equal(frame.head, buffer_data(&heads[count]), frame.head_bytes);
        if (frame.payload_bytes > 0) {
            assert_memory_equal(frame.payload, payload, frame.payload_bytes);
        }
        count++;
    }
    return count;
}

/** What arrives is what was sent, in order; who lacked memory says so, and the link stays dead. */
static void transfers(struct place *place, size_t chunk)
{
    enum { HEADS_MAX = 128 };
    static struct buffer heads[HEADS_MAX];
    static struct head head;
    static uint8_t payload[40000];
    uint32_t count_heads = 0;

    for (size_t i = 0; i < sizeof(payload); i++) {
        payload[i] = (uint8_t)(i * 31 + (i >> 8));
    }
    for (uint32_t kind = 1; kind < WIRE_KINDS; kind++) {
        if (kind_exists(kind)) {
            head_fill(&head, kind);
            head_pack(&head, &heads[count_heads++]);
        }
    }
    FAILURE_LOOP(loop, FAILURE_MEMORY)
    {
        uint32_t sent[2] = {0}, received;
        struct pair pair;
        int errors[2];

        pair_new(place, &pair);
        failure_loop_arm(&loop);
        errors[0] = send_all(pair.client, heads, count_heads, payload, &sent[0]);
        pair_blame(&pair, pair.client);
        errors[1] = send_all(pair.server, heads, count_heads, payload, &sent[1]);
        pair_blame(&pair, pair.server);
        pair_settle(&pair, chunk);
        failure_disarm();
        assert_int_equal(errors[0], pair.victim == pair.client && errors[0] ? DSM_ENOMEM : 0);
        assert_int_equal(errors[1], pair.victim == pair.server && errors[1] ? DSM_ENOMEM : 0);
        /* After the handshake OpenSSL knows why; its peer at most hears that something failed. */
        assert_true(link_error(pair.client) == 0 || pair.victim != NULL);
        assert_true(pair.victim == NULL || link_error(pair.victim) == 0 ||
                    link_error(pair.victim) == DSM_ENOMEM);
        received = expect_frames(pair.server, heads, count_heads, payload);
        assert_true(link_error(pair.server) || link_error(pair.client) || received == count_heads);
        assert_true(received <= sent[0]);
        received = expect_frames(pair.client, heads, count_heads, payload);
        assert_true(link_error(pair.server) || link_error(pair.client) || received == count_heads);
        assert_true(received <= sent[1]);
        if (errors[0] != 0) {
            assert_int_equal(send_all(pair.client, heads, 1, payload, &sent[0]), DSM_ENOMEM);
        }
        pair_free(&pair);
    }
    for (uint32_t i = 0; i < count_heads; i++) {
        buffer_close(&heads[i]);
    }
}

static void test_frames_arrive_or_the_link_lacks_memory(void **state)
{
    transfers(*state, 1 << 20);
}

static void test_frames_arrive_byte_by_byte_or_the_link_lacks_memory(void **state)
{
    transfers(*state, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffer_that_found_no_memory_keeps_its_bytes),
        cmocka_unit_test(test_every_kind_of_head_is_packed_whole_or_not),
        cmocka_unit_test(test_frames_that_arrived_outlive_the_lack_of_memory),
        cmocka_unit_test(test_frames_arrive_or_the_link_lacks_memory),
        cmocka_unit_test(test_frames_arrive_byte_by_byte_or_the_link_lacks_memory),
    };

    return cmocka_run_group_tests(tests, place_set_up, place_tear_down);
}
