/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEEDS_DEFAULT 2000u
#define GUARD_S_DEFAULT 60u
#define OPTION_NO_FAULT 1000

enum option_code {
    OPTION_SEED = 1,
    OPTION_SEEDS,
    OPTION_FIRST,
    OPTION_TIME,
    OPTION_JOBS,
    OPTION_GUARD,
    OPTION_SHRINK,
    OPTION_NO_SHRINK,
    OPTION_VERBOSE,
    OPTION_JSON,
    OPTION_HELP,
    OPTION_NODES,
    OPTION_PROGRAMS,
    OPTION_PAGES,
    OPTION_STEPS,
    OPTION_READ_AHEAD,
    OPTION_SALT,
    OPTION_NO_SIZES,
    OPTION_NO_ORDERS,
    OPTION_NO_TYPES,
};

static const struct option fixed_options[] = {
    {"seed", required_argument, NULL, OPTION_SEED},
    {"seeds", required_argument, NULL, OPTION_SEEDS},
    {"first", required_argument, NULL, OPTION_FIRST},
    {"time", required_argument, NULL, OPTION_TIME},
    {"jobs", required_argument, NULL, OPTION_JOBS},
    {"guard", required_argument, NULL, OPTION_GUARD},
    {"shrink", required_argument, NULL, OPTION_SHRINK},
    {"no-shrink", no_argument, NULL, OPTION_NO_SHRINK},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {"nodes", required_argument, NULL, OPTION_NODES},
    {"programs", required_argument, NULL, OPTION_PROGRAMS},
    {"pages", required_argument, NULL, OPTION_PAGES},
    {"steps", required_argument, NULL, OPTION_STEPS},
    {"read-ahead", required_argument, NULL, OPTION_READ_AHEAD},
    {"salt", required_argument, NULL, OPTION_SALT},
    {"no-sizes", no_argument, NULL, OPTION_NO_SIZES},
    {"no-orders", no_argument, NULL, OPTION_NO_ORDERS},
    {"no-types", no_argument, NULL, OPTION_NO_TYPES},
};

#define COUNT_FIXED (sizeof(fixed_options) / sizeof(fixed_options[0]))

void sim_cli_help(FILE *to)
{
    fprintf(to,
            "usage: dsm-sim [--seeds N] [--first F] [--time SECONDS] [--jobs J] [--json]\n"
            "       dsm-sim --seed S [--verbose] [--json]\n"
            "       dsm-sim --shrink S\n\n"
            "Runs the protocol's core on 2 to 64 simulated nodes, with faults, and checks what\n"
            "it promises (tests/sim/oracle.h). A seed is the same run on every machine.\n\n"
            "  --seeds N         run so many seeds (2000)\n"
            "  --first F         the first of them (1)\n"
            "  --time SECONDS    run seeds until then\n"
            "  --jobs J          processes at the same time (one for each CPU)\n"
            "  --seed S          replay one seed: tell its faults, and how a failure came\n"
            "  --verbose         with --seed: tell every event\n"
            "  --shrink S        reduce a failing seed; the first one is without being asked\n"
            "  --no-shrink       leave it as it is\n"
            "  --guard SECONDS   of CPU; a seed that takes longer has failed (60)\n"
            "  --json            tell the result as JSON\n"
            "  --help            this\n\n"
            "On top of what a seed draws:\n"
            "  --nodes N         2 to 64\n"
            "  --programs N      1 to 64\n"
            "  --pages N         of a new region, 8 to 500\n"
            "  --steps N         events until the faults stop, 1 to 1000000\n"
            "  --read-ahead N    pages, 1 to 256\n"
            "  --salt N          draw other numbers for the same faults\n"
            "  --no-sizes        all nodes and regions have pages of 4 KiB\n"
            "  --no-orders       all nodes are little-endian\n"
            "  --no-types        no region has a type\n");
    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
        fprintf(to, "  --no-%-13swithout this fault: %s\n", sim_fault_name(i), sim_fault_text(i));
    }
    fprintf(to, "\nExit status: 0 all seeds passed, 1 a seed failed, 2 it could not be run.\n");
}

static bool read_number(const char *name, const char *text, uint64_t least, uint64_t most,
                        uint64_t *value)
{
    char *end = NULL;

    errno = 0;
    *value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != 0 || errno != 0 || *value < least ||
        *value > most) {
        fprintf(stderr, "dsm-sim: --%s %s: must be a number from %llu to %llu\n", name, text,
                (unsigned long long)least, (unsigned long long)most);
        return false;
    }
    return true;
}

static bool read_u32(const char *name, const char *text, uint32_t least, uint32_t most,
                     uint32_t *value)
{
    uint64_t wide = 0;

    if (!read_number(name, text, least, most, &wide)) {
        return false;
    }
    *value = (uint32_t)wide;
    return true;
}

