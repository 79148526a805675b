/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that lies: any message that the codec admits, with any values, from any member, at any
 * time. Nothing of it may trip an assertion, reach outside an array or make memory grow without
 * bound. DSM_SEED=n replays one seed; DSM_SEEDS=n runs so many.
 */
#include "tests/sim/solo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT_SEEDS 60u
#define STEPS 3000u
#define SELF 0u
#define NODES 4u
#define PAGES 700u
/* A core that is told lies all the time needs no more than its tables do. */
#define CORE_BYTES_MAX (UINT64_C(8) << 20)

struct hostile {
    struct solo *solo;
    struct record records[4];
    map_id maps[4];
    uint64_t handles[4];
    uint64_t state;
    uint32_t epoch;
    uint64_t version;
    struct message heard[64]; /* what the core has said, to answer with the right numbers */
    uint32_t count_heard;
};

static uint64_t draw(struct hostile *hostile, uint64_t below)
{
    uint64_t z;

    hostile->state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 (Steele et al. 2014) */
    z = hostile->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

static uint64_t draw_number(struct hostile *hostile, uint64_t max)
{
    static const uint64_t edges[] = {0, 1, 2, 63, 64, 255, 256, 257, 4095, 4096, UINT32_MAX};

    switch (draw(hostile, 4)) {
    case 0:
        return draw(hostile, 8) % (max + (max != UINT64_MAX));
    case 1:
        return max - draw(hostile, 3) % (max < 3 ? 1 : 3);
    default:
        return edges[draw(hostile, 11)] <= max ? edges[draw(hostile, 4)] % (max < 63 ? max + 1 : 64)
                                               : draw(hostile, max);
    }
}

/* What an honest peer might answer to something that the core has said. */
static struct message answer(struct hostile *hostile, struct message said)
{
    static const uint8_t answers[MESSAGE_KINDS][3] = {
        [MESSAGE_READ] = {MESSAGE_DATA, MESSAGE_GRANT, MESSAGE_LOST},
        [MESSAGE_WRITE] = {MESSAGE_DATA, MESSAGE_GRANT, MESSAGE_DATA},
        [MESSAGE_FORWARD] = {MESSAGE_NOT_HERE, MESSAGE_NOT_HERE, MESSAGE_CONFIRM},
        [MESSAGE_DATA] = {MESSAGE_CONFIRM, MESSAGE_CONFIRM, MESSAGE_NOT_HERE},
        [MESSAGE_GRANT] = {MESSAGE_CONFIRM, MESSAGE_CONFIRM, MESSAGE_NOT_HERE},
        [MESSAGE_INVALIDATE] = {MESSAGE_INVALIDATED, MESSAGE_INVALIDATED, MESSAGE_CONFIRM},
        [MESSAGE_CONFIRM] = {MESSAGE_FORWARD, MESSAGE_INVALIDATE, MESSAGE_RELEASE},
        [MESSAGE_LEAVE] = {MESSAGE_TAKE, MESSAGE_RELEASE, MESSAGE_TAKE},
        [MESSAGE_TAKE] = {MESSAGE_DATA, MESSAGE_DATA, MESSAGE_NOT_HERE},
        [MESSAGE_SYNC] = {MESSAGE_SYNC_REPLY, MESSAGE_SYNC_REPLY, MESSAGE_SYNC_REPLY},
        [MESSAGE_SYNC_REPLY] = {MESSAGE_SYNC_ACK, MESSAGE_SYNC, MESSAGE_SYNC},
        [MESSAGE_ADOPT] = {MESSAGE_CONFIRM, MESSAGE_NOT_HERE, MESSAGE_NOT_HERE},
        [MESSAGE_ASK] = {MESSAGE_CONFIRM, MESSAGE_NOT_HERE, MESSAGE_NOT_HERE},
        [MESSAGE_PULL] = {MESSAGE_DATA, MESSAGE_SEAT, MESSAGE_SEAT},
        [MESSAGE_SEAT] = {MESSAGE_PULL, MESSAGE_PULL, MESSAGE_DATA},
        [MESSAGE_SEAL] = {MESSAGE_SEALED, MESSAGE_SEALED, MESSAGE_PULL},
    };
    static const uint8_t flags[] = {0, FLAG_GRANT, FLAG_ZERO, FLAG_COPY, FLAG_WRITE};
    uint32_t kind = said.kind;

    said.kind = answers[kind][draw(hostile, 3)];
    said.from = said.to;
    said.flags = kind == MESSAGE_TAKE    ? FLAG_LEAVE
                 : kind == MESSAGE_ADOPT ? FLAG_ADOPT
                                         : flags[draw(hostile, 5)];
    if (kind == MESSAGE_READ || kind == MESSAGE_WRITE || kind == MESSAGE_CONFIRM) {
        said.version = ++hostile->version;
        said.granted = said.count;
    }
    if (kind == MESSAGE_CONFIRM) {
        said.requester = (uint16_t)draw(hostile, NODES);
        said.request = (1 + draw(hostile, 300)) * NODES_MAX + said.from;
    }
    return said;
}

/* Mostly plausible, in every member possibly not. */
static struct message lie(struct hostile *hostile)
{
    struct message message = {.kind = MESSAGE_NONE};
    const struct record *record = &hostile->records[draw(hostile, 4)];

    if (hostile->count_heard > 0 && draw(hostile, 3) != 0) {
        message = answer(hostile, hostile->heard[draw(hostile, hostile->count_heard)]);
        if (message.kind != MESSAGE_NONE) {
            message.to = SELF;
            message.epoch = hostile->epoch;
            message.op = (uint8_t)draw(hostile, SYNC_OP_COUNT);
            return message;
        }
    } else if (hostile->count_heard > 0 && draw(hostile, 2) != 0) {
        message = hostile->heard[draw(hostile, hostile->count_heard)];
    } else {
        message.region = record->id;
        message.page = draw(hostile, PAGES);
        message.count = (uint16_t)(1 + draw(hostile, RANGE_PAGES_MAX));
        message.granted = message.count;
        message.request = (1 + draw(hostile, 300)) * NODES_MAX + SELF;
        message.floor = message.request / NODES_MAX - draw(hostile, 2);
        message.version = draw(hostile, 1000);
    }
    message.kind = (uint8_t)(1 + draw(hostile, MESSAGE_KINDS - 1));
    message.from = (uint16_t)(1 + draw(hostile, NODES - 1));
    message.to = SELF;
    message.epoch = draw(hostile, 50) ? hostile->epoch : (uint32_t)draw(hostile, 5);
    message.op = (uint8_t)draw(hostile, SYNC_OP_COUNT + 1);
    message.offset = message.page * 4096;
    for (uint32_t i = 0; i < draw(hostile, 3); i++) {
        switch (draw(hostile, 14)) {
#define LIE(bit, name, member, type, max)                                                          \
    case (bit) % 14:                                                                               \
        if (FIELD_##name != FIELD_epoch || draw(hostile, 20) == 0) {                               \
            message.member = (__typeof__(message.member))draw_number(hostile, max);                \
        }                                                                                          \
        break;
        LIE(0, flags, flags, u, 0xff)
        LIE(2, request, request, u, UINT64_MAX)
        LIE(3, floor, floor, u, UINT64_MAX)
        LIE(4, slot, region.slot, u, UINT32_MAX)
        LIE(5, generation, region.generation, u, UINT32_MAX)
        LIE(6, page, page, u, (UINT64_C(1) << 52) - 1)
        LIE(7, count, count, u, RANGE_PAGES_MAX)
        LIE(8, granted, granted, u, RANGE_PAGES_MAX)
        LIE(9, version, version, u, UINT64_MAX)
        LIE(10, have, have, u, UINT64_MAX)
        LIE(11, requester, requester, u, NODES_MAX - 1)
        LIE(12, op, op, u, 0xff)
        LIE(13, offset, offset, u, UINT64_MAX)
        default:
            message.value = draw_number(hostile, UINT64_MAX);
            message.operand = draw_number(hostile, UINT64_MAX);
            message.error = -(int32_t)draw(hostile, 40);
            break;
#undef LIE
        }
    }
    return message;
}

/* What the core did: numbers to lie about, and atomic operations to be done. */
static void listen_to(struct hostile *hostile)
{
    struct solo *solo = hostile->solo;
    uint32_t count = solo->count;
    struct event done[64];
    uint32_t count_done = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct action *action = &solo->list[i];

        if (action->kind == ACTION_SEND) {
            hostile->heard[hostile->count_heard < 64 ? hostile->count_heard++
                                                     : draw(hostile, 64)] = action->message;
        } else if (action->kind == ACTION_ATOMIC && count_done < 64) {
            done[count_done] = (struct event){.kind = EVENT_ATOMIC_DONE};
            done[count_done].atomic_done.requester = action->message.requester;
            done[count_done++].atomic_done.request = action->message.request;
        }
    }
    solo_forget(solo);
    for (uint32_t i = 0; i < count_done; i++) {
        solo_step(solo, &done[i]);
    }
    solo_forget(solo);
}

