/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each way between two nodes keeps its messages in order, as a TCP connection does; ways are
 * independent of each other. A connection that breaks loses what is on it in both directions, and
 * both ends are told when it works again; bare loss, of which nobody is told, is checked as well.
 */
#include "tests/sim/sim_net.h"

#define DELAY_MAX_US 30000000u
#define TAIL_DOUBLINGS 12u
#define TROUBLE_MIN_US 1000u
#define TROUBLE_MAX_US 8000000u
/** Once the faults have stopped no message takes longer. */
#define SETTLE_DELAY_MAX_US 2000u

static uint64_t draw_delay(struct sim *sim, uint32_t from, uint32_t to)
{
    uint64_t us = sim->options.delay_us;
    uint64_t factor = sim->links[from][to].factor;

    if (sim->is_ending) {
        return us < SETTLE_DELAY_MAX_US ? us : SETTLE_DELAY_MAX_US;
    }
    if (sim->options.delay == SIM_SPREAD) {
        us = us / 2 + sim_draw(&sim->net, us + 1);
    } else if (sim->options.delay == SIM_TAIL) {
        uint32_t doublings = 0;

        while (doublings < TAIL_DOUBLINGS && sim_chance(&sim->net, 2)) {
            doublings++;
        }
        us = us / 2 + ((us << doublings) >> 1);
    }
    factor = factor > 1 ? factor : 1;
    factor = sim->hosts[from].factor > factor ? sim->hosts[from].factor : factor;
    factor = sim->hosts[to].factor > factor ? sim->hosts[to].factor : factor;
    us *= factor;
    return us < DELAY_MAX_US ? us : DELAY_MAX_US;
}

static void schedule(struct sim *sim, uint32_t from, uint32_t to)
{
    struct sim_link *link = &sim->links[from][to];
    const struct envelope *first = cluster_first(sim->cluster, from, to);

    if (first != NULL && !link->is_scheduled && link->cuts == 0) {
        link->is_scheduled = true;
        sim_at(sim, first->due_us > sim->now_us ? first->due_us : sim->now_us, SIM_DUE_DELIVER,
               from, to, 0);
    }
}

/* A test of the simulator has planted a defect: now and then a message is another one. */
static void spoil(struct sim *sim, struct envelope *envelope)
{
    if (sim->plant.kind != 0 && envelope->message.kind == sim->plant.kind &&
        ++sim->planted % sim->plant.each == 0) {
        if (sim->plant.turns_into != 0) {
            envelope->message.kind = (uint8_t)sim->plant.turns_into;
        } else {
            envelope->message.version = 0;
        }
    }
}

void sim_net_on_send(void *context, struct envelope *envelope)
{
    struct sim *sim = context;
    uint32_t from = envelope->message.from, to = envelope->message.to;
    struct sim_link *link = &sim->links[from][to];

    sim_log_message(&sim->log, sim->now_us, NOTE_SEND, &envelope->message);
    spoil(sim, envelope);
    envelope->due_us = sim->now_us + draw_delay(sim, from, to);
    if (envelope->due_us < link->last_due_us) {
        envelope->due_us = link->last_due_us;
    }
    link->last_due_us = envelope->due_us;
    schedule(sim, from, to);
}

static void lose_all(struct sim *sim, uint32_t from, uint32_t to)
{
    while (cluster_first(sim->cluster, from, to) != NULL) {
        sim_log_message(&sim->log, sim->now_us, NOTE_LOSE,
                        &cluster_first(sim->cluster, from, to)->message);
        cluster_lose(sim->cluster, from, to);
    }
    sim->links[from][to].last_due_us = 0;
}

void sim_net_deliver(struct sim *sim, uint32_t from, uint32_t to)
{
    struct sim_link *link = &sim->links[from][to];
    const struct envelope *first = cluster_first(sim->cluster, from, to);
    const uint32_t *weights = sim->options.weights;
    uint64_t fate;

    link->is_scheduled = false;
    if (first == NULL || link->cuts != 0 || first->due_us > sim->now_us) {
        schedule(sim, from, to);
        return;
    }
    fate = weights[SIM_LOSS] + weights[SIM_DUPLICATE] != 0 && !sim->is_ending
               ? sim_draw(&sim->net, 10000)
               : 10000;
    if (fate < weights[SIM_LOSS]) {
        sim_log_message(&sim->log, sim->now_us, NOTE_LOSE, &first->message);
        sim_trouble(sim, SIM_LOSS, from, to, 0, false);
        sim->has_lost = true;
        cluster_lose(sim->cluster, from, to);
    } else if (fate < weights[SIM_LOSS] + weights[SIM_DUPLICATE]) {
        sim_log_message(&sim->log, sim->now_us, NOTE_REPEAT, &first->message);
        sim->stats.faults[SIM_DUPLICATE]++;
        cluster_duplicate(sim->cluster, from, to);
    } else {
        sim_log_message(&sim->log, sim->now_us, NOTE_DELIVER, &first->message);
        cluster_deliver(sim->cluster, from, to);
    }
    sim_touched(sim, to);
    schedule(sim, from, to);
}

void sim_net_cut(struct sim *sim, bool both)
{
    uint32_t one = (uint32_t)sim_draw(&sim->faults, sim->options.nodes);
    uint32_t other = (uint32_t)sim_draw(&sim->faults, sim->options.nodes - 1);
    uint64_t us = sim_draw_log(&sim->faults, TROUBLE_MIN_US, TROUBLE_MAX_US);

    other += other >= one;
    sim->links[one][other].cuts++;
    sim->links[other][one].cuts += both;
    sim_trouble(sim, both ? SIM_CUT : SIM_HALF_CUT, one, other, us, true);
    sim_at(sim, sim->now_us + us, SIM_DUE_HEAL, one, other, both);
}

