/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Fault back ends: how the touch of an absent page in a mapping of this process reaches the agent.
 * What is particular to one mechanism stays behind this table; the rest of the library knows only
 * it. A session takes the best one that this process can have, when its first mapping is made.
 */
#ifndef DSM_LIB_FAULT_H
#define DSM_LIB_FAULT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "net/codec.h"

struct fault;
struct segv_map;
struct segv_place;
struct segv_service;

/** What is to be watched. */
struct fault_range {
    uint8_t *address;
    size_t len_bytes; /* whole hardware pages */
    bool writable;
};

/** One watched mapping. All zero but for descriptor -1 is a mapping that nobody watches. */
struct fault_map {
    int descriptor;           /* to go with ATTACH */
    struct segv_place *place; /* where system calls are not served; else NULL */
    struct segv_map *segv;    /* of the SIGSEGV back end */
};

/**
 * One mechanism. All may be called from any thread; none waits for the agent.
 *
 * A mapping's life: start, attached, retire, then it is unmapped or fenced, wake, stop. Without
 * attached when ATTACH failed.
 */
struct fault_ops {
    enum session_backend backend;
    bool system_calls; /* system calls that touch an absent page wait for it; else they give EFAULT
                        */
    bool closed;       /* a range has no access when it is given to start() */
    /**
     * Find out whether this process can have it, and make what all mappings share.
     *
     * @why on error: why not, SESSION_WHY_BYTES bytes
     *
     * Errors: DSM_ENOTSUP, DSM_EPERM  not here: try the next one
     *         DSM_ESYS, DSM_ENOMEM    not now
     */
    int (*open)(struct fault *fault, char *why);
    /** Undo open(); no mapping is left. `in_child`: in a forked child, which has no threads. */
    void (*close)(struct fault *fault, bool in_child);
    /**
     * Watch a range which is mapped and which nobody has touched.
     *
     * @map  written on success, release with retire() and stop()
     * @text on error: a sentence, TEXT_BYTES_MAX bytes
     *
     * Errors: DSM_ENOTSUP the kernel lacks what it takes
     *         DSM_EPERM   this process may not
     *         DSM_ESYS, DSM_ENOMEM
     */
    int (*start)(struct fault *fault, const struct fault_range *range, struct fault_map *map,
                 char *text);
    /** The agent has its descriptor. */
    void (*attached)(struct fault_map *map);
    /** From now on nothing changes the range behind the caller's back: it may be unmapped. */
    void (*retire)(struct fault_map *map);
    /** It is unmapped or fenced: let every thread that is blocked in the range look again. */
    void (*wake)(const struct fault_map *map, void *address, size_t len_bytes);
    /**
     * Stop watching; without wake() before, blocked threads read zeros. `in_child`: in a forked
     * child, which has no range and never called retire().
     */
    void (*stop)(struct fault_map *map, bool in_child);
    /** The agent knows that a mapping is gone: what was kept for it may go. */
    void (*settle)(struct fault *fault);
};

/** The back end of one session. */
struct fault {
    int device; /* of /dev/userfaultfd, from the agent; -1 when it has none */
    int socket; /* of the session, borrowed: shut down when a mapping can be served no more */
    pthread_mutex_t lock;
    const struct fault_ops *ops; /* NULL until the first mapping */
    struct segv_service *service;
    char why[SESSION_WHY_BYTES]; /* not a better one */
};

/** userfaultfd(2): the kernel stops the thread, the agent answers (KERNEL.md, variant A2). */
extern const struct fault_ops fault_device_ops; /* by the device that the agent passed */
extern const struct fault_ops fault_call_ops;   /* by the system call, for who may */
extern const struct fault_ops fault_user_ops;   /* the same for faults of user mode alone */
/** Protection and SIGSEGV: works wherever programs may change the protection of their memory. */
extern const struct fault_ops fault_segv_ops;

/**
 * @device given, -1 when the agent sent none
 * @socket borrowed until fault_close()
 *
 * Errors: DSM_ESYS
 */
int fault_init(struct fault *fault, int device, int socket);
/**
 * Choose the back end, unless that is done: the best that can be had, or what $DSM_FAULTS says.
 *
 * @text on error: a sentence, TEXT_BYTES_MAX bytes
 *
 * Errors: DSM_EINVAL  $DSM_FAULTS is no back end
 *         DSM_ENOTSUP what it says cannot be had here
 *         DSM_EPERM, DSM_ESYS, DSM_ENOMEM
 */
int fault_choose(struct fault *fault, char *text);
/**
 * A userfaultfd by the way of the chosen back end, which must serve system calls; nothing is
 * agreed with the kernel on it yet. Returns -1 with errno.
 */
int fault_descriptor(const struct fault *fault);
/** Close what fault_init() was given and fault_choose() made. */
void fault_close(struct fault *fault);
/** As fault_close() in a forked child, where no thread exists and no lock can be trusted. */
void fault_close_in_child(struct fault *fault);

#endif
