/* SPDX-License-Identifier: Apache-2.0 */
/* What dsm-sim prints, and in which order it does things. */
#include "tests/sim/sim_cli.h"

#include <jansson.h>
#include <string.h>

#include "tests/sim/sim_shrink.h"

#define TEXT_BYTES 16384u
#define SHRINK_SECONDS 120u

static json_t *json_stats(const struct sim_stats *stats)
{
    json_t *faults = json_object();

    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
        json_object_set_new(faults, sim_fault_name(i), json_integer((json_int_t)stats->faults[i]));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "operations",
                     (json_int_t)stats->operations, "fast_locks", (json_int_t)stats->fast_locks,
                     "events", (json_int_t)stats->events,
                     "core_steps", (json_int_t)stats->steps, "messages",
                     (json_int_t)stats->messages, "deaths", (json_int_t)stats->deaths, "settle_us",
                     (json_int_t)stats->settle_us, "settle_permille",
                     (json_int_t)stats->settle_permille, "wait_us", (json_int_t)stats->wait_us,
                     "wait_permille", (json_int_t)stats->wait_permille, "faults", faults);
}

static void print_json(json_t *object)
{
    json_dumpf(object, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(object);
}

static void print_stats(const struct sim_stats *stats)
{
    printf("%llu operations, %llu locks without a call, %llu core steps, %llu messages, "
           "%llu seals; faults:",
           (unsigned long long)stats->operations, (unsigned long long)stats->fast_locks,
           (unsigned long long)stats->steps, (unsigned long long)stats->messages,
           (unsigned long long)stats->sealed);
    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
        if (stats->faults[i] != 0) {
            printf(" %s %llu", sim_fault_name(i), (unsigned long long)stats->faults[i]);
        }
    }
}

static void print_replay(uint64_t seed, const struct sim_overrides *overrides)
{
    char text[1024];

    sim_overrides_print(overrides, text, sizeof(text));
    printf("replay: dsm-sim --seed %llu%s\n", (unsigned long long)seed, text);
}

/* The transcript's end and the state in which it was. */
static void print_failure(const struct sim *sim, const struct sim_outcome *outcome)
{
    const struct sim_log *log = &sim->log;
    uint64_t first = log->count > SIM_LOG_NOTES ? log->count - SIM_LOG_NOTES : 0;
    char text[TEXT_BYTES];

    printf("the last %llu events:\n", (unsigned long long)(log->count - first));
    for (uint64_t i = first; i < log->count; i++) {
        sim_note_print(&log->notes[i % SIM_LOG_NOTES], text, sizeof(text));
        printf("%s\n", text);
    }
    sim_print_summary(sim, text, sizeof(text));
    printf("%s%.*s\n", text, (int)strcspn(outcome->text, "\n"), outcome->text);
}

/* --- commands --- */

static int run_shrink(struct sim_cli *cli, struct sim_child *child, uint64_t seed)
{
    struct sim_shrink shrink = {.seed = seed,
                                .guard_s = cli->batch.guard_s,
                                .seconds = SHRINK_SECONDS,
                                .best = cli->batch.overrides};
    struct sim_options options;
    char text[TEXT_BYTES];

    if (sim_child_run(child, &shrink.best, seed, shrink.guard_s, false, &shrink.outcome)) {
        printf("seed %llu passed: there is nothing to shrink\n", (unsigned long long)seed);
        return SIM_EXIT_PASSED;
    }
    sim_shrink(&shrink, child);
    sim_overrides_apply(&shrink.best, seed, &options);
    sim_options_print(&options, text, sizeof(text));
    printf("shrunk in %u runs:\n%s", shrink.runs, text);
    print_failure(&child->shared->sim, &shrink.outcome);
    print_replay(seed, &shrink.best);
    return SIM_EXIT_FAILED;
}

