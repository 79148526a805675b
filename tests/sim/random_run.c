/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/random_run.h"
#include "tests/sim/oracle.h"

#include <stdio.h>
#include <string.h>

#define PROGRAMS_MAX 16

struct program {
    uint32_t node;
    map_id map;
    uint64_t page;
    bool write;
    bool is_busy;
    uint64_t seen[CLUSTER_PAGES]; /* the last value read: it never goes back */
};

struct run {
    struct cluster *cluster;
    struct random_run options;
    struct program programs[PROGRAMS_MAX];
    uint64_t expected[CLUSTER_PAGES];
    uint64_t done;
    uint64_t state;
    const char *error;
};

static uint64_t draw(struct run *run, uint64_t below)
{
    run->state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 (Steele et al. 2014) */
    uint64_t z = run->state;

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

static void set_up(struct run *run)
{
    uint32_t home = draw(run, 2) ? DSM_HOME_STRIPED : DSM_HOME_CREATOR;

    for (uint32_t i = 0; i < run->options.programs; i++) {
        struct program *program = &run->programs[i];
        uint64_t handle;

        program->node = i % run->options.nodes;
        handle = cluster_open(run->cluster, program->node, i + 1, "/r", run->options.pages, home);
        program->map = cluster_map(run->cluster, program->node, i + 1, handle);
    }
}

/* A program wants something new, or tries again what it wanted. */
static void go_on(struct run *run, struct program *program)
{
    uint64_t value = 0;

    if (!program->is_busy) {
        program->is_busy = true;
        program->page = draw(run, 4) ? draw(run, run->options.pages)
                                     : (program->page + 1) % run->options.pages;
        program->write = draw(run, 2) == 0;
    }
    if (program->write) {
        uint64_t next = run->expected[program->page] + 1;

        if (!cluster_touch(run->cluster, program->node, program->map, program->page, false,
                           &value)) {
            return;
        }
        if (!cluster_touch(run->cluster, program->node, program->map, program->page, true, &next)) {
            return;
        }
        if (value + 1 != next) {
            run->error = "a write was lost";
        }
        run->expected[program->page] = next;
    } else {
        if (!cluster_touch(run->cluster, program->node, program->map, program->page, false,
                           &value)) {
            return;
        }
        if (value < program->seen[program->page]) {
            run->error = "a read went back";
        }
        if (value > run->expected[program->page]) {
            run->error = "a read from the future";
        }
        program->seen[program->page] = value;
    }
    program->is_busy = false;
    run->done++;
}

static void move_message(struct run *run)
{
    uint32_t from = (uint32_t)draw(run, run->options.nodes);
    uint32_t to = (uint32_t)draw(run, run->options.nodes);
    uint64_t fate = draw(run, 1000);

    if (fate < run->options.lose_permille) {
        cluster_lose(run->cluster, from, to);
    } else if (fate < run->options.lose_permille + run->options.duplicate_permille) {
        cluster_duplicate(run->cluster, from, to);
    } else {
        cluster_deliver(run->cluster, from, to);
    }
}

static bool is_idle(const struct run *run)
{
    for (uint32_t i = 0; i < run->options.programs; i++) {
        if (run->programs[i].is_busy) {
            return false;
        }
    }
    return true;
}

/* Faults have stopped: everything that waits must be served. */
static void settle(struct run *run)
{
    for (uint32_t i = 0; i < 400 && !is_idle(run) && run->error == NULL; i++) {
        for (uint32_t j = 0; j < run->options.programs; j++) {
            /* A thread that is woken runs before its page may be taken or dropped again. */
            for (uint32_t tries = 0; tries < 3 && run->programs[j].is_busy; tries++) {
                go_on(run, &run->programs[j]);
                cluster_run(run->cluster);
            }
        }
        cluster_advance(run->cluster, 200);
    }
    if (!is_idle(run) && run->error == NULL) {
        run->error = "a program waits for ever";
    }
    cluster_advance(run->cluster, 5000); /* what was lost of the last transfers is repeated */
    for (uint64_t page = 0; page < run->options.pages && run->error == NULL; page++) {
        const struct program *program = &run->programs[draw(run, run->options.programs)];

        if (cluster_read(run->cluster, program->node, program->map, page) !=
            run->expected[page]) {
            run->error = "the last value is not that of the last write";
        }
    }
}

const char *random_run(const struct random_run *options, uint64_t *operations)
{
    struct node_config config = {.budget_bytes = options->budget_pages * 4096,
                                 .read_ahead_pages = options->read_ahead_pages};
    static const uint64_t weights_max = 16;
    struct run run = {.options = *options, .state = options->seed};

    run.cluster = cluster_new(options->nodes, &config);
    oracle_record_history(run.cluster);
    set_up(&run);
    for (uint64_t i = 0; i < options->steps && run.error == NULL; i++) {
        uint64_t choice = draw(&run, weights_max);

        if (choice < 4) {
            go_on(&run, &run.programs[draw(&run, options->programs)]);
        } else if (choice < 15) {
            move_message(&run);
        } else {
            cluster_decide(run.cluster);
            if (draw(&run, 50) == 0) {
                cluster_advance(run.cluster, draw(&run, 600));
            }
        }
    }
    if (run.error == NULL) {
        settle(&run);
    }
    if (run.error == NULL) {
        cluster_run(run.cluster);
        cluster_advance(run.cluster, 40000);
        oracle_check_history(run.cluster);
        oracle_check_quiet(run.cluster);
    }
    *operations = run.done;
    if (run.error != NULL) {
        fprintf(stderr, "seed %llu: %s\n%s\n", (unsigned long long)options->seed, run.error,
                cluster_take_log(run.cluster));
    }
    cluster_free(run.cluster);
    return run.error;
}