static void live(struct hostile *hostile)
{
    struct solo *solo = hostile->solo;
    uint32_t which = (uint32_t)draw(hostile, 3);
    struct call call = {.kind = CALL_SYNC,
                        .handle = hostile->handles[which],
                        .op = (uint8_t)draw(hostile, SYNC_OP_COUNT),
                        .offset = draw(hostile, PAGES) * 4096,
                        .value = draw(hostile, 3),
                        .timeout_ms = (int64_t)draw(hostile, 300) - 1};
    uint32_t node = 1 + (uint32_t)draw(hostile, NODES - 1);

    switch (draw(hostile, 12)) {
    case 0:
        solo_advance(solo, draw(hostile, 300));
        break;
    case 1:
        solo_call(solo, 1, &call);
        break;
    case 2:
        if (draw(hostile, 20) == 0) {
            hostile->epoch++;
            solo_member(solo, node, hostile->epoch, false, hostile->epoch);
            solo_member(solo, node, hostile->epoch + 1000, true, hostile->epoch);
        }
        break;
    default:
        solo_fault(solo, hostile->maps[which], draw(hostile, PAGES), draw(hostile, 2));
        break;
    }
}

static void run(uint64_t seed)
{
    struct node_config config = {.resend_ms = 100, .budget_bytes = seed % 2 ? 20 * 4096 : 0};
    struct hostile *hostile = calloc(1, sizeof(*hostile));

    hostile->state = seed;
    hostile->solo = solo_new(SELF, NODES, &config);
    for (uint32_t i = 0; i < 4; i++) {
        hostile->records[i] = solo_region(5 + i, PAGES, i);
        if (i == 2) {
            hostile->records[i].homes = nodeset_from_word(15);
        } else if (i == 3) {
            hostile->records[i].kind = RECORD_SEM;
            hostile->records[i].page_size = 0;
            hostile->records[i].homes = nodeset_from_word(1);
        }
        solo_record(hostile->solo, &hostile->records[i]);
        if (i < 3) {
            hostile->maps[i] =
                solo_map(hostile->solo, 1, &hostile->records[i], &hostile->handles[i]);
        }
    }
    for (uint32_t i = 0; i < STEPS; i++) {
        struct message message = lie(hostile);
        uint32_t payload = message_kind_has_payload(message.kind) ? message.count : 0;

        solo_message(hostile->solo, &message, draw(hostile, 10) ? payload : 0);
        listen_to(hostile);
        live(hostile);
        listen_to(hostile);
    }
    assert_true(solo_counters(hostile->solo)->core_bytes < CORE_BYTES_MAX);
    solo_free(hostile->solo);
    free(hostile);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void test_lies_of_a_peer_stop_nobody(void **state)
{
    uint64_t first = from_environment("DSM_SEED", 1);
    uint64_t count = getenv("DSM_SEED") != NULL ? 1 : from_environment("DSM_SEEDS", COUNT_SEEDS);

    (void)state;
    print_message("hostile: seeds %llu to %llu; DSM_SEED=n replays one\n",
                  (unsigned long long)first, (unsigned long long)(first + count - 1));
    for (uint64_t seed = first; seed < first + count; seed++) {
        run(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lies_of_a_peer_stop_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
