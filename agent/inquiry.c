/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inquiry.h"

#include <stdlib.h>
#include <string.h>

#include "agent/report.h"
#include "dsm.h"

/** Runs that a home tells between two questions. */
#define RUNS_ASKED 256u
/** Bytes of one agent's answer at most. */
#define ANSWER_BYTES_MAX (64u << 10)

struct inquiry {
    struct inquiry *next;
    struct inquiries *owner;
    uv_timer_t timer;
    uint64_t request;
    client_id client;
    uint64_t number;
    struct record record; /* of the region as it was at first; no kind: all members' counters */
    bool is_asking;       /* not to be finished, although nobody is waited for */
    nodeset waiting;      /* who has not answered to the end */
    nodeset silent;       /* who could not */
    struct runs runs;
    uint64_t asked[NODES_MAX];        /* first page of the last question */
    struct buffer answers[NODES_MAX]; /* JSON so far */
};

struct inquiries {
    struct agent *agent;
    inquiry_done done;
    void *context;
    struct inquiry *first;
    uint64_t last_request;
};

int inquiries_new(struct agent *agent, inquiry_done done, void *context, struct inquiries **result)
{
    struct inquiries *inquiries = calloc(1, sizeof(*inquiries));

    if (inquiries == NULL) {
        return DSM_ENOMEM;
    }
    inquiries->agent = agent;
    inquiries->done = done;
    inquiries->context = context;
    *result = inquiries;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct inquiry *inquiry = handle->data;

    runs_close(&inquiry->runs);
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        buffer_close(&inquiry->answers[node]);
    }
    free(inquiry);
}

/** Take it out of the list and let it go. */
static void inquiry_end(struct inquiry *inquiry)
{
    struct inquiry **link = &inquiry->owner->first;

    while (*link != inquiry) {
        link = &(*link)->next;
    }
    *link = inquiry->next;
    uv_close((uv_handle_t *)&inquiry->timer, on_closed);
}

void inquiries_free(struct inquiries *inquiries)
{
    while (inquiries && inquiries->first) {
        inquiry_end(inquiries->first);
    }
    free(inquiries);
}

static json_t *stats_document(struct inquiry *inquiry)
{
    struct agent *agent = inquiry->owner->agent;
    json_t *nodes = json_array();

    for (uint32_t node = 0; node < NODES_MAX; node++) {
        struct buffer *answer = &inquiry->answers[node];
        json_t *json = NULL;

        if (node == agent->node) {
            json = report_stats(agent);
        } else if (buffer_len(answer) > 0 && !nodeset_has(inquiry->silent, node)) {
            json = json_loadb((const char *)buffer_data(answer), buffer_len(answer), 0, NULL);
            if (json == NULL) {
                nodeset_add(&inquiry->silent, node);
            }
        }
        if (json) {
            report_add(&nodes, json);
        }
    }
    return json_pack("{s:o s:o}", "nodes", nodes, "incomplete",
                     report_node_names(agent, inquiry->silent));
}

static json_t *region_document(struct inquiry *inquiry)
{
    runs_merge(&inquiry->runs);
    return report_region(inquiry->owner->agent, &inquiry->record, &inquiry->runs, inquiry->silent);
}

/** Everybody has answered, or the time is over. */
static void inquiry_finish(struct inquiry *inquiry)
{
    struct inquiries *inquiries = inquiry->owner;
    json_t *document;

    inquiry->silent = nodeset_union(inquiry->silent, inquiry->waiting);
    document =
        inquiry->record.kind == RECORD_NONE ? stats_document(inquiry) : region_document(inquiry);
    inquiries->done(inquiries->context, inquiry->client, inquiry->number, document);
    inquiry_end(inquiry);
}

static void inquiry_settle(struct inquiry *inquiry)
{
    if (nodeset_is_empty(inquiry->waiting) && !inquiry->is_asking) {
        inquiry_finish(inquiry);
    }
}

static void on_time(uv_timer_t *timer)
{
    inquiry_finish(timer->data);
}

static void inquiry_drop(struct inquiry *inquiry, uint32_t node)
{
    nodeset_remove(&inquiry->waiting, node);
    nodeset_add(&inquiry->silent, node);
}

/** Send a question to a member; without a connection it counts as silent. */
static void inquiry_ask(struct inquiry *inquiry, uint32_t node, const struct wire *wire)
{
    nodeset_add(&inquiry->waiting, node);
    if (peers_send_wire_to(inquiry->owner->agent->peers, node, wire) < 0) {
        inquiry_drop(inquiry, node);
    }
}

static struct inquiry *inquiry_new(struct inquiries *inquiries, client_id client, uint64_t number)
{
    struct inquiry *inquiry = calloc(1, sizeof(*inquiry));

    if (inquiry == NULL) {
        return NULL;
    }
    inquiry->owner = inquiries;
    inquiry->client = client;
    inquiry->number = number;
    inquiry->request = ++inquiries->last_request;
    inquiry->is_asking = true;
    uv_timer_init(&inquiries->agent->loop, &inquiry->timer);
    inquiry->timer.data = inquiry;
    uv_timer_start(&inquiry->timer, on_time, INQUIRY_MS, 0);
    inquiry->next = inquiries->first;
    inquiries->first = inquiry;
    return inquiry;
}

