/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulator itself: a seed is one run and no other, a defect of the protocol is found and made
 * smaller, and the command line says what is wrong with it. dsm-sim runs many seeds.
 */
#include "tests/sim/sim_cli.h"
#include "tests/sim/sim_shrink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define GUARD_S 60u

static int set_up(void **state)
{
    struct sim_child *child = calloc(1, sizeof(*child));

    *state = child;
    return child == NULL ? -1 : sim_child_init(child);
}

static int tear_down(void **state)
{
    sim_child_close(*state);
    free(*state);
    return 0;
}

/* --- determinism --- */

static uint64_t hash_of(struct sim_child *child, const struct sim_overrides *overrides,
                        uint64_t seed)
{
    struct sim_outcome outcome;

    assert_true(sim_child_run(child, overrides, seed, GUARD_S, false, &outcome));
    assert_true(child->shared->sim.log.count > 0);
    return child->shared->sim.log.hash;
}

static void test_seed_is_the_same_run_each_time(void **state)
{
    struct sim_overrides none = {0};

    for (uint64_t seed = 1; seed <= 24; seed++) {
        uint64_t hash = hash_of(*state, &none, seed);

        assert_true(hash == hash_of(*state, &none, seed));
        assert_true(hash != hash_of(*state, &none, seed + 1));
    }
}

static void test_run_does_not_depend_on_which_ran_before(void **state)
{
    struct sim_child *child = *state;
    struct sim_overrides none = {0};
    uint64_t hash = hash_of(child, &none, 9);
    struct sim_outcome outcome;
    int status;

    assert_int_equal(sim_child_start(child, &none, 3, 10, GUARD_S, false), 0);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    assert_true(sim_child_ended(child, status, &outcome));
    assert_int_equal(child->shared->count, 7);
    assert_true(hash == child->shared->sim.log.hash);
}

static void test_overrides_change_the_run_and_are_the_same_run_each_time(void **state)
{
    struct sim_overrides none = {0};
    struct sim_overrides small = {.nodes = 2, .programs = 3, .pages = 9, .steps = 500, .salt = 4};
    const struct sim *sim = &((struct sim_child *)*state)->shared->sim;
    uint64_t hash = hash_of(*state, &small, 5);

    assert_int_equal(sim->options.nodes, 2);
    assert_int_equal(sim->options.programs, 3);
    assert_int_equal(sim->options.pages, 9);
    assert_true(hash == hash_of(*state, &small, 5));
    assert_true(hash != hash_of(*state, &none, 5));
    small.salt = 5;
    assert_true(hash != hash_of(*state, &small, 5));
}

static void test_fault_that_is_off_does_not_come(void **state)
{
    const struct sim *sim = &((struct sim_child *)*state)->shared->sim;
    struct sim_overrides overrides = {0};
    uint64_t seen = 0;

    for (uint64_t seed = 1; seed <= 20; seed++) {
        overrides.off[SIM_LOSS] = false;
        hash_of(*state, &overrides, seed);
        seen += sim->stats.faults[SIM_LOSS];
        overrides.off[SIM_LOSS] = true;
        hash_of(*state, &overrides, seed);
        assert_int_equal(sim->stats.faults[SIM_LOSS], 0);
    }
    assert_true(seen > 0);
}

static void test_swarm_has_every_fault_and_runs_without_any(void **state)
{
    uint32_t with[SIM_FAULT_KINDS] = {0}, quiet = 0, large = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct sim_options options;
        uint32_t count = 0;

        sim_options_draw(&options, seed);
        for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
            with[i] += options.weights[i] != 0;
            count += options.weights[i] != 0;
        }
        quiet += count == 0;
        large += options.nodes > 6;
        assert_in_range(options.nodes, SIM_NODES_MIN, SIM_NODES_MAX);
        assert_in_range(options.pages, SIM_PAGES_MIN, SIM_PAGES_MAX);
    }
    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
        assert_in_range(with[i], 200, 1600);
    }
    assert_in_range(quiet, 50, 500);
    assert_in_range(large, 20, 200);
}

/* What a seed's machines and regions have of each kind. */
struct kinds {
    uint32_t with_groups, with_both, huge, mixed_orders, all_big, typed, untyped, mixed_pages;
};

