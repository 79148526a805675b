/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/thread.h"

#include <signal.h>

#include "dsm.h"

#define STACK_BYTES (256u << 10)

int thread_start(const struct thread_work *work, pthread_t *thread)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int error;

    if (pthread_attr_init(&attributes) != 0) {
        return DSM_ESYS;
    }
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    /* The new thread inherits the mask. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(thread, &attributes, work->body, work->argument);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    if (error != 0) {
        return DSM_ESYS;
    }
    (void)pthread_setname_np(*thread, work->name);
    return 0;
}