/** What this node knows as one of the homes. */
static void runs_of_own(struct inquiry *inquiry)
{
    const struct node *node = driver_node(inquiry->owner->agent->driver);
    struct page_run list[RUNS_ASKED];
    uint64_t page = 0;
    uint32_t count;

    do {
        count = node_page_runs(node, inquiry->record.id, page, list, RUNS_ASKED);
        for (uint32_t i = 0; i < count; i++) {
            if (runs_add(&inquiry->runs, &list[i]) < 0) {
                nodeset_add(&inquiry->silent, inquiry->owner->agent->node);
                return;
            }
            page = list[i].page + list[i].count;
        }
    } while (count == RUNS_ASKED);
}

int inquiry_region(struct inquiries *inquiries, client_id client, uint64_t number,
                   const struct record *record)
{
    const struct agent *agent = inquiries->agent;
    nodeset alive = node_members(driver_node(agent->driver));
    struct inquiry *inquiry = inquiry_new(inquiries, client, number);
    struct wire wire = {.kind = WIRE_INSPECT, .id = record->id};
    nodeset others;

    if (inquiry == NULL) {
        return DSM_ENOMEM;
    }
    inquiry->record = *record;
    inquiry->silent = nodeset_minus(record->homes, alive);
    others = nodeset_minus(nodeset_intersect(record->homes, alive), nodeset_of(agent->node));
    wire.request = inquiry->request;
    if (nodeset_has(record->homes, agent->node)) {
        runs_of_own(inquiry);
    }
    for (uint32_t i = nodeset_first(others); i != NODE_NONE; i = nodeset_next(others, i)) {
        inquiry_ask(inquiry, i, &wire);
    }
    inquiry->is_asking = false;
    inquiry_settle(inquiry);
    return 0;
}

int inquiry_stats(struct inquiries *inquiries, client_id client, uint64_t number)
{
    const struct agent *agent = inquiries->agent;
    nodeset others =
        nodeset_minus(node_members(driver_node(agent->driver)), nodeset_of(agent->node));
    struct inquiry *inquiry = inquiry_new(inquiries, client, number);
    struct wire wire = {.kind = WIRE_QUERY, .topic = "stats"};

    if (inquiry == NULL) {
        return DSM_ENOMEM;
    }
    wire.request = inquiry->request;
    for (uint32_t i = nodeset_first(others); i != NODE_NONE; i = nodeset_next(others, i)) {
        inquiry_ask(inquiry, i, &wire);
    }
    inquiry->is_asking = false;
    inquiry_settle(inquiry);
    return 0;
}

/** A home's run, or the end of its answer: then `page` of the empty run is where to ask on, if not
 * 0. */
static void on_inspected(struct inquiry *inquiry, uint32_t node, const struct wire *wire)
{
    const struct page_run *run = &wire->run;
    struct wire on = {.kind = WIRE_INSPECT, .id = inquiry->record.id, .request = inquiry->request};

    if (!region_id_equal(wire->id, inquiry->record.id) || wire->error < 0) {
        inquiry_drop(inquiry, node);
    } else if (run->count > 0) {
        if (runs_add(&inquiry->runs, run) < 0) {
            inquiry_drop(inquiry, node);
        }
    } else if (run->page > inquiry->asked[node]) {
        on.page = inquiry->asked[node] = run->page;
        inquiry_ask(inquiry, node, &on);
    } else {
        nodeset_remove(&inquiry->waiting, node);
    }
}

static void on_answer(struct inquiry *inquiry, uint32_t node, const struct wire *wire)
{
    struct buffer *answer = &inquiry->answers[node];

    buffer_append(answer, wire->text, strlen(wire->text));
    if (wire->error < 0 || answer->failed || buffer_len(answer) > ANSWER_BYTES_MAX) {
        inquiry_drop(inquiry, node);
    } else if (wire->value == 0) {
        nodeset_remove(&inquiry->waiting, node);
    }
}

void inquiries_on_wire(struct inquiries *inquiries, uint32_t node, const struct wire *wire)
{
    struct inquiry *inquiry = inquiries->first;

    while (inquiry && inquiry->request != wire->request) {
        inquiry = inquiry->next;
    }
    if (inquiry == NULL || !nodeset_has(inquiry->waiting, node)) {
        return; /* late: its document has been made without it */
    }
    /* A connection that breaks while more is asked over it must not finish the inquiry under us. */
    inquiry->is_asking = true;
    if (wire->kind == WIRE_INSPECTED && inquiry->record.kind != RECORD_NONE) {
        on_inspected(inquiry, node, wire);
    } else if (wire->kind == WIRE_ANSWER && inquiry->record.kind == RECORD_NONE) {
        on_answer(inquiry, node, wire);
    }
    inquiry->is_asking = false;
    inquiry_settle(inquiry);
}

void inquiries_on_down(struct inquiries *inquiries, uint32_t node)
{
    struct inquiry *next;

    for (struct inquiry *inquiry = inquiries->first; inquiry; inquiry = next) {
        next = inquiry->next;
        if (nodeset_has(inquiry->waiting, node)) {
            inquiry_drop(inquiry, node);
            inquiry_settle(inquiry);
        }
    }
}

void inquiries_on_gone(struct inquiries *inquiries, client_id client)
{
    struct inquiry *next;

    for (struct inquiry *inquiry = inquiries->first; inquiry; inquiry = next) {
        next = inquiry->next;
        if (inquiry->client == client) {
            inquiry_end(inquiry);
        }
    }
}
