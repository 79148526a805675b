/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What has happened in a run: a hash of all of it, and the last of it, to be told as a transcript
 * when a property is broken. Notes are kept as numbers and made text only when asked for.
 */
#ifndef DSM_TESTS_SIM_SIM_LOG_H
#define DSM_TESTS_SIM_SIM_LOG_H

#include "dsm/core/node.h"

#define SIM_LOG_NOTES 128u

enum sim_note_kind {
    NOTE_SEND = 1, /* a message is on its way */
    NOTE_DELIVER,
    NOTE_LOSE,
    NOTE_REPEAT,
    NOTE_ACTION, /* a node does something to its frames or its catalog */
    NOTE_REPLY,  /* a program's call is answered */
    NOTE_CALL,   /* a program calls */
    NOTE_TOUCH,  /* a program touches a page */
    NOTE_FAULT,  /* trouble begins or ends */
    NOTE_NEWS,   /* a node is told the catalog's next news */
    NOTE_DECIDE, /* the keeper answers a proposal */
};

struct sim_note {
    uint64_t us;
    uint8_t kind; /* enum sim_note_kind */
    uint8_t what; /* kind of message, action, call, fault */
    uint8_t op;   /* enum sync_op */
    uint8_t flag;
    uint32_t node, other; /* NODE_NONE: none */
    uint32_t count;
    int32_t error;
    uint64_t page, value;
};

struct sim_log {
    uint64_t hash;
    uint64_t count;
    bool is_verbose;                      /* told on standard output at once */
    struct sim_note notes[SIM_LOG_NOTES]; /* the last ones */
};

void sim_log_add(struct sim_log *log, const struct sim_note *note);
/** A note of a message. */
void sim_log_message(struct sim_log *log, uint64_t us, uint32_t kind,
                     const struct message *message);
/** A note of an action; ACTION_SEND is left to the message's own. */
void sim_log_action(struct sim_log *log, uint64_t us, uint32_t node, const struct action *action,
                    uint32_t page_bytes);
/** A note as one line of text without its end. */
void sim_note_print(const struct sim_note *note, char *text, size_t bytes);
const char *sim_op_name(uint32_t op);
const char *sim_call_name(uint32_t kind);

#endif
