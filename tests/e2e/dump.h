/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A dump: what one thread did to shared words, in program order. Written by e2e-tool, read by
 * dsm-history. A header, then `count` ops, all of it little-endian: hosts of several orders write
 * parts of one history.
 */
#ifndef DSM_E2E_DUMP_H
#define DSM_E2E_DUMP_H

#include <stdint.h>

#define DUMP_MAGIC "DSMHIST1"
#define DUMP_READS 1u
#define DUMP_WRITES 2u

struct dump_header {
    char magic[8];
    uint32_t thread;
    uint32_t count;
};

/** As struct history_op of tests/sim/history.h. */
struct dump_op {
    uint32_t location;
    uint32_t flags;
    uint64_t read;
    uint64_t written;
};

#endif
