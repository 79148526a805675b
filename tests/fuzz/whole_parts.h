/* SPDX-License-Identifier: Apache-2.0 */
/** What the files of whole_agent share: programs, peers, and a catalog's file. */
#ifndef DSM_TESTS_FUZZ_WHOLE_PARTS_H
#define DSM_TESTS_FUZZ_WHOLE_PARTS_H

#include "tests/fuzz/whole_agent.h"

/** Read all replies that there are; how many. */
uint32_t programs_drain(struct whole *whole);
/** Hang up. */
void program_close(struct program *program);
/** Make a catalog's file with two nodes and a region, one body replaced by these bytes. */
void catalog_make(const char *directory, const uint8_t *body, size_t len_bytes);

#endif
