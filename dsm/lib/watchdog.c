/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/lib/watchdog.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dsm.h"
#include "dsm/lib/thread.h"

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

int watchdog_start(struct watchdog *watchdog, int socket, const struct watchdog_events *events)
{
    const struct thread_work work = {"dsm-watchdog", watch, watchdog};
    int error;

    watchdog->socket = socket;
    watchdog->events = *events;
    if (sem_init(&watchdog->running, 0, 0) != 0) {
        return DSM_ESYS;
    }
    watchdog->stop = eventfd(0, EFD_CLOEXEC);
    error = watchdog->stop < 0 ? DSM_ESYS : thread_start(&work, &watchdog->thread);
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
