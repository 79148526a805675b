/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_death.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_program.h"
#include "tests/sim/sim_wait.h"

_Static_assert(SIM_AREAS <= CLUSTER_REGIONS && 2 * SIM_PAGES_MAX <= CLUSTER_PAGES,
               "the cluster holds what the simulator makes");

#define ROW_NET 1u
#define ROW_FAULTS 2u
#define ROW_KEEPER 3u
/** The virtual time that a keeper takes in any case. */
#define KEEPER_US 300u
#define NEWS_US 200u
/** Events without any time passing, which would be a livelock. */
#define INSTANT_EVENTS_MAX 200000u
/** Waiting programs are looked at once in so many events. */
#define WAIT_CHECK_EVENTS 256u
/** Events until everybody is served, once the faults have stopped. */
#define SETTLE_EVENTS_MAX 3000000u

_Noreturn void sim_fail(struct sim *sim, const char *property, const char *format, ...)
{
    va_list arguments;
    int bytes = snprintf(sim->failure, sizeof(sim->failure), "%s ", property);

    va_start(arguments, format);
    vsnprintf(sim->failure + bytes, sizeof(sim->failure) - (size_t)bytes, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s\n", sim->failure);
    abort();
}

/* --- small things that all files use --- */

void sim_at(struct sim *sim, uint64_t due_us, uint32_t kind, uint32_t a, uint32_t b, uint32_t c)
{
    struct sim_due event = {.due_us = due_us, .kind = kind, .a = a, .b = b, .c = c};

    sim_heap_add(&sim->heap, &event);
}

void sim_touched(struct sim *sim, uint32_t node)
{
    sim->hosts[node].is_dirty = true;
}

void sim_touched_all(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        sim->hosts[i].is_dirty = true;
    }
}

static void note_trouble(struct sim *sim, uint32_t fault, uint32_t node, uint32_t other,
                         uint64_t value, bool begins)
{
    struct sim_note note = {.us = sim->now_us,
                            .kind = NOTE_FAULT,
                            .what = (uint8_t)fault,
                            .flag = begins,
                            .node = node,
                            .other = other,
                            .value = value};

    sim_log_add(&sim->log, &note);
}

void sim_trouble(struct sim *sim, uint32_t fault, uint32_t node, uint32_t other, uint64_t value,
                 bool lasts)
{
    sim->stats.faults[fault]++;
    sim->troubles += lasts;
    sim->quiet_since_us = sim->now_us;
    if (fault != SIM_LOSS) {
        note_trouble(sim, fault, node, other, value, true);
    }
}

void sim_trouble_ends(struct sim *sim, uint32_t fault, uint32_t node, uint32_t other)
{
    sim->troubles--;
    sim->quiet_since_us = sim->now_us;
    note_trouble(sim, fault, node, other, 0, false);
}

uint32_t sim_area_of(const struct sim *sim, region_id id)
{
    for (uint32_t i = 0; i < SIM_AREAS; i++) {
        if (region_id_equal(sim->cluster->regions[i], id)) {
            return i;
        }
    }
    return SIM_AREAS;
}

/* --- what follows from an event --- */

static void on_action(void *context, uint32_t node, const struct action *action)
{
    struct sim *sim = context;

    uint32_t area = action->kind == ACTION_ATOMIC ? sim_area_of(sim, action->region) : SIM_AREAS;

    sim_log_action(&sim->log, sim->now_us, node, action,
                   area < SIM_AREAS ? cluster_page_bytes(sim->cluster, area) : 1);
    sim_program_on_action(sim, node, action);
}

static void schedule_wake(struct sim *sim, uint32_t number)
{
    struct sim_host *host = &sim->hosts[number];
    uint64_t deadline_ms, due_us;

    host->is_dirty = false;
    if (sim->cluster->nodes[number].is_dead) {
        return;
    }
    deadline_ms = node_deadline(sim->cluster->nodes[number].node);
    if (deadline_ms > UINT64_MAX / 2000) {
        return;
    }
    due_us = deadline_ms * 1000 > sim->now_us ? deadline_ms * 1000 : sim->now_us;
    if (due_us < host->wake_us) {
        host->wake_us = due_us;
        sim_at(sim, due_us, SIM_DUE_WAKE, number, 0, 0);
    }
}

