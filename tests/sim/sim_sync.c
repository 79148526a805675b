/* SPDX-License-Identifier: Apache-2.0 */
/* What programs do together, and what must come of it (O6 to O9). */
#include "tests/sim/cluster_bytes.h"
#include "tests/sim/sim_program.h"

#define BARRIER_OFFSET 64u
#define TIMEOUT_MS_MAX 5000u

uint64_t sim_sync_lock_page(const struct sim_program *program, uint32_t lock)
{
    return lock > 0 && program->pages > STRIPE_PAGES + 1 ? STRIPE_PAGES : 0;
}

static struct sim_lock *lock_of(struct sim *sim, const struct sim_program *program)
{
    uint32_t lock = sim_sync_lock_page(program, program->lock) != 0 ? 1 : 0;

    return &sim->areas[program->area].locks[lock];
}

static struct sim_barrier *barrier_of(struct sim *sim, const struct sim_program *program)
{
    return &sim->areas[program->area].barriers[program->parties];
}

static bool is_sem(uint32_t op)
{
    return op >= SYNC_SEM_WAIT && op <= SYNC_SEM_VALUE;
}

/* --- beginning --- */

static int64_t draw_timeout(struct sim_program *program)
{
    uint64_t choice = sim_draw(&program->row, 4);

    return choice == 0 ? 0 : (int64_t)sim_draw(&program->row, choice == 1 ? 100 : TIMEOUT_MS_MAX);
}

/* Nobody can say whether its home carries it out; of a semaphore so many units are in doubt. */
static void count_unknown(struct sim *sim, const struct sim_program *program, uint32_t op,
                          uint32_t units)
{
    switch (op) {
    case SYNC_FETCH_ADD:
        sim->areas[program->area].unknown_adds[program->page - SIM_ADD_PAGE]++;
        break;
    case SYNC_COMPARE_SWAP:
        sim->areas[program->area].unknown_swaps++;
        break;
    case SYNC_BARRIER:
        barrier_of(sim, program)->unknown++;
        break;
    case SYNC_SEM_WAIT:
    case SYNC_SEM_POST:
        sim->sems[program->sem_index].unknown_units += units;
        break;
    default:
        break;
    }
}

static void start(struct sim *sim, struct sim_program *program, const struct call *wanted)
{
    struct call call = *wanted;

    if (program->is_void) { /* the home of an outcast's call may have heard of its death, or not */
        count_unknown(sim, program, call.op, 1);
    }
    call.kind = CALL_SYNC;
    call.handle = is_sem(call.op) ? program->sem : program->handle;
    sim_program_call(sim, program, &call, SIM_CALLING);
}

static void start_lock(struct sim *sim, struct sim_program *program)
{
    struct call call = {.op = SYNC_LOCK, .timeout_ms = -1};

    program->lock = (uint32_t)sim_draw(&program->row, SIM_LOCKS);
    call.offset = sim_sync_lock_page(program, program->lock) * program->page_bytes;
    if (program->has_tokens && cluster_token_lock(sim->cluster, program->node, program->area,
                                                  call.offset, program->client)) {
        sim->stats.operations++;
        sim->stats.fast_locks++;
        program->op = SYNC_LOCK;
        program->reply = (struct reply){.node = NODE_NONE};
        sim_sync_on_reply(sim, program);
        sim_sync_end(sim, program);
        return;
    }
    if (sim_chance(&program->row, 2)) {
        call.timeout_ms = draw_timeout(program);
    }
    start(sim, program, &call);
}

static void start_add(struct sim *sim, struct sim_program *program)
{
    const struct sim_area *area = &sim->areas[program->area];
    struct call call = {.op = SYNC_FETCH_ADD, .value = 1, .timeout_ms = -1};
    uint64_t which = sim_draw(&program->row, 2);

    if (area->adds[which] + area->unknown_adds[which] + SIM_PROGRAMS_MAX >= SIM_ADDS) {
        sim_program_rest(sim, program); /* no room to remember more old values */
        return;
    }
    program->page = SIM_ADD_PAGE + which;
    call.offset = program->page * program->page_bytes;
    start(sim, program, &call);
}

static void start_swap(struct sim *sim, struct sim_program *program)
{
    struct sim_area *area = &sim->areas[program->area];
    struct call call = {
        .op = SYNC_COMPARE_SWAP, .offset = SIM_SWAP_PAGE * program->page_bytes, .timeout_ms = -1};

    if (area->swaps + 1 >= SIM_ADDS) {
        sim_program_rest(sim, program);
        return;
    }
    program->page = SIM_SWAP_PAGE;
    program->desired = ++area->swaps; /* offered once only: what replaced a value is known */
    call.value = program->desired;
    call.operand = program->expected;
    start(sim, program, &call);
}

static void start_barrier(struct sim *sim, struct sim_program *program)
{
    struct call call = {.op = SYNC_BARRIER};

    program->parties = 2 + (uint32_t)sim_draw(&program->row, SIM_PARTIES_MAX - 1);
    call.offset = SIM_SWAP_PAGE * program->page_bytes + BARRIER_OFFSET + 8 * program->parties;
    call.value = program->parties;
    call.timeout_ms = 1 + draw_timeout(program);
    barrier_of(sim, program)->arrived++;
    start(sim, program, &call);
}

