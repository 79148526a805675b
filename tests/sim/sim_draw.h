/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Rows of numbers from a seed, the same on every machine. Each part of the simulator has a row of
 * its own, so that one part left out does not change what the others draw.
 */
#ifndef DSM_TESTS_SIM_SIM_DRAW_H
#define DSM_TESTS_SIM_SIM_DRAW_H

#include <stdbool.h>
#include <stdint.h>

struct sim_row {
    uint64_t state;
};

/** The row of this name (a small number) of a seed. */
struct sim_row sim_row_of(uint64_t seed, uint64_t name);
/** The next number, below `below`; 0 when that is 0. */
uint64_t sim_draw(struct sim_row *row, uint64_t below);
/** One in `of`? */
bool sim_chance(struct sim_row *row, uint64_t of);
/** Between least and most, both included, each power of two as likely as the next. */
uint64_t sim_draw_log(struct sim_row *row, uint64_t least, uint64_t most);
/** Mix a number into a hash. */
uint64_t sim_mix(uint64_t hash, uint64_t value);

#endif
