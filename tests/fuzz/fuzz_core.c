/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A series of events for one core: hostile members, honest programs, the catalog's news. No
 * assertion of the core may fail, no page may go where the records do not allow it, and memory is
 * bounded by what the tables need.
 */
#include "tests/fuzz/input.h"
#include "tests/sim/solo.h"

#define SELF 0u
#define NODES 4u
#define REGIONS 4u
#define PAGES 600u
#define STEPS_MAX 250u
#define HEARD_MAX 32u
#define CORE_BYTES_MAX (UINT64_C(8) << 20)

struct core {
    struct solo *solo;
    struct record records[REGIONS];
    map_id maps[REGIONS];
    uint64_t handles[REGIONS];
    struct message heard[HEARD_MAX]; /* what the core has said, a ring */
    uint32_t count_heard;
    uint32_t epoch;
};

/** The last region is one that node 3 may not read. */
#define CLOSED (REGIONS - 1)
#define OUTSIDER 3u

static void prepare(struct core *core, uint8_t way)
{
    struct node_config config = {.resend_ms = 100, .budget_bytes = way & 1 ? 20 * 4096 : 0};

    core->solo = solo_new(SELF, NODES, &config);
    for (uint32_t i = 0; i < REGIONS; i++) {
        struct record *record = &core->records[i];

        *record = solo_region(5 + i, PAGES, i % 3);
        if (i == 2) {
            record->homes = nodeset_union(nodeset_of(0), nodeset_of(1));
        } else if (i == CLOSED) {
            record->homes = nodeset_of(SELF);
            record->mode = 0600;
            record->readers = nodeset_minus(record->readers, nodeset_of(OUTSIDER));
            record->writers = nodeset_minus(record->writers, nodeset_of(OUTSIDER));
        }
        solo_record(core->solo, record);
        core->maps[i] = solo_map(core->solo, 1, record, &core->handles[i]);
    }
}

/* What it did: page bytes go only where somebody may read; atomic operations are carried out. */
static void listen_to(struct core *core)
{
    struct solo *solo = core->solo;
    struct event done[16];
    uint32_t count_done = 0;

    for (uint32_t i = 0; i < solo->count; i++) {
        const struct action *action = &solo->list[i];

        if (action->kind == ACTION_SEND) {
            const struct message *message = &action->message;

            require(message->to != SELF && message->to < NODES_MAX);
            /* Who had the right when it asked is served, however often it repeats the question. */
            require(action->source == BYTES_NONE || message->to != OUTSIDER ||
                    !region_id_equal(message->region, core->records[CLOSED].id));
            core->heard[core->count_heard++ % HEARD_MAX] = *message;
        } else if (action->kind == ACTION_ATOMIC && count_done < 16) {
            done[count_done] = (struct event){.kind = EVENT_ATOMIC_DONE};
            done[count_done].atomic_done.requester = action->message.requester;
            done[count_done++].atomic_done.request = action->message.request;
        }
    }
    solo_forget(solo);
    for (uint32_t i = 0; i < count_done; i++) {
        solo_step(solo, &done[i]);
    }
}

static void message_base(struct core *core, struct input *input, struct message *message)
{
    uint8_t way = input_byte(input);

    if (way < 128 && core->count_heard > 0) {
        uint32_t kept = core->count_heard < HEARD_MAX ? core->count_heard : HEARD_MAX;

        /* The newest first: an answer to it is what takes the core furthest. */
        *message = core->heard[(core->count_heard - 1 - way % kept) % HEARD_MAX];
        message->from = message->to;
        return;
    }
    *message = (struct message){.region = core->records[way % REGIONS].id, .count = 1};
    message->granted = 1;
    message->page = way / 4 % 16;
    message->request = (1 + input_byte(input)) * (uint64_t)NODES_MAX + input_byte(input) % NODES;
    message->from = (uint8_t)(1 + way % (NODES - 1));
}

/* Changes some of its members, those that the bits name, to anything that the codec admits. */
static void message_bend(struct input *input, struct message *message)
{
    uint32_t bits = (uint32_t)input_number(input, 3);

#define BEND(bit, name, member, type, max)                                                         \
    if ((bits >> (bit)) % 2 == 1) {                                                                \
        message->member = (__typeof__(message->member))input_edge(input, (max));                   \
    }
    MESSAGE_FIELDS(BEND)
#undef BEND
    if (message->error > 0) {
        message->error = -message->error;
    }
}

