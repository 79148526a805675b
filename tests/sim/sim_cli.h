/* SPDX-License-Identifier: Apache-2.0 */
/** The command line of dsm-sim. */
#ifndef DSM_TESTS_SIM_SIM_CLI_H
#define DSM_TESTS_SIM_SIM_CLI_H

#include <stdio.h>

#include "tests/sim/sim_batch.h"

enum sim_exit {
    SIM_EXIT_PASSED = 0,
    SIM_EXIT_FAILED = 1,
    SIM_EXIT_USAGE = 2,
};

enum sim_command {
    SIM_COMMAND_HELP,
    SIM_COMMAND_SEED,   /* replay one */
    SIM_COMMAND_SEEDS,  /* run many */
    SIM_COMMAND_SHRINK, /* make one smaller */
};

struct sim_cli {
    enum sim_command command;
    uint64_t seed;
    bool is_verbose, is_json, may_shrink;
    struct sim_batch batch; /* its `in` members, in every command */
};

/**
 * Read the command line.
 *
 * Returns true, or false when it is wrong: what is wrong was told on standard error.
 */
bool sim_cli_parse(struct sim_cli *cli, int argc, char **argv);
void sim_cli_help(FILE *to);
/** All of it; the exit status. */
int sim_cli_main(int argc, char **argv);

#endif
