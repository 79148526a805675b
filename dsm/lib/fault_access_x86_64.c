/* SPDX-License-Identifier: Apache-2.0 */
/* x86-64: the page fault's error code; bit 1 is set for a write. */
#include "dsm/lib/fault_access.h"

#include <ucontext.h>

#define TRAP_PAGE_FAULT 14
#define ERROR_WRITE 2

enum access_hint access_hint(const void *context)
{
    const ucontext_t *frame = context;

    if (frame->uc_mcontext.gregs[REG_TRAPNO] != TRAP_PAGE_FAULT) {
        return ACCESS_HINT_UNKNOWN;
    }
    return (frame->uc_mcontext.gregs[REG_ERR] & ERROR_WRITE) != 0 ? ACCESS_HINT_WRITE
                                                                  : ACCESS_HINT_READ;
}