static void step_message(struct core *core, struct input *input)
{
    struct message message;
    uint32_t payload;
    uint8_t kind = input_byte(input);

    message_base(core, input, &message);
    message.kind = (uint8_t)(1 + kind % (MESSAGE_KINDS - 1));
    message.to = SELF;
    message.epoch = core->epoch;
    message_bend(input, &message);
    if (message.from == SELF || message.from >= NODES) {
        message.from = 1 + kind % (NODES - 1);
    }
    payload = message_kind_has_payload(message.kind) ? message.count : 0;
    solo_message(core->solo, &message, kind < 250 ? payload : 0);
}

static void step_call(struct core *core, struct input *input)
{
    uint8_t way = input_byte(input);
    struct call call = {.kind = CALL_SYNC, .handle = core->handles[way % REGIONS]};

    call.op = (uint8_t)(1 + input_byte(input) % (SYNC_OP_COUNT - 1));
    call.offset = input_byte(input) % 16 * UINT64_C(8);
    call.value = input_edge(input, UINT64_MAX);
    call.operand = input_edge(input, UINT64_MAX);
    call.timeout_ms = (int64_t)(way / 16 % 8) * 50 - 50;
    if (way >= 240) {
        call.kind = (uint8_t)(1 + call.op % (CALL_KINDS - 1));
        call.map = core->maps[way % REGIONS];
        call.object = RECORD_REGION;
        call.size_bytes = call.value % 64 * 4096;
        call.rights = RIGHTS_READ;
        memcpy(call.name, core->records[way % REGIONS].name, sizeof(call.name));
    }
    solo_call(core->solo, 1 + way / 8 % 2, &call);
}

/* A member dies and joins again, a region changes hands or goes. */
static void step_news(struct core *core, struct input *input)
{
    uint8_t way = input_byte(input);
    uint32_t node = 1 + way / 8 % (NODES - 1);
    const struct record *known = node_record(core->solo->node, core->records[way / 8 % 3].id);
    struct record record;

    switch (way % 8) {
    case 0:
    case 1:
        core->epoch++;
        solo_member(core->solo, node, core->epoch + 10, false, core->epoch);
        if (way % 8 == 0) {
            solo_member(core->solo, node, core->epoch + 1000, true, core->epoch);
        }
        break;
    case 2:
        solo_step(core->solo, &(struct event){.kind = EVENT_PEER_UP, .peer_up = node});
        break;
    case 3:
    case 4:
        if (known != NULL) {
            record = *known;
            record.readers = way % 8 == 3 ? nodeset_union(record.readers, nodeset_of(node))
                                          : nodeset_minus(record.readers, nodeset_of(node));
            record.writers = nodeset_intersect(record.writers, record.readers);
            solo_record(core->solo, &record);
        }
        break;
    case 5:
        if (core->solo->count_proposals > 0 && solo_proposed(core->solo, 0) != NULL) {
            solo_decide(core->solo, way & 64 ? -1 : 0, core->records[0].id);
        }
        core->solo->keeps_news = (way & 32) != 0;
        solo_tell(core->solo, way & 64 ? DSM_EKEEPER : 0);
        break;
    default:
        solo_step(core->solo, &(struct event){.kind = EVENT_CLIENT_GONE, .client_gone = 2});
        break;
    }
}

static void step(struct core *core, struct input *input)
{
    uint8_t way = input_byte(input);

    if (way < 128) {
        step_message(core, input);
    } else if (way < 192) {
        solo_fault(core->solo, core->maps[way % REGIONS], input_edge(input, PAGES - 1), way & 4);
    } else if (way < 224) {
        step_call(core, input);
    } else if (way < 240) {
        solo_advance(core->solo, input_byte(input) * UINT64_C(3));
    } else {
        step_news(core, input);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
    struct input input = {bytes, bytes + len_bytes};
    struct core core = {0};

    prepare(&core, input_byte(&input));
    solo_forget(core.solo);
    for (uint32_t i = 0; i < STEPS_MAX && !input_is_over(&input); i++) {
        step(&core, &input);
        listen_to(&core);
        solo_forget(core.solo);
    }
    require(solo_counters(core.solo)->core_bytes < CORE_BYTES_MAX);
    solo_free(core.solo);
    return 0;
}
