/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_log.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/sim_draw.h"
#include "tests/sim/sim_options.h"

void sim_log_add(struct sim_log *log, const struct sim_note *note)
{
    uint64_t hash = log->hash;

    hash = sim_mix(hash, note->us);
    hash = sim_mix(hash, (uint64_t)note->kind << 24 | (uint64_t)note->what << 16 |
                             (uint64_t)note->op << 8 | note->flag);
    hash = sim_mix(hash, (uint64_t)note->node << 32 | note->other);
    hash = sim_mix(hash, (uint64_t)note->count << 32 | (uint32_t)note->error);
    hash = sim_mix(hash, note->page);
    log->hash = sim_mix(hash, note->value);
    log->notes[log->count++ % SIM_LOG_NOTES] = *note;
    if (log->is_verbose) {
        char text[256];

        sim_note_print(note, text, sizeof(text));
        printf("%s\n", text);
    }
}

void sim_log_message(struct sim_log *log, uint64_t us, uint32_t kind, const struct message *message)
{
    struct sim_note note = {
        .us = us,
        .kind = (uint8_t)kind,
        .what = message->kind,
        .op = message->op,
        .flag = message->flags,
        .node = message->from,
        .other = message->to,
        .count = message->count,
        .error = message->error,
        .page = message->page,
        .value = message->request,
    };

    sim_log_add(log, &note);
}

void sim_log_action(struct sim_log *log, uint64_t us, uint32_t node, const struct action *action,
                    uint32_t page_bytes)
{
    struct sim_note note = {
        .us = us,
        .kind = NOTE_ACTION,
        .what = action->kind,
        .flag = action->write,
        .node = node,
        .other = NODE_NONE,
        .count = action->count,
        .error = action->error,
        .page = action->page,
        .value = action->map,
    };

    if (action->kind == ACTION_SEND) {
        return;
    }
    if (action->kind == ACTION_REPLY) {
        note.kind = NOTE_REPLY;
        note.error = action->reply.reply.error;
        note.other = action->reply.client;
        note.value = action->reply.reply.value;
        note.page = action->reply.number;
    } else if (action->kind == ACTION_ATOMIC) {
        note.page = action->message.offset / page_bytes;
        note.op = action->message.op;
        note.value = action->message.request;
    }
    sim_log_add(log, &note);
}

const char *sim_op_name(uint32_t op)
{
    static const char *const names[SYNC_OP_COUNT] = {
#define OP_NAME(number, name) [number] = #name,
        SYNC_OPS(OP_NAME)
#undef OP_NAME
    };

    return op < SYNC_OP_COUNT && names[op] != NULL ? names[op] : "?";
}

const char *sim_call_name(uint32_t kind)
{
    static const char *const names[CALL_KINDS] = {
        "?", "OPEN", "CLOSE", "TRUNCATE", "STAT", "MAP", "UNMAP", "UNLINK", "SYNC", "TOKENS",
        "SEAL", "ADVISE", "BIND",
    };

    return kind < CALL_KINDS ? names[kind] : "?";
}

static const char *action_name(uint32_t kind)
{
    static const char *const names[] = {
        "?",      "SEND",   "FILL",   "ALLOW",       "WAKE",         "PROTECT",  "DROP",    "KEEP",
        "FORGET", "POISON", "ATOMIC", "REGION_OPEN", "REGION_CLOSE", "MAP_GONE", "PROPOSE", "REPLY",
    };

    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?";
}

static void print_message(const struct sim_note *note, char *text, size_t bytes)
{
    static const char *const verbs[] = {"", "sends", "delivered", "lost", "repeated"};
    bool is_sync = note->what == MESSAGE_SYNC || note->what == MESSAGE_SYNC_REPLY;

    if (is_sync) {
        snprintf(text, bytes, "%u>%u %s %s request %llu error %d flags %u: %s", note->node,
                 note->other, message_kind_name(note->what), sim_op_name(note->op),
                 (unsigned long long)note->value, note->error, note->flag, verbs[note->kind]);
    } else {
        snprintf(text, bytes, "%u>%u %s %llu+%u request %llu flags %u: %s", note->node, note->other,
                 message_kind_name(note->what), (unsigned long long)note->page, note->count,
                 (unsigned long long)note->value, note->flag, verbs[note->kind]);
    }
}

static void print_program(const struct sim_note *note, char *text, size_t bytes)
{
    unsigned long long page = note->page, value = note->value;

    if (note->kind == NOTE_REPLY) {
        snprintf(text, bytes, "node %u answers call %llu of session %u: error %d value %llu",
                 note->node, page, note->other, note->error, value);
    } else if (note->kind == NOTE_CALL) {
        snprintf(text, bytes, "program %u on node %u calls %s %s at page %llu, call %llu",
                 note->other, note->node, sim_call_name(note->what),
                 note->op != 0 ? sim_op_name(note->op) : "", page, value);
    } else {
        snprintf(text, bytes, "program %u on node %u %s page %llu: %s %llu", note->other,
                 note->node, note->what != 0 ? "writes" : "reads", page,
                 note->flag != 0 ? "value" : "waits, value", value);
    }
}

static void print_rest(const struct sim_note *note, char *text, size_t bytes)
{
    unsigned long long page = note->page, value = note->value;

    switch (note->kind) {
    case NOTE_ACTION:
        snprintf(text, bytes, "node %u: %s %llu+%u%s map %llu", note->node, action_name(note->what),
                 page, note->count, note->flag != 0 ? " to write" : "", value);
        break;
    case NOTE_FAULT:
        snprintf(text, bytes, "%s %s: node %u, other %u (%llu)",
                 note->what < SIM_FAULT_KINDS ? sim_fault_name(note->what) : "settle",
                 note->flag != 0 ? "begins" : "ends", note->node, note->other, value);
        break;
    case NOTE_NEWS:
        snprintf(text, bytes, "node %u is told the catalog's next news", note->node);
        break;
    default:
        snprintf(text, bytes, "the keeper answers a proposal");
        break;
    }
}

void sim_note_print(const struct sim_note *note, char *text, size_t bytes)
{
    int used = snprintf(text, bytes, "%10llu.%03llu ms ", (unsigned long long)(note->us / 1000),
                        (unsigned long long)(note->us % 1000));

    if (used < 0 || (size_t)used >= bytes) {
        return;
    }
    if (note->kind <= NOTE_REPEAT) {
        print_message(note, text + used, bytes - (size_t)used);
    } else if (note->kind >= NOTE_REPLY && note->kind <= NOTE_TOUCH) {
        print_program(note, text + used, bytes - (size_t)used);
    } else {
        print_rest(note, text + used, bytes - (size_t)used);
    }
}
