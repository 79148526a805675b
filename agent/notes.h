/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What the agent remembers of its local programs' calls while the core works on them: what was
 * asked (to tell, when it fails, of what), and which handle is which object.
 */
#ifndef DSM_AGENT_NOTES_H
#define DSM_AGENT_NOTES_H

#include "agent/table.h"
#include "dsm/core/node.h"

struct notes {
    struct table clients;
};

/** What a handle stands for. */
struct handle_note {
    struct table_link link;
    uint8_t object; /* enum record_kind */
    region_id id;
    char name[RECORD_NAME_BYTES];
};

/** Make it empty. Errors: DSM_ENOMEM. */
int notes_init(struct notes *notes);
/** Forget everything. */
void notes_close(struct notes *notes);
/**
 * Remember a call; `call` is copied.
 *
 * Errors: DSM_EBUSY  the client has an unanswered call of this number
 *         DSM_ENOMEM
 */
int notes_add(struct notes *notes, client_id client, uint64_t number, const struct call *call);
/** An unanswered call, borrowed until notes_remove(); NULL when there is none. */
const struct call *notes_find(const struct notes *notes, client_id client, uint64_t number);
/** It has been answered; unknown ones are ignored. */
void notes_remove(struct notes *notes, client_id client, uint64_t number);

/** A handle was given out. Without memory it is not remembered and errors name the number. */
void notes_handle_add(struct notes *notes, client_id client, const struct call *call,
                      const struct reply *reply);
/** What a handle stands for, borrowed; NULL when it is unknown. */
const struct handle_note *notes_handle_find(const struct notes *notes, client_id client,
                                            uint64_t handle);
void notes_handle_remove(struct notes *notes, client_id client, uint64_t handle);

/** Forget all of a client. */
void notes_client_gone(struct notes *notes, client_id client);
/** Take any client that has called and is not gone; 0 when there is none left. */
client_id notes_take_client(struct notes *notes);

#endif
