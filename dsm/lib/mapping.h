/* SPDX-License-Identifier: Apache-2.0 */
/** Making and unmaking mappings, for programs and for the windows of dsm_vm_*. */
#ifndef DSM_LIB_MAPPING_H
#define DSM_LIB_MAPPING_H

#include "dsm/lib/session.h"

/** What is to be mapped. */
struct mapping_wish {
    void *address; /* NULL: anywhere */
    uint64_t offset, len_bytes;
    int protection;
    bool is_window; /* for dsm_vm_* on this handle */
    bool is_base;   /* for a view */
};

/**
 * Map, register and attach.
 *
 * @mapping borrowed from the session's space, which frees it when it is removed
 *
 * Errors: as dsm_shm_map()
 */
int mapping_make(struct dsm_region *region, const struct mapping_wish *wish,
                 struct mapping **mapping);
/** Can it be mapped at all? Errors: those of dsm_shm_map() that ask nobody. */
int mapping_check(struct dsm_region *region, const struct mapping_wish *wish);
/**
 * Room without access for a private mapping: where the wish says, or anywhere at a multiple of the
 * region's page size.
 *
 * @len_bytes of the whole mapping, wish->address is of the first byte wished for
 * @room      returned, unmap it
 *
 * Errors: DSM_EBUSY, DSM_EINVAL, DSM_ENOMEM, DSM_ESYS
 */
int mapping_reserve(struct dsm_region *region, const struct mapping_wish *wish, uint64_t len_bytes,
                    uint8_t **room);
/** Tell the agent that a mapping is gone. @map 0: nothing to tell */
void mapping_tell_gone(struct dsm *dsm, const char *name, map_id map);
/** Remove every window of a handle that nobody uses. */
void windows_remove(struct dsm_region *region);

#endif