static void count_kinds(struct kinds *kinds, const struct sim_options *options)
{
    uint32_t groups = 0, big = 0;
    bool is_huge = false;

    for (uint32_t i = 0; i < options->nodes; i++) {
        groups += options->hardware_bytes[i] > options->page_bytes[0];
        big += options->big_endian[i];
        is_huge = is_huge || options->hardware_bytes[i] == 2u << 20;
    }
    kinds->with_groups += groups > 0;
    kinds->with_both += groups > 0 && groups < options->nodes;
    kinds->huge += is_huge;
    kinds->mixed_orders += big > 0 && big < options->nodes;
    kinds->all_big += big == options->nodes;
    kinds->typed += options->types[0][0] != 0;
    kinds->untyped += options->types[0][0] == 0;
    kinds->mixed_pages += options->names > 1 && options->page_bytes[0] != options->page_bytes[1];
}

static void test_swarm_has_machines_of_every_kind(void **state)
{
    struct kinds kinds = {0};

    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct sim_options options;

        sim_options_draw(&options, seed);
        count_kinds(&kinds, &options);
    }
    assert_in_range(kinds.with_groups, 400, 1200);
    assert_in_range(kinds.with_both, 200, 1000);
    assert_in_range(kinds.huge, 20, 400);
    assert_in_range(kinds.mixed_orders, 500, 1200);
    assert_in_range(kinds.all_big, 50, 600);
    assert_in_range(kinds.typed, 500, 1600);
    assert_in_range(kinds.untyped, 300, 1200);
    assert_in_range(kinds.mixed_pages, 50, 600);
}

static void test_machines_that_are_to_be_alike_are(void **state)
{
    const struct sim_options *options = &((struct sim_child *)*state)->shared->sim.options;
    struct sim_overrides overrides = {.same_sizes = true, .same_orders = true, .no_types = true};
    struct sim_overrides none = {0};
    struct kinds kinds = {0}, before = {0};

    for (uint64_t seed = 1; seed <= 20; seed++) {
        hash_of(*state, &none, seed);
        count_kinds(&before, options);
        hash_of(*state, &overrides, seed);
        count_kinds(&kinds, options);
        assert_int_equal(options->page_bytes[0], CLUSTER_PAGE_BYTES);
    }
    assert_true(before.with_groups > 0 && before.mixed_orders > 0 && before.typed > 0);
    assert_int_equal(kinds.with_groups + kinds.huge + kinds.mixed_orders + kinds.all_big, 0);
    assert_int_equal(kinds.typed + kinds.mixed_pages, 0);
}

/* --- planted defects --- */

/* A seed that fails when each so many messages of one kind are spoilt (struct sim_plant). */
static uint64_t find_failure(struct sim_child *child, struct sim_overrides *overrides,
                             const struct sim_plant *plant, struct sim_outcome *outcome)
{
    overrides->plant = *plant;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        if (!sim_child_run(child, overrides, seed, GUARD_S, false, outcome)) {
            return seed;
        }
    }
    fail_msg("spoilt messages were not noticed: %s", message_kind_name(plant->kind));
    return 0;
}

static void test_reader_that_says_its_copy_is_gone_and_keeps_it_is_noticed(void **state)
{
    static const struct sim_plant plant = {.kind = MESSAGE_INVALIDATE, .each = 20};
    struct sim_overrides overrides = {0};
    struct sim_outcome outcome;

    find_failure(*state, &overrides, &plant, &outcome);
    assert_true(strcmp(outcome.kind, "O1") == 0 || strcmp(outcome.kind, "O5") == 0);
}

static void test_home_that_never_hears_a_confirmation_is_noticed(void **state)
{
    static const struct sim_plant plant = {
        .kind = MESSAGE_CONFIRM, .turns_into = MESSAGE_SYNC_ACK, .each = 1};
    struct sim_overrides overrides = {0};
    struct sim_outcome outcome;

    find_failure(*state, &overrides, &plant, &outcome);
    assert_string_equal(outcome.kind, "O11");
}

/* Who wanted to read is made the owner: the home's record is wrong soon. */
static const struct sim_plant read_as_write = {
    .kind = MESSAGE_READ, .turns_into = MESSAGE_WRITE, .each = 20};

static void test_failing_run_is_made_smaller_and_fails_in_the_same_way(void **state)
{
    struct sim_child *child = *state;
    struct sim_shrink shrink = {.guard_s = GUARD_S, .seconds = 60};
    struct sim_options first, last;
    struct sim_outcome outcome;

    shrink.seed = find_failure(child, &shrink.best, &read_as_write, &shrink.outcome);
    sim_overrides_apply(&shrink.best, shrink.seed, &first);
    outcome = shrink.outcome;
    sim_shrink(&shrink, child);
    sim_overrides_apply(&shrink.best, shrink.seed, &last);
    assert_string_equal(shrink.outcome.kind, outcome.kind);
    assert_true(last.steps < first.steps);
    /* What is wrong has nothing to do with unlike machines. */
    assert_true(shrink.best.same_sizes && shrink.best.same_orders && shrink.best.no_types);
    assert_true(last.nodes <= first.nodes && last.programs <= first.programs);
    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
        assert_true(last.weights[i] == 0 || last.weights[i] == first.weights[i]);
    }
    assert_false(sim_child_run(child, &shrink.best, shrink.seed, GUARD_S, false, &outcome));
    assert_string_equal(shrink.outcome.kind, outcome.kind);
}

