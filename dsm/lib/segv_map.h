/* SPDX-License-Identifier: Apache-2.0 */
/** One mapping of the SIGSEGV back end, and the agent's orders on it (net/fault_channel.h). */
#ifndef DSM_LIB_SEGV_MAP_H
#define DSM_LIB_SEGV_MAP_H

#include "dsm/lib/fault.h"
#include "dsm/lib/segv.h"
#include "net/fault_channel.h"

struct segv_map {
    struct segv_service *service;
    struct fault_range range;
    int channel; /* our end */
    int empty;   /* a memfd without a byte, borrowed: touching a page of it is SIGBUS */
    struct segv_place *place;
    void *room;              /* of access[] */
    _Atomic uint8_t *access; /* enum fault_access of each page */
    size_t count_pages;
    /* The rest is the thread's, under its lock. */
    bool owes_done; /* the channel was full */
    uint32_t done;  /* the number of the last order that was carried out */
};

/**
 * Carry out one order.
 *
 * Errors: DSM_EPROTO it makes no sense; nothing was done
 */
int segv_order_apply(struct segv *segv, struct segv_map *map, const struct fault_order *order);

#endif
