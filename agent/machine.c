/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/machine.h"

#include <limits.h>
#include <unistd.h>

struct node_kind machine_kind(void)
{
    return (struct node_kind){
        .page_bytes = (uint32_t)sysconf(_SC_PAGESIZE),
        .word_bits = (uint8_t)(sizeof(void *) * CHAR_BIT),
        .big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__,
    };
}
