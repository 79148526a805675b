/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "agent/admin.h"
#include "agent/machine.h"
#include "dsm.h"

/**
 * So long a stop waits for pages to reach their homes, and then for the others to have read the
 * BYE.
 */
#define RETIRE_MS 5000u
#define PART_MS 1500u

static void agent_stop(struct agent *agent)
{
    agent->is_stopping = true;
    uv_stop(&agent->loop);
}

void agent_fail(struct agent *agent, int error, const char *text)
{
    if (!agent->is_stopping) {
        log_line(LOG_LEVEL_ERROR, "agent ends error=\"%s\"", text);
        agent->error = error;
        agent_stop(agent);
    }
}

void agent_post(struct agent *agent, const struct event *event)
{
    if (agent->driver) {
        driver_post(agent->driver, event, NULL, 0);
    }
}

struct session_reply *agent_reply(struct agent *agent, uint64_t number)
{
    struct session_reply *reply = agent->reply;

    reply->number = number;
    reply->cursor = 0;
    reply->value = 0;
    reply->reply = (struct reply){.node = NODE_NONE};
    reply->count_counters = 0;
    reply->text_bytes = 0;
    reply->text[0] = 0;
    return reply;
}

const struct record *agent_node_record(const struct agent *agent, uint32_t node)
{
    const struct record *record;
    uint32_t cursor = 0;

    while (agent->driver && (record = node_records(driver_node(agent->driver), &cursor)) != NULL) {
        if (record->kind == RECORD_NODE && record->id.slot == node) {
            return record;
        }
    }
    return NULL;
}

const char *agent_node_name(const struct agent *agent, uint32_t node)
{
    return node < NODES_MAX && agent->node_names[node][0] ? agent->node_names[node] : "?";
}

const struct record *agent_find_record(const struct agent *agent, uint8_t kind, const char *name)
{
    const struct record *record;
    uint32_t cursor = 0;

    while (agent->driver && (record = node_records(driver_node(agent->driver), &cursor)) != NULL) {
        if (record->kind == kind && !record->unlinked && strcmp(record->name, name) == 0) {
            return record;
        }
    }
    return NULL;
}

struct peer *agent_find_peer(const struct agent *agent, uint32_t node)
{
    for (uint32_t i = 0; i < agent->count_up; i++) {
        if (peer_node(agent->up[i]) == node) {
            return agent->up[i];
        }
    }
    return NULL;
}

static void on_fault(void *context, map_id map, uint64_t page, bool write)
{
    struct event event = {
        .kind = EVENT_FAULT,
        .fault = {.map = map, .page = page, .write = write},
    };

    agent_post(context, &event);
}

/* Start and end. */

static void on_signal(uv_signal_t *signal, int number)
{
    struct agent *agent = signal->data;

    log_line(LOG_LEVEL_INFO, "stopping signal=%s", number == SIGTERM ? "SIGTERM" : "SIGINT");
    agent_stop(agent);
}

static int incarnation_draw(uint32_t *incarnation)
{
    do {
        if (getrandom(incarnation, sizeof(*incarnation), 0) != sizeof(*incarnation)) {
            return DSM_ESYS;
        }
        *incarnation &= INT32_MAX;
    } while (*incarnation == 0);
    return 0;
}

static int identity_load(struct agent *agent, char *text)
{
    const struct config *config = &agent->config;
    int error = tls_context_new(config->ca, config->certificate, config->key, &agent->tls, text);

    if (error < 0) {
        return error;
    }
    agent->name = tls_context_name(agent->tls);
    if (config->node[0] && strcmp(config->node, agent->name) != 0) {
        snprintf(
            text, TEXT_BYTES_MAX,
            "the certificate %.400s is node '%.100s', but the setting node is '%.100s': correct "
            "one of them",
            config->certificate, agent->name, config->node);
        return DSM_ECERT;
    }
    return 0;
}

static int catalog_open(struct agent *agent, char *text)
{
    const struct config *config = &agent->config;
    const struct catalog_events events = agent_catalog_events(agent);
    struct joiner joiner;
    char path[CONFIG_TEXT_BYTES + 16];
    int error;

    if (config->keeper[0]) {
        error = catalog_member_new(&agent->loop, config, agent->peers, &events, &agent->catalog);
    } else {
        snprintf(path, sizeof(path), "%s/catalog.db", config->state_dir);
        error = catalog_keeper_new(&agent->loop, config, path, agent->peers, &events,
                                   &agent->catalog, text);
    }
    if (error < 0) {
        return error;
    }
    joiner = (struct joiner){.name = agent->name,
                             .address = peers_own_address(agent->peers),
                             .incarnation = agent->incarnation,
                             .machine = agent->machine};
    return agent->catalog->ops->join(agent->catalog, &joiner);
}

