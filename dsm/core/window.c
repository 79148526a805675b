/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/core/window.h"

#include <string.h>

void window_reset(struct window *window)
{
    memset(window, 0, sizeof(*window));
}

static void raise_floor(struct window *window, uint64_t floor)
{
    if (floor >= window->floor + WINDOW) {
        memset(window->bits, 0, sizeof(window->bits));
        window->floor = floor;
        return;
    }
    while (window->floor < floor) {
        window->bits[window->floor % WINDOW / 64] &= ~((uint64_t)1 << (window->floor % 64));
        window->floor++;
    }
}

bool window_has(const struct window *window, uint64_t number)
{
    if (number < window->floor) {
        return true;
    }
    return number < window->floor + WINDOW &&
           (window->bits[number % WINDOW / 64] >> (number % 64) & 1) != 0;
}

enum window_answer window_note(struct window *window, uint64_t number, uint64_t floor)
{
    uint64_t *word = &window->bits[number % WINDOW / 64];
    uint64_t bit = (uint64_t)1 << (number % 64);

    if (floor <= number && floor > window->floor) {
        raise_floor(window, floor);
    }
    if (number < window->floor) {
        return WINDOW_BELOW;
    }
    if (number >= window->floor + WINDOW) {
        return WINDOW_BEYOND;
    }
    if ((*word & bit) != 0) {
        return WINDOW_SEEN;
    }
    *word |= bit;
    return WINDOW_NEW;
}