static uint32_t nodes_max(void)
{
    return CLUSTER_NODES < SIM_NODES_MAX ? CLUSTER_NODES : SIM_NODES_MAX;
}

static bool take_override(struct sim_overrides *overrides, int code, const char *text)
{
    switch (code) {
    case OPTION_NODES:
        return read_u32("nodes", text, SIM_NODES_MIN, nodes_max(), &overrides->nodes);
    case OPTION_PROGRAMS:
        return read_u32("programs", text, 1, SIM_PROGRAMS_MAX, &overrides->programs);
    case OPTION_PAGES:
        return read_number("pages", text, SIM_PAGES_MIN, SIM_PAGES_MAX, &overrides->pages);
    case OPTION_STEPS:
        return read_number("steps", text, 1, SIM_STEPS_MAX, &overrides->steps);
    case OPTION_READ_AHEAD:
        return read_u32("read-ahead", text, 1, RANGE_PAGES_MAX, &overrides->read_ahead_pages);
    case OPTION_SALT:
        return read_number("salt", text, 0, UINT32_MAX, &overrides->salt);
    case OPTION_NO_SIZES:
        overrides->same_sizes = true;
        return true;
    case OPTION_NO_ORDERS:
        overrides->same_orders = true;
        return true;
    case OPTION_NO_TYPES:
        overrides->no_types = true;
        return true;
    default:
        break;
    }
    if (code >= OPTION_NO_FAULT) {
        overrides->off[code - OPTION_NO_FAULT] = true;
        return true;
    }
    return false; /* getopt has told what is wrong */
}

static bool take_option(struct sim_cli *cli, int code, const char *text)
{
    struct sim_batch *batch = &cli->batch;

    switch (code) {
    case OPTION_SEED:
        cli->command = SIM_COMMAND_SEED;
        return read_number("seed", text, 0, UINT64_MAX - 1, &cli->seed);
    case OPTION_SHRINK:
        cli->command = SIM_COMMAND_SHRINK;
        return read_number("shrink", text, 0, UINT64_MAX - 1, &cli->seed);
    case OPTION_SEEDS:
        return read_number("seeds", text, 1, UINT64_MAX / 2, &batch->count);
    case OPTION_FIRST:
        return read_number("first", text, 0, UINT64_MAX / 2, &batch->first);
    case OPTION_TIME:
        return read_u32("time", text, 1, 10000000, &batch->seconds);
    case OPTION_JOBS:
        return read_u32("jobs", text, 1, SIM_JOBS_MAX, &batch->jobs);
    case OPTION_GUARD:
        return read_u32("guard", text, 1, 86400, &batch->guard_s);
    case OPTION_NO_SHRINK:
        cli->may_shrink = false;
        return true;
    case OPTION_VERBOSE:
        cli->is_verbose = true;
        return true;
    case OPTION_JSON:
        cli->is_json = true;
        return true;
    case OPTION_HELP:
        cli->command = SIM_COMMAND_HELP;
        return true;
    default:
        return take_override(&batch->overrides, code, text);
    }
}

static bool parse_all(struct sim_cli *cli, int argc, char **argv, const struct option *options)
{
    int code;

    optind = 0; /* from the beginning, also when it is called again */
    while (cli->command != SIM_COMMAND_HELP &&
           (code = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (!take_option(cli, code, optarg)) {
            return false;
        }
    }
    if (cli->command != SIM_COMMAND_HELP && optind < argc) {
        fprintf(stderr, "dsm-sim: %s: no arguments are taken\n", argv[optind]);
        return false;
    }
    return true;
}

bool sim_cli_parse(struct sim_cli *cli, int argc, char **argv)
{
    struct option options[COUNT_FIXED + SIM_FAULT_KINDS + 1];
    char names[SIM_FAULT_KINDS][32];
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    memset(cli, 0, sizeof(*cli));
    memset(options, 0, sizeof(options));
    memcpy(options, fixed_options, sizeof(fixed_options));
    for (uint32_t i = 0; i < SIM_FAULT_KINDS; i++) {
        snprintf(names[i], sizeof(names[i]), "no-%s", sim_fault_name(i));
        options[COUNT_FIXED + i].name = names[i];
        options[COUNT_FIXED + i].val = OPTION_NO_FAULT + (int)i;
    }
    cli->command = SIM_COMMAND_SEEDS;
    cli->may_shrink = true;
    cli->batch.first = 1;
    cli->batch.guard_s = GUARD_S_DEFAULT;
    cli->batch.jobs = cpus > 0 && cpus < (long)SIM_JOBS_MAX ? (uint32_t)cpus : 1;
    if (!parse_all(cli, argc, argv, options)) {
        fprintf(stderr, "dsm-sim --help tells how it is used\n");
        return false;
    }
    if (cli->batch.count == 0 && cli->batch.seconds == 0) {
        cli->batch.count = SEEDS_DEFAULT;
    }
    cli->batch.tells_progress = isatty(STDERR_FILENO) != 0;
    return true;
}