static uint64_t draw_late(struct sim *sim, uint32_t fault)
{
    return sim->is_ending ? 0 : sim_draw(&sim->keeper, (uint64_t)sim->options.weights[fault] + 1);
}

static bool hears_news(const struct sim *sim, uint32_t node)
{
    return sim->hosts[node].life != SIM_SILENT && sim->hosts[node].life != SIM_OUTCAST;
}

static void schedule(struct sim *sim)
{
    struct cluster *cluster = sim->cluster;

    if (cluster->proposals != NULL && !sim->is_deciding) {
        sim->is_deciding = true;
        sim_at(sim, sim->now_us + KEEPER_US + draw_late(sim, SIM_SLOW_KEEPER), SIM_DUE_DECIDE, 0, 0,
               0);
    }
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        if (cluster->news[i] != NULL && !sim->hosts[i].is_telling && hears_news(sim, i)) {
            uint64_t late_us = sim->hosts[i].is_slow ? draw_late(sim, SIM_LATE_NEWS) : 0;

            sim->hosts[i].is_telling = true;
            sim_at(sim, sim->now_us + NEWS_US + late_us, SIM_DUE_TELL, i, 0, 0);
        }
        if (cluster->nodes[i].atomics != NULL && !cluster->nodes[i].is_dead &&
            !sim->hosts[i].is_finishing) {
            sim->hosts[i].is_finishing = true;
            sim_at(sim, sim->now_us + draw_late(sim, SIM_LATE_ATOMIC), SIM_DUE_FINISH, i, 0, 0);
        }
        if (sim->hosts[i].is_dirty) {
            schedule_wake(sim, i);
        }
    }
}

static void note(struct sim *sim, uint32_t kind, uint32_t node)
{
    struct sim_note one = {
        .us = sim->now_us, .kind = (uint8_t)kind, .node = node, .other = NODE_NONE};

    sim_log_add(&sim->log, &one);
}

static void decide(struct sim *sim)
{
    sim->is_deciding = false;
    while (sim->cluster->proposals != NULL) {
        note(sim, NOTE_DECIDE, NODE_NONE);
        if (!sim->is_ending &&
            sim_draw(&sim->keeper, 10000) < sim->options.weights[SIM_BAD_KEEPER]) {
            sim->stats.faults[SIM_BAD_KEEPER]++;
            cluster_decide_badly(sim->cluster, DSM_EKEEPER, sim_chance(&sim->keeper, 2));
        } else {
            cluster_decide(sim->cluster);
        }
        sim_touched_all(sim);
    }
}

static void tell(struct sim *sim, uint32_t node)
{
    sim->hosts[node].is_telling = false;
    if (sim->cluster->news[node] != NULL && hears_news(sim, node)) {
        note(sim, NOTE_NEWS, node);
        cluster_tell(sim->cluster, node);
        sim_touched(sim, node);
    }
}

static void finish(struct sim *sim, uint32_t node)
{
    sim->hosts[node].is_finishing = false;
    if (cluster_finish_atomic(sim->cluster, node)) {
        sim_touched(sim, node);
    }
}

static void wake(struct sim *sim, uint32_t node, uint64_t due_us)
{
    struct sim_host *host = &sim->hosts[node];

    if (host->wake_us != due_us) {
        return; /* another one was planned before it */
    }
    host->wake_us = UINT64_MAX;
    if (!sim->cluster->nodes[node].is_dead) {
        cluster_wake(sim->cluster, node);
        sim_touched(sim, node);
    }
}

static void handle(struct sim *sim, const struct sim_due *event)
{
    switch (event->kind) {
    case SIM_DUE_DELIVER:
        sim_net_deliver(sim, event->a, event->b);
        break;
    case SIM_DUE_WAKE:
        wake(sim, event->a, event->due_us);
        break;
    case SIM_DUE_TURN:
        if (sim->programs[event->a].turn == event->b) {
            sim_program_turn(sim, &sim->programs[event->a]);
        }
        break;
    case SIM_DUE_DECIDE:
        decide(sim);
        break;
    case SIM_DUE_TELL:
        tell(sim, event->a);
        break;
    case SIM_DUE_FINISH:
        finish(sim, event->a);
        break;
    case SIM_DUE_HEAL:
        sim_net_heal(sim, event->a, event->b, event->c != 0);
        break;
    case SIM_DUE_UNCLOG:
        sim_net_unclog(sim, event->a, event->b);
        break;
    case SIM_DUE_PEER_UP:
        sim_net_peer_up(sim, event->a, event->b);
        break;
    case SIM_DUE_DECLARE:
        sim_death_declare(sim, event->a);
        break;
    case SIM_DUE_RESTART:
        sim_death_restart(sim, event->a);
        break;
    case SIM_DUE_RECONNECT:
        sim_death_reconnect(sim, event->a);
        break;
    case SIM_DUE_LEARN:
        sim_death_learn(sim, event->a);
        break;
    default:
        sim_death_on_retired(sim, event->a);
        break;
    }
}

