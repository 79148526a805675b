/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/watchdog.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dsm.h"

#define STACK_BYTES (256u << 10)

static void *watch(void *argument)
{
    struct watchdog *watchdog = argument;
    struct pollfd fds[2] = {
        {.fd = watchdog->socket, .events = POLLRDHUP},
        {.fd = watchdog->stop, .events = POLLIN},
    };

    (void)sem_post(&watchdog->running);
    for (;;) {
        int count = poll(fds, 2, -1);

        if (count > 0 && (fds[1].revents & POLLIN) != 0) {
            return NULL;
        }
        /* A poll that cannot be made is a session that cannot be watched: the same to the caller.
         */
        if ((count > 0 && fds[0].revents != 0) || (count < 0 && errno != EINTR)) {
            watchdog->events.on_gone(watchdog->events.context);
            return NULL;
        }
    }
}

static int thread_start(struct watchdog *watchdog)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int error;

    if (pthread_attr_init(&attributes) != 0) {
        return DSM_ESYS;
    }
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    /* The new thread inherits the mask: none of the program's handlers ever runs in it. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&watchdog->thread, &attributes, watch, watchdog);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    if (error != 0) {
        return DSM_ESYS;
    }
    (void)pthread_setname_np(watchdog->thread, "dsm-watchdog");
    return 0;
}

int watchdog_start(struct watchdog *watchdog, int socket, const struct watchdog_events *events)
{
    int error;

    watchdog->socket = socket;
    watchdog->events = *events;
    if (sem_init(&watchdog->running, 0, 0) != 0) {
        return DSM_ESYS;
    }
    watchdog->stop = eventfd(0, EFD_CLOEXEC);
    error = watchdog->stop < 0 ? DSM_ESYS : thread_start(watchdog);
    if (error == 0) {
        while (sem_wait(&watchdog->running) != 0 && errno == EINTR) {
        }
        return 0;
    }
    if (watchdog->stop >= 0) {
        (void)close(watchdog->stop);
    }
    (void)sem_destroy(&watchdog->running);
    return error;
}

void watchdog_stop(struct watchdog *watchdog)
{
    uint64_t one = 1;

    while (write(watchdog->stop, &one, sizeof one) < 0 && errno == EINTR) {
    }
    (void)pthread_join(watchdog->thread, NULL);
    (void)close(watchdog->stop);
    (void)sem_destroy(&watchdog->running);
}

void watchdog_close_in_child(struct watchdog *watchdog)
{
    (void)close(watchdog->stop);
}
