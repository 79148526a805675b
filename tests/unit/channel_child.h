/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The program's end of net/fault_channel.h, as short as it can be, for the tests of the agent's
 * end: it obeys, and can be told not to.
 */
#ifndef DSM_TESTS_CHANNEL_CHILD_H
#define DSM_TESTS_CHANNEL_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What a program does wrong from now on. */
enum channel_fault {
    CHANNEL_OBEYS = 0,
    CHANNEL_MUTE,     /* carries out orders, but answers none */
    CHANNEL_DEAF,     /* reads no order */
    CHANNEL_EARLY,    /* answers an order that was not given yet */
    CHANNEL_BABBLES,  /* answers with bytes that are no report */
    CHANNEL_STRAYS,   /* reports a page outside of its mapping */
    CHANNEL_HANGS_UP, /* closes its end and keeps what it has mapped */
    CHANNEL_UNMAPS,   /* unmaps all, then closes its end */
    CHANNEL_TALKS,    /* repeats one report instead of its answers */
};

struct channel_child;

/** Make the channel of a mapping without access; *given is the agent's end. */
struct channel_child *channel_child_new(uint8_t *base, size_t len_bytes, size_t page_bytes,
                                        int *given);
/** A SIGSEGV: true when the touch is to be tried again, else the signal that it is worth. */
bool channel_child_touch(struct channel_child *child, const siginfo_t *info, int *number);
/** Misbehave from now on; takes effect with the next order, or at once where none is needed. */
void channel_child_misbehave(struct channel_child *child, enum channel_fault fault);
/** Orders carried out so far. */
uint32_t channel_child_count(const struct channel_child *child);

#endif