/* --- faults that come by themselves --- */

static bool comes_by_itself(uint32_t fault)
{
    return (fault >= SIM_CUT && fault <= SIM_FORK) || fault == SIM_KILL || fault == SIM_RETIRE ||
           fault == SIM_FALSE_DEATH;
}

static void strike(struct sim *sim, uint32_t fault)
{
    uint32_t one = (uint32_t)sim_draw(&sim->faults, sim->options.nodes);
    uint32_t other = (uint32_t)sim_draw(&sim->faults, sim->options.nodes - 1);

    switch (fault) {
    case SIM_CUT:
    case SIM_HALF_CUT:
        sim_net_cut(sim, fault == SIM_CUT);
        break;
    case SIM_CLOG:
        sim_net_clog(sim);
        break;
    case SIM_MEND:
        sim->stats.faults[SIM_MEND]++;
        sim_net_peer_up(sim, one, other + (other >= one));
        break;
    case SIM_KILL:
        sim_death_kill(sim);
        break;
    case SIM_RETIRE:
        sim_death_retire(sim);
        break;
    case SIM_FALSE_DEATH:
        sim_death_falsify(sim);
        break;
    default:
        sim_program_strike(sim, fault);
        break;
    }
}

static void plan_fault(struct sim *sim, uint32_t fault)
{
    uint64_t weight = sim->options.weights[fault];

    sim->next_fault[fault] = weight == 0 || !comes_by_itself(fault)
                                 ? UINT64_MAX
                                 : sim->stats.events + 1 + sim_draw(&sim->faults, 2 * weight);
}

static void strike_due(struct sim *sim)
{
    sim->next_fault_any = UINT64_MAX;
    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
        if (sim->next_fault[i] <= sim->stats.events) {
            strike(sim, i);
            plan_fault(sim, i);
        }
        if (sim->next_fault[i] < sim->next_fault_any) {
            sim->next_fault_any = sim->next_fault[i];
        }
    }
}

/* --- the run --- */

static bool step(struct sim *sim)
{
    struct sim_due event;

    if (!sim_heap_take(&sim->heap, &event)) {
        return false;
    }
    sim->now_us = event.due_us;
    sim->cluster->now_ms = sim->now_us / 1000;
    sim->stats.events++;
    handle(sim, &event);
    if (sim->stats.events >= sim->next_fault_any && !sim->is_ending) {
        strike_due(sim);
    }
    schedule(sim);
    return true;
}

