/* SPDX-License-Identifier: Apache-2.0 */
/* dsm-sim: the deterministic cluster simulator. See tests/sim/sim.h. */
#include "tests/sim/sim_cli.h"

int main(int argc, char **argv)
{
    return sim_cli_main(argc, argv);
}
