/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_draw.h"

/* splitmix64 (Steele et al. 2014) */
static uint64_t scramble(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct sim_row sim_row_of(uint64_t seed, uint64_t name)
{
    struct sim_row row = {scramble(seed + 1) ^ scramble((name + 1) * UINT64_C(0x2545f4914f6cdd1d))};

    return row;
}

uint64_t sim_draw(struct sim_row *row, uint64_t below)
{
    row->state += UINT64_C(0x9e3779b97f4a7c15);
    return below != 0 ? scramble(row->state) % below : 0;
}

bool sim_chance(struct sim_row *row, uint64_t of)
{
    return sim_draw(row, of) == 0;
}

uint64_t sim_draw_log(struct sim_row *row, uint64_t least, uint64_t most)
{
    uint32_t doublings = 0;
    uint64_t from, to;

    while (least << (doublings + 1) <= most) {
        doublings++;
    }
    from = least << sim_draw(row, doublings + 1);
    to = from * 2 - 1 < most ? from * 2 - 1 : most;
    return from + sim_draw(row, to - from + 1);
}

uint64_t sim_mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}