static void set_up(struct sim *sim)
{
    const struct sim_options *options = &sim->options;
    uint64_t seed = options->seed + options->salt * UINT64_C(0x10001);
    uint64_t budget_bytes = options->budget_pages * options->page_bytes[0];
    struct sim_machine machines[SIM_NODES_MAX];
    nodeset ample = NODESET_EMPTY;
    struct node_config config = {
        .budget_bytes = options->weights[SIM_EVICTION] != 0 ? budget_bytes : 0,
        .read_ahead_pages = options->read_ahead_pages,
        .resend_ms = options->resend_ms,
        .barrier_run = options->barrier_run,
    };

    for (uint32_t i = 0; i < options->nodes; i++) {
        if (options->is_tight_home ? i != 1 : i == 0) {
            nodeset_add(&ample, i);
        }
        machines[i] = (struct sim_machine){options->hardware_bytes[i], options->big_endian[i]};
    }
    sim->net = sim_row_of(seed, ROW_NET);
    sim->faults = sim_row_of(seed, ROW_FAULTS);
    sim->keeper = sim_row_of(seed, ROW_KEEPER);
    sim_heap_init(&sim->heap);
    sim->cluster = cluster_new_unlike(options->nodes, &config, ample, machines);
    sim->cluster->on_send = sim_net_on_send;
    sim->cluster->on_send_context = sim;
    sim->cluster->on_action = on_action;
    sim->cluster->on_action_context = sim;
    sim->cluster->atomics_are_late = options->weights[SIM_LATE_ATOMIC] != 0;
    oracle_record_history(sim->cluster);
    sim->now_us = sim->cluster->now_ms * 1000;
    sim->quiet_since_us = sim->now_us;
    for (uint32_t i = 0; i < options->nodes; i++) {
        sim->hosts[i].wake_us = UINT64_MAX;
        sim->hosts[i].is_slow = options->weights[SIM_LATE_NEWS] != 0 && sim_chance(&sim->keeper, 2);
        sim->cluster->is_late[i] = sim->hosts[i].is_slow;
        sim->stats.faults[SIM_LATE_NEWS] += sim->hosts[i].is_slow;
    }
    sim->stats.faults[SIM_SLOW_KEEPER] += options->weights[SIM_SLOW_KEEPER] != 0;
    sim->stats.faults[SIM_LATE_ATOMIC] += options->weights[SIM_LATE_ATOMIC] != 0;
    sim->stats.faults[SIM_LATE_DEATH] += options->weights[SIM_LATE_DEATH] != 0;
    sim->stats.faults[SIM_EVICTION] += options->weights[SIM_EVICTION] != 0;
    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
        plan_fault(sim, i);
    }
    strike_due(sim);
    sim_programs_init(sim);
}

/* No more trouble: what waits must be served. */
static void settle(struct sim *sim)
{
    uint64_t begun_us = sim->now_us;
    uint64_t bound_us = sim_wait_settle_bound_us(sim);

    note_trouble(sim, SIM_FAULT_KINDS, 0, 0, 0, true);
    sim->is_ending = true;
    sim_net_settle(sim);
    sim_death_settle(sim);
    cluster_heal(sim->cluster);
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        sim->hosts[i].is_slow = false;
        while (sim->cluster->news[i] != NULL) {
            tell(sim, i);
        }
        finish(sim, i);
        sim_touched(sim, i);
    }
    sim->is_deciding = false; /* however late it was to be: now it is soon */
    for (uint32_t i = 0; i < sim->slots; i++) {
        if (!sim->programs[i].is_blocked) {
            sim_program_plan(sim, &sim->programs[i], 1);
        }
    }
    schedule(sim);
    for (uint64_t events = 0; !sim_wait_is_over(sim); events++) {
        if (!step(sim) || sim->now_us - begun_us > bound_us || events > SETTLE_EVENTS_MAX) {
            sim_fail(sim, "O11", "not everybody was served within %llu us after the faults stopped",
                     (unsigned long long)bound_us);
        }
    }
    sim_death_settle(sim); /* who was leaving has left by now, perhaps, and nobody knows */
    sim->stats.settle_us = sim->now_us - begun_us;
    sim->stats.settle_permille = sim->stats.settle_us * 1000 / bound_us;
}

static void take_stats(struct sim *sim)
{
    sim->stats.steps = sim->cluster->steps;
    sim->stats.messages = cluster_messages(sim->cluster);
    sim->stats.virtual_us = sim->cluster->now_ms * 1000 - UINT64_C(1000000000);
}

void sim_run(struct sim *sim, const struct sim_options *options, const struct sim_plant *plant,
             bool is_verbose)
{
    uint64_t last_us = 0, instant_events = 0;

    sim->options = *options;
    sim->plant = plant != NULL ? *plant : (struct sim_plant){0};
    sim->log.is_verbose = is_verbose;
    set_up(sim);
    while (sim->stats.events < options->steps && step(sim)) {
        instant_events = sim->now_us == last_us ? instant_events + 1 : 0;
        last_us = sim->now_us;
        if (instant_events > INSTANT_EVENTS_MAX) {
            sim_fail(sim, "O11", "%u events and no time passes", INSTANT_EVENTS_MAX);
        }
        if (sim->stats.events % WAIT_CHECK_EVENTS == 0) {
            sim_wait_check(sim);
        }
    }
    settle(sim);
    sim_check_end(sim);
    take_stats(sim);
    sim->is_over = true;
    cluster_free(sim->cluster);
    sim->cluster = NULL;
    sim_heap_close(&sim->heap);
}
