/* SPDX-License-Identifier: Apache-2.0 */
/** Results for people and for programs. */
#ifndef DSM_BENCH_RESULT_H
#define DSM_BENCH_RESULT_H

#include <jansson.h>

#include "tests/bench/op.h"

/** What the result is measured against; of kind TARGET_NONE where there is nothing. */
const struct target *result_target(const struct result *result);
/** Was the target met: 1, 0, or -1 without a target. */
int result_is_met(const struct result *result);
/** The target in a few words; "" without one. */
void result_target_text(const struct result *result, char *text, size_t size_bytes);

/** Where and how it was measured: a pinning's name, with "-poll" behind it when the agents poll. */
void result_place(const struct bench *bench, char place[32]);
/** A new object with all that is known of a result; see README.md. */
json_t *result_to_json(const struct bench *bench, const struct result *result);
/** The head of the table that result_print() prints a line of, to standard output. */
void result_print_head(void);
void result_print(const struct bench *bench, const struct result *result);

#endif
