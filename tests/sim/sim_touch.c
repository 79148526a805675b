/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How programs read and write. A thread that faults sleeps until its page is filled, allowed,
 * poisoned or it is told to look again, as the kernel does it: what is not woken waits for ever,
 * and what is woken too late may find the page gone again.
 */
#include "dsm_advice.h"
#include "tests/sim/sim_program.h"
#include "tests/sim/sim_wait.h"

/** One deed in so many is advice. */
#define ADVICE_RARITY 24u
#define ADVICES DSM_ADVICE_MIGRATORY

/** A thread that was woken runs so much later at most. */
#define RUN_US 12u
#define SHARED_PAGES 3u

static uint64_t free_pages(const struct sim_program *program)
{
    return program->pages - SIM_FREE_PAGE;
}

static bool is_protected(const struct sim_program *program, uint64_t page)
{
    for (uint32_t i = 0; i < SIM_LOCKS; i++) {
        if (page == sim_sync_lock_page(program, i) + 1) {
            return true;
        }
    }
    return false;
}

/* Writers of this pattern come first in the region's list; the others follow them. */
static void choose_produced(struct sim *sim, struct sim_program *program)
{
    struct sim_area *area = &sim->areas[program->area];
    uint32_t index = (uint32_t)(program - sim->programs);

    program->write = index % 4 == 0;
    if (program->write) {
        area->produced++;
    }
    program->page = SIM_FREE_PAGE + area->produced % free_pages(program);
}

static void choose_page(struct sim *sim, struct sim_program *program)
{
    uint64_t pages = free_pages(program);

    program->write = sim_chance(&program->row, 2);
    switch (program->pattern) {
    case SIM_HOT:
        program->page = SIM_FREE_PAGE;
        break;
    case SIM_SEQUENTIAL:
        program->write = sim_chance(&program->row, 8);
        program->page = SIM_FREE_PAGE + ++program->position % pages;
        break;
    case SIM_STREAM:
        program->write = sim_chance(&program->row, program->node == 0 ? 2 : 100);
        program->page = SIM_FREE_PAGE + ++program->position % pages;
        break;
    case SIM_SHARING:
        program->write = !sim_chance(&program->row, 4);
        program->page = SIM_FREE_PAGE + sim_draw(&program->row, SHARED_PAGES) % pages;
        break;
    case SIM_MIGRATORY:
        program->write = ++program->position % 2 == 0;
        program->page = SIM_FREE_PAGE + program->position / 2 % pages;
        break;
    case SIM_PRODUCER:
        choose_produced(sim, program);
        break;
    default:
        program->page = SIM_FREE_PAGE + sim_draw(&program->row, pages);
        break;
    }
}

/* Whatever it says, every byte must be right. */
static void advise(struct sim *sim, struct sim_program *program)
{
    uint64_t page = sim_draw(&program->row, program->pages);
    uint64_t count = 1 + sim_draw(&program->row, program->pages - page);
    struct call call = {.kind = CALL_ADVISE,
                        .op = (uint8_t)(DSM_ADVICE_WILL_NEED + sim_draw(&program->row, ADVICES)),
                        .handle = program->handle,
                        .offset = page * program->page_bytes,
                        .size_bytes = count * program->page_bytes};

    sim_program_call(sim, program, &call, SIM_CALLING);
}

void sim_touch_begin(struct sim *sim, struct sim_program *program)
{
    if (program->pages > 0 && sim_chance(&program->row, ADVICE_RARITY)) {
        advise(sim, program);
        return;
    }
    choose_page(sim, program);
    if (sim_chance(&program->row, 12)) { /* what the home adds to is read like any other page */
        program->page = SIM_ADD_PAGE + sim_draw(&program->row, 3);
        program->write = false;
    }
    if (is_protected(program, program->page) || program->is_reader) {
        program->write = false;
    }
    program->waits_since_us = 0;
    program->state = SIM_TOUCHING;
    program->value = program->write ? ++sim->next_value : 0;
    sim_touch_go_on(sim, program);
}

/* One access; false: the thread sleeps until it is woken. */
static bool touch(struct sim *sim, struct sim_program *program, bool write, uint64_t *value)
{
    struct sim_note note = {.us = sim->now_us,
                            .kind = NOTE_TOUCH,
                            .what = write,
                            .node = program->node,
                            .other = (uint32_t)(program - sim->programs),
                            .page = program->page};

    program->is_blocked = true; /* it may be woken before this returns */
    if (program->waits_since_us == 0) {
        program->waits_since_us = sim->now_us;
    }
    if (cluster_touch(sim->cluster, program->node, program->map, program->page, write, value)) {
        program->is_blocked = false;
        sim_wait_note(sim, program);
        note.flag = true;
    }
    note.value = *value;
    sim_log_add(&sim->log, &note);
    sim_touched(sim, program->node);
    return note.flag;
}

void sim_touch_go_on(struct sim *sim, struct sim_program *program)
{
    uint64_t value = program->value;

    if (!touch(sim, program, program->write, &value)) {
        return;
    }
    if (value == UINT64_MAX && !program->is_void) {
        sim_check_loss(sim, program->area, program->page, program->node);
    }
    sim->stats.operations++;
    sim_program_rest(sim, program);
}

/*
 * Read and write in turns some time apart, between which whoever else had the mutex too would be
 * noticed.
 */
void sim_touch_go_on_locked(struct sim *sim, struct sim_program *program)
{
    uint64_t now = 0, value;

    if (program->state == SIM_READING) {
        if (touch(sim, program, false, &program->value)) {
            program->state = SIM_WRITING;
            sim_program_plan(sim, program, sim_draw(&program->row, sim->options.think_us + 1));
        }
        return;
    }
    if (program->value != UINT64_MAX) {
        if (!touch(sim, program, false, &now)) {
            return;
        }
        if (now != UINT64_MAX && now != program->value && !program->is_void) {
            sim_fail(sim, "O6", "a write under a mutex was overwritten: page %llu, area %u",
                     (unsigned long long)program->page, program->area);
        }
        value = sim->next_value + 1;
        if (!touch(sim, program, true, &value)) {
            return;
        }
        sim->next_value++;
        now = value;
    }
    if ((program->value == UINT64_MAX || now == UINT64_MAX) && !program->is_void) {
        sim_check_loss(sim, program->area, program->page, program->node);
    }
    sim_sync_unlock(sim, program);
}

/* Does an action on frames wake the threads that wait in this mapping? */
static bool wakes(const struct action *action, map_id map, bool has_groups)
{
    switch (action->kind) {
    case ACTION_FILL:
        return !has_groups; /* else it lies aside */
    case ACTION_GATHER:
    case ACTION_POISON:
        return true; /* in every map */
    case ACTION_ALLOW:
    case ACTION_WAKE:
        return action->map == map || action->map == 0;
    default:
        return false;
    }
}

void sim_touch_wake(struct sim *sim, uint32_t node, const struct action *action)
{
    if (action->kind == ACTION_SEND || action->kind == ACTION_PROTECT ||
        action->kind == ACTION_DROP) {
        return;
    }
    for (uint32_t i = 0; i < sim->slots; i++) {
        struct sim_program *program = &sim->programs[i];

        if (program->is_blocked && program->node == node && program->page >= action->page &&
            program->page < action->page + action->count &&
            program->area == sim_area_of(sim, action->region) &&
            wakes(action, program->map,
                  cluster_group_size(sim->cluster, node, program->area) > 1)) {
            program->is_blocked = false;
            sim_program_plan(sim, program, sim_draw(&program->row, RUN_US));
        }
    }
}
