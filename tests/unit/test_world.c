/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random worlds from many seeds (tests/sim/world.h): programs that synchronise, come, go and die,
 * nodes that die and come again, news that are late, links that lose, repeat and hold up.
 * DSM_SEED=n replays one seed; DSM_SEEDS=n runs so many.
 */
#include "tests/sim/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FIRST_SEED 1u
#define COUNT_SEEDS 400u

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

/*
 * The next of a row of numbers that begins with the seed, below a bound (Knuth's MMIX generator).
 */
static uint32_t next(uint64_t *row, uint32_t below)
{
    *row = *row * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*row >> 33) % below;
}

/*
 * What a seed runs: each kind of trouble is there or not, so that each is seen alone and with
 * others.
 */
static struct world_options options_of(uint64_t seed)
{
    uint64_t row = seed;
    struct world_options options = {.seed = seed};

    options.nodes = 2 + next(&row, 6);
    options.programs = 1 + next(&row, WORLD_PROGRAMS);
    options.pages = next(&row, 3) != 0 ? WORLD_PAGES_MIN + next(&row, 30) : 70 + next(&row, 200);
    options.steps = 2000 + next(&row, 12000);
    options.budget_pages = next(&row, 3) != 0 ? 0 : 1 + next(&row, 40);
    options.read_ahead_pages = 1 + next(&row, next(&row, 2) != 0 ? 8 : 256);
    options.lose_permille = next(&row, 2) != 0 ? 0 : next(&row, 100);
    options.duplicate_permille = next(&row, 2) != 0 ? 0 : next(&row, 100);
    options.striped = next(&row, 2) != 0;
    options.late_news = next(&row, 2) != 0;
    options.held_links = next(&row, 2) != 0;
    options.dying_programs = next(&row, 2) != 0;
    options.new_regions = next(&row, 2) != 0;
    options.dying_nodes = next(&row, 2) != 0 ? 0 : next(&row, 5);
    return options;
}

static void test_random_worlds_keep_every_promise(void **state)
{
    uint64_t first = from_environment("DSM_SEED", FIRST_SEED);
    uint64_t count = getenv("DSM_SEED") != NULL ? 1 : from_environment("DSM_SEEDS", COUNT_SEEDS);
    uint64_t operations = 0;

    (void)state;
    print_message("world: seeds %llu to %llu; DSM_SEED=n replays one\n",
                  (unsigned long long)first, (unsigned long long)(first + count - 1));
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct world_options options = options_of(seed);
        uint64_t done = 0;
        const char *error = world_run(&options, &done);

        operations += done;
        if (error != NULL) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, error);
        }
    }
    print_message("world: %llu operations\n", (unsigned long long)operations);
    assert_true(count == 1 || operations > count * 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_worlds_keep_every_promise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
