/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_program.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/sim_wait.h"

#define ROW_PROGRAMS 2000u
/** A call's reply, or a page, is noticed by its program so much later at most. */
#define NOTICE_US 30u
#define COME_US 3000u
/** Slots beyond those of the programs, for their threads. */
#define THREADS 4u

static uint32_t index_of(const struct sim *sim, const struct sim_program *program)
{
    return (uint32_t)(program - sim->programs);
}

void sim_program_plan(struct sim *sim, struct sim_program *program, uint64_t after_us)
{
    uint64_t due_us = sim->now_us + after_us;

    if (due_us < program->hung_until_us && !sim->is_ending) {
        due_us = program->hung_until_us;
    }
    sim_at(sim, due_us, SIM_DUE_TURN, index_of(sim, program), ++program->turn, 0);
}

/* The program of index 1 comes before all others. */
static bool has_first(const struct sim *sim)
{
    return sim->options.is_tight_home && sim->options.programs > 1;
}

void sim_programs_init(struct sim *sim)
{
    sim->slots = sim->options.programs + (sim->options.weights[SIM_FORK] != 0 ? THREADS : 0);
    sim->slots = sim->slots < SIM_PROGRAMS_MAX ? sim->slots : SIM_PROGRAMS_MAX;
    for (uint32_t i = 0; i < sim->slots; i++) {
        struct sim_program *program = &sim->programs[i];

        program->row =
            sim_row_of(sim->options.seed + sim->options.salt * UINT64_C(0x10001), ROW_PROGRAMS + i);
        sim_program_plan(sim, program,
                         sim_draw(&program->row, COME_US) +
                             (has_first(sim) && i != 1 ? COME_US : 0));
    }
}

void sim_program_rest(struct sim *sim, struct sim_program *program)
{
    program->state = SIM_IDLE;
    program->op = 0;
    sim_program_plan(sim, program, sim_draw(&program->row, sim->options.think_us + 1));
}

void sim_program_call(struct sim *sim, struct sim_program *program, const struct call *call,
                      uint32_t state)
{
    struct sim_note note = {.us = sim->now_us,
                            .kind = NOTE_CALL,
                            .what = call->kind,
                            .op = call->kind == CALL_SYNC ? call->op : 0,
                            .node = program->node,
                            .other = index_of(sim, program),
                            .page =
                                program->page_bytes != 0 ? call->offset / program->page_bytes : 0,
                            .value = sim->cluster->next_call + 1};

    sim_log_add(&sim->log, &note);
    program->state = state;
    program->op = note.op;
    program->call_kind = call->kind;
    program->has_reply = false;
    program->call = sim->cluster->next_call + 1; /* the reply may come before this returns */
    program->waits_since_us = sim->now_us;
    cluster_call_start(sim->cluster, program->node, program->client, call);
    sim_touched(sim, program->node);
}

void sim_program_choose_pattern(struct sim *sim, struct sim_program *program)
{
    const uint32_t *weights = sim->options.patterns;
    uint64_t sum = 0, choice;

    for (uint32_t i = 0; i < SIM_PATTERN_KINDS; i++) {
        sum += weights[i];
    }
    choice = sim_draw(&program->row, sum);
    program->pattern = 0;
    while (choice >= weights[program->pattern]) {
        choice -= weights[program->pattern++];
    }
    program->position = sim_draw(&program->row, SIM_PAGES_MAX);
}

static void open_region(struct sim *sim, struct sim_program *program)
{
    struct call call = {.kind = CALL_OPEN,
                        .object = RECORD_REGION,
                        .mode = 0666,
                        .home = sim->options.striped ? DSM_HOME_STRIPED : DSM_HOME_CREATOR};

    snprintf(call.name, sizeof(call.name), "/r%u", program->name);
    snprintf(call.type, sizeof(call.type), "%s", sim->options.types[program->name]);
    call.page_size = sim->options.page_bytes[program->name];
    call.window_ms = sim->options.windows_ms[program->name];
    program->page_bytes = call.page_size;
    program->area = SIM_AREAS;
    program->wants_reopen = false;
    program->has_tokens = false;
    call.oflag = program->is_reader ? 0 : CALL_OFLAG_WRITE | CALL_OFLAG_CREATE;
    sim_program_call(sim, program, &call, SIM_OPENING);
}