static int run_seed(struct sim_cli *cli, struct sim_child *child)
{
    const struct sim *sim = &child->shared->sim;
    struct sim_outcome outcome;
    struct sim_options options;
    char text[TEXT_BYTES];
    bool passed;

    sim_overrides_apply(&cli->batch.overrides, cli->seed, &options);
    if (!cli->is_json) {
        sim_options_print(&options, text, sizeof(text));
        printf("%s", text);
    }
    passed = sim_child_run(child, &cli->batch.overrides, cli->seed, cli->batch.guard_s,
                           cli->is_verbose && !cli->is_json, &outcome);
    snprintf(text, sizeof(text), "%016llx", (unsigned long long)sim->log.hash);
    if (cli->is_json) {
        print_json(json_pack("{s:I, s:b, s:s, s:s, s:o}", "seed", (json_int_t)cli->seed, "passed",
                             passed, "failure", passed ? "" : outcome.text, "hash", text, "stats",
                             json_stats(&sim->stats)));
        return passed ? SIM_EXIT_PASSED : SIM_EXIT_FAILED;
    }
    if (!passed) {
        print_failure(sim, &outcome);
    }
    printf("seed %llu %s hash=%s: ", (unsigned long long)cli->seed, passed ? "passed" : "failed",
           text);
    print_stats(&sim->stats);
    printf("\n");
    return passed ? SIM_EXIT_PASSED : SIM_EXIT_FAILED;
}

static void print_batch_json(const struct sim_batch *batch)
{
    json_t *failures = json_array();
    uint64_t kept = batch->failed < SIM_FAILURES_KEPT ? batch->failed : SIM_FAILURES_KEPT;

    for (uint64_t i = 0; i < kept; i++) {
        json_array_append_new(failures,
                              json_pack("{s:I, s:s, s:s}", "seed",
                                        (json_int_t)batch->failures[i].seed, "property",
                                        batch->failures[i].kind, "text", batch->failures[i].text));
    }
    print_json(json_pack("{s:I, s:I, s:I, s:f, s:f, s:o, s:o}", "first", (json_int_t)batch->first,
                         "seeds", (json_int_t)batch->seeds, "failed", (json_int_t)batch->failed,
                         "seconds", batch->elapsed_s, "seeds_per_s",
                         (double)batch->seeds / batch->elapsed_s, "failures", failures, "stats",
                         json_stats(&batch->sum)));
}

static int run_batch(struct sim_cli *cli, struct sim_child *child)
{
    struct sim_batch *batch = &cli->batch;
    int error = sim_batch_run(batch);

    if (error != 0) {
        fprintf(stderr, "dsm-sim: cannot run seeds: %s\n", strerror(-error));
        return SIM_EXIT_USAGE;
    }
    if (cli->is_json) {
        print_batch_json(batch);
    } else {
        printf("%llu seeds, %llu failed, ", (unsigned long long)batch->seeds,
               (unsigned long long)batch->failed);
        print_stats(&batch->sum);
        printf("; %.1f s, %.0f seeds/s\n", batch->elapsed_s,
               (double)batch->seeds / batch->elapsed_s);
        fflush(stdout);
    }
    if (batch->failed > 0 && cli->may_shrink && !cli->is_json) {
        printf("the first failing seed is made smaller\n");
        run_shrink(cli, child, batch->failures[0].seed);
    }
    return batch->failed > 0 ? SIM_EXIT_FAILED : SIM_EXIT_PASSED;
}

int sim_cli_main(int argc, char **argv)
{
    struct sim_cli cli;
    struct sim_child child;
    int status;

    if (!sim_cli_parse(&cli, argc, argv)) {
        return SIM_EXIT_USAGE;
    }
    if (cli.command == SIM_COMMAND_HELP) {
        sim_cli_help(stdout);
        return SIM_EXIT_PASSED;
    }
    status = sim_child_init(&child);
    if (status != 0) {
        fprintf(stderr, "dsm-sim: cannot share memory: %s\n", strerror(-status));
        return SIM_EXIT_USAGE;
    }
    status = cli.command == SIM_COMMAND_SEED     ? run_seed(&cli, &child)
             : cli.command == SIM_COMMAND_SHRINK ? run_shrink(&cli, &child, cli.seed)
                                                 : run_batch(&cli, &child);
    sim_child_close(&child);
    return status;
}
