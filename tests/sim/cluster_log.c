/* SPDX-License-Identifier: Apache-2.0 */
/* What happened last in a simulated cluster: a ring of events, told as text when somebody asks. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/cluster_parts.h"
#include "tests/sim/oracle.h"

#define LINE_BYTES 160u
#define TRANSCRIPT_LINE_BYTES 64u

struct sim_event *cluster_note(struct cluster *cluster, enum sim_event_kind kind, uint32_t node)
{
    struct sim_event *event = &cluster->events[cluster->count_events++ % CLUSTER_EVENTS];

    memset(event, 0, sizeof(*event));
    event->kind = (uint8_t)kind;
    event->now_ms = cluster->now_ms;
    event->step = cluster->steps;
    event->from = (uint16_t)node;
    return event;
}

void cluster_note_message(struct cluster *cluster, enum sim_event_kind kind,
                          const struct message *message)
{
    struct sim_event *event = cluster_note(cluster, kind, message->from);

    event->to = message->to;
    event->message_kind = message->kind;
    event->flags = message->flags;
    event->op = message->op;
    event->page = message->page;
    event->count = message->count;
    event->version = message->version;
    event->request = message->request;
    event->epoch = message->epoch;
    event->error = message->error;
    event->region = (uint8_t)cluster_region_index(cluster, message->region);
}

static bool is_sync(uint32_t kind)
{
    return kind == MESSAGE_SYNC || kind == MESSAGE_SYNC_REPLY || kind == MESSAGE_SYNC_ACK ||
           kind == MESSAGE_RECALL || kind == MESSAGE_HELD;
}

/* "1>0 READ 5+1" */
static int message_text(const struct sim_event *event, char *text, size_t bytes)
{
    const char *name = message_kind_name(event->message_kind);

    if (is_sync(event->message_kind)) {
        return snprintf(text, bytes, "%u>%u %s", event->from, event->to, name);
    }
    return snprintf(text, bytes, "%u>%u %s %llu+%u", event->from, event->to, name,
                    (unsigned long long)event->page, event->count);
}

static uint64_t first_event(const struct cluster *cluster)
{
    return cluster->count_events > CLUSTER_EVENTS ? cluster->count_events - CLUSTER_EVENTS : 0;
}

const char *cluster_take_log(struct cluster *cluster)
{
    uint64_t first = first_event(cluster);
    size_t used = 0;

    if (cluster->log == NULL) {
        cluster->log = malloc((size_t)CLUSTER_EVENTS * TRANSCRIPT_LINE_BYTES + 1);
    }
    if (first < cluster->taken_events) {
        first = cluster->taken_events;
    }
    for (; first < cluster->count_events; first++) {
        const struct sim_event *event = &cluster->events[first % CLUSTER_EVENTS];

        if (event->kind == SIM_LOST) {
            memcpy(cluster->log + used, "lost ", 5);
            used += 5;
        }
        if (event->kind == SIM_SENT || event->kind == SIM_LOST) {
            used += (size_t)message_text(event, cluster->log + used, TRANSCRIPT_LINE_BYTES - 6);
            cluster->log[used++] = '\n';
        }
    }
    cluster->log[used] = 0;
    cluster->taken_events = cluster->count_events;
    return cluster->log;
}

/* --- a failure's transcript --- */

static const char *const event_names[] = {
    [SIM_SENT] = "sent",
    [SIM_LOST] = "lost",
    [SIM_DELIVERED] = "delivered",
    [SIM_REPEATED] = "delivered, and again on its way",
    [SIM_FAULT] = "fault",
    [SIM_TOUCH] = "writes",
    [SIM_CALL] = "call",
    [SIM_REPLY] = "reply",
    [SIM_PROPOSED] = "proposes",
    [SIM_DECIDED] = "is answered by the keeper",
    [SIM_NEWS] = "is told",
    [SIM_ATOMIC] = "atomic operation",
    [SIM_CLIENT_GONE] = "client gone",
    [SIM_PEER_UP] = "link up",
    [SIM_DEATH] = "stops",
    [SIM_DECLARED] = "is declared dead",
    [SIM_RESTART] = "starts again",
};

static void print_event(const struct sim_event *event)
{
    char text[LINE_BYTES];

    fprintf(stderr, "%8llu ms %7llu  ", (unsigned long long)event->now_ms,
            (unsigned long long)event->step);
    if (event->kind <= SIM_REPEATED) {
        message_text(event, text, sizeof(text));
        fprintf(stderr, "%-28s v%llu r%llu e%u", text, (unsigned long long)event->version,
                (unsigned long long)event->request, event->epoch);
        fprintf(stderr, "%s%s%s%s%s%s%s", (event->flags & FLAG_WRITE) != 0 ? " write" : "",
                (event->flags & FLAG_GRANT) != 0 ? " grant-comes" : "",
                (event->flags & FLAG_ZERO) != 0 ? " zero" : "",
                (event->flags & FLAG_COPY) != 0 ? " copy" : "",
                (event->flags & FLAG_LEAVE) != 0 ? " leave" : "",
                (event->flags & FLAG_ADOPT) != 0 ? " adopt" : "",
                (event->flags & FLAG_QUEUED) != 0 ? " queued" : "");
        fprintf(stderr, " region %u op %u error %d: %s\n", event->region, event->op, event->error,
                event_names[event->kind]);
        return;
    }
    fprintf(stderr, "node %u %s", event->from, event_names[event->kind]);
    switch (event->kind) {
    case SIM_FAULT:
    case SIM_TOUCH:
    case SIM_ATOMIC:
        fprintf(stderr, " region %u page %llu %s value %llu", event->region,
                (unsigned long long)event->page, event->flags != 0 ? "write" : "",
                (unsigned long long)event->value);
        break;
    case SIM_PEER_UP:
        fprintf(stderr, " with %u", event->to);
        break;
    case SIM_DECLARED:
        fprintf(stderr, ", epoch %u", event->epoch);
        break;
    case SIM_DEATH:
    case SIM_RESTART:
        break;
    default:
        fprintf(stderr, " kind %u op %u page %llu number %llu value %llu error %d",
                event->message_kind, event->op, (unsigned long long)event->page,
                (unsigned long long)event->request, (unsigned long long)event->value, event->error);
        break;
    }
    fputc('\n', stderr);
}

void cluster_print_events(const struct cluster *cluster)
{
    fprintf(stderr, "at %llu ms, step %llu; the last events:\n",
            (unsigned long long)cluster->now_ms, (unsigned long long)cluster->steps);
    for (uint64_t i = first_event(cluster); i < cluster->count_events; i++) {
        print_event(&cluster->events[i % CLUSTER_EVENTS]);
    }
}

_Noreturn void cluster_broken(const struct cluster *cluster, const char *what)
{
    fprintf(stderr, "cluster: %s\n", what);
    cluster_print_events(cluster);
    abort();
}

_Noreturn void oracle_fail(const struct cluster *cluster, const char *property, const char *format,
                           ...)
{
    va_list arguments;

    fprintf(stderr, "%s ", property);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    cluster_print_events(cluster);
    abort();
}