void sim_net_heal(struct sim *sim, uint32_t one, uint32_t other, bool both)
{
    uint64_t way = sim_draw(&sim->faults, 4);

    if (sim->is_ending) {
        return; /* sim_net_settle() has done it */
    }
    sim->links[one][other].cuts--;
    sim->links[other][one].cuts -= both;
    sim->has_lost = sim->has_lost || way == 1;
    if (way != 0) { /* else all of it arrives now */
        lose_all(sim, one, other);
        if (both || way != 1) {
            lose_all(sim, other, one);
        }
        if (way != 1) { /* else nobody is told */
            sim_at(sim, sim->now_us + sim_draw(&sim->faults, 5000), SIM_DUE_PEER_UP, one, other, 0);
            sim_at(sim, sim->now_us + sim_draw(&sim->faults, 5000), SIM_DUE_PEER_UP, other, one, 0);
        }
    }
    schedule(sim, one, other);
    schedule(sim, other, one);
    sim_trouble_ends(sim, both ? SIM_CUT : SIM_HALF_CUT, one, other);
}

static void cut_off(struct sim *sim, uint32_t node, int change)
{
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        if (i != node && sim->hosts[node].is_deaf) {
            sim->links[i][node].cuts = (uint16_t)(sim->links[i][node].cuts + change);
        }
        if (i != node && sim->hosts[node].is_mute) {
            sim->links[node][i].cuts = (uint16_t)(sim->links[node][i].cuts + change);
        }
    }
}

void sim_net_isolate(struct sim *sim, uint32_t node, bool is_deaf, bool is_mute)
{
    sim->hosts[node].is_deaf = is_deaf;
    sim->hosts[node].is_mute = is_mute;
    cut_off(sim, node, 1);
}

void sim_net_reconnect(struct sim *sim, uint32_t node)
{
    struct sim_host *host = &sim->hosts[node];
    bool is_lost = sim_chance(&sim->faults, 2);

    if (sim->is_ending || (!host->is_deaf && !host->is_mute)) {
        return;
    }
    cut_off(sim, node, -1);
    host->is_deaf = host->is_mute = false;
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        if (i == node) {
            continue;
        }
        if (is_lost) {
            lose_all(sim, node, i);
            lose_all(sim, i, node);
            sim_at(sim, sim->now_us + sim_draw(&sim->faults, 5000), SIM_DUE_PEER_UP, node, i, 0);
            sim_at(sim, sim->now_us + sim_draw(&sim->faults, 5000), SIM_DUE_PEER_UP, i, node, 0);
        }
        schedule(sim, node, i);
        schedule(sim, i, node);
    }
}

void sim_net_clog(struct sim *sim)
{
    uint32_t one = (uint32_t)sim_draw(&sim->faults, sim->options.nodes);
    uint32_t other = (uint32_t)sim_draw(&sim->faults, sim->options.nodes - 1);
    uint64_t us = sim_draw_log(&sim->faults, TROUBLE_MIN_US, TROUBLE_MAX_US);
    uint32_t factor = (uint32_t)sim_draw_log(&sim->faults, 100, 1000);

    other += other >= one;
    if (sim_chance(&sim->faults, 3)) {
        sim->hosts[one].factor = factor;
        other = NODE_NONE;
    } else {
        sim->links[one][other].factor = factor;
    }
    sim_trouble(sim, SIM_CLOG, one, other, factor, true);
    sim_at(sim, sim->now_us + us, SIM_DUE_UNCLOG, one, other, 0);
}

/* Everything on this way arrives now. */
static void flush(struct sim *sim, uint32_t from, uint32_t to, uint64_t due_us)
{
    struct sim_link *link = &sim->links[from][to];

    link->factor = 0;
    link->last_due_us = due_us;
    for (struct envelope *envelope = cluster_first(sim->cluster, from, to); envelope != NULL;
         envelope = envelope->next) {
        envelope->due_us = due_us;
    }
    link->is_scheduled = false; /* what is scheduled comes too late, and finds nothing */
    schedule(sim, from, to);
}

void sim_net_unclog(struct sim *sim, uint32_t from, uint32_t to)
{
    if (sim->is_ending) {
        return;
    }
    if (to != NODE_NONE) {
        flush(sim, from, to, sim->now_us);
    } else {
        sim->hosts[from].factor = 0;
        for (uint32_t i = 0; i < sim->options.nodes; i++) {
            flush(sim, from, i, sim->now_us);
            flush(sim, i, from, sim->now_us);
        }
    }
    sim_trouble_ends(sim, SIM_CLOG, from, to);
}

void sim_net_peer_up(struct sim *sim, uint32_t node, uint32_t peer)
{
    cluster_peer_up(sim->cluster, node, peer);
    sim_touched(sim, node);
}

void sim_net_join(struct sim *sim, uint32_t node)
{
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        if (i != node) {
            sim->links[node][i].last_due_us = 0;
            sim->links[i][node].last_due_us = 0;
            sim_at(sim, sim->now_us + sim_draw(&sim->faults, 5000), SIM_DUE_PEER_UP, node, i, 0);
            sim_at(sim, sim->now_us + sim_draw(&sim->faults, 5000), SIM_DUE_PEER_UP, i, node, 0);
        }
    }
}

void sim_net_settle(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        sim->hosts[i].factor = 0;
        for (uint32_t j = 0; j < sim->options.nodes; j++) {
            sim->links[i][j].cuts = 0;
            flush(sim, i, j, sim->now_us + SETTLE_DELAY_MAX_US);
            if (i != j) {
                sim_at(sim, sim->now_us + SETTLE_DELAY_MAX_US, SIM_DUE_PEER_UP, i, j, 0);
            }
        }
    }
}
