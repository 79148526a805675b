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
/** Tell the agent that a mapping is gone. @map 0: nothing to tell */
void mapping_tell_gone(struct dsm *dsm, const char *name, map_id map);
/** Remove every window of a handle that nobody uses. */
void windows_remove(struct dsm_region *region);

#endif
