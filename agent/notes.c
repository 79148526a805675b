/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/notes.h"

#include <stdlib.h>
#include <string.h>

#include "dsm.h"

/** What is remembered of one client that has called. */
struct client_note {
    struct table_link link;
    struct table waiting; /* call_note by number */
    struct table handles; /* handle_note by handle */
};

struct call_note {
    struct table_link link;
    struct call call;
};

static void table_empty(struct table *table)
{
    struct table_link *link;

    while ((link = table_any(table)) != NULL) {
        free(table_remove(table, link->key));
    }
    table_close(table);
}

static struct client_note *client_find(const struct notes *notes, client_id client)
{
    return (struct client_note *)table_find(&notes->clients, client);
}

static struct client_note *client_note_new(struct notes *notes, client_id client)
{
    struct client_note *note = calloc(1, sizeof(*note));

    if (note == NULL) {
        return NULL;
    }
    if (table_init(&note->waiting) < 0) {
        goto free_note;
    }
    if (table_init(&note->handles) < 0) {
        goto close_waiting;
    }
    table_add(&notes->clients, &note->link, client);
    return note;
close_waiting:
    table_close(&note->waiting);
free_note:
    free(note);
    return NULL;
}

int notes_init(struct notes *notes)
{
    return table_init(&notes->clients);
}

void notes_close(struct notes *notes)
{
    while (notes_take_client(notes) != 0) {
        /* Taking one forgets all of it. */
    }
    table_close(&notes->clients);
}

int notes_add(struct notes *notes, client_id client, uint64_t number, const struct call *call)
{
    struct client_note *owner = client_find(notes, client);
    struct call_note *note;

    if (owner == NULL) {
        owner = client_note_new(notes, client);
    }
    if (owner == NULL) {
        return DSM_ENOMEM;
    }
    if (table_find(&owner->waiting, number)) {
        return DSM_EBUSY;
    }
    note = malloc(sizeof(*note));
    if (note == NULL) {
        return DSM_ENOMEM;
    }
    note->call = *call;
    table_add(&owner->waiting, &note->link, number);
    return 0;
}

const struct call *notes_find(const struct notes *notes, client_id client, uint64_t number)
{
    const struct client_note *owner = client_find(notes, client);
    const struct table_link *link = owner ? table_find(&owner->waiting, number) : NULL;

    return link ? &((const struct call_note *)link)->call : NULL;
}

void notes_remove(struct notes *notes, client_id client, uint64_t number)
{
    struct client_note *owner = client_find(notes, client);

    if (owner) {
        free(table_remove(&owner->waiting, number));
    }
}

void notes_handle_add(struct notes *notes, client_id client, const struct call *call,
                      const struct reply *reply)
{
    struct client_note *owner = client_find(notes, client);
    struct handle_note *note = owner ? malloc(sizeof(*note)) : NULL;

    if (note == NULL) {
        return;
    }
    free(table_remove(&owner->handles, reply->handle));
    note->object = call->object;
    note->id = reply->region;
    memcpy(note->name, call->name, sizeof(note->name));
    table_add(&owner->handles, &note->link, reply->handle);
}

const struct handle_note *notes_handle_find(const struct notes *notes, client_id client,
                                            uint64_t handle)
{
    const struct client_note *owner = client_find(notes, client);

    return owner ? (const struct handle_note *)table_find(&owner->handles, handle) : NULL;
}

void notes_handle_remove(struct notes *notes, client_id client, uint64_t handle)
{
    struct client_note *owner = client_find(notes, client);

    if (owner) {
        free(table_remove(&owner->handles, handle));
    }
}

void notes_client_gone(struct notes *notes, client_id client)
{
    struct client_note *owner = (struct client_note *)table_remove(&notes->clients, client);

    if (owner) {
        table_empty(&owner->waiting);
        table_empty(&owner->handles);
        free(owner);
    }
}

client_id notes_take_client(struct notes *notes)
{
    const struct table_link *link = table_any(&notes->clients);
    client_id client = link ? (client_id)link->key : 0;

    if (client != 0) {
        notes_client_gone(notes, client);
    }
    return client;
}
