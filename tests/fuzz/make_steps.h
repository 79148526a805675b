/* SPDX-License-Identifier: Apache-2.0 */
/** The seeds of the targets whose inputs are steps. */
#ifndef DSM_TESTS_FUZZ_MAKE_STEPS_H
#define DSM_TESTS_FUZZ_MAKE_STEPS_H

#include "net/buffer.h"

/** Write one seed as DIRECTORY/TARGET/NAME-NUMBER. Returns 0, or -1 after saying why. */
int seed_write(const char *directory, const char *target, const char *name, uint32_t number,
               const struct buffer *bytes);
/** Write those of session, catalog, library, core and config. Returns 0 or -1. */
int steps_write(const char *directory);

#endif