static void come(struct sim *sim, struct sim_program *program)
{
    uint32_t node = (uint32_t)sim_draw(&program->row, sim->options.nodes);

    if (sim->is_ending || index_of(sim, program) >= sim->options.programs) {
        return; /* the last slots are for threads */
    }
    if (index_of(sim, program) < (has_first(sim) ? 2u : 1u) &&
        sim->options.weights[SIM_EVICTION] != 0) {
        node = index_of(sim, program); /* 1 makes a region, 0 makes it larger than 1 may keep */
    }
    if (sim->hosts[node].life != SIM_ALIVE) {
        sim_program_plan(sim, program, sim_draw(&program->row, COME_US));
        return;
    }
    program->node = node;
    program->client = ++sim->next_client;
    program->name = (uint32_t)sim_draw(&program->row, sim->options.names);
    program->is_reader = sim->options.reader_share != 0 &&
                         sim_draw(&program->row, 100) < sim->options.reader_share;
    sim_program_choose_pattern(sim, program);
    open_region(sim, program);
}

/* --- getting ready --- */

static void map_whole(struct sim *sim, struct sim_program *program)
{
    struct call call = {.kind = CALL_MAP,
                        .handle = program->handle,
                        .size_bytes = program->reply.size_bytes,
                        .rights = RIGHTS_READ | (program->is_reader ? 0 : RIGHTS_WRITE)};

    sim_program_call(sim, program, &call, SIM_MAPPING);
}

static void open_sem(struct sim *sim, struct sim_program *program)
{
    struct call call = {.kind = CALL_OPEN,
                        .object = RECORD_SEM,
                        .oflag = CALL_OFLAG_WRITE | CALL_OFLAG_CREATE,
                        .mode = 0666,
                        .value = SIM_SEM_UNITS,
                        .name = "/s"};

    if (program->sem != 0) {
        sim_program_rest(sim, program);
        return;
    }
    sim_program_call(sim, program, &call, SIM_OPENING_SEM);
}

static void share_tokens(struct sim *sim, struct sim_program *program)
{
    struct call call = {.kind = CALL_TOKENS, .handle = program->handle};

    program->map = program->reply.map;
    program->pages = program->reply.size_bytes / program->page_bytes;
    program->area = sim_area_of(sim, program->reply.region);
    if (program->is_reader) {
        open_sem(sim, program);
        return;
    }
    program->has_tokens = !sim_chance(&program->row, 4);
    sim_program_call(sim, program, &call, SIM_ASKING_TOKENS);
}

static void note_sem(struct sim *sim, struct sim_program *program)
{
    uint32_t i = 0;

    while (i < sim->count_sems && !region_id_equal(sim->sems[i].id, program->reply.region)) {
        i++;
    }
    if (i == sim->count_sems) {
        sim->sems[sim->count_sems++].id = program->reply.region;
    }
    program->sem_index = i;
    program->sem = program->reply.handle;
}

/* The calls that make a program ready, one after the other. */
static void settle_in(struct sim *sim, struct sim_program *program)
{
    struct call stat = {.kind = CALL_STAT, .handle = program->handle};
    struct call grow = {.kind = CALL_TRUNCATE};

    switch (program->state) {
    case SIM_OPENING:
        program->handle = program->reply.handle;
        grow.handle = program->handle;
        grow.size_bytes = sim->options.pages * program->page_bytes;
        if (program->reply.size_bytes == 0) {
            sim_program_call(sim, program, &grow, SIM_GROWING);
        } else {
            map_whole(sim, program);
        }
        break;
    case SIM_GROWING:
        sim_program_call(sim, program, &stat, SIM_ASKING_SIZE);
        break;
    case SIM_ASKING_SIZE:
        map_whole(sim, program);
        break;
    case SIM_MAPPING:
        share_tokens(sim, program);
        break;
    case SIM_ASKING_TOKENS:
        open_sem(sim, program);
        break;
    default:
        note_sem(sim, program);
        sim_program_rest(sim, program);
        break;
    }
}