static void test_batch_goes_on_after_a_seed_that_fails(void **state)
{
    struct sim_batch *batch = calloc(1, sizeof(*batch));
    struct sim_overrides overrides = {0};
    struct sim_outcome outcome;
    uint64_t seed = find_failure(*state, &overrides, &read_as_write, &outcome);

    assert_non_null(batch);
    batch->first = 1;
    batch->count = seed + 40;
    batch->jobs = 2;
    batch->guard_s = GUARD_S;
    batch->overrides = overrides;
    assert_int_equal(sim_batch_run(batch), 0);
    assert_int_equal(batch->seeds, seed + 40);
    assert_true(batch->failed >= 1);
    assert_int_equal(batch->failures[0].seed, seed);
    assert_string_equal(batch->failures[0].kind, outcome.kind);
    free(batch);
}

/* --- the command line --- */

/* What main() would return, and the end of what it tells on standard error. */
static int run_main(int argc, char **argv, char *errors, size_t bytes)
{
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO), status;
    size_t used;

    assert_non_null(file);
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    status = sim_cli_main(argc, argv);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    used = fread(errors, 1, bytes - 1, file);
    errors[used] = 0;
    fclose(file);
    return status;
}

static void test_wrong_command_line_is_told_by_name(void **state)
{
    static const struct {
        const char *argument, *value, *told;
    } rows[] = {
        {"--nodes", "65", "--nodes 65: must be a number from 2 to 64"},
        {"--nodes", "1", "--nodes 1"},
        {"--seed", "seven", "--seed seven"},
        {"--seeds", "0", "--seeds 0"},
        {"--pages", "-8", "--pages -8"},
        {"--jobs", "", "--jobs :"},
        {"--no-weather", NULL, "no-weather"},
        {"--seed", NULL, "requires an argument"},
        {"lost", NULL, "lost: no arguments are taken"},
    };
    char errors[1024];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char name[] = "dsm-sim", argument[32], value[32];
        char *argv[] = {name, argument, rows[i].value != NULL ? value : NULL, NULL};

        snprintf(argument, sizeof(argument), "%s", rows[i].argument);
        snprintf(value, sizeof(value), "%s", rows[i].value != NULL ? rows[i].value : "");
        assert_int_equal(run_main(rows[i].value != NULL ? 3 : 2, argv, errors, sizeof(errors)),
                         SIM_EXIT_USAGE);
        assert_non_null(strstr(errors, rows[i].told));
    }
}

static void test_overrides_are_printed_as_they_are_read(void **state)
{
    struct sim_overrides overrides = {.nodes = 3, .pages = 12, .salt = 7};
    char text[1024], name[] = "dsm-sim";
    char *argv[32] = {name};
    struct sim_cli *cli = calloc(1, sizeof(*cli));
    int argc = 1;

    (void)state;
    overrides.same_sizes = true;
    overrides.same_orders = true;
    overrides.no_types = true;
    overrides.off[SIM_CRASH] = true;
    overrides.off[SIM_LATE_DEATH] = true;
    sim_overrides_print(&overrides, text, sizeof(text));
    for (char *rest = text, *word; (word = strsep(&rest, " ")) != NULL;) {
        if (word[0] != 0) {
            argv[argc++] = word;
        }
    }
    assert_true(sim_cli_parse(cli, argc, argv));
    assert_memory_equal(&cli->batch.overrides, &overrides, sizeof(overrides));
    free(cli);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_seed_is_the_same_run_each_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run_does_not_depend_on_which_ran_before, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_overrides_change_the_run_and_are_the_same_run_each_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fault_that_is_off_does_not_come, set_up, tear_down),
        cmocka_unit_test(test_swarm_has_every_fault_and_runs_without_any),
        cmocka_unit_test(test_swarm_has_machines_of_every_kind),
        cmocka_unit_test_setup_teardown(test_machines_that_are_to_be_alike_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_reader_that_says_its_copy_is_gone_and_keeps_it_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_home_that_never_hears_a_confirmation_is_noticed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failing_run_is_made_smaller_and_fails_in_the_same_way,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_batch_goes_on_after_a_seed_that_fails, set_up,
                                        tear_down),
        cmocka_unit_test(test_wrong_command_line_is_told_by_name),
        cmocka_unit_test(test_overrides_are_printed_as_they_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
