/* SPDX-License-Identifier: Apache-2.0 */
/** Threads that the library starts in a program. */
#ifndef DSM_LIB_THREAD_H
#define DSM_LIB_THREAD_H

#include <pthread.h>

/** What a thread is to do. */
struct thread_work {
    const char *name; /* as debuggers show it, 15 bytes at most */
    void *(*body)(void *argument);
    void *argument;
};

/**
 * Start a thread of a small stack that none of the program's signal handlers ever runs in.
 *
 * @work   borrowed until return, its argument as its body says
 * @thread written on success; the caller joins it
 *
 * Errors: DSM_ESYS no room for a thread
 */
int thread_start(const struct thread_work *work, pthread_t *thread);

#endif
