/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/inquiry.h"
#include "agent/pieces.h"
#include "agent/report.h"
#include "agent/sentence.h"
#include "dsm.h"

/** Runs that are told a peer in answer to one INSPECT. */
#define RUNS_TOLD 256u

struct admin {
    struct agent *agent;
    struct inquiries *inquiries;
    struct pieces pieces;
    struct table removals; /* by number of the CLIENT_AGENT call */
};

/** A name that is being removed for a client. */
struct removal {
    struct table_link link;
    client_id client;
    uint64_t number;
    char name[RECORD_NAME_BYTES];
};

static void answer_error(struct admin *admin, client_id client, uint64_t number, int error,
                         const char *text)
{
    struct session_reply *reply = agent_reply(admin->agent, number);

    reply->reply.error = error;
    snprintf(reply->text, sizeof(reply->text), "%s", text);
    reply->text_bytes = strlen(reply->text);
    clients_reply(admin->agent->clients, client, reply, -1);
}

static char *document_text(json_t *document)
{
    /* In ASCII, so that a piece never ends inside a character. */
    char *text = document ? json_dumps(document, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

    json_decref(document);
    return text;
}

/** Answer with a document (given; NULL: there was no memory for it), its first piece that is. */
static void answer_document(void *context, client_id client, uint64_t number, json_t *document)
{
    struct admin *admin = context;
    char *text = document_text(document);
    struct session_reply *reply = agent_reply(admin->agent, number);
    int error = DSM_ENOMEM;

    if (text) {
        error = pieces_start(&admin->pieces, client, text, reply->text, sizeof(reply->text),
                             &reply->cursor);
    }
    if (error < 0) {
        answer_error(admin, client, number, error, "the agent has no memory for the answer");
        return;
    }
    reply->text_bytes = strlen(reply->text);
    clients_reply(admin->agent->clients, client, reply, -1);
}

static void answer_next(struct admin *admin, client_id client, uint64_t number, uint64_t cursor)
{
    struct session_reply *reply = agent_reply(admin->agent, number);
    int error = pieces_next(&admin->pieces, client, cursor, reply->text, sizeof(reply->text),
                            &reply->cursor);

    if (error < 0) {
        answer_error(admin, client, number, error,
                     "this answer is not kept any more: ask again from its start");
        return;
    }
    reply->text_bytes = strlen(reply->text);
    clients_reply(admin->agent->clients, client, reply, -1);
}

int admin_new(struct agent *agent, struct admin **result)
{
    struct admin *admin = calloc(1, sizeof(*admin));

    if (admin == NULL) {
        return DSM_ENOMEM;
    }
    admin->agent = agent;
    if (inquiries_new(agent, answer_document, admin, &admin->inquiries) < 0) {
        goto free_admin;
    }
    if (pieces_init(&admin->pieces) < 0) {
        goto free_inquiries;
    }
    if (table_init(&admin->removals) < 0) {
        goto close_pieces;
    }
    *result = admin;
    return 0;
close_pieces:
    pieces_close(&admin->pieces);
free_inquiries:
    inquiries_free(admin->inquiries);
free_admin:
    free(admin);
    return DSM_ENOMEM;
}

void admin_free(struct admin *admin)
{
    struct table_link *link;

    if (admin == NULL) {
        return;
    }
    inquiries_free(admin->inquiries);
    pieces_close(&admin->pieces);
    while ((link = table_any(&admin->removals)) != NULL) {
        free(table_remove(&admin->removals, link->key));
    }
    table_close(&admin->removals);
    free(admin);
}

static void on_region(struct admin *admin, client_id client, uint64_t number, const char *name)
{
    const struct record *record = agent_find_record(admin->agent, RECORD_REGION, name);
    char text[RECORD_NAME_BYTES + 128];

    if (record == NULL) {
        snprintf(text, sizeof(text), "no region is named '%s': `dsmctl regions` lists them", name);
        answer_error(admin, client, number, DSM_ENOENT, text);
    } else if (inquiry_region(admin->inquiries, client, number, record) < 0) {
        answer_error(admin, client, number, DSM_ENOMEM, "the agent has no memory for this");
    }
}

/** Remove a name in the caller's name; who runs the agent may remove all that the agent may. */
static void on_remove(struct admin *admin, client_id client, uint64_t number, uint8_t object,
                      const char *name, const struct credential *credential)
{
    struct agent *agent = admin->agent;
    struct call call = {.kind = CALL_UNLINK, .object = object, .timeout_ms = -1};
    struct removal *removal = calloc(1, sizeof(*removal));

    if (removal == NULL) {
        answer_error(admin, client, number, DSM_ENOMEM, "the agent has no memory for this");
        return;
    }
    removal->client = client;
    removal->number = number;
    snprintf(removal->name, sizeof(removal->name), "%s", name);
    snprintf(call.name, sizeof(call.name), "%s", name);
    call.credential = *credential;
    if (credential->uid == geteuid()) {
        call.credential.uid = 0;
    }
    agent->own_number++;
    table_add(&admin->removals, &removal->link, agent->own_number);
    agent_call(agent, CLIENT_AGENT, agent->own_number, &call);
}

void admin_on_removed(struct admin *admin, uint64_t number, int error, const char *text)
{
    struct removal *removal = (struct removal *)table_remove(&admin->removals, number);

    if (removal == NULL) {
        return;
    }
    if (error < 0) {
        char sentence[TEXT_BYTES_MAX];

        /* `text` may lie in the very reply that the answer is made in. */
        snprintf(sentence, sizeof(sentence), "%s", text);
        answer_error(admin, removal->client, removal->number, error, sentence);
    } else {
        answer_document(admin, removal->client, removal->number,
                        json_pack("{s:o}", "removed", report_text(removal->name)));
    }
    free(removal);
}

/** What follows a word and a space in the topic, NULL when it does not begin with the word. */
static const char *topic_after(const char *topic, const char *word)
{
    size_t len_bytes = strlen(word);

    return strncmp(topic, word, len_bytes) == 0 && topic[len_bytes] == ' ' ? topic + len_bytes + 1
                                                                           : NULL;
}

/** Topics that this agent answers by itself; false when the topic is none of them. */
static bool topic_report(const struct agent *agent, const char *topic, json_t **document)
{
    static const struct {
        const char *topic;
        json_t *(*report)(const struct agent *);
    } reports[] = {
        {"status", report_status},
        {"nodes", report_nodes},
        {"regions", report_regions},
        {"stats", report_stats},
    };

    for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++) {
        if (strcmp(topic, reports[i].topic) == 0) {
            *document = reports[i].report(agent);
            return true;
        }
    }
    return false;
}