/*
 * A range is bound to a mutex: mostly what the mutex protects, and what lies behind it, now and
 * then anything, or nothing. Whatever it is, every byte must be right.
 */
static void bind_range(struct sim *sim, struct sim_program *program)
{
    uint64_t mutex = sim_sync_lock_page(program, (uint32_t)sim_draw(&program->row, SIM_LOCKS));
    uint64_t page = mutex + 1, count = 1 + sim_draw(&program->row, 4);
    struct call call = {.kind = CALL_BIND, .handle = program->handle};

    if (sim_chance(&program->row, 4)) {
        page = sim_draw(&program->row, program->pages);
        count = sim_draw(&program->row, 4);
    }
    call.value = mutex * program->page_bytes;
    call.offset = page * program->page_bytes;
    call.size_bytes = count * program->page_bytes;
    sim_program_call(sim, program, &call, SIM_CALLING);
}

void sim_sync_begin(struct sim *sim, struct sim_program *program)
{
    uint64_t choice = sim_draw(&program->row, 13);
    struct call wait = {.op = SYNC_SEM_WAIT};
    struct call post = {.op = SYNC_SEM_POST, .timeout_ms = -1};

    if (program->has_unit) { /* what was taken is given back at once */
        program->has_unit = false;
        sim->sems[program->sem_index].taken -= !program->is_void;
        start(sim, program, &post);
    } else if (choice < 4) {
        start_lock(sim, program);
    } else if (choice < 7) {
        start_add(sim, program);
    } else if (choice < 8) {
        start_swap(sim, program);
    } else if (choice < 10) {
        wait.timeout_ms = draw_timeout(program);
        start(sim, program, &wait);
    } else if (choice < 12) {
        start_barrier(sim, program);
    } else {
        bind_range(sim, program);
    }
}

/* --- outcomes --- */

/* An atomic operation on what is no number of 64 bits, by the region's type. */
static bool has_wrong_type(const struct sim *sim, const struct sim_program *program)
{
    return (program->op == SYNC_FETCH_ADD || program->op == SYNC_COMPARE_SWAP) &&
           !bytes_are_whole_number(sim->cluster, program->area,
                                   program->page * program->page_bytes);
}

static bool may_fail(const struct sim *sim, const struct sim_program *program, int32_t error)
{
    uint64_t page = program->op == SYNC_BARRIER ? SIM_SWAP_PAGE
                    : program->op == SYNC_LOCK || program->op == SYNC_UNLOCK
                        ? sim_sync_lock_page(program, program->lock)
                        : program->page;

    if (error == DSM_EINVAL) {
        return has_wrong_type(sim, program);
    }
    if (error == DSM_ETIMEDOUT || error == DSM_EAGAIN) {
        return program->op == SYNC_LOCK || program->op == SYNC_SEM_WAIT ||
               program->op == SYNC_BARRIER;
    }
    if (error == DSM_EOWNERDEAD) {
        return program->op == SYNC_LOCK;
    }
    return error == DSM_EDOWN &&
           (is_sem(program->op) ? sim->stats.deaths > 0
            : program->op == SYNC_FETCH_ADD || program->op == SYNC_COMPARE_SWAP
                ? oracle_may_be_lost(sim->cluster, program->area, page)
                : oracle_home_is_gone(sim->cluster, program->area, page));
}

static void on_lock(struct sim *sim, struct sim_program *program, int32_t error)
{
    struct sim_lock *lock = lock_of(sim, program);

    if (error != 0 && error != DSM_EOWNERDEAD) {
        return;
    }
    if (program->is_void) {
        lock->died = lock->died && error == 0; /* else it was told, perhaps in time */
        program->has_lock = true;
        return;
    }
    if (lock->holder != 0) {
        sim_fail(sim, "O6", "a mutex of area %u has two holders: programs %u and %u", program->area,
                 lock->holder - 1, (uint32_t)(program - sim->programs));
    }
    if (lock->died && error != DSM_EOWNERDEAD) {
        sim_fail(sim, "O6", "program %u was not told that the mutex's holder died",
                 (uint32_t)(program - sim->programs));
    }
    if (error == DSM_EOWNERDEAD && !sim->has_died) {
        sim_fail(sim, "O6", "program %u was told of a dead holder, and nobody has died",
                 (uint32_t)(program - sim->programs));
    }
    lock->died = false;
    lock->holder = (uint32_t)(program - sim->programs) + 1;
    program->has_lock = true;
}

void sim_sync_unlock(struct sim *sim, struct sim_program *program)
{
    struct call call = {.op = SYNC_UNLOCK,
                        .offset = sim_sync_lock_page(program, program->lock) * program->page_bytes,
                        .timeout_ms = -1};

    if (program->is_void) {
        lock_of(sim, program)->died = false; /* perhaps it was in time */
    } else {
        lock_of(sim, program)->holder = 0;
    }
    program->has_lock = false;
    if (program->has_tokens && cluster_token_unlock(sim->cluster, program->node, program->area,
                                                    call.offset, program->client)) {
        sim->stats.operations++;
        sim_program_rest(sim, program);
        return;
    }
    start(sim, program, &call);
}