static void begin_closing(struct sim *sim, struct sim_program *program)
{
    struct call unmap = {.kind = CALL_UNMAP, .map = program->map};

    sim_program_call(sim, program, &unmap, SIM_UNMAPPING);
}

static void on_closing(struct sim *sim, struct sim_program *program)
{
    struct call close = {.kind = CALL_CLOSE, .handle = program->handle};

    if (program->state == SIM_UNMAPPING && program->wants_seal) {
        sim_seal_begin(sim, program);
    } else if (program->state == SIM_UNMAPPING) {
        sim_program_call(sim, program, &close, SIM_CLOSING);
    } else if (program->wants_reopen && !sim->is_ending) {
        open_region(sim, program);
    } else {
        sim_program_die(sim, program, false);
    }
}

/* --- deeds --- */

static bool has_threads(const struct sim *sim, const struct sim_program *program)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < sim->slots; i++) {
        count += sim->programs[i].state != SIM_NONE && sim->programs[i].client == program->client;
    }
    return count > 1;
}

static void grow(struct sim *sim, struct sim_program *program)
{
    struct call call = {.kind = CALL_TRUNCATE,
                        .handle = program->handle,
                        .size_bytes = (program->pages + program->pages / 2) * program->page_bytes};

    program->wants_reopen = true;
    sim_program_call(sim, program, &call, SIM_CALLING);
}

static void unlink_object(struct sim *sim, struct sim_program *program, uint32_t kind)
{
    struct call call = {.kind = CALL_UNLINK, .object = (uint8_t)kind};

    sim->objects_made++;
    if (kind == RECORD_SEM) {
        snprintf(call.name, sizeof(call.name), "/s");
        program->sem = 0;
    } else {
        snprintf(call.name, sizeof(call.name), "/r%u", program->name);
    }
    program->wants_reopen = true;
    sim_program_call(sim, program, &call, SIM_CALLING);
}

static bool has_come(struct sim *sim, struct sim_program *program, uint32_t fault)
{
    uint64_t weight = sim->options.weights[fault];

    if (weight == 0 || sim->is_ending || !sim_chance(&program->row, 1 + weight / 8)) {
        return false;
    }
    sim->stats.faults[fault]++;
    return true;
}

static void begin(struct sim *sim, struct sim_program *program)
{
    bool is_alone = !program->is_thread && !has_threads(sim, program);
    bool may_make = sim->objects_made + 2 * sim->options.names + 4 < SIM_AREAS;

    if (sim->is_ending && !program->has_unit) {
        return;
    }
    if (program->has_unit) {
        sim_sync_begin(sim, program);
    } else if (is_alone && program->wants_reopen) {
        begin_closing(sim, program);
    } else if (is_alone && has_come(sim, program, SIM_REOPEN)) {
        program->wants_reopen = sim_chance(&program->row, 2);
        begin_closing(sim, program);
    } else if (is_alone && !program->is_reader && has_come(sim, program, SIM_SEAL)) {
        program->wants_seal = true;
        begin_closing(sim, program);
    } else if (is_alone && !program->is_reader && program->pages <= SIM_PAGES_MAX &&
               has_come(sim, program, SIM_GROW)) {
        grow(sim, program);
    } else if (is_alone && may_make && has_come(sim, program, SIM_RENEW)) {
        unlink_object(sim, program, RECORD_REGION);
    } else if (is_alone && may_make && sim->stats.deaths > 0 &&
               oracle_home_is_gone(sim->cluster, program->area, SIM_FREE_PAGE) &&
               sim_chance(&program->row, 16)) {
        unlink_object(sim, program, RECORD_REGION);
    } else if (is_alone && may_make && program->wants_sem && sim->count_sems < SIM_SEMS) {
        program->wants_sem = false;
        unlink_object(sim, program, RECORD_SEM);
    } else if (!program->is_reader &&
               sim_draw(&program->row, 100) < sim->options.sync_share) {
        sim_sync_begin(sim, program);
    } else {
        sim_touch_begin(sim, program);
    }
}

