/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 32-bit Arm: the fault status register; bit 11 is set for a write. No fault has the status 0: that
 * is an emulator which does not tell.
 */
#include "dsm/lib/fault_access.h"

#include <ucontext.h>

#define STATUS_WRITE (1ul << 11)

enum access_hint access_hint(const void *context)
{
    const ucontext_t *frame = context;

    if (frame->uc_mcontext.error_code == 0) {
        return ACCESS_HINT_UNKNOWN;
    }
    return (frame->uc_mcontext.error_code & STATUS_WRITE) != 0 ? ACCESS_HINT_WRITE
                                                               : ACCESS_HINT_READ;
}
