/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What workers of all kinds of operations are told: regions, pages, counters. An operation's own
 * orders stand in its own file.
 */
#ifndef DSM_BENCH_ORDERS_H
#define DSM_BENCH_ORDERS_H

#include "tests/bench/hand.h"

#define WAIT_MS 60000

/** Is there a mapping that has these pages? */
bool hand_has_pages(const struct hand *hand, uint64_t first, uint64_t count);

/** text: name, a: bytes, b: window, c: page size (0: the default); create a region, map it. */
int order_make(struct hand *hand, const struct order *order, struct outcome *outcome);
/** text: name, a: bytes, c: as above; map it. */
int order_map(struct hand *hand, const struct order *order, struct outcome *outcome);
/** a: unlink as well. */
int order_unmap(struct hand *hand, const struct order *order, struct outcome *outcome);
/** Write each page of [a, a + b), in order: byte page % 251 + 1 all over. */
int order_write_all(struct hand *hand, const struct order *order, struct outcome *outcome);
/** Read each page of [a, a + b), in order, and compare with what order_write_all() writes. */
int order_read_all(struct hand *hand, const struct order *order, struct outcome *outcome);
/** Read b pages of the region, every other one from a on, in random order; timed, us each. */
int order_read_random(struct hand *hand, const struct order *order, struct outcome *outcome);
/** The same, written. */
int order_write_random(struct hand *hand, const struct order *order, struct outcome *outcome);
/** Read a bytes in order and check their sum; one sample, MB/s. */
int order_stream(struct hand *hand, const struct order *order, struct outcome *outcome);
/** Compute until the board says stop, without touching the region. */
int order_compute(struct hand *hand, const struct order *order, struct outcome *outcome);
/** The agent's counters. */
int order_stats(struct hand *hand, const struct order *order, struct outcome *outcome);
/** Limit: b faults through userfaultfd at pages of a bytes; timed, us each. */
int order_handoff(struct hand *hand, const struct order *order, struct outcome *outcome);
/** Connect the limit's TLS to address text and port a; an earlier connection ends. */
int order_connect(struct hand *hand, const struct order *order, struct outcome *outcome);
/** Limit: b round trips of 64 bytes to a bytes (0: 64) of payload; c: poll; timed, us each. */
int order_round_trips(struct hand *hand, const struct order *order, struct outcome *outcome);
/** Limit: a bytes in bulk; one sample, MB/s. */
int order_bulk(struct hand *hand, const struct order *order, struct outcome *outcome);

/** The sum of len_bytes of memory as 64-bit words; never inlined, so that all run the same. */
uint64_t scan_words(const uint8_t *memory, uint64_t len_bytes);
/** What scan_words() gives for what order_write_all() writes. */
uint64_t scan_expected(uint64_t len_bytes);

#endif
