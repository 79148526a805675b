/* SPDX-License-Identifier: Apache-2.0 */
/** What kind of machine a program runs on, as it tells the others. */
#ifndef SATELLITE_MACHINE_H
#define SATELLITE_MACHINE_H

#include <stdint.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "dsm.h"

#define MACHINE_NODE_BYTES 32u
#define MACHINE_WORD_BYTES 16u

struct machine {
    char node[MACHINE_NODE_BYTES];         /* the node's name */
    char architecture[MACHINE_WORD_BYTES]; /* as uname(2) says */
    uint32_t page_bytes;
    uint32_t word_bits;
    uint32_t is_big_endian;
    uint32_t reserved;
};
#define MACHINE_LIST                                                                               \
    (u8, node, 32), (u8, architecture, 16), (u32, page_bytes), (u32, word_bits),                   \
        (u32, is_big_endian), (u32, reserved)

/** Describe this machine. */
static inline void machine_describe(struct dsm *dsm, struct machine *machine)
{
    const union {
        uint16_t number;
        uint8_t bytes[2];
    } order = {.number = 1};
    struct utsname name;
    *machine = (struct machine){.page_bytes = (uint32_t)sysconf(_SC_PAGESIZE),
                                .word_bits = (uint32_t)sizeof(void *) * 8,
                                .is_big_endian = order.bytes[0] == 0};
    snprintf(machine->node, sizeof machine->node, "%s", dsm_node_name(dsm));
    snprintf(machine->architecture, sizeof machine->architecture, "%.*s",
             (int)MACHINE_WORD_BYTES - 1, uname(&name) == 0 ? name.machine : "unknown");
}

/** Make the texts of a machine, which came from elsewhere, fit to be printed. */
static inline void machine_terminate(struct machine *machine)
{
    machine->node[sizeof machine->node - 1] = '\0';
    machine->architecture[sizeof machine->architecture - 1] = '\0';
}

#endif