/** What to tell people of the address: with port 0 the system has chosen one. */
static void listen_note(struct agent *agent)
{
    const char *listen = agent->config.listen;
    const char *port = strrchr(listen, ':');
    int len_host = port ? (int)(port - listen) : (int)strlen(listen);

    snprintf(agent->listen, sizeof(agent->listen), "%.*s:%u", len_host, listen,
             peers_port(agent->peers));
}

/** Others cannot connect to 0.0.0.0; that is no error where there are no others. */
static void advertise_check(const struct agent *agent)
{
    char host[RECORD_ADDRESS_BYTES];
    uint16_t port;

    if (config_split_address(peers_own_address(agent->peers), host, sizeof(host), &port) == 0 &&
        config_host_is_wildcard(host)) {
        log_line(
            LOG_LEVEL_WARNING,
            "other nodes cannot connect to address=%s: set advertise to an address of this host",
            peers_own_address(agent->peers));
    }
}

static int parts_open(struct agent *agent, char *text)
{
    const struct frames_events frames_events = {agent, on_fault};
    const struct peers_events peers_events = agent_peers_events(agent);
    int error = incarnation_draw(&agent->incarnation);

    if (error < 0 || (error = identity_load(agent, text)) < 0 ||
        (error = frames_new(&agent->loop, agent->machine.page_bytes, &frames_events,
                            &agent->frames)) < 0 ||
        (error = notes_init(&agent->notes)) < 0 ||
        (error = conversions_init(&agent->conversions)) < 0 ||
        (error = token_tables_init(&agent->token_tables)) < 0 ||
        (error = admin_new(agent, &agent->admin)) < 0) {
        return error;
    }
    error = peers_new(&agent->loop, &agent->config, agent->tls, agent->incarnation, &peers_events,
                      &agent->peers, text);
    if (error < 0) {
        return error;
    }
    listen_note(agent);
    advertise_check(agent);
    return catalog_open(agent, text);
}

int agent_new(const struct config *config, struct agent **result, char *text)
{
    struct agent *agent = calloc(1, sizeof(*agent));
    int error = DSM_ENOMEM;

    text[0] = 0;
    if (agent == NULL || uv_loop_init(&agent->loop) != 0) {
        free(agent);
        snprintf(text, TEXT_BYTES_MAX, "no memory or descriptors for an event loop");
        return DSM_ENOMEM;
    }
    agent->config = *config;
    agent->node = NODE_NONE;
    agent->machine = machine_kind();
    agent->started_ms = uv_hrtime() / 1000000;
    agent->budget_bytes = config_budget_bytes(config);
    uv_signal_init(&agent->loop, &agent->on_terminate);
    uv_signal_init(&agent->loop, &agent->on_interrupt);
    uv_timer_init(&agent->loop, &agent->retire_timer);
    agent->on_terminate.data = agent->on_interrupt.data = agent;
    agent->reply = calloc(1, sizeof(*agent->reply));
    agent->page_bytes = malloc(PAYLOAD_BYTES_MAX);
    if (agent->reply && agent->page_bytes) {
        error = parts_open(agent, text);
    }
    if (error == 0 && (uv_signal_start(&agent->on_terminate, on_signal, SIGTERM) != 0 ||
                       uv_signal_start(&agent->on_interrupt, on_signal, SIGINT) != 0)) {
        error = DSM_ESYS;
    }
    if (error < 0) {
        if (text[0] == 0) {
            snprintf(text, TEXT_BYTES_MAX, "%s", dsm_strerror(error));
        }
        agent->error = error;
        agent_free(agent);
        return error;
    }
    notify_init(&agent->notify, &agent->loop);
    *result = agent;
    return 0;
}

static uint64_t count_events(const struct agent *agent)
{
    return agent->driver ? driver_count_events(agent->driver) : 0;
}

/**
 * One turn of the loop: wait as pace.h says, and handle what has come. A program that has its page
 * runs as soon as we give up the CPU, or has run.
 */
