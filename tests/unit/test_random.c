/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random runs of the protocol from many seeds: no increment is lost, no read goes back, nobody
 * waits for ever, whatever is lost, repeated or overtaken. DSM_SEED=n replays one seed;
 * DSM_SEEDS=n runs so many.
 */
#include "tests/sim/random_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FIRST_SEED 1u
#define COUNT_SEEDS 150u

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

/* What a seed runs: small and large clusters, all lengths of ranges, with and without faults. */
static struct random_run options_of(uint64_t seed)
{
    static const uint64_t pages[] = {1, 4, 24, 130, 600};
    static const uint32_t read_ahead[] = {1, 4, 64, 256};
    static const uint32_t lose[] = {0, 10, 60};
    static const uint32_t duplicate[] = {0, 20, 100};
    struct random_run options = {
        .seed = seed,
        .nodes = 2 + (uint32_t)(seed % 4),
        .pages = pages[seed % 5],
        .steps = 6000,
        .read_ahead_pages = read_ahead[seed / 2 % 4],
        .lose_permille = lose[seed / 3 % 3],
        .duplicate_permille = duplicate[seed / 5 % 3],
    };

    options.programs = options.nodes + (uint32_t)(seed / 7 % 3) * options.nodes / 2;
    options.budget_pages = seed % 3 == 0 ? 2 + options.pages / 4 : 0;
    return options;
}

static void test_random_runs_lose_nothing_and_end(void **state)
{
    uint64_t first = from_environment("DSM_SEED", FIRST_SEED);
    uint64_t count = getenv("DSM_SEED") != NULL ? 1 : from_environment("DSM_SEEDS", COUNT_SEEDS);
    uint64_t operations = 0;

    (void)state;
    print_message("random: seeds %llu to %llu; DSM_SEED=n replays one\n",
                  (unsigned long long)first, (unsigned long long)(first + count - 1));
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct random_run options = options_of(seed);
        uint64_t done = 0;
        const char *error = random_run(&options, &done);

        if (error != NULL) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, error);
        }
        operations += done;
    }
    assert_true(operations > count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_runs_lose_nothing_and_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
