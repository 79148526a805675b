/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Which numbered requests of one node has this home seen? Resends and duplicates are told from new
 * requests exactly: the sender keeps its open numbers within WINDOW of its floor.
 */
#ifndef DSM_CORE_WINDOW_H
#define DSM_CORE_WINDOW_H

#include "dsm/core/types.h"

/** Requests to one home that may be open at once; the home remembers so many closed ones. */
#define WINDOW 4096u

struct window {
    uint64_t floor; /* lower numbers are closed */
    uint64_t bits[WINDOW / 64];
};

enum window_answer {
    WINDOW_NEW,
    WINDOW_SEEN,
    WINDOW_BELOW,  /* under the floor */
    WINDOW_BEYOND, /* further up than the sender may go */
};

/** Note a number; `floor` is what the sender says its floor is. */
enum window_answer window_note(struct window *window, uint64_t number, uint64_t floor);
/** Was this number noted before, or is it closed? Changes nothing. */
bool window_has(const struct window *window, uint64_t number);
/** Forget everything: another incarnation of the node begins anew. */
void window_reset(struct window *window);

#endif