static void on_add(struct sim *sim, const struct sim_program *program)
{
    struct sim_area *area = &sim->areas[program->area];
    uint32_t which = (uint32_t)(program->page - SIM_ADD_PAGE);
    const struct reply *reply = &program->reply;

    if (reply->error != 0) {
        area->unknown_adds[which]++;
        return;
    }
    area->adds[which]++;
    if (reply->value >= SIM_ADDS || area->added[which][reply->value]++ != 0) {
        sim_fail(sim, "O9", "two additions to page %llu of area %u gave the value %llu",
                 (unsigned long long)program->page, program->area,
                 (unsigned long long)reply->value);
    }
}

static void on_swap(struct sim *sim, struct sim_program *program)
{
    struct sim_area *area = &sim->areas[program->area];
    const struct reply *reply = &program->reply;

    if (reply->error != 0) {
        area->unknown_swaps++;
        return;
    }
    if (reply->value > area->swaps) {
        sim_fail(sim, "O9", "compare-and-swap found %llu, which nobody has offered",
                 (unsigned long long)reply->value);
    }
    if (reply->value != program->expected) {
        program->expected = reply->value;
        return;
    }
    if (area->after[program->expected] != 0) {
        sim_fail(sim, "O9", "the value %llu was swapped for both %u and %llu",
                 (unsigned long long)program->expected, area->after[program->expected],
                 (unsigned long long)program->desired);
    }
    area->after[program->expected] = (uint16_t)program->desired;
    area->swapped++;
    program->expected = program->desired;
}

static void on_barrier(struct sim *sim, struct sim_program *program)
{
    struct sim_barrier *barrier = barrier_of(sim, program);
    int32_t error = program->reply.error;

    if (error == DSM_EDOWN) {
        barrier->unknown++;
    } else if (error != 0) {
        barrier->arrived--;
    } else if (++barrier->let_go > barrier->arrived / program->parties * program->parties) {
        sim_fail(sim, "O7", "a barrier of %u let %llu go, and only %llu have come",
                 program->parties, (unsigned long long)barrier->let_go,
                 (unsigned long long)barrier->arrived);
    }
}

static void on_wait(struct sim *sim, struct sim_program *program)
{
    if (program->reply.error == 0) {
        program->has_unit = true;
        if (++sim->sems[program->sem_index].taken > SIM_SEM_UNITS) {
            sim_fail(sim, "O8", "a semaphore gave more than it had: %u units",
                     sim->sems[program->sem_index].taken);
        }
    }
}

void sim_sync_on_reply(struct sim *sim, struct sim_program *program)
{
    int32_t error = program->reply.error;

    if (program->is_void) {
        program->has_unit = program->op == SYNC_SEM_WAIT && error == 0;
        if (program->op == SYNC_LOCK) {
            on_lock(sim, program, error);
        }
        return;
    }
    if (error != 0 && !may_fail(sim, program, error)) {
        sim_fail(sim, "O11", "program %u: %s failed and need not have: error %d",
                 (uint32_t)(program - sim->programs), sim_op_name(program->op), error);
    }
    switch (program->op) {
    case SYNC_LOCK:
        on_lock(sim, program, error);
        break;
    case SYNC_FETCH_ADD:
        on_add(sim, program);
        break;
    case SYNC_COMPARE_SWAP:
        on_swap(sim, program);
        break;
    case SYNC_BARRIER:
        on_barrier(sim, program);
        break;
    case SYNC_SEM_WAIT:
        on_wait(sim, program);
        break;
    default:
        break;
    }
    if (is_sem(program->op) && error == DSM_EDOWN) {
        sim->sems[program->sem_index].unknown_units++;
        program->wants_sem = true;
    }
}

void sim_sync_end(struct sim *sim, struct sim_program *program)
{
    bool is_locked = program->op == SYNC_LOCK && program->has_lock;

    if (!is_locked) {
        sim_program_rest(sim, program);
        return;
    }
    program->op = 0;
    program->page = sim_sync_lock_page(program, program->lock) + 1;
    program->state = SIM_READING;
    program->value = 0;
    sim_touch_go_on_locked(sim, program);
}

void sim_sync_drop(struct sim *sim, struct sim_program *program, bool with_node)
{
    bool is_under_way = program->op != 0 && program->call != 0;

    if (program->has_lock) {
        lock_of(sim, program)->holder = 0;
        lock_of(sim, program)->died = true;
    }
    if (!is_under_way) {
        return; /* a unit that it has goes with it, and counts as taken for ever */
    }
    count_unknown(sim, program, program->op, with_node);
    if (program->op == SYNC_SEM_WAIT || program->op == SYNC_SEM_POST) {
        sim->sems[program->sem_index].left_units[program->node]++;
    }
}