static void on_topic(struct admin *admin, client_id client, uint64_t number, const char *topic,
                     const struct credential *credential)
{
    const char *name;
    json_t *document;
    char text[RECORD_NAME_BYTES + 160];

    if (topic_report(admin->agent, topic, &document)) {
        answer_document(admin, client, number, document);
    } else if (strcmp(topic, "stats all") == 0) {
        if (inquiry_stats(admin->inquiries, client, number) < 0) {
            answer_error(admin, client, number, DSM_ENOMEM, "the agent has no memory for this");
        }
    } else if ((name = topic_after(topic, "region")) != NULL) {
        on_region(admin, client, number, name);
    } else if ((name = topic_after(topic, "rm")) != NULL) {
        on_remove(admin, client, number, RECORD_REGION, name, credential);
    } else if ((name = topic_after(topic, "rm-sem")) != NULL) {
        on_remove(admin, client, number, RECORD_SEM, name, credential);
    } else {
        snprintf(text, sizeof(text),
                 "the agent knows no topic '%.100s': status, nodes, regions, stats, stats all, "
                 "region NAME, rm NAME or rm-sem NAME",
                 topic);
        answer_error(admin, client, number, DSM_EINVAL, text);
    }
}

void admin_on_request(struct admin *admin, client_id client, uint64_t number, const char *topic,
                      uint64_t cursor, const struct credential *credential)
{
    if (topic == NULL) {
        struct session_reply *reply = agent_reply(admin->agent, number);

        reply->count_counters = report_counters(admin->agent, reply->counters);
        clients_reply(admin->agent->clients, client, reply, -1);
    } else if (cursor != 0) {
        answer_next(admin, client, number, cursor);
    } else {
        on_topic(admin, client, number, topic, credential);
    }
}

void admin_on_gone(struct admin *admin, client_id client)
{
    pieces_forget(&admin->pieces, client);
    inquiries_on_gone(admin->inquiries, client);
}

/** Tell a peer the runs from a page on, and where to ask on when there are more of them. */
static void on_inspect(struct admin *admin, struct peer *peer, const struct wire *question)
{
    struct agent *agent = admin->agent;
    struct wire wire = {.kind = WIRE_INSPECTED, .request = question->request, .id = question->id};
    struct page_run runs[RUNS_TOLD];
    uint32_t count =
        node_page_runs(driver_node(agent->driver), question->id, question->page, runs, RUNS_TOLD);

    for (uint32_t i = 0; i < count; i++) {
        wire.run = runs[i];
        if (peers_send_wire(agent->peers, peer, &wire) < 0) {
            return;
        }
    }
    wire.run = (struct page_run){.owner = NODE_NONE};
    if (count == RUNS_TOLD) {
        wire.run.page = runs[count - 1].page + runs[count - 1].count;
    }
    peers_send_wire(agent->peers, peer, &wire);
}

static void on_query(struct admin *admin, struct peer *peer, const struct wire *question)
{
    struct agent *agent = admin->agent;
    struct wire wire = {.kind = WIRE_ANSWER, .request = question->request};
    json_t *document = NULL;
    char *text = NULL;
    size_t at = 0, len_bytes;

    if (!topic_report(agent, question->topic, &document)) {
        wire.error = DSM_EINVAL;
    } else if ((text = document_text(document)) == NULL) {
        wire.error = DSM_ENOMEM;
    }
    len_bytes = text ? strlen(text) : 0;
    do {
        size_t piece = len_bytes - at;

        if (piece >= sizeof(wire.text)) {
            piece = sizeof(wire.text) - 1;
        }
        if (piece > 0) {
            memcpy(wire.text, text + at, piece);
        }
        wire.text[piece] = 0;
        at += piece;
        wire.value = at < len_bytes;
        if (peers_send_wire(agent->peers, peer, &wire) < 0) {
            break;
        }
    } while (at < len_bytes);
    free(text);
}

void admin_on_wire(struct admin *admin, struct peer *peer, const struct wire *wire)
{
    uint32_t node = peer_node(peer);

    if (node == NODE_NONE) {
        return; /* only members are told, and believed */
    }
    switch (wire->kind) {
    case WIRE_INSPECT:
        on_inspect(admin, peer, wire);
        break;
    case WIRE_QUERY:
        on_query(admin, peer, wire);
        break;
    case WIRE_INSPECTED:
    case WIRE_ANSWER:
        inquiries_on_wire(admin->inquiries, node, wire);
        break;
    default:
        break;
    }
}

void admin_on_down(struct admin *admin, uint32_t node)
{
    if (node < NODES_MAX) {
        inquiries_on_down(admin->inquiries, node);
    }
}
