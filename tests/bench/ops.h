/* SPDX-License-Identifier: Apache-2.0 */
/** All families of operations, in the order in which "all" measures them. */
#ifndef DSM_BENCH_OPS_H
#define DSM_BENCH_OPS_H

#include "tests/bench/op.h"

/** One line for each file ops_NOUN.c, which defines the array ops_NOUN. */
#define OPS_FAMILIES(X)                                                                            \
    X(ops_memory)                                                                                  \
    X(ops_stream)                                                                                  \
    X(ops_large)                                                                                   \
    X(ops_lock)                                                                                    \
    X(ops_sync)                                                                                    \
    X(ops_contend)                                                                                 \
    X(ops_release)                                                                                 \
    X(ops_limits)                                                                                  \
    X(ops_peers)

#define OPS_DECLARE(name) extern const struct op name[];
OPS_FAMILIES(OPS_DECLARE)
#undef OPS_DECLARE

#endif