static void on_outcome(struct sim *sim, struct sim_program *program)
{
    int32_t error = program->reply.error;

    sim_wait_note(sim, program);
    if (program->op != 0) {
        sim_sync_end(sim, program);
    } else if (sim_seal_end(sim, program)) {
        return;
    } else if (sim_seal_note(program)) {
        open_region(sim, program);
    } else if (program->state == SIM_UNMAPPING || program->state == SIM_CLOSING) {
        on_closing(sim, program);
    } else if (program->state == SIM_CALLING) {
        sim_program_rest(sim, program); /* another may have unlinked it, or made it larger */
    } else if (error == DSM_ESIZE || error == DSM_EKEEPER ||
               (program->state == SIM_ASKING_SIZE && program->reply.size_bytes == 0)) {
        /* Only node 0 makes regions beyond the budget; the keeper failed; who grows it died. */
        sim_program_die(sim, program, false);
    } else if (error != 0 && program->is_void) {
        sim_program_die(sim, program, false);
    } else if (error != 0 && program->state != SIM_GROWING) {
        sim_fail(sim, "O11", "a region or a semaphore could not be opened: program %u, error %d",
                 index_of(sim, program), error);
    } else {
        settle_in(sim, program);
    }
}

void sim_program_turn(struct sim *sim, struct sim_program *program)
{
    switch (program->state) {
    case SIM_NONE:
        come(sim, program);
        return;
    case SIM_IDLE:
        begin(sim, program);
        return;
    case SIM_TOUCHING:
        sim_touch_go_on(sim, program);
        return;
    case SIM_READING:
    case SIM_WRITING:
        sim_touch_go_on_locked(sim, program);
        return;
    default:
        break;
    }
    if (program->has_reply) {
        program->has_reply = false;
        sim->stats.operations++;
        on_outcome(sim, program);
    }
}

/* --- what comes from outside --- */

static void on_reply(struct sim *sim, uint32_t node, const struct action *action)
{
    for (uint32_t i = 0; i < sim->slots; i++) {
        struct sim_program *program = &sim->programs[i];

        if (program->state != SIM_NONE && program->node == node &&
            program->call == action->reply.number && !program->has_reply) {
            program->call = 0;
            program->has_reply = true;
            program->reply = action->reply.reply;
            if (program->op != 0) {
                sim_sync_on_reply(sim, program);
            }
            sim_program_plan(sim, program, sim_draw(&program->row, NOTICE_US));
        }
    }
}

void sim_program_on_action(struct sim *sim, uint32_t node, const struct action *action)
{
    if (action->kind == ACTION_REPLY) {
        on_reply(sim, node, action);
    } else {
        sim_touch_wake(sim, node, action);
    }
}

static void end_one(struct sim *sim, struct sim_program *program, bool with_node)
{
    struct sim_row row = program->row;
    uint32_t turn = program->turn;

    sim->has_died = true;
    if (!program->is_void) {
        sim_sync_drop(sim, program, with_node);
    }
    memset(program, 0, sizeof(*program));
    program->row = row;
    program->turn = turn;
    sim_program_plan(sim, program, sim_draw(&program->row, COME_US));
}

void sim_program_die(struct sim *sim, struct sim_program *program, bool with_node)
{
    uint32_t node = program->node;
    client_id client = program->client;

    for (uint32_t i = 0; i < sim->slots; i++) {
        struct sim_program *other = &sim->programs[i];

        if (other->state != SIM_NONE && other->client == client) {
            end_one(sim, other, with_node);
        }
    }
    if (!with_node) {
        cluster_client_gone(sim->cluster, node, client);
        sim_touched(sim, node);
    }
}

void sim_program_leave_behind(struct sim *sim, struct sim_program *program)
{
    sim->has_died = true;
    sim_sync_drop(sim, program, true);
    program->is_void = true;
    if (program->has_unit) { /* given back in time, perhaps */
        sim->sems[program->sem_index].taken--;
        sim->sems[program->sem_index].unknown_units++;
    }
}