static void agent_turn(struct agent *agent)
{
    struct pace *pace = &agent->pace;
    uint64_t seen = count_events(agent);
    enum pace_step step = pace_next(pace, uv_hrtime(), peers_are_holding(agent->peers));

    if (step == PACE_FLUSH) {
        peers_flush(agent->peers);
        return;
    }
    if (step == PACE_LOOK) {
        frames_look(agent->frames);
    }
    if (count_events(agent) == seen) {
        if (step == PACE_LOOK) {
            sched_yield();
            pace_on_back(pace, uv_hrtime());
        }
        uv_run(&agent->loop, step == PACE_SLEEP ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    }
    pace_on_look(pace, uv_hrtime(), count_events(agent) != seen);
}

/** The programs lose the agent first; what they held is given back while the others still hear us.
 */
static void clients_end(struct agent *agent)
{
    client_id client;

    if (agent->clients) {
        struct clients *clients = agent->clients;

        clients_free(clients);
        agent->clients = NULL;
    }
    while ((client = notes_take_client(&agent->notes)) != 0) {
        struct event event = {.kind = EVENT_CLIENT_GONE, .client_gone = client};

        agent_post(agent, &event);
    }
    admin_free(agent->admin);
    agent->admin = NULL;
}

static void on_retire_timer(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Turn the loop until it is done, for so long at most. */
static bool loop_until(struct agent *agent, bool (*is_done)(const struct agent *agent),
                       uint64_t timeout_ms)
{
    bool is_late = false;

    agent->retire_timer.data = &is_late;
    uv_timer_start(&agent->retire_timer, on_retire_timer, timeout_ms, 0);
    while (!is_done(agent) && !is_late) {
        agent_turn(agent);
    }
    uv_timer_stop(&agent->retire_timer);
    return is_done(agent);
}

static bool has_retired(const struct agent *agent)
{
    return node_is_retired(driver_node(agent->driver));
}

static bool has_parted(const struct agent *agent)
{
    return peers_have_parted(agent->peers);
}

/**
 * Leave in good order: what the programs held is given back, pages that this node owns go to their
 * homes, the catalog is told, and the others have read it before the connections close.
 */
static void agent_retire(struct agent *agent)
{
    const struct event retire = {.kind = EVENT_RETIRE};

    agent->is_retired = true;
    notify_stopping();
    clients_end(agent);
    agent_post(agent, &retire);
    if (!loop_until(agent, has_retired, RETIRE_MS)) {
        log_line(LOG_LEVEL_WARNING,
                 "pages left behind count=%" PRIu64 " cause=\"their homes do not answer\"",
                 node_counters(driver_node(agent->driver))->pages_resident);
    }
    agent->catalog->ops->leave(agent->catalog);
    peers_part(agent->peers);
    loop_until(agent, has_parted, PART_MS);
}

int agent_run(struct agent *agent)
{
    if (agent->node == NODE_NONE && !agent->is_stopping) {
        notify_status("waiting for the catalog's keeper");
    }
    pace_init(&agent->pace, agent->config.spin_us, uv_hrtime());
    while (!agent->is_stopping) {
        agent_turn(agent);
    }
    if (agent->error == 0 && agent->driver && agent->clients) {
        agent_retire(agent);
    }
    return agent->error;
}

static void agent_close(struct agent *agent)
{
    struct catalog *catalog = agent->catalog;

    agent->is_stopping = true;
    notify_stopping();
    if (agent->notes.clients.buckets) {
        if (!agent->is_retired) {
            clients_end(agent);
        }
        notes_close(&agent->notes);
    }
    if (catalog) {
        if (!agent->is_retired) {
            catalog->ops->leave(catalog);
        }
        agent->catalog = NULL;
        catalog->ops->free(catalog);
    }
    driver_free(agent->driver);
    agent->driver = NULL;
    if (agent->peers) {
        peers_free(agent->peers);
    }
    if (agent->frames) {
        frames_free(agent->frames);
    }
    if (agent->conversions.regions.buckets) {
        conversions_close(&agent->conversions);
    }
    if (agent->token_tables.regions.buckets) {
        token_tables_close(&agent->token_tables);
    }
    notify_close(&agent->notify);
    uv_close((uv_handle_t *)&agent->on_terminate, NULL);
    uv_close((uv_handle_t *)&agent->on_interrupt, NULL);
    uv_close((uv_handle_t *)&agent->retire_timer, NULL);
}

void agent_free(struct agent *agent)
{
    agent_close(agent);
    while (uv_run(&agent->loop, UV_RUN_DEFAULT) != 0) { /* after a uv_stop() it ends at once */
    }
    uv_loop_close(&agent->loop);
    tls_context_free(agent->tls);
    free(agent->up);
    free(agent->reply);
    free(agent->page_bytes);
    free(agent);
}
