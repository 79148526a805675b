/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Fault back ends: how the touch of an absent page in a mapping of this process reaches the agent.
 * What is particular to one mechanism stays behind this table; the rest of the library knows only
 * it.
 */
#ifndef DSM_LIB_FAULT_H
#define DSM_LIB_FAULT_H

#include <stdbool.h>
#include <stddef.h>

#include "net/codec.h"

struct fault;

/** One watched mapping. All zero but for descriptor -1 is a mapping that nobody watches. */
struct fault_map {
    int descriptor;    /* handed to the agent with ATTACH, and kept open here until stop() */
    bool system_calls; /* system calls that touch an absent page wait for it; else they give EFAULT
                        */
};

/** One mechanism. No member blocks; all may be called from any thread. */
struct fault_ops {
    const char *name;
    /**
     * Watch [address, address + len_bytes), which is mapped and which nobody has touched.
     *
     * @map  written on success, release with stop()
     * @text on error: a sentence, TEXT_BYTES_MAX bytes
     *
     * Errors: DSM_ENOTSUP the kernel lacks what it takes
     *         DSM_EPERM   this process may not
     *         DSM_ESYS, DSM_ENOMEM
     */
    int (*start)(const struct fault *fault, void *address, size_t len_bytes, struct fault_map *map,
                 char *text);
    /** Let every thread that is blocked in the range look again, whatever is mapped there now. */
    void (*wake)(const struct fault_map *map, void *address, size_t len_bytes);
    /** Stop watching; the range must be unmapped or fenced before, else blocked threads read zeros.
     */
    void (*stop)(struct fault_map *map);
};

/** The back end of one session. */
struct fault {
    const struct fault_ops *ops;
    int device; /* of /dev/userfaultfd, from the agent; -1 when it has none */
};

/** userfaultfd(2): the kernel stops the thread, the agent answers (KERNEL.md, variant A2). */
extern const struct fault_ops fault_uffd_ops;

/** Choose the back end. @device given, -1 when the agent sent none */
void fault_init(struct fault *fault, int device);
/** Close what fault_init() was given. */
void fault_close(struct fault *fault);

#endif
