/* SPDX-License-Identifier: Apache-2.0 */
/** What the parts of the failure library share. */
#ifndef DSM_TESTS_FAILURE_STATE_H
#define DSM_TESTS_FAILURE_STATE_H

#include <dlfcn.h>

#include "tests/failure/failure.h"

/** What failure_take() returns for a transfer that is to be short. */
#define FAILURE_TAKE_SHORT (-1)

/**
 * The function of this name behind ours. Looked for at the first call, which may come before any
 * constructor ran; two threads that look at once find the same.
 */
#define REAL(name)                                                                                 \
    (__extension__({                                                                               \
        static __typeof__(&name) found;                                                            \
        __typeof__(&name) now = found;                                                             \
                                                                                                   \
        if (now == NULL) {                                                                         \
            now = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                      \
            found = now;                                                                           \
        }                                                                                          \
        now;                                                                                       \
    }))

/**
 * Count a call.
 *
 * @kinds it belongs to
 * @own   the errno when it fails as FAILURE_TRANSFER, FAILURE_CONTROL or FAILURE_FILE
 *
 * Returns 0: let it go on; FAILURE_TAKE_SHORT; or the errno that it is to fail with.
 */
int failure_take(const char *call, uint32_t kinds, int own);

/** What failure_forbid_copies() said. */
bool failure_forbids_copies(void);
/** Is this thread's doing left out? */
bool failure_is_exempt(void);
/** Count bytes that were mapped, or unmapped when negative. */
void failure_map_note(int64_t len_bytes);
/** The serial of the block that was taken last. */
uint64_t failure_serial(void);
/** Print the live blocks that were taken after a serial. */
void failure_print_blocks(uint64_t serial);

#endif
