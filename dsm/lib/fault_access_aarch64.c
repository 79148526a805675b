/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arm64: the exception syndrome, in a record of its own among those behind the registers; an
 * emulator may leave it out. The class tells a data from an instruction abort; of a data abort, bit
 * 6 tells a write, unless bit 8 says that it was the upkeep of a cache.
 */
#include "dsm/lib/fault_access.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#define RECORD_ESR UINT32_C(0x45535201)
#define CLASS_INSTRUCTION_ABORT 0x20u
#define CLASS_DATA_ABORT 0x24u
#define SYNDROME_WRITE (1u << 6)
#define SYNDROME_CACHE (1u << 8)

static enum access_hint syndrome_judge(uint64_t syndrome)
{
    uint64_t class = (syndrome >> 26) & 0x3f;

    if (class == CLASS_INSTRUCTION_ABORT) {
        return ACCESS_HINT_READ;
    }
    if (class != CLASS_DATA_ABORT) {
        return ACCESS_HINT_UNKNOWN;
    }
    return (syndrome & SYNDROME_WRITE) != 0 && (syndrome & SYNDROME_CACHE) == 0 ? ACCESS_HINT_WRITE
                                                                                : ACCESS_HINT_READ;
}

enum access_hint access_hint(const void *context)
{
    const ucontext_t *frame = context;
    const unsigned char *records = frame->uc_mcontext.__reserved;
    size_t at = 0, size = sizeof frame->uc_mcontext.__reserved;

    while (at + 16 <= size) {
        uint32_t head[2]; /* magic, bytes */
        uint64_t syndrome;

        memcpy(head, records + at, sizeof head);
        if (head[0] == RECORD_ESR) {
            memcpy(&syndrome, records + at + sizeof head, sizeof syndrome);
            return syndrome_judge(syndrome);
        }
        if (head[0] == 0 || head[1] < sizeof head) {
            break;
        }
        at += head[1];
    }
    return ACCESS_HINT_UNKNOWN;
}
