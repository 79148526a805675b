/* SPDX-License-Identifier: Apache-2.0 */
/** What is counted of a cluster of n nodes, each with its formula on paper. */
#ifndef DSM_TESTS_SIM_SCALE_ROWS_H
#define DSM_TESTS_SIM_SCALE_ROWS_H

#include "tests/sim/scale_programs.h"

struct scale_row {
    const char *name;
    const char *formula;            /* for n of 4 and more */
    uint64_t (*expect)(uint64_t n); /* the formula, and what it is for n = 1 */
    uint64_t (*count)(struct scale *scale);
    bool all_must_be_told; /* cannot be counted where each node is told of a few */
};

/** In the order in which they are to be counted: each uses pages and words of its own. */
extern const struct scale_row scale_rows[];
extern const size_t scale_rows_count;

/** Rows of a sealed region (scale_sealed.c). */
uint64_t scale_expect_sealed_rounds(uint64_t n);
uint64_t scale_count_sealed_rounds(struct scale *scale);
uint64_t scale_expect_sealed_sends(uint64_t n);
uint64_t scale_count_sealed_sends(struct scale *scale);
uint64_t scale_expect_sealed_messages(uint64_t n);
uint64_t scale_count_sealed_messages(struct scale *scale);

/** Bytes that do not depend on n but on NODES_MAX. */
struct scale_size {
    const char *name;
    const char *formula;
    uint64_t (*expect)(void); /* NULL: no formula */
    uint64_t (*count)(void);
};

extern const struct scale_size scale_sizes[];
extern const size_t scale_sizes_count;

#endif
